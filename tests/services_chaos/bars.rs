//! A bar as the documented rules make it from its trades, and the same as found in a topic or a
//! table: the two are compared field by field. Of crypto symbols only, where every trade counts.

use ticksmith::model::{Bar, PricePoint, Trade};

use crate::story::Known;

/// Numbers of the simulated market have at most so many decimal places.
const PLACES: usize = 8;

/// A trade that set a price.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub price: f64,
    pub time: i64,
    pub connection: i64,
    pub seq: i64,
}

/// What a bar says.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    pub open: Point,
    pub high: Point,
    pub low: Point,
    pub close: Point,
    /// In units of 10^-8.
    pub volume: i128,
    pub vwap: f64,
    pub trade_count: i64,
    pub state: &'static str,
    pub revision: i64,
    pub coverage: Option<f64>,
    pub gap_ms: i64,
    pub verdict: &'static str,
}

impl Content {
    /// Equal, but for the last place of a quotient.
    pub fn is_same(&self, found: &Content) -> bool {
        let close = (self.vwap - found.vwap).abs() <= self.vwap.abs() * 3e-16;
        close && *self == Content { vwap: self.vwap, ..found.clone() }
    }

    /// A decoded record of the bars topic; `None`: it is none that crypto trades can make.
    pub fn of(bar: &Bar) -> Option<Self> {
        let point = |point: Option<PricePoint>| {
            point.map(|point| Point {
                price: point.price,
                time: point.trade_time_ms,
                connection: point.connection,
                seq: point.seq,
            })
        };
        let excluded = bar.excluded.iter().map(|one| one.count).sum::<i64>() + bar.late_included;
        if excluded != 0 || bar.generation != 0 || bar.session.is_some() {
            return None;
        }
        Some(Self {
            open: point(bar.open)?,
            high: point(bar.high)?,
            low: point(bar.low)?,
            close: point(bar.close)?,
            volume: units(&bar.volume.to_string())?,
            vwap: bar.vwap?,
            trade_count: bar.trade_count,
            state: bar.state.as_str(),
            revision: bar.revision,
            coverage: bar.coverage,
            gap_ms: bar.gap_ms,
            verdict: bar.verdict.as_str(),
        })
    }
}

/// A decimal text in units of 10^-8; `None`: it has more places, or is no decimal.
pub fn units(text: &str) -> Option<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let rest = fraction.get(PLACES..).unwrap_or("");
    if rest.bytes().any(|digit| digit != b'0') {
        return None;
    }
    let fraction = &fraction[..fraction.len().min(PLACES)];
    format!("{whole}{fraction:0<PLACES$}").parse().ok()
}

/// The decimal that a double prints as, in units of 10^-8.
pub fn exact(number: f64) -> i128 {
    units(&number.to_string()).expect("the simulated market has eight places")
}

/// A trade with its place: earlier trades first, of one millisecond those that came first.
type Placed = (i64, i64, Point);

/// The trades of one window, added up.
#[derive(Debug, Clone)]
pub struct Sum {
    open: Placed,
    high: Placed,
    low: Placed,
    close: Placed,
    volume: i128,
    /// In units of 10^-16.
    turnover: i128,
    count: i64,
}

impl Sum {
    pub fn new(offset: i64, trade: &Trade) -> Self {
        let Trade { price, trade_time_ms: time, connection, seq, .. } = *trade;
        let placed = (time, offset, Point { price, time, connection, seq });
        let volume = exact(trade.volume);
        let turnover = exact(price) * volume;
        Self { open: placed, high: placed, low: placed, close: placed, volume, turnover, count: 1 }
    }

    pub fn add(&mut self, offset: i64, trade: &Trade) {
        let one = Self::new(offset, trade);
        let place = |placed: &Placed| (placed.0, placed.1);
        let new = one.open;
        let is_before = |than: &Placed| place(&new) < place(than);
        if is_before(&self.open) {
            self.open = new;
        }
        if !is_before(&self.close) {
            self.close = new;
        }
        // Of equal prices the earliest trade.
        let (high, low) = (self.high.2.price, self.low.2.price);
        if new.2.price > high || (new.2.price == high && is_before(&self.high)) {
            self.high = new;
        }
        if new.2.price < low || (new.2.price == low && is_before(&self.low)) {
            self.low = new;
        }
        self.volume += one.volume;
        self.turnover += one.turnover;
        self.count += 1;
    }

    pub fn content(&self, length: i64, known: &Known, state: &'static str, others: i64) -> Content {
        Content {
            open: self.open.2,
            high: self.high.2,
            low: self.low.2,
            close: self.close.2,
            volume: self.volume,
            vwap: quotient(self.turnover, self.volume),
            trade_count: self.count,
            state,
            revision: self.count + others,
            coverage: known.up.map(|up| up as f64 / length as f64),
            gap_ms: known.gap,
            verdict: known.verdict(),
        }
    }
}

/// Of 10^-16 by 10^-8, by long division to 20 places.
fn quotient(turnover: i128, volume: i128) -> f64 {
    let mut rest = turnover % volume;
    let mut digits = (turnover / volume).to_string();
    for _ in 0..20 {
        rest *= 10;
        digits.push_str(&(rest / volume).to_string());
        rest %= volume;
    }
    format!("{digits}e-28").parse().expect("digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_and_quotients_are_exact() {
        assert_eq!(exact(97_500.01), 9_750_001_000_000);
        assert_eq!(exact(1e-8), 1);
        assert_eq!(units("0.000000001"), None);
        assert_eq!(quotient(exact(0.1) * exact(3.0) + exact(0.2) * exact(3.0), exact(6.0)), 0.15);
    }
}
