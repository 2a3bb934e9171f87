//! The seeded market that every measurement reads: symbols by Zipf's law, repeats, disorder, late
//! trades and sale conditions.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use ticksmith::model::{Conditions, Trade};

/// A Monday, nine thirty in New York: the session opens.
pub const START_MS: i64 = 1_710_163_800_000;
/// Event time moves on by so much a trade, µs: 2,000 trades a second.
pub const STEP_US: i64 = 500;
/// The same trades for whoever measures.
const SEED: u64 = 7;
/// From trade to socket, µs.
const DELAY_US: i64 = 40_000;

/// A symbol of the market; 0 is the busiest.
pub fn symbol(rank: usize) -> String {
    format!("SYM{rank:04}")
}

/// Trades of two connections, in order of arrival.
pub struct Generator {
    random: ChaCha8Rng,
    names: Vec<String>,
    /// Cumulative weights of the symbols.
    weights: Vec<f64>,
    prices: Vec<f64>,
    position: i64,
    seqs: [i64; 2],
    last: Option<Trade>,
}

impl Generator {
    /// Of a market with so many symbols.
    pub fn new(symbols: usize) -> Self {
        let mut total = 0.0;
        let weights = (1..=symbols).map(|rank| {
            total += 1.0 / rank as f64;
            total
        });
        Self {
            weights: weights.collect(),
            random: ChaCha8Rng::seed_from_u64(SEED),
            names: (0..symbols).map(symbol).collect(),
            prices: (0..symbols).map(|rank| 20.0 + (rank % 500) as f64).collect(),
            position: 0,
            seqs: [0; 2],
            last: None,
        }
    }

    /// One in 500 is a repeat of the trade before it, as after a retry without idempotence.
    fn draw(&mut self) -> Trade {
        if self.random.random_range(0..500) == 0
            && let Some(last) = self.last.clone()
        {
            return last;
        }
        let trade = self.new_trade();
        self.last = Some(trade.clone());
        trade
    }

    fn new_trade(&mut self) -> Trade {
        self.position += 1;
        let drawn = self.random.random_range(0.0..*self.weights.last().expect("a symbol"));
        let rank = self.weights.partition_point(|weight| *weight < drawn);
        let rank = rank.min(self.names.len() - 1);
        let connection = self.position % 2;
        self.seqs[connection as usize] += 1;
        let now_us = START_MS * 1_000 + self.position * STEP_US;
        let ticks = self.random.random_range(-3..=3);
        self.prices[rank] = (self.prices[rank] + f64::from(ticks) / 100.0).max(1.0);
        Trade {
            symbol: self.names[rank].as_str().into(),
            price: (self.prices[rank] * 100.0).round() / 100.0,
            volume: f64::from(self.random.random_range(1..400)),
            trade_time_ms: now_us / 1_000 - self.behind_ms(),
            conditions: self.conditions(),
            connection: connection + 1,
            seq: self.seqs[connection as usize],
            received_at_us: now_us + DELAY_US,
            feed: "bench/0".into(),
        }
    }

    /// One in 10,000 is too late for the default lateness, 3 in 100 up to a minute out of order.
    fn behind_ms(&mut self) -> i64 {
        match self.random.random_range(0..10_000) {
            0 => 700_000,
            1..300 => self.random.random_range(0..60_000),
            _ => self.random.random_range(0..200),
        }
    }

    fn conditions(&mut self) -> Option<Conditions> {
        let codes: &[&str] = match self.random.random_range(0..100) {
            0..45 => &["1", "12"],
            45..60 => &["1", "8"],
            60..62 => &["1", "30"],
            _ => &["1"],
        };
        Some(codes.iter().map(|code| (*code).into()).collect())
    }
}

impl Iterator for Generator {
    type Item = Trade;

    /// Never ends.
    fn next(&mut self) -> Option<Trade> {
        Some(self.draw())
    }
}
