//! `ticksmith explain` through the real binary, on a data directory that the engine itself filled:
//! a socket that was away for 37 s, odd lots, a correction, a trade beyond the lateness.

use std::process::{Command, Output};
use std::sync::Arc;

use figment::Figment;
use figment::providers::{Format, Toml};
use serde_json::Value;
use tempfile::TempDir;
use ticksmith::config::{Config, DEFAULTS};
use ticksmith::embedded::Database;
use ticksmith::embedded::store::EmbeddedStore;
use ticksmith::engine::{Engine, Input, Rules};
use ticksmith::model::{
    Effects, FeedEvent, FeedEventKind, Interval, Origin, Trade, partition_for_key,
};
use ticksmith::port::{Clock, Store};

/// 2023-11-15 15:00 UTC, 10:00 in New York: regular hours.
const START_MS: i64 = 1_700_060_400_000;
const FIRST: i64 = 1_700_060_000_000_000;
const SECOND: i64 = 1_700_060_480_000_000;
const PARTITIONS: u32 = 1;

/// An hour after everything.
struct Later;

impl Clock for Later {
    fn now_us(&self) -> i64 {
        (START_MS + 7_200_000) * 1_000
    }

    fn monotonic_us(&self) -> i64 {
        self.now_us()
    }
}

/// The log of one symbol, written in seconds after `START_MS`.
struct Log {
    engine: Engine,
    effects: Effects,
    offset: i64,
    seqs: [i64; 2],
}

impl Log {
    fn new() -> Self {
        let intervals = ["5m", "1h"].map(|text| Interval::parse(text).expect("an interval"));
        let rules = Rules::with_intervals(intervals.to_vec()).expect("rules");
        let partition = partition_for_key(b"AAPL", PARTITIONS);
        let engine = Engine::new(Arc::new(rules), partition, PARTITIONS);
        Self { engine, effects: Effects::default(), offset: 0, seqs: [0; 2] }
    }

    fn next(&mut self, connection: i64) -> (Origin, i64) {
        self.offset += 1;
        let seq = &mut self.seqs[usize::from(connection == SECOND)];
        *seq += 1;
        (Origin { partition: 0, offset: self.offset }, *seq)
    }

    fn event(&mut self, kind: FeedEventKind, connection: i64, at_s: f64, fed: bool, detail: &str) {
        let (origin, seq) = self.next(connection);
        let at_ms = START_MS + (at_s * 1_000.0) as i64;
        let event = FeedEvent {
            kind,
            connection,
            seq,
            feed: "finnhub/0".into(),
            at_us: at_ms * 1_000,
            feed_time_ms: fed.then_some(at_ms),
            confirmed_at_us: Some(at_ms * 1_000),
            confirmed_feed_time_ms: (fed && kind != FeedEventKind::Disconnected).then_some(at_ms),
            symbols: match kind {
                FeedEventKind::Subscribed => vec!["AAPL".into()],
                _ => Vec::new(),
            },
            lost_records: 0,
            detail: detail.into(),
        };
        self.engine.step(Input::Event { origin, event }, &mut self.effects);
    }

    fn begin(&mut self, connection: i64, at_s: f64) {
        self.event(FeedEventKind::Connected, connection, at_s, false, "");
        self.event(FeedEventKind::Subscribed, connection, at_s, false, "");
    }

    fn beat(&mut self, connection: i64, at_s: f64) {
        self.event(FeedEventKind::Heartbeat, connection, at_s, true, "");
    }

    fn trade(&mut self, connection: i64, at_s: f64, came_s: f64, price: f64, of: (f64, &[&str])) {
        let (origin, seq) = self.next(connection);
        let ms = |seconds: f64| START_MS + (seconds * 1_000.0) as i64;
        let trade = Trade {
            symbol: "AAPL".into(),
            price,
            volume: of.0,
            trade_time_ms: ms(at_s),
            conditions: Some(of.1.iter().map(|code| (*code).into()).collect()),
            connection,
            seq,
            received_at_us: ms(came_s) * 1_000,
            feed: "finnhub/0".into(),
        };
        self.engine.step(Input::Trade { origin, key: Some(b"AAPL"), trade }, &mut self.effects);
    }
}

