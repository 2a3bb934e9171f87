//! Feed events as inputs of the windows: who owns a symbol, when its feed was up, what it lost, and
//! what that changes in bars that were told already.

use crate::model::{
    Completeness, Effects, FeedEvent, FeedEventKind, FeedGap, GapCause, Loss, Origin, OwnedSpan,
    RevisionWhy, StoredEvent,
};

use super::cleaning;
use super::connections::Mark;
use super::coverage::{self, Timeline};
use super::partition::Engine;
use super::symbols::SymbolIndex;
use super::windows::SlotKey;

/// A first trade that is older than the connection before it says by no more than this is a late
/// print; beyond that a clock was set, ms.
const STALE_LIMIT_MS: i64 = 3_600_000;

impl Engine {
    pub(super) fn event(&mut self, origin: Origin, told: FeedEvent, effects: &mut Effects) {
        self.consume(origin);
        self.tally.control += 1;
        if self.connections.pass(told.connection, told.seq, &told.feed) != Mark::New {
            return;
        }
        let event = cleaning::believable(&told, self.connections.feed_time_ms(), &self.rules);
        effects.events.push(StoredEvent { origin, event: told });
        let observed = self.connections.observe(&event);
        if observed.is_dated {
            self.date_spans(event.connection, effects);
        }
        for connection in observed.ended {
            self.open_gaps(connection, &event, effects);
        }
        match event.kind {
            FeedEventKind::Subscribed => self.take_over(&event, effects),
            FeedEventKind::Overflow => self.lose(&event, GapCause::Overflow, effects),
            FeedEventKind::DecodeLoss => self.lose(&event, GapCause::DecodeLoss, effects),
            _ => {}
        }
        self.settle_confirmed(effects);
        if let Some(watermark_ms) = observed.watermark_ms {
            self.run_agenda(watermark_ms, effects);
        }
    }

    /// The newest `subscribed` event that names a symbol owns it from then on. An older connection
    /// takes it back only from one that has ended, and one that has ended takes nothing.
    fn take_over(&mut self, event: &FeedEvent, effects: &mut Effects) {
        if !self.connections.is_live(event.connection) {
            return;
        }
        for name in &event.symbols {
            let Some(index) = self.symbols.intern_at_home(name, &self.rules) else { continue };
            let owner = self.symbols.get(index).spans.last().map(|span| span.connection);
            let keeps = |owner: i64| {
                // A connection that names its symbols once more changes nothing.
                owner == event.connection
                    || owner > event.connection && self.connections.is_live(owner)
            };
            if owner.is_some_and(keeps) {
                continue;
            }
            self.forget(index);
            let symbol = self.symbols.get_mut(index);
            symbol.spans.push(OwnedSpan {
                connection: event.connection,
                since_us: event.at_us,
                up_from_ms: None,
            });
            self.save_feed_later(index);
            let known_ms = event.feed_time_ms.or_else(|| {
                // Until it has a feed time of its own.
                Some(event.at_us.div_euclid(1_000) + self.offset_before(index)?)
            });
            if let Some(from_ms) = known_ms {
                self.date_newest(index, from_ms);
                self.close_gap(index, self.symbols.get(index).spans.len() - 1, effects);
            }
            self.reassess(index, effects);
        }
    }

    /// The connection has a feed time now: so has everything that it subscribed before.
    fn date_spans(&mut self, connection: i64, effects: &mut Effects) {
        let offset_ms = self.connections.find(connection).and_then(|state| state.feed_offset_ms);
        let Some(offset_ms) = offset_ms else { return };
        for index in self.symbols.fed_by(connection) {
            let spans = &self.symbols.get(index).spans;
            let position = spans.iter().rposition(|span| span.connection == connection);
            let position = position.expect("it fed the symbol");
            let before = spans[position];
            let since_ms = before.since_us.div_euclid(1_000);
            if position + 1 == spans.len() {
                // The first trade may be an old one, reported late. It would date the subscription
                // too early and hide the gap before it.
                let known_ms = self
                    .offset_before(index)
                    .filter(|known_ms| (0..=STALE_LIMIT_MS).contains(&(known_ms - offset_ms)));
                self.date_newest(index, since_ms + known_ms.unwrap_or(offset_ms));
            } else {
                self.symbols.get_mut(index).spans[position].up_from_ms = Some(since_ms + offset_ms);
            }
            if self.symbols.get(index).spans[position] != before {
                self.save_feed_later(index);
                self.close_gap(index, position, effects);
            }
            self.reassess(index, effects);
        }
    }

