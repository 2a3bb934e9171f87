//! The shipping pipeline over the real embedded log, with faults at its edges: whatever fails, the
//! topics end up as if nothing had happened.

#[path = "pipeline/assignment.rs"]
mod assignment;
mod front;
#[path = "pipeline/waiting.rs"]
mod waiting;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ticksmith::codec::avro::Avro;
use ticksmith::embedded::Database;
use ticksmith::embedded::log::Broker;
use ticksmith::engine::{Engine, Input, Rules};
use ticksmith::error::{Error, Result};
use ticksmith::model::feed_event::FEED_EVENT_HEADER;
use ticksmith::model::{
    Bar, BarState, Effects, FeedEvent, FeedEventKind, Interval, Judged, Origin, Trade,
    partition_for_key,
};
use ticksmith::pipeline::{self, Parts, Schedule};
use ticksmith::port::{
    BarRemoval, Beat, BeatReport, Clock, Live, Log, LogFactory, OutRecord, Publisher, Store, Topic,
};
use ticksmith::runtime::{Shutdown, SystemClock};

use front::{FrontFactory, Spoil};

const PARTITIONS: u32 = 3;
const START_MS: i64 = 1_700_000_100_000;

/// A log of trades with disorder, a late one, a repeat, a bad one, garbage and feed events.
fn script() -> Vec<OutRecord> {
    let avro = Avro::single_object();
    let mut records = vec![];
    for partition in 0..PARTITIONS as i32 {
        records.push(event(FeedEventKind::Connected, 1, partition));
    }
    for position in 0..4_000i64 {
        let symbol = ["AAPL", "MSFT", "BINANCE:BTCUSDT", "OANDA:EUR_USD"][position as usize % 4];
        let jitter = (position * 7919) % 1_500;
        let behind = if position % 100 == 99 { 200_000 } else { 0 };
        let too_late = if position == 3_501 { 3_000_000 } else { 0 };
        let price = if position == 1_234 { -1.0 } else { 100.0 + (position % 37) as f64 / 8.0 };
        let repeat = i64::from(position == 2_000);
        let trade = Trade {
            symbol: symbol.into(),
            price,
            volume: 1.0 + (position % 5) as f64 / 10.0,
            trade_time_ms: START_MS + position * 400 - jitter - behind - too_late,
            conditions: None,
            connection: 1,
            seq: 2 + position - repeat * 4,
            received_at_us: (START_MS + position * 400) * 1_000,
            feed: "test/0".into(),
        };
        let mut value = Vec::new();
        avro.encode_trade(&trade, &mut value).expect("encodes");
        if position == 3_000 {
            value.truncate(9);
        }
        records.push(OutRecord {
            topic: Topic::Trades,
            partition: Some(partition_for_key(symbol.as_bytes(), PARTITIONS)),
            key: Some(symbol.into()),
            value: Some(value),
            headers: Vec::new(),
        });
    }
    records
}

fn event(kind: FeedEventKind, seq: i64, partition: i32) -> OutRecord {
    let event = FeedEvent {
        kind,
        connection: 1,
        seq,
        feed: "test/0".into(),
        at_us: START_MS * 1_000,
        feed_time_ms: None,
        confirmed_at_us: None,
        confirmed_feed_time_ms: None,
        symbols: Vec::new(),
        lost_records: 0,
        detail: String::new(),
    };
    let mut header = Vec::new();
    Avro::single_object().encode_feed_event(&event, &mut header).expect("encodes");
    OutRecord {
        topic: Topic::Trades,
        partition: Some(partition),
        key: None,
        value: None,
        headers: vec![(FEED_EVENT_HEADER, header)],
    }
}

fn rules() -> Arc<Rules> {
    let intervals = ["5m", "1h"].map(|text| Interval::parse(text).expect("valid"));
    Arc::new(Rules::with_intervals(intervals.to_vec()).expect("they fit"))
}

