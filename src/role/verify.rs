//! `ticksmith verify`: compare the bars of recorded frames with a CSV of expected bars. The frames
//! go through the producer's logic and the engine, offline, so that anybody can check our
//! arithmetic against bars that somebody else made.

mod causes;
mod compare;
mod replay;
mod report;
mod second_look;

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;

use self::causes::{Evidence, Finding, find_causes, policies_beside};
use self::compare::{Comparison, compare};
use self::replay::{Recording, Replayed, replay};
use self::report::Report;
use self::second_look::SecondLook;
use super::wiring::rules_for;
use crate::codec::csv::{ExpectedBars, read_bars};
use crate::config::Config;
use crate::engine::{Policy, Rules};
use crate::error::{Error, Result};
use crate::model::Interval;

const HELP: &str = "\
The bars file is CSV with a header. window_start_epoch_s is needed, any of open, high, low, close,
volume and count may follow; a column that is not there is not compared. A row says:
  prices empty     the window has volume, and no trade that may set a price
  volume or count empty   not compared in this row
  count 0          nothing was traded; only then is the window an empty one
count is the number of trades whose sale conditions let them add volume, updates of volume 0
included. Numbers are compared as decimals, to the last digit. Windows before the first and after
the last row are counted as outside the span. `ticksmith bars --format csv` writes such a file.

The frames are taken as delivered once, in their order. The clock is the symbol's own newest trade:
a trade further behind it than stream.out_of_orderness_ms and stream.allowed_lateness_ms together is
late, as in the stream, and is in no bar.

Windows that differ are put under causes, with what would make them agree:
  rounding                 rounded or summed with less precision
  price_only               another reading of sale conditions: the other policies are tried
  volume, count            late, rejected, repeated or second-encoding trades are held against it
  missing_no_trades, missing_all_late, missing_none_counts
  extra_volume_only        the source has no bars without a price
  extra                    a bar where no row is

Examples:
  ticksmith verify --frames frames.jsonl.gz --bars bars.csv --interval 5m
  ticksmith verify --frames frames.jsonl --symbol AAPL --bars bars.csv --interval 1h --policy all

Exit codes:
  0 every window matches   1 some differ   2 wrong arguments or input";

/// Arguments of the command; each that stands for a configuration key overrides it in `apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// Recorded frames, one JSON message a line; may be compressed with gzip
    #[arg(long, value_name = "FILE")]
    frames: PathBuf,
    /// Expected bars: window_start_epoch_s,open,high,low,close[,volume[,count]]
    #[arg(long, value_name = "FILE")]
    bars: PathBuf,
    /// Bar length: 1m, 5m, 1h, …
    #[arg(long, value_parser = Interval::parse)]
    interval: Interval,
    /// Which trades may set prices [default: by class of the symbol]
    #[arg(long, value_enum)]
    policy: Option<PolicyChoice>,
    /// The symbol to compare, where the frames hold several
    #[arg(long)]
    symbol: Option<String>,
    /// Drop a frame of three or more trades that repeats the one before, as the producer does
    #[arg(long)]
    drop_repeats: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PolicyChoice {
    /// US stocks by the tape's rules, the rest all trades
    Auto,
    /// The tape's rules for every symbol
    Sip,
    /// Only trades that may set a minute price
    Conservative,
    /// Every valid trade counts for everything
    All,
}

impl PolicyChoice {
    fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Sip => "sip",
            Self::Conservative => "conservative",
            Self::All => "all",
        }
    }
}

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, config: &mut Config) {
        config.stream.intervals = vec![self.interval.to_string()];
        if let Some(policy) = self.policy {
            config.stream.policy = policy.as_str().to_owned();
        }
    }

    fn recording(&self) -> Recording<'_> {
        let (symbol, drop_repeats) = (self.symbol.as_deref(), self.drop_repeats);
        Recording { path: &self.frames, symbol, drop_repeats }
    }

    /// What comes through a pipe is gone after the first reading.
    fn can_look_again(&self) -> bool {
        self.frames.metadata().is_ok_and(|frames| frames.is_file())
    }
}

/// Runs the command to its end.
///
/// # Errors
/// `Differences` when a bar does not match, `Config` when an input is not what it should be.
pub fn run(args: Args, config: Config) -> Result<()> {
    run_into(args, config, &mut io::stdout().lock())
}

/// The same with the report written elsewhere.
///
/// # Errors
/// As `run`.
pub fn run_into(args: Args, config: Config, output: &mut impl Write) -> Result<()> {
    let report = verify(&args, &config)?;
    let text = if args.json { report.json() } else { report.text() };
    // A reader that has gone away has seen enough; the exit code still tells the result.
    drop(output.write_all(text.as_bytes()));
    conclude(&report.comparison)
}

fn verify(args: &Args, config: &Config) -> Result<Report> {
    let expected = read_expected(args)?;
    let rules = Arc::new(rules_for(config, vec![args.interval])?);
    let replayed = replay(args.recording(), Arc::clone(&rules), None)?;
    let comparison = compare(&expected, &replayed.bars);
    let causes = match args.can_look_again() {
        true => Some(look_again(args, &rules, &expected, &replayed, &comparison)?),
        false => comparison.differing.is_empty().then(Vec::new),
    };
    Ok(Report {
        interval: args.interval,
        policy: config.stream.policy.clone(),
        drop_repeats: args.drop_repeats,
        expected,
        replayed,
        comparison,
        causes,
    })
}

/// Reads the frames once more, for the windows that differ and under the other policies.
fn look_again(
    args: &Args,
    rules: &Arc<Rules>,
    expected: &ExpectedBars,
    replayed: &Replayed,
    comparison: &Comparison,
) -> Result<Vec<Finding>> {
    if comparison.differing.is_empty() {
        return Ok(Vec::new());
    }
    let recording = Recording { symbol: Some(&replayed.symbol), ..args.recording() };
    let starts = comparison.differing.iter().map(|differing| differing.start_ms);
    let mut look = SecondLook::into_windows(args.interval, starts);
    replay(recording, Arc::clone(rules), Some(&mut look))?;
    let class = rules.classes.class_of(&replayed.symbol);
    let used = rules.policy.unwrap_or(Policy::for_class(class));
    let mut others = Vec::new();
    for (name, policy) in policies_beside(used) {
        let rules = Rules { policy: Some(policy), ..Rules::clone(rules) };
        others.push((name, replay(recording, Arc::new(rules), None)?.bars));
    }
    let evidence = Evidence {
        expected,
        interval: args.interval,
        bars: &replayed.bars,
        drop_repeats: args.drop_repeats,
        look: &look,
        others: &others,
    };
    Ok(find_causes(comparison, &evidence))
}

fn conclude(comparison: &Comparison) -> Result<()> {
    let Comparison { matched, mismatched, missing, extra, .. } = comparison;
    match mismatched + missing + extra {
        0 => Ok(()),
        differing => Err(Error::Differences(format!(
            "{differing} bars differ ({mismatched} mismatched, {missing} missing, {extra} extra), \
             {matched} match; the first differences are printed above"
        ))),
    }
}

fn read_expected(args: &Args) -> Result<ExpectedBars> {
    let name = args.bars.display().to_string();
    let file = File::open(&args.bars).map_err(|error| {
        Error::Config(format!("{name} cannot be read: {error}; give a CSV of expected bars"))
    })?;
    read_bars(BufReader::new(file), &name, args.interval)
}

#[cfg(test)]
mod tests;