    /// How feed time related to the producer's clock on the connection before the newest, where
    /// that is over and was of the same feed.
    fn offset_before(&self, index: SymbolIndex) -> Option<i64> {
        let [.., before, newest] = self.symbols.get(index).spans.as_slice() else { return None };
        let before = self.connections.find(before.connection)?;
        let newest = self.connections.find(newest.connection)?;
        before.feed_offset_ms.filter(|_| !before.live && before.feed == newest.feed)
    }

    /// The newest owner is up from `from_ms` on, and not before the end of one that is over.
    fn date_newest(&mut self, index: SymbolIndex, from_ms: i64) {
        let spans = &self.symbols.get(index).spans;
        let Some((_, before)) = spans.split_last() else { return };
        let is_over = before.last().is_some_and(|span| !self.connections.is_live(span.connection));
        let earlier = Timeline::of(before, |connection| self.connections.find(connection));
        let ended_ms = earlier.confirmed_to_ms().filter(|_| is_over).unwrap_or(from_ms);
        if let Some(newest) = self.symbols.get_mut(index).spans.last_mut() {
            newest.up_from_ms = Some(from_ms.max(ended_ms));
        }
    }

    /// A connection ended: what it owned is not up from its last confirmed instant on, up to where
    /// another one had taken over.
    fn open_gaps(&mut self, connection: i64, event: &FeedEvent, effects: &mut Effects) {
        for index in self.symbols.fed_by(connection) {
            let spans = &self.symbols.get(index).spans;
            let last = spans.iter().rposition(|span| span.connection == connection);
            let position = last.expect("it fed the symbol");
            // Never heard of, it never was up, and the gap before it lasts.
            let was_up = self.is_up(&spans[position]);
            let until = spans[position + 1..].iter().find(|span| span.up_from_ms.is_some());
            let to_ms = until.and_then(|span| span.up_from_ms);
            let next_connection = until.map(|span| span.connection);
            let from_ms = self.timeline_to(index, position).confirmed_to_ms();
            let from_ms = from_ms.filter(|from_ms| was_up && to_ms.is_none_or(|to| to > *from_ms));
            if let Some(from_ms) = from_ms {
                let gap = self.gap(index, connection, from_ms);
                // A successor's event says nothing of why.
                let is_own = event.connection == connection;
                let detail = if is_own { event.detail.clone() } else { String::new() };
                effects.gaps.push(FeedGap { detail, to_ms, next_connection, ..gap });
            }
            self.reassess(index, effects);
        }
    }

    /// The owner at `position` is up from a known instant on, so the gap before it has an end. While
    /// the one before lives, there may be none.
    fn close_gap(&self, index: SymbolIndex, position: usize, effects: &mut Effects) {
        let spans = &self.symbols.get(index).spans;
        let Some(last) = spans[..position].iter().rposition(|span| self.is_up(span)) else {
            return;
        };
        let previous = spans[last].connection;
        let from_ms = self.timeline_to(index, last).confirmed_to_ms();
        let (Some(from_ms), Some(to_ms)) = (from_ms, spans[position].up_from_ms) else { return };
        if !self.connections.is_live(previous) {
            // A beginning was told, so an end is, even where it turns out that nothing is missing.
            let to_ms = Some(to_ms.max(from_ms));
            let next_connection = Some(spans[position].connection);
            let gap = self.gap(index, previous, from_ms);
            effects.gaps.push(FeedGap { to_ms, next_connection, ..gap });
        }
    }

