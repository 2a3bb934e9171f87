//! `ticksmith audit`: recompute bars from bronze and compare them with gold. The log is put
//! together again from what was stored of it and goes through a fresh engine; nothing that the
//! stream wrote about it, neither state nor fate nor bar, is believed.

pub(super) mod compare;
pub(super) mod log;
pub(super) mod range;
pub(super) mod walk;

use std::fmt::Write;

use clap::ValueEnum;

use self::compare::Comparison;
use self::range::{Bars, Slice, StretchArgs, Symbols};
use self::walk::{LateTrades, Walk};
use super::range_query::{self, time_text};
use super::wiring;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::Interval;
use crate::port::{Clock, StoreReader};
use crate::runtime::SystemClock;

/// Differences printed as text; JSON has all that are kept.
const DIFFERENCES_SHOWN: usize = 50;

/// Arguments of the command; each that stands for a configuration key overrides it in `apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    stretch: StretchArgs,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

const AFTER_HELP: &str = "\
Every window that starts in the range is recomputed from trades_bronze and feed_events and compared
with its row in gold, field by field. Windows that are still open are counted and left out. Windows
that bronze no longer reaches are not auditable; rows of bronze live for retention.bronze_days.

Examples:
  ticksmith audit --symbol all --data ./data
  ticksmith audit --symbol AAPL --from 2026-01-05T14:30:00Z --to 2026-01-05T21:00:00Z
  ticksmith audit --symbol all --format json | jq .differences

Exit codes:
  0 every window is equal   1 differences, or windows that cannot be audited
  2 unknown symbol or wrong arguments   3 the store is absent

What differs can be put right with `ticksmith rebuild`.";

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines for people
    Text,
    /// One object
    Json,
}

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, _config: &mut Config) {}
}

/// What was gone through.
pub(super) struct Audit {
    symbols: Symbols,
    intervals: Vec<Interval>,
    parts: Vec<Slice>,
    pub(super) comparison: Comparison,
    /// Asked for, and not to be answered.
    not_auditable: Vec<Slice>,
    /// The first start that can be audited, ms.
    auditable_from_ms: i64,
}

/// Runs the command to its end.
///
/// # Errors
/// `Differences` when a bar differs or cannot be audited, `Config` for an unknown symbol,
/// `Unavailable` when the store is absent.
pub fn run(args: Args, config: Config) -> Result<()> {
    let reader = args.stretch.open(&config)?;
    let audit = audit(&args.stretch, &config, reader.as_ref(), &SystemClock)?;
    range_query::print(&match args.format {
        Format::Text => audit.text().into_bytes(),
        Format::Json => audit.json().into_bytes(),
    })?;
    audit.conclude()
}

fn audit(
    stretch: &StretchArgs,
    config: &Config,
    reader: &dyn StoreReader,
    clock: &dyn Clock,
) -> Result<Audit> {
    let rules = wiring::rules(config)?;
    let now_ms = clock.now_us() / 1_000;
    let intervals = rules.intervals.clone();
    let asked = stretch.asked(now_ms)?;
    let symbols = stretch.symbols(reader, &intervals)?;
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
        late_trades: LateTrades::WhereStored,
    };
    let mut comparison = Comparison::default();
    let mut gone: Vec<Slice> = Vec::new();
    let mut auditable_from_ms = bronze_from_ms.saturating_add(walk.lead_ms());
    walk.go(&parts, |stop| {
        auditable_from_ms = auditable_from_ms.max(stop.auditable_from_ms);
        let to_ms = stop.slice.to_ms.min(stop.auditable_from_ms);
        gone.push(Slice { to_ms, ..stop.slice });
        comparison.add(stop)
    })?;
    // Nothing was received of what lies between the parts, and nothing can be.
    gone.extend(
        range::rest(asked, &parts)
            .into_iter()
            .map(|slice| Slice { to_ms: slice.to_ms.min(auditable_from_ms), ..slice }),
    );
    gone.retain(|slice| slice.from_ms < slice.to_ms);
    // Without --from, what can be audited is what is meant.
    let not_auditable = if stretch.from.is_some() { range::joined(gone) } else { Vec::new() };
    Ok(Audit { symbols, intervals, parts, comparison, not_auditable, auditable_from_ms })
}

