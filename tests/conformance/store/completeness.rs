//! What the stores keep so that a bar can be trusted: how late a trade was, the history of bars,
//! the feed's events and gaps.

use ticksmith::error::Result;
use ticksmith::model::{
    Amount, BarRevision, BarState, Disposition, Effects, Exclusion, ExclusionReason, FeedEvent,
    FeedEventKind, FeedGap, GapCause, Interval, LateWindow, Lateness, Origin, RevisionWhy, Session,
    StoredEvent, Verdict,
};
use ticksmith::port::{BarQuery, StoreReader, Tier, TradeQuery};

use super::{NOW_MS, World, all_bars, all_trades, bar, of_trades, trade, written};

const DAY_MS: i64 = 86_400_000;

/// Where the window of a late trade stood comes back, and other trades know of none.
pub fn late_windows_come_back_equal(world: &dyn World) -> Result<()> {
    let states = [LateWindow::Open, LateWindow::Closed, LateWindow::Gone];
    let mut trades: Vec<_> = (0..=3).map(|seq| trade("LATE", NOW_MS, seq)).collect();
    for (judged, window) in trades.iter_mut().zip(states) {
        judged.disposition = Disposition::Late;
        judged.lateness = Some(Lateness {
            watermark_ms: NOW_MS + 700_000,
            late_by_ms: 700_000,
            window_start_ms: NOW_MS,
            window,
        });
    }
    let reader = written(world, &of_trades(trades.clone()))?;
    let query = TradeQuery { to_ms: NOW_MS + 1, ..all_trades("LATE", Tier::Silver) };
    assert_eq!(reader.trades(&query)?, trades);
    Ok(())
}

/// One content of the bar that starts at `start_ms`, different in every column from the next.
fn revision(start_ms: i64, generation: i64, revision: i64, why: RevisionWhy) -> BarRevision {
    let mut bar = bar("HISTORY", start_ms, revision);
    bar.generation = generation;
    bar.state = if why == RevisionWhy::Closed { BarState::Closed } else { BarState::Corrected };
    bar.trade_count = revision * 10;
    bar.gap_ms = revision * 1_000;
    bar.late_included = revision;
    let volume = Amount::from_f64(revision as f64 / 8.0).expect("an amount");
    bar.excluded[ExclusionReason::Extended as usize] = Exclusion { volume, count: revision };
    if revision % 2 == 0 {
        (bar.open, bar.close, bar.vwap) = (None, None, None);
        (bar.session, bar.coverage, bar.verdict) = (None, None, Verdict::Unknown);
    } else {
        bar.session = Some(Session::Regular);
    }
    BarRevision { bar, why }
}

fn history(start_ms: i64) -> Vec<BarRevision> {
    let reasons = RevisionWhy::ALL.into_iter().zip(5..);
    reasons
        .map(|(why, number)| {
            let generation = i64::from(why == RevisionWhy::Rebuild);
            revision(start_ms, generation, number, why)
        })
        .collect()
}

fn of_revisions(revisions: Vec<BarRevision>) -> Effects {
    Effects { revisions, ..Effects::default() }
}

/// The history holds whole bars, in order of start, generation and revision, whatever the order of
/// writing, and writing again changes nothing.
pub fn revisions_come_back_equal(world: &dyn World) -> Result<()> {
    let (first, second) = (history(NOW_MS), history(NOW_MS + DAY_MS));
    let all = [first, second].concat();
    let mut shuffled = all.clone();
    shuffled.reverse();
    let query = BarQuery { from_ms: NOW_MS, to_ms: NOW_MS + 2 * DAY_MS, ..all_bars("HISTORY") };
    for rows in [shuffled, all.clone()] {
        let reader = written(world, &of_revisions(rows))?;
        assert_eq!(reader.revisions(&query)?, all);
    }
    let reader = world.reader()?;
    let hour = Interval::parse("1h").expect("an interval");
    assert_eq!(reader.revisions(&BarQuery { interval: hour, ..query.clone() })?, []);
    assert_eq!(reader.revisions(&BarQuery { symbol: "NOBODY".into(), ..query })?, []);
    Ok(())
}

