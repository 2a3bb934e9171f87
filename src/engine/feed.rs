//! Feed events as inputs of the windows: who owns a symbol, when its feed was up, what it lost, and
//! what that changes in bars that were told already.

use crate::model::{
    Completeness, Effects, FeedEvent, FeedEventKind, FeedGap, GapCause, Loss, Origin, OwnedSpan,
    RevisionWhy, StoredEvent,
};

use super::cleaning;
use super::connections::Mark;
use super::coverage::{self, Gap, Timeline};
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
        if told.kind == FeedEventKind::Connected {
            self.drop_old_marks();
        }
        let event = cleaning::believable(&told, self.connections.feed_time_ms(), &self.rules);
        effects.events.push(StoredEvent { origin, event: told });
        let before = self.gaps_before(&event);
        let observed = self.connections.observe(&event);
        if observed.is_dated {
            self.date_spans(event.connection);
        }
        match event.kind {
            FeedEventKind::Subscribed => self.take_over(&event),
            FeedEventKind::Overflow => self.lose(&event, GapCause::Overflow, effects),
            FeedEventKind::DecodeLoss => self.lose(&event, GapCause::DecodeLoss, effects),
            _ => {}
        }
        for (index, before) in &before {
            self.tell_gaps(*index, before, &event, effects);
            self.reassess(*index, is_news, effects);
        }
        self.settle_confirmed(effects);
        if let Some(watermark_ms) = observed.watermark_ms {
            self.run_agenda(watermark_ms, effects);
        }
        // Last: what the event has just told, and the windows that it closed, rest on all of it.
        for (index, _) in before {
            self.forget(index);
        }
    }

    /// Makes room for a new connection. One that a symbol's coverage still rests on stays, however
    /// far one record has moved the watermark: the gap after it is still to be told.
    fn drop_old_marks(&mut self) {
        let mut passed = self.connections.passed();
        if passed.is_empty() {
            return;
        }
        for (_, symbol) in self.symbols.iter() {
            passed.retain(|one| symbol.spans.iter().all(|span| span.connection != *one));
        }
        self.connections.drop_marks(&passed);
    }

    /// The symbols whose gaps the event may change, by name, each with its gaps so far.
    fn gaps_before(&mut self, event: &FeedEvent) -> Vec<(SymbolIndex, Vec<FeedGap>)> {
        let is_dated =
            self.connections.find(event.connection).is_some_and(|one| one.feed_offset_ms.is_some());
        if event.kind == FeedEventKind::Heartbeat && is_dated {
            return Vec::new();
        }
        if event.kind == FeedEventKind::Subscribed {
            for name in &event.symbols {
                self.symbols.intern_at_home(name, &self.rules);
            }
        }
        let is_touched = |connection| {
            let state = self.connections.find(connection);
            connection == event.connection || state.is_some_and(|one| one.feed == event.feed)
        };
        let touched = self.symbols.fed_by(is_touched, &event.symbols);
        touched.into_iter().map(|index| (index, self.gap_rows(index))).collect()
    }

    /// Rows for the gaps that the event began, ended or moved.
    fn tell_gaps(
        &self,
        index: SymbolIndex,
        before: &[FeedGap],
        event: &FeedEvent,
        effects: &mut Effects,
    ) {
        let now = self.gap_rows(index);
        let is_same = |one: &FeedGap, other: &FeedGap| {
            (one.connection, one.from_ms, one.cause)
                == (other.connection, other.from_ms, other.cause)
        };
        // What turns out to be none has no length.
        let gone = before.iter().filter(|gap| !now.iter().any(|one| is_same(one, gap)));
        effects.gaps.extend(gone.map(|gap| FeedGap {
            to_ms: Some(gap.from_ms),
            next_connection: None,
            ..gap.clone()
        }));
        for gap in now.into_iter().filter(|gap| !before.contains(gap)) {
            // A successor's event says nothing of why.
            let is_own = gap.to_ms.is_none() && event.connection == gap.connection;
            let detail = if is_own { event.detail.clone() } else { String::new() };
            effects.gaps.push(FeedGap { detail, ..gap });
        }
    }

    /// As far as they are told.
    fn gap_rows(&self, index: SymbolIndex) -> Vec<FeedGap> {
        let find = |connection| self.connections.find(connection);
        let mut spans = self.symbols.get(index).spans.clone();
        spans.retain(|span| find(span.connection).is_none_or(coverage::is_told));
        let gaps = Timeline::of(&spans, find).gaps();
        gaps.iter().map(|gap| self.gap_row(index, gap)).collect()
    }

    /// The newest `subscribed` event that names a symbol owns it from then on. An older connection
    /// takes it back only from one that has ended, and one that has ended takes nothing.
    fn take_over(&mut self, event: &FeedEvent) {
        if !self.connections.is_live(event.connection) {
            return;
        }
        let of_feed_ms = self.connections.offset_before(event.connection);
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
            let symbol = self.symbols.get_mut(index);
            symbol.spans.push(OwnedSpan {
                connection: event.connection,
                since_us: event.at_us,
                up_from_ms: None,
            });
            self.save_feed_later(index);
            let by_clock = || self.by_clock_before(index, event, of_feed_ms);
            if let Some(from_ms) = event.feed_time_ms.or_else(by_clock) {
                self.date_newest(index, from_ms, true);
            }
        }
    }

    /// The feed time of an event on a connection without one: by how the producer's clock related
    /// to feed time on the connection before of the same feed, else on the owner before.
    fn by_clock_before(
        &self,
        index: SymbolIndex,
        event: &FeedEvent,
        of_feed_ms: Option<i64>,
    ) -> Option<i64> {
        let at_ms = event.at_us.div_euclid(1_000);
        if let Some(offset_ms) = of_feed_ms {
            return Some(at_ms + offset_ms);
        }
        // A clock that is not its own may differ, but it came after those before it.
        let spans = self.symbols.get(index).spans.iter();
        let before = spans.filter(|span| span.connection != event.connection);
        let not_before_ms = before.clone().filter_map(|span| span.up_from_ms).max();
        let offset_of = |span: &OwnedSpan| self.connections.find(span.connection)?.feed_offset_ms;
        let offset_ms = before.rev().find_map(offset_of)?;
        Some((at_ms + offset_ms).max(not_before_ms.unwrap_or(i64::MIN)))
    }

    /// The connection has a feed time now: so has everything that it subscribed before.
    fn date_spans(&mut self, connection: i64) {
        let own_ms = self.connections.find(connection).and_then(|state| state.feed_offset_ms);
        let Some(own_ms) = own_ms else { return };
        // The first trade may be an old one, reported late. It would date the subscription too
        // early and hide the gap before it.
        let is_better = |before_ms: &i64| (0..=STALE_LIMIT_MS).contains(&(before_ms - own_ms));
        let before_ms = self.connections.offset_before(connection).filter(is_better);
        let offset_ms = before_ms.unwrap_or(own_ms);
        for index in self.symbols.fed_by(|fed| fed == connection, &[]) {
            let spans = &mut self.symbols.get_mut(index).spans;
            let newest = spans.len() - 1;
            let own = |span: &OwnedSpan| span.connection == connection;
            let first = spans.iter().position(own).expect("it fed the symbol");
            let first_ms = spans[first].since_us.div_euclid(1_000) + offset_ms;
            for span in &mut spans[first..] {
                // It is the best clock for later owners too that have none of their own yet.
                if own(span) || span.up_from_ms.is_none() {
                    let from_ms = span.since_us.div_euclid(1_000) + offset_ms;
                    span.up_from_ms = Some(from_ms.max(first_ms));
                }
            }
            if spans[newest].connection == connection {
                let from_ms = spans[newest].since_us.div_euclid(1_000) + offset_ms;
                self.date_newest(index, from_ms, false);
            }
            self.save_feed_later(index);
        }
    }

    /// The newest owner is up from `from_ms` on, and not before the last sign of one that is over.
    /// `is_first` dates are bounded by one that lives as well: whatever the clocks say, the log has
    /// told so much of it before the takeover.
    fn date_newest(&mut self, index: SymbolIndex, from_ms: i64, is_first: bool) {
        let spans = &self.symbols.get(index).spans;
        let Some((_, before)) = spans.split_last() else { return };
        let lives = before.last().is_some_and(|span| self.connections.is_live(span.connection));
        let earlier = Timeline::of(before, |connection| self.connections.find(connection));
        let heard_ms = earlier.confirmed_to_ms().filter(|_| is_first || !lives);
        if let Some(newest) = self.symbols.get_mut(index).spans.last_mut() {
            newest.up_from_ms = Some(from_ms.max(heard_ms.unwrap_or(from_ms)));
        }
    }

    fn lose(&mut self, event: &FeedEvent, cause: GapCause, effects: &mut Effects) {
        let is_hit =
            |name: &str| event.symbols.is_empty() || event.symbols.iter().any(|one| one == name);
        for index in self.symbols.fed_by(|fed| fed == event.connection, &[]) {
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
        let of_feed_ms = self.connections.offset_before(event.connection);
        let from_ms = self.by_clock_before(index, event, of_feed_ms);
        let Some(newest) = self.symbols.get_mut(index).spans.last_mut() else { return };
        if newest.connection != event.connection || newest.since_us >= event.at_us {
            return;
        }
        newest.since_us = event.at_us;
        self.save_feed_later(index);
        if let Some(from_ms) = from_ms {
            self.date_newest(index, from_ms, true);
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
        let next = Some((loss.to_ms, event.connection));
        let gap = Gap { connection: event.connection, from_ms: loss.from_ms, next };
        effects.gaps.push(FeedGap {
            next_connection: None,
            cause,
            lost_records: event.lost_records,
            detail: event.detail.clone(),
            ..self.gap_row(index, &gap)
        });
    }

    fn gap_row(&self, index: SymbolIndex, gap: &Gap) -> FeedGap {
        let state = self.connections.find(gap.connection);
        FeedGap {
            symbol: self.symbols.get(index).name.to_string(),
            feed: state.map(|state| state.feed.clone()).unwrap_or_default(),
            connection: gap.connection,
            from_ms: gap.from_ms,
            to_ms: gap.next.map(|(to_ms, _)| to_ms),
            next_connection: gap.next.map(|(_, connection)| connection),
            cause: state.and_then(|state| state.ended_by).unwrap_or(GapCause::Takeover),
            lost_records: 0,
            detail: String::new(),
            told_at: self.next_offset - 1,
        }
    }

    /// Drops what no window that is kept can see: after the agenda has run, none starts before the
    /// horizon.
    fn forget(&mut self, index: SymbolIndex) {
        let watermark_ms = self.connections.watermark_ms().unwrap_or(i64::MIN);
        let reach_ms = self.rules.allowed_lateness_ms + self.rules.longest_ms();
        let symbol = self.symbols.get_mut(index);
        let horizon_ms = watermark_ms.saturating_sub(reach_ms);
        let find = |connection| self.connections.find(connection);
        let known = (symbol.spans.len(), symbol.losses.len());
        coverage::forget(&mut symbol.spans, &mut symbol.losses, horizon_ms, find);
        if known != (symbol.spans.len(), symbol.losses.len()) {
            // A restored engine has to have forgotten the same.
            self.save_feed_later(index);
        }
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
        let symbol = self.symbols.get_mut(index);
        symbol.has_feed = true;
        if !std::mem::replace(&mut symbol.feed_unsaved, true) {
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

    /// Tells anew what was unconfirmed when it was told, once the connection used last confirms it.
    ///
    /// Only of windows for which nothing more is awaited: that this connection was awaited so early
    /// may be for a window evicted since, of which a restored engine knows nothing.
    pub(super) fn settle_confirmed(&mut self, effects: &mut Effects) {
        let Some(connection) = self.connections.take_confirmed() else { return };
        for index in self.symbols.fed_by(|fed| fed == connection, &[]) {
            self.reassess(index, settles, effects);
        }
    }

    /// Emits the closed bars of a symbol about which something else is known than was told, where
    /// that `is_due`.
    fn reassess(
        &mut self,
        index: SymbolIndex,
        is_due: impl Fn(Completeness, Completeness) -> bool,
        effects: &mut Effects,
    ) {
        let closed = self.symbols.get(index).windows.iter().filter(|(_, slot)| slot.closed);
        let told: Vec<(SlotKey, Completeness)> =
            closed.filter_map(|(key, slot)| Some((key, slot.completeness?))).collect();
        for (key, told) in told {
            let known = self.assess(index, key);
            if is_due(told, known) {
                self.tell_anew(index, key, known, effects);
            }
            if !known.is_settled() {
                self.await_confirmation(index, key);
            }
        }
    }

    /// What is known of a window that is forgotten while it still waits.
    pub(super) fn tell_last(&mut self, index: SymbolIndex, key: SlotKey, effects: &mut Effects) {
        let slot = self.symbols.get(index).windows.get(key);
        let told = slot.and_then(|slot| slot.completeness).filter(|told| !told.is_settled());
        // Nearly every window has heard its last word already.
        let Some(told) = told else { return };
        let known = self.assess(index, key);
        if is_news(told, known) {
            self.tell_anew(index, key, known, effects);
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
        let is_gap = is_worse(told, known) || told.gap_ms != known.gap_ms;
        let why = if is_gap { RevisionWhy::FeedGap } else { RevisionWhy::Confirmed };
        self.emit_corrected(index, key, why, effects);
    }
}

/// A confirmed instant that moves on inside an open tail is no news: one revision settles the tail.
fn is_news(told: Completeness, known: Completeness) -> bool {
    let moved = told.gap_ms != known.gap_ms || told.up_ms.is_some() != known.up_ms.is_some();
    moved || is_worse(told, known) || (known.is_settled() && told != known)
}

/// What was awaited has come.
fn settles(told: Completeness, known: Completeness) -> bool {
    !told.is_settled() && known.is_settled()
}

/// More was claimed than is known now.
fn is_worse(told: Completeness, known: Completeness) -> bool {
    known.up_ms < told.up_ms || known.has_losses != told.has_losses
}
