//! `ticksmith reset`: go back in the trades topic on purpose. The stream then reads the records
//! once more and writes the bars anew as a new generation, which nothing of the old one can take
//! back.
//!
//! It is also the remedy when state and offsets no longer fit each other, so it judges neither: it
//! needs the trades topic, and takes from the state what is left of it.

mod plan;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::plan::{Asked, Place, Plan, Standing};
use super::duration;
use super::range_query::{self, instant_ms, open_reader};
use super::wiring;
use crate::codec::avro::Avro;
use crate::config::{Config, StoreKind};
use crate::embedded::Database;
use crate::embedded::log::Broker;
use crate::error::{Error, Result};
use crate::kafka::KafkaLogFactory;
use crate::kafka::overview::active_members;
use crate::model::{Interval, StateRecord};
use crate::port::log::RestoreProgress;
use crate::port::{BarQuery, Clock, Log, LogFactory, StoreReader};
use crate::runtime::SystemClock;

/// A group hands out its partitions within seconds; only one that cannot is given up on, ms.
const ASSIGNED_WITHIN_MS: i64 = 60_000;
const POLL: Duration = Duration::from_millis(100);
/// A sign of life on stderr, this often at most, ms.
const PROGRESS_EVERY_MS: i64 = 2_000;

/// Arguments of the command; each that stands for a configuration key overrides it in `apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// Do it; without this the plan is printed and nothing is changed
    #[arg(long)]
    apply: bool,
    /// Generation of the new bars [default: one more than any that state and tables know]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(1..))]
    generation: Option<i64>,
    /// Consumer group to reset
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Data directory of `ticksmith up`; without it the configured Kafka and Cassandra are meant
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// How far back; one of them has to be given.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// Bars of this time and later anew: RFC 3339 or epoch seconds, in market time
    #[arg(long, value_name = "TIME", value_parser = instant_ms, allow_negative_numbers = true)]
    to_datetime: Option<i64>,
    /// All bars that the trades topic still has everything for
    #[arg(long)]
    to_earliest: bool,
    /// Bars of the last 2h, 90m or 1d anew
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    by_duration: Option<Duration>,
}

const AFTER_HELP: &str = "\
For deliberate replays: after a change of [stream] rules, after tables were lost, or when the
stream says that state and offsets do not fit each other. Stop every `ticksmith stream` of the
group first; a reset while one runs is refused.

It prints the plan: per partition the offset to go back to, how many records are read again, and
from which instant bars are written anew. That is a boundary of the longest interval, at or before
the time asked for, and early enough that no unfinished bar is left behind. Reading begins earlier,
so that connections, owners and watermark are known by then; bars before are left as they are.
With --apply one transaction drops the state and sets the offsets; the next stream does the rest.

Tables: bars from that instant on are overwritten by those of a higher generation.
Topics: bars come once more, with the new generation; silver, late and rejected records come a
second time, and a reader tells them by (connection, seq).
A new interval needs no reset: add it to stream.intervals, run cassandra-init, restart.

Examples:
  ticksmith reset --by-duration 2h
  ticksmith reset --to-datetime 2026-01-05T14:00:00Z --apply
  ticksmith reset --to-earliest --data ./data

Exit codes:
  0 done, or the plan was printed   2 a time that the log does not reach, or wrong arguments
  3 another member is active, or Kafka or the store is absent";

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, config: &mut Config) {
        if let Some(group) = &self.group {
            config.kafka.group.clone_from(group);
        }
    }
}

/// Runs the command to its end.
///
/// # Errors
/// `Config` when the log does not reach back so far; `Unavailable` when others are in the group, or
/// a server is absent. Nothing was changed then.
pub fn run(args: Args, config: Config) -> Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut log = open_log(&args, &config, &clock)?;
    let outcome = Reset { args: &args, config: &config, clock: clock.as_ref() }.run(log.as_mut());
    log.close();
    outcome
}

