//! Batches on their way to the cluster. A batch that waits for its turn takes up later rows of the
//! same table and partition: an idle cluster gets rows at once, a busy one gets larger batches,
//! which cost it a quarter. What can wait lets what cannot go first. What is not acknowledged stays
//! here.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use super::cells::Rows;
use crate::error::{Error, Result};

/// Encoded rows that may wait or be in flight before `write` blocks: half a second of 100,000
/// rows/s.
const OUTSTANDING_MAX_BYTES: usize = 12 << 20;

/// One table and one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PartitionId {
    /// Index of the statement.
    pub write: usize,
    /// Number of the symbol, or of the log's partition.
    pub subject: u32,
    pub bucket: i32,
    /// Whether its rows let all others go first: provisional bars come in bursts, and the next
    /// ones replace them anyway.
    pub can_wait: bool,
}

impl PartitionId {
    pub fn new(write: usize, subject: u32, bucket: i32) -> Self {
        Self { write, subject, bucket, can_wait: false }
    }
}

/// Rows of one partition.
#[derive(Debug)]
pub struct Group {
    pub partition: PartitionId,
    pub rows: Rows,
    /// Marks drawn before its first row was taken over; the queue counts them.
    epoch: u64,
}

impl Group {
    pub fn new(partition: PartitionId, rows: Rows) -> Self {
        Self { partition, rows, epoch: 0 }
    }
}

/// Bounds of one batch.
#[derive(Debug, Clone, Copy)]
pub struct BatchBounds {
    pub rows: usize,
    pub bytes: usize,
}

impl BatchBounds {
    /// Whether a batch of `rows` takes `more` as well.
    pub fn admit(&self, rows: &Rows, more_rows: usize, more_bytes: usize) -> bool {
        rows.len() + more_rows <= self.rows && rows.size_bytes() + more_bytes <= self.bytes
    }
}

/// Groups in the order in which they came.
#[derive(Default)]
struct Lane {
    waiting: VecDeque<Group>,
    /// Number of groups ever taken from the front of `waiting`: makes positions absolute.
    taken: usize,
    /// Absolute position of the group that still takes rows of its partition.
    open: FxHashMap<PartitionId, usize>,
}

impl Lane {
    fn take(&mut self) -> Option<Group> {
        let group = self.waiting.pop_front()?;
        self.taken += 1;
        if self.waiting.is_empty() {
            self.open.clear();
        }
        Some(group)
    }

    fn add(&mut self, group: Group, bounds: BatchBounds) {
        let open = self.open.get(&group.partition).and_then(|at| at.checked_sub(self.taken));
        let waiting = open.and_then(|index| self.waiting.get_mut(index));
        match waiting {
            Some(waiting)
                if bounds.admit(&waiting.rows, group.rows.len(), group.rows.size_bytes()) =>
            {
                waiting.rows.append(&group.rows);
            }
            _ => {
                self.open.insert(group.partition, self.taken + self.waiting.len());
                self.waiting.push_back(group);
            }
        }
    }
}

#[derive(Default)]
struct State {
    /// Refused for the time being: they go first.
    again: Vec<Group>,
    urgent: Lane,
    /// Of what can wait.
    patient: Lane,
    outstanding_bytes: usize,
    in_flight: usize,
    /// Marks drawn so far.
    epoch: u64,
    /// Groups that the newest mark waits for: those of the epochs before it.
    before_mark: usize,
    failure: Option<Error>,
    /// The caller knows of the failure.
    is_told: bool,
    closed: bool,
}

impl State {
    fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.waiting() == 0
    }

    /// Groups that are not on their way.
    fn waiting(&self) -> usize {
        self.again.len() + self.urgent.waiting.len() + self.patient.waiting.len()
    }

    fn take(&mut self) -> Option<Group> {
        self.again.pop().or_else(|| self.urgent.take()).or_else(|| self.patient.take())
    }

    /// Whatever is not acknowledged now lies before the mark. A group that waits may take rows of
    /// later on; it stays in its epoch, since its first rows are of that. What could wait has
    /// waited: a beat stands still until it is acknowledged as well.
    fn mark(&mut self) {
        self.epoch += 1;
        self.before_mark = self.in_flight + self.waiting();
        while let Some(group) = self.patient.take() {
            self.urgent.waiting.push_back(group);
        }
    }

    fn add(&mut self, mut group: Group, bounds: BatchBounds) {
        self.outstanding_bytes += group.rows.size_bytes();
        group.epoch = self.epoch;
        let lane = if group.partition.can_wait { &mut self.patient } else { &mut self.urgent };
        lane.add(group, bounds);
    }
}

