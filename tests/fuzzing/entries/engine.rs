//! The engine under any sequence of inputs, sensible or not, and under any changelog.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use ticksmith::codec::row;
use ticksmith::engine::{Engine, Input, Policy, Rules};
use ticksmith::model::{
    Bar, Conditions, Effects, FeedEvent, FeedEventKind, Origin, RejectReason, StateRecord, Trade,
};

use super::samples::{self, AVRO, CONNECTION, NOW_MS, interval};
use crate::draw::Draw;

/// Inputs of one run at most: enough for windows to open, close, be corrected and be evicted.
const INPUTS_MAX: usize = 512;

static RULES: LazyLock<[Arc<Rules>; 3]> = LazyLock::new(|| {
    let rules = |names: &[&str]| {
        Rules::with_intervals(names.iter().map(|name| interval(name)).collect()).expect("valid")
    };
    let narrow = Rules {
        out_of_orderness_ms: 0,
        allowed_lateness_ms: 8_000,
        mark_horizon_ms: 60_000,
        policy: Some(Policy::All),
        ..rules(&["5s", "20s"])
    };
    let conservative =
        Rules { policy: Some(Policy::Conservative), ..rules(&["1m", "5m", "1h", "1d"]) };
    [rules(&["5m", "1h"]), narrow, conservative].map(Arc::new)
});

/// An input that can be given to two engines.
#[derive(Debug, Clone)]
enum Happening {
    Trade(Trade, Option<Vec<u8>>),
    Event(FeedEvent),
    Undecodable,
    Sample,
    Drain,
}

impl Happening {
    fn input(&self, offset: i64) -> Input<'_> {
        let origin = Origin { partition: 0, offset };
        match self {
            Self::Trade(trade, key) => {
                Input::Trade { origin, key: key.as_deref(), trade: trade.clone() }
            }
            Self::Event(event) => Input::Event { origin, event: event.clone() },
            Self::Undecodable => Input::Undecodable { origin, reason: RejectReason::Undecodable },
            Self::Sample => Input::Sample,
            Self::Drain => Input::Drain,
        }
    }

    fn is_record(&self) -> bool {
        !matches!(self, Self::Sample | Self::Drain)
    }
}

/// A market that mostly makes sense: a clock that goes on, a few connections that count.
struct Market {
    clock_ms: i64,
    next_seq: [i64; 4],
    offset: i64,
}

impl Market {
    fn new(offset: i64) -> Self {
        Self { clock_ms: NOW_MS, next_seq: [8; 4], offset }
    }

    fn happening(&mut self, draw: &mut Draw<'_>) -> Happening {
        match draw.below(16) {
            0..=8 => self.trade(draw),
            9..=12 => Happening::Event(self.event(draw)),
            13 => Happening::Undecodable,
            14 => Happening::Sample,
            _ => Happening::Drain,
        }
    }

    fn time_ms(&mut self, draw: &mut Draw<'_>) -> i64 {
        match draw.below(16) {
            0 => draw.any_i64(),
            1 => self.clock_ms + (draw.below(255) as i64 - 127) * 3_600_000,
            2..=5 => self.clock_ms - draw.below(255) as i64 * 100,
            6 => {
                self.clock_ms += draw.below(255) as i64 * 10_000;
                self.clock_ms
            }
            _ => {
                self.clock_ms += draw.below(255) as i64 * 20;
                self.clock_ms
            }
        }
    }

    fn identity(&mut self, draw: &mut Draw<'_>) -> (i64, i64) {
        let which = draw.below(5);
        if which == 4 {
            return (draw.any_i64(), draw.any_i64());
        }
        let seq = self.next_seq[which];
        if draw.below(8) == 0 {
            return (CONNECTION + which as i64, seq - draw.below(4) as i64);
        }
        self.next_seq[which] = seq.saturating_add(1 + draw.below(2) as i64);
        (CONNECTION + which as i64, seq)
    }

