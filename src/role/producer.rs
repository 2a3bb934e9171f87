//! `ticksmith producer`: read the Finnhub feed and write its trades to Kafka. `up` runs the same
//! feed into its own log.

mod desk;
mod forwarder;
mod lease;
mod plan;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use crate::codec::avro::Avro;
use crate::config::Config;
use crate::embedded::spool::{Spool, SpoolOptions};
use crate::error::{Error, Result};
use crate::http::{Readiness, Server, serve_health};
use crate::kafka::KafkaPublisher;
use crate::port::{Clock, Publisher};
use crate::registry;
use crate::runtime::{BackoffBounds, Shutdown, SystemClock};
use crate::telemetry::{self, process::Role};
use crate::websocket::{Client, ClientOptions, ConnectionIds, Lease, Signal};
use desk::Desk;
pub(in crate::role) use desk::trade_record;
pub use forwarder::{Connect, SpooledPublisher};
use lease::Leases;
pub(in crate::role) use lease::hash as key_hash;
pub use plan::{FeedPlan, plan_feed};

/// The line of every few seconds.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);
/// Sockets that are still busy when everything else is done are left to the system.
const SOCKETS_WITHIN: Duration = Duration::from_secs(1);

/// Arguments of the command; each that stands for a configuration key overrides it in `apply`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// WebSocket address of the feed, without the key
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Symbols to subscribe to, separated by commas
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    symbols: Option<Vec<String>>,
}

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, config: &mut Config) {
        if let Some(url) = &self.url {
            config.finnhub.url.clone_from(url);
        }
        if let Some(symbols) = &self.symbols {
            config.finnhub.symbols.clone_from(symbols);
        }
    }
}

/// Runs the command to its end.
pub fn run(_args: Args, config: Config) -> Result<()> {
    let plan = plan_feed(&config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let shutdown = Shutdown::on_signals(Duration::from_millis(config.stream.drain_deadline_ms))?;
    let server = Server::bind(&config.http, config.producer.http_port, "producer.http_port")?;
    telemetry::process::started(Role::Producer);
    let readiness = Readiness::not_yet("connecting to the feed");
    let _health = serve(server, readiness.clone(), &shutdown)?;
    let avro = registry::open_avro(&config.schema_registry, &config.topics, clock.clone())?;
    let publisher = open_publisher(&config, &clock, readiness.part("log"))?;
    // After the spool: its lock makes sure that no earlier run of this producer is left.
    let mut leases = Leases::join(&config, &plan, &clock)?;
    shutdown.begun();
    let outcome = run_producer(FeedRun {
        config: &config,
        plan,
        leases: std::mem::take(&mut leases.by_slot),
        publisher: Box::new(publisher),
        avro: Arc::new(avro),
        clock,
        shutdown,
        progress_every: Some(PROGRESS_EVERY),
        readiness,
    });
    leases.await_left();
    outcome
}

/// Where the configured producer keeps what was not acknowledged.
pub(in crate::role) fn spool_directory(config: &Config) -> PathBuf {
    PathBuf::from(&config.producer.spool_dir).join(&config.producer.name)
}

/// The spool in front of Kafka.
fn open_publisher(
    config: &Config,
    clock: &Arc<dyn Clock>,
    readiness: Readiness,
) -> Result<SpooledPublisher> {
    let settings = &config.producer;
    let spool = Spool::open(SpoolOptions {
        directory: spool_directory(config),
        max_bytes: settings.spool_max_mib << 20,
        sync_every: Duration::from_millis(settings.spool_sync_ms.max(1)),
    })?;
    let (config, clock) = (config.clone(), clock.clone());
    SpooledPublisher::start(
        spool,
        readiness,
        Box::new(move || Ok(Box::new(KafkaPublisher::connect(&config, clock.clone())?))),
    )
}

/// Health and metrics on a thread of their own; they end with the returned runtime.
fn serve(server: Server, readiness: Readiness, shutdown: &Shutdown) -> Result<Runtime> {
    let runtime = one_thread("http")?;
    tracing::info!(url = server.url(), "health and metrics");
    let shutdown = shutdown.clone();
    runtime.spawn(async move {
        let stop = async move { shutdown.requested().await };
        if let Err(error) = serve_health(server, readiness, stop).await {
            tracing::warn!(problem = %error, "health and metrics are gone; the feed goes on");
        }
    });
    Ok(runtime)
}

/// Everything that a feed needs to run into a log.
pub struct FeedRun<'a> {
    pub config: &'a Config,
    /// From `plan_feed`.
    pub plan: FeedPlan,
    /// By key slot; empty: nobody else has these keys.
    pub leases: Vec<Lease>,
    pub publisher: Box<dyn Publisher>,
    pub avro: Arc<Avro>,
    pub clock: Arc<dyn Clock>,
    /// Asked for a stop it releases its connections and flushes; it asks itself when it fails.
    pub shutdown: Shutdown,
    /// How often a progress line is logged; `None`: never.
    pub progress_every: Option<Duration>,
    /// Ready while every connection of the plan is up.
    pub readiness: Readiness,
}

