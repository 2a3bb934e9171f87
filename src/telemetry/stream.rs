//! What happens in the stream processor.

use std::sync::{LazyLock, Once};

use prometheus::core::Collector;
use prometheus::proto::Metric;
use prometheus::{
    GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
};

use super::bounded::BoundedLabel;
use super::{counter, counter_by, gauge, gauge_by, histogram, histogram_in, seconds_by};
use crate::error::Error;
use crate::model::{
    Bar, BarRevision, BarState, Disposition, Effects, FeedGap, GapCause, Judged, RejectReason,
    RevisionWhy,
};
use crate::port::BeatReport;

/// Codes are numbers of two digits; a feed that sends more than these sends nonsense.
const CODES_MAX: usize = 64;
const CODE_BYTES_MAX: usize = 8;
/// Each symbol makes 15 time series.
const SYMBOLS_MAX: usize = 200;
const SYMBOL_BYTES_MAX: usize = 64;
/// From half a second, which disorder makes, to an hour, which no lateness allows.
const LATENESS_BUCKETS: [f64; 12] =
    [0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0];
/// From what a socket and a queue take, over a beat, to a backlog.
const LATENCY_BUCKETS: [f64; 13] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0, 300.0];
/// Three seconds of five minutes are a hundredth.
const COVERAGE_BUCKETS: [f64; 8] = [0.0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0];

struct Metrics {
    records: IntCounterVec,
    bars: IntCounterVec,
    events: IntCounterVec,
    gaps: IntCounterVec,
    revisions: IntCounterVec,
    unknown_codes: IntCounterVec,
    outside_calendar: IntCounter,
    lateness_seconds: HistogramVec,
    coverage: HistogramVec,
    latency_seconds: HistogramVec,
    beat_seconds: Histogram,
    flush_seconds: Histogram,
    commit_seconds: Histogram,
    beat_records: IntCounter,
    lag_records: IntGaugeVec,
    watermark: GaugeVec,
    open_windows: IntGaugeVec,
    symbols: IntGauge,
    recoveries: IntCounterVec,
    store_stalls: IntCounterVec,
    store_stalled: IntGauge,
}

