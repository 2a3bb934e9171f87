//! When a record was written: its own timestamp, read from the log one record at a time.

use std::time::{Duration, Instant};

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use super::cluster::ASK_WITHIN;
use super::context::PlainContext;
use super::settings::{Settings, refuse_client};
use crate::error::{Error, Result};
use crate::port::{Topic, Written};

const WAIT: Duration = Duration::from_millis(100);

/// The first record of the trades partition at or after `offset`; `None` at the end.
pub(super) fn first_at(
    settings: &Settings,
    partition: i32,
    offset: i64,
) -> Result<Option<Written>> {
    let topic = settings.name(Topic::Trades);
    let context = PlainContext::new("moment");
    let consumer: BaseConsumer<PlainContext> =
        BaseConsumer::from_config_and_context(&settings.changelog_reader(), context)
            .map_err(|error| refuse_client(&error))?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(offset))
        .map_err(|error| Error::Bug(format!("offset {offset}: {error}")))?;
    let unavailable = |problem: String| {
        Error::Unavailable(format!(
            "topic '{topic}' partition {partition} offset {offset}: {problem}"
        ))
    };
    consumer.assign(&list).map_err(|error| unavailable(error.to_string()))?;
    let since = Instant::now();
    while since.elapsed() < ASK_WITHIN {
        match consumer.poll(WAIT) {
            Some(Ok(message)) => {
                let at_ms = message.timestamp().to_millis().unwrap_or(0);
                return Ok(Some(Written { offset: message.offset(), at_ms }));
            }
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
            // Told by the context; librdkafka tries again by itself.
            Some(Err(_)) | None => {}
        }
    }
    Err(unavailable(format!("no record within {} s", ASK_WITHIN.as_secs())))
}
