//! Bars out of windows: closing and eviction by the watermark, corrections per input, samples.

use std::sync::Arc;

use crate::model::{
    Accumulator, Bar, BarRevision, BarState, Effects, RevisionWhy, Session, StateRecord,
};

use super::accumulator;
use super::agenda::Action;
use super::partition::Engine;
use super::symbol_class::SymbolClass;
use super::symbols::SymbolIndex;
use super::windows::SlotKey;

/// A revision stays below this: it is part of the write timestamp.
const REVISION_LIMIT: i64 = 1_000_000_000;

impl Engine {
    /// Closes and evicts what the watermark has passed.
    pub(super) fn run_agenda(&mut self, watermark_ms: i64, effects: &mut Effects) {
        while let Some(due) = self.agenda.pop_due(watermark_ms) {
            match due.action {
                Action::Close => self.close(due.symbol, due.key, effects),
                Action::Evict => self.evict(due.symbol, due.key, effects),
            }
        }
    }

    /// After a merge: a window that is closed already is corrected at once, and one whose end the
    /// watermark has passed before its first trade came is closed at once; both per input, so that
    /// the outcome does not depend on batches.
    pub(super) fn emit_after_merge(
        &mut self,
        index: SymbolIndex,
        trade_time_ms: i64,
        effects: &mut Effects,
    ) {
        let Some(watermark_ms) = self.connections.watermark_ms() else { return };
        for tier in 0..self.rules.intervals.len() {
            let start_ms = self.rules.intervals[tier].window_of(trade_time_ms).start_ms;
            let key = SlotKey { tier, start_ms };
            let slot = self.symbols.get(index).windows.get(key);
            if slot.is_some_and(|slot| slot.closed) {
                self.emit_corrected(index, key, RevisionWhy::LateTrade, effects);
            }
        }
        self.run_agenda(watermark_ms, effects);
    }

    /// Before a merge: what a closed bar was at its closing goes into its history, once.
    pub(super) fn remember_closed(
        &mut self,
        index: SymbolIndex,
        trade_time_ms: i64,
        effects: &mut Effects,
    ) {
        for tier in 0..self.rules.intervals.len() {
            let start_ms = self.rules.intervals[tier].window_of(trade_time_ms).start_ms;
            self.remember(index, SlotKey { tier, start_ms }, effects);
        }
    }

    pub(super) fn remember(&mut self, index: SymbolIndex, key: SlotKey, effects: &mut Effects) {
        let Some(slot) = self.symbols.get_mut(index).windows.get_mut(key) else { return };
        if !slot.closed || std::mem::replace(&mut slot.corrected, true) {
            return;
        }
        self.save_later(index, key);
        let bar = self.bar(index, key, BarState::Closed);
        let why = RevisionWhy::Closed;
        effects.revisions.extend(bar.map(|bar| BarRevision { bar, why }));
    }

    pub(super) fn emit_corrected(
        &self,
        index: SymbolIndex,
        key: SlotKey,
        why: RevisionWhy,
        effects: &mut Effects,
    ) {
        let Some(bar) = self.bar(index, key, BarState::Corrected) else { return };
        effects.bars.push(bar.clone());
        effects.revisions.push(BarRevision { bar, why });
    }

    /// The changelog is told of the window with the next state.
    pub(super) fn save_later(&mut self, index: SymbolIndex, key: SlotKey) {
        let Some(slot) = self.symbols.get_mut(index).windows.get_mut(key) else { return };
        if !std::mem::replace(&mut slot.unsaved, true) {
            self.to_save.push((index, key));
        }
    }

    fn close(&mut self, index: SymbolIndex, key: SlotKey, effects: &mut Effects) {
        let told = self.assess(index, key);
        let Some(slot) = self.symbols.get_mut(index).windows.get_mut(key) else { return };
        assert!(!slot.closed, "a window closes once");
        slot.closed = true;
        slot.extra_revisions += 1;
        slot.completeness = Some(told);
        self.save_later(index, key);
        if !told.is_settled() {
            self.await_confirmation(index, key);
        }
        self.put_on_agenda(index, key, Action::Evict);
        effects.bars.extend(self.bar(index, key, BarState::Closed));
    }

    fn evict(&mut self, index: SymbolIndex, key: SlotKey, effects: &mut Effects) {
        self.tell_last(index, key, effects);
        let intervals = &self.rules.intervals;
        let symbol = self.symbols.get_mut(index);
        let changed = symbol.windows.evict(key, intervals);
        self.evicted.push(StateRecord::Evicted {
            symbol: symbol.name.to_string(),
            interval: intervals[key.tier],
            start_ms: key.start_ms,
        });
        for longer in changed {
            self.save_later(index, longer);
        }
    }

    /// Provisional bars of the windows that changed since the last sample.
    pub(super) fn sample(&mut self, effects: &mut Effects) {
        for (index, key) in std::mem::take(&mut self.to_sample) {
            let Some(slot) = self.symbols.get_mut(index).windows.get_mut(key) else { continue };
            slot.unsampled = false;
            if !slot.closed {
                effects.bars.extend(self.bar(index, key, BarState::Provisional));
            }
        }
    }

    /// Provisional bars of every window that is not closed, whether it changed or not.
    pub(super) fn drain(&mut self, effects: &mut Effects) {
        let open: Vec<(SymbolIndex, SlotKey)> = self
            .symbols
            .iter()
            .flat_map(|(index, symbol)| symbol.windows.iter().map(move |slot| (index, slot)))
            .filter(|(_, (key, slot))| !slot.closed && !self.is_silent(*key))
            .map(|(index, (key, _))| (index, key))
            .collect();
        for (index, key) in open {
            effects.bars.extend(self.bar(index, key, BarState::Provisional));
        }
    }

    pub(super) fn bar(&self, index: SymbolIndex, key: SlotKey, state: BarState) -> Option<Bar> {
        let symbol = self.symbols.get(index);
        let slot = symbol.windows.get(key)?;
        let total = symbol.windows.rolled_up(key, &self.rules.intervals)?;
        let interval = self.rules.intervals[key.tier];
        let revision = total.inputs + slot.extra_revisions;
        assert!(revision < REVISION_LIMIT, "revision of {} outgrows its field", symbol.name);
        let completeness = slot.completeness.unwrap_or_else(|| self.assess(index, key));
        Some(Bar {
            symbol: Arc::clone(&symbol.name),
            interval,
            window: interval.window_of(key.start_ms),
            open: accumulator::open(&total).map(|candidate| candidate.point),
            high: total.high.map(|candidate| candidate.point),
            low: total.low.map(|candidate| candidate.point),
            close: accumulator::close(&total).map(|candidate| candidate.point),
            volume: total.volume,
            vwap: total.turnover.per(total.volume),
            trade_count: total.trade_count,
            excluded: total.excluded,
            session: (symbol.class == SymbolClass::UsStock).then(|| session_of(&total)),
            coverage: completeness.coverage(interval.length_ms()),
            gap_ms: completeness.gap_ms,
            verdict: completeness.verdict(),
            state,
            revision,
            generation: self.generation,
            conditions_version: self.rules.conditions.version(),
            late_included: 0,
        })
    }
}

/// The session of the trades in a window, `Mixed` when they are of several.
fn session_of(total: &Accumulator) -> Session {
    let mut seen =
        Session::ALL.iter().copied().filter(|session| total.sessions >> *session as u8 & 1 == 1);
    match (seen.next(), seen.next()) {
        (Some(only), None) => only,
        _ => Session::Mixed,
    }
}
