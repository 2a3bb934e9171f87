//! One partition of the stream: every record goes through `step` and ends as merged, duplicate,
//! rejected, late or control.

use std::sync::Arc;

use crate::model::{
    Candidate, Disposition, DuplicateReason, Effects, Judged, LateWindow, Lateness, Origin,
    PricePoint, RejectReason, Session, StateRecord, Tally, Told, Trade,
};

use super::Input;
use super::accumulator;
use super::agenda::{Action, Agenda, Due};
use super::cleaning::{self, Clean};
use super::conditions::{Eligibility, Last};
use super::connections::{Connections, Mark};
use super::rules::Rules;
use super::session::SessionClock;
use super::symbol_class::SymbolClass;
use super::symbols::{SymbolIndex, Symbols};
use super::windows::{Slot, SlotKey};

/// The state of one partition and the rules that move it.
#[derive(Debug)]
pub struct Engine {
    pub(super) rules: Arc<Rules>,
    pub(super) partition: i32,
    pub(super) partition_count: u32,
    pub(super) symbols: Symbols,
    pub(super) connections: Connections,
    pub(super) agenda: Agenda,
    pub(super) sessions: SessionClock,
    pub(super) tally: Tally,
    pub(super) consumed: i64,
    /// `consumed` when the state was last collected.
    pub(super) saved_consumed: i64,
    pub(super) next_offset: i64,
    pub(super) generation: i64,
    /// By tier: windows that start earlier are silent, ms.
    pub(super) active_from_ms: Vec<i64>,
    pub(super) told: Option<Told>,
    pub(super) is_scope_unsaved: bool,
    /// Windows to be sampled, and windows and evictions to be written to the changelog.
    pub(super) to_sample: Vec<(SymbolIndex, SlotKey)>,
    pub(super) to_save: Vec<(SymbolIndex, SlotKey)>,
    pub(super) evicted: Vec<StateRecord>,
    pub(super) feeds_to_save: Vec<SymbolIndex>,
}

/// What the judgement of a trade rests on.
struct Judgement {
    disposition: Disposition,
    clean: Option<Clean>,
    eligibility: Option<Eligibility>,
    session: Option<Session>,
    lateness: Option<Lateness>,
    behind_ms: i64,
}

impl Engine {
    /// A partition that has seen nothing. Its first record may have any offset.
    pub fn new(rules: Arc<Rules>, partition: i32, partition_count: u32) -> Self {
        // A window's coverage rests on connections that ended within it.
        let reach_ms = rules.longest_ms() + rules.allowed_lateness_ms;
        let horizon_ms = rules.mark_horizon_ms.max(reach_ms);
        Self {
            connections: Connections::new(rules.out_of_orderness_ms, horizon_ms),
            sessions: SessionClock::new(rules.calendar.clone()),
            symbols: Symbols::new(partition, partition_count),
            active_from_ms: vec![i64::MIN; rules.intervals.len()],
            told: None,
            is_scope_unsaved: true,
            rules,
            partition,
            partition_count,
            agenda: Agenda::default(),
            tally: Tally::default(),
            consumed: 0,
            saved_consumed: 0,
            next_offset: 0,
            generation: 0,
            to_sample: Vec::new(),
            to_save: Vec::new(),
            evicted: Vec::new(),
            feeds_to_save: Vec::new(),
        }
    }

    /// Takes one input and appends what it causes. For a record that is no control record, returns
    /// how it ended.
    pub fn step(&mut self, input: Input<'_>, effects: &mut Effects) -> Option<Disposition> {
        let disposition = self.take(input, effects);
        // Conservation, in release builds too: whatever is consumed ends in exactly one way.
        assert_eq!(self.tally.total(), self.consumed, "{:?} of {}", self.tally, self.consumed);
        disposition
    }

