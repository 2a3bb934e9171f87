//! The latest of everything, for pages and progress lines: what the pipeline tells `port::Live` is
//! folded into a small board, and each reader asks for what changed since it last looked. In a
//! process without a pipeline somebody polls the store for it (`store_poller`).
//!
//! A board instead of a queue per reader: it costs the pipeline the same with no reader and with a
//! hundred, a slow reader gets the newest state and never a backlog, and memory is bounded.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::feed_board::FeedBoard;
use super::health::Readiness;
use super::state::{BarCounts, DivertedView, Rates, ShownState, StateView, StoreView};
use crate::model::{Bar, Disposition, Interval, Judged, StoredEvent, Tally};
use crate::port::{BeatReport, Clock, Live};

/// Bars kept per symbol and interval: the forming one, and those that lateness may still correct.
const RECENT_BARS: usize = 8;
/// Trades kept per symbol: what a page lists.
const RECENT_TRADES: usize = 40;
/// Symbols followed; what is beyond stands in the store only.
const SYMBOLS_MAX: usize = 5_000;
/// Of one call, the newest so many trades are looked at: the pipeline's time is bounded.
const TRADES_PER_CALL: usize = 1_000;
/// Rates are taken over so long.
const RATE_WINDOW_US: i64 = 5_000_000;

/// Receives what the pipeline does and answers readers.
pub struct LiveHub {
    clock: Arc<dyn Clock>,
    readiness: Readiness,
    board: Mutex<Board>,
    /// What each open reader wants, for whoever polls for it.
    followed: Mutex<FxHashMap<u64, Wanted>>,
}

#[derive(Default)]
struct Board {
    /// Moves with every change; a reader's cursor is the version that it has seen.
    version: u64,
    /// The version at the last beat: what is older can be read from the store.
    stored_version: u64,
    /// Beats so far.
    beat_count: u64,
    /// In the store that is polled; `None`: a pipeline tells what happens.
    known_symbols: Option<usize>,
    tapes: FxHashMap<Arc<str>, Tape>,
    latest_bar: Option<Bar>,
    bar_counts: BarCounts,
    feed: FeedBoard,
    report: BeatReport,
    /// `(monotonic µs, tally)` of the beats within the rate window, and the last one before it.
    beats: VecDeque<(i64, Tally)>,
}

#[derive(Default)]
struct Tape {
    bars: Vec<(Interval, BarRing)>,
    trades: VecDeque<(u64, Judged)>,
    quote: Option<(u64, Quote)>,
}

#[derive(Default)]
struct BarRing {
    bars: Vec<(u64, Bar)>,
    /// The newest version that was pushed out: a reader older than this has missed something.
    evicted_version: u64,
}

/// The last price of a symbol.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(super) struct Quote {
    pub symbol: String,
    pub price: f64,
    pub ts: i64,
}

/// Which bars and trades a reader wants.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    /// None of them: all.
    pub symbols: Vec<String>,
    /// `None`: every interval.
    pub interval: Option<Interval>,
}

impl Wanted {
    /// As it is told to the reader.
    pub fn to_json(&self) -> String {
        let interval = self.interval.map(|interval| interval.to_string());
        serde_json::json!({ "symbols": self.symbols, "interval": interval }).to_string()
    }
}

/// Held by an open reader: what it wants is polled for as long.
pub(super) struct Followed {
    hub: Arc<LiveHub>,
    number: u64,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.hub.followed_board().remove(&self.number);
    }
}

/// What changed since the cursor.
#[derive(Debug, Default)]
pub(super) struct News {
    pub bars: Vec<Bar>,
    pub trades: Vec<Judged>,
    /// Bars were pushed out before this reader saw them: it should read them from the store, once
    /// the next beat has put them there.
    pub missed: bool,
    /// Beats so far.
    pub beats: u64,
}

