//! Replays over the real embedded log and store: what is written anew equals what was there, as the
//! next generation, and nothing else moves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, Ordering};

use clap::Parser;
use tempfile::TempDir;

use super::plan::Place;
use super::*;
use crate::embedded::store::{EmbeddedReader, EmbeddedStore};
use crate::model::feed_event::FEED_EVENT_HEADER;
use crate::model::{
    Bar, Effects, FeedEvent, FeedEventKind, PartitionMeta, Trade, partition_for_key,
};
use crate::pipeline::{self, Parts, Schedule};
use crate::port::{Beat, BeatReport, Live, OutRecord, Store, Topic, Written};
use crate::runtime::Shutdown;

const PARTITIONS: u32 = 2;
/// Tuesday, 2023-11-14 22:00 UTC.
const START_MS: i64 = 1_699_999_200_000;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
const SYMBOLS: [&str; 4] = ["BINANCE:BTCUSDT", "AAPL", "OANDA:EUR_USD", "MSFT"];
const CONNECTION: i64 = 7;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn args(line: &[&str]) -> Args {
    Line::try_parse_from([&["reset"], line].concat()).expect("valid arguments").args
}

struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
    fn monotonic_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
    fn sleep(&self, duration: Duration) {
        self.0.fetch_add(duration.as_micros() as i64, Ordering::SeqCst);
    }
}

struct NoOneWatches;

impl Live for NoOneWatches {
    fn bars(&self, _: &[Bar]) {}
    fn trades(&self, _: &[crate::model::Judged]) {}
    fn ready(&self, _: bool, _: &str) {}
    fn beat(&self, _: &BeatReport) {}
}

struct World {
    directory: TempDir,
    config: Config,
    clock: Arc<HandClock>,
    broker: Arc<Broker>,
    database: Database,
    seqs: i64,
}