    fn take(&mut self, input: Input<'_>, effects: &mut Effects) -> Option<Disposition> {
        match input {
            Input::Trade { origin, key, trade } => Some(self.trade(origin, key, trade, effects)),
            Input::Event { origin, event } => {
                self.event(origin, event, effects);
                None
            }
            Input::Undecodable { origin, reason } => {
                self.consume(origin);
                let disposition = Disposition::Rejected(reason);
                self.count(disposition);
                Some(disposition)
            }
            Input::Sample => {
                self.sample(effects);
                None
            }
            Input::Drain => {
                self.drain(effects);
                None
            }
        }
    }

    /// The offset that follows the last record taken in.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// Took records in since its state was last collected.
    pub fn is_unsaved(&self) -> bool {
        self.consumed != self.saved_consumed
    }

    /// Watermark, ms since the epoch; `None` before the first trade.
    pub fn watermark_ms(&self) -> Option<i64> {
        self.connections.watermark_ms()
    }

    /// How the records ended so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Windows held in memory.
    pub fn open_windows(&self) -> usize {
        self.symbols.iter().map(|(_, symbol)| symbol.windows.len()).sum()
    }

    /// Symbols known.
    pub fn symbol_count(&self) -> usize {
        self.symbols.len()
    }

    pub(super) fn consume(&mut self, origin: Origin) {
        assert_eq!(origin.partition, self.partition, "a record of another partition");
        assert!(
            origin.offset >= self.next_offset,
            "offset {} of partition {} comes again after {}",
            origin.offset,
            self.partition,
            self.next_offset
        );
        self.next_offset = origin.offset + 1;
        self.consumed += 1;
    }

    fn count(&mut self, disposition: Disposition) {
        match disposition {
            Disposition::Merged => self.tally.merged += 1,
            Disposition::Duplicate(_) => self.tally.duplicate += 1,
            Disposition::Rejected(_) => self.tally.rejected += 1,
            Disposition::Late => self.tally.late += 1,
        }
    }

    fn trade(
        &mut self,
        origin: Origin,
        key: Option<&[u8]>,
        trade: Trade,
        effects: &mut Effects,
    ) -> Disposition {
        self.consume(origin);
        let judgement = match self.identify(key, &trade) {
            Ok(symbol) => {
                let judgement = self.judge(&trade, symbol);
                self.note_oddities(&trade, symbol, &judgement, effects);
                self.merge_and_advance(origin, &trade, symbol, &judgement, effects);
                judgement
            }
            Err(disposition) => unjudged(disposition),
        };
        self.count(judgement.disposition);
        if self.is_told(origin.offset, trade.trade_time_ms) {
            return judgement.disposition;
        }
        let eligibility = judgement.eligibility;
        effects.trades.push(Judged {
            trade,
            origin,
            disposition: judgement.disposition,
            session: judgement.session,
            updates_last: eligibility.is_some_and(|one| one.last != Last::No),
            updates_high_low: eligibility.is_some_and(|one| one.high_low),
            updates_volume: eligibility.is_some_and(|one| one.volume),
            lateness: judgement.lateness,
            behind_ms: judgement.behind_ms,
        });
        judgement.disposition
    }

    /// What the tables do not know of a trade that was believed.
    fn note_oddities(
        &self,
        trade: &Trade,
        index: SymbolIndex,
        judgement: &Judgement,
        effects: &mut Effects,
    ) {
        if judgement.eligibility.is_some_and(|one| one.has_unknown_code) {
            let codes = trade.conditions.as_deref().unwrap_or_default();
            let policy = self.symbols.get(index).policy;
            effects.unknown_codes.extend(self.rules.conditions.unknown(codes, policy).cloned());
        }
        if judgement.session.is_some() && !self.sessions.covers(trade.trade_time_ms) {
            effects.outside_calendar += 1;
        }
    }

