//! Reads a changelog partition back: the newest committed value of every key.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use rustc_hash::FxBuildHasher;

use super::cluster::ASK_WITHIN;
use super::context::{PlainContext, describe};
use super::fetch::{FetchQueue, Fetched};
use super::settings::{Settings, refuse_client};
use crate::error::{Error, Result};
use crate::port::Topic;
use crate::port::log::RestoreProgress;

/// Records taken at once.
const BATCH_RECORDS: usize = 10_000;
const WAIT: Duration = Duration::from_millis(100);
/// What the broker needs beyond the transaction time-out to abort a dead member's transaction
/// (it looks every 10 s by default).
const ABORT_SLACK: Duration = Duration::from_secs(15);

/// The newest value per key.
pub(super) type Newest = HashMap<Vec<u8>, Vec<u8>, FxBuildHasher>;

/// A client made for restoring and dropped when records flow again.
pub(super) struct ChangelogReader {
    queue: FetchQueue<PlainContext>,
    consumer: Arc<BaseConsumer<PlainContext>>,
    topic: String,
    /// No progress for so long: something holds the log back for good.
    patience: Duration,
}

impl ChangelogReader {
    pub fn new(settings: &Settings) -> Result<Self> {
        let context = PlainContext::new("changelog");
        let consumer = BaseConsumer::from_config_and_context(&settings.changelog_reader(), context)
            .map_err(|error| refuse_client(&error))?;
        let consumer = Arc::new(consumer);
        let timeout_ms = u64::from(settings.kafka.transaction_timeout_ms);
        Ok(Self {
            queue: FetchQueue::new(Arc::clone(&consumer)),
            consumer,
            topic: settings.name(Topic::Changelog).to_owned(),
            patience: Duration::from_millis(timeout_ms) + ABORT_SLACK,
        })
    }

    /// Reads offsets `start..end`, where `end` counts open transactions. A reader of committed
    /// records stops before the first open one, so this waits until it was committed or aborted:
    /// only then is the state known. What is appended meanwhile, at or after `end`, is not ours.
    ///
    /// Control records and aborted batches take offsets but are not handed out; that the end was
    /// passed without a record there is learnt from the end-of-partition notice.
    ///
    /// # Errors
    /// Whatever `goes_on` has against going on; it is asked several times a second.
    pub fn read(
        &mut self,
        partition: i32,
        (start, end): (i64, i64),
        goes_on: &mut dyn FnMut(RestoreProgress) -> Result<()>,
    ) -> Result<Newest> {
        let mut reading = Reading { end, position: start, ..Reading::default() };
        if start >= end {
            return Ok(reading.newest);
        }
        self.assign(partition, start)?;
        let mut waited = Duration::ZERO;
        while reading.position < end {
            let before = reading.position;
            let received =
                self.queue.receive(BATCH_RECORDS, WAIT, &mut |fetched| reading.advance(fetched))?;
            goes_on(reading.progress())?;
            // Serves log lines and errors of this client.
            let _event = self.consumer.poll(Duration::ZERO);
            waited = match reading.position == before {
                true if received == 0 => waited + WAIT,
                true => waited,
                false => Duration::ZERO,
            };
            if waited > self.patience {
                return Err(Error::Unavailable(format!(
                    "topic '{}' partition {partition}: offset {} of {end} is not readable after \
                     {} s; an open transaction or a missing broker holds it back",
                    self.topic,
                    reading.position,
                    self.patience.as_secs()
                )));
            }
        }
        Ok(reading.newest)
    }

    /// Ends of the partitions `0..count` of a topic for readers of committed records.
    pub fn stable_ends(&self, topic: &str, count: i32) -> Result<Vec<i64>> {
        let mut list = TopicPartitionList::new();
        for partition in 0..count {
            list.add_partition_offset(topic, partition, Offset::End)
                .map_err(|error| Error::Bug(format!("offset End: {error}")))?;
        }
        let unavailable = |problem: String| {
            Error::Unavailable(format!("ends of topic '{topic}': {problem}; are all brokers up?"))
        };
        let found = self.consumer.offsets_for_times(list, ASK_WITHIN);
        let found = found.map_err(|error| unavailable(error.to_string()))?;
        let end = |partition| match found.find_partition(topic, partition).map(|one| one.offset()) {
            Some(Offset::Offset(offset)) => Ok(offset),
            other => Err(unavailable(format!("partition {partition} answers {other:?}"))),
        };
        (0..count).map(end).collect()
    }

    fn assign(&self, partition: i32, start: i64) -> Result<()> {
        self.queue.capture(&self.topic, partition)?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition, Offset::Offset(start))
            .map_err(|error| Error::Bug(format!("offset {start}: {error}")))?;
        self.consumer
            .assign(&list)
            .map_err(|error| Error::Unavailable(format!("topic '{}': {error}", self.topic)))
    }
}

/// What was read of one partition.
#[derive(Default)]
struct Reading {
    newest: Newest,
    position: i64,
    end: i64,
    records: u64,
    bytes: u64,
}

impl Reading {
    fn advance(&mut self, fetched: Fetched<'_>) -> Result<()> {
        match fetched {
            Fetched::Record(record) => {
                if let Some(key) = record.key.filter(|_| record.offset < self.end) {
                    self.records += 1;
                    self.bytes += (key.len() + record.value.map_or(0, <[u8]>::len)) as u64;
                    match record.value {
                        Some(value) => self.newest.insert(key.to_vec(), value.to_vec()),
                        None => self.newest.remove(key),
                    };
                }
                self.position = record.offset + 1;
                Ok(())
            }
            Fetched::End { offset, .. } => {
                self.position = offset.max(self.position);
                Ok(())
            }
            Fetched::Failed { partition, code } => judge(partition, code),
        }
    }

    /// Every offset left may be a record; where compaction was at work, few of them are.
    fn progress(&self) -> RestoreProgress {
        let left = u64::try_from(self.end - self.position).unwrap_or(0);
        let (records, bytes) = (self.records, self.bytes);
        RestoreProgress { records, records_max: records + left, bytes }
    }
}

fn judge(partition: i32, code: RDKafkaRespErr) -> Result<()> {
    match code {
        // Compaction or retention took the beginning while it was read: read again from the start.
        RDKafkaRespErr::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET
        | RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE => Err(Error::Restore(format!(
            "changelog partition {partition} was truncated while it was read; reading it again"
        ))),
        other => {
            crate::telemetry::log::client_error("changelog", &describe(other));
            Ok(())
        }
    }
}