    fn trade(&mut self, draw: &mut Draw<'_>) -> Happening {
        const CODES: [&str; 8] = ["1", "12", "24", "16", "39", "41", "", "999"];
        let (connection, seq) = self.identity(draw);
        let symbol = symbol(draw);
        let key = match draw.below(16) {
            0 => None,
            1 => Some(draw.short().to_vec()),
            _ => Some(symbol.clone().into_bytes()),
        };
        let codes =
            |draw: &mut Draw<'_>, count| (0..count).map(|_| CODES[draw.below(8)].into()).collect();
        let conditions = match draw.below(8) {
            0 => Some(Conditions::new()),
            count @ 1..=4 => Some(codes(draw, count)),
            _ => None,
        };
        let trade_time_ms = self.time_ms(draw);
        let received_at_us = match draw.below(4) {
            0 => 0,
            1 => self.time_ms(draw).saturating_mul(1_000),
            _ => self.clock_ms * 1_000,
        };
        let trade = Trade {
            symbol: symbol.into(),
            price: number(draw),
            volume: number(draw),
            trade_time_ms,
            conditions,
            connection,
            seq,
            received_at_us,
            feed: feed(draw).into(),
        };
        Happening::Trade(trade, key)
    }

    fn event(&mut self, draw: &mut Draw<'_>) -> FeedEvent {
        let (connection, seq) = self.identity(draw);
        let mut time = |draw: &mut Draw<'_>| (draw.below(3) > 0).then(|| self.time_ms(draw));
        FeedEvent {
            kind: FeedEventKind::ALL[draw.below(8)],
            connection,
            seq,
            feed: feed(draw),
            feed_time_ms: time(draw),
            confirmed_at_us: None,
            confirmed_feed_time_ms: time(draw),
            at_us: time(draw).unwrap_or(NOW_MS).saturating_mul(1_000),
            symbols: (0..draw.below(4)).map(|_| symbol(draw)).collect(),
            lost_records: if draw.below(8) == 0 { draw.any_i64() } else { 1 },
            detail: String::new(),
        }
    }

    fn next_offset(&mut self, draw: &mut Draw<'_>) -> i64 {
        let offset = self.offset + draw.below(2) as i64;
        self.offset = offset + 1;
        offset
    }
}

fn symbol(draw: &mut Draw<'_>) -> String {
    const SYMBOLS: [&str; 4] = ["AAPL", "BINANCE:BTCUSDT", "OANDA:EUR_USD", "Ünïcode"];
    match draw.below(16) {
        0 => draw.text(),
        which => SYMBOLS[which % 4].to_owned(),
    }
}

fn feed(draw: &mut Draw<'_>) -> String {
    format!("finnhub/{}", draw.below(2))
}

fn number(draw: &mut Draw<'_>) -> f64 {
    const NUMBERS: [f64; 8] = [0.0, 1e15, 1e-18, -1.0, f64::NAN, f64::INFINITY, 1e300, 0.1];
    match draw.below(8) {
        0 => draw.any_f64(),
        1 => NUMBERS[draw.below(8)],
        _ => draw.below(200) as f64 / 8.0,
    }
}

/// An engine that is stopped and restored from its changelog beside one that never was: both must
/// say the same of every record, and account for all.
pub fn inputs(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    let rules = &RULES[draw.below(3)];
    let mut steady = Engine::new(Arc::clone(rules), 0, 1);
    let mut restarted = Engine::new(Arc::clone(rules), 0, 1);
    let mut changelog = Changelog::default();
    let mut market = Market::new(0);
    let mut records = 0;
    for _ in 0..INPUTS_MAX {
        if draw.is_empty() {
            break;
        }
        if draw.below(12) == 0 {
            changelog.take(&mut restarted);
            restarted = changelog.restore(rules).expect("an engine's own state restores");
        }
        let happening = market.happening(&mut draw);
        let offset = market.next_offset(&mut draw);
        let (mut one, mut other) = (Effects::default(), Effects::default());
        let ended = steady.step(happening.input(offset), &mut one);
        assert_eq!(ended, restarted.step(happening.input(offset), &mut other), "{happening:?}");
        records += i64::from(happening.is_record());
        if happening.is_record() {
            assert_eq!(told(&one), told(&other), "{happening:?} after a restart");
        }
        assert_eq!(steady.watermark_ms(), restarted.watermark_ms());
        assert_eq!(steady.tally(), restarted.tally());
        check_effects(&one);
    }
    assert_eq!(steady.tally().total(), records, "every record has ended in one way");
}

/// What one record caused, as text: a price that is no number differs from itself.
fn told(effects: &Effects) -> String {
    let Effects { trades, bars, revisions, events, gaps, .. } = effects;
    format!("{trades:?} {bars:?} {revisions:?} {events:?} {gaps:?}")
}

