//! `/api/v1/overview`: where every symbol stands, in one answer: its last price, the change, volume
//! and turnover of a day, and how complete the feed was, bar by bar.
//!
//! The day of a symbol ends with its newest bar, whenever that was: a market that is closed, or a
//! replay of an old one, shows its last day instead of nothing.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::api::ApiContext;
use super::asked::Asked;
use super::problem::Problem;
use crate::error::Result as CrateResult;
use crate::model::{Amount, Bar, BarState, Interval, Session};
use crate::port::{BarQuery, StoreReader};

const DAY_MS: i64 = 86_400_000;
/// A day in bars of so long is read with a few dozen rows a symbol.
const BAR_MS_MAX: i64 = 3_600_000;
/// Symbols in one answer; each costs one small read.
const SYMBOLS_MAX: usize = 1_000;

#[derive(Serialize)]
pub(super) struct OverviewBody {
    /// By the server's clock, ms since the epoch.
    now: i64,
    /// Of the bars in it.
    interval: String,
    symbols: Vec<SymbolView>,
    /// Symbols that found no room in this answer.
    hidden: usize,
}

/// One symbol's day. Prices are null when no trade of it could set one.
#[derive(Debug, Serialize)]
struct SymbolView {
    symbol: String,
    last: Option<f64>,
    /// When the last price was traded, ms since the epoch.
    last_time: Option<i64>,
    /// The first price of the day, which the change is taken against.
    reference: Option<f64>,
    reference_time: Option<i64>,
    change_percent: Option<f64>,
    /// Null past what an amount can hold.
    volume: Option<f64>,
    turnover: f64,
    trade_count: i64,
    /// Of the time of all bars that have one, 0..=1; of the forming bar the time so far.
    coverage: Option<f64>,
    gap_ms: i64,
    session: Option<&'static str>,
    bars: Vec<BarView>,
}

#[derive(Debug, Serialize)]
struct BarView {
    ts: i64,
    close: Option<f64>,
    volume: f64,
    coverage: Option<f64>,
    gap_ms: i64,
    verdict: &'static str,
    state: &'static str,
}

pub(super) async fn overview(
    State(context): State<ApiContext>,
    _asked: Asked,
) -> Result<Json<OverviewBody>, Problem> {
    let interval = day_interval(&context.intervals);
    let now = context.hub.state().now;
    let (symbols, hidden) = context.read(move |reader| read(reader, interval, now)).await?;
    Ok(Json(OverviewBody { now, interval: interval.to_string(), symbols, hidden }))
}

/// The longest interval up to an hour, else the shortest.
fn day_interval(intervals: &[Interval]) -> Interval {
    let fits = |interval: &&Interval| interval.length_ms() <= BAR_MS_MAX;
    let best = intervals.iter().filter(fits).max().or(intervals.iter().min());
    *best.expect("the configuration holds at least one interval")
}

fn read(
    reader: &dyn StoreReader,
    interval: Interval,
    now_ms: i64,
) -> CrateResult<(Vec<SymbolView>, usize)> {
    let mut symbols = reader.symbols()?;
    let hidden = symbols.len().saturating_sub(SYMBOLS_MAX);
    symbols.truncate(SYMBOLS_MAX);
    let limit = usize::try_from(DAY_MS / interval.length_ms()).unwrap_or(1).max(1);
    let mut views = Vec::with_capacity(symbols.len());
    for symbol in symbols {
        let query = BarQuery { symbol, interval, from_ms: i64::MIN, to_ms: i64::MAX, limit };
        let bars = reader.bars(&query)?;
        views.extend(view(query.symbol, &bars, now_ms));
    }
    Ok((views, hidden))
}

/// `bars` in order of time, the newest last; nothing without a bar.
fn view(symbol: String, bars: &[Bar], now_ms: i64) -> Option<SymbolView> {
    let newest = bars.last()?;
    let begin_ms = newest.window.end_ms - DAY_MS;
    let day = &bars[bars.partition_point(|bar| bar.window.start_ms < begin_ms)..];
    let last = day.iter().rev().find_map(|bar| bar.close);
    let reference = day.iter().find_map(|bar| bar.open);
    let change = last.zip(reference).map(|(last, first)| last.price / first.price - 1.0);
    let sum = |sum: Amount, bar: &Bar| sum.checked_add(bar.volume);
    let volume = day.iter().try_fold(Amount::ZERO, sum);
    Some(SymbolView {
        symbol,
        last: last.map(|point| point.price),
        last_time: last.map(|point| point.trade_time_ms),
        reference: reference.map(|point| point.price),
        reference_time: reference.map(|point| point.trade_time_ms),
        change_percent: change.map(|change| change * 100.0),
        volume: volume.map(Amount::to_f64),
        turnover: day.iter().map(|bar| bar.vwap.unwrap_or(0.0) * bar.volume.to_f64()).sum(),
        trade_count: day.iter().map(|bar| bar.trade_count).sum(),
        coverage: coverage(day, now_ms),
        gap_ms: day.iter().map(|bar| bar.gap_ms).sum(),
        session: newest.session.map(Session::as_str),
        bars: day.iter().map(BarView::from).collect(),
    })
}