fn open_log(args: &Args, config: &Config, clock: &Arc<dyn Clock>) -> Result<Box<dyn Log>> {
    let Some(directory) = &args.data else {
        refuse_members(active_members(config)?, &config.kafka.group)?;
        return KafkaLogFactory::new(config, Arc::clone(clock))?.open();
    };
    if !Database::exists(directory) {
        let shown = directory.display();
        return Err(Error::Config(format!("--data {shown} holds no data of ticksmith")));
    }
    let hours = config.embedded.log_retention_hours;
    let database = Database::open(directory)?;
    let broker = Broker::open(&database, config.topics.partitions, hours, Arc::clone(clock))?;
    broker.session(&config.kafka.group)
}

fn refuse_members(members: usize, group: &str) -> Result<()> {
    match members {
        0 => Ok(()),
        1 => Err(Error::Unavailable(format!(
            "group '{group}' has an active member; stop that `ticksmith stream` first (one that \
             was killed counts until kafka.session_timeout_ms has passed)"
        ))),
        many => Err(Error::Unavailable(format!(
            "group '{group}' has {many} active members; stop every `ticksmith stream` of it first \
             (those that were killed count until kafka.session_timeout_ms has passed)"
        ))),
    }
}

struct Reset<'a> {
    args: &'a Args,
    config: &'a Config,
    clock: &'a dyn Clock,
}