/// Runs the feed until a stop is asked for. Blocks, and must not be called on an async thread: the
/// calling thread numbers, encodes and publishes, the sockets have one of their own.
///
/// # Errors
/// `Config`: the feed does not know a key. Whatever the publisher returns.
pub fn run_producer(mut run: FeedRun<'_>) -> Result<()> {
    let runtime = one_thread("feed")?;
    let (sender, mut receiver) = mpsc::channel(run.config.producer.queue_frames.max(1));
    let mut desk = Desk::new(
        DeskRun {
            config: run.config,
            slots: run.plan.slots.len(),
            avro: run.avro.clone(),
            clock: run.clock.clone(),
            readiness: run.readiness.clone(),
        },
        run.progress_every,
    );
    let mut leases = std::mem::take(&mut run.leases);
    leases.resize(run.plan.slots.len(), Lease::unneeded());
    let clients = start_clients(&runtime, &run, leases, sender);
    let mut publisher = run.publisher;
    let served = desk.serve(&mut receiver, publisher.as_mut());
    // Without a receiver the clients end by themselves, whatever they are doing.
    drop(receiver);
    if served.is_err() {
        run.shutdown.request();
    }
    let connected = match served {
        Ok(()) => runtime.block_on(clients).unwrap_or_else(|error| {
            Err(Error::Bug(format!("a thread of the feed ended by itself: {error}")))
        }),
        Err(_) => Ok(()),
    };
    runtime.shutdown_timeout(SOCKETS_WITHIN);
    served.and(connected)
}

/// What a desk without sockets of its own needs.
pub struct DeskRun<'a> {
    pub config: &'a Config,
    /// Key slots that the signals name.
    pub slots: usize,
    pub avro: Arc<Avro>,
    pub clock: Arc<dyn Clock>,
    /// Ready while every slot is up.
    pub readiness: Readiness,
}

/// Publishes signals that come from no socket (the past of a simulated market) until their sender
/// is gone. Blocks, as `run_producer` does.
///
/// # Errors
/// Whatever the publisher returns.
pub fn publish_signals(
    run: DeskRun<'_>,
    signals: &mut mpsc::Receiver<Signal>,
    publisher: &mut dyn Publisher,
) -> Result<()> {
    Desk::new(run, None).serve(signals, publisher)
}

fn one_thread(name: &str) -> Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(name)
        .enable_all()
        .build()
        .map_err(|error| Error::Unavailable(format!("no thread for {name}: {error}")))
}

/// One client per key; the first one that fails stops the others.
fn start_clients(
    runtime: &Runtime,
    run: &FeedRun<'_>,
    leases: Vec<Lease>,
    sender: mpsc::Sender<Signal>,
) -> JoinHandle<Result<()>> {
    let ids = Arc::new(ConnectionIds::new(rand::random()));
    let clients: Vec<Client> = leases
        .into_iter()
        .enumerate()
        .map(|(slot, lease)| {
            let (ids, clock) = (ids.clone(), run.clock.clone());
            let options = client_options(run, slot, lease);
            Client::new(options, ids, clock, sender.clone(), run.shutdown.clone())
        })
        .collect();
    let shutdown = run.shutdown.clone();
    runtime.spawn(async move {
        let mut running: JoinSet<Result<()>> = clients.into_iter().map(Client::run).collect();
        let mut outcome = Ok(());
        while let Some(ended) = running.join_next().await {
            let ended = ended.unwrap_or_else(|error| {
                Err(Error::Bug(format!("a client of the feed ended by itself: {error}")))
            });
            if ended.is_err() {
                shutdown.request();
            }
            outcome = outcome.and(ended);
        }
        outcome
    })
}

fn client_options(run: &FeedRun<'_>, slot: usize, lease: Lease) -> ClientOptions {
    let settings = &run.config.producer;
    let (key, symbols) = &run.plan.slots[slot];
    ClientOptions {
        address: run.plan.address.clone(),
        trust: run.plan.trust.clone(),
        key: key.clone(),
        slot,
        feed: feed_name(run.config, slot),
        symbols: symbols.clone(),
        silence_after: Duration::from_millis(settings.silence_after_ms),
        heartbeat_every: Duration::from_millis(settings.heartbeat_every_ms.max(1)),
        backoff: BackoffBounds {
            initial: Duration::from_millis(settings.backoff_initial_ms),
            max: Duration::from_millis(settings.backoff_max_ms),
            throttled: Duration::from_millis(settings.backoff_throttled_ms),
        },
        lease,
    }
}

/// Producer name and key slot, for example `finnhub/0`.
fn feed_name(config: &Config, slot: usize) -> String {
    format!("{}/{slot}", config.producer.name)
}
