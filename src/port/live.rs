//! What is happening right now, for pages and progress lines. Lossy by contract: a slow reader
//! misses something, the pipeline never waits.

use crate::model::{Bar, Judged, StoredEvent, Tally};

/// Where one partition stands after a beat.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionReport {
    pub partition: i32,
    pub next_offset: i64,
    pub end_offset: i64,
    pub watermark_ms: Option<i64>,
    pub open_windows: usize,
    pub tally: Tally,
}

/// The state of the stream after a beat.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BeatReport {
    /// Sum over the owned partitions.
    pub tally: Tally,
    pub partitions: Vec<PartitionReport>,
    /// Records between the next offset and the end, summed.
    pub lag_records: i64,
    pub symbols: usize,
    /// Records that the beat took in.
    pub records: usize,
    /// Wall time from the commit before to this one, µs.
    pub beat_us: i64,
    /// Wall time of the beat's store flush and commit, µs.
    pub flush_us: i64,
    pub commit_us: i64,
}

/// Receives what the pipeline has just done.
pub trait Live: Send + Sync {
    /// Provisional, closed and corrected bars, in order of emission.
    fn bars(&self, bars: &[Bar]);
    /// Every judged trade.
    fn trades(&self, trades: &[Judged]);
    /// Events of the feed, in order per partition; each comes once a partition.
    fn events(&self, _events: &[StoredEvent]) {}
    /// Whether records are being processed; `reason` says why not.
    fn ready(&self, ready: bool, reason: &str);
    /// After every committed beat.
    fn beat(&self, report: &BeatReport);
}