/// Closed and corrected bars of one partition, in order, as the engine alone makes them.
fn expected_bars(partition: i32) -> Vec<Bar> {
    let avro = Avro::single_object();
    let mut engine = Engine::new(rules(), partition, PARTITIONS);
    let mut effects = Effects::default();
    let records = script().into_iter().filter(|record| record.partition == Some(partition));
    for (offset, record) in (0..).zip(records) {
        let origin = Origin { partition, offset };
        let input = match (&record.value, record.headers.first()) {
            (None, Some((_, header))) => {
                Input::Event { origin, event: avro.decode_feed_event(header).expect("decodes") }
            }
            (Some(value), _) => match avro.decode_trade(value) {
                Ok(trade) => Input::Trade { origin, key: record.key.as_deref(), trade },
                Err(_) => Input::Undecodable {
                    origin,
                    reason: ticksmith::model::RejectReason::Undecodable,
                },
            },
            (None, None) => unreachable!("the script has no such record"),
        };
        engine.step(input, &mut effects);
    }
    effects.bars
}

/// Fails now and then, before or after the real commit.
struct Faulty {
    commits: Arc<AtomicUsize>,
    loses_the_answer: bool,
}

impl Faulty {
    fn new(commits: &Arc<AtomicUsize>) -> Self {
        Self { commits: Arc::clone(commits), loses_the_answer: false }
    }
}

impl Spoil for Faulty {
    fn begin_commit(&mut self, inner: &mut dyn Log, beat: Beat) -> Result<()> {
        let number = self.commits.fetch_add(1, Ordering::Relaxed) % 5;
        self.loses_the_answer = number == 2;
        match number {
            1 => Err(Error::Restore("aborted before the commit".into())),
            3 => Err(Error::Rejoin("fenced".into())),
            _ => inner.begin_commit(beat),
        }
    }

    fn commit_outcome(&mut self, inner: &mut dyn Log, within: Duration) -> Option<Result<Beat>> {
        let outcome = inner.commit_outcome(within)?;
        if self.loses_the_answer {
            return Some(Err(Error::Restore("the answer to the commit was lost".into())));
        }
        Some(outcome)
    }
}

/// A store that is away now and then, and remembers the rows it took.
#[derive(Default)]
struct FaultyStore {
    calls: usize,
    trades: Arc<Mutex<BTreeMap<(i64, i64), Judged>>>,
}

impl Store for FaultyStore {
    fn write(&mut self, rows: &Effects) -> Result<()> {
        self.calls += 1;
        if self.calls % 7 == 3 {
            return Err(Error::Unavailable("the store is away".into()));
        }
        let mut trades = self.trades.lock().expect("not poisoned");
        for judged in rows.trades.iter().filter(|judged| judged.disposition.is_silver()) {
            trades.insert((judged.trade.connection, judged.trade.seq), judged.clone());
        }
        Ok(())
    }
    fn flush(&mut self) -> Result<()> {
        self.calls += 1;
        if self.calls % 7 == 5 { Err(Error::Unavailable("still away".into())) } else { Ok(()) }
    }
    fn remove(&mut self, _: &[BarRemoval]) -> Result<()> {
        unreachable!("a stream removes nothing")
    }
}

struct NoOneWatches;

impl Live for NoOneWatches {
    fn bars(&self, _: &[Bar]) {}
    fn trades(&self, _: &[Judged]) {}
    fn ready(&self, _: bool, _: &str) {}
    fn beat(&self, _: &BeatReport) {}
}

fn schedule() -> Schedule {
    Schedule {
        beat_ms: 60_000,
        beat_records: 300,
        beat_bytes: 1 << 20,
        batch_ms: 20,
        batch_records: 70,
        provisional_every_ms: 60_000,
        provisional_max_lag_ms: 60_000,
        drain_deadline_ms: 60_000,
        silver_topic: true,
        provisional_to_topic: false,
        until_end: true,
        drain: false,
    }
}

fn fill(broker: &Arc<Broker>) {
    let mut publisher: Box<dyn Publisher> = broker.publisher().expect("a publisher");
    publisher.publish(script()).expect("published");
    publisher.flush(Duration::from_secs(60)).expect("flushed");
}

