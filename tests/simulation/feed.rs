//! The feed of a run, written before it begins: the shipping intake numbers what a capricious
//! vendor sends over connections that break, fall silent, are killed and taken over, by a producer
//! whose wall clock jumps and who delivers some records twice.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use ticksmith::engine::{Intake, IntakeConfig, IntakeOutput, Numbered};
use ticksmith::model::feed_event::FEED_EVENT_HEADER;
use ticksmith::model::frame::MalformedElement;
use ticksmith::model::{Arrival, Element, FeedTrade, Frame, Trade, partition_for_key};
use ticksmith::port::{OutRecord, Topic};

use crate::options::{FeedOptions, MS, Options, SECOND, random_of};
use crate::process::{AVRO, EPOCH_US};
use crate::world::Counts;

const HEARTBEAT_EVERY_US: i64 = 2 * SECOND;
/// A step takes this long at most.
const LONGEST_STEP_US: i64 = 600 * MS;
const SYMBOLS: [&str; 6] =
    ["BINANCE:BTCUSDT", "AAPL", "OANDA:EUR_USD", "MSFT", "BRK.B", "KRAKEN:XBTUSD"];
const CODES: [&str; 6] = ["1", "12", "24", "8", "2", "99"];

/// How a foreign transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Commits,
    Aborts,
    /// Its writer dies: it is aborted by the time-out, and hides what follows until then.
    Dangles,
}

impl Fate {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commits => "commits",
            Self::Aborts => "aborts",
            Self::Dangles => "dangles",
        }
    }
}

/// Records that reach the log together.
pub struct Delivery {
    pub at_us: i64,
    pub records: Vec<OutRecord>,
    /// Of a foreign transaction.
    pub fate: Option<Fate>,
}

struct Script<'a> {
    options: &'a Options,
    feed: &'a FeedOptions,
    /// Producer and key slot.
    name: String,
    symbols: &'static [&'static str],
    counts: Counts,
    random: ChaCha8Rng,
    now_us: i64,
    /// What the producer's wall clock is wrong by.
    wall_error_us: i64,
    last_connection: i64,
    intake: Option<Intake>,
    /// A connection that was taken over and does not know it yet, and until when.
    zombie: Option<(Intake, i64)>,
    heartbeat_us: i64,
    /// Nothing comes until then.
    quiet_until_us: i64,
    /// No trades until then.
    idle_until_us: i64,
    foreign_seq: i64,
    deliveries: Vec<Delivery>,
}

/// What all producers deliver, in order of time, and what befell them.
pub fn script(seed: u64, options: &Options) -> (Vec<Delivery>, Counts) {
    let mut deliveries = Vec::new();
    let mut counts = Counts::new();
    for slot in 0..options.feeds {
        let script = Script::write(seed, slot, options);
        deliveries.extend(script.deliveries);
        for (key, count) in script.counts {
            *counts.entry(key).or_default() += count;
        }
    }
    deliveries.sort_by_key(|delivery| delivery.at_us);
    (deliveries, counts)
}

impl<'a> Script<'a> {
    fn write(seed: u64, slot: usize, options: &'a Options) -> Self {
        // A second feed has the later symbols, so that some have two.
        let first = slot.min(options.symbols - 1);
        let mut script = Script {
            options,
            feed: &options.feed,
            name: format!("simulated/{slot}"),
            symbols: &SYMBOLS[first..options.symbols],
            counts: Counts::new(),
            random: random_of(seed, 2 + slot as u64),
            now_us: 0,
            wall_error_us: 0,
            last_connection: 0,
            intake: None,
            zombie: None,
            heartbeat_us: 0,
            quiet_until_us: 0,
            idle_until_us: 0,
            foreign_seq: 0,
            deliveries: Vec::new(),
        };
        while script.now_us < options.feed_us {
            script.now_us += script.random.random_range(10 * MS..LONGEST_STEP_US);
            script.step();
        }
        script
    }

    /// Whether something befalls the feed now.
    fn befalls(&mut self, what: &'static str, rate: f64) -> bool {
        let befalls = self.chance(rate);
        if befalls {
            *self.counts.entry(("feed", what)).or_default() += 1;
        }
        befalls
    }

    fn chance(&mut self, rate: f64) -> bool {
        rate > 0.0 && self.random.random_bool(rate)
    }

    fn arrival(&self) -> Arrival {
        Arrival { at_us: EPOCH_US + self.now_us + self.wall_error_us, monotonic_us: self.now_us }
    }

