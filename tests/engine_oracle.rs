//! The engine against a naive batch oracle: any disorder within the lateness, any number of
//! partitions, any restart points, and the final bars are the same, field by field.

mod changelog;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use proptest::prelude::*;
use ticksmith::engine::{Engine, Input, Policy, Rules};
use ticksmith::model::{
    Amount, Bar, BarState, Effects, Interval, Origin, Trade, Turnover, partition_for_key,
};

use changelog::Changelog;

const OUT_OF_ORDERNESS_MS: i64 = 2_000;
const LATENESS_MS: i64 = 600_000;
const START_MS: i64 = 1_700_000_000_000;
const SYMBOLS: [&str; 5] = ["AAPL", "MSFT", "BINANCE:BTCUSDT", "KRAKEN:XBTUSD", "OANDA:EUR_USD"];

/// Symbol, interval length and window start, ms.
type Key = (String, i64, i64);

fn rules(intervals: &[&str]) -> Arc<Rules> {
    let intervals = intervals.iter().map(|text| Interval::parse(text).expect("valid")).collect();
    let mut rules = Rules::with_intervals(intervals).expect("they fit");
    rules.policy = Some(Policy::All);
    Arc::new(rules)
}

/// A trade before it has a place in a log.
#[derive(Debug, Clone)]
struct Print {
    symbol: usize,
    price_cents: u32,
    volume_units: u32,
    /// Event time = START + position × step − delay.
    delay_ms: i64,
}

fn prints() -> impl Strategy<Value = Vec<Print>> {
    let print = (
        0..SYMBOLS.len(),
        prop_oneof![1u32..5, 1u32..100_000],
        1u32..1_000_000,
        prop_oneof![4 => 0i64..1_500, 1 => 0i64..LATENESS_MS - 1_000],
    );
    prop::collection::vec(
        print.prop_map(|(symbol, price_cents, volume_units, delay_ms)| Print {
            symbol,
            price_cents,
            volume_units,
            delay_ms,
        }),
        1..400,
    )
}

fn log_of(prints: &[Print], step_ms: i64) -> Vec<Trade> {
    let number = |n: u32, places: u32| f64::from(n) / 10f64.powi(places as i32);
    prints
        .iter()
        .enumerate()
        .map(|(position, print)| Trade {
            symbol: SYMBOLS[print.symbol].into(),
            price: number(print.price_cents, 2),
            volume: number(print.volume_units, 6),
            trade_time_ms: START_MS + position as i64 * step_ms - print.delay_ms,
            conditions: None,
            connection: 1,
            seq: position as i64 + 1,
            received_at_us: 0,
            feed: "test/0".into(),
        })
        .collect()
}

/// The last bar of every key, out of the engine.
fn engine_bars(
    trades: &[Trade],
    rules: &Arc<Rules>,
    partition_count: u32,
    restarts: &[usize],
    samples: &[usize],
) -> BTreeMap<Key, Bar> {
    let mut engines: HashMap<i32, Engine> = HashMap::new();
    let mut changelogs: HashMap<i32, Changelog> = HashMap::new();
    let mut offsets: HashMap<i32, i64> = HashMap::new();
    let mut effects = Effects::default();
    for (position, trade) in trades.iter().enumerate() {
        let partition = partition_for_key(trade.symbol.as_bytes(), partition_count);
        let engine = engines
            .entry(partition)
            .or_insert_with(|| Engine::new(Arc::clone(rules), partition, partition_count));
        let offset = offsets.entry(partition).or_insert(0);
        let origin = Origin { partition, offset: *offset };
        *offset += 1;
        let key = trade.symbol.clone();
        let input = Input::Trade { origin, key: Some(key.as_bytes()), trade: trade.clone() };
        engine.step(input, &mut effects);
        if samples.contains(&position) {
            engine.step(Input::Sample, &mut effects);
        }
        if restarts.contains(&position) {
            for (partition, engine) in &mut engines {
                let changelog = changelogs.entry(*partition).or_insert_with(Changelog::new);
                changelog.save(engine);
                let records = changelog.records();
                *engine = Engine::restore(Arc::clone(rules), *partition, partition_count, records)
                    .expect("restores");
            }
        }
    }
    for engine in engines.values_mut() {
        engine.step(Input::Drain, &mut effects);
    }
    assert_revisions_grow(&effects.bars);
    effects
        .bars
        .into_iter()
        .map(|bar| ((bar.symbol.to_string(), bar.interval.length_ms(), bar.window.start_ms), bar))
        .collect()
}

/// Two contents never share a revision, and a later one is higher.
fn assert_revisions_grow(bars: &[Bar]) {
    let mut last: HashMap<Key, &Bar> = HashMap::new();
    for bar in bars {
        let key = (bar.symbol.to_string(), bar.interval.length_ms(), bar.window.start_ms);
        if let Some(before) = last.insert(key, bar) {
            assert!(bar.revision > before.revision || bar == before, "{before:?} and then {bar:?}");
        }
    }
}

