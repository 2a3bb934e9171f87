//! The lease of one key of the feed, as a consumer group: the group has one partition to give, so
//! the broker decides which of its members holds the lease, and notices when that one is gone.
//!
//! The assignor is the sticky one: a member that joins takes nothing from the holder. A holder that
//! loses sight of the brokers goes on, for the feed has no replay; it gives way when the group has
//! given the partition to somebody else.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::watch;

use super::cluster::Cluster;
use super::context::forward_log;
use super::settings::{Settings, refuse_client};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::port::{Clock, Tenure};
use crate::telemetry;

/// Who is in the group is asked for so long before the feed is read without an answer.
const ASK_WITHIN: Duration = Duration::from_secs(2);
/// How often the group is listened to, and the client asked whether it still wants the lease.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A member that was thrown out is told so and has joined again within this; longer, and the
/// brokers are away.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Whose lease it is.
#[derive(Debug, Clone)]
pub struct LeaseClaim {
    /// Producer name and key slot, for log and metrics.
    pub feed: String,
    /// Stands for the key, and never is the key.
    pub key_hash: String,
    /// Names this producer beyond restarts, so that it does not wait for itself.
    pub holder: String,
}

/// A member of the group of one key, on a thread of its own.
pub struct KafkaLease {
    thread: JoinHandle<()>,
}

impl KafkaLease {
    /// Joins the group, and leaves it when nobody listens to the tenure any more. Without brokers
    /// the lease is presumed until they are back.
    ///
    /// # Errors
    /// `Config` when the topic of the leases is missing or has more than one partition.
    pub fn join(
        config: &Config,
        claim: LeaseClaim,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, watch::Receiver<Tenure>)> {
        let settings = Settings::new(config)?;
        let topic = config.topics.leases.clone();
        let group = lease_group(config, &claim.key_hash);
        let timeout_ms = config.producer.lease_timeout_ms;
        let client = settings.lease_holder(&group, &claim.holder, timeout_ms);
        let consumer = BaseConsumer::from_config_and_context(&client, LeaseContext::default())
            .map_err(|error| refuse_client(&error))?;
        let first = first_tenure(&consumer, &topic, &group, &claim.holder)?;
        telemetry::feed::lease(&claim.feed, &first);
        consumer
            .subscribe(&[&topic])
            .map_err(|error| Error::Config(format!("topic '{topic}': {error}")))?;
        let (tenure, receiver) = watch::channel(first);
        let timeout = Duration::from_millis(timeout_ms);
        let member = LeaseMember { consumer, tenure, claim, topic, group, timeout, clock };
        let thread =
            std::thread::Builder::new()
                .name("lease".into())
                .spawn(move || member.run())
                .map_err(|error| Error::Unavailable(format!("no thread for the lease: {error}")))?;
        Ok((Self { thread }, receiver))
    }

