//! Trades, partition by partition from the newest.

use futures_util::future::try_join_all;
use scylla::value::CqlTimestamp;

use super::{CassandraReader, row_limit};
use crate::cassandra::read_rows::{BarRow, TradeRow};
use crate::codec::row;
use crate::error::Result;
use crate::model::Judged;
use crate::port::{Tier, TradeQuery};

/// Partitions of trades looked into for one query: the silver tier's 30 days. A wider range is read
/// from the newest bar backwards.
const BUCKETS_MAX: i64 = 4_320;
/// Partitions asked for at a time.
const BUCKETS_AT_A_TIME: i64 = 16;
/// Trades may be stored a little ahead of their bar, ms.
const AHEAD_OF_BARS_MS: i64 = row::BUCKET_MS;

impl CassandraReader {
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
        let newest = try_join_all(self.gold.iter().map(async |gold| {
            let rows: Vec<BarRow> = self.rows(&gold.bars, (symbol, first, before, 1)).await?;
            rows.into_iter().map(|row| row.into_bar(gold.interval)).next().transpose()
        }));
        let newest = newest.await?.into_iter().flatten();
        Ok(newest.map(|bar| bar.window.end_ms).max())
    }

    pub(super) async fn newest_trades(&self, query: &TradeQuery) -> Result<Vec<Judged>> {
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
