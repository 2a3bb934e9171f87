//! The reading side of the embedded store, on a connection of its own: WAL lets it read while the
//! pipeline writes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, Row};

use super::super::Database;
use super::tables;
use crate::codec::row;
use crate::error::{Error, Result};
use crate::model::{
    Amount, Bar, BarRevision, BarState, Disposition, Exclusion, ExclusionReason, FeedGap, Interval,
    Judged, LateWindow, Lateness, Origin, PricePoint, Session, StoredEvent, Trade, Verdict, Window,
};
use crate::port::{BarQuery, StoreReader, Tier, TradeQuery};

type Exclusions = [Exclusion; ExclusionReason::ALL.len()];

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
        self.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT symbol FROM symbols ORDER BY symbol")?;
            statement.query_map([], |row| row.get(0))?.collect()
        })
    }

    fn bars(&self, query: &BarQuery) -> Result<Vec<Bar>> {
        self.require(query.interval)?;
        let text = format!(
            "SELECT * FROM {} WHERE symbol = ?1 AND ts >= ?2 AND ts < ?3 ORDER BY ts DESC LIMIT ?4",
            tables::gold_table(query.interval)
        );
        let symbol = row::key_symbol(&query.symbol);
        let values = (symbol, query.from_ms, query.to_ms, row_limit(query.limit));
        let bars = self.read(|connection| {
            let mut statement = connection.prepare_cached(&text)?;
            let rows = statement.query_map(values, |row| read_bar(row, query.interval))?;
            rows.collect::<rusqlite::Result<Vec<Bar>>>()
        })?;
        Ok(bars.into_iter().rev().collect())
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
        let trades = self.read(|connection| {
            let mut statement = connection.prepare_cached(&text)?;
            let rows = statement.query_map(values, read_trade)?;
            rows.collect::<rusqlite::Result<Vec<Judged>>>()
        })?;
        Ok(trades.into_iter().rev().collect())
    }

    fn bar_symbols(&self, _interval: Interval) -> Result<Vec<String>> {
        Err(Error::Bug("not read yet".into()))
    }

    fn revisions(&self, _query: &BarQuery) -> Result<Vec<BarRevision>> {
        Err(Error::Bug("not read yet".into()))
    }

    fn events(&self, _from_ms: i64, _to_ms: i64) -> Result<Vec<StoredEvent>> {
        Err(Error::Bug("not read yet".into()))
    }

    fn gaps(&self, _symbol: &str, _from_ms: i64, _to_ms: i64) -> Result<Vec<FeedGap>> {
        Err(Error::Bug("not read yet".into()))
    }
}

/// A word that no version up to this one writes.
#[derive(Debug, thiserror::Error)]
#[error("column {column} holds '{value}', which this version does not know")]
struct UnknownWord {
    column: String,
    value: String,
}

/// The column's text, made a noun by `parse`.
fn parsed<T>(
    row: &Row<'_>,
    column: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let value: String = row.get(column)?;
    parse(&value).ok_or_else(|| {
        let unknown = UnknownWord { column: column.to_owned(), value };
        rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(unknown))
    })
}

/// The same for a column that may be null.
fn parsed_option<T>(
    row: &Row<'_>,
    column: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)? {
        ValueRef::Null => Ok(None),
        _ => parsed(row, column, parse).map(Some),
    }
}

fn read_trade(row: &Row<'_>) -> rusqlite::Result<Judged> {
    let reason: Option<String> = row.get("reason")?;
    let reason = reason.unwrap_or_default();
    let updates = parsed_option(row, "updates", |text| row::parse_updates(Some(text)))?;
    let [updates_last, updates_high_low, updates_volume] = updates.unwrap_or_default();
    Ok(Judged {
        trade: Trade {
            symbol: row.get("symbol")?,
            // SQLite keeps NaN as null.
            price: row.get::<_, Option<f64>>("price")?.unwrap_or(f64::NAN),
            volume: row.get::<_, Option<f64>>("volume")?.unwrap_or(f64::NAN),
            trade_time_ms: row.get("ts")?,
            conditions: parsed_option(row, "conditions", row::parse_conditions)?,
            connection: row.get("connection")?,
            seq: row.get("seq")?,
            received_at_us: row.get("received_at_us")?,
            feed: row.get("feed")?,
        },
        origin: Origin { partition: row.get("log_partition")?, offset: row.get("log_offset")? },
        disposition: parsed(row, "disposition", |text| Disposition::parse(text, &reason))?,
        session: parsed_option(row, "session", Session::parse)?,
        updates_last,
        updates_high_low,
        updates_volume,
        lateness: read_lateness(row)?,
        behind_ms: 0,
    })
}

fn read_lateness(row: &Row<'_>) -> rusqlite::Result<Option<Lateness>> {
    let Some(watermark_ms) = row.get("watermark")? else { return Ok(None) };
    Ok(Some(Lateness {
        watermark_ms,
        late_by_ms: row.get("late_by_ms")?,
        window_start_ms: row.get("late_window_start")?,
        window: LateWindow::Gone,
    }))
}

fn read_bar(row: &Row<'_>, interval: Interval) -> rusqlite::Result<Bar> {
    let symbol: String = row.get("symbol")?;
    Ok(Bar {
        symbol: symbol.into(),
        interval,
        window: Window { start_ms: row.get("ts")?, end_ms: row.get("window_end")? },
        open: read_point(row, "open")?,
        high: read_point(row, "high")?,
        low: read_point(row, "low")?,
        close: read_point(row, "close")?,
        volume: read_amount(row, "volume_exact")?,
        vwap: row.get("vwap")?,
        trade_count: row.get("trade_count")?,
        excluded: read_exclusions(row)?,
        session: parsed_option(row, "session", Session::parse)?,
        coverage: row.get("coverage")?,
        gap_ms: row.get("gap_ms")?,
        verdict: parsed(row, "verdict", Verdict::parse)?,
        state: parsed(row, "state", BarState::parse)?,
        revision: row.get("revision")?,
        generation: row.get("generation")?,
        conditions_version: row.get("conditions_version")?,
        late_included: 0,
    })
}

fn read_exclusions(row: &Row<'_>) -> rusqlite::Result<Exclusions> {
    let mut excluded = Exclusions::default();
    for (exclusion, reason) in excluded.iter_mut().zip(ExclusionReason::ALL) {
        let reason = reason.as_str();
        exclusion.volume = read_amount(row, &format!("excluded_{reason}_volume_exact"))?;
        exclusion.count = row.get(&*format!("excluded_{reason}_count"))?;
    }
    Ok(excluded)
}

fn read_amount(row: &Row<'_>, column: &str) -> rusqlite::Result<Amount> {
    parsed(row, column, |text| text.parse().ok())
}

fn read_point(row: &Row<'_>, price: &str) -> rusqlite::Result<Option<PricePoint>> {
    let Some(value) = row.get(price)? else { return Ok(None) };
    Ok(Some(PricePoint {
        price: value,
        trade_time_ms: row.get(&*format!("{price}_time"))?,
        connection: row.get(&*format!("{price}_connection"))?,
        seq: row.get(&*format!("{price}_seq"))?,
    }))
}
