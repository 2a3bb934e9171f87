//! Feed events as inputs of the windows: who owns a symbol, when its feed was up, what it lost, and
//! what that changes in bars that were told already.

use crate::model::{
    Completeness, Effects, FeedEvent, FeedEventKind, FeedGap, GapCause, Loss, Origin, OwnedSpan,
    RevisionWhy, StoredEvent,
};

use super::connections::Mark;
use super::coverage::{self, Timeline};
use super::partition::Engine;
use super::symbols::SymbolIndex;
use super::windows::SlotKey;

impl Engine {
    pub(super) fn event(&mut self, origin: Origin, event: FeedEvent, effects: &mut Effects) {
        self.consume(origin);
        self.tally.control += 1;
        if self.connections.pass(event.connection, event.seq, &event.feed) != Mark::New {
            return;
        }
        let observed = self.connections.observe(&event);
        for connection in observed.ended {
            self.open_gaps(connection, &event, effects);
        }
        if observed.is_dated {
            self.date_spans(event.connection, effects);
        }
        match event.kind {
            FeedEventKind::Subscribed => self.take_over(&event, effects),
            FeedEventKind::Overflow => self.lose(&event, GapCause::Overflow, effects),
            FeedEventKind::DecodeLoss => self.lose(&event, GapCause::DecodeLoss, effects),
            _ => {}
        }
        effects.events.push(StoredEvent { origin, event });
        self.settle_confirmed(effects);
        if let Some(watermark_ms) = observed.watermark_ms {
            self.run_agenda(watermark_ms, effects);
        }
    }

    /// The newest `subscribed` event that names a symbol owns it from then on.
    fn take_over(&mut self, event: &FeedEvent, effects: &mut Effects) {
        for name in &event.symbols {
            let Some(index) = self.symbols.intern_at_home(name, &self.rules) else { continue };
            let owner = self.symbols.get(index).spans.last().map(|span| span.connection);
            // A connection that names its symbols once more changes nothing.
            if owner.is_some_and(|connection| connection >= event.connection) {
                continue;
            }
            let horizon_ms = self.horizon_ms();
            let symbol = self.symbols.get_mut(index);
            symbol.spans.push(OwnedSpan {
                connection: event.connection,
                since_us: event.at_us,
                up_from_ms: event.feed_time_ms,
            });
            coverage::forget(&mut symbol.spans, &mut symbol.losses, horizon_ms);
            self.save_feed_later(index);
            if event.feed_time_ms.is_some() {
                self.close_gap(index, effects);
            }
            self.reassess(index, effects);
        }
    }

    /// The connection has a feed time now: so has everything that it subscribed before.
    fn date_spans(&mut self, connection: i64, effects: &mut Effects) {
        let offset_ms = self.connections.find(connection).and_then(|state| state.feed_offset_ms);
        let Some(offset_ms) = offset_ms else { return };
        for index in self.symbols.owned_by(connection) {
            let Some(span) = self.symbols.get_mut(index).spans.last_mut() else { continue };
            if span.up_from_ms.is_some() {
                continue;
            }
            span.up_from_ms = Some(span.since_us.div_euclid(1_000) + offset_ms);
            self.save_feed_later(index);
            self.close_gap(index, effects);
            self.reassess(index, effects);
        }
    }

    /// A connection ended: what it owned is not up from its last confirmed instant on.
    fn open_gaps(&mut self, connection: i64, event: &FeedEvent, effects: &mut Effects) {
        for index in self.symbols.owned_by(connection) {
            let symbol = self.symbols.get(index);
            // Without a feed time it never was up, and the gap before it lasts.
            let was_up = symbol.spans.last().is_some_and(|span| span.up_from_ms.is_some());
            if let (true, Some(from_ms)) = (was_up, self.timeline(index).confirmed_to_ms()) {
                let gap = self.gap(index, connection, from_ms);
                // A successor's event says nothing of why.
                let is_own = event.connection == connection;
                let detail = if is_own { event.detail.clone() } else { String::new() };
                effects.gaps.push(FeedGap { detail, ..gap });
            }
            self.reassess(index, effects);
        }
    }

    /// The newest owner is up from a known instant on, so the gap before it has an end.
    fn close_gap(&self, index: SymbolIndex, effects: &mut Effects) {
        let symbol = self.symbols.get(index);
        let Some((newest, before)) = symbol.spans.split_last() else { return };
        let Some(previous) = before.iter().rev().find(|span| span.up_from_ms.is_some()) else {
            return;
        };
        let earlier = Timeline::of(before, |connection| self.connections.find(connection));
        let (Some(from_ms), Some(to_ms)) = (earlier.confirmed_to_ms(), newest.up_from_ms) else {
            return;
        };
        let gap = self.gap(index, previous.connection, from_ms);
        // A successor that was there before the old one fell silent: no gap, unless one was told.
        if to_ms > from_ms || gap.cause != GapCause::Takeover {
            let to_ms = Some(to_ms.max(from_ms));
            effects.gaps.push(FeedGap { to_ms, next_connection: Some(newest.connection), ..gap });
        }
    }

