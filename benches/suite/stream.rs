//! `ticksmith stream --until-end` over the whole market, into topics or into the tables; each run
//! starts from nothing and its bars are compared with the oracle's.

use std::collections::BTreeMap;
use std::rc::Rc;

use ticksmith::cassandra::{CassandraReader, Connection};
use ticksmith::config::Config;
use ticksmith::model::{Bar, BarState, Interval};
use ticksmith::port::{BarQuery, StoreReader, Tier, TradeQuery};

use crate::bars::last_bars;
use crate::generator::Generator;
use crate::lab::{Lab, Names, Settings};
use crate::log::Log;
use crate::measure::{Measured, child, children};
use crate::oracle::{Key, Oracle, key_of};
use crate::throughput::Case;

/// Symbols of which the tables are read back.
const SYMBOLS_READ_BACK: usize = 40;
/// More than any query here has rows.
const ALL: usize = 10_000_000;
const EVER_MS: i64 = 4_000_000_000_000;

/// A topic that holds the market, and what must come of it.
#[derive(Clone)]
pub struct Market {
    pub log: Log,
    pub symbols: usize,
    pub trades: usize,
    oracle: Rc<Oracle>,
}

impl Market {
    pub fn new(log: Log, symbols: usize, trades: usize) -> Self {
        let oracle = Oracle::of(Generator::new(symbols).take(trades), log.partitions);
        eprintln!("{}: {oracle}", log.topic);
        Self { log, symbols, trades, oracle: Rc::new(oracle) }
    }
}

const TOPICS_ONLY: (&str, &str) = ("STREAM__STORE", "none");
const NO_SILVER: (&str, &str) = ("STREAM__SILVER_TOPIC", "false");

/// Part b.
pub fn bars_only<'a>(lab: &'a Lab, market: Market, guarantee: &'static str) -> Case<'a> {
    let settings = [TOPICS_ONLY, NO_SILVER, ("STREAM__GUARANTEE", guarantee)];
    let name = format!("b  stream, bars only, {}", guarantee.replace('_', " "));
    Case::new(name, move |run| {
        into_topics(lab, &market, &format!("{guarantee}-{run}"), &settings, 1)
    })
}

/// Part c.
pub fn with_silver<'a>(lab: &'a Lab, market: Market) -> Case<'a> {
    Case::new("c  stream, bars and silver topic, exactly once", move |run| {
        into_topics(lab, &market, &format!("silver-{run}"), &[TOPICS_ONLY], 1)
    })
}

/// Part i: two processes share the partitions.
pub fn two_processes<'a>(lab: &'a Lab, market: Market) -> Case<'a> {
    Case::new("i  two processes, bars only, exactly once", move |run| {
        into_topics(lab, &market, &format!("two-{run}"), &[TOPICS_ONLY, NO_SILVER], 2)
    })
}

/// Part i: four times the partitions.
pub fn many_partitions<'a>(lab: &'a Lab, market: Market) -> Case<'a> {
    let name = format!("i  {} partitions, bars only, exactly once", market.log.partitions);
    Case::new(name, move |run| {
        let count = market.log.partitions.to_string();
        let settings = [TOPICS_ONLY, NO_SILVER, ("TOPICS__PARTITIONS", count.as_str())];
        into_topics(lab, &market, &format!("many-{run}"), &settings, 1)
    })
}

fn into_topics(
    lab: &Lab,
    market: &Market,
    run: &str,
    settings: &Settings,
    processes: usize,
) -> Measured {
    let names = Names::new(format!("{}-{run}", market.log.topic), market.log.topic.clone());
    lab.prepare(&names, "topics", settings);
    let command = |_| lab.command(&names, &["stream", "--until-end"], settings);
    let measured =
        lab.servers.around(market.trades, || children((0..processes).map(command).collect()));
    compare_topic(market, &names);
    lab.delete(&names.outputs());
    measured
}

/// The last closed or corrected bar of every key in the bars topic.
fn compare_topic(market: &Market, names: &Names) {
    let log = Log { topic: names.output("bars"), ..market.log.clone() };
    compare(&market.oracle, &last_bars(&log, is_told), |_| true, &log.topic);
}

/// Samples of a window that is open are no part of what a run comes to.
fn is_told(bar: &Bar) -> bool {
    bar.state != BarState::Provisional
}

/// Bars of closed windows, all of those that are admitted, and no other.
fn compare(oracle: &Oracle, bars: &BTreeMap<Key, Bar>, admits: impl Fn(&Key) -> bool, name: &str) {
    let compared = oracle.compare(bars, admits);
    let closed = compared.unwrap_or_else(|problem| panic!("{name}: {problem}"));
    assert_eq!(bars.len(), closed, "{name}: a bar was closed before the watermark");
}

/// Part d: all three tiers.
pub fn into_tables<'a>(lab: &'a Lab, market: Market) -> Case<'a> {
    Case::new("d  stream, bronze + silver + gold in Cassandra, exactly once", move |run| {
        let names = Names::new(format!("{}-tables-{run}", market.log.topic), &market.log.topic);
        let keyspace = format!("bench_{}_{run}", market.symbols);
        let settings = [NO_SILVER, ("CASSANDRA__KEYSPACE", keyspace.as_str())];
        lab.prepare(&names, "topics", &settings);
        lab.prepare(&names, "cassandra-init", &settings);
        let measured = lab.servers.around(market.trades, || {
            child(lab.command(&names, &["stream", "--until-end"], &settings))
        });
        compare_topic(&market, &names);
        compare_tables(lab, &market, &keyspace);
        lab.delete(&names.outputs());
        measured
    })
}

/// Reads some symbols back: the bars of gold, and how many trades silver has.
fn compare_tables(lab: &Lab, market: &Market, keyspace: &str) {
    let mut config = Config::defaults();
    config.cassandra.contact_points = lab.cassandra().to_owned();
    config.cassandra.keyspace = keyspace.to_owned();
    let connection = Connection::open(&config.cassandra).expect("Cassandra answers");
    let reader = CassandraReader::open(&connection, &config).expect("the tables are there");
    let mut symbols: Vec<&String> = market.oracle.merged.keys().collect();
    symbols.sort();
    let step = (symbols.len() / SYMBOLS_READ_BACK).max(1);
    for symbol in symbols.into_iter().rev().step_by(step) {
        let interval = Interval::parse("5m").expect("valid");
        let (symbol, from_ms, to_ms, limit) = (symbol.clone(), 0, EVER_MS, ALL);
        let query = BarQuery { symbol: symbol.clone(), interval, from_ms, to_ms, limit };
        let bars = reader.bars(&query).expect("bars are read");
        let found = bars.into_iter().filter(is_told).map(|bar| (key_of(&bar), bar)).collect();
        let of_symbol = |key: &Key| key.0 == symbol && key.1 == interval.length_ms();
        compare(&market.oracle, &found, of_symbol, &format!("{keyspace}, {symbol}"));
        compare_silver(&reader, market, &symbol);
    }
}

fn compare_silver(reader: &CassandraReader, market: &Market, symbol: &str) {
    let query = TradeQuery {
        symbol: symbol.to_owned(),
        tier: Tier::Silver,
        from_ms: crate::generator::START_MS - 3_600_000,
        to_ms: crate::generator::START_MS + 86_400_000,
        limit: ALL,
    };
    let rows = reader.trades(&query).expect("trades are read");
    let merged = rows.iter().filter(|row| row.lateness.is_none()).count();
    assert_eq!(merged, market.oracle.merged[symbol], "silver of {symbol}");
}