fn log() -> Log {
    let mut log = Log::new();
    log.begin(FIRST, -100.0);
    log.trade(FIRST, -99.0, -99.0, 187.0, (100.0, &["1"]));
    log.beat(FIRST, -98.0);
    log.trade(FIRST, 0.5, 0.5, 187.0, (7.0, &["1", "12"]));
    log.trade(FIRST, 1.0, 1.0, 187.12, (100.0, &["1"]));
    log.trade(FIRST, 20.0, 20.0, 187.9, (200.0, &["1", "8"]));
    log.trade(FIRST, 30.25, 30.25, 187.01, (50.0, &["30"]));
    log.trade(FIRST, 40.0, 40.0, 187.9, (25.0, &["1", "41"]));
    log.trade(FIRST, 41.0, 41.0, 187.3, (5_000.0, &["16"]));
    log.trade(FIRST, 42.0, 42.0, 187.3, (0.0, &["1"]));
    log.trade(FIRST, 43.0, 43.0, -1.0, (10.0, &["1"]));
    log.beat(FIRST, 45.0);
    log.event(FeedEventKind::Disconnected, FIRST, 75.0, true, "reset by peer");
    log.begin(SECOND, 82.0);
    log.trade(FIRST, 44.0, 83.0, 187.2, (1.0, &["1"]));
    log.trade(SECOND, 82.5, 82.5, 187.4, (100.0, &["1"]));
    log.beat(SECOND, 83.0);
    log.trade(SECOND, 299.0, 299.0, 187.55, (100.0, &["1"]));
    log.beat(SECOND, 310.0);
    log.trade(SECOND, 150.0, 311.0, 188.0, (40.0, &["1"]));
    log.trade(SECOND, 900.0, 900.0, 189.0, (10.0, &["1"]));
    log.beat(SECOND, 3_700.0);
    log.trade(SECOND, 151.0, 3_701.0, 188.5, (60.0, &["1", "4"]));
    log
}

/// The log as the stores hold it.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let database = Database::open(directory.path()).expect("a database");
    let config: Config = Figment::from(Toml::string(DEFAULTS)).extract().expect("defaults");
    let mut store = EmbeddedStore::open(&database, &config, Arc::new(Later)).expect("a store");
    store.write(&log().effects).expect("written");
    store.flush().expect("flushed");
    directory
}

fn explain(directory: &TempDir, args: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ticksmith"))
        .arg("explain")
        .args(args.split_whitespace())
        .arg("--data")
        .arg(directory.path())
        .current_dir(directory.path())
        .output()
        .expect("it runs")
}

fn page(directory: &TempDir, args: &str) -> String {
    let output = explain(directory, args);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args}: {error}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn the_page_tells_everything_about_a_bar() {
    let directory = directory();
    let page = page(&directory, "--symbol AAPL --at 2023-11-15T15:02:10Z");
    let golden = include_str!("fixtures/explain/partial.txt");
    assert_eq!(page, golden, "\n{page}");
}

#[test]
fn the_json_form_has_the_columns_of_the_tables() {
    let directory = directory();
    let text = page(&directory, "--symbol AAPL --interval 1h --at 1700060400 --format json");
    let it: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((&it["ts"], &it["agreement"]), (&Value::from(START_MS), &"follows".into()));
    assert_eq!(it["bar"]["open_seq"], it["prices"][0]["seq"]);
    assert_eq!(it["prices"][1]["trade"]["conditions"], "1");
    assert_eq!(it["prices"][1]["trade"]["meanings"][0]["name"], "Regular sale");
    assert_eq!(it["gaps"][0]["inside_ms"], 37_000);
    assert_eq!(it["gaps"][0]["cause"], "disconnected");
    assert_eq!(it["volume_split"]["counted"]["volume_exact"], it["bar"]["volume_exact"]);
    assert_eq!(it["volume_split"]["forbidden"][0]["code"], "16");
    assert_eq!(it["late"]["trades"][0]["late_by_ms"], 3_547_000);
}

#[test]
fn windows_without_a_bar_are_answered_and_strangers_are_not() {
    let directory = directory();
    let nothing = page(&directory, "--symbol AAPL --at 2023-11-15T15:12:00Z");
    assert!(nothing.contains("no bar is stored for this window: no trade of the window is stored"));
    let output = explain(&directory, "--symbol APPL --at 1700060400");
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(error, "ticksmith: symbol 'APPL' is not stored; did you mean AAPL?\n");
    let output = explain(&directory, "--symbol AAPL --interval 7m --at 1700060400");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn every_excluded_trade_is_shown_on_request() {
    let directory = tempfile::tempdir().expect("a directory");
    let database = Database::open(directory.path()).expect("a database");
    let config: Config = Figment::from(Toml::string(DEFAULTS)).extract().expect("defaults");
    let mut store = EmbeddedStore::open(&database, &config, Arc::new(Later)).expect("a store");
    let mut log = Log::new();
    for second in 0..25 {
        log.trade(FIRST, f64::from(second), f64::from(second), 10.0, (3.0, &["12"]));
    }
    log.trade(FIRST, 400.0, 400.0, 10.0, (100.0, &["1"]));
    store.write(&log.effects).expect("written");
    store.flush().expect("flushed");
    let of = "--symbol AAPL --at 2023-11-15T15:00:00Z";
    let first = page(&directory, of);
    assert_eq!(first.matches("odd_lot: adds volume").count(), 10, "{first}");
    assert!(first.contains("open -  high -  low -  close -"), "volume only: {first}");
    assert!(first.contains("15 more; --all shows them"), "{first}");
    let all = page(&directory, &format!("{of} --all"));
    assert_eq!(all.matches("odd_lot: adds volume").count(), 25, "{all}");
    assert!(!all.contains("--all"), "{all}");
}
