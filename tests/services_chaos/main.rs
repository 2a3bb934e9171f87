//! Chaos over real servers: a feed, a producer, Kafka, a group of stream processes and Cassandra,
//! of which something is killed, stopped or added at random moments; afterwards every table and
//! every topic must be what an oracle makes of the trades topic, and what the feed sent beyond it
//! must lie in gaps that were declared.
//!
//! `make chaos` runs it long and under load, `make soak` watches memory and lag meanwhile, and
//! `make test-integration` runs it short. docs/TESTING.md says what is judged and how.

#[path = "../services_processes/harness/mod.rs"]
mod harness;

/// Past the capture of the test's output: a run is worth its numbers when it succeeds, too.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        // Nobody listens on a closed terminal.
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}

mod bars;
mod differences;
mod feed;
mod oracle;
mod run;
mod samples;
mod story;
mod tables;
mod topics;
mod transactions;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::RngExt;
use ticksmith::codec::avro::Avro;

use differences::Differences;
use feed::{Account, Sent, Watcher};
use harness::World;
use run::{Fault, Run};
use samples::Samples;

/// Two more than one key may ask for would be refused; these are one key's.
const SYMBOLS: usize = 40;
/// Of the short run.
const FAULTS: usize = 9;
/// A run of so many counts as a proof, if so many of them fell into an open transaction.
const MANY: usize = 50;
const MANY_INSIDE: usize = 10;
/// An unoptimised build, beside other tests.
const SLOW_RATE: u32 = 1_000;
const RATE: u32 = 24_000;
/// For half an hour on end.
const SOAK_RATE: u32 = 20_000;
/// So many trades the slower oracle of tests/foreign judges as well.
const SECOND_OPINION: usize = 250_000;

/// What the environment asks for.
struct Plan {
    seed: u64,
    /// Trades per second.
    rate: u32,
    length: Length,
}

enum Length {
    Faults(usize),
    Minutes(u64),
}

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is '{text}': give a number")))
}

impl Plan {
    fn of_environment() -> Self {
        let faults = number("TICKSMITH_CHAOS_FAULTS").unwrap_or(FAULTS);
        let minutes = number("TICKSMITH_SOAK_MINUTES").map(Length::Minutes);
        let default_rate = match minutes {
            _ if cfg!(debug_assertions) => SLOW_RATE,
            Some(_) => SOAK_RATE,
            None => RATE,
        };
        Self {
            seed: number("TICKSMITH_CHAOS_SEED")
                .unwrap_or_else(|| u64::from(rand::random::<u32>())),
            rate: number("TICKSMITH_CHAOS_RATE").unwrap_or(default_rate),
            length: minutes.unwrap_or(Length::Faults(faults)),
        }
    }

    fn again(&self) -> String {
        let (seed, rate) = (self.seed, self.rate);
        match self.length {
            Length::Faults(faults) => format!("make chaos FAULTS={faults} SEED={seed} RATE={rate}"),
            Length::Minutes(minutes) => {
                format!("make soak MINUTES={minutes} SEED={seed} RATE={rate}")
            }
        }
    }
}

#[test]
fn whatever_dies_at_whatever_moment_the_result_is_that_of_an_undisturbed_run() {
    let plan = Plan::of_environment();
    say!("chaos: the same faults again: {}", plan.again());
    let world = run::world("chaos");
    let symbols: Vec<String> = (0..SYMBOLS).map(|n| format!("BINANCE:C{n:02}USDT")).collect();
    let (mut run, watcher, simulator) = start(&plan, world, &symbols);
    let mut samples = Samples::default();
    let began = Instant::now();
    wreak(&mut run, &plan, &mut samples);
    let (seconds, sent) = (began.elapsed().as_secs_f64(), watcher.count());
    run.settle();
    run.pass(Duration::from_secs(2));
    run.stop_producer();
    let sent_in_all = watcher.stop();
    drop(simulator);
    samples.take(&run);
    say!("chaos: {sent} trades in {seconds:.0} s: {:.0} a second", sent as f64 / seconds);
    let drained = Instant::now();
    run.wait_until_read();
    run.drain();
    say!("chaos: drained in {:.0} s", drained.elapsed().as_secs_f64());
    if let Length::Minutes(_) = plan.length {
        samples.tell(f64::from(plan.rate));
    }
    let compared = Instant::now();
    let outcome = compare(&run.world, sent_in_all);
    say!("chaos: compared in {:.0} s", compared.elapsed().as_secs_f64());
    let inside = tell(&run, &outcome);
    let Outcome { found, account, .. } = outcome;
    assert!(account.arrived > 0, "nothing arrived");
    if let Length::Faults(MANY..) = plan.length {
        assert!(inside >= MANY_INSIDE, "only {inside} faults fell into a transaction");
    }
    let wrong = found.count + account.unexplained + account.invented;
    let first = account.first_unexplained.as_deref().unwrap_or("");
    assert_eq!(wrong, 0, "{}\n{first}\nagain: {}", found.shown.join("\n"), plan.again());
    if account.arrived < SECOND_OPINION {
        run.world.check(&["--drained", "--expect", "merged,late,bar closed,bar corrected"]);
    }
}

