//! The command tree. Each command's help and arguments stand on its own page in `role`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::role;
use crate::telemetry;

/// Turns a live trade feed into bars that can be trusted.
#[derive(Debug, Parser)]
#[command(
    name = "ticksmith",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    long_about = LONG_ABOUT,
    after_long_help = AFTER_HELP,
    after_help = "`ticksmith --help` shows examples and the environment variables."
)]
pub struct Cli {
    /// TOML file with the keys to change; `ticksmith config --defaults` prints all of them
    #[arg(long, global = true, value_name = "FILE", help_heading = "Configuration")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

const LONG_ABOUT: &str = "\
Turns a live trade feed into bars that can be trusted: every bar says how complete it is, no trade
vanishes, and the same log always gives the same bars.

  ticksmith up                                 a synthetic market, live, on http://127.0.0.1:8501
  FINNHUB_API_KEY=… ticksmith up               the same page with the real market";

const AFTER_HELP: &str = "\
Examples:
  In one process, without any server:
    ticksmith up --data ./data                 keep everything and continue after a restart
    ticksmith up --for 30s                     end by itself
    ticksmith bars --data ./data --symbol AAPL --interval 5m
    ticksmith trades --data ./data --symbol AAPL
    ticksmith explain --data ./data --symbol AAPL --at 2026-01-05T14:32:00Z
                                               why the bar of that time is what it is
    ticksmith audit --data ./data --symbol all   recompute every bar from bronze and compare
    ticksmith serve --data ./data              dashboard and HTTP API over what it has stored
  With Kafka and Cassandra, in this order:
    ticksmith topics                           create the topics, or report what differs
    ticksmith cassandra-init                   create keyspace and tables
    ticksmith simulate                         a Finnhub of one's own, when there is no key
    ticksmith producer --symbols AAPL,MSFT     feed to Kafka
    ticksmith stream                           Kafka to bars in Cassandra
    ticksmith status                           members, partitions, lag, watermarks, what is wrong
    ticksmith doctor                           key, feed, topics, tables, clocks, disk, ports
    ticksmith smoke-test                       do trades come through?
    ticksmith bars --symbol AAPL --interval 1h --format csv
    ticksmith serve                            dashboard and HTTP API on http://127.0.0.1:8501
    ticksmith rebuild --symbol AAPL --from 2026-01-05T14:00:00Z --to 2026-01-05T21:00:00Z
    ticksmith reset --by-duration 2h           what reading the last hours again would mean
  Without any feed:
    ticksmith verify --frames frames.jsonl --bars bars.csv --interval 5m
    ticksmith config                           what is in effect, and where it comes from

Environment variables, also read from .env in the working directory:
  FINNHUB_API_KEY                              Finnhub key, or several separated by commas
  TICKSMITH__SECTION__KEY                      any key, like TICKSMITH__KAFKA__BOOTSTRAP=host:9092

Exit codes:
  0 done   1 differences found   2 wrong arguments, configuration or input
  3 a dependency is absent or refuses   130 stopped by a second signal";

/// How a run of the program ended.
#[derive(Debug)]
pub enum Outcome {
    Done,
    /// Help was asked for, or the arguments are wrong.
    Usage(clap::Error),
    Failed(Error),
}

impl Cli {
    /// Parses the arguments of the process.
    ///
    /// # Errors
    /// When help is asked for, or an argument is wrong.
    pub fn parse_arguments() -> Result<Self, clap::Error> {
        Self::try_parse()
    }

    /// Loads the configuration and runs the command.
    pub fn execute(self) -> Outcome {
        self.run().map_or_else(Outcome::Failed, |()| Outcome::Done)
    }

    fn run(self) -> Result<()> {
        let config = Config::load(self.config.as_deref(), |config| self.command.apply(config))?;
        let _export = telemetry::start_logging(&config.log)?;
        self.command.run(config)
    }
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
    /// Explain one bar: what set its prices, where its volume went, gaps and corrections
    Explain(role::explain::Args),
    /// Serve dashboard and HTTP API over what is stored
    Serve(role::serve::Args),
    /// Recompute bars from bronze and compare them with those that are stored
    Audit(role::audit::Args),
    /// Recompute bars from bronze and store them as a new generation
    Rebuild(role::rebuild::Args),
    /// Go back in the trades topic: read it again and write its bars as a new generation
    Reset(role::reset::Args),
    /// Show who reads, how far, what state there is, and what is wrong
    Status(role::status::Args),
    /// Check a setup from end to end: what is wrong, and how to mend it
    Doctor(role::doctor::Args),
    /// Send a few trades through the running system and find them in every table
    SmokeTest(role::smoke_test::Args),
    /// Create the Kafka topics, or report what differs
    Topics(role::topics::Args),
    /// Create the Cassandra keyspace and tables, or report what differs
    CassandraInit(role::cassandra_init::Args),
    /// Print the effective configuration, secrets masked
    Config(role::config::Args),
    /// Print every metric that the roles have, with its labels and meaning
    Metrics(role::metrics::Args),
}

impl Command {
    /// Whether it ends when it is told to, and drains first; the others are ended by a signal like
    /// any program.
    pub fn runs_until_stopped(&self) -> bool {
        matches!(
            self,
            Self::Up(_) | Self::Producer(_) | Self::Stream(_) | Self::Simulate(_) | Self::Serve(_)
        )
    }

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
            Self::Explain(args) => args.apply(config),
            Self::Serve(args) => args.apply(config),
            Self::Audit(args) => args.apply(config),
            Self::Rebuild(args) => args.apply(config),
            Self::Reset(args) => args.apply(config),
            Self::Status(args) => args.apply(config),
            Self::Doctor(args) => args.apply(config),
            Self::SmokeTest(args) => args.apply(config),
            Self::Topics(args) => args.apply(config),
            Self::CassandraInit(args) => args.apply(config),
            Self::Config(args) => args.apply(config),
            Self::Metrics(args) => args.apply(config),
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
            Self::Explain(args) => role::explain::run(args, config),
            Self::Serve(args) => role::serve::run(args, config),
            Self::Audit(args) => role::audit::run(args, config),
            Self::Rebuild(args) => role::rebuild::run(args, config),
            Self::Reset(args) => role::reset::run(args, config),
            Self::Status(args) => role::status::run(args, config),
            Self::Doctor(args) => role::doctor::run(args, config),
            Self::SmokeTest(args) => role::smoke_test::run(args, config),
            Self::Topics(args) => role::topics::run(args, config),
            Self::CassandraInit(args) => role::cassandra_init::run(args, config),
            Self::Config(args) => role::config::run(args, config),
            Self::Metrics(args) => role::metrics::run(args, config),
        }
    }
}
