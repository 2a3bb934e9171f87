//! What every metric is called and means, as the pages show it: entered by the metrics themselves
//! as they are made, so that no list can fall behind.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use prometheus::core::Desc;

use super::{feed, log, process, restore, store, stream};

/// What a metric counts like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    /// Prometheus' word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    pub name: String,
    pub kind: Kind,
    /// In alphabetical order.
    pub labels: Vec<String>,
    /// One sentence, with the unit where the name has none.
    pub help: String,
}

static ENTERED: Mutex<BTreeMap<String, Metric>> = Mutex::new(BTreeMap::new());

/// Enters a metric as it is made.
pub(super) fn enter(kind: Kind, described: &Desc) {
    let fixed = described.const_label_pairs.iter().map(|pair| pair.name().to_owned());
    let mut labels: Vec<String> = described.variable_labels.iter().cloned().chain(fixed).collect();
    labels.sort();
    let name = described.fq_name.clone();
    let metric = Metric { name: name.clone(), kind, labels, help: described.help.clone() };
    ENTERED.lock().unwrap_or_else(PoisonError::into_inner).insert(name, metric);
}

/// Every metric that any role can have, by name.
pub fn catalogue() -> Vec<Metric> {
    for expose in
        [process::expose, feed::expose, log::expose, stream::expose, restore::expose, store::expose]
    {
        expose();
    }
    ENTERED.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
}

/// What begins the names of a chapter, its heading, and what it is about.
const CHAPTERS: [(&[&str], &str, &str); 6] = [
    (
        &["ticksmith_feed_", "ticksmith_producer_", "ticksmith_spool_"],
        "Feed",
        "What happens between the feed's sockets and the log. Of `producer` and `up`.",
    ),
    (
        &["ticksmith_stream_", "ticksmith_trade_", "ticksmith_unknown_", "ticksmith_calendar_"],
        "Stream",
        "Trades to bars. Of `stream` and `up`.",
    ),
    (&["ticksmith_restore_"], "Restore", "State from the changelog. Of `stream` and `up`."),
    (
        &["ticksmith_log_"],
        "Log",
        "Transactions and membership: Kafka, or the embedded log of `up`. Of `stream` and `up`; \
         `producer` counts deliveries and errors of its clients.",
    ),
    (&["ticksmith_store_"], "Store", "The way to the tables. Of `stream` and `up`."),
    (&["ticksmith_"], "Process", "Of every role that runs until it is stopped."),
];

const HEAD: &str = "\
# Metrics

Every role that runs until it is stopped serves `/metrics` in Prometheus' text format, beside
`/livez` and `/readyz`. This page is printed by `ticksmith metrics`; a test holds it against the
metrics that are made. Times are in seconds and sizes in bytes. A series with labels is there from
its first event on. Alert rules on these metrics are in
[prometheus/alerts.yml](../prometheus/alerts.yml), pictures in
[grafana/dashboards](../grafana/dashboards).
";

/// The catalogue as a page, one table a chapter.
pub fn to_markdown() -> String {
    let mut left = catalogue();
    let mut page = String::from(HEAD);
    for (beginnings, heading, about) in CHAPTERS {
        let is_here = |metric: &Metric| beginnings.iter().any(|one| metric.name.starts_with(one));
        let (here, elsewhere) = left.into_iter().partition(is_here);
        left = elsewhere;
        chapter(&mut page, heading, about, here);
    }
    page
}

fn chapter(page: &mut String, heading: &str, about: &str, metrics: Vec<Metric>) {
    // Writing to a string cannot fail.
    let _ = write!(page, "\n## {heading}\n\n{about}\n\n| metric | type | labels | is |\n");
    page.push_str("|---|---|---|---|\n");
    for Metric { name, kind, labels, help } in metrics {
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, labels) = (kind.as_str(), labels.join(", "));
        let _ = writeln!(page, "| `{name}` | {kind} | {labels} | {help} |");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_named_as_prometheus_names_are() {
        let metrics = catalogue();
        assert!(metrics.len() > 50, "{}", metrics.len());
        for Metric { name, kind, help, .. } in metrics {
            assert!(name.starts_with("ticksmith_"), "{name}");
            assert_eq!(name.ends_with("_total"), kind == Kind::Counter, "{name}: {kind:?}");
            assert!(help.ends_with('.') && !help.contains('|'), "{name}: {help}");
            let unit = ["_ms", "_us", "_milliseconds", "_minutes", "_kib", "_percent"];
            assert!(!unit.iter().any(|unit| name.contains(unit)), "{name}: not a base unit");
        }
    }

    #[test]
    fn the_page_has_every_metric_once_in_its_chapter() {
        let page = to_markdown();
        for Metric { name, .. } in catalogue() {
            assert_eq!(page.matches(&format!("| `{name}` |")).count(), 1, "{name}");
        }
        let process = page.split("## Process").nth(1).expect("the last chapter");
        assert!(process.contains("`ticksmith_ready`"), "{process}");
        assert!(!process.contains("`ticksmith_stream_"), "{process}");
    }
}
