//! Whether an engine can go on from a record of the changelog. What is no state of ours (a damaged
//! topic, a record of somebody else) is refused with a sentence before it can lead to wrong bars,
//! or to a panic hours later.

use rustc_hash::FxHashSet;

use crate::model::{
    Accumulator, Amount, Candidate, Completeness, ConnectionState, Interval, Loss, OwnedSpan,
    PartitionMeta, Scope, StateRecord, SymbolFeed, Tally, Turnover, WindowState,
};

use super::accumulator::VOLUME_LIMIT_UNITS;
use super::cleaning::LATEST_MS;
use super::rules::ROLL_UP_LIMIT;

/// Inputs of one window: what a market does not reach, and revisions leave room for.
const INPUTS_MAX: i64 = 100_000_000;
/// Records and offsets of one partition.
const RECORDS_MAX: i64 = i64::MAX / 2;
/// Each moves the write timestamps on by a thousand seconds, ×10⁹ µs.
const GENERATION_MAX: i64 = 1_000_000_000;

/// `base` is the shortest configured interval. The error is a clause on what is wrong.
pub(super) fn check(records: &[StateRecord], base: Interval) -> Result<(), String> {
    let shortest = records.iter().flat_map(intervals_of).fold(base, Interval::min);
    let mut windows = FxHashSet::default();
    for record in records {
        match record {
            StateRecord::Meta(meta) => check_meta(meta)?,
            StateRecord::Scope(scope) => check_scope(scope)?,
            StateRecord::Feed(feed) => check_feed(feed)?,
            StateRecord::Window(window) => {
                check_window(window, shortest)?;
                let key = (window.symbol.as_str(), window.interval, window.start_ms);
                hold(windows.insert(key), "one window twice")?;
            }
            StateRecord::Evicted { .. } => {}
        }
    }
    Ok(())
}

fn intervals_of(record: &StateRecord) -> Vec<Interval> {
    match record {
        StateRecord::Scope(scope) => scope.intervals.iter().map(|one| one.interval).collect(),
        StateRecord::Window(window) => vec![window.interval],
        _ => Vec::new(),
    }
}

fn check_scope(scope: &Scope) -> Result<(), String> {
    let begin_ms = scope.intervals.iter().map(|one| one.from_ms);
    hold(are_times(begin_ms), "an interval's beginning out of range")
}

fn hold(condition: bool, problem: &str) -> Result<(), String> {
    if condition { Ok(()) } else { Err(problem.to_owned()) }
}

/// Times are sums and differences of a few believable ones, and far from the ends of the scale.
fn is_time(time_ms: i64) -> bool {
    (-4 * LATEST_MS..=4 * LATEST_MS).contains(&time_ms)
}

fn are_times(times_ms: impl IntoIterator<Item = Option<i64>>) -> bool {
    times_ms.into_iter().flatten().all(is_time)
}

fn check_meta(meta: &PartitionMeta) -> Result<(), String> {
    let Tally { merged, duplicate, rejected, late, control } = meta.tally;
    let ways = [merged, duplicate, rejected, late, control];
    let total = ways.iter().try_fold(0_i64, |sum, way| sum.checked_add(*way));
    let counts = ways.iter().chain([&meta.next_offset, &meta.consumed]);
    hold(counts.into_iter().all(|one| (0..=RECORDS_MAX).contains(one)), "a count out of range")?;
    hold(total == Some(meta.consumed), "its tally does not add up to what it consumed")?;
    hold((0..=GENERATION_MAX).contains(&meta.generation), "a generation out of range")?;
    hold(are_times([meta.watermark_ms]), "a watermark out of range")?;
    hold(meta.connections.iter().all(is_connection), "a connection's time out of range")
}

fn is_connection(state: &ConnectionState) -> bool {
    // Where a connection ended before there was a watermark, the lowest number stands for none.
    let ended_ms = state.ended_at_watermark_ms.filter(|ended_ms| *ended_ms != i64::MIN);
    are_times([state.feed_time_ms, state.feed_offset_ms, state.confirmed_ms, ended_ms])
}

fn check_feed(feed: &SymbolFeed) -> Result<(), String> {
    let is_span = |span: &OwnedSpan| {
        (0..=LATEST_MS * 1_000).contains(&span.since_us) && are_times([span.up_from_ms])
    };
    let is_loss =
        |loss: &Loss| is_time(loss.from_ms) && is_time(loss.to_ms) && loss.from_ms <= loss.to_ms;
    let are_apart = |pair: &[Loss]| pair[0].to_ms <= pair[1].from_ms;
    hold(feed.spans.iter().all(is_span), "a span's time out of range")?;
    hold(feed.losses.iter().all(is_loss), "a loss' time out of range")?;
    hold(feed.losses.windows(2).all(are_apart), "losses that overlap")
}

/// Only windows of the shortest interval of the state are bounded when trades are added.
fn check_window(window: &WindowState, shortest: Interval) -> Result<(), String> {
    let length_ms = window.interval.length_ms();
    let parts = if window.interval == shortest { 1 } else { ROLL_UP_LIMIT as u128 };
    hold(is_time(window.start_ms), "a start out of range")?;
    hold(window.start_ms % length_ms == 0, "a start that begins no window")?;
    hold((0..=INPUTS_MAX).contains(&window.extra_revisions), "revisions out of range")?;
    let told = window.completeness.is_none_or(|told| is_told(told, length_ms));
    hold(told, "a completeness beyond its length")?;
    check_sums(&window.accumulator, VOLUME_LIMIT_UNITS * parts)
}

