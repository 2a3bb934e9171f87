//! The wire form of a bar; the field names are those of `bar.avsc`.

use serde::{Deserialize, Serialize};

use crate::model::{
    Amount, Bar, BarState, Exclusion, ExclusionReason, Interval, PricePoint, Session, Verdict,
    Window,
};

#[derive(Serialize, Deserialize)]
#[serde(remote = "Session", rename = "Session", rename_all = "snake_case")]
enum SessionSymbol {
    Pre,
    Regular,
    Post,
    Closed,
    Mixed,
}

/// A session inside an `Option`.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct SessionField(#[serde(with = "SessionSymbol")] pub(super) Session);

#[derive(Serialize, Deserialize)]
#[serde(remote = "Verdict", rename = "Verdict", rename_all = "snake_case")]
enum VerdictSymbol {
    Complete,
    Partial,
    Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "BarState", rename = "BarState", rename_all = "snake_case")]
enum StateSymbol {
    Provisional,
    Closed,
    Corrected,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
struct TradeReference {
    trade_time: i64,
    connection: i64,
    seq: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Exclusion")]
struct ExclusionRecord {
    reason: String,
    volume: f64,
    volume_exact: String,
    count: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Bar")]
pub(super) struct BarRecord {
    symbol: String,
    interval: String,
    window_start: i64,
    window_end: i64,
    open: Option<f64>,
    high: Option<f64>,
    low: Option<f64>,
    close: Option<f64>,
    volume: f64,
    volume_exact: String,
    vwap: Option<f64>,
    trade_count: i64,
    open_trade: Option<TradeReference>,
    high_trade: Option<TradeReference>,
    low_trade: Option<TradeReference>,
    close_trade: Option<TradeReference>,
    excluded: Vec<ExclusionRecord>,
    session: Option<SessionField>,
    coverage: Option<f64>,
    gap_ms: i64,
    #[serde(with = "VerdictSymbol")]
    verdict: Verdict,
    #[serde(with = "StateSymbol")]
    state: BarState,
    revision: i64,
    generation: i64,
    conditions_version: i32,
    late_included: i64,
}

impl From<&Bar> for BarRecord {
    fn from(bar: &Bar) -> Self {
        let price = |point: Option<PricePoint>| point.map(|point| point.price);
        let reference = |point: Option<PricePoint>| {
            point.map(|PricePoint { trade_time_ms: trade_time, connection, seq, .. }| {
                TradeReference { trade_time, connection, seq }
            })
        };
        Self {
            symbol: bar.symbol.to_string(),
            interval: bar.interval.to_string(),
            window_start: bar.window.start_ms,
            window_end: bar.window.end_ms,
            open: price(bar.open),
            high: price(bar.high),
            low: price(bar.low),
            close: price(bar.close),
            volume: bar.volume.to_f64(),
            volume_exact: bar.volume.to_string(),
            vwap: bar.vwap,
            trade_count: bar.trade_count,
            open_trade: reference(bar.open),
            high_trade: reference(bar.high),
            low_trade: reference(bar.low),
            close_trade: reference(bar.close),
            excluded: exclusions(&bar.excluded),
            session: bar.session.map(SessionField),
            coverage: bar.coverage,
            gap_ms: bar.gap_ms,
            verdict: bar.verdict,
            state: bar.state,
            revision: bar.revision,
            generation: bar.generation,
            conditions_version: bar.conditions_version,
            late_included: bar.late_included,
        }
    }
}

fn exclusions(excluded: &[Exclusion]) -> Vec<ExclusionRecord> {
    let reasons = ExclusionReason::ALL.iter().zip(excluded);
    reasons
        .filter(|(_, exclusion)| **exclusion != Exclusion::default())
        .map(|(reason, exclusion)| ExclusionRecord {
            reason: reason.as_str().to_owned(),
            volume: exclusion.volume.to_f64(),
            volume_exact: exclusion.volume.to_string(),
            count: exclusion.count,
        })
        .collect()
}

impl BarRecord {
    /// The error is a line that names the field.
    pub(super) fn into_bar(self) -> Result<Bar, String> {
        let point = |price: Option<f64>, trade: Option<TradeReference>| {
            price.zip(trade).map(|(price, trade)| PricePoint {
                price,
                trade_time_ms: trade.trade_time,
                connection: trade.connection,
                seq: trade.seq,
            })
        };
        let mut excluded = [Exclusion::default(); ExclusionReason::ALL.len()];
        for entry in &self.excluded {
            add_exclusion(&mut excluded, &entry.reason, &entry.volume_exact, entry.count)?;
        }
        Ok(Bar {
            interval: Interval::parse(&self.interval)?,
            window: Window { start_ms: self.window_start, end_ms: self.window_end },
            open: point(self.open, self.open_trade),
            high: point(self.high, self.high_trade),
            low: point(self.low, self.low_trade),
            close: point(self.close, self.close_trade),
            volume: amount(&self.volume_exact)?,
            symbol: self.symbol.into(),
            vwap: self.vwap,
            trade_count: self.trade_count,
            excluded,
            session: self.session.map(|SessionField(session)| session),
            coverage: self.coverage,
            gap_ms: self.gap_ms,
            verdict: self.verdict,
            state: self.state,
            revision: self.revision,
            generation: self.generation,
            conditions_version: self.conditions_version,
            late_included: self.late_included,
        })
    }
}

pub(super) fn amount(text: &str) -> Result<Amount, String> {
    text.parse().map_err(|()| format!("'{text}' is no exact amount"))
}

/// Adds one entry under its reason; a reason of a later version counts as `other`.
pub(super) fn add_exclusion(
    excluded: &mut [Exclusion; ExclusionReason::ALL.len()],
    reason: &str,
    volume: &str,
    count: i64,
) -> Result<(), String> {
    let reason = ExclusionReason::parse(reason).unwrap_or(ExclusionReason::Other);
    let entry = &mut excluded[reason as usize];
    entry.volume = entry
        .volume
        .checked_add(amount(volume)?)
        .ok_or_else(|| format!("'{volume}' exceeds the range of amounts"))?;
    entry.count = entry.count.saturating_add(count);
    Ok(())
}
