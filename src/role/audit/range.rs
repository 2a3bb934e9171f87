//! Which windows of which symbols are meant, and the slices of time in which they are worked on, so
//! that memory is bounded however long the range is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::config::{Config, Lifetimes};
use crate::error::{Error, Result};
use crate::model::{Interval, partition_for_key};
use crate::port::{BarQuery, StoreReader};
use crate::role::range_query::{instant_ms, open_reader, time_text, unknown_symbol};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// A slice is at least so long. With what is read before and after it that is some ten hours of one
/// partition's trades in memory, about 300 bytes each.
const SLICE_MS: i64 = 6 * HOUR_MS;
/// Without --from no further back than this, however long bronze keeps its rows.
const LOOK_BACK_MS: i64 = 30 * DAY_MS;
/// A range up to this is gone through as it is.
const SHORT_MS: i64 = 2 * DAY_MS;
/// Every symbol there is.
const ALL: &str = "all";

/// The arguments that name bars to be recomputed.
#[derive(Debug, clap::Args)]
pub struct StretchArgs {
    /// Symbol as the feed spells it, or `all`
    #[arg(long, value_name = "SYMBOL")]
    pub symbol: String,
    /// Windows that start here or later: RFC 3339 or epoch seconds [default: as far as bronze goes]
    #[arg(long, value_name = "TIME", value_parser = instant_ms, allow_negative_numbers = true)]
    pub from: Option<i64>,
    /// Windows that start before this: RFC 3339 or epoch seconds [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant_ms, allow_negative_numbers = true)]
    pub to: Option<i64>,
    /// Data directory of `ticksmith up`; without it the configured Cassandra is read
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// Windows with `from_ms <= start < to_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slice {
    pub from_ms: i64,
    pub to_ms: i64,
}

/// Symbols that are meant, and those that anything is known of.
pub struct Symbols {
    /// Sorted.
    pub wanted: Vec<String>,
    /// Those of which a trade was ever stored, sorted.
    pub traded: Vec<String>,
}

impl StretchArgs {
    /// # Errors
    /// As of `open_reader`.
    pub fn open(&self, config: &Config) -> Result<Box<dyn StoreReader>> {
        open_reader(self.data.as_deref(), config)
    }

    /// # Errors
    /// `Config` for a symbol that neither a trade nor a bar is known of.
    pub fn symbols(&self, reader: &dyn StoreReader, intervals: &[Interval]) -> Result<Symbols> {
        let traded = reader.symbols()?;
        let mut known: BTreeSet<String> = traded.iter().cloned().collect();
        for interval in intervals {
            known.extend(reader.bar_symbols(*interval)?);
        }
        let known: Vec<String> = known.into_iter().collect();
        let wanted = match self.symbol.as_str() {
            ALL => known,
            one if known.iter().any(|symbol| symbol == one) => vec![one.to_owned()],
            one => return Err(unknown_symbol(one, &known)),
        };
        Ok(Symbols { wanted, traded })
    }

    /// The range that was asked for.
    ///
    /// # Errors
    /// `Config` when it ends before it begins.
    pub fn asked(&self, now_ms: i64) -> Result<Slice> {
        let (from_ms, to_ms) = (self.from.unwrap_or(i64::MIN), self.to.unwrap_or(now_ms));
        if from_ms <= to_ms {
            return Ok(Slice { from_ms, to_ms });
        }
        let (from, to) = (time_text(from_ms), time_text(to_ms));
        Err(Error::Config(format!("--from {from} is after --to {to}; swap them")))
    }
}

/// The parts of a range that are worth a look: all of a short one; of a long one, and of one that
/// begins nowhere, those that were received in the last days or that have bars.
///
/// # Errors
/// The store's own.
pub fn busy(
    reader: &dyn StoreReader,
    range: Slice,
    received_ms: Slice,
    bars: &Bars<'_>,
) -> Result<Vec<Slice>> {
    if range.to_ms.saturating_sub(range.from_ms) <= SHORT_MS {
        return Ok(vec![range]);
    }
    let oldest_ms = received_ms.from_ms.max(received_ms.to_ms - LOOK_BACK_MS);
    let mut parts = received(reader, Slice { from_ms: oldest_ms, ..received_ms })?;
    if range.from_ms > i64::MIN {
        parts.extend(bars.windows(reader, range)?);
    }
    parts = joined(parts);
    parts.retain_mut(|part| {
        part.from_ms = part.from_ms.max(range.from_ms);
        part.to_ms = part.to_ms.min(range.to_ms);
        part.from_ms < part.to_ms
    });
    Ok(parts)
}

/// What `parts`, in order, leave of a range.
pub fn rest(range: Slice, parts: &[Slice]) -> Vec<Slice> {
    let mut rest = Vec::new();
    let mut from_ms = range.from_ms;
    for part in parts {
        rest.push(Slice { from_ms, to_ms: part.from_ms });
        from_ms = part.to_ms;
    }
    rest.push(Slice { from_ms, to_ms: range.to_ms });
    rest.retain(|slice| slice.from_ms < slice.to_ms);
    rest
}

/// Bars that are looked for.
pub struct Bars<'a> {
    pub symbols: &'a [String],
    pub intervals: &'a [Interval],
}

