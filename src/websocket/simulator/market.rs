//! A market that can be believed: trades in clusters of one millisecond, a day with two busy ends,
//! odd lots, sale conditions, disorder and lateness. Pure and seeded: the same calls give the same
//! trades.
//!
//! The sum over all active symbols is `rate` trades a second at every hour. The day's shape shows
//! in how that sum is shared (stocks are busy when New York is, crypto always trades) and in the
//! sizes of stock trades, so a demo is never dead: outside New York's hours stocks trade a little,
//! as extended-hours trades, on weekends and holidays too, which no real tape would have.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::instrument::{Class, Instrument, exponential, stock_size_and_codes};
use super::new_york::{Moment, NewYorkClock, Phase};
use super::print::{Codes, Decimal, Print};

/// Mean of `cluster_size`.
const MEAN_CLUSTER: f64 = 0.82 + 0.10 * 2.0 + 0.08 * 4.5;
/// Of all trades, what stocks have at activity 1 when there are other symbols too.
const STOCK_WEIGHT: f64 = 0.7;

/// How the market is to behave.
#[derive(Debug, Clone, PartialEq)]
pub struct MarketOptions {
    pub symbols: Vec<String>,
    /// Trades per second over all active symbols.
    pub rate: f64,
    pub seed: u64,
    /// Share of trades up to 1.5 s older than one delivered before.
    pub disorder_rate: f64,
    /// Share of trades 3 s to 5 min older: they correct bars that are closed.
    pub tardy_rate: f64,
    /// Share of trades 11 to 20 min older: too late for the default allowed lateness.
    pub late_rate: f64,
    /// Where prices begin, for symbols that have traded before; the others begin where they look
    /// right.
    pub first_prices: Vec<(String, f64)>,
}

impl MarketOptions {
    /// The rates of a feed on an ordinary day.
    pub fn new(symbols: Vec<String>, rate: f64, seed: u64) -> Self {
        let (disorder_rate, tardy_rate, late_rate) = (0.02, 0.0005, 0.0005);
        let first_prices = Vec::new();
        Self { symbols, rate, seed, disorder_rate, tardy_rate, late_rate, first_prices }
    }
}

/// The market.
#[derive(Debug)]
pub struct Market {
    options: MarketOptions,
    instruments: Vec<Instrument>,
    stocks: Weights,
    others: Weights,
    clock: NewYorkClock,
    random: ChaCha8Rng,
    /// When the next cluster happens, µs since the UNIX epoch.
    next_us: f64,
    newest_ms: i64,
}

impl Market {
    /// Begins at `start_ms` since the UNIX epoch, with all symbols active.
    pub fn new(options: MarketOptions, start_ms: i64) -> Self {
        let instrument = |symbol: &String| {
            let first = options.first_prices.iter().find(|(named, _)| named == symbol);
            Instrument::new(symbol, start_ms).at(first.map(|(_, price)| *price))
        };
        let mut market = Self {
            instruments: options.symbols.iter().map(instrument).collect(),
            stocks: Weights::default(),
            others: Weights::default(),
            clock: NewYorkClock::default(),
            random: ChaCha8Rng::seed_from_u64(options.seed),
            next_us: start_ms as f64 * 1_000.0,
            newest_ms: i64::MIN,
            options,
        };
        market.activate(|_| true);
        market
    }

    /// Only symbols for which `is_active` (by index) is true trade from now on.
    pub fn activate(&mut self, is_active: impl Fn(usize) -> bool) {
        let indexes = |is_stock: bool| {
            let of_class = move |index: &usize, instruments: &[Instrument]| {
                (instruments[*index].class == Class::Stock) == is_stock
            };
            (0..self.instruments.len())
                .filter(|index| is_active(*index) && of_class(index, &self.instruments))
                .collect::<Vec<_>>()
        };
        let (stocks, others) = (indexes(true), indexes(false));
        self.stocks = Weights::new(stocks);
        self.others = Weights::new(others);
    }

    /// Where the price of every symbol is, for a market that goes on from here.
    pub fn prices(&self) -> Vec<(String, f64)> {
        self.instruments.iter().map(|one| (one.symbol.clone(), one.level())).collect()
    }

