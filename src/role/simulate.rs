//! `ticksmith simulate`: serve a synthetic or recorded market with Finnhub's WebSocket protocol.

use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpListener;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::runtime::Shutdown;
use crate::telemetry::{self, process::Role};
use crate::websocket::simulator::{
    Fault, MarketOptions, Recording, SimulatorOptions, Source, Speed, serve, well_known_symbols,
};

/// Arguments of the command; each that stands for a configuration key overrides it in `apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Port to listen on; 0 takes any that is free
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Key that clients must give; several separated by commas. No secret: others see flags in `ps`
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Symbols that exist [default: those of the configuration and some sixty well-known ones]
    #[arg(long, value_name = "A,B", value_delimiter = ',', conflicts_with = "frames")]
    symbols: Option<Vec<String>>,
    /// Trades per second over all symbols that are subscribed to
    #[arg(long, value_name = "TRADES", conflicts_with = "frames")]
    rate: Option<f64>,
    /// The same seed gives the same market
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Replay recorded frames, one a line (.jsonl or .jsonl.gz), instead of a synthetic market
    #[arg(long, value_name = "FILE")]
    frames: Option<PathBuf>,
    /// Times the speed of the frames' own times, or "max"
    #[arg(long, value_name = "TIMES", default_value = "1", requires = "frames")]
    speed: Speed,
    /// What goes wrong
    #[arg(long, value_name = "FAULT")]
    fault: Option<FaultName>,
    /// End when the recording is over, instead of keeping the sockets open with pings
    #[arg(long, requires = "frames")]
    exit_at_end: bool,
}

/// The faults as the command line spells them.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum FaultName {
    /// Drop each connection after a while
    Drop,
    /// Keep each connection open, but send nothing any more after a while
    Silent,
    /// Send a malformed frame now and then
    Malformed,
    /// Send a frame of three or more elements three times now and then
    Repeat3,
}

impl From<FaultName> for Fault {
    fn from(name: FaultName) -> Self {
        match name {
            FaultName::Drop => Self::Drop,
            FaultName::Silent => Self::Silent,
            FaultName::Malformed => Self::Malformed,
            FaultName::Repeat3 => Self::Repeat3,
        }
    }
}

const AFTER_HELP: &str = "\
Examples:
  ticksmith simulate
  ticksmith simulate --symbols AAPL,BINANCE:BTCUSDT --rate 5000 --seed 7
  ticksmith simulate --frames day.jsonl.gz --speed max --exit-at-end
  FINNHUB_API_KEY=demo ticksmith producer --url ws://127.0.0.1:8765     reads it";

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, config: &mut Config) {
        let simulator = &mut config.simulator;
        simulator.port = self.port.unwrap_or(simulator.port);
        simulator.rate = self.rate.unwrap_or(simulator.rate);
        simulator.seed = self.seed.unwrap_or(simulator.seed);
        if let Some(key) = &self.key {
            simulator.key.clone_from(key);
        }
    }
}

/// Runs the command to its end.
pub fn run(args: Args, config: Config) -> Result<()> {
    let shutdown = Shutdown::on_signals(Duration::from_millis(config.stream.drain_deadline_ms))?;
    telemetry::process::started(Role::Simulate);
    telemetry::process::ready(true);
    let source = source(&args, &config)?;
    let keys = keys(&config);
    let fault = args.fault.map(Fault::from);
    let options =
        SimulatorOptions { fault, ..SimulatorOptions::new(source, keys, config.simulator.seed) };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Error::Unavailable(format!("no thread for the simulator: {error}")))?;
    runtime.block_on(async {
        let listener = listen(&config.http.bind, config.simulator.port).await?;
        shutdown.begun();
        announce(&listener, &options);
        serve(listener, options, shutdown).await
    })
}

/// The keys that a simulator of this configuration lets in.
pub fn keys(config: &Config) -> Vec<String> {
    let keys = config.simulator.key.split(',').map(str::trim);
    keys.filter(|key| !key.is_empty()).map(str::to_owned).collect()
}

/// The simulator's listener.
///
/// # Errors
/// `Config`: the port is taken, or the address is not this machine's.
pub async fn listen(bind: &str, port: u16) -> Result<TcpListener> {
    TcpListener::bind((bind, port)).await.map_err(|error| {
        Error::Config(format!(
            "the simulator cannot listen on {bind}:{port}: {error}: stop what listens there, or \
             choose another with --port or simulator.port"
        ))
    })
}

fn source(args: &Args, config: &Config) -> Result<Source> {
    if let Some(path) = &args.frames {
        let recording = Recording::open(path)?;
        return Ok(Source::Recording {
            recording,
            speed: args.speed,
            exit_at_end: args.exit_at_end,
        });
    }
    let rate = config.simulator.rate;
    if !rate.is_finite() || rate <= 0.0 {
        return Err(Error::Config(format!(
            "simulator.rate {rate} is not above 0: give the trades per second"
        )));
    }
    let symbols = match &args.symbols {
        Some(symbols) => symbols.clone(),
        None => default_symbols(config),
    };
    Ok(Source::Market(MarketOptions::new(symbols, rate, config.simulator.seed)))
}

/// The configured symbols first, so that they trade most, then what people may try.
fn default_symbols(config: &Config) -> Vec<String> {
    let mut symbols = config.finnhub.symbols.clone();
    symbols.extend(well_known_symbols());
    let mut seen = std::collections::HashSet::new();
    symbols.retain(|symbol| seen.insert(symbol.clone()));
    symbols
}

/// Without the key: people may have given it their real one.
fn announce(listener: &TcpListener, options: &SimulatorOptions) {
    let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let what = match &options.source {
        Source::Market(market) => {
            format!("{} symbols at {} trades/s", market.symbols.len(), market.rate)
        }
        Source::Recording { recording, .. } => {
            format!("{} recorded frames of {} symbols", recording.frames, recording.symbols.len())
        }
    };
    tracing::info!("simulating Finnhub on ws://{address}/ with {what}; its key is simulator.key");
}
