//! One trade as the feed sent it, and what became of it.

use compact_str::CompactString;
use smallvec::SmallVec;

use super::bar::Session;

/// Sale-condition codes: most trades have one or two.
pub type Conditions = SmallVec<[CompactString; 2]>;

/// One element of a Finnhub trade frame with the identity that the producer gave it at the socket.
///
/// `(connection, seq)` names it for good: Finnhub sends no id, and 10–23 % of genuine US prints
/// share symbol, millisecond, price, size and conditions, so its content cannot name it. Its texts
/// are as short as texts get, and are kept without an allocation of their own up to 24 bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Trade {
    /// As the feed spells it, for example `AAPL`, `BINANCE:BTCUSDT`, `IC MARKETS:1`.
    pub symbol: CompactString,
    /// In the quote currency. The decimal that this double prints as is the price.
    pub price: f64,
    /// Shares, or base-asset quantity; 0 is a price update.
    pub volume: f64,
    /// Event time, milliseconds since the UNIX epoch.
    pub trade_time_ms: i64,
    /// Sale-condition codes in the feed's order. `None`: the feed sent null or nothing.
    pub conditions: Option<Conditions>,
    /// The connection that delivered it: microseconds since the epoch at connect, made unique.
    pub connection: i64,
    /// Running number of the element on its connection, from 1.
    pub seq: i64,
    /// Arrival at the socket, microseconds since the UNIX epoch; 0 when there was no arrival
    /// (offline).
    pub received_at_us: i64,
    /// Which feed: producer name and key slot, for example `finnhub/0`.
    pub feed: CompactString,
}

/// Where a record stood in the input log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    pub partition: i32,
    pub offset: i64,
}

/// How a numbered element ended. Nothing else can happen to it (conservation law).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// Counted in its window (also when its codes let it count for nothing).
    Merged,
    /// Not the first of its kind.
    Duplicate(DuplicateReason),
    /// Not a trade that we can believe.
    Rejected(RejectReason),
    /// Older than watermark − allowed lateness.
    Late,
}

/// Why a record was taken as a repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DuplicateReason {
    /// Its seq is at or below the high-water mark of its connection in this partition.
    Seq,
    /// Another connection had taken the symbol over before it was received.
    NotOwner,
}

/// Why a record was diverted to `trades-rejected`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectReason {
    PriceNotFinite,
    PriceNotPositive,
    PriceOutOfRange,
    VolumeNotFinite,
    VolumeNegative,
    VolumeOutOfRange,
    TimeInFuture,
    TimeTooEarly,
    SymbolEmpty,
    SymbolTooLong,
    /// The key is missing or is not the symbol.
    KeyMismatch,
    /// The key hashes to another partition than the one the record came from.
    WrongPartition,
    /// The bytes are no Avro `Trade` of a schema that we know.
    Undecodable,
    /// A null value without the feed-event header.
    NullValue,
    /// The feed-event header does not decode.
    BadEvent,
    /// Its connection was released and its mark dropped long ago.
    ReleasedConnection,
    /// Producer side: the frame is not JSON, or not of the shape of a trade frame.
    MalformedFrame,
    /// Producer side: one element of a frame has no time, no symbol, or text for a number.
    MalformedElement,
}

impl RejectReason {
    pub const ALL: [RejectReason; 18] = [
        Self::PriceNotFinite,
        Self::PriceNotPositive,
        Self::PriceOutOfRange,
        Self::VolumeNotFinite,
        Self::VolumeNegative,
        Self::VolumeOutOfRange,
        Self::TimeInFuture,
        Self::TimeTooEarly,
        Self::SymbolEmpty,
        Self::SymbolTooLong,
        Self::KeyMismatch,
        Self::WrongPartition,
        Self::Undecodable,
        Self::NullValue,
        Self::BadEvent,
        Self::ReleasedConnection,
        Self::MalformedFrame,
        Self::MalformedElement,
    ];

