//! What happens on the way to the tables.

use std::sync::LazyLock;
use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec};

use super::{counter_by, histogram_in};
use crate::error::Error;
use crate::model::Effects;

/// From a table in memory, over a busy cluster, to a request that times out.
const BATCH_BUCKETS: [f64; 13] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

struct Metrics {
    rows: IntCounterVec,
    batches: IntCounterVec,
    batch_seconds: HistogramVec,
    retries: IntCounterVec,
    errors: IntCounterVec,
    expired: IntCounterVec,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(|| Metrics {
    rows: counter_by("ticksmith_store_rows_total", "Rows acknowledged, by table.", &["table"]),
    batches: counter_by(
        "ticksmith_store_batches_total",
        "Batches acknowledged, by table.",
        &["table"],
    ),
    batch_seconds: histogram_in(
        "ticksmith_store_batch_seconds",
        "From sending a batch to its acknowledgement.",
        &["table"],
        &BATCH_BUCKETS,
    ),
    retries: counter_by(
        "ticksmith_store_retries_total",
        "Batches sent again after a transient error, by table.",
        &["table"],
    ),
    errors: counter_by(
        "ticksmith_store_errors_total",
        "Batches given back to the caller, by table.",
        &["table"],
    ),
    expired: counter_by(
        "ticksmith_store_expired_rows_total",
        "Rows deleted from the embedded store because their time was over, by table.",
        &["table"],
    ),
});

pub(super) fn expose() {
    LazyLock::force(&METRICS);
}

/// A batch was acknowledged. Too frequent for a log line.
pub fn batch_written(table: &str, rows: usize, took: Duration) {
    METRICS.rows.with_label_values(&[table]).inc_by(rows as u64);
    METRICS.batches.with_label_values(&[table]).inc();
    METRICS.batch_seconds.with_label_values(&[table]).observe(took.as_secs_f64());
}

/// The embedded store committed the rows of one call. Too frequent for a log line.
pub fn transaction_written(rows: &Effects, took_us: i64) {
    let counts = [
        ("trades", rows.trades.len()),
        ("bars", rows.bars.len()),
        ("bar_revisions", rows.revisions.len()),
        ("feed_gaps", rows.gaps.len()),
        ("feed_events", rows.events.len()),
        ("symbols", rows.symbols.len()),
    ];
    for (table, count) in counts {
        METRICS.rows.with_label_values(&[table]).inc_by(count as u64);
    }
    METRICS.batches.with_label_values(&["embedded"]).inc();
    METRICS.batch_seconds.with_label_values(&["embedded"]).observe(took_us as f64 / 1e6);
}

/// A batch is sent again.
pub fn batch_retried(table: &str, problem: &Error) {
    METRICS.retries.with_label_values(&[table]).inc();
    tracing::debug!(table, %problem, "batch is sent again");
}

/// A batch could not be written; it is kept.
pub fn batch_failed(table: &str, problem: &Error) {
    METRICS.errors.with_label_values(&[table]).inc();
    tracing::warn!(table, %problem, "batch not written");
}

/// Rows whose time was over were deleted.
pub fn rows_expired(table: &str, rows: usize) {
    METRICS.expired.with_label_values(&[table]).inc_by(rows as u64);
    tracing::debug!(table, rows, "expired rows deleted");
}
