//! What the roles need from the world, as traits: a log, a store, a clock, a place to show things.
//! All calls block; a role gives the pipeline a thread of its own, which keeps the hot path free of
//! async machinery and lets a test drive the shipping code step by step.

pub mod clock;
pub mod explain;
pub mod lease;
pub mod live;
pub mod log;
pub mod publisher;
pub mod store;

pub use clock::Clock;
pub use explain::{Explain, ExplainRequest};
pub use lease::Tenure;
pub use live::{BeatReport, Live, PartitionReport};
pub use log::{Beat, Log, LogFactory, OutRecord, Polled, RawRecord, Restored, Topic, Written};
pub use publisher::{Published, Publisher};
pub use store::{
    BarQuery, BarRemoval, Contradiction, GAP_LOOK_BACK_MS, Store, StoreReader, Tier, TradeQuery,
};
