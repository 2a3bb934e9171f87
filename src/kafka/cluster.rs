//! What has to be true of the cluster before a session begins: brokers answer, topics exist, their
//! partitions agree, the trades topic is not compacted.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::groups::GroupList;
use rdkafka::metadata::Metadata;
use tracing::warn;

use super::context::PlainContext;
use super::leaving::Leaving;
use super::security;
use super::settings::{Settings, refuse_client};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::port::Topic;

/// A broker that is there answers within milliseconds; a start without one must not feel hung. One
/// that refuses us is not asked again, so the time is cut into tries.
const CONNECT_TRIES: usize = 5;
const CONNECT_TRY: Duration = Duration::from_secs(1);
/// Events of the client that are looked through for a reason: librdkafka's log lines come that way
/// too, and with `debug=all` they are thousands.
const EVENTS_LOOKED_AT: usize = 10_000;
/// Bound of a single question to a broker that was there before.
pub(super) const ASK_WITHIN: Duration = Duration::from_secs(10);

/// Partitions of each topic, by `Topic as usize`; 0 where it was not asked for.
pub(super) type PartitionCounts = [u32; Topic::ALL.len()];

/// What passes by itself is asked again after this.
pub(super) const ASK_AGAIN: Duration = Duration::from_millis(300);

/// A client for questions that need its own kind.
pub(super) type Admin = AdminClient<PlainContext>;

/// A client that belongs to no group and sees uncommitted records' offsets.
pub(super) struct Cluster {
    client: BaseConsumer<PlainContext>,
    bootstrap: String,
}

impl Cluster {
    /// # Errors
    /// `Unavailable` when no broker answers within a few seconds.
    pub fn connect(settings: &Settings) -> Result<Self> {
        let context = PlainContext::quiet("cluster");
        let client = BaseConsumer::from_config_and_context(&settings.cluster(), context)
            .map_err(|error| refuse_client(&error))?;
        let cluster = Self { client, bootstrap: settings.kafka.bootstrap.clone() };
        let mut problem = None;
        for _ in 0..CONNECT_TRIES {
            let Err(error) = cluster.client.fetch_metadata(None, CONNECT_TRY) else {
                return Ok(cluster);
            };
            let reason = cluster.reason();
            if let Some(refusal) = security::explain(&reason, &settings.kafka) {
                return Err(Error::Unavailable(refusal));
            }
            problem = Some(unreachable_broker(&cluster.bootstrap, &reason, &error));
        }
        Err(problem.unwrap_or_else(|| Error::Bug("not one try to connect".into())))
    }

    /// Why the last call failed (refused, wrong password, unknown host): it waits as an event of
    /// the client. Empty when there is none.
    fn reason(&self) -> String {
        for _ in 0..EVENTS_LOOKED_AT {
            let _event = self.client.poll(Duration::ZERO);
        }
        self.client.context().last_error()
    }

    fn metadata(&self, topic: Option<&str>, within: Duration) -> Result<Metadata> {
        self.client
            .fetch_metadata(topic, within)
            .map_err(|error| unreachable_broker(&self.bootstrap, &self.reason(), &error))
    }

    /// Whether a broker answers within so long.
    ///
    /// # Errors
    /// `Unavailable` when none does.
    pub fn answers(&self, within: Duration) -> Result<()> {
        self.metadata(None, within).map(drop)
    }

    /// Counts the partitions of `topics`.
    ///
    /// # Errors
    /// `Config` naming every topic that is missing.
    pub fn partition_counts(
        &self,
        settings: &Settings,
        topics: &[Topic],
    ) -> Result<PartitionCounts> {
        let metadata = self.metadata(None, ASK_WITHIN)?;
        let (mut counts, mut missing) = (PartitionCounts::default(), Vec::new());
        for topic in topics {
            let name = settings.name(*topic);
            let count = metadata
                .topics()
                .iter()
                .find(|found| found.name() == name && found.error().is_none())
                .map_or(0, |found| found.partitions().len());
            if count == 0 {
                missing.push(name);
            }
            counts[*topic as usize] = count as u32;
        }
        if missing.is_empty() { Ok(counts) } else { Err(self.missing(&missing)) }
    }

    fn missing(&self, names: &[&str]) -> Error {
        let on = &self.bootstrap;
        Error::Config(match names {
            [name] => {
                format!("topic '{name}' does not exist on {on}; create it with `ticksmith topics`")
            }
            _ => format!(
                "topics '{}' do not exist on {on}; create them with `ticksmith topics`",
                names.join("', '")
            ),
        })
    }

    /// Partitions of one topic as of now; 0 when it is not there.
    pub fn partition_count(&self, name: &str) -> Result<u32> {
        Ok(self.shape(name)?.0)
    }

    /// Partitions of one topic, and the fewest replicas that one of them has; zeros when it is not
    /// there.
    pub fn shape(&self, name: &str) -> Result<(u32, u32)> {
        let metadata = self.metadata(Some(name), ASK_WITHIN)?;
        let partitions = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
        let replicas = partitions.iter().map(|partition| partition.replicas().len()).min();
        Ok((partitions.len() as u32, replicas.unwrap_or(0) as u32))
    }

