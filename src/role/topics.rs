//! `ticksmith topics`: create the Kafka topics, or report what differs.

use crate::config::Config;
use crate::error::{Error, Result};
use crate::kafka::topics::{TopicReport, TopicState, ensure};

/// Arguments of the command; each that stands for a configuration key overrides it in `apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Brokers, host:port, several separated by commas
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap: Option<String>,
    /// Partitions of topics that are created
    #[arg(long, value_name = "COUNT")]
    partitions: Option<u32>,
    /// Replicas of topics that are created
    #[arg(long, value_name = "COUNT")]
    replication: Option<u32>,
}

const AFTER_HELP: &str = "\
May be repeated: what exists is compared with the configuration and never changed.

Examples:
  ticksmith topics
  ticksmith topics --bootstrap kafka-1:9092,kafka-2:9092 --partitions 12 --replication 3

Exit codes:
  0 every topic is as configured   1 some differ: they are named, and were left as they are
  2 wrong arguments   3 Kafka does not answer, or does not allow it";

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, config: &mut Config) {
        if let Some(bootstrap) = &self.bootstrap {
            config.kafka.bootstrap.clone_from(bootstrap);
        }
        if let Some(partitions) = self.partitions {
            config.topics.partitions = partitions;
        }
        if let Some(replication) = self.replication {
            config.topics.replication = replication;
        }
    }
}

/// Runs the command to its end.
///
/// # Errors
/// `Differences` when an existing topic is not as configured; nothing of it was changed.
pub fn run(_args: Args, config: Config) -> Result<()> {
    let reports = ensure(&config)?;
    for line in reports.iter().flat_map(lines) {
        println!("{line}");
    }
    let differing = reports.iter().filter(|r| matches!(r.state, TopicState::Differs(_))).count();
    if differing == 0 {
        return Ok(());
    }
    let of = reports.len();
    Err(Error::Differences(format!(
        "{differing} of {of} topics differ from the configuration and were left as they are; \
         change them with kafka-configs, or the configuration"
    )))
}

fn lines(report: &TopicReport) -> Vec<String> {
    let TopicReport { name, partitions, state } = report;
    match state {
        TopicState::Created => vec![format!("{name:<20} created, {partitions} partitions")],
        TopicState::Missing => vec![format!("{name:<20} is missing")],
        TopicState::AsWanted => vec![format!("{name:<20} exists, {partitions} partitions")],
        TopicState::Differs(differences) => differences
            .iter()
            .map(|d| {
                format!("{name:<20} differs: {} is {}, wanted {}", d.setting, d.found, d.wanted)
            })
            .collect(),
    }
}
