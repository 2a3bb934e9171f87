//! What every store promises, as cases that run against each adapter.

#[path = "store/completeness.rs"]
mod completeness;
#[path = "store/removal.rs"]
mod removal;

#[allow(unused_imports, reason = "some tests only want the sample rows")]
pub use {completeness::*, removal::*};

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use figment::Figment;
use figment::providers::{Format, Toml};
use ticksmith::config::{Config, DEFAULTS};
use ticksmith::error::{Error, Result};
use ticksmith::model::{
    Amount, Bar, BarState, Disposition, DuplicateReason, Effects, Exclusion, ExclusionReason,
    FeedEvent, FeedEventKind, Interval, Judged, LateWindow, Lateness, Origin, PricePoint,
    RejectReason, Session, StoredEvent, Trade, Verdict,
};
use ticksmith::port::{BarQuery, Clock, Store, StoreReader, Tier, TradeQuery};

/// Wednesday, 2023-11-15 15:00 UTC: the instant that all cases happen at, on every clock.
pub const NOW_MS: i64 = 1_700_060_400_000;

/// A clock that stands until it is moved.
pub struct HandClock(AtomicI64);

impl HandClock {
    pub fn at(now_ms: i64) -> Self {
        Self(AtomicI64::new(now_ms * 1_000))
    }