    /// Whose trade is it: key, partition, mark and owner. A record that does not belong here leaves
    /// no mark.
    fn identify(&mut self, key: Option<&[u8]>, trade: &Trade) -> Result<SymbolIndex, Disposition> {
        let reject = |reason| Err(Disposition::Rejected(reason));
        if trade.symbol.is_empty() {
            return reject(RejectReason::SymbolEmpty);
        }
        if trade.symbol.len() > self.rules.symbol_max_bytes {
            return reject(RejectReason::SymbolTooLong);
        }
        if key != Some(trade.symbol.as_bytes()) {
            return reject(RejectReason::KeyMismatch);
        }
        let Some(index) = self.symbols.intern_at_home(&trade.symbol, &self.rules) else {
            return reject(RejectReason::WrongPartition);
        };
        match self.connections.pass(trade.connection, trade.seq, &trade.feed) {
            Mark::New => {}
            Mark::Seen => return Err(Disposition::Duplicate(DuplicateReason::Seq)),
            Mark::Dropped => return reject(RejectReason::ReleasedConnection),
        }
        let taken_over = self.symbols.get(index).spans.last().is_some_and(|owner| {
            owner.connection != trade.connection && trade.received_at_us > owner.since_us
        });
        if taken_over {
            return Err(Disposition::Duplicate(DuplicateReason::NotOwner));
        }
        Ok(index)
    }

    fn judge(&mut self, trade: &Trade, index: SymbolIndex) -> Judgement {
        let feed_time_ms = self.connections.feed_time_ms();
        let clean = match cleaning::judge(trade, feed_time_ms, &self.rules) {
            Ok(clean) => clean,
            Err(reason) => return unjudged(Disposition::Rejected(reason)),
        };
        let session = self.sessions.session_at(trade.trade_time_ms);
        let eligibility = self.eligibility(trade, index, clean, session);
        let watermark_ms = self.connections.watermark_ms().unwrap_or(i64::MIN);
        let behind_ms = watermark_ms.saturating_sub(trade.trade_time_ms).max(0);
        let lateness = self.lateness(trade, index, behind_ms);
        if lateness.is_none() && !self.has_room(trade, index, clean) {
            return unjudged(Disposition::Rejected(RejectReason::VolumeOutOfRange));
        }
        let disposition = if lateness.is_some() { Disposition::Late } else { Disposition::Merged };
        let is_stock = self.symbols.get(index).class == SymbolClass::UsStock;
        Judgement {
            disposition,
            clean: Some(clean),
            eligibility: Some(eligibility),
            session: is_stock.then_some(session),
            lateness,
            behind_ms,
        }
    }

    fn eligibility(
        &self,
        trade: &Trade,
        index: SymbolIndex,
        clean: Clean,
        session: Session,
    ) -> Eligibility {
        let symbol = self.symbols.get(index);
        let codes = trade.conditions.as_deref().unwrap_or_default();
        self.rules.eligibility(symbol.class, symbol.policy, codes, clean.volume, session)
    }

    fn lateness(&self, trade: &Trade, index: SymbolIndex, behind_ms: i64) -> Option<Lateness> {
        if behind_ms <= self.rules.allowed_lateness_ms {
            return None;
        }
        let start_ms = self.rules.intervals[0].window_of(trade.trade_time_ms).start_ms;
        let key = SlotKey { tier: 0, start_ms };
        let slot = self.symbols.get(index).windows.get(key);
        Some(Lateness {
            watermark_ms: self.connections.watermark_ms()?,
            late_by_ms: behind_ms,
            window_start_ms: start_ms,
            window: match slot {
                None => LateWindow::Gone,
                Some(slot) if slot.closed || self.is_silent(key) => LateWindow::Closed,
                Some(_) => LateWindow::Open,
            },
        })
    }

    fn has_room(&self, trade: &Trade, index: SymbolIndex, clean: Clean) -> bool {
        let start_ms = self.rules.intervals[0].window_of(trade.trade_time_ms).start_ms;
        let slot = self.symbols.get(index).windows.get(SlotKey { tier: 0, start_ms });
        slot.is_none_or(|slot| accumulator::has_room(&slot.accumulator, clean.volume))
    }

