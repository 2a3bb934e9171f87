//! The page of the stream processor: where every partition stands, in one table that reloads
//! itself.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::get;
use chrono::DateTime;

use super::health::{Readiness, health_router};
use crate::model::{Bar, Judged};
use crate::port::{BeatReport, Live};

/// Holds the state after the last beat, and whether the stream is at work. Costs the pipeline one
/// lock a beat; trades and bars pass by unseen.
#[derive(Debug, Clone)]
pub struct StreamBoard {
    readiness: Readiness,
    report: Arc<Mutex<BeatReport>>,
}

impl Default for StreamBoard {
    fn default() -> Self {
        Self { readiness: Readiness::not_yet("starting"), report: Arc::default() }
    }
}

impl Live for StreamBoard {
    fn bars(&self, _bars: &[Bar]) {}

    fn trades(&self, _trades: &[Judged]) {}

    fn ready(&self, ready: bool, reason: &str) {
        if ready { self.readiness.set_ready() } else { self.readiness.set_not_ready(reason) }
    }

    fn beat(&self, report: &BeatReport) {
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = report.clone();
    }
}

impl StreamBoard {
    /// Health, metrics, and the page at `/`.
    pub fn router(&self) -> Router {
        let page = Router::new().route("/", get(page)).with_state(self.clone());
        page.merge(health_router(self.readiness.clone()))
    }
}

async fn page(State(board): State<StreamBoard>) -> Html<String> {
    let report = board.report.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Html(render(&report, board.readiness.reason().as_deref()))
}

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8>\
<meta http-equiv=refresh content=2><title>ticksmith stream</title><style>\
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;\
max-width:60rem;padding:0 1rem}table{border-collapse:collapse;width:100%}\
td,th{padding:.25rem .6rem;text-align:right;border-bottom:1px solid #8884;\
font-variant-numeric:tabular-nums}</style><h1>ticksmith stream</h1>";

fn render(report: &BeatReport, problem: Option<&str>) -> String {
    let mut page = String::from(HEAD);
    let state = problem.map_or_else(|| "at work".into(), escape);
    let tally = &report.tally;
    // Writing to a string cannot fail.
    let _ = write!(
        page,
        "<p>{state} · {} symbols · lag {} records · last beat: store {} ms, commit {} ms</p>\
         <p>merged {} · duplicate {} · rejected {} · late {} · control {}</p>\
         <table><tr><th>partition<th>next offset<th>lag<th>watermark (UTC)<th>open windows\
         <th>merged<th>duplicate<th>rejected<th>late</tr>",
        report.symbols,
        report.lag_records,
        report.flush_us / 1_000,
        report.commit_us / 1_000,
        tally.merged,
        tally.duplicate,
        tally.rejected,
        tally.late,
        tally.control
    );
    for one in &report.partitions {
        let watermark = one.watermark_ms.and_then(DateTime::from_timestamp_millis);
        let watermark = watermark
            .map_or_else(|| "—".into(), |time| time.format("%Y-%m-%d %H:%M:%S%.3f").to_string());
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>{}<td>{watermark}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            one.partition,
            one.next_offset,
            one.end_offset - one.next_offset,
            one.open_windows,
            one.tally.merged,
            one.tally.duplicate,
            one.tally.rejected,
            one.tally.late
        );
    }
    page.push_str("</table><p><a href=/metrics>metrics</a> · <a href=/readyz>readiness</a></p>");
    page
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Tally;
    use crate::port::PartitionReport;

    #[test]
    fn the_page_shows_each_partition_and_escapes_the_problem() {
        let partition = PartitionReport {
            partition: 3,
            next_offset: 41,
            end_offset: 48,
            watermark_ms: Some(1_710_163_800_000),
            open_windows: 12,
            tally: Tally { merged: 40, ..Tally::default() },
        };
        let report = BeatReport { partitions: vec![partition], ..BeatReport::default() };
        let page = render(&report, Some("Cassandra <away>"));
        assert!(page.contains("<td>3<td>41<td>7<td>2024-03-11 13:30:00.000<td>12<td>40"), "{page}");
        assert!(page.contains("Cassandra &lt;away>"), "{page}");
    }
}
