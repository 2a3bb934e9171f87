//! The tables that are cut into days: revisions of bars, feed events, gaps.

use futures_util::{StreamExt, TryStreamExt, stream};
use scylla::deserialize::row::DeserializeRow;
use scylla::serialize::row::SerializeRow;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlTimestamp;

use super::{BarRow, CassandraReader, prepare, row_limit};
use crate::cassandra::Connection;
use crate::cassandra::read_rows::{EventRow, GapRow, RevisionRow};
use crate::cassandra::schema::{FEED_EVENTS_TABLE, FEED_GAPS_TABLE, REVISIONS_TABLE};
use crate::codec::row;
use crate::error::Result;
use crate::model::{BarRevision, FeedGap, StoredEvent};
use crate::port::{BarQuery, GAP_LOOK_BACK_MS};

/// Partitions asked for at a time.
const AT_A_TIME: i32 = 16;
/// A range of more days is not walked: gaps and events are then looked for in their whole tables,
/// which are small, revisions from the oldest stored bar to the newest.
const DAYS_MAX: i64 = 400;

/// The queries by day, and those over a whole table.
pub struct DayQueries {
    partition_count: i32,
    revisions: PreparedStatement,
    events: PreparedStatement,
    all_events: PreparedStatement,
    gaps: PreparedStatement,
    all_gaps: PreparedStatement,
}

impl DayQueries {
    /// `partition_count` is that of the log.
    pub fn prepare(connection: &Connection, keyspace: &str, partition_count: u32) -> Result<Self> {
        let select = |columns: &str, table: &str, condition: &str| {
            let text = format!("SELECT {columns} FROM {keyspace}.{table} WHERE {condition}");
            prepare(connection, text)
        };
        let revisions = "symbol = ? AND interval = ? AND bucket = ? AND ts >= ? AND ts < ? \
                         ORDER BY ts DESC, generation DESC, revision DESC LIMIT ?";
        let events = |condition: &str| select(EventRow::SELECTED, FEED_EVENTS_TABLE, condition);
        let gaps = |condition: &str| select(GapRow::SELECTED, FEED_GAPS_TABLE, condition);
        Ok(Self {
            partition_count: i32::try_from(partition_count).unwrap_or(i32::MAX),
            revisions: select(&RevisionRow::COLUMNS.join(", "), REVISIONS_TABLE, revisions)?,
            events: events("log_partition = ? AND bucket = ? AND at >= ? AND at < ?")?,
            all_events: events("at >= ? AND at < ? ALLOW FILTERING")?,
            gaps: gaps("symbol = ? AND bucket = ? AND gap_start >= ? AND gap_start < ?")?,
            all_gaps: gaps("symbol = ? AND gap_start >= ? AND gap_start < ? ALLOW FILTERING")?,
        })
    }
}

/// The days that `[from_ms, to_ms)` touches, first and last; the range is not empty.
fn days(from_ms: i64, to_ms: i64) -> (i32, i32) {
    (row::day_of(from_ms), row::day_of(to_ms - 1))
}

fn is_walkable((first, last): (i32, i32)) -> bool {
    i64::from(last) - i64::from(first) < DAYS_MAX
}

impl CassandraReader {
    /// The rows of several partitions, in the order of `keys`.
    async fn rows_of_all<R>(
        &self,
        statement: &PreparedStatement,
        keys: impl Iterator<Item = impl SerializeRow>,
    ) -> Result<Vec<R>>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata> + 'static,
    {
        let asked = keys.map(|key| self.rows::<R>(statement, key));
        let rows = stream::iter(asked).buffered(AT_A_TIME as usize);
        Ok(rows.try_collect::<Vec<Vec<R>>>().await?.into_iter().flatten().collect())
    }

