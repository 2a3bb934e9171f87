//! Every metric name once, and one function per thing that happens, which moves the counter and
//! writes the log line together, so that the two cannot disagree.
//!
//! One file per room that reports: `stream`, `feed`, `log`, `store`; `restore` for the
//! part of the stream that comes before the first record; `process` for what every role has;
//! `spans` for how long things take. `recent` keeps the newest warnings.

pub mod feed;
pub mod log;
pub mod process;
pub mod recent;
pub mod restore;
pub mod spans;
pub mod store;
pub mod stream;

mod bounded;
mod catalogue;
mod export;
mod logging;

use std::sync::LazyLock;

use prometheus::core::Collector;
use prometheus::{
    GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, Result, TextEncoder,
};

pub use catalogue::{Kind, Metric, catalogue, to_markdown};
pub use logging::start_logging;

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);

/// The content type of what `render` gives.
pub const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics of this process in Prometheus' text format.
pub fn render() -> String {
    // Names and labels are fixed texts of this crate, which always encode.
    TextEncoder::new().encode_to_string(&REGISTRY.gather()).unwrap_or_default()
}

/// Registers a metric and enters it into the catalogue; its name begins with `ticksmith_` and is
/// used once.
fn registered<M: Collector + Clone + 'static>(kind: Kind, metric: Result<M>) -> M {
    let metric = metric.expect("a valid metric name");
    metric.desc().into_iter().for_each(|described| catalogue::enter(kind, described));
    REGISTRY.register(Box::new(metric.clone())).expect("a metric name is registered once");
    metric
}

fn counter(name: &str, help: &str) -> IntCounter {
    registered(Kind::Counter, IntCounter::new(name, help))
}

fn counter_by(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    registered(Kind::Counter, IntCounterVec::new(Opts::new(name, help), labels))
}

fn gauge(name: &str, help: &str) -> IntGauge {
    registered(Kind::Gauge, IntGauge::new(name, help))
}

fn gauge_by(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    registered(Kind::Gauge, IntGaugeVec::new(Opts::new(name, help), labels))
}

/// A gauge of fractions of a second.
fn seconds_by(name: &str, help: &str, labels: &[&str]) -> GaugeVec {
    registered(Kind::Gauge, GaugeVec::new(Opts::new(name, help), labels))
}

/// With Prometheus' usual buckets, 5 ms to 10 s.
fn histogram(name: &str, help: &str) -> Histogram {
    registered(Kind::Histogram, Histogram::with_opts(HistogramOpts::new(name, help)))
}

/// With labels, and buckets of its own.
fn histogram_in(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    registered(Kind::Histogram, HistogramVec::new(options, labels))
}
