//! A trade's row, made a noun again.

use scylla::DeserializeRow;
use scylla::value::CqlTimestamp;

use super::{parse_session, unknown};
use crate::codec::row;
use crate::error::Result;
use crate::model::{Disposition, Judged, LateWindow, Lateness, Origin, Trade};

/// A row of `trades.cql`.
#[derive(DeserializeRow)]
pub struct TradeRow {
    symbol: String,
    ts: CqlTimestamp,
    connection: i64,
    seq: i64,
    price: f64,
    volume: f64,
    conditions: Option<String>,
    received_at: Option<CqlTimestamp>,
    feed: String,
    disposition: String,
    reason: Option<String>,
    session: Option<String>,
    updates: Option<String>,
    log_partition: i32,
    log_offset: i64,
    watermark: Option<CqlTimestamp>,
    late_by_ms: Option<i64>,
    late_window_start: Option<CqlTimestamp>,
    late_window_state: Option<String>,
    /// The exact arrival: the column has only milliseconds.
    written_at_us: i64,
}

impl TradeRow {
    pub const SELECTED: &'static str = "symbol, ts, connection, seq, price, volume, conditions, \
        received_at, feed, disposition, reason, session, updates, log_partition, log_offset, \
        watermark, late_by_ms, late_window_start, late_window_state, \
        WRITETIME(disposition) AS written_at_us";

    pub fn into_judged(self) -> Result<Judged> {
        let reason = self.reason.as_deref().unwrap_or_default();
        let disposition = Disposition::parse(&self.disposition, reason)
            .ok_or_else(|| unknown("disposition", &format!("{} {reason}", self.disposition)))?;
        let lateness = self.lateness()?;
        // See `row::trade_write_timestamp_us`.
        let earlier_us = i64::from(matches!(disposition, Disposition::Duplicate(_)));
        let conditions = match &self.conditions {
            Some(text) => {
                Some(row::parse_conditions(text).ok_or_else(|| unknown("conditions", text))?)
            }
            None => None,
        };
        let updates = self.updates.as_deref();
        let [updates_last, updates_high_low, updates_volume] = row::parse_updates(updates)
            .ok_or_else(|| unknown("updates", updates.unwrap_or_default()))?;
        Ok(Judged {
            disposition,
            session: parse_session(self.session.as_deref())?,
            updates_last,
            updates_high_low,
            updates_volume,
            behind_ms: 0,
            lateness,
            origin: Origin { partition: self.log_partition, offset: self.log_offset },
            trade: Trade {
                symbol: self.symbol.into(),
                price: self.price,
                volume: self.volume,
                trade_time_ms: self.ts.0,
                conditions,
                connection: self.connection,
                seq: self.seq,
                received_at_us: self.received_at.map_or(0, |_| self.written_at_us + earlier_us),
                feed: self.feed.into(),
            },
        })
    }

    fn lateness(&self) -> Result<Option<Lateness>> {
        let (Some(watermark), Some(late_by_ms), Some(window_start)) =
            (self.watermark, self.late_by_ms, self.late_window_start)
        else {
            return Ok(None);
        };
        // A row from before the column was there says nothing; its window is not kept by now.
        let state = self.late_window_state.as_deref().unwrap_or(LateWindow::Gone.as_str());
        Ok(Some(Lateness {
            watermark_ms: watermark.0,
            late_by_ms,
            window_start_ms: window_start.0,
            window: LateWindow::parse(state).ok_or_else(|| unknown("late_window_state", state))?,
        }))
    }
}
