//! The tables in the shared SQLite file: `port::Store` and `port::StoreReader` with the semantics
//! of the Cassandra adapter. A call of `write` is one transaction, so a kill -9 leaves whole calls.

mod expiry;
mod reader;
mod tables;

use std::sync::Arc;

use rusqlite::types::ToSql;
use rusqlite::{CachedStatement, Connection, Transaction, TransactionBehavior, params};

pub use reader::EmbeddedReader;

use super::Database;
use crate::codec::row;
use crate::config::{Config, Lifetimes};
use crate::error::{Error, Result};
use crate::model::{Bar, BarRevision, Effects, Interval, Judged, StoredEvent};
use crate::port::{BarRemoval, Clock, Store};
use crate::telemetry::store as events;
use expiry::Expiry;

/// Prepared statements kept: trades, revisions, events, symbols, one for each interval, expiry.
const STATEMENTS_KEPT: usize = 64;
/// Each symbol appends at a place of its own in every table; the pages of some thousand symbols
/// fit.
const PAGE_CACHE_KIB: i64 = 24 * 1_024;

/// `port::Store` on the shared file.
pub struct EmbeddedStore {
    database: Database,
    connection: Connection,
    lifetimes: Lifetimes,
    clock: Arc<dyn Clock>,
    /// Statement text by interval.
    gold: Vec<(Interval, String)>,
    expiry: Expiry,
}

impl EmbeddedStore {
    /// Creates the tables that are missing.
    ///
    /// # Errors
    /// `Config` for a file that is no database or cannot be written, and for intervals or
    /// retentions out of range.
    pub fn open(database: &Database, config: &Config, clock: Arc<dyn Clock>) -> Result<Self> {
        let lifetimes = Lifetimes::of(config)?;
        let connection = database.connect()?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        connection
            .pragma_update(None, "cache_size", -PAGE_CACHE_KIB)
            .map_err(|problem| tables::refused(&connection, &problem))?;
        let intervals: Vec<Interval> =
            lifetimes.gold.iter().map(|(interval, _)| *interval).collect();
        {
            let _writing = database.write_lock();
            tables::create(&connection, &intervals)?;
        }
        let gold = intervals.iter().map(|interval| (*interval, tables::insert_bar(*interval)));
        Ok(Self {
            gold: gold.collect(),
            expiry: Expiry::new(&lifetimes),
            database: database.clone(),
            connection,
            lifetimes,
            clock,
        })
    }

    fn write_all(&mut self, effects: &Effects) -> Result<()> {
        let now_us = self.clock.now_us();
        let writer = Writer { lifetimes: &self.lifetimes, gold: &self.gold, now_us };
        let bars: Vec<&Bar> = row::newest_bars(&effects.bars).collect();
        let timestamps = bars.iter().map(|bar| row::bar_write_timestamp_us(bar));
        let timestamps = timestamps.collect::<Result<Vec<i64>>>()?;
        let transaction = || -> rusqlite::Result<Option<Error>> {
            let transaction =
                self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            writer.trades(&transaction, &effects.trades)?;
            for (bar, timestamp_us) in bars.into_iter().zip(timestamps) {
                if !writer.bar(&transaction, bar, timestamp_us)? {
                    return Ok(Some(writer.lifetimes.unknown_interval(bar.interval)));
                }
            }
            writer.revisions(&transaction, &effects.revisions)?;
            writer.events(&transaction, &effects.events)?;
            writer.symbols(&transaction, &effects.symbols)?;
            transaction.commit()?;
            Ok(None)
        };
        match call(transaction) {
            Ok(None) => Ok(()),
            Ok(Some(refusal)) => Err(refusal),
            Err(problem) => Err(tables::refused(&self.connection, &problem)),
        }
    }
}

/// Runs a closure that borrows mutably, so that the borrow ends before its error is looked at.
fn call<T>(work: impl FnOnce() -> T) -> T {
    work()
}

