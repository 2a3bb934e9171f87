//! `/api/v1/bars`, `/trades`, `/latest`, `/symbols` and `/state`: what the market did.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use super::answer::{Answer, Listing};
use super::api::{ApiContext, Sheet};
use super::asked::{Asked, Parameter, Symbol};
use super::page::{Keyed, Page};
use super::problem::Problem;
use super::state::ShownState;
use crate::codec::table::Row;
use crate::error::Result as CrateResult;
use crate::model::{Bar, Interval};
use crate::port::{BarQuery, StoreReader, Tier, TradeQuery};

/// Words of `tier`, the default first.
pub(super) const TIERS: [(&str, Tier); 2] = [("silver", Tier::Silver), ("bronze", Tier::Bronze)];

/// The interval that is asked for; without a word, the first.
pub(super) fn interval(context: &ApiContext, asked: &Asked) -> Result<Interval, Problem> {
    match (asked.text(Parameter::Interval), context.intervals.first()) {
        (Some(text), _) => context.interval(text),
        (None, Some(first)) => Ok(*first),
        (None, None) => Err(Problem::bad_parameter("no interval has bars")),
    }
}

pub(super) async fn bars(
    State(context): State<ApiContext>,
    Symbol(symbol): Symbol,
    asked: Asked,
) -> Result<Response, Problem> {
    of_interval(context, symbol, asked, "bars", |reader, query| reader.bars(query)).await
}

/// A page of the rows that a symbol has for an interval, which are called `rows`.
pub(super) async fn of_interval<R: Row + Keyed + 'static>(
    context: ApiContext,
    symbol: String,
    asked: Asked,
    rows: &'static str,
    read: fn(&dyn StoreReader, &BarQuery) -> CrateResult<Vec<R>>,
) -> Result<Response, Problem> {
    let interval = interval(&context, &asked)?;
    let about = vec![("interval", interval.to_string())];
    let sheet = Sheet { symbol: symbol.clone(), about, rows };
    context
        .answer_rows(asked, sheet, move |reader, span| {
            Page::read(span, |to_ms, limit| {
                let (symbol, from_ms) = (symbol.clone(), span.from_ms);
                read(reader, &BarQuery { symbol, interval, from_ms, to_ms, limit })
            })
        })
        .await
}

pub(super) async fn trades(
    State(context): State<ApiContext>,
    Symbol(symbol): Symbol,
    asked: Asked,
) -> Result<Response, Problem> {
    let (name, tier) = tier(asked.text(Parameter::Tier))?;
    let about = vec![("tier", name.to_owned())];
    let sheet = Sheet { symbol: symbol.clone(), about, rows: "trades" };
    context
        .answer_rows(asked, sheet, move |reader, span| {
            Page::read(span, |to_ms, limit| {
                let symbol = symbol.clone();
                reader.trades(&TradeQuery { symbol, tier, from_ms: span.from_ms, to_ms, limit })
            })
        })
        .await
}

fn tier(text: Option<&str>) -> Result<(&'static str, Tier), Problem> {
    let Some(text) = text else { return Ok(TIERS[0]) };
    let found = TIERS.into_iter().find(|(name, _)| *name == text);
    let names = TIERS.map(|(name, _)| name).join(" or ");
    found.ok_or_else(|| Problem::bad_parameter(format!("'tier' is '{text}'; give {names}")))
}

/// The newest bar of each symbol, in the order of the symbols; a cursor is the last one's name.
pub(super) async fn latest(
    State(context): State<ApiContext>,
    asked: Asked,
) -> Result<Response, Problem> {
    let interval = interval(&context, &asked)?;
    let (format, limit, wanted) = (asked.format()?, asked.limit()?, asked.symbols()?);
    let headers = asked.headers().clone();
    let answer = context.read(move |reader| {
        let after = asked.text(Parameter::SymbolCursor).unwrap_or_default();
        let mut symbols = named(reader, wanted)?;
        symbols.retain(|symbol| symbol.as_str() > after);
        let is_cut = symbols.len() > limit;
        symbols.truncate(limit);
        let bars = newest_bars(reader, &symbols, interval)?;
        let next = symbols.last().filter(|_| is_cut).map(|last| asked.next(last));
        let about = [("interval", interval.to_string())];
        let listing = Listing { about: &about, name: "bars", rows: &bars, next: next.as_deref() };
        let body = listing.encode(format)?;
        Ok::<_, Problem>(Answer { body, media_type: format.media_type(), next })
    });
    Ok(answer.await?.respond(&headers))
}

/// All symbols, or those of the list, which must be known, in order.
fn named(reader: &dyn StoreReader, wanted: Vec<String>) -> Result<Vec<String>, Problem> {
    let known = reader.symbols()?;
    if wanted.is_empty() {
        return Ok(known);
    }
    match wanted.iter().find(|symbol| known.binary_search(symbol).is_err()) {
        Some(unknown) => Err(Problem::unknown_symbol(unknown)),
        None => {
            let mut wanted = wanted;
            wanted.sort();
            wanted.dedup();
            Ok(wanted)
        }
    }
}

fn newest_bars(
    reader: &dyn StoreReader,
    symbols: &[String],
    interval: Interval,
) -> CrateResult<Vec<Bar>> {
    let mut bars = Vec::new();
    for symbol in symbols {
        let (symbol, from_ms, to_ms) = (symbol.clone(), i64::MIN, i64::MAX);
        bars.extend(reader.bars(&BarQuery { symbol, interval, from_ms, to_ms, limit: 1 })?);
    }
    Ok(bars)
}

#[derive(Serialize)]
struct SymbolsBody {
    symbols: Vec<String>,
    intervals: Vec<String>,
    version: &'static str,
}

pub(super) async fn symbols(
    State(context): State<ApiContext>,
    asked: Asked,
) -> Result<Response, Problem> {
    let (intervals, version) = (context.interval_names(), env!("CARGO_PKG_VERSION"));
    let answer = context.read(move |reader| {
        Answer::document(&SymbolsBody { symbols: reader.symbols()?, intervals, version })
    });
    Ok(answer.await?.respond(asked.headers()))
}

pub(super) async fn state(State(context): State<ApiContext>, _asked: Asked) -> Json<ShownState> {
    Json(context.hub.shown_state())
}
