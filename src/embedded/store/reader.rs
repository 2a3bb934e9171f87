//! The reading side of the embedded store, on a connection of its own: WAL lets it read while the
//! pipeline writes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, Params, Row};

use super::super::Database;
use super::nouns::{
    read_bar, read_contradictions, read_event, read_gap, read_revision, read_trade,
};
use super::tables;
use crate::codec::row;
use crate::error::{Error, Result};
use crate::model::{Bar, BarRevision, FeedGap, Interval, Judged, StoredEvent};
use crate::port::{BarQuery, Contradiction, GAP_LOOK_BACK_MS, StoreReader, Tier, TradeQuery};

/// `port::StoreReader` on the shared file.
pub struct EmbeddedReader {
    connection: Mutex<Connection>,
}

impl EmbeddedReader {
    /// # Errors
    /// `Config` for a file that is no database.
    pub fn open(database: &Database) -> Result<Self> {
        let connection = database.connect()?;
        {
            let _writing = database.write_lock();
            tables::create(&connection, &[])?;
        }
        Ok(Self { connection: Mutex::new(connection) })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A reader that panicked leaves nothing half done.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, query: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let connection = self.lock();
        query(&connection).map_err(|problem| tables::refused(&connection, &problem))
    }

    /// The rows of one query, in its order.
    fn rows<T>(
        &self,
        text: &str,
        values: impl Params,
        noun: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        self.read(|connection| connection.prepare_cached(text)?.query_map(values, noun)?.collect())
    }

    /// The intervals that have a table in the file.
    fn intervals(&self) -> Result<Vec<Interval>> {
        let names: Vec<String> = self.read(|connection| {
            let text = "SELECT name FROM sqlite_schema WHERE type = 'table' \
                        AND name GLOB 'trades_gold_*'";
            connection.prepare_cached(text)?.query_map([], |row| row.get(0))?.collect()
        })?;
        let intervals = names.iter().filter_map(|name| name.strip_prefix("trades_gold_"));
        let mut intervals: Vec<Interval> =
            intervals.filter_map(|text| Interval::parse(text).ok()).collect();
        intervals.sort();
        Ok(intervals)
    }

    fn require(&self, interval: Interval) -> Result<()> {
        let known = self.intervals()?;
        if known.contains(&interval) {
            return Ok(());
        }
        let known: Vec<String> = known.iter().map(Interval::to_string).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(Error::Config(format!("interval {interval} is not stored; the store has {known}")))
    }
}

fn row_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl StoreReader for EmbeddedReader {
    fn symbols(&self) -> Result<Vec<String>> {
        self.rows("SELECT symbol FROM symbols ORDER BY symbol", [], |row| row.get(0))
    }

    fn bars(&self, query: &BarQuery) -> Result<Vec<Bar>> {
        self.require(query.interval)?;
        let text = format!(
            "SELECT * FROM {} WHERE symbol = ?1 AND ts >= ?2 AND ts < ?3 AND state <> '{}' \
             ORDER BY ts DESC LIMIT ?4",
            tables::gold_table(query.interval),
            tables::REMOVED
        );
        let symbol = row::key_symbol(&query.symbol);
        let values = (symbol, query.from_ms, query.to_ms, row_limit(query.limit));
        let mut bars = self.rows(&text, values, |row| read_bar(row, query.interval))?;
        bars.reverse();
        Ok(bars)
    }

    fn trades(&self, query: &TradeQuery) -> Result<Vec<Judged>> {
        let view = match query.tier {
            Tier::Bronze => "trades_bronze",
            Tier::Silver => "trades_silver",
        };
        let text = format!(
            "SELECT * FROM {view} WHERE symbol = ?1 AND ts >= ?2 AND ts < ?3 \
             ORDER BY ts DESC, connection DESC, seq DESC LIMIT ?4"
        );
        let symbol = row::key_symbol(&query.symbol);
        let values = (symbol, query.from_ms, query.to_ms, row_limit(query.limit));
        let mut trades = self.rows(&text, values, read_trade)?;
        trades.reverse();
        Ok(trades)
    }

    fn bar_symbols(&self, interval: Interval) -> Result<Vec<String>> {
        self.require(interval)?;
        let (table, removed) = (tables::gold_table(interval), tables::REMOVED);
        let text =
            format!("SELECT DISTINCT symbol FROM {table} WHERE state <> '{removed}' ORDER BY 1");
        self.rows(&text, [], |row| row.get(0))
    }

    fn revisions(&self, query: &BarQuery) -> Result<Vec<BarRevision>> {
        self.require(query.interval)?;
        let text = "SELECT * FROM bar_revisions \
                    WHERE symbol = ?1 AND interval = ?2 AND ts >= ?3 AND ts < ?4 \
                    ORDER BY ts DESC, generation DESC, revision DESC LIMIT ?5";
        let (symbol, interval) = (row::key_symbol(&query.symbol), query.interval.to_string());
        let values = (symbol, interval, query.from_ms, query.to_ms, row_limit(query.limit));
        let mut revisions = self.rows(text, values, |row| read_revision(row, query.interval))?;
        revisions.reverse();
        Ok(revisions)
    }

    fn events(&self, from_ms: i64, to_ms: i64) -> Result<Vec<StoredEvent>> {
        let text = "SELECT * FROM feed_events WHERE at_us >= ?1 AND at_us < ?2 \
                    ORDER BY log_partition, log_offset";
        let values = (from_ms.saturating_mul(1_000), to_ms.saturating_mul(1_000));
        self.rows(text, values, read_event)
    }

    fn gaps(&self, symbol: &str, from_ms: i64, to_ms: i64) -> Result<Vec<FeedGap>> {
        let text = "SELECT * FROM feed_gaps \
                    WHERE symbol = ?1 AND gap_start >= ?2 AND gap_start < ?3 \
                    ORDER BY gap_start, connection, cause";
        let begun_ms = from_ms.saturating_sub(GAP_LOOK_BACK_MS);
        let mut gaps = self.rows(text, (row::key_symbol(symbol), begun_ms, to_ms), read_gap)?;
        gaps.retain(|gap| gap.overlaps(from_ms, to_ms));
        Ok(gaps)
    }

    fn contradictions(&self, query: &BarQuery) -> Result<Vec<Contradiction>> {
        self.require(query.interval)?;
        let text = format!(
            "SELECT * FROM {} WHERE symbol = ?1 AND ts >= ?2 AND ts < ?3 AND state <> '{}' \
             ORDER BY ts",
            tables::gold_table(query.interval),
            tables::REMOVED
        );
        let values = (row::key_symbol(&query.symbol), query.from_ms, query.to_ms);
        Ok(self.rows(&text, values, read_contradictions)?.into_iter().flatten().collect())
    }
}