    fn merge_and_advance(
        &mut self,
        origin: Origin,
        trade: &Trade,
        index: SymbolIndex,
        judgement: &Judgement,
        effects: &mut Effects,
    ) {
        let (Some(clean), Some(eligibility)) = (judgement.clean, judgement.eligibility) else {
            return;
        };
        let symbol = self.symbols.get_mut(index);
        if !std::mem::replace(&mut symbol.is_listed, true) {
            effects.symbols.push(trade.symbol.to_string());
        }
        // What counts for nothing changes no bar, so it makes no window and no revision either.
        if judgement.disposition == Disposition::Merged && eligibility.volume {
            // Only behind the watermark can a window be closed.
            let is_behind = judgement.behind_ms > 0;
            if is_behind {
                self.remember_closed(index, trade.trade_time_ms, effects);
            }
            self.merge(origin, trade, index, clean, eligibility);
            if is_behind {
                self.emit_after_merge(index, trade.trade_time_ms, effects);
            }
        }
        let advanced = self.connections.accept(trade.trade_time_ms);
        self.settle_confirmed(effects);
        if let Some(watermark_ms) = advanced {
            self.run_agenda(watermark_ms, effects);
        }
    }

    fn merge(
        &mut self,
        origin: Origin,
        trade: &Trade,
        index: SymbolIndex,
        clean: Clean,
        eligibility: Eligibility,
    ) {
        let point = PricePoint {
            price: trade.price,
            trade_time_ms: trade.trade_time_ms,
            connection: trade.connection,
            seq: trade.seq,
        };
        let candidate = Candidate { point, arrival: origin.offset };
        let session = self.sessions.session_at(trade.trade_time_ms);
        for tier in 0..self.rules.intervals.len() {
            let start_ms = self.rules.intervals[tier].window_of(trade.trade_time_ms).start_ms;
            let key = SlotKey { tier, start_ms };
            if tier > 0 && self.is_silent(key) {
                continue;
            }
            self.change(index, key, |slot| {
                if tier == 0 {
                    let sums = &mut slot.accumulator;
                    accumulator::add(sums, candidate, clean.price, clean.volume, eligibility);
                    sums.sessions |= 1 << session as u8;
                }
                tier == 0
            });
        }
    }

    /// Changes a slot, which is made when it is not there. The changelog is told of it when it is
    /// new or `change` says so, the next sample unless it is closed or silent. It is searched for
    /// once: every trade comes here for every interval.
    pub(super) fn change(
        &mut self,
        index: SymbolIndex,
        key: SlotKey,
        change: impl FnOnce(&mut Slot) -> bool,
    ) {
        let is_silent = self.is_silent(key);
        let (slot, is_new) = self.symbols.get_mut(index).windows.entry(key);
        if (change(slot) || is_new) && !std::mem::replace(&mut slot.unsaved, true) {
            self.to_save.push((index, key));
        }
        if !slot.closed && !is_silent && !std::mem::replace(&mut slot.unsampled, true) {
            self.to_sample.push((index, key));
        }
        if is_new {
            // A silent one has no bar to close.
            let action = if is_silent { Action::Evict } else { Action::Close };
            self.put_on_agenda(index, key, action);
        }
    }

    pub(super) fn put_on_agenda(&mut self, symbol: SymbolIndex, key: SlotKey, action: Action) {
        let end_ms = key.start_ms + self.rules.intervals[key.tier].length_ms();
        let at_ms = match action {
            Action::Close => end_ms,
            Action::Evict => end_ms + self.rules.allowed_lateness_ms,
        };
        let name = Arc::clone(&self.symbols.get(symbol).name);
        self.agenda.add(Due { at_ms, action, key, name, symbol });
    }
}

fn unjudged(disposition: Disposition) -> Judgement {
    Judgement {
        disposition,
        clean: None,
        eligibility: None,
        session: None,
        lateness: None,
        behind_ms: 0,
    }
}
