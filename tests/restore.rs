//! A restored stream goes on where its state stands; where state, offsets and log do not belong
//! together it stops and says what happened and what can be done. Nothing is passed over.

mod front;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ticksmith::codec::avro::Avro;
use ticksmith::embedded::Database;
use ticksmith::embedded::log::Broker;
use ticksmith::engine::Rules;
use ticksmith::error::{Error, Result};
use ticksmith::model::{Bar, Interval, Judged, PartitionMeta, StateRecord, Trade};
use ticksmith::pipeline::{self, Parts, Schedule};
use ticksmith::port::log::{OnProgress, OnState};
use ticksmith::port::{Beat, BeatReport, Clock, Live, Log, LogFactory, OutRecord, Restored, Topic};
use ticksmith::runtime::{Shutdown, SystemClock};

use front::{FrontFactory, Spoil};

const PARTITIONS: u32 = 2;
const TRADES: i64 = 600;
const START_MS: i64 = 1_700_000_100_000;

/// A log that was read once, by group `group`.
struct World {
    _directory: tempfile::TempDir,
    broker: Arc<Broker>,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let database = Database::open(directory.path()).expect("opens");
        let broker = Broker::open(&database, PARTITIONS, 24, Arc::new(SystemClock));
        let world = Self { _directory: directory, broker: broker.expect("opens") };
        world.publish(0..TRADES / 2);
        world.run("group").expect("the first half");
        world.publish(TRADES / 2..TRADES);
        world
    }

    fn publish(&self, range: std::ops::Range<i64>) {
        let mut publisher = self.broker.publisher().expect("a publisher");
        publisher.publish(range.map(trade).collect()).expect("published");
        publisher.flush(Duration::from_secs(60)).expect("flushed");
    }

    fn run(&self, group: &str) -> Result<BeatReport> {
        run(self.broker.factory(group), Arc::new(Heard::default()))
    }

    /// What is said instead of reading on.
    fn refusal(&self) -> String {
        refusal(self.run("group"))
    }

    fn state(&self, partition: i32) -> Vec<(Vec<u8>, StateRecord)> {
        let records = self.broker.read(Topic::Changelog, partition, 0, usize::MAX);
        let decode = |key: &[u8], value: &[u8]| Avro::single_object().decode_state(key, value);
        let records = records.expect("readable").into_iter().map(|record| {
            let (key, value) = (record.key.expect("a key"), record.value.expect("a value"));
            let state = decode(&key, &value).expect("decodes");
            (key, state)
        });
        records.collect()
    }

    fn meta(&self, partition: i32) -> PartitionMeta {
        let meta = self.state(partition).into_iter().find_map(|(_, record)| match record {
            StateRecord::Meta(meta) => Some(meta),
            _ => None,
        });
        meta.expect("there is one")
    }

    fn commit(&self, records: Vec<OutRecord>, offsets: Vec<(i32, i64)>) {
        let mut session = self.broker.session("group").expect("a session");
        session.commit(Beat { records, offsets }).expect("committed");
    }

    /// Deletes records of partition 0 from the changelog.
    fn lose(&self, is_lost: impl Fn(&StateRecord) -> bool) {
        let lost = self.state(0).into_iter().filter(|(_, record)| is_lost(record));
        let tombstones: Vec<_> = lost.map(|(key, _)| changelog(key, None)).collect();
        assert!(!tombstones.is_empty(), "there is something to lose");
        self.commit(tombstones, Vec::new());
    }

    fn put_meta(&self, change: impl Fn(&mut PartitionMeta), offsets: Vec<(i32, i64)>) {
        let mut meta = self.meta(0);
        change(&mut meta);
        let encoded = Avro::single_object().encode_state(&StateRecord::Meta(meta));
        let (key, value) = encoded.expect("encodes");
        self.commit(vec![changelog(key, value)], offsets);
    }
}

fn changelog(key: Vec<u8>, value: Option<Vec<u8>>) -> OutRecord {
    let (topic, partition, key) = (Topic::Changelog, Some(0), Some(key));
    OutRecord { topic, partition, key, value, headers: Vec::new() }
}

