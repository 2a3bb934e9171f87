//! Many seeds on all cores, what they met, and how to see a failing one again.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use crate::invariants::Violation;
use crate::planted::Plant;
use crate::world::{self, Counts};

const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// What the seeds came to.
pub struct Campaign {
    pub seeds: u64,
    pub counts: Counts,
    pub failure: Option<(u64, Violation)>,
    took: Duration,
}

/// Straight to standard error: the test harness would keep it until a failure.
pub fn say(line: &str) {
    // Nobody reads it when the terminal is gone.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Runs `count` seeds from `first` on, until one fails.
pub fn run(first: u64, count: u64, plant: Option<Plant>, is_talking: bool) -> Campaign {
    let (next, found) = (AtomicU64::new(0), AtomicBool::new(false));
    let done = AtomicU64::new(0);
    let results = Mutex::new((Counts::new(), None));
    let began = Instant::now();
    let told = Mutex::new(began);
    let work = || {
        while !found.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return;
            }
            let seed = first.wrapping_add(index);
            let outcome = world::run(seed, plant, false);
            let seeds = done.fetch_add(1, Ordering::Relaxed) + 1;
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, value) in outcome.counts {
                *results.0.entry(key).or_default() += value;
            }
            if let Some(violation) = outcome.violation {
                found.store(true, Ordering::Relaxed);
                results.1.get_or_insert((seed, violation));
            }
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if is_talking && told.elapsed() >= PROGRESS_EVERY {
                *told = Instant::now();
                say(&format!("simulation: {seeds} of {count} seeds"));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let (counts, failure) = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    Campaign { seeds: done.into_inner(), counts, failure, took: began.elapsed() }
}

impl Campaign {
    /// Lines for people: how many seeds, and what they met by kind and place.
    pub fn summary(&self) -> String {
        let seconds = self.took.as_secs_f64();
        let mut text = format!("simulation: {} seeds in {seconds:.1} s", self.seeds);
        for ((kind, detail), count) in &self.counts {
            let space = if detail.is_empty() { "" } else { " " };
            text.push_str(&format!("\n  {count:>10} {kind}{space}{detail}"));
        }
        text
    }

    /// What is told of a failing seed.
    pub fn verdict(&self) -> Result<(), String> {
        let Some((seed, violation)) = &self.failure else { return Ok(()) };
        Err(format!(
            "seed {seed} breaks an invariant: {violation}\n\
             see it again, step by step: make simulate-test SEED={seed}"
        ))
    }
}

/// One seed with its trace.
pub fn replay(seed: u64) -> Result<(), String> {
    let outcome = world::run(seed, None, true);
    outcome.trace.iter().for_each(|line| say(line));
    match outcome.violation {
        Some(violation) => Err(format!("seed {seed} breaks an invariant: {violation}")),
        None => Ok(()),
    }
}
