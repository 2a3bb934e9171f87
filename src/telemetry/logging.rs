//! Where log lines go: stderr, as text for people or JSON for machines, so that stdout stays the
//! command's own output. Where spans go: to a collector, when there is one.

use std::io::{self, IsTerminal};

use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::export::Export;
use super::recent::Noting;
use crate::config::{Log, LogFormat};
use crate::error::{Error, Result};

/// Crates that write whole requests at their finer levels, and with them the address that carries
/// the API key.
const TALKATIVE_CRATES: [&str; 5] =
    ["tungstenite", "tokio_tungstenite", "ureq", "ureq_proto", "rustls"];

/// A plain level leaves out the Cassandra driver's lines: what it meets comes back to us as errors,
/// and is told once, with a remedy. Finer levels, and a filter of one's own, have them.
fn directives(level: &str) -> String {
    match level {
        "error" | "warn" | "info" => format!("{level},scylla=off"),
        other => other.to_owned(),
    }
}

/// Starts logging for the process, and the export of spans, which ends with what is returned.
///
/// # Errors
/// `Config` when the filter or the collector's address does not parse; `Bug` when called twice.
pub fn start_logging(log: &Log) -> Result<Export> {
    let filter = EnvFilter::try_new(directives(&log.level)).map_err(|error| {
        Error::Config(format!("log.level '{}': {error}; use a level such as info", log.level))
    })?;
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let layer = match log.format {
        LogFormat::Text => layer.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    let (export, spans) = match log.otlp_url.as_str() {
        "" => (Export::default(), None),
        url => {
            let (export, tracer) = Export::to(url)?;
            let layer = tracing_opentelemetry::layer().with_tracer(tracer);
            (export, Some(layer.with_filter(filter_fn(is_span_of_ours))))
        }
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter.and(filter_fn(is_discreet))))
        .with(
            Noting
                .with_filter(filter_fn(is_problem_of_ours).with_max_level_hint(LevelFilter::WARN)),
        )
        .with(spans)
        .try_init()
        .map_err(|error| Error::Bug(format!("logging was started twice: {error}")))?;
    Ok(export)
}

fn is_discreet(metadata: &Metadata) -> bool {
    let name = metadata.target().split("::").next().unwrap_or_default();
    let is_talkative = TALKATIVE_CRATES.contains(&name);
    metadata.is_event() && (!is_talkative || *metadata.level() <= LevelFilter::INFO)
}

/// Whatever level the log has: a page that shows problems must not miss one.
fn is_problem_of_ours(metadata: &Metadata) -> bool {
    let is_ours = ["ticksmith", "kafka"].iter().any(|ours| metadata.target().starts_with(ours));
    metadata.is_event() && is_ours && *metadata.level() <= LevelFilter::WARN
}

fn is_span_of_ours(metadata: &Metadata) -> bool {
    metadata.is_span() && metadata.target().starts_with("ticksmith")
}