/// A share of all the time that is known, so that what `gap_ms` counts is missing here too.
fn coverage(day: &[Bar], now_ms: i64) -> Option<f64> {
    let (mut known_ms, mut covered_ms) = (0.0, 0.0);
    for bar in day {
        let Some(coverage) = bar.coverage else { continue };
        let length_ms = bar.window.end_ms - bar.window.start_ms;
        if bar.state == BarState::Provisional {
            let so_far_ms = (now_ms - bar.window.start_ms).clamp(0, length_ms);
            known_ms += so_far_ms as f64;
            covered_ms += (so_far_ms - bar.gap_ms).max(0) as f64;
        } else {
            known_ms += length_ms as f64;
            covered_ms += coverage * length_ms as f64;
        }
    }
    (known_ms > 0.0).then(|| covered_ms / known_ms)
}

impl From<&Bar> for BarView {
    fn from(bar: &Bar) -> Self {
        Self {
            ts: bar.window.start_ms,
            close: bar.close.map(|point| point.price),
            volume: bar.volume.to_f64(),
            coverage: bar.coverage,
            gap_ms: bar.gap_ms,
            verdict: bar.verdict.as_str(),
            state: bar.state.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PricePoint, Verdict};

    const HOUR_MS: i64 = 3_600_000;

    fn interval(text: &str) -> Interval {
        Interval::parse(text).expect("an interval")
    }

    fn bar(hour: i64, price: Option<f64>, state: BarState, coverage: Option<f64>) -> Bar {
        let at = hour * HOUR_MS;
        let point =
            price.map(|price| PricePoint { price, trade_time_ms: at + 1, connection: 1, seq: 1 });
        Bar {
            symbol: "X".into(),
            interval: interval("1h"),
            window: interval("1h").window_of(at),
            open: point,
            high: point,
            low: point,
            close: point,
            volume: Amount::from_f64(0.1).expect("in range"),
            vwap: Some(price.unwrap_or(10.0)),
            trade_count: 2,
            excluded: Default::default(),
            session: Some(Session::Regular),
            coverage,
            gap_ms: 5,
            verdict: Verdict::Partial,
            state,
            revision: 1,
            generation: 0,
            conditions_version: 1,
            late_included: 0,
        }
    }

    #[test]
    fn the_day_ends_with_the_newest_bar_and_is_summed_exactly() {
        let bars = [
            bar(10, Some(999.0), BarState::Closed, Some(0.0)),
            bar(11, None, BarState::Closed, Some(0.5)),
            bar(12, Some(80.0), BarState::Corrected, Some(1.0)),
            bar(33, Some(100.0), BarState::Closed, None),
            Bar { gap_ms: HOUR_MS / 4, ..bar(34, None, BarState::Provisional, Some(0.1)) },
        ];
        let day = view("X".into(), &bars, 34 * HOUR_MS + HOUR_MS / 2).expect("a day");
        assert_eq!((day.reference, day.last), (Some(80.0), Some(100.0)));
        assert_eq!((day.last_time, day.change_percent), (Some(33 * HOUR_MS + 1), Some(25.0)));
        assert_eq!((day.volume, day.trade_count, day.gap_ms), (Some(0.4), 8, 15 + HOUR_MS / 4));
        assert!((day.turnover - 0.1 * (10.0 + 80.0 + 100.0 + 10.0)).abs() < 1e-9, "{day:?}");
        // Half of an hour, a whole one, and of the forming bar's first half hour a half.
        assert_eq!(day.coverage, Some((0.5 + 1.0 + 0.25) / 2.5));
        assert_eq!(day.bars.len(), 4);
    }

    #[test]
    fn without_prices_there_is_no_change_and_without_bars_no_symbol() {
        let day =
            view("X".into(), &[bar(1, None, BarState::Provisional, None)], HOUR_MS).expect("a day");
        assert_eq!((day.last, day.reference, day.change_percent), (None, None, None));
        assert_eq!(day.coverage, None);
        assert!(view("X".into(), &[], 0).is_none());
    }

    #[test]
    fn the_interval_is_the_longest_up_to_an_hour() {
        let best = |texts: &[&str]| {
            let intervals: Vec<Interval> = texts.iter().map(|text| interval(text)).collect();
            day_interval(&intervals).to_string()
        };
        assert_eq!(best(&["5m", "1h"]), "1h");
        assert_eq!(best(&["1m", "5m", "4h"]), "5m");
        assert_eq!(best(&["4h", "1d"]), "4h");
    }
}
