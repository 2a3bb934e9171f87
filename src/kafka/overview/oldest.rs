//! How long the oldest unread record of each partition has been waiting: a lag in records says
//! little about a market that is quiet at night.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::PartitionStand;
use crate::error::{Error, Result};
use crate::kafka::context::PlainContext;

/// One record a partition comes within milliseconds. What is not there by then is left open: a
/// partition without a leader must not keep the operator waiting.
const WITHIN: Duration = Duration::from_secs(3);
const WAIT: Duration = Duration::from_millis(100);

/// Reads the next record of every partition that has one, and notes when it was written.
pub(super) fn oldest_unread(
    observer: &BaseConsumer<PlainContext>,
    topic: &str,
    stands: &mut [PartitionStand],
) -> Result<()> {
    let mut list = TopicPartitionList::new();
    let mut waiting = BTreeSet::new();
    for stand in stands.iter().filter(|stand| stand.lag_records() > 0) {
        let next = stand.next_offset().max(stand.log_start);
        list.add_partition_offset(topic, stand.partition, Offset::Offset(next))
            .map_err(|error| Error::Bug(format!("offset {next}: {error}")))?;
        waiting.insert(stand.partition);
    }
    if waiting.is_empty() {
        return Ok(());
    }
    observer.assign(&list).map_err(|error| {
        Error::Unavailable(format!("topic '{topic}': {error}; is reading it allowed?"))
    })?;
    let began = Instant::now();
    while !waiting.is_empty() && began.elapsed() < WITHIN {
        // Errors are told by the context, and the record stays unknown.
        let Some(Ok(record)) = observer.poll(WAIT) else { continue };
        let stand = stands.iter_mut().find(|stand| stand.partition == record.partition());
        if let Some(stand) = stand.filter(|stand| waiting.remove(&stand.partition)) {
            stand.oldest_unread_ms = record.timestamp().to_millis();
        }
    }
    Ok(())
}