/// A limit counts rows and keeps the newest; a range without bounds finds what is there.
pub fn revisions_obey_range_and_limit(world: &dyn World) -> Result<()> {
    let rename = |mut one: BarRevision| {
        one.bar.symbol = "RANGED".into();
        one
    };
    // Further apart than one look reaches, and one side of midnight from the other.
    let starts = [0, 1, 2, 40, 41].map(|days| NOW_MS + days * DAY_MS);
    let all: Vec<BarRevision> = starts.into_iter().flat_map(history).map(rename).collect();
    let bars = starts.map(|start_ms| bar("RANGED", start_ms, 9));
    let rows = Effects { bars: bars.into(), ..of_revisions(all.clone()) };
    let reader = written(world, &rows)?;
    let query = BarQuery { from_ms: starts[0], to_ms: starts[4] + 1, ..all_bars("RANGED") };
    for limit in [0, 1, 7, 24, 100] {
        let kept = &all[all.len().saturating_sub(limit)..];
        assert_eq!(reader.revisions(&BarQuery { limit, ..query.clone() })?, kept, "{limit} rows");
        let unbounded = BarQuery { limit, ..all_bars("RANGED") };
        assert_eq!(reader.revisions(&unbounded)?, kept, "{limit} newest rows");
    }
    let half_open = BarQuery { from_ms: starts[1], to_ms: starts[3], ..query };
    assert_eq!(reader.revisions(&half_open)?, all[5..15]);
    let empty = BarQuery { to_ms: starts[1], ..half_open };
    assert_eq!(reader.revisions(&empty)?, []);
    Ok(())
}

fn event(partition: i32, offset: i64, at_us: i64) -> StoredEvent {
    StoredEvent {
        origin: Origin { partition, offset },
        event: FeedEvent {
            kind: FeedEventKind::Heartbeat,
            connection: 1_700_000_000_000_017,
            seq: offset,
            feed: "finnhub/1".into(),
            at_us,
            feed_time_ms: Some(at_us / 1_000 - 7),
            confirmed_at_us: Some(at_us - 1_234_567),
            confirmed_feed_time_ms: Some(at_us / 1_000 - 1_241),
            symbols: Vec::new(),
            lost_records: 0,
            detail: String::new(),
        },
    }
}

/// Every event of every partition comes back as it was, in order of partition and offset, with
/// microseconds, from several days; ranges are half-open in the producer's clock.
pub fn events_come_back_in_the_order_of_the_log(world: &dyn World) -> Result<()> {
    // No other case writes so early.
    let base_us = (NOW_MS - 100 * DAY_MS) * 1_000;
    let mut all = Vec::new();
    for partition in 0..6 {
        // The producer's clock went backwards between two offsets.
        for (offset, day) in [(10, 1), (11, 0), (12, 2)] {
            all.push(event(partition, offset, base_us + day * DAY_MS * 1_000 + 999));
        }
    }
    let mut kinds = FeedEventKind::ALL.into_iter().cycle();
    for stored in &mut all {
        stored.event.kind = kinds.next().expect("it never ends");
    }
    all[0].event.symbols = vec!["AAPL".into(), "IC MARKETS:1".into(), "a,\"b\"".into()];
    all[1].event.lost_records = 17;
    all[1].event.detail = "closed: 1006, \"abnormal\"".into();
    all[2].event.feed_time_ms = None;
    all[2].event.confirmed_at_us = None;
    all[2].event.confirmed_feed_time_ms = None;
    let mut shuffled = all.clone();
    shuffled.rotate_left(7);
    let rows = Effects { events: shuffled, ..Effects::default() };
    written(world, &rows)?;
    let reader = written(world, &rows)?;
    let base_ms = base_us / 1_000;
    assert_eq!(reader.events(base_ms, base_ms + 3 * DAY_MS)?, all);
    let found = reader.events(i64::MIN, i64::MAX)?;
    let of_case = |stored: &StoredEvent| stored.event.at_us < base_us + 3 * DAY_MS * 1_000;
    assert_eq!(found.into_iter().filter(of_case).collect::<Vec<_>>(), all);
    let of_day_1: Vec<StoredEvent> = all.iter().step_by(3).cloned().collect();
    assert_eq!(reader.events(base_ms + DAY_MS, base_ms + 2 * DAY_MS)?, of_day_1);
    assert_eq!(reader.events(base_ms + DAY_MS + 1, base_ms + 2 * DAY_MS)?, []);
    assert_eq!(reader.events(base_ms + DAY_MS, base_ms + DAY_MS)?, []);
    Ok(())
}

pub fn gap(symbol: &str, from_ms: i64, to_ms: Option<i64>) -> FeedGap {
    FeedGap {
        symbol: symbol.into(),
        feed: "finnhub/0".into(),
        connection: 1_700_000_000_000_017,
        from_ms,
        to_ms,
        next_connection: to_ms.map(|_| 1_700_000_000_000_099),
        cause: GapCause::Silence,
        lost_records: 0,
        told_at: 0,
        detail: if to_ms.is_some() { String::new() } else { "no ping for 90 s".into() },
    }
}

