//! One reader of live updates, over server-sent events or a WebSocket: what changed, a few times a
//! second, conflated; a slow reader gets the newest state and never a backlog.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Interval as Ticker, MissedTickBehavior, interval};

use super::api::ApiContext;
use super::asked::{Asked, Parameter};
use super::live_hub::{Followed, LiveHub, Wanted};
use super::problem::Problem;
use crate::codec::table::Object;

/// A page need not move faster than this.
const TICK: Duration = Duration::from_millis(250);
/// State and quotes go out with every fourth tick: once a second.
const SLOW_TICKS: u64 = 4;

/// The updates that can be asked for; `missed` comes with the bars.
pub(super) const KINDS: [&str; 4] = ["bars", "trades", "quotes", "state"];

/// The parameters of live updates.
pub(super) const PARAMETERS: &[Parameter] =
    &[Parameter::Symbol, Parameter::Symbols, Parameter::Interval, Parameter::Events];

/// Something to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Update {
    /// One of `KINDS`, or `missed`.
    pub event: &'static str,
    /// JSON on one line.
    pub data: String,
}

/// Holds one of the places for live streams as long as it lives.
pub(super) struct LiveReader {
    hub: Arc<LiveHub>,
    wanted: Wanted,
    /// Of `KINDS`.
    kinds: Vec<&'static str>,
    ticker: Ticker,
    ticks: u64,
    news_cursor: Option<u64>,
    quotes_cursor: u64,
    /// Bars were missed when there had been so many beats.
    missed_at_beat: Option<u64>,
    pending: VecDeque<Update>,
    _followed: Followed,
    _place: OwnedSemaphorePermit,
}

impl LiveReader {
    /// # Errors
    /// 422 for a parameter that cannot be used, 503 when every place is taken.
    pub fn open(context: &ApiContext, asked: &Asked) -> Result<Self, Problem> {
        let symbols = match asked.text(Parameter::Symbol) {
            Some(_) if asked.text(Parameter::Symbols).is_some() => {
                return Err(Problem::bad_parameter("give 'symbol' or 'symbols', not both"));
            }
            Some(symbol) => vec![symbol.to_owned()],
            None => asked.symbols()?,
        };
        let interval_text = asked.text(Parameter::Interval);
        let wanted = wanted(context, symbols, interval_text)?;
        let kinds = kinds(asked.text(Parameter::Events))?;
        let place = context.live_place()?;
        let mut ticker = interval(TICK);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let hub = Arc::clone(&context.hub);
        let mut reader = Self {
            _followed: LiveHub::follow(&hub, wanted.clone()),
            hub,
            wanted,
            kinds,
            ticker,
            ticks: 0,
            news_cursor: None,
            quotes_cursor: 0,
            missed_at_beat: None,
            pending: VecDeque::new(),
            _place: place,
        };
        // Before the answer: what the reader then reads from the store is newer than this.
        reader.collect();
        Ok(reader)
    }

    /// From now on other bars and trades; what is there of them comes first.
    pub fn turn_to(&mut self, wanted: Wanted) {
        self._followed = LiveHub::follow(&self.hub, wanted.clone());
        self.wanted = wanted;
        self.news_cursor = None;
        self.missed_at_beat = None;
    }

    /// Waits for the next update. Nothing is lost when it is given up.
    pub async fn next(&mut self) -> Update {
        loop {
            if let Some(update) = self.pending.pop_front() {
                return update;
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
            if self.wants("bars") {
                self.pending.push_back(Update { event: "missed", data: "{}".to_owned() });
            }
        }
        if !news.bars.is_empty() {
            self.push("bars", &news.bars.iter().map(Object).collect::<Vec<_>>());
        }
        if !news.trades.is_empty() {
            self.push("trades", &news.trades.iter().map(Object).collect::<Vec<_>>());
        }
        self.ticks += 1;
        if self.ticks % SLOW_TICKS == 1 {
            self.push("state", &self.hub.shown_state());
            let quotes = self.hub.quotes(&mut self.quotes_cursor);
            if !quotes.is_empty() {
                self.push("quotes", &quotes);
            }
        }
    }

    fn wants(&self, event: &str) -> bool {
        self.kinds.contains(&event)
    }

    fn push(&mut self, event: &'static str, payload: &impl Serialize) {
        if self.wants(event) {
            // Only plain rows of texts and numbers come here, which always serialize.
            let data = serde_json::to_string(payload).unwrap_or_default();
            self.pending.push_back(Update { event, data });
        }
    }
}

/// What a reader names; no symbols are all symbols, no interval is every interval.
pub(super) fn wanted(
    context: &ApiContext,
    mut symbols: Vec<String>,
    interval: Option<&str>,
) -> Result<Wanted, Problem> {
    symbols.sort();
    symbols.dedup();
    let interval = interval.map(|text| context.interval(text)).transpose()?;
    Ok(Wanted { symbols, interval })
}

fn kinds(text: Option<&str>) -> Result<Vec<&'static str>, Problem> {
    let Some(text) = text else { return Ok(KINDS.to_vec()) };
    let known = |name: &str| {
        KINDS.into_iter().find(|kind| *kind == name).ok_or_else(|| {
            let kinds = KINDS.join(", ");
            Problem::bad_parameter(format!("'events' names '{name}'; there are {kinds}"))
        })
    };
    text.split(',').map(known).collect()
}