    /// Leaves out what would have happened before `time_ms`: after the machine slept, say.
    pub fn skip_to(&mut self, time_ms: i64) {
        self.next_us = self.next_us.max(time_ms as f64 * 1_000.0);
    }

    /// Appends what is delivered before `until_ms`, in order of delivery.
    pub fn advance(&mut self, until_ms: i64, out: &mut Vec<Print>) {
        let until_us = until_ms as f64 * 1_000.0;
        if self.options.rate <= 0.0 || (self.stocks.is_empty() && self.others.is_empty()) {
            self.next_us = self.next_us.max(until_us);
            return;
        }
        while self.next_us < until_us {
            self.cluster((self.next_us / 1_000.0) as i64, out);
            let clusters_per_us = self.options.rate / MEAN_CLUSTER / 1e6;
            self.next_us += exponential(&mut self.random) / clusters_per_us;
        }
    }

    /// One order that meets one or more others: all in one millisecond.
    fn cluster(&mut self, time_ms: i64, out: &mut Vec<Print>) {
        let moment = self.clock.moment(time_ms);
        let Some(index) = self.choose(moment) else { return };
        self.instruments[index].walk(time_ms, &mut self.random);
        if self.instruments[index].class == Class::Stock {
            self.auctions(index, moment, time_ms, out);
        }
        let size = self.cluster_size();
        let direction = if self.random.random_bool(0.5) { 1 } else { -1 };
        let without_one = self.random.random_bool(0.03);
        let mut ticks = 0;
        for _ in 0..size {
            let mut print = self.print(index, moment, ticks, without_one);
            print.trade_time_ms = self.trade_time(time_ms);
            out.push(print);
            ticks += direction * i64::from(self.random.random_bool(0.3));
        }
    }

    fn print(&mut self, index: usize, moment: Moment, ticks: i64, without_one: bool) -> Print {
        let random = &mut self.random;
        let instrument = &self.instruments[index];
        if instrument.class != Class::Stock {
            let (price, volume) = (instrument.price(ticks), instrument.quantity(random));
            return Print { symbol: index, trade_time_ms: 0, price, volume, codes: None };
        }
        let (volume, codes) = stock_size_and_codes(moment, without_one, random);
        let price = if random.random_bool(0.12) {
            instrument.price_between_ticks(random)
        } else {
            instrument.price(ticks)
        };
        Print { symbol: index, trade_time_ms: 0, price, volume, codes: Some(codes) }
    }

    /// Opening and closing prints, each with the official price that repeats it.
    fn auctions(&mut self, index: usize, moment: Moment, time_ms: i64, out: &mut Vec<Print>) {
        let before = self.instruments[index].last_phase.replace(moment.phase);
        let (cross, official) = match (before, moment.phase) {
            (Some(Phase::Extended), Phase::Regular) => (19, 20),
            (Some(Phase::Regular), Phase::Extended) => (36, 16),
            _ => return,
        };
        let price = self.instruments[index].price(0);
        let volume = Decimal { units: self.random.random_range(50_000..400_000), places: 0 };
        let time_ms = time_ms.max(self.newest_ms);
        for codes in [[1, cross, 0, 0], [1, 0, 0, official]] {
            let codes = Some(Codes::of(codes));
            out.push(Print { symbol: index, trade_time_ms: time_ms, price, volume, codes });
        }
        self.newest_ms = time_ms;
    }

    /// Mostly `time_ms`; at the asked rates a time before one that was delivered already.
    fn trade_time(&mut self, time_ms: i64) -> i64 {
        let draw: f64 = self.random.random();
        let options = &self.options;
        let behind_ms = if self.newest_ms == i64::MIN {
            0
        } else if draw < options.disorder_rate {
            self.random.random_range(1..=1_500)
        } else if draw < options.disorder_rate + options.tardy_rate {
            self.random.random_range(3_000..=300_000)
        } else if draw < options.disorder_rate + options.tardy_rate + options.late_rate {
            self.random.random_range(660_000..=1_200_000)
        } else {
            0
        };
        if behind_ms > 0 {
            return self.newest_ms - behind_ms;
        }
        self.newest_ms = self.newest_ms.max(time_ms);
        self.newest_ms
    }

