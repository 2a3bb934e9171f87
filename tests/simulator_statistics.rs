//! The written list of what a believable market looks like, held against two simulated days (a
//! Tuesday and a Wednesday in New York).

use std::collections::{HashMap, HashSet};

use ticksmith::websocket::simulator::framing::{Framer, RepeatRates};
use ticksmith::websocket::simulator::market::{Market, MarketOptions};
use ticksmith::websocket::simulator::print::Print;

/// 2024-01-09T05:00:00Z, midnight in New York.
const START_MS: i64 = 1_704_776_400_000;
const DAY_MS: i64 = 86_400_000;
/// Trades per second: 345,600 in two days.
const RATE: f64 = 2.0;

struct Days {
    options: MarketOptions,
    prints: Vec<Print>,
}

fn two_days() -> Days {
    let symbols =
        ["AAPL", "MSFT", "SPY", "TSLA", "F", "BINANCE:BTCUSDT", "BINANCE:ETHUSDT", "OANDA:EUR_USD"];
    let symbols = symbols.iter().map(ToString::to_string).collect();
    let options = MarketOptions {
        disorder_rate: 0.03,
        tardy_rate: 0.01,
        late_rate: 0.005,
        ..MarketOptions::new(symbols, RATE, 42)
    };
    let mut prints = Vec::new();
    Market::new(options.clone(), START_MS).advance(START_MS + 2 * DAY_MS, &mut prints);
    Days { options, prints }
}

fn is_near(actual: f64, asked: f64) -> bool {
    (actual - asked).abs() <= 0.1 * asked
}

fn stocks(prints: &[Print]) -> impl Iterator<Item = &Print> {
    prints.iter().filter(|print| print.codes.is_some())
}

#[test]
fn two_days_of_the_market_look_like_a_market() {
    let days = two_days();
    rate_is_as_asked(&days);
    odd_lots_are_40_to_50_percent_of_stock_trades(&days);
    stock_volume_is_u_shaped(&days);
    a_tenth_or_more_share_a_millisecond(&days);
    disorder_and_lateness_are_as_asked(&days);
    conditions_follow_the_session(&days);
    every_symbol_trades_and_prices_stay_in_sight(&days);
    repeats_are_as_asked(&days);
}

fn rate_is_as_asked(days: &Days) {
    let rate = days.prints.len() as f64 / (2 * DAY_MS / 1_000) as f64;
    println!("trades per second: {rate:.3}, asked {RATE}");
    assert!(is_near(rate, RATE));
}

fn odd_lots_are_40_to_50_percent_of_stock_trades(days: &Days) {
    let all = stocks(&days.prints).count() as f64;
    let has_code = |print: &&Print| print.codes.is_some_and(|codes| codes.as_slice().contains(&12));
    let odd = stocks(&days.prints).filter(has_code).count() as f64;
    let small = stocks(&days.prints).filter(|print| print.volume.units < 100).count() as f64;
    println!("odd lots: {:.3} of {all} stock trades", odd / all);
    assert!((0.40..=0.50).contains(&(odd / all)));
    assert_eq!(odd, small, "code 12 exactly where there are fewer than 100 shares");
}

/// Opening and closing prints and the official prices that repeat them.
fn is_auction(print: &Print) -> bool {
    let is_of_auction = |code: &u8| matches!(code, 16 | 19 | 20 | 36);
    print.codes.is_some_and(|codes| codes.as_slice().iter().any(is_of_auction))
}

fn stock_volume_is_u_shaped(days: &Days) {
    // Half hours since the opening at 09:30, over both days, without the auctions.
    let mut half_hours = [0i64; 14];
    for print in stocks(&days.prints).filter(|print| !is_auction(print)) {
        let minute = (print.trade_time_ms - START_MS).rem_euclid(DAY_MS) / 60_000 - (9 * 60 + 30);
        if (0..14 * 30).contains(&minute) {
            half_hours[(minute / 30) as usize] += print.volume.units;
        }
    }
    println!("stock volume by half hour from 09:30: {half_hours:?}");
    let noon = half_hours[5..8].iter().max().copied().unwrap_or_default();
    assert!(half_hours[0] > 2 * noon && half_hours[12] > 2 * noon, "busy at both ends");
    assert!(half_hours[0] > half_hours[2] && half_hours[12] > half_hours[10]);
    assert!(half_hours[13] < noon, "quiet after the close");
}