/// Shared by the caller's thread and the senders.
pub struct Queue {
    state: Mutex<State>,
    /// Wakes senders: there may be work.
    work: Notify,
    /// Wakes the caller: something was acknowledged or failed.
    progress: Condvar,
    bounds: BatchBounds,
}

impl Queue {
    pub fn new(bounds: BatchBounds) -> Self {
        Self { state: Mutex::default(), work: Notify::new(), progress: Condvar::new(), bounds }
    }

    pub fn bounds(&self) -> BatchBounds {
        self.bounds
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code panics half-way through a change of the state.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets senders try again after a failure, when the caller has been told of it.
    pub fn resume(&self) {
        let mut state = self.lock();
        if std::mem::take(&mut state.is_told) {
            state.failure = None;
            drop(state);
            self.work.notify_waiters();
        }
    }

    /// Draws a line under what was taken over so far.
    pub fn mark(&self) {
        self.lock().mark();
    }

    /// Waits until everything before the mark is acknowledged, at most `within`, or returns the
    /// failure met meanwhile; false: not yet.
    pub fn await_mark(&self, within: Duration) -> Result<bool> {
        self.await_state(within, |state| state.before_mark == 0)
    }

    /// Waits for room, at most `within`, or returns the failure met meanwhile; false: not yet.
    pub fn await_room(&self, within: Duration) -> Result<bool> {
        self.await_state(within, |state| state.outstanding_bytes <= OUTSTANDING_MAX_BYTES)
    }

    /// Waits until everything is acknowledged, at most `within`, or returns the failure met
    /// meanwhile; false: not yet.
    pub fn await_idle(&self, within: Duration) -> Result<bool> {
        self.await_state(within, State::is_idle)
    }

    fn await_state(&self, within: Duration, done: impl Fn(&State) -> bool) -> Result<bool> {
        let began = Instant::now();
        let mut state = self.lock();
        loop {
            if let Some(failure) = state.failure.clone() {
                state.is_told = true;
                return Err(failure);
            }
            if done(&state) {
                return Ok(true);
            }
            let left = within.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            let waited = self.progress.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes rows over. `groups` is left empty.
    pub fn add(&self, groups: &mut Vec<Group>) {
        let mut state = self.lock();
        for group in groups.drain(..) {
            state.add(group, self.bounds);
        }
        drop(state);
        self.work.notify_waiters();
    }

    /// The next batch to send; waits for one. `None`: the store was closed.
    pub async fn next(&self) -> Option<Group> {
        loop {
            let work = self.work.notified();
            tokio::pin!(work);
            // From here on no wake-up is missed.
            work.as_mut().enable();
            {
                let mut state = self.lock();
                if state.closed {
                    return None;
                }
                if state.failure.is_none()
                    && let Some(group) = state.take()
                {
                    state.in_flight += 1;
                    return Some(group);
                }
            }
            work.await;
        }
    }

    /// `group` was acknowledged.
    pub fn acknowledged(&self, group: &Group) {
        let mut state = self.lock();
        state.in_flight -= 1;
        state.outstanding_bytes -= group.rows.size_bytes();
        state.before_mark -= usize::from(group.epoch < state.epoch);
        drop(state);
        self.progress.notify_all();
    }

    /// `group` was not acknowledged: it is kept, and nothing is sent until `resume`.
    pub fn failed(&self, group: Group, failure: Error) {
        let mut state = self.lock();
        state.in_flight -= 1;
        state.again.push(group);
        let permanent = !matches!(failure, Error::Unavailable(_));
        if permanent || state.failure.is_none() {
            state.failure = Some(failure);
            state.is_told = false;
        }
        drop(state);
        self.progress.notify_all();
    }

    /// Ends the senders; what they have not sent is dropped.
    pub fn close(&self) {
        self.lock().closed = true;
        self.work.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: BatchBounds = BatchBounds { rows: 3, bytes: 1_000 };

    fn group(subject: u32, rows: usize) -> Group {
        let mut cells = Rows::default();
        (0..rows).for_each(|_| cells.push(b"head", b"tail"));
        Group::new(PartitionId::new(0, subject, 0), cells)
    }

    fn patient(subject: u32, rows: usize) -> Group {
        let mut group = group(subject, rows);
        group.partition.can_wait = true;
        group
    }

    fn taken(state: &mut State) -> Vec<(u32, usize)> {
        std::iter::from_fn(|| state.take())
            .map(|group| (group.partition.subject, group.rows.len()))
            .collect()
    }

    #[test]
    fn waiting_rows_of_a_partition_share_a_batch_up_to_its_bounds() {
        let mut state = State::default();
        for (subject, rows) in [(1, 1), (2, 2), (1, 2), (1, 1), (2, 2)] {
            state.add(group(subject, rows), BOUNDS);
        }
        assert_eq!(taken(&mut state), [(1, 3), (2, 2), (1, 1), (2, 2)]);
        state.add(group(1, 1), BOUNDS);
        assert_eq!(taken(&mut state), [(1, 1)]);
    }

    #[test]
    fn what_can_wait_lets_the_others_go_first_until_a_mark_is_drawn() {
        let mut state = State::default();
        for group in [patient(1, 1), group(1, 2), patient(1, 1), group(2, 1)] {
            state.add(group, BOUNDS);
        }
        assert_eq!(taken(&mut state), [(1, 2), (2, 1), (1, 2)]);
        state.add(patient(1, 1), BOUNDS);
        state.mark();
        state.add(group(2, 1), BOUNDS);
        state.add(patient(1, 1), BOUNDS);
        assert_eq!(taken(&mut state), [(1, 1), (2, 1), (1, 1)]);
    }

    #[test]
    fn what_failed_is_kept_and_goes_first_after_a_resume() {
        let queue = Queue::new(BOUNDS);
        queue.add(&mut vec![group(1, 1), group(2, 1)]);
        queue.failed(sent(&queue), Error::Unavailable("away".into()));
        assert_eq!(queue.await_idle(Duration::MAX), Err(Error::Unavailable("away".into())));
        queue.resume();
        assert_eq!(queue.await_idle(Duration::ZERO), Ok(false));
        assert_eq!(taken(&mut queue.lock()), [(1, 1), (2, 1)]);
    }

    /// A sender's hand: the group at the front is in flight.
    fn sent(queue: &Queue) -> Group {
        let mut state = queue.lock();
        state.in_flight += 1;
        state.take().expect("a group")
    }

    #[test]
    fn a_mark_waits_for_what_came_before_it_and_for_nothing_else() {
        let queue = Queue::new(BOUNDS);
        queue.mark();
        assert_eq!(queue.await_mark(Duration::ZERO), Ok(true), "nothing is on its way");
        queue.add(&mut vec![group(1, 1), group(2, 1)]);
        let flying = sent(&queue);
        queue.mark();
        // The second group takes one more row, and stays in its epoch.
        queue.add(&mut vec![group(2, 1), group(3, 1)]);
        queue.acknowledged(&flying);
        assert_eq!(queue.await_mark(Duration::ZERO), Ok(false));
        let refused = sent(&queue);
        assert_eq!(refused.rows.len(), 2);
        queue.failed(refused, Error::Unavailable("away".into()));
        let told = queue.await_mark(Duration::ZERO);
        assert_eq!(told, Err(Error::Unavailable("away".into())), "what failed is waited for");
        queue.resume();
        queue.acknowledged(&sent(&queue));
        assert_eq!(queue.await_mark(Duration::ZERO), Ok(true), "the third is of later");
        assert_eq!(queue.await_idle(Duration::ZERO), Ok(false));
        queue.mark();
        assert_eq!(queue.await_mark(Duration::ZERO), Ok(false), "of before this mark");
        queue.acknowledged(&sent(&queue));
        assert_eq!(queue.await_mark(Duration::ZERO), Ok(true));
    }

    #[test]
    fn a_failure_is_told_before_the_senders_go_on() {
        let queue = Queue::new(BOUNDS);
        queue.add(&mut vec![group(1, 1)]);
        queue.failed(sent(&queue), Error::Unavailable("away".into()));
        queue.resume();
        let told = queue.await_room(Duration::ZERO);
        assert_eq!(told, Err(Error::Unavailable("away".into())));
        queue.resume();
        assert_eq!(queue.await_room(Duration::ZERO), Ok(true));
    }

    #[test]
    fn a_refusal_is_told_before_what_may_pass() {
        let queue = Queue::new(BOUNDS);
        queue.lock().in_flight += 2;
        queue.failed(group(1, 1), Error::Config("no table".into()));
        queue.failed(group(2, 1), Error::Unavailable("away".into()));
        assert_eq!(queue.await_room(Duration::MAX), Err(Error::Config("no table".into())));
    }
}
