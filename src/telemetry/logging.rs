//! Where log lines go: stderr, as text for people or JSON for machines, so that stdout stays the
//! command's own output.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

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

/// Starts logging for the process.
///
/// # Errors
/// `Config` when the filter does not parse; `Bug` when called twice.
pub fn start_logging(log: &Log) -> Result<()> {
    let filter = EnvFilter::try_new(directives(&log.level)).map_err(|error| {
        Error::Config(format!("log.level '{}': {error}; use a level such as info", log.level))
    })?;
    let discreet = filter_fn(|metadata| {
        let name = metadata.target().split("::").next().unwrap_or_default();
        !TALKATIVE_CRATES.contains(&name) || *metadata.level() <= LevelFilter::INFO
    });
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let layer = match log.format {
        LogFormat::Text => layer.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    // Whatever level the log has: a page that shows problems must not miss one.
    let noted = filter_fn(|metadata| {
        let is_ours = ["ticksmith", "kafka"].iter().any(|ours| metadata.target().starts_with(ours));
        is_ours && *metadata.level() <= LevelFilter::WARN
    });
    tracing_subscriber::registry()
        .with(layer.with_filter(filter.and(discreet)))
        .with(Noting.with_filter(noted.with_max_level_hint(LevelFilter::WARN)))
        .try_init()
        .map_err(|error| Error::Bug(format!("logging was started twice: {error}")))
}
