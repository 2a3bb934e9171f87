//! The JSON API over the store and the live board, and the router that joins it with the dashboard,
//! health and metrics.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, Uri, header};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, Router};
use chrono::DateTime;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::assets::assets_router;
use super::health::{Readiness, health_router};
use super::history::{explain, gaps, revisions};
use super::indicators::indicators;
use super::live_hub::LiveHub;
use super::overview::overview;
use super::problem::Problem;
use super::rows::{BarRow, TradeRow};
use super::state::StateView;
use super::stream::stream;
use crate::error::Result as CrateResult;
use crate::model::Interval;
use crate::port::{BarQuery, Explain, StoreReader, Tier, TradeQuery};

/// Live streams at the same time; each is a task and a socket.
const STREAMS_MAX: usize = 256;
/// Rows of one answer, unless asked otherwise, and at most.
const LIMIT_DEFAULT: usize = 500;
const LIMIT_MAX: usize = 10_000;
/// The end of year 9999: far enough, and within every store's timestamps.
pub(super) const FOREVER_MS: i64 = 253_402_300_799_999;

/// What the handlers read from. Cloning shares it.
#[derive(Clone)]
pub struct ApiContext {
    pub(super) reader: Arc<dyn StoreReader>,
    pub(super) explainer: Arc<dyn Explain>,
    pub(super) hub: Arc<LiveHub>,
    pub(super) streams: Arc<Semaphore>,
    pub(super) intervals: Arc<[Interval]>,
}

impl ApiContext {
    /// `intervals` are those that have a table, in the order to be offered.
    pub fn new(
        reader: Arc<dyn StoreReader>,
        explainer: Arc<dyn Explain>,
        hub: Arc<LiveHub>,
        intervals: &[Interval],
    ) -> Self {
        let streams = Arc::new(Semaphore::new(STREAMS_MAX));
        Self { reader, explainer, hub, streams, intervals: intervals.into() }
    }

    /// The interval by its name.
    pub(super) fn interval(&self, text: &str) -> Result<Interval, Problem> {
        let interval = Interval::parse(text).map_err(Problem::bad_parameter)?;
        if self.intervals.contains(&interval) {
            return Ok(interval);
        }
        let known = self.interval_names().join(", ");
        Err(Problem::bad_parameter(format!("interval '{text}' has no bars; there are {known}")))
    }

    fn interval_names(&self) -> Vec<String> {
        self.intervals.iter().map(Interval::to_string).collect()
    }

    /// Store calls block; they get a thread of their own.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn StoreReader) -> CrateResult<T> + Send + 'static,
    ) -> Result<T, Problem> {
        let reader = Arc::clone(&self.reader);
        let done = tokio::task::spawn_blocking(move || read(reader.as_ref())).await;
        done.map_err(|_| Problem::busy("the read was stopped"))?.map_err(Problem::from)
    }

    /// 404 when an empty answer is empty because nobody ever heard of the symbol.
    pub(super) async fn require_known(&self, symbol: String) -> Result<(), Problem> {
        let wanted = symbol.clone();
        let known = self.read(move |reader| Ok(reader.symbols()?.contains(&wanted))).await?;
        if known { Ok(()) } else { Err(Problem::unknown_symbol(&symbol)) }
    }
}

/// Dashboard, API, health and metrics on one address.
pub fn dashboard_router(context: ApiContext, readiness: Readiness) -> Router {
    let api = Router::new()
        .route("/api/v1/bars/{symbol}", get(bars))
        .route("/api/v1/trades/{symbol}", get(trades))
        .route("/api/v1/gaps/{symbol}", get(gaps))
        .route("/api/v1/revisions/{symbol}", get(revisions))
        .route("/api/v1/explain/{symbol}", get(explain))
        .route("/api/v1/indicators/{symbol}", get(indicators))
        .route("/api/v1/overview", get(overview))
        .route("/api/v1/symbols", get(symbols))
        .route("/api/v1/state", get(state))
        .route("/api/v1/stream", get(stream))
        .with_state(context);
    Router::new()
        .merge(api)
        .merge(health_router(readiness))
        .merge(assets_router())
        .fallback(async |uri: Uri| Problem::no_such_path(uri.path()))
        .layer(axum::middleware::map_response(forbid_sniffing))
}

async fn forbid_sniffing(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}

