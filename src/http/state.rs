//! The state of the pipeline as a page shows it: counts of every disposition, rates, lag, watermark
//! and feed.

use serde::Serialize;

use crate::model::Tally;
use crate::port::{BeatReport, PartitionReport};

/// What is known of the feed's connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FeedView {
    /// `simulator`, `finnhub`, or what else the trades come from.
    pub source: String,
    /// One word: `starting`, `history`, `connected`, `disconnected`, `stopped`.
    pub state: String,
    /// A short sentence, or nothing.
    pub detail: String,
}

impl Default for FeedView {
    fn default() -> Self {
        let (source, detail) = (String::new(), String::new());
        Self { source, state: "starting".into(), detail }
    }
}

/// Counts of every disposition since the data began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    pub merged: i64,
    pub duplicate: i64,
    pub rejected: i64,
    pub late: i64,
    pub control: i64,
    pub total: i64,
}

impl From<Tally> for Counts {
    fn from(tally: Tally) -> Self {
        let Tally { merged, duplicate, rejected, late, control } = tally;
        Self { merged, duplicate, rejected, late, control, total: tally.total() }
    }
}

/// Records per second over the last few seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Rates {
    pub merged: f64,
    pub duplicate: f64,
    pub rejected: f64,
    pub late: f64,
    pub control: f64,
    pub total: f64,
}

impl Rates {
    pub(super) fn between(old: &Tally, new: &Tally, seconds: f64) -> Self {
        if seconds <= 0.0 {
            return Self::default();
        }
        // A restore may take the tally back; a negative rate would only confuse.
        let rate = |old: i64, new: i64| ((new - old).max(0) as f64 / seconds * 10.0).round() / 10.0;
        Self {
            merged: rate(old.merged, new.merged),
            duplicate: rate(old.duplicate, new.duplicate),
            rejected: rate(old.rejected, new.rejected),
            late: rate(old.late, new.late),
            control: rate(old.control, new.control),
            total: rate(old.total(), new.total()),
        }
    }
}

/// Where one partition stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionView {
    pub partition: i32,
    pub next_offset: i64,
    pub end_offset: i64,
    pub watermark: Option<i64>,
    pub open_windows: usize,
    pub counts: Counts,
}

impl From<&PartitionReport> for PartitionView {
    fn from(report: &PartitionReport) -> Self {
        Self {
            partition: report.partition,
            next_offset: report.next_offset,
            end_offset: report.end_offset,
            watermark: report.watermark_ms,
            open_windows: report.open_windows,
            counts: report.tally.into(),
        }
    }
}

/// The whole picture after the last beat. Times are ms since the epoch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StateView {
    /// When this was asked for, by the server's clock.
    pub now: i64,
    pub feed: FeedView,
    pub counts: Counts,
    pub rates: Rates,
    pub lag_records: i64,
    /// The lowest watermark of the partitions that have one.
    pub watermark: Option<i64>,
    pub symbols: usize,
    pub open_windows: usize,
    pub flush_us: i64,
    pub commit_us: i64,
    pub partitions: Vec<PartitionView>,
}

impl StateView {
    pub(super) fn new(now_ms: i64, feed: FeedView, report: &BeatReport, rates: Rates) -> Self {
        let partitions = &report.partitions;
        Self {
            now: now_ms,
            feed,
            counts: report.tally.into(),
            rates,
            lag_records: report.lag_records,
            watermark: partitions.iter().filter_map(|partition| partition.watermark_ms).min(),
            symbols: report.symbols,
            open_windows: partitions.iter().map(|partition| partition.open_windows).sum(),
            flush_us: report.flush_us,
            commit_us: report.commit_us,
            partitions: partitions.iter().map(PartitionView::from).collect(),
        }
    }
}
