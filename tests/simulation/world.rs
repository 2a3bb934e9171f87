//! The world of one seed: virtual time, who runs when, and the baton that lets exactly one thread
//! run. A pipeline blocks, so each simulated process has a thread; at every port call it gives the
//! baton to whoever the next event of the schedule names. The order depends on the seed alone.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use ticksmith::model::Bar;
use ticksmith::runtime::Shutdown;

use crate::broker::Broker;
use crate::committing::Progress;
use crate::events::Event;
use crate::feed::{self, Delivery};
use crate::group::Group;
use crate::invariants::{self, Checked, ContentKey, Violation};
use crate::options::{Options, random_of};
use crate::oracle::Oracle;
use crate::planted::Plant;
use crate::process;
use crate::tables::{Row, Tables};

/// Whose turn it is when no process runs: the thread that started the world.
const DIRECTOR: usize = usize::MAX;

/// What a killed process' thread unwinds with.
pub struct Killed;

/// Counts by kind and detail.
pub type Counts = BTreeMap<(&'static str, &'static str), u64>;

/// What became of a seed.
pub struct Outcome {
    pub violation: Option<Violation>,
    pub counts: Counts,
    pub trace: Vec<String>,
}

pub struct World {
    state: Mutex<State>,
    director: Condvar,
}

/// What a process is started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// Until it is asked to stop; the slot is started again when it ends.
    Slot(usize),
    /// To the end of the log as it is, alone.
    Bounded,
}

/// One incarnation of a process; its index is its id.
pub struct Process {
    pub run: Run,
    pub shutdown: Shutdown,
    pub killed: bool,
    pub ended: bool,
    /// When it was asked to stop.
    pub asked_us: Option<i64>,
    /// Stopped by SIGSTOP until then.
    pub stopped_until_us: i64,
    /// Rows that the store has not acknowledged.
    pub in_flight: Vec<Row>,
    turn: Arc<Condvar>,
}

pub struct State {
    pub options: Options,
    pub random: ChaCha8Rng,
    pub now_us: i64,
    pub broker: Broker,
    pub group: Group,
    /// Commits, by number.
    pub commits: BTreeMap<u64, Progress>,
    pub tables: Tables,
    pub oracle: Oracle,
    /// What every closed or corrected bar was told to be.
    pub contents: BTreeMap<ContentKey, Bar>,
    pub observer: invariants::Observer,
    pub processes: Vec<Process>,
    pub feed: Vec<Delivery>,
    pub plant: Option<Plant>,
    /// Faults are over; everything has to come to its end.
    pub is_calm: bool,
    /// All processes were asked to stop for good.
    pub is_stopping: bool,
    pub store_away_until_us: i64,
    pub rebalance_timed: u64,
    pub counts: Counts,
    pub events: BTreeMap<(i64, u64), Event>,
    scheduled: u64,
    running: usize,
    violation: Option<Violation>,
    trace: Option<Vec<String>>,
}

impl World {
    fn new(seed: u64, plant: Option<Plant>, is_traced: bool) -> Self {
        let options = Options::of_seed(seed);
        let (feed, counts) = feed::script(seed, &options);
        let state = State {
            random: random_of(seed, 1),
            now_us: 0,
            broker: Broker::new(options.partitions),
            group: Group::new(options.partitions),
            commits: BTreeMap::new(),
            tables: Tables::default(),
            oracle: Oracle::new(&options),
            contents: BTreeMap::new(),
            observer: invariants::Observer::default(),
            processes: Vec::new(),
            feed,
            plant,
            is_calm: false,
            is_stopping: false,
            store_away_until_us: 0,
            rebalance_timed: 0,
            counts,
            events: BTreeMap::new(),
            scheduled: 0,
            running: DIRECTOR,
            violation: None,
            trace: is_traced.then(Vec::new),
            options,
        };
        Self { state: Mutex::new(state), director: Condvar::new() }
    }

    /// A thread that panicked while it held the state has told its violation; what is left is only
    /// read.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_over(&self, state: &mut State, next: usize) {
        state.running = next;
        match state.processes.get(next) {
            Some(process) => process.turn.notify_one(),
            None => self.director.notify_one(),
        }
    }
}

