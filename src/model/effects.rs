//! What a step of the engine wants done: rows for the tables, records for the topics.

use super::bar::Bar;
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
    /// disposition
    /// `is_silver`, the late topic the late ones.
    pub trades: Vec<Judged>,
    /// Gold: closed and corrected bars as they came about, provisional ones as they were sampled.
    pub bars: Vec<Bar>,
    pub events: Vec<StoredEvent>,
    /// Symbols that this engine saw for the first time since it was made.
    pub symbols: Vec<String>,
}

impl Effects {
    pub fn is_empty(&self) -> bool {
        self.trades.is_empty()
            && self.bars.is_empty()
            && self.events.is_empty()
            && self.symbols.is_empty()
    }

    /// Empties it and keeps the memory.
    pub fn clear(&mut self) {
        self.trades.clear();
        self.bars.clear();
        self.events.clear();
        self.symbols.clear();
    }
}
