//! The bars of the market computed a second time, from the documented rules alone, in plain
//! floating point and without the engine: no speed is printed of a run whose bars are not these.
//!
//! It knows what the market has: no feed events, and sale conditions 1, 8, 12 and 30.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use ticksmith::model::{Bar, PricePoint, Trade, partition_for_key};

const OUT_OF_ORDERNESS_MS: i64 = 2_000;
const LATENESS_MS: i64 = 600_000;
/// The intervals as shipped, ms.
const INTERVALS_MS: [i64; 2] = [300_000, 3_600_000];
/// Sums of doubles differ in their last digits from exact ones.
const VWAP_TOLERANCE: f64 = 1e-9;
/// Differences that are told in full.
const TOLD: usize = 3;

/// Symbol, length of the interval and start of the window, ms.
pub type Key = (String, i64, i64);

/// The key of a bar.
pub fn key_of(bar: &Bar) -> Key {
    (bar.symbol.to_string(), bar.interval.length_ms(), bar.window.start_ms)
}

/// What the log must become.
#[derive(Debug, Default)]
pub struct Oracle {
    pub windows: BTreeMap<Key, Expected>,
    /// Trades that are neither repeats nor late, by symbol.
    pub merged: HashMap<String, usize>,
    pub late: usize,
    pub duplicates: usize,
}

/// What one window comes to at the end of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    pub open: Option<PricePoint>,
    pub high: Option<PricePoint>,
    pub low: Option<PricePoint>,
    pub close: Option<PricePoint>,
    pub volume: f64,
    pub turnover: f64,
    pub count: i64,
    /// The watermark has passed its end, so that its bar must have been told.
    pub is_closed: bool,
}

#[derive(Default)]
struct Partition {
    /// Highest number by connection.
    marks: HashMap<i64, i64>,
    newest_ms: Option<i64>,
    windows: HashMap<Key, Window>,
}

enum Verdict {
    Repeated,
    Late,
    Merged,
}

/// Sums of one window.
#[derive(Default)]
struct Window {
    by_right: Option<Ends>,
    /// Set open and close only where no other trade does.
    otherwise: Option<Ends>,
    high: Option<Print>,
    low: Option<Print>,
    volume: f64,
    turnover: f64,
    count: i64,
}

struct Ends {
    first: Print,
    last: Print,
}

/// A trade that sets a price.
#[derive(Clone, Copy)]
struct Print {
    arrival: usize,
    point: PricePoint,
}

impl Oracle {
    /// Judges trades in order of arrival.
    pub fn of(trades: impl Iterator<Item = Trade>, partitions: u32) -> Self {
        let mut by_number: Vec<Partition> = (0..partitions).map(|_| Partition::default()).collect();
        let mut oracle = Self::default();
        for (arrival, trade) in trades.enumerate() {
            let number = partition_for_key(trade.symbol.as_bytes(), partitions);
            let partition = &mut by_number[usize::try_from(number).expect("not negative")];
            match partition.judge(&trade) {
                Verdict::Repeated => oracle.duplicates += 1,
                Verdict::Late => oracle.late += 1,
                Verdict::Merged => {
                    partition.merge(&trade, arrival);
                    *oracle.merged.entry(trade.symbol.into()).or_default() += 1;
                }
            }
        }
        oracle.windows = by_number.into_iter().flat_map(Partition::expected).collect();
        oracle
    }

    /// Trades that are neither repeats nor late.
    pub fn merged_count(&self) -> usize {
        self.merged.values().sum()
    }

    /// Compares the last bars that were told, of the keys that are admitted, and returns how many
    /// closed windows these have. A window that is not closed may have a bar too.
    ///
    /// # Errors
    /// A sentence with the number of differences and the first of them.
    pub fn compare(
        &self,
        found: &BTreeMap<Key, Bar>,
        admits: impl Fn(&Key) -> bool,
    ) -> Result<usize, String> {
        let windows = self.windows.iter().filter(|(key, window)| window.is_closed && admits(key));
        let closed: Vec<&Key> = windows.map(|(key, _)| key).collect();
        let missing = closed.iter().filter(|key| !found.contains_key(**key));
        let missing = missing.map(|key| format!("{key:?} is missing"));
        let told = found.iter().filter(|(key, _)| admits(key));
        let different = told.filter_map(|(key, bar)| match self.windows.get(key) {
            None => Some(format!("{key:?} is extra: {bar:?}")),
            Some(expected) if expected.is(bar) => None,
            Some(expected) => Some(format!("{key:?}: expected {expected:?}, found {bar:?}")),
        });
        let problems: Vec<String> = missing.chain(different).collect();
        if problems.is_empty() {
            return Ok(closed.len());
        }
        let first = problems[..problems.len().min(TOLD)].join("; ");
        Err(format!("{} bars differ: {first}", problems.len()))
    }
}

impl fmt::Display for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (windows, merged) = (self.windows.len(), self.merged_count());
        write!(
            f,
            "{windows} bars of {merged} trades, {} late, {} repeated",
            self.late, self.duplicates
        )
    }
}

