//! The pure machine: `step(Input)` appends to `Effects`. No clock, no I/O, no async, no randomness,
//! so everything that can go wrong here is testable in milliseconds.

pub mod accumulator;
mod agenda;
mod cleaning;
pub mod conditions;
mod connections;
mod coverage;
mod emission;
pub mod explanation;
mod feed;
pub mod intake;
mod partition;
pub mod recompute;
mod restorable;
pub mod rules;
mod scope;
pub mod session;
mod snapshot;
pub mod symbol_class;
mod symbols;
mod windows;

pub use conditions::{ConditionTable, Policy};
pub use intake::{Intake, IntakeConfig, IntakeCounts, IntakeOutput, Numbered, Rejection};
pub use partition::Engine;
pub use rules::Rules;
pub use symbol_class::{ClassRule, SymbolClass};

use crate::model::{FeedEvent, Origin, RejectReason, Trade};

/// Everything that can happen to a partition.
#[derive(Debug)]
pub enum Input<'a> {
    /// A record that decoded as a trade; `key` is the record's key.
    Trade { origin: Origin, key: Option<&'a [u8]>, trade: Trade },
    /// A feed event.
    Event { origin: Origin, event: FeedEvent },
    /// A record that is neither.
    Undecodable { origin: Origin, reason: RejectReason },
    /// Sample the provisional bars that changed since the last sample.
    Sample,
    /// Sample every window that is still open: the end of a bounded run.
    Drain,
}