fn start(plan: &Plan, mut world: World, symbols: &[String]) -> (Run, Watcher, impl Drop) {
    world.set("SIMULATOR__KEY", "demo,watch");
    let rate = plan.rate.to_string();
    let arguments = ["--symbols", &symbols.join(","), "--rate", &rate];
    let (simulator, url) = world.start_market(&arguments);
    let watcher = Watcher::start(&format!("{url}/?token=watch"), symbols);
    let run = Run::start(world, &url, symbols, plan.seed);
    run.world.wait_for_commits(1);
    (run, watcher, simulator)
}

/// All the faults, at random moments.
fn wreak(run: &mut Run, plan: &Plan, samples: &mut Samples) {
    match plan.length {
        Length::Faults(count) => {
            for fault in Fault::draw(count, &mut run.random) {
                let pause_ms = run.random.random_range(500..6_000);
                run.pass(Duration::from_millis(pause_ms));
                run.inflict(fault);
            }
            run.pass(Duration::from_millis(run::SESSION_MS));
        }
        Length::Minutes(minutes) => {
            run.spare_the_first();
            let until = Instant::now() + Duration::from_secs(60 * minutes);
            let mut next = Instant::now() + run.until_next_fault();
            while Instant::now() < until {
                run.pass(Duration::from_secs(2));
                samples.take(run);
                if Instant::now() >= next {
                    let fault = run.draw_for_soak();
                    samples.fault(fault);
                    run.inflict(fault);
                    next = Instant::now() + run.until_next_fault();
                }
            }
        }
    }
}

/// What the comparison came to.
#[derive(Default)]
struct Outcome {
    found: Differences,
    account: Account,
    /// Trades of the topic by disposition and reason.
    endings: BTreeMap<(&'static str, &'static str), usize>,
}

/// Partition by partition, so that no more than one fills the memory.
fn compare(world: &World, mut sent: Sent) -> Outcome {
    let avro = Avro::single_object();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let tables = runtime.block_on(tables::Tables::connect(world));
    let mut outcome = Outcome { account: Account::of(&sent), ..Outcome::default() };
    let mut judged = Vec::new();
    for number in 0..topics::PARTITIONS {
        let mut partition = topics::judge(world, &avro, number as i32);
        topics::check(world, &avro, &partition, &mut outcome.found);
        runtime.block_on(tables.check_trades(&partition, &mut outcome.found));
        outcome.account.take(&mut sent, &partition);
        let (done, of) = (number + 1, topics::PARTITIONS);
        say!("chaos: {done} of {of} partitions compared, {} differences", outcome.found.count);
        for one in std::mem::take(&mut partition.trades) {
            *outcome.endings.entry(one.ending.disposition()).or_default() += 1;
        }
        judged.push(partition);
    }
    outcome.account.close(&sent);
    runtime.block_on(tables.check_bars(&judged, &mut outcome.found));
    outcome
}

/// Prints the counts; returns how many faults fell into an open transaction.
fn tell(run: &Run, Outcome { found, account, endings }: &Outcome) -> usize {
    let mut kinds: BTreeMap<Fault, usize> = BTreeMap::new();
    run.done.iter().for_each(|done| *kinds.entry(done.fault).or_default() += 1);
    let inside = run.done.iter().filter(|done| done.in_transaction).count();
    say!("chaos: {} faults, {inside} of them inside an open transaction:", run.done.len());
    for (fault, count) in kinds {
        say!("  {count:4} {}", fault.as_str());
    }
    say!("chaos: trades of the topic: {endings:?}");
    say!("chaos: compared with the oracle: {:?}", found.compared);
    let Account { sent, too_early, arrived, in_gaps, beyond_ms, .. } = account;
    let Account { unexplained, invented, .. } = account;
    say!("chaos: the feed sent {sent} trades, {too_early} of them before the producer asked");
    say!("       {arrived} are in the topic, {in_gaps} fell into declared gaps,");
    say!("       the farthest of them {beyond_ms} ms outside of its gap as feed time has it;");
    say!("       {unexplained} are missing, {invented} were never sent");
    say!("chaos: {} differences", found.count);
    inside
}