    fn step(&mut self) {
        let feed = self.feed;
        if self.befalls("clock jump", feed.clock_jump) {
            self.wall_error_us += self.random.random_range(-20 * SECOND..20 * SECOND);
        }
        // One writer is enough: its seqs must ascend.
        if self.name.ends_with('0') && self.chance(feed.foreign) {
            self.foreign_transaction();
        }
        if self.now_us < self.quiet_until_us {
            return;
        }
        let mut out = IntakeOutput::default();
        match self.intake.take() {
            None => self.connect(&mut out),
            Some(intake) => self.go_on(intake, &mut out),
        }
        self.let_the_zombie_speak(&mut out);
        self.publish(&out);
    }

    fn connect(&mut self, out: &mut IntakeOutput) {
        let arrival = self.arrival();
        let connection = arrival.at_us.max(self.last_connection + 1);
        self.last_connection = connection;
        let mut intake = Intake::new(IntakeConfig {
            connection,
            feed: self.name.as_str().into(),
            drop_repeats: true,
            future_bound_ms: 60_000,
        });
        intake.connected(arrival, out);
        let symbols = self.symbols.iter().map(|one| (*one).to_owned());
        intake.subscribed(symbols.collect(), arrival, out);
        self.intake = Some(intake);
    }

    /// One step of a connection; whatever ends it leaves `self.intake` empty.
    fn go_on(&mut self, mut intake: Intake, out: &mut IntakeOutput) {
        let (feed, arrival) = (self.feed, self.arrival());
        if self.befalls("disconnect", feed.disconnect) {
            intake.disconnected(arrival, "the vendor closed it", out);
            return self.fall_quiet();
        }
        if self.befalls("silence", feed.silence) {
            self.now_us += self.random.random_range(SECOND..10 * SECOND);
            intake.silence(self.arrival(), "nothing came", out);
            intake.disconnected(self.arrival(), "silence", out);
            return self.fall_quiet();
        }
        if self.befalls("kill", feed.kill) {
            // Not a word: the next connection tells.
            return self.fall_quiet();
        }
        if self.befalls("takeover", feed.takeover) {
            let until_us = self.now_us + self.random.random_range(0..6 * SECOND);
            self.zombie = Some((intake, until_us));
            return self.connect(out);
        }
        if self.befalls("overflow", feed.overflow) {
            let since_ms = intake.confirmed_feed_time_ms();
            intake.overflow(arrival, since_ms, self.random.random_range(1..100), out);
        }
        if self.befalls("idle", feed.idle) {
            self.idle_until_us = self.now_us + self.random.random_range(SECOND..20 * SECOND);
        }
        if self.now_us - self.heartbeat_us >= HEARTBEAT_EVERY_US {
            self.heartbeat_us = self.now_us;
            intake.heartbeat(self.arrival(), out);
        }
        if self.now_us >= self.idle_until_us {
            self.frame(&mut intake, out);
        } else if self.chance(0.05) {
            // Heartbeats alone move feed time on; a ping confirms it.
            intake.accept_frame("ping", Frame::Ping, arrival, out);
        }
        self.intake = Some(intake);
    }

    fn fall_quiet(&mut self) {
        self.quiet_until_us = self.now_us + self.random.random_range(0..8 * SECOND);
    }

    fn let_the_zombie_speak(&mut self, out: &mut IntakeOutput) {
        let Some((mut intake, until_us)) = self.zombie.take() else { return };
        self.frame(&mut intake, out);
        if self.now_us < until_us {
            self.zombie = Some((intake, until_us));
        } else {
            intake.released(self.arrival(), "superseded", out);
        }
    }

    fn frame(&mut self, intake: &mut Intake, out: &mut IntakeOutput) {
        let count = self.random.random_range(1..6);
        let mut elements: Vec<Element> =
            (0..count).map(|_| Element::Trade(self.feed_trade())).collect();
        if self.befalls("decode loss", self.feed.decode_loss) {
            elements.push(Element::Malformed(MalformedElement {
                raw: "{}".into(),
                symbol: self.random.random_bool(0.5).then(|| SYMBOLS[0].to_owned()),
                problem: "no time".into(),
            }));
        }
        // Every frame differs from the one before.
        let raw = format!("{}", self.now_us);
        let arrival = self.arrival();
        intake.accept_frame(&raw, Frame::Trades(elements), arrival, out);
    }

    fn feed_trade(&mut self) -> FeedTrade {
        let feed = self.feed;
        let now_ms = (EPOCH_US + self.now_us) / 1_000;
        let behind_ms = match () {
            () if self.befalls("late trade", feed.late) => self.random.random_range(8_000..60_000),
            () if self.befalls("trade behind", feed.behind) => {
                self.random.random_range(1_000..9_000)
            }
            () => self.random.random_range(0..900),
        };
        let symbol = *self.symbols.choose(&mut self.random).expect("at least one symbol");
        let has_codes = self.random.random_bool(0.3);
        let code = *CODES.choose(&mut self.random).expect("at least one code");
        let trade = FeedTrade {
            symbol: symbol.into(),
            price: f64::from(self.random.random_range(90..110)) / 4.0,
            volume: f64::from(self.random.random_range(0..50)) / 10.0,
            trade_time_ms: now_ms - behind_ms,
            conditions: has_codes.then(|| [code.into()].into_iter().collect()),
            inexact_numbers: 0,
        };
        if self.befalls("bad trade", feed.bad) { self.spoil(trade) } else { trade }
    }

