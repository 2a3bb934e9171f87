//! The API over the store and the live board: what its handlers share, and the router that joins it
//! with the dashboard, health and metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Method, Uri, header};
use axum::response::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, NotForContentType, Predicate};

use super::answer::{Answer, Listing};
use super::asked::Asked;
use super::assets::assets_router;
use super::format::Format;
use super::health::{Readiness, health_router};
use super::live_hub::LiveHub;
use super::operations;
use super::page::{Keyed, Page, Span};
use super::problem::Problem;
use crate::codec::table::Row;
use crate::error::Result as CrateResult;
use crate::model::Interval;
use crate::port::{Explain, StoreReader};

/// Live streams at the same time; each is a task and a socket.
const STREAMS_MAX: usize = 256;
/// Reads of the store at the same time: each holds a thread, and its rows in memory.
const READS_MAX: usize = 8;
/// A request that does not get its turn within this is told to come again.
const TURN_WITHIN: Duration = Duration::from_secs(10);

/// What the handlers read from. Cloning shares it.
#[derive(Clone)]
pub struct ApiContext {
    pub(super) explainer: Arc<dyn Explain>,
    pub(super) hub: Arc<LiveHub>,
    pub(super) intervals: Arc<[Interval]>,
    reader: Arc<dyn StoreReader>,
    streams: Arc<Semaphore>,
    reads: Arc<Semaphore>,
}

impl ApiContext {
    /// `intervals` are those that have a table, in the order to be offered.
    pub fn new(
        reader: Arc<dyn StoreReader>,
        explainer: Arc<dyn Explain>,
        hub: Arc<LiveHub>,
        intervals: &[Interval],
    ) -> Self {
        Self {
            reader,
            explainer,
            hub,
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            reads: Arc::new(Semaphore::new(READS_MAX)),
            intervals: intervals.into(),
        }
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

    pub(super) fn interval_names(&self) -> Vec<String> {
        self.intervals.iter().map(Interval::to_string).collect()
    }

    /// One of the places for live streams, for as long as it is held.
    pub(super) fn live_place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let place = Arc::clone(&self.streams).try_acquire_owned();
        place.map_err(|_| Problem::busy("too many live streams are open; close one"))
    }

    /// Store calls block, and so does writing down what they bring; they get a thread of their own.
    pub(super) async fn read<T: Send + 'static, E: Into<Problem> + Send + 'static>(
        &self,
        read: impl FnOnce(&dyn StoreReader) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Problem> {
        let busy = || Problem::busy("too many requests are being answered; try again");
        let turn = timeout(TURN_WITHIN, Arc::clone(&self.reads).acquire_owned()).await;
        let turn = turn.map_err(|_| busy())?.map_err(|_| busy())?;
        let reader = Arc::clone(&self.reader);
        let done = tokio::task::spawn_blocking(move || {
            // Held to the end, also when the reader has gone away.
            let _turn = turn;
            read(reader.as_ref())
        });
        let read = done.await.map_err(|_| Problem::busy("the read was stopped; try again"))?;
        read.map_err(Into::into)
    }

    /// Answers with a page of rows.
    pub(super) async fn answer_rows<R: Row + Keyed>(
        &self,
        asked: Asked,
        sheet: Sheet,
        read: impl FnOnce(&dyn StoreReader, &Span) -> CrateResult<Page<R>> + Send + 'static,
    ) -> Result<Response, Problem> {
        let (format, span) = (asked.format()?, asked.span()?);
        let headers = asked.headers().clone();
        let answer = self.read(move |reader| {
            let page = read(reader, &span)?;
            if page.rows.is_empty() {
                require_known(reader, &sheet.symbol)?;
            }
            let next = page.next.map(|key| asked.next(&key.to_string()));
            written(format, &sheet, &page.rows, next)
        });
        Ok(answer.await?.respond(&headers))
    }
}

/// What stands beside the rows of an answer, and what they are called.
pub(super) struct Sheet {
    pub symbol: String,
    /// Names and values besides the symbol.
    pub about: Vec<(&'static str, String)>,
    pub rows: &'static str,
}

fn written<R: Row>(
    format: Format,
    sheet: &Sheet,
    rows: &[R],
    next: Option<String>,
) -> Result<Answer, Problem> {
    let symbol = ("symbol", sheet.symbol.clone());
    let about: Vec<_> = std::iter::once(symbol).chain(sheet.about.iter().cloned()).collect();
    let listing = Listing { about: &about, name: sheet.rows, rows, next: next.as_deref() };
    Ok(Answer { body: listing.encode(format)?, media_type: format.media_type(), next })
}

/// 404 when an empty answer is empty because nobody ever heard of the symbol.
pub(super) fn require_known(reader: &dyn StoreReader, symbol: &str) -> Result<(), Problem> {
    let is_known = reader.symbols()?.iter().any(|known| known == symbol);
    if is_known { Ok(()) } else { Err(Problem::unknown_symbol(symbol)) }
}

/// Dashboard, API, health and metrics on one address.
pub fn dashboard_router(context: ApiContext, readiness: Readiness) -> Router {
    // A Parquet file is compressed already; small answers and live streams are let alone, too.
    let parquet = NotForContentType::const_new(Format::Parquet.media_type());
    let compression = CompressionLayer::new().compress_when(DefaultPredicate::new().and(parquet));
    Router::new()
        .merge(operations::router().with_state(context))
        .merge(assets_router())
        .layer(compression)
        .merge(health_router(readiness))
        .fallback(async |uri: Uri| Problem::no_such_path(uri.path()))
        .method_not_allowed_fallback(async |method: Method| Problem::no_such_method(&method))
        .layer(axum::middleware::map_response(forbid_sniffing))
}

async fn forbid_sniffing(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}