    fn lose(&mut self, event: &FeedEvent, cause: GapCause, effects: &mut Effects) {
        let is_hit =
            |name: &str| event.symbols.is_empty() || event.symbols.iter().any(|one| one == name);
        for index in self.symbols.fed_by(event.connection) {
            if !is_hit(&self.symbols.get(index).name) {
                continue;
            }
            let Some(to_ms) = event.feed_time_ms else {
                self.vouch_later(index, event);
                continue;
            };
            let from_ms = match cause {
                GapCause::Overflow => event.confirmed_feed_time_ms.unwrap_or(to_ms).min(to_ms),
                _ => to_ms,
            };
            self.add_loss(index, Loss { from_ms, to_ms }, cause, event, effects);
        }
    }

    /// A loss before the first trade has no feed time: the subscription counts from there on.
    fn vouch_later(&mut self, index: SymbolIndex, event: &FeedEvent) {
        let newest = self.symbols.get_mut(index).spans.last_mut();
        if let Some(span) = newest.filter(|span| span.connection == event.connection) {
            span.since_us = span.since_us.max(event.at_us);
            self.save_feed_later(index);
        }
    }

    fn add_loss(
        &mut self,
        index: SymbolIndex,
        loss: Loss,
        cause: GapCause,
        event: &FeedEvent,
        effects: &mut Effects,
    ) {
        self.forget(index);
        let grain_ms = self.rules.intervals[0].length_ms();
        let symbol = self.symbols.get_mut(index);
        // What another connection delivered from its takeover on was not lost.
        let is_own = |span: &OwnedSpan| span.connection == event.connection;
        let later = symbol.spans.iter().rev().take_while(|span| !is_own(span));
        let next_ms = later.filter_map(|span| span.up_from_ms).min().unwrap_or(i64::MAX);
        let loss = Loss { to_ms: loss.to_ms.min(next_ms), ..loss };
        if loss.from_ms > loss.to_ms || !coverage::add_loss(&mut symbol.losses, loss, grain_ms) {
            return;
        }
        self.save_feed_later(index);
        effects.gaps.push(FeedGap {
            to_ms: Some(loss.to_ms),
            cause,
            lost_records: event.lost_records,
            detail: event.detail.clone(),
            ..self.gap(index, event.connection, loss.from_ms)
        });
        self.reassess(index, effects);
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

    /// Drops what no window that is kept can see: none starts before the horizon.
    fn forget(&mut self, index: SymbolIndex) {
        let watermark_ms = self.connections.watermark_ms().unwrap_or(i64::MIN);
        let reach_ms = self.rules.allowed_lateness_ms + self.rules.longest_ms();
        let symbol = self.symbols.get_mut(index);
        let horizon_ms = watermark_ms.saturating_sub(reach_ms);
        let find = |connection| self.connections.find(connection);
        coverage::forget(&mut symbol.spans, &mut symbol.losses, horizon_ms, find);
    }

    fn is_up(&self, span: &OwnedSpan) -> bool {
        coverage::is_up(span, self.connections.find(span.connection))
    }

    fn timeline(&self, index: SymbolIndex) -> Timeline {
        let spans = &self.symbols.get(index).spans;
        Timeline::of(spans, |connection| self.connections.find(connection))
    }

    /// As if the span at `position` had no successor.
    fn timeline_to(&self, index: SymbolIndex, position: usize) -> Timeline {
        let spans = &self.symbols.get(index).spans[..=position];
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

    /// The window waits until those are heard of that may still confirm it.
    pub(super) fn await_confirmation(&mut self, index: SymbolIndex, key: SlotKey) {
        let window = self.rules.intervals[key.tier].window_of(key.start_ms);
        for (connection, end_ms) in self.timeline(index).awaited(window) {
            self.connections.await_confirmation(connection, end_ms);
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
        for index in self.symbols.fed_by(connection) {
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
