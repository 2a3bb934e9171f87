//! The producer from the simulator's socket to the log, which is a list in memory here.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;

use ticksmith::codec::avro::Avro;
use ticksmith::config::{Config, Secret};
use ticksmith::error::{Error, Result};
use ticksmith::model::feed_event::FEED_EVENT_HEADER;
use ticksmith::model::{FeedEvent, FeedEventKind, Trade, partition_for_key};
use ticksmith::port::{OutRecord, Published, Publisher, Topic};
use ticksmith::role::producer::{FeedRun, plan_feed, run_producer};
use ticksmith::runtime::{Shutdown, SystemClock};
use ticksmith::websocket::simulator::{
    Fault, FaultTiming, MarketOptions, Recording, SimulatorOptions, Source, Speed, serve,
};

const PARTITIONS: u32 = 3;

/// Keeps everything; asks for a stop when it has seen enough.
struct Memory {
    records: Arc<Mutex<Vec<OutRecord>>>,
    enough: Box<dyn FnMut(&OutRecord) -> bool + Send>,
    shutdown: Shutdown,
    fails: bool,
}

impl Publisher for Memory {
    fn partition_count(&self) -> u32 {
        PARTITIONS
    }

    fn publish(&mut self, records: Vec<OutRecord>) -> Result<Published> {
        if self.fails {
            return Err(Error::Unavailable("the log is full".into()));
        }
        for record in records {
            if (self.enough)(&record) {
                self.shutdown.request();
            }
            self.records.lock().expect("no panic").push(record);
        }
        Ok(Published::Taken)
    }

    fn has_room(&self) -> bool {
        true
    }

    fn acknowledged_batches(&self) -> u64 {
        0
    }

    fn acknowledged_records(&self) -> u64 {
        self.records.lock().expect("no panic").len() as u64
    }

    fn flush(&mut self, _within: Duration) -> Result<()> {
        Ok(())
    }
}

/// Runs the producer against a simulator until `enough` says so; returns what reached the log.
fn produce(
    simulator: SimulatorOptions,
    configure: impl FnOnce(&mut Config),
    enough: impl FnMut(&OutRecord) -> bool + Send + 'static,
) -> (Result<()>, Vec<OutRecord>) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let mut config = Config::defaults();
    config.finnhub.url = format!("ws://{}", listener.local_addr().expect("an address"));
    config.producer.backoff_initial_ms = 1;
    config.producer.backoff_max_ms = 5;
    configure(&mut config);
    let shutdown = Shutdown::default();
    let _server = runtime.spawn(serve(listener, simulator, Shutdown::default()));
    let records = Arc::new(Mutex::new(Vec::new()));
    let memory = Memory {
        records: records.clone(),
        enough: Box::new(enough),
        shutdown: shutdown.clone(),
        fails: config.producer.name == "fails",
    };
    // A test that would hang fails instead.
    shutdown.request_after(Duration::from_secs(30));
    let outcome = run_producer(FeedRun {
        plan: plan_feed(&config).expect("a plan"),
        leases: Vec::new(),
        config: &config,
        publisher: Box::new(memory),
        avro: Arc::new(Avro::single_object()),
        clock: Arc::new(SystemClock),
        shutdown,
        progress_every: None,
        readiness: ticksmith::http::Readiness::not_yet("starting"),
    });
    let records = std::mem::take(&mut *records.lock().expect("no panic"));
    (outcome, records)
}

fn market(fault: Option<Fault>) -> SimulatorOptions {
    let source = Source::Market(MarketOptions::new(Config::defaults().finnhub.symbols, 2_000.0, 1));
    let fault_timing = FaultTiming { after_frames: 5, after: Duration::ZERO, every_frames: 5 };
    let options = SimulatorOptions::new(source, vec!["demo".into()], 1);
    SimulatorOptions { fault, fault_timing, ..options }
}

fn trade(record: &OutRecord) -> Option<Trade> {
    if record.topic != Topic::Trades {
        return None;
    }
    Avro::single_object().decode_trade(record.value.as_deref()?).ok()
}

fn event(record: &OutRecord) -> Option<FeedEvent> {
    let (_, header) = record.headers.iter().find(|(name, _)| *name == FEED_EVENT_HEADER)?;
    assert!(record.key.is_none() && record.value.is_none());
    Avro::single_object().decode_feed_event(header).ok()
}

fn kinds(records: &[OutRecord], partition: i32) -> Vec<FeedEventKind> {
    let of_partition = records.iter().filter(|record| record.partition == Some(partition));
    of_partition.filter_map(event).map(|event| event.kind).collect()
}