/// The bars as a batch job would compute them, one symbol and window at a time.
fn oracle_bars(
    trades: &[Trade],
    intervals: &[Interval],
    partition_count: u32,
) -> BTreeMap<Key, Bar> {
    let mut groups: BTreeMap<Key, Vec<(usize, &Trade)>> = BTreeMap::new();
    for (position, trade) in trades.iter().enumerate() {
        for interval in intervals {
            let start_ms = interval.window_of(trade.trade_time_ms).start_ms;
            let key = (trade.symbol.to_string(), interval.length_ms(), start_ms);
            groups.entry(key).or_default().push((position, trade));
        }
    }
    let bars = groups.into_iter().map(|(key, group)| {
        let watermarks = watermarks_of(trades, &key.0, partition_count);
        let bar = oracle_bar(&key, group, &watermarks);
        (key, bar)
    });
    bars.collect()
}

/// The watermark of the symbol's partition after every record of the log.
fn watermarks_of(trades: &[Trade], symbol: &str, partition_count: u32) -> Vec<i64> {
    let partition = partition_for_key(symbol.as_bytes(), partition_count);
    let mut newest = i64::MIN;
    trades
        .iter()
        .map(|trade| {
            if partition_for_key(trade.symbol.as_bytes(), partition_count) == partition {
                newest = newest.max(trade.trade_time_ms);
            }
            newest.saturating_sub(OUT_OF_ORDERNESS_MS)
        })
        .collect()
}

fn oracle_bar(key: &Key, group: Vec<(usize, &Trade)>, watermarks: &[i64]) -> Bar {
    let end_ms = key.2 + key.1;
    let closed = watermarks.last().is_some_and(|watermark| *watermark >= end_ms);
    // A trade that finds the window closed corrects it; one that finds it empty closes it itself.
    let close_at = watermarks.iter().position(|watermark| *watermark >= end_ms);
    let first_at = group[0].0;
    let corrected = close_at.is_some_and(|close_at| {
        group.iter().any(|(position, _)| *position > close_at && *position > first_at)
    });
    let mut sorted = group.clone();
    sorted.sort_by_key(|(position, trade)| (trade.trade_time_ms, *position));
    let point = |trade: &Trade| ticksmith::model::PricePoint {
        price: trade.price,
        trade_time_ms: trade.trade_time_ms,
        connection: trade.connection,
        seq: trade.seq,
    };
    let by_price = |a: &&(usize, &Trade), b: &&(usize, &Trade)| a.1.price.total_cmp(&b.1.price);
    let highest = sorted.iter().max_by(by_price).expect("not empty").1.price;
    let lowest = sorted.iter().min_by(by_price).expect("not empty").1.price;
    let first_at_price =
        |price: f64| sorted.iter().find(|(_, t)| t.price == price).map(|(_, t)| point(t));
    let amount = |value: f64| Amount::from_f64(value).expect("in range");
    let (mut volume, mut turnover) = (Amount::ZERO, Turnover::default());
    for (_, trade) in &sorted {
        volume = volume.checked_add(amount(trade.volume)).expect("in range");
        turnover = turnover
            .checked_add_product(amount(trade.price), amount(trade.volume))
            .expect("in range");
    }
    let interval = Interval::from_ms(key.1).expect("valid");
    Bar {
        symbol: key.0.as_str().into(),
        interval,
        window: interval.window_of(key.2),
        open: sorted.first().map(|(_, trade)| point(trade)),
        high: first_at_price(highest),
        low: first_at_price(lowest),
        close: sorted.last().map(|(_, trade)| point(trade)),
        volume,
        vwap: turnover.per(volume),
        trade_count: sorted.len() as i64,
        excluded: Default::default(),
        session: None,
        coverage: None,
        gap_ms: 0,
        verdict: ticksmith::model::Verdict::Unknown,
        state: match (closed, corrected) {
            (false, _) => BarState::Provisional,
            (true, false) => BarState::Closed,
            (true, true) => BarState::Corrected,
        },
        revision: sorted.len() as i64 + i64::from(closed),
        generation: 0,
        conditions_version: 1,
        late_included: 0,
    }
}

/// Sessions have tests of their own; here they would only repeat the calendar.
fn without_session(bars: BTreeMap<Key, Bar>) -> BTreeMap<Key, Bar> {
    bars.into_iter().map(|(key, bar)| (key, Bar { session: None, ..bar })).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_final_bars_are_those_of_the_oracle(
        prints in prints(),
        step_ms in prop_oneof![Just(40i64), Just(700), Just(9_000)],
        partition_count in 1u32..7,
        restarts in prop::collection::vec(0usize..400, 0..6),
        samples in prop::collection::vec(0usize..400, 0..40),
    ) {
        let rules = rules(&["1m", "5m", "1h"]);
        let trades = log_of(&prints, step_ms);
        let expected = oracle_bars(&trades, &rules.intervals, partition_count);
        let found = engine_bars(&trades, &rules, partition_count, &restarts, &samples);
        prop_assert_eq!(without_session(found), expected);
    }

    #[test]
    fn an_hour_rolled_up_equals_an_hour_computed_directly(
        prints in prints(),
        step_ms in prop_oneof![Just(700i64), Just(9_000)],
    ) {
        let trades = log_of(&prints, step_ms);
        let hour = 3_600_000;
        let rolled = engine_bars(&trades, &rules(&["5m", "1h"]), 1, &[], &[]);
        let direct = engine_bars(&trades, &rules(&["1h"]), 1, &[], &[]);
        let rolled: BTreeMap<_, _> =
            rolled.into_iter().filter(|((_, length_ms, _), _)| *length_ms == hour).collect();
        prop_assert_eq!(rolled, direct);
    }
}
