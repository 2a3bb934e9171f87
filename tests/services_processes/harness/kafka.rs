//! How far a topic goes, and how far a group has come.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A client that looks, and changes nothing unless it is told to.
pub struct Observer {
    consumer: BaseConsumer,
    bootstrap: String,
    topic: String,
}

impl Observer {
    pub fn new(bootstrap: &str, group: &str, topic: &str) -> Self {
        Self::isolated(bootstrap, group, topic, "read_committed")
    }

    pub fn isolated(bootstrap: &str, group: &str, topic: &str, isolation: &str) -> Self {
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("group.id", group)
            .set("isolation.level", isolation)
            .set("enable.partition.eof", "true")
            .set("enable.auto.commit", "false")
            .create()
            .expect("a Kafka client");
        Self { consumer, bootstrap: bootstrap.to_owned(), topic: topic.to_owned() }
    }

    fn partitions(&self) -> Result<Vec<i32>, String> {
        let metadata = self.consumer.fetch_metadata(Some(&self.topic), ANSWER_WITHIN);
        let metadata = metadata.map_err(|error| error.to_string())?;
        let topic = metadata.topics().first().ok_or("no such topic")?;
        Ok(topic.partitions().iter().map(|partition| partition.id()).collect())
    }

    /// End offset by partition.
    pub fn ends(&self) -> Result<BTreeMap<i32, i64>, String> {
        let end_of = |partition| {
            let marks = self.consumer.fetch_watermarks(&self.topic, partition, ANSWER_WITHIN);
            marks.map(|(_, end)| (partition, end)).map_err(|error| error.to_string())
        };
        self.partitions()?.into_iter().map(end_of).collect()
    }

    /// How many records a reader is given who reads the topic as far as it goes.
    pub fn count(&self) -> Result<usize, String> {
        let partitions = self.partitions()?;
        let mut all = TopicPartitionList::new();
        for partition in &partitions {
            let added = all.add_partition_offset(&self.topic, *partition, Offset::Beginning);
            added.map_err(|error| error.to_string())?;
        }
        self.consumer.assign(&all).map_err(|error| error.to_string())?;
        // A partition that grows meanwhile ends more than once.
        let (mut records, mut ended) = (0, BTreeSet::new());
        while ended.len() < partitions.len() {
            match self.consumer.poll(ANSWER_WITHIN) {
                Some(Ok(_)) => records += 1,
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    ended.insert(partition);
                }
                Some(Err(error)) => return Err(error.to_string()),
                None => return Err("the broker is silent".into()),
            }
        }
        self.consumer.unassign().map_err(|error| error.to_string())?;
        Ok(records)
    }

    /// Stable committed offset by partition, of those that have one.
    pub fn committed(&self) -> Result<BTreeMap<i32, i64>, String> {
        let mut wanted = TopicPartitionList::new();
        for partition in self.partitions()? {
            wanted.add_partition(&self.topic, partition);
        }
        let found = self.consumer.committed_offsets(wanted, ANSWER_WITHIN);
        let found = found.map_err(|error| error.to_string())?;
        let mut committed = BTreeMap::new();
        for element in found.elements() {
            element.error().map_err(|error| error.to_string())?;
            if let Offset::Offset(offset) = element.offset() {
                committed.insert(element.partition(), offset);
            }
        }
        Ok(committed)
    }

    /// Deletes every record that the topic has, as its retention would some day.
    pub fn delete_all(&self) {
        let mut gone = TopicPartitionList::new();
        for (partition, end) in self.ends().expect("Kafka answers") {
            let offset = Offset::Offset(end);
            gone.add_partition_offset(&self.topic, partition, offset).expect("an offset");
        }
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .create()
            .expect("an admin client");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let options = AdminOptions::new().operation_timeout(Some(ANSWER_WITHIN));
        let answer = runtime.block_on(admin.delete_records(&gone, &options));
        answer.expect("Kafka deletes them");
    }

    /// Records of all partitions behind the committed offsets.
    pub fn lag(&self) -> Result<i64, String> {
        let committed = self.committed()?;
        let behind = |(partition, end): (i32, i64)| end - committed.get(&partition).unwrap_or(&0);
        Ok(self.ends()?.into_iter().map(behind).sum())
    }
}
