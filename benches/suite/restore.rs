//! Part h: from the start of a stream until it is ready to read trades, with nothing to restore and
//! with the state of many symbols, and until its first record can be read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ticksmith::codec::avro::Avro;
use ticksmith::config::Config;
use ticksmith::kafka::KafkaPublisher;
use ticksmith::model::feed_event::FEED_EVENT_HEADER;
use ticksmith::model::{FeedEvent, FeedEventKind, Trade};
use ticksmith::port::{OutRecord, Published, Publisher, Topic};
use ticksmith::runtime::SystemClock;

use crate::generator::START_MS;
use crate::lab::{Lab, Names, Settings};
use crate::log::Log;
use crate::options::Options;
use crate::process::{Running, metric_in};
use crate::report::{Figure, Report};

const PARTITIONS: u32 = 6;
/// Each symbol trades once a minute for so long: of its windows, the last ones are open or within
/// lateness then, five records of state with its feed.
const MINUTES: usize = 28;
const BATCH: usize = 2_000;
const PATIENCE: Duration = Duration::from_secs(120);
/// Records of a beat: few long beats write each window about once, many short ones again and again,
/// as a live stream does until compaction has been there.
const BEATS: [(&str, &str); 2] = [("each key about once", "1000000"), ("uncompacted", "10000")];
const TOPICS_ONLY: (&str, &str) = ("STREAM__STORE", "none");

/// Measures every size of state.
pub fn run(lab: &Lab, options: &Options, report: &mut Report) {
    first_output(lab, options.runs, report);
    for symbols in [0].iter().chain(&options.symbols) {
        let topic = format!("bench-restore-{symbols}");
        let names = Names::new(topic.clone(), topic);
        lab.prepare(&names, "topics", &[]);
        if *symbols > 0 {
            publish(&lab.kafka, &names, *symbols);
        }
        for (name, beat_records) in BEATS.iter().take(if *symbols == 0 { 1 } else { 2 }) {
            starts(lab, options.runs, *symbols, name, beat_records, report);
        }
    }
}

fn starts(
    lab: &Lab,
    runs: usize,
    symbols: usize,
    name: &str,
    beat_records: &str,
    report: &mut Report,
) {
    let trades = format!("bench-restore-{symbols}");
    let names = Names::new(format!("{trades}-{beat_records}"), trades);
    let settings = [
        TOPICS_ONLY,
        ("STREAM__SILVER_TOPIC", "false"),
        ("STREAM__BEAT_RECORDS", beat_records),
        ("STREAM__BEAT_MS", "10000"),
    ];
    lab.prepare(&names, "topics", &settings);
    let filled = lab.command(&names, &["stream", "--until-end"], &settings).status();
    assert!(filled.expect("the binary runs").success(), "stream --until-end");
    let (mut ready, mut restore, mut state) = (Vec::new(), Vec::new(), (0.0, 0.0));
    for _ in 0..runs {
        let command = lab.command(&names, &["stream"], &settings);
        let mut stream = Running::start(command, "STREAM__HTTP_PORT");
        ready.push(stream.await_ready());
        let metrics = stream.get("/metrics");
        restore.push(metric_in(&metrics, "ticksmith_restore_seconds_sum"));
        let records = metric_in(&metrics, "ticksmith_restore_records_total");
        state = (records, metric_in(&metrics, "ticksmith_restore_bytes_total") / 1e6);
        stream.stop();
    }
    let (records, megabytes) = state;
    let name = format!("h  {symbols} symbols, {name}: {records:.0} records, {megabytes:.1} MB");
    eprintln!("{name}");
    report.figures.push(Figure { name: format!("{name}, start to ready"), unit: "s", runs: ready });
    report.figures.push(Figure { name: format!("{name}, restore"), unit: "s", runs: restore });
    lab.delete(&names.outputs());
}