impl Store for EmbeddedStore {
    fn write(&mut self, rows: &Effects) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let database = self.database.clone();
        let _writing = database.write_lock();
        let began_us = self.clock.monotonic_us();
        let written = self.write_all(rows);
        match &written {
            Ok(()) => events::transaction_written(rows, self.clock.monotonic_us() - began_us),
            Err(failure) => events::batch_failed("embedded", failure),
        }
        written
    }

    fn flush(&mut self) -> Result<()> {
        let database = self.database.clone();
        let _writing = database.write_lock();
        let (now_us, monotonic_us) = (self.clock.now_us(), self.clock.monotonic_us());
        let swept = self.expiry.step(&self.connection, now_us, monotonic_us);
        swept.map_err(|problem| tables::refused(&self.connection, &problem))
    }

    fn remove(&mut self, _bars: &[BarRemoval]) -> Result<()> {
        Err(Error::Bug("bars cannot be removed yet".into()))
    }
}

/// The rows of one transaction.
struct Writer<'a> {
    lifetimes: &'a Lifetimes,
    gold: &'a [(Interval, String)],
    now_us: i64,
}

impl Writer<'_> {
    /// The second from which a row may be deleted.
    fn expires_s(&self, ttl_s: i64, age_s: i64) -> i64 {
        if ttl_s == 0 {
            return i64::MAX;
        }
        let lifetime_s = row::lifetime_s(ttl_s, age_s).map_or(ttl_s, i64::from);
        self.now_us / 1_000_000 + lifetime_s
    }

    fn trades(&self, transaction: &Transaction<'_>, trades: &[Judged]) -> rusqlite::Result<()> {
        let mut statement = transaction.prepare_cached(tables::INSERT_TRADE)?;
        let mut conditions = String::new();
        for judged in trades {
            self.trade(&mut statement, judged, &mut conditions)?;
        }
        Ok(())
    }

    fn trade(
        &self,
        statement: &mut CachedStatement<'_>,
        judged: &Judged,
        conditions: &mut String,
    ) -> rusqlite::Result<()> {
        let trade = &judged.trade;
        conditions.clear();
        if let Some(codes) = &trade.conditions {
            row::write_conditions(codes, conditions);
        }
        let ttl_s = match judged.disposition.is_silver() {
            true => self.lifetimes.silver_s,
            false => self.lifetimes.bronze_s,
        };
        let reason = judged.disposition.reason();
        statement.execute(params![
            row::key_symbol(&trade.symbol),
            trade.trade_time_ms,
            trade.connection,
            trade.seq,
            trade.price,
            trade.volume,
            trade.conditions.as_ref().map(|_| conditions.as_str()),
            trade.received_at_us,
            trade.feed,
            judged.disposition.as_str(),
            (!reason.is_empty()).then_some(reason),
            judged.session.map(|session| session.as_str()),
            row::updates_text(judged),
            judged.origin.partition,
            judged.origin.offset,
            judged.lateness.map(|late| late.watermark_ms),
            judged.lateness.map(|late| late.late_by_ms),
            judged.lateness.map(|late| late.window_start_ms),
            row::trade_write_timestamp_us(judged),
            self.expires_s(ttl_s, row::trade_age_s(trade, self.now_us)),
        ])?;
        Ok(())
    }

    /// False when there is no table for the bar's interval.
    fn bar(
        &self,
        transaction: &Transaction<'_>,
        bar: &Bar,
        timestamp_us: i64,
    ) -> rusqlite::Result<bool> {
        let found = self.gold.iter().find(|(interval, _)| *interval == bar.interval);
        let Some((_, text)) = found else { return Ok(false) };
        let mut statement = transaction.prepare_cached(text)?;
        let mut row = Binder { statement: &mut statement, next: 1 };
        bind_bar(&mut row, bar)?;
        row.bind(timestamp_us)?;
        row.bind(self.bar_expires_s(bar))?;
        for point in [bar.open, bar.high, bar.low, bar.close] {
            row.bind(point.map(|point| point.trade_time_ms))?;
            row.bind(point.map(|point| point.connection))?;
            row.bind(point.map(|point| point.seq))?;
        }
        for excluded in &bar.excluded {
            row.bind(excluded.volume.to_f64())?;
            row.bind(excluded.volume.to_string())?;
            row.bind(excluded.count)?;
        }
        statement.raw_execute()?;
        Ok(true)
    }

    fn bar_expires_s(&self, bar: &Bar) -> i64 {
        let ttl_s = self.lifetimes.gold_s(bar.interval).unwrap_or(0);
        self.expires_s(ttl_s, row::bar_age_s(bar, self.now_us))
    }

    fn revisions(
        &self,
        transaction: &Transaction<'_>,
        revisions: &[BarRevision],
    ) -> rusqlite::Result<()> {
        let mut statement = transaction.prepare_cached(tables::INSERT_REVISION)?;
        for BarRevision { bar, why } in revisions {
            let price = |point: Option<crate::model::PricePoint>| point.map(|point| point.price);
            statement.execute(params![
                &*bar.symbol,
                bar.interval.to_string(),
                bar.window.start_ms,
                bar.generation,
                bar.revision,
                why.as_str(),
                bar.state.as_str(),
                price(bar.open),
                price(bar.high),
                price(bar.low),
                price(bar.close),
                bar.volume.to_f64(),
                bar.volume.to_string(),
                bar.vwap,
                bar.trade_count,
                bar.coverage,
                bar.gap_ms,
                bar.verdict.as_str(),
                self.expires_s(self.lifetimes.revisions_s, row::bar_age_s(bar, self.now_us)),
            ])?;
        }
        Ok(())
    }

    fn events(
        &self,
        transaction: &Transaction<'_>,
        stored: &[StoredEvent],
    ) -> rusqlite::Result<()> {
        let mut statement = transaction.prepare_cached(tables::INSERT_EVENT)?;
        for StoredEvent { origin, event } in stored {
            let age_s = self.now_us.saturating_sub(event.at_us) / 1_000_000;
            statement.execute(params![
                origin.partition,
                event.at_us,
                event.connection,
                event.seq,
                event.kind.as_str(),
                event.feed,
                event.feed_time_ms,
                event.confirmed_at_us,
                event.confirmed_feed_time_ms,
                row::symbols_text(&event.symbols),
                event.lost_records,
                (!event.detail.is_empty()).then_some(&event.detail),
                origin.offset,
                self.expires_s(self.lifetimes.feed_events_s, age_s),
            ])?;
        }
        Ok(())
    }

    fn symbols(&self, transaction: &Transaction<'_>, symbols: &[String]) -> rusqlite::Result<()> {
        let mut statement = transaction.prepare_cached(tables::INSERT_SYMBOL)?;
        for symbol in symbols.iter().filter(|symbol| !symbol.is_empty()) {
            statement.execute([row::key_symbol(symbol)])?;
        }
        Ok(())
    }
}

