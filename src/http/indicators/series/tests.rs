use super::*;
use crate::model::{Amount, BarState, Interval, PricePoint, Verdict};

const TALIB: &str = include_str!("../../../../tests/fixtures/indicators/talib.csv");
const HOUR_MS: i64 = 3_600_000;
/// 2024-03-08, a Friday; New York is five hours behind until the Sunday, then four.
const FRIDAY_MS: i64 = 1_709_856_000_000;

fn bar(start_ms: i64, close: Option<f64>, volume: f64, session: Option<Session>) -> Bar {
    let interval = Interval::parse("1h").expect("an interval");
    let point =
        close.map(|price| PricePoint { price, trade_time_ms: start_ms, connection: 1, seq: 1 });
    Bar {
        symbol: "X".into(),
        interval,
        window: interval.window_of(start_ms),
        open: point,
        high: point,
        low: point,
        close: point,
        volume: Amount::from_f64(volume).expect("in range"),
        vwap: (volume > 0.0).then(|| close.unwrap_or(50.0)),
        trade_count: 1,
        excluded: Default::default(),
        session,
        coverage: None,
        gap_ms: 0,
        verdict: Verdict::Unknown,
        state: BarState::Closed,
        revision: 1,
        generation: 0,
        conditions_version: 1,
        late_included: 0,
    }
}

fn line(name: Name, bars: &[Bar], is_beginning: bool) -> Vec<Option<f64>> {
    let mut series = Series::new(&[name], is_beginning);
    bars.iter().map(|bar| series.next(bar)[0].1).collect()
}

/// Columns of TA-Lib's table by name, `None` where a cell is empty.
fn talib(column: &str) -> Vec<Option<f64>> {
    let mut lines = TALIB.lines();
    let header = lines.next().expect("a header");
    let at = header.split(',').position(|name| name == column).expect("a column");
    let cell = |line: &str| line.split(',').nth(at).and_then(|cell| cell.parse().ok());
    lines.map(cell).collect()
}

#[test]
fn every_line_is_the_one_that_talib_draws() {
    let closes = talib("close").into_iter();
    let bars: Vec<Bar> =
        (0i64..).zip(closes).map(|(at, close)| bar(at * HOUR_MS, close, 1.0, None)).collect();
    assert_eq!(bars.len(), 260);
    for name in Name::ALL.into_iter().filter(|name| *name != Name::Vwap) {
        let mut series = Series::new(&[name], true);
        let rows: Vec<_> = bars.iter().map(|bar| series.next(bar)).collect();
        // See the fixture's page on where MACD begins.
        let (from, tolerance) = if name == Name::Macd { (200, 1e-7) } else { (0, 1e-6) };
        for (index, column) in name.columns().iter().enumerate() {
            let expected = talib(column);
            for at in from..rows.len() {
                let (found_column, found) = rows[at][index];
                assert_eq!(found_column, *column);
                let close_enough = match (found, expected[at]) {
                    (Some(found), Some(expected)) => (found - expected).abs() < tolerance,
                    (found, expected) => found == expected,
                };
                assert!(close_enough, "{column} at {at}: {found:?}, TA-Lib {:?}", expected[at]);
            }
        }
    }
}

#[test]
fn macd_has_its_own_line_before_its_signal() {
    let bars: Vec<Bar> =
        (0..40).map(|at| bar(at * HOUR_MS, Some(100.0 + at as f64), 1.0, None)).collect();
    let mut series = Series::new(&[Name::Macd], true);
    let rows: Vec<_> = bars.iter().map(|bar| series.next(bar)).collect();
    let begins = |index: usize| rows.iter().position(|row| row[index].1.is_some());
    assert_eq!([begins(0), begins(1), begins(2)], [Some(25), Some(33), Some(33)]);
    // On a straight line both averages follow at the distance of half their length.
    assert!((rows[39][0].1.expect("a value") - 7.0).abs() < 1e-9, "{:?}", rows[39]);
}

#[test]
fn a_bar_without_a_close_moves_no_average_but_the_volume_weighted_one() {
    let mut bars: Vec<Bar> =
        (0..60).map(|at| bar(at * HOUR_MS, Some(100.0 + (at % 7) as f64), 2.0, None)).collect();
    let volume_only = bar(30 * HOUR_MS + 1, None, 8.0, None);
    let averages = [Name::Sma20, Name::Ema20, Name::Rsi14, Name::Bollinger];
    let plain = averages.map(|name| line(name, &bars, true)[59]);
    bars.insert(31, volume_only);
    for (name, expected) in averages.into_iter().zip(plain) {
        let values = line(name, &bars, true);
        assert_eq!((values[31], values[60]), (None, expected), "{}", name.as_str());
    }
    // The 24th hour began a new day; since then 7 hours of 2 at their closes, and 8 at 50.
    let turnover: f64 = (24..31).map(|at| 2.0 * (100.0 + f64::from(at % 7))).sum();
    let expected = (turnover + 8.0 * 50.0) / (7.0 * 2.0 + 8.0);
    let vwap = line(Name::Vwap, &bars, true)[31].expect("a value");
    assert!((vwap - expected).abs() < 1e-9, "{vwap} {expected}");
}

#[test]
fn flat_prices_have_bands_without_width_and_no_strength() {
    let bars: Vec<Bar> = (0..30).map(|at| bar(at * HOUR_MS, Some(0.1), 1.0, None)).collect();
    let mut series = Series::new(&[Name::Bollinger, Name::Rsi14], true);
    let rows: Vec<_> = bars.iter().map(|bar| series.next(bar)).collect();
    let values: Vec<f64> = rows[29].iter().filter_map(|(_, value)| *value).collect();
    assert!((values[0] - 0.1).abs() < 1e-8 && (values[2] - 0.1).abs() < 1e-8, "{values:?}");
    assert_eq!(values[3], 50.0);
}

#[test]
fn a_stock_s_vwap_begins_with_its_trading_day() {
    use Session::{Closed, Post, Pre, Regular};
    // Hours of UTC since Friday's midnight: the last of Thursday's after hours, Friday from 04:00
    // in New York, its after hours beyond midnight UTC, a weekend, and Monday from 04:00, an hour
    // earlier by UTC since the clocks were changed.
    let hours = [
        (0, Post),
        (9, Pre),
        (15, Regular),
        (21, Post),
        (24, Post),
        (30, Closed),
        (72 + 8, Pre),
        (72 + 14, Regular),
    ];
    let bars: Vec<Bar> = (1..)
        .zip(hours)
        .map(|(n, (hour, session))| {
            bar(FRIDAY_MS + hour * HOUR_MS, Some(f64::from(n)), 1.0, Some(session))
        })
        .collect();
    let mean = |from: i32, to: i32| Some(f64::from(from + to) / 2.0);
    let friday = [mean(2, 2), mean(2, 3), mean(2, 4), mean(2, 5), mean(2, 6)];
    let monday = [mean(7, 7), mean(7, 8)];
    // Of Thursday only the end is stored: nothing can be said of it, unless it is all there was.
    let from_thursday = |first: Option<f64>| [&[first], &friday[..], &monday[..]].concat();
    assert_eq!(line(Name::Vwap, &bars, false), from_thursday(None));
    assert_eq!(line(Name::Vwap, &bars, true), from_thursday(Some(1.0)));
    // The first bar of Friday may have had others before it.
    assert_eq!(line(Name::Vwap, &bars[1..], false), [&[None; 5][..], &monday[..]].concat());
}
