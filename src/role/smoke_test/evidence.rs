//! What a bar must be, reckoned from the trades in silver without the engine: whoever looks for
//! trades in bars must not ask the code that put them there.

use crate::model::{Amount, Bar, Disposition, Judged, PricePoint};

/// Two doubles of one quotient, reckoned in another order.
const VWAP_TOLERANCE: f64 = 1e-9;

/// The bar of some trades, of which each counts for everything.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    open: f64,
    high: f64,
    low: f64,
    close: f64,
    volume: Amount,
    vwap: f64,
    count: i64,
}

impl Expected {
    /// Of those that were merged; `None` when none was.
    pub fn of(silver: &[Judged]) -> Option<Self> {
        let merged = silver.iter().filter(|one| one.disposition == Disposition::Merged);
        let mut merged: Vec<&Judged> = merged.collect();
        merged.sort_by_key(|one| (one.trade.trade_time_ms, one.origin.offset));
        let prices = || merged.iter().map(|one| one.trade.price);
        let volumes = || merged.iter().map(|one| one.trade.volume);
        let mut exact = volumes().map(Amount::from_f64);
        let volume = exact.try_fold(Amount::ZERO, |sum, one| sum.checked_add(one?))?;
        let turnover: f64 = prices().zip(volumes()).map(|(price, volume)| price * volume).sum();
        Some(Self {
            open: prices().next()?,
            close: prices().next_back()?,
            high: prices().fold(f64::MIN, f64::max),
            low: prices().fold(f64::MAX, f64::min),
            volume,
            vwap: turnover / volume.to_f64(),
            count: merged.len() as i64,
        })
    }

    /// The first thing in which a bar is another one, in words.
    pub fn difference(&self, bar: &Bar) -> Option<String> {
        let told = |what: &str, wanted: &dyn ToString, found: Option<&dyn ToString>| {
            let found = found.map_or_else(|| "nothing".to_owned(), ToString::to_string);
            format!("{what} is {found}, and its trades in silver make {}", wanted.to_string())
        };
        if bar.trade_count != self.count {
            return Some(told("trade_count", &self.count, Some(&bar.trade_count)));
        }
        if bar.volume != self.volume {
            return Some(told("volume", &self.volume, Some(&bar.volume)));
        }
        let prices = [
            ("open", self.open, bar.open),
            ("high", self.high, bar.high),
            ("low", self.low, bar.low),
            ("close", self.close, bar.close),
        ];
        for (what, wanted, found) in prices {
            let found = found.map(|PricePoint { price, .. }| price);
            if found != Some(wanted) {
                let found = found.as_ref().map(|price| price as &dyn ToString);
                return Some(told(what, &wanted, found));
            }
        }
        let vwap = bar.vwap.unwrap_or(f64::NAN);
        let is_near = (vwap - self.vwap).abs() <= self.vwap * VWAP_TOLERANCE;
        (!is_near).then(|| told("vwap", &self.vwap, Some(&vwap)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BarState, Interval, Origin, Verdict};
    use crate::role::smoke_test::sample::{SYMBOL, Sample};

    fn five() -> Interval {
        Interval::parse("5m").expect("valid")
    }

    fn silver() -> Vec<Judged> {
        let sample = Sample::made_at(1_710_163_800_000_000, 7, five());
        let judged = |(trade, offset)| Judged {
            trade,
            origin: Origin { partition: 0, offset },
            disposition: Disposition::Merged,
            session: None,
            updates_last: true,
            updates_high_low: true,
            updates_volume: true,
            lateness: None,
            behind_ms: 0,
        };
        sample.trades.into_iter().zip(40..).map(judged).collect()
    }

    fn bar() -> Bar {
        let point = |price| PricePoint { price, trade_time_ms: 0, connection: 7, seq: 2 };
        Bar {
            symbol: SYMBOL.into(),
            interval: five(),
            window: five().window_of(1_710_163_800_000),
            open: Some(point(100.25)),
            high: Some(point(103.5)),
            low: Some(point(98.75)),
            close: Some(point(102.0)),
            volume: Amount::from_f64(5.75).expect("in range"),
            vwap: Some(579.5 / 5.75),
            trade_count: 5,
            excluded: Default::default(),
            session: None,
            coverage: None,
            gap_ms: 0,
            verdict: Verdict::Unknown,
            state: BarState::Provisional,
            revision: 5,
            generation: 0,
            conditions_version: 1,
            late_included: 0,
        }
    }

    #[test]
    fn the_bar_of_the_trades_is_told_from_every_other_one() {
        let expected = Expected::of(&silver()).expect("trades");
        assert_eq!(expected.difference(&bar()), None);
        let other = |change: &dyn Fn(&mut Bar)| {
            let mut bar = bar();
            change(&mut bar);
            expected.difference(&bar).expect("a difference")
        };
        assert!(other(&|bar| bar.trade_count = 4).starts_with("trade_count is 4, "));
        assert!(other(&|bar| bar.volume = Amount::ZERO).starts_with("volume is 0, "));
        assert!(other(&|bar| bar.open = None).starts_with("open is nothing, "));
        assert!(other(&|bar| bar.high = bar.low).starts_with("high is 98.75, "));
        assert!(other(&|bar| bar.low = bar.high).ends_with("make 98.75"));
        assert!(other(&|bar| bar.close = bar.open).ends_with("make 102"));
        assert!(other(&|bar| bar.vwap = Some(100.0)).starts_with("vwap is 100, "));
    }

    #[test]
    fn what_was_not_merged_makes_no_bar() {
        let late = |mut one: Judged| {
            one.disposition = Disposition::Late;
            one
        };
        assert_eq!(Expected::of(&silver().into_iter().map(late).collect::<Vec<_>>()), None);
        assert_eq!(Expected::of(&[]), None);
    }
}
