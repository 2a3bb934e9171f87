//! State out and in: what changed since the last beat, and an engine made from the changelog.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::model::{Interval, PartitionMeta, StateRecord, WindowState};

use super::agenda::Action;
use super::partition::Engine;
use super::restorable;
use super::rules::Rules;
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

    /// An engine that goes on where the records stop. Without a meta record it is a new one.
    ///
    /// # Errors
    /// `Config` when the state was made under another partition count or other intervals, or when
    /// it holds what no engine writes.
    pub fn restore(
        rules: Arc<Rules>,
        partition: i32,
        partition_count: u32,
        records: impl IntoIterator<Item = StateRecord>,
    ) -> Result<Self> {
        let mut engine = Self::new(rules, partition, partition_count);
        for record in records {
            engine.restore_record(record)?;
        }
        engine.await_confirmations();
        Ok(engine)
    }

    fn restore_record(&mut self, record: StateRecord) -> Result<()> {
        restorable::check(&record, self.rules.intervals[0])
            .map_err(|problem| self.not_restorable(&problem))?;
        match record {
            StateRecord::Meta(meta) => self.restore_meta(&meta),
            StateRecord::Feed(feed) => {
                let index = self.symbols.intern(&feed.symbol, &self.rules);
                let symbol = self.symbols.get_mut(index);
                (symbol.spans, symbol.losses) = (feed.spans, feed.losses);
                Ok(())
            }
            StateRecord::Window(window) => self.restore_window(window),
            StateRecord::Evicted { .. } => Ok(()),
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
                "the state of partition {} was made with {} partitions, the trades topic now has \
                 {}; symbols would move: go back to the old count, or start a new group and topics",
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

    fn restore_window(&mut self, window: WindowState) -> Result<()> {
        let tier = self.tier_of(window.interval).ok_or_else(|| {
            let interval = window.interval;
            Error::Config(format!(
                "the changelog holds windows of {interval}, which stream.intervals lacks; put it \
                 back, or start a new group and changelog"
            ))
        })?;
        let key = SlotKey { tier, start_ms: window.start_ms };
        let index = self.symbols.intern(&window.symbol, &self.rules);
        if self.symbols.get(index).windows.get(key).is_some() {
            return Err(self.not_restorable("one window twice"));
        }
        let slot = Slot {
            accumulator: window.accumulator,
            closed: window.closed,
            extra_revisions: window.extra_revisions,
            corrected: window.corrected,
            completeness: window.completeness,
            unsaved: false,
            unsampled: !window.closed,
        };
        if !slot.closed {
            self.to_sample.push((index, key));
        }
        let action = if slot.closed { Action::Evict } else { Action::Close };
        self.symbols.get_mut(index).windows.insert(key, slot);
        self.put_on_agenda(index, key, action);
        Ok(())
    }

    fn tier_of(&self, interval: Interval) -> Option<usize> {
        self.rules.intervals.iter().position(|one| *one == interval)
    }
}
