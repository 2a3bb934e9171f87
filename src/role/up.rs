//! `ticksmith up`: everything in one process: feed, log, engine, store and dashboard; no server
//! needed. The parts are the very ones that `producer`, `stream` and `simulate` are made of; here a
//! file takes the place of Kafka and Cassandra.

mod data_directory;
mod history;
mod progress;
mod source;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::timeout;

use self::data_directory::DataDirectory;
use self::progress::Progress;
use self::source::{Feed, FeedParts};
use super::duration;
use super::explain::Explainer;
use super::wiring;
use crate::codec::avro::Avro;
use crate::config::Config;
use crate::embedded::Database;
use crate::embedded::log::Broker;
use crate::embedded::store::{EmbeddedReader, EmbeddedStore};
use crate::error::{Error, Result};
use crate::http::{ApiContext, LiveHub, PartitionView, Server, dashboard_router};
use crate::pipeline::{self, Parts, Schedule};
use crate::port::{BeatReport, Clock, Topic};
use crate::runtime::{Shutdown, SystemClock};
use crate::telemetry::{self, process::Role};
use crate::websocket::simulator::Speed;

/// A clean stop may take so long.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// Of that: for the feed to say goodbye, for the stream to
/// take in what the log still holds, for its last beat, and for open requests.
const FEED_WITHIN: Duration = Duration::from_millis(1_500);
const CATCH_UP_WITHIN: Duration = Duration::from_millis(1_500);
const LAST_BEAT_WITHIN_MS: u64 = 1_200;
const REQUESTS_WITHIN: Duration = Duration::from_millis(600);
/// How often the end of a part is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Arguments of the command; each that stands for a configuration key overrides it in `apply`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without --data everything is kept in a throw-away directory. With a key in \
    FINNHUB_API_KEY the real market is shown, without one a simulated market."
)]
pub struct Args {
    /// Keep everything in this directory, and continue from it after a restart
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// End after this time, for example 30s, 1m30s or 2h
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
    run_for: Option<Duration>,
    /// Port of the dashboard; 0 takes any that is free
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Symbols to follow, separated by commas
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    symbols: Option<Vec<String>>,
    /// Simulated market: trades per second over all symbols
    #[arg(long, value_name = "TRADES")]
    rate: Option<f64>,
    /// Simulated market: the same seed gives the same market
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Simulated market: how much of its past fills a new data directory; 0 for none
    #[arg(long, value_name = "TIME", default_value = "6h", value_parser = duration::parse)]
    history: Duration,
    /// Use the simulated market although a key is set
    #[arg(long)]
    simulator: bool,
    /// Replay recorded frames, one a line (.jsonl or .jsonl.gz), instead of a market
    #[arg(long, value_name = "FILE")]
    frames: Option<PathBuf>,
    /// Times the speed of the frames' own times, or "max"
    #[arg(long, value_name = "TIMES", default_value = "1", requires = "frames")]
    speed: Speed,
}

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, config: &mut Config) {
        if let Some(data) = &self.data {
            config.embedded.data = data.display().to_string();
        }
        if let Some(symbols) = &self.symbols {
            config.finnhub.symbols.clone_from(symbols);
        }
        config.http.port = self.port.unwrap_or(config.http.port);
        config.simulator.rate = self.rate.unwrap_or(config.simulator.rate);
        config.simulator.seed = self.seed.unwrap_or(config.simulator.seed);
        // The progress line says what the log lines of every part would say again.
        if config.log.level == Config::defaults().log.level {
            config.log.level = "warn".to_owned();
        }
    }
}

/// Runs the command to its end.
///
/// # Errors
/// `Config`: the port is taken, the data directory cannot be written or is in use, the feed refuses
/// the key. Whatever stops the pipeline.
pub fn run(args: Args, mut config: Config) -> Result<()> {
    let stop = Shutdown::on_signals(STOP_WITHIN)?;
    let server = Server::bind(&config.http, config.http.port, "--port")?;
    telemetry::process::started(Role::Up);
    let feed = Feed::choose(&args, &mut config)?;
    // What follows is taken apart again in order, a throw-away directory above all.
    stop.begun();
    let data = DataDirectory::open(&config.embedded.data)?;
    let progress = Progress::new(server.url(), feed.describe(&config), data.describe());
    let shared = Shared::open(&config, &data, stop.clone())?;
    let running = Running::start(&config, server, feed, shared)?;
    progress.begin();
    if let Some(run_for) = args.run_for {
        stop.request_after(run_for);
    }
    running.report_until_stopped(&progress, &stop);
    let hub = running.hub.clone();
    let ended = running.stop();
    progress.end(&hub.state(), ended.is_ok());
    ended
}

/// What the parts share.
struct Shared {
    clock: Arc<dyn Clock>,
    avro: Arc<Avro>,
    hub: Arc<LiveHub>,
    broker: Arc<Broker>,
    database: Database,
    reader: Arc<EmbeddedReader>,
    runtime: Runtime,
    stop: Shutdown,
    /// Asked when the feed is done: the stream and the pages end.
    drained: Shutdown,
}

