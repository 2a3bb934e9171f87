//! `port::Log` over the log in memory, step by step as the Kafka adapter works: a membership taken
//! once per assignment, a transaction per beat (see `committing`), and a restore that waits for
//! what is unsettled.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::seq::SliceRandom;
use ticksmith::error::{Error, Result};
use ticksmith::model::feed_event::FEED_EVENT_HEADER;
use ticksmith::port::log::{OnProgress, OnState, RestoreProgress};
use ticksmith::port::{Beat, Log, LogFactory, Polled, RawRecord, Restored, Topic, Written};

use crate::broker::Stored;
use crate::committing::{Committing, Step};
use crate::group::{Membership, News};
use crate::options::{MS, SECOND};
use crate::world::{Seat, State};

/// A waiting poll looks again after this.
const LOOK_EVERY_US: i64 = 100 * MS;
/// So does a wait for a commit after this.
const COMMIT_LOOK_US: i64 = 20 * MS;
/// Beyond the transaction time-out, a restore waits so much longer.
const RESTORE_SLACK_US: i64 = 15 * SECOND;

/// Sessions of one process: all have its transactional id.
pub struct SimulatedFactory {
    pub seat: Seat,
}

impl LogFactory for SimulatedFactory {
    fn open(&mut self) -> Result<Box<dyn Log>> {
        self.seat.hazard("before a session");
        self.seat.pass(5 * MS);
        let id = self.seat.id;
        let producer = id as u64;
        let epoch = self.seat.with(|state| {
            if state.chance(state.options.unreachable) {
                state.count("broker unreachable", "");
                return Err(Error::Unavailable("the simulated broker is away; wait".into()));
            }
            let (epoch, markers) = state.broker.init(producer);
            state.send_markers(markers);
            Ok(epoch)
        })?;
        while self.seat.with(|state| state.broker.is_finishing(producer)) {
            self.seat.pass(20 * MS);
        }
        let member = self.seat.with(|state| join(state, id));
        Ok(Box::new(SimulatedLog {
            seat: self.seat.clone(),
            identity: (producer, epoch),
            member: Some(member),
            membership: None,
            owned: BTreeMap::new(),
            committing: None,
        }))
    }
}

fn join(state: &mut State, process: usize) -> u64 {
    let member = state.group.join(process);
    state.trace(|| format!("{process}: joins as member {member}"));
    state.time_rebalance();
    member
}

pub struct SimulatedLog {
    seat: Seat,
    /// Transactional id and epoch.
    identity: (u64, u64),
    /// `None` after `close`.
    member: Option<u64>,
    /// As of the assignment.
    membership: Option<Membership>,
    /// Positions; `None` until sought.
    owned: BTreeMap<i32, Option<i64>>,
    /// Number of the commit under way.
    committing: Option<u64>,
}

/// How far back the next fetch begins: records that were on their way before a seek.
fn stale_records(state: &mut State) -> i64 {
    let rate = state.options.stale_records;
    if !state.chance(rate) {
        return 0;
    }
    state.count("stale records", "");
    state.random.random_range(1..10)
}

impl SimulatedLog {
    fn take_time(&self, longest_us: i64) {
        let us = self.seat.with(|state| state.random.random_range(1..=longest_us));
        self.seat.pass(us);
    }

    /// Answers the group; `Some` when the partitions changed.
    fn serve(&mut self) -> Result<Option<Vec<i32>>> {
        let closed = || Error::Rejoin("this session was closed".into());
        let member = self.member.ok_or_else(closed)?;
        let id = self.seat.id;
        let (member, news) = self.seat.with(|state| {
            let news = state.group.serve(member, &mut state.random);
            if news != News::Nothing {
                state.trace(|| format!("{id}: member {member} hears {news:?}"));
            }
            let member = if news == News::Unknown { join(state, id) } else { member };
            (member, news)
        });
        self.member = Some(member);
        let (assignment, membership) = match news {
            News::Nothing => return Ok(None),
            News::Unknown if self.owned.is_empty() => return Ok(None),
            News::Revoked | News::Unknown => (Vec::new(), None),
            News::Assigned(assignment, membership) => (assignment, Some(membership)),
        };
        self.membership = membership;
        self.owned = assignment.iter().map(|partition| (*partition, None)).collect();
        Ok(Some(assignment))
    }

