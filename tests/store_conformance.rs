//! The embedded store keeps the promises of the store port, without any server.

#[path = "conformance/store.rs"]
mod suite;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use suite::{HandClock, NOW_MS, World};
use ticksmith::embedded::Database;
use ticksmith::embedded::store::{EmbeddedReader, EmbeddedStore};
use ticksmith::error::{Error, Result};
use ticksmith::model::{BarRevision, Effects, Interval, Judged, RevisionWhy};
use ticksmith::port::{BarQuery, Store, StoreReader, Tier, TradeQuery};

struct Embedded {
    directory: PathBuf,
    database: Database,
    clock: Arc<HandClock>,
    _temporary: Option<tempfile::TempDir>,
}

impl Embedded {
    fn in_directory(directory: PathBuf, temporary: Option<tempfile::TempDir>) -> Self {
        let database = Database::open(&directory).expect("a database");
        let clock = Arc::new(HandClock::at(NOW_MS));
        Self { directory, database, clock, _temporary: temporary }
    }

    fn new() -> Box<Self> {
        let temporary = tempfile::tempdir().expect("a directory");
        Box::new(Self::in_directory(temporary.path().to_owned(), Some(temporary)))
    }

    fn newest(&self, symbol: &str, tier: Tier) -> Vec<Judged> {
        let query = TradeQuery {
            symbol: symbol.into(),
            tier,
            from_ms: i64::MIN,
            to_ms: i64::MAX,
            limit: usize::MAX,
        };
        self.reader().and_then(|reader| reader.trades(&query)).expect("trades")
    }
}

impl World for Embedded {
    fn store(&self) -> Result<Box<dyn Store>> {
        let clock = self.clock.clone();
        Ok(Box::new(EmbeddedStore::open(&self.database, &suite::config(), clock)?))
    }

    fn reader(&self) -> Result<Box<dyn StoreReader>> {
        Ok(Box::new(EmbeddedReader::open(&self.database)?))
    }
}

#[test]
fn conformance() {
    let cases: &[suite::Case] = store_conformance_cases!();
    for (name, case) in cases {
        case(&*Embedded::new()).unwrap_or_else(|failure| panic!("{name}: {failure}"));
        println!("{name} ... ok");
    }
}

fn of_trades(trades: Vec<Judged>) -> Effects {
    Effects { trades, ..Effects::default() }
}

#[test]
fn expired_rows_go_and_a_replay_of_old_trades_stays() {
    const DAY_S: i64 = 86_400;
    let world = Embedded::new();
    let mut store = world.store().expect("a store");
    let mut old = suite::trade("OLD", NOW_MS - 1_000 * DAY_S * 1_000, 1);
    old.trade.received_at_us = 0;
    let trades = (0..12_000).map(|seq| suite::trade("LIVE", NOW_MS + seq, seq)).collect();
    store.write(&of_trades(trades)).expect("written");
    store.write(&of_trades(vec![old])).expect("written");
    let sweep = |store: &mut dyn Store| {
        for _ in 0..50 {
            world.clock.advance_s(1);
            store.flush().expect("flushed");
        }
    };
    sweep(&mut *store);
    assert_eq!(world.newest("OLD", Tier::Silver).len(), 1, "written for somebody to look at");
    assert_eq!(world.newest("LIVE", Tier::Silver).len(), 12_000);
    world.clock.advance_s(29 * DAY_S);
    sweep(&mut *store);
    assert_eq!(world.newest("LIVE", Tier::Silver).len(), 12_000, "silver lives for 30 days");
    world.clock.advance_s(2 * DAY_S);
    sweep(&mut *store);
    assert_eq!(world.newest("LIVE", Tier::Silver).len(), 0);
    assert_eq!(world.newest("OLD", Tier::Silver).len(), 0);
}

