//! The reading side: bars by one query, the rest partition by partition.

mod days;
mod trades;

use futures_util::TryStreamExt;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;

use super::Connection;
use super::read_rows::{BarRow, TradeRow, TwinRow};
use super::schema::{self, Schema};
use super::schema_check;
use crate::codec::row;
use crate::config::{Config, Lifetimes};
use crate::error::{Error, Result};
use crate::model::{Bar, BarRevision, FeedGap, Interval, Judged, StoredEvent};
use crate::port::{BarQuery, Contradiction, StoreReader, TradeQuery};
use days::DayQueries;

/// The queries on one interval's bars.
struct GoldQueries {
    interval: Interval,
    bars: PreparedStatement,
    /// The start of the oldest bar of a range.
    oldest: PreparedStatement,
    symbols: PreparedStatement,
    twins: PreparedStatement,
}

/// `port::StoreReader` on Cassandra. Its calls block.
pub struct CassandraReader {
    connection: Connection,
    lifetimes: Lifetimes,
    symbols: PreparedStatement,
    bronze: PreparedStatement,
    silver: PreparedStatement,
    gold: Vec<GoldQueries>,
    days: DayQueries,
}

impl CassandraReader {
    /// Checks the tables and prepares the queries.
    ///
    /// # Errors
    /// As of `CassandraStore::open`.
    pub fn open(connection: &Connection, config: &Config) -> Result<Self> {
        let schema = Schema::of(config)?;
        schema_check::require(connection, &schema)?;
        let lifetimes = Lifetimes::of(config)?;
        let keyspace = &schema.keyspace;
        let prepare = |text: String| prepare(connection, text);
        let trades = |table: &str| {
            let selected = TradeRow::SELECTED;
            format!(
                "SELECT {selected} FROM {keyspace}.{table} WHERE symbol = ? AND bucket = ? AND \
                 ts >= ? AND ts < ? ORDER BY ts DESC, connection DESC, seq DESC LIMIT ?"
            )
        };
        let intervals = lifetimes.gold.iter().map(|(interval, _)| *interval);
        Ok(Self {
            symbols: prepare(format!("SELECT symbol FROM {keyspace}.{}", schema::SYMBOLS_TABLE))?,
            bronze: prepare(trades(schema::BRONZE_TABLE))?,
            silver: prepare(trades(schema::SILVER_TABLE))?,
            gold: intervals
                .map(|interval| GoldQueries::prepare(connection, keyspace, interval))
                .collect::<Result<_>>()?,
            days: DayQueries::prepare(connection, keyspace, config.topics.partitions)?,
            connection: connection.clone(),
            lifetimes,
        })
    }

    fn gold(&self, interval: Interval) -> Result<&GoldQueries> {
        let found = self.gold.iter().find(|gold| gold.interval == interval);
        found.ok_or_else(|| self.lifetimes.unknown_interval(interval))
    }

    /// The texts that a query without values gives.
    fn sorted(&self, statement: &PreparedStatement) -> Result<Vec<String>> {
        let rows = self.rows::<(String,)>(statement, ());
        let mut texts: Vec<String> =
            self.connection.block_on(rows)?.into_iter().map(|(text,)| text).collect();
        texts.sort();
        Ok(texts)
    }

    /// All rows of all pages, in order.
    async fn rows<R>(
        &self,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> Result<Vec<R>>
    where
        R: for<'frame, 'metadata> scylla::deserialize::row::DeserializeRow<'frame, 'metadata>
            + 'static,
    {
        let unanswered = |problem: &dyn std::fmt::Display| {
            let points = &self.connection.contact_points;
            Error::Unavailable(format!("Cassandra at {points}: {problem}; try again"))
        };
        let session = self.connection.session();
        let pager = session.execute_iter(statement.clone(), values).await;
        let pager = pager.map_err(|problem| unanswered(&problem))?;
        let rows = pager.rows_stream::<R>().map_err(|problem| unanswered(&problem))?;
        rows.try_collect().await.map_err(|problem| unanswered(&problem))
    }
}

impl GoldQueries {
    fn prepare(connection: &Connection, keyspace: &str, interval: Interval) -> Result<Self> {
        let table = format!("{keyspace}.{}", schema::gold_table(interval));
        let range = "WHERE symbol = ? AND ts >= ? AND ts < ?";
        let columns = BarRow::COLUMNS.join(", ");
        let bars = format!("SELECT {columns} FROM {table} {range} ORDER BY ts DESC LIMIT ?");
        let twins = TwinRow::COLUMNS.join(", ");
        let twins = format!("SELECT {twins} FROM {table} {range} ORDER BY ts ASC");
        let oldest = format!("SELECT ts FROM {table} {range} ORDER BY ts ASC LIMIT 1");
        Ok(Self {
            interval,
            bars: prepare(connection, bars)?,
            oldest: prepare(connection, oldest)?,
            symbols: prepare(connection, format!("SELECT DISTINCT symbol FROM {table}"))?,
            twins: prepare(connection, twins)?,
        })
    }
}

fn prepare(connection: &Connection, text: String) -> Result<PreparedStatement> {
    let prepared = connection.block_on(connection.session().prepare(text));
    let mut statement = prepared.map_err(|problem| connection.not_prepared("a query", &problem))?;
    statement.set_consistency(connection.read_consistency);
    statement.set_is_idempotent(true);
    Ok(statement)
}

fn row_limit(limit: usize) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX)
}

impl StoreReader for CassandraReader {
    fn symbols(&self) -> Result<Vec<String>> {
        self.sorted(&self.symbols)
    }

    fn bars(&self, query: &BarQuery) -> Result<Vec<Bar>> {
        let statement = &self.gold(query.interval)?.bars;
        if query.limit == 0 || query.from_ms >= query.to_ms {
            return Ok(Vec::new());
        }
        let times = (CqlTimestamp(query.from_ms), CqlTimestamp(query.to_ms));
        let values = (row::key_symbol(&query.symbol), times.0, times.1, row_limit(query.limit));
        let rows: Vec<BarRow> = self.connection.block_on(self.rows(statement, values))?;
        rows.into_iter().rev().map(|row| row.into_bar(query.interval)).collect()
    }

    fn trades(&self, query: &TradeQuery) -> Result<Vec<Judged>> {
        self.connection.block_on(self.newest_trades(query))
    }

    fn bar_symbols(&self, interval: Interval) -> Result<Vec<String>> {
        self.sorted(&self.gold(interval)?.symbols)
    }

    fn revisions(&self, query: &BarQuery) -> Result<Vec<BarRevision>> {
        self.connection.block_on(self.newest_revisions(query))
    }

    fn events(&self, from_ms: i64, to_ms: i64) -> Result<Vec<StoredEvent>> {
        self.connection.block_on(self.events_between(from_ms, to_ms))
    }

    fn gaps(&self, symbol: &str, from_ms: i64, to_ms: i64) -> Result<Vec<FeedGap>> {
        self.connection.block_on(self.gaps_between(symbol, from_ms, to_ms))
    }

    fn contradictions(&self, query: &BarQuery) -> Result<Vec<Contradiction>> {
        let statement = &self.gold(query.interval)?.twins;
        let times = (CqlTimestamp(query.from_ms), CqlTimestamp(query.to_ms));
        let values = (row::key_symbol(&query.symbol), times.0, times.1);
        let rows: Vec<TwinRow> = self.connection.block_on(self.rows(statement, values))?;
        Ok(rows.into_iter().flat_map(TwinRow::contradictions).collect())
    }
}
