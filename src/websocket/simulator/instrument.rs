//! What is traded: how a symbol's price walks, and which sizes and conditions its trades have.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::new_york::{Moment, Phase};
use super::print::{Codes, Decimal};

/// The share of a stock's trades below 100 shares.
const ODD_LOT_SHARE: f64 = 0.45;
/// Prices walk by so much per square root of a second: lively, but no crash in a night.
const STOCK_STEP: f64 = 1.5e-4;
const CRYPTO_STEP: f64 = 1.5e-4;
const FX_STEP: f64 = 3e-5;
/// A weak pull back to the first price keeps a walk of weeks in sight of it.
const PULL_PER_S: f64 = 2e-6;

/// Symbols that people try first, at prices that look right.
const KNOWN_PRICES: &[(&str, f64)] = &[
    ("AAPL", 231.0),
    ("MSFT", 428.0),
    ("NVDA", 138.0),
    ("AMZN", 207.0),
    ("GOOGL", 176.0),
    ("META", 574.0),
    ("TSLA", 329.0),
    ("SPY", 592.0),
    ("QQQ", 509.0),
    ("AMD", 139.0),
    ("INTC", 24.4),
    ("NFLX", 905.0),
    ("IBM", 223.0),
    ("ORCL", 188.0),
    ("CRM", 341.0),
    ("ADBE", 503.0),
    ("CSCO", 57.8),
    ("AVGO", 165.0),
    ("QCOM", 157.0),
    ("JPM", 243.0),
    ("BAC", 46.3),
    ("GS", 588.0),
    ("V", 308.0),
    ("MA", 519.0),
    ("BRK.B", 471.0),
    ("JNJ", 154.0),
    ("PFE", 25.0),
    ("UNH", 594.0),
    ("XOM", 120.0),
    ("CVX", 160.0),
    ("KO", 63.0),
    ("PEP", 159.0),
    ("WMT", 88.0),
    ("COST", 935.0),
    ("HD", 410.0),
    ("DIS", 114.0),
    ("NKE", 75.0),
    ("MCD", 291.0),
    ("BA", 146.0),
    ("GE", 178.0),
    ("F", 11.0),
    ("GM", 55.6),
    ("T", 22.8),
    ("VZ", 42.0),
    ("UBER", 70.0),
    ("PLTR", 62.0),
    ("COIN", 304.0),
    ("GME", 28.0),
    ("IWM", 234.0),
    ("DIA", 437.0),
    ("BINANCE:BTCUSDT", 97_500.0),
    ("BINANCE:ETHUSDT", 3_360.0),
    ("BINANCE:SOLUSDT", 255.0),
    ("BINANCE:BNBUSDT", 630.0),
    ("BINANCE:XRPUSDT", 1.41),
    ("BINANCE:DOGEUSDT", 0.39),
    ("BINANCE:ADAUSDT", 0.87),
    ("OANDA:EUR_USD", 1.0475),
    ("OANDA:GBP_USD", 1.2585),
    ("OANDA:USD_JPY", 154.6),
    ("IC MARKETS:1", 1.0475),
];

/// The symbols of a market that nobody chose symbols for.
pub fn well_known_symbols() -> Vec<String> {
    KNOWN_PRICES.iter().map(|(symbol, _)| (*symbol).to_owned()).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Stock,
    Crypto,
    /// Price updates only: no volume.
    Fx,
}

impl Class {
    /// By the shape of the symbol, as the feed's users know it.
    pub fn of(symbol: &str) -> Self {
        match symbol.split_once(':') {
            None => Self::Stock,
            Some(("OANDA" | "FXCM" | "FOREX.COM" | "FHFX" | "IC MARKETS" | "FXPIG" | "ICM", _)) => {
                Self::Fx
            }
            Some(_) => Self::Crypto,
        }
    }
}

/// One symbol and where its price is.
#[derive(Debug, Clone)]
pub struct Instrument {
    pub symbol: String,
    pub class: Class,
    base: f64,
    level: f64,
    moved_at_ms: i64,
    /// Decimal places of an ordinary price.
    places: u32,
    pub(super) last_phase: Option<Phase>,
}

impl Instrument {
    pub fn new(symbol: &str, start_ms: i64) -> Self {
        let class = Class::of(symbol);
        let known = KNOWN_PRICES.iter().find(|(known, _)| *known == symbol);
        let base = known.map_or_else(|| invented_price(symbol), |(_, price)| *price);
        let places = match (class, base) {
            (Class::Stock, _) => 2,
            (Class::Fx, base) if base > 20.0 => 3,
            (Class::Fx, _) => 5,
            (Class::Crypto, base) if base >= 100.0 => 2,
            (Class::Crypto, base) if base >= 1.0 => 4,
            (Class::Crypto, _) => 8,
        };
        Self {
            symbol: symbol.to_owned(),
            class,
            base,
            level: base,
            moved_at_ms: start_ms,
            places,
            last_phase: None,
        }
    }

