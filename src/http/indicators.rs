//! `/api/v1/indicators`: the usual indicators over closed bars, computed once here instead of by
//! every chart, so that two readers of one bar see one number.
//!
//! The arithmetic stands in `indicators/series.rs`; this page reads the bars that it needs. A value
//! never depends on where the asked range begins: averages without an end to their memory are
//! warmed up on bars before it.

mod series;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::series::{Name, Series};
use super::api::{ApiContext, Range, RangeParameters};
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

#[derive(Debug, Deserialize)]
pub(super) struct Chosen {
    names: Option<String>,
}

impl Chosen {
    /// All of them unless some are named.
    fn names(&self) -> Result<Vec<Name>, Problem> {
        let Some(text) = self.names.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(Name::ALL.to_vec());
        };
        let parse = |word: &str| {
            Name::parse(word).ok_or_else(|| {
                let known = Name::ALL.map(Name::as_str).join(", ");
                let detail = format!("'names' has '{word}', which is no indicator; there are");
                Problem::bad_parameter(format!("{detail} {known}"))
            })
        };
        text.split(',').map(parse).collect()
    }
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
    Path(symbol): Path<String>,
    Query(parameters): Query<RangeParameters>,
    Query(chosen): Query<Chosen>,
) -> Result<Json<IndicatorsBody>, Problem> {
    let interval = context.interval(parameters.interval())?;
    let names = chosen.names()?;
    let Range { from_ms, to_ms, limit } = parameters.range()?;
    let wanted = BarQuery { symbol: symbol.clone(), interval, from_ms, to_ms, limit };
    let of_names = names.clone();
    let values = context.read(move |reader| read(reader, &wanted, &of_names)).await?;
    if values.is_empty() {
        context.require_known(symbol.clone()).await?;
    }
    let names = names.into_iter().map(Name::as_str).collect();
    Ok(Json(IndicatorsBody { symbol, interval: interval.to_string(), names, values }))
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
    let earlier = reader.bars(&BarQuery { from_ms: 0, to_ms, limit, ..wanted.clone() })?;
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
        let names = |text: Option<&str>| Chosen { names: text.map(str::to_owned) }.names();
        assert_eq!(names(None).expect("all").len(), Name::ALL.len());
        assert_eq!(names(Some("")).expect("all").len(), Name::ALL.len());
        assert_eq!(names(Some("macd,sma20")).expect("two"), [Name::Macd, Name::Sma20]);
        assert!(names(Some("macd,sma21")).is_err());
    }

    #[test]
    fn the_warm_up_reaches_over_a_weekend_and_is_bounded() {
        let bars = |text: &str| warm_up_bars(Interval::parse(text).expect("an interval"));
        assert_eq!((bars("1h"), bars("5m"), bars("1m"), bars("1s")), (500, 864, 4_320, 5_000));
    }
}
