//! The group member: what it owns, from where it reads, and when fetching may begin.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::bindings::rd_kafka_resp_err_t as Code;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::cluster::ASK_WITHIN;
use super::committed::committed;
use super::context::{MemberContext, describe, is_member};
use super::fetch::{FetchQueue, Fetched, fetched_end};
use super::settings::{Settings, refuse_client};
use crate::error::{Error, Result};
use crate::port::{RawRecord, Topic};
use crate::runtime::Shutdown;
use crate::telemetry;

/// Rebalances and errors are looked for this often while no record comes.
const EVENT_EVERY: Duration = Duration::from_millis(50);
/// Events served per look; more wait for the next one.
const EVENTS_PER_LOOK: usize = 4;
/// One wait for a stable offset; a stop is looked for in between.
const STABLE_SLICE: Duration = Duration::from_secs(1);
/// Bound of the question where a partition ends, which is asked at every beat.
const END_WITHIN: Duration = Duration::from_secs(2);
/// A seek right after an assignment is refused until fetching runs: tries and the pause between.
const SEEK_TRIES: usize = 100;
const SEEK_PAUSE: Duration = Duration::from_millis(20);

/// An owned partition: where the next record must be at or after, once that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    Unknown,
    From(i64),
}

pub(super) struct Member {
    // The queue goes first: it must not outlive the client.
    queue: FetchQueue<MemberContext>,
    consumer: Arc<BaseConsumer<MemberContext>>,
    topic: String,
    bootstrap: String,
    group: String,
    /// Empty: membership is dynamic.
    instance_id: String,
    heartbeat: Duration,
    owned: BTreeMap<i32, Position>,
    /// librdkafka was told the assignment, so it fetches.
    fetching: bool,
    /// Member id and generation under which the partitions are owned.
    membership: Option<Arc<ConsumerGroupMetadata>>,
    /// The client reported that no broker is left; it says nothing when one is back.
    has_lost_brokers: bool,
}

impl Member {
    pub fn join(settings: &Settings) -> Result<Self> {
        let consumer =
            BaseConsumer::from_config_and_context(&settings.member(), MemberContext::default())
                .map_err(|error| refuse_client(&error))?;
        let consumer = Arc::new(consumer);
        let topic = settings.name(Topic::Trades).to_owned();
        consumer.subscribe(&[&topic]).map_err(|error| {
            Error::Config(format!("topic '{topic}': {error}; mend topics.trades"))
        })?;
        Ok(Self {
            queue: FetchQueue::new(Arc::clone(&consumer)),
            consumer,
            topic,
            bootstrap: settings.kafka.bootstrap.clone(),
            group: settings.kafka.group.clone(),
            instance_id: settings.kafka.instance_id.clone(),
            heartbeat: Duration::from_millis(settings.heartbeat_ms().into()),
            owned: BTreeMap::new(),
            fetching: false,
            membership: None,
            has_lost_brokers: false,
        })
    }

    /// Serves rebalances and errors; `Some` when the assignment changed.
    pub fn serve_events(&mut self, wait: Duration) -> Result<Option<Vec<i32>>> {
        self.listen(wait)?;
        let Some(assignment) = self.consumer.context().take_assignment() else {
            return Ok(None);
        };
        self.owned = assignment.iter().map(|p| (*p, Position::Unknown)).collect();
        self.fetching = false;
        self.membership = self.capture_membership().map(Arc::new);
        telemetry::log::rebalanced(&assignment);
        Ok(Some(assignment))
    }

    fn listen(&mut self, wait: Duration) -> Result<()> {
        for look in 0..EVENTS_PER_LOOK {
            let wait = if look == 0 { wait } else { Duration::ZERO };
            match self.consumer.poll(wait) {
                None => {}
                Some(Err(error)) => {
                    let code = error.rdkafka_error_code();
                    self.has_lost_brokers |= code == Some(RDKafkaErrorCode::AllBrokersDown);
                    self.judge(&error)?;
                }
                // Fetching begins only after `capture`, so this cannot be; restoring is safe if it
                // is.
                Some(Ok(_)) => {
                    return Err(Error::Restore("a record took the wrong queue; restoring".into()));
                }
            }
        }
        Ok(())
    }

