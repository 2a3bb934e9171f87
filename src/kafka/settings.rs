//! librdkafka's settings: what our promises need is fixed here, the rest may be set by the user
//! through `kafka.properties`.

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use super::security;
use crate::config;
use crate::error::{Error, Result};
use crate::port::Topic;

/// Settings that carry the delivery promise or stand elsewhere in the configuration.
const RESERVED: [&str; 12] = [
    "bootstrap.servers",
    "group.id",
    "group.instance.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "isolation.level",
    "partition.assignment.strategy",
    "enable.partition.eof",
    "transactional.id",
    "enable.idempotence",
    "acks",
];

/// Records held ahead of the engine. librdkafka needs some 400 bytes for each beside its own, which
/// `queued.max.messages.kbytes` does not count: its default of 100,000 is 40 MB of a full queue.
const QUEUED_RECORDS: &str = "20000";
/// One answer brings at most so much of a partition, compressed, whatever the queue holds already.
const FETCHED_BYTES: &str = "262144";

/// The parts of the configuration that the clients are made from.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub kafka: config::Kafka,
    pub topics: config::Topics,
    pub guarantee: config::Guarantee,
    properties: Vec<(String, String)>,
}

impl Settings {
    /// # Errors
    /// `Config` naming every entry of `kafka.properties` that cannot be used, or a file of keys or
    /// certificates that cannot be read.
    pub fn new(config: &config::Config) -> Result<Self> {
        let (mut properties, mut problems) = (Vec::new(), Vec::new());
        for entry in config.kafka.properties.iter().filter(|entry| !entry.trim().is_empty()) {
            // Only the name is ever shown: the value may be a password.
            match entry.split_once('=') {
                None => problems.push("an entry without '='".to_owned()),
                Some((name, _)) if RESERVED.contains(&name.trim()) => {
                    problems.push(format!("'{}' is set by ticksmith itself", name.trim()));
                }
                Some((name, _)) if let Some(key) = security::key_of(name.trim()) => {
                    problems.push(format!("'{}' is set by {key}", name.trim()));
                }
                Some((name, value)) => {
                    properties.push((name.trim().to_owned(), value.trim().to_owned()));
                }
            }
        }
        if !problems.is_empty() {
            return Err(Error::Config(format!(
                "kafka.properties: {}; write librdkafka settings as name=value",
                problems.join(", ")
            )));
        }
        security::check(&config.kafka)?;
        Ok(Self {
            kafka: config.kafka.clone(),
            topics: config.topics.clone(),
            guarantee: config.stream.guarantee,
            properties,
        })
    }

    /// The configured name of a topic.
    pub fn name(&self, topic: Topic) -> &str {
        topic_name(&self.topics, topic)
    }

