//! `ticksmith stream`: the stream processor on Kafka and Cassandra.

use std::sync::Arc;

use crate::cassandra::CassandraStore;
use crate::config::{Config, StoreKind};
use crate::error::Result;
use crate::http;
use crate::kafka::KafkaLogFactory;
use crate::pipeline::{self, Parts, Schedule};
use crate::port::{Clock, Store};
use crate::registry;
use crate::role::wiring;
use crate::runtime::{Shutdown, SystemClock};

/// Reads the trades topic, and writes bars, cleaned, late and rejected trades, and the tables.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Read to the end offsets seen at start, close what the watermark closes, commit, and exit.
    #[arg(long)]
    until_end: bool,
    /// With --until-end: emit the windows still open as well, marked provisional.
    #[arg(long, requires = "until_end")]
    drain: bool,
    /// Consumer group; a new one needs a changelog of its own (topics.changelog).
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
}

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, config: &mut Config) {
        if let Some(group) = &self.group {
            config.kafka.group.clone_from(group);
        }
    }
}
