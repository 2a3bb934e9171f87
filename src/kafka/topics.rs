//! Creates the topics, or tells how they differ from the configuration. What exists is not changed.

use std::time::{Duration, Instant};

use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;

use super::cluster::{Cluster, admin_client, topic_settings, wait_for};
use super::settings::Settings;
use crate::config::{Config, Topics};
use crate::error::{Error, Result};
use crate::port::Topic;

const CREATE_WITHIN: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const HOUR_MS: u64 = 3_600_000;

/// What a topic should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicPlan {
    pub name: String,
    pub partitions: u32,
    pub replication: u32,
    /// Topic-level settings, name and value.
    pub settings: Vec<(&'static str, String)>,
}

/// One setting that is not as wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub setting: String,
    pub wanted: String,
    pub found: String,
}

/// How a topic was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicState {
    Created,
    /// Only where nothing is created.
    Missing,
    AsWanted,
    Differs(Vec<Difference>),
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicReport {
    pub name: String,
    pub partitions: u32,
    pub state: TopicState,
}

/// The plan of all topics.
pub fn plan(topics: &Topics) -> Vec<TopicPlan> {
    let of_records = Topic::ALL.iter().map(|topic| plan_of(topics, *topic));
    of_records.chain([plan_of_leases(topics)]).collect()
}

fn plan_of(topics: &Topics, topic: Topic) -> TopicPlan {
    let hours = match topic {
        Topic::Trades => topics.trades_retention_hours,
        _ => topics.output_retention_hours,
    };
    let settings = match topic {
        // Restoring reads the whole partition: compact early (small segments, a low dirty ratio, no
        // long wait), and let tombstones go after a minute, which any reader outruns.
        Topic::Changelog => vec![
            ("cleanup.policy", "compact".to_owned()),
            ("segment.bytes", (16 * 1024 * 1024).to_string()),
            ("segment.ms", 600_000.to_string()),
            ("min.cleanable.dirty.ratio", "0.1".to_owned()),
            ("max.compaction.lag.ms", 600_000.to_string()),
            ("delete.retention.ms", 60_000.to_string()),
        ],
        // Feed events have null keys and values, which compaction does not take.
        _ => vec![
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", (u64::from(hours) * HOUR_MS).to_string()),
        ],
    };
    TopicPlan {
        name: super::settings::topic_name(topics, topic).to_owned(),
        partitions: topics.partitions,
        replication: topics.replication,
        settings,
    }
}

/// Nothing is ever written to it: members of a group take turns in holding its partition.
fn plan_of_leases(topics: &Topics) -> TopicPlan {
    TopicPlan {
        name: topics.leases.clone(),
        partitions: 1,
        replication: topics.replication,
        settings: vec![("cleanup.policy", "delete".to_owned())],
    }
}

/// Creates what is missing and compares what exists.
///
/// # Errors
/// `Unavailable` when no broker answers or the creation is refused for lack of rights or brokers.
pub fn ensure(config: &Config) -> Result<Vec<TopicReport>> {
    let settings = Settings::new(config)?;
    let cluster = Cluster::connect(&settings)?;
    plan(&config.topics)
        .iter()
        .map(|plan| {
            let missing = cluster.partition_count(&plan.name)? == 0;
            let (partitions, state) = if missing && create(&settings, plan)? {
                await_visible(&cluster, plan)?;
                (plan.partitions, TopicState::Created)
            } else {
                let shape = cluster.shape(&plan.name)?;
                (shape.0, compare(&settings, plan, shape)?)
            };
            Ok(TopicReport { name: plan.name.clone(), partitions, state })
        })
        .collect()
}

/// Compares what exists, and creates nothing.
///
/// # Errors
/// `Unavailable` when no broker answers, or does not tell a topic's settings.
pub fn inspect(config: &Config) -> Result<Vec<TopicReport>> {
    let settings = Settings::new(config)?;
    let cluster = Cluster::connect(&settings)?;
    plan(&config.topics)
        .iter()
        .map(|plan| {
            let shape = cluster.shape(&plan.name)?;
            let state = match shape.0 {
                0 => TopicState::Missing,
                _ => compare(&settings, plan, shape)?,
            };
            Ok(TopicReport { name: plan.name.clone(), partitions: shape.0, state })
        })
        .collect()
}

