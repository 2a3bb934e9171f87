//! The bars of the market computed a second time, from the documented rules alone and without the
//! engine: no speed is printed of a run whose bars are not these.

use std::collections::{BTreeMap, HashMap};

use ticksmith::model::{Bar, Trade, partition_for_key};

const OUT_OF_ORDERNESS_MS: i64 = 2_000;
const LATENESS_MS: i64 = 600_000;
/// The intervals as shipped, ms.
const INTERVALS_MS: [i64; 2] = [300_000, 3_600_000];

/// Symbol, length of the interval and start of the window, ms.
pub type Key = (String, i64, i64);

/// What is compared: open, high, low and close in hundredths, volume, number of trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    prices: [Option<i64>; 4],
    volume: i64,
    count: i64,
}

impl From<&Bar> for Content {
    fn from(bar: &Bar) -> Self {
        let points = [bar.open, bar.high, bar.low, bar.close];
        Self {
            prices: points.map(|point| point.map(|point| hundredths(point.price))),
            volume: bar.volume.to_f64() as i64,
            count: bar.trade_count,
        }
    }
}

/// The market has whole cents.
fn hundredths(price: f64) -> i64 {
    (price * 100.0).round() as i64
}

/// The key of a bar.
pub fn key_of(bar: &Bar) -> Key {
    (bar.symbol.to_string(), bar.interval.length_ms(), bar.window.start_ms)
}

/// What the log must become.
pub struct Oracle {
    /// Closed bars as they are at the end.
    pub bars: BTreeMap<Key, Content>,
    /// Trades that are neither repeats nor late, by symbol.
    pub merged: HashMap<String, usize>,
}

#[derive(Default)]
struct Partition {
    /// By connection: highest number, and newest trade time.
    connections: BTreeMap<i64, (i64, i64)>,
    watermark_ms: Option<i64>,
    windows: HashMap<Key, Window>,
}

/// Sums of one window. The pair orders trades: time, then arrival.
#[derive(Default)]
struct Window {
    by_right: Option<Span>,
    /// Set open and close only where no other trade does.
    otherwise: Option<Span>,
    range: Option<(i64, i64)>,
    volume: i64,
    count: i64,
}

struct Span {
    first: ((i64, usize), i64),
    last: ((i64, usize), i64),
}

impl Oracle {
    /// Judges trades in order of arrival.
    pub fn of(trades: impl Iterator<Item = Trade>, partitions: u32) -> Self {
        let mut by_number: Vec<Partition> = (0..partitions).map(|_| Partition::default()).collect();
        let mut oracle = Self { bars: BTreeMap::new(), merged: HashMap::new() };
        for (arrival, trade) in trades.enumerate() {
            let number = partition_for_key(trade.symbol.as_bytes(), partitions);
            let partition = &mut by_number[usize::try_from(number).expect("no negative")];
            let Some(is_late) = partition.judge(&trade) else { continue };
            if !is_late {
                partition.merge(&trade, arrival);
                *oracle.merged.entry(trade.symbol.clone()).or_default() += 1;
            }
            partition.advance(&trade);
        }
        for partition in by_number {
            let watermark_ms = partition.watermark_ms.unwrap_or(i64::MIN);
            let closed = partition.windows.into_iter();
            let closed = closed.filter(|((_, length, start), _)| start + length <= watermark_ms);
            oracle.bars.extend(closed.map(|(key, window)| (key, window.content())));
        }
        oracle
    }

    /// Panics with the first difference.
    pub fn compare(&self, found: &BTreeMap<Key, Content>, name: &str) {
        for (key, expected) in &self.bars {
            assert_eq!(found.get(key), Some(expected), "{name}: bar {key:?}");
        }
        let odd = found.keys().find(|key| !self.bars.contains_key(*key));
        assert_eq!(odd, None, "{name}: a bar that must not be there");
    }
}

impl Partition {
    /// `None`: a repeat. Otherwise whether it is late.
    fn judge(&mut self, trade: &Trade) -> Option<bool> {
        let (mark, _) = self.connections.entry(trade.connection).or_insert((0, i64::MIN));
        if trade.seq <= *mark {
            return None;
        }
        *mark = trade.seq;
        Some(self.watermark_ms.is_some_and(|mark| trade.trade_time_ms < mark - LATENESS_MS))
    }

    fn merge(&mut self, trade: &Trade, arrival: usize) {
        for length in INTERVALS_MS {
            let start = trade.trade_time_ms.div_euclid(length) * length;
            let key = (trade.symbol.clone(), length, start);
            self.windows.entry(key).or_default().add(trade, arrival);
        }
    }

    fn advance(&mut self, trade: &Trade) {
        let (_, newest) = self.connections.get_mut(&trade.connection).expect("judged before");
        *newest = trade.trade_time_ms.max(*newest);
        let slowest = self.connections.values().map(|(_, newest)| *newest).min();
        let watermark_ms = slowest.map(|newest| newest - OUT_OF_ORDERNESS_MS);
        self.watermark_ms = self.watermark_ms.max(watermark_ms);
    }
}

impl Window {
    fn add(&mut self, trade: &Trade, arrival: usize) {
        self.count += 1;
        self.volume += trade.volume as i64;
        let has = |code: &str| trade.conditions.iter().flatten().any(|one| one == code);
        // 12, an odd lot: volume alone. 30, sold out of sequence: open and close only in a window
        // that has no other. 1 and 8 forbid nothing.
        if has("12") {
            return;
        }
        let price = hundredths(trade.price);
        let (low, high) = self.range.unwrap_or((price, price));
        self.range = Some((low.min(price), high.max(price)));
        let at = ((trade.trade_time_ms, arrival), price);
        let span = if has("30") { &mut self.otherwise } else { &mut self.by_right };
        match span {
            None => *span = Some(Span { first: at, last: at }),
            Some(span) => {
                span.first = span.first.min(at);
                span.last = span.last.max(at);
            }
        }
    }

    fn content(self) -> Content {
        let span = self.by_right.or(self.otherwise);
        let (open, close) = span.map(|span| (span.first.1, span.last.1)).unzip();
        let (low, high) = self.range.unzip();
        Content { prices: [open, high, low, close], volume: self.volume, count: self.count }
    }
}