fn run(factory: Box<dyn LogFactory>, store: Option<Box<dyn Store>>, schedule: Schedule) -> Tallies {
    let parts = Parts {
        log_factory: factory,
        store,
        live: Arc::new(NoOneWatches),
        avro: Arc::new(Avro::single_object()),
        rules: rules(),
        clock: Arc::new(SystemClock),
        schedule,
        trades_topic: "trades".into(),
    };
    let report = pipeline::run(parts, Shutdown::default()).expect("runs to the end");
    let tally = report.tally;
    (tally.merged, tally.duplicate, tally.rejected, tally.late, tally.control)
}

type Tallies = (i64, i64, i64, i64, i64);

fn topic_bars(broker: &Broker, partition: i32) -> Vec<Bar> {
    let avro = Avro::single_object();
    let records = broker.read(Topic::Bars, partition, 0, usize::MAX).expect("readable");
    records
        .iter()
        .map(|record| avro.decode_bar(record.value.as_deref().expect("a value")).expect("decodes"))
        .collect()
}

fn count(broker: &Broker, topic: Topic) -> usize {
    let read = |partition| broker.read(topic, partition, 0, usize::MAX).expect("readable").len();
    (0..PARTITIONS as i32).map(read).sum()
}

const EXPECTED: Tallies = (3_996, 1, 2, 1, 3);

fn check(broker: &Broker) {
    for partition in 0..PARTITIONS as i32 {
        let (expected, found) = (expected_bars(partition), topic_bars(broker, partition));
        let first = expected.iter().zip(&found).find(|(one, other)| one != other);
        assert_eq!(first, None, "partition {partition}");
        assert_eq!(found.len(), expected.len(), "partition {partition}");
    }
    assert_eq!(count(broker, Topic::Silver), 3_997, "merged and late");
    assert_eq!(count(broker, Topic::Late), 1);
    assert_eq!(count(broker, Topic::Rejected), 2);
}

fn broker() -> (tempfile::TempDir, Arc<Broker>) {
    let directory = tempfile::tempdir().expect("a directory");
    let database = Database::open(directory.path()).expect("opens");
    let broker = Broker::open(&database, PARTITIONS, 24, Arc::new(SystemClock)).expect("opens");
    (directory, broker)
}

#[test]
fn the_topics_hold_what_the_engine_says() {
    let (_directory, broker) = broker();
    fill(&broker);
    assert_eq!(run(broker.factory("group"), None, schedule()), EXPECTED);
    check(&broker);
    assert!(expected_bars(0).iter().all(|bar| bar.state != BarState::Provisional));
}

#[test]
fn faults_at_commit_and_store_leave_no_trace() {
    let (_directory, broker) = broker();
    fill(&broker);
    let commits = Arc::new(AtomicUsize::new(0));
    let (inner, counted) = (broker.factory("group"), Arc::clone(&commits));
    let spoiler = move || Faulty::new(&counted);
    let factory = Box::new(FrontFactory { inner, spoiler });
    let store = FaultyStore::default();
    let rows = Arc::clone(&store.trades);
    assert_eq!(run(factory, Some(Box::new(store)), schedule()), EXPECTED);
    check(&broker);
    assert_eq!(rows.lock().expect("not poisoned").len(), 3_997);
    assert!(commits.load(Ordering::Relaxed) > 10, "the faults were met");
}

/// Partitions go and come back while the first of them is restored.
struct Moving {
    looks: Arc<AtomicUsize>,
}

impl Spoil for Moving {
    fn keep_alive(&mut self, _: &mut dyn Log) -> Result<Option<Vec<i32>>> {
        let is_second = self.looks.fetch_add(1, Ordering::Relaxed) == 1;
        Ok(is_second.then(|| vec![2, 1, 0]))
    }
}

#[test]
fn partitions_that_move_while_state_is_restored_are_restored_anew() {
    let (_directory, broker) = broker();
    fill(&broker);
    let looks = Arc::new(AtomicUsize::new(0));
    let (inner, counted) = (broker.factory("group"), Arc::clone(&looks));
    let spoiler = move || Moving { looks: Arc::clone(&counted) };
    assert_eq!(run(Box::new(FrontFactory { inner, spoiler }), None, schedule()), EXPECTED);
    check(&broker);
    assert_eq!(looks.load(Ordering::Relaxed), 2 + 3, "one before each partition, of both tries");
}

