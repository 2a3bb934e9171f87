use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::engine::recompute::{Partition, Record, Recorded, recompute, with_late};
use crate::engine::{Engine, Input};
use crate::model::{Disposition, Effects, GapCause, Origin, Trade, Verdict};

/// 2023-11-15 15:00 UTC, 10:00 in New York: regular hours.
const START_MS: i64 = 1_700_060_400_000;
const WINDOW: Window = Window { start_ms: START_MS, end_ms: START_MS + 300_000 };

fn five_minutes() -> Interval {
    Interval::parse("5m").expect("valid")
}

fn rules() -> Arc<Rules> {
    let hour = Interval::parse("1h").expect("valid");
    Arc::new(Rules::with_intervals(vec![five_minutes(), hour]).expect("valid rules"))
}

fn question() -> Question {
    Question {
        symbol: "AAPL".into(),
        interval: five_minutes(),
        window: WINDOW,
        list_limit: 10,
        silver_from_ms: None,
    }
}

/// A trade `after_ms` into the window.
fn trade(seq: i64, after_ms: i64, price: f64, volume: f64, codes: &[&str]) -> Trade {
    Trade {
        symbol: "AAPL".into(),
        price,
        volume,
        trade_time_ms: START_MS + after_ms,
        conditions: Some(codes.iter().copied().map(Into::into).collect()),
        connection: 7,
        seq,
        received_at_us: 0,
        feed: "f".into(),
    }
}

/// The rows that the engine makes of the trades, and the last state of each bar.
fn stored(trades: Vec<Trade>) -> (Vec<Judged>, Vec<Bar>) {
    let mut engine = Engine::new(rules(), 0, 1);
    let mut effects = Effects::default();
    for (offset, trade) in (0..).zip(trades) {
        let origin = Origin { partition: 0, offset };
        engine.step(Input::Trade { origin, key: Some(b"AAPL"), trade }, &mut effects);
    }
    // A day later everything is closed.
    let closing = trade(1_000_000, 86_400_000, 1.0, 1.0, &[]);
    let origin = Origin { partition: 0, offset: 1_000_000 };
    engine.step(Input::Trade { origin, key: Some(b"AAPL"), trade: closing }, &mut effects);
    let mut bars: Vec<Bar> = Vec::new();
    for bar in effects.bars {
        bars.retain(|known| (known.interval, known.window) != (bar.interval, bar.window));
        bars.push(bar);
    }
    (effects.trades, bars)
}

/// What is stored of the first window after these trades.
fn evidence(trades: Vec<Trade>) -> Evidence {
    let (mut silver, bars) = stored(trades);
    silver.retain(|judged| judged.trade.trade_time_ms < WINDOW.end_ms);
    let is_it = |bar: &Bar| bar.interval == five_minutes() && bar.window == WINDOW;
    Evidence { bar: bars.into_iter().find(is_it), silver, ..Evidence::default() }
}

fn explained_from(trades: Vec<Trade>) -> Explanation {
    explain(&rules(), &question(), evidence(trades))
}

fn why<'a>(it: &'a Explanation, name: &str) -> &'a str {
    let setter = it.prices.iter().find(|setter| setter.name == name);
    &setter.expect("the price is there").why
}

#[test]
fn the_four_are_named_with_the_right_that_they_had() {
    let it = explained_from(vec![
        trade(1, 0, 10.0, 5.0, &["12", "1"]),
        trade(2, 10, 10.5, 100.0, &["1"]),
        trade(3, 20, 11.0, 100.0, &["30"]),
        trade(4, 30, 11.0, 100.0, &[]),
        trade(5, 40, 10.25, 100.0, &["30", "41"]),
        trade(6, 50, 10.25, 500.0, &["16"]),
    ]);
    assert_eq!(it.agreement, Agreement::Follows, "{}", it.agreement_text);
    assert_eq!(why(&it, "open"), "sets open by full right, the first of 2 eligible");
    assert_eq!(why(&it, "close"), "sets close by full right, the last of 2 eligible");
    assert_eq!(why(&it, "high"), "the highest of 4 eligible, the first of 2 at this price");
    assert_eq!(why(&it, "low"), "the lowest of 4 eligible");
    let seqs: Vec<i64> = it.prices.iter().map(|setter| setter.point.seq).collect();
    assert_eq!(seqs, [2, 3, 5, 4], "open, high, low, close");
    let low = it.prices[2].trade.as_ref().expect("stored");
    let names: Vec<_> = low.conditions.iter().filter_map(|one| one.name.as_deref()).collect();
    assert_eq!(names, ["Sold out of sequence", "Trade-through exempt (a flag)"]);
    assert_eq!(
        low.why,
        "sets open and close only when no other trade may: code 30, sold out of \
                         sequence"
    );
}