    /// Begins at `price` instead, if there is one that can be.
    pub fn at(mut self, price: Option<f64>) -> Self {
        self.level = price.filter(|price| price.is_finite() && *price > 0.0).unwrap_or(self.level);
        self
    }

    /// Where the price is.
    pub fn level(&self) -> f64 {
        self.level
    }

    /// Lets the price walk up to `time_ms`.
    pub fn walk(&mut self, time_ms: i64, random: &mut ChaCha8Rng) {
        let since_s = ((time_ms - self.moved_at_ms).max(1) as f64 / 1_000.0).min(600.0);
        self.moved_at_ms = time_ms;
        let step = match self.class {
            Class::Stock => STOCK_STEP,
            Class::Crypto => CRYPTO_STEP,
            Class::Fx => FX_STEP,
        };
        let pull = (self.base / self.level).ln() * PULL_PER_S * since_s;
        self.level *= (step * since_s.sqrt() * normal(random) + pull).exp();
    }

    /// The price `ticks` above the walk, at least one tick.
    pub fn price(&self, ticks: i64) -> Decimal {
        let one = 10f64.powi(self.places as i32);
        let units = (self.level * one).round() as i64 + ticks;
        Decimal { units: units.max(1), places: self.places }
    }

    /// An off-exchange price between two ticks: four places.
    pub fn price_between_ticks(&self, random: &mut ChaCha8Rng) -> Decimal {
        let at_tick = self.price(0);
        let units = at_tick.units * 100 + random.random_range(-99..=99);
        Decimal { units: units.max(1), places: 4 }
    }

    /// Size of a trade that is no stock's: base-asset quantity with 8 places, or none at all.
    pub fn quantity(&self, random: &mut ChaCha8Rng) -> Decimal {
        const MEAN_NOTIONAL: f64 = 400.0;
        match self.class {
            Class::Fx => Decimal { units: 0, places: 0 },
            _ => {
                let units = exponential(random) * MEAN_NOTIONAL / self.level * 1e8;
                Decimal { units: (units as i64).max(1), places: 8 }
            }
        }
    }
}

/// A stock trade's size and conditions.
pub fn stock_size_and_codes(
    moment: Moment,
    without_one: bool,
    random: &mut ChaCha8Rng,
) -> (Decimal, Codes) {
    let is_odd = random.random_bool(ODD_LOT_SHARE);
    let shares = if is_odd { odd_lot(random) } else { round_lot(moment.activity, random) };
    let settlement = if without_one { 0 } else { 1 };
    let extended = if moment.phase == Phase::Regular { 0 } else { 24 };
    let sweep = if random.random_bool(0.35) { 8 } else { 0 };
    let odd = if is_odd { 12 } else { 0 };
    let plain = [settlement, sweep, extended, odd];
    let codes = if is_odd { plain } else { rare_codes(plain, random) };
    (Decimal { units: shares, places: 0 }, Codes::of(codes))
}

/// About one round lot in a hundred is something special.
fn rare_codes(plain: [u8; 4], random: &mut ChaCha8Rng) -> [u8; 4] {
    let [settlement, sweep, extended, _] = plain;
    match random.random_range(0..1_000) {
        0..=2 => [settlement, 0, extended, 3],
        3..=4 => [settlement, 0, extended, 10],
        5..=6 => [settlement, 37, extended, 0],
        7..=8 => [settlement, 32, extended, 0],
        9..=10 if extended == 0 => [settlement, sweep, 30, 0],
        _ => plain,
    }
}

fn odd_lot(random: &mut ChaCha8Rng) -> i64 {
    1 + (98.99 * random.random::<f64>().powf(2.2)) as i64
}

/// Busy times trade in larger sizes.
fn round_lot(activity: f64, random: &mut ChaCha8Rng) -> i64 {
    let lots = 1 + (exponential(random) * activity) as i64;
    let rest = if random.random_bool(0.1) { random.random_range(1..100) } else { 0 };
    lots * 100 + rest
}

/// The same symbol always starts at the same price, between 10 and 500.
fn invented_price(symbol: &str) -> f64 {
    let hash = symbol
        .bytes()
        .fold(5_381u32, |hash, byte| hash.wrapping_mul(33).wrapping_add(u32::from(byte)));
    10.0 + f64::from(hash % 49_000) / 100.0
}

/// Standard normal (Box and Muller).
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let radius = (2.0 * exponential(random)).sqrt();
    radius * (std::f64::consts::TAU * random.random::<f64>()).cos()
}

/// Exponential with mean 1.
pub(super) fn exponential(random: &mut ChaCha8Rng) -> f64 {
    -(1.0 - random.random::<f64>()).ln()
}