    /// Waits until the group was left, so that the next producer need not wait for a time-out.
    pub fn await_left(self, within: Duration) {
        let until = Instant::now() + within;
        while !self.thread.is_finished() && Instant::now() < until {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

fn lease_group(config: &Config, key_hash: &str) -> String {
    format!("{}-{key_hash}", config.topics.leases)
}

/// Producers that hold the lease of the key, or stand by for it, looked at from outside.
///
/// # Errors
/// `Unavailable` when no broker answers.
pub fn lease_members(config: &Config, key_hash: &str) -> Result<usize> {
    let settings = Settings::new(config)?;
    let group = lease_group(config, key_hash);
    let list = Cluster::connect(&settings)?.group(&group)?;
    let found = list.groups().iter().find(|one| one.name() == group);
    Ok(found.map_or(0, |found| found.members().len()))
}

/// Before the group has decided: a group without other members is nobody's.
fn first_tenure(
    consumer: &BaseConsumer<LeaseContext>,
    topic: &str,
    group: &str,
    holder: &str,
) -> Result<Tenure> {
    let Ok(metadata) = consumer.fetch_metadata(Some(topic), ASK_WITHIN) else {
        return Ok(Tenure::Presumed);
    };
    let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
    if partitions != 1 {
        return Err(Error::Config(unusable(topic, partitions)));
    }
    let Ok(groups) = consumer.fetch_group_list(Some(group), ASK_WITHIN) else {
        return Ok(Tenure::Presumed);
    };
    // A member of our own name is a run that ended without leaving: the spool is locked, so it is
    // not there any more.
    let is_taken = groups
        .groups()
        .iter()
        .flat_map(|group| group.members())
        .any(|member| member.client_id() != holder);
    Ok(if is_taken { Tenure::Elsewhere } else { Tenure::Presumed })
}

fn unusable(topic: &str, partitions: usize) -> String {
    let problem = match partitions {
        0 => "does not exist; create it with `ticksmith topics`".to_owned(),
        count => format!("has {count} partitions and must have one; name another in topics.leases"),
    };
    format!(
        "topic '{topic}' {problem}, or set producer.lease = false if no other producer has this key"
    )
}

struct LeaseMember {
    consumer: BaseConsumer<LeaseContext>,
    tenure: watch::Sender<Tenure>,
    claim: LeaseClaim,
    topic: String,
    group: String,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl LeaseMember {
    fn run(self) {
        let mut looked_us = self.clock.monotonic_us();
        let mut asked_us = None;
        while !self.tenure.is_closed() {
            if let Some(Err(error)) = self.consumer.poll(LOOK_EVERY)
                && let Some(problem) = self.problem(&error)
            {
                self.stand(Tenure::Refused(problem));
            }
            let now_us = self.clock.monotonic_us();
            let since = |us: i64| Duration::from_micros(now_us.abs_diff(us));
            let has_slept = since(looked_us) > self.timeout;
            looked_us = now_us;
            match self.consumer.context().take_news() {
                Some(News::Decided { is_ours }) => {
                    asked_us = None;
                    self.stand(if is_ours { Tenure::Held } else { Tenure::Elsewhere });
                }
                Some(News::LostSight) if self.reads() => {
                    asked_us = Some(now_us);
                    self.stand(Tenure::Asked);
                }
                // A process that was stopped for longer than a session has lost it for certain.
                None if has_slept && self.reads() => {
                    asked_us = Some(now_us);
                    self.stand(Tenure::Asked);
                }
                _ => {}
            }
            if asked_us.is_some_and(|us| since(us) > ANSWER_WITHIN) {
                asked_us = None;
                self.stand(Tenure::Presumed);
            }
        }
    }

    fn reads(&self) -> bool {
        matches!(*self.tenure.borrow(), Tenure::Held | Tenure::Presumed)
    }

    fn stand(&self, tenure: Tenure) {
        let is_news = *self.tenure.borrow() != tenure;
        if is_news {
            telemetry::feed::lease(&self.claim.feed, &tenure);
            self.tenure.send_replace(tenure);
        }
    }

    /// What makes the lease impossible; `None`: it passes.
    fn problem(&self, error: &KafkaError) -> Option<String> {
        use RDKafkaErrorCode::{GroupAuthorizationFailed, InvalidSessionTimeout};
        use RDKafkaErrorCode::{TopicAuthorizationFailed, UnknownTopic, UnknownTopicOrPartition};
        let Self { topic, group, .. } = self;
        let or = "or set producer.lease = false if no other producer has this key";
        match error.rdkafka_error_code() {
            Some(UnknownTopic | UnknownTopicOrPartition) => Some(unusable(topic, 0)),
            Some(TopicAuthorizationFailed) => {
                Some(format!("topic '{topic}': grant Read and Describe on it, {or}"))
            }
            Some(GroupAuthorizationFailed) => {
                Some(format!("group '{group}' is not allowed: grant Read on '{topic}-*', {or}"))
            }
            Some(InvalidSessionTimeout) => Some(format!(
                "producer.lease_timeout_ms = {} is outside of what the broker allows: give 6000, \
                 or more than its group.min.session.timeout.ms",
                self.timeout.as_millis()
            )),
            _ => None,
        }
    }
}

/// What the group said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    Decided { is_ours: bool },
    LostSight,
}

/// Notes rebalances; the member acts on them.
#[derive(Debug, Default)]
struct LeaseContext(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    is_ours: bool,
    news: Option<News>,
}

impl LeaseContext {
    fn take_news(&self) -> Option<News> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).news.take()
    }
}

impl ClientContext for LeaseContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        forward_log("lease", level, facility, line);
    }
    fn error(&self, _: KafkaError, reason: &str) {
        telemetry::log::client_error("lease", reason);
    }
}

impl ConsumerContext for LeaseContext {
    /// Assignments are told as changes: every rebalance ends with one, empty when nothing changed.
    /// A revocation by the group is followed by one; a lost session is not, for as long as the
    /// brokers are away.
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match rebalance {
            Rebalance::Assign(added) => {
                noted.is_ours |= added.count() > 0;
                noted.news = Some(News::Decided { is_ours: noted.is_ours });
            }
            Rebalance::Revoke(_) => {
                noted.is_ours = false;
                if consumer.assignment_lost() {
                    noted.news = Some(News::LostSight);
                }
            }
            Rebalance::Error(_) => {}
        }
    }
}
