//! The oracle that `make bench` trusts, against the engine: the bars of the benches' own market are
//! the same twice, and a bar that is not the same is told.

#[path = "../benches/market/generator.rs"]
mod generator;
#[path = "../benches/market/oracle.rs"]
mod oracle;

use std::collections::BTreeMap;
use std::sync::Arc;

use generator::{Generator, START_MS, STEP_US};
use oracle::{Key, Oracle, key_of};
use ticksmith::engine::{Engine, Input, Rules};
use ticksmith::model::{
    Amount, Bar, BarState, Effects, Interval, Origin, Trade, partition_for_key,
};

const SYMBOLS: usize = 20;
const PARTITIONS: u32 = 6;
const TRADES: usize = 60_000;
/// Event time runs so much faster than the benches', so that few trades fill many windows, and of
/// those out of order many are late.
const FASTER: i64 = 80;

/// The market. Its second connection falls silent early: without feed events it has no say in the
/// watermark.
fn market() -> impl Iterator<Item = Trade> {
    let silent_after_us = START_MS * 1_000 + TRADES as i64 / 4 * STEP_US;
    let is_heard =
        move |trade: &Trade| trade.connection == 1 || trade.received_at_us < silent_after_us;
    let faster = |at: i64, start: i64| start + (at - start) * FASTER;
    Generator::new(SYMBOLS).take(TRADES).filter(is_heard).map(move |mut trade| {
        trade.trade_time_ms = faster(trade.trade_time_ms, START_MS);
        trade.received_at_us = faster(trade.received_at_us, START_MS * 1_000);
        trade
    })
}

/// The last closed or corrected bar of every key, out of the engine.
fn engine_bars(trades: impl Iterator<Item = Trade>) -> BTreeMap<Key, Bar> {
    let intervals = ["5m", "1h"].map(|text| Interval::parse(text).expect("valid"));
    let rules = Arc::new(Rules::with_intervals(intervals.to_vec()).expect("they fit"));
    let engine = |partition| (0, Engine::new(Arc::clone(&rules), partition, PARTITIONS));
    let mut engines: Vec<(i64, Engine)> = (0..PARTITIONS as i32).map(engine).collect();
    let mut effects = Effects::default();
    let mut bars = BTreeMap::new();
    for trade in trades {
        let key = trade.symbol.clone();
        let partition = partition_for_key(key.as_bytes(), PARTITIONS);
        let (offset, engine) = &mut engines[partition as usize];
        let origin = Origin { partition, offset: *offset };
        *offset += 1;
        engine.step(Input::Trade { origin, key: Some(key.as_bytes()), trade }, &mut effects);
        let told = effects.bars.drain(..).filter(|bar| bar.state != BarState::Provisional);
        bars.extend(told.map(|bar| (key_of(&bar), bar)));
        effects.clear();
    }
    bars
}

#[test]
fn the_oracle_of_the_benches_and_the_engine_agree() {
    let (oracle, bars) = (Oracle::of(market(), PARTITIONS), engine_bars(market()));
    // Something of everything that the oracle has a rule for.
    assert!(oracle.late > 100 && oracle.duplicates > 50, "{oracle}");
    assert!(oracle.windows.values().any(|window| !window.is_closed), "{oracle}");
    assert!(bars.values().any(|bar| bar.state == BarState::Corrected), "{oracle}");
    let closed = oracle.compare(&bars, |_| true).unwrap_or_else(|problem| panic!("{problem}"));
    assert_eq!(closed, bars.len(), "a bar of an open window was told as closed");
    assert!(closed > 100, "{oracle}");
}

#[test]
fn a_bar_that_differs_is_told() {
    let (oracle, bars) = (Oracle::of(market(), PARTITIONS), engine_bars(market()));
    let (key, bar) = bars.first_key_value().expect("a bar");
    let differs = |other: Option<Bar>| {
        let mut found = bars.clone();
        found.remove(key);
        found.extend(other.map(|bar| (key_of(&bar), bar)));
        // Whoever asks for other symbols alone does not see it.
        oracle.compare(&found, |one| one.0 != key.0).expect("all others are right");
        oracle.compare(&found, |_| true).expect_err("one bar is wrong")
    };
    assert!(differs(None).starts_with("1 bars differ") && differs(None).contains("is missing"));
    let others: [fn(&mut Bar); 6] = [
        |bar| bar.open.as_mut().expect("a price").price += 0.01,
        |bar| bar.high.as_mut().expect("a price").seq += 1,
        |bar| bar.close = None,
        |bar| bar.volume = bar.volume.checked_add(Amount::MAX).expect("it fits"),
        |bar| bar.vwap = bar.vwap.map(|vwap| vwap * (1.0 + 1e-8)),
        |bar| bar.trade_count -= 1,
    ];
    for change in others {
        let mut other = bar.clone();
        change(&mut other);
        assert!(differs(Some(other)).contains("expected"));
    }
    let mut extra = bars.clone();
    extra.insert((key.0.clone(), key.1, 0), bar.clone());
    let problem = oracle.compare(&extra, |_| true).expect_err("a bar too many");
    assert!(problem.contains("is extra"), "{problem}");
}