    /// To be called now and then by whatever takes long, so that the group sees that this process
    /// still asks.
    ///
    /// # Errors
    /// `Restore` when the partitions have moved: what is being done is of no use any more.
    /// `serve_events` then tells the new assignment.
    pub fn attend(&mut self) -> Result<()> {
        self.listen(Duration::ZERO)?;
        match self.consumer.context().has_assignment() {
            true => Err(Error::Restore("partitions moved while the state was read".into())),
            false => Ok(()),
        }
    }

    pub fn has_lost_brokers(&self) -> bool {
        self.has_lost_brokers
    }

    /// Somebody else found one.
    pub fn brokers_are_back(&mut self) {
        self.has_lost_brokers = false;
    }

    /// Taken once per assignment and used for all its commits, not asked for at each commit: a
    /// member that was thrown out loses its id in the background, and a transactional commit
    /// without an id is taken by the broker from anybody. With the id and generation of the
    /// assignment it is refused.
    ///
    /// The id is looked at after it was captured. It can vanish in between, never come back:
    /// librdkafka does not join anew before this assignment was answered.
    fn capture_membership(&self) -> Option<ConsumerGroupMetadata> {
        let metadata = self.consumer.group_metadata();
        metadata.filter(|_| is_member(&self.consumer))
    }

    fn judge(&self, error: &KafkaError) -> Result<()> {
        use RDKafkaErrorCode::{GroupAuthorizationFailed, TopicAuthorizationFailed};
        use RDKafkaErrorCode::{UnknownTopic, UnknownTopicOrPartition};
        // The error of the event says only that there is a fatal one; the client keeps which.
        if let Some((code, reason)) = self.consumer.client().fatal_error() {
            return Err(self.judge_fatal(code, &reason));
        }
        let refuse = |problem: &str| {
            let (topic, on) = (&self.topic, &self.bootstrap);
            Err(Error::Config(format!("topic '{topic}' on {on}: {problem}")))
        };
        match error.rdkafka_error_code() {
            Some(UnknownTopic | UnknownTopicOrPartition) => {
                refuse("does not exist; create it with `ticksmith topics`")
            }
            Some(TopicAuthorizationFailed) => refuse("reading is not allowed; grant Read on it"),
            Some(GroupAuthorizationFailed) => refuse("the group is not allowed; grant Read on it"),
            // Already told by the context; librdkafka reconnects by itself.
            _ => Ok(()),
        }
    }

    fn judge_fatal(&self, code: RDKafkaErrorCode, reason: &str) -> Error {
        if code == RDKafkaErrorCode::FencedInstanceId {
            let (id, group) = (&self.instance_id, &self.group);
            return Error::Config(format!(
                "kafka.instance_id '{id}': a newer process has joined group '{group}' with the \
                 same id and has this one's partitions; give each process an id of its own"
            ));
        }
        Error::Rejoin(format!("group member: {reason}; joining again"))
    }

    /// To be asked before a session that was fenced is replaced. A newer process with the same id
    /// is told by the next heartbeat; to join again would only fence that one in turn.
    ///
    /// # Errors
    /// `Config` when there is one.
    pub fn check_identity(&mut self) -> Result<()> {
        if self.instance_id.is_empty() {
            return Ok(());
        }
        // One heartbeat may be on its way already.
        let looks = 2 * self.heartbeat.as_millis() / EVENT_EVERY.as_millis() + 1;
        for _ in 0..looks {
            self.serve_events(EVENT_EVERY)?;
        }
        Ok(())
    }

