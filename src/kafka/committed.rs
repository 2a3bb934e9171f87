//! What a group has committed: of each partition an offset, or none yet.

use std::ops::Range;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

/// Asks once, for partitions in order. Whether offsets of open transactions are waited for is a
/// setting of the client.
///
/// # Errors
/// Of the broker, also that of a single partition: the answer as a whole is no error then, and its
/// offset reads as if nothing had ever been committed.
pub(super) fn committed<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partitions: Range<i32>,
    within: Duration,
) -> KafkaResult<Vec<Option<i64>>> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions.clone() {
        list.add_partition(topic, partition);
    }
    let found = consumer.committed_offsets(list, within)?;
    let offset = |partition| {
        let Some(element) = found.find_partition(topic, partition) else { return Ok(None) };
        element.error()?;
        Ok(match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        })
    };
    partitions.map(offset).collect()
}