    fn spoil(&mut self, trade: FeedTrade) -> FeedTrade {
        match self.random.random_range(0..7) {
            0 => FeedTrade { price: f64::NAN, ..trade },
            1 => FeedTrade { price: -1.0, ..trade },
            2 => FeedTrade { volume: f64::INFINITY, ..trade },
            3 => FeedTrade { volume: -2.0, ..trade },
            4 => FeedTrade { trade_time_ms: trade.trade_time_ms + 3_600_000, ..trade },
            5 => FeedTrade { trade_time_ms: 1_000, ..trade },
            _ => FeedTrade { symbol: "X".repeat(70).into(), ..trade },
        }
    }

    fn publish(&mut self, out: &IntakeOutput) {
        let mut records = Vec::new();
        for numbered in &out.records {
            match numbered {
                Numbered::Trade(trade) => {
                    let record = trade_record(trade, self.options.partitions);
                    records.extend(self.disturb(record));
                }
                Numbered::Event(event) if self.feed.has_events => {
                    let mut header = Vec::new();
                    AVRO.encode_feed_event(event, &mut header).expect("an event can be written");
                    for partition in 0..self.options.partitions as i32 {
                        records.push(event_record(partition, header.clone()));
                    }
                }
                Numbered::Event(_) => {}
            }
        }
        if self.befalls("repeat", self.feed.repeat) {
            // The answer of the broker was lost: from the oldest unacknowledged on once more.
            let from = self.random.random_range(0..=records.len());
            records.extend_from_within(from..);
        }
        self.deliver(records, None);
    }

    fn deliver(&mut self, records: Vec<OutRecord>, fate: Option<Fate>) {
        if !records.is_empty() {
            self.deliveries.push(Delivery { at_us: self.now_us, records, fate });
        }
    }

    /// What nobody should write to the topic, beside or instead of the record.
    fn disturb(&mut self, record: OutRecord) -> Vec<OutRecord> {
        if !self.befalls("stray record", self.feed.bad) {
            return vec![record];
        }
        let blank = OutRecord { key: None, value: None, headers: Vec::new(), ..record.clone() };
        match self.random.random_range(0..5) {
            0 => vec![OutRecord { key: Some(b"other".to_vec()), ..record }],
            1 => {
                let count = self.options.partitions as i32;
                let elsewhere = record.partition.map(|one| (one + 1) % count);
                vec![OutRecord { partition: elsewhere, ..record }]
            }
            2 => vec![OutRecord { value: Some(vec![1, 2, 3]), ..record.clone() }, record],
            3 => vec![record, blank],
            _ => vec![OutRecord { headers: vec![(FEED_EVENT_HEADER, vec![7])], ..blank }, record],
        }
    }

    fn foreign_transaction(&mut self) {
        let fate = *[Fate::Commits, Fate::Aborts, Fate::Dangles]
            .choose(&mut self.random)
            .expect("three fates");
        let mut records = Vec::new();
        for _ in 0..self.random.random_range(1..4) {
            self.foreign_seq += 1;
            let trade = self.feed_trade();
            let trade = Trade {
                symbol: trade.symbol,
                price: trade.price,
                volume: trade.volume,
                trade_time_ms: trade.trade_time_ms,
                conditions: trade.conditions,
                connection: 1,
                seq: self.foreign_seq,
                received_at_us: self.arrival().at_us,
                feed: "foreign/0".into(),
            };
            records.push(trade_record(&trade, self.options.partitions));
        }
        self.deliver(records, Some(fate));
    }
}

fn trade_record(trade: &Trade, partition_count: u32) -> OutRecord {
    let mut value = Vec::new();
    AVRO.encode_trade(trade, &mut value).expect("a trade can be written");
    OutRecord {
        topic: Topic::Trades,
        partition: Some(partition_for_key(trade.symbol.as_bytes(), partition_count)),
        key: Some(trade.symbol.as_bytes().to_vec()),
        value: Some(value),
        headers: Vec::new(),
    }
}

fn event_record(partition: i32, header: Vec<u8>) -> OutRecord {
    OutRecord {
        topic: Topic::Trades,
        partition: Some(partition),
        key: None,
        value: None,
        headers: vec![(FEED_EVENT_HEADER, header)],
    }
}