#[test]
fn a_second_run_goes_on_where_the_first_one_stopped() {
    let (_directory, broker) = broker();
    fill(&broker);
    run(broker.factory("group"), None, schedule());
    assert_eq!(run(broker.factory("group"), None, schedule()), EXPECTED);
    check(&broker);
}

#[test]
fn a_drain_shows_the_open_windows_as_provisional_and_closes_nothing() {
    let (_directory, broker) = broker();
    fill(&broker);
    run(broker.factory("group"), None, Schedule { drain: true, ..schedule() });
    let bars: Vec<Bar> = (0..PARTITIONS as i32).flat_map(|one| topic_bars(&broker, one)).collect();
    let open: Vec<&Bar> = bars.iter().filter(|bar| bar.state == BarState::Provisional).collect();
    assert!(open.len() >= 8, "5 m and 1 h of four symbols are open: {}", open.len());
    // What was drained is closed properly when the feed goes on.
    assert_eq!(run(broker.factory("group"), None, schedule()), EXPECTED);
}

/// Time that passes when the test says so.
#[derive(Default)]
struct HandClock(AtomicUsize);

impl Clock for HandClock {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::Relaxed) as i64
    }
    fn monotonic_us(&self) -> i64 {
        self.now_us()
    }
    fn sleep(&self, duration: Duration) {
        self.0.fetch_add(duration.as_micros() as usize, Ordering::Relaxed);
    }
}

/// A stop is asked for during the first write; the flush then takes `flush_s`.
struct StopAtWrite {
    shutdown: Shutdown,
    clock: Arc<HandClock>,
    flush_s: u64,
}

impl Store for StopAtWrite {
    fn write(&mut self, _: &Effects) -> Result<()> {
        self.shutdown.request();
        Ok(())
    }
    fn flush(&mut self) -> Result<()> {
        self.clock.sleep(Duration::from_secs(self.flush_s));
        Ok(())
    }
    fn remove(&mut self, _: &[BarRemoval]) -> Result<()> {
        unreachable!("a stream removes nothing")
    }
}

/// Commits that were tried, and sessions that were opened, when the flush at a stop takes so long.
fn stop_with_flush_of(flush_s: u64, first_commit: usize) -> (usize, usize) {
    let (_directory, broker) = broker();
    fill(&broker);
    let commits = Arc::new(AtomicUsize::new(first_commit));
    let opened: Arc<AtomicUsize> = Arc::default();
    let (inner, counted) = (broker.factory("group"), (Arc::clone(&commits), Arc::clone(&opened)));
    let spoiler = move || {
        counted.1.fetch_add(1, Ordering::Relaxed);
        Faulty::new(&counted.0)
    };
    let factory = FrontFactory { inner, spoiler };
    let (shutdown, clock) = (Shutdown::default(), Arc::new(HandClock::default()));
    let store = StopAtWrite { shutdown: shutdown.clone(), clock: Arc::clone(&clock), flush_s };
    let parts = Parts {
        log_factory: Box::new(factory),
        store: Some(Box::new(store)),
        live: Arc::new(NoOneWatches),
        avro: Arc::new(Avro::single_object()),
        rules: rules(),
        clock,
        schedule: Schedule { drain_deadline_ms: 4_000, ..schedule() },
        trades_topic: "trades".into(),
    };
    pipeline::run(parts, shutdown).expect("a clean stop");
    (commits.load(Ordering::Relaxed) - first_commit, opened.load(Ordering::Relaxed))
}

#[test]
fn a_stop_commits_within_its_deadline_and_begins_nothing_after_it() {
    assert_eq!(stop_with_flush_of(1, 0), (1, 1));
    assert_eq!(stop_with_flush_of(60, 0), (0, 1));
}

#[test]
fn who_is_fenced_while_it_stops_does_not_join_again() {
    // The fourth commit of the faulty log is fenced.
    assert_eq!(stop_with_flush_of(1, 3), (1, 1));
}
