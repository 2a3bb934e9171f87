//! A transaction beside its process, as the Kafka adapter has it: each step is an event of the
//! world, so that between two of them the process reads on, loses its partitions, stops or dies.

use rand::RngExt;
use ticksmith::error::{Error, Result};
use ticksmith::port::Beat;

use crate::broker::Fenced;
use crate::events::Event;
use crate::group::Membership;
use crate::invariants;
use crate::options::MS;
use crate::planted::Plant;
use crate::world::State;

/// Records of a transaction that are sent at once.
const CHUNK: usize = 16;
/// Markers of the transaction before are looked for this often.
const FINISHING_LOOK_US: i64 = 10 * MS;

/// What a session commits, and as whom.
pub struct Committing {
    pub process: usize,
    /// Transactional id and epoch.
    pub identity: (u64, u64),
    /// As of the assignment under which the beat was read.
    pub membership: Option<Membership>,
    pub beat: Beat,
    pub step: Step,
}

/// What comes next.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    Begin,
    /// From this record on.
    Produce(usize),
    Offsets,
    Decide,
    Answer,
}

impl Step {
    /// The place in which a process dies or stops before it.
    fn place(self) -> &'static str {
        match self {
            Self::Begin => "at the beginning of a commit",
            Self::Produce(_) => "between two produces",
            Self::Offsets => "after a produce",
            Self::Decide => "inside a commit",
            Self::Answer => "after a commit",
        }
    }
}

/// How a commit ended, when it has.
pub enum Progress {
    UnderWay(Committing),
    Ended(Result<Beat>),
}

pub fn fenced(_: Fenced) -> Error {
    Error::Rejoin("fenced: the transactional id has a newer epoch; joining again".into())
}

impl State {
    /// Begins; the number is that of the commit.
    pub fn begin_commit(&mut self, committing: Committing) -> u64 {
        let number = self.commits.len() as u64;
        self.commits.insert(number, Progress::UnderWay(committing));
        self.schedule_in(MS, Event::Commit(number));
        number
    }

    pub fn has_ended(&self, number: u64) -> bool {
        !matches!(self.commits.get(&number), Some(Progress::UnderWay(_)))
    }

    /// The outcome, once.
    pub fn take_outcome(&mut self, number: u64) -> Option<Result<Beat>> {
        if !self.has_ended(number) {
            return None;
        }
        let gone = || Progress::Ended(Err(Error::Bug("this outcome was told already".into())));
        let told = self.commits.insert(number, gone());
        let Progress::Ended(outcome) = told.unwrap_or_else(gone) else { return None };
        Some(outcome)
    }

    pub fn go_on_committing(&mut self, number: u64) {
        let Some(progress) = self.commits.get_mut(&number) else { return };
        let lost = Error::Bug("its process is dead".into());
        let taken = std::mem::replace(progress, Progress::Ended(Err(lost)));
        let Progress::UnderWay(mut committing) = taken else {
            *progress = taken;
            return;
        };
        let id = committing.process;
        self.hazard(id, committing.step.place());
        if self.processes[id].killed || self.processes[id].ended {
            return;
        }
        let wakes_us = self.processes[id].stopped_until_us;
        if wakes_us > self.now_us {
            self.schedule(wakes_us, Event::Commit(number));
            self.commits.insert(number, Progress::UnderWay(committing));
            return;
        }
        let progress = match self.take_step(&mut committing) {
            Ok(Some(us)) => {
                self.schedule_in(us, Event::Commit(number));
                Progress::UnderWay(committing)
            }
            Ok(None) => Progress::Ended(Ok(committing.beat)),
            Err(error) => Progress::Ended(Err(error)),
        };
        self.commits.insert(number, progress);
    }

    /// How long until the next step, µs; `None`: it was the last.
    fn take_step(&mut self, committing: &mut Committing) -> Result<Option<i64>> {
        let Committing { process, identity, beat, .. } = &*committing;
        let mut longest_us = self.options.commit_slowest_us;
        committing.step = match committing.step {
            Step::Begin if self.broker.is_finishing(identity.0) => {
                return Ok(Some(FINISHING_LOOK_US));
            }
            Step::Begin => {
                let transaction = self.broker.begin(identity.0, identity.1).map_err(fenced)?;
                self.time_transaction(identity.0, transaction);
                Step::Produce(0)
            }
            Step::Produce(from) => {
                longest_us = 3 * MS;
                let to = (from + CHUNK).min(beat.records.len());
                for record in &beat.records[from..to] {
                    self.broker.produce(self.now_us, *identity, record).map_err(fenced)?;
                }
                self.may_abort(*identity, "produce")?;
                if to == beat.records.len() { Step::Offsets } else { Step::Produce(to) }
            }
            Step::Offsets => {
                self.send_offsets(committing)?;
                Step::Decide
            }
            Step::Decide => {
                self.may_abort(*identity, "commit")?;
                self.decide(*process, *identity, beat)?;
                Step::Answer
            }
            Step::Answer => return self.may_lose_the_answer().map(|()| None),
        };
        Ok(Some(self.random.random_range(1..=longest_us)))
    }

    fn send_offsets(&mut self, committing: &Committing) -> Result<()> {
        let Committing { identity, membership, beat, .. } = committing;
        let over = "offsets: the generation is over";
        let Some(membership) = *membership else { return self.abort(*identity, over) };
        let is_current = self.group.is_current(membership);
        if !is_current && self.plant != Some(Plant::FencedCommitAccepted) {
            self.count("zombie refused", "");
            return self.abort(*identity, over);
        }
        let owners = invariants::only_the_owner_commits(&self.group, membership, beat);
        self.check(owners);
        self.broker.add_offsets(*identity, &beat.offsets).map_err(fenced)
    }

    fn decide(&mut self, id: usize, identity: (u64, u64), beat: &Beat) -> Result<()> {
        let markers = self.broker.end(identity, true).map_err(fenced)?;
        self.send_markers(markers);
        self.count("commits", "");
        let (records, offsets) = (beat.records.len(), &beat.offsets);
        self.trace(|| format!("{id}: {records} records, offsets {offsets:?} committed"));
        let State { broker, oracle, .. } = self;
        let checked = invariants::at_a_commit(broker, oracle, beat);
        self.check(checked);
        Ok(())
    }

    /// The broker's refusal of one step, now and then.
    fn may_abort(&mut self, identity: (u64, u64), step: &'static str) -> Result<()> {
        if !self.chance(self.options.abort) {
            return Ok(());
        }
        self.count("transaction refused", step);
        self.abort(identity, step)
    }

    fn abort(&mut self, identity: (u64, u64), step: &str) -> Result<()> {
        let markers = self.broker.end(identity, false).map_err(fenced)?;
        self.send_markers(markers);
        Err(Error::Restore(format!("transaction aborted at {step}; restoring")))
    }

    /// The commit went through, and the client is told otherwise, or nothing.
    fn may_lose_the_answer(&mut self) -> Result<()> {
        if !self.chance(self.options.lost_answer) {
            return Ok(());
        }
        self.count("lost answer", "");
        let problem = "the answer to the commit was lost; restoring".to_owned();
        Err(match self.random.random_bool(0.5) {
            true => Error::Rejoin(problem),
            false => Error::Restore(problem),
        })
    }
}