impl Shared {
    fn open(config: &Config, data: &DataDirectory, stop: Shutdown) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let database = Database::open(data.path())?;
        let hours = config.embedded.log_retention_hours;
        Ok(Self {
            avro: Arc::new(Avro::single_object()),
            hub: Arc::new(LiveHub::new(clock.clone())),
            broker: Broker::open(&database, config.topics.partitions, hours, clock.clone())?,
            reader: Arc::new(EmbeddedReader::open(&database)?),
            runtime: tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .max_blocking_threads(4)
                .thread_name("http")
                .enable_all()
                .build()
                .map_err(no_thread)?,
            drained: Shutdown::default(),
            database,
            clock,
            stop,
        })
    }

    fn start_pages(&self, config: &Config, server: Server) -> Result<()> {
        let intervals = config.stream.parsed_intervals();
        let explainer = Arc::new(Explainer::new(config, self.clock.clone())?);
        let context = ApiContext::new(self.reader.clone(), explainer, self.hub.clone(), &intervals);
        let router = dashboard_router(context, self.hub.readiness());
        let drained = self.drained.clone();
        self.runtime.spawn(server.serve(router, async move { drained.requested().await }));
        Ok(())
    }

    fn start_stream(&self, config: &Config) -> Result<JoinHandle<Result<BeatReport>>> {
        let store = EmbeddedStore::open(&self.database, config, self.clock.clone())?;
        let schedule = wiring::schedule(config);
        let parts = Parts {
            log_factory: self.broker.factory(&config.kafka.group),
            store: Some(Box::new(store)),
            live: self.hub.clone(),
            avro: self.avro.clone(),
            rules: wiring::rules(config)?,
            clock: self.clock.clone(),
            schedule: Schedule { drain_deadline_ms: LAST_BEAT_WITHIN_MS, ..schedule },
            trades_topic: config.topics.trades.clone(),
        };
        let drained = self.drained.clone();
        spawn("stream", &self.stop, move || pipeline::run(parts, drained))
    }

    fn start_feed(&self, config: &Config, feed: Feed) -> Result<JoinHandle<Result<()>>> {
        let publisher = self.broker.publisher()?;
        let (avro, clock, reader) = (self.avro.clone(), self.clock.clone(), self.reader.clone());
        let (handle, shutdown) = (self.runtime.handle().clone(), self.stop.clone());
        let config = config.clone();
        spawn("feed", &self.stop, move || {
            let config = &config;
            feed.run(FeedParts { config, publisher, avro, clock, shutdown, reader, handle })
        })
    }
}

/// The parts at work.
struct Running {
    hub: Arc<LiveHub>,
    broker: Arc<Broker>,
    runtime: Runtime,
    feed: JoinHandle<Result<()>>,
    stream: JoinHandle<Result<BeatReport>>,
    drained: Shutdown,
}

impl Running {
    fn start(config: &Config, server: Server, feed: Feed, shared: Shared) -> Result<Self> {
        shared.hub.set_source(feed.source());
        // The store's tables come first: the pages and the feed read them.
        let stream = shared.start_stream(config)?;
        shared.start_pages(config, server)?;
        let feed = shared.start_feed(config, feed)?;
        let Shared { hub, broker, runtime, drained, .. } = shared;
        Ok(Self { hub, broker, runtime, feed, stream, drained })
    }

    /// Shows progress until a signal, the time, or the end of a part asks for the stop.
    fn report_until_stopped(&self, progress: &Progress, stop: &Shutdown) {
        self.runtime.block_on(async {
            while timeout(progress.every(), stop.requested()).await.is_err() {
                progress.show(&self.hub.state(), self.hub.latest_bar().as_ref());
            }
        });
    }

    /// Feed, then stream, then pages; each gets its share of the time.
    fn stop(self) -> Result<()> {
        wait_until(FEED_WITHIN, || self.feed.is_finished());
        let feed_is_done = self.feed.is_finished();
        // What the feed has published is taken in before the end, unless there is too much of it.
        wait_until(CATCH_UP_WITHIN, || self.stream.is_finished() || self.is_caught_up());
        self.drained.request();
        let streamed = join(self.stream, "stream").map(|_| ());
        let fed = if feed_is_done { join(self.feed, "feed") } else { Ok(()) };
        self.runtime.shutdown_timeout(REQUESTS_WITHIN);
        streamed.and(fed)
    }

    /// Measured against the log itself: the lag of the last report is from before the feed's end.
    fn is_caught_up(&self) -> bool {
        let state = self.hub.state();
        let reached = |one: &PartitionView| {
            one.next_offset >= self.broker.end_offset(Topic::Trades, one.partition)
        };
        let is_away = self.hub.readiness().reason().is_some();
        is_away || !state.partitions.is_empty() && state.partitions.iter().all(reached)
    }
}

fn wait_until(within: Duration, is_so: impl Fn() -> bool) {
    let looks = within.as_millis() / LOOK_EVERY.as_millis();
    for _ in 0..looks {
        if is_so() {
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// A part on a thread of its own. Whatever ends it ends all.
fn spawn<T: Send + 'static>(
    name: &str,
    stop: &Shutdown,
    part: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<JoinHandle<Result<T>>> {
    let stop = stop.clone();
    let run = move || {
        let outcome = part();
        stop.request();
        outcome
    };
    std::thread::Builder::new().name(name.into()).spawn(run).map_err(no_thread)
}

fn join<T>(thread: JoinHandle<Result<T>>, name: &str) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err(Error::Bug(format!("the {name} ended by a panic"))))
}

fn no_thread(error: std::io::Error) -> Error {
    Error::Unavailable(format!("no thread for a part of `up`: {error}; stop other programs"))
}
