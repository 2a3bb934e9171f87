//! The producer's way into the log: ordered per partition, acknowledged, bounded.

use std::time::Duration;

use super::log::OutRecord;
use crate::error::Result;

/// Writes trades, feed events and what could not be decoded.
pub trait Publisher: Send {
    /// Partitions of the trades topic, pinned at start.
    fn partition_count(&self) -> u32;

    /// Queues the records in order. Blocks while the bounded queue is full; `Unavailable` after a
    /// delivery failed for good. What was queued is delivered once and in order per partition.
    fn publish(&mut self, records: Vec<OutRecord>) -> Result<()>;

    /// Records acknowledged by the log since the start.
    fn acknowledged_records(&self) -> u64;

    /// Waits until everything queued is acknowledged.
    fn flush(&mut self, within: Duration) -> Result<()>;
}