impl LiveHub {
    /// Not ready until the pipeline says so.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            readiness: Readiness::not_yet("starting"),
            board: Mutex::default(),
            followed: Mutex::default(),
        }
    }

    /// For a process that has no pipeline and polls a store.
    pub fn over_store(clock: Arc<dyn Clock>) -> Self {
        let hub = Self::new(clock);
        hub.board().known_symbols = Some(0);
        hub
    }

    /// For `/readyz`; follows what the pipeline says.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Names what the trades come from.
    pub fn set_source(&self, source: &str) {
        self.board().feed.source = source.to_owned();
    }

    /// The picture after the last beat.
    pub fn state(&self) -> StateView {
        let (now_ms, now_us) = (self.clock.now_us().div_euclid(1_000), self.clock.monotonic_us());
        let diverted = DivertedView::all();
        let board = self.board();
        StateView {
            now: now_ms,
            feed: board.feed.view(),
            bars: board.bar_counts,
            rates: board.rates(now_us),
            diverted,
            ..StateView::of(&board.report)
        }
    }

    /// The same for readers: of a pipeline only where there is one in this process.
    pub(super) fn shown_state(&self) -> ShownState {
        let known_symbols = self.board().known_symbols;
        match known_symbols {
            None => ShownState::Pipeline(Box::new(self.state())),
            Some(symbols) => {
                let (now_us, board) = (self.clock.now_us(), self.board());
                let feed = board.feed.view_from_afar(now_us);
                ShownState::Store(StoreView { now: now_us.div_euclid(1_000), feed, symbols })
            }
        }
    }

    /// The bar that was told of last, of any symbol and interval.
    pub fn latest_bar(&self) -> Option<Bar> {
        self.board().latest_bar.clone()
    }

    /// Bars and trades that changed after `cursor` (`None`: the reader begins), which moves on.
    pub(super) fn news(&self, wanted: &Wanted, cursor: &mut Option<u64>) -> News {
        let board = self.board();
        let mut news = News { beats: board.beat_count, ..News::default() };
        // A reader that begins is about to read the store.
        let read_version = cursor.unwrap_or(board.stored_version);
        let seen_version = cursor.unwrap_or(0);
        let mut collect =
            |tape: &Tape| tape.collect(wanted.interval, seen_version, read_version, &mut news);
        if wanted.symbols.is_empty() {
            board.tapes.values().for_each(collect);
        } else {
            let tapes = wanted.symbols.iter().filter_map(|name| board.tapes.get(name.as_str()));
            tapes.for_each(&mut collect);
        }
        *cursor = Some(board.version);
        drop(board);
        news.bars.sort_by_key(|bar| bar.window.start_ms);
        news
    }

    /// Last prices that changed after `cursor`, which moves on.
    pub(super) fn quotes(&self, cursor: &mut u64) -> Vec<Quote> {
        let board = self.board();
        let quotes = board.tapes.values().filter_map(|tape| tape.quote.as_ref());
        let changed = quotes.filter(|(version, _)| *version > *cursor);
        let changed = changed.map(|(_, quote)| quote.clone()).collect();
        *cursor = board.version;
        changed
    }

    /// Notes what a reader wants, until the answer is dropped.
    pub(super) fn follow(hub: &Arc<Self>, wanted: Wanted) -> Followed {
        let mut followed = hub.followed_board();
        let number = followed.keys().max().map_or(0, |newest| newest + 1);
        followed.insert(number, wanted);
        Followed { hub: Arc::clone(hub), number }
    }

    /// What the open readers want.
    pub(super) fn followed(&self) -> Vec<Wanted> {
        self.followed_board().values().cloned().collect()
    }

    /// For a hub without a pipeline: what was told of is in the store, which knows so many symbols.
    pub(super) fn polled(&self, known_symbols: usize) {
        let mut board = self.board();
        board.known_symbols = Some(known_symbols);
        board.stored_version = board.version;
        board.beat_count += 1;
    }

    fn followed_board(&self) -> MutexGuard<'_, FxHashMap<u64, Wanted>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        // The board is only ever a picture: one that a panic left half drawn is drawn over.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live for LiveHub {
    fn bars(&self, bars: &[Bar]) {
        let mut board = self.board();
        board.version += 1;
        let version = board.version;
        for bar in bars {
            board.bar_counts.add(bar.state);
            if let Some(tape) = board.tape(&bar.symbol) {
                tape.take_bar(version, bar);
            }
        }
        if let Some(bar) = bars.last() {
            board.latest_bar = Some(bar.clone());
        }
    }

    fn trades(&self, trades: &[Judged]) {
        let mut board = self.board();
        board.version += 1;
        let version = board.version;
        for judged in &trades[trades.len().saturating_sub(TRADES_PER_CALL)..] {
            // A rejected record's symbol may be anything; it must not open a tape.
            let tape = match judged.disposition {
                Disposition::Rejected(_) => board.tapes.get_mut(judged.trade.symbol.as_str()),
                _ => board.tape(&judged.trade.symbol),
            };
            if let Some(tape) = tape {
                tape.take_trade(version, judged);
            }
        }
    }

    fn events(&self, events: &[StoredEvent]) {
        let mut board = self.board();
        events.iter().for_each(|stored| board.feed.take(&stored.event));
    }

    fn ready(&self, ready: bool, reason: &str) {
        if ready { self.readiness.set_ready() } else { self.readiness.set_not_ready(reason) }
    }

    fn beat(&self, report: &BeatReport) {
        let now_us = self.clock.monotonic_us();
        let mut board = self.board();
        board.beats.push_back((now_us, report.tally));
        while board.beats.get(1).is_some_and(|(at_us, _)| now_us - at_us >= RATE_WINDOW_US) {
            board.beats.pop_front();
        }
        board.report = report.clone();
        board.stored_version = board.version;
        board.beat_count += 1;
    }
}