/// All parameters arrive as text, so that a bad one is answered with a sentence of ours.
#[derive(Debug, Deserialize)]
pub(super) struct RangeParameters {
    interval: Option<String>,
    tier: Option<String>,
    from: Option<String>,
    to: Option<String>,
    limit: Option<String>,
}

pub(super) struct Range {
    pub from_ms: i64,
    pub to_ms: i64,
    pub limit: usize,
}

impl RangeParameters {
    pub fn interval(&self) -> &str {
        self.interval.as_deref().unwrap_or("5m")
    }

    pub fn range(&self) -> Result<Range, Problem> {
        let from_ms = self.from.as_deref().map_or(Ok(0), |text| instant_ms("from", text))?;
        let to_ms = self.to.as_deref().map_or(Ok(FOREVER_MS), |text| instant_ms("to", text))?;
        if from_ms > to_ms {
            return Err(Problem::bad_parameter("'from' is after 'to'"));
        }
        let limit = self.limit.as_deref().map_or(Ok(LIMIT_DEFAULT), limit_rows)?;
        Ok(Range { from_ms, to_ms, limit })
    }
}

pub(super) fn instant_ms(name: &str, text: &str) -> Result<i64, Problem> {
    let number = text.parse::<i64>().ok();
    let instant =
        number.or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp_millis()));
    instant.filter(|ms| (0..=FOREVER_MS).contains(ms)).ok_or_else(|| {
        let shown = format!("'{name}' is '{text}'; give epoch milliseconds or RFC 3339");
        Problem::bad_parameter(format!("{shown}, such as 2026-01-05T14:30:00Z"))
    })
}

fn limit_rows(text: &str) -> Result<usize, Problem> {
    let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| {
        Problem::bad_parameter(format!("'limit' is '{text}'; give a number from 1 to {LIMIT_MAX}"))
    })
}

#[derive(Serialize)]
struct BarsBody {
    symbol: String,
    interval: String,
    bars: Vec<BarRow>,
}

async fn bars(
    State(context): State<ApiContext>,
    Path(symbol): Path<String>,
    Query(parameters): Query<RangeParameters>,
) -> Result<Json<BarsBody>, Problem> {
    let interval = context.interval(parameters.interval())?;
    let Range { from_ms, to_ms, limit } = parameters.range()?;
    let query = BarQuery { symbol: symbol.clone(), interval, from_ms, to_ms, limit };
    let rows = move |reader: &dyn StoreReader| {
        Ok(reader.bars(&query)?.into_iter().map(BarRow).collect::<Vec<_>>())
    };
    let bars = context.read(rows).await?;
    if bars.is_empty() {
        context.require_known(symbol.clone()).await?;
    }
    Ok(Json(BarsBody { symbol, interval: interval.to_string(), bars }))
}

#[derive(Serialize)]
struct TradesBody {
    symbol: String,
    tier: &'static str,
    trades: Vec<TradeRow>,
}

async fn trades(
    State(context): State<ApiContext>,
    Path(symbol): Path<String>,
    Query(parameters): Query<RangeParameters>,
) -> Result<Json<TradesBody>, Problem> {
    let (tier, name) = match parameters.tier.as_deref() {
        None | Some("silver") => (Tier::Silver, "silver"),
        Some("bronze") => (Tier::Bronze, "bronze"),
        Some(other) => {
            let detail = format!("'tier' is '{other}'; give silver or bronze");
            return Err(Problem::bad_parameter(detail));
        }
    };
    let Range { from_ms, to_ms, limit } = parameters.range()?;
    let query = TradeQuery { symbol: symbol.clone(), tier, from_ms, to_ms, limit };
    let rows = move |reader: &dyn StoreReader| {
        Ok(reader.trades(&query)?.iter().map(TradeRow::from).collect::<Vec<_>>())
    };
    let trades = context.read(rows).await?;
    if trades.is_empty() {
        context.require_known(symbol.clone()).await?;
    }
    Ok(Json(TradesBody { symbol, tier: name, trades }))
}

#[derive(Serialize)]
struct SymbolsBody {
    symbols: Vec<String>,
    intervals: Vec<String>,
    version: &'static str,
}

async fn symbols(State(context): State<ApiContext>) -> Result<Json<SymbolsBody>, Problem> {
    let symbols = context.read(|reader| reader.symbols()).await?;
    let version = env!("CARGO_PKG_VERSION");
    Ok(Json(SymbolsBody { symbols, intervals: context.interval_names(), version }))
}

async fn state(State(context): State<ApiContext>) -> Json<StateView> {
    Json(context.hub.state())
}
