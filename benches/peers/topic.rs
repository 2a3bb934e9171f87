//! Reads whole topics of the bench: the trades that the oracle judges, and the bars that came of
//! them.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use ticksmith::codec::avro::Avro;
use ticksmith::model::{Bar, Trade};

use crate::oracle::Key;

const PATIENCE: Duration = Duration::from_secs(30);

/// Every trade, by partition and in its order.
pub fn trades(bootstrap: &str, topic: &str) -> Vec<Vec<Trade>> {
    let avro = Avro::single_object();
    let mut partitions = Vec::new();
    read(bootstrap, topic, |message| {
        let partition = usize::try_from(message.partition()).expect("not negative");
        if partitions.len() <= partition {
            partitions.resize_with(partition + 1, Vec::new);
        }
        let value = message.payload().expect("the workload has no feed events");
        partitions[partition].push(avro.decode_trade(value).expect("a trade of the workload"));
    });
    partitions
}

/// The last committed record of every bar.
pub fn bars(bootstrap: &str, topic: &str) -> BTreeMap<Key, Bar> {
    let avro = Avro::single_object();
    let mut bars = BTreeMap::new();
    read(bootstrap, topic, |message| {
        let bar = avro.decode_bar(message.payload().expect("a bar")).expect("a record of bar.avsc");
        let key = (bar.symbol.to_string(), bar.interval.length_ms(), bar.window.start_ms);
        assert_eq!(message.key(), Some(key.0.as_bytes()), "a bar's key is its symbol");
        bars.insert(key, bar);
    });
    bars
}

/// What is in the topic now, read committed.
fn read(bootstrap: &str, topic: &str, mut take: impl FnMut(&BorrowedMessage<'_>)) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "bench-read")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .create()
        .expect("a consumer");
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("the topic is there");
    let mut assignment = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        assignment
            .add_partition_offset(topic, partition.id(), Offset::Beginning)
            .expect("a valid offset");
    }
    let mut open = assignment.count();
    consumer.assign(&assignment).expect("assigned");
    while open > 0 {
        match consumer.poll(PATIENCE).expect("the topic answers") {
            Ok(message) => take(&message),
            Err(rdkafka::error::KafkaError::PartitionEOF(_)) => open -= 1,
            Err(problem) => panic!("{topic}: {problem}"),
        }
    }
}