    /// A group as its coordinator knows it; a member that was killed counts until its session
    /// time-out.
    pub fn group(&self, name: &str) -> Result<GroupList> {
        let began = Instant::now();
        loop {
            let error = match self.client.fetch_group_list(Some(name), ASK_WITHIN) {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            if !is_moving(&error) || began.elapsed() > ASK_WITHIN {
                return Err(Error::Unavailable(format!(
                    "members of group '{name}' on {}: {error}; are all brokers up, and is \
                     Describe on the group granted?",
                    self.bootstrap
                )));
            }
            std::thread::sleep(ASK_AGAIN);
        }
    }

    /// Oldest offset, and the one after the newest, open transactions included.
    pub fn watermarks(&self, name: &str, partition: i32) -> Result<(i64, i64)> {
        self.client.fetch_watermarks(name, partition, ASK_WITHIN).map_err(|error| {
            Error::Unavailable(format!(
                "offsets of {name} partition {partition} on {}: {error}; is the broker up?",
                self.bootstrap
            ))
        })
    }
}

/// The group moves to another broker, or Kafka makes ready for its first one: it passes.
pub(super) fn is_moving(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator};
    matches!(
        error.rdkafka_error_code(),
        Some(CoordinatorLoadInProgress | CoordinatorNotAvailable | NotCoordinator)
    )
}

/// Brokers of the configured cluster.
///
/// # Errors
/// `Unavailable` when none answers, or it refuses us; `Config` for settings that cannot be used.
pub fn broker_count(config: &Config) -> Result<usize> {
    let cluster = Cluster::connect(&Settings::new(config)?)?;
    Ok(cluster.metadata(None, ASK_WITHIN)?.brokers().len())
}

/// No broker answered.
pub(super) fn unreachable_broker(bootstrap: &str, reason: &str, error: &KafkaError) -> Error {
    let reason = if reason.is_empty() { error.to_string() } else { reason.to_owned() };
    Error::Unavailable(format!(
        "no Kafka broker answers at {bootstrap} ({reason}); start one with `make infra-up` or \
         `make docker-up`, or set kafka.bootstrap"
    ))
}

/// Checks once what a session relies on, and returns the partition counts to pin.
pub(super) fn check_topics(
    cluster: &Cluster,
    settings: &Settings,
) -> Result<(PartitionCounts, Leaving)> {
    let counts = cluster.partition_counts(settings, &Topic::ALL)?;
    check_same_count(settings, counts)?;
    let admin = admin_client(settings)?;
    check_cleanup_policy(&admin, settings)?;
    Ok((counts, Leaving::of(admin)))
}

/// The state of a partition lives in the changelog partition of the same number.
///
/// # Errors
/// `Config` when the two topics differ.
pub(super) fn check_same_count(settings: &Settings, counts: PartitionCounts) -> Result<()> {
    let (trades, changelog) = (counts[Topic::Trades as usize], counts[Topic::Changelog as usize]);
    if trades != changelog {
        return Err(Error::Config(format!(
            "topic '{}' has {trades} partitions and '{}' has {changelog}; the state of a \
             partition lives in the changelog partition of the same number: bring them to the \
             same count before anything is consumed, or start afresh with new topics and a new \
             kafka.group",
            settings.name(Topic::Trades),
            settings.name(Topic::Changelog),
        )));
    }
    Ok(())
}

/// Feed events have null keys and values: compaction would delete them, or refuse them.
fn check_cleanup_policy(admin: &Admin, settings: &Settings) -> Result<()> {
    let name = settings.name(Topic::Trades);
    let policy = match topic_settings(admin, name) {
        Ok(entries) => entries.into_iter().find(|(setting, _)| setting == "cleanup.policy"),
        // A cluster may forbid the question; the answer is not worth refusing to run.
        Err(Error::Unavailable(reason)) => {
            warn!(topic = name, reason, "cleanup.policy could not be checked");
            return Ok(());
        }
        Err(other) => return Err(other),
    };
    match policy {
        Some((_, policy)) if policy != "delete" => Err(Error::Config(format!(
            "topic '{name}' has cleanup.policy={policy}; feed events need delete: set it with \
             kafka-configs, or name another topic in topics.trades"
        ))),
        _ => Ok(()),
    }
}

/// The settings of a topic as the broker tells them.
///
/// # Errors
/// `Unavailable` when the broker does not answer or does not allow it.
pub(super) fn topic_settings(admin: &Admin, name: &str) -> Result<Vec<(String, String)>> {
    let options = AdminOptions::new().request_timeout(Some(ASK_WITHIN));
    let question = [ResourceSpecifier::Topic(name)];
    let answer = wait_for(admin.describe_configs(&question, &options))?;
    let refused = |code: RDKafkaErrorCode| {
        Error::Unavailable(format!("settings of topic '{name}': {code}; allow DescribeConfigs"))
    };
    let mut entries = Vec::new();
    for resource in answer.map_err(|error| refused(code_of(&error)))? {
        for entry in resource.map_err(refused)?.entries {
            entries.push((entry.name, entry.value.unwrap_or_default()));
        }
    }
    Ok(entries)
}

pub(super) fn admin_client(settings: &Settings) -> Result<Admin> {
    AdminClient::from_config_and_context(&settings.admin(), PlainContext::quiet("admin"))
        .map_err(|error| refuse_client(&error))
}

/// Blocks on an answer of the admin client, whose own thread completes it within its time-out.
pub(super) fn wait_for<T>(answer: impl Future<Output = T>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| Error::Unavailable(format!("no runtime for the admin client: {error}")))?;
    Ok(runtime.block_on(answer))
}

fn code_of(error: &KafkaError) -> RDKafkaErrorCode {
    error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)
}
