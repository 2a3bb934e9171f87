//! What of the suite is to be run, and how much of it.

use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::{Parser, ValueEnum, value_parser};

const AFTER_HELP: &str = "\
Examples:
  make bench
  make bench ARGS='--only a,b --runs 1 --trades 500000'
  make bench ARGS='--only g --rates 5000 --seconds 60'
  make bench ARGS='--json after.json --compare before.json'

The table goes to standard output, progress to standard error. Each figure is the median of its
runs. Cases take turns: a round is one run of each, so a slower machine is slower for all of them.";

/// Measures ticksmith beside the limits that broker and database set, on the same machine.
#[derive(Debug, Parser)]
#[command(name = "make bench ARGS=…", after_help = AFTER_HELP, disable_version_flag = true)]
pub struct Options {
    /// Parts to run, separated by commas [default: all]
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    pub only: Vec<Part>,
    /// Runs of each case
    #[arg(long, value_name = "NUMBER", default_value_t = 5, value_parser = some())]
    pub runs: usize,
    /// Rounds before those that count: the servers are Java, which compiles what it has seen often
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub warm_up: usize,
    /// Trades of the runs that reach no table
    #[arg(long, value_name = "NUMBER", default_value_t = 3_000_000, value_parser = some())]
    pub trades: usize,
    /// Trades of the runs that reach the tables, if fewer
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000_000, value_parser = some())]
    pub table_trades: usize,
    /// Numbers of symbols
    #[arg(
        long,
        value_name = "NUMBERS",
        value_delimiter = ',',
        default_value = "500,10000",
        value_parser = some()
    )]
    pub symbols: Vec<usize>,
    /// Trades per second at which latency is measured
    #[arg(
        long,
        value_name = "NUMBERS",
        value_delimiter = ',',
        default_value = "1000,5000,20000,50000",
        value_parser = value_parser!(u32).range(1..)
    )]
    pub rates: Vec<u32>,
    /// How long latency is measured at each rate
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 40,
        value_parser = value_parser!(u64).range(1..)
    )]
    pub seconds: u64,
    /// Write the result here as well
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Print the ratios to an earlier result
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// A part of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// A bare poll loop of librdkafka: the limit of whatever reads Kafka
    A,
    /// Bars only, at least once and exactly once
    B,
    /// Bars and the silver topic
    C,
    /// Bronze, silver and gold in Cassandra
    D,
    /// A bare batched writer of the same rows: the limit of whatever writes to Cassandra
    E,
    /// The producer, from frames of a WebSocket to acknowledgements of Kafka
    F,
    /// Latency from the WebSocket to rows and bars, at given rates
    G,
    /// Start and restore against the size of the state
    H,
    /// Scaling: two processes, 24 partitions
    I,
    /// Sizes: bytes of a record in each topic, of a row in each table
    J,
    /// `up`: everything in one process
    K,
}

impl Options {
    pub fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }

    pub fn wants_any(&self, parts: &[Part]) -> bool {
        parts.iter().any(|part| self.wants(*part))
    }
}

/// At least one.
fn some() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}