/// False when somebody else made the topic in the meantime.
fn create(settings: &Settings, plan: &TopicPlan) -> Result<bool> {
    let admin = admin_client(settings)?;
    let replication = TopicReplication::Fixed(plan.replication as i32);
    let mut topic = NewTopic::new(&plan.name, plan.partitions as i32, replication);
    for (name, value) in &plan.settings {
        topic = topic.set(name, value);
    }
    let options = AdminOptions::new()
        .request_timeout(Some(CREATE_WITHIN))
        .operation_timeout(Some(CREATE_WITHIN));
    let refused = |reason: String| {
        Error::Unavailable(format!(
            "topic '{}' cannot be created on {} with {} replicas: {reason}; check \
             topics.replication and the rights of this user",
            plan.name, settings.kafka.bootstrap, plan.replication
        ))
    };
    let answers = wait_for(admin.create_topics([&topic], &options))?;
    for answer in answers.map_err(|error| refused(error.to_string()))? {
        match answer {
            Ok(_) => {}
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => return Ok(false),
            Err((_, code)) => return Err(refused(code.to_string())),
        }
    }
    Ok(true)
}

/// The controller answers before a busy broker's metadata shows the topic; whoever starts next must
/// find it.
fn await_visible(cluster: &Cluster, plan: &TopicPlan) -> Result<()> {
    let asked_at = Instant::now();
    while cluster.partition_count(&plan.name)? < plan.partitions {
        if asked_at.elapsed() >= CREATE_WITHIN {
            return Err(Error::Unavailable(format!(
                "topic '{}' was created, but the broker does not show it after {} s; look at its \
                 log, then run `ticksmith topics` again",
                plan.name,
                CREATE_WITHIN.as_secs()
            )));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    Ok(())
}

fn compare(settings: &Settings, plan: &TopicPlan, shape: (u32, u32)) -> Result<TopicState> {
    let found = topic_settings(&admin_client(settings)?, &plan.name)?;
    let differences = differences(plan, shape, &found);
    Ok(if differences.is_empty() { TopicState::AsWanted } else { TopicState::Differs(differences) })
}

fn differences(
    plan: &TopicPlan,
    (partitions, replication): (u32, u32),
    found: &[(String, String)],
) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut compare = |setting: &str, wanted: &str, found: &str| {
        // Numbers are compared as such: a broker may print 0.1 for 0.10.
        let equal = match (wanted.parse::<f64>(), found.parse::<f64>()) {
            (Ok(wanted), Ok(found)) => wanted.total_cmp(&found).is_eq(),
            _ => wanted == found,
        };
        if !equal {
            differences.push(Difference {
                setting: setting.to_owned(),
                wanted: wanted.to_owned(),
                found: found.to_owned(),
            });
        }
    };
    compare("partitions", &plan.partitions.to_string(), &partitions.to_string());
    compare("replication", &plan.replication.to_string(), &replication.to_string());
    for (name, wanted) in &plan.settings {
        let value = found.iter().find(|(setting, _)| setting == name);
        compare(name, wanted, value.map_or("(not told)", |(_, value)| value));
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics() -> Topics {
        Config::defaults().topics
    }

    #[test]
    fn only_the_changelog_is_compacted() {
        let topics = topics();
        for plan in plan(&topics) {
            let policy = if plan.name == topics.changelog { "compact" } else { "delete" };
            assert_eq!(plan.settings[0], ("cleanup.policy", policy.to_owned()), "{}", plan.name);
            assert_eq!(plan.partitions, if plan.name == topics.leases { 1 } else { 6 });
        }
    }

    #[test]
    fn differences_name_setting_wanted_and_found() {
        let plan = plan_of(&topics(), Topic::Trades);
        let found = [
            ("cleanup.policy".to_owned(), "compact".to_owned()),
            ("retention.ms".to_owned(), "604800000.0".to_owned()),
        ];
        let differences = differences(&plan, (3, 1), &found);
        let told: Vec<_> = differences
            .iter()
            .map(|d| (d.setting.as_str(), d.wanted.as_str(), d.found.as_str()))
            .collect();
        assert_eq!(told, [("partitions", "6", "3"), ("cleanup.policy", "delete", "compact")]);
    }
}
