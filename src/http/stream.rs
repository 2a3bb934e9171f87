//! `/api/v1/stream`: server-sent events with what changes, a few times a second, conflated.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval as Ticker, MissedTickBehavior, interval};

use super::api::ApiContext;
use super::live_hub::{LiveHub, Wanted};
use super::problem::Problem;
use super::rows::BarRow;

/// A page need not move faster than this.
const TICK: Duration = Duration::from_millis(250);
/// State and quotes go out with every fourth tick: once a second.
const SLOW_TICKS: u64 = 4;
/// How long a browser waits before it connects again.
const RETRY: Duration = Duration::from_millis(1_000);

#[derive(Debug, Deserialize)]
pub(super) struct Parameters {
    symbol: Option<String>,
    interval: Option<String>,
}

struct Reader {
    hub: Arc<LiveHub>,
    wanted: Wanted,
    ticker: Ticker,
    ticks: u64,
    news_cursor: Option<u64>,
    quotes_cursor: u64,
    /// Bars were missed when there had been so many beats.
    missed_at_beat: Option<u64>,
    pending: VecDeque<Event>,
    /// Held as long as the stream lives.
    _place: OwnedSemaphorePermit,
}

/// Events `bars`, `trades`, `quotes` (arrays), `state` (an object), and `missed` when the reader
/// was too slow for some bars and should read them again.
pub(super) async fn stream(
    State(context): State<ApiContext>,
    Query(parameters): Query<Parameters>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let interval_wanted = match parameters.interval.as_deref() {
        Some(text) => Some(context.interval(text)?),
        None => None,
    };
    let place = context
        .streams
        .clone()
        .try_acquire_owned()
        .map_err(|_| Problem::busy("too many live streams are open; close one"))?;
    let mut ticker = interval(TICK);
    ticker.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut reader = Reader {
        hub: context.hub,
        wanted: Wanted { symbol: parameters.symbol, interval: interval_wanted },
        ticker,
        ticks: 0,
        news_cursor: None,
        quotes_cursor: 0,
        missed_at_beat: None,
        pending: VecDeque::from([Event::default().retry(RETRY).comment("ticksmith")]),
        _place: place,
    };
    // Before the answer: what the reader then reads from the store is newer than this.
    reader.collect();
    let events = stream::unfold(reader, |mut reader| async move {
        let event = reader.next().await;
        Some((Ok(event), reader))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(10))))
}

impl Reader {
    async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return event;
            }
            self.ticker.tick().await;
            self.collect();
        }
    }

    fn collect(&mut self) {
        let news = self.hub.news(&self.wanted, &mut self.news_cursor);
        if news.missed {
            self.missed_at_beat = Some(news.beats);
        }
        if self.missed_at_beat.is_some_and(|missed_at| news.beats > missed_at) {
            self.missed_at_beat = None;
            self.pending.push_back(Event::default().event("missed").data("{}"));
        }
        if !news.bars.is_empty() {
            let rows: Vec<BarRow> = news.bars.into_iter().map(BarRow).collect();
            self.push("bars", &rows);
        }
        if !news.trades.is_empty() {
            self.push("trades", &news.trades);
        }
        self.ticks += 1;
        if self.ticks % SLOW_TICKS == 1 {
            self.push("state", &self.hub.state());
            let quotes = self.hub.quotes(&mut self.quotes_cursor);
            if !quotes.is_empty() {
                self.push("quotes", &quotes);
            }
        }
    }

    fn push(&mut self, name: &str, payload: &impl Serialize) {
        // Only plain structs of texts and numbers come here, which always serialize.
        let data = serde_json::to_string(payload).unwrap_or_default();
        self.pending.push_back(Event::default().event(name).data(data));
    }
}