#[test]
fn what_is_kept_of_bars_and_feed_expires_with_its_tier() {
    const DAY_S: i64 = 86_400;
    let world = Embedded::new();
    let mut store = world.store().expect("a store");
    let mut rows = Effects::default();
    for interval in ["5m", "1h"] {
        let mut bar = suite::bar("KEPT", NOW_MS, 1);
        bar.interval = Interval::parse(interval).expect("an interval");
        bar.window = bar.interval.window_of(NOW_MS);
        rows.revisions.push(BarRevision { bar, why: RevisionWhy::Closed });
    }
    rows.gaps.push(suite::gap("KEPT", NOW_MS, None));
    rows.symbols.push("KEPT".into());
    store.write(&rows).expect("written");
    let mut kept = |days: i64| {
        world.clock.advance_s(days * DAY_S);
        for _ in 0..50 {
            world.clock.advance_s(1);
            store.flush().expect("flushed");
        }
        let reader = world.reader().expect("a reader");
        let revisions = |interval: &str| {
            let interval = Interval::parse(interval).expect("an interval");
            let (symbol, limit) = ("KEPT".into(), 10);
            let query = BarQuery { symbol, interval, from_ms: i64::MIN, to_ms: i64::MAX, limit };
            reader.revisions(&query).expect("revisions").len()
        };
        let gaps = reader.gaps("KEPT", i64::MIN, i64::MAX).expect("gaps").len();
        assert_eq!(reader.symbols().expect("symbols"), ["KEPT"], "symbols are for ever");
        (revisions("5m"), revisions("1h"), gaps)
    };
    assert_eq!(kept(89), (1, 1, 1));
    assert_eq!(kept(2), (0, 1, 0), "the history of a bar of 5m lives for 90 days, as gaps do");
    assert_eq!(kept(270), (0, 1, 0));
    assert_eq!(kept(5), (0, 0, 0), "that of an hour for 365");
}

#[test]
fn a_file_of_another_layout_is_refused_with_the_remedy() {
    let world = Embedded::new();
    world.store().expect("a store");
    let directory = &world.directory;
    assert!(Database::open(directory).is_ok(), "its own layout");
    let connection = world.database.connect().expect("a connection");
    for (layout, age) in [(0, "an older"), (1_000_000, "a newer")] {
        connection.pragma_update(None, "user_version", layout).expect("marked");
        let Err(Error::Config(sentence)) = Database::open(directory).map(drop) else {
            panic!("layout {layout} is not ours");
        };
        let shown = directory.display().to_string();
        for part in [&*shown, age, "--data another directory"] {
            assert!(sentence.contains(part), "{part} in {sentence}");
        }
    }
}

/// Set in the environment of the child that is killed.
const CHILD_DIRECTORY: &str = "TICKSMITH_TEST_STORE_CHILD";
const ROWS_PER_CALL: i64 = 100;

/// Not a case of its own: the child of the next test, which writes until it is killed.
#[test]
fn child_that_writes() {
    let Ok(directory) = std::env::var(CHILD_DIRECTORY) else { return };
    let world = Embedded::in_directory(directory.into(), None);
    let mut store = world.store().expect("a store");
    for call in 0.. {
        let seqs = call * ROWS_PER_CALL..(call + 1) * ROWS_PER_CALL;
        let rows = seqs.map(|seq| suite::trade("KILLED", NOW_MS + seq, seq)).collect();
        store.write(&of_trades(rows)).expect("written");
        store.flush().expect("flushed");
        println!("flushed {call}");
    }
}

#[test]
fn what_was_flushed_survives_kill_9() {
    let world = Embedded::new();
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "child_that_writes", "--nocapture"])
        .env(CHILD_DIRECTORY, &world.directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let flushed: Vec<String> = lines
        .map(|line| line.expect("a line"))
        .filter(|line| line.contains("flushed "))
        .take(20)
        .collect();
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert_eq!(flushed.len(), 20);
    let found = world.newest("KILLED", Tier::Silver).len() as i64;
    assert!(found >= 20 * ROWS_PER_CALL, "{found} rows");
    assert_eq!(found % ROWS_PER_CALL, 0, "whole calls only");
}
