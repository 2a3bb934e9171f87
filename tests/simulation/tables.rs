//! The tables in memory: rows keyed and ordered by write timestamp as in Cassandra, and a
//! `port::Store` whose writes are on their way for a while, in any order, and may arrive after
//! their process is dead.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::RngExt;
use rand::seq::SliceRandom;
use ticksmith::codec::row;
use ticksmith::error::{Error, Result};
use ticksmith::model::{Bar, BarRevision, Effects, FeedGap, Judged, StoredEvent, Trade};
use ticksmith::port::{BarRemoval, Store};

use crate::invariants;
use crate::options::{MS, PASSING_MS, SECOND};
use crate::world::{Seat, State};

/// A flush waits in steps of this.
const FLUSH_LOOK: Duration = Duration::from_millis(200);

/// Symbol, trade time in ms, connection, seq.
pub type TradeKey = (String, i64, i64, i64);
/// Symbol, interval length and window start in ms.
pub type BarKey = (String, i64, i64);

/// One row on its way to a table.
#[derive(Debug, Clone)]
pub enum Row {
    Trade(Judged),
    Bar(Bar),
    Revision(BarRevision),
    Event(StoredEvent),
    Gap(FeedGap),
    Symbol(String),
}

impl Row {
    pub fn of(effects: &Effects) -> Vec<Row> {
        let trades = effects.trades.iter().cloned().map(Row::Trade);
        let bars = effects.bars.iter().cloned().map(Row::Bar);
        let revisions = effects.revisions.iter().cloned().map(Row::Revision);
        let events = effects.events.iter().cloned().map(Row::Event);
        let gaps = effects.gaps.iter().cloned().map(Row::Gap);
        let symbols = effects.symbols.iter().cloned().map(Row::Symbol);
        trades.chain(bars).chain(revisions).chain(events).chain(gaps).chain(symbols).collect()
    }
}

pub fn bar_key(bar: &Bar) -> BarKey {
    (bar.symbol.to_string(), bar.interval.length_ms(), bar.window.start_ms)
}

pub fn trade_key(trade: &Trade) -> TradeKey {
    (trade.symbol.to_string(), trade.trade_time_ms, trade.connection, trade.seq)
}

/// All tables; rows with their write timestamps where those decide.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Tables {
    pub bronze: BTreeMap<TradeKey, (i64, Judged)>,
    pub silver: BTreeMap<TradeKey, (i64, Judged)>,
    pub gold: BTreeMap<BarKey, (i64, Bar)>,
    /// By bar, generation and revision.
    pub revisions: BTreeMap<(BarKey, i64, i64), BarRevision>,
    pub events: BTreeMap<(i32, i64, i64, i64), StoredEvent>,
    pub gaps: BTreeMap<(String, i64, i64, &'static str), (i64, FeedGap)>,
    pub symbols: BTreeSet<String>,
}

/// The higher write timestamp stays. Of two equal ones the greater value, in whatever order they
/// come, which is how Cassandra settles it.
fn put<K: Ord, V, O: Ord>(
    table: &mut BTreeMap<K, (i64, V)>,
    key: K,
    (at_us, value): (i64, V),
    greatness: impl Fn(&V) -> O,
) {
    let stays = table.get(&key).is_some_and(|(before_us, before)| {
        (*before_us, greatness(before)) > (at_us, greatness(&value))
    });
    if !stays {
        table.insert(key, (at_us, value));
    }
}

impl Tables {
    pub fn apply(&mut self, row: Row) {
        match row {
            Row::Bar(bar) if bar.interval.length_ms() == PASSING_MS => {}
            Row::Revision(one) if one.bar.interval.length_ms() == PASSING_MS => {}
            Row::Trade(judged) => self.trade(judged),
            Row::Bar(bar) => {
                let at_us = row::bar_write_timestamp_us(&bar).expect("revisions are in range");
                put(&mut self.gold, bar_key(&bar), (at_us, bar), |bar| bar.state as u8);
            }
            Row::Revision(revision) => {
                let bar = &revision.bar;
                let key = (bar_key(bar), bar.generation, bar.revision);
                self.revisions.insert(key, revision);
            }
            Row::Event(stored) => {
                let event = &stored.event;
                let key = (stored.origin.partition, event.at_us, event.connection, event.seq);
                self.events.insert(key, stored);
            }
            Row::Gap(gap) => {
                let key = (gap.symbol.clone(), gap.from_ms, gap.connection, gap.cause.as_str());
                let at_us = row::gap_write_timestamp_us(&gap);
                put(&mut self.gaps, key, (at_us, gap), |gap| (gap.to_ms, gap.next_connection));
            }
            Row::Symbol(symbol) => drop(self.symbols.insert(symbol)),
        }
    }

