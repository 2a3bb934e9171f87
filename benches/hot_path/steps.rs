//! What happens to every trade between socket and bar, one step at a time, over one seeded market:
//! timed by `cargo bench --bench micro`, counted in instructions by `make instructions`.

use std::sync::Arc;

use ticksmith::codec::avro::Avro;
use ticksmith::codec::finnhub;
use ticksmith::engine::{Engine, Input, Intake, IntakeConfig, IntakeOutput, Rules};
use ticksmith::model::{Arrival, Effects, Frame, Interval, Origin, Trade, partition_for_key};

use crate::frame::frame;
use crate::generator::Generator;

/// Trades of one frame: the feed sends few at a time.
const FRAME_TRADES: usize = 5;
/// Partitions of the trades topic, as shipped.
const PARTITIONS: u32 = 6;
/// Effects are taken away after so many records, as a micro-batch of a stream that catches up.
const BATCH_RECORDS: usize = 1_000;

/// The market in each form that a step begins with.
pub struct Material {
    avro: Avro,
    trades: Vec<Trade>,
    frames: Vec<String>,
    records: Vec<Record>,
}

/// A record of the trades topic.
struct Record {
    origin: Origin,
    key: String,
    value: Vec<u8>,
}

/// A step: its name, and the work on all of the material. Returns a count that depends on it.
pub type Step = (&'static str, fn(&Material) -> usize);

/// The steps, in the order in which a trade meets them.
pub const STEPS: [Step; 5] =
    [("parse", parse), ("intake", intake), ("encode", encode), ("decode", decode), ("step", step)];

impl Material {
    pub fn of(count: usize, symbols: usize) -> Self {
        let avro = Avro::single_object();
        let trades: Vec<Trade> = Generator::new(symbols).take(count).collect();
        let mut next_offsets = [0; PARTITIONS as usize];
        let record = |trade: &Trade| {
            let partition = partition_for_key(trade.symbol.as_bytes(), PARTITIONS);
            let offset = &mut next_offsets[partition as usize];
            *offset += 1;
            let mut value = Vec::new();
            avro.encode_trade(trade, &mut value).expect("encodes");
            let origin = Origin { partition, offset: *offset - 1 };
            Record { origin, key: trade.symbol.to_string(), value }
        };
        let records = trades.iter().map(record).collect();
        let frames = trades.chunks(FRAME_TRADES).map(frame).collect();
        Self { avro, trades, frames, records }
    }

    pub fn len(&self) -> usize {
        self.trades.len()
    }
}

/// The producer: a frame's text to elements.
fn parse(material: &Material) -> usize {
    let elements = |raw: &String| match finnhub::decode(raw) {
        Frame::Trades(elements) => elements.len(),
        _ => 0,
    };
    material.frames.iter().map(elements).sum()
}

/// The producer: parsed, looked at for repeats, and numbered.
fn intake(material: &Material) -> usize {
    let mut intake = Intake::new(IntakeConfig {
        connection: 1,
        feed: "bench/0".into(),
        drop_repeats: true,
        future_bound_ms: 60_000,
    });
    let mut output = IntakeOutput::default();
    let mut numbered = 0;
    for (place, raw) in material.frames.iter().enumerate() {
        let arrival = Arrival {
            at_us: material.trades[place * FRAME_TRADES].received_at_us,
            monotonic_us: place as i64,
        };
        intake.accept_frame(raw, finnhub::decode(raw), arrival, &mut output);
        numbered += output.records.len();
        output.clear();
    }
    numbered
}

/// The producer: a trade to a record.
fn encode(material: &Material) -> usize {
    let mut value = Vec::new();
    let mut bytes = 0;
    for trade in &material.trades {
        value.clear();
        material.avro.encode_trade(trade, &mut value).expect("encodes");
        bytes += value.len();
    }
    bytes
}

/// The stream: a record to a trade.
fn decode(material: &Material) -> usize {
    let read = |record: &Record| material.avro.decode_trade(&record.value).expect("decodes");
    material.records.iter().map(|record| read(record).symbol.len()).sum()
}

/// The stream: a record to a trade, and the trade into its bars.
fn step(material: &Material) -> usize {
    let intervals = ["5m", "1h"].map(|text| Interval::parse(text).expect("valid"));
    let rules = Arc::new(Rules::with_intervals(intervals.to_vec()).expect("they fit"));
    let engine = |partition| Engine::new(Arc::clone(&rules), partition, PARTITIONS);
    let mut engines: Vec<Engine> = (0..PARTITIONS as i32).map(engine).collect();
    let mut effects = Effects::default();
    for batch in material.records.chunks(BATCH_RECORDS) {
        for Record { origin, key, value } in batch {
            let trade = material.avro.decode_trade(value).expect("decodes");
            let input = Input::Trade { origin: *origin, key: Some(key.as_bytes()), trade };
            engines[origin.partition as usize].step(input, &mut effects);
        }
        effects.clear();
    }
    engines.iter().map(Engine::open_windows).sum()
}
