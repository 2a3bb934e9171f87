//! Topics of a real Kafka: filled with the market, and read.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use ticksmith::codec::avro::Avro;
use ticksmith::model::{Trade, partition_for_key};

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(600);
const ASK_EVERY: Duration = Duration::from_millis(10);

/// A topic and its partitions.
#[derive(Debug, Clone)]
pub struct Log {
    pub bootstrap: String,
    pub topic: String,
    pub partitions: u32,
}

impl Log {
    /// Writes the trades, once each and in their order, so that the oracle may judge the same. A
    /// topic that holds anything was filled before and stays as it is.
    pub fn fill(&self, trades: impl Iterator<Item = Trade>) {
        if !self.is_empty() {
            return;
        }
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("enable.idempotence", "true")
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
            let mut record = BaseRecord::to(&self.topic).key(trade.symbol.as_str()).payload(&value);
            record.partition = Some(partition);
            while let Err((_, back)) = producer.send(record) {
                record = back;
                producer.poll(Duration::from_millis(10));
            }
        }
        producer.flush(PATIENCE).expect("everything is acknowledged");
    }

    /// Hands every committed record to `take`, partition by partition in order, once nobody writes
    /// any more.
    pub fn each_committed(&self, mut take: impl FnMut(&BorrowedMessage<'_>)) {
        self.await_markers();
        let consumer = self.consumer(&[("enable.partition.eof", "true")]);
        let mut ended = BTreeSet::new();
        while ended.len() < self.partitions as usize {
            match consumer.poll(PATIENCE).expect("a record or an end") {
                Ok(message) => take(&message),
                Err(KafkaError::PartitionEOF(partition)) => {
                    ended.insert(partition);
                }
                Err(problem) => panic!("{}: {problem}", self.topic),
            }
        }
    }

    /// A broker answers a commit before its markers are in all partitions; until then a reader is
    /// told an end that lies before the last transaction.
    fn await_markers(&self) {
        let all = self.consumer(&[("isolation.level", "read_uncommitted")]);
        let committed = self.consumer(&[("isolation.level", "read_committed")]);
        let deadline = Instant::now() + PATIENCE;
        for partition in 0..self.partitions {
            let end = self.end(&all, partition);
            while self.end(&committed, partition) < end {
                assert!(Instant::now() < deadline, "{}: a transaction stays open", self.topic);
                std::thread::sleep(ASK_EVERY);
            }
        }
    }

    /// The offset after the last record, as far as the consumer is let.
    fn end(&self, consumer: &BaseConsumer, partition: u32) -> i64 {
        let partition = i32::try_from(partition).expect("few partitions");
        let marks = consumer.fetch_watermarks(&self.topic, partition, PATIENCE);
        marks.expect("the broker answers").1
    }

    fn is_empty(&self) -> bool {
        let consumer = self.consumer(&[]);
        (0..self.partitions).all(|partition| self.end(&consumer, partition) == 0)
    }

    /// A consumer of the whole topic from its beginning.
    pub fn consumer(&self, settings: &[(&str, &str)]) -> BaseConsumer {
        self.consumer_from(Offset::Beginning, settings)
    }

    /// The same from elsewhere.
    pub fn consumer_from(&self, offset: Offset, settings: &[(&str, &str)]) -> BaseConsumer {
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
            let added = assignment.add_partition_offset(&self.topic, partition, offset);
            added.expect("a valid offset");
        }
        consumer.assign(&assignment).expect("assigned");
        consumer
    }
}
