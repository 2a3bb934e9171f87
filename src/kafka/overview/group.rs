//! The consumer group as its coordinator knows it: its state, and who has which partitions.

use rdkafka::groups::{GroupInfo, GroupMemberInfo};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::kafka::assignment;
use crate::kafka::cluster::Cluster;
use crate::kafka::settings::Settings;
use crate::port::Topic;

/// Letters and hyphens of a UUID, which the broker puts behind a hyphen into every member id.
const UUID_LENGTH: usize = 36;

/// The group of the stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// Kafka's word for it: `Stable`, `Empty`, `PreparingRebalance`, `CompletingRebalance`, `Dead`;
    /// empty when the group does not exist.
    pub state: String,
    /// The way in which partitions are handed out, for example `range`; empty without members.
    pub protocol: String,
    /// In order of host and member id.
    pub members: Vec<GroupMember>,
}

/// One process that reads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupMember {
    pub member_id: String,
    pub client_id: String,
    /// As the broker saw it connect, without the slash that Java puts before it.
    pub host: String,
    /// Static members have one.
    pub instance_id: Option<String>,
    /// Of the trades topic, in order.
    pub partitions: Vec<i32>,
}

impl Group {
    /// Partitions are being handed out: nobody has any at this moment.
    pub fn is_rebalancing(&self) -> bool {
        matches!(self.state.as_str(), "PreparingRebalance" | "CompletingRebalance")
    }

    /// Index of the member that has the partition.
    pub fn owner(&self, partition: i32) -> Option<usize> {
        self.members.iter().position(|member| member.partitions.contains(&partition))
    }
}

/// Members of the configured group, looked at from outside.
///
/// # Errors
/// `Unavailable` when no broker answers within a few seconds; `Config` when the group is another
/// program's.
pub fn active_members(config: &Config) -> Result<usize> {
    let settings = Settings::new(config)?;
    Ok(describe(&Cluster::connect(&settings)?, &settings)?.members.len())
}

/// Asks the coordinator.
pub(super) fn describe(cluster: &Cluster, settings: &Settings) -> Result<Group> {
    let (name, on) = (&settings.kafka.group, &settings.kafka.bootstrap);
    let list = cluster.group(name)?;
    let Some(found) = list.groups().iter().find(|group| group.name() == name) else {
        return Ok(Group::default());
    };
    group_of(found, settings.name(Topic::Trades)).map_err(|problem| {
        Error::Config(format!(
            "group '{name}' on {on}: {problem}; is it another program's? name one of your own in \
             kafka.group"
        ))
    })
}

fn group_of(found: &GroupInfo, topic: &str) -> Result<Group, String> {
    let members = found.members().iter().map(|member| member_of(member, topic));
    let mut members: Vec<GroupMember> = members.collect::<Result<_, _>>()?;
    members.sort_by(|one, other| (&one.host, &one.member_id).cmp(&(&other.host, &other.member_id)));
    Ok(Group { state: found.state().to_owned(), protocol: found.protocol().to_owned(), members })
}

fn member_of(found: &GroupMemberInfo, topic: &str) -> Result<GroupMember, String> {
    let assigned = assignment::decode(found.assignment().unwrap_or_default())?;
    let of_topic = assigned.into_iter().filter(|(name, _)| name == topic);
    let mut partitions: Vec<i32> = of_topic.flat_map(|(_, partitions)| partitions).collect();
    partitions.sort_unstable();
    Ok(GroupMember {
        member_id: found.id().to_owned(),
        client_id: found.client_id().to_owned(),
        host: found.client_host().trim_start_matches('/').to_owned(),
        instance_id: instance_id(found.id(), found.client_id()),
        partitions,
    })
}

/// The broker names a member after its instance id if it has one, otherwise after its client id,
/// and appends a UUID. librdkafka does not hand the instance id itself over.
fn instance_id(member_id: &str, client_id: &str) -> Option<String> {
    let name_length = member_id.len().checked_sub(UUID_LENGTH + 1)?;
    let name = member_id.get(..name_length)?;
    (name != client_id && !name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_static_member_is_told_by_its_id() {
        const UUID: &str = "0d9e5c1e-4f3a-4b57-9a52-9c8f7d1b2a3c";
        let of = |name: &str| instance_id(&format!("{name}-{UUID}"), "ticksmith");
        assert_eq!(of("ticksmith"), None);
        assert_eq!(of("desk-7"), Some("desk-7".to_owned()));
        assert_eq!(instance_id("short", "ticksmith"), None);
        assert_eq!(instance_id("", ""), None);
    }

    #[test]
    fn the_owner_is_the_member_that_has_the_partition() {
        let member = |partitions| GroupMember { partitions, ..GroupMember::default() };
        let members = vec![member(vec![0, 2]), member(vec![1])];
        let group = Group { state: "Stable".into(), members, ..Group::default() };
        assert_eq!([0, 1, 2, 3].map(|one| group.owner(one)), [Some(0), Some(1), Some(0), None]);
        assert!(!group.is_rebalancing());
        assert!(Group { state: "PreparingRebalance".into(), ..group }.is_rebalancing());
    }
}
