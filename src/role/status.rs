//! `ticksmith status`: who reads, how far, what state there is, and what is wrong: for the operator
//! at the terminal and for programs that watch. It looks from outside and changes nothing.

mod json;
mod text;
mod verdict;

use clap::ValueEnum;

use super::range_query;
use crate::config::{Config, Http};
use crate::error::{Error, Result};
use crate::http::probe::{self, Answer};
use crate::kafka::overview::{self, Overview, PartitionStand};
use crate::port::Clock;
use crate::runtime::SystemClock;

/// Arguments of the command; each that stands for a configuration key overrides it in `apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Brokers, host:port, several separated by commas
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: Option<String>,
    /// Consumer group of the stream
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Ask this process too whether it is at work, and why not; may be given several times
    #[arg(long, value_name = "http://HOST:PORT", value_parser = probe::check_address)]
    process: Vec<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

const AFTER_HELP: &str = "\
The group, its members and offsets are Kafka's own; watermark, connections, open windows and counts
are read from the changelog, as of the last committed beat. Restore progress is told by the process
that restores: the one at http.bind and stream.http_port, and each --process. None of it disturbs
the stream.

  lag              records between the committed offset and the end of the partition
  oldest unread    how long ago the first of them was written
  watermark lag    now, by this machine's clock, minus the watermark; of a replay, the age of the
                   market that is replayed
  open windows     windows in the state, until the allowed lateness has passed

Examples:
  ticksmith status
  ticksmith status --process http://stream-1:8080 --process http://stream-2:8080
  ticksmith status --format json | jq '.total.lag_records, .problems'
  watch -n 2 ticksmith status

Exit codes:
  0 all is well   1 something needs you: it is named, with the remedy
  2 wrong arguments, or a topic is missing   3 Kafka does not answer

`ticksmith up` needs no Kafka, and shows the same on its dashboard.";

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Tables for people
    Text,
    /// One object
    Json,
}

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, config: &mut Config) {
        if let Some(bootstrap) = &self.bootstrap {
            config.kafka.bootstrap.clone_from(bootstrap);
        }
        if let Some(group) = &self.group {
            config.kafka.group.clone_from(group);
        }
    }
}

/// A process that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    address: String,
    answer: Answer,
    /// With --process: that nobody is there is then worth a word.
    is_named: bool,
}

/// Everything that is shown.
struct Report {
    bootstrap: String,
    group: String,
    trades: String,
    changelog: String,
    /// When it was looked, ms since the epoch.
    now_ms: i64,
    overview: Overview,
    processes: Vec<Process>,
}

/// Runs the command to its end.
///
/// # Errors
/// `Differences` naming what needs the operator; `Unavailable` when no broker answers; `Config`
/// when a topic is missing.
pub fn run(args: Args, config: Config) -> Result<()> {
    let own = own_address(&config.http, config.stream.http_port);
    let report = Report::look(&config, ask(&args.process, own))?;
    let problems = verdict::problems(&report);
    range_query::print(&match args.format {
        Format::Text => text::page(&report, &problems).into_bytes(),
        Format::Json => json::object(&report, &problems).into_bytes(),
    })?;
    verdict::closing(&problems).map_or(Ok(()), |sentence| Err(Error::Differences(sentence)))
}

impl Report {
    fn look(config: &Config, processes: Vec<Process>) -> Result<Self> {
        let overview = overview::look(config)?;
        Ok(Self {
            bootstrap: config.kafka.bootstrap.clone(),
            group: config.kafka.group.clone(),
            trades: config.topics.trades.clone(),
            changelog: config.topics.changelog.clone(),
            now_ms: SystemClock.now_us() / 1_000,
            overview,
            processes,
        })
    }
}

/// The group in a few words, and what of it needs the operator.
pub(super) struct Summary {
    pub members: usize,
    pub lag_records: i64,
    /// The largest of the partitions; of a replay, the age of the market.
    pub watermark_lag_ms: Option<i64>,
    /// The most urgent first, with remedies.
    pub problems: Vec<String>,
}

/// Looks at the group for another command.
///
/// # Errors
/// As of `run`, but for what it found.
pub(super) fn summary(config: &Config) -> Result<Summary> {
    let report = Report::look(config, Vec::new())?;
    let stands = &report.overview.partitions;
    let lag_ms = |watermark_ms: i64| report.now_ms - watermark_ms;
    Ok(Summary {
        members: report.overview.group.members.len(),
        lag_records: stands.iter().map(PartitionStand::lag_records).sum(),
        watermark_lag_ms: stands.iter().filter_map(text::watermark_ms).map(lag_ms).max(),
        problems: verdict::problems(&report),
    })
}

/// Where a process with this configuration would be; `None` with a port that nobody can know.
pub(super) fn own_address(http: &Http, port: u16) -> Option<String> {
    let host = match http.bind.as_str() {
        "0.0.0.0" => "127.0.0.1".to_owned(),
        "::" => "[::1]".to_owned(),
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    (port != 0).then(|| format!("http://{host}:{port}"))
}

fn ask(named: &[String], own: Option<String>) -> Vec<Process> {
    let own = own.filter(|own| !named.contains(own)).map(|address| (address, false));
    let named = named.iter().map(|address| (address.clone(), true));
    own.into_iter()
        .chain(named)
        .map(|(address, is_named)| {
            let answer = probe::ask_ready(&address);
            Process { address, answer, is_named }
        })
        .collect()
}

#[cfg(test)]
mod tests;
