//! The log as a transactional session: poll, and commit outputs, state and consumed offsets as one.
//!
//! Two adapters keep this contract, `kafka` and `embedded`, and one conformance suite holds both to
//! it: order per partition, atomic commit, abort invisible, resume, replay, kill -9.

use std::time::Duration;

use crate::error::Result;

/// The topics by role; their names come from the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    Trades,
    Silver,
    Late,
    Rejected,
    Bars,
    Changelog,
}

impl Topic {
    pub const ALL: [Topic; 6] =
        [Self::Trades, Self::Silver, Self::Late, Self::Rejected, Self::Bars, Self::Changelog];
}

/// A record as polled, borrowed from the client's buffer.
#[derive(Debug, Clone, Copy)]
pub struct RawRecord<'a> {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// The value of the header `model::feed_event::FEED_EVENT_HEADER`, where there is one.
    pub event: Option<&'a [u8]>,
}

/// A record to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutRecord {
    pub topic: Topic,
    /// `None`: murmur2 of the key over the topic's partitions (partition 0 without a key).
    pub partition: Option<i32>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(&'static str, Vec<u8>)>,
}

/// What one call of `poll` brought besides records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Polled {
    /// Records handed to the callback.
    pub records: usize,
    /// The partitions owned from now on, when that changed: all of them must be restored and sought
    /// before their records are handed out; a revoked partition's uncommitted work is void.
    pub assignment: Option<Vec<i32>>,
}

/// What one transaction holds.
#[derive(Debug, Default)]
pub struct Beat {
    pub records: Vec<OutRecord>,
    /// `(partition, next offset to read)` of the trades topic.
    pub offsets: Vec<(i32, i64)>,
}

impl Beat {
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.offsets.is_empty()
    }
}

/// Where a restored partition stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// The group's stable committed offset; `None` when nothing was ever committed.
    pub committed: Option<i64>,
    /// Oldest offset that the trades partition still has.
    pub log_start: i64,
    /// The offset that its next record will get, open transactions included.
    pub log_end: i64,
}

/// How far the reading of one partition's state has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RestoreProgress {
    /// Records of the changelog read so far.
    pub records: u64,
    /// Of at most so many.
    pub records_max: u64,
    /// Bytes of keys and values read so far.
    pub bytes: u64,
}

/// A record of the trades topic, and when it was written by the log's own time, ms since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    pub offset: i64,
    pub at_ms: i64,
}

/// Takes key and value of one state record.
pub type OnState<'a> = dyn FnMut(&[u8], &[u8]) -> Result<()> + 'a;

/// Told every few thousand records, and at the end.
pub type OnProgress<'a> = dyn FnMut(RestoreProgress) + 'a;

/// `commit` waits in steps of this.
const COMMIT_LOOK: Duration = Duration::from_secs(1);

/// A session of one consumer group member.
pub trait Log: Send {
    /// Partitions of the trades topic, pinned at start.
    fn partition_count(&self) -> u32;

    /// Waits at most `wait` for the first record, then hands out at most `limit`, in order per
    /// partition. A change of assignment is reported alone, without records.
    ///
    /// # Errors
    /// `Unavailable` (try again), `Restore` (also when the log no longer has what comes next: what
    /// to do about that is found out by restoring), `Rejoin`, `Config` (a topic is missing).
    fn poll(
        &mut self,
        limit: usize,
        wait: Duration,
        on_record: &mut dyn FnMut(RawRecord<'_>) -> Result<()>,
    ) -> Result<Polled>;

    /// Reads the newest committed value per key of the partition's changelog, tombstones left out,
    /// in any order. Not to be handed anything that was aborted.
    fn restore(
        &mut self,
        partition: i32,
        on_state: &mut OnState<'_>,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<Restored>;

    /// The next record of `partition` handed out is the first at or after `offset`.
    fn seek(&mut self, partition: i32, offset: i64) -> Result<()>;

    /// Begins to write the beat as one transaction: all of it becomes visible to committed readers,
    /// or none. `poll` and `keep_alive` go on beside it; the outcome is asked for, and there is at
    /// most one commit under way. What the group must know of the member is that of the assignment
    /// under which the beat was read.
    ///
    /// # Errors
    /// As of `commit_outcome`; nothing is under way then.
    fn begin_commit(&mut self, beat: Beat) -> Result<()>;

    /// How the commit under way ended, told once; waits for it at most `within`. `None`: not yet.
    /// `Ok` when it is durable, with the beat, whose memory can be used again. After an error
    /// nothing of it is visible, or the error is `Rejoin`/`Restore` and the truth is found by
    /// restoring.
    fn commit_outcome(&mut self, within: Duration) -> Option<Result<Beat>>;

    /// Both, for a caller that has nothing else to do meanwhile.
    fn commit(&mut self, beat: Beat) -> Result<()> {
        self.begin_commit(beat)?;
        loop {
            if let Some(outcome) = self.commit_outcome(COMMIT_LOOK) {
                return outcome.map(drop);
            }
        }
    }

    /// The offset of the next record that `poll` will hand out, with control records at the end of
    /// the partition (transaction markers of foreign writers) counted as passed.
    fn position(&mut self, partition: i32) -> Result<i64>;

    /// End of the trades partition as of now (the offset that the next record will get); the last
    /// stable offset for transactional writers.
    fn end_offset(&mut self, partition: i32) -> Result<i64>;

    /// The same for reports, as far as it is known: asked every beat, so it must not wait for a
    /// broker.
    fn newest_end(&mut self, partition: i32) -> Result<i64> {
        self.end_offset(partition)
    }

    /// Why the log is out of reach; `None`: it is not, as far as is known. A log that is away
    /// brings no error while nothing is asked of it, so this is asked every beat: it must be quick.
    fn away(&mut self) -> Option<String> {
        None
    }

    /// The first record of the trades partition that was written at `time_ms` (ms since the epoch)
    /// or later; `None` when there is none.
    fn written_since(&mut self, partition: i32, time_ms: i64) -> Result<Option<Written>>;

    /// Keeps the membership while the caller waits for something else; to be called several times a
    /// second. Returns the new assignment when partitions have moved: the beat is void then.
    ///
    /// # Errors
    /// As of `poll`.
    fn keep_alive(&mut self) -> Result<Option<Vec<i32>>>;

    /// Leaves the group cleanly. Uncommitted work is void; a commit under way ends first, and its
    /// outcome is not told.
    fn close(&mut self);
}

/// Opens a fresh session after `Rejoin`.
pub trait LogFactory: Send {
    fn open(&mut self) -> Result<Box<dyn Log>>;
}