    /// Records of sought partitions, in order of each; nothing before all of them are sought.
    fn fetch(&mut self, limit: usize) -> Vec<(i32, i64, Arc<Stored>)> {
        if self.owned.values().any(Option::is_none) {
            return Vec::new();
        }
        let owned = &mut self.owned;
        self.seat.with(|state| {
            let mut order: Vec<i32> = owned.keys().copied().collect();
            order.shuffle(&mut state.random);
            let mut fetched = Vec::new();
            for partition in order {
                let room = state.random.random_range(0..=limit - fetched.len());
                let next = owned.get_mut(&partition).and_then(Option::as_mut).expect("sought");
                let queued = stale_records(state);
                let log = state.broker.log(Topic::Trades, partition);
                for (entry, stored) in log.committed(*next - queued, i64::MAX).take(room) {
                    *next = (entry.offset + 1).max(*next);
                    fetched.push((partition, entry.offset, Arc::clone(stored)));
                }
            }
            fetched
        })
    }

    /// A call fails, for any reason that the port allows.
    fn may_fail(&self, call: &'static str) -> Result<()> {
        self.seat.with(|state| {
            let rate = state.options.log_fails;
            if !state.chance(rate) {
                return Ok(());
            }
            state.count("log fails", call);
            let problem = format!("{call}: a simulated failure of the log");
            Err(match state.random.random_range(0..3) {
                0 => Error::Unavailable(problem),
                1 => Error::Restore(problem),
                _ => Error::Rejoin(problem),
            })
        })
    }

    fn await_end(&self, number: u64, within_us: i64) {
        let mut left_us = within_us;
        while left_us > 0 && !self.seat.with(|state| state.has_ended(number)) {
            let us = left_us.min(COMMIT_LOOK_US);
            self.seat.pass(us);
            left_us -= us;
        }
    }

    fn wait_until<T>(
        &self,
        what: &str,
        mut look: impl FnMut(&mut State) -> Option<T>,
    ) -> Result<T> {
        let bound_us =
            self.seat.with(|state| state.options.transaction_timeout_us) + RESTORE_SLACK_US;
        let mut waited_us = 0;
        loop {
            if let Some(found) = self.seat.with(&mut look) {
                return Ok(found);
            }
            if waited_us > bound_us {
                return Err(Error::Unavailable(format!("{what} is held back; wait")));
            }
            self.seat.pass(50 * MS);
            waited_us += 50 * MS;
        }
    }
}

impl Log for SimulatedLog {
    fn partition_count(&self) -> u32 {
        self.seat.with(|state| state.broker.partition_count)
    }

