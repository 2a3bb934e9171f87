//! The command tree. Each command's help and arguments stand on its own page in `role`.

use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::error::Result;
use crate::role;

/// Turns a live trade feed into bars that can be trusted.
#[derive(Debug, Parser)]
#[command(name = "ticksmith", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Everything in one process: feed, log, engine, store and dashboard; no server needed
    Up(role::up::Args),
    /// Read the Finnhub feed and write its trades to Kafka
    Producer(role::producer::Args),
    /// Turn the trades in Kafka into bars: validate, de-duplicate, aggregate, store
    Stream(role::stream::Args),
    /// Serve a synthetic or recorded market with Finnhub's WebSocket protocol
    Simulate(role::simulate::Args),
    /// Compare the bars of recorded frames with a CSV of expected bars
    Verify(role::verify::Args),
    /// Print the bars of a symbol
    Bars(role::bars::Args),
    /// Print the trades of a symbol
    Trades(role::trades::Args),
    /// Create the Kafka topics, or report what differs
    Topics(role::topics::Args),
    /// Create the Cassandra keyspace and tables, or report what differs
    CassandraInit(role::cassandra_init::Args),
    /// Print the effective configuration, secrets masked
    Config(role::config::Args),
}

impl Command {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, config: &mut Config) {
        match self {
            Self::Up(args) => args.apply(config),
            Self::Producer(args) => args.apply(config),
            Self::Stream(args) => args.apply(config),
            Self::Simulate(args) => args.apply(config),
            Self::Verify(args) => args.apply(config),
            Self::Bars(args) => args.apply(config),
            Self::Trades(args) => args.apply(config),
            Self::Topics(args) => args.apply(config),
            Self::CassandraInit(args) => args.apply(config),
            Self::Config(args) => args.apply(config),
        }
    }

    /// Runs the command to its end.
    pub fn run(self, config: Config) -> Result<()> {
        match self {
            Self::Up(args) => role::up::run(args, config),
            Self::Producer(args) => role::producer::run(args, config),
            Self::Stream(args) => role::stream::run(args, config),
            Self::Simulate(args) => role::simulate::run(args, config),
            Self::Verify(args) => role::verify::run(args, config),
            Self::Bars(args) => role::bars::run(args, config),
            Self::Trades(args) => role::trades::run(args, config),
            Self::Topics(args) => role::topics::run(args, config),
            Self::CassandraInit(args) => role::cassandra_init::run(args, config),
            Self::Config(args) => role::config::run(args, config),
        }
    }
}
