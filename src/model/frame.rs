//! One message of the feed's socket, taken apart but not yet numbered: what the codec hands to the
//! intake, so that neither has to know the other.

use compact_str::CompactString;

use super::trade::Conditions;

/// When something reached the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arrival {
    /// Wall clock, µs since the epoch; 0 when there was no arrival (offline).
    pub at_us: i64,
    /// Monotonic clock, µs.
    pub monotonic_us: i64,
}

/// A message of the feed.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// `{"type":"trade","data":[…]}`, possibly with elements that are no trades.
    Trades(Vec<Element>),
    /// The feed's own sign of life, about once a minute; nobody answers it.
    Ping,
    /// `{"type":"error","msg":…}`; the symbol is named by some messages only.
    Error { message: String },
    /// Not JSON, not of the shape of a frame, or of a type that we do not know.
    Malformed { problem: String },
}

/// One element of a trade frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Element {
    Trade(FeedTrade),
    Malformed(MalformedElement),
}

/// What the feed says about one trade.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedTrade {
    pub symbol: CompactString,
    pub price: f64,
    pub volume: f64,
    /// Milliseconds since the UNIX epoch.
    pub trade_time_ms: i64,
    /// `None`: null or missing.
    pub conditions: Option<Conditions>,
    /// Its numbers that were sent with more digits than a double keeps (0, 1 or 2).
    pub inexact_numbers: u8,
}

/// An element that cannot be a trade; its neighbours are not affected.
#[derive(Debug, Clone, PartialEq)]
pub struct MalformedElement {
    /// The element's text as received.
    pub raw: String,
    /// Where it could be read.
    pub symbol: Option<String>,
    /// One clause for people.
    pub problem: String,
}
