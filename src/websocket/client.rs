//! The feed's client for one key: connects, and connects again, for as long as it makes sense.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::address::Address;
use super::ending::Ending;
use super::identity::ConnectionIds;
use super::lease::Lease;
use super::session::Session;
use super::signal::{Happening, Signal};
use super::trust::Trust;
use crate::config::Secret;
use crate::error::{Error, Result};
use crate::model::Arrival;
use crate::port::{Clock, Tenure};
use crate::runtime::{Backoff, BackoffBounds, Pace, Shutdown};
use crate::telemetry::feed;

/// Attempts after which a key in use is no longer taken for that of the holder before, whose
/// connection the feed drops together with ours.
const CONTESTED_ATTEMPTS: u32 = 3;

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
    /// Without it nothing is read.
    pub lease: Lease,
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
    /// `Config`: the feed does not know the key, or there can be no lease of it.
    pub async fn run(self) -> Result<()> {
        let mut backoff = Backoff::new(self.options.backoff);
        let mut contested = 0;
        let ending = loop {
            let ending = match self.await_lease().await {
                Ok(()) => self.attempt(&mut backoff).await,
                Err(ending) => ending,
            };
            if ending.rejects_key() {
                feed::key_rejected(self.feed_name(), ending.cause());
            }
            match ending {
                Ending::Stopped | Ending::NoLease(_) | Ending::WrongKey(_) => break ending,
                Ending::GaveWay => {}
                other => {
                    let pace = self.pace(&other, &mut contested);
                    self.wait(&other, pace, &mut backoff).await;
                }
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
            Ending::NoLease(text) => Err(Error::Config(text)),
            _ => Ok(()),
        }
    }

    /// Stands by, and says so, until the key may be read.
    async fn await_lease(&self) -> std::result::Result<(), Ending> {
        loop {
            let tenure = self.options.lease.tenure();
            let detail = match &tenure {
                Tenure::Held | Tenure::Presumed => return Ok(()),
                Tenure::Asked => "asking Kafka who holds the lease of this key".to_owned(),
                Tenure::Elsewhere => format!("standby: {}", Ending::GaveWay.detail()),
                Tenure::Refused(text) => return Err(Ending::NoLease(text.clone())),
            };
            self.tell(Happening::StandsBy { detail }).await?;
            tokio::select! {
                () = self.shutdown.requested() => return Err(Ending::Stopped),
                () = self.signals.closed() => return Err(Ending::Stopped),
                () = self.options.lease.changed_from(&tenure) => {}
            }
        }
    }

    /// Whoever has the lease need not wait long for a key in use; whoever only presumes it has been
    /// answered.
    fn pace(&self, ending: &Ending, contested: &mut u32) -> Pace {
        let is_contested = matches!(ending, Ending::KeyInUse(_) | Ending::ClosedAtOnce(_));
        *contested = if is_contested { contested.saturating_add(1) } else { 0 };
        let is_ours = self.options.lease.is_needed() && self.options.lease.tenure() == Tenure::Held;
        match is_ours && (1..=CONTESTED_ATTEMPTS).contains(contested) {
            true => Pace::Ordinary,
            false => ending.pace(),
        }
    }

    /// One connection, from attempt to end.
    async fn attempt(&self, backoff: &mut Backoff) -> Ending {
        if self.shutdown.is_requested() {
            return Ending::Stopped;
        }
        let opened = tokio::select! {
            () = self.shutdown.requested() => return Ending::Stopped,
            () = self.options.lease.lost() => return Ending::GaveWay,
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

    async fn wait(&self, ending: &Ending, pace: Pace, backoff: &mut Backoff) {
        let wait = backoff.next_wait(pace, &mut rand::rng());
        let tenure = self.options.lease.tenure();
        let (feed, address) = (self.feed_name(), self.options.address.shown());
        feed::will_retry(feed, address, ending.cause(), &ending.detail(), wait);
        tokio::select! {
            () = self.shutdown.requested() => {}
            () = self.signals.closed() => {}
            () = self.options.lease.changed_from(&tenure) => {}
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
