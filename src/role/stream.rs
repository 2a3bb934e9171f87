//! `ticksmith stream`: the stream processor on Kafka and Cassandra.

use std::sync::Arc;

use crate::config::{Config, StoreKind};
use crate::error::Result;
use crate::kafka::KafkaLogFactory;
use crate::model::{Bar, Judged};
use crate::pipeline::{self, Parts, Schedule};
use crate::port::{BeatReport, Clock, Live, Store};
use crate::registry;
use crate::role::wiring;
use crate::runtime::{Shutdown, SystemClock};

/// Reads the trades topic, and writes bars, cleaned, late and rejected trades, and the tables.
#[derive(Debug, clap::Args)]
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

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, config: &mut Config) {
        if let Some(group) = &self.group {
            config.kafka.group.clone_from(group);
        }
    }
}

struct NoLive;
impl Live for NoLive {
    fn bars(&self, _: &[Bar]) {}
    fn trades(&self, _: &[Judged]) {}
    fn ready(&self, _: bool, _: &str) {}
    fn beat(&self, _: &BeatReport) {}
}

/// Runs the command to its end.
pub fn run(args: Args, config: Config) -> Result<()> {
    let shutdown = Shutdown::on_signals()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let avro = registry::open_avro(&config.schema_registry, &config.topics, Arc::clone(&clock))?;
    let store: Option<Box<dyn Store>> = match config.stream.store {
        StoreKind::Cassandra => None,
        StoreKind::None => None,
    };
    let parts = Parts {
        log_factory: Box::new(KafkaLogFactory::new(&config, Arc::clone(&clock))?),
        store,
        live: Arc::new(NoLive),
        avro: Arc::new(avro),
        rules: wiring::rules(&config)?,
        clock,
        schedule: Schedule {
            until_end: args.until_end,
            drain: args.drain,
            ..wiring::schedule(&config)
        },
        trades_topic: config.topics.trades.clone(),
    };
    let report = pipeline::run(parts, shutdown)?;
    println!("{:?}", report.tally);
    Ok(())
}
