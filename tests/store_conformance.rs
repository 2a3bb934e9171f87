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
use ticksmith::error::Result;
use ticksmith::model::{Effects, Judged};
use ticksmith::port::{Store, StoreReader, Tier, TradeQuery};

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