    /// The name used in headers, tables and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PriceNotFinite => "price_not_finite",
            Self::PriceNotPositive => "price_not_positive",
            Self::PriceOutOfRange => "price_out_of_range",
            Self::VolumeNotFinite => "volume_not_finite",
            Self::VolumeNegative => "volume_negative",
            Self::VolumeOutOfRange => "volume_out_of_range",
            Self::TimeInFuture => "time_in_future",
            Self::TimeTooEarly => "time_too_early",
            Self::SymbolEmpty => "symbol_empty",
            Self::SymbolTooLong => "symbol_too_long",
            Self::KeyMismatch => "key_mismatch",
            Self::WrongPartition => "wrong_partition",
            Self::Undecodable => "undecodable",
            Self::NullValue => "null_value",
            Self::BadEvent => "bad_event",
            Self::ReleasedConnection => "released_connection",
            Self::MalformedFrame => "malformed_frame",
            Self::MalformedElement => "malformed_element",
        }
    }
}

impl DuplicateReason {
    /// The name used in tables and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seq => "seq",
            Self::NotOwner => "not_owner",
        }
    }
}

impl Disposition {
    /// `merged`, `duplicate`, `rejected` or `late`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Merged => "merged",
            Self::Duplicate(_) => "duplicate",
            Self::Rejected(_) => "rejected",
            Self::Late => "late",
        }
    }

    /// The reason within the disposition, empty where there is none.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Merged | Self::Late => "",
            Self::Duplicate(reason) => reason.as_str(),
            Self::Rejected(reason) => reason.as_str(),
        }
    }

    /// The inverse of `as_str` and `reason`, for rows read back; `None` for unknown words.
    pub fn parse(disposition: &str, reason: &str) -> Option<Self> {
        match disposition {
            "merged" => Some(Self::Merged),
            "late" => Some(Self::Late),
            "duplicate" => [DuplicateReason::Seq, DuplicateReason::NotOwner]
                .into_iter()
                .find(|candidate| candidate.as_str() == reason)
                .map(Self::Duplicate),
            "rejected" => RejectReason::ALL
                .into_iter()
                .find(|candidate| candidate.as_str() == reason)
                .map(Self::Rejected),
            _ => None,
        }
    }

    /// Whether the trade belongs to the silver tier: validated and not a repeat.
    pub fn is_silver(self) -> bool {
        matches!(self, Self::Merged | Self::Late)
    }
}

/// Where the window of a late trade stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LateWindow {
    /// Still open: the allowed lateness is shorter than the window.
    Open,
    /// Closed, and still kept for corrections.
    Closed,
    /// Not kept: evicted, or never opened.
    Gone,
}

impl LateWindow {
    /// The word used in tables and topics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Gone => "gone",
        }
    }

    /// The inverse of `as_str`.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Open, Self::Closed, Self::Gone].into_iter().find(|one| one.as_str() == text)
    }
}

/// How late a late trade was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lateness {
    /// The partition's watermark when the trade was judged, ms since the epoch.
    pub watermark_ms: i64,
    /// How far the trade lies behind the watermark, ms.
    pub late_by_ms: i64,
    /// Start of the shortest interval's window that it would have belonged to, ms since the epoch.
    pub window_start_ms: i64,
    pub window: LateWindow,
}

/// A trade that decoded, with what the engine made of it: the source of the bronze row, and of the
/// silver row and the late record where it deserves them.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    pub trade: Trade,
    pub origin: Origin,
    pub disposition: Disposition,
    /// New York session of the trade's own time for US stocks; `None` for the rest and for rejects.
    pub session: Option<Session>,
    /// The trade may set open and close / high and low / adds to volume.
    pub updates_last: bool,
    pub updates_high_low: bool,
    pub updates_volume: bool,
    /// Present exactly when the disposition is `Late`.
    pub lateness: Option<Lateness>,
    /// How far a merged or late trade lay behind the watermark, ms; 0 when it did not. Not stored.
    pub behind_ms: i64,
}
