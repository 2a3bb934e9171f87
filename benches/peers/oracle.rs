//! The bars as a reader of the rules would compute them, record by record, in plain floating point
//! and without the engine: what every job's bars are compared with before its speed is told.

use std::collections::{BTreeMap, HashMap};

use ticksmith::model::{Bar, PricePoint, Trade};

const OUT_OF_ORDERNESS_MS: i64 = 2_000;
const ALLOWED_LATENESS_MS: i64 = 600_000;
const INTERVALS_MS: [i64; 2] = [300_000, 3_600_000];
/// Sums of doubles differ in their last digits from exact ones.
const VWAP_TOLERANCE: f64 = 1e-9;

/// Symbol, length and start of a window, ms.
pub type Key = (String, i64, i64);

/// What one window comes to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expected {
    pub open: Option<PricePoint>,
    pub high: Option<PricePoint>,
    pub low: Option<PricePoint>,
    pub close: Option<PricePoint>,
    pub volume: f64,
    pub turnover: f64,
    pub count: i64,
    /// The watermark has passed its end, so that it must have been told.
    pub is_closed: bool,
}

/// Every window of a topic.
#[derive(Debug, Default)]
pub struct Oracle {
    pub windows: BTreeMap<Key, Expected>,
    pub merged: usize,
    pub late: usize,
    pub duplicates: usize,
}

/// The prices of a window, in order of event time and arrival.
#[derive(Default)]
struct Prints {
    /// Of full right, and those that set open and close only without such.
    last: Vec<Print>,
    only: Vec<Print>,
    volume: f64,
    turnover: f64,
    count: i64,
}

#[derive(Clone, Copy)]
struct Print {
    arrival: usize,
    point: PricePoint,
}

#[derive(Default)]
struct Partition {
    newest_ms: Option<i64>,
    marks: HashMap<i64, i64>,
}

impl Oracle {
    /// The oracle of a topic, partition by partition, each in order of arrival.
    pub fn of(partitions: &[Vec<Trade>]) -> Self {
        let mut oracle = Self::default();
        for trades in partitions {
            oracle.take_partition(trades);
        }
        oracle
    }

    fn take_partition(&mut self, trades: &[Trade]) {
        let (mut partition, mut windows) = (Partition::default(), BTreeMap::new());
        for (arrival, trade) in trades.iter().enumerate() {
            let mark = partition.marks.entry(trade.connection).or_insert(0);
            if trade.seq <= *mark {
                self.duplicates += 1;
                continue;
            }
            *mark = trade.seq;
            let newest_ms = partition
                .newest_ms
                .map_or(trade.trade_time_ms, |newest_ms| newest_ms.max(trade.trade_time_ms));
            partition.newest_ms = Some(newest_ms);
            if trade.trade_time_ms < newest_ms - OUT_OF_ORDERNESS_MS - ALLOWED_LATENESS_MS {
                self.late += 1;
                continue;
            }
            self.merged += 1;
            for length_ms in INTERVALS_MS {
                let start_ms = trade.trade_time_ms.div_euclid(length_ms) * length_ms;
                let key = (trade.symbol.clone(), length_ms, start_ms);
                windows.entry(key).or_insert_with(Prints::default).take(arrival, trade);
            }
        }
        let watermark_ms = partition.newest_ms.unwrap_or(i64::MIN) - OUT_OF_ORDERNESS_MS;
        self.windows.extend(windows.into_iter().map(|(key, prints)| {
            let is_closed = key.1 + key.2 <= watermark_ms;
            (key, Expected { is_closed, ..prints.expected() })
        }));
    }

    /// Compares the last record of every key.
    ///
    /// # Errors
    /// A sentence with the number of differences and the first of them.
    pub fn compare(&self, bars: &BTreeMap<Key, Bar>) -> Result<(), String> {
        let missing = self
            .windows
            .iter()
            .filter(|(key, expected)| expected.is_closed && !bars.contains_key(*key))
            .map(|(key, _)| format!("{key:?} is missing"));
        let different = bars.iter().filter_map(|(key, bar)| match self.windows.get(key) {
            None => Some(format!("{key:?} is extra: {bar:?}")),
            Some(expected) if expected.is(bar) => None,
            Some(expected) => Some(format!("{key:?}: expected {expected:?}, found {bar:?}")),
        });
        let problems: Vec<String> = missing.chain(different).collect();
        match problems.first() {
            None => Ok(()),
            Some(first) => Err(format!("{} bars differ; {first}", problems.len())),
        }
    }
}

impl Prints {
    /// The codes of the workload only; another one would need its own line of the tape's rules.
    fn take(&mut self, arrival: usize, trade: &Trade) {
        let point = PricePoint {
            price: trade.price,
            trade_time_ms: trade.trade_time_ms,
            connection: trade.connection,
            seq: trade.seq,
        };
        let codes = trade.conditions.iter().flatten().map(String::as_str);
        let (mut is_odd_lot, mut is_out_of_sequence) = (false, false);
        for code in codes {
            match code {
                "1" | "8" => {}
                "12" => is_odd_lot = true,
                "30" => is_out_of_sequence = true,
                other => panic!("the workload has code {other}, which this oracle does not know"),
            }
        }
        match (is_odd_lot, is_out_of_sequence) {
            (true, _) => {}
            (false, true) => self.only.push(Print { arrival, point }),
            (false, false) => self.last.push(Print { arrival, point }),
        }
        self.volume += trade.volume;
        self.turnover += trade.price * trade.volume;
        self.count += 1;
    }

    fn expected(mut self) -> Expected {
        let in_order = |one: &Print| (one.point.trade_time_ms, one.arrival);
        self.last.sort_by_key(in_order);
        self.only.sort_by_key(in_order);
        let ends = if self.last.is_empty() { &self.only } else { &self.last };
        let (open, close) = (ends.first().copied(), ends.last().copied());
        let mut all = [self.last.as_slice(), &self.only].concat();
        all.sort_by_key(in_order);
        // The first of equal ones: `max_by` takes the last, so it goes from the back.
        let high = all.iter().rev().max_by(|a, b| a.point.price.total_cmp(&b.point.price));
        let low = all.iter().min_by(|a, b| a.point.price.total_cmp(&b.point.price));
        Expected {
            open: open.map(|print| print.point),
            high: high.map(|print| print.point),
            low: low.map(|print| print.point),
            close: close.map(|print| print.point),
            volume: self.volume,
            turnover: self.turnover,
            count: self.count,
            is_closed: false,
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
