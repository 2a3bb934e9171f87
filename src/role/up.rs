//! `ticksmith up`: everything in one process: feed, log, engine, store and dashboard; no server
//! needed.

use crate::config::Config;
use crate::error::{Error, Result};

/// Arguments of the command; each that stands for a configuration key overrides it in `apply`.
#[derive(Debug, clap::Args)]
pub struct Args {}

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, _config: &mut Config) {}
}

/// Runs the command to its end.
pub fn run(_args: Args, _config: Config) -> Result<()> {
    Err(Error::Bug("not wired yet".into()))
}
