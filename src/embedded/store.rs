//! The tables in the shared SQLite file: `port::Store` and `port::StoreReader` with the semantics
//! of the Cassandra adapter. A call of `write` is one transaction, so a kill -9 leaves whole calls.

mod expiry;
mod nouns;
mod reader;
mod tables;
mod writer;

use std::sync::Arc;

use rusqlite::{Connection, Transaction, TransactionBehavior};

pub use reader::EmbeddedReader;

use super::Database;
use crate::codec::row;
use crate::config::{Config, Lifetimes};
use crate::error::Result;
use crate::model::{Bar, Effects, Interval};
use crate::port::{BarRemoval, Clock, Store};
use crate::telemetry::store as events;
use expiry::Expiry;
use writer::{Gold, Writer};

/// Prepared statements kept: one or two a table, and those of expiry.
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
    gold: Vec<Gold>,
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
        Ok(Self {
            gold: intervals.into_iter().map(Gold::of).collect(),
            expiry: Expiry::new(&lifetimes),
            database: database.clone(),
            connection,
            lifetimes,
            clock,
        })
    }

    fn write_all(&mut self, effects: &Effects) -> Result<()> {
        // Whatever is wrong with a bar is said before anything is written.
        let bars = row::newest_bars(&effects.bars).map(|bar| Ok((bar, self.timestamp_us(bar)?)));
        let bars = bars.collect::<Result<Vec<_>>>()?;
        let revisions = effects.revisions.iter().map(|one| Ok((one, self.timestamp_us(&one.bar)?)));
        let revisions = revisions.collect::<Result<Vec<_>>>()?;
        self.transact(|writer| {
            writer.trades(&effects.trades)?;
            writer.bars(&bars)?;
            writer.revisions(&revisions)?;
            writer.events(&effects.events)?;
            writer.gaps(&effects.gaps)?;
            writer.symbols(&effects.symbols)
        })
    }

    /// The write timestamp of a bar that has a table.
    fn timestamp_us(&self, bar: &Bar) -> Result<i64> {
        self.require(bar.interval)?;
        row::bar_write_timestamp_us(bar)
    }

    fn require(&self, interval: Interval) -> Result<()> {
        let known = self.gold.iter().any(|gold| gold.interval == interval);
        if known { Ok(()) } else { Err(self.lifetimes.unknown_interval(interval)) }
    }

    fn transact(&mut self, work: impl FnOnce(&Writer<'_>) -> rusqlite::Result<()>) -> Result<()> {
        let (lifetimes, gold, now_us) = (&self.lifetimes, &*self.gold, self.clock.now_us());
        let written = committed(&mut self.connection, |transaction| {
            work(&Writer { transaction, lifetimes, gold, now_us })
        });
        written.map_err(|problem| tables::refused(&self.connection, &problem))
    }
}

fn committed(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    work(&transaction)?;
    transaction.commit()
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

    fn remove(&mut self, bars: &[BarRemoval]) -> Result<()> {
        let mut timed = Vec::with_capacity(bars.len());
        for bar in bars {
            self.require(bar.interval)?;
            timed.push((bar, row::removal_timestamp_us(bar.start_ms, bar.generation)?));
        }
        let database = self.database.clone();
        let _writing = database.write_lock();
        self.transact(|writer| writer.remove(&timed))
    }
}
