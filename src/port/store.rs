//! The tables: written by the pipeline, read by commands and pages. Writes are idempotent by key
//! and ordered by write timestamp, so writing again is harmless and an old writer can never win.

use std::time::Duration;

use crate::error::Result;
use crate::model::{Bar, BarRevision, Effects, FeedGap, Interval, Judged, StoredEvent};

/// The writing side. One per pipeline.
pub trait Store: Send {
    /// Starts the writes; blocks while too many are in flight.
    ///
    /// # Errors
    /// `Unavailable`: not written, call `write` again with the same rows (idempotent); a table that
    /// was dropped under the writer counts as away. `Config`: it refuses the row for good.
    fn write(&mut self, rows: &Effects) -> Result<()>;

    /// Waits until `write` would not block, at most `within`; false: not yet. For a caller that has
    /// something else to see to.
    ///
    /// # Errors
    /// As of `write`.
    fn await_room(&mut self, _within: Duration) -> Result<bool> {
        Ok(true)
    }

    /// Returns when everything started is acknowledged. After `Unavailable`, what is not must be
    /// written again; the store keeps it and does so itself on the next call, of whichever kind.
    fn flush(&mut self) -> Result<()>;

    /// Draws a line: `await_mark` is about what was started before it. A later mark takes the place
    /// of an earlier one.
    fn mark(&mut self) {}

    /// Waits until everything started before the mark is acknowledged, at most `within`; false: not
    /// yet. What was started after it may still be on its way, and goes on.
    ///
    /// # Errors
    /// As of `flush`.
    fn await_mark(&mut self, _within: Duration) -> Result<bool> {
        self.flush().map(|()| true)
    }

    /// Starts the removal of bars for which a rebuild found no trade. Like a bar of revision 0 of
    /// the named generation: whatever has that generation, or a later one, stays.
    fn remove(&mut self, bars: &[BarRemoval]) -> Result<()>;
}

/// Names a bar that shall no longer be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BarRemoval {
    pub symbol: String,
    pub interval: Interval,
    pub start_ms: i64,
    /// The generation of the rebuild.
    pub generation: i64,
}

/// Which trades table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    Bronze,
    Silver,
}

/// Bars of one symbol and interval with `from_ms <= start < to_ms`, in order of start.
#[derive(Debug, Clone)]
pub struct BarQuery {
    pub symbol: String,
    pub interval: Interval,
    pub from_ms: i64,
    pub to_ms: i64,
    /// At most so many, the newest ones of the range.
    pub limit: usize,
}

/// A column of doubles beside its exact text (`volume`, `volume_exact`) that says something else.
#[derive(Debug, Clone, PartialEq)]
pub struct Contradiction {
    pub start_ms: i64,
    /// The column of doubles.
    pub column: String,
    pub value: Option<f64>,
    pub exact: Option<String>,
}

/// Trades of one symbol with `from_ms <= trade time < to_ms`, in order of (time, connection, seq).
#[derive(Debug, Clone)]
pub struct TradeQuery {
    pub symbol: String,
    pub tier: Tier,
    pub from_ms: i64,
    pub to_ms: i64,
    /// At most so many, the newest ones of the range.
    pub limit: usize,
}

/// Gaps that began this long before a range are looked for, ms: seven days, longer than a market is
/// closed.
pub const GAP_LOOK_BACK_MS: i64 = 7 * 86_400_000;

/// The reading side, shared by commands and pages.
pub trait StoreReader: Send + Sync {
    /// Every symbol ever stored, sorted.
    fn symbols(&self) -> Result<Vec<String>>;
    /// An unknown interval (no table) is `Config`.
    fn bars(&self, query: &BarQuery) -> Result<Vec<Bar>>;
    fn trades(&self, query: &TradeQuery) -> Result<Vec<Judged>>;
    /// Every symbol that has a bar of this interval, sorted; `symbols` knows only those of which a
    /// trade was seen.
    fn bar_symbols(&self, interval: Interval) -> Result<Vec<String>>;
    /// What bars with `from_ms <= start < to_ms` were at their closing and became afterwards, in
    /// order of (start, generation, revision). `query.limit` counts rows, the newest ones.
    fn revisions(&self, query: &BarQuery) -> Result<Vec<BarRevision>>;
    /// Feed events of every partition of the log with `from_ms <= at < to_ms` (the producer's
    /// clock), in order of (partition, offset).
    fn events(&self, from_ms: i64, to_ms: i64) -> Result<Vec<StoredEvent>>;
    /// Gaps of one symbol that overlap `[from_ms, to_ms)`, in order of (start, connection, cause).
    /// Looks for gaps that began up to `GAP_LOOK_BACK_MS` before the range.
    fn gaps(&self, symbol: &str, from_ms: i64, to_ms: i64) -> Result<Vec<FeedGap>>;
    /// Cells of the bars of a query that do not say what their exact twin says; `limit` does not
    /// count here. Nothing of ours writes such a row.
    fn contradictions(&self, query: &BarQuery) -> Result<Vec<Contradiction>>;
}
