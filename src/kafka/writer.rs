//! The producers of a session: one transaction per beat, and what each failure means.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::{ClientConfig, TopicPartitionList};

use super::cluster::PartitionCounts;
use super::context::{DeliveryContext, flush};
use super::settings::{Settings, refuse_client};
use crate::config::Guarantee;
use crate::error::{Error, Result};
use crate::model::partition_for_key;
use crate::port::{Clock, OutRecord, Topic};
use crate::runtime::Shutdown;
use crate::telemetry;

/// One call into librdkafka waits at most so long before it is repeated, if no stop is overdue.
const CALL_WITHIN: Duration = Duration::from_secs(1);
/// Pause after a call that may be repeated and came back at once.
const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// The first transaction of a fresh cluster waits for its internal topic.
const INIT_WITHIN: Duration = Duration::from_secs(30);

/// Why a beat did not become visible, by what has to be done.
enum Failure {
    /// Abort and restore.
    Abort(String),
    /// The producer is of no more use, or the outcome is unknown: a new session finds out.
    Lost(String),
}

/// What a session writes with.
pub(super) struct Writers {
    /// State and offsets, and with `exactly_once` everything else.
    transactional: Writer,
    /// Outputs of `at_least_once`. State stays in the transaction even there: half a beat of it, or
    /// that of a member thrown out long ago, would make wrong bars and not only repeats.
    plain: Option<Writer>,
}

impl Writers {
    /// Ends what an earlier session of the same id left open.
    ///
    /// # Errors
    /// `Unavailable` when no transaction can begin on this cluster.
    pub fn open(
        settings: &Settings,
        transactional_id: &str,
        counts: PartitionCounts,
        clock: &Arc<dyn Clock>,
        stop: &Shutdown,
    ) -> Result<Self> {
        let open =
            |client| Writer::open(&client, settings, counts, Arc::clone(clock), stop.clone());
        let transactional = open(settings.transactional_writer(transactional_id))?;
        transactional.init(&settings.kafka.bootstrap)?;
        telemetry::log::opened(transactional_id);
        let plain = match settings.guarantee {
            Guarantee::ExactlyOnce => None,
            Guarantee::AtLeastOnce => Some(open(settings.plain_writer())?),
        };
        Ok(Self { transactional, plain })
    }

    /// See `Log::begin_commit`. `group` is the membership of the assignment: a member that lost its
    /// partitions is refused by the broker because its generation is over.
    pub fn commit(
        &self,
        records: &[OutRecord],
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> Result<()> {
        let Some(plain) = &self.plain else {
            return self.transactional.commit(records.iter(), offsets, group);
        };
        let is_state = |record: &&OutRecord| record.topic == Topic::Changelog;
        // First what may come twice: what is told as done has been written.
        plain.write(records.iter().filter(|record| !is_state(record)))?;
        self.transactional.commit(records.iter().filter(is_state), offsets, group)
    }
}

struct Writer {
    producer: ThreadedProducer<DeliveryContext>,
    names: [String; Topic::ALL.len()],
    counts: PartitionCounts,
    /// All tries of one step together.
    bound: Duration,
    clock: Arc<dyn Clock>,
    stop: Shutdown,
}

impl Writer {
    fn open(
        client: &ClientConfig,
        settings: &Settings,
        counts: PartitionCounts,
        clock: Arc<dyn Clock>,
        stop: Shutdown,
    ) -> Result<Self> {
        let context = DeliveryContext::new("writer");
        let producer = ThreadedProducer::from_config_and_context(client, context)
            .map_err(|error| refuse_client(&error))?;
        Ok(Self {
            producer,
            names: Topic::ALL.map(|topic| settings.name(topic).to_owned()),
            counts,
            bound: Duration::from_millis(u64::from(settings.kafka.transaction_timeout_ms)),
            clock,
            stop,
        })
    }

    fn init(&self, bootstrap: &str) -> Result<()> {
        self.connect();
        self.retrying(INIT_WITHIN, || self.producer.init_transactions(CALL_WITHIN)).map_err(
            |failure| {
                let (Failure::Abort(reason) | Failure::Lost(reason)) = failure;
                Error::Unavailable(format!(
                    "transactions cannot begin on {bootstrap}: {reason}; is the transaction log \
                     of the cluster healthy?"
                ))
            },
        )
    }

    /// Transactions need a broker that is connected already. Where there is none yet, librdkafka
    /// looks again after half a second; a question to the leader of a partition makes one. What
    /// fails here fails again where it is told.
    fn connect(&self) {
        let name = &self.names[Topic::Changelog as usize];
        let _ = self.producer.client().fetch_watermarks(name, 0, CALL_WITHIN);
    }

