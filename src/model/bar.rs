//! A bar: what one window of one symbol came to, and how far it can be trusted.

use std::sync::Arc;

use super::amount::Amount;
use super::window::{Interval, Window};

/// The trade that set one of open, high, low, close.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PricePoint {
    pub price: f64,
    /// Event time, ms since the epoch.
    pub trade_time_ms: i64,
    pub connection: i64,
    pub seq: i64,
}

/// `provisional → closed → corrected`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BarState {
    /// A sample of a window that the watermark has not passed.
    Provisional,
    /// The watermark passed the end.
    Closed,
    /// Changed after it was closed, by a trade within the allowed lateness or a later feed event.
    Corrected,
}

/// The New York session of a US stock's trade or bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Session {
    Pre,
    Regular,
    Post,
    Closed,
    /// A bar that spans more than one session.
    Mixed,
}

/// How complete the feed was over the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Confirmed up over the whole window, and nothing is known to be lost: of the connection and
    /// of us, not of what the vendor sent.
    Complete,
    /// Something is known to be missing, however little.
    Partial,
    /// Nothing in the log vouches for the feed, or not yet for the whole window.
    Unknown,
}

/// Why volume did not set a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ExclusionReason {
    OddLot,
    /// Form T where it may set no price.
    Extended,
    OutOfSequence,
    AveragePrice,
    /// A code that no row of the table settles.
    UnknownCode,
    /// Every other code, and prints of volume 0 on the US tape.
    Other,
}

/// Volume and number of the trades that did not set a price for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exclusion {
    pub volume: Amount,
    pub count: i64,
}

macro_rules! words {
    ($name:ident { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $name {
            pub const ALL: &'static [$name] = &[$(Self::$variant),+];
            /// The word used in tables, topics and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
            /// The inverse of `as_str`.
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words!(BarState { Provisional => "provisional", Closed => "closed", Corrected => "corrected" });
words!(Session {
    Pre => "pre",
    Regular => "regular",
    Post => "post",
    Closed => "closed",
    Mixed => "mixed",
});
words!(Verdict { Complete => "complete", Partial => "partial", Unknown => "unknown" });
words!(ExclusionReason {
    OddLot => "odd_lot",
    Extended => "extended",
    OutOfSequence => "out_of_sequence",
    AveragePrice => "average_price",
    UnknownCode => "unknown",
    Other => "other",
});

/// One bar as emitted, stored and published.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    pub symbol: Arc<str>,
    pub interval: Interval,
    pub window: Window,
    /// `None` when no trade of the window was eligible to set it.
    pub open: Option<PricePoint>,
    pub high: Option<PricePoint>,
    pub low: Option<PricePoint>,
    pub close: Option<PricePoint>,
    /// Exact sum; its text is `volume_exact`, its double `volume`.
    pub volume: Amount,
    /// Turnover / volume over every trade that counts towards volume; `None` when volume is 0.
    pub vwap: Option<f64>,
    /// Trades whose codes allow volume, price updates included.
    pub trade_count: i64,
    /// By `ExclusionReason as usize`: what counted towards volume but set no price.
    pub excluded: [Exclusion; ExclusionReason::ALL.len()],
    /// `None` for symbols that have no New York session.
    pub session: Option<Session>,
    /// Share of the window in which this symbol's feed was confirmed up, 0..=1; `None` when nothing
    /// vouches for it.
    pub coverage: Option<f64>,
    /// Time inside the window in which the feed was known not to be up, ms; what was there before
    /// the first subscription of the symbol counts too.
    pub gap_ms: i64,
    pub verdict: Verdict,
    pub state: BarState,
    /// Number of inputs that changed the bar: trades merged, its closing, later feed events.
    pub revision: i64,
    /// 0 for the first pass; a deliberate reset or rebuild takes the next.
    pub generation: i64,
    /// Version of the sale-condition table that judged its trades.
    pub conditions_version: i32,
    /// Trades beyond the allowed lateness that a rebuild with `--include-late` put in; 0 otherwise.
    pub late_included: i64,
}
