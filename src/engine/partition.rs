//! One partition of the stream: every record goes through `step` and ends as merged, duplicate,
//! rejected, late or control.

use std::sync::Arc;

use crate::model::{
    Candidate, Disposition, DuplicateReason, Effects, FeedEvent, FeedEventKind, Judged, Lateness,
    Origin, PricePoint, RejectReason, Session, StateRecord, StoredEvent, Tally, Trade,
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
use super::windows::SlotKey;

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
    /// Windows to be sampled, and windows and evictions to be written to the changelog.
    pub(super) to_sample: Vec<(SymbolIndex, SlotKey)>,
    pub(super) to_save: Vec<(SymbolIndex, SlotKey)>,
    pub(super) evicted: Vec<StateRecord>,
    pub(super) owners_unsaved: bool,
}

/// What the judgement of a trade rests on.
struct Judgement {
    disposition: Disposition,
    clean: Option<Clean>,
    eligibility: Option<Eligibility>,
    session: Option<Session>,
    lateness: Option<Lateness>,
}

impl Engine {
    /// A partition that has seen nothing. Its first record may have any offset.
    pub fn new(rules: Arc<Rules>, partition: i32, partition_count: u32) -> Self {
        Self {
            connections: Connections::new(rules.out_of_orderness_ms, rules.mark_horizon_ms),
            sessions: SessionClock::new(rules.calendar.clone()),
            symbols: Symbols::new(partition, partition_count),
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
            owners_unsaved: false,
        }
    }

    /// Takes one input and appends what it causes. For a record that is no control record, returns
    /// how it ended.
    pub fn step(&mut self, input: Input<'_>, effects: &mut Effects) -> Option<Disposition> {
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

    fn consume(&mut self, origin: Origin) {
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
                self.merge_and_advance(origin, &trade, symbol, &judgement, effects);
                judgement
            }
            Err(disposition) => Judgement {
                disposition,
                clean: None,
                eligibility: None,
                session: None,
                lateness: None,
            },
        };
        self.count(judgement.disposition);
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
        });
        judgement.disposition
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
        let taken_over = self.symbols.get(index).owner.is_some_and(|(connection, since_us)| {
            connection != trade.connection && trade.received_at_us > since_us
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
            Err(reason) => return rejected(reason),
        };
        let session = self.sessions.session_at(trade.trade_time_ms);
        let eligibility = self.eligibility(trade, index, clean, session);
        let lateness = self.lateness(trade);
        if lateness.is_none() && !self.has_room(trade, index, clean) {
            return rejected(RejectReason::VolumeOutOfRange);
        }
        let disposition = if lateness.is_some() { Disposition::Late } else { Disposition::Merged };
        let is_stock = self.symbols.get(index).class == SymbolClass::UsStock;
        Judgement {
            disposition,
            clean: Some(clean),
            eligibility: Some(eligibility),
            session: is_stock.then_some(session),
            lateness,
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
        let judged = self.rules.conditions.judge(codes, symbol.policy, session);
        // A venue without trades sends price updates of volume 0; on the tape they mean nothing.
        if symbol.class == SymbolClass::UsStock && clean.volume.is_zero() {
            return Eligibility { last: Last::No, high_low: false, ..judged };
        }
        judged
    }

    fn lateness(&self, trade: &Trade) -> Option<Lateness> {
        let watermark_ms = self.connections.watermark_ms()?;
        let late = trade.trade_time_ms < watermark_ms - self.rules.allowed_lateness_ms;
        late.then(|| Lateness {
            watermark_ms,
            late_by_ms: watermark_ms - trade.trade_time_ms,
            window_start_ms: self.rules.intervals[0].window_of(trade.trade_time_ms).start_ms,
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
            effects.symbols.push(trade.symbol.clone());
        }
        // What counts for nothing changes no bar, so it makes no window and no revision either.
        if judgement.disposition == Disposition::Merged && eligibility.volume {
            self.merge(origin, trade, index, clean, eligibility);
            self.emit_after_merge(index, trade.trade_time_ms, effects);
        }
        if let Some(watermark_ms) = self.connections.accept(trade.trade_time_ms) {
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
            self.ensure_slot(index, key);
            let slot = self.symbols.get_mut(index).windows.get_mut(key);
            let slot = slot.expect("the slot was made above");
            if tier == 0 {
                accumulator::add(
                    &mut slot.accumulator,
                    candidate,
                    clean.price,
                    clean.volume,
                    eligibility,
                );
                slot.accumulator.sessions |= 1 << session as u8;
                if !std::mem::replace(&mut slot.unsaved, true) {
                    self.to_save.push((index, key));
                }
            }
            let slot = self.symbols.get_mut(index).windows.get_mut(key);
            let slot = slot.expect("the slot was made above");
            if !slot.closed && !std::mem::replace(&mut slot.unsampled, true) {
                self.to_sample.push((index, key));
            }
        }
    }

    /// Makes the slot when it is not there, and puts its end on the agenda.
    fn ensure_slot(&mut self, index: SymbolIndex, key: SlotKey) {
        let (slot, is_new) = self.symbols.get_mut(index).windows.entry(key);
        if is_new {
            slot.unsaved = true;
            self.to_save.push((index, key));
            self.put_on_agenda(index, key, Action::Close);
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

    fn event(&mut self, origin: Origin, event: FeedEvent, effects: &mut Effects) {
        self.consume(origin);
        self.tally.control += 1;
        if self.connections.pass(event.connection, event.seq, &event.feed) != Mark::New {
            return;
        }
        if event.kind == FeedEventKind::Subscribed {
            self.take_over(&event);
        }
        let advanced = self.connections.observe(&event);
        effects.events.push(StoredEvent { origin, event });
        if let Some(watermark_ms) = advanced {
            self.run_agenda(watermark_ms, effects);
        }
    }

    /// The newest `subscribed` event that names a symbol owns it from then on.
    fn take_over(&mut self, event: &FeedEvent) {
        for name in &event.symbols {
            let Some(index) = self.symbols.intern_at_home(name, &self.rules) else { continue };
            let symbol = self.symbols.get_mut(index);
            if symbol.owner.is_none_or(|(connection, _)| connection <= event.connection) {
                symbol.owner = Some((event.connection, event.at_us));
                self.owners_unsaved = true;
            }
        }
    }
}

fn rejected(reason: RejectReason) -> Judgement {
    Judgement {
        disposition: Disposition::Rejected(reason),
        clean: None,
        eligibility: None,
        session: None,
        lateness: None,
    }
}