/// What an engine says can be written: to the topics, and under keys and times of the tables.
fn check_effects(effects: &Effects) {
    let avro = &*AVRO;
    let mut value = Vec::new();
    for bar in &effects.bars {
        check_bar(bar);
        avro.encode_bar(bar, &mut value).expect("a bar can be written");
        let read = avro.decode_bar(&value).expect("and be read");
        assert_eq!(read, *bar, "through Avro");
        value.clear();
    }
    for judged in &effects.trades {
        row::trade_write_timestamp_us(judged);
        row::trade_age_s(&judged.trade, NOW_MS * 1_000);
        if judged.lateness.is_some() {
            avro.encode_late(judged, &mut value).expect("a late trade can be written");
            value.clear();
        }
    }
    for gap in &effects.gaps {
        row::gap_write_timestamp_us(gap);
        assert!(gap.to_ms.is_none_or(|to_ms| to_ms >= gap.from_ms), "{gap:?}");
    }
    for stored in &effects.events {
        row::event_age_s(&stored.event, NOW_MS * 1_000);
        avro.encode_feed_event(&stored.event, &mut value).expect("an event can be written");
        value.clear();
    }
}

fn check_bar(bar: &Bar) {
    row::bar_write_timestamp_us(bar).expect("within the order of write timestamps");
    row::bar_age_s(bar, NOW_MS * 1_000);
    let prices = [bar.open, bar.high, bar.low, bar.close].map(|point| point.map(|at| at.price));
    let [_, high, low, _] = prices;
    for price in prices.into_iter().flatten() {
        assert!(price.is_finite() && price > 0.0, "{bar:?}");
    }
    assert!(high >= low, "{bar:?}");
    let covered = bar.coverage.is_none_or(|share| (0.0..=1.0).contains(&share));
    assert!(covered && bar.gap_ms >= 0, "{bar:?}");
}

/// A compacted changelog, as bytes.
#[derive(Default)]
struct Changelog(BTreeMap<Vec<u8>, Vec<u8>>);

impl Changelog {
    fn take(&mut self, engine: &mut Engine) {
        let mut states = Vec::new();
        engine.collect_state(&mut states).expect("conservation holds");
        let avro = &*AVRO;
        for state in &states {
            let (key, value) = avro.encode_state(state).expect("a state can be written");
            match value {
                Some(value) => drop(self.0.insert(key, value)),
                None => drop(self.0.remove(&key)),
            }
        }
    }

    fn restore(&self, rules: &Arc<Rules>) -> ticksmith::error::Result<Engine> {
        let avro = &*AVRO;
        let decoded = self.0.iter().map(|(key, value)| avro.decode_state(key, value));
        let states: Vec<StateRecord> = decoded.collect::<Result<_, _>>()?;
        Engine::restore(Arc::clone(rules), 0, 1, states)
    }
}

/// Records of a changelog that nobody vouches for: they are refused with a sentence, or an engine
/// goes on from them.
pub fn changelog(bytes: &[u8]) {
    let mut draw = Draw::new(bytes);
    let rules = &RULES[draw.below(3)];
    let avro = &*AVRO;
    let good = samples::states().map(|state| avro.encode_state(&state).expect("encodes"));
    let mut states = Vec::new();
    for _ in 0..draw.below(8) {
        let (key, value) = match good.get(draw.below(5)) {
            Some((key, Some(value))) => (key.clone(), [&value[..10], draw.long()].concat()),
            _ => (draw.short().to_vec(), draw.long().to_vec()),
        };
        let Ok(state) = avro.decode_state(&key, &value) else { continue };
        let (key, value) = avro.encode_state(&state).expect("a state that was read can be written");
        let value = value.expect("it is no tombstone");
        let again = avro.decode_state(&key, &value).expect("what we wrote reads back");
        assert_eq!(avro.encode_state(&again).expect("encodes").1, Some(value));
        states.push(state);
    }
    let Ok(mut engine) = Engine::restore(Arc::clone(rules), 0, 1, states) else { return };
    let mut market = Market::new(engine.next_offset());
    let mut effects = Effects::default();
    for _ in 0..INPUTS_MAX {
        if draw.is_empty() {
            break;
        }
        let happening = market.happening(&mut draw);
        let offset = market.next_offset(&mut draw);
        engine.step(happening.input(offset), &mut effects);
        check_effects(&effects);
        effects.clear();
    }
    engine.collect_state(&mut Vec::new()).expect("conservation holds");
}
