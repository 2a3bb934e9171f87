//! The Cassandra store keeps the promises of the store port, on a real server.
//!
//! Needs one: `make infra-up`, then TICKSMITH_TEST_CASSANDRA=localhost:9042. Every run has
//! keyspaces of its own and drops them at its end.

#[path = "conformance/store.rs"]
mod suite;

use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use suite::{HandClock, NOW_MS, World};
use ticksmith::cassandra::schema::Schema;
use ticksmith::cassandra::schema_check::{self, ObjectReport, Outcome};
use ticksmith::cassandra::{CassandraReader, CassandraStore, Connection};
use ticksmith::config::Config;
use ticksmith::error::{Error, Result};
use ticksmith::model::{BarRevision, BarState, Effects, Interval, RevisionWhy};
use ticksmith::port::{Clock, Store, StoreReader};
use ticksmith::runtime::SystemClock;

fn address() -> String {
    std::env::var("TICKSMITH_TEST_CASSANDRA").expect(
        "TICKSMITH_TEST_CASSANDRA is not set: start Cassandra with `make infra-up` and set it to \
         host:port",
    )
}

/// A keyspace that no other test or run uses.
struct Cassandra {
    config: Config,
    connection: Connection,
    clock: Arc<dyn Clock>,
}

impl Cassandra {
    fn without_tables() -> Box<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut config = suite::config();
        config.cassandra.contact_points = address();
        let (run, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let started_us = SystemClock.now_us();
        config.cassandra.keyspace = format!("test_{run}_{number}_{started_us}");
        let connection = Connection::open(&config.cassandra).expect("Cassandra answers");
        Box::new(Self { config, connection, clock: Arc::new(HandClock::at(NOW_MS)) })
    }

    fn new() -> Box<Self> {
        let world = Self::without_tables();
        world.init().expect("tables");
        world
    }

    fn init(&self) -> Result<Vec<ObjectReport>> {
        schema_check::init(&self.connection, &Schema::of(&self.config)?)
    }

    /// Runs a statement, `{}` standing for the keyspace, and returns one column of numbers.
    fn run(&self, statement: &str) -> Vec<Option<i64>> {
        let text = statement.replace("{}", &self.config.cassandra.keyspace);
        runtime().block_on(async {
            let answer = session().query_unpaged(text, ()).await.expect("an answer");
            let Ok(rows) = answer.into_rows_result() else { return Vec::new() };
            if let Ok(rows) = rows.rows::<(Option<i32>,)>() {
                return rows.map(|row| row.expect("a row").0.map(i64::from)).collect();
            }
            let rows = rows.rows::<(Option<i64>,)>().expect("numbers");
            rows.map(|row| row.expect("a row").0).collect()
        })
    }
}

impl Drop for Cassandra {
    fn drop(&mut self) {
        self.run("DROP KEYSPACE IF EXISTS {}");
    }
}

/// A session of the test's own, for what the ports do not offer.
fn session() -> &'static Session {
    static SESSION: LazyLock<Session> = LazyLock::new(|| {
        let built = std::thread::spawn(|| {
            let builder = SessionBuilder::new().known_node(address());
            runtime().block_on(builder.build()).expect("Cassandra answers")
        });
        built.join().expect("a session")
    });
    &SESSION
}

fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> =
        LazyLock::new(|| tokio::runtime::Runtime::new().expect("a runtime"));
    &RUNTIME
}

impl World for Cassandra {
    fn store(&self) -> Result<Box<dyn Store>> {
        let clock = self.clock.clone();
        Ok(Box::new(CassandraStore::open(&self.connection, &self.config, clock)?))
    }

    fn reader(&self) -> Result<Box<dyn StoreReader>> {
        Ok(Box::new(CassandraReader::open(&self.connection, &self.config)?))
    }
}

/// All cases share one keyspace, since creating its tables takes seconds.
#[test]
fn conformance() {
    let world = Cassandra::new();
    let cases: &[suite::Case] = store_conformance_cases!();
    for (name, case) in cases {
        case(&*world).unwrap_or_else(|failure| panic!("{name}: {failure}"));
        println!("{name} ... ok");
    }
}

