//! `ticksmith rebuild`: recompute bars from bronze, as `audit` does, and store them as a new
//! generation, which nothing that an older writer still does can take back.

mod plan;

use std::sync::Arc;

use self::plan::Plan;
use super::audit::range::{self, Bars, Slice, StretchArgs};
use super::audit::walk::{LateTrades, Stop, Walk};
use super::range_query::{self, time_text};
use super::wiring;
use crate::cassandra::{CassandraStore, Connection};
use crate::config::Config;
use crate::embedded::Database;
use crate::embedded::store::EmbeddedStore;
use crate::error::{Error, Result};
use crate::model::Interval;
use crate::port::{Clock, Store, StoreReader};
use crate::runtime::SystemClock;

/// Arguments of the command; each that stands for a configuration key overrides it in `apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    stretch: StretchArgs,
    /// Merge trades that came after the allowed lateness; each bar then tells how many it holds
    #[arg(long)]
    include_late: bool,
    /// Write the plan; without it nothing is written
    #[arg(long)]
    apply: bool,
}

const AFTER_HELP: &str = "\
Prints what would change, and does it with --apply: bars that differ from what bronze says are
written as the next generation and added to bar_revisions (why = rebuild), and bars that bronze
does not support are removed. The range begins and ends at boundaries of the longest interval.
Windows that the stream may still hold in its state, and windows that bronze no longer reaches, are
refused; without --from and --to they are left out.

Examples:
  ticksmith rebuild --symbol AAPL --from 2026-01-05T14:00:00Z --to 2026-01-05T21:00:00Z
  ticksmith rebuild --symbol all --data ./data --include-late --apply

Exit codes:
  0 done, or nothing to do   2 unknown symbol, or a range that cannot be rebuilt
  3 the store is absent";

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, _config: &mut Config) {}
}

/// Runs the command to its end.
///
/// # Errors
/// `Config` for an unknown symbol and for a range that cannot be rebuilt, `Unavailable` when the
/// store is absent.
pub fn run(args: Args, config: Config) -> Result<()> {
    let reader = args.stretch.open(&config)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let plan = plan(&args, &config, reader.as_ref(), clock.as_ref())?;
    range_query::print(plan.text(args.apply).as_bytes())?;
    if !args.apply || plan.is_empty() {
        return Ok(());
    }
    let now_ms = clock.now_us() / 1_000;
    let mut store = open_store(&args, &config, clock)?;
    let generation = plan.write(store.as_mut(), reader.as_ref(), now_ms)?;
    range_query::print(plan.done(generation).as_bytes())
}

fn open_store(args: &Args, config: &Config, clock: Arc<dyn Clock>) -> Result<Box<dyn Store>> {
    match &args.stretch.data {
        Some(directory) => {
            let database = Database::open(directory)?;
            Ok(Box::new(EmbeddedStore::open(&database, config, clock)?))
        }
        None => {
            let connection = Connection::open(&config.cassandra)?;
            Ok(Box::new(CassandraStore::open(&connection, config, clock)?))
        }
    }
}

fn plan(args: &Args, config: &Config, reader: &dyn StoreReader, clock: &dyn Clock) -> Result<Plan> {
    let rules = wiring::rules(config)?;
    let intervals = rules.intervals.clone();
    let longest = *intervals.last().expect("rules have an interval");
    check_boundaries(&args.stretch, longest)?;
    let now_ms = clock.now_us() / 1_000;
    let asked = args.stretch.asked(now_ms)?;
    let symbols = args.stretch.symbols(reader, &intervals)?;
    let bronze_from_ms = range::bronze_from_ms(config, now_ms)?;
    let bars = Bars { symbols: &symbols.wanted, intervals: &intervals };
    let received = Slice { from_ms: bronze_from_ms, to_ms: now_ms };
    let parts = range::busy(reader, asked, received, &bars)?;
    let walk = Walk {
        reader,
        clock,
        rules,
        partition_count: config.topics.partitions,
        symbols: &symbols,
        bronze_from_ms,
        late_trades: if args.include_late { LateTrades::Always } else { LateTrades::Never },
    };
    let mut plan = Plan::default();
    walk.go(&parts, |stop| {
        let whole = certain(stop, longest);
        refuse_uncertain(stop, whole, &args.stretch)?;
        plan.add(stop, whole);
        Ok(())
    })?;
    Ok(plan)
}

/// The part of a slice that bronze has all of and that no stream holds any more, at boundaries.
fn certain(stop: &Stop<'_>, longest: Interval) -> Slice {
    let first = longest.window_of(stop.auditable_from_ms.saturating_add(longest.length_ms() - 1));
    let watermark_ms = stop.stretch.recomputed.watermark_ms.unwrap_or(i64::MIN);
    let settled_ms = watermark_ms.saturating_sub(stop.rules.allowed_lateness_ms);
    let last = longest.window_of(settled_ms.max(0));
    Slice {
        from_ms: stop.slice.from_ms.max(first.start_ms),
        to_ms: stop.slice.to_ms.min(last.start_ms),
    }
}

/// What was asked for by name is not left out silently.
fn refuse_uncertain(stop: &Stop<'_>, whole: Slice, asked: &StretchArgs) -> Result<()> {
    let starts = || stop.gold.keys().chain(stop.recomputed.keys());
    let gone = starts()
        .filter(|key| asked.from.is_some() && key.2 < whole.from_ms)
        .min_by_key(|key| key.2);
    if let Some((symbol, interval, start_ms)) = gone {
        return Err(Error::Config(format!(
            "{symbol} {interval} {} cannot be rebuilt: bronze or the feed events before it are \
             past their retention; give --from {} or later",
            time_text(*start_ms),
            time_text(whole.from_ms),
        )));
    }
    let held =
        starts().filter(|key| asked.to.is_some() && key.2 >= whole.to_ms).min_by_key(|key| key.2);
    if let Some((symbol, interval, start_ms)) = held {
        return Err(Error::Config(format!(
            "{symbol} {interval} {} may still be in the state of the stream: the watermark of \
             partition {} has not passed its end and the allowed lateness; give --to {} or earlier",
            time_text(*start_ms),
            stop.partition,
            time_text(whole.to_ms),
        )));
    }
    Ok(())
}

fn check_boundaries(stretch: &StretchArgs, longest: Interval) -> Result<()> {
    for (flag, time_ms) in [("--from", stretch.from), ("--to", stretch.to)] {
        let Some(time_ms) = time_ms else { continue };
        let window = longest.window_of(time_ms);
        if window.start_ms != time_ms {
            return Err(Error::Config(format!(
                "{flag} {} is inside a window of {longest}; give {} or {}",
                time_text(time_ms),
                time_text(window.start_ms),
                time_text(window.end_ms),
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
