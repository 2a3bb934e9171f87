//! Rows as they are read, made nouns again.

use scylla::DeserializeRow;
use scylla::value::CqlTimestamp;

use crate::codec::row;
use crate::error::{Error, Result};
use crate::model::{
    Bar, BarState, Disposition, Exclusion, Interval, Judged, LateWindow, Lateness, Origin,
    PricePoint, Session, Trade, Verdict, Window,
};

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
    /// The exact arrival: the column has only milliseconds.
    written_at_us: i64,
}

impl TradeRow {
    pub const SELECTED: &'static str = "symbol, ts, connection, seq, price, volume, conditions, \
        received_at, feed, disposition, reason, session, updates, log_partition, log_offset, \
        watermark, late_by_ms, late_window_start, WRITETIME(disposition) AS written_at_us";

    pub fn into_judged(self) -> Result<Judged> {
        let reason = self.reason.as_deref().unwrap_or_default();
        let disposition = Disposition::parse(&self.disposition, reason)
            .ok_or_else(|| unknown("disposition", &format!("{} {reason}", self.disposition)))?;
        let lateness = match (self.watermark, self.late_by_ms, self.late_window_start) {
            (Some(watermark), Some(late_by_ms), Some(window_start)) => Some(Lateness {
                watermark_ms: watermark.0,
                late_by_ms,
                window_start_ms: window_start.0,
                window: LateWindow::Gone,
            }),
            _ => None,
        };
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
            behind_ms: lateness.map_or(0, |late| late.late_by_ms),
            lateness,
            origin: Origin { partition: self.log_partition, offset: self.log_offset },
            trade: Trade {
                symbol: self.symbol,
                price: self.price,
                volume: self.volume,
                trade_time_ms: self.ts.0,
                conditions,
                connection: self.connection,
                seq: self.seq,
                received_at_us: self.received_at.map_or(0, |_| self.written_at_us + earlier_us),
                feed: self.feed,
            },
        })
    }
}

fn parse_session(text: Option<&str>) -> Result<Option<Session>> {
    text.map(|text| Session::parse(text).ok_or_else(|| unknown("session", text))).transpose()
}

fn unknown(column: &str, value: &str) -> Error {
    Error::Config(format!(
        "column {column} holds '{value}', which this version does not know; use the version that \
         wrote it"
    ))
}

macro_rules! bar_row {
    ($($field:ident: $type:ty),+ $(,)?) => {
        /// A row of `trades_gold.cql`.
        #[derive(DeserializeRow)]
        pub struct BarRow { $($field: $type),+ }
        impl BarRow {
            pub const COLUMNS: &'static [&'static str] = &[$(stringify!($field)),+];
        }
    };
}

bar_row! {
    symbol: String,
    ts: CqlTimestamp,
    window_end: CqlTimestamp,
    open: Option<f64>,
    high: Option<f64>,
    low: Option<f64>,
    close: Option<f64>,
    volume_exact: String,
    vwap: Option<f64>,
    trade_count: i64,
    state: String,
    revision: i64,
    generation: i64,
    coverage: Option<f64>,
    gap_ms: i64,
    verdict: String,
    session: Option<String>,
    open_time: Option<CqlTimestamp>,
    open_connection: Option<i64>,
    open_seq: Option<i64>,
    high_time: Option<CqlTimestamp>,
    high_connection: Option<i64>,
    high_seq: Option<i64>,
    low_time: Option<CqlTimestamp>,
    low_connection: Option<i64>,
    low_seq: Option<i64>,
    close_time: Option<CqlTimestamp>,
    close_connection: Option<i64>,
    close_seq: Option<i64>,
    excluded_odd_lot_volume_exact: String,
    excluded_odd_lot_count: i64,
    excluded_extended_volume_exact: String,
    excluded_extended_count: i64,
    excluded_out_of_sequence_volume_exact: String,
    excluded_out_of_sequence_count: i64,
    excluded_average_price_volume_exact: String,
    excluded_average_price_count: i64,
    excluded_unknown_volume_exact: String,
    excluded_unknown_count: i64,
    excluded_other_volume_exact: String,
    excluded_other_count: i64,
    conditions_version: i32,
}

impl BarRow {
    pub fn into_bar(self, interval: Interval) -> Result<Bar> {
        let excluded = [
            (&self.excluded_odd_lot_volume_exact, self.excluded_odd_lot_count),
            (&self.excluded_extended_volume_exact, self.excluded_extended_count),
            (&self.excluded_out_of_sequence_volume_exact, self.excluded_out_of_sequence_count),
            (&self.excluded_average_price_volume_exact, self.excluded_average_price_count),
            (&self.excluded_unknown_volume_exact, self.excluded_unknown_count),
            (&self.excluded_other_volume_exact, self.excluded_other_count),
        ];
        let mut exclusions = [Exclusion::default(); 6];
        for (exclusion, (volume, count)) in exclusions.iter_mut().zip(excluded) {
            *exclusion = Exclusion { volume: parse_amount(volume)?, count };
        }
        Ok(Bar {
            interval,
            window: Window { start_ms: self.ts.0, end_ms: self.window_end.0 },
            open: point(self.open, self.open_time, self.open_connection, self.open_seq),
            high: point(self.high, self.high_time, self.high_connection, self.high_seq),
            low: point(self.low, self.low_time, self.low_connection, self.low_seq),
            close: point(self.close, self.close_time, self.close_connection, self.close_seq),
            volume: parse_amount(&self.volume_exact)?,
            vwap: self.vwap,
            trade_count: self.trade_count,
            excluded: exclusions,
            session: parse_session(self.session.as_deref())?,
            coverage: self.coverage,
            gap_ms: self.gap_ms,
            verdict: Verdict::parse(&self.verdict)
                .ok_or_else(|| unknown("verdict", &self.verdict))?,
            state: BarState::parse(&self.state).ok_or_else(|| unknown("state", &self.state))?,
            revision: self.revision,
            generation: self.generation,
            conditions_version: self.conditions_version,
            late_included: 0,
            symbol: self.symbol.into(),
        })
    }
}

fn parse_amount(text: &str) -> Result<crate::model::Amount> {
    text.parse().map_err(|()| unknown("an exact volume", text))
}

fn point(
    price: Option<f64>,
    time: Option<CqlTimestamp>,
    connection: Option<i64>,
    seq: Option<i64>,
) -> Option<PricePoint> {
    let (price, CqlTimestamp(trade_time_ms)) = (price?, time?);
    Some(PricePoint { price, trade_time_ms, connection: connection?, seq: seq? })
}
