//! Every metric name once, and one function per thing that happens, which moves the counter and
//! writes the log line together, so that the two cannot disagree.
//!
//! One file per room that reports: `stream`, `feed`, `log`, `store`; `restore` for the
//! part of the stream that comes before the first record. `recent` keeps the newest warnings.

pub mod feed;
pub mod log;
pub mod recent;
pub mod restore;
pub mod store;
pub mod stream;

mod bounded;
mod logging;

use std::sync::LazyLock;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

pub use logging::start_logging;

static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);

/// The metrics of this process in Prometheus' text format.
pub fn render() -> String {
    // Names and labels are fixed texts of this crate, which always encode.
    TextEncoder::new().encode_to_string(&REGISTRY.gather()).unwrap_or_default()
}

macro_rules! makers {
    ($(
        $function:ident($opts:ident, $labels:ident) -> $plain:ident,
        $vector_function:ident -> $vector:ident;
    )+) => {$(
        /// Registers a metric; `name` begins with `ticksmith_` and is used once.
        pub(crate) fn $function(name: &str, help: &str) -> $plain {
            let metric = $plain::with_opts($opts::new(name, help)).expect("a valid metric name");
            REGISTRY.register(Box::new(metric.clone())).expect("a metric name is registered once");
            metric
        }
        /// The same with labels.
        pub(crate) fn $vector_function(name: &str, help: &str, $labels: &[&str]) -> $vector {
            let metric = $vector::new($opts::new(name, help), $labels).expect("valid names");
            REGISTRY.register(Box::new(metric.clone())).expect("a metric name is registered once");
            metric
        }
    )+};
}

makers! {
    counter(Opts, labels) -> IntCounter, counter_by -> IntCounterVec;
    gauge(Opts, labels) -> IntGauge, gauge_by -> IntGaugeVec;
    histogram(HistogramOpts, labels) -> Histogram, histogram_by -> HistogramVec;
}

/// A histogram with labels and buckets of its own.
pub(crate) fn histogram_in(
    name: &str,
    help: &str,
    labels: &[&str],
    buckets: &[f64],
) -> HistogramVec {
    let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    let metric = HistogramVec::new(options, labels).expect("valid names");
    REGISTRY.register(Box::new(metric.clone())).expect("a metric name is registered once");
    metric
}
