//! Reads records in batches straight from librdkafka's fetch queues: the one file with `unsafe` on
//! the hot path.
//!
//! `BaseConsumer::poll` makes an event, an `Arc` and a wrapper for every record; a batch call costs
//! one lock a record and nothing else. The partitions' queues are forwarded to a queue of our own,
//! which then holds records and partition errors only; everything else (rebalances, errors, log
//! lines) stays in the consumer's queue and is served by `BaseConsumer::poll`.

use std::ffi::CString;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::bindings as native;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;

use crate::error::{Error, Result};
use crate::model::feed_event::FEED_EVENT_HEADER;
use crate::port::RawRecord;

/// What a fetch queue brings.
pub(super) enum Fetched<'a> {
    Record(RawRecord<'a>),
    /// Everything stable was read; `offset` is the position of the next record.
    End {
        partition: i32,
        offset: i64,
    },
    Failed {
        partition: i32,
        code: RDKafkaRespErr,
    },
}

/// A queue that partitions of one consumer are forwarded to.
pub(super) struct FetchQueue<C: ConsumerContext> {
    // Declared before the consumer's handle only in spirit: `drop` frees it while the consumer
    // lives.
    queue: *mut native::rd_kafka_queue_t,
    buffer: Vec<*mut native::rd_kafka_message_t>,
    header: CString,
    consumer: Arc<BaseConsumer<C>>,
}

// SAFETY: librdkafka's handles may be used from any thread; `buffer` is empty between calls.
unsafe impl<C: ConsumerContext> Send for FetchQueue<C> {}

impl<C: ConsumerContext> FetchQueue<C> {
    pub fn new(consumer: Arc<BaseConsumer<C>>) -> Self {
        // SAFETY: the client handle is valid as long as `consumer`, which this struct keeps.
        let queue = unsafe { native::rd_kafka_queue_new(consumer.client().native_ptr()) };
        let header = CString::new(FEED_EVENT_HEADER).expect("a header name without NUL");
        Self { queue, buffer: Vec::new(), header, consumer }
    }

    /// Sends the partition's records here. Call it before `assign`: fetching then starts into this
    /// queue; afterwards the first records may already be in the consumer's own.
    pub fn capture(&self, topic: &str, partition: i32) -> Result<()> {
        let name = CString::new(topic)
            .map_err(|_| Error::Config(format!("topic '{topic}' has a NUL in its name")))?;
        // SAFETY: handle and name are valid for the call; `source` is a new reference, or null, and
        // is given back right after; `self.queue` lives until `drop`.
        unsafe {
            let client = self.consumer.client().native_ptr();
            let source = native::rd_kafka_queue_get_partition(client, name.as_ptr(), partition);
            if source.is_null() {
                return Err(Error::Bug(format!("no queue for {topic} partition {partition}")));
            }
            native::rd_kafka_queue_forward(source, self.queue);
            native::rd_kafka_queue_destroy(source);
        }
        Ok(())
    }

    /// Waits at most `wait` for the first record, then hands out what is there, at most `limit`.
    /// After an error of `on_fetched` the rest of the batch is gone: the partitions must be sought.
    pub fn receive(
        &mut self,
        limit: usize,
        wait: Duration,
        on_fetched: &mut dyn FnMut(Fetched<'_>) -> Result<()>,
    ) -> Result<usize> {
        // librdkafka waits until the batch is full or the time is over, hence first one record with
        // the whole wait, then the others without any.
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        let first = self.fill(1, wait_ms);
        let mut outcome = self.hand_out(first, on_fetched);
        if first > 0 && limit > 1 && outcome.is_ok() {
            let more = self.fill(limit - 1, 0);
            let received = self.hand_out(more, on_fetched);
            outcome = received.map(|received| received + first);
        }
        outcome
    }

    fn fill(&mut self, limit: usize, wait_ms: i32) -> usize {
        if self.buffer.len() < limit {
            self.buffer.resize(limit, ptr::null_mut());
        }
        // SAFETY: `buffer` has room for `limit` pointers, which librdkafka overwrites from the
        // front.
        let received = unsafe {
            native::rd_kafka_consume_batch_queue(
                self.queue,
                wait_ms,
                self.buffer.as_mut_ptr(),
                limit,
            )
        };
        usize::try_from(received).unwrap_or(0)
    }

    fn hand_out(
        &mut self,
        count: usize,
        on_fetched: &mut dyn FnMut(Fetched<'_>) -> Result<()>,
    ) -> Result<usize> {
        let mut outcome = Ok(count);
        for message in &self.buffer[..count] {
            if outcome.is_ok()
                && let Err(error) = on_fetched(self.view(*message))
            {
                outcome = Err(error);
            }
            // SAFETY: the message came from `fill`, is not used after this line, and is freed once.
            unsafe { native::rd_kafka_message_destroy(*message) };
        }
        outcome
    }

    /// The borrow is of `self`, and `hand_out` frees the message only after the view is gone.
    fn view(&self, message: *mut native::rd_kafka_message_t) -> Fetched<'_> {
        // SAFETY: `message` is a live message of this queue.
        let fields = unsafe { &*message };
        let (partition, offset) = (fields.partition, fields.offset);
        match fields.err {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => {
                // SAFETY: key and payload point into the message's buffer, with these lengths.
                let (key, value) = unsafe {
                    (bytes(fields.key, fields.key_len), bytes(fields.payload, fields.len))
                };
                // Headers are parsed by librdkafka when asked for; trades never need them.
                let event = if value.is_none() { self.event_header(message) } else { None };
                Fetched::Record(RawRecord { partition, offset, key, value, event })
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF => Fetched::End { partition, offset },
            code => Fetched::Failed { partition, code },
        }
    }

    fn event_header(&self, message: *mut native::rd_kafka_message_t) -> Option<&[u8]> {
        let (mut headers, mut value, mut size) = (ptr::null_mut(), ptr::null(), 0);
        // SAFETY: `message` is live; headers and their values belong to it and live as long; the
        // name is NUL-terminated; out pointers are valid for the calls.
        unsafe {
            let found = native::rd_kafka_message_headers(message, &mut headers);
            if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return None;
            }
            let found = native::rd_kafka_header_get_last(
                headers,
                self.header.as_ptr(),
                &mut value,
                &mut size,
            );
            if found != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                return None;
            }
            bytes(value, size)
        }
    }
}

/// The offset after the newest record, as the broker told with its last answer to a fetch.
pub(super) fn fetched_end<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
) -> Option<i64> {
    let name = CString::new(topic).ok()?;
    let (mut low, mut high) = (0, 0);
    // SAFETY: handle and name are valid for the call, which only writes the two numbers.
    let outcome = unsafe {
        let client = consumer.client().native_ptr();
        native::rd_kafka_get_watermark_offsets(
            client,
            name.as_ptr(),
            partition,
            &raw mut low,
            &raw mut high,
        )
    };
    // Negative: nothing was fetched yet.
    (outcome == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
}

impl<C: ConsumerContext> Drop for FetchQueue<C> {
    fn drop(&mut self) {
        // SAFETY: made in `new`, destroyed once, and the consumer that it belongs to is still
        // alive.
        unsafe { native::rd_kafka_queue_destroy(self.queue) };
    }
}

/// # Safety
/// `data` is null or points to `length` bytes that outlive `'a`.
unsafe fn bytes<'a>(data: *const std::ffi::c_void, length: usize) -> Option<&'a [u8]> {
    if data.is_null() {
        return None;
    }
    // SAFETY: promised by the caller.
    Some(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) })
}