    fn trade(&mut self, judged: Judged) {
        let key = trade_key(&judged.trade);
        let at_us = row::trade_write_timestamp_us(&judged);
        // Not stored.
        let judged = Judged { behind_ms: 0, ..judged };
        if judged.disposition.is_silver() {
            put(&mut self.silver, key.clone(), (at_us, judged.clone()), |one| one.origin);
        }
        put(&mut self.bronze, key, (at_us, judged), |one| one.origin);
    }
}

/// One process' store. Rows are on their way until they are acknowledged, some time after a mark.
pub struct SimulatedStore {
    seat: Seat,
    /// So many of the rows on their way lie before the mark.
    marked: usize,
    /// When the cluster has them.
    acknowledged_us: i64,
}

impl SimulatedStore {
    pub fn new(seat: Seat) -> Self {
        Self { seat, marked: 0, acknowledged_us: 0 }
    }

    fn take_time(&self) {
        let us = self.seat.with(|state| {
            let slowest_us = state.options.store_slowest_us;
            let is_slow = state.chance(0.05);
            state.random.random_range(MS / 10..=if is_slow { slowest_us } else { 5 * MS })
        });
        self.seat.pass(us);
    }
}

/// How long until rows are acknowledged: beyond some turns of the pipeline, now and then.
fn acknowledged_in_us(state: &mut State) -> i64 {
    let slowest_us = if state.chance(0.05) {
        state.options.store_slowest_us
    } else if state.chance(0.3) {
        SECOND
    } else {
        5 * MS
    };
    state.random.random_range(1..=slowest_us)
}

/// The store is away, or refuses for once: part of the rows may have arrived all the same.
fn refuse(state: &mut State, rows: &[Row], call: &'static str) -> Result<()> {
    let is_away = state.is_store_away();
    if !is_away && !state.chance(state.options.store_refuses) {
        return Ok(());
    }
    state.count("store refuses", call);
    for row in rows {
        if state.random.random_bool(0.3) {
            state.arrive(row.clone());
        }
    }
    Err(Error::Unavailable("the simulated store is away; wait".into()))
}

/// The marked rows are there, and some of those after them too, in any order.
fn acknowledge(state: &mut State, id: usize, marked: usize) {
    let rows = std::mem::take(&mut state.processes[id].in_flight);
    let mut arrived = Vec::new();
    for (index, row) in rows.into_iter().enumerate() {
        if index < marked || state.random.random_bool(0.3) {
            arrived.push(row);
        } else {
            state.processes[id].in_flight.push(row);
        }
    }
    arrived.shuffle(&mut state.random);
    state.trace(|| format!("{id}: {} rows acknowledged", arrived.len()));
    arrived.into_iter().for_each(|row| state.arrive(row));
}

impl Store for SimulatedStore {
    fn write(&mut self, rows: &Effects) -> Result<()> {
        self.seat.hazard("before a write");
        self.take_time();
        let rows = Row::of(rows);
        let id = self.seat.id;
        self.seat.with(|state| {
            refuse(state, &rows, "write")?;
            state.trace(|| format!("{id}: {} rows on their way", rows.len()));
            let checked = invariants::one_content_per_revision(&mut state.contents, &rows);
            state.check(checked);
            state.processes[id].in_flight.extend(rows);
            Ok(())
        })?;
        self.seat.hazard("after a write");
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.mark();
        while !self.await_mark(FLUSH_LOOK)? {}
        Ok(())
    }

    fn mark(&mut self) {
        let id = self.seat.id;
        (self.marked, self.acknowledged_us) = self.seat.with(|state| {
            let us = acknowledged_in_us(state);
            (state.processes[id].in_flight.len(), state.now_us + us)
        });
    }

    fn await_mark(&mut self, within: Duration) -> Result<bool> {
        self.seat.hazard("before a flush");
        let left_us = self.seat.with(|state| self.acknowledged_us - state.now_us);
        let waits_us = left_us.min(within.as_micros() as i64);
        if waits_us > 0 {
            self.seat.pass(waits_us);
        }
        let (id, marked, at_us) = (self.seat.id, self.marked, self.acknowledged_us);
        let is_acknowledged = self.seat.with(|state| {
            let rows = state.processes[id].in_flight.clone();
            refuse(state, &rows, "flush")?;
            if state.now_us < at_us {
                return Ok(false);
            }
            acknowledge(state, id, marked);
            Ok(true)
        })?;
        if is_acknowledged {
            self.marked = 0;
            self.seat.hazard("after a flush");
        }
        Ok(is_acknowledged)
    }

    fn remove(&mut self, _: &[BarRemoval]) -> Result<()> {
        Err(Error::Bug("a stream removes nothing".into()))
    }
}
