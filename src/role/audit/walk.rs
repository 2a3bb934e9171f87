//! The way through a range, slice by slice and partition by partition: each time the log, what it
//! comes to, and the stored bars beside it.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use crate::engine::Rules;
use crate::engine::recompute::{BarKey, with_late};
use crate::error::Result;
use crate::model::{Bar, Window};
use crate::port::{BarQuery, Clock, Contradiction, StoreReader};
use crate::role::range_query::time_text;

use super::log::{LogReader, Stretch};
use super::range::{Slice, Symbols, by_partition, slices};

/// A sign of life on stderr, this often at most, ms.
const PROGRESS_EVERY_MS: i64 = 2_000;

/// Whether trades beyond the allowed lateness are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LateTrades {
    /// Into the bars whose stored row says so.
    WhereStored,
    Always,
    Never,
}

/// The walk of one command.
pub struct Walk<'a> {
    pub reader: &'a dyn StoreReader,
    pub clock: &'a dyn Clock,
    pub rules: Arc<Rules>,
    pub partition_count: u32,
    pub symbols: &'a Symbols,
    /// See `range::bronze_from_ms`.
    pub bronze_from_ms: i64,
    pub late_trades: LateTrades,
}

/// One slice of one partition.
pub struct Stop<'a> {
    pub slice: Slice,
    pub partition: i32,
    /// Windows that start before this depend on rows that bronze may have lost, ms.
    pub auditable_from_ms: i64,
    pub rules: &'a Rules,
    pub log: &'a LogReader<'a>,
    pub stretch: &'a Stretch,
    /// Recomputed bars of the wanted symbols and the slice, late trades merged where they belong.
    pub recomputed: BTreeMap<BarKey, Bar>,
    pub gold: BTreeMap<BarKey, Bar>,
    pub contradictions: Vec<(BarKey, Contradiction)>,
}