impl Audit {
    fn text(&self) -> String {
        let Comparison { compared, equal, differing, missing, extra, open, .. } = &self.comparison;
        let (gold, recomputed) = self.comparison.digests();
        let intervals: Vec<String> = self.intervals.iter().map(Interval::to_string).collect();
        let symbols = match self.symbols.wanted.as_slice() {
            [one] => one.clone(),
            many => format!("{} symbols", many.len()),
        };
        let mut text = format!("audit of {symbols}, {}\n", intervals.join(" "));
        for part in &self.parts {
            let _ = writeln!(text, "range          {}", range_text(*part));
        }
        let _ = write!(
            text,
            "compared       {compared}\nequal          {equal}\ndiffering      {differing}\n\
             missing        {missing}\nextra          {extra}\nopen           {open}\n"
        );
        for gone in &self.not_auditable {
            let _ = writeln!(text, "not auditable  {}", range_text(*gone));
        }
        let _ = writeln!(text, "digest         {gold} gold");
        let _ = writeln!(text, "               {recomputed} recomputed");
        self.remarks(&mut text);
        text
    }

    fn remarks(&self, text: &mut String) {
        let Comparison { late_included, other_versions, differences, .. } = &self.comparison;
        if *late_included > 0 {
            let how = "rebuild --include-late";
            let _ = writeln!(text, "{late_included} bars hold late trades ({how})");
        }
        for version in other_versions {
            let _ = writeln!(
                text,
                "some bars were judged by version {version} of the sale conditions, and are judged \
                 by another one here"
            );
        }
        if differences.is_empty() {
            return;
        }
        text.push_str("differences (symbol, interval, start, field):\n");
        for difference in differences.iter().take(DIFFERENCES_SHOWN) {
            let _ = writeln!(text, "  {difference}");
        }
        if differences.len() > DIFFERENCES_SHOWN {
            let more = differences.len() - DIFFERENCES_SHOWN;
            let _ = writeln!(text, "  and {more} more; --format json names them");
        }
    }

    fn json(&self) -> String {
        let comparison = &self.comparison;
        let (gold, recomputed) = comparison.digests();
        let spans = |slices: &[Slice]| -> Vec<serde_json::Value> {
            let times = slices.iter().map(|one| (time_text(one.from_ms), time_text(one.to_ms)));
            times.map(|(from, to)| serde_json::json!({"from": from, "to": to})).collect()
        };
        let intervals: Vec<String> = self.intervals.iter().map(Interval::to_string).collect();
        let report = serde_json::json!({
            "symbols": self.symbols.wanted,
            "intervals": intervals,
            "ranges": spans(&self.parts),
            "compared": comparison.compared,
            "equal": comparison.equal,
            "differing": comparison.differing,
            "missing": comparison.missing,
            "extra": comparison.extra,
            "open": comparison.open,
            "late_included": comparison.late_included,
            "not_auditable": spans(&self.not_auditable),
            "digest_gold": gold,
            "digest_recomputed": recomputed,
            "other_conditions_versions": comparison.other_versions,
            "differences": comparison.differences,
        });
        format!("{report:#}\n")
    }

    /// The exit code of it.
    fn conclude(&self) -> Result<()> {
        let Comparison { compared, differing, missing, extra, open, .. } = &self.comparison;
        let unequal = self.comparison.unequal();
        if unequal > 0 {
            return Err(Error::Differences(format!(
                "{unequal} bars are not what bronze says ({differing} differ, {missing} missing, \
                 {extra} extra), of {compared} compared; see `ticksmith rebuild --help`"
            )));
        }
        if let Some(gone) = self.not_auditable.first() {
            return Err(Error::Differences(format!(
                "not auditable: {}; bronze or the feed events before it are past their \
                 retention, give --from {} or later",
                range_text(*gone),
                time_text(whole_windows(self.auditable_from_ms, &self.intervals)),
            )));
        }
        if *compared == 0 && *open > 0 {
            return Err(Error::Differences(format!(
                "nothing could be compared: all {open} windows are still open; wait until they \
                 close, or give an earlier --from"
            )));
        }
        Ok(())
    }
}

fn range_text(slice: Slice) -> String {
    format!("{} to {}", time_text(slice.from_ms), time_text(slice.to_ms))
}

/// The first start of a longest window at `time_ms` or later.
fn whole_windows(time_ms: i64, intervals: &[Interval]) -> i64 {
    let longest_ms = intervals.last().map_or(1, |longest| longest.length_ms());
    time_ms.saturating_add(longest_ms - 1).div_euclid(longest_ms).saturating_mul(longest_ms)
}

#[cfg(test)]
pub(super) mod tests;
