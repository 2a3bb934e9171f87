//! What happens between the feed's socket and the log: one function per event, which counts and
//! logs.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::{counter, counter_by, gauge, gauge_by};
use crate::error::Error;
use crate::model::{FeedEventKind, RejectReason};
use crate::port::Tenure;

struct Metrics {
    connects: IntCounterVec,
    retries: IntCounterVec,
    up: IntGaugeVec,
    lease: IntGaugeVec,
    symbols: IntGaugeVec,
    last_frame: IntGaugeVec,
    key_rejections: IntCounterVec,
    silences: IntCounterVec,
    error_messages: IntCounterVec,
    happenings: IntCounterVec,
    events: IntCounterVec,
    rejections: IntCounterVec,
    spool_batches: IntGauge,
    spool_bytes: IntGauge,
    spool_limit: IntGauge,
    overflowing: IntGauge,
    overflowed: IntCounter,
    acknowledged: IntGauge,
    queued: IntGauge,
    published: IntCounter,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(|| Metrics {
    connects: counter_by(
        "ticksmith_feed_connects_total",
        "Connections that were upgraded.",
        &["feed"],
    ),
    retries: counter_by(
        "ticksmith_feed_reconnects_total",
        "Connections or attempts that ended and are tried again, by cause.",
        &["feed", "cause"],
    ),
    up: gauge_by("ticksmith_feed_connected", "1 while the key's connection is open.", &["feed"]),
    lease: gauge_by(
        "ticksmith_producer_lease_held",
        "1 while this producer holds the lease of the key, 0 while it stands by.",
        &["feed"],
    ),
    symbols: gauge_by(
        "ticksmith_feed_symbols",
        "Symbols subscribed on the key's connection.",
        &["feed"],
    ),
    last_frame: gauge_by(
        "ticksmith_feed_last_frame_timestamp_seconds",
        "Arrival of the newest frame or ping, seconds since the UNIX epoch.",
        &["feed"],
    ),
    key_rejections: counter_by(
        "ticksmith_feed_key_rejections_total",
        "Connections that the feed refused or dropped because of the key, by cause.",
        &["feed", "cause"],
    ),
    silences: counter_by("ticksmith_feed_silences_total", "Connections found to hang.", &["feed"]),
    error_messages: counter_by(
        "ticksmith_feed_error_messages_total",
        "Error messages of the feed.",
        &["feed"],
    ),
    happenings: counter_by(
        "ticksmith_feed_intake_total",
        "What the intake took, dropped and diverted, by kind.",
        &["kind"],
    ),
    events: counter_by("ticksmith_feed_events_total", "Feed events written, by kind.", &["kind"]),
    rejections: counter_by(
        "ticksmith_feed_rejected_total",
        "Frames and elements diverted to the rejected topic, by reason.",
        &["reason"],
    ),
    spool_batches: gauge(
        "ticksmith_spool_batches",
        "Batches in the spool that the log has not acknowledged.",
    ),
    spool_bytes: gauge("ticksmith_spool_bytes", "Bytes that the spool takes on the disk."),
    spool_limit: gauge("ticksmith_spool_limit_bytes", "Bytes that the spool may take."),
    overflowing: gauge(
        "ticksmith_spool_overflowing",
        "1 while trades are given up for want of room.",
    ),
    overflowed: counter(
        "ticksmith_spool_overflowed_trades_total",
        "Trades given up for want of room.",
    ),
    acknowledged: gauge(
        "ticksmith_feed_acknowledged_records",
        "Records that the log has acknowledged.",
    ),
    queued: gauge("ticksmith_feed_queued_signals", "Signals between the sockets and the log."),
    published: counter("ticksmith_feed_published_records_total", "Records handed to the log."),
});

pub(super) fn expose() {
    LazyLock::force(&METRICS);
}

/// The lease of the feed's key went from one producer to another, or out of sight.
pub fn lease(feed: &str, tenure: &Tenure) {
    let held = METRICS.lease.with_label_values(&[feed]);
    match tenure {
        Tenure::Held => {
            held.set(1);
            tracing::info!(feed, "holds the lease of this key");
        }
        Tenure::Elsewhere => {
            held.set(0);
            tracing::warn!(feed, "standby: another producer holds the lease of this key");
        }
        // As long as nobody else holds it, nothing has changed.
        Tenure::Asked => tracing::warn!(feed, "lost sight of the lease of this key; asking Kafka"),
        Tenure::Presumed => {
            tracing::info!(feed, "nobody is known to hold the lease of this key; reading");
        }
        Tenure::Refused(problem) => tracing::error!(feed, problem, "no lease of this key"),
    }
}

/// The upgrade succeeded. `address` is shown without the key.
pub fn connected(feed: &str, address: &str, connection: i64) {
    METRICS.connects.with_label_values(&[feed]).inc();
    METRICS.up.with_label_values(&[feed]).set(1);
    tracing::info!(feed, connection, "connected to {address}");
}

/// Every symbol of the key was asked for.
pub fn subscribed(feed: &str, symbols: usize) {
    METRICS.symbols.with_label_values(&[feed]).set(symbols as i64);
    tracing::info!(feed, "subscribed to {symbols} symbols");
}

/// The socket is closed.
pub fn disconnected(feed: &str, detail: &str) {
    METRICS.up.with_label_values(&[feed]).set(0);
    METRICS.symbols.with_label_values(&[feed]).set(0);
    tracing::info!(feed, "disconnected: {detail}");
}

/// Another attempt follows after `wait`.
pub fn will_retry(feed: &str, address: &str, cause: &str, detail: &str, wait: Duration) {
    METRICS.retries.with_label_values(&[feed, cause]).inc();
    METRICS.up.with_label_values(&[feed]).set(0);
    let wait_s = wait.as_secs_f64();
    tracing::warn!(feed, "no connection to {address}: {detail}; next attempt in {wait_s:.1} s");
}

/// The feed does not want this key, or not so often, or not twice.
pub fn key_rejected(feed: &str, cause: &str) {
    METRICS.key_rejections.with_label_values(&[feed, cause]).inc();
}

/// Nothing was heard for too long.
pub fn silent(feed: &str, detail: &str) {
    METRICS.silences.with_label_values(&[feed]).inc();
    tracing::warn!(feed, "the connection hangs: {detail}");
}

/// An error message of the feed, about `symbol` where it names one.
pub fn error_message(feed: &str, symbol: Option<&str>, message: &str) {
    METRICS.error_messages.with_label_values(&[feed]).inc();
    match symbol {
        Some(symbol) => tracing::warn!(feed, symbol, "the feed says: {message}"),
        None => tracing::warn!(feed, "the feed says: {message}"),
    }
}

/// A frame or a ping arrived, at µs since the UNIX epoch.
pub fn heard(feed: &str, at_us: i64) {
    METRICS.last_frame.with_label_values(&[feed]).set(at_us / 1_000_000);
}

/// `count` things of one kind went through the intake (frames, trades, repeats_dropped, …).
pub fn intake(kind: &'static str, count: u64) {
    if count > 0 {
        METRICS.happenings.with_label_values(&[kind]).inc_by(count);
    }
}

/// A feed event goes to every partition.
pub fn event(kind: FeedEventKind, connection: i64, detail: &str) {
    METRICS.events.with_label_values(&[kind.as_str()]).inc();
    tracing::debug!(connection, detail, "feed event {}", kind.as_str());
}

/// A frame or an element goes to the rejected topic.
pub fn rejected(reason: RejectReason, connection: i64, frame: i64, problem: &str) {
    METRICS.rejections.with_label_values(&[reason.as_str()]).inc();
    // One line each would flood the log of a feed gone mad; the progress line has the sum.
    tracing::debug!(connection, frame, "{} diverted: {problem}", reason.as_str());
}

/// Records were handed to the log, and so many frames still wait.
pub fn published(records: usize, queued: usize) {
    METRICS.published.inc_by(records as u64);
    METRICS.queued.set(queued as i64);
}

/// So many records has the log acknowledged since the start.
pub fn acknowledged(records: u64) {
    METRICS.acknowledged.set(i64::try_from(records).unwrap_or(i64::MAX));
}

/// The line of every few seconds.
pub fn progress(line: &str) {
    tracing::info!("{line}");
}

/// The spool after a synchronisation.
pub fn spool(batches: i64, bytes: u64, limit_bytes: u64) {
    METRICS.spool_batches.set(batches);
    METRICS.spool_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    METRICS.spool_limit.set(i64::try_from(limit_bytes).unwrap_or(i64::MAX));
}

/// A synchronisation failed: what was appended since the last one would not survive a power cut.
pub fn spool_not_synced(error: &Error) {
    tracing::warn!(%error, "the spool was not synchronised with the disk");
}

/// The machine died in the middle of an append, or before it reached the disk.
pub fn spool_torn(path: &Path, bytes: u64) {
    let segment = path.display();
    tracing::warn!(%segment, bytes, "the spool's segment was torn; what is whole is sent");
}

/// What an earlier run left behind is sent first.
pub fn spool_resumed(batches: i64) {
    tracing::info!(batches, "the spool holds batches of an earlier run; they are sent first");
}

/// The log does not take what the spool holds; it is tried again.
pub fn log_away(error: &Error) {
    tracing::warn!(%error, "the log is away; the spool keeps what arrives");
}

/// The producer stops while the spool still holds something.
pub fn spool_kept(batches: i64) {
    tracing::warn!(batches, "not everything was acknowledged; the next start sends the rest");
}

/// There is no room: from now on trades are given up, and the bars will say so.
pub fn overflow_began() {
    METRICS.overflowing.set(1);
    tracing::error!("no room in the spool: trades are given up until the log takes some");
}

pub fn overflowed(trades: u64) {
    METRICS.overflowed.inc_by(trades);
}

/// There is room again.
pub fn overflow_ended(lost: i64) {
    METRICS.overflowing.set(0);
    tracing::warn!(lost, "the spool has room again; the loss is declared in the log");
}
