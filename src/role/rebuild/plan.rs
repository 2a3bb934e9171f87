//! What a rebuild would do, bar by bar, and the doing of it.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::codec::row;
use crate::engine::recompute::BarKey;
use crate::error::{Error, Result};
use crate::model::{Bar, BarRevision, Effects, RevisionWhy};
use crate::port::{BarQuery, BarRemoval, Store, StoreReader};
use crate::role::audit::compare::{brief, unequal_fields};
use crate::role::audit::range::Slice;
use crate::role::audit::walk::Stop;
use crate::role::range_query::time_text;

/// Changes printed; the counts tell the rest.
const CHANGES_SHOWN: usize = 20;
/// Bars handed to the store at once.
const WRITTEN_AT_ONCE: usize = 1_000;

/// The bars of a range, old and new.
#[derive(Debug, Default)]
pub struct Plan {
    /// Recomputed bars, those with late trades among them, and bars that are not settled or beyond
    /// what bronze keeps.
    bars: usize,
    with_late: usize,
    left_out: usize,
    changes: Vec<Change>,
    /// Highest generation that gold has in the range.
    generation: i64,
    range: Option<Slice>,
}

#[derive(Debug)]
struct Change {
    key: BarKey,
    gold: Option<Bar>,
    recomputed: Option<Bar>,
}

impl Plan {
    /// Takes the certain part of one slice and partition in.
    pub fn add(&mut self, stop: &Stop<'_>, certain: Slice) {
        let keys: BTreeSet<&BarKey> = stop.gold.keys().chain(stop.recomputed.keys()).collect();
        for key in keys {
            if key.2 < certain.from_ms || key.2 >= certain.to_ms {
                self.left_out += 1;
                continue;
            }
            self.widen(stop, key);
            let (gold, recomputed) = (stop.gold.get(key), stop.recomputed.get(key));
            self.generation = self.generation.max(gold.map_or(0, |bar| bar.generation));
            self.bars += usize::from(recomputed.is_some());
            self.with_late += usize::from(recomputed.is_some_and(|bar| bar.late_included > 0));
            let is_same = match (gold, recomputed) {
                (Some(gold), Some(recomputed)) => {
                    let is_whole = stop.contradictions.iter().all(|(place, _)| place != key);
                    is_whole && unequal_fields(gold, recomputed).is_empty()
                }
                _ => false,
            };
            if !is_same {
                let (gold, recomputed) = (gold.cloned(), recomputed.cloned());
                self.changes.push(Change { key: key.clone(), gold, recomputed });
            }
        }
    }

    fn widen(&mut self, stop: &Stop<'_>, key: &BarKey) {
        let window = stop.window_of(key);
        let range = self.range.get_or_insert(Slice { from_ms: i64::MAX, to_ms: i64::MIN });
        range.from_ms = range.from_ms.min(window.start_ms);
        range.to_ms = range.to_ms.max(window.end_ms);
    }

    /// Nothing would change.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What would be done, for people.
    pub fn text(&self, is_applied: bool) -> String {
        let mut text = String::new();
        if let Some(range) = self.range {
            let (from, to) = (time_text(range.from_ms), time_text(range.to_ms));
            let _ = writeln!(text, "range       {from} to {to}");
        }
        let count =
            |is_so: fn(&Change) -> bool| self.changes.iter().filter(|one| is_so(one)).count();
        let changed = count(|one| one.gold.is_some() && one.recomputed.is_some());
        let rows = [
            ("bars", self.bars),
            ("changed", changed),
            ("added", count(|one| one.gold.is_none())),
            ("removed", count(|one| one.recomputed.is_none())),
            ("with late", self.with_late),
            ("left out", self.left_out),
        ];
        for (name, number) in rows {
            let _ = writeln!(text, "{name:<11} {number}");
        }
        if self.is_empty() {
            text.push_str("gold is what bronze says; nothing to do\n");
            return text;
        }
        let _ = writeln!(text, "generation  {}", self.generation + 1);
        self.changes.iter().take(CHANGES_SHOWN).for_each(|change| change.describe(&mut text));
        if self.changes.len() > CHANGES_SHOWN {
            let _ = writeln!(text, "  and {} more", self.changes.len() - CHANGES_SHOWN);
        }
        if !is_applied {
            text.push_str("nothing was written; --apply does it\n");
        }
        text
    }

