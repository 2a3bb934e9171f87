//! What the tables hold of one window, gathered and handed to the engine's rules.

use std::sync::Arc;

use crate::codec::row::BUCKET_MS;
use crate::config::{Config, Lifetimes};
use crate::engine::Rules;
use crate::engine::explanation::{self, Evidence, Question};
use crate::error::{Error, Result};
use crate::model::{Explanation, FeedEventKind, Judged, StoredEvent, Window};
use crate::port::{BarQuery, Clock, Explain, ExplainRequest, StoreReader, Tier, TradeQuery};
use crate::role::wiring;

/// Trades of a window held at once: a day of the busiest fund, some hundreds of megabytes.
const TRADES_MAX: usize = 1_000_000;
/// Contents of one bar read at most.
const REVISIONS_MAX: usize = 1_000;

/// The engine's rules as configured, lent to whoever wants a bar explained.
pub struct Explainer {
    rules: Arc<Rules>,
    /// How long silver keeps trades, s; 0 for ever.
    silver_s: i64,
    clock: Arc<dyn Clock>,
}

impl Explainer {
    /// # Errors
    /// `Config` naming the key that does not fit.
    pub fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self> {
        let silver_s = Lifetimes::of(config)?.silver_s;
        Ok(Self { rules: wiring::rules(config)?, silver_s, clock })
    }

    fn silver_from_ms(&self) -> Option<i64> {
        let now_ms = self.clock.now_us().div_euclid(1_000);
        (self.silver_s > 0).then(|| now_ms - self.silver_s * 1_000)
    }
}

impl Explain for Explainer {
    fn explain(&self, reader: &dyn StoreReader, request: &ExplainRequest) -> Result<Explanation> {
        let (symbol, interval) = (request.symbol.clone(), request.interval);
        let window = interval.window_of(request.at_ms);
        let bar = BarQuery {
            symbol: symbol.clone(),
            interval,
            from_ms: window.start_ms,
            to_ms: window.start_ms + 1,
            limit: 1,
        };
        let history = BarQuery { limit: REVISIONS_MAX, ..bar.clone() };
        let evidence = Evidence {
            bar: reader.bars(&bar)?.pop(),
            silver: trades(reader, request, window, Tier::Silver)?,
            diverted: trades(reader, request, window, Tier::Bronze)?,
            gaps: reader.gaps(&symbol, window.start_ms, window.end_ms)?,
            events: events(reader, &symbol, window)?,
            revisions: reader.revisions(&history)?,
        };
        let (list_limit, silver_from_ms) = (request.list_limit, self.silver_from_ms());
        let question = Question { symbol, interval, window, list_limit, silver_from_ms };
        Ok(explanation::explain(&self.rules, &question, evidence))
    }
}

/// A bucket at a time; of bronze, only what silver does not have.
fn trades(
    reader: &dyn StoreReader,
    request: &ExplainRequest,
    window: Window,
    tier: Tier,
) -> Result<Vec<Judged>> {
    let mut found = Vec::new();
    let mut from_ms = window.start_ms;
    while from_ms < window.end_ms {
        let to_ms = (from_ms.div_euclid(BUCKET_MS) * BUCKET_MS + BUCKET_MS).min(window.end_ms);
        let limit = TRADES_MAX - found.len() + 1;
        let query = TradeQuery { symbol: request.symbol.clone(), tier, from_ms, to_ms, limit };
        let read = reader.trades(&query)?;
        let is_cut = read.len() == limit;
        found.extend(
            read.into_iter().filter(|one| tier == Tier::Silver || !one.disposition.is_silver()),
        );
        if is_cut {
            let (interval, symbol) = (request.interval, &request.symbol);
            return Err(Error::Config(format!(
                "this {interval} of {symbol} has over {TRADES_MAX} trades; explain a shorter \
                 interval"
            )));
        }
        from_ms = to_ms;
    }
    Ok(found)
}

/// Each event once, though it stands in every partition; no heartbeats, nothing of other symbols or
/// of what is no feed.
fn events(reader: &dyn StoreReader, symbol: &str, window: Window) -> Result<Vec<StoredEvent>> {
    let mut events = reader.events(window.start_ms, window.end_ms)?;
    events.retain(|StoredEvent { event, .. }| {
        let names_it = event.symbols.is_empty() || event.symbols.iter().any(|one| one == symbol);
        event.kind != FeedEventKind::Heartbeat && names_it && !event.is_of_no_feed()
    });
    events.sort_by_key(|stored| (stored.event.at_us, stored.event.connection, stored.event.seq));
    events.dedup_by_key(|stored| (stored.event.connection, stored.event.seq));
    Ok(events)
}
