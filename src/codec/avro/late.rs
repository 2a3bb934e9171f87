//! The wire form of a late trade; the field names are those of `late.avsc`.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use super::bar::SessionField;
use super::trade::read_conditions;
use crate::error::{Error, Result};
use crate::model::{Conditions, Disposition, Judged, LateWindow, Lateness, Origin, Trade};

#[derive(Serialize, Deserialize)]
#[serde(rename = "LateTrade")]
pub(super) struct LateRecord {
    symbol: CompactString,
    price: f64,
    volume: f64,
    trade_time: i64,
    #[serde(default, deserialize_with = "read_conditions")]
    conditions: Option<Conditions>,
    connection: i64,
    seq: i64,
    received_at: i64,
    feed: CompactString,
    source_partition: i32,
    source_offset: i64,
    watermark: i64,
    late_by_ms: i64,
    window_start: i64,
    window_state: String,
    session: Option<SessionField>,
    updates_last: bool,
    updates_high_low: bool,
    updates_volume: bool,
}

impl LateRecord {
    /// `Bug` for a trade without lateness.
    pub(super) fn new(judged: &Judged) -> Result<Self> {
        let Some(lateness) = judged.lateness else {
            return Err(Error::Bug(format!("a {} trade as late", judged.disposition.as_str())));
        };
        let trade = judged.trade.clone();
        Ok(Self {
            symbol: trade.symbol,
            price: trade.price,
            volume: trade.volume,
            trade_time: trade.trade_time_ms,
            conditions: trade.conditions,
            connection: trade.connection,
            seq: trade.seq,
            received_at: trade.received_at_us,
            feed: trade.feed,
            source_partition: judged.origin.partition,
            source_offset: judged.origin.offset,
            watermark: lateness.watermark_ms,
            late_by_ms: lateness.late_by_ms,
            window_start: lateness.window_start_ms,
            window_state: lateness.window.as_str().to_owned(),
            session: judged.session.map(SessionField),
            updates_last: judged.updates_last,
            updates_high_low: judged.updates_high_low,
            updates_volume: judged.updates_volume,
        })
    }

    pub(super) fn into_judged(self) -> Judged {
        Judged {
            trade: Trade {
                symbol: self.symbol,
                price: self.price,
                volume: self.volume,
                trade_time_ms: self.trade_time,
                conditions: self.conditions,
                connection: self.connection,
                seq: self.seq,
                received_at_us: self.received_at,
                feed: self.feed,
            },
            origin: Origin { partition: self.source_partition, offset: self.source_offset },
            disposition: Disposition::Late,
            session: self.session.map(|SessionField(session)| session),
            updates_last: self.updates_last,
            updates_high_low: self.updates_high_low,
            updates_volume: self.updates_volume,
            lateness: Some(Lateness {
                watermark_ms: self.watermark,
                late_by_ms: self.late_by_ms,
                window_start_ms: self.window_start,
                window: LateWindow::parse(&self.window_state).unwrap_or(LateWindow::Gone),
            }),
            behind_ms: self.late_by_ms,
        }
    }
}
