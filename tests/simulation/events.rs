//! What happens in the world besides the processes' own steps: the feed delivers, time-outs run
//! out, markers arrive, somebody stops a process.

use std::sync::Arc;

use rand::RngExt;
use ticksmith::port::Topic;

use crate::broker::Marker;
use crate::feed::Fate;
use crate::invariants;
use crate::options::{MS, SECOND};
use crate::process;
use crate::tables::Row;
use crate::world::{Run, State, World};

/// Faults end so long after the feed at the latest.
const AFTER_THE_FEED_US: i64 = 15 * SECOND;
/// In the calm everything is done within this, or never.
const PATIENCE_US: i64 = 300 * SECOND;
/// Transactional ids of foreign writers start here.
const FOREIGN: u64 = 1_000_000;

pub enum Event {
    /// A process goes on.
    Resume(usize),
    /// A new process in a slot.
    Start(usize),
    /// The producer appends this part of the script.
    Deliver(usize),
    Mark(Marker),
    /// The next step of a commit under way.
    Commit(u64),
    /// A foreign transaction ends.
    Foreign {
        producer: u64,
        epoch: u64,
        commit: bool,
    },
    TransactionTimeout {
        producer: u64,
        transaction: u64,
    },
    SessionTimeout {
        process: usize,
        member: u64,
    },
    JoinTimeout(u64),
    /// A write of a dead process arrives.
    StrayWrite(Box<Row>),
    Compact,
    /// Once a second: somebody may stop a process, or the store may go away.
    Whim,
    /// A committed reader reads on, and the end is looked for.
    Watch,
    /// Faults end.
    Calm,
}

impl State {
    pub fn set_up(&mut self) {
        for slot in 0..self.options.processes {
            let at_us = self.random.random_range(0..3 * SECOND);
            self.schedule(at_us, Event::Start(slot));
        }
        for index in 0..self.feed.len() {
            self.schedule(self.feed[index].at_us, Event::Deliver(index));
        }
        self.schedule(SECOND, Event::Whim);
        self.schedule(SECOND, Event::Watch);
        self.schedule(5 * SECOND, Event::Compact);
        let calm_us = self.options.feed_us + self.random.random_range(0..AFTER_THE_FEED_US);
        self.schedule(calm_us, Event::Calm);
    }

    pub fn happen(&mut self, event: Event, world: &Arc<World>) {
        match event {
            Event::Resume(_) => unreachable!("the dispatcher takes it"),
            Event::Start(slot) if !self.is_stopping => process::start(self, world, Run::Slot(slot)),
            Event::Start(_) => {}
            Event::Deliver(index) => self.deliver(index),
            Event::Mark(marker) => self.broker.arrive(self.now_us, marker),
            Event::Commit(number) => self.go_on_committing(number),
            Event::Foreign { producer, epoch, commit } => {
                let markers = self.broker.end((producer, epoch), commit).unwrap_or_default();
                self.send_markers(markers);
            }
            Event::TransactionTimeout { producer, transaction } => {
                let markers = self.broker.time_out(producer, transaction);
                if !markers.is_empty() {
                    self.count("transaction timed out", "");
                    self.trace(|| format!("transaction {transaction} timed out"));
                }
                self.send_markers(markers);
            }
            Event::SessionTimeout { process, member } => self.expire(process, member),
            Event::JoinTimeout(number) => self.group.expire(number, &mut self.random),
            Event::StrayWrite(row) => {
                self.count("stray write", "");
                self.arrive(*row);
            }
            Event::Compact => {
                self.broker.compact(self.now_us);
                self.schedule_in(7 * SECOND, Event::Compact);
            }
            Event::Whim => self.whim(),
            Event::Watch => self.watch(),
            Event::Calm => self.calm_down(),
        }
    }

    fn deliver(&mut self, index: usize) {
        let Some(delivery) = self.feed.get_mut(index) else { return };
        let (records, fate) = (std::mem::take(&mut delivery.records), delivery.fate);
        *self.counts.entry(("records", "")).or_default() += records.len() as u64;
        self.trace(|| format!("{} records arrive, {fate:?}", records.len()));
        let Some(fate) = fate else {
            records.iter().for_each(|record| self.broker.append(self.now_us, record));
            return;
        };
        let producer = FOREIGN + index as u64;
        let (epoch, _) = self.broker.init(producer);
        let id = self.broker.begin(producer, epoch).expect("a new id");
        for record in &records {
            self.broker.produce(self.now_us, (producer, epoch), record).expect("a new epoch");
        }
        self.count("foreign transaction", fate.as_str());
        self.time_transaction(producer, id);
        if fate != Fate::Dangles {
            let commit = fate == Fate::Commits;
            self.schedule_in(300 * MS, Event::Foreign { producer, epoch, commit });
        }
    }

    /// The coordinator aborts what is still open when the time is over.
    pub fn time_transaction(&mut self, producer: u64, transaction: u64) {
        let timeout_us = self.options.transaction_timeout_us;
        self.schedule_in(timeout_us, Event::TransactionTimeout { producer, transaction });
    }