    /// Hands out records of partitions that were sought. Returns how many, or a new assignment.
    pub fn receive(
        &mut self,
        limit: usize,
        wait: Duration,
        on_record: &mut dyn FnMut(RawRecord<'_>) -> Result<()>,
    ) -> Result<(usize, Option<Vec<i32>>)> {
        if let Some(assignment) = self.serve_events(Duration::ZERO)? {
            return Ok((0, Some(assignment)));
        }
        let mut remaining = wait;
        loop {
            let slice = remaining.min(EVENT_EVERY);
            let mut records = 0;
            if self.fetching && !self.owned.is_empty() {
                records = self.fetch(limit, slice, on_record)?;
            } else if let Some(assignment) = self.serve_events(slice)? {
                return Ok((0, Some(assignment)));
            }
            remaining = remaining.saturating_sub(slice);
            if records > 0 || remaining.is_zero() {
                return Ok((records, None));
            }
            if let Some(assignment) = self.serve_events(Duration::ZERO)? {
                return Ok((0, Some(assignment)));
            }
        }
    }

    fn fetch(
        &mut self,
        limit: usize,
        wait: Duration,
        on_record: &mut dyn FnMut(RawRecord<'_>) -> Result<()>,
    ) -> Result<usize> {
        let Self { queue, owned, topic, .. } = self;
        let mut records = 0;
        queue.receive(limit, wait, &mut |fetched| match fetched {
            Fetched::Record(record) => {
                // A record queued before a seek or a revocation is below the position, or not ours.
                if let Some(Position::From(next)) = owned.get_mut(&record.partition)
                    && record.offset >= *next
                {
                    *next = record.offset + 1;
                    records += 1;
                    on_record(record)?;
                }
                Ok(())
            }
            Fetched::End { partition, offset } => {
                if let Some(Position::From(next)) = owned.get_mut(&partition) {
                    *next = offset.max(*next);
                }
                Ok(())
            }
            Fetched::Failed { partition, code } => judge_partition(topic, partition, code),
        })?;
        Ok(records)
    }

    /// See `Log::seek`. Fetching begins with the last of the owned partitions.
    pub fn seek(&mut self, partition: i32, offset: i64) -> Result<()> {
        let Some(position) = self.owned.get_mut(&partition) else {
            return Err(Error::Rejoin(format!("partition {partition} is no longer owned")));
        };
        *position = Position::From(offset);
        if self.fetching {
            return self.seek_running(partition, offset);
        }
        if self.owned.values().all(|position| *position != Position::Unknown) {
            self.start_fetching()?;
        }
        Ok(())
    }

    fn start_fetching(&mut self) -> Result<()> {
        let mut list = TopicPartitionList::with_capacity(self.owned.len());
        for (partition, position) in &self.owned {
            let Position::From(offset) = position else { continue };
            self.queue.capture(&self.topic, *partition)?;
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))
                .map_err(|error| Error::Bug(format!("offset {offset}: {error}")))?;
        }
        self.consumer.context().answered();
        self.consumer
            .assign(&list)
            .map_err(|error| Error::Rejoin(format!("assignment refused: {error}")))?;
        self.fetching = true;
        Ok(())
    }

    fn seek_running(&self, partition: i32, offset: i64) -> Result<()> {
        let mut refusal = String::new();
        for _ in 0..SEEK_TRIES {
            match self.consumer.seek(&self.topic, partition, Offset::Offset(offset), ASK_WITHIN) {
                Ok(()) => return Ok(()),
                Err(error) => refusal = error.to_string(),
            }
            std::thread::sleep(SEEK_PAUSE);
        }
        Err(Error::Rejoin(format!("partition {partition} cannot be sought: {refusal}")))
    }

    /// Where the next record is read: control records that end the partition are passed when the
    /// broker says that there is nothing behind them.
    pub fn position(&self, partition: i32) -> Result<i64> {
        match self.owned.get(&partition) {
            Some(Position::From(next)) => Ok(*next),
            Some(Position::Unknown) => Err(Error::Bug(format!("partition {partition} not sought"))),
            None => Err(Error::Rejoin(format!("partition {partition} is no longer owned"))),
        }
    }