    pub(super) async fn newest_revisions(&self, query: &BarQuery) -> Result<Vec<BarRevision>> {
        let Some((from_ms, to_ms)) = self.walkable_bars(query).await? else {
            return Ok(Vec::new());
        };
        let (symbol, interval) = (row::key_symbol(&query.symbol), query.interval.to_string());
        let (from, to) = (CqlTimestamp(from_ms), CqlTimestamp(to_ms));
        let limit = row_limit(query.limit);
        let (first, mut day) = days(from_ms, to_ms);
        let mut newest: Vec<BarRevision> = Vec::new();
        while day >= first && newest.len() < query.limit {
            let lowest = day.saturating_sub(AT_A_TIME - 1).max(first);
            let keys = (lowest..=day).rev().map(|day| (symbol, &interval, day, from, to, limit));
            let rows: Vec<RevisionRow> = self.rows_of_all(&self.days.revisions, keys).await?;
            for row in rows.into_iter().take(query.limit - newest.len()) {
                newest.push(row.into_revision(query.interval)?);
            }
            let Some(next) = lowest.checked_sub(1) else { break };
            day = next;
        }
        newest.reverse();
        Ok(newest)
    }

    /// The range, or as much of it as there are bars when it is too wide to be walked.
    async fn walkable_bars(&self, query: &BarQuery) -> Result<Option<(i64, i64)>> {
        let gold = self.gold(query.interval)?;
        let (from_ms, to_ms) = (query.from_ms, query.to_ms);
        if query.limit == 0 || from_ms >= to_ms {
            return Ok(None);
        }
        if is_walkable(days(from_ms, to_ms)) {
            return Ok(Some((from_ms, to_ms)));
        }
        let symbol = row::key_symbol(&query.symbol);
        let (from, to) = (CqlTimestamp(from_ms), CqlTimestamp(to_ms));
        let oldest: Vec<(CqlTimestamp,)> = self.rows(&gold.oldest, (symbol, from, to)).await?;
        let newest: Vec<BarRow> = self.rows(&gold.bars, (symbol, from, to, 1)).await?;
        let newest =
            newest.into_iter().next().map(|row| row.into_bar(gold.interval)).transpose()?;
        let span = oldest.first().zip(newest);
        Ok(span.map(|((oldest,), newest)| (oldest.0, newest.window.end_ms.min(to_ms))))
    }

    pub(super) async fn events_between(
        &self,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<StoredEvent>> {
        if from_ms >= to_ms {
            return Ok(Vec::new());
        }
        let (from, to) = (CqlTimestamp(from_ms), CqlTimestamp(to_ms));
        let (first, last) = days(from_ms, to_ms);
        let rows: Vec<EventRow> = if is_walkable((first, last)) {
            let keys = (0..self.days.partition_count)
                .flat_map(|partition| (first..=last).map(move |day| (partition, day, from, to)));
            self.rows_of_all(&self.days.events, keys).await?
        } else {
            self.rows(&self.days.all_events, (from, to)).await?
        };
        let events = rows.into_iter().map(EventRow::into_event);
        let mut events = events.collect::<Result<Vec<StoredEvent>>>()?;
        events.sort_by_key(|stored| stored.origin);
        Ok(events)
    }

    pub(super) async fn gaps_between(
        &self,
        symbol: &str,
        from_ms: i64,
        to_ms: i64,
    ) -> Result<Vec<FeedGap>> {
        if from_ms >= to_ms {
            return Ok(Vec::new());
        }
        let symbol = row::key_symbol(symbol);
        let begun_ms = from_ms.saturating_sub(GAP_LOOK_BACK_MS);
        let (begun, to) = (CqlTimestamp(begun_ms), CqlTimestamp(to_ms));
        let (first, last) = days(begun_ms, to_ms);
        let rows: Vec<GapRow> = if is_walkable((first, last)) {
            let keys = (first..=last).map(|day| (symbol, day, begun, to));
            self.rows_of_all(&self.days.gaps, keys).await?
        } else {
            self.rows(&self.days.all_gaps, (symbol, begun, to)).await?
        };
        let gaps = rows.into_iter().map(GapRow::into_gap);
        let mut gaps = gaps.collect::<Result<Vec<FeedGap>>>()?;
        gaps.retain(|gap| gap.overlaps(from_ms, to_ms));
        gaps.sort_by_key(|gap| (gap.from_ms, gap.connection, gap.cause.as_str()));
        Ok(gaps)
    }
}
