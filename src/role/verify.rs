//! `ticksmith verify`: compare the bars of recorded frames with a CSV of expected bars. The frames
//! go through the producer's logic and the engine, offline, so that anybody can check our
//! arithmetic against bars that somebody else made.

mod compare;
mod replay;

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;

use self::compare::{Comparison, compare};
use self::replay::{Replayed, replay};
use super::wiring::rules_for;
use crate::codec::csv::{COLUMNS, ExpectedBars, read_bars};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::Interval;

/// Arguments of the command; each that stands for a configuration key overrides it in `apply`.
#[derive(Debug, clap::Args)]
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
}

/// Runs the command to its end.
///
/// # Errors
/// `Differences` when a bar does not match, `Config` when an input is not what it should be.
pub fn run(args: Args, config: Config) -> Result<()> {
    let expected = read_expected(&args)?;
    let rules = Arc::new(rules_for(&config, vec![args.interval])?);
    let replayed = replay(&args.frames, args.symbol.as_deref(), args.drop_repeats, rules)?;
    let comparison = compare(&expected, &replayed.bars);
    let text = if args.json {
        report_json(&replayed, &comparison, &expected)
    } else {
        report_text(&args, &config.stream.policy, &replayed, &comparison, &expected)
    };
    // A reader that has gone away has seen enough; the exit code still tells the result.
    drop(io::stdout().lock().write_all(text.as_bytes()));
    conclude(&comparison)
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

/// The columns that the file does not have.
fn columns_not_compared(expected: &ExpectedBars) -> Vec<&'static str> {
    let columns = COLUMNS[1..].iter().zip(expected.has);
    columns.filter(|(_, has)| !has).map(|(column, _)| *column).collect()
}

fn report_text(
    args: &Args,
    policy: &str,
    replayed: &Replayed,
    comparison: &Comparison,
    expected: &ExpectedBars,
) -> String {
    let Replayed { symbol, counts, tally, .. } = replayed;
    let rows = expected.rows.len() - comparison.empty_windows;
    let mut lines = vec![
        format!("{symbol} {}, policy {policy}", args.interval),
        format!("matched        {} of {rows}", comparison.matched),
        format!("mismatched     {}", comparison.mismatched),
        format!("missing        {}", comparison.missing),
        format!("extra          {}", comparison.extra),
        format!("outside span   {}", comparison.outside_span),
        format!("frames         {} ({} trades)", counts.frames, replayed.trades),
        format!("late           {}", tally.late),
        format!("rejected       {}", tally.rejected),
        format!(
            "malformed      {} lines, {} elements",
            counts.malformed_frames, counts.malformed_elements
        ),
        format!("repeats        {}", repeats(args.drop_repeats, replayed)),
        format!("second coding  {} trades dropped", counts.second_encodings),
    ];
    let not_compared = columns_not_compared(expected);
    if !not_compared.is_empty() {
        lines.push(format!("not compared   {}", not_compared.join(", ")));
    }
    if comparison.empty_windows > 0 {
        lines.push(format!("empty windows  {}", comparison.empty_windows));
    }
    if !comparison.first_differences.is_empty() {
        lines.push("first differences (window, field, expected, got):".to_owned());
    }
    for difference in &comparison.first_differences {
        let (expected, got) = (difference.expected.as_deref(), difference.got.as_deref());
        lines.push(format!(
            "  {}  {:<10} {:<6} {} {}",
            difference.window_start_epoch_s,
            difference.kind,
            difference.field,
            expected.unwrap_or("-"),
            got.unwrap_or("-"),
        ));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn repeats(dropped: bool, replayed: &Replayed) -> String {
    let counts = &replayed.counts;
    if dropped {
        let (frames, trades) = (counts.repeats_dropped, counts.repeated_elements_dropped);
        return format!("{frames} frames dropped, {trades} trades");
    }
    match counts.repeats_kept {
        0 => "0 frames".to_owned(),
        kept => format!("{kept} frames delivered; --drop-repeats would drop them"),
    }
}

fn report_json(replayed: &Replayed, comparison: &Comparison, expected: &ExpectedBars) -> String {
    let counts = &replayed.counts;
    let report = serde_json::json!({
        "symbol": replayed.symbol,
        "matched": comparison.matched,
        "mismatched": comparison.mismatched,
        "missing": comparison.missing,
        "extra": comparison.extra,
        "outside_span": comparison.outside_span,
        "empty_windows": comparison.empty_windows,
        "frames": counts.frames,
        "trades": replayed.trades,
        "late": replayed.tally.late,
        "rejected": replayed.tally.rejected,
        "malformed": counts.malformed_frames + counts.malformed_elements,
        "malformed_frames": counts.malformed_frames,
        "malformed_elements": counts.malformed_elements,
        "repeated_frames_dropped": counts.repeats_dropped,
        "repeated_frames_kept": counts.repeats_kept,
        "second_encodings_dropped": counts.second_encodings,
        "columns_not_compared": columns_not_compared(expected),
        "first_differences": comparison.first_differences,
    });
    format!("{report:#}\n")
}

#[cfg(test)]
mod tests;
