//! A feed that connects, falls silent, dies, repeats and tells lies, through the intake, into the
//! log of some partitions.

use crate::engine::{Intake, IntakeConfig, IntakeOutput, Numbered};
use crate::model::{
    Arrival, Element, FeedTrade, Frame, MalformedElement, Trade, partition_for_key,
};

pub const SYMBOLS: [&str; 4] = ["BINANCE:BTCUSDT", "AAPL", "OANDA:EUR_USD", "MSFT"];
/// Tuesday, 2023-11-14 22:00 UTC.
pub const START_MS: i64 = 1_699_999_200_000;
pub const DELAY_MS: i64 = 150;

/// One thing that happens, `after_ms` after the one before.
#[derive(Debug, Clone)]
pub struct Act {
    pub after_ms: i64,
    pub what: What,
}

#[derive(Debug, Clone)]
pub enum What {
    Trade {
        symbol: usize,
        cents: u32,
        units: u32,
        behind_ms: i64,
    },
    /// The producer writes its last trade once more.
    Again,
    Heartbeat,
    /// A trade without a time.
    Broken {
        symbol: usize,
    },
    Reconnect {
        is_killed: bool,
    },
}

/// The log of each partition, as the producer wrote it.
pub struct Log {
    pub partitions: Vec<Vec<Numbered>>,
    /// Where the producer's clock stood at the end, ms.
    pub end_ms: i64,
}

struct Desk {
    feed_ms: i64,
    /// Producer's clock − feed time, ms: a recording is played years later.
    offset_ms: i64,
    intake: Intake,
    out: IntakeOutput,
    partitions: Vec<Vec<Numbered>>,
    last: Option<Trade>,
    frames: u64,
}

/// Plays `acts` into a log of `partition_count` partitions.
pub fn play(acts: &[Act], offset_ms: i64, partition_count: u32) -> Log {
    let mut desk = Desk {
        feed_ms: START_MS,
        offset_ms,
        intake: intake(0),
        out: IntakeOutput::default(),
        partitions: vec![Vec::new(); partition_count as usize],
        last: None,
        frames: 0,
    };
    desk.connect();
    for act in acts {
        desk.feed_ms += act.after_ms;
        desk.act(&act.what);
        desk.deliver();
    }
    Log { end_ms: desk.feed_ms + offset_ms + DELAY_MS, partitions: desk.partitions }
}

fn intake(connection: i64) -> Intake {
    Intake::new(IntakeConfig {
        connection,
        feed: "test/0".into(),
        drop_repeats: true,
        future_bound_ms: 60_000,
    })
}

impl Desk {
    fn arrival(&self) -> Arrival {
        let at_us = (self.feed_ms + self.offset_ms + DELAY_MS) * 1_000;
        Arrival { at_us, monotonic_us: at_us }
    }

    fn connect(&mut self) {
        self.intake = intake(self.arrival().at_us);
        self.intake.connected(self.arrival(), &mut self.out);
        let symbols = SYMBOLS.map(String::from).to_vec();
        self.intake.subscribed(symbols, self.arrival(), &mut self.out);
    }

    fn act(&mut self, what: &What) {
        match what {
            What::Trade { symbol, cents, units, behind_ms } => {
                let trade = FeedTrade {
                    symbol: SYMBOLS[*symbol].into(),
                    price: f64::from(*cents) / 100.0,
                    volume: f64::from(*units) / 1_000.0,
                    trade_time_ms: self.feed_ms - behind_ms,
                    conditions: None,
                    inexact_numbers: 0,
                };
                self.frame(vec![Element::Trade(trade)]);
            }
            What::Again => {
                let again = self.last.clone().map(Numbered::Trade);
                self.out.records.extend(again);
            }
            What::Heartbeat => {
                self.intake.confirm(self.arrival());
                self.intake.heartbeat(self.arrival(), &mut self.out);
            }
            What::Broken { symbol } => self.frame(vec![Element::Malformed(MalformedElement {
                raw: "{}".into(),
                problem: "no time".into(),
                symbol: Some(SYMBOLS[*symbol].into()),
            })]),
            What::Reconnect { is_killed } => {
                if !is_killed {
                    self.intake.disconnected(self.arrival(), "closed", &mut self.out);
                }
                self.feed_ms += 37_000;
                self.connect();
            }
        }
    }

    fn frame(&mut self, elements: Vec<Element>) {
        self.frames += 1;
        let raw = self.frames.to_string();
        self.intake.accept_frame(&raw, Frame::Trades(elements), self.arrival(), &mut self.out);
    }

    /// Trades go to the partition of their symbol, events to all.
    fn deliver(&mut self) {
        let count = self.partitions.len() as u32;
        for record in self.out.records.drain(..) {
            match &record {
                Numbered::Event(_) => {
                    self.partitions.iter_mut().for_each(|log| log.push(record.clone()));
                }
                Numbered::Trade(trade) => {
                    self.last = Some(trade.clone());
                    let partition = partition_for_key(trade.symbol.as_bytes(), count);
                    self.partitions[partition as usize].push(record);
                }
            }
        }
        self.out.clear();
    }
}
