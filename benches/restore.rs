//! `make bench`: how long a stream of 10,000 symbols takes from its start until it is ready, its
//! state read back from a changelog in Kafka and in the embedded log.
//!
//! Needs a real Kafka (`TICKSMITH_TEST_KAFKA`), which the make target starts. Every symbol has its
//! open windows, those within lateness, and its feed: about five records.

#[path = "restore/world.rs"]
mod world;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ticksmith::codec::avro::Avro;
use ticksmith::embedded::Database;
use ticksmith::embedded::log::Broker;
use ticksmith::engine::Rules;
use ticksmith::model::Interval;
use ticksmith::pipeline::{self, Parts, Schedule};
use ticksmith::runtime::{Shutdown, SystemClock};
use world::{KafkaWorld, ReadyAt, publish};

pub const SYMBOLS: usize = 10_000;
pub const PARTITIONS: u32 = 6;
const RUNS: usize = 3;
/// Records of a beat: few long beats write each window about once, many short ones again and again,
/// as a live stream does until compaction has been there.
const BEATS: [(&str, usize); 2] = [("each key about once", 1_000_000), ("uncompacted", 10_000)];

/// One start.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    pub ready_seconds: f64,
    pub restore_seconds: f64,
    pub records: f64,
    pub bytes: f64,
}

fn main() {
    // `cargo bench -- --list` and friends must not start anything.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    println!("| log | changelog | records | MB | restore, s | start to ready, s |");
    println!("|---|---|---|---|---|---|");
    for (name, beat_records) in BEATS {
        row("embedded", name, &embedded(beat_records));
    }
    let Some(kafka) = std::env::var("TICKSMITH_TEST_KAFKA").ok().filter(|one| !one.is_empty())
    else {
        println!("no Kafka; `make bench` starts one");
        return;
    };
    let world = KafkaWorld::filled(&kafka);
    for (number, (name, beat_records)) in BEATS.into_iter().enumerate() {
        let group = format!("restore-{number}");
        world.read_all(&group, beat_records);
        let starts: Vec<Start> = (0..RUNS).map(|_| world.start_until_ready(&group)).collect();
        row("Kafka", name, &starts);
    }
}

/// The median start.
fn row(log: &str, changelog: &str, starts: &[Start]) {
    let mut starts = starts.to_vec();
    starts.sort_by(|a, b| a.ready_seconds.total_cmp(&b.ready_seconds));
    let Start { ready_seconds, restore_seconds, records, bytes } = starts[starts.len() / 2];
    let megabytes = bytes / 1e6;
    println!(
        "| {log} | {changelog} | {records:.0} | {megabytes:.0} | {restore_seconds:.2} | \
         {ready_seconds:.2} |"
    );
}

fn embedded(beat_records: usize) -> Vec<Start> {
    let directory = tempfile::tempdir().expect("a directory");
    let fill = open(directory.path());
    publish(fill.publisher().expect("a publisher").as_mut());
    run(&fill, beat_records);
    drop(fill);
    let start = |_| {
        let before = world::metrics_of(&ticksmith::telemetry::render());
        let began = Instant::now();
        let ready_at = run(&open(directory.path()), beat_records);
        let after = world::metrics_of(&ticksmith::telemetry::render());
        Start {
            ready_seconds: ready_at.duration_since(began).as_secs_f64(),
            restore_seconds: after.restore_seconds - before.restore_seconds,
            records: after.records - before.records,
            bytes: after.bytes - before.bytes,
        }
    };
    (0..RUNS).map(start).collect()
}

fn open(directory: &Path) -> Arc<Broker> {
    let database = Database::open(directory).expect("a database");
    Broker::open(&database, PARTITIONS, 24, Arc::new(SystemClock)).expect("a log")
}

/// Reads to the end; returns when it was first ready.
fn run(broker: &Arc<Broker>, beat_records: usize) -> Instant {
    let live = Arc::new(ReadyAt::default());
    let intervals = ["5m", "1h"].map(|text| Interval::parse(text).expect("valid"));
    let parts = Parts {
        log_factory: broker.factory("bench"),
        store: None,
        live: live.clone(),
        avro: Arc::new(Avro::single_object()),
        rules: Arc::new(Rules::with_intervals(intervals.to_vec()).expect("they fit")),
        clock: Arc::new(SystemClock),
        schedule: Schedule {
            beat_ms: 60_000,
            beat_records,
            beat_bytes: 64 << 20,
            batch_ms: 20,
            batch_records: 2_000,
            provisional_every_ms: 60_000,
            provisional_max_lag_ms: 0,
            drain_deadline_ms: 60_000,
            silver_topic: false,
            provisional_to_topic: false,
            until_end: true,
            drain: false,
        },
        trades_topic: "trades".into(),
    };
    pipeline::run(parts, Shutdown::default()).expect("it reads to the end");
    live.first()
}