    fn client(&self, specific: &[(&str, String)]) -> ClientConfig {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.kafka.bootstrap);
        client.set("client.id", "ticksmith");
        for (name, value) in security::properties(&self.kafka) {
            client.set(name, value);
        }
        // A broker that comes back is found within a second instead of ten.
        client.set("reconnect.backoff.max.ms", "1000");
        client.set("allow.auto.create.topics", "false");
        for (name, value) in specific {
            client.set(*name, value);
        }
        for (name, value) in &self.properties {
            client.set(name, value);
        }
        let debugging = self.properties.iter().any(|(name, _)| name == "debug");
        client.set_log_level(if debugging {
            RDKafkaLogLevel::Debug
        } else {
            RDKafkaLogLevel::Info
        });
        client
    }

    /// A member shows itself to the group this often, ms.
    pub fn heartbeat_ms(&self) -> u32 {
        (self.kafka.session_timeout_ms / 3).clamp(100, 3000)
    }

    /// Reads trades as a member of the group.
    pub fn member(&self) -> ClientConfig {
        let session_ms = self.kafka.session_timeout_ms;
        let mut specific = vec![
            ("group.id", self.kafka.group.clone()),
            ("enable.auto.commit", "false".into()),
            ("enable.auto.offset.store", "false".into()),
            ("isolation.level", "read_committed".into()),
            // A position that the log no longer has is for people to decide about, never a silent
            // jump.
            ("auto.offset.reset", "error".into()),
            // Eager: everything is given back before anything is handed out, so that two members
            // never hold one partition's state at the same time.
            ("partition.assignment.strategy", "range".into()),
            // The end is told, so that a position passes control records that no record follows.
            ("enable.partition.eof", "true".into()),
            ("session.timeout.ms", session_ms.to_string()),
            ("heartbeat.interval.ms", self.heartbeat_ms().to_string()),
            ("max.poll.interval.ms", self.kafka.max_poll_interval_ms.max(session_ms).to_string()),
            ("queued.max.messages.kbytes", self.kafka.consumer_queue_kib.to_string()),
            ("queued.min.messages", QUEUED_RECORDS.into()),
            ("fetch.message.max.bytes", FETCHED_BYTES.into()),
            // A full queue is asked again soon: the default of a second starves a fast reader.
            ("fetch.queue.backoff.ms", "5".into()),
            ("fetch.wait.max.ms", "100".into()),
            ("topic.metadata.refresh.interval.ms", "30000".into()),
        ];
        if !self.kafka.instance_id.is_empty() {
            specific.push(("group.instance.id", self.kafka.instance_id.clone()));
        }
        self.client(&specific)
    }

    /// Reads a changelog partition to its end, committed records only. The group is named because
    /// librdkafka wants one for an assignment; this client neither joins it nor commits.
    pub fn changelog_reader(&self) -> ClientConfig {
        self.client(&[
            ("group.id", self.kafka.group.clone()),
            ("enable.auto.commit", "false".into()),
            ("enable.auto.offset.store", "false".into()),
            ("isolation.level", "read_committed".into()),
            ("auto.offset.reset", "error".into()),
            ("enable.partition.eof", "true".into()),
            ("queued.max.messages.kbytes", self.kafka.consumer_queue_kib.to_string()),
            ("fetch.queue.backoff.ms", "5".into()),
            // The end is learnt from an empty answer; the default makes each partition wait 500 ms.
            ("fetch.wait.max.ms", "10".into()),
        ])
    }

    /// A member of a group that has one partition to give, of a topic without records.
    pub fn lease_holder(&self, group: &str, holder: &str, timeout_ms: u64) -> ClientConfig {
        let mut client = self.client(&[
            ("group.id", group.to_owned()),
            ("enable.auto.commit", "false".into()),
            ("enable.auto.offset.store", "false".into()),
            // Whoever holds the partition keeps it when others join.
            ("partition.assignment.strategy", "cooperative-sticky".into()),
            ("session.timeout.ms", timeout_ms.to_string()),
            // Thrown out or not is known soon.
            ("heartbeat.interval.ms", (timeout_ms / 6).clamp(100, 1_000).to_string()),
            // How long a rebalance waits for members that only the broker remembers.
            ("max.poll.interval.ms", timeout_ms.to_string()),
            // There is nothing to read.
            ("fetch.wait.max.ms", "5000".into()),
        ]);
        client.set("client.id", holder);
        client
    }

    /// Asks for metadata and for watermarks that include open transactions.
    pub fn cluster(&self) -> ClientConfig {
        self.client(&[("isolation.level", "read_uncommitted".into())])
    }

    /// Looks at the group from outside, without joining it: what it has committed as of now, open
    /// transactions left aside, and single records.
    pub fn observer(&self) -> ClientConfig {
        self.client(&[
            ("group.id", self.kafka.group.clone()),
            ("enable.auto.commit", "false".into()),
            ("enable.auto.offset.store", "false".into()),
            ("isolation.level", "read_uncommitted".into()),
            ("auto.offset.reset", "error".into()),
            // One record a partition is wanted, and whole batches are sent.
            ("queued.min.messages", "1".into()),
            ("fetch.message.max.bytes", "65536".into()),
            ("fetch.wait.max.ms", "10".into()),
        ])
    }

    /// Creates and describes topics.
    pub fn admin(&self) -> ClientConfig {
        self.client(&[])
    }

    fn producer(&self, specific: &[(&str, String)]) -> ClientConfig {
        let mut all = vec![
            ("enable.idempotence", "true".to_owned()),
            ("acks", "all".into()),
            ("compression.type", self.kafka.compression.clone()),
            ("queue.buffering.max.kbytes", self.kafka.producer_queue_kib.to_string()),
        ];
        all.extend_from_slice(specific);
        self.client(&all)
    }

    /// Writes beats, or the state and the offsets of beats, all or nothing.
    pub fn transactional_writer(&self, transactional_id: &str) -> ClientConfig {
        self.producer(&[
            ("transactional.id", transactional_id.to_owned()),
            ("transaction.timeout.ms", self.kafka.transaction_timeout_ms.to_string()),
            // The commit flushes, so lingering only makes batches larger, never later.
            ("linger.ms", "20".into()),
            ("queue.buffering.max.messages", "500000".into()),
            ("delivery.report.only.error", "true".into()),
        ])
    }

    /// Writes the outputs of beats, each record at least once.
    pub fn plain_writer(&self) -> ClientConfig {
        self.producer(&[
            ("message.timeout.ms", self.kafka.transaction_timeout_ms.to_string()),
            ("linger.ms", "20".into()),
            ("queue.buffering.max.messages", "500000".into()),
            ("delivery.report.only.error", "true".into()),
        ])
    }

    /// Writes the feed.
    pub fn publisher(&self) -> ClientConfig {
        self.producer(&[
            // No hole: what follows a record that failed for good is not sent either.
            ("enable.gapless.guarantee", "true".into()),
            // The spool keeps what the broker does not take; giving up would only send it again.
            ("message.timeout.ms", "0".into()),
            ("linger.ms", "5".into()),
            ("queue.buffering.max.messages", "200000".into()),
        ])
    }
}

