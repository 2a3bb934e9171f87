//! `ticksmith serve`: dashboard and HTTP API over what is stored, in Cassandra or a data directory,
//! in a process of its own: it may come and go, and be there many times, beside one pipeline.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::explain::Explainer;
use super::range_query;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::http::{ApiContext, LiveHub, Server, StorePoller, dashboard_router};
use crate::port::{Clock, StoreReader};
use crate::runtime::{Shutdown, SystemClock};
use crate::telemetry::{self, process::Role};

/// A clean stop may take so long: open requests end, live streams are cut.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// What still reads the store then is left alone.
const READS_WITHIN: Duration = Duration::from_millis(500);

const AFTER_HELP: &str = "\
Bars, trades, gaps, corrections and explanations are under /api/v1, described for programs at
/api/v1/openapi.json and for people in docs/API.md. There is no pipeline in this process, so live
updates come by asking the store once a second for the symbols that somebody follows.

Examples:
  ticksmith serve                              the configured Cassandra, on http://127.0.0.1:8501
  ticksmith serve --data ./data --port 8600    what `ticksmith up --data ./data` keeps, or kept
  curl 'http://127.0.0.1:8501/api/v1/bars/AAPL?interval=1h&limit=24&format=csv'

Exit codes:
  0 stopped   2 wrong arguments or configuration, no data there, or the port is taken
  3 Cassandra is absent at the start   130 stopped by a second signal";

/// Arguments of the command; each that stands for a configuration key overrides it in `apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Data directory of `ticksmith up`; without it the configured Cassandra is read
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Port of dashboard and API; 0 takes any that is free
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
}

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, config: &mut Config) {
        config.http.port = self.port.unwrap_or(config.http.port);
    }
}

/// Runs the command to its end.
///
/// # Errors
/// `Config`: the port is taken, or there are no data. `Unavailable`: Cassandra is not there.
pub fn run(args: Args, config: Config) -> Result<()> {
    let stop = Shutdown::on_signals(STOP_WITHIN)?;
    let server = Server::bind(&config.http, config.http.port, "--port")?;
    telemetry::process::started(Role::Serve);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let explainer = Arc::new(Explainer::new(&config, Arc::clone(&clock))?);
    let reader = range_query::open_reader(args.data.as_deref(), &config)?;
    let reader: Arc<dyn StoreReader> = Arc::from(reader);
    let intervals = config.stream.parsed_intervals();
    let hub = Arc::new(LiveHub::over_store(Arc::clone(&clock)));
    let poller = StorePoller::new(Arc::clone(&reader), Arc::clone(&hub), clock, &intervals);
    let context = ApiContext::new(reader, explainer, Arc::clone(&hub), &intervals);
    let router = dashboard_router(context, hub.readiness());
    let (url, store) = (server.url(), store(&args, &config));
    let text = format!("dashboard  {url}\nstore      {store}\nstop       Ctrl-C\n");
    range_query::print(text.as_bytes())?;
    stop.begun();
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let polling = tokio::spawn(poll(poller, stop.clone()));
        let served = server.serve(router, async move { stop.requested().await }).await;
        // A poll in the middle of its work is left alone.
        if !polling.is_finished() {
            return served;
        }
        let panicked = |_| Err(Error::Bug("looking at the store ended by a panic".to_owned()));
        served.and(polling.await.unwrap_or_else(panicked))
    });
    runtime.shutdown_timeout(READS_WITHIN);
    ended
}

/// Whatever ends it ends the process.
async fn poll(poller: StorePoller, stop: Shutdown) -> Result<()> {
    let polled = poller.run(stop.clone()).await;
    stop.request();
    polled
}

fn store(args: &Args, config: &Config) -> String {
    match &args.data {
        Some(directory) => directory.display().to_string(),
        None => {
            let cassandra = &config.cassandra;
            format!("keyspace {} of {}", cassandra.keyspace, cassandra.contact_points)
        }
    }
}

fn runtime() -> Result<Runtime> {
    Builder::new_multi_thread().worker_threads(2).thread_name("http").enable_all().build().map_err(
        |error| Error::Unavailable(format!("no thread for HTTP: {error}; stop other programs")),
    )
}
