//! `port::Log` on Kafka: the member, the writer and the restorer as one session.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::{Offset, TopicPartitionList};

use super::changelog::ChangelogReader;
use super::cluster::{Cluster, PartitionCounts, check_topics};
use super::committing::{Committing, Work};
use super::leaving::Leaving;
use super::member::Member;
use super::moment;
use super::settings::Settings;
use super::writer::Writers;
use crate::config::{self, Config};
use crate::error::{Error, Result};
use crate::port::log::{OnProgress, OnState};
use crate::port::{Beat, Clock, Log, LogFactory, Polled, RawRecord, Restored, Topic, Written};
use crate::runtime::Shutdown;

/// A broker that is back is found within so long, or at the next beat.
const LOOK_WITHIN: Duration = Duration::from_millis(200);

/// Opens sessions of one process: all of them share one transactional id, so that a new session
/// ends whatever transaction the one before it left open. With `kafka.instance_id` a restarted
/// process has the id of its predecessor, and ends what that one left open too.
pub struct KafkaLogFactory {
    settings: Arc<Settings>,
    transactional_id: String,
    clock: Arc<dyn Clock>,
    stop: Shutdown,
}

impl KafkaLogFactory {
    /// # Errors
    /// `Config` when `kafka.properties` cannot be used. Nothing is connected yet.
    pub fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self> {
        let settings = Arc::new(Settings::new(config)?);
        // Unique per process: two processes with one id would fence each other for ever.
        let config::Kafka { group, instance_id, .. } = &settings.kafka;
        let transactional_id = match instance_id.as_str() {
            "" => format!("{group}-{:016x}", rand::random::<u64>()),
            instance_id => format!("{group}-{instance_id}"),
        };
        Ok(Self { settings, transactional_id, clock, stop: Shutdown::default() })
    }

    /// Sessions give up what takes long when `stop` says so: a restore at once, a commit when its
    /// time for draining is over.
    pub fn stopping_with(self, stop: Shutdown) -> Self {
        Self { stop, ..self }
    }
}

impl LogFactory for KafkaLogFactory {
    /// # Errors
    /// `Unavailable` when no broker answers; `Config` when the topics are not as they must be.
    fn open(&mut self) -> Result<Box<dyn Log>> {
        let cluster = Cluster::connect(&self.settings)?;
        let (counts, leaving) = check_topics(&cluster, &self.settings)?;
        let (settings, id) = (&self.settings, &self.transactional_id);
        let writers = match settings.kafka.instance_id.as_str() {
            "" => Some(Writers::open(settings, id, counts, &self.clock, &self.stop)?.into()),
            _ => None,
        };
        Ok(Box::new(KafkaSession {
            member: Some(Member::join(settings)?),
            writers,
            committing: None,
            transactional_id: id.clone(),
            changelog: None,
            leaving,
            cluster,
            counts,
            settings: Arc::clone(&self.settings),
            clock: Arc::clone(&self.clock),
            stop: self.stop.clone(),
        }))
    }
}

struct KafkaSession {
    // Goes before the member: what is under way ends before the group is left.
    committing: Option<Committing>,
    /// `None` after `close`.
    member: Option<Member>,
    /// With `kafka.instance_id` opened only when there is something to restore: of two processes
    /// with one identity the one that joined last has the partitions, and it has to be the one
    /// that fences the other.
    writers: Option<Arc<Writers>>,
    transactional_id: String,
    /// Lives while partitions are being restored.
    changelog: Option<ChangelogReader>,
    /// What was of use last.
    leaving: Leaving,
    cluster: Cluster,
    counts: PartitionCounts,
    settings: Arc<Settings>,
    clock: Arc<dyn Clock>,
    stop: Shutdown,
}

impl KafkaSession {
    fn member(&mut self) -> Result<&mut Member> {
        self.member.as_mut().ok_or_else(|| Error::Rejoin("this session was closed".into()))
    }

    fn open_writers(&mut self) -> Result<()> {
        if self.writers.is_none() {
            let id = &self.transactional_id;
            let writers = Writers::open(&self.settings, id, self.counts, &self.clock, &self.stop)?;
            self.writers = Some(Arc::new(writers));
        }
        Ok(())
    }

    /// A topic whose partitions were added to would send keys elsewhere than their state is.
    fn check_partition_count(&self) -> Result<()> {
        let name = self.settings.name(Topic::Trades);
        let (pinned, found) = (self.partition_count(), self.cluster.partition_count(name)?);
        if found == pinned {
            return Ok(());
        }
        Err(Error::Config(format!(
            "topic '{name}' had {pinned} partitions when this process started and has {found} \
             now; symbols would move away from their state: make new topics (topics.*) with the \
             new count and a new kafka.group"
        )))
    }

    fn offset_list(&self, beat: &Beat) -> Result<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(beat.offsets.len());
        let name = self.settings.name(Topic::Trades);
        for (partition, offset) in &beat.offsets {
            list.add_partition_offset(name, *partition, Offset::Offset(*offset))
                .map_err(|error| Error::Bug(format!("offset {offset} to commit: {error}")))?;
        }
        Ok(list)
    }
}

