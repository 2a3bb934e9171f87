//! One incarnation of a process: the shipping pipeline on a thread of its own, over simulated
//! ports.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, Once};
use std::time::Duration;

use rand::RngExt;
use ticksmith::codec::avro::Avro;
use ticksmith::error::{Error, Result};
use ticksmith::model::{Bar, Judged};
use ticksmith::pipeline::{self, Parts, Schedule};
use ticksmith::port::{BeatReport, Clock, Live, LogFactory, Store};
use ticksmith::runtime::Shutdown;

use crate::crew;
use crate::events::Event;
use crate::invariants::{self, Checked};
use crate::options::MS;
use crate::planted;
use crate::session::SimulatedFactory;
use crate::tables::SimulatedStore;
use crate::world::{Killed, Run, Seat, State, World};

/// The wall clock at virtual time 0: 2026-03-02 14:30 UTC, µs.
pub const EPOCH_US: i64 = 1_772_461_800_000_000;

pub static AVRO: LazyLock<Arc<Avro>> = LazyLock::new(|| Arc::new(Avro::single_object()));

/// Starts a process; it runs when its turn comes.
pub fn start(state: &mut State, world: &Arc<World>, run: Run) {
    quiet_panics();
    let seat = state.add_process(world, run);
    let id = seat.id;
    state.count("processes started", "");
    state.trace(|| format!("{id}: started, {run:?}"));
    let shutdown = state.processes[id].shutdown.clone();
    let parts = parts(state, &seat, run);
    crew::run(Box::new(move || live(&seat, parts, &shutdown, run)));
    state.schedule_in(MS, Event::Resume(id));
}

fn parts(state: &mut State, seat: &Seat, run: Run) -> Parts {
    let factory: Box<dyn LogFactory> = Box::new(SimulatedFactory { seat: seat.clone() });
    let store: Box<dyn Store> = Box::new(SimulatedStore::new(seat.clone()));
    let (log_factory, store) = match state.plant {
        Some(plant) => planted::wrap(plant, seat, factory, store),
        None => (factory, store),
    };
    let more = state.options.more_rules.clone().filter(|_| state.random.random_bool(0.5));
    if more.is_some() {
        state.count("starts with one interval more", "");
    }
    Parts {
        log_factory,
        store: Some(store),
        live: Arc::new(Watcher(seat.clone())),
        avro: Arc::clone(&AVRO),
        rules: more.unwrap_or_else(|| Arc::clone(&state.options.rules)),
        clock: Arc::new(VirtualClock(seat.clone())),
        schedule: Schedule { until_end: run == Run::Bounded, ..state.options.schedule.clone() },
        trades_topic: "trades".into(),
    }
}

fn live(seat: &Seat, parts: Parts, shutdown: &Shutdown, run: Run) {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        seat.enter();
        pipeline::run(parts, shutdown.clone())
    }));
    match outcome {
        Err(payload) if payload.is::<Killed>() => seat.leave(Ok(()), true),
        Err(payload) => seat.leave(invariants::does_not_panic(&message(payload.as_ref())), false),
        Ok(result) => seat.leave(judge(result, shutdown, run), false),
    }
}

fn judge(result: Result<BeatReport>, shutdown: &Shutdown, run: Run) -> Checked {
    match result {
        Ok(_) if shutdown.is_requested() || run == Run::Bounded => Ok(()),
        Ok(_) => invariants::goes_on("a pipeline ended and nobody had asked for it"),
        // Nothing to begin with: the supervisor starts it again.
        Err(Error::Unavailable(_)) => Ok(()),
        Err(error) => invariants::goes_on(&format!("a pipeline gave up: {error}")),
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// What a panic said is told with its seed; the hook would print it without.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() != Some(crew::THREAD) {
                before(info);
            }
        }));
    });
}

/// Monotonic time is the world's; the wall clock is nobody's business in a pipeline, so it jumps.
struct VirtualClock(Seat);

impl Clock for VirtualClock {
    fn now_us(&self) -> i64 {
        self.0.with(|state| EPOCH_US + state.now_us * 3 % 1_000_000_007 - 500_000_000)
    }

    fn monotonic_us(&self) -> i64 {
        self.0.with(|state| state.now_us)
    }

    fn sleep(&self, duration: Duration) {
        self.0.pass(duration.as_micros() as i64);
    }
}

/// Checks what the pipeline reports about itself.
struct Watcher(Seat);

impl Live for Watcher {
    fn bars(&self, _: &[Bar]) {}

    fn trades(&self, _: &[Judged]) {}

    fn ready(&self, ready: bool, _: &str) {
        if !ready {
            self.0.with(|state| state.count("not ready", ""));
        }
    }

    fn beat(&self, report: &BeatReport) {
        let checked = invariants::the_report_adds_up(report);
        self.0.with(|state| state.check(checked));
    }
}