    /// Writes what differs as the next generation, also into the history, and removes what nothing
    /// supports. Returns the generation.
    ///
    /// A row that was changed by hand has the write timestamp of that hour, which may lie above
    /// that of the next generation. What is read back tells; then the generation is taken that
    /// lies above the present.
    ///
    /// # Errors
    /// The store's own; the same command again finishes what was begun. `Config` when the rows stay
    /// as they are all the same.
    pub fn write(
        &self,
        store: &mut dyn Store,
        reader: &dyn StoreReader,
        now_ms: i64,
    ) -> Result<i64> {
        let oldest_ms = self.range.map_or(now_ms, |range| range.from_ms);
        let next = self.generation + 1;
        let above_now = next.max(row::generation_written_at(oldest_ms, now_ms) + 1);
        for generation in [next, above_now] {
            self.write_generation(store, generation)?;
            if self.is_stored(reader, generation)? {
                return Ok(generation);
            }
        }
        Err(Error::Config(
            "rows of gold have write timestamps of the future and stay as they are; delete them \
             with a timestamp above theirs, and rebuild again"
                .into(),
        ))
    }

    fn write_generation(&self, store: &mut dyn Store, generation: i64) -> Result<()> {
        let renewed = |bar: &Bar| Bar { generation, ..bar.clone() };
        let rebuilt = |bar: &Bar| BarRevision { bar: bar.clone(), why: RevisionWhy::Rebuild };
        for changes in self.changes.chunks(WRITTEN_AT_ONCE) {
            let bars = changes.iter().filter_map(|change| change.recomputed.as_ref());
            let bars: Vec<Bar> = bars.map(renewed).collect();
            let revisions = bars.iter().map(rebuilt).collect();
            store.write(&Effects { bars, revisions, ..Effects::default() })?;
            let unsupported = changes.iter().filter(|change| change.recomputed.is_none());
            let removals: Vec<BarRemoval> = unsupported
                .map(|Change { key: (symbol, interval, start_ms), .. }| BarRemoval {
                    symbol: symbol.to_string(),
                    interval: *interval,
                    start_ms: *start_ms,
                    generation,
                })
                .collect();
            store.remove(&removals)?;
        }
        store.flush()
    }

    /// Whether what changes is now there as planned.
    fn is_stored(&self, reader: &dyn StoreReader, generation: i64) -> Result<bool> {
        for Change { key: (symbol, interval, start_ms), recomputed, .. } in &self.changes {
            let query = BarQuery {
                symbol: symbol.to_string(),
                interval: *interval,
                from_ms: *start_ms,
                to_ms: *start_ms + 1,
                limit: 1,
            };
            let stored = reader.bars(&query)?.pop();
            let is_planned = match (&stored, recomputed) {
                (Some(stored), Some(planned)) => {
                    stored.generation == generation
                        && unequal_fields(stored, planned).is_empty()
                        && reader.contradictions(&query)?.is_empty()
                }
                (stored, planned) => stored.is_none() && planned.is_none(),
            };
            if !is_planned {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What was done, for people.
    pub fn done(&self, generation: i64) -> String {
        let removed = self.changes.iter().filter(|change| change.recomputed.is_none()).count();
        let bars = self.changes.len() - removed;
        format!("wrote {bars} bars as generation {generation}, removed {removed}\n")
    }
}

impl Change {
    fn describe(&self, text: &mut String) {
        let (symbol, interval, start_ms) = &self.key;
        let place = format!("{symbol} {interval} {}", time_text(*start_ms));
        match (&self.gold, &self.recomputed) {
            (Some(gold), Some(recomputed)) => {
                let _ = writeln!(text, "  {place} changes");
                for (field, old, new) in unequal_fields(gold, recomputed) {
                    let _ = writeln!(text, "    {field} from {old} to {new}");
                }
            }
            (gold, recomputed) => {
                let (what, bar) = match gold {
                    Some(_) => ("is removed, was", gold),
                    None => ("is added as", recomputed),
                };
                let bar = bar.as_ref().map(brief).unwrap_or_default();
                let _ = writeln!(text, "  {place} {what} {bar}");
            }
        }
    }
}