fn trade(number: i64) -> OutRecord {
    let symbol = ["AAPL", "MSFT", "AMD", "BINANCE:BTCUSDT"][number as usize % 4];
    let trade = Trade {
        symbol: symbol.into(),
        price: 100.0 + (number % 37) as f64 / 8.0,
        volume: 1.0,
        trade_time_ms: START_MS + number * 2_000,
        conditions: None,
        connection: 1,
        seq: 1 + number,
        received_at_us: (START_MS + number * 2_000) * 1_000,
        feed: "test/0".into(),
    };
    let mut value = Vec::new();
    Avro::single_object().encode_trade(&trade, &mut value).expect("encodes");
    let (topic, key) = (Topic::Trades, Some(symbol.into()));
    OutRecord { topic, partition: None, key, value: Some(value), headers: Vec::new() }
}

/// Pauses take no time.
struct Hasty;

impl Clock for Hasty {
    fn now_us(&self) -> i64 {
        SystemClock.now_us()
    }
    fn monotonic_us(&self) -> i64 {
        SystemClock.monotonic_us()
    }
    fn sleep(&self, _: Duration) {}
}

/// Keeps why the stream was not ready.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Live for Heard {
    fn bars(&self, _: &[Bar]) {}
    fn trades(&self, _: &[Judged]) {}
    fn ready(&self, _: bool, reason: &str) {
        self.0.lock().expect("not poisoned").push(reason.to_owned());
    }
    fn beat(&self, _: &BeatReport) {}
}

fn run(log_factory: Box<dyn LogFactory>, live: Arc<Heard>) -> Result<BeatReport> {
    let intervals = ["5m", "1h"].map(|text| Interval::parse(text).expect("valid"));
    let parts = Parts {
        log_factory,
        store: None,
        live,
        avro: Arc::new(Avro::single_object()),
        rules: Arc::new(Rules::with_intervals(intervals.to_vec()).expect("they fit")),
        clock: Arc::new(Hasty),
        schedule: Schedule {
            beat_ms: 60_000,
            beat_records: 100,
            beat_bytes: 1 << 20,
            batch_ms: 20,
            batch_records: 50,
            provisional_every_ms: 60_000,
            provisional_max_lag_ms: 60_000,
            drain_deadline_ms: 60_000,
            silver_topic: true,
            provisional_to_topic: false,
            until_end: true,
            drain: false,
        },
        trades_topic: "the.trades".into(),
    };
    pipeline::run(parts, Shutdown::default())
}

/// Every sentence names the partition and the choices.
fn refusal(outcome: Result<BeatReport>) -> String {
    let Err(Error::Config(text)) = outcome else { panic!("it read on: {outcome:?}") };
    for words in ["partition 0: ", "`ticksmith reset --to-earliest --apply`", "new kafka.group"] {
        assert!(text.contains(words), "'{words}' is not in: {text}");
    }
    text
}

fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "'{word}' is not in: {text}");
    }
}

#[test]
fn a_whole_state_is_gone_on_from_and_progress_is_told() {
    let world = World::new();
    let records: usize = (0..PARTITIONS as i32).map(|one| world.state(one).len()).sum();
    let heard = Arc::new(Heard::default());
    let report = run(world.broker.factory("group"), Arc::clone(&heard)).expect("reads on");
    assert_eq!((report.tally.merged, report.tally.total()), (TRADES, TRADES));
    let first = world.state(0).len();
    let heard = heard.0.lock().expect("not poisoned");
    let told = |start: &str| heard.iter().find(|reason| reason.starts_with(start)).cloned();
    assert!(told("restoring state").is_some(), "{heard:?}");
    let progress = told("restoring partition 0: ").expect("progress is told");
    assert!(progress.contains(" of about ") && progress.contains("0 of 2 parti"), "{progress}");
    assert!(told("restoring partition 1: ").expect("of each").contains("1 of 2 partitions are"));
    assert_eq!(heard.last().map(String::as_str), Some(""), "ready in the end");
    assert!(first > 3, "{first} records");
    // Other tests of this process restore too.
    let metrics = ticksmith::telemetry::render();
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name}")).trim().parse::<f64>().expect("a number")
    };
    assert!(value("ticksmith_restore_records_total") >= records as f64);
    assert!(value("ticksmith_restore_bytes_total") > 100.0 * records as f64);
    assert!(value("ticksmith_restore_partitions_total") >= f64::from(PARTITIONS));
    assert!(value("ticksmith_restore_seconds_count") >= f64::from(PARTITIONS));
    value("ticksmith_restore_waiting_partitions");
}

#[test]
fn a_deleted_changelog_is_told() {
    let world = World::new();
    let committed = world.meta(0).next_offset;
    world.lose(|_| true);
    let text = world.refusal();
    assert_says(&text, &[&format!("read up to offset {committed}"), "(0 records)", "deleted"]);
}