/// The configured name of a topic.
pub(super) fn topic_name(topics: &config::Topics, topic: Topic) -> &str {
    match topic {
        Topic::Trades => &topics.trades,
        Topic::Silver => &topics.silver,
        Topic::Late => &topics.late,
        Topic::Rejected => &topics.rejected,
        Topic::Bars => &topics.bars,
        Topic::Changelog => &topics.changelog,
    }
}

/// A client that could not be made: a wrong setting, told without its value.
pub(super) fn refuse_client(error: &KafkaError) -> Error {
    Error::Config(match error {
        KafkaError::ClientCreation(reason) if let Some(text) = security::refused_file(reason) => {
            text
        }
        KafkaError::ClientConfig(_, _, name, _) => {
            format!(
                "kafka: librdkafka does not accept this value of '{name}'; mend kafka.properties"
            )
        }
        other => format!("kafka: no client with these settings: {other}; mend [kafka]"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_with(properties: &[&str]) -> config::Config {
        let mut config = config::Config::defaults();
        config.kafka.properties = properties.iter().map(|text| (*text).to_owned()).collect();
        config
    }

    #[test]
    fn properties_reach_every_client() {
        let settings =
            Settings::new(&config_with(&["client.id=desk 7", "linger.ms = 1"])).expect("accepted");
        for client in [settings.member(), settings.publisher(), settings.admin()] {
            assert_eq!(client.get("client.id"), Some("desk 7"));
        }
        assert_eq!(settings.publisher().get("linger.ms"), Some("1"));
    }

    #[test]
    fn what_carries_the_promise_cannot_be_overridden_and_values_stay_secret() {
        let properties = ["isolation.level=hunter2", "hunter3", "sasl.password=hunter4"];
        let refused = Settings::new(&config_with(&properties));
        let text = refused.expect_err("refused").to_string();
        assert!(text.contains("'isolation.level'") && text.contains("without '='"), "{text}");
        assert!(text.contains("'sasl.password' is set by kafka.sasl_password"), "{text}");
        assert!(!text.contains("hunter"), "{text}");
    }
}