impl Walk<'_> {
    /// Calls `visit` for every slice and partition that there is something of.
    ///
    /// # Errors
    /// Of the store, of the rows (`Config`), and of `visit`.
    pub fn go(
        &self,
        ranges: &[Slice],
        mut visit: impl FnMut(&Stop<'_>) -> Result<()>,
    ) -> Result<()> {
        let log = self.log();
        let wanted = by_partition(&self.symbols.wanted, self.partition_count);
        let Some(longest) = self.rules.intervals.last() else { return Ok(()) };
        let mut told_us = self.clock.monotonic_us();
        for slice in ranges.iter().flat_map(|range| slices(*range, *longest)) {
            for (partition, symbols) in &wanted {
                self.stop(&log, slice, *partition, symbols, &mut visit)?;
                if self.clock.monotonic_us() - told_us > PROGRESS_EVERY_MS * 1_000 {
                    told_us = self.clock.monotonic_us();
                    let until = time_text(slice.to_ms);
                    // Nobody reading it is no reason to stop.
                    let _ = writeln!(io::stderr(), "up to {until}: partition {partition} done");
                }
            }
        }
        Ok(())
    }

    fn log(&self) -> LogReader<'_> {
        LogReader {
            reader: self.reader,
            rules: Arc::clone(&self.rules),
            partition_count: self.partition_count,
            symbols: &self.symbols.traded,
            now_ms: self.clock.now_us() / 1_000,
        }
    }

    /// How far before a window its log begins, ms.
    pub fn lead_ms(&self) -> i64 {
        self.log().lead_ms()
    }

    fn stop(
        &self,
        log: &LogReader<'_>,
        slice: Slice,
        partition: i32,
        symbols: &[String],
        visit: &mut impl FnMut(&Stop<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut stretch = log.read(partition, slice)?;
        // After the log: what is stored is then at least as new as what it is held against.
        let mut gold = self.gold(slice, symbols)?;
        let mut recomputed = wanted_bars(&stretch.recomputed.bars, slice, symbols);
        let is_settled = stretch.recomputed.is_settled(self.end_ms(slice), &self.rules);
        let is_empty = gold.is_empty() && recomputed.is_empty();
        if !is_settled && !is_empty {
            log.read_on(&mut stretch, slice)?;
            gold = self.gold(slice, symbols)?;
            recomputed = wanted_bars(&stretch.recomputed.bars, slice, symbols);
        }
        self.merge_late(&stretch, slice, symbols, &gold, &mut recomputed);
        let earliest_ms = self.bronze_from_ms.saturating_sub(stretch.least_delay_ms);
        visit(&Stop {
            slice,
            partition,
            auditable_from_ms: earliest_ms.saturating_add(log.lead_ms()),
            rules: &self.rules,
            log,
            stretch: &stretch,
            recomputed,
            contradictions: self.contradictions(slice, symbols)?,
            gold,
        })
    }

    /// Where the last window of a slice may end.
    fn end_ms(&self, slice: Slice) -> i64 {
        let longest_ms = self.rules.intervals.last().map_or(0, |longest| longest.length_ms());
        slice.to_ms.saturating_add(longest_ms)
    }

    fn merge_late(
        &self,
        stretch: &Stretch,
        slice: Slice,
        symbols: &[String],
        gold: &BTreeMap<BarKey, Bar>,
        recomputed: &mut BTreeMap<BarKey, Bar>,
    ) {
        let is_stored = |key: &BarKey| gold.get(key).is_some_and(|bar| bar.late_included > 0);
        let is_needed = match self.late_trades {
            LateTrades::WhereStored => gold.keys().any(is_stored),
            LateTrades::Always => true,
            LateTrades::Never => false,
        };
        if !is_needed || stretch.recomputed.late.is_empty() {
            return;
        }
        let all = with_late(&self.rules, stretch.partition, &stretch.log, &stretch.recomputed);
        for (key, bar) in wanted_bars(&all, slice, symbols) {
            if self.late_trades == LateTrades::Always || is_stored(&key) {
                recomputed.insert(key, bar);
            }
        }
    }

    fn queries(&self, slice: Slice, symbols: &[String]) -> Vec<BarQuery> {
        let Slice { from_ms, to_ms } = slice;
        let one = |symbol: &String, interval| BarQuery {
            symbol: symbol.clone(),
            interval,
            from_ms,
            to_ms,
            limit: usize::MAX,
        };
        let intervals = &self.rules.intervals;
        symbols
            .iter()
            .flat_map(|symbol| intervals.iter().map(move |interval| one(symbol, *interval)))
            .collect()
    }

    fn gold(&self, slice: Slice, symbols: &[String]) -> Result<BTreeMap<BarKey, Bar>> {
        let mut gold = BTreeMap::new();
        for query in self.queries(slice, symbols) {
            for bar in self.reader.bars(&query)? {
                gold.insert((Arc::clone(&bar.symbol), bar.interval, bar.window.start_ms), bar);
            }
        }
        Ok(gold)
    }

    fn contradictions(
        &self,
        slice: Slice,
        symbols: &[String],
    ) -> Result<Vec<(BarKey, Contradiction)>> {
        let mut found = Vec::new();
        for query in self.queries(slice, symbols) {
            let symbol: Arc<str> = query.symbol.as_str().into();
            for one in self.reader.contradictions(&query)? {
                found.push(((Arc::clone(&symbol), query.interval, one.start_ms), one));
            }
        }
        Ok(found)
    }
}

impl Stop<'_> {
    pub fn window_of(&self, key: &BarKey) -> Window {
        key.1.window_of(key.2)
    }

    /// The watermark has not passed its end: the bar may be provisional.
    pub fn is_open(&self, key: &BarKey) -> bool {
        self.stretch.recomputed.is_open(self.window_of(key))
    }

    /// Nothing changes it any more, and no stream holds it.
    pub fn is_settled(&self, key: &BarKey) -> bool {
        self.stretch.recomputed.is_settled(self.window_of(key).end_ms, self.rules)
    }

    /// Whether bronze has a trade of the window by now; the log was read a moment before.
    ///
    /// # Errors
    /// The store's own.
    pub fn has_trades(&self, key: &BarKey) -> Result<bool> {
        let Window { start_ms, end_ms } = self.window_of(key);
        self.log.has_trades(&key.0, start_ms, end_ms)
    }
}

fn wanted_bars(
    bars: &BTreeMap<BarKey, Bar>,
    slice: Slice,
    symbols: &[String],
) -> BTreeMap<BarKey, Bar> {
    let is_wanted = |key: &BarKey| {
        let is_inside = slice.from_ms <= key.2 && key.2 < slice.to_ms;
        is_inside && symbols.binary_search_by(|symbol| symbol.as_str().cmp(&key.0)).is_ok()
    };
    bars.iter()
        .filter(|(key, _)| is_wanted(key))
        .map(|(key, bar)| (key.clone(), bar.clone()))
        .collect()
}