impl World {
    fn new(retention_hours: u32) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut config = Config::defaults();
        config.topics.partitions = PARTITIONS;
        let clock = Arc::new(HandClock(AtomicI64::new(START_MS * 1_000)));
        let database = Database::open(directory.path()).expect("a file");
        let broker = Broker::open(&database, PARTITIONS, retention_hours, clock.clone());
        let broker = broker.expect("a broker");
        Self { directory, config, clock, broker, database, seqs: 0 }
    }

    /// A market of so many minutes: each is published as it happens.
    fn fill(&mut self, minutes: std::ops::Range<i64>) {
        let mut publisher = self.broker.publisher().expect("a publisher");
        for minute in minutes {
            let now_ms = START_MS + minute * MINUTE_MS;
            self.clock.0.store(now_ms * 1_000, Ordering::SeqCst);
            let mut records = Vec::new();
            if minute == 0 {
                records.extend(self.event(FeedEventKind::Connected, now_ms));
            }
            if minute % 60 == 0 {
                records.extend(self.event(FeedEventKind::Subscribed, now_ms));
            }
            for step in 0..6 {
                records.push(self.trade(minute, step, now_ms));
            }
            records.extend(self.event(FeedEventKind::Heartbeat, now_ms));
            publisher.publish(records).expect("published");
            publisher.flush(Duration::from_secs(60)).expect("flushed");
        }
    }

    fn trade(&mut self, minute: i64, step: i64, now_ms: i64) -> OutRecord {
        self.seqs += 1;
        let symbol = SYMBOLS[((minute * 6 + step) * 7 % 11 % 4) as usize];
        // Some come late enough to correct a closed bar, some too late for it.
        let behind_ms = match (minute * 6 + step) % 50 {
            17 => 8 * MINUTE_MS,
            31 => 20 * MINUTE_MS,
            _ => (step * 37) % 900,
        };
        let trade = Trade {
            symbol: symbol.into(),
            price: 100.0 + ((minute * 13 + step * 7) % 97) as f64 / 8.0,
            volume: 1.0 + (step % 4) as f64 / 10.0,
            trade_time_ms: now_ms + step - behind_ms,
            conditions: None,
            connection: CONNECTION,
            seq: self.seqs,
            received_at_us: now_ms * 1_000,
            feed: "test/0".into(),
        };
        let mut value = Vec::new();
        Avro::single_object().encode_trade(&trade, &mut value).expect("encodes");
        OutRecord {
            topic: Topic::Trades,
            partition: Some(partition_for_key(symbol.as_bytes(), PARTITIONS)),
            key: Some(symbol.into()),
            value: Some(value),
            headers: Vec::new(),
        }
    }

    /// To every partition.
    fn event(&mut self, kind: FeedEventKind, now_ms: i64) -> Vec<OutRecord> {
        self.seqs += 1;
        let dated = (self.seqs > 3).then_some(now_ms);
        let event = FeedEvent {
            kind,
            connection: CONNECTION,
            seq: self.seqs,
            feed: "test/0".into(),
            at_us: now_ms * 1_000,
            feed_time_ms: dated,
            confirmed_at_us: Some(now_ms * 1_000),
            confirmed_feed_time_ms: dated,
            symbols: SYMBOLS.map(str::to_owned).to_vec(),
            lost_records: 0,
            detail: String::new(),
        };
        let mut header = Vec::new();
        Avro::single_object().encode_feed_event(&event, &mut header).expect("encodes");
        let to = |partition| OutRecord {
            topic: Topic::Trades,
            partition: Some(partition),
            key: None,
            value: None,
            headers: vec![(FEED_EVENT_HEADER, header.clone())],
        };
        (0..PARTITIONS as i32).map(to).collect()
    }

    fn store(&self) -> EmbeddedStore {
        EmbeddedStore::open(&self.database, &self.config, self.clock.clone()).expect("a store")
    }

    /// A stream from start to the end of the log.
    fn stream(&self) -> Result<BeatReport> {
        let parts = Parts {
            log_factory: self.broker.factory(&self.config.kafka.group),
            store: Some(Box::new(self.store())),
            live: Arc::new(NoOneWatches),
            avro: Arc::new(Avro::single_object()),
            rules: wiring::rules(&self.config).expect("valid rules"),
            clock: self.clock.clone(),
            schedule: Schedule {
                until_end: true,
                drain: true,
                beat_records: 300,
                ..wiring::schedule(&self.config)
            },
            trades_topic: "trades".into(),
        };
        pipeline::run(parts, Shutdown::default())
    }

    fn reset(&self, line: &[&str]) -> Result<()> {
        let data = self.directory.path().display().to_string();
        let args = args(&[line, &["--data", &data]].concat());
        let mut log = self.broker.session(&self.config.kafka.group).expect("a session");
        let reset = Reset { args: &args, config: &self.config, clock: self.clock.as_ref() };
        let outcome = reset.run(log.as_mut());
        log.close();
        outcome
    }

    fn bars(&self) -> BTreeMap<(String, Interval, i64), Bar> {
        let reader = EmbeddedReader::open(&self.database).expect("a reader");
        let mut bars = BTreeMap::new();
        for interval in self.config.stream.parsed_intervals() {
            for symbol in SYMBOLS.map(str::to_owned) {
                let (from_ms, to_ms, limit) = (i64::MIN, i64::MAX, usize::MAX);
                let query = BarQuery { symbol: symbol.clone(), interval, from_ms, to_ms, limit };
                for bar in reader.bars(&query).expect("bars") {
                    bars.insert((symbol.clone(), interval, bar.window.start_ms), bar);
                }
            }
        }
        bars
    }

    /// Where the group stands.
    fn offsets(&self) -> Vec<i64> {
        let mut log = self.broker.session(&self.config.kafka.group).expect("a session");
        let offset = |partition| {
            let restored =
                log.restore(partition, &mut |_, _| Ok(()), &mut |_| {}).expect("restored");
            restored.committed.expect("committed")
        };
        (0..PARTITIONS as i32).map(offset).collect()
    }

    /// How often each trade is in the silver topic, by time and seq.
    fn silver(&self) -> BTreeMap<(i64, i64), usize> {
        let avro = Avro::single_object();
        let mut counts = BTreeMap::new();
        for partition in 0..PARTITIONS as i32 {
            let read = self.broker.read(Topic::Silver, partition, 0, usize::MAX).expect("read");
            for record in read {
                let trade = avro.decode_trade(&record.value.expect("a value")).expect("decodes");
                *counts.entry((trade.trade_time_ms, trade.seq)).or_default() += 1;
            }
        }
        counts
    }
}

/// What `bars` are after a replay from `from_ms` on.
fn replayed(
    bars: &BTreeMap<(String, Interval, i64), Bar>,
    from_ms: i64,
    generation: i64,
) -> BTreeMap<(String, Interval, i64), Bar> {
    let anew = |bar: &Bar| match bar.window.start_ms >= from_ms {
        true => Bar { generation, ..bar.clone() },
        false => bar.clone(),
    };
    bars.iter().map(|(key, bar)| (key.clone(), anew(bar))).collect()
}