#[test]
fn a_conditional_open_says_that_there_was_no_other() {
    let it = explained_from(vec![
        trade(1, 0, 10.0, 5.0, &["12"]),
        trade(2, 10, 10.5, 100.0, &["30"]),
        trade(3, 20, 11.0, 100.0, &["30", "1"]),
    ]);
    assert_eq!(
        why(&it, "open"),
        "conditional (code 30, sold out of sequence): no other trade could set open; the first \
         of 2 such trades"
    );
    assert!(why(&it, "close").ends_with("the last of 2 such trades"));
}

#[test]
fn the_split_sums_up_and_each_exclusion_has_its_cause() {
    let it = explained_from(vec![
        trade(1, 0, 10.0, 100.0, &["1"]),
        trade(2, 1, 10.0, 5.5, &["1", "12"]),
        trade(3, 2, 10.0, 7.0, &["1", "24"]),
        trade(4, 3, 10.0, 3.0, &["77"]),
        trade(5, 4, 10.0, 0.0, &["1"]),
        trade(6, 5, 10.0, 900.0, &["16", "1"]),
        trade(7, 6, 10.0, 800.0, &["16"]),
    ]);
    let split = &it.split;
    let sum = split.excluded.iter().fold(split.sets_price, |sum, one| crate::model::Exclusion {
        volume: sum.volume.checked_add(one.volume).expect("fits"),
        count: sum.count + one.count,
    });
    assert_eq!(sum, split.counted);
    let bar = it.bar.as_ref().expect("a bar");
    assert_eq!((split.counted.volume, split.counted.count), (bar.volume, bar.trade_count));
    assert_eq!(split.price_updates, 1);
    assert_eq!(split.forbidden.len(), 1);
    assert_eq!(split.forbidden[0].what.volume.to_string(), "1700");
    let whys: Vec<&str> = it.excluded.trades.iter().map(|one| one.why.as_str()).collect();
    assert_eq!(
        whys,
        [
            "adds volume and sets no price: code 12, odd lot",
            "adds volume and sets no price: code 24, Form T in regular hours",
            "adds volume and sets no price: code 77, which the table does not know",
            "sets no price: volume 0 means nothing on the tape",
            "counts for nothing: code 16, official close of a market centre",
            "counts for nothing: code 16, official close of a market centre",
        ]
    );
    let two = Question { list_limit: 2, ..question() };
    let it = explain(&rules(), &two, Evidence { bar: it.bar, ..evidence(Vec::new()) });
    assert_eq!(it.agreement, Agreement::TradesGone, "none of its trades is stored");
}

#[test]
fn what_was_changed_in_a_table_is_found_and_named() {
    let trades = || vec![trade(1, 0, 10.0, 5.0, &["1"]), trade(2, 1, 11.0, 6.0, &["1"])];
    let mut changed = evidence(trades());
    let bar = changed.bar.as_mut().expect("a bar");
    bar.volume = "12".parse().expect("an amount");
    let it = explain(&rules(), &question(), changed);
    let columns: Vec<&str> =
        it.agreement.differences().iter().map(|one| one.column.as_str()).collect();
    assert_eq!(columns, ["volume"]);
    assert!(it.agreement_text.contains(
        "does not follow from the stored trades: run `ticksmith \
                                        audit --symbol AAPL --from 1700060400 --to 1700060700`"
    ));

    let mut deleted = evidence(trades());
    deleted.silver.remove(0);
    let it = explain(&rules(), &question(), deleted.clone());
    let columns: Vec<&str> =
        it.agreement.differences().iter().map(|one| one.column.as_str()).collect();
    assert_eq!(columns, ["open", "low", "volume", "vwap", "trade_count"]);
    assert_eq!(why(&it, "open"), "the trade is no longer stored");
    let old = Question { silver_from_ms: Some(WINDOW.end_ms), ..question() };
    let it = explain(&rules(), &old, deleted);
    assert_eq!(it.agreement, Agreement::TradesGone, "silver does not keep them so long");

    let mut other = evidence(trades());
    other.silver[0].trade.conditions = Some(vec!["12".into()].into());
    let it = explain(&rules(), &question(), other);
    assert!(why(&it, "open").contains("sets another"), "{}", why(&it, "open"));
}

