//! Bars and trades as JSON objects whose fields are named as the columns of the tables; times are
//! milliseconds since the UNIX epoch.

use serde::Serialize;

use crate::model::{Bar, Judged};

/// One row of a gold table.
#[derive(Debug, Clone, Serialize)]
pub(super) struct BarRow {
    pub symbol: String,
    pub interval: String,
    pub ts: i64,
    pub window_end: i64,
    pub open: Option<f64>,
    pub high: Option<f64>,
    pub low: Option<f64>,
    pub close: Option<f64>,
    pub volume: f64,
    pub vwap: Option<f64>,
    pub volume_exact: String,
    pub trade_count: i64,
    pub state: &'static str,
    pub revision: i64,
    pub generation: i64,
    pub coverage: Option<f64>,
    pub gap_ms: i64,
    pub verdict: &'static str,
    pub session: Option<&'static str>,
    pub conditions_version: i32,
}

impl From<&Bar> for BarRow {
    fn from(bar: &Bar) -> Self {
        Self {
            symbol: bar.symbol.to_string(),
            interval: bar.interval.to_string(),
            ts: bar.window.start_ms,
            window_end: bar.window.end_ms,
            open: bar.open.map(|point| point.price),
            high: bar.high.map(|point| point.price),
            low: bar.low.map(|point| point.price),
            close: bar.close.map(|point| point.price),
            volume: bar.volume.to_f64(),
            vwap: bar.vwap,
            volume_exact: bar.volume.to_string(),
            trade_count: bar.trade_count,
            state: bar.state.as_str(),
            revision: bar.revision,
            generation: bar.generation,
            coverage: bar.coverage,
            gap_ms: bar.gap_ms,
            verdict: bar.verdict.as_str(),
            session: bar.session.map(|session| session.as_str()),
            conditions_version: bar.conditions_version,
        }
    }
}

/// One row of a trades table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct TradeRow {
    pub symbol: String,
    pub ts: i64,
    /// As text: a connection is a 63-bit number, more than a page's numbers hold exactly.
    pub connection: String,
    pub seq: i64,
    pub price: f64,
    pub volume: f64,
    pub conditions: Option<String>,
    pub received_at: i64,
    pub disposition: &'static str,
    pub reason: &'static str,
    pub session: Option<&'static str>,
}

impl From<&Judged> for TradeRow {
    fn from(judged: &Judged) -> Self {
        let trade = &judged.trade;
        Self {
            symbol: trade.symbol.clone(),
            ts: trade.trade_time_ms,
            connection: trade.connection.to_string(),
            seq: trade.seq,
            price: trade.price,
            volume: trade.volume,
            conditions: trade.conditions.as_ref().map(|codes| codes.join(",")),
            received_at: trade.received_at_us.div_euclid(1_000),
            disposition: judged.disposition.as_str(),
            reason: judged.disposition.reason(),
            session: judged.session.map(|session| session.as_str()),
        }
    }
}
