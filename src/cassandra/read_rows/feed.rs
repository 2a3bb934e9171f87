//! Rows about the feed, made nouns again: its events and its gaps.

use scylla::DeserializeRow;
use scylla::value::CqlTimestamp;

use super::unknown;
use crate::codec::row;
use crate::error::Result;
use crate::model::{FeedEvent, FeedEventKind, FeedGap, GapCause, Origin, StoredEvent};

/// A row of `feed_events.cql`.
#[derive(DeserializeRow)]
pub struct EventRow {
    log_partition: i32,
    log_offset: i64,
    kind: String,
    connection: i64,
    seq: i64,
    feed: String,
    at_us: i64,
    feed_time: Option<CqlTimestamp>,
    confirmed_at_us: Option<i64>,
    confirmed_feed_time: Option<CqlTimestamp>,
    symbols: Option<String>,
    lost_records: i64,
    detail: Option<String>,
}

impl EventRow {
    pub const SELECTED: &'static str = "log_partition, log_offset, kind, connection, seq, feed, \
        at_us, feed_time, confirmed_at_us, confirmed_feed_time, symbols, lost_records, detail";

    pub fn into_event(self) -> Result<StoredEvent> {
        let symbols = self.symbols.as_deref();
        Ok(StoredEvent {
            origin: Origin { partition: self.log_partition, offset: self.log_offset },
            event: FeedEvent {
                kind: FeedEventKind::parse(&self.kind)
                    .ok_or_else(|| unknown("kind", &self.kind))?,
                connection: self.connection,
                seq: self.seq,
                feed: self.feed,
                at_us: self.at_us,
                feed_time_ms: self.feed_time.map(|time| time.0),
                confirmed_at_us: self.confirmed_at_us,
                confirmed_feed_time_ms: self.confirmed_feed_time.map(|time| time.0),
                symbols: row::parse_symbols(symbols)
                    .ok_or_else(|| unknown("symbols", symbols.unwrap_or_default()))?,
                lost_records: self.lost_records,
                detail: self.detail.unwrap_or_default(),
            },
        })
    }
}

/// A row of `feed_gaps.cql`.
#[derive(DeserializeRow)]
pub struct GapRow {
    symbol: String,
    gap_start: CqlTimestamp,
    connection: i64,
    cause: String,
    feed: String,
    gap_end: Option<CqlTimestamp>,
    next_connection: Option<i64>,
    lost_records: i64,
    detail: String,
}

impl GapRow {
    pub const SELECTED: &'static str = "symbol, gap_start, connection, cause, feed, gap_end, \
        next_connection, lost_records, detail";

    pub fn into_gap(self) -> Result<FeedGap> {
        Ok(FeedGap {
            cause: GapCause::parse(&self.cause).ok_or_else(|| unknown("cause", &self.cause))?,
            symbol: self.symbol,
            feed: self.feed,
            connection: self.connection,
            from_ms: self.gap_start.0,
            to_ms: self.gap_end.map(|end| end.0),
            next_connection: self.next_connection,
            lost_records: self.lost_records,
            detail: self.detail,
            told_at: 0,
        })
    }
}