/// Binds one value after the other.
struct Binder<'a, 'c> {
    statement: &'a mut CachedStatement<'c>,
    next: usize,
}

impl Binder<'_, '_> {
    fn bind(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.statement.raw_bind_parameter(self.next, value)?;
        self.next += 1;
        Ok(())
    }
}

/// The key and the plain columns, as `tables::gold_columns` orders them.
fn bind_bar(row: &mut Binder<'_, '_>, bar: &Bar) -> rusqlite::Result<()> {
    row.bind(&*bar.symbol)?;
    row.bind(bar.window.start_ms)?;
    row.bind(bar.window.end_ms)?;
    for point in [bar.open, bar.high, bar.low, bar.close] {
        row.bind(point.map(|point| point.price))?;
    }
    row.bind(bar.volume.to_f64())?;
    row.bind(bar.volume.to_string())?;
    row.bind(bar.vwap)?;
    row.bind(bar.trade_count)?;
    row.bind(bar.state.as_str())?;
    row.bind(bar.revision)?;
    row.bind(bar.generation)?;
    row.bind(bar.coverage)?;
    row.bind(bar.gap_ms)?;
    row.bind(bar.verdict.as_str())?;
    row.bind(bar.session.map(|session| session.as_str()))?;
    row.bind(bar.conditions_version)
}
