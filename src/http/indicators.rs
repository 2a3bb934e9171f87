//! `/api/v1/indicators`: the usual indicators over closed bars, computed once here instead of by
//! every chart, so that two readers of one bar see one number.
//!
//! The arithmetic stands in `indicators/series.rs`; this page reads the bars that it needs. A value
//! never depends on where the asked range begins: averages without an end to their memory are
//! warmed up on bars before it.

mod series;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value};

pub(super) use self::series::Name;
use self::series::Series;
use super::answer::Answer;
use super::api::{ApiContext, require_known};
use super::asked::{Asked, Parameter, Symbol};
use super::market::interval;
use super::page::Span;
use super::problem::Problem;
use crate::error::Result as CrateResult;
use crate::model::{Bar, BarState, Interval};
use crate::port::{BarQuery, StoreReader};

/// Bars read before the range, at least: after so many the slowest average (26) remembers less of
/// its first value than a double can hold.
const WARM_UP_BARS: i64 = 500;
/// And so much time: from Monday's first trade back to Friday's, where a weekend's VWAP begins.
const WARM_UP_MS: i64 = 3 * 86_400_000;
/// And never more bars than this, however short they are.
const WARM_UP_BARS_MAX: i64 = 5_000;

/// All of them unless some are named.
fn chosen(text: Option<&str>) -> Result<Vec<Name>, Problem> {
    let Some(text) = text else { return Ok(Name::ALL.to_vec()) };
    let parse = |word: &str| {
        Name::parse(word).ok_or_else(|| {
            let known = Name::ALL.map(Name::as_str).join(", ");
            let detail = format!("'names' has '{word}', which is no indicator; there are");
            Problem::bad_parameter(format!("{detail} {known}"))
        })
    };
    text.split(',').map(parse).collect()
}

#[derive(Serialize)]
pub(super) struct IndicatorsBody {
    symbol: String,
    interval: String,
    names: Vec<&'static str>,
    /// One object a closed or corrected bar: `ts`, and a column a line of each indicator, null
    /// where it has no value yet.
    values: Vec<Map<String, Value>>,
}

pub(super) async fn indicators(
    State(context): State<ApiContext>,
    Symbol(symbol): Symbol,
    asked: Asked,
) -> Result<Response, Problem> {
    let interval = interval(&context, &asked)?;
    let names = chosen(asked.text(Parameter::Names))?;
    let Span { from_ms, to_ms, limit, .. } = asked.span()?;
    let wanted = BarQuery { symbol: symbol.clone(), interval, from_ms, to_ms, limit };
    let answer = context.read(move |reader| {
        let values = read(reader, &wanted, &names)?;
        if values.is_empty() {
            require_known(reader, &symbol)?;
        }
        let names = names.into_iter().map(Name::as_str).collect();
        let body = IndicatorsBody { symbol, interval: interval.to_string(), names, values };
        Ok::<_, Problem>(Answer::document(&body)?)
    });
    Ok(answer.await?.respond(asked.headers()))
}

fn read(
    reader: &dyn StoreReader,
    wanted: &BarQuery,
    names: &[Name],
) -> CrateResult<Vec<Map<String, Value>>> {
    let shown = reader.bars(wanted)?;
    let Some(first) = shown.first() else { return Ok(Vec::new()) };
    let limit = warm_up_bars(wanted.interval);
    let to_ms = first.window.start_ms;
    let earlier = reader.bars(&BarQuery { from_ms: i64::MIN, to_ms, limit, ..wanted.clone() })?;
    // Fewer than asked for: nothing is stored before them.
    let mut series = Series::new(names, earlier.len() < limit);
    for bar in earlier.iter().filter(|bar| is_settled(bar)) {
        series.next(bar);
    }
    let row = |bar: &Bar| {
        let mut row = Map::from_iter([("ts".to_owned(), bar.window.start_ms.into())]);
        let columns = series.next(bar).into_iter();
        row.extend(columns.map(|(column, value)| (column.to_owned(), value.into())));
        row
    };
    Ok(shown.iter().filter(|bar| is_settled(bar)).map(row).collect())
}

/// A provisional bar is a sample: an indicator over it would move with the clock.
fn is_settled(bar: &Bar) -> bool {
    bar.state != BarState::Provisional
}

fn warm_up_bars(interval: Interval) -> usize {
    let bars = (WARM_UP_MS / interval.length_ms()).clamp(WARM_UP_BARS, WARM_UP_BARS_MAX);
    usize::try_from(bars).expect("a bound between two positive numbers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_a_list_and_all_of_them_by_default() {
        assert_eq!(chosen(None).expect("all").len(), Name::ALL.len());
        assert_eq!(chosen(Some("macd,sma20")).expect("two"), [Name::Macd, Name::Sma20]);
        for text in ["", "macd,sma21", "macd,"] {
            chosen(Some(text)).expect_err(text);
        }
    }

    #[test]
    fn the_warm_up_reaches_over_a_weekend_and_is_bounded() {
        let bars = |text: &str| warm_up_bars(Interval::parse(text).expect("an interval"));
        assert_eq!((bars("1h"), bars("5m"), bars("1m"), bars("1s")), (500, 864, 4_320, 5_000));
    }
}
