//! The figures of the stream page, as they are served: times are ms since the epoch, lengths ms or
//! µs as their names say, rates records per second over the last ten seconds.

use std::collections::VecDeque;

use serde::Serialize;

use super::Mark;
use crate::http::state::{Counts, Rates};
use crate::port::{BeatReport, PartitionReport};
use crate::runtime;
use crate::telemetry::recent::{self, Recent};

/// Behind means: what is left to read has come in, or takes at the present pace, longer than this,
/// ms. Less is what a few beats have under way, which is no trouble.
const BEHIND_MS: i64 = 5_000;

/// When it is looked, and what the report does not know.
pub(super) struct Moment {
    pub now_ms: i64,
    /// Monotonic.
    pub now_us: i64,
    pub started_ms: i64,
    /// Why no records are processed; `None`: they are.
    pub reason: Option<String>,
}

/// One committed beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct BeatView {
    pub at: i64,
    pub records: usize,
    pub beat_us: i64,
    pub flush_us: i64,
    pub commit_us: i64,
}

impl BeatView {
    pub fn of(report: &BeatReport, at_ms: i64) -> Self {
        let BeatReport { records, beat_us, flush_us, commit_us, .. } = *report;
        Self { at: at_ms, records, beat_us, flush_us, commit_us }
    }
}

/// What a partition does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum TaskState {
    /// Records come, and are read about as fast as they come.
    Running,
    /// What is left to read takes longer than a second.
    Behind,
    /// Nothing came for ten seconds, and all is read.
    Idle,
    /// The stream does not process records at present; its reason stands at the top.
    Waiting,
}

/// One partition: what other engines call a task.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct TaskView {
    pub partition: i32,
    pub state: TaskState,
    pub next_offset: i64,
    pub end_offset: i64,
    pub lag_records: i64,
    /// Records read, and records that arrived, per second.
    pub read_rate: f64,
    pub arrival_rate: f64,
    pub watermark: Option<i64>,
    pub watermark_lag_ms: Option<i64>,
    pub open_windows: usize,
    pub counts: Counts,
}

/// A warning or an error of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ProblemView {
    /// When it came last.
    pub at: i64,
    pub level: &'static str,
    pub text: String,
    pub count: u64,
}

impl ProblemView {
    fn of(recent: Recent, now_ms: i64) -> Self {
        let Recent { level, text, count, age } = recent;
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        Self { at: now_ms.saturating_sub(age_ms), level, text, count }
    }
}

/// Everything that the page shows but the configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct JobView {
    pub version: &'static str,
    pub now: i64,
    pub started: i64,
    pub ready: bool,
    /// Why it is not ready.
    pub reason: Option<String>,
    pub counts: Counts,
    pub rates: Rates,
    pub lag_records: i64,
    /// How long reading the lag takes at the present pace; `null` without a pace.
    pub lag_ms: Option<i64>,
    /// The lowest of the partitions that have one.
    pub watermark: Option<i64>,
    pub watermark_lag_ms: Option<i64>,
    pub symbols: usize,
    pub open_windows: usize,
    /// Memory of the process; `null` where the kernel does not tell.
    pub resident_bytes: Option<u64>,
    /// The newest last.
    pub beats: Vec<BeatView>,
    pub partitions: Vec<TaskView>,
    /// The newest first.
    pub problems: Vec<ProblemView>,
}

impl JobView {
    /// `first` is the oldest mark of the rate window, `None` when no beat fell into it.
    pub fn of(
        report: &BeatReport,
        beats: &VecDeque<BeatView>,
        first: Option<&Mark>,
        moment: Moment,
    ) -> Self {
        let Moment { now_ms, now_us, started_ms, reason } = moment;
        let seconds = first.map_or(0.0, |mark| (now_us - mark.at_us) as f64 / 1e6);
        let rates = first.map(|mark| Rates::between(&mark.tally, &report.tally, seconds));
        let rates = rates.unwrap_or_default();
        let is_ready = reason.is_none();
        let task = |one: &PartitionReport| TaskView::of(one, first, seconds, now_ms, is_ready);
        let watermark = report.partitions.iter().filter_map(|one| one.watermark_ms).min();
        let problems = recent::newest().into_iter();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            now: now_ms,
            started: started_ms,
            ready: is_ready,
            reason,
            counts: report.tally.into(),
            rates,
            lag_records: report.lag_records,
            lag_ms: lag_ms(report.lag_records, rates.total),
            watermark,
            watermark_lag_ms: watermark.map(|watermark_ms| now_ms - watermark_ms),
            symbols: report.symbols,
            open_windows: report.partitions.iter().map(|one| one.open_windows).sum(),
            resident_bytes: runtime::resident_bytes(),
            beats: beats.iter().copied().collect(),
            partitions: report.partitions.iter().map(task).collect(),
            problems: problems.map(|recent| ProblemView::of(recent, now_ms)).collect(),
        }
    }
}

impl TaskView {
    fn of(
        report: &PartitionReport,
        first: Option<&Mark>,
        seconds: f64,
        now_ms: i64,
        is_ready: bool,
    ) -> Self {
        let PartitionReport { partition, next_offset, end_offset, .. } = *report;
        let before = first.and_then(|mark| mark.positions.iter().find(|one| one.0 == partition));
        let rate = |now: i64, before: Option<i64>| match before {
            // A restore may go back; a negative rate would only confuse.
            Some(before) if seconds > 0.0 => tenths((now - before).max(0) as f64 / seconds),
            _ => 0.0,
        };
        let read_rate = rate(next_offset, before.map(|one| one.1));
        let arrival_rate = rate(end_offset, before.map(|one| one.2));
        let lag_records = end_offset - next_offset;
        Self {
            partition,
            state: task_state(is_ready, lag_records, read_rate, arrival_rate),
            next_offset,
            end_offset,
            lag_records,
            read_rate,
            arrival_rate,
            watermark: report.watermark_ms,
            watermark_lag_ms: report.watermark_ms.map(|watermark_ms| now_ms - watermark_ms),
            open_windows: report.open_windows,
            counts: report.tally.into(),
        }
    }
}

fn task_state(is_ready: bool, lag_records: i64, read: f64, arrived: f64) -> TaskState {
    let lag_ms = lag_ms(lag_records, read.max(arrived));
    match () {
        () if !is_ready => TaskState::Waiting,
        () if lag_records > 0 && lag_ms.is_none_or(|ms| ms > BEHIND_MS) => TaskState::Behind,
        () if read + arrived == 0.0 => TaskState::Idle,
        () => TaskState::Running,
    }
}

fn lag_ms(lag_records: i64, rate: f64) -> Option<i64> {
    match lag_records {
        0 => Some(0),
        _ if rate > 0.0 => Some((lag_records as f64 / rate * 1e3) as i64),
        _ => None,
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