static METRICS: LazyLock<Metrics> = LazyLock::new(|| Metrics {
    records: counter_by(
        "ticksmith_stream_records_total",
        "Numbered elements consumed, by how they ended.",
        &["disposition", "reason"],
    ),
    bars: counter_by(
        "ticksmith_stream_bars_total",
        "Bars emitted, by interval, state and verdict on the feed.",
        &["interval", "state", "verdict"],
    ),
    events: counter_by(
        "ticksmith_stream_feed_events_total",
        "Feed events consumed, by kind.",
        &["kind"],
    ),
    gaps: counter_by(
        "ticksmith_stream_feed_gaps_total",
        "Times in which a symbol's feed was not up or lost something, by cause, as they begin.",
        &["cause"],
    ),
    revisions: counter_by(
        "ticksmith_stream_bar_revisions_total",
        "Changes of bars after their closing, by interval and why.",
        &["interval", "why"],
    ),
    unknown_codes: counter_by(
        "ticksmith_unknown_conditions_total",
        "Sale-condition codes that the table does not settle, once a trade and code.",
        &["code"],
    ),
    outside_calendar: counter(
        "ticksmith_calendar_out_of_range_total",
        "Trades of US stocks at times of which the calendar knows no holidays.",
    ),
    lateness_seconds: histogram_in(
        "ticksmith_trade_lateness_seconds",
        "How far trades lay behind the watermark, those that did; event time.",
        &["symbol"],
        &LATENESS_BUCKETS,
    ),
    coverage: histogram_in(
        "ticksmith_stream_bar_coverage_ratio",
        "Share of a bar's time in which the feed was up, of bars as they close, 0 to 1.",
        &["interval"],
        &COVERAGE_BUCKETS,
    ),
    latency_seconds: histogram_in(
        "ticksmith_stream_latency_seconds",
        "From the receipt of a trade at the producer's socket to where it got: to the engine, or \
         to the commit of its beat, when the tables have it too. The oldest trade of each \
         micro-batch.",
        &["to"],
        &LATENCY_BUCKETS,
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
    watermark: seconds_by(
        "ticksmith_stream_watermark_timestamp_seconds",
        "Watermark of the partition, seconds since the UNIX epoch.",
        &["partition"],
    ),
    open_windows: gauge_by(
        "ticksmith_stream_open_windows",
        "Windows held in memory.",
        &["partition"],
    ),
    symbols: gauge("ticksmith_stream_symbols", "Symbols known to the owned partitions."),
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
    store_stalled: gauge(
        "ticksmith_stream_store_stalled",
        "1 while the beat waits for a store that is away or slow.",
    ),
});

pub(super) fn expose() {
    LazyLock::force(&METRICS);
}

/// A micro-batch was judged.
pub fn effects(effects: &Effects) {
    let metrics = &*METRICS;
    let mut merged = 0;
    for judged in &effects.trades {
        if judged.behind_ms > 0 {
            came_behind(judged);
        }
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
        let labels = [interval.as_str(), bar.state.as_str(), bar.verdict.as_str()];
        metrics.bars.with_label_values(&labels).inc();
        closed(bar, &interval);
    }
    effects.revisions.iter().for_each(revised);
    effects.gaps.iter().for_each(gap);
    effects.unknown_codes.iter().for_each(|code| unknown_code(code));
    outside_calendar(effects.outside_calendar);
    for stored in &effects.events {
        metrics.events.with_label_values(&[stored.event.kind.as_str()]).inc();
    }
}

/// Coverage is judged at the closing; what corrects a bar later is counted as a revision.
fn closed(bar: &Bar, interval: &str) {
    if let (BarState::Closed, Some(coverage)) = (bar.state, bar.coverage) {
        METRICS.coverage.with_label_values(&[interval]).observe(coverage);
    }
}

fn came_behind(judged: &Judged) {
    static SYMBOLS: LazyLock<BoundedLabel> =
        LazyLock::new(|| BoundedLabel::new(SYMBOLS_MAX, SYMBOL_BYTES_MAX));
    let (symbol, _) = SYMBOLS.of(&judged.trade.symbol);
    let lateness_s = judged.behind_ms as f64 / 1e3;
    METRICS.lateness_seconds.with_label_values(&[symbol]).observe(lateness_s);
}

/// The content at the closing goes into the history with the first change, and is none itself.
fn revised(revision: &BarRevision) {
    if revision.why != RevisionWhy::Closed {
        let interval = revision.bar.interval.to_string();
        METRICS.revisions.with_label_values(&[&interval, revision.why.as_str()]).inc();
    }
}

/// A gap is told at its beginning and at its end; what is known only when it is over, once.
fn gap(gap: &FeedGap) {
    use GapCause::{DecodeLoss, Overflow, Takeover};
    if gap.to_ms.is_none() || matches!(gap.cause, DecodeLoss | Overflow | Takeover) {
        METRICS.gaps.with_label_values(&[gap.cause.as_str()]).inc();
        let FeedGap { symbol, feed, from_ms, cause, .. } = gap;
        tracing::debug!(symbol, feed, from_ms, cause = cause.as_str(), "the feed has a gap");
    }
}

/// A trade had a code that the table does not settle.
fn unknown_code(code: &str) {
    static CODES: LazyLock<BoundedLabel> =
        LazyLock::new(|| BoundedLabel::new(CODES_MAX, CODE_BYTES_MAX));
    let (label, is_first) = CODES.of(code);
    METRICS.unknown_codes.with_label_values(&[label]).inc();
    if is_first {
        let code = label.escape_default();
        tracing::warn!("sale condition '{code}' is not known: its trades count as volume only");
    }
}

/// Trades of US stocks came whose day the calendar does not cover: counted, and told once.
pub fn outside_calendar(trades: u64) {
    static TOLD: Once = Once::new();
    if trades == 0 {
        return;
    }
    METRICS.outside_calendar.inc_by(trades);
    TOLD.call_once(|| {
        tracing::warn!(
            "trades of US stocks outside the years of config/us_market_days.csv: sessions take \
             every weekday for a full trading day, holidays and half days included; a newer \
             ticksmith knows later years"
        );
    });
}

/// How consumed elements ended since this process began: disposition, reason (empty where there is
/// none), number of them.
pub fn endings() -> Vec<(String, String, u64)> {
    let families = METRICS.records.collect();
    let metrics = families.iter().flat_map(|family| family.get_metric());
    let ending = |metric: &Metric| {
        let label = |name: &str| {
            let found = metric.get_label().iter().find(|label| label.name() == name);
            found.map(|label| label.value().to_owned()).unwrap_or_default()
        };
        (label("disposition"), label("reason"), metric.get_counter().get_value() as u64)
    };
    metrics.map(ending).collect()
}

/// A record was diverted.
pub fn rejected(partition: i32, offset: i64, reason: RejectReason) {
    METRICS.records.with_label_values(&["rejected", reason.as_str()]).inc();
    tracing::debug!(partition, offset, reason = reason.as_str(), "record rejected");
}

/// How far a trade got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Engine,
    Commit,
}

/// A micro-batch, whose oldest trade was received so long ago, got to a stage.
pub fn latency(to: Stage, took_us: i64) {
    let to = match to {
        Stage::Engine => "engine",
        Stage::Commit => "commit",
    };
    // The clocks of two machines may differ.
    METRICS.latency_seconds.with_label_values(&[to]).observe(seconds(took_us.max(0)));
}

/// The group handed out partitions. What others own now is theirs to report.
pub fn assigned(partitions: &[i32]) {
    METRICS.lag_records.reset();
    METRICS.watermark.reset();
    METRICS.open_windows.reset();
    METRICS.store_stalled.set(0);
    tracing::info!(?partitions, "assigned");
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
            metrics.watermark.with_label_values(&labels).set(watermark_ms as f64 / 1e3);
        }
    }
}