#[test]
fn trades_go_to_their_partition_and_events_to_all_in_order_of_seq() {
    let mut trades = 0;
    let (outcome, records) = produce(
        market(None),
        |config| config.producer.heartbeat_every_ms = 50,
        move |record| {
            trades += usize::from(record.value.is_some());
            trades > 1_000
        },
    );
    assert_eq!(outcome, Ok(()));
    let mut last = [0; PARTITIONS as usize];
    for record in &records {
        let partition = record.partition.expect("explicit") as usize;
        let seq = match (trade(record), event(record)) {
            (Some(trade), None) => {
                let expected = partition_for_key(trade.symbol.as_bytes(), PARTITIONS);
                assert_eq!(record.key.as_deref(), Some(trade.symbol.as_bytes()));
                assert_eq!(record.partition, Some(expected));
                trade.seq
            }
            (None, Some(event)) => event.seq,
            other => panic!("{other:?}"),
        };
        assert!(seq > last[partition], "seq rises in every partition");
        last[partition] = seq;
    }
    for partition in 0..PARTITIONS as i32 {
        let kinds = kinds(&records, partition);
        assert_eq!(kinds, self::kinds(&records, 0));
        use FeedEventKind::{Connected, Disconnected, Heartbeat, Released, Subscribed};
        assert_eq!(kinds[..2], [Connected, Subscribed]);
        let (between, end) = kinds[2..].split_at(kinds.len() - 4);
        assert!(!between.is_empty() && between.iter().all(|kind| *kind == Heartbeat));
        assert_eq!(end, [Disconnected, Released]);
    }
}

#[test]
fn a_new_connection_releases_the_one_before() {
    let mut connects = 0;
    let (outcome, records) = produce(
        market(Some(Fault::Drop)),
        // One subscription, which was read before any frame was sent. A socket that is dropped with
        // others unread takes the frames on their way along, and looks like a key in use.
        |config| config.finnhub.symbols.truncate(1),
        move |record| {
            connects += usize::from(
                event(record).is_some_and(|event| event.kind == FeedEventKind::Connected),
            );
            connects > 2 * PARTITIONS as usize
        },
    );
    assert_eq!(outcome, Ok(()));
    use FeedEventKind::{Connected, Disconnected, Heartbeat, Released, Subscribed};
    let mut kinds = kinds(&records, 0);
    kinds.retain(|kind| *kind != Heartbeat);
    assert_eq!(kinds[..6], [Connected, Subscribed, Disconnected, Released, Connected, Subscribed]);
    let of = |kind| records.iter().filter_map(event).find(|event| event.kind == kind);
    let (released, connected) =
        (of(Released).expect("released"), of(Connected).expect("connected"));
    assert_eq!((released.connection, released.feed), (connected.connection, connected.feed));
}

#[test]
fn what_is_no_trade_goes_to_the_rejected_topic_as_it_came() {
    let is_rejected = |record: &OutRecord| record.topic == Topic::Rejected;
    let (outcome, records) = produce(market(Some(Fault::Malformed)), |_| {}, is_rejected);
    assert_eq!(outcome, Ok(()));
    let rejected = records.iter().find(|record| is_rejected(record)).expect("one");
    let header = |name| {
        let found = rejected.headers.iter().find(|(header, _)| *header == name);
        String::from_utf8(found.expect("a header").1.clone()).expect("text")
    };
    assert!(header("reason").starts_with("malformed_"));
    assert!(header("frame").parse::<i64>().expect("a number") > 0);
    assert!(header("connection").parse::<i64>().expect("a number") > 0);
    assert!(rejected.key.is_none() && rejected.value.is_some());
    assert!(kinds(&records, 0).contains(&FeedEventKind::DecodeLoss));
}

#[test]
fn a_recording_sent_three_times_over_arrives_once() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/frames/feed.jsonl");
    let recording = Recording::open(path.as_ref()).expect("frames");
    let symbols = recording.symbols.clone();
    let source = Source::Recording { recording, speed: Speed::Max, exit_at_end: true };
    let options = SimulatorOptions::new(source, vec!["demo".into()], 1);
    let fault_timing = FaultTiming { every_frames: 1, ..options.fault_timing };
    let simulator = SimulatorOptions { fault: Some(Fault::Repeat3), fault_timing, ..options };
    let (outcome, records) = produce(
        simulator,
        |config| config.finnhub.symbols = symbols,
        |record| event(record).is_some_and(|event| event.kind == FeedEventKind::Disconnected),
    );
    assert_eq!(outcome, Ok(()));
    assert_eq!(records.iter().filter_map(trade).count(), 33);
}

#[test]
fn a_wrong_key_stops_the_producer_and_releases_nothing_of_it() {
    let (outcome, records) =
        produce(market(None), |config| config.finnhub.api_key = Secret::new("s3cr3t"), |_| false);
    let error = outcome.expect_err("wrong key");
    assert!(matches!(error, Error::Config(_)) && !error.to_string().contains("s3cr3t"), "{error}");
    assert!(records.is_empty());
}

#[test]
fn a_log_that_fails_stops_the_producer() {
    let (outcome, _) =
        produce(market(None), |config| config.producer.name = "fails".into(), |_| false);
    assert_eq!(outcome, Err(Error::Unavailable("the log is full".into())));
}
