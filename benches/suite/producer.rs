//! Part f: `ticksmith producer` at the end of a socket that always has more: parse, number, encode,
//! spool, and Kafka's acknowledgement by all replicas.

use std::process::Command;
use std::slice;
use std::time::{Duration, Instant};

use rdkafka::message::Message;
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::feed::Feed;
use crate::frame::frame;
use crate::generator::{Generator, symbol};
use crate::lab::{Lab, Names};
use crate::log::Log;
use crate::measure::{Measured, Own, cpu_of, peak_memory_mb};
use crate::process::Running;
use crate::servers::Servers;
use crate::throughput::Case;

const PARTITIONS: u32 = 6;
const LOOK_EVERY: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(300);

/// The case: `per_frame` trades a frame.
pub fn case<'a>(lab: &'a Lab, symbols: usize, trades: usize, per_frame: usize) -> Case<'a> {
    let all: Vec<_> = Generator::new(symbols).take(trades).collect();
    let frames: Vec<Utf8Bytes> = all.chunks(per_frame).map(|few| frame(few).into()).collect();
    Case::new(format!("f  producer, {per_frame} trades a frame"), move |run| {
        let topic = format!("bench-produced-{symbols}-{per_frame}-{run}");
        let names = Names::new(topic.clone(), topic.clone());
        let log = Log { bootstrap: lab.kafka.clone(), topic, partitions: PARTITIONS };
        lab.prepare(&names, "topics", &[]);
        let frames = frames.clone();
        let feed = Feed::start(symbols, move |wire| {
            frames.into_iter().for_each(|frame| wire.write(frame));
        });
        let spool = TempDir::new().expect("a directory");
        let command = command(lab, &names, &feed.url, symbols, spool.path());
        let producer = Running::start(command, "PRODUCER__HTTP_PORT");
        feed.await_begin();
        let measured = measure(lab.servers, &producer, trades);
        feed.end();
        producer.stop();
        let mut arrived = 0;
        log.each_committed(|record| arrived += usize::from(record.payload().is_some()));
        assert_eq!(arrived, trades, "trades in the topic");
        lab.delete(slice::from_ref(&log.topic));
        lab.delete(&names.outputs());
        measured
    })
}

/// Until so many records were acknowledged.
fn measure(servers: Servers, producer: &Running, trades: usize) -> Measured {
    let before = cpu_of(producer.pid());
    servers.around(trades, || {
        let began = Instant::now();
        // Feed events are acknowledged too: a few dozen, before the trades.
        while (producer.metric("ticksmith_feed_acknowledged_records") as usize) < trades {
            assert!(began.elapsed() < PATIENCE, "the producer does not come to an end");
            std::thread::sleep(LOOK_EVERY);
        }
        Own {
            cpu_seconds: cpu_of(producer.pid()) - before,
            peak_memory_mb: peak_memory_mb(producer.pid()).unwrap_or_default(),
            wall_seconds: None,
        }
    })
}

/// A producer of one key for all symbols of the market.
pub fn command(
    lab: &Lab,
    names: &Names,
    url: &str,
    symbols: usize,
    spool: &std::path::Path,
) -> Command {
    let list: Vec<String> = (0..symbols).map(symbol).collect();
    command_for(lab, names, url, &list, spool)
}

/// The same for any symbols.
pub fn command_for(
    lab: &Lab,
    names: &Names,
    url: &str,
    symbols: &[String],
    spool: &std::path::Path,
) -> Command {
    let (list, most) = (symbols.join(","), symbols.len().to_string());
    let spool = spool.display().to_string();
    let settings = [
        ("FINNHUB__SYMBOLS", list.as_str()),
        ("FINNHUB__SYMBOLS_PER_KEY", most.as_str()),
        ("PRODUCER__SPOOL_DIR", spool.as_str()),
        ("PRODUCER__LEASE", "false"),
    ];
    let mut command = lab.command(names, &["producer", "--url", url], &settings);
    command.env("FINNHUB_API_KEY", "bench");
    command
}
