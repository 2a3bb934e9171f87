//! The state of the pipeline as a page shows it: counts of every disposition, rates, lag, watermark
//! and feed.

use std::cmp::Reverse;

use serde::Serialize;

use crate::model::{BarState, Tally};
use crate::port::{BeatReport, PartitionReport};
use crate::telemetry;

/// What is known of the feed's connections.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct FeedView {
    /// `simulator`, `finnhub`, or what else the trades come from.
    pub source: String,
    /// `starting`, `connected` or `disconnected` (one connection of several is enough).
    pub state: &'static str,
    /// How many symbols, or why it is disconnected.
    pub detail: String,
}

/// Bars emitted since this process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct BarCounts {
    pub provisional: u64,
    pub closed: u64,
    pub corrected: u64,
}

impl BarCounts {
    pub(super) fn add(&mut self, state: BarState) {
        *match state {
            BarState::Provisional => &mut self.provisional,
            BarState::Closed => &mut self.closed,
            BarState::Corrected => &mut self.corrected,
        } += 1;
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

/// Elements that ended otherwise than in a bar, since this process started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DivertedView {
    /// `duplicate`, `rejected` or `late`.
    pub disposition: String,
    /// Empty where the disposition says it all.
    pub reason: String,
    pub count: u64,
}

impl DivertedView {
    /// The most frequent first.
    pub(super) fn all() -> Vec<Self> {
        let endings = telemetry::stream::endings().into_iter();
        let view = |(disposition, reason, count)| Self { disposition, reason, count };
        let mut diverted: Vec<Self> =
            endings.map(view).filter(|one| one.disposition != "merged" && one.count > 0).collect();
        diverted.sort_by_key(|one| Reverse(one.count));
        diverted
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
    pub bars: BarCounts,
    pub rates: Rates,
    pub lag_records: i64,
    /// The lowest watermark of the partitions that have one.
    pub watermark: Option<i64>,
    pub symbols: usize,
    pub open_windows: usize,
    pub flush_us: i64,
    pub commit_us: i64,
    pub diverted: Vec<DivertedView>,
    pub partitions: Vec<PartitionView>,
}

impl StateView {
    pub(super) fn of(report: &BeatReport) -> Self {
        let partitions = &report.partitions;
        Self {
            now: 0,
            feed: FeedView::default(),
            counts: report.tally.into(),
            bars: BarCounts::default(),
            rates: Rates::default(),
            lag_records: report.lag_records,
            watermark: partitions.iter().filter_map(|partition| partition.watermark_ms).min(),
            symbols: report.symbols,
            open_windows: partitions.iter().map(|partition| partition.open_windows).sum(),
            flush_us: report.flush_us,
            commit_us: report.commit_us,
            diverted: Vec::new(),
            partitions: partitions.iter().map(PartitionView::from).collect(),
        }
    }
}