fn all_gaps(reader: &dyn StoreReader, symbol: &str) -> Result<Vec<FeedGap>> {
    reader.gaps(symbol, NOW_MS - 10 * DAY_MS, NOW_MS + 10 * DAY_MS)
}

/// The end of a gap wins over its beginning in whatever order the two are written, and a replay of
/// both changes nothing.
pub fn a_gap_ends_in_whatever_order_it_is_written(world: &dyn World) -> Result<()> {
    for (symbol, swapped) in [("GAP-IN-ORDER", false), ("GAP-SWAPPED", true)] {
        let (begun, ended) =
            (gap(symbol, NOW_MS, None), gap(symbol, NOW_MS, Some(NOW_MS + 37_000)));
        let (first, second) = if swapped { (&ended, &begun) } else { (&begun, &ended) };
        let one = |gap: &FeedGap| Effects { gaps: vec![gap.clone()], ..Effects::default() };
        let reader = written(world, &one(first))?;
        assert_eq!(all_gaps(&*reader, symbol)?, std::slice::from_ref(first));
        let reader = written(world, &one(second))?;
        assert_eq!(all_gaps(&*reader, symbol)?, std::slice::from_ref(&ended));
        let replay = Effects { gaps: vec![begun, ended.clone()], ..Effects::default() };
        let reader = written(world, &replay)?;
        assert_eq!(all_gaps(&*reader, symbol)?, [ended]);
    }
    Ok(())
}

/// Gaps are found by overlap, up to seven days after they began; losses at an instant by it.
pub fn gaps_come_back_when_they_overlap(world: &dyn World) -> Result<()> {
    let start = |days: i64| NOW_MS - days * DAY_MS;
    let lasting = gap("GAPS", start(3), None);
    let ended = gap("GAPS", start(2), Some(start(1)));
    let mut loss = gap("GAPS", start(1) + 5, Some(start(1) + 5));
    (loss.cause, loss.lost_records, loss.next_connection) = (GapCause::DecodeLoss, 3, None);
    let mut other = gap("GAPS", start(2), Some(start(1)));
    other.connection += 1;
    let forgotten = gap("GAPS", start(9) - 1, None);
    let elsewhere = gap("OTHER-GAPS", start(2), None);
    let all = [loss.clone(), other.clone(), ended.clone(), lasting.clone(), forgotten.clone()];
    let mut gaps = all.to_vec();
    gaps.push(elsewhere.clone());
    let reader = written(world, &Effects { gaps, ..Effects::default() })?;
    let found = |from_ms, to_ms| reader.gaps("GAPS", from_ms, to_ms);
    let in_order = [lasting.clone(), ended.clone(), other.clone(), loss.clone()];
    assert_eq!(
        found(start(2), NOW_MS)?,
        in_order,
        "what began more than seven days before is not looked for"
    );
    let everything = [&[forgotten][..], &in_order].concat();
    assert_eq!(found(i64::MIN, i64::MAX)?, everything);
    assert_eq!(found(start(3) - 1, start(3))?, everything[..1], "ends are not inside");
    assert_eq!(found(start(1), start(1) + 5)?, in_order[..1], "an end is not inside");
    assert_eq!(found(start(1) + 5, start(1) + 6)?, [lasting.clone(), loss]);
    assert_eq!(found(start(1) + 6, NOW_MS)?, [lasting]);
    assert_eq!(found(NOW_MS, NOW_MS)?, []);
    assert_eq!(reader.gaps("OTHER-GAPS", start(2), NOW_MS)?, [elsewhere]);
    Ok(())
}

/// What a connection lost last, and its end, may share an instant.
pub fn a_loss_and_a_gap_of_one_instant_are_two(world: &dyn World) -> Result<()> {
    let mut loss = gap("BOTH", NOW_MS, Some(NOW_MS));
    loss.cause = GapCause::DecodeLoss;
    let ended = gap("BOTH", NOW_MS, Some(NOW_MS + 37_000));
    let gaps = vec![loss.clone(), gap("BOTH", NOW_MS, None), ended.clone()];
    let reader = written(world, &Effects { gaps, ..Effects::default() })?;
    assert_eq!(reader.gaps("BOTH", NOW_MS, NOW_MS + 1)?, [loss, ended]);
    Ok(())
}
