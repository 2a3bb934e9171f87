//! What the engine must not forget: the records of the changelog. A partition restored from them
//! goes on as if it had never stopped.

use super::amount::{Amount, Turnover};
use super::bar::{Exclusion, ExclusionReason, PricePoint};
use super::completeness::{Completeness, GapCause};
use super::window::Interval;

/// A trade in the running for open, high, low or close, with what orders it among equals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    pub point: PricePoint,
    /// Arrival: the offset in the trades partition; orders trades of one millisecond.
    pub arrival: i64,
}

/// Everything that one window has seen, in a form whose merge order does not matter.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Accumulator {
    /// First and last among the trades that set open and close by full right.
    pub first: Option<Candidate>,
    pub last: Option<Candidate>,
    /// First and last among those that may only when there is no other.
    pub conditional_first: Option<Candidate>,
    pub conditional_last: Option<Candidate>,
    pub high: Option<Candidate>,
    pub low: Option<Candidate>,
    pub volume: Amount,
    pub turnover: Turnover,
    /// Trades whose codes allow volume, price updates included.
    pub trade_count: i64,
    /// By `ExclusionReason as usize`.
    pub excluded: [Exclusion; ExclusionReason::ALL.len()],
    /// Bit set over `Session as u8` of the trades seen.
    pub sessions: u8,
    /// Trades that changed this accumulator.
    pub inputs: i64,
}

/// One window of one symbol and interval as kept in the changelog. For the shortest interval the
/// accumulator is whole; for a longer one it holds what has been folded in from evicted ones.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowState {
    pub symbol: String,
    pub interval: Interval,
    pub start_ms: i64,
    pub accumulator: Accumulator,
    /// The watermark has passed the end and the bar was emitted as closed.
    pub closed: bool,
    /// Inputs other than trades that changed the bar: its closing, feed events.
    pub extra_revisions: i64,
    /// The bar changed after its closing.
    pub corrected: bool,
    /// As told with the last closed or corrected bar; `None` before the closing.
    pub completeness: Option<Completeness>,
}

/// One connection as a partition knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionState {
    pub connection: i64,
    pub feed: String,
    /// Highest seq seen: what is at or below it is a duplicate.
    pub mark: i64,
    /// A `connected` event was seen and no `disconnected` or `released` since.
    pub live: bool,
    /// Newest feed time: of its accepted trades and heartbeats, ms since the epoch.
    pub feed_time_ms: Option<i64>,
    /// Watermark at which the connection ended (kept until the horizon has passed), ms.
    pub ended_at_watermark_ms: Option<i64>,
    /// Why it ended.
    pub ended_by: Option<GapCause>,
    /// Feed time − the producer's clock when both were last told, ms: dates what came before.
    pub feed_offset_ms: Option<i64>,
    /// Newest feed time at which it was known to be up: of its frames, pings and trades, ms.
    pub confirmed_ms: Option<i64>,
}

/// One connection's ownership of a symbol: from the `subscribed` event that named it to the next
/// connection's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnedSpan {
    pub connection: i64,
    /// Trades of other connections received after this are `not_owner`, µs since the epoch.
    pub since_us: i64,
    /// The same instant in feed time, ms; `None` until the connection has one.
    pub up_from_ms: Option<i64>,
}

/// Records lost while the connection was up: at an instant (`from_ms == to_ms`), or over a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    pub from_ms: i64,
    pub to_ms: i64,
}

/// Who delivered a symbol, and what was lost, as far back as its windows reach.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SymbolFeed {
    pub symbol: String,
    /// In order of takeover; the last one owns the symbol.
    pub spans: Vec<OwnedSpan>,
    /// In order, without overlap.
    pub losses: Vec<Loss>,
}

/// How the records of a partition ended, since its generation began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub merged: i64,
    pub duplicate: i64,
    pub rejected: i64,
    pub late: i64,
    pub control: i64,
}

impl Tally {
    /// Every record that was consumed: the conservation law compares this with the offsets.
    pub fn total(&self) -> i64 {
        self.merged + self.duplicate + self.rejected + self.late + self.control
    }
}

/// The meta record of a partition, written with every beat.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PartitionMeta {
    /// The offset that follows the last record merged into this state.
    pub next_offset: i64,
    pub watermark_ms: Option<i64>,
    pub connections: Vec<ConnectionState>,
    /// Highest connection whose mark was dropped: older unknown connections are diverted.
    pub dropped_up_to: i64,
    pub tally: Tally,
    /// Records consumed from the log since the generation began; equals `tally.total()`.
    pub consumed: i64,
    pub generation: i64,
    /// The partition count this state was made under.
    pub partition_count: u32,
    /// Records of windows and of feeds in this state, so that a changelog that has lost some of
    /// them is noticed; `None` when the writer did not count (version 1).
    pub windows: Option<i64>,
    pub feeds: Option<i64>,
}

impl PartitionMeta {
    /// Windows and feeds that the state consists of, when a changelog holds `windows` and `feeds`
    /// and these are others: part of it was deleted. A writer that did not count is believed.
    pub fn counts_unlike(&self, windows: i64, feeds: i64) -> Option<(i64, i64)> {
        let own = (self.windows.unwrap_or(windows), self.feeds.unwrap_or(feeds));
        (own != (windows, feeds)).then_some(own)
    }
}

/// From when on a partition makes the bars of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveInterval {
    pub interval: Interval,
    /// Windows that start earlier are silent: nothing tells of them. `None`: since ever.
    pub from_ms: Option<i64>,
}

/// What was told of before a reset, and is read again only to know the feed: no row and no record
/// is made of these trades once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// Records from this offset on are new.
    pub below_offset: i64,
    /// Trades of this time or later are told of again, ms.
    pub before_ms: i64,
}

/// What a partition makes of its records. It changes with the configuration and with a reset, so it
/// is a record of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// The intervals that the state was made under.
    pub intervals: Vec<ActiveInterval>,
    pub told: Option<Told>,
}

/// One record of the changelog.
#[expect(clippy::large_enum_variant, reason = "nearly all are windows; boxes would only cost")]
#[derive(Debug, Clone, PartialEq)]
pub enum StateRecord {
    Meta(PartitionMeta),
    Scope(Scope),
    Feed(SymbolFeed),
    Window(WindowState),
    /// The window was evicted: a tombstone for its key.
    Evicted {
        symbol: String,
        interval: Interval,
        start_ms: i64,
    },
}
