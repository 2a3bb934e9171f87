//! What happens between us and the log: commits, aborts, rebalances, failed deliveries.

use std::sync::LazyLock;

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};
use tracing::{debug, error, info, warn};

struct Metrics {
    commits: IntCounter,
    commit_seconds: Histogram,
    written_records: IntCounter,
    aborts: IntCounter,
    fences: IntCounter,
    rebalances: IntCounter,
    owned_partitions: IntGauge,
    delivery_errors: IntCounterVec,
    client_errors: IntCounterVec,
    trimmed_records: IntCounter,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(|| Metrics {
    commits: super::counter("ticksmith_log_commits_total", "Beats committed to the log."),
    commit_seconds: super::histogram(
        "ticksmith_log_commit_seconds",
        "Time that a beat's transaction took, seconds.",
    ),
    written_records: super::counter(
        "ticksmith_log_written_records_total",
        "Records written in committed beats.",
    ),
    aborts: super::counter("ticksmith_log_aborts_total", "Transactions aborted."),
    fences: super::counter(
        "ticksmith_log_fences_total",
        "Sessions that ended because another one took over, or because of a fatal error.",
    ),
    rebalances: super::counter("ticksmith_log_rebalances_total", "Changes of the assignment."),
    owned_partitions: super::gauge(
        "ticksmith_log_owned_partitions",
        "Partitions of the trades topic that this process owns.",
    ),
    delivery_errors: super::counter_by(
        "ticksmith_log_delivery_errors_total",
        "Records that the broker refused or never acknowledged.",
        &["topic"],
    ),
    client_errors: super::counter_by(
        "ticksmith_log_client_errors_total",
        "Errors that a Kafka client reported and goes on from by itself.",
        &["client"],
    ),
    trimmed_records: super::counter(
        "ticksmith_log_trimmed_records_total",
        "Records of the embedded log that were dropped because of their age.",
    ),
});

pub(super) fn expose() {
    LazyLock::force(&METRICS);
}

/// A beat became visible; `commit_us` is the wall time it took.
pub fn committed(records: usize, commit_us: i64) {
    METRICS.commits.inc();
    METRICS.written_records.inc_by(records as u64);
    METRICS.commit_seconds.observe(commit_us as f64 / 1e6);
    debug!(records, commit_us, "beat committed");
}

/// A session is open; the broker's logs and tools know its transactions by this id.
pub fn opened(transactional_id: &str) {
    info!(transactional_id, "session opened");
}

/// A transaction was given up; its partitions are rebuilt.
pub fn aborted(reason: &str) {
    METRICS.aborts.inc();
    warn!(reason, "transaction aborted");
}

/// The session is over: another one took its place, or its client broke for good.
pub fn fenced(reason: &str) {
    METRICS.fences.inc();
    warn!(reason, "session lost, joining again");
}

/// The assignment is now `partitions`.
pub fn rebalanced(partitions: &[i32]) {
    METRICS.rebalances.inc();
    METRICS.owned_partitions.set(partitions.len() as i64);
    info!(?partitions, "partitions assigned");
}

/// A record was not delivered.
///
/// A broker that goes away fails thousands at once: only every doubling of `so_far` gets a line.
pub fn delivery_failed(topic: &str, reason: &str, so_far: u64) {
    METRICS.delivery_errors.with_label_values(&[topic]).inc();
    if so_far.is_power_of_two() {
        error!(topic, reason, so_far, "record not delivered");
    }
}

/// A Kafka client reported an error that it recovers from by itself. Its own log has a line for it
/// already, where it matters.
pub fn client_error(client: &str, reason: &str) {
    METRICS.client_errors.with_label_values(&[client]).inc();
    debug!(client, reason, "Kafka client error");
}

/// Records of the embedded log were dropped because of their age.
pub fn trimmed(records: u64) {
    METRICS.trimmed_records.inc_by(records);
    debug!(records, "embedded log trimmed");
}
