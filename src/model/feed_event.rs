//! What happened to a feed connection, told in the trades' own partitions so that the order between
//! trades and connects, silences and losses is kept, and a replay sees the same.

/// Record header that carries the Avro bytes of a feed event; key and value of the record are null.
pub const FEED_EVENT_HEADER: &str = "ticksmith-feed-event";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FeedEventKind {
    /// The upgrade succeeded; the connection is live from here on.
    Connected,
    /// The symbols asked for on this connection: their owner from here on.
    Subscribed,
    /// Every 5 s while the connection is confirmed by frames or pings.
    Heartbeat,
    /// No frame and no ping for the configured time; a reconnect follows.
    Silence,
    /// The socket closed, for the reason in `detail`.
    Disconnected,
    /// The connection will never be heard of again (clean stop, or taken over by a successor).
    Released,
    /// Records were lost here because a bound was reached; `lost_records` says how many.
    Overflow,
    /// A frame or an element could not be made a trade; the raw bytes went to `trades-rejected`.
    DecodeLoss,
}

impl FeedEventKind {
    pub const ALL: [FeedEventKind; 8] = [
        Self::Connected,
        Self::Subscribed,
        Self::Heartbeat,
        Self::Silence,
        Self::Disconnected,
        Self::Released,
        Self::Overflow,
        Self::DecodeLoss,
    ];

    /// The symbol of the Avro enum, also used in tables and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Subscribed => "subscribed",
            Self::Heartbeat => "heartbeat",
            Self::Silence => "silence",
            Self::Disconnected => "disconnected",
            Self::Released => "released",
            Self::Overflow => "overflow",
            Self::DecodeLoss => "decode_loss",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// One event of one connection. It takes a seq of the connection, the same in every partition.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedEvent {
    pub kind: FeedEventKind,
    pub connection: i64,
    pub seq: i64,
    /// Producer name and key slot, for example `finnhub/0`: a newer connection of the same feed
    /// supersedes an older one, since a key has one connection.
    pub feed: String,
    /// The producer's clock, microseconds since the UNIX epoch.
    pub at_us: i64,
    /// Newest accepted trade time of the connection + monotonic time since its receipt, ms since
    /// the epoch; `None` before the first trade.
    pub feed_time_ms: Option<i64>,
    /// The last frame or ping before the event, in the producer's clock, µs since the epoch.
    pub confirmed_at_us: Option<i64>,
    /// The same instant in feed time, ms since the epoch.
    pub confirmed_feed_time_ms: Option<i64>,
    /// `Subscribed`: every symbol of the connection. `DecodeLoss`: the symbols hit, when known.
    pub symbols: Vec<String>,
    /// `Overflow`, `DecodeLoss`: how many elements were lost, as far as is known.
    pub lost_records: i64,
    /// A short reason for people; never holds the key.
    pub detail: String,
}

impl FeedEvent {
    /// Released with its first number: it never was a connection of a feed. Its trades count, and
    /// move no watermark (docs/decisions/0019, `ticksmith smoke-test`).
    pub fn is_of_no_feed(&self) -> bool {
        self.kind == FeedEventKind::Released && self.seq == 1
    }
}
