//! What happens in the stream processor.

use std::sync::LazyLock;

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::{counter, counter_by, gauge, gauge_by, histogram};
use crate::error::Error;
use crate::model::{Disposition, Effects, RejectReason};
use crate::port::BeatReport;

struct Metrics {
    records: IntCounterVec,
    bars: IntCounterVec,
    events: IntCounterVec,
    beat_seconds: Histogram,
    flush_seconds: Histogram,
    commit_seconds: Histogram,
    beat_records: IntCounter,
    lag_records: IntGaugeVec,
    watermark_ms: IntGaugeVec,
    open_windows: IntGaugeVec,
    symbols: IntGauge,
    restores: IntCounter,
    recoveries: IntCounterVec,
    store_stalls: IntCounterVec,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(|| Metrics {
    records: counter_by(
        "ticksmith_stream_records_total",
        "Numbered elements consumed, by how they ended.",
        &["disposition", "reason"],
    ),
    bars: counter_by(
        "ticksmith_stream_bars_total",
        "Bars emitted, by interval and state.",
        &["interval", "state"],
    ),
    events: counter_by(
        "ticksmith_stream_feed_events_total",
        "Feed events consumed, by kind.",
        &["kind"],
    ),
    beat_seconds: histogram("ticksmith_stream_beat_seconds", "From one commit to the next."),
    flush_seconds: histogram(
        "ticksmith_stream_store_flush_seconds",
        "Waiting for the store at the end of a beat.",
    ),
    commit_seconds: histogram("ticksmith_stream_commit_seconds", "The transaction of a beat."),
    beat_records: counter("ticksmith_stream_committed_records_total", "Records committed."),
    lag_records: gauge_by(
        "ticksmith_stream_lag_records",
        "Records between the next offset and the end of the partition.",
        &["partition"],
    ),
    watermark_ms: gauge_by(
        "ticksmith_stream_watermark_milliseconds",
        "Watermark of the partition, ms since the epoch.",
        &["partition"],
    ),
    open_windows: gauge_by(
        "ticksmith_stream_open_windows",
        "Windows held in memory.",
        &["partition"],
    ),
    symbols: gauge("ticksmith_stream_symbols", "Symbols known to the owned partitions."),
    restores: counter("ticksmith_stream_restores_total", "Partitions restored."),
    recoveries: counter_by(
        "ticksmith_stream_recoveries_total",
        "Beats given up and begun anew, by consequence.",
        &["consequence"],
    ),
    store_stalls: counter_by(
        "ticksmith_stream_store_stalls_total",
        "Calls of the store that had to be repeated.",
        &["call"],
    ),
});

/// A micro-batch was judged.
pub fn effects(effects: &Effects) {
    let metrics = &*METRICS;
    let mut merged = 0;
    for judged in &effects.trades {
        match judged.disposition {
            Disposition::Merged => merged += 1,
            // Counted where the raw record is diverted, which also knows undecodable ones.
            Disposition::Rejected(_) => {}
            other => {
                metrics.records.with_label_values(&[other.as_str(), other.reason()]).inc();
            }
        }
    }
    metrics.records.with_label_values(&["merged", ""]).inc_by(merged);
    for bar in &effects.bars {
        let interval = bar.interval.to_string();
        metrics.bars.with_label_values(&[&interval, bar.state.as_str()]).inc();
    }
    for stored in &effects.events {
        metrics.events.with_label_values(&[stored.event.kind.as_str()]).inc();
    }
}

/// A record was diverted.
pub fn rejected(partition: i32, offset: i64, reason: RejectReason) {
    METRICS.records.with_label_values(&["rejected", reason.as_str()]).inc();
    tracing::debug!(partition, offset, reason = reason.as_str(), "record rejected");
}

/// The group handed out partitions.
pub fn assigned(partitions: &[i32]) {
    tracing::info!(?partitions, "assigned");
}

/// A partition goes on from its changelog.
pub fn restored(partition: i32, offset: i64, windows: usize) {
    METRICS.restores.inc();
    tracing::info!(partition, offset, windows, "restored");
}

/// A beat was committed.
pub fn beat(records: usize, beat_us: i64) {
    METRICS.beat_records.inc_by(records as u64);
    METRICS.beat_seconds.observe(seconds(beat_us));
}

/// The state after a beat.
pub fn report(report: &BeatReport) {
    let metrics = &*METRICS;
    metrics.flush_seconds.observe(seconds(report.flush_us));
    metrics.commit_seconds.observe(seconds(report.commit_us));
    metrics.symbols.set(report.symbols as i64);
    for one in &report.partitions {
        let partition = one.partition.to_string();
        let labels = [partition.as_str()];
        metrics.lag_records.with_label_values(&labels).set(one.end_offset - one.next_offset);
        metrics.open_windows.with_label_values(&labels).set(one.open_windows as i64);
        if let Some(watermark_ms) = one.watermark_ms {
            metrics.watermark_ms.with_label_values(&labels).set(watermark_ms);
        }
    }
}

/// A call of the store has to be repeated.
pub fn store_stalled(call: &str, problem: &str) {
    METRICS.store_stalls.with_label_values(&[call]).inc();
    tracing::warn!(call, problem, "the store does not take it; trying again");
}

/// A beat is given up and begun anew.
pub fn recovering(error: &Error) {
    let consequence = match error {
        Error::Unavailable(_) => "retry",
        Error::Restore(_) => "restore",
        Error::Rejoin(_) => "rejoin",
        _ => "stop",
    };
    METRICS.recoveries.with_label_values(&[consequence]).inc();
    tracing::warn!(consequence, problem = %error, "the beat is begun anew");
}

/// The drain deadline passed: the last beat will be done again after the restart.
pub fn gave_up_beat(error: &Error) {
    tracing::warn!(problem = %error, "stopped without committing the last beat");
}

fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}
