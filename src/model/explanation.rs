//! Why a bar is what it is: the noun that `ticksmith explain` prints and pages show.

use super::bar::{Bar, Exclusion, ExclusionReason, PricePoint};
use super::completeness::{BarRevision, FeedGap};
use super::effects::StoredEvent;
use super::trade::Judged;
use super::window::{Interval, Window};

/// One window of one symbol, taken apart. What holds for people stands in sentences, so that every
/// reader says the same.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    pub symbol: String,
    pub interval: Interval,
    pub window: Window,
    /// As stored; `None`: no bar is stored for the window.
    pub bar: Option<Bar>,
    /// Whether the bar follows from the stored trades.
    pub agreement: Agreement,
    /// The same in a sentence, with the remedy.
    pub agreement_text: String,
    /// Coverage, gap and verdict in a sentence; without a bar, what is known instead.
    pub completeness_text: String,
    /// The reading of the sale conditions that was used: `sip`, `conservative` or `all`.
    pub policy: &'static str,
    /// Version of the table that was used; the bar names the one that judged it.
    pub conditions_version: i32,
    /// Open, high, low and close, those that there are, in this order.
    pub prices: Vec<PriceSetter>,
    pub split: VolumeSplit,
    /// Trades of the bar that set no price, and those that count for nothing.
    pub excluded: Listed,
    /// Trades of the window that came later than the allowed lateness.
    pub late: Listed,
    /// Records of the window that are no trades of it: duplicates and rejected ones.
    pub diverted: Vec<Diverted>,
    /// Gaps that overlap the window.
    pub gaps: Vec<GapInside>,
    /// Of the bar's gap, what no stored gap accounts for, ms.
    pub unlisted_gap_ms: i64,
    /// What happened to the feed in the window, by the producer's clock, heartbeats left out.
    pub events: Vec<StoredEvent>,
    /// What the bar was at its closing and became, in order.
    pub revisions: Vec<BarRevision>,
}

/// Whether a bar equals what the engine makes of its stored trades.
#[derive(Debug, Clone, PartialEq)]
pub enum Agreement {
    NoBar,
    /// The window is open: the row is a sample, and trades may have come since.
    Sample,
    Follows,
    Differs(Vec<Difference>),
    /// Its trades, or some of them, are older than what is kept.
    TradesGone,
}

impl Agreement {
    /// The word used in JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NoBar => "no_bar",
            Self::Sample => "sample",
            Self::Follows => "follows",
            Self::Differs(_) => "differs",
            Self::TradesGone => "trades_gone",
        }
    }

    /// What differs; empty for all but `Differs`.
    pub fn differences(&self) -> &[Difference] {
        if let Self::Differs(differences) = self { differences } else { &[] }
    }
}

/// One column of a bar that the stored trades do not give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub column: String,
    pub stored: String,
    pub recomputed: String,
}

/// One of open, high, low and close with the trade that set it.
#[derive(Debug, Clone, PartialEq)]
pub struct PriceSetter {
    /// `open`, `high`, `low` or `close`.
    pub name: &'static str,
    pub point: PricePoint,
    /// `None`: the trade is no longer stored.
    pub trade: Option<ExplainedTrade>,
    /// Why it was this trade.
    pub why: String,
}

/// A trade with what its codes mean and what they led to.
#[derive(Debug, Clone, PartialEq)]
pub struct ExplainedTrade {
    pub judged: Judged,
    pub conditions: Vec<ConditionMeaning>,
    /// Under what its volume is listed, when it adds volume and sets no price.
    pub reason: Option<ExclusionReason>,
    pub why: String,
}

/// A sale-condition code in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionMeaning {
    pub code: String,
    /// `None`: the table has no row for it.
    pub name: Option<String>,
}

/// Where the volume of a window went.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct VolumeSplit {
    /// Trades that may set a price.
    pub sets_price: Exclusion,
    /// Trades that add volume and set none, by `ExclusionReason as usize`.
    pub excluded: [Exclusion; ExclusionReason::ALL.len()],
    /// The two above together.
    pub counted: Exclusion,
    /// Trades whose codes forbid volume, by the first such code.
    pub forbidden: Vec<ForbiddenVolume>,
    /// Of `counted`, those of volume 0.
    pub price_updates: i64,
}

/// Trades that count for nothing because of one code.
#[derive(Debug, Clone, PartialEq)]
pub struct ForbiddenVolume {
    pub condition: ConditionMeaning,
    pub what: Exclusion,
}

/// The first of many.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Listed {
    pub trades: Vec<ExplainedTrade>,
    /// How many more there are.
    pub hidden: usize,
}

/// Records of the window that did not become trades of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diverted {
    /// `duplicate` or `rejected`.
    pub disposition: &'static str,
    pub reason: &'static str,
    pub count: i64,
}

/// A gap that overlaps the window.
#[derive(Debug, Clone, PartialEq)]
pub struct GapInside {
    pub gap: FeedGap,
    /// How much of it lies in the window, ms; 0 for a loss at an instant.
    pub inside_ms: i64,
}