impl Board {
    /// The tape of `symbol`; `None` when it is new and the board is full.
    fn tape(&mut self, symbol: &str) -> Option<&mut Tape> {
        if !self.tapes.contains_key(symbol) {
            if self.tapes.len() >= SYMBOLS_MAX {
                return None;
            }
            self.tapes.insert(symbol.into(), Tape::default());
        }
        self.tapes.get_mut(symbol)
    }

    fn rates(&self, now_us: i64) -> Rates {
        let (Some((_, oldest)), Some((newest_us, newest))) =
            (self.beats.front(), self.beats.back())
        else {
            return Rates::default();
        };
        // Without beats for a while the rate falls towards zero instead of standing still.
        let stale = now_us - newest_us > RATE_WINDOW_US;
        let until_us = if stale { now_us } else { *newest_us };
        let since_us = self.beats.front().map_or(until_us, |(at_us, _)| *at_us);
        Rates::between(oldest, newest, (until_us - since_us) as f64 / 1e6)
    }
}

impl Tape {
    fn take_bar(&mut self, version: u64, bar: &Bar) {
        let position = self.bars.iter().position(|(interval, _)| *interval == bar.interval);
        let position = position.unwrap_or_else(|| {
            self.bars.push((bar.interval, BarRing::default()));
            self.bars.len() - 1
        });
        self.bars[position].1.take(version, bar);
    }

    fn take_trade(&mut self, version: u64, judged: &Judged) {
        if self.trades.len() == RECENT_TRADES {
            self.trades.pop_front();
        }
        self.trades.push_back((version, judged.clone()));
        let (price, ts) = (judged.trade.price, judged.trade.trade_time_ms);
        if judged.disposition != Disposition::Merged || !judged.updates_last {
            return;
        }
        let symbol = || judged.trade.symbol.to_string();
        let (seen, quote) = self
            .quote
            .get_or_insert_with(|| (version, Quote { symbol: symbol(), price, ts: i64::MIN }));
        if quote.ts <= ts {
            (*seen, quote.price, quote.ts) = (version, price, ts);
        }
    }

    fn collect(
        &self,
        interval: Option<Interval>,
        seen_version: u64,
        read_version: u64,
        news: &mut News,
    ) {
        for (_, ring) in self.bars.iter().filter(|(own, _)| interval.is_none_or(|i| i == *own)) {
            news.missed |= ring.evicted_version > read_version;
            let changed = ring.bars.iter().filter(|(version, _)| *version > seen_version);
            news.bars.extend(changed.map(|(_, bar)| bar.clone()));
        }
        let changed = self.trades.iter().filter(|(version, _)| *version > seen_version);
        news.trades.extend(changed.map(|(_, judged)| judged.clone()));
    }
}

impl BarRing {
    fn take(&mut self, version: u64, bar: &Bar) {
        let same = self.bars.iter_mut().find(|(_, kept)| kept.window == bar.window);
        if let Some(kept) = same {
            *kept = (version, bar.clone());
            return;
        }
        if self.bars.len() == RECENT_BARS {
            // Of those that came together, the newest windows are what is shown.
            let age = |index: &usize| (self.bars[*index].0, self.bars[*index].1.window.start_ms);
            let oldest = (0..self.bars.len()).min_by_key(age);
            let (evicted_version, _) = self.bars.swap_remove(oldest.unwrap_or(0));
            self.evicted_version = self.evicted_version.max(evicted_version);
        }
        self.bars.push((version, bar.clone()));
    }
}
