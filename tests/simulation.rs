//! Seeded runs of the shipping pipeline and engine over a log, a store and a clock in memory, with
//! faults at every effect. A seed is one run, always the same; see docs/TESTING.md.
//!
//! After the habit of TigerBeetle's VOPR: faults first, drawn per seed so that no two seeds are
//! troubled alike; then calm, in which everything must come to its end; and invariants throughout.

#[path = "simulation/broker.rs"]
mod broker;
#[path = "simulation/campaign.rs"]
mod campaign;
#[path = "simulation/committing.rs"]
mod committing;
#[path = "simulation/crew.rs"]
mod crew;
#[path = "simulation/events.rs"]
mod events;
#[path = "simulation/feed.rs"]
mod feed;
mod front;
#[path = "simulation/group.rs"]
mod group;
#[path = "simulation/invariants.rs"]
mod invariants;
#[path = "simulation/options.rs"]
mod options;
#[path = "simulation/oracle.rs"]
mod oracle;
#[path = "simulation/planted.rs"]
mod planted;
#[path = "simulation/process.rs"]
mod process;
#[path = "simulation/session.rs"]
mod session;
#[path = "simulation/tables.rs"]
mod tables;
#[path = "simulation/world.rs"]
mod world;

use planted::Plant;

/// Seeds of a plain `make test`.
const SEEDS: u64 = 200;
/// A planted bug is found within so many.
const PATIENCE: u64 = 1_000;
/// Every one of them is met in any hundred seeds.
const FAULTS: [&str; 15] = [
    "broker unreachable",
    "clean stop",
    "foreign transaction",
    "kill",
    "log fails",
    "lost answer",
    "rebalance for no reason",
    "rebalances",
    "stale records",
    "stop",
    "store outage",
    "store refuses",
    "stray write",
    "transaction refused",
    "zombie refused",
];

/// A number from the environment; empty counts as not set.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
fn the_seeds_hold() {
    if let Some(seed) = number("TICKSMITH_SIMULATION_SEED") {
        return campaign::replay(seed).unwrap_or_else(|problem| panic!("{problem}"));
    }
    let count = number("TICKSMITH_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let first = u64::from(rand::random::<u32>());
    campaign::say(&format!("simulation: {count} seeds from {first} on"));
    let campaign = campaign::run(first, count, None, true);
    campaign::say(&campaign.summary());
    campaign.verdict().unwrap_or_else(|problem| panic!("{problem}"));
    if count >= 100 {
        let met = |fault: &&str| campaign.counts.keys().any(|(kind, _)| kind == fault);
        let missed: Vec<&&str> = FAULTS.iter().filter(|fault| !met(fault)).collect();
        assert!(missed.is_empty(), "faults that never struck: {missed:?}");
    }
}

#[test]
fn a_seed_is_one_run() {
    for seed in [1, 2, 3] {
        let (one, other) = (world::run(seed, None, true), world::run(seed, None, true));
        let differs = one.trace.iter().zip(&other.trace).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(one.trace.len(), other.trace.len(), "seed {seed}");
        assert!(one.trace.len() > 100, "seed {seed} did something");
    }
}

#[test]
fn planted_bugs_are_found() {
    for plant in Plant::ALL {
        let campaign = campaign::run(1, PATIENCE, Some(plant), false);
        let Some((seed, violation)) = campaign.failure else {
            panic!("{plant:?} was not found in {PATIENCE} seeds");
        };
        let seeds = campaign.seeds;
        campaign::say(&format!("{plant:?}: found after {seeds} seeds, in {seed}: {violation}"));
    }
}
