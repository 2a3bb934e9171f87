//! A seeded workload: 500 symbols by Zipf's law, disorder, duplicates, late trades and conditions;
//! and the bare poll loop that bounds everything from below.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use ticksmith::codec::avro::Avro;
use ticksmith::model::{Trade, partition_for_key};

pub const SYMBOLS: usize = 500;
const PARTITIONS: u32 = 6;
/// Event time moves on by so much per trade: 2,000 trades a second.
const STEP_US: i64 = 500;
const START_MS: i64 = 1_710_163_800_000;
const SEED: u64 = 7;

/// Fills `topic` with `trades` records.
pub fn load(bootstrap: &str, topic: &str, trades: usize) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("compression.type", "lz4")
        .set("linger.ms", "20")
        .set("queue.buffering.max.kbytes", "65536")
        .create()
        .expect("a producer");
    let avro = Avro::single_object();
    let mut generator = Generator::new();
    let mut value = Vec::new();
    for _ in 0..trades {
        let trade = generator.next();
        value.clear();
        avro.encode_trade(&trade, &mut value).expect("encodes");
        let partition = partition_for_key(trade.symbol.as_bytes(), PARTITIONS);
        let mut record = BaseRecord::to(topic).key(&trade.symbol).payload(&value);
        record.partition = Some(partition);
        while let Err((_, back)) = producer.send(record) {
            record = back;
            producer.poll(Duration::from_millis(10));
        }
    }
    producer.flush(Duration::from_secs(120)).expect("everything is acknowledged");
}

/// Reads `records` records and does nothing with them.
pub fn poll_all(bootstrap: &str, topic: &str, records: usize) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bench-poll")
        .set("enable.auto.commit", "false")
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.message.max.bytes", "1048576")
        .create()
        .expect("a consumer");
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        assignment
            .add_partition_offset(topic, partition as i32, Offset::Beginning)
            .expect("a valid offset");
    }
    consumer.assign(&assignment).expect("assigned");
    let deadline = Instant::now() + Duration::from_secs(120);
    let mut seen = 0;
    while seen < records {
        assert!(Instant::now() < deadline, "only {seen} of {records} records came");
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            message.expect("a record");
            seen += 1;
        }
    }
}

/// Trades of two connections, in order of arrival.
struct Generator {
    random: ChaCha8Rng,
    /// Cumulative weights of the symbols.
    weights: Vec<f64>,
    prices: Vec<f64>,
    position: i64,
    seqs: [i64; 2],
    last: Option<Trade>,
}

impl Generator {
    fn new() -> Self {
        let mut total = 0.0;
        let weights = (1..=SYMBOLS).map(|rank| {
            total += 1.0 / rank as f64;
            total
        });
        let weights: Vec<f64> = weights.collect();
        Self {
            random: ChaCha8Rng::seed_from_u64(SEED),
            prices: (0..SYMBOLS).map(|rank| 20.0 + rank as f64).collect(),
            weights,
            position: 0,
            seqs: [0; 2],
            last: None,
        }
    }

    fn next(&mut self) -> Trade {
        // One in 500 is a repeat of the record before it, as after a retry without idempotence.
        if self.random.random_range(0..500) == 0
            && let Some(last) = self.last.clone()
        {
            return last;
        }
        self.position += 1;
        let drawn = self.random.random_range(0.0..self.weights[SYMBOLS - 1]);
        let rank = self.weights.partition_point(|weight| *weight < drawn).min(SYMBOLS - 1);
        let connection = self.position % 2;
        self.seqs[connection as usize] += 1;
        let now_ms = START_MS + self.position * STEP_US / 1_000;
        let delay_ms = match self.random.random_range(0..10_000) {
            0 => 700_000,
            1..300 => self.random.random_range(0..60_000),
            _ => self.random.random_range(0..200),
        };
        let ticks = self.random.random_range(-3..=3);
        self.prices[rank] = (self.prices[rank] + f64::from(ticks) / 100.0).max(1.0);
        let trade = Trade {
            symbol: format!("SYM{rank:03}"),
            price: (self.prices[rank] * 100.0).round() / 100.0,
            volume: f64::from(self.random.random_range(1..400)),
            trade_time_ms: now_ms - delay_ms,
            conditions: self.conditions(),
            connection: connection + 1,
            seq: self.seqs[connection as usize],
            received_at_us: now_ms * 1_000 + 40_000,
            feed: "bench/0".into(),
        };
        self.last = Some(trade.clone());
        trade
    }

    fn conditions(&mut self) -> Option<Vec<String>> {
        let codes: &[&str] = match self.random.random_range(0..100) {
            0..45 => &["1", "12"],
            45..60 => &["1", "8"],
            60..62 => &["1", "30"],
            _ => &["1"],
        };
        Some(codes.iter().map(|code| (*code).to_owned()).collect())
    }
}
