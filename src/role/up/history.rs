//! The past of a simulated market, played through the same desk, log and engine as its present, so
//! that a first look at the page shows more than one candle.
//!
//! Hours at the live rate would be millions of trades, so the past is coarser: one trade stands for
//! many, with its size raised to match; an odd lot stays one. Its prices are where the live market
//! goes on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::codec::avro::Avro;
use crate::codec::finnhub;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::http::Readiness;
use crate::model::Arrival;
use crate::port::{Clock, Publisher};
use crate::role::producer::{DeskRun, publish_signals};
use crate::runtime::Shutdown;
use crate::websocket::simulator::market::Market;
use crate::websocket::simulator::{Framer, MarketOptions, RepeatRates};
use crate::websocket::{Happening, Signal};

/// So many trades at most: a second or two of work, and some ten megabytes.
const TRADES_MAX: f64 = 60_000.0;
/// The market moves in steps of so long, and says so often that it is alive.
const STEP_MS: i64 = 1_000;
const HEARTBEAT_EVERY_STEPS: i64 = 30;
/// From trade to socket.
const DELAY_US: i64 = 100_000;
/// Signals between the market and the desk.
const QUEUE_SIGNALS: usize = 1_024;
/// Code of a trade below the round lot.
const ODD_LOT: u8 = 12;

/// How much of the past, and how coarse.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Past {
    length_ms: i64,
    /// One trade stands for so many.
    trades_each: i64,
}

/// What publishing needs.
pub struct Run<'a> {
    pub config: &'a Config,
    pub publisher: &'a mut dyn Publisher,
    pub avro: Arc<Avro>,
    pub clock: Arc<dyn Clock>,
    pub shutdown: Shutdown,
}

impl Past {
    pub fn new(length: Duration, rate: f64) -> Self {
        let trades = rate * length.as_secs_f64();
        let length_ms = i64::try_from(length.as_millis()).unwrap_or(0);
        Self { length_ms, trades_each: (trades / TRADES_MAX).ceil().max(1.0) as i64 }
    }

    pub fn is_none(&self) -> bool {
        self.length_ms == 0
    }

    /// A clause, or nothing.
    pub fn describe(&self) -> String {
        if self.is_none() {
            return String::new();
        }
        let minutes = self.length_ms / 60_000;
        let length = match minutes {
            0 => format!("{} s", self.length_ms / 1_000),
            1..120 => format!("{minutes} min"),
            _ => format!("{} h", minutes / 60),
        };
        match self.trades_each {
            1 => format!("; a new file begins with {length} of its past"),
            each => format!("; a new file begins with {length} of its past, 1 trade for {each}"),
        }
    }
}

/// Publishes the past and returns the prices at its end.
///
/// # Errors
/// Whatever the publisher returns.
pub fn publish(past: &Past, options: &MarketOptions, run: Run<'_>) -> Result<Vec<(String, f64)>> {
    let options = MarketOptions { rate: options.rate / past.trades_each as f64, ..options.clone() };
    let (sender, mut receiver) = mpsc::channel(QUEUE_SIGNALS);
    let player = Player::new(*past, options, run.clock.as_ref(), sender);
    let shutdown = run.shutdown;
    let playing = std::thread::Builder::new()
        .name("history".into())
        .spawn(move || player.play(&shutdown))
        .map_err(|error| Error::Unavailable(format!("no thread for the history: {error}")))?;
    let desk = DeskRun {
        config: run.config,
        slots: 1,
        avro: run.avro,
        clock: run.clock,
        readiness: Readiness::not_yet("the past has no connection"),
    };
    publish_signals(desk, &mut receiver, run.publisher)?;
    playing.join().map_err(|_| Error::Bug("the history ended by a panic".into()))
}

struct Player {
    past: Past,
    market: Market,
    framer: Framer,
    symbols: Vec<String>,
    sender: mpsc::Sender<Signal>,
    begin_ms: i64,
    /// Adds to a wall time to give the monotonic time at which it was.
    monotonic_offset_us: i64,
}

impl Player {
    fn new(
        past: Past,
        options: MarketOptions,
        clock: &dyn Clock,
        sender: mpsc::Sender<Signal>,
    ) -> Self {
        let (now_us, monotonic_us) = (clock.now_us(), clock.monotonic_us());
        let begin_ms = now_us / 1_000 - past.length_ms;
        Self {
            past,
            symbols: options.symbols.clone(),
            framer: Framer::new(&options.symbols, RepeatRates::default(), options.seed),
            market: Market::new(options, begin_ms),
            sender,
            begin_ms,
            monotonic_offset_us: monotonic_us - now_us,
        }
    }

    /// Ends early when a stop is asked for, or when nobody takes the signals any more.
    fn play(mut self, shutdown: &Shutdown) -> Vec<(String, f64)> {
        // Older than any connection made from now on.
        let connection = self.begin_ms * 1_000;
        let symbols = self.symbols.clone();
        self.send(self.begin_ms, Happening::Connected { connection });
        self.send(self.begin_ms, Happening::Subscribed { symbols });
        let end_ms = self.begin_ms + self.past.length_ms;
        for step in 1..=self.past.length_ms / STEP_MS {
            let until_ms = (self.begin_ms + step * STEP_MS).min(end_ms);
            let is_heard = self.step(until_ms, step % HEARTBEAT_EVERY_STEPS == 0);
            if !is_heard || shutdown.is_requested() {
                break;
            }
        }
        let detail = "the simulated past is over".to_owned();
        self.send(end_ms, Happening::Heartbeat);
        self.send(end_ms, Happening::Stopped { detail });
        self.market.prices()
    }

    fn step(&mut self, until_ms: i64, is_heartbeat: bool) -> bool {
        let (mut prints, mut frames) = (Vec::new(), Vec::new());
        self.market.advance(until_ms, &mut prints);
        for print in &mut prints {
            let is_odd_lot = print.codes.is_some_and(|codes| codes.as_slice().contains(&ODD_LOT));
            if !is_odd_lot {
                print.volume.units = print.volume.units.saturating_mul(self.past.trades_each);
            }
        }
        self.framer.frames(&prints, &mut frames);
        let mut is_heard = true;
        for (raw, _) in frames {
            let frame = finnhub::decode(&raw);
            is_heard &= self.send(until_ms, Happening::Frame { raw, frame });
        }
        if is_heartbeat {
            is_heard &= self.send(until_ms, Happening::Heartbeat);
        }
        is_heard
    }

    fn send(&self, at_ms: i64, happening: Happening) -> bool {
        let at_us = at_ms * 1_000 + DELAY_US;
        let arrival = Arrival { at_us, monotonic_us: at_us + self.monotonic_offset_us };
        self.sender.blocking_send(Signal { slot: 0, arrival, happening }).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_past_is_as_coarse_as_it_has_to_be() {
        let six_hours = Duration::from_secs(21_600);
        assert_eq!(Past::new(six_hours, 200.0).trades_each, 72);
        assert_eq!(Past::new(Duration::from_secs(60), 200.0).trades_each, 1);
        assert!(Past::new(Duration::ZERO, 200.0).is_none());
        let said = Past::new(six_hours, 200.0).describe();
        assert_eq!(said, "; a new file begins with 6 h of its past, 1 trade for 72");
    }
}
