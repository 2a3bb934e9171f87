//! The feed's client for one key: connects, and connects again, for as long as it makes sense.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::address::Address;
use super::ending::Ending;
use super::identity::ConnectionIds;
use super::session::Session;
use super::signal::{Happening, Signal};
use super::trust::Trust;
use crate::config::Secret;
use crate::error::{Error, Result};
use crate::model::Arrival;
use crate::port::Clock;
use crate::runtime::{Backoff, BackoffBounds, Shutdown};
use crate::telemetry::feed;

/// What one client is made for.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    pub address: Address,
    pub trust: Trust,
    pub key: Secret,
    /// Which key, from 0.
    pub slot: usize,
    /// Producer name and slot, for example `finnhub/0`.
    pub feed: String,
    pub symbols: Vec<String>,
    /// No frame and no ping for so long: the connection hangs.
    pub silence_after: Duration,
    pub heartbeat_every: Duration,
    pub backoff: BackoffBounds,
}

/// The client of one key.
pub struct Client {
    pub(super) options: ClientOptions,
    pub(super) shutdown: Shutdown,
    ids: Arc<ConnectionIds>,
    clock: Arc<dyn Clock>,
    signals: mpsc::Sender<Signal>,
}

impl Client {
    /// `signals` is bounded: while it is full the socket is not read.
    pub fn new(
        options: ClientOptions,
        ids: Arc<ConnectionIds>,
        clock: Arc<dyn Clock>,
        signals: mpsc::Sender<Signal>,
        shutdown: Shutdown,
    ) -> Self {
        Self { options, shutdown, ids, clock, signals }
    }

    /// Runs until a stop is asked for, or nobody takes the signals any more.
    ///
    /// # Errors
    /// `Config`: the feed does not know the key.
    pub async fn run(self) -> Result<()> {
        let mut backoff = Backoff::new(self.options.backoff);
        let ending = loop {
            let ending = self.attempt(&mut backoff).await;
            match ending {
                Ending::Stopped | Ending::WrongKey(_) => break ending,
                other => self.wait(&other, &mut backoff).await,
            }
        };
        // Fails when nobody listens any more, which is one of the ways to get here.
        let _ = self.tell(Happening::Stopped { detail: ending.detail() }).await;
        match ending {
            Ending::WrongKey(text) => Err(Error::Config(format!(
                "key {} of FINNHUB_API_KEY is refused by {} ({text}): check the key",
                self.options.slot + 1,
                self.options.address.shown(),
            ))),
            _ => Ok(()),
        }
    }

    /// One connection, from attempt to end.
    async fn attempt(&self, backoff: &mut Backoff) -> Ending {
        if self.shutdown.is_requested() {
            return Ending::Stopped;
        }
        let opened = tokio::select! {
            () = self.shutdown.requested() => return Ending::Stopped,
            opened = Session::open(self) => opened,
        };
        let mut session = match opened {
            Ok(session) => session,
            Err(ending) => return ending,
        };
        let connection = self.ids.next(self.clock.now_us());
        feed::connected(self.feed_name(), self.options.address.shown(), connection);
        if let Err(ending) = self.tell(Happening::Connected { connection }).await {
            return ending;
        }
        let ending = session.run().await;
        if session.has_worked {
            backoff.reset();
        }
        feed::disconnected(self.feed_name(), &ending.detail());
        match self.tell(Happening::Disconnected { detail: ending.detail() }).await {
            Ok(()) => ending,
            Err(stopped) => stopped,
        }
    }

    async fn wait(&self, ending: &Ending, backoff: &mut Backoff) {
        let wait = backoff.next_wait(ending.pace(), &mut rand::rng());
        let (feed, address) = (self.feed_name(), self.options.address.shown());
        feed::will_retry(feed, address, ending.cause(), &ending.detail(), wait);
        tokio::select! {
            () = self.shutdown.requested() => {}
            () = self.signals.closed() => {}
            () = sleep(wait) => {}
        }
    }

    /// Hands a signal to the desk, waiting while its queue is full.
    pub(super) async fn tell(&self, happening: Happening) -> std::result::Result<(), Ending> {
        let arrival =
            Arrival { at_us: self.clock.now_us(), monotonic_us: self.clock.monotonic_us() };
        let signal = Signal { slot: self.options.slot, arrival, happening };
        self.signals.send(signal).await.map_err(|_| Ending::Stopped)
    }

    pub(super) fn feed_name(&self) -> &str {
        &self.options.feed
    }
}
