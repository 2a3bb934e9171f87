//! The stream's group as it looks from outside: who reads, how far, and what the changelog says of
//! each partition. Nothing is joined and nothing is written, so it may be asked at any time.

mod group;
mod oldest;

use std::collections::BTreeMap;
use std::time::Instant;

use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::BaseConsumer;

use self::oldest::oldest_unread;
use super::changelog::{ChangelogReader, Newest};
use super::cluster::{ASK_AGAIN, ASK_WITHIN, Cluster, check_same_count, is_moving};
use super::committed::committed;
use super::context::PlainContext;
use super::settings::{Settings, refuse_client};
use crate::codec::avro::{Avro, window_interval};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{Interval, PartitionMeta, StateRecord};
use crate::port::Topic;

pub use self::group::{Group, GroupMember, active_members};

/// Commit markers reach the offsets and the changelog independently, within milliseconds: what
/// still differs after so many looks differs for good.
const LOOKS: u32 = 10;

/// Everything that was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    pub group: Group,
    /// In order, every partition of the trades topic.
    pub partitions: Vec<PartitionStand>,
}

/// Where one partition stands. Offsets are of the trades topic.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PartitionStand {
    pub partition: i32,
    /// Oldest offset that the log still has.
    pub log_start: i64,
    /// What the group has committed; `None`: nothing yet.
    pub committed: Option<i64>,
    /// The offset after the newest readable record; open transactions hold it back.
    pub end: i64,
    /// When the oldest record that nobody has read was written, ms since the epoch; `None`: all is
    /// read, or the record did not come in time.
    pub oldest_unread_ms: Option<i64>,
    /// The changelog's newest committed meta record.
    pub meta: Option<PartitionMeta>,
    /// Windows that the changelog holds, by interval.
    pub open_windows: BTreeMap<Interval, usize>,
    /// Symbols of which the changelog holds who delivered them.
    pub feeds: usize,
    /// The changelog stands where the group has committed, as a process that takes the partition
    /// over will demand.
    pub state_agrees: bool,
}

impl PartitionStand {
    /// The next record that a process would read: without a commit the log's first one.
    pub fn next_offset(&self) -> i64 {
        self.committed.unwrap_or(self.log_start)
    }

    /// Records between the next one and the end.
    pub fn lag_records(&self) -> i64 {
        (self.end - self.next_offset()).max(0)
    }
}

/// Looks at the configured group, topic and changelog.
///
/// # Errors
/// `Unavailable` when no broker answers; `Config` when a topic is missing or the two topics differ
/// in their partitions.
pub fn look(config: &Config) -> Result<Overview> {
    let settings = Settings::new(config)?;
    let cluster = Cluster::connect(&settings)?;
    let counts = cluster.partition_counts(&settings, &[Topic::Trades, Topic::Changelog])?;
    check_same_count(&settings, counts)?;
    let observer =
        BaseConsumer::from_config_and_context(&settings.observer(), PlainContext::new("observer"))
            .map_err(|error| refuse_client(&error))?;
    let partitions = i32::try_from(counts[Topic::Trades as usize]).unwrap_or(i32::MAX);
    let group = group::describe(&cluster, &settings)?;
    let changelog = ChangelogReader::new(&settings)?;
    let mut view = View { settings: &settings, cluster, observer, changelog, partitions };
    Ok(Overview { group, partitions: view.stands()? })
}

struct View<'a> {
    settings: &'a Settings,
    cluster: Cluster,
    observer: BaseConsumer<PlainContext>,
    changelog: ChangelogReader,
    partitions: i32,
}