#[test]
fn rows_live_as_long_as_their_tier() {
    const DAY_S: i64 = 86_400;
    let mut world = Cassandra::new();
    world.clock = Arc::new(SystemClock);
    let now_ms = SystemClock.now_us() / 1_000;
    let aged = |days: i64, symbol: &str| {
        let at_ms = now_ms - days * DAY_S * 1_000;
        let mut rows = Effects::default();
        rows.trades.push(suite::trade(symbol, at_ms, 1));
        let mut bar = suite::bar(symbol, suite::five_minutes().window_of(at_ms).start_ms, 1);
        bar.state = BarState::Corrected;
        let mut hour = bar.clone();
        hour.interval = Interval::parse("1h").expect("an interval");
        rows.revisions.push(BarRevision { bar: bar.clone(), why: RevisionWhy::Closed });
        rows.revisions.push(BarRevision { bar: hour, why: RevisionWhy::Closed });
        rows.bars.push(bar);
        rows.gaps.push(suite::gap(symbol, at_ms, None));
        rows.symbols.push(symbol.into());
        rows
    };
    let mut store = world.store().expect("a store");
    for (days, symbol) in [(0, "FRESH"), (3, "AGED"), (1_000, "ANCIENT")] {
        store.write(&aged(days, symbol)).expect("written");
    }
    store.flush().expect("flushed");
    let ttl_days = |column: &str, table: &str, condition: &str| {
        let text =
            format!("SELECT TTL({column}) FROM {{}}.{table} WHERE {condition} ALLOW FILTERING");
        let ttl_s = world.run(&text)[0].expect("a time to live");
        // Rounded: some seconds have passed.
        (ttl_s + DAY_S / 2) / DAY_S
    };
    for (table, column, days, only) in [
        ("trades_bronze", "price", 7, ""),
        ("trades_silver", "price", 30, ""),
        ("trades_gold_5m", "close", 90, ""),
        ("bar_revisions", "close", 90, " AND interval = '5m'"),
        ("bar_revisions", "close", 365, " AND interval = '1h'"),
        ("feed_gaps", "lost_records", 90, ""),
    ] {
        for (symbol, left) in [("FRESH", days), ("AGED", days - 3), ("ANCIENT", days)] {
            let condition = format!("symbol = '{symbol}'{only}");
            assert_eq!(ttl_days(column, table, &condition), left, "{table}{only} {symbol}");
        }
    }
    // A symbol is written when it is first seen, so its row must not expire.
    let ttl = world.run(
        "SELECT default_time_to_live FROM system_schema.tables WHERE keyspace_name = '{}' AND \
         table_name = 'symbols'",
    );
    assert_eq!(ttl, [Some(0)]);
}

#[test]
fn init_creates_then_finds_then_names_differences() {
    let world = Cassandra::without_tables();
    let keyspace = &world.config.cassandra.keyspace;
    let Err(Error::Config(sentence)) = world.store().map(drop) else { panic!("no keyspace") };
    assert!(sentence.contains(keyspace) && sentence.contains("`ticksmith cassandra-init`"));
    let outcomes = |reports: Vec<ObjectReport>| -> Vec<Outcome> {
        reports.into_iter().map(|report| report.outcome).collect()
    };
    let created = outcomes(world.init().expect("created"));
    assert_eq!(created.len(), 10);
    assert!(created.iter().all(|outcome| *outcome == Outcome::Created), "{created:?}");
    let found = outcomes(world.init().expect("found"));
    assert!(found.iter().all(|outcome| *outcome == Outcome::Exists), "{found:?}");

    world.run("ALTER TABLE {}.trades_silver WITH default_time_to_live = 60");
    world.run("ALTER TABLE {}.trades_gold_5m DROP vwap");
    world.run(
        "ALTER TABLE {}.trades_bronze WITH compaction = {'class': 'SizeTieredCompactionStrategy'}",
    );
    world.run("DROP TABLE {}.symbols");
    world.run("DROP TABLE {}.feed_gaps");
    world.run("CREATE TABLE {}.symbols (symbol int, PRIMARY KEY (symbol))");
    let reports: Vec<String> =
        world.init().expect("compared").iter().map(ObjectReport::to_string).collect();
    let all = reports.join("\n");
    for expected in [
        &format!(
            "differs  table {keyspace}.trades_silver: default_time_to_live is 60 s, not 2592000 s"
        ),
        &format!("differs  table {keyspace}.trades_gold_5m: column vwap is missing"),
        &format!(
            "differs  table {keyspace}.trades_bronze: compaction is SizeTieredCompactionStrategy"
        ),
        &format!("differs  table {keyspace}.symbols: column symbol is int, not text"),
        &format!("created  table {keyspace}.feed_gaps"),
    ] {
        assert!(all.contains(expected), "{expected} in\n{all}");
    }
    assert_eq!(
        world.run(
            "SELECT default_time_to_live FROM system_schema.tables WHERE keyspace_name = '{}' \
             AND table_name = 'trades_silver'"
        ),
        [Some(60)],
        "nothing is changed silently"
    );
    let Err(Error::Config(sentence)) = world.store().map(drop) else { panic!("vwap is missing") };
    assert!(sentence.contains("vwap") && sentence.contains("cassandra-init"), "{sentence}");
}