fn a_tenth_or_more_share_a_millisecond(days: &Days) {
    let mut by_instant: HashMap<(usize, i64), u32> = HashMap::new();
    for print in &days.prints {
        *by_instant.entry((print.symbol, print.trade_time_ms)).or_default() += 1;
    }
    let sharing: u32 = by_instant.values().filter(|count| **count > 1).sum();
    let share = f64::from(sharing) / days.prints.len() as f64;
    println!("trades of a symbol that share a millisecond: {share:.3}");
    assert!(share >= 0.10);
}

fn disorder_and_lateness_are_as_asked(days: &Days) {
    let (mut disordered, mut tardy, mut late) = (0.0, 0.0, 0.0);
    let mut newest_ms = i64::MIN;
    for print in &days.prints {
        match newest_ms.saturating_sub(print.trade_time_ms) {
            ..=0 => newest_ms = print.trade_time_ms,
            1..=1_500 => disordered += 1.0,
            1_501..=600_000 => tardy += 1.0,
            _ => late += 1.0,
        }
    }
    let all = days.prints.len() as f64;
    let (disordered, tardy, late) = (disordered / all, tardy / all, late / all);
    println!("disordered {disordered:.4}, tardy {tardy:.4}, late {late:.4}");
    assert!(is_near(disordered, days.options.disorder_rate));
    assert!(is_near(tardy, days.options.tardy_rate));
    assert!(is_near(late, days.options.late_rate));
}

fn conditions_follow_the_session(days: &Days) {
    let mut regular = 0;
    // Late trades carry the codes of the moment of their delivery, so only times well inside count.
    for print in stocks(&days.prints) {
        let minute = (print.trade_time_ms - START_MS).rem_euclid(DAY_MS) / 60_000;
        let codes = print.codes.expect("a stock trade");
        let is_extended = codes.as_slice().contains(&24);
        if (10 * 60..15 * 60 + 30).contains(&minute) {
            assert!(!is_extended, "{print:?}");
            regular += 1;
        } else if !(9 * 60..16 * 60 + 30).contains(&minute) {
            assert!(is_extended, "{print:?}");
        }
    }
    assert!(regular > 10_000);
}

fn every_symbol_trades_and_prices_stay_in_sight(days: &Days) {
    let symbols: HashSet<usize> = days.prints.iter().map(|print| print.symbol).collect();
    assert_eq!(symbols.len(), days.options.symbols.len());
    let aapl = days.prints.iter().filter(|print| print.symbol == 0);
    let prices: Vec<f64> =
        aapl.map(|print| print.price.to_string().parse().expect("a number")).collect();
    let (low, high) = prices
        .iter()
        .fold((f64::MAX, 0f64), |(low, high), price| (low.min(*price), high.max(*price)));
    println!("AAPL between {low} and {high} over {} trades", prices.len());
    assert!(low > 100.0 && high < 500.0 && high - low > 1.0);
}

fn repeats_are_as_asked(days: &Days) {
    let rates = RepeatRates { frames: 0.02, second_encodings: 0.0 };
    let mut framer = Framer::new(&days.options.symbols, rates, 7);
    let mut frames = Vec::new();
    framer.frames(&days.prints, &mut frames);
    let repeats = frames.windows(2).filter(|pair| pair[0].0 == pair[1].0).count();
    let share = repeats as f64 / (frames.len() - repeats) as f64;
    println!("frames sent twice: {share:.4}");
    assert!(is_near(share, rates.frames));
}
