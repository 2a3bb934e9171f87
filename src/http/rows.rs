//! Bars and trades as JSON objects whose fields are named as the columns of the tables; times are
//! milliseconds since the UNIX epoch.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::model::{Bar, BarRevision, ExclusionReason, FeedEvent, FeedGap, Judged, Session};

/// One row of a gold table.
#[derive(Debug, Clone)]
pub struct BarRow(pub Bar);

impl Serialize for BarRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bar = &self.0;
        let mut row = serializer.serialize_map(None)?;
        row.serialize_entry("symbol", &*bar.symbol)?;
        row.serialize_entry("interval", &bar.interval.to_string())?;
        row.serialize_entry("ts", &bar.window.start_ms)?;
        row.serialize_entry("window_end", &bar.window.end_ms)?;
        let prices =
            [("open", bar.open), ("high", bar.high), ("low", bar.low), ("close", bar.close)];
        for (name, point) in prices {
            row.serialize_entry(name, &point.map(|point| point.price))?;
        }
        row.serialize_entry("volume", &bar.volume.to_f64())?;
        row.serialize_entry("volume_exact", &bar.volume.to_string())?;
        row.serialize_entry("vwap", &bar.vwap)?;
        row.serialize_entry("trade_count", &bar.trade_count)?;
        row.serialize_entry("state", bar.state.as_str())?;
        row.serialize_entry("revision", &bar.revision)?;
        row.serialize_entry("generation", &bar.generation)?;
        row.serialize_entry("coverage", &bar.coverage)?;
        row.serialize_entry("gap_ms", &bar.gap_ms)?;
        row.serialize_entry("verdict", bar.verdict.as_str())?;
        row.serialize_entry("session", &bar.session.map(Session::as_str))?;
        for (name, point) in prices {
            row.serialize_entry(&format!("{name}_time"), &point.map(|at| at.trade_time_ms))?;
            row.serialize_entry(&format!("{name}_connection"), &point.map(|at| at.connection))?;
            row.serialize_entry(&format!("{name}_seq"), &point.map(|at| at.seq))?;
        }
        for (reason, excluded) in ExclusionReason::ALL.iter().zip(bar.excluded) {
            let (name, volume) = (reason.as_str(), excluded.volume);
            row.serialize_entry(&format!("excluded_{name}_volume"), &volume.to_f64())?;
            row.serialize_entry(&format!("excluded_{name}_volume_exact"), &volume.to_string())?;
            row.serialize_entry(&format!("excluded_{name}_count"), &excluded.count)?;
        }
        row.serialize_entry("conditions_version", &bar.conditions_version)?;
        row.serialize_entry("late_included", &bar.late_included)?;
        row.end()
    }
}

/// One row of a trades table.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct TradeRow {
    pub symbol: String,
    pub ts: i64,
    /// Microseconds since the epoch: below 2⁵³, so a page's numbers hold it exactly.
    pub connection: i64,
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
            connection: trade.connection,
            seq: trade.seq,
            price: trade.price,
            volume: trade.volume,
            conditions: trade.conditions.as_ref().map(|codes| codes.join(",")),
            received_at: trade.received_at_us.div_euclid(1_000),
            disposition: judged.disposition.as_str(),
            reason: judged.disposition.reason(),
            session: judged.session.map(Session::as_str),
        }
    }
}

/// One row of `feed_gaps`.
#[derive(Debug, Clone, serde::Serialize)]
pub struct GapRow<'a> {
    pub symbol: &'a str,
    pub gap_start: i64,
    /// `null` while it lasts; equals `gap_start` for a loss at an instant.
    pub gap_end: Option<i64>,
    pub gap_ms: Option<i64>,
    pub connection: i64,
    pub next_connection: Option<i64>,
    pub cause: &'static str,
    pub feed: &'a str,
    pub lost_records: i64,
    pub detail: &'a str,
}

impl<'a> From<&'a FeedGap> for GapRow<'a> {
    fn from(gap: &'a FeedGap) -> Self {
        Self {
            symbol: &gap.symbol,
            gap_start: gap.from_ms,
            gap_end: gap.to_ms,
            gap_ms: gap.to_ms.map(|to_ms| to_ms - gap.from_ms),
            connection: gap.connection,
            next_connection: gap.next_connection,
            cause: gap.cause.as_str(),
            feed: &gap.feed,
            lost_records: gap.lost_records,
            detail: &gap.detail,
        }
    }
}

/// One row of `bar_revisions`: why, and the whole bar as it became.
#[derive(Debug, Clone, serde::Serialize)]
pub struct RevisionRow {
    pub why: &'static str,
    #[serde(flatten)]
    pub bar: BarRow,
}

impl From<BarRevision> for RevisionRow {
    fn from(revision: BarRevision) -> Self {
        Self { why: revision.why.as_str(), bar: BarRow(revision.bar) }
    }
}

/// One row of `feed_events`.
#[derive(Debug, Clone, serde::Serialize)]
pub struct EventRow<'a> {
    pub at: i64,
    pub connection: i64,
    pub seq: i64,
    pub kind: &'static str,
    pub feed: &'a str,
    pub feed_time: Option<i64>,
    pub lost_records: i64,
    pub detail: &'a str,
}

impl<'a> From<&'a FeedEvent> for EventRow<'a> {
    fn from(event: &'a FeedEvent) -> Self {
        Self {
            at: event.at_us.div_euclid(1_000),
            connection: event.connection,
            seq: event.seq,
            kind: event.kind.as_str(),
            feed: &event.feed,
            feed_time: event.feed_time_ms,
            lost_records: event.lost_records,
            detail: &event.detail,
        }
    }
}