    /// Each place learns of a decision in its own time.
    pub fn send_markers(&mut self, markers: Vec<Marker>) {
        for marker in markers {
            let us = self.random.random_range(1..=self.options.marker_slowest_us);
            self.schedule_in(us, Event::Mark(marker));
        }
    }

    /// A row becomes readable.
    pub fn arrive(&mut self, row: Row) {
        self.tables.apply(row);
    }

    fn expire(&mut self, process: usize, member: u64) {
        let one = &self.processes[process];
        if one.ended || one.killed || one.stopped_until_us > self.now_us {
            self.trace(|| format!("{process}: member {member} is thrown out"));
            self.group.remove(member);
            self.time_rebalance();
        }
    }

    /// To be called when members came or went.
    pub fn time_rebalance(&mut self) {
        if let Some(number) = self.group.joining().filter(|one| *one > self.rebalance_timed) {
            self.rebalance_timed = number;
            self.schedule_in(self.options.rebalance_timeout_us, Event::JoinTimeout(number));
        }
    }

    /// kill -9. What was on its way to the store arrives, or not, or later.
    pub fn kill(&mut self, id: usize) {
        self.processes[id].killed = true;
        self.strand(id);
        self.time_session(id);
        self.restart_later(id);
    }

    fn strand(&mut self, id: usize) {
        for row in std::mem::take(&mut self.processes[id].in_flight) {
            match self.random.random_range(0..3) {
                0 => self.arrive(row),
                1 => {
                    let us = self.random.random_range(1..20 * SECOND);
                    self.schedule_in(us, Event::StrayWrite(Box::new(row)));
                }
                _ => {}
            }
        }
    }

    fn restart_later(&mut self, id: usize) {
        if let Run::Slot(slot) = self.processes[id].run {
            let us = self.random.random_range(MS..12 * SECOND);
            self.schedule_in(us, Event::Start(slot));
        }
    }

    fn time_session(&mut self, process: usize) {
        for member in self.group.members_of(process) {
            let timeout_us = self.options.session_timeout_us;
            self.schedule_in(timeout_us, Event::SessionTimeout { process, member });
        }
    }

    /// SIGSTOP: no heartbeats either.
    pub fn stop(&mut self, id: usize, us: i64) {
        self.processes[id].stopped_until_us = self.now_us + us;
        self.time_session(id);
    }

    /// The process' thread is done.
    pub fn ended(&mut self, id: usize, is_killed: bool) {
        self.processes[id].ended = true;
        self.trace(|| format!("{id}: ended"));
        if !is_killed && !self.is_violated() {
            let stopped =
                invariants::stops_in_time(&self.processes[id], self.now_us, &self.options);
            self.check(stopped);
            self.strand(id);
            self.time_session(id);
            self.restart_later(id);
        }
    }

    fn whim(&mut self) {
        self.schedule_in(SECOND, Event::Whim);
        if self.chance(self.options.rebalance) {
            self.count("rebalance for no reason", "");
            self.group.rebalance();
            self.time_rebalance();
        }
        if self.chance(self.options.store_outage) {
            self.count("store outage", "");
            self.store_away_until_us = self.now_us + self.random.random_range(1..15 * SECOND);
        }
        if self.chance(self.options.restart) {
            let alive = self.processes.iter().rposition(|one| !one.ended && !one.killed);
            if let Some(id) = alive {
                self.ask_to_stop(id);
                self.count("clean stop", "");
            }
        }
    }

    /// SIGTERM.
    fn ask_to_stop(&mut self, id: usize) {
        let now_us = self.now_us;
        let process = &mut self.processes[id];
        process.shutdown.request();
        process.asked_us.get_or_insert(now_us);
        self.trace(|| format!("{id}: asked to stop"));
    }

    pub fn is_store_away(&self) -> bool {
        self.store_away_until_us > self.now_us
    }

    fn calm_down(&mut self) {
        self.trace(|| "calm".into());
        self.is_calm = true;
        self.store_away_until_us = 0;
    }

    fn watch(&mut self) {
        self.schedule_in(SECOND / 2, Event::Watch);
        let Self { observer, broker, .. } = self;
        observer.read_on(broker);
        if self.now_us > self.options.feed_us + AFTER_THE_FEED_US + PATIENCE_US {
            let broke_off = match self.is_stopping {
                true => "a process was asked to stop, and runs on",
                false => "input is left, and nobody takes it",
            };
            self.check(invariants::goes_on(broke_off));
        }
        let is_over = self.options.ends_bounded || self.is_everything_consumed();
        if self.is_calm && !self.is_stopping && self.is_all_delivered() && is_over {
            self.trace(|| "stopping for good".into());
            self.is_stopping = true;
            (0..self.processes.len()).for_each(|id| self.ask_to_stop(id));
        }
    }

    fn is_all_delivered(&self) -> bool {
        let is_past = self.feed.last().is_none_or(|delivery| delivery.at_us < self.now_us);
        is_past && self.broker.is_settled()
    }

    fn is_everything_consumed(&self) -> bool {
        let broker = &self.broker;
        broker.partitions().all(|partition| {
            let next = broker.stable_offset(partition).flatten().unwrap_or(0);
            broker.log(Topic::Trades, partition).committed(next, i64::MAX).next().is_none()
        })
    }
}
