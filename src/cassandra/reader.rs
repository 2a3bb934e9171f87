//! The reading side: bars by one query, trades partition by partition from the newest.

use futures_util::TryStreamExt;
use futures_util::future::try_join_all;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;

use super::Connection;
use super::read_rows::{BarRow, TradeRow};
use super::schema::{self, Schema};
use super::schema_check;
use crate::codec::row;
use crate::config::{Config, Lifetimes};
use crate::error::{Error, Result};
use crate::model::{Bar, BarRevision, FeedGap, Interval, Judged, StoredEvent};
use crate::port::{BarQuery, StoreReader, Tier, TradeQuery};

/// Partitions of trades looked into for one query: the silver tier's 30 days. A wider range is read
/// from the newest bar backwards.
const BUCKETS_MAX: i64 = 4_320;
/// Partitions asked for at a time.
const BUCKETS_AT_A_TIME: i64 = 16;
/// Trades may be stored a little ahead of their bar, ms.
const AHEAD_OF_BARS_MS: i64 = row::BUCKET_MS;

/// `port::StoreReader` on Cassandra. Its calls block.
pub struct CassandraReader {
    connection: Connection,
    lifetimes: Lifetimes,
    symbols: PreparedStatement,
    bronze: PreparedStatement,
    silver: PreparedStatement,
    gold: Vec<(Interval, PreparedStatement)>,
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
        let gold = |interval: Interval| {
            let (table, columns) = (schema::gold_table(interval), BarRow::COLUMNS.join(", "));
            format!(
                "SELECT {columns} FROM {keyspace}.{table} WHERE symbol = ? AND ts >= ? AND ts < ? \
                 ORDER BY ts DESC LIMIT ?"
            )
        };
        let intervals = lifetimes.gold.iter().map(|(interval, _)| *interval);
        Ok(Self {
            symbols: prepare(format!("SELECT symbol FROM {keyspace}.{}", schema::SYMBOLS_TABLE))?,
            bronze: prepare(trades(schema::BRONZE_TABLE))?,
            silver: prepare(trades(schema::SILVER_TABLE))?,
            gold: intervals
                .map(|interval| Ok((interval, prepare(gold(interval))?)))
                .collect::<Result<_>>()?,
            connection: connection.clone(),
            lifetimes,
        })
    }

    fn statement_of(&self, interval: Interval) -> Result<&PreparedStatement> {
        let found = self.gold.iter().find(|(known, _)| *known == interval);
        found
            .map(|(_, statement)| statement)
            .ok_or_else(|| self.lifetimes.unknown_interval(interval))
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

    /// A range that can be walked partition by partition.
    async fn walkable(&self, query: &TradeQuery) -> Result<Option<(i64, i64)>> {
        let buckets = |from_ms: i64, to_ms: i64| {
            i64::from(row::bucket_of(to_ms)) - i64::from(row::bucket_of(from_ms))
        };
        if query.from_ms >= query.to_ms {
            return Ok(None);
        }
        if buckets(query.from_ms, query.to_ms) <= BUCKETS_MAX {
            return Ok(Some((query.from_ms, query.to_ms)));
        }
        let Some(newest_ms) = self.end_of_newest_bar(&query.symbol, query.to_ms).await? else {
            return Ok(None);
        };
        let to_ms = query.to_ms.min(newest_ms.saturating_add(AHEAD_OF_BARS_MS));
        let from_ms = query.from_ms.max(to_ms.saturating_sub(BUCKETS_MAX * row::BUCKET_MS));
        Ok(Some((from_ms, to_ms)))
    }

    /// The latest end of a stored bar of any interval.
    async fn end_of_newest_bar(&self, symbol: &str, before_ms: i64) -> Result<Option<i64>> {
        let (first, before) = (CqlTimestamp(i64::MIN), CqlTimestamp(before_ms));
        let newest = try_join_all(self.gold.iter().map(async |(interval, statement)| {
            let rows: Vec<BarRow> = self.rows(statement, (symbol, first, before, 1)).await?;
            rows.into_iter().map(|row| row.into_bar(*interval)).next().transpose()
        }));
        let newest = newest.await?.into_iter().flatten();
        Ok(newest.map(|bar| bar.window.end_ms).max())
    }

    async fn newest_trades(&self, query: &TradeQuery) -> Result<Vec<Judged>> {
        let Some((from_ms, to_ms)) = self.walkable(query).await? else { return Ok(Vec::new()) };
        let statement = match query.tier {
            Tier::Bronze => &self.bronze,
            Tier::Silver => &self.silver,
        };
        let symbol = row::key_symbol(&query.symbol);
        let limit = row_limit(query.limit);
        let (first, mut bucket) = (row::bucket_of(from_ms), row::bucket_of(to_ms - 1));
        let mut newest: Vec<Judged> = Vec::new();
        while bucket >= first && newest.len() < query.limit {
            let lowest = i64::from(bucket) - BUCKETS_AT_A_TIME + 1;
            let lowest = lowest.max(i64::from(first)) as i32;
            let times = (CqlTimestamp(from_ms), CqlTimestamp(to_ms));
            let asked = (lowest..=bucket).rev().map(|bucket| {
                self.rows::<TradeRow>(statement, (symbol, bucket, times.0, times.1, limit))
            });
            for rows in try_join_all(asked).await? {
                let room = query.limit - newest.len();
                for row in rows.into_iter().take(room) {
                    newest.push(row.into_judged()?);
                }
            }
            let Some(next) = lowest.checked_sub(1) else { break };
            bucket = next;
        }
        newest.reverse();
        Ok(newest)
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
        let rows = self.rows::<(String,)>(&self.symbols, ());
        let mut symbols: Vec<String> =
            self.connection.block_on(rows)?.into_iter().map(|(symbol,)| symbol).collect();
        symbols.sort();
        Ok(symbols)
    }

    fn bars(&self, query: &BarQuery) -> Result<Vec<Bar>> {
        let statement = self.statement_of(query.interval)?;
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
