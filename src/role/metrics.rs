//! `ticksmith metrics`: print the reference of the metrics, from the metrics themselves, so that
//! the page and the program cannot disagree.

use crate::config::Config;
use crate::error::Result;
use crate::telemetry;

/// Arguments of the command.
#[derive(Debug, clap::Args)]
#[command(after_help = "Every role that runs until it is stopped serves them on /metrics, as \
    Prometheus reads them. This page is docs/METRICS.md.")]
pub struct Args {}

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, _config: &mut Config) {}
}

/// Runs the command to its end.
pub fn run(_args: Args, _config: Config) -> Result<()> {
    print!("{}", telemetry::to_markdown());
    Ok(())
}
