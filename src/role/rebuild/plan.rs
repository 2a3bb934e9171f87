//! What a rebuild would do, bar by bar, and the doing of it.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::engine::recompute::BarKey;
use crate::error::Result;
use crate::model::{Bar, BarRevision, Effects, RevisionWhy};
use crate::port::{BarRemoval, Store};
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
    /// Every recomputed bar, with the next generation.
    bars: Vec<Bar>,
    changes: Vec<Change>,
    /// Highest generation that gold has in the range.
    generation: i64,
    /// Bars that are not settled, or beyond what bronze keeps.
    left_out: u64,
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
            self.bars.extend(recomputed.cloned());
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
        let late = self.bars.iter().filter(|bar| bar.late_included > 0).count();
        let rows = [
            ("bars", self.bars.len()),
            ("changed", changed),
            ("added", count(|one| one.gold.is_none())),
            ("removed", count(|one| one.recomputed.is_none())),
            ("with late", late),
            ("left out", usize::try_from(self.left_out).unwrap_or(usize::MAX)),
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

    /// Writes every bar as the next generation, removes what nothing supports, and adds what changed
    /// to the history.
    ///
    /// # Errors
    /// The store's own; the same command again finishes what was begun.
    pub fn write(&self, store: &mut dyn Store) -> Result<()> {
        let generation = self.generation + 1;
        let renewed = |bar: &Bar| Bar { generation, ..bar.clone() };
        for bars in self.bars.chunks(WRITTEN_AT_ONCE) {
            let bars = bars.iter().map(renewed).collect();
            store.write(&Effects { bars, ..Effects::default() })?;
        }
        for changes in self.changes.chunks(WRITTEN_AT_ONCE) {
            let bars = changes.iter().filter_map(|change| change.recomputed.as_ref());
            let revision = |bar| BarRevision { bar: renewed(bar), why: RevisionWhy::Rebuild };
            let revisions = bars.map(revision).collect();
            store.write(&Effects { revisions, ..Effects::default() })?;
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

    /// What was done, for people.
    pub fn done(&self) -> String {
        let removed = self.changes.iter().filter(|change| change.recomputed.is_none()).count();
        let (bars, generation) = (self.bars.len(), self.generation + 1);
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