    fn cluster_size(&mut self) -> usize {
        match self.random.random::<f64>() {
            draw if draw < 0.82 => 1,
            draw if draw < 0.92 => 2,
            _ => self.random.random_range(3..=6),
        }
    }

    fn choose(&mut self, moment: Moment) -> Option<usize> {
        let stocks = STOCK_WEIGHT * moment.activity;
        let share = stocks / (stocks + 1.0 - STOCK_WEIGHT);
        let is_stock = match (self.stocks.is_empty(), self.others.is_empty()) {
            (false, false) => self.random.random_bool(share),
            (stocks_empty, _) => !stocks_empty,
        };
        let weights = if is_stock { &self.stocks } else { &self.others };
        weights.choose(&mut self.random)
    }
}

/// Symbols by how often they trade: the k-th listed one in proportion to 1/√k.
#[derive(Debug, Default)]
struct Weights {
    indexes: Vec<usize>,
    cumulative: Vec<f64>,
}

impl Weights {
    fn new(indexes: Vec<usize>) -> Self {
        let mut sum = 0.0;
        let cumulative = (1..=indexes.len())
            .map(|rank| {
                sum += 1.0 / (rank as f64).sqrt();
                sum
            })
            .collect();
        Self { indexes, cumulative }
    }

    fn is_empty(&self) -> bool {
        self.indexes.is_empty()
    }

    fn choose(&self, random: &mut ChaCha8Rng) -> Option<usize> {
        let draw = random.random::<f64>() * self.cumulative.last()?;
        let place = self.cumulative.partition_point(|sum| *sum <= draw);
        self.indexes.get(place).or(self.indexes.last()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_MS: i64 = 1_720_000_000_000;

    fn trades(seed: u64, symbols: &[&str], seconds: i64) -> Vec<Print> {
        let symbols = symbols.iter().map(ToString::to_string).collect();
        let mut market = Market::new(MarketOptions::new(symbols, 50.0, seed), START_MS);
        let mut out = Vec::new();
        market.advance(START_MS + seconds * 1_000, &mut out);
        out
    }

    #[test]
    fn the_same_seed_gives_the_same_trades() {
        let symbols = ["AAPL", "BINANCE:BTCUSDT", "OANDA:EUR_USD"];
        assert_eq!(trades(1, &symbols, 20), trades(1, &symbols, 20));
        assert_ne!(trades(1, &symbols, 20), trades(2, &symbols, 20));
    }

    #[test]
    fn how_often_one_asks_does_not_matter() {
        let options = MarketOptions::new(vec!["AAPL".into(), "SPY".into()], 50.0, 3);
        let (mut once, mut often) = (Vec::new(), Vec::new());
        Market::new(options.clone(), START_MS).advance(START_MS + 20_000, &mut once);
        let mut market = Market::new(options, START_MS);
        for step in 1..=2_000 {
            market.advance(START_MS + step * 10, &mut often);
        }
        assert_eq!(once, often);
    }

    #[test]
    fn only_active_symbols_trade() {
        let symbols = vec!["AAPL".into(), "BINANCE:BTCUSDT".into(), "SPY".into()];
        let mut market = Market::new(MarketOptions::new(symbols, 50.0, 1), START_MS);
        let mut out = Vec::new();
        market.activate(|_| false);
        market.advance(START_MS + 10_000, &mut out);
        assert!(out.is_empty());
        market.activate(|index| index == 2);
        market.advance(START_MS + 20_000, &mut out);
        assert!(!out.is_empty() && out.iter().all(|print| print.symbol == 2));
        assert!(out.iter().all(|print| print.trade_time_ms >= START_MS + 10_000 - 1_200_000));
    }

    #[test]
    fn each_class_looks_like_itself() {
        let crypto = trades(1, &["BINANCE:BTCUSDT"], 20);
        assert!(crypto.iter().all(|print| print.codes.is_none() && print.volume.units > 0));
        let fx = trades(1, &["OANDA:EUR_USD"], 20);
        assert!(fx.iter().all(|print| print.codes.is_none() && print.volume.units == 0));
    }
}