    #[allow(dead_code, reason = "one of the two suites moves it")]
    pub fn advance_s(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic_us(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The adapter under test.
pub trait World {
    fn store(&self) -> Result<Box<dyn Store>>;
    fn reader(&self) -> Result<Box<dyn StoreReader>>;
}

/// A case with its name.
pub type Case = (&'static str, fn(&dyn World) -> Result<()>);

/// The defaults, with a third interval.
pub fn config() -> Config {
    let mut config: Config =
        Figment::from(Toml::string(DEFAULTS)).extract().expect("defaults parse");
    config.stream.intervals = vec!["1m".into(), "5m".into(), "1h".into()];
    config
}

pub fn five_minutes() -> Interval {
    Interval::parse("5m").expect("an interval")
}

pub fn trade(symbol: &str, trade_time_ms: i64, seq: i64) -> Judged {
    Judged {
        trade: Trade {
            symbol: symbol.into(),
            price: 164.0641,
            volume: 0.000_004,
            trade_time_ms,
            conditions: Some(vec!["1".into(), "41".into()].into()),
            connection: 1_700_000_000_000_017,
            seq,
            received_at_us: trade_time_ms * 1_000 + 123_456,
            feed: "finnhub/0".into(),
        },
        origin: Origin { partition: 3, offset: 1_000 + seq },
        disposition: Disposition::Merged,
        session: Some(Session::Regular),
        updates_last: true,
        updates_high_low: true,
        updates_volume: true,
        lateness: None,
        behind_ms: 0,
    }
}

pub fn bar(symbol: &str, start_ms: i64, revision: i64) -> Bar {
    let point = |price: f64, seq: i64| {
        Some(PricePoint { price, trade_time_ms: start_ms + seq, connection: 17, seq })
    };
    let mut excluded = [Exclusion::default(); ExclusionReason::ALL.len()];
    excluded[ExclusionReason::OddLot as usize] =
        Exclusion { volume: Amount::from_f64(12.25).expect("an amount"), count: 3 };
    Bar {
        symbol: symbol.into(),
        interval: five_minutes(),
        window: five_minutes().window_of(start_ms),
        open: point(10.5, 1),
        high: point(11.25, 2),
        low: point(10.0, 3),
        close: point(10.75, 4),
        volume: "123456789.000000000000000001".parse().expect("an amount"),
        vwap: Some(10.625),
        trade_count: 77,
        excluded,
        session: Some(Session::Mixed),
        coverage: Some(0.5),
        gap_ms: 150_000,
        verdict: Verdict::Partial,
        state: BarState::Closed,
        revision,
        generation: 0,
        conditions_version: 4,
        late_included: 2,
    }
}

fn all_bars(symbol: &str) -> BarQuery {
    BarQuery {
        symbol: symbol.into(),
        interval: five_minutes(),
        from_ms: i64::MIN,
        to_ms: i64::MAX,
        limit: 1_000,
    }
}

fn all_trades(symbol: &str, tier: Tier) -> TradeQuery {
    TradeQuery {
        symbol: symbol.into(),
        tier,
        from_ms: NOW_MS - 86_400_000,
        to_ms: NOW_MS + 86_400_000,
        limit: 1_000,
    }
}

fn written(world: &dyn World, rows: &Effects) -> Result<Box<dyn StoreReader>> {
    let mut store = world.store()?;
    store.write(rows)?;
    store.flush()?;
    world.reader()
}

fn of_trades(trades: Vec<Judged>) -> Effects {
    Effects { trades, ..Effects::default() }
}

fn of_bars(bars: Vec<Bar>) -> Effects {
    Effects { bars, ..Effects::default() }
}

/// Everything that a trade can carry comes back as it went in.
pub fn trades_come_back_equal(world: &dyn World) -> Result<()> {
    let plain = trade("EQUAL", NOW_MS, 1);
    let mut bare = trade("EQUAL", NOW_MS, 2);
    bare.trade.conditions = None;
    bare.trade.received_at_us = 0;
    bare.session = None;
    bare.updates_high_low = false;
    let mut late = trade("EQUAL", NOW_MS + 1, 3);
    late.trade.conditions = Some(Vec::new().into());
    late.disposition = Disposition::Late;
    late.lateness = Some(Lateness {
        watermark_ms: NOW_MS,
        late_by_ms: 7,
        window_start_ms: 5,
        window: LateWindow::Closed,
    });
    let mut repeat = trade("EQUAL", NOW_MS + 2, 4);
    repeat.disposition = Disposition::Duplicate(DuplicateReason::NotOwner);
    let mut rejected = trade("EQUAL", NOW_MS + 3, 5);
    rejected.disposition = Disposition::Rejected(RejectReason::VolumeNegative);
    rejected.trade.volume = -3.0;
    rejected.trade.price = f64::INFINITY;
    (rejected.updates_last, rejected.updates_high_low) = (false, false);
    rejected.updates_volume = false;
    rejected.trade.conditions = Some(vec!["odd,one".into(), "".into()].into());
    let all = vec![plain.clone(), bare.clone(), late.clone(), repeat, rejected];
    let reader = written(world, &of_trades(all.clone()))?;
    assert_eq!(reader.trades(&all_trades("EQUAL", Tier::Bronze))?, all);
    assert_eq!(reader.trades(&all_trades("EQUAL", Tier::Silver))?, [plain, bare, late]);
    Ok(())
}

/// Bars come back equal: full ones, volume-only ones, ones of each interval and state.
pub fn bars_come_back_equal(world: &dyn World) -> Result<()> {
    let full = bar("EQUAL-BAR", NOW_MS, 5);
    let mut volume_only = bar("EQUAL-BAR", NOW_MS + 300_000, 1);
    (volume_only.open, volume_only.close) = (None, None);
    (volume_only.high, volume_only.low) = (None, None);
    (volume_only.vwap, volume_only.coverage, volume_only.session) = (None, None, None);
    volume_only.verdict = Verdict::Unknown;
    volume_only.state = BarState::Provisional;
    let mut half = bar("EQUAL-BAR", NOW_MS + 600_000, 2);
    (half.open, half.close) = (None, None);
    half.state = BarState::Corrected;
    half.generation = 1;
    let hour = Interval::parse("1h").expect("an interval");
    let mut hourly = bar("EQUAL-BAR", NOW_MS, 9);
    (hourly.interval, hourly.window) = (hour, hour.window_of(NOW_MS));
    let five = vec![full, volume_only, half];
    let mut rows = of_bars(five.clone());
    rows.bars.push(hourly.clone());
    let reader = written(world, &rows)?;
    assert_eq!(reader.bars(&all_bars("EQUAL-BAR"))?, five);
    assert_eq!(reader.bars(&BarQuery { interval: hour, ..all_bars("EQUAL-BAR") })?, [hourly]);
    Ok(())
}

/// A newer revision that lost a price takes the old price away.
pub fn a_null_overwrites(world: &dyn World) -> Result<()> {
    let mut store = world.store()?;
    store.write(&of_bars(vec![bar("NULL", NOW_MS, 1)]))?;
    store.flush()?;
    let mut without = bar("NULL", NOW_MS, 2);
    (without.open, without.coverage) = (None, None);
    store.write(&of_bars(vec![without.clone()]))?;
    store.flush()?;
    assert_eq!(world.reader()?.bars(&all_bars("NULL"))?, [without]);
    Ok(())
}

/// What was written before a mark is there when the mark is reached, whatever comes after it; and a
/// mark after nothing is reached at once.
pub fn a_mark_is_reached_with_all_before_it(world: &dyn World) -> Result<()> {
    let mut store = world.store()?;
    let trades = |from: i64, to: i64| -> Vec<Judged> {
        (from..to).map(|seq| trade("MARK", NOW_MS + seq, seq)).collect()
    };
    store.mark();
    assert!(store.await_mark(Duration::from_secs(60))?, "nothing is on its way");
    let before = trades(0, 2_000);
    for part in before.chunks(100) {
        store.write(&of_trades(part.to_vec()))?;
    }
    store.mark();
    let after = trades(2_000, 2_500);
    for part in after.chunks(100) {
        store.write(&of_trades(part.to_vec()))?;
        store.await_mark(Duration::ZERO)?;
    }
    while !store.await_mark(Duration::from_millis(10))? {}
    let query = TradeQuery { limit: 10_000, ..all_trades("MARK", Tier::Silver) };
    let found = world.reader()?.trades(&query)?;
    assert!(found.len() >= before.len(), "{} of {}", found.len(), before.len());
    assert_eq!(found[..before.len()], before);
    store.flush()?;
    assert_eq!(world.reader()?.trades(&query)?, [before, after].concat());
    Ok(())
}

/// Two trades of one millisecond, and of one seq on two connections, are two rows.
pub fn no_two_trades_overwrite_each_other(world: &dyn World) -> Result<()> {
    let (first, second) = (trade("SAME", NOW_MS, 1), trade("SAME", NOW_MS, 2));
    let mut elsewhere = trade("SAME", NOW_MS, 1);
    elsewhere.trade.connection += 1;
    let all = vec![first, second, elsewhere];
    let reader = written(world, &of_trades(all.clone()))?;
    assert_eq!(reader.trades(&all_trades("SAME", Tier::Bronze))?, all);
    assert_eq!(reader.trades(&all_trades("SAME", Tier::Silver))?, all);
    Ok(())
}

/// Writing the same rows again, from a second store too, changes nothing.
pub fn rewriting_changes_nothing(world: &dyn World) -> Result<()> {
    let mut rows = of_trades((1..=50).map(|seq| trade("AGAIN", NOW_MS + seq, seq)).collect());
    rows.bars = vec![bar("AGAIN", NOW_MS, 3)];
    rows.symbols = vec!["AGAIN".into()];
    written(world, &rows)?;
    let reader = written(world, &rows)?;
    assert_eq!(reader.trades(&all_trades("AGAIN", Tier::Silver))?, rows.trades);
    assert_eq!(reader.bars(&all_bars("AGAIN"))?, rows.bars);
    Ok(())
}

/// A replay or a zombie never takes a bar back: neither across calls nor within one.
pub fn a_lower_revision_never_wins(world: &dyn World) -> Result<()> {
    let mut store = world.store()?;
    let (third, second) = (bar("ORDER", NOW_MS, 3), bar("ORDER", NOW_MS, 2));
    for bars in [vec![third.clone()], vec![second.clone()], vec![third.clone(), second]] {
        store.write(&of_bars(bars))?;
        store.flush()?;
        assert_eq!(world.reader()?.bars(&all_bars("ORDER"))?, std::slice::from_ref(&third));
    }
    let mut next_generation = bar("ORDER", NOW_MS, 0);
    next_generation.generation = 1;
    store.write(&of_bars(vec![next_generation.clone(), third]))?;
    store.flush()?;
    assert_eq!(world.reader()?.bars(&all_bars("ORDER"))?, [next_generation]);
    Ok(())
}

/// The repeat of a trade has its key; the trade stays what it was, whichever is written first.
pub fn a_repeat_never_hides_its_trade(world: &dyn World) -> Result<()> {
    let first = trade("REPEAT", NOW_MS, 1);
    let mut repeat = first.clone();
    repeat.disposition = Disposition::Duplicate(DuplicateReason::Seq);
    repeat.origin.offset += 1;
    for order in [[&first, &repeat], [&repeat, &first]] {
        for judged in order {
            written(world, &of_trades(vec![judged.clone()]))?;
        }
        let query = all_trades("REPEAT", Tier::Bronze);
        assert_eq!(world.reader()?.trades(&query)?, std::slice::from_ref(&first));
    }
    Ok(())
}

/// Ranges include their start and exclude their end.
pub fn ranges_are_half_open(world: &dyn World) -> Result<()> {
    const STEP_MS: i64 = 300_000;
    let start = |index: i64| NOW_MS + index * STEP_MS;
    let mut rows = of_trades((0..5).map(|index| trade("RANGE", start(index), index)).collect());
    rows.bars = (0..5).map(|index| bar("RANGE", start(index), 1)).collect();
    let reader = written(world, &rows)?;
    let (from_ms, to_ms) = (start(1), start(3));
    let trades = TradeQuery { from_ms, to_ms, ..all_trades("RANGE", Tier::Silver) };
    assert_eq!(reader.trades(&trades)?, rows.trades[1..3]);
    assert_eq!(reader.bars(&BarQuery { from_ms, to_ms, ..all_bars("RANGE") })?, rows.bars[1..3]);
    let empty = BarQuery { from_ms, to_ms: from_ms, ..all_bars("RANGE") };
    assert_eq!(reader.bars(&empty)?, []);
    assert_eq!(reader.trades(&TradeQuery { to_ms: from_ms, ..trades })?, []);
    Ok(())
}

/// A limit keeps the newest of the range, still in ascending order, over partitions too.
pub fn limits_keep_the_newest(world: &dyn World) -> Result<()> {
    const STEP_MS: i64 = 700_000;
    let start = |index: i64| NOW_MS + index * STEP_MS;
    let mut rows = of_trades((0..40).map(|index| trade("LIMIT", start(index), index)).collect());
    rows.bars = (0..40).map(|index| bar("LIMIT", start(index), 1)).collect();
    let reader = written(world, &rows)?;
    for limit in [0, 1, 7, 39, 100] {
        let first = 40_usize.saturating_sub(limit);
        let trades = TradeQuery { limit, ..all_trades("LIMIT", Tier::Silver) };
        assert_eq!(reader.trades(&trades)?, rows.trades[first..], "{limit} trades");
        let unbounded = TradeQuery { from_ms: i64::MIN, to_ms: i64::MAX, ..trades };
        assert_eq!(reader.trades(&unbounded)?, rows.trades[first..], "{limit} newest trades");
        assert_eq!(reader.bars(&BarQuery { limit, ..all_bars("LIMIT") })?, rows.bars[first..]);
    }
    Ok(())
}

/// Symbols come sorted and once; what is not stored has no rows.
pub fn symbols_are_sorted(world: &dyn World) -> Result<()> {
    let symbols = ["ZZ", "BINANCE:BTCUSDT", "IC MARKETS:1", "AA", "ZZ"];
    let rows = Effects { symbols: symbols.map(str::to_owned).into(), ..Effects::default() };
    let reader = written(world, &rows)?;
    let found = reader.symbols()?;
    assert!(found.is_sorted(), "{found:?}");
    for symbol in symbols {
        assert_eq!(found.iter().filter(|known| *known == symbol).count(), 1, "{symbol}");
    }
    assert_eq!(reader.bars(&all_bars("NOBODY"))?, []);
    assert_eq!(reader.trades(&all_trades("NOBODY", Tier::Bronze))?, []);
    Ok(())
}

/// An interval without a table is the user's mistake, named with what there is.
pub fn an_unknown_interval_is_named(world: &dyn World) -> Result<()> {
    world.store()?;
    let interval = Interval::parse("7m").expect("an interval");
    let query = BarQuery { interval, ..all_bars("EQUAL") };
    let Err(Error::Config(sentence)) = world.reader()?.bars(&query) else {
        panic!("7m is not stored");
    };
    assert!(sentence.contains("7m") && sentence.contains("5m"), "{sentence}");
    Ok(())
}

/// Absurd input is stored where it belongs and wedges nothing.
pub fn absurd_trades_are_stored(world: &dyn World) -> Result<()> {
    let rejected = |symbol: &str, trade_time_ms, reason| {
        let mut judged = trade(symbol, NOW_MS, 1);
        judged.trade.trade_time_ms = trade_time_ms;
        judged.disposition = Disposition::Rejected(reason);
        judged
    };
    let long = "X".repeat(100_000);
    let mut unreceived = rejected("ABSURD", i64::MAX, RejectReason::TimeInFuture);
    unreceived.trade.received_at_us = 0;
    let rows = of_trades(vec![
        unreceived,
        rejected("ABSURD", i64::MIN, RejectReason::TimeTooEarly),
        rejected("", NOW_MS, RejectReason::SymbolEmpty),
        rejected(&long, NOW_MS, RejectReason::SymbolTooLong),
        trade("ABSURD", NOW_MS, 2),
    ]);
    let reader = written(world, &rows)?;
    assert_eq!(reader.trades(&all_trades("ABSURD", Tier::Bronze))?, rows.trades[4..]);
    assert_eq!(reader.trades(&all_trades("", Tier::Bronze))?, rows.trades[2..3]);
    let cut = reader.trades(&all_trades(&long, Tier::Bronze))?;
    assert_eq!(cut.len(), 1);
    assert!(long.starts_with(cut[0].trade.symbol.as_str()));
    Ok(())
}

/// Feed events and corrections of bars are taken in, more than fit one batch.
pub fn events_and_many_rows_are_taken(world: &dyn World) -> Result<()> {
    let event = |seq: i64| StoredEvent {
        origin: Origin { partition: 1, offset: seq },
        event: FeedEvent {
            kind: FeedEventKind::Subscribed,
            connection: 17,
            seq,
            feed: "finnhub/0".into(),
            at_us: NOW_MS * 1_000 + seq,
            feed_time_ms: None,
            confirmed_at_us: Some(NOW_MS * 1_000),
            confirmed_feed_time_ms: Some(NOW_MS),
            symbols: vec!["AAPL".into()],
            lost_records: 0,
            detail: String::new(),
        },
    };
    let mut rows = of_trades((0..3_000).map(|seq| trade("MANY", NOW_MS + seq / 3, seq)).collect());
    rows.events = (0..300).map(event).collect();
    rows.bars = (1..=300).map(|revision| bar("MANY", NOW_MS, revision)).collect();
    rows.bars.iter_mut().for_each(|bar| bar.state = BarState::Corrected);
    let reader = written(world, &rows)?;
    let query = TradeQuery { limit: 10_000, ..all_trades("MANY", Tier::Silver) };
    assert_eq!(reader.trades(&query)?, rows.trades);
    assert_eq!(reader.bars(&all_bars("MANY"))?, rows.bars[299..]);
    Ok(())
}

/// A revision out of range stops the writer: order would be lost.
pub fn a_revision_out_of_range_is_a_bug(world: &dyn World) -> Result<()> {
    let mut store = world.store()?;
    for revision in [-1, 1_000_000_000] {
        let refused = store.write(&of_bars(vec![bar("RANGE", NOW_MS, revision)]));
        assert!(matches!(refused, Err(Error::Bug(_))), "{refused:?}");
    }
    Ok(())
}

/// Every case with its name.
#[macro_export]
macro_rules! store_conformance_cases {
    () => {
        store_conformance_cases!(
            trades_come_back_equal,
            bars_come_back_equal,
            a_null_overwrites,
            a_mark_is_reached_with_all_before_it,
            no_two_trades_overwrite_each_other,
            rewriting_changes_nothing,
            a_lower_revision_never_wins,
            a_repeat_never_hides_its_trade,
            ranges_are_half_open,
            limits_keep_the_newest,
            symbols_are_sorted,
            an_unknown_interval_is_named,
            absurd_trades_are_stored,
            events_and_many_rows_are_taken,
            a_revision_out_of_range_is_a_bug,
            late_windows_come_back_equal,
            revisions_come_back_equal,
            revisions_obey_range_and_limit,
            events_come_back_in_the_order_of_the_log,
            a_gap_ends_in_whatever_order_it_is_written,
            gaps_come_back_when_they_overlap,
            a_loss_and_a_gap_of_one_instant_are_two,
            symbols_of_bars_need_no_trade,
            a_removed_bar_stays_away_from_older_generations,
            a_removal_leaves_its_own_generation_and_later_ones,
            a_removal_without_table_is_refused,
        )
    };
    ($($case:ident),+ $(,)?) => { &[$((stringify!($case), suite::$case)),+] };
}
