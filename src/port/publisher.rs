//! The producer's way into the log: ordered per partition, acknowledged, bounded.

use std::time::Duration;

use super::log::OutRecord;
use crate::error::Result;

/// What became of a batch.
#[derive(Debug, PartialEq, Eq)]
pub enum Published {
    Taken,
    /// There is no room; the records come back as they are, none was queued.
    NoRoom(Vec<OutRecord>),
}

/// Writes trades, feed events and what could not be decoded.
pub trait Publisher: Send {
    /// Partitions of the trades topic, pinned at start.
    fn partition_count(&self) -> u32;

    /// Queues the records in order, as one batch. What was queued is delivered in order per
    /// partition. `Unavailable` after a delivery failed for good.
    fn publish(&mut self, records: Vec<OutRecord>) -> Result<Published>;

    /// Whether a batch is likely to be taken.
    fn has_room(&self) -> bool;

    /// Batches from the first on of which every record is acknowledged.
    fn acknowledged_batches(&self) -> u64;

    /// Records acknowledged by the log since the start.
    fn acknowledged_records(&self) -> u64;

    /// Waits until everything queued is acknowledged.
    fn flush(&mut self, within: Duration) -> Result<()>;
}