impl Reset<'_> {
    fn run(&self, log: &mut dyn Log) -> Result<()> {
        let rules = wiring::rules(self.config)?;
        self.join(log)?;
        let standings = self.standings(log)?;
        let mut plan = Plan::new(self.asked(), &rules, standings)?;
        for partition in 0..log.partition_count() as i32 {
            plan.place(partition, self.place(log, partition, plan.read_from_ms())?)?;
        }
        plan.check_reach()?;
        plan.generation = self.generation(log, &plan, &rules.intervals)?;
        self.refuse_joined(log)?;
        range_query::print(plan.text(self.args.apply).as_bytes())?;
        if !self.args.apply {
            return Ok(());
        }
        log.commit(plan.beat(&Avro::single_object())?).map_err(not_done)?;
        range_query::print(plan.done().as_bytes())
    }

    fn asked(&self) -> Asked {
        let now_ms = self.clock.now_us() / 1_000;
        let Target { to_datetime, by_duration, .. } = &self.args.target;
        let back = by_duration.map(|back| now_ms - back.as_millis() as i64);
        to_datetime.or(back).map_or(Asked::Earliest, Asked::Since)
    }

    /// Waits until all partitions are ours.
    fn join(&self, log: &mut dyn Log) -> Result<()> {
        let count = log.partition_count() as usize;
        let since_us = self.clock.monotonic_us();
        loop {
            let polled = log.poll(1, POLL, &mut |_| Ok(())).map_err(not_done)?;
            if let Some(assignment) = polled.assignment {
                if assignment.len() == count {
                    return Ok(());
                }
                return Err(joined(&self.config.kafka.group));
            }
            if self.clock.monotonic_us() - since_us > ASSIGNED_WITHIN_MS * 1_000 {
                return Err(Error::Unavailable(format!(
                    "group '{}' handed out no partitions within {} s; is its coordinator healthy?",
                    self.config.kafka.group,
                    ASSIGNED_WITHIN_MS / 1_000
                )));
            }
        }
    }

    fn refuse_joined(&self, log: &mut dyn Log) -> Result<()> {
        match log.keep_alive().map_err(not_done)? {
            Some(_) => Err(joined(&self.config.kafka.group)),
            None => Ok(()),
        }
    }

    /// What is left of the state of every partition.
    fn standings(&self, log: &mut dyn Log) -> Result<Vec<Standing>> {
        let (avro, mut progress) = (Avro::single_object(), Progress::new(self.clock));
        let mut standings = Vec::new();
        for partition in 0..log.partition_count() as i32 {
            let mut standing = Standing { partition, ..Standing::default() };
            let mut on_state = |key: &[u8], value: &[u8]| {
                standing.keys.push(key.to_vec());
                // What cannot be read is dropped like the rest.
                match avro.decode_state(key, value) {
                    Ok(StateRecord::Meta(meta)) => standing.meta = Some(meta),
                    Ok(StateRecord::Window(_)) => standing.windows += 1,
                    _ => {}
                }
                Ok(())
            };
            let mut on_progress = |read: RestoreProgress| {
                progress.tell(|| format!("partition {partition}: {} records read", read.records));
            };
            let restored = log.restore(partition, &mut on_state, &mut on_progress);
            let restored = restored.map_err(not_done)?;
            (standing.committed, standing.log_start) = (restored.committed, restored.log_start);
            standing.log_end = log.end_offset(partition).map_err(not_done)?;
            standings.push(standing);
            progress.tell(|| format!("state of partition {partition} read"));
            self.refuse_joined(log)?;
        }
        Ok(standings)
    }

    fn place(&self, log: &mut dyn Log, partition: i32, from_ms: Option<i64>) -> Result<Place> {
        let first = log.written_since(partition, 0).map_err(not_done)?;
        let target = match from_ms {
            Some(from_ms) => log.written_since(partition, from_ms).map_err(not_done)?,
            None => first,
        };
        Ok(Place { first, target })
    }

    /// One more than any known: of the state, and of the bars that will be written anew, which a
    /// rebuild may have lifted.
    fn generation(&self, log: &mut dyn Log, plan: &Plan, intervals: &[Interval]) -> Result<i64> {
        let of_state = plan.generation_of_state();
        let has_store = self.args.data.is_some() || self.config.stream.store != StoreKind::None;
        let stored = match has_store {
            true => {
                let reader = open_reader(self.args.data.as_deref(), self.config)?;
                let from_ms = plan.bars_from_ms();
                Some(self.stored_generation(log, reader.as_ref(), intervals, from_ms)?)
            }
            false => None,
        };
        let known = of_state.max(stored);
        match (self.args.generation, known) {
            (Some(given), Some(known)) if given <= known => Err(Error::Config(format!(
                "--generation {given} is not above generation {known}, which is there already; \
                 give {} or more, or leave it out",
                known + 1
            ))),
            (Some(given), _) => Ok(given),
            (None, Some(known)) => Ok(known + 1),
            (None, None) if plan.is_new() => Ok(0),
            (None, None) => Err(Error::Config(
                "the changelog has no state and there is no store, so nobody knows which \
                 generation the bars have: give --generation, above that of every bar in the bars \
                 topic"
                    .into(),
            )),
        }
    }

    fn stored_generation(
        &self,
        log: &mut dyn Log,
        reader: &dyn StoreReader,
        intervals: &[Interval],
        from_ms: Option<i64>,
    ) -> Result<i64> {
        let mut progress = Progress::new(self.clock);
        let mut highest = 0;
        for interval in intervals {
            for symbol in reader.bar_symbols(*interval)? {
                // Ten thousand symbols take longer than the group waits for a sign of life.
                self.refuse_joined(log)?;
                progress.tell(|| format!("looking for generations of {symbol} {interval}"));
                let query = BarQuery {
                    symbol,
                    interval: *interval,
                    from_ms: from_ms.unwrap_or(i64::MIN),
                    to_ms: i64::MAX,
                    limit: usize::MAX,
                };
                let generations = reader.bars(&query)?.into_iter().map(|bar| bar.generation);
                highest = generations.max().map_or(highest, |newest| newest.max(highest));
            }
        }
        Ok(highest)
    }
}

/// A stream would mend this by restoring or joining again; here it ends the command.
fn not_done(error: Error) -> Error {
    match error {
        Error::Restore(reason) => Error::Unavailable(format!(
            "nothing was changed: {reason}; run it again when no other member is in the group"
        )),
        Error::Rejoin(reason) => Error::Unavailable(format!(
            "{reason}; run the command without --apply to see whether the reset took place"
        )),
        other => other,
    }
}

fn joined(group: &str) -> Error {
    Error::Unavailable(format!(
        "another member joined group '{group}' meanwhile, and nothing was changed; stop every \
         `ticksmith stream` of it first"
    ))
}

/// Lines on stderr while it takes long.
struct Progress<'a> {
    clock: &'a dyn Clock,
    told_us: i64,
}

impl<'a> Progress<'a> {
    fn new(clock: &'a dyn Clock) -> Self {
        Self { clock, told_us: clock.monotonic_us() }
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.clock.monotonic_us() - self.told_us > PROGRESS_EVERY_MS * 1_000 {
            self.told_us = self.clock.monotonic_us();
            // Nobody reading it is no reason to stop.
            let _ = writeln!(io::stderr(), "{}", what());
        }
    }
}

#[cfg(test)]
mod tests;
