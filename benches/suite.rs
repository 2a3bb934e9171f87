//! `make bench`: what ticksmith costs, beside the limits that Kafka's client and Cassandra set on
//! the same machine in the same sitting.
//!
//! Needs a real Kafka and Cassandra, which the make target starts. No speed of a stream is printed
//! before its bars were those of an oracle that shares nothing with the engine.

#[path = "market/bars.rs"]
mod bars;
#[path = "market/frame.rs"]
mod frame;
#[path = "market/generator.rs"]
mod generator;
#[path = "market/log.rs"]
mod log;
#[path = "market/measure.rs"]
mod measure;
#[path = "market/oracle.rs"]
mod oracle;
#[path = "market/servers.rs"]
mod servers;

#[path = "suite/feed.rs"]
mod feed;
#[path = "suite/inside.rs"]
mod inside;
#[path = "suite/lab.rs"]
mod lab;
#[path = "suite/latency.rs"]
mod latency;
#[path = "suite/load.rs"]
mod load;
#[path = "suite/options.rs"]
mod options;
#[path = "suite/poll.rs"]
mod poll;
#[path = "suite/process.rs"]
mod process;
#[path = "suite/producer.rs"]
mod producer;
#[path = "suite/report.rs"]
mod report;
#[path = "suite/restore.rs"]
mod restore;
#[path = "suite/sizes.rs"]
mod sizes;
#[path = "suite/stream.rs"]
mod stream;
#[path = "suite/throughput.rs"]
mod throughput;
#[path = "suite/up.rs"]
mod up;
#[path = "suite/watch.rs"]
mod watch;
#[path = "suite/writer.rs"]
mod writer;

use clap::Parser;
use lab::Lab;
use options::{Options, Part};
use report::Report;
use serde_json::json;

fn main() {
    // `cargo bench -- --list` and friends must not start anything.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    let options = Options::parse();
    let Some(mut lab) = Lab::find() else {
        println!("suite: no servers; `make bench` starts them");
        return;
    };
    let mut report = Report::default();
    throughput::run(&lab, &options, &mut report);
    if options.wants(Part::G) {
        latency::run(&lab, &options, &mut report);
    }
    if options.wants(Part::H) {
        restore::run(&lab, &options, &mut report);
    }
    if options.wants(Part::J) {
        sizes::run(&mut lab, &options, &mut report);
    }
    report.print();
    if let Some(path) = &options.json {
        report.write(path, about(&options));
    }
    if let Some(path) = &options.compare {
        report.compare(path);
    }
}

/// What a reader of the result has to know of it.
fn about(options: &Options) -> serde_json::Value {
    let version = env!("CARGO_PKG_VERSION");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    json!({
        "version": version,
        "cores": cores,
        "runs": options.runs,
        "trades": options.trades,
        "table_trades": options.table_trades,
    })
}
