//! Part g: from the instant at which a frame ought to reach the socket until its trade can be read:
//! from the trades topic, as a silver row, in a provisional bar; and from the instant at which the
//! watermark passes a window's end until its closed bar can be read.
//!
//! The load is open: a frame has its instant whether or not the one before it got through, and
//! latency counts from there. So whoever is slow makes the frames behind it late as well, and no
//! coordinated omission is left to correct.

use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tempfile::TempDir;

use crate::feed::Feed;
use crate::generator::{Generator, symbol};
use crate::lab::{Lab, Names};
use crate::load::{Load, PARTITIONS};
use crate::log::Log;
use crate::measure::cpu_of;
use crate::options::Options;
use crate::process::Running;
use crate::producer;
use crate::report::Report;
use crate::watch::{self, Stage};

/// The market around the probes.
const SYMBOLS: usize = 500;
/// Before anything counts: the servers compile, caches fill.
pub const WARM_UP: Duration = Duration::from_secs(20);
/// What has not come so long after the end counts as having taken that long.
const LINGER: Duration = Duration::from_secs(20);
/// Shorter than a bar of the shipped intervals, so that some close while it is watched.
const INTERVALS: &str = "5s,5m,1h";

/// Latencies of one stage, µs.
pub type Latencies = Histogram<u64>;

/// Measures at every rate.
pub fn run(lab: &Lab, options: &Options, report: &mut Report) {
    for rate in &options.rates {
        eprintln!("latency at {rate} trades/s for {} s …", options.seconds);
        at_rate(lab, *rate, Duration::from_secs(options.seconds), report);
    }
}

fn at_rate(lab: &Lab, rate: u32, lasting: Duration, report: &mut Report) {
    let names = Names::new(format!("latency-{rate}"), format!("bench-latency-{rate}"));
    let keyspace = format!("bench_latency_{rate}");
    let settings = [("CASSANDRA__KEYSPACE", keyspace.as_str()), ("STREAM__INTERVALS", INTERVALS)];
    lab.prepare(&names, "topics", &settings);
    lab.prepare(&names, "cassandra-init", &settings);
    let stream = lab.command(&names, &["stream"], &settings);
    let mut stream = Running::start(stream, "STREAM__HTTP_PORT");
    stream.await_ready();

    let load = Arc::new(Load::new(rate, lasting));
    let mut symbols: Vec<String> = (0..SYMBOLS).map(symbol).collect();
    symbols.extend(load.probes().iter().cloned());
    let sent = Arc::clone(&load);
    let feed = Feed::start(symbols.len(), move |wire| {
        sent.send(Generator::new(SYMBOLS), wire);
    });
    let spool = TempDir::new().expect("a directory");
    let command = producer::command_for(lab, &names, &feed.url, &symbols, spool.path());
    let producer = Running::start(command, "PRODUCER__HTTP_PORT");
    feed.await_begin();
    let pids =
        [producer.pid(), stream.pid(), lab.servers.kafka, lab.servers.cassandra.unwrap_or(0)];
    let busy = |pids: [u32; 4]| pids.map(|pid| if pid == 0 { 0.0 } else { cpu_of(pid) });
    std::thread::sleep(WARM_UP);
    let (before, began) = (busy(pids), Instant::now());
    let (log, bars) = (names.trades.clone(), names.output("bars"));
    let topic = |topic: String| Log { bootstrap: lab.kafka.clone(), topic, partitions: PARTITIONS };
    let stages = watch_all(lab, &load, &keyspace, topic(log), topic(bars), lasting);
    let (after, took) = (busy(pids), began.elapsed().as_secs_f64());

    feed.end();
    producer.stop();
    stream.stop();
    for (stage, latencies) in &stages {
        tell(rate, *stage, latencies, report);
    }
    let names_of = ["producer", "stream", "Kafka", "Cassandra"];
    for ((name, before), after) in names_of.iter().zip(before).zip(after) {
        let share = (after - before) / took * 100.0;
        report.figure(format!("g  {rate} trades/s, {name}'s share of a core"), "%", share);
    }
    lab.delete(slice::from_ref(&names.trades));
    lab.delete(&names.outputs());
}

/// Watches every stage until the load is over and what it sent has come, or is given up.
fn watch_all(
    lab: &Lab,
    load: &Arc<Load>,
    keyspace: &str,
    trades: Log,
    bars: Log,
    lasting: Duration,
) -> Vec<(Stage, Latencies)> {
    let over = Arc::new(AtomicBool::new(false));
    let deadline = Instant::now() + lasting + LINGER;
    let topics = [(Stage::Trades, trades), (Stage::BarsTopic, bars)];
    let topics: Vec<_> = topics
        .into_iter()
        .map(|(stage, log)| {
            let (load, over) = (Arc::clone(load), Arc::clone(&over));
            (stage, std::thread::spawn(move || watch::topic(stage, &log, &load, &over)))
        })
        .collect();
    let mut stages = watch::tables(lab.cassandra(), keyspace, load, deadline);
    over.store(true, Ordering::Release);
    let ended = topics
        .into_iter()
        .map(|(stage, thread)| (stage, thread.join().expect("the watcher of a topic ends well")));
    stages.extend(ended);
    stages
}

fn tell(rate: u32, stage: Stage, latencies: &Latencies, report: &mut Report) {
    let name = format!("g  {rate} trades/s, {}", stage.name());
    eprintln!("{name}: {} samples", latencies.len());
    if latencies.is_empty() {
        return;
    }
    for (label, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        let ms = latencies.value_at_quantile(quantile) as f64 / 1_000.0;
        report.figure(format!("{name}, {label} of {}", latencies.len()), "ms", ms);
    }
}
