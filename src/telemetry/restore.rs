//! What happens while partitions are restored from the changelog.

use std::sync::LazyLock;

use prometheus::{Histogram, IntCounter, IntGauge};

use super::{counter, gauge, histogram};
use crate::port::log::RestoreProgress;

struct Metrics {
    partitions: IntCounter,
    waiting: IntGauge,
    records: IntCounter,
    bytes: IntCounter,
    seconds: Histogram,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(|| Metrics {
    partitions: counter("ticksmith_restore_partitions_total", "Partitions restored."),
    waiting: gauge("ticksmith_restore_waiting_partitions", "Owned partitions not restored yet."),
    records: counter(
        "ticksmith_restore_records_total",
        "Records of the changelog read by restores, superseded ones included.",
    ),
    bytes: counter("ticksmith_restore_bytes_total", "Bytes of their keys and values."),
    seconds: histogram(
        "ticksmith_restore_seconds",
        "From the first look at one partition's state.",
    ),
});

pub(super) fn expose() {
    LazyLock::force(&METRICS);
}

/// So many partitions are to be restored.
pub fn waiting(partitions: usize) {
    METRICS.waiting.set(i64::try_from(partitions).unwrap_or(i64::MAX));
}

/// More of the changelog was read: `since` is where it stood when this was last called.
pub fn read(progress: RestoreProgress, since: RestoreProgress) {
    METRICS.records.inc_by(progress.records.saturating_sub(since.records));
    METRICS.bytes.inc_by(progress.bytes.saturating_sub(since.bytes));
}

/// A restore takes its time.
pub fn going_on(partition: i32, progress: RestoreProgress, to_go: usize) {
    let RestoreProgress { records, records_max, bytes } = progress;
    tracing::info!(partition, records, records_max, bytes, partitions_to_go = to_go, "restoring");
}

/// A partition goes on from its changelog.
pub fn done(partition: i32, offset: i64, windows: usize, read: RestoreProgress, took_us: i64) {
    METRICS.partitions.inc();
    METRICS.seconds.observe(took_us as f64 / 1e6);
    let RestoreProgress { records, bytes, .. } = read;
    tracing::info!(partition, offset, windows, records, bytes, took_us, "restored");
}
