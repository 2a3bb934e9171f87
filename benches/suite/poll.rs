//! Part a: poll loops that do nothing with what they read: the limit of whatever reads Kafka.

use std::ptr;
use std::time::{Duration, Instant};

use rdkafka::bindings as native;
use rdkafka::consumer::Consumer;
use rdkafka::types::RDKafkaRespErr;

use crate::inside::inside;
use crate::lab::Lab;
use crate::log::Log;
use crate::stream::Market;
use crate::throughput::Case;

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(600);
/// Messages of one call, as the stream takes them.
const BATCH: usize = 10_000;

/// One record a call, as clients are usually written.
pub fn each<'a>(lab: &'a Lab, market: &Market) -> Case<'a> {
    let (log, trades) = (market.log.clone(), market.trades);
    Case::new("a  bare poll loop, a record a call", move |_| {
        lab.servers.around(trades, || inside(|| poll_each(&log, trades)))
    })
}

/// Batches from one queue that all partitions are forwarded to.
pub fn batches<'a>(lab: &'a Lab, market: &Market) -> Case<'a> {
    let (log, trades) = (market.log.clone(), market.trades);
    Case::new("a  bare poll loop, batches of a queue", move |_| {
        lab.servers.around(trades, || inside(|| poll_batches(&log, trades)))
    })
}

fn poll_each(log: &Log, records: usize) {
    let consumer = log.consumer(&[]);
    let deadline = Instant::now() + PATIENCE;
    let mut seen = 0;
    while seen < records {
        assert!(Instant::now() < deadline, "only {seen} of {records} records came");
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            message.expect("a record");
            seen += 1;
        }
    }
}

fn poll_batches(log: &Log, records: usize) {
    let consumer = log.consumer(&[]);
    let deadline = Instant::now() + PATIENCE;
    let mut buffer = vec![ptr::null_mut(); BATCH];
    let mut seen = 0;
    // SAFETY: the consumer's queue is a new reference that is given back below; `buffer` has room
    // for `BATCH` pointers; each message is destroyed once and not used afterwards.
    unsafe {
        let queue = native::rd_kafka_queue_get_consumer(consumer.client().native_ptr());
        while seen < records {
            assert!(Instant::now() < deadline, "only {seen} of {records} records came");
            let first = native::rd_kafka_consume_batch_queue(queue, 100, buffer.as_mut_ptr(), 1);
            let first = usize::try_from(first).unwrap_or(0);
            let rest = buffer[first..].as_mut_ptr();
            let more = native::rd_kafka_consume_batch_queue(queue, 0, rest, BATCH - first);
            let count = first + usize::try_from(more).unwrap_or(0);
            for message in &buffer[..count] {
                seen += usize::from((**message).err == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
                native::rd_kafka_message_destroy(*message);
            }
        }
        native::rd_kafka_queue_destroy(queue);
    }
}