/// A keyspace that an older version made: what differs is named with what mends it, and it does.
#[test]
fn an_older_layout_is_named_with_its_remedy() {
    let world = Cassandra::new();
    let keyspace = &world.config.cassandra.keyspace;
    let refused = || match world.store().map(drop) {
        Err(Error::Config(sentence)) => sentence,
        other => panic!("{other:?}"),
    };
    world.run("ALTER TABLE {}.trades_silver DROP late_window_state");
    let alter = format!("ALTER TABLE {keyspace}.trades_silver ADD (late_window_state text)");
    let sentence = refused();
    assert!(sentence.contains(&format!("`{alter}`")), "{sentence}");
    world.run(&alter);

    world.run("DROP TABLE {}.feed_gaps");
    world.run(
        "CREATE TABLE {}.feed_gaps (feed text, bucket int, gap_start timestamp, connection bigint, \
         gap_end timestamp, symbols text, PRIMARY KEY ((feed, bucket), gap_start, connection))",
    );
    let drop_table = format!("DROP TABLE {keyspace}.feed_gaps");
    let key = "primary key is ((feed, bucket), gap_start, connection), not \
               ((symbol, bucket), gap_start, connection, cause)";
    let sentence = refused();
    for part in [key, &drop_table, "`ticksmith cassandra-init`"] {
        assert!(sentence.contains(part), "{part} in {sentence}");
    }
    let reports: Vec<String> =
        world.init().expect("compared").iter().map(ObjectReport::to_string).collect();
    let differing = format!("differs  table {keyspace}.feed_gaps: {key}");
    assert!(reports.iter().any(|report| report.starts_with(&differing)), "{reports:?}");
    world.run(&drop_table);
    world.init().expect("made anew");
    world.store().map(drop).expect("all of it fits");
}

#[test]
fn a_table_that_vanishes_is_named_and_waited_for() {
    let world = Cassandra::new();
    let mut store = world.store().expect("a store");
    world.run("DROP TABLE {}.trades_bronze");
    let rows = Effects { trades: vec![suite::trade("GONE", NOW_MS, 1)], ..Effects::default() };
    let refused = store.write(&rows).and_then(|()| store.flush());
    let Err(Error::Unavailable(sentence)) = refused else { panic!("{refused:?}") };
    assert!(sentence.contains("trades_bronze"), "{sentence}");
    assert!(sentence.contains("ticksmith cassandra-init"), "{sentence}");
    world.init().expect("made anew");
    assert!((0..20).any(|_| store.flush().is_ok()), "the store never came back");
    assert_eq!(world.run("SELECT count(*) FROM {}.trades_bronze"), [Some(1)]);
}

/// Passes bytes on to the server until it is cut, and again after it is mended.
struct Line {
    address: String,
    whole: Arc<AtomicBool>,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
}

impl Line {
    fn to_the_server() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (whole, sockets) = (Arc::new(AtomicBool::new(true)), Arc::new(Mutex::default()));
        let line = Self { address, whole: Arc::clone(&whole), sockets: Arc::clone(&sockets) };
        // Both ends of a connection end with it, this thread with the process.
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if whole.load(Ordering::Relaxed) {
                    let far = TcpStream::connect(server_address()).expect("Cassandra answers");
                    pass_on(&near, &far, &sockets);
                    pass_on(&far, &near, &sockets);
                }
            }
        });
        line
    }

    fn cut(&self) {
        self.whole.store(false, Ordering::Relaxed);
        for socket in self.sockets.lock().expect("not poisoned").drain(..) {
            // It may be closed already.
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }

    fn mend(&self) {
        self.whole.store(true, Ordering::Relaxed);
    }
}

fn server_address() -> String {
    address().replace("localhost", "127.0.0.1")
}

fn pass_on(from: &TcpStream, to: &TcpStream, sockets: &Mutex<Vec<TcpStream>>) {
    let copy = |socket: &TcpStream| socket.try_clone().expect("a second handle");
    let (mut from, mut to) = (copy(from), copy(to));
    sockets.lock().expect("not poisoned").push(copy(&from));
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
}

#[test]
fn rows_survive_an_outage() {
    let mut world = Cassandra::new();
    let line = Line::to_the_server();
    world.config.cassandra.contact_points = line.address.clone();
    world.connection = Connection::open(&world.config.cassandra).expect("Cassandra answers");
    let mut store = world.store().expect("a store");
    let rows = |first: i64| Effects {
        trades: (first..first + 500).map(|seq| suite::trade("AWAY", NOW_MS + seq, seq)).collect(),
        ..Effects::default()
    };
    store.write(&rows(0)).expect("written");
    store.flush().expect("flushed");
    line.cut();
    let refused = store.write(&rows(500)).and_then(|()| store.flush());
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    line.mend();
    // A write while something is owed is taken as well; the pipeline calls until it is.
    let mut again = || store.write(&rows(1_000)).and_then(|()| store.flush());
    let written = (0..20).find(|_| again().is_ok());
    assert!(written.is_some(), "the store never came back");
    let found = world.run("SELECT count(*) FROM {}.trades_bronze");
    assert_eq!(found, [Some(1_500)]);
}

#[test]
fn an_absent_cluster_is_named_with_its_address() {
    let mut config = suite::config();
    // A port that nothing listens on: bound here, and never listened to.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    drop(taken);
    config.cassandra.contact_points = address.clone();
    let Err(Error::Unavailable(sentence)) = Connection::open(&config.cassandra).map(drop) else {
        panic!("nothing listens there");
    };
    assert!(sentence.contains(&address) && !sentence.contains('\n'), "{sentence}");
}