#[test]
fn a_lost_meta_record_is_told() {
    let world = World::new();
    let left = world.state(0).len() - 1;
    world.lose(|record| matches!(record, StateRecord::Meta(_)));
    assert_says(&world.refusal(), &[&format!("({left} records)"), "does not say where"]);
}

#[test]
fn a_changelog_that_lost_its_beginning_is_told() {
    let world = World::new();
    let windows = world.meta(0).windows.expect("counted");
    let is_first = |record: &StateRecord| match record {
        StateRecord::Window(window) => window.start_ms <= START_MS,
        _ => false,
    };
    let lost = world.state(0).iter().filter(|(_, record)| is_first(record)).count() as i64;
    world.lose(is_first);
    let text = world.refusal();
    let found = format!("{} of {windows} windows", windows - lost);
    assert_says(&text, &[&found, "part of it was deleted", "cleanup.policy=compact"]);
}

#[test]
fn a_changelog_that_lost_its_end_is_told() {
    let world = World::new();
    let committed = world.meta(0).next_offset;
    world.put_meta(|meta| meta.next_offset -= 10, Vec::new());
    let state = format!("the state up to offset {}", committed - 10);
    assert_says(&world.refusal(), &[&state, &committed.to_string(), "the newest state is lost"]);
}

#[test]
fn offsets_that_another_tool_set_back_are_told() {
    let world = World::new();
    world.commit(Vec::new(), vec![(0, 3)]);
    assert_says(&world.refusal(), &["the group stands at 3", "set its offsets back"]);
}

#[test]
fn a_state_without_committed_offsets_is_told() {
    let world = World::new();
    let text = refusal(world.run("another group"));
    assert_says(&text, &["no committed offset", "expired", "name that one"]);
}

#[test]
fn a_trades_topic_that_was_made_anew_is_told() {
    let world = World::new();
    let end = world.broker.end_offset(Topic::Trades, 0);
    let beyond = end + 100;
    world.put_meta(|meta| meta.next_offset = beyond, vec![(0, beyond)]);
    let text = world.refusal();
    assert_says(&text, &[&format!("is {beyond}"), &format!("'the.trades' ends at {end}"), "anew"]);
}

#[test]
fn records_that_went_unread_are_told() {
    let world = World::new();
    let next = world.meta(0).next_offset;
    let inner = world.broker.factory("group");
    let factory = FrontFactory { inner, spoiler: move || Trimmed { log_start: next + 7 } };
    let text = refusal(run(Box::new(factory), Arc::new(Heard::default())));
    let begins = format!("'the.trades' begins at {}", next + 7);
    assert_says(&text, &[&format!("is {next}"), &begins, "7 records are gone", "retention"]);
}

#[test]
fn a_state_of_another_partition_count_is_told() {
    let world = World::new();
    world.put_meta(|meta| meta.partition_count = 7, Vec::new());
    let outcome = world.run("group");
    let Err(Error::Config(text)) = outcome else { panic!("it read on: {outcome:?}") };
    assert_says(&text, &["partition 0", "with 7 partitions", "now has 2", "new topics"]);
}

#[test]
fn a_state_of_a_later_version_is_told() {
    let world = World::new();
    let record = world.state(0).swap_remove(0).1;
    let encoded = Avro::single_object().encode_state(&record).expect("encodes");
    let (key, Some(mut value)) = encoded else { panic!("a tombstone: {record:?}") };
    // The version follows two bytes of marker and eight of fingerprint.
    value[10] = 98;
    world.commit(vec![changelog(key, Some(value))], Vec::new());
    let outcome = world.run("group");
    let Err(Error::Config(text)) = outcome else { panic!("it read on: {outcome:?}") };
    assert_says(&text, &["state version 49", "the newer one", "ticksmith reset"]);
}

/// Retention took the beginning of the log before it was read.
struct Trimmed {
    log_start: i64,
}

impl Spoil for Trimmed {
    fn restore(
        &mut self,
        inner: &mut dyn Log,
        partition: i32,
        on_state: &mut OnState<'_>,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<Restored> {
        let restored = inner.restore(partition, on_state, on_progress)?;
        Ok(Restored { log_start: self.log_start, ..restored })
    }
    fn begin_commit(&mut self, _: &mut dyn Log, _: Beat) -> Result<()> {
        panic!("nothing is to be committed")
    }
}