/// A trade waits in the topic; from the start of the stream until it can be read from silver, by a
/// reader that is there already.
fn first_output(lab: &Lab, runs: usize, report: &mut Report) {
    let trades = "bench-first-output";
    let mut took = Vec::new();
    for run in 0..runs {
        let names = Names::new(format!("{trades}-{run}"), trades);
        lab.prepare(&names, "topics", &[TOPICS_ONLY]);
        if run == 0 {
            publish(&lab.kafka, &names, 1);
        }
        let (bootstrap, topic) = (lab.kafka.clone(), names.output("silver"));
        let silver = Log { bootstrap, topic, partitions: PARTITIONS };
        let consumer = silver.consumer(&[("enable.partition.eof", "true")]);
        for _ in 0..PARTITIONS {
            assert!(consumer.poll(PATIENCE).expect("an end").is_err(), "nothing is there yet");
        }
        let settings: &Settings = &[TOPICS_ONLY];
        let began = Instant::now();
        let command = lab.command(&names, &["stream"], settings);
        let stream = Running::start(command, "STREAM__HTTP_PORT");
        while consumer.poll(PATIENCE).expect("a record comes").is_err() {}
        took.push(began.elapsed().as_secs_f64());
        stream.stop();
        lab.delete(&names.outputs());
    }
    let name = "h  start to first committed record on the silver topic".to_owned();
    report.figures.push(Figure { name, unit: "s", runs: took });
}

/// A connection, its subscription, and all trades.
fn publish(bootstrap: &str, names: &Names, symbols: usize) {
    let mut config = Config::defaults();
    config.kafka.bootstrap = bootstrap.to_owned();
    config.topics.trades.clone_from(&names.trades);
    config.topics.rejected = names.output("rejected");
    let publisher = KafkaPublisher::connect(&config, Arc::new(SystemClock));
    let mut publisher = publisher.expect("a publisher");
    let avro = Avro::single_object();
    let kinds = [(FeedEventKind::Connected, 1), (FeedEventKind::Subscribed, 2)];
    for (kind, seq) in kinds {
        let of = |partition| event(&avro, kind, seq, partition, symbols);
        send(&mut publisher, (0..PARTITIONS).map(of).collect());
    }
    let all: Vec<usize> = (0..symbols * MINUTES).collect();
    for batch in all.chunks(BATCH) {
        send(&mut publisher, batch.iter().map(|number| trade(&avro, *number, symbols)).collect());
    }
    publisher.flush(PATIENCE).expect("everything is acknowledged");
}

fn send(publisher: &mut dyn Publisher, mut records: Vec<OutRecord>) {
    while let Published::NoRoom(back) = publisher.publish(records).expect("published") {
        std::thread::sleep(Duration::from_millis(5));
        records = back;
    }
}

fn symbol(number: usize) -> String {
    format!("S{number:05}")
}

fn event(avro: &Avro, kind: FeedEventKind, seq: i64, partition: u32, symbols: usize) -> OutRecord {
    let event = FeedEvent {
        kind,
        connection: 1,
        seq,
        feed: "bench/0".into(),
        at_us: START_MS * 1_000,
        feed_time_ms: None,
        confirmed_at_us: None,
        confirmed_feed_time_ms: None,
        symbols: if seq == 2 { (0..symbols).map(symbol).collect() } else { Vec::new() },
        lost_records: 0,
        detail: String::new(),
    };
    let mut header = Vec::new();
    avro.encode_feed_event(&event, &mut header).expect("encodes");
    OutRecord {
        topic: Topic::Trades,
        partition: i32::try_from(partition).ok(),
        key: None,
        value: None,
        headers: vec![(FEED_EVENT_HEADER, header)],
    }
}

fn trade(avro: &Avro, number: usize, symbols: usize) -> OutRecord {
    let (name, at_ms) = (symbol(number % symbols), number as i64 * 60_000 / symbols as i64);
    let trade = Trade {
        symbol: name.as_str().into(),
        price: 100.0 + (number % 97) as f64 / 8.0,
        volume: 1.0 + (number % 7) as f64,
        trade_time_ms: START_MS + at_ms,
        conditions: Some(["1".into()].into_iter().collect()),
        connection: 1,
        seq: 3 + number as i64,
        received_at_us: (START_MS + at_ms) * 1_000,
        feed: "bench/0".into(),
    };
    let mut value = Vec::new();
    avro.encode_trade(&trade, &mut value).expect("encodes");
    let (topic, key) = (Topic::Trades, Some(name.into_bytes()));
    OutRecord { topic, partition: None, key, value: Some(value), headers: Vec::new() }
}
