//! `port::Publisher` on Kafka: idempotent, gapless, bounded by bytes and by count.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{Producer, ThreadedProducer};

use super::cluster::{Cluster, PartitionCounts};
use super::context::{DeliveryContext, flush};
use super::settings::{Settings, refuse_client};
use super::writer::base_record;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::port::{Clock, OutRecord, Published, Publisher, Topic};

/// A full queue is looked at again after so long.
const FULL_PAUSE: Duration = Duration::from_millis(10);
/// No batch is taken while so many records are on their way: more would only fill memory, since
/// what follows is safe in the spool.
const IN_FLIGHT_RECORDS: i32 = 50_000;
/// The partition count is compared with the pinned one this often.
const CHECK_EVERY_US: i64 = 30_000_000;

/// Writes to the trades and rejected topics.
pub struct KafkaPublisher {
    producer: ThreadedProducer<DeliveryContext>,
    cluster: Cluster,
    settings: Settings,
    counts: PartitionCounts,
    clock: Arc<dyn Clock>,
    checked_us: i64,
}

impl KafkaPublisher {
    /// # Errors
    /// `Unavailable` when no broker answers; `Config` when a topic is missing.
    pub fn connect(config: &Config, clock: Arc<dyn Clock>) -> Result<Self> {
        let settings = Settings::new(config)?;
        let cluster = Cluster::connect(&settings)?;
        let counts = cluster.partition_counts(&settings, &[Topic::Trades, Topic::Rejected])?;
        let context = DeliveryContext::new("publisher");
        let producer = ThreadedProducer::from_config_and_context(&settings.publisher(), context)
            .map_err(|error| refuse_client(&error))?;
        let checked_us = clock.monotonic_us();
        Ok(Self { producer, cluster, settings, counts, clock, checked_us })
    }

    /// Also refuses when the topic was given more partitions: keys would change places.
    fn check(&mut self) -> Result<()> {
        let delivery = self.producer.context();
        if delivery.failed() > 0 {
            return Err(Error::Unavailable(format!(
                "{} records were not delivered to {}: {}; see the broker's log",
                delivery.failed(),
                self.settings.kafka.bootstrap,
                delivery.last_error(),
            )));
        }
        if self.clock.monotonic_us() - self.checked_us < CHECK_EVERY_US {
            return Ok(());
        }
        self.checked_us = self.clock.monotonic_us();
        let (name, pinned) = (self.settings.name(Topic::Trades), self.partition_count());
        // A broker that is away is the deliveries' business, not this check's.
        match self.cluster.partition_count(name) {
            Ok(found) if found != 0 && found != pinned => Err(Error::Config(format!(
                "topic '{name}' had {pinned} partitions when this process started and has {found} \
                 now; symbols would change their partition: make new topics (topics.*) with the \
                 new count and a new kafka.group"
            ))),
            _ => Ok(()),
        }
    }

    fn send(&self, record: &OutRecord, batch: u64) -> Result<()> {
        let topic = record.topic;
        let count = self.counts[topic as usize];
        if count == 0 {
            return Err(Error::Bug(format!("the publisher does not write {topic:?}")));
        }
        let mut out = base_record(record, self.settings.name(topic), count);
        // Numbers of batches stay far below 2^63.
        out.delivery_opaque = batch as usize;
        // `has_room` leaves enough of it, so this is a moment's wait at most.
        while let Err((error, back)) = self.producer.send(out) {
            let delivery = self.producer.context();
            let full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            if !full || delivery.failed() > 0 {
                let on = &self.settings.kafka.bootstrap;
                return Err(Error::Unavailable(format!(
                    "record not accepted for {on}: {error} {}; is the broker up?",
                    delivery.last_error()
                )));
            }
            out = back;
            // A wait on the deliveries; its time-out only means that there is still no room.
            let _ = flush(&self.producer, FULL_PAUSE);
        }
        Ok(())
    }
}

impl Publisher for KafkaPublisher {
    fn partition_count(&self) -> u32 {
        self.counts[Topic::Trades as usize]
    }

    fn publish(&mut self, records: Vec<OutRecord>) -> Result<Published> {
        self.check()?;
        if !self.has_room() {
            return Ok(Published::NoRoom(records));
        }
        if !records.is_empty() {
            let batch = self.producer.context().begin_batch(records.len());
            records.iter().try_for_each(|record| self.send(record, batch))?;
        }
        Ok(Published::Taken)
    }

    fn has_room(&self) -> bool {
        self.producer.in_flight_count() < IN_FLIGHT_RECORDS
    }

    fn acknowledged_batches(&self) -> u64 {
        self.producer.context().acknowledged_batches()
    }

    fn acknowledged_records(&self) -> u64 {
        self.producer.context().acknowledged()
    }

    fn flush(&mut self, within: Duration) -> Result<()> {
        let flushed = flush(&self.producer, within);
        self.check()?;
        flushed.map_err(|error| {
            Error::Unavailable(format!(
                "{} records are still unacknowledged by {} after {} ms: {error} {}",
                self.producer.in_flight_count(),
                self.settings.kafka.bootstrap,
                within.as_millis(),
                self.producer.context().last_error(),
            ))
        })
    }
}