impl View<'_> {
    fn stands(&mut self) -> Result<Vec<PartitionStand>> {
        let mut stands = self.agreed()?;
        let name = self.settings.name(Topic::Trades);
        let ends = self.stable_ends(Topic::Trades)?;
        for (stand, end) in stands.iter_mut().zip(ends) {
            (stand.log_start, _) = self.cluster.watermarks(name, stand.partition)?;
            stand.end = end;
        }
        oldest_unread(&self.observer, name, &mut stands)?;
        Ok(stands)
    }

    /// Committed offsets and state, looked at again while they differ.
    fn agreed(&mut self) -> Result<Vec<PartitionStand>> {
        let numbered = |partition| PartitionStand { partition, ..PartitionStand::default() };
        let mut stands: Vec<_> = (0..self.partitions).map(numbered).collect();
        for look in 0..LOOKS {
            if look > 0 {
                std::thread::sleep(ASK_AGAIN);
            }
            let before = self.committed()?;
            let ends = self.stable_ends(Topic::Changelog)?;
            for (stand, end) in stands.iter_mut().zip(ends) {
                if !stand.state_agrees {
                    stand.take_state(&self.state(stand.partition, end)?)?;
                }
            }
            let after = self.committed()?;
            for (stand, (before, after)) in stands.iter_mut().zip(before.iter().zip(after)) {
                if !stand.state_agrees {
                    stand.committed = after;
                    let state = stand.meta.as_ref().map(|meta| meta.next_offset);
                    stand.state_agrees = agrees(*before, state, after);
                }
            }
            if stands.iter().all(|stand| stand.state_agrees) {
                break;
            }
        }
        Ok(stands)
    }

    /// By partition. Asked without waiting for open transactions: one that a killed process left
    /// behind must not keep an operator waiting. Asked again while the group moves to another
    /// broker, or Kafka makes ready for its first one.
    fn committed(&self) -> Result<Vec<Option<i64>>> {
        let name = self.settings.name(Topic::Trades);
        let began = Instant::now();
        loop {
            let error = match committed(&self.observer, name, 0..self.partitions, ASK_WITHIN) {
                Ok(offsets) => return Ok(offsets),
                Err(error) => error,
            };
            if !is_moving(&error) || began.elapsed() > ASK_WITHIN {
                return Err(Error::Unavailable(format!(
                    "committed offsets of group '{}' on {}: {error}; is the broker up?",
                    self.settings.kafka.group, self.settings.kafka.bootstrap
                )));
            }
            std::thread::sleep(ASK_AGAIN);
        }
    }

    /// By partition: the offset up to which committed records can be read.
    fn stable_ends(&self, topic: Topic) -> Result<Vec<i64>> {
        let name = self.settings.name(topic);
        self.changelog.stable_ends(name, self.partitions)
    }

    fn state(&mut self, partition: i32, end: i64) -> Result<Newest> {
        let name = self.settings.name(Topic::Changelog);
        let (start, _) = self.cluster.watermarks(name, partition)?;
        // An interrupt ends the whole command: there is nothing to leave in order.
        self.changelog.read(partition, (start, end), &mut |_| Ok(()))
    }
}

impl PartitionStand {
    fn take_state(&mut self, newest: &Newest) -> Result<()> {
        // State is written without a registry, whatever the topics are written with.
        let avro = Avro::single_object();
        (self.meta, self.open_windows, self.feeds) = (None, BTreeMap::new(), 0);
        for (key, value) in newest {
            if let Some(interval) = window_interval(key) {
                *self.open_windows.entry(interval).or_default() += 1;
                continue;
            }
            match avro.decode_state(key, value)? {
                StateRecord::Meta(meta) => self.meta = Some(meta),
                StateRecord::Feed(_) => self.feeds += 1,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether the state belongs to the committed offset: both are written in one transaction, whatever
/// the guarantee. A stream at work commits meanwhile, so the state, which was read between two
/// looks at the offset, must lie between these.
fn agrees(before: Option<i64>, state: Option<i64>, after: Option<i64>) -> bool {
    before <= state && state <= after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_must_lie_between_two_looks_at_the_offset() {
        let cases = [
            (None, None, None, true),
            (Some(5), Some(5), Some(5), true),
            (Some(5), Some(6), Some(9), true),
            // The first commit came in between.
            (None, Some(3), Some(3), true),
            (None, None, Some(3), true),
            // The changelog was made anew, or belongs to another group.
            (Some(5), None, Some(5), false),
            (Some(5), Some(4), Some(5), false),
            (Some(5), Some(6), Some(5), false),
            (None, Some(3), None, false),
        ];
        for (before, state, after, expected) in cases {
            assert_eq!(agrees(before, state, after), expected, "{before:?} {state:?}");
        }
    }

    #[test]
    fn lag_counts_from_the_log_s_start_before_anything_was_committed() {
        let stand = PartitionStand { log_start: 10, end: 25, ..PartitionStand::default() };
        assert_eq!((stand.next_offset(), stand.lag_records()), (10, 15));
        let committed = |offset| PartitionStand { committed: Some(offset), ..stand.clone() };
        assert_eq!(committed(20).lag_records(), 5);
        assert_eq!(committed(30).lag_records(), 0, "a topic that was made anew");
    }
}
