//! What a step of the engine wants done: rows for the tables, records for the topics.

use compact_str::CompactString;

use super::bar::Bar;
use super::completeness::{BarRevision, FeedGap};
use super::feed_event::FeedEvent;
use super::trade::{Judged, Origin};

/// A feed event with its place in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    pub origin: Origin,
    pub event: FeedEvent,
}

/// The effects of one or more steps, in order. The pipeline derives topic records from them, each
/// store the rows of its tables.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effects {
    /// Every numbered element that decoded. Bronze takes all of them, silver those whose
    /// disposition `is_silver`, the late topic the late ones.
    pub trades: Vec<Judged>,
    /// Gold: closed and corrected bars as they came about, provisional ones as they were sampled.
    pub bars: Vec<Bar>,
    /// History of bars that changed after their closing: what they were, then each change.
    pub revisions: Vec<BarRevision>,
    pub events: Vec<StoredEvent>,
    /// Gaps that began, and the same again when they ended.
    pub gaps: Vec<FeedGap>,
    /// Symbols that this engine saw for the first time since it was made.
    pub symbols: Vec<String>,
    /// Sale-condition codes that no row of the table settles, one entry a trade and code.
    pub unknown_codes: Vec<CompactString>,
    /// Trades of US stocks at a time of which the calendar knows no holidays.
    pub outside_calendar: u64,
}

impl Effects {
    pub fn is_empty(&self) -> bool {
        self.trades.is_empty()
            && self.bars.is_empty()
            && self.revisions.is_empty()
            && self.events.is_empty()
            && self.gaps.is_empty()
            && self.symbols.is_empty()
    }

    /// Empties it and keeps the memory.
    pub fn clear(&mut self) {
        self.trades.clear();
        self.bars.clear();
        self.revisions.clear();
        self.events.clear();
        self.gaps.clear();
        self.symbols.clear();
        self.unknown_codes.clear();
        self.outside_calendar = 0;
    }
}