#[test]
fn bars_from_the_boundary_on_come_again_as_the_next_generation() {
    let mut world = World::new(24 * 7);
    world.fill(0..6 * 60);
    world.stream().expect("streamed");
    let (before, stood, silver) = (world.bars(), world.offsets(), world.silver());
    assert!(before.len() > 100 && before.values().all(|bar| bar.generation == 0));

    let asked = ((START_MS + 3 * HOUR_MS + 20 * MINUTE_MS) / 1_000).to_string();
    world.reset(&["--to-datetime", &asked]).expect("a plan");
    assert_eq!(world.offsets(), stood, "a plan changes nothing");
    world.reset(&["--to-datetime", &asked, "--apply"]).expect("reset");
    for (target, stood) in world.offsets().into_iter().zip(&stood) {
        assert!(0 < target && target < *stood, "{target} of {stood}: back, but not to the start");
    }
    world.stream().expect("streamed again");
    let boundary_ms = START_MS + 3 * HOUR_MS;
    let after = replayed(&before, boundary_ms, 1);
    assert!(after.values().any(|bar| bar.generation == 0));
    assert_eq!(world.bars(), after);
    assert_eq!(world.offsets(), stood);
    let expected = silver.keys().map(|key| (*key, if key.0 >= boundary_ms { 2 } else { 1 }));
    assert_eq!(world.silver(), expected.collect(), "trades before the boundary were told already");

    // Somebody who slept through it writes what the old generation knew.
    let zombie = Effects { bars: before.values().cloned().collect(), ..Effects::default() };
    let mut store = world.store();
    store.write(&zombie).expect("written");
    store.flush().expect("flushed");
    assert_eq!(world.bars(), after, "not a row is taken back");

    world.reset(&["--by-duration", "30m", "--apply"]).expect("reset once more");
    world.stream().expect("streamed once more");
    // 04:00 less half an hour: the boundary before that.
    assert_eq!(world.bars(), replayed(&after, START_MS + 5 * HOUR_MS, 2));
}

#[test]
fn it_mends_what_the_stream_refuses() {
    let mut world = World::new(24 * 7);
    world.fill(0..3 * 60);
    world.stream().expect("streamed");
    let before = world.bars();
    let mut log = world.broker.session(&world.config.kafka.group).expect("a session");
    let mut gone = Beat::default();
    for partition in 0..PARTITIONS as i32 {
        let forget = &mut |key: &[u8], _: &[u8]| {
            gone.records.push(OutRecord {
                topic: Topic::Changelog,
                partition: Some(partition),
                key: Some(key.to_vec()),
                value: None,
                headers: Vec::new(),
            });
            Ok(())
        };
        log.restore(partition, forget, &mut |_| {}).expect("restored");
    }
    log.commit(gone).expect("the changelog is lost");
    drop(log);
    assert!(matches!(world.stream(), Err(Error::Config(_))), "the stream refuses to guess");
    world.reset(&["--to-earliest", "--apply"]).expect("reset");
    world.stream().expect("it streams again");
    assert_eq!(world.bars(), replayed(&before, i64::MIN, 1), "the tables tell the generation");

    let refused = world.reset(&["--to-earliest", "--generation", "1"]).expect_err("not above");
    assert!(refused.to_string().contains("give 2 or more"), "{refused}");
    world.reset(&["--to-earliest", "--generation", "9", "--apply"]).expect("reset");
    world.stream().expect("streamed");
    assert_eq!(world.bars(), replayed(&before, i64::MIN, 9));
}

#[test]
fn a_new_interval_begins_by_itself() {
    let mut world = World::new(24 * 7);
    world.fill(0..100);
    world.stream().expect("streamed");
    world.config.stream.intervals = ["5m", "15m", "1h"].map(str::to_owned).to_vec();
    world.fill(100..4 * 60);
    world.stream().expect("streamed under more intervals");
    let found = world.bars();
    let mut fresh = World::new(24 * 7);
    fresh.config = world.config.clone();
    fresh.fill(0..4 * 60);
    fresh.stream().expect("streamed");
    let quarter = Interval::parse("15m").expect("valid");
    // Minute 99 was the last one, trades are kept ten minutes and a bar: from minute 90 on.
    let is_told =
        |key: &(String, Interval, i64)| key.1 != quarter || key.2 >= START_MS + 90 * MINUTE_MS;
    let expected: BTreeMap<_, _> =
        fresh.bars().into_iter().filter(|(key, _)| is_told(key)).collect();
    assert_eq!(found, expected);
    assert!(found.keys().any(|key| key.1 == quarter));
}

