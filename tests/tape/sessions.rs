//! The session on trades and bars: a label of what was traded, for symbols that have a New York.

use ticksmith::engine::SymbolClass;
use ticksmith::model::Session;

use crate::bench::{Bench, print, rules, time_ms};

/// Sessions of the trades, and of the one bar of `interval` that holds them.
fn sessions(
    symbol: &str,
    interval: &str,
    times: &[&str],
) -> (Vec<Option<Session>>, Option<Session>) {
    let mut rules = rules(&[interval], None);
    rules.classes.named = vec![("NYSE:IBM".into(), SymbolClass::UsStock)];
    let mut bench = Bench::new(rules);
    for time in times {
        bench.trade(symbol, &print(time_ms(time), 100.0, 1.0, &["1"]));
    }
    let bars = bench.finish();
    assert_eq!(bars.len(), 1, "the cases are of one window");
    let bar = bars.values().next().expect("a bar").session;
    (bench.effects.trades.iter().map(|judged| judged.session).collect(), bar)
}

#[test]
fn a_bar_has_the_session_of_its_trades_and_mixed_when_they_are_of_several() {
    use Session::{Closed, Mixed, Post, Pre, Regular};
    let cases: [(&str, &[&str], &[Session], Session); 8] = [
        // The hour from 09:00 New York.
        ("1h", &["2024-03-11T13:29:59Z", "2024-03-11T13:30:00Z"], &[Pre, Regular], Mixed),
        ("1h", &["2024-03-11T13:10:00Z", "2024-03-11T13:29:59Z"], &[Pre, Pre], Pre),
        ("1h", &["2024-03-11T13:31:00Z"], &[Regular], Regular),
        // In winter it is the hour from 14:00 UTC.
        ("1h", &["2024-11-04T14:29:59Z", "2024-11-04T14:30:00Z"], &[Pre, Regular], Mixed),
        ("5m", &["2024-03-11T19:59:59Z"], &[Regular], Regular),
        ("5m", &["2024-03-11T20:00:00Z", "2024-03-11T20:00:01Z"], &[Post, Post], Post),
        // 12:55 to 13:05 of a half day.
        ("10m", &["2024-11-29T17:55:00Z"], &[Regular], Regular),
        ("5m", &["2024-03-09T15:00:00Z"], &[Closed], Closed),
    ];
    for (interval, times, trades, bar) in cases {
        let trades: Vec<_> = trades.iter().copied().map(Some).collect();
        assert_eq!(sessions("AAPL", interval, times), (trades, Some(bar)), "{times:?}");
    }
}

#[test]
fn a_trade_that_counts_for_nothing_leaves_no_session_on_the_bar() {
    let mut bench = Bench::new(rules(&["1h"], None));
    bench.trade("AAPL", &print(time_ms("2024-03-11T13:00:00Z"), 100.0, 1.0, &["20"]));
    bench.trade("AAPL", &print(time_ms("2024-03-11T13:31:00Z"), 100.0, 1.0, &["1"]));
    let bars = bench.finish();
    assert_eq!(bars.values().next().expect("a bar").session, Some(Session::Regular));
}

#[test]
fn only_us_stocks_have_a_session() {
    let time = ["2024-03-11T14:00:00Z"];
    for symbol in ["BINANCE:BTCUSDT", "OANDA:EUR_USD", "LSE:VOD"] {
        assert_eq!(sessions(symbol, "5m", &time), (vec![None], None), "{symbol}");
    }
    for symbol in ["AAPL", "BRK.B", "NYSE:IBM"] {
        let regular = Some(Session::Regular);
        assert_eq!(sessions(symbol, "5m", &time), (vec![regular], regular), "{symbol}");
    }
}

#[test]
fn trades_of_us_stocks_outside_the_calendar_are_counted() {
    let mut bench = Bench::new(rules(&["5m"], None));
    let mut outside = |symbol: &str, time: &str| {
        let before = bench.effects.outside_calendar;
        bench.trade(symbol, &print(time_ms(time), 100.0, 1.0, &["1"]));
        bench.effects.outside_calendar - before
    };
    assert_eq!(outside("AAPL", "2012-10-29T15:00:00Z"), 1, "a storm closed the exchange");
    assert_eq!(outside("BINANCE:BTCUSDT", "2012-10-29T15:00:00Z"), 0);
    assert_eq!(outside("AAPL", "2013-01-02T15:00:00Z"), 0);
    assert_eq!(outside("AAPL", "2031-01-02T15:00:00Z"), 1);
}
