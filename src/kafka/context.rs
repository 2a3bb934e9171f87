//! What librdkafka tells its clients: log lines, errors, delivery failures, rebalances.

use std::collections::VecDeque;
use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, TopicPartitionList};
use tracing::{debug, info, warn};

use crate::telemetry;

/// librdkafka's lines become ours; it writes nothing to standard error by itself.
pub(super) fn forward_log(
    client: &'static str,
    level: RDKafkaLogLevel,
    facility: &str,
    line: &str,
) {
    match level {
        // A setting meant for the other kind of client: expected, since all clients share them.
        _ if facility == "CONFWARN" => debug!(target: "kafka", client, facility, "{line}"),
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning => warn!(target: "kafka", client, facility, "{line}"),
        RDKafkaLogLevel::Notice => info!(target: "kafka", client, facility, "{line}"),
        RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            debug!(target: "kafka", client, facility, "{line}");
        }
    }
}

/// The last error of a client, kept because librdkafka reports the reason of a failure apart from
/// the failed call.
#[derive(Debug, Default)]
struct LastError(Mutex<String>);

impl LastError {
    /// What is kept is the news of one broker; that all of them are gone says less.
    fn set_unless_summary(&self, error: &KafkaError, reason: &str) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            self.set(reason);
        }
    }
    fn set(&self, reason: &str) {
        reason.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
    fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// For clients that only ask and read.
#[derive(Debug)]
pub(super) struct PlainContext {
    client: &'static str,
    /// Its calls return their own errors, which its log lines would only say again.
    is_quiet: bool,
    last_error: LastError,
}

impl PlainContext {
    pub fn new(client: &'static str) -> Self {
        Self { client, is_quiet: false, last_error: LastError::default() }
    }
    pub fn quiet(client: &'static str) -> Self {
        Self { is_quiet: true, ..Self::new(client) }
    }
    /// Empty when there was none.
    pub fn last_error(&self) -> String {
        self.last_error.get()
    }
}

impl ClientContext for PlainContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        // That a broker hangs up (on a client without TLS, say) is told in the log alone.
        if facility == "FAIL" {
            self.last_error.set(line);
        }
        if !self.is_quiet || (level as i32) > RDKafkaLogLevel::Info as i32 {
            forward_log(self.client, level, facility, line);
        }
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.last_error.set_unless_summary(&error, reason);
        telemetry::log::client_error(self.client, reason);
    }
}

impl ConsumerContext for PlainContext {}

/// For the group member: notes rebalances, which `member` then acts on.
#[derive(Debug, Default)]
pub(super) struct MemberContext(Mutex<Rebalances>);

#[derive(Debug, Default)]
struct Rebalances {
    /// The newest assignment that was not yet taken up.
    newest: Option<Vec<i32>>,
    /// librdkafka waits for `assign` or `unassign` in answer to an assignment.
    unanswered: bool,
    /// The member leaves: assignments are declined.
    closing: bool,
}

impl MemberContext {
    fn lock(&self) -> MutexGuard<'_, Rebalances> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The assignment since the last call, if it changed.
    pub fn take_assignment(&self) -> Option<Vec<i32>> {
        self.lock().newest.take()
    }

    pub fn has_assignment(&self) -> bool {
        self.lock().newest.is_some()
    }

    /// To be called with the `assign` that takes the newest assignment up.
    pub fn answered(&self) {
        self.lock().unanswered = false;
    }

    /// Declines all assignments from now on; true when one of before still waits for its answer.
    pub fn close(&self) -> bool {
        let mut rebalances = self.lock();
        rebalances.closing = true;
        std::mem::take(&mut rebalances.unanswered)
    }
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        forward_log("member", level, facility, line);
    }
    fn error(&self, _: KafkaError, reason: &str) {
        telemetry::log::client_error("member", reason);
    }
}

impl ConsumerContext for MemberContext {
    /// Runs inside `BaseConsumer::poll`, on the pipeline's own thread. A commit may be under way on
    /// another one: it carries the membership that ends here, so the group takes its offsets before
    /// the next generation begins, and then whoever restores waits for them; or it does not.
    ///
    /// A new assignment is only noted: librdkafka starts to fetch when `assign` is called, and that
    /// happens with explicit offsets once every partition was restored and sought. Until then the
    /// member keeps its heartbeats, and nothing is fetched that would have to be thrown away. A
    /// revocation is acknowledged at once: the partitions' uncommitted work is void anyway, and
    /// the others wait for it.
    ///
    /// Every event is answered exactly once. A second answer to a revocation can let a closing
    /// group terminate, and whatever is asked of a terminated group is never replied to: the event
    /// still in the queue would then be answered for ever.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let mut owned = Vec::new();
        if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && !self.lock().closing {
            owned.extend(partitions.elements().iter().map(|element| element.partition()));
        }
        let unanswered = !owned.is_empty();
        if !unanswered && let Err(error) = consumer.unassign() {
            telemetry::log::client_error("member", &error.to_string());
        }
        let mut rebalances = self.lock();
        rebalances.newest = Some(owned);
        rebalances.unanswered = unanswered;
    }
}

