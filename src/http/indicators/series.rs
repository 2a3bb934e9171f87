//! The indicators themselves, fed with one bar after the other.
//!
//! Averages are yata's; what is put together from them here follows the textbook and TA-Lib: a
//! smoothed average begins as the plain mean of its first values, RSI is Wilder's, and Bollinger's
//! bands take the deviation of the population. A bar without a close has no value and moves
//! nothing; VWAP alone also takes its volume.
//!
//! Others that were looked at: `ta` smooths RSI exponentially, `kand` has no bands over prices that
//! stand still, and `rust_ti`'s exponential mean forgets what lies beyond its window.

use std::collections::VecDeque;

use yata::core::Method;
use yata::methods::{EMA, RMA, SMA};

use crate::model::{Bar, Session};

const DAY_MS: i64 = 86_400_000;
const BAND_LENGTH: usize = 20;
const BAND_DEVIATIONS: f64 = 2.0;

/// An indicator that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    Sma20,
    Sma50,
    Ema20,
    Rsi14,
    Macd,
    Bollinger,
    Vwap,
}

impl Name {
    pub const ALL: [Name; 7] = [
        Self::Sma20,
        Self::Sma50,
        Self::Ema20,
        Self::Rsi14,
        Self::Macd,
        Self::Bollinger,
        Self::Vwap,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sma20 => "sma20",
            Self::Sma50 => "sma50",
            Self::Ema20 => "ema20",
            Self::Rsi14 => "rsi14",
            Self::Macd => "macd",
            Self::Bollinger => "bollinger",
            Self::Vwap => "vwap",
        }
    }

    /// The inverse of `as_str`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == text)
    }

    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Macd => &["macd", "macd_signal", "macd_histogram"],
            Self::Bollinger => &["bollinger_upper", "bollinger_middle", "bollinger_lower"],
            Self::Sma20 => &["sma20"],
            Self::Sma50 => &["sma50"],
            Self::Ema20 => &["ema20"],
            Self::Rsi14 => &["rsi14"],
            Self::Vwap => &["vwap"],
        }
    }

    fn indicator(self, is_beginning: bool) -> Box<dyn Indicator> {
        match self {
            Self::Sma20 => Box::new(Windowed::<SMA>::new(20)),
            Self::Sma50 => Box::new(Windowed::<SMA>::new(50)),
            Self::Ema20 => Box::new(Smoothed::<EMA>::new(20)),
            Self::Rsi14 => Box::new(Rsi::new(14)),
            Self::Macd => Box::new(Macd::new(12, 26, 9)),
            Self::Bollinger => Box::new(Bollinger::new()),
            Self::Vwap => Box::new(Vwap::new(is_beginning)),
        }
    }
}

/// Several indicators over the same bars.
pub struct Series(Vec<(Name, Box<dyn Indicator>)>);

impl Series {
    /// `is_beginning`: the first bar is the first of all.
    pub fn new(names: &[Name], is_beginning: bool) -> Self {
        Self(names.iter().map(|name| (*name, name.indicator(is_beginning))).collect())
    }

    /// The columns and their values at the next settled bar, in order of time.
    pub fn next(&mut self, bar: &Bar) -> Vec<(&'static str, Option<f64>)> {
        let values = self
            .0
            .iter_mut()
            .flat_map(|(name, indicator)| name.columns().iter().copied().zip(indicator.next(bar)));
        values.collect()
    }
}

/// Up to three lines; what an indicator does not have stays `None`.
type Lines = [Option<f64>; 3];

trait Indicator: Send {
    fn next(&mut self, bar: &Bar) -> Lines;
}

/// One line over the close; a bar without one is passed over.
trait OverClose: Send {
    fn next_close(&mut self, close: f64) -> Lines;
}

impl<T: OverClose> Indicator for T {
    fn next(&mut self, bar: &Bar) -> Lines {
        bar.close.map_or([None; 3], |close| self.next_close(close.price))
    }
}

/// What is computed over the last `length` values: nothing until there are so many.
struct Windowed<M> {
    length: u8,
    seen: u8,
    method: Option<M>,
}

impl<M: Method<Params = u8, Input = f64, Output = f64>> Windowed<M> {
    fn new(length: u8) -> Self {
        Self { length, seen: 0, method: None }
    }

    fn next(&mut self, value: f64) -> Option<f64> {
        let begin = || M::new(self.length, &value).expect("lengths here are above 1");
        // It begins full of the first value, which `length` values have pushed out again.
        let current = self.method.get_or_insert_with(begin).next(&value);
        self.seen = self.seen.saturating_add(1).min(self.length);
        (self.seen == self.length).then_some(current)
    }
}

impl OverClose for Windowed<SMA> {
    fn next_close(&mut self, close: f64) -> Lines {
        [self.next(close), None, None]
    }
}

/// An average without an end to its memory, which begins as the mean of its first `length` values.
struct Smoothed<M> {
    length: u8,
    first: Vec<f64>,
    method: Option<M>,
}

impl<M: Method<Params = u8, Input = f64, Output = f64>> Smoothed<M> {
    fn new(length: u8) -> Self {
        Self { length, first: Vec::with_capacity(length.into()), method: None }
    }