fn standing(partition: i32, offset: i64, log_start: i64) -> Standing {
    let meta = PartitionMeta {
        next_offset: offset,
        watermark_ms: Some(START_MS + 10 * HOUR_MS),
        generation: 3,
        partition_count: 1,
        ..PartitionMeta::default()
    };
    Standing {
        partition,
        committed: Some(offset),
        log_start,
        log_end: 1_000,
        meta: Some(meta),
        windows: 12,
        keys: vec![b"meta".to_vec(), b"window/5m/0/A".to_vec()],
    }
}

fn plan(asked: Asked, standing: Standing) -> Plan {
    let rules = wiring::rules(&Config::defaults()).expect("valid");
    Plan::new(asked, &rules, vec![standing]).expect("a plan")
}

fn written(offset: i64, at_ms: i64) -> Option<Written> {
    Some(Written { offset, at_ms })
}

#[test]
fn no_unfinished_bar_is_left_behind() {
    let asked = |asked_ms| plan(Asked::Since(asked_ms), standing(0, 900, 0)).bars_from_ms();
    assert_eq!(asked(START_MS + 2 * HOUR_MS), Some(START_MS + 2 * HOUR_MS));
    assert_eq!(asked(START_MS + 2 * HOUR_MS - 1), Some(START_MS + HOUR_MS), "at or before");
    // The watermark stands at ten hours, and trades may come ten minutes late.
    assert_eq!(asked(START_MS + 11 * HOUR_MS), Some(START_MS + 9 * HOUR_MS));
    let plan = plan(Asked::Since(START_MS + 5 * HOUR_MS), standing(0, 900, 0));
    let lead_ms = 2 * HOUR_MS + 15 * MINUTE_MS;
    assert_eq!(plan.read_from_ms(), Some(START_MS + 5 * HOUR_MS - lead_ms));
}

#[test]
fn what_the_log_no_longer_has_is_refused_with_what_it_has() {
    let mut plan = plan(Asked::Since(START_MS + HOUR_MS), standing(0, 900, 100));
    let first = written(100, START_MS + 30 * MINUTE_MS);
    plan.place(0, Place { first, target: first }).expect("placed");
    let refused = plan.check_reach().expect_err("too early").to_string();
    for part in ["--to-earliest", "2023-11-14T22:30:00Z", "2023-11-15T01:00:00Z"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
}

#[test]
fn a_plan_says_what_it_means_and_its_transaction_is_whole() {
    let mut plan = plan(Asked::Earliest, standing(0, 50, 100));
    let first = written(100, START_MS + 11 * HOUR_MS);
    plan.place(0, Place { first, target: first }).expect("placed");
    plan.check_reach().expect("it reaches");
    plan.generation = 4;
    let text = plan.text(false);
    for part in [
        "anew from 2023-11-15T12:00:00Z on, as generation 4",
        "50 records were deleted from the log before the stream read them",
        "nothing was changed; --apply does it",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    let beat = plan.beat(&Avro::single_object()).expect("a beat");
    assert_eq!(beat.offsets, [(0, 100)]);
    let keys: BTreeSet<(&[u8], bool)> = beat
        .records
        .iter()
        .map(|record| (record.key.as_deref().expect("a key"), record.value.is_some()))
        .collect();
    let expected = [(&b"meta"[..], true), (b"scope", true), (b"window/5m/0/A", false)];
    assert_eq!(keys, expected.into());
    assert_eq!(beat.records.len(), 3, "no tombstone for what is written anew");
}

#[test]
fn one_target_has_to_be_named_and_members_are_counted() {
    for line in [&["reset"][..], &["reset", "--to-earliest", "--by-duration", "1h"]] {
        assert!(Line::try_parse_from(line).is_err(), "{line:?}");
    }
    assert!(refuse_members(0, "g").is_ok());
    let one = refuse_members(1, "g").expect_err("active").to_string();
    let many = refuse_members(3, "g").expect_err("active").to_string();
    assert!(one.contains("'g' has an active member") && many.contains("has 3 active"), "{many}");
}