    fn commit<'a>(
        &self,
        records: impl Iterator<Item = &'a OutRecord>,
        offsets: &TopicPartitionList,
        group: &ConsumerGroupMetadata,
    ) -> Result<()> {
        if let Err(error) = self.producer.begin_transaction() {
            return Err(lost(&error.to_string()));
        }
        let outcome = self
            .produce(records)
            .and_then(|()| self.retrying(self.bound, || flush(&self.producer, CALL_WITHIN)))
            .and_then(|()| {
                let send =
                    || self.producer.send_offsets_to_transaction(offsets, group, CALL_WITHIN);
                self.retrying(self.bound, send)
            })
            .and_then(|()| {
                // Here a time-out means that the outcome is open: not to be aborted.
                let commit = || self.producer.commit_transaction(CALL_WITHIN);
                self.retrying(self.bound, commit)
            });
        match outcome {
            Ok(()) => Ok(()),
            Err(Failure::Abort(reason)) => Err(self.abort(reason)),
            Err(Failure::Lost(reason)) => Err(lost(&reason)),
        }
    }

    /// Produces and waits for the acknowledgements, without a transaction.
    fn write<'a>(&self, records: impl Iterator<Item = &'a OutRecord>) -> Result<()> {
        let failed_before = self.producer.context().failed();
        let again =
            |reason: String| Error::Restore(format!("beat not written: {reason}; restoring"));
        let outcome = self
            .produce(records)
            .and_then(|()| self.retrying(self.bound, || flush(&self.producer, CALL_WITHIN)));
        match outcome {
            Err(Failure::Abort(reason)) => Err(again(reason)),
            Err(Failure::Lost(reason)) => Err(lost(&reason)),
            Ok(()) if self.producer.context().failed() > failed_before => {
                Err(again(self.producer.context().last_error()))
            }
            Ok(()) => Ok(()),
        }
    }

    fn produce<'a>(
        &self,
        records: impl Iterator<Item = &'a OutRecord>,
    ) -> std::result::Result<(), Failure> {
        for record in records {
            let topic = record.topic as usize;
            let mut out = base_record(record, &self.names[topic], self.counts[topic]);
            let deadline_us = self.deadline_us(self.bound);
            while let Err((error, back)) = self.producer.send(out) {
                if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                    return Err(judge(&error));
                }
                if self.clock.monotonic_us() > deadline_us || self.stop.is_overdue() {
                    return Err(Failure::Abort("the broker takes no records".into()));
                }
                out = back;
                // Sends what is queued without lingering; a time-out only means "not all of it
                // yet".
                let _ = flush(&self.producer, RETRY_PAUSE);
            }
        }
        Ok(())
    }

    /// Repeats `call` while librdkafka says that it may be repeated, for at most `bound`.
    fn retrying(
        &self,
        bound: Duration,
        call: impl Fn() -> KafkaResult<()>,
    ) -> std::result::Result<(), Failure> {
        let deadline_us = self.deadline_us(bound);
        loop {
            let error = match call() {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if !is_retriable(&error) {
                return Err(judge(&error));
            }
            if self.clock.monotonic_us() > deadline_us {
                let seconds = bound.as_secs();
                return Err(Failure::Lost(format!("{error}, and so for {seconds} s")));
            }
            if self.stop.is_overdue() {
                return Err(Failure::Lost(format!("{error}, and the time to stop is over")));
            }
            std::thread::sleep(RETRY_PAUSE);
        }
    }

    fn abort(&self, reason: String) -> Error {
        let abort = || self.producer.abort_transaction(CALL_WITHIN);
        match self.retrying(self.bound, abort) {
            Ok(()) => {
                telemetry::log::aborted(&reason);
                Error::Restore(format!("transaction aborted: {reason}; restoring"))
            }
            Err(Failure::Abort(why) | Failure::Lost(why)) => {
                lost(&format!("{reason}; the abort failed too: {why}"))
            }
        }
    }

    fn deadline_us(&self, bound: Duration) -> i64 {
        self.clock.monotonic_us() + bound.as_micros() as i64
    }
}

fn lost(reason: &str) -> Error {
    telemetry::log::fenced(reason);
    Error::Rejoin(format!("session lost: {reason}; joining again"))
}

fn is_retriable(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(native) => native.is_retriable() && !native.txn_requires_abort(),
        KafkaError::Flush(code) => *code == RDKafkaErrorCode::OperationTimedOut,
        _ => false,
    }
}

fn judge(error: &KafkaError) -> Failure {
    let reason = error.to_string();
    match error {
        KafkaError::Transaction(native) if native.is_fatal() => Failure::Lost(reason),
        KafkaError::Transaction(native) if native.txn_requires_abort() => Failure::Abort(reason),
        // A state that the protocol does not know: only a fresh producer is certain.
        KafkaError::Transaction(_) => Failure::Lost(reason),
        _ if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) => Failure::Lost(reason),
        _ => Failure::Abort(reason),
    }
}

/// The record with its partition made explicit, so that librdkafka's own partitioner has no say.
pub(super) fn base_record<'a>(
    record: &'a OutRecord,
    topic: &'a str,
    partition_count: u32,
) -> BaseRecord<'a, [u8], [u8], usize> {
    let by_key = || record.key.as_deref().map_or(0, |key| partition_for_key(key, partition_count));
    let mut out = BaseRecord::with_opaque_to(topic, 0);
    out.partition = Some(record.partition.unwrap_or_else(by_key));
    out.key = record.key.as_deref();
    out.payload = record.value.as_deref();
    if !record.headers.is_empty() {
        let headers = OwnedHeaders::new_with_capacity(record.headers.len());
        out.headers = Some(record.headers.iter().fold(headers, |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        }));
    }
    out
}
