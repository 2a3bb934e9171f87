//! `ticksmith stream`: the stream processor on Kafka and Cassandra.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::cassandra::{CassandraStore, Connection};
use crate::config::{Config, StoreKind};
use crate::error::{Error, Result};
use crate::http::{Server, StreamBoard};
use crate::kafka::KafkaLogFactory;
use crate::pipeline::{self, Parts, Schedule};
use crate::port::{BeatReport, Clock, Store};
use crate::registry;
use crate::role::wiring;
use crate::runtime::{Shutdown, SystemClock};
use crate::telemetry::{self, process::Role};

/// Reads the trades topic, and writes bars, cleaned, late and rejected trades, and the tables.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Read to the end offsets seen at start, close what the watermark closes, commit, and exit
    #[arg(long)]
    until_end: bool,
    /// With --until-end: emit the windows still open as well, marked provisional
    #[arg(long, requires = "until_end")]
    drain: bool,
    /// Consumer group; a new one needs a changelog of its own (topics.changelog)
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
}

const AFTER_HELP: &str = "\
Several processes of one group share the partitions and take over from each other. SIGTERM ends one
at the end of a beat; a second signal ends it at once.

Examples:
  ticksmith stream
  ticksmith stream --until-end
  ticksmith status                             who reads, how far, and what is wrong

Exit codes:
  0 stopped, or --until-end reached it   2 configuration, or what is stored does not fit it
  3 Kafka or Cassandra is absent at the start   130 stopped by a second signal";

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, config: &mut Config) {
        if let Some(group) = &self.group {
            config.kafka.group.clone_from(group);
        }
    }
}

/// Runs the command to its end.
///
/// # Errors
/// `Unavailable` when Kafka or Cassandra is not there at the start; `Config` when a topic or a
/// table is missing, or the state belongs to something else.
pub fn run(args: Args, config: Config) -> Result<()> {
    let rules = wiring::rules(&config)?;
    let shutdown = Shutdown::on_signals(Duration::from_millis(config.stream.drain_deadline_ms))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let server = Server::bind(&config.http, config.stream.http_port, "stream.http_port")?;
    telemetry::process::started(Role::Stream);
    let board = StreamBoard::new(Arc::clone(&clock), &config);
    let _pages = serve(server, &board, &shutdown)?;
    let avro = registry::open_avro(&config.schema_registry, &config.topics, Arc::clone(&clock))?;
    let parts = Parts {
        store: open_store(&config, &clock)?,
        log_factory: Box::new(
            KafkaLogFactory::new(&config, Arc::clone(&clock))?.stopping_with(shutdown.clone()),
        ),
        live: Arc::new(board),
        avro: Arc::new(avro),
        rules,
        clock,
        schedule: Schedule {
            until_end: args.until_end,
            drain: args.drain,
            ..wiring::schedule(&config)
        },
        trades_topic: config.topics.trades.clone(),
    };
    let report = pipeline::run(parts, shutdown)?;
    println!("{}", summary(&report));
    Ok(())
}

fn open_store(config: &Config, clock: &Arc<dyn Clock>) -> Result<Option<Box<dyn Store>>> {
    match config.stream.store {
        StoreKind::Cassandra => {
            let connection = Connection::open(&config.cassandra)?;
            Ok(Some(Box::new(CassandraStore::open(&connection, config, clock.clone())?)))
        }
        StoreKind::None => Ok(None),
    }
}

/// Page, health and metrics on a thread of their own; they end with the returned runtime.
fn serve(server: Server, board: &StreamBoard, shutdown: &Shutdown) -> Result<Runtime> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("http")
        .enable_all()
        .build()
        .map_err(|error| Error::Unavailable(format!("no thread for HTTP: {error}")))?;
    tracing::info!(url = server.url(), "page, health and metrics");
    let (router, shutdown) = (board.router(), shutdown.clone());
    runtime.spawn(async move {
        let stop = async move { shutdown.requested().await };
        if let Err(error) = server.serve(router, stop).await {
            tracing::warn!(problem = %error, "the page is gone; the stream goes on");
        }
    });
    Ok(runtime)
}

fn summary(report: &BeatReport) -> String {
    let tally = &report.tally;
    format!(
        "merged {}, duplicate {}, rejected {}, late {}, control {}; {} symbols, lag {} records",
        tally.merged,
        tally.duplicate,
        tally.rejected,
        tally.late,
        tally.control,
        report.symbols,
        report.lag_records
    )
}
