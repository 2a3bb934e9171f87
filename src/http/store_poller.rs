//! Live updates where there is no pipeline in this process: the store is asked again and again for
//! what open readers follow, and what is new is told to the hub, as a pipeline would.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::time::{MissedTickBehavior, interval};

use super::live_hub::LiveHub;
use crate::error::{Error, Result};
use crate::model::{Bar, BarState, Interval, Judged};
use crate::port::{BarQuery, Clock, Live, StoreReader, Tier, TradeQuery};
use crate::runtime::Shutdown;

/// The stream writes forming bars once a second.
const POLL_EVERY: Duration = Duration::from_secs(1);
/// Symbols and feed events are asked for with every fifth poll.
const SLOW_POLLS: u64 = 5;
/// Bars of a symbol and interval that are looked at: the forming one, and those that lateness may
/// still correct.
const RECENT_BARS: usize = 8;
/// Trades of a symbol that are looked at: what a page lists.
const RECENT_TRADES: usize = 40;
/// Trades before the newest bar that are looked at too, ms: the last ones of the bar before it.
const TRADES_BEFORE_MS: i64 = 10_000;
/// Pairs of a symbol and an interval that are asked for in one poll, the first of the alphabet.
const FOLLOWED_MAX: usize = 1_000;
/// How far back the first look at the feed reaches, ms: a heartbeat comes every few seconds.
const FEED_LOOK_BACK_MS: i64 = 600_000;
/// Events may be stored so much later than they happened, ms.
const FEED_OVERLAP_MS: i64 = 60_000;

/// What tells two contents of a bar apart.
type Content = (i64, i64, i64, BarState);

/// Asks the store, and remembers what it has told already.
pub struct StorePoller {
    reader: Arc<dyn StoreReader>,
    hub: Arc<LiveHub>,
    clock: Arc<dyn Clock>,
    intervals: Vec<Interval>,
    polls: u64,
    symbols: Vec<String>,
    /// The contents that were there at the last look.
    bars: FxHashMap<(String, Interval), Vec<Content>>,
    /// Connection and seq of the trades that were there at the last look.
    trades: FxHashMap<String, FxHashSet<(i64, i64)>>,
    feed_seen_to_ms: Option<i64>,
}

impl StorePoller {
    /// `intervals` are those that have a table.
    pub fn new(
        reader: Arc<dyn StoreReader>,
        hub: Arc<LiveHub>,
        clock: Arc<dyn Clock>,
        intervals: &[Interval],
    ) -> Self {
        Self {
            reader,
            hub,
            clock,
            intervals: intervals.to_vec(),
            polls: 0,
            symbols: Vec::new(),
            bars: FxHashMap::default(),
            trades: FxHashMap::default(),
            feed_seen_to_ms: None,
        }
    }