    fn lose(&mut self, event: &FeedEvent, cause: GapCause, effects: &mut Effects) {
        let Some(to_ms) = event.feed_time_ms else { return };
        let from_ms = match cause {
            GapCause::Overflow => event.confirmed_feed_time_ms.unwrap_or(to_ms).min(to_ms),
            _ => to_ms,
        };
        let grain_ms = self.rules.intervals[0].length_ms();
        for index in self.symbols.owned_by(event.connection) {
            let symbol = self.symbols.get_mut(index);
            if !event.symbols.is_empty() && !event.symbols.iter().any(|one| **one == *symbol.name) {
                continue;
            }
            if !coverage::add_loss(&mut symbol.losses, Loss { from_ms, to_ms }, grain_ms) {
                continue;
            }
            self.save_feed_later(index);
            effects.gaps.push(FeedGap {
                to_ms: Some(to_ms),
                cause,
                lost_records: event.lost_records,
                detail: event.detail.clone(),
                ..self.gap(index, event.connection, from_ms)
            });
            self.reassess(index, effects);
        }
    }

    /// A gap that has just begun.
    fn gap(&self, index: SymbolIndex, connection: i64, from_ms: i64) -> FeedGap {
        let state = self.connections.find(connection);
        FeedGap {
            symbol: self.symbols.get(index).name.to_string(),
            feed: state.map(|state| state.feed.clone()).unwrap_or_default(),
            connection,
            from_ms,
            to_ms: None,
            next_connection: None,
            cause: state.and_then(|state| state.ended_by).unwrap_or(GapCause::Takeover),
            lost_records: 0,
            detail: String::new(),
        }
    }

    /// No window that is kept starts before this, ms.
    fn horizon_ms(&self) -> i64 {
        let longest_ms = self.rules.intervals.last().map_or(0, |longest| longest.length_ms());
        let watermark_ms = self.connections.watermark_ms().unwrap_or(i64::MIN);
        watermark_ms.saturating_sub(self.rules.allowed_lateness_ms + longest_ms)
    }

    fn timeline(&self, index: SymbolIndex) -> Timeline {
        let spans = &self.symbols.get(index).spans;
        Timeline::of(spans, |connection| self.connections.find(connection))
    }

    pub(super) fn assess(&self, index: SymbolIndex, key: SlotKey) -> Completeness {
        let window = self.rules.intervals[key.tier].window_of(key.start_ms);
        self.timeline(index).assess(window, &self.symbols.get(index).losses)
    }

    fn save_feed_later(&mut self, index: SymbolIndex) {
        if !std::mem::replace(&mut self.symbols.get_mut(index).feed_unsaved, true) {
            self.feeds_to_save.push(index);
        }
    }

    /// The window waits until its owner is confirmed to its end.
    pub(super) fn await_confirmation(&mut self, index: SymbolIndex, key: SlotKey) {
        let end_ms = self.rules.intervals[key.tier].window_of(key.start_ms).end_ms;
        if let Some(owner) = self.symbols.get(index).spans.last() {
            self.connections.await_confirmation(owner.connection, end_ms);
        }
    }

    /// After a restore: every closed window that waits.
    pub(super) fn await_confirmations(&mut self) {
        let waiting: Vec<(SymbolIndex, SlotKey)> = self
            .symbols
            .iter()
            .flat_map(|(index, symbol)| symbol.windows.iter().map(move |slot| (index, slot)))
            .filter(|(_, (_, slot))| slot.completeness.is_some_and(|told| !told.is_settled()))
            .map(|(index, (key, _))| (index, key))
            .collect();
        for (index, key) in waiting {
            self.await_confirmation(index, key);
        }
    }

    /// Tells anew what was unconfirmed at the closing, once the connection used last confirms it.
    pub(super) fn settle_confirmed(&mut self, effects: &mut Effects) {
        let Some(connection) = self.connections.take_confirmed() else { return };
        for index in self.symbols.owned_by(connection) {
            self.reassess(index, effects);
        }
    }

    /// Emits the closed bars of a symbol about which something else is known than was told.
    fn reassess(&mut self, index: SymbolIndex, effects: &mut Effects) {
        let closed = self.symbols.get(index).windows.iter().filter(|(_, slot)| slot.closed);
        let told: Vec<(SlotKey, Completeness)> =
            closed.filter_map(|(key, slot)| Some((key, slot.completeness?))).collect();
        for (key, told) in told {
            let known = self.assess(index, key);
            if is_news(told, known) {
                self.tell_anew(index, key, known, effects);
            }
            if !known.is_settled() {
                self.await_confirmation(index, key);
            }
        }
    }

    fn tell_anew(
        &mut self,
        index: SymbolIndex,
        key: SlotKey,
        known: Completeness,
        effects: &mut Effects,
    ) {
        self.remember(index, key, effects);
        let Some(slot) = self.symbols.get_mut(index).windows.get_mut(key) else { return };
        let told = slot.completeness.replace(known).unwrap_or_default();
        slot.extra_revisions += 1;
        self.save_later(index, key);
        let is_gap = told.gap_ms != known.gap_ms || told.has_losses != known.has_losses;
        let why = if is_gap { RevisionWhy::FeedGap } else { RevisionWhy::Confirmed };
        self.emit_corrected(index, key, why, effects);
    }
}

/// A confirmed instant that moves on inside an open tail is no news: one revision settles the tail.
fn is_news(told: Completeness, known: Completeness) -> bool {
    let moved = told.gap_ms != known.gap_ms
        || told.has_losses != known.has_losses
        || told.up_ms.is_some() != known.up_ms.is_some();
    moved || (known.is_settled() && told != known)
}