fn is_told(told: Completeness, length_ms: i64) -> bool {
    let parts = [told.up_ms.unwrap_or(0), told.gap_ms, told.unconfirmed_ms];
    parts.iter().all(|part| (0..=length_ms).contains(part))
}

fn check_sums(sums: &Accumulator, most_units: u128) -> Result<(), String> {
    let excluded = sums.excluded.iter();
    let counts = excluded.clone().map(|one| one.count).chain([sums.trade_count, sums.inputs]);
    hold(
        counts.into_iter().all(|count| (0..=INPUTS_MAX).contains(&count)),
        "a count out of range",
    )?;
    let volumes = excluded.map(|one| one.volume).chain([sums.volume]);
    hold(volumes.into_iter().all(|one| one.units() <= most_units), "a volume out of range")?;
    let priciest = Turnover::default().checked_add_product(Amount::MAX, sums.volume);
    hold(priciest.is_some_and(|most| sums.turnover <= most), "a turnover above its volume")?;
    let ends = [sums.first, sums.last, sums.conditional_first, sums.conditional_last];
    let all = ends.into_iter().chain([sums.high, sums.low]).flatten();
    hold(all.into_iter().all(is_candidate), "a price or time out of range")?;
    let spread = match (sums.high, sums.low) {
        (Some(high), Some(low)) => high.point.price >= low.point.price,
        (high, low) => high.is_none() && low.is_none(),
    };
    hold(spread, "a high below its low")
}

fn is_candidate(candidate: Candidate) -> bool {
    let price = candidate.point.price;
    price > 0.0 && Amount::from_f64(price).is_some() && is_time(candidate.point.trade_time_ms)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::{Engine, Rules};
    use crate::error::Error;
    use crate::model::PricePoint;

    fn five() -> Interval {
        Interval::parse("5m").expect("valid")
    }

    fn refusal(record: StateRecord) -> Option<String> {
        let rules = Arc::new(Rules::with_intervals(vec![five()]).expect("valid"));
        match Engine::restore(rules, 0, 1, [record]) {
            Ok(_) => None,
            Err(Error::Config(sentence)) => Some(sentence),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn meta(change: impl FnOnce(&mut PartitionMeta)) -> StateRecord {
        let tally = Tally { merged: 2, control: 1, ..Tally::default() };
        let mut meta = PartitionMeta {
            next_offset: 3,
            tally,
            consumed: 3,
            partition_count: 1,
            ..PartitionMeta::default()
        };
        change(&mut meta);
        StateRecord::Meta(meta)
    }

    fn feed(losses: &[(i64, i64)]) -> StateRecord {
        let losses =
            losses.iter().map(|(from_ms, to_ms)| Loss { from_ms: *from_ms, to_ms: *to_ms });
        StateRecord::Feed(SymbolFeed { losses: losses.collect(), ..SymbolFeed::default() })
    }

    fn window(change: impl FnOnce(&mut WindowState)) -> StateRecord {
        let mut window = WindowState {
            symbol: "AAPL".into(),
            interval: five(),
            start_ms: 300_000,
            accumulator: Accumulator::default(),
            closed: false,
            extra_revisions: 0,
            corrected: false,
            completeness: None,
        };
        change(&mut window);
        StateRecord::Window(window)
    }

    #[test]
    fn what_an_engine_writes_restores() {
        for record in [meta(|_| {}), feed(&[(1, 2), (2, 2), (5, 9)]), window(|_| {})] {
            assert_eq!(refusal(record), None);
        }
    }

    #[test]
    fn what_no_engine_writes_is_named() {
        let priced = |price: f64| {
            let point = PricePoint { price, trade_time_ms: 300_001, connection: 1, seq: 1 };
            Some(Candidate { point, arrival: 1 })
        };
        let cases = [
            (meta(|meta| meta.consumed = 4), "does not add up"),
            (meta(|meta| meta.tally.late = -1), "a count"),
            (meta(|meta| meta.tally.late = i64::MAX), "a count"),
            (meta(|meta| meta.next_offset = i64::MAX), "a count"),
            (meta(|meta| meta.generation = -1), "a generation"),
            (meta(|meta| meta.watermark_ms = Some(i64::MIN)), "a watermark"),
            (feed(&[(2, 1)]), "a loss' time"),
            (feed(&[(1, 5), (4, 9)]), "overlap"),
            (window(|window| window.start_ms = 300_001), "begins no window"),
            (window(|window| window.start_ms = i64::MAX / 300_000 * 300_000), "a start"),
            (window(|window| window.extra_revisions = i64::MAX), "revisions"),
            (window(|window| window.accumulator.inputs = -1), "a count"),
            (window(|window| window.accumulator.high = priced(2.0)), "a high below"),
            (window(|window| window.accumulator.first = priced(f64::NAN)), "a price"),
            (
                window(|window| window.accumulator.turnover = "1".parse().expect("a turnover")),
                "a turnover",
            ),
        ];
        for (record, words) in cases {
            let sentence = refusal(record).expect(words);
            assert!(sentence.contains(words) && sentence.contains("changelog"), "{sentence}");
        }
    }

    #[test]
    fn a_window_that_comes_twice_is_refused() {
        let rules = Arc::new(Rules::with_intervals(vec![five()]).expect("valid"));
        let twice = [window(|_| {}), window(|window| window.closed = true)];
        let error = Engine::restore(rules, 0, 1, twice).expect_err("refused").to_string();
        assert!(error.contains("twice"), "{error}");
    }
}