/// A call of the store has to be repeated.
pub fn store_stalled(call: &str, problem: &str) {
    METRICS.store_stalls.with_label_values(&[call]).inc();
    METRICS.store_stalled.set(1);
    tracing::warn!(call, problem, "the store does not take it; trying again");
}

/// The store took it after all.
pub fn store_resumed(call: &str, stalled_ms: u64) {
    METRICS.store_stalled.set(0);
    tracing::info!(call, stalled_ms, "the store is back; the beat goes on");
}

/// The log answers no more, and nothing was asked of it that would have failed.
pub fn log_away(problem: &str) {
    tracing::warn!(problem, "the log is out of reach; going on when it is back");
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Amount, Bar, BarState, Interval, Origin, Trade, Verdict};

    fn judged(symbol: &str, behind_ms: i64) -> Judged {
        Judged {
            trade: Trade {
                symbol: symbol.into(),
                price: 1.0,
                volume: 1.0,
                trade_time_ms: 0,
                conditions: None,
                connection: 1,
                seq: 1,
                received_at_us: 0,
                feed: "test/0".into(),
            },
            origin: Origin { partition: 0, offset: 0 },
            disposition: Disposition::Merged,
            session: None,
            updates_last: true,
            updates_high_low: true,
            updates_volume: true,
            lateness: None,
            behind_ms,
        }
    }

    fn gap_of(cause: GapCause, to_ms: Option<i64>) -> FeedGap {
        FeedGap {
            symbol: "TELEMETRY".into(),
            feed: "test/0".into(),
            connection: 1,
            from_ms: 0,
            to_ms,
            next_connection: None,
            cause,
            lost_records: 0,
            told_at: 0,
            detail: String::new(),
        }
    }

    fn has(line: &str) {
        let text = super::super::render();
        assert!(text.lines().any(|one| one == line), "no {line} in\n{text}");
    }

    #[test]
    fn what_a_batch_did_is_counted() {
        let gaps = vec![
            gap_of(GapCause::Silence, None),
            gap_of(GapCause::Silence, Some(5)),
            gap_of(GapCause::Overflow, Some(5)),
        ];
        effects(&Effects {
            trades: vec![judged("BEHIND", 700), judged("BEHIND", 40_000), judged("AHEAD", 0)],
            unknown_codes: vec!["94".into(), "94".into(), "far too long a code".into()],
            outside_calendar: 3,
            gaps,
            ..Effects::default()
        });
        has("ticksmith_unknown_conditions_total{code=\"94\"} 2");
        has("ticksmith_unknown_conditions_total{code=\"other\"} 1");
        has("ticksmith_calendar_out_of_range_total 3");
        has("ticksmith_stream_feed_gaps_total{cause=\"silence\"} 1");
        has("ticksmith_stream_feed_gaps_total{cause=\"overflow\"} 1");
        let lateness = "ticksmith_trade_lateness_seconds";
        has(&format!("{lateness}_bucket{{symbol=\"BEHIND\",le=\"0.5\"}} 0"));
        has(&format!("{lateness}_bucket{{symbol=\"BEHIND\",le=\"1\"}} 1"));
        has(&format!("{lateness}_bucket{{symbol=\"BEHIND\",le=\"60\"}} 2"));
        has(&format!("{lateness}_bucket{{symbol=\"BEHIND\",le=\"3600\"}} 2"));
        has(&format!("{lateness}_sum{{symbol=\"BEHIND\"}} 40.7"));
        let text = super::super::render();
        assert!(!text.contains("AHEAD"), "a trade in time is not late");
    }

    #[test]
    fn bars_are_counted_by_state_and_verdict_and_their_revisions_by_why() {
        let interval = Interval::parse("45m").expect("valid");
        let bar = Bar {
            symbol: Arc::from("TELEMETRY"),
            interval,
            window: interval.window_of(0),
            open: None,
            high: None,
            low: None,
            close: None,
            volume: Amount::ZERO,
            vwap: None,
            trade_count: 0,
            excluded: Default::default(),
            session: None,
            coverage: None,
            gap_ms: 0,
            verdict: Verdict::Partial,
            state: BarState::Corrected,
            revision: 1,
            generation: 0,
            conditions_version: 1,
            late_included: 0,
        };
        let revision = |why| BarRevision { bar: bar.clone(), why };
        effects(&Effects {
            revisions: vec![revision(RevisionWhy::Closed), revision(RevisionWhy::FeedGap)],
            bars: vec![bar.clone()],
            ..Effects::default()
        });
        let labels = "interval=\"45m\",state=\"corrected\",verdict=\"partial\"";
        has(&format!("ticksmith_stream_bars_total{{{labels}}} 1"));
        let revisions = "ticksmith_stream_bar_revisions_total{interval=\"45m\"";
        has(&format!("{revisions},why=\"feed_gap\"}} 1"));
        let text = super::super::render();
        assert!(!text.contains(&format!("{revisions},why=\"closed\"")), "no change");
    }
}
