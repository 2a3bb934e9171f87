//! State out and in: what changed since the last beat, and an engine made from the changelog.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::model::{Interval, PartitionMeta, StateRecord, WindowState};

use super::agenda::Action;
use super::partition::Engine;
use super::restorable;
use super::rules::Rules;
use super::scope::Change;
use super::symbols::SymbolIndex;
use super::windows::{Slot, SlotKey};

impl Engine {
    /// Appends what the changelog must be told since the last call, the meta record last, and
    /// checks that every record consumed has ended in exactly one way.
    ///
    /// # Errors
    /// `Bug` when the conservation law does not hold: committing would write wrong numbers.
    pub fn collect_state(&mut self, records: &mut Vec<StateRecord>) -> Result<()> {
        self.check_conservation()?;
        records.append(&mut self.evicted);
        for (index, key) in std::mem::take(&mut self.to_save) {
            records.extend(self.save_window(index, key).map(StateRecord::Window));
        }
        for index in std::mem::take(&mut self.feeds_to_save) {
            let symbol = self.symbols.get_mut(index);
            symbol.feed_unsaved = false;
            records.push(StateRecord::Feed(symbol.feed()));
        }
        if std::mem::take(&mut self.is_scope_unsaved) {
            records.push(StateRecord::Scope(self.scope()));
        }
        records.push(StateRecord::Meta(self.meta()));
        self.saved_consumed = self.consumed;
        Ok(())
    }

    fn check_conservation(&self) -> Result<()> {
        if self.tally.total() == self.consumed {
            return Ok(());
        }
        Err(Error::Bug(format!(
            "partition {}: {} records consumed, but {:?} accounts for {}",
            self.partition,
            self.consumed,
            self.tally,
            self.tally.total()
        )))
    }

    fn meta(&self) -> PartitionMeta {
        let mut meta = PartitionMeta {
            next_offset: self.next_offset,
            tally: self.tally,
            consumed: self.consumed,
            generation: self.generation,
            partition_count: self.partition_count,
            windows: i64::try_from(self.open_windows()).ok(),
            feeds: i64::try_from(self.symbols.with_feed()).ok(),
            ..PartitionMeta::default()
        };
        self.connections.save(&mut meta);
        meta
    }

    fn save_window(&mut self, index: SymbolIndex, key: SlotKey) -> Option<WindowState> {
        let symbol = self.symbols.get_mut(index);
        let name = symbol.name.to_string();
        let slot = symbol.windows.get_mut(key)?;
        slot.unsaved = false;
        Some(WindowState {
            symbol: name,
            interval: self.rules.intervals[key.tier],
            start_ms: key.start_ms,
            accumulator: slot.accumulator.clone(),
            closed: slot.closed,
            extra_revisions: slot.extra_revisions,
            corrected: slot.corrected,
            completeness: slot.completeness,
        })
    }

    /// An engine that goes on where the records stop. Without a meta record it is a new one. The
    /// state may have been made under other intervals than those of `rules`.
    ///
    /// # Errors
    /// `Config` when the state was made under another partition count, or holds what no engine
    /// writes.
    pub fn restore(
        rules: Arc<Rules>,
        partition: i32,
        partition_count: u32,
        records: impl IntoIterator<Item = StateRecord>,
    ) -> Result<Self> {
        let mut engine = Self::new(rules, partition, partition_count);
        let records: Vec<StateRecord> = records.into_iter().collect();
        restorable::check(&records, engine.rules.intervals[0])
            .map_err(|problem| engine.not_restorable(&problem))?;
        for record in &records {
            if let StateRecord::Meta(meta) = record {
                engine.restore_meta(meta)?;
            }
        }
        let mut change = engine.take_scope(&records);
        for record in records {
            engine.restore_record(record, &mut change);
        }
        engine.adopt(change).map_err(|problem| engine.not_restorable(problem))?;
        engine.await_confirmations();
        Ok(engine)
    }

    fn restore_record(&mut self, record: StateRecord, change: &mut Change) {
        match record {
            StateRecord::Feed(feed) => {
                let index = self.symbols.intern(&feed.symbol, &self.rules);
                let symbol = self.symbols.get_mut(index);
                (symbol.spans, symbol.losses) = (feed.spans, feed.losses);
                symbol.has_feed = true;
            }
            StateRecord::Window(window) => match self.tier_of(window.interval) {
                Some(tier) => self.restore_window(tier, window),
                None => {
                    self.evicted.push(StateRecord::Evicted {
                        symbol: window.symbol.clone(),
                        interval: window.interval,
                        start_ms: window.start_ms,
                    });
                    change.take(window);
                }
            },
            StateRecord::Meta(_) | StateRecord::Scope(_) | StateRecord::Evicted { .. } => {}
        }
    }

    fn not_restorable(&self, problem: &str) -> Error {
        Error::Config(format!(
            "the changelog of partition {} holds {problem}, which no state of ours does: it is \
             damaged, or somebody else writes to it; start a new kafka.group with a new \
             topics.changelog",
            self.partition
        ))
    }

    fn restore_meta(&mut self, meta: &PartitionMeta) -> Result<()> {
        if meta.partition_count != self.partition_count {
            return Err(Error::Config(format!(
                "the state of partition {} was made with {} partitions, and the trades topic now \
                 has {}; symbols would move away from their state: go back to the old count, or \
                 make new topics with the new one and a new kafka.group",
                self.partition, meta.partition_count, self.partition_count
            )));
        }
        self.connections.restore(meta);
        self.next_offset = meta.next_offset;
        self.tally = meta.tally;
        self.consumed = meta.consumed;
        self.saved_consumed = meta.consumed;
        self.generation = meta.generation;
        Ok(())
    }

    fn restore_window(&mut self, tier: usize, window: WindowState) {
        let key = SlotKey { tier, start_ms: window.start_ms };
        let index = self.symbols.intern(&window.symbol, &self.rules);
        let is_over = window.closed || self.is_silent(key);
        let slot = Slot {
            accumulator: window.accumulator,
            closed: window.closed,
            extra_revisions: window.extra_revisions,
            corrected: window.corrected,
            completeness: window.completeness,
            unsaved: false,
            unsampled: false,
        };
        self.symbols.get_mut(index).windows.insert(key, slot);
        self.put_on_agenda(index, key, if is_over { Action::Evict } else { Action::Close });
        self.change(index, key, |_| false);
    }

    fn tier_of(&self, interval: Interval) -> Option<usize> {
        self.rules.intervals.iter().position(|one| *one == interval)
    }
}
