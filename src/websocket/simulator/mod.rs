//! A server that speaks Finnhub's WebSocket protocol, limits and errors included, over a synthetic
//! market or a recording: what `simulate` and `up` run, and what the client is tested against.

pub mod fault;
pub mod framing;
mod hub;
pub mod instrument;
mod keys;
pub mod market;
pub mod new_york;
mod plain;
pub mod print;
pub mod recording;
mod source;
mod visitor;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::timeout;

pub use fault::{Fault, FaultTiming};
pub use framing::{Framer, RepeatRates};
pub use instrument::well_known_symbols;
pub use market::MarketOptions;
pub use recording::{Recording, Speed};

use crate::error::Result;
use crate::runtime::Shutdown;
use hub::{Batch, Hub, Universe};
use keys::Keys;

/// An upgrade that takes longer is given up.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// A polite close is worth so much waiting.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// Connections at one time, upgrades included; beyond it, a new one waits in the listener's queue.
const MOST_CONNECTIONS: usize = 256;

/// What is served.
#[derive(Debug, Clone)]
pub enum Source {
    /// Only symbols that somebody subscribed to trade; the rate is over those.
    Market(MarketOptions),
    /// Begins when the first client has subscribed and the subscriptions have settled.
    Recording { recording: Recording, speed: Speed, exit_at_end: bool },
}

/// How it is served.
#[derive(Debug, Clone)]
pub struct SimulatorOptions {
    pub source: Source,
    /// Keys that are let in.
    pub keys: Vec<String>,
    pub symbols_per_key: usize,
    pub ping_every: Duration,
    pub fault: Option<Fault>,
    pub fault_timing: FaultTiming,
    pub repeats: RepeatRates,
    /// Of the frames' repeats.
    pub seed: u64,
}

impl SimulatorOptions {
    /// The feed on an ordinary day: 50 symbols a key, a ping a minute, no faults. A recording is
    /// sent as it is, and its faults strike as soon as enough frames went out.
    pub fn new(source: Source, keys: Vec<String>, seed: u64) -> Self {
        let fault_timing = match source {
            Source::Market(_) => FaultTiming::default(),
            Source::Recording { .. } => {
                FaultTiming { after: Duration::ZERO, ..FaultTiming::default() }
            }
        };
        Self {
            source,
            keys,
            symbols_per_key: 50,
            ping_every: Duration::from_secs(60),
            fault: None,
            fault_timing,
            repeats: RepeatRates::default(),
            seed,
        }
    }
}

/// What every connection shares.
struct Server {
    options: SimulatorOptions,
    universe: Universe,
    keys: Keys,
    hub: Hub,
    shutdown: Shutdown,
}

/// Serves until a stop is asked for, or to the end of a recording with `exit_at_end`.
///
/// # Errors
/// None at present; a client's trouble is its own.
pub async fn serve(
    listener: TcpListener,
    options: SimulatorOptions,
    shutdown: Shutdown,
) -> Result<()> {
    let symbols = match &options.source {
        Source::Market(market) => market.symbols.clone(),
        Source::Recording { recording, .. } => recording.symbols.clone(),
    };
    let server = Arc::new(Server {
        hub: Hub::new(symbols.len()),
        universe: Universe::new(symbols),
        keys: Keys::new(&options.keys),
        options,
        shutdown,
    });
    let mut visitors = JoinSet::new();
    tokio::select! {
        () = server.shutdown.requested() => {}
        () = run_source(&server) => {}
        () = accept(&server, &listener, &mut visitors) => {}
    }
    // Everyone was told; nobody may keep the server from ending.
    let _ = timeout(CLOSE_WITHIN, async { while visitors.join_next().await.is_some() {} }).await;
    Ok(())
}

/// Ends only with a recording that ends the server.
async fn run_source(server: &Server) {
    match &server.options.source {
        Source::Market(options) => source::run_market(options.clone(), &server.hub).await,
        Source::Recording { recording, speed, exit_at_end } => {
            source::run_recording(recording, *speed, &server.hub).await;
            tracing::info!("the recording is over: {} frames", recording.frames);
            if *exit_at_end {
                return server.hub.send(Batch::End).await;
            }
        }
    }
    std::future::pending().await
}

async fn accept(server: &Arc<Server>, listener: &TcpListener, visitors: &mut JoinSet<()>) {
    loop {
        while visitors.len() >= MOST_CONNECTIONS {
            visitors.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                visitors.spawn(visitor::serve(server.clone(), stream));
            }
            Err(error) => {
                // Out of file descriptors, mostly: what is open goes on, new ones wait.
                tracing::warn!("simulator: no new connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while visitors.try_join_next().is_some() {}
    }
}
