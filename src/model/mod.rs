//! The nouns: trade, bar, window, amount, identity, feed event. No I/O and no clock, so that every
//! other room can speak of the same things.

pub mod amount;
pub mod bar;
pub mod completeness;
pub mod decimal;
pub mod effects;
pub mod explanation;
pub mod feed_event;
pub mod frame;
pub mod partition;
pub mod state;
pub mod trade;
pub mod window;

pub use amount::{Amount, Turnover};
pub use bar::{Bar, BarState, Exclusion, ExclusionReason, PricePoint, Session, Verdict};
pub use completeness::{BarRevision, Completeness, FeedGap, GapCause, RevisionWhy};
pub use decimal::Decimal;
pub use effects::{Effects, StoredEvent};
pub use explanation::{
    Agreement, ConditionMeaning, Difference, Diverted, ExplainedTrade, Explanation,
    ForbiddenVolume, GapInside, Listed, PriceSetter, VolumeSplit,
};
pub use feed_event::{FeedEvent, FeedEventKind};
pub use frame::{Arrival, Element, FeedTrade, Frame, MalformedElement};
pub use partition::{murmur2, partition_for_key};
pub use state::{
    Accumulator, ActiveInterval, Candidate, ConnectionState, Loss, OwnedSpan, PartitionMeta, Scope,
    StateRecord, SymbolFeed, Tally, Told, WindowState,
};
pub use trade::{
    Conditions, Disposition, DuplicateReason, Judged, LateWindow, Lateness, Origin, RejectReason,
    Trade,
};
pub use window::{Interval, Window};