impl Log for KafkaSession {
    fn partition_count(&self) -> u32 {
        self.counts[Topic::Trades as usize]
    }

    fn poll(
        &mut self,
        limit: usize,
        wait: Duration,
        on_record: &mut dyn FnMut(RawRecord<'_>) -> Result<()>,
    ) -> Result<Polled> {
        // Whoever polls has finished restoring.
        if let Some(reader) = self.changelog.take() {
            self.leaving = Leaving::of(reader);
        }
        let (records, assignment) = self.member()?.receive(limit, wait, on_record)?;
        if assignment.is_some() {
            self.check_partition_count()?;
        }
        Ok(Polled { records, assignment })
    }

    /// Order matters. First an end to what an earlier session of this identity left open; then the
    /// committed offset, waiting until it is stable; then the end of the
    /// changelog with open transactions counted; then its records up to there. A predecessor's
    /// transaction that holds offset N also holds the state at N: reading the changelog's end after
    /// the offset is stable makes sure that this state lies below the end.
    fn restore(
        &mut self,
        partition: i32,
        on_state: &mut OnState<'_>,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<Restored> {
        self.open_writers()?;
        // As long as a dead predecessor's transaction may stay open, and some.
        let timeout_ms = u64::from(self.settings.kafka.transaction_timeout_ms) + 15_000;
        let stop = self.stop.clone();
        let within = Duration::from_millis(timeout_ms);
        let committed = self.member()?.committed(partition, within, &stop)?;
        let (log_start, log_end) =
            self.cluster.watermarks(self.settings.name(Topic::Trades), partition)?;
        let range = self.cluster.watermarks(self.settings.name(Topic::Changelog), partition)?;
        if self.changelog.is_none() {
            self.changelog = Some(ChangelogReader::new(&self.settings)?);
        }
        let (Some(changelog), Some(member)) = (&mut self.changelog, &mut self.member) else {
            return Err(Error::Bug("member and changelog reader were just there".into()));
        };
        let mut goes_on = |progress| {
            on_progress(progress);
            stop.check()?;
            member.attend()
        };
        let newest = changelog.read(partition, range, &mut goes_on)?;
        for (key, value) in &newest {
            on_state(key, value)?;
        }
        Ok(Restored { committed, log_start, log_end })
    }

    fn seek(&mut self, partition: i32, offset: i64) -> Result<()> {
        self.member()?.seek(partition, offset)
    }

    fn begin_commit(&mut self, beat: Beat) -> Result<()> {
        if self.committing.is_some() {
            return Err(Error::Bug("a second commit began before the first had ended".into()));
        }
        let offsets = self.offset_list(&beat)?;
        self.open_writers()?;
        let (Some(member), Some(writers)) = (&self.member, &self.writers) else {
            return Err(Error::Rejoin("this session was closed".into()));
        };
        let (writers, membership) = (Arc::clone(writers), member.membership()?);
        let clock = Arc::clone(&self.clock);
        let work = Work { writers, beat, offsets, membership, clock };
        self.committing = Some(Committing::begin(work)?);
        Ok(())
    }

    fn commit_outcome(&mut self, within: Duration) -> Option<Result<Beat>> {
        let outcome = self.committing.as_ref()?.outcome(within)?;
        self.committing = None;
        // Who is to stop does not join again, whoever fenced it.
        if matches!(outcome, Err(Error::Rejoin(_)))
            && !self.stop.is_requested()
            && let Some(member) = &mut self.member
            && let Err(newer) = member.check_identity()
        {
            return Some(Err(newer));
        }
        Some(outcome)
    }

    fn position(&mut self, partition: i32) -> Result<i64> {
        self.member()?.position(partition)
    }

    fn end_offset(&mut self, partition: i32) -> Result<i64> {
        self.member()?.stable_end(partition)
    }

    /// A question would wait behind a fetch that waits for records itself: a tenth of a second for
    /// each partition, in which nothing is read.
    fn newest_end(&mut self, partition: i32) -> Result<i64> {
        match self.member()?.fetched_end(partition) {
            Some(end) => Ok(end),
            None => self.end_offset(partition),
        }
    }

    /// Only a client that reported the loss of its brokers is doubted, so a log that is there is
    /// not asked at all.
    fn away(&mut self) -> Option<String> {
        let member = self.member.as_mut().filter(|member| member.has_lost_brokers())?;
        match self.cluster.answers(LOOK_WITHIN) {
            Ok(()) => {
                member.brokers_are_back();
                None
            }
            Err(problem) => Some(problem.to_string()),
        }
    }

    fn written_since(&mut self, partition: i32, time_ms: i64) -> Result<Option<Written>> {
        match self.member()?.offset_at(partition, time_ms)? {
            Some(offset) => moment::first_at(&self.settings, partition, offset),
            None => Ok(None),
        }
    }

    /// Records wait in the bounded fetch queue meanwhile, so nothing has to be paused; the broker
    /// only wants to see that this process still asks.
    fn keep_alive(&mut self) -> Result<Option<Vec<i32>>> {
        self.member()?.serve_events(Duration::ZERO)
    }

    fn close(&mut self) {
        self.committing = None;
        self.changelog = None;
        self.member = None;
    }
}
