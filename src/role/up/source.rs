//! Where the trades of `up` come from: Finnhub, a simulated market, or a recording. The latter two
//! are served over a real socket in this process, so that the same client reads all three.

use std::sync::Arc;

use tokio::runtime::Handle;

use super::Args;
use super::history::{self, Past};
use crate::codec::avro::Avro;
use crate::config::{Config, Secret};
use crate::error::{Error, Result};
use crate::http::Readiness;
use crate::port::{BarQuery, Clock, Publisher, StoreReader};
use crate::role::producer::{FeedRun, plan_feed, run_producer};
use crate::role::simulate;
use crate::runtime::Shutdown;
use crate::websocket::Address;
use crate::websocket::simulator::{
    MarketOptions, Recording, SimulatorOptions, Source, Speed, serve,
};

/// Only this process connects to the simulator within it.
const LOOPBACK: &str = "127.0.0.1";

/// The feed that was chosen.
pub enum Feed {
    /// Finnhub, or a simulator that runs elsewhere.
    Away,
    Market {
        past: Past,
    },
    Recording {
        recording: Recording,
        speed: Speed,
    },
}

/// What a feed needs to run.
pub struct FeedParts<'a> {
    pub config: &'a Config,
    pub publisher: Box<dyn Publisher>,
    pub avro: Arc<Avro>,
    pub clock: Arc<dyn Clock>,
    pub shutdown: Shutdown,
    pub reader: Arc<dyn StoreReader>,
    pub handle: Handle,
}

impl Feed {
    /// A recording when one is named, Finnhub when there is a key, a simulated market otherwise.
    ///
    /// # Errors
    /// `Config`: the recording cannot be read, or there are too many symbols.
    pub fn choose(args: &Args, config: &mut Config) -> Result<Self> {
        if let Some(path) = &args.frames {
            let recording = Recording::open(path)?;
            if args.symbols.is_none() {
                config.finnhub.symbols.clone_from(&recording.symbols);
            }
            use_own_simulator(config);
            return Ok(Self::Recording { recording, speed: args.speed });
        }
        let has_key = !config.finnhub.api_keys().is_empty();
        let is_near = Address::parse(&config.finnhub.url)?.is_loopback();
        if !args.simulator && (has_key || is_near) {
            plan_feed(config)?;
            return Ok(Self::Away);
        }
        use_own_simulator(config);
        Ok(Self::Market { past: Past::new(args.history, config.simulator.rate) })
    }

    /// One word for the page.
    pub fn source(&self) -> &'static str {
        match self {
            Self::Away => "finnhub",
            Self::Market { .. } => "simulator",
            Self::Recording { .. } => "recording",
        }
    }

    /// One line for the person in front of it.
    pub fn describe(&self, config: &Config) -> String {
        let (symbols, rate) = (config.finnhub.symbols.len(), config.simulator.rate);
        match self {
            Self::Away => {
                let address = Address::parse(&config.finnhub.url);
                let shown = address.as_ref().map_or("feed", Address::shown);
                format!("{shown}, {symbols} symbols")
            }
            Self::Market { past } => {
                format!("simulated market, {symbols} symbols, {rate} trades/s{}", past.describe())
            }
            Self::Recording { recording, .. } => {
                format!("recording, {} frames of {symbols} symbols", recording.frames)
            }
        }
    }

    /// Runs until the stop; blocks, on a thread that is none of the runtime's.
    ///
    /// # Errors
    /// As `run_producer`.
    pub fn run(self, parts: FeedParts<'_>) -> Result<()> {
        let mut config = parts.config.clone();
        let mut publisher = parts.publisher;
        let source = match self {
            Self::Away => None,
            Self::Recording { recording, speed } => {
                Some(Source::Recording { recording, speed, exit_at_end: false })
            }
            Self::Market { past } => {
                let mut market = market_options(&config);
                market.first_prices = last_prices(&config, parts.reader.as_ref())?;
                if market.first_prices.is_empty() && !past.is_none() {
                    let run = history::Run {
                        config: &config,
                        publisher: publisher.as_mut(),
                        avro: parts.avro.clone(),
                        clock: parts.clock.clone(),
                        shutdown: parts.shutdown.clone(),
                    };
                    market.first_prices = history::publish(&past, &market, run)?;
                }
                Some(Source::Market(market))
            }
        };
        if let Some(source) = source {
            config.finnhub.url =
                start_simulator(source, &config, &parts.handle, parts.shutdown.clone())?;
        }
        run_producer(FeedRun {
            plan: plan_feed(&config)?,
            leases: Vec::new(),
            config: &config,
            publisher,
            avro: parts.avro,
            clock: parts.clock,
            shutdown: parts.shutdown,
            progress_every: None,
            readiness: Readiness::not_yet("connecting"),
        })
    }
}

/// The key of the simulator in this process, and no limit but the symbols themselves.
fn use_own_simulator(config: &mut Config) {
    config.finnhub.api_key = Secret::default();
    config.finnhub.url = format!("ws://{LOOPBACK}");
    config.finnhub.symbols_per_key = config.finnhub.symbols.len().max(1);
    config.producer.name = "simulator".to_owned();
}

fn market_options(config: &Config) -> MarketOptions {
    let simulator = &config.simulator;
    MarketOptions::new(config.finnhub.symbols.clone(), simulator.rate, simulator.seed)
}

/// Where a market that was stopped goes on.
fn last_prices(config: &Config, reader: &dyn StoreReader) -> Result<Vec<(String, f64)>> {
    let Some(interval) = config.stream.parsed_intervals().into_iter().min() else {
        return Ok(Vec::new());
    };
    let mut prices = Vec::new();
    for symbol in reader.symbols()? {
        let (from_ms, to_ms) = (0, i64::MAX);
        let query = BarQuery { symbol: symbol.clone(), interval, from_ms, to_ms, limit: 1 };
        let bars = reader.bars(&query)?;
        prices.extend(bars.last().and_then(|bar| bar.close).map(|close| (symbol, close.price)));
    }
    Ok(prices)
}

/// Starts the simulator on a free port and returns its address.
fn start_simulator(
    source: Source,
    config: &Config,
    handle: &Handle,
    shutdown: Shutdown,
) -> Result<String> {
    let symbols_per_key = config.finnhub.symbols_per_key;
    let options = SimulatorOptions::new(source, simulate::keys(config), config.simulator.seed);
    let options = SimulatorOptions { symbols_per_key, ..options };
    let listener = handle.block_on(simulate::listen(LOOPBACK, 0))?;
    let address = listener
        .local_addr()
        .map_err(|error| Error::Unavailable(format!("the simulator's address: {error}")))?;
    handle.spawn(serve(listener, options, shutdown));
    Ok(format!("ws://{address}"))
}