impl Bars<'_> {
    /// The windows that have a bar.
    fn windows(&self, reader: &dyn StoreReader, range: Slice) -> Result<Vec<Slice>> {
        let mut windows = Vec::new();
        for symbol in self.symbols {
            for interval in self.intervals {
                let Slice { from_ms, to_ms } = range;
                let (symbol, interval) = (symbol.clone(), *interval);
                let query = BarQuery { symbol, interval, from_ms, to_ms, limit: usize::MAX };
                windows.extend(
                    reader.bars(&query)?.into_iter().map(|bar| Slice {
                        from_ms: bar.window.start_ms,
                        to_ms: bar.window.end_ms,
                    }),
                );
            }
            windows = joined(windows);
        }
        Ok(windows)
    }
}

/// The arrival before which rows of bronze, or the feed events that belong to them, may be gone.
///
/// # Errors
/// `Config` for a retention out of range.
pub fn bronze_from_ms(config: &Config, now_ms: i64) -> Result<i64> {
    let lifetimes = Lifetimes::of(config)?;
    let limited = [lifetimes.bronze_s, lifetimes.feed_events_s].into_iter().filter(|s| *s > 0);
    Ok(limited.min().map_or(i64::MIN, |seconds| now_ms - seconds * 1_000))
}

/// The hours of feed time that events of a time of the producer's clock speak of, and that time
/// itself: a recording of another year was received now.
fn received(reader: &dyn StoreReader, at: Slice) -> Result<Vec<Slice>> {
    let mut hours: BTreeSet<i64> = BTreeSet::new();
    let mut at_ms = at.from_ms;
    // Hour by hour: the events of all the days would fill the memory.
    while at_ms < at.to_ms {
        let until_ms = (at_ms + HOUR_MS).min(at.to_ms);
        let times = reader.events(at_ms, until_ms)?.into_iter();
        hours.extend(times.filter_map(|one| one.event.feed_time_ms).map(|t| t.div_euclid(HOUR_MS)));
        at_ms = until_ms;
    }
    let mut ranges = vec![Slice { from_ms: whole_hour(at.from_ms), to_ms: at.to_ms }];
    // An hour more on both sides: trades come before the first event that knows the time, and after
    // the last one.
    ranges.extend(
        hours
            .into_iter()
            .map(|hour| Slice { from_ms: (hour - 1) * HOUR_MS, to_ms: (hour + 2) * HOUR_MS }),
    );
    Ok(joined(ranges))
}

fn whole_hour(time_ms: i64) -> i64 {
    time_ms.div_euclid(HOUR_MS) * HOUR_MS
}

/// Ranges in order, those that touch made one.
pub fn joined(mut ranges: Vec<Slice>) -> Vec<Slice> {
    ranges.sort();
    let mut joined: Vec<Slice> = Vec::new();
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.from_ms <= last.to_ms => last.to_ms = last.to_ms.max(range.to_ms),
            _ => joined.push(range),
        }
    }
    joined
}

/// Cuts a range at multiples of the slice, which is a whole number of the longest interval.
pub fn slices(range: Slice, longest: Interval) -> impl Iterator<Item = Slice> {
    let longest_ms = longest.length_ms();
    let step_ms = longest_ms * (SLICE_MS.div_euclid(longest_ms)).max(1);
    let mut from_ms = range.from_ms;
    std::iter::from_fn(move || {
        if from_ms >= range.to_ms {
            return None;
        }
        let next_ms = (from_ms.div_euclid(step_ms) + 1).saturating_mul(step_ms);
        let slice = Slice { from_ms, to_ms: next_ms.min(range.to_ms) };
        from_ms = slice.to_ms;
        Some(slice)
    })
}

/// The partitions of symbols, each with its symbols.
pub fn by_partition(symbols: &[String], count: u32) -> Vec<(i32, Vec<String>)> {
    let mut found: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    for symbol in symbols {
        found.entry(partition_for_key(symbol.as_bytes(), count)).or_default().push(symbol.clone());
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(from_ms: i64, to_ms: i64) -> Slice {
        Slice { from_ms, to_ms }
    }

    #[test]
    fn a_range_is_cut_without_gaps_at_whole_slices() {
        let hour = Interval::parse("1h").expect("valid");
        let cut: Vec<Slice> = slices(slice(HOUR_MS, 13 * HOUR_MS + 5), hour).collect();
        let expected = [(1, 6), (6, 12)].map(|(from, to)| slice(from * HOUR_MS, to * HOUR_MS));
        assert_eq!(cut[..2], expected);
        assert_eq!(cut[2..], [slice(12 * HOUR_MS, 13 * HOUR_MS + 5)]);
        let day = Interval::parse("1d").expect("valid");
        assert_eq!(slices(slice(0, 2 * DAY_MS), day).count(), 2);
        assert_eq!(slices(slice(7, 7), hour).count(), 0);
    }

    #[test]
    fn what_is_left_of_a_range() {
        let left = rest(slice(0, 10), &[slice(0, 2), slice(5, 6)]);
        assert_eq!(left, [slice(2, 5), slice(6, 10)]);
        assert_eq!(rest(slice(0, 10), &[]), [slice(0, 10)]);
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let ranges = joined(vec![slice(8, 9), slice(0, 2), slice(2, 3), slice(1, 2)]);
        assert_eq!(ranges, [slice(0, 3), slice(8, 9)]);
    }
}