/// Runs a seed to its end.
pub fn run(seed: u64, plant: Option<Plant>, is_traced: bool) -> Outcome {
    let world = Arc::new(World::new(seed, plant, is_traced));
    let mut state = world.lock();
    state.set_up();
    let next = state.dispatch(&world);
    world.hand_over(&mut state, next);
    while state.running != DIRECTOR {
        state = world.director.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    if state.violation.is_none() {
        let checked = invariants::at_the_end(&mut state);
        state.check(checked);
    }
    let state = &mut *state;
    state.counts.insert(("rebalances", ""), state.group.rebalances);
    Outcome {
        violation: state.violation.take(),
        counts: std::mem::take(&mut state.counts),
        trace: state.trace.take().unwrap_or_default(),
    }
}

/// A process' place in the world.
#[derive(Clone)]
pub struct Seat {
    pub world: Arc<World>,
    pub id: usize,
    turn: Arc<Condvar>,
}

impl Seat {
    /// A look at the world, in no time.
    pub fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.world.lock())
    }

    /// Lets time pass; others run meanwhile. Does not return when the process is killed.
    pub fn pass(&self, us: i64) {
        let mut state = self.world.lock();
        let at_us = state.now_us + us.max(1);
        state.schedule(at_us, Event::Resume(self.id));
        let next = state.dispatch(&self.world);
        if next != self.id {
            self.world.hand_over(&mut state, next);
        }
        self.await_turn(state);
    }

    fn await_turn(&self, mut state: MutexGuard<'_, State>) {
        while state.running != self.id {
            state = self.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let is_dead = state.processes[self.id].killed || state.violation.is_some();
        drop(state);
        if is_dead {
            resume_unwind(Box::new(Killed));
        }
    }

    /// Waits for the first turn.
    pub fn enter(&self) {
        self.await_turn(self.world.lock());
    }

    /// A place where the process may be killed, or stopped for a while.
    pub fn hazard(&self, place: &'static str) {
        let mut state = self.world.lock();
        state.hazard(self.id, place);
        let is_killed = state.processes[self.id].killed;
        let is_stopped = state.processes[self.id].stopped_until_us > state.now_us;
        drop(state);
        if is_killed {
            resume_unwind(Box::new(Killed));
        }
        if is_stopped {
            self.pass(1);
        }
    }

    /// The thread's last act: the process has ended.
    pub fn leave(&self, checked: Checked, is_killed: bool) {
        let mut state = self.world.lock();
        state.check(checked);
        state.ended(self.id, is_killed);
        let next = state.dispatch(&self.world);
        self.world.hand_over(&mut state, next);
    }
}

impl State {
    pub fn schedule(&mut self, at_us: i64, event: Event) {
        self.scheduled += 1;
        self.events.insert((at_us, self.scheduled), event);
    }

    pub fn schedule_in(&mut self, us: i64, event: Event) {
        self.schedule(self.now_us + us, event);
    }

    /// A place for a new incarnation; it enters when its turn comes.
    pub fn add_process(&mut self, world: &Arc<World>, run: Run) -> Seat {
        let turn = Arc::new(Condvar::new());
        let id = self.processes.len();
        self.processes.push(Process {
            run,
            shutdown: Shutdown::default(),
            killed: false,
            ended: false,
            asked_us: None,
            stopped_until_us: 0,
            in_flight: Vec::new(),
            turn: Arc::clone(&turn),
        });
        Seat { world: Arc::clone(world), id, turn }
    }

    /// Everybody was asked to stop, and has; nothing is in suspense.
    fn is_idle(&self) -> bool {
        self.is_stopping && self.processes.iter().all(|one| one.ended) && self.broker.is_settled()
    }

    fn awaits_bounded_run(&self) -> bool {
        let was_one = self.processes.iter().any(|one| one.run == Run::Bounded);
        self.options.ends_bounded && !was_one
    }

    /// Lets events happen until one of them is a process' turn.
    pub fn dispatch(&mut self, world: &Arc<World>) -> usize {
        loop {
            let awaits_bounded = self.awaits_bounded_run();
            if self.violation.is_some() || self.is_idle() && !awaits_bounded {
                let alive = self.processes.iter().position(|one| !one.ended);
                return alive.unwrap_or(DIRECTOR);
            }
            // Alone: a dead member holds its partitions until its session is over.
            if self.is_idle() && self.group.is_empty() {
                process::start(self, world, Run::Bounded);
            }
            let Some(((at_us, _), event)) = self.events.pop_first() else {
                self.check(invariants::goes_on("nothing is left that could happen"));
                continue;
            };
            self.now_us = self.now_us.max(at_us);
            match event {
                Event::Resume(id) if self.processes[id].ended => {}
                Event::Resume(id) => {
                    let wakes_us = self.processes[id].stopped_until_us;
                    if wakes_us > self.now_us && !self.processes[id].killed {
                        self.schedule(wakes_us, Event::Resume(id));
                    } else {
                        return id;
                    }
                }
                event => self.happen(event, world),
            }
        }
    }

    /// A place where a process may be killed, or stopped for a while. Its thread learns it when it
    /// gets its turn.
    pub fn hazard(&mut self, id: usize, place: &'static str) {
        if self.processes[id].killed || self.processes[id].ended {
            return;
        }
        if self.chance(self.options.kill) {
            self.count("kill", place);
            self.trace(|| format!("{id}: killed {place}"));
            self.kill(id);
        } else if self.chance(self.options.stop) {
            self.count("stop", place);
            let us = self.random.random_range(1..=self.options.stop_longest_us);
            self.trace(|| format!("{id}: stopped {place} for {us} us"));
            self.stop(id, us);
        }
    }

    /// Whether a fault of this rate strikes now.
    pub fn chance(&mut self, rate: f64) -> bool {
        !self.is_calm && rate > 0.0 && self.random.random_bool(rate)
    }

    pub fn count(&mut self, kind: &'static str, detail: &'static str) {
        *self.counts.entry((kind, detail)).or_default() += 1;
    }

    /// The first violation ends the run.
    pub fn check(&mut self, checked: Checked) {
        if let Err(violation) = checked
            && self.violation.is_none()
        {
            self.trace(|| format!("VIOLATION {violation}"));
            self.violation = Some(violation);
        }
    }

    pub fn is_violated(&self) -> bool {
        self.violation.is_some()
    }

    pub fn trace(&mut self, line: impl FnOnce() -> String) {
        let now_us = self.now_us;
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>12.6} {}", now_us as f64 / 1e6, line()));
        }
    }
}
