//! Topics of a real Kafka: filled with the market, read bare, looked at, and deleted.

use std::ptr;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::bindings as native;
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use ticksmith::codec::avro::Avro;
use ticksmith::model::{Trade, partition_for_key};

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(600);
/// Messages of one call, as the stream takes them.
const BATCH: usize = 10_000;

/// A topic and its partitions.
#[derive(Debug, Clone)]
pub struct Log {
    pub bootstrap: String,
    pub topic: String,
    pub partitions: u32,
}

impl Log {
    /// Appends the trades.
    pub fn fill(&self, trades: impl Iterator<Item = Trade>) {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("compression.type", "lz4")
            .set("linger.ms", "20")
            .set("queue.buffering.max.kbytes", "65536")
            .create()
            .expect("a producer");
        let avro = Avro::single_object();
        let mut value = Vec::new();
        for trade in trades {
            value.clear();
            avro.encode_trade(&trade, &mut value).expect("encodes");
            let partition = partition_for_key(trade.symbol.as_bytes(), self.partitions);
            let mut record = BaseRecord::to(&self.topic).key(&trade.symbol).payload(&value);
            record.partition = Some(partition);
            while let Err((_, back)) = producer.send(record) {
                record = back;
                producer.poll(Duration::from_millis(10));
            }
        }
        producer.flush(PATIENCE).expect("everything is acknowledged");
    }

    /// Reads `records` records one call each, as clients are usually written.
    pub fn poll_each(&self, records: usize) {
        let consumer = self.consumer(&[]);
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

    /// Reads them in batches from one queue that all partitions are forwarded to.
    pub fn poll_batches(&self, records: usize) {
        let consumer = self.consumer(&[]);
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = vec![ptr::null_mut(); BATCH];
        let mut seen = 0;
        // SAFETY: the consumer's queue is a new reference that is given back below; `buffer` has
        // room for `BATCH` pointers; each message is destroyed once and not used afterwards.
        unsafe {
            let queue = native::rd_kafka_queue_get_consumer(consumer.client().native_ptr());
            while seen < records {
                assert!(Instant::now() < deadline, "only {seen} of {records} records came");
                let first =
                    native::rd_kafka_consume_batch_queue(queue, 100, buffer.as_mut_ptr(), 1);
                let first = usize::try_from(first).unwrap_or(0);
                let rest = buffer[first..].as_mut_ptr();
                let more = native::rd_kafka_consume_batch_queue(queue, 0, rest, BATCH - first);
                let count = first + usize::try_from(more).unwrap_or(0);
                for message in &buffer[..count] {
                    seen +=
                        usize::from((**message).err == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR);
                    native::rd_kafka_message_destroy(*message);
                }
            }
            native::rd_kafka_queue_destroy(queue);
        }
    }

    /// Hands every committed value to `take`, partition by partition in order; of a record without
    /// one, nothing.
    pub fn read_committed(&self, mut take: impl FnMut(&[u8])) {
        self.each_committed(|message| take(message.payload().unwrap_or_default()));
    }

    /// The same with the whole record.
    pub fn each_committed(&self, mut take: impl FnMut(&BorrowedMessage<'_>)) {
        let consumer = self.consumer(&[("enable.partition.eof", "true")]);
        let mut open = self.partitions;
        while open > 0 {
            match consumer.poll(PATIENCE).expect("a record or an end") {
                Ok(message) => take(&message),
                Err(rdkafka::error::KafkaError::PartitionEOF(_)) => open -= 1,
                Err(problem) => panic!("{}: {problem}", self.topic),
            }
        }
    }

    /// Records that were ever written, markers of transactions included.
    pub fn end(&self) -> i64 {
        let consumer = self.consumer(&[]);
        let end = |partition: u32| {
            let partition = i32::try_from(partition).expect("few partitions");
            let marks = consumer.fetch_watermarks(&self.topic, partition, PATIENCE);
            marks.expect("the broker answers").1
        };
        (0..self.partitions).map(end).sum()
    }

    /// A consumer of the whole topic from its beginning.
    pub fn consumer(&self, settings: &[(&str, &str)]) -> BaseConsumer {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", "bench-poll")
            .set("enable.auto.commit", "false")
            .set("queued.max.messages.kbytes", "16384")
            .set("fetch.message.max.bytes", "1048576");
        for (key, value) in settings {
            config.set(*key, *value);
        }
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let mut assignment = TopicPartitionList::new();
        for partition in 0..self.partitions {
            let partition = i32::try_from(partition).expect("few partitions");
            let added = assignment.add_partition_offset(&self.topic, partition, Offset::Beginning);
            added.expect("a valid offset");
        }
        consumer.assign(&assignment).expect("assigned");
        consumer
    }
}

/// Deletes topics, so that a long sitting does not fill the disk.
pub fn delete(bootstrap: &str, topics: &[String]) {
    let mut config = ClientConfig::new();
    let admin: AdminClient<DefaultClientContext> =
        config.set("bootstrap.servers", bootstrap).create().expect("a client");
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let deleted = runtime.expect("a runtime").block_on(admin.delete_topics(
        &names,
        &AdminOptions::new().operation_timeout(Some(Duration::from_secs(30))),
    ));
    deleted.expect("the broker answers");
}
