//! The page of the stream processor: what it reads, how fast, how far behind, what troubles it.
//! The same figures are served as JSON, and the page is one reader of them.

mod view;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};

use self::view::{BeatView, JobView};
use super::assets::{Asset, CSS, HTML, JAVASCRIPT, SVG, files_router};
use super::health::{Readiness, health_router};
use crate::config::{self, Config};
use crate::model::{Bar, Judged, Tally};
use crate::port::{BeatReport, Clock, Live};

/// Rates are taken over so long: long enough to be steady, short enough to show a change.
const RATE_WINDOW_US: i64 = 10_000_000;
/// A full machine commits many beats a second; marks this far apart are enough for a rate.
const MARK_EVERY_US: i64 = 250_000;
/// Beats that the page draws.
const BEATS_KEPT: usize = 60;

const FILES: [Asset; 5] = [
    ("/", HTML, include_str!("stream_page/index.html")),
    ("/assets/page.css", CSS, include_str!("stream_page/page.css")),
    ("/assets/page.js", JAVASCRIPT, include_str!("stream_page/page.js")),
    ("/assets/format.js", JAVASCRIPT, include_str!("dashboard/format.js")),
    ("/favicon.svg", SVG, include_str!("dashboard/favicon.svg")),
];

/// Holds the state after the last beat, and whether the stream is at work. Costs the pipeline one
/// lock a beat; trades and bars pass by unseen. Cloning shares it.
#[derive(Clone)]
pub struct StreamBoard {
    clock: Arc<dyn Clock>,
    readiness: Readiness,
    started_ms: i64,
    /// As JSON, secrets masked.
    config: Arc<str>,
    board: Arc<Mutex<Board>>,
}

#[derive(Default)]
struct Board {
    report: BeatReport,
    /// The newest last.
    beats: VecDeque<BeatView>,
    /// Of the rate window, the newest last.
    marks: VecDeque<Mark>,
}

/// Where everything stood at one beat.
struct Mark {
    at_us: i64,
    tally: Tally,
    /// Partition, next offset, end offset.
    positions: Vec<(i32, i64, i64)>,
}

impl Mark {
    fn of(report: &BeatReport, at_us: i64) -> Self {
        let partitions = report.partitions.iter();
        let positions = partitions.map(|one| (one.partition, one.next_offset, one.end_offset));
        Self { at_us, tally: report.tally, positions: positions.collect() }
    }
}

impl Live for StreamBoard {
    fn bars(&self, _bars: &[Bar]) {}

    fn trades(&self, _trades: &[Judged]) {}

    fn ready(&self, ready: bool, reason: &str) {
        if ready { self.readiness.set_ready() } else { self.readiness.set_not_ready(reason) }
    }

    fn beat(&self, report: &BeatReport) {
        let (at_us, now_us) = (self.clock.now_us(), self.clock.monotonic_us());
        let mut board = self.board();
        board.report = report.clone();
        if board.beats.len() >= BEATS_KEPT {
            board.beats.pop_front();
        }
        board.beats.push_back(BeatView::of(report, at_us.div_euclid(1_000)));
        board.marks.retain(|mark| now_us - mark.at_us <= RATE_WINDOW_US);
        if board.marks.back().is_none_or(|mark| now_us - mark.at_us >= MARK_EVERY_US) {
            board.marks.push_back(Mark::of(report, now_us));
        }
    }
}

impl StreamBoard {
    /// For a stream that starts now with this configuration.
    pub fn new(clock: Arc<dyn Clock>, config: &Config) -> Self {
        Self {
            started_ms: clock.now_us().div_euclid(1_000),
            clock,
            readiness: Readiness::not_yet("starting"),
            config: config::to_json(config).into(),
            board: Arc::default(),
        }
    }

    /// The page at `/`, its figures and the configuration as JSON, health and metrics.
    pub fn router(&self) -> Router {
        let figures = Router::new()
            .route("/api/v1/state", get(figures))
            .route("/api/v1/config", get(configuration))
            .with_state(self.clone());
        figures.merge(files_router(&FILES)).merge(health_router(self.readiness.clone()))
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self) -> JobView {
        let (now_ms, now_us) = (self.clock.now_us().div_euclid(1_000), self.clock.monotonic_us());
        let reason = self.readiness.reason();
        let board = self.board();
        let in_window = |mark: &&Mark| now_us - mark.at_us <= RATE_WINDOW_US;
        let first = board.marks.iter().find(in_window);
        JobView::of(
            &board.report,
            &board.beats,
            first,
            view::Moment { now_ms, now_us, started_ms: self.started_ms, reason },
        )
    }
}

async fn figures(State(board): State<StreamBoard>) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(board.view())).into_response()
}

async fn configuration(State(board): State<StreamBoard>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, board.config.to_string()).into_response()
}

#[cfg(test)]
mod tests;