    fn poll(
        &mut self,
        limit: usize,
        wait: Duration,
        on_record: &mut dyn FnMut(RawRecord<'_>) -> Result<()>,
    ) -> Result<Polled> {
        self.seat.hazard("before a poll");
        self.take_time(2 * MS);
        let mut left_us = wait.as_micros() as i64;
        loop {
            if let Some(assignment) = self.serve()? {
                return Ok(Polled { records: 0, assignment: Some(assignment) });
            }
            let fetched = self.fetch(limit);
            if !fetched.is_empty() || left_us <= 0 {
                for (partition, offset, stored) in &fetched {
                    on_record(raw(*partition, *offset, stored))?;
                }
                // Some were handed out, and the beat is void.
                self.may_fail("poll")?;
                return Ok(Polled { records: fetched.len(), assignment: None });
            }
            let us = left_us.min(LOOK_EVERY_US);
            self.seat.pass(us);
            left_us -= us;
        }
    }

    fn restore(
        &mut self,
        partition: i32,
        on_state: &mut OnState<'_>,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<Restored> {
        self.seat.hazard("before a restore");
        self.take_time(5 * MS);
        let committed =
            self.wait_until("the committed offset", |state| state.broker.stable_offset(partition))?;
        let end = self.seat.with(|state| state.broker.log(Topic::Changelog, partition).end());
        self.seat.hazard("inside a restore");
        let newest = self.wait_until("the changelog", |state| {
            let is_settled = state.broker.log(Topic::Changelog, partition).stable_end() >= end;
            is_settled.then(|| {
                let newest = state.broker.newest_state(partition, end);
                let mut newest: Vec<_> = newest.into_iter().collect();
                // Any order is allowed.
                newest.shuffle(&mut state.random);
                state.count("restores", "");
                newest
            })
        })?;
        for (key, value) in &newest {
            on_state(key, value)?;
        }
        let records = newest.len() as u64;
        on_progress(RestoreProgress { records, records_max: records, bytes: 0 });
        self.may_fail("restore")?;
        self.seat.hazard("after a restore");
        let log_end = self.seat.with(|state| state.broker.log(Topic::Trades, partition).end());
        Ok(Restored { committed, log_start: 0, log_end })
    }

    fn seek(&mut self, partition: i32, offset: i64) -> Result<()> {
        self.may_fail("seek")?;
        let lost = || Error::Rejoin(format!("partition {partition} is no longer owned"));
        *self.owned.get_mut(&partition).ok_or_else(lost)? = Some(offset);
        Ok(())
    }

    fn begin_commit(&mut self, beat: Beat) -> Result<()> {
        self.seat.hazard("before a commit");
        self.may_fail("commit")?;
        assert_eq!(self.committing, None, "one commit at a time");
        let (process, step) = (self.seat.id, Step::Begin);
        let (identity, membership) = (self.identity, self.membership);
        let committing = Committing { process, identity, membership, beat, step };
        self.committing = Some(self.seat.with(|state| state.begin_commit(committing)));
        Ok(())
    }

    fn commit_outcome(&mut self, within: Duration) -> Option<Result<Beat>> {
        let number = self.committing?;
        self.await_end(number, within.as_micros() as i64);
        let outcome = self.seat.with(|state| state.take_outcome(number))?;
        self.committing = None;
        Some(outcome)
    }

    fn position(&mut self, partition: i32) -> Result<i64> {
        let next = self.owned.get(&partition).copied().flatten();
        let next = next.ok_or_else(|| Error::Bug(format!("partition {partition} not sought")))?;
        Ok(self.seat.with(|state| {
            let log = state.broker.log(Topic::Trades, partition);
            let first = log.committed(next, i64::MAX).next().map(|(entry, _)| entry.offset);
            first.map_or(log.stable_end().max(next), |_| next)
        }))
    }

    fn end_offset(&mut self, partition: i32) -> Result<i64> {
        self.may_fail("end of a partition")?;
        Ok(self.seat.with(|state| state.broker.log(Topic::Trades, partition).stable_end()))
    }

    fn written_since(&mut self, _: i32, _: i64) -> Result<Option<Written>> {
        unreachable!("a stream does not ask when a record was written")
    }

    fn keep_alive(&mut self) -> Result<Option<Vec<i32>>> {
        self.seat.hazard("before a keep-alive");
        self.may_fail("keep-alive")?;
        self.serve()
    }

    fn close(&mut self) {
        if let Some(number) = self.committing.take() {
            self.await_end(number, i64::MAX);
        }
        let Some(member) = self.member.take() else { return };
        self.owned.clear();
        self.seat.with(|state| {
            state.group.remove(member);
            state.time_rebalance();
        });
    }
}

fn raw(partition: i32, offset: i64, stored: &Stored) -> RawRecord<'_> {
    let header = stored.headers.iter().find(|(name, _)| *name == FEED_EVENT_HEADER);
    let event = header.map(|(_, value)| value.as_slice()).filter(|_| stored.value.is_none());
    let (key, value) = (stored.key.as_deref(), stored.value.as_deref());
    RawRecord { partition, offset, key, value, event }
}