impl Partition {
    /// Without feed events no connection is known to live, so the newest trade moves the watermark.
    fn judge(&mut self, trade: &Trade) -> Verdict {
        let mark = self.marks.entry(trade.connection).or_insert(0);
        if trade.seq <= *mark {
            return Verdict::Repeated;
        }
        *mark = trade.seq;
        self.newest_ms = self.newest_ms.max(Some(trade.trade_time_ms));
        let is_late = |mark_ms: i64| trade.trade_time_ms < mark_ms - LATENESS_MS;
        if self.watermark_ms().is_some_and(is_late) { Verdict::Late } else { Verdict::Merged }
    }

    fn watermark_ms(&self) -> Option<i64> {
        self.newest_ms.map(|newest_ms| newest_ms - OUT_OF_ORDERNESS_MS)
    }

    fn merge(&mut self, trade: &Trade, arrival: usize) {
        for length_ms in INTERVALS_MS {
            let start_ms = trade.trade_time_ms.div_euclid(length_ms) * length_ms;
            let key = (trade.symbol.to_string(), length_ms, start_ms);
            self.windows.entry(key).or_default().add(trade, arrival);
        }
    }

    fn expected(self) -> impl Iterator<Item = (Key, Expected)> {
        let watermark_ms = self.watermark_ms();
        self.windows.into_iter().map(move |(key, window)| {
            let end_ms = key.1 + key.2;
            let is_closed = watermark_ms.is_some_and(|mark_ms| end_ms <= mark_ms);
            (key, window.expected(is_closed))
        })
    }
}

impl Window {
    fn add(&mut self, trade: &Trade, arrival: usize) {
        self.volume += trade.volume;
        self.turnover += trade.price * trade.volume;
        self.count += 1;
        // 12, an odd lot: volume alone. 30, sold out of sequence: open and close only in a window
        // that has no other. 1 and 8 forbid nothing.
        let (mut is_odd_lot, mut is_out_of_sequence) = (false, false);
        for code in trade.conditions.iter().flatten() {
            match code.as_str() {
                "1" | "8" => {}
                "12" => is_odd_lot = true,
                "30" => is_out_of_sequence = true,
                other => panic!("the market has code {other}, which this oracle does not know"),
            }
        }
        if is_odd_lot {
            return;
        }
        let print = Print::of(trade, arrival);
        let ends = if is_out_of_sequence { &mut self.otherwise } else { &mut self.by_right };
        let (first, last) = ends.as_ref().map_or((print, print), |ends| (ends.first, ends.last));
        *ends = Some(Ends { first: first.earlier(print), last: last.later(print) });
        self.high = Some(self.high.map_or(print, |high| high.higher(print)));
        self.low = Some(self.low.map_or(print, |low| low.lower(print)));
    }

    fn expected(self, is_closed: bool) -> Expected {
        let ends = self.by_right.or(self.otherwise);
        let (open, close) = ends.map(|ends| (ends.first.point, ends.last.point)).unzip();
        Expected {
            open,
            high: self.high.map(|print| print.point),
            low: self.low.map(|print| print.point),
            close,
            volume: self.volume,
            turnover: self.turnover,
            count: self.count,
            is_closed,
        }
    }
}

impl Print {
    fn of(trade: &Trade, arrival: usize) -> Self {
        let Trade { price, trade_time_ms, connection, seq, .. } = *trade;
        Self { arrival, point: PricePoint { price, trade_time_ms, connection, seq } }
    }

    /// Event time, then arrival.
    fn order(&self) -> (i64, usize) {
        (self.point.trade_time_ms, self.arrival)
    }

    fn earlier(self, other: Self) -> Self {
        if other.order() < self.order() { other } else { self }
    }

    fn later(self, other: Self) -> Self {
        if other.order() > self.order() { other } else { self }
    }

    fn higher(self, other: Self) -> Self {
        match other.point.price.total_cmp(&self.point.price) {
            std::cmp::Ordering::Greater => other,
            std::cmp::Ordering::Equal => self.earlier(other),
            std::cmp::Ordering::Less => self,
        }
    }

    fn lower(self, other: Self) -> Self {
        match other.point.price.total_cmp(&self.point.price) {
            std::cmp::Ordering::Less => other,
            std::cmp::Ordering::Equal => self.earlier(other),
            std::cmp::Ordering::Greater => self,
        }
    }
}

impl Expected {
    fn is(&self, bar: &Bar) -> bool {
        let vwap = (self.volume != 0.0).then(|| self.turnover / self.volume);
        let is_near = |(a, b): (f64, f64)| (a - b).abs() <= a.abs() * VWAP_TOLERANCE;
        (self.open, self.high, self.low, self.close) == (bar.open, bar.high, bar.low, bar.close)
            && self.volume == bar.volume.to_f64()
            && self.count == bar.trade_count
            && vwap.is_some() == bar.vwap.is_some()
            && vwap.zip(bar.vwap).is_none_or(is_near)
    }
}