    /// The group's committed offset, waiting for transactions that are still open on it: with
    /// `read_committed`, librdkafka asks for stable offsets and repeats until the time is over.
    ///
    /// # Errors
    /// `Interrupted` as soon as a stop is asked for: a restore leaves nothing to drain.
    pub fn committed(
        &mut self,
        partition: i32,
        within: Duration,
        stop: &Shutdown,
    ) -> Result<Option<i64>> {
        let (only, slice) = (partition..partition + 1, STABLE_SLICE.min(within));
        let began = Instant::now();
        loop {
            stop.check()?;
            self.attend()?;
            match committed(&self.consumer, &self.topic, only.clone(), slice) {
                Ok(offsets) => return Ok(offsets.into_iter().next().flatten()),
                Err(error) if is_not_yet(&error) && began.elapsed() < within => {}
                Err(error) => {
                    return Err(Error::Unavailable(format!(
                        "committed offset of {} partition {partition}: {error}; is the broker up?",
                        self.topic
                    )));
                }
            }
        }
    }

    /// End of the partition for readers of committed records: one round trip.
    pub fn stable_end(&self, partition: i32) -> Result<i64> {
        match self.ask_offset(partition, Offset::End, END_WITHIN)? {
            Offset::Offset(offset) => Ok(offset),
            other => Err(self.no_offset(partition, &format!("the broker answered {other:?}"))),
        }
    }

    /// The first offset whose record was written at `time_ms` or later.
    pub fn offset_at(&self, partition: i32, time_ms: i64) -> Result<Option<i64>> {
        match self.ask_offset(partition, Offset::Offset(time_ms.max(0)), ASK_WITHIN)? {
            Offset::Offset(offset) => Ok(Some(offset)),
            Offset::End => Ok(None),
            other => Err(self.no_offset(partition, &format!("the broker answered {other:?}"))),
        }
    }

    fn ask_offset(&self, partition: i32, question: Offset, within: Duration) -> Result<Offset> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition, question)
            .map_err(|error| Error::Bug(format!("{question:?}: {error}")))?;
        let list = self
            .consumer
            .offsets_for_times(list, within)
            .map_err(|error| self.no_offset(partition, &error.to_string()))?;
        let element = list.find_partition(&self.topic, partition);
        Ok(element.map_or(Offset::Invalid, |element| element.offset()))
    }

    fn no_offset(&self, partition: i32, problem: &str) -> Error {
        Error::Unavailable(format!("offset of {} partition {partition}: {problem}", self.topic))
    }

    /// End of the partition as told with the newest fetch, open transactions counted; `None` before
    /// the first.
    pub fn fetched_end(&self, partition: i32) -> Option<i64> {
        fetched_end(&self.consumer, &self.topic, partition)
    }

    /// # Errors
    /// `Restore` when the member was thrown out before it could take up its assignment.
    pub fn membership(&self) -> Result<Arc<ConsumerGroupMetadata>> {
        self.membership
            .clone()
            .ok_or_else(|| Error::Restore("no longer a member of the group; restoring".into()))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // An assignment that was never taken up would keep the close waiting for its answer. All
        // other events are answered by the context while the client closes.
        if self.consumer.context().close() {
            let _ = self.consumer.unassign();
        }
    }
}

/// An open transaction may still commit another offset.
fn is_not_yet(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{OperationTimedOut, UnstableOffsetCommit};
    matches!(error.rdkafka_error_code(), Some(OperationTimedOut | UnstableOffsetCommit))
}

fn judge_partition(topic: &str, partition: i32, code: Code) -> Result<()> {
    match code {
        Code::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET
        | Code::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE => Err(Error::Restore(format!(
            "topic '{topic}' partition {partition} no longer has the record that comes next; \
             looking at where it begins and ends"
        ))),
        Code::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
        | Code::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC
        | Code::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION => Err(Error::Config(format!(
            "topic '{topic}' partition {partition} does not exist; create it with `ticksmith \
             topics`"
        ))),
        other => {
            telemetry::log::client_error("member", &describe(other));
            Ok(())
        }
    }
}