#[test]
fn completeness_is_told_in_words() {
    let mut told = evidence(vec![trade(1, 0, 10.0, 5.0, &["1"])]);
    let bar = told.bar.as_mut().expect("a bar");
    let mut open = bar.clone();
    (open.state, open.coverage, open.gap_ms) = (BarState::Provisional, Some(0.5), 7_000);
    open.verdict = Verdict::Partial;
    assert_eq!(
        wording::completeness(&open),
        "partial so far: the feed was away for 7.0 s, and the window is open"
    );
    let mut say = |coverage, gap_ms, verdict| {
        (bar.coverage, bar.gap_ms, bar.verdict) = (coverage, gap_ms, verdict);
        wording::completeness(bar)
    };
    assert_eq!(
        say(Some(263.0 / 300.0), 37_000, Verdict::Partial),
        "partial: the feed was away for 37.0 s of 300 s"
    );
    assert_eq!(
        say(Some(0.5), 37_000, Verdict::Partial),
        "partial: the feed was away for 37.0 s of 300 s, and 113.0 s are not confirmed"
    );
    assert!(say(Some(1.0), 0, Verdict::Partial).contains("lost at least one record"));
    assert_eq!(say(Some(0.99), 0, Verdict::Unknown), "unknown: 3.0 s of 300 s are not confirmed");
    assert!(say(None, 0, Verdict::Unknown).contains("no subscription"));
    assert_eq!(
        say(Some(1.0), 0, Verdict::Complete),
        "complete: the feed was confirmed for all of 300 s"
    );
}

#[test]
fn gaps_are_cut_to_the_window_and_what_they_leave_is_told() {
    let gap = |from_ms: i64, to_ms: Option<i64>| FeedGap {
        symbol: "AAPL".into(),
        feed: "f".into(),
        connection: 7,
        from_ms: START_MS + from_ms,
        to_ms: to_ms.map(|to_ms| START_MS + to_ms),
        next_connection: None,
        cause: GapCause::Disconnected,
        lost_records: 0,
        told_at: 0,
        detail: String::new(),
    };
    let mut told = evidence(vec![trade(1, 0, 10.0, 5.0, &["1"])]);
    told.gaps = vec![gap(-5_000, Some(5_000)), gap(50_000, Some(50_000)), gap(290_000, None)];
    told.bar.as_mut().expect("a bar").gap_ms = 20_000;
    let it = explain(&rules(), &question(), told);
    let inside: Vec<i64> = it.gaps.iter().map(|one| one.inside_ms).collect();
    assert_eq!(inside, [5_000, 0, 10_000]);
    assert_eq!(it.unlisted_gap_ms, 5_000);
}

#[test]
fn without_a_bar_it_says_what_is_known() {
    let it = explain(&rules(), &question(), Evidence::default());
    assert_eq!((&it.agreement, it.prices.len()), (&Agreement::NoBar, 0));
    assert_eq!(
        it.completeness_text,
        "no trade of the window is stored, and no gap of the feed is stored for it"
    );
    let mut unwritten = evidence(vec![trade(1, 0, 10.0, 5.0, &["1"])]);
    unwritten.bar = None;
    let it = explain(&rules(), &question(), unwritten);
    assert!(
        it.completeness_text.starts_with("stored of the window: 1 trade, but no bar"),
        "{it:?}"
    );
    assert_eq!(it.prices.len(), 4, "as the trades give them");
}

proptest! {
    /// Whatever the engine makes of any trades, the explanation makes the same of its rows.
    #[test]
    fn every_bar_of_the_engine_follows_from_its_rows(
        drawn in prop::collection::vec(
            (0i64..2_000_000, 1u32..2_000, 0u32..300, prop::collection::vec(1u32..44, 0..3)),
            1..60,
        )
    ) {
        let mut trades: Vec<Trade> = Vec::new();
        for (seq, (after_ms, cents, volume, codes)) in (1..).zip(drawn) {
            let codes: Vec<String> = codes.iter().map(u32::to_string).collect();
            let codes: Vec<&str> = codes.iter().map(String::as_str).collect();
            let price = f64::from(cents) / 100.0;
            trades.push(trade(seq, after_ms, price, f64::from(volume), &codes));
        }
        let log: Vec<Record> = (0..)
            .zip(&trades)
            .map(|(offset, trade)| Record { offset, content: Recorded::Trade(trade.clone()) })
            .collect();
        let partition = Partition { index: 0, count: 1 };
        let on_time = recompute(&rules(), partition, &log);
        let rebuilt = with_late(&rules(), partition, &log, &on_time);
        let (rows, bars) = stored(trades);
        for bar in bars.into_iter().chain(rebuilt.into_values()) {
            let window = bar.window;
            let inside = |one: &&Judged| {
                (window.start_ms..window.end_ms).contains(&one.trade.trade_time_ms)
            };
            let silver: Vec<Judged> = rows.iter().filter(inside).cloned().collect();
            // A rebuild puts all of them in; those that count for nothing may stay outside.
            let late = silver.iter().filter(|one| one.disposition == Disposition::Late).count();
            let is_rebuilt = bar.late_included > 0;
            let question = Question { interval: bar.interval, window, ..question() };
            let evidence = Evidence { bar: Some(bar), silver, ..Evidence::default() };
            let it = explain(&rules(), &question, evidence);
            prop_assert_eq!(&it.agreement, &Agreement::Follows);
            let outside = it.late.trades.len() + it.late.hidden;
            prop_assert_eq!(outside < late, is_rebuilt);
            prop_assert!(it.prices.iter().all(|setter| setter.trade.is_some()));
        }
    }
}
