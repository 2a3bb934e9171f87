//! How far the feed vouches for a window, and the gaps that say where it does not.

use super::bar::{Bar, Verdict};

/// What the feed events say about one window of one symbol, in feed time.
///
/// `up_ms + gap_ms + unconfirmed_ms` is the length of the window, unless nothing vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Completeness {
    /// Confirmed up, ms; `None`: no subscription of the symbol is known that reaches the window.
    pub up_ms: Option<i64>,
    /// Known not to have been up, or lost in an overflow, ms.
    pub gap_ms: i64,
    /// Neither confirmed nor known to be lost, ms: the connection is live and was not heard of yet.
    pub unconfirmed_ms: i64,
    /// Something was lost at an instant: a record that could not be decoded.
    pub has_losses: bool,
}

impl Completeness {
    /// `Partial` as soon as anything is known to be missing; `Complete` when all is confirmed.
    pub fn verdict(self) -> Verdict {
        match self.up_ms {
            None => Verdict::Unknown,
            Some(_) if self.gap_ms > 0 || self.has_losses => Verdict::Partial,
            Some(_) if self.unconfirmed_ms > 0 => Verdict::Unknown,
            Some(_) => Verdict::Complete,
        }
    }

    /// Confirmed share of a window of `length_ms`, 0..=1.
    pub fn coverage(self, length_ms: i64) -> Option<f64> {
        self.up_ms.map(|up_ms| up_ms as f64 / length_ms as f64)
    }

    /// Nothing is left that a later event could settle.
    pub fn is_settled(self) -> bool {
        self.unconfirmed_ms == 0
    }
}

/// Why a feed was not up, or lost something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GapCause {
    /// The socket closed.
    Disconnected,
    /// Neither frames nor pings for the configured time.
    Silence,
    /// The producer stopped cleanly.
    Released,
    /// A newer connection of the same feed came without a word from the old one: its producer was
    /// killed.
    ProducerLost,
    /// Another connection took the symbol over later than the old one was last confirmed.
    Takeover,
    /// Records were given up because a bound was reached.
    Overflow,
    /// A frame or element could not be read.
    DecodeLoss,
}

impl GapCause {
    pub const ALL: [GapCause; 7] = [
        Self::Disconnected,
        Self::Silence,
        Self::Released,
        Self::ProducerLost,
        Self::Takeover,
        Self::Overflow,
        Self::DecodeLoss,
    ];

    /// The word used in tables and state.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Silence => "silence",
            Self::Released => "released",
            Self::ProducerLost => "producer_lost",
            Self::Takeover => "takeover",
            Self::Overflow => "overflow",
            Self::DecodeLoss => "decode_loss",
        }
    }

    /// The inverse of `as_str`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text)
    }
}

/// A time in which a symbol's feed was not up, or in which records of it were lost; a row of
/// `feed_gaps`. Written when it begins, and again when it ends;
/// `(symbol, from_ms, connection, cause)` names it: a loss may be the last that a connection told.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedGap {
    pub symbol: String,
    pub feed: String,
    /// The connection that was lost, or that lost something.
    pub connection: i64,
    /// The last confirmed instant, feed time, ms since the epoch.
    pub from_ms: i64,
    /// First instant that is up again; `None` while it lasts; equals `from_ms` for a loss at an
    /// instant.
    pub to_ms: Option<i64>,
    /// The connection that took up again.
    pub next_connection: Option<i64>,
    pub cause: GapCause,
    /// `Overflow`, `DecodeLoss`: elements lost, as far as is known.
    pub lost_records: i64,
    /// A short reason for people.
    pub detail: String,
    /// Offset of the record that told so: orders what is told of one gap. 0 when read from a table.
    pub told_at: i64,
}

impl FeedGap {
    /// Whether any of it lies in `[from_ms, to_ms)`.
    pub fn overlaps(&self, from_ms: i64, to_ms: i64) -> bool {
        let is_instant = self.to_ms == Some(self.from_ms);
        let ends_after = self.to_ms.is_none_or(|end_ms| end_ms > from_ms);
        let reaches = ends_after || is_instant && self.from_ms == from_ms;
        from_ms < to_ms && self.from_ms < to_ms && reaches
    }
}

/// Why a bar changed after it was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevisionWhy {
    /// It did not: this is what it was at its closing, kept when the first change came.
    Closed,
    /// A trade within the allowed lateness.
    LateTrade,
    /// A feed event: a gap or loss that overlaps it became known, or ended differently.
    FeedGap,
    /// The feed confirmed what was not confirmed yet at the closing.
    Confirmed,
    /// A deliberate rebuild wrote it anew, as a new generation.
    Rebuild,
}

impl RevisionWhy {
    pub const ALL: [RevisionWhy; 5] =
        [Self::Closed, Self::LateTrade, Self::FeedGap, Self::Confirmed, Self::Rebuild];

    /// The word used in `bar_revisions`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::LateTrade => "late_trade",
            Self::FeedGap => "feed_gap",
            Self::Confirmed => "confirmed",
            Self::Rebuild => "rebuild",
        }
    }

    /// The inverse of `as_str`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.as_str() == text)
    }
}

/// One content of a bar that changed after its closing; a row of `bar_revisions`.
#[derive(Debug, Clone, PartialEq)]
pub struct BarRevision {
    pub bar: Bar,
    pub why: RevisionWhy,
}