    /// Polls until `stop` is asked for. A store that does not answer makes the process not ready,
    /// until it does.
    ///
    /// # Errors
    /// `Bug` when a poll ended by a panic.
    pub async fn run(mut self, stop: Shutdown) -> Result<()> {
        let mut ticker = interval(POLL_EVERY);
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.requested() => return Ok(()),
                _ = ticker.tick() => {}
            }
            // Reading blocks.
            let polled = tokio::task::spawn_blocking(move || {
                self.poll();
                self
            });
            let ended = |_| Error::Bug("looking at the store ended by a panic".to_owned());
            self = polled.await.map_err(ended)?;
        }
    }

    fn poll(&mut self) {
        match self.look() {
            Ok(()) => self.hub.ready(true, ""),
            Err(error) => self.hub.ready(false, &error.to_string()),
        }
    }

    fn look(&mut self) -> Result<()> {
        if self.polls.is_multiple_of(SLOW_POLLS) {
            self.symbols = self.reader.symbols()?;
            self.look_at_feed()?;
        }
        let followed = self.followed();
        self.bars.retain(|pair, _| followed.contains(pair));
        self.trades.retain(|symbol, _| followed.iter().any(|(own, _)| own == symbol));
        let mut looked_at: Option<String> = None;
        for (symbol, interval) in followed {
            let Some(newest_ms) = self.look_at_bars(&symbol, interval)? else { continue };
            // The intervals of a symbol follow each other, the shortest first.
            if looked_at.as_deref() != Some(&*symbol) {
                self.look_at_trades(&symbol, newest_ms)?;
                looked_at = Some(symbol);
            }
        }
        self.hub.polled(self.symbols.len());
        self.polls += 1;
        Ok(())
    }

    /// Symbols and intervals that somebody follows, each once, in order.
    fn followed(&self) -> BTreeSet<(String, Interval)> {
        let mut followed = BTreeSet::new();
        for wanted in self.hub.followed() {
            let symbols = if wanted.symbols.is_empty() { &self.symbols } else { &wanted.symbols };
            for symbol in symbols {
                let intervals = match &wanted.interval {
                    Some(interval) => std::slice::from_ref(interval),
                    None => &self.intervals,
                };
                followed.extend(intervals.iter().map(|interval| (symbol.clone(), *interval)));
            }
        }
        followed.into_iter().take(FOLLOWED_MAX).collect()
    }

    /// Tells of new contents; returns the start of the newest bar, ms since the epoch.
    fn look_at_bars(&mut self, symbol: &str, interval: Interval) -> Result<Option<i64>> {
        let bars = self.reader.bars(&BarQuery {
            symbol: symbol.to_owned(),
            interval,
            from_ms: i64::MIN,
            to_ms: i64::MAX,
            limit: RECENT_BARS,
        })?;
        let content = |bar: &Bar| (bar.window.start_ms, bar.generation, bar.revision, bar.state);
        let contents = bars.iter().map(content).collect();
        let newest_ms = bars.last().map(|bar| bar.window.start_ms);
        let seen = self.bars.insert((symbol.to_owned(), interval), contents).unwrap_or_default();
        let fresh: Vec<Bar> =
            bars.into_iter().filter(|bar| !seen.contains(&content(bar))).collect();
        if !fresh.is_empty() {
            self.hub.bars(&fresh);
        }
        Ok(newest_ms)
    }

    /// Tells of the trades of a bar that starts at `start_ms` that were not there before.
    fn look_at_trades(&mut self, symbol: &str, start_ms: i64) -> Result<()> {
        let trades = self.reader.trades(&TradeQuery {
            symbol: symbol.to_owned(),
            tier: Tier::Silver,
            from_ms: start_ms.saturating_sub(TRADES_BEFORE_MS),
            to_ms: start_ms.saturating_add(self.longest_ms()),
            limit: RECENT_TRADES,
        })?;
        let identity = |it: &Judged| (it.trade.connection, it.trade.seq);
        let identities = trades.iter().map(identity).collect();
        let seen = self.trades.insert(symbol.to_owned(), identities).unwrap_or_default();
        let fresh: Vec<_> =
            trades.into_iter().filter(|trade| !seen.contains(&identity(trade))).collect();
        if !fresh.is_empty() {
            self.hub.trades(&fresh);
        }
        Ok(())
    }

    fn longest_ms(&self) -> i64 {
        self.intervals.iter().map(|interval| interval.length_ms()).max().unwrap_or_default()
    }

    fn look_at_feed(&mut self) -> Result<()> {
        let now_ms = self.clock.now_us().div_euclid(1_000);
        let from_ms = self
            .feed_seen_to_ms
            .map_or(now_ms - FEED_LOOK_BACK_MS, |seen_ms| seen_ms - FEED_OVERLAP_MS);
        let mut events = self.reader.events(from_ms, now_ms + FEED_OVERLAP_MS)?;
        events.sort_by_key(|stored| (stored.event.connection, stored.event.seq));
        // `finnhub/0` is the first key's connection of the producer `finnhub`.
        let producer = events.last().and_then(|stored| stored.event.feed.split('/').next());
        if let Some(producer) = producer {
            self.hub.set_source(producer);
        }
        self.hub.events(&events);
        self.feed_seen_to_ms = Some(now_ms);
        Ok(())
    }
}
