//! How long trades take from the producer's socket to the engine and to the commit: one reading a
//! micro-batch, of its oldest trade, since one a trade would cost more than the engine.

use crate::model::Judged;
use crate::telemetry::stream::{self as events, Stage};

/// The receipts of a beat's micro-batches.
#[derive(Debug, Default)]
pub struct Latency {
    /// Receipt of the oldest trade of each, µs since the UNIX epoch.
    receipts_us: Vec<i64>,
}

impl Latency {
    /// A micro-batch was judged.
    pub fn took_in(&mut self, trades: &[Judged], now_us: i64) {
        if let Some(oldest_us) = trades.iter().map(|judged| judged.trade.received_at_us).min() {
            events::latency(Stage::Engine, now_us - oldest_us);
            self.receipts_us.push(oldest_us);
        }
    }

    /// The beat was committed, and the store had acknowledged it before.
    pub fn committed(&mut self, now_us: i64) {
        for received_us in self.receipts_us.drain(..) {
            events::latency(Stage::Commit, now_us - received_us);
        }
    }

    /// The beat is void.
    pub fn clear(&mut self) {
        self.receipts_us.clear();
    }
}