    fn next(&mut self, value: f64) -> Option<f64> {
        if let Some(method) = &mut self.method {
            return Some(method.next(&value));
        }
        self.first.push(value);
        if self.first.len() < usize::from(self.length) {
            return None;
        }
        let mean = self.first.iter().sum::<f64>() / f64::from(self.length);
        self.method = Some(M::new(self.length, &mean).expect("lengths here are above 1"));
        Some(mean)
    }
}

impl OverClose for Smoothed<EMA> {
    fn next_close(&mut self, close: f64) -> Lines {
        [self.next(close), None, None]
    }
}

/// Wilder's relative strength index, 0 to 100; 50 where nothing moved.
struct Rsi {
    previous: Option<f64>,
    gain: Smoothed<RMA>,
    loss: Smoothed<RMA>,
}

impl Rsi {
    fn new(length: u8) -> Self {
        Self { previous: None, gain: Smoothed::new(length), loss: Smoothed::new(length) }
    }

    fn strength(&mut self, close: f64) -> Option<f64> {
        let change = close - self.previous.replace(close)?;
        let gain = self.gain.next(change.max(0.0));
        let loss = self.loss.next((-change).max(0.0));
        let (gain, loss) = (gain?, loss?);
        Some(if gain + loss > 0.0 { 100.0 * gain / (gain + loss) } else { 50.0 })
    }
}

impl OverClose for Rsi {
    fn next_close(&mut self, close: f64) -> Lines {
        [self.strength(close), None, None]
    }
}

/// Fast less slow average, the average of that, and what is between the two.
struct Macd {
    fast: Smoothed<EMA>,
    slow: Smoothed<EMA>,
    signal: Smoothed<EMA>,
}

impl Macd {
    fn new(fast: u8, slow: u8, signal: u8) -> Self {
        let [fast, slow, signal] = [fast, slow, signal].map(Smoothed::new);
        Self { fast, slow, signal }
    }
}

impl OverClose for Macd {
    fn next_close(&mut self, close: f64) -> Lines {
        let (fast, slow) = (self.fast.next(close), self.slow.next(close));
        let Some(macd) = fast.zip(slow).map(|(fast, slow)| fast - slow) else { return [None; 3] };
        let signal = self.signal.next(macd);
        [Some(macd), signal, signal.map(|signal| macd - signal)]
    }
}

/// The mean, and two deviations above and below it.
struct Bollinger {
    /// The newest closes, at most `BAND_LENGTH`.
    closes: VecDeque<f64>,
}

impl Bollinger {
    fn new() -> Self {
        Self { closes: VecDeque::with_capacity(BAND_LENGTH + 1) }
    }
}

impl OverClose for Bollinger {
    fn next_close(&mut self, close: f64) -> Lines {
        self.closes.push_back(close);
        if self.closes.len() > BAND_LENGTH {
            self.closes.pop_front();
        }
        if self.closes.len() < BAND_LENGTH {
            return [None; 3];
        }
        // In two passes: a running sum of squares, as yata has it, leaves prices that stand still
        // with bands of nothing but rounding.
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / BAND_LENGTH as f64;
        let middle = mean(&mut self.closes.iter().copied());
        let variance = mean(&mut self.closes.iter().map(|close| (close - middle).powi(2)));
        let reach = BAND_DEVIATIONS * variance.sqrt();
        [Some(middle + reach), Some(middle), Some(middle - reach)]
    }
}

/// Turnover by volume since the trading day began: at midnight UTC; for a stock with the day's
/// first bar that is neither after hours nor closed. New York's hours from 04:00 to 16:00 lie in
/// one day of UTC, in summer and in winter.
struct Vwap {
    is_beginning: bool,
    day: Option<i64>,
    /// The day's first bar was seen; before it nothing can be said.
    is_anchored: bool,
    turnover: f64,
    volume: f64,
}

impl Vwap {
    fn new(is_beginning: bool) -> Self {
        Self { is_beginning, day: None, is_anchored: false, turnover: 0.0, volume: 0.0 }
    }

    /// Whether this bar is the first of its day.
    fn begins(&mut self, bar: &Bar) -> bool {
        let date = bar.window.start_ms.div_euclid(DAY_MS);
        let is_after_the_day = matches!(bar.session, Some(Session::Post | Session::Closed));
        let Some(day) = self.day else {
            // What is after hours or closed belongs to an earlier day.
            self.day = Some(if is_after_the_day { date - 1 } else { date });
            return self.is_beginning;
        };
        let is_new = date > day && !is_after_the_day;
        if is_new {
            self.day = Some(date);
        }
        is_new
    }
}

impl Indicator for Vwap {
    fn next(&mut self, bar: &Bar) -> Lines {
        if self.begins(bar) {
            (self.is_anchored, self.turnover, self.volume) = (true, 0.0, 0.0);
        }
        if let Some(vwap) = bar.vwap {
            let volume = bar.volume.to_f64();
            self.turnover += vwap * volume;
            self.volume += volume;
        }
        let is_known = self.is_anchored && self.volume > 0.0;
        [is_known.then(|| self.turnover / self.volume), None, None]
    }
}

#[cfg(test)]
mod tests;