/// For producers: counts what was acknowledged and what was not.
#[derive(Debug)]
pub(super) struct DeliveryContext {
    client: &'static str,
    acknowledged: AtomicU64,
    failed: AtomicU64,
    batches: Mutex<Batches>,
    last_error: LastError,
}

/// Batches in the order of sending, with the records of each that are still on their way. Records
/// of different partitions are acknowledged in any order.
#[derive(Debug, Default)]
struct Batches {
    waiting: VecDeque<usize>,
    /// Batches that are acknowledged in full, from the first on.
    acknowledged: u64,
}

impl Batches {
    fn acknowledge(&mut self, batch: u64) {
        let index = batch.saturating_sub(self.acknowledged);
        let waiting = usize::try_from(index).ok().and_then(|index| self.waiting.get_mut(index));
        if let Some(records) = waiting {
            *records = records.saturating_sub(1);
        }
        while self.waiting.front() == Some(&0) {
            self.waiting.pop_front();
            self.acknowledged += 1;
        }
    }
}

impl DeliveryContext {
    pub fn new(client: &'static str) -> Self {
        Self {
            client,
            acknowledged: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            batches: Mutex::default(),
            last_error: LastError::default(),
        }
    }
    /// Records that the broker took; stays 0 where only failures are reported.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }
    /// Records that failed for good.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Acquire)
    }
    /// Empty when there was none.
    pub fn last_error(&self) -> String {
        self.last_error.get()
    }
    /// A batch of so many records, at least one, is about to be sent; its number is the opaque of
    /// each of them.
    pub fn begin_batch(&self, records: usize) -> u64 {
        let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        batches.waiting.push_back(records);
        batches.acknowledged + batches.waiting.len() as u64 - 1
    }
    /// Batches that are acknowledged in full, from the first on.
    pub fn acknowledged_batches(&self) -> u64 {
        self.batches.lock().unwrap_or_else(PoisonError::into_inner).acknowledged
    }
}

impl ClientContext for DeliveryContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        forward_log(self.client, level, facility, line);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        self.last_error.set_unless_summary(&error, reason);
        telemetry::log::client_error(self.client, reason);
    }
}

impl ProducerContext<NoCustomPartitioner> for DeliveryContext {
    /// Number of the record's batch, where the producer has such.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, batch: usize) {
        match result {
            Ok(_) => {
                self.acknowledged.fetch_add(1, Ordering::AcqRel);
                let mut batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
                batches.acknowledge(batch as u64);
            }
            Err((error, record)) => {
                self.last_error.set(&error.to_string());
                let so_far = self.failed.fetch_add(1, Ordering::AcqRel) + 1;
                // An aborted transaction purges its queue: that is one event, told by the writer.
                if !is_purged(error) {
                    telemetry::log::delivery_failed(record.topic(), &error.to_string(), so_far);
                }
            }
        }
    }
}

fn is_purged(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode::{PurgeInflight, PurgeQueue};
    matches!(error.rdkafka_error_code(), Some(PurgeQueue | PurgeInflight))
}

/// librdkafka's text for a code.
pub(super) fn describe(code: RDKafkaRespErr) -> String {
    // SAFETY: `rd_kafka_err2str` returns a static NUL-terminated text for every code.
    let text = unsafe { CStr::from_ptr(rdkafka::bindings::rd_kafka_err2str(code)) };
    text.to_string_lossy().into_owned()
}

/// Whether the client has a member id, so that the broker can tell a commit of this member from one
/// of nobody in particular.
pub(super) fn is_member<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> bool {
    let client = consumer.client().native_ptr();
    // SAFETY: the handle is valid while `consumer` is borrowed; the text is ours, NUL-terminated,
    // and freed once after it was looked at.
    unsafe {
        let member_id = rdkafka::bindings::rd_kafka_memberid(client);
        if member_id.is_null() {
            return false;
        }
        let known = !CStr::from_ptr(member_id).is_empty();
        rdkafka::bindings::rd_kafka_mem_free(client, member_id.cast());
        known
    }
}

/// Waits until everything queued was acknowledged or failed. `Producer::flush` of rdkafka looks
/// again only every 100 ms; librdkafka's own wakes with the last acknowledgement, while the
/// producer's thread serves the delivery reports.
pub(super) fn flush(
    producer: &ThreadedProducer<DeliveryContext>,
    within: Duration,
) -> KafkaResult<()> {
    let within_ms = i32::try_from(within.as_millis()).unwrap_or(i32::MAX);
    let client = producer.client().native_ptr();
    // SAFETY: the handle is valid while `producer` is borrowed, and the call is thread-safe.
    match unsafe { rdkafka::bindings::rd_kafka_flush(client, within_ms) } {
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(KafkaError::Flush(code.into())),
    }
}
