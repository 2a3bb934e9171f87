//! Trades as CSV, for spreadsheets and scripts; columns as in the tables, times in ms.

use ::csv::{Terminator, WriterBuilder};

use super::row;
use crate::error::{Error, Result};
use crate::model::{Judged, Session};

const COLUMNS: [&str; 11] = [
    "symbol",
    "ts",
    "connection",
    "seq",
    "price",
    "volume",
    "conditions",
    "received_at",
    "disposition",
    "reason",
    "session",
];

/// The header and one row a trade, in the given order. What a trade does not have is empty.
///
/// # Errors
/// `Bug` when a row cannot be written to memory.
pub fn write_trades(trades: &[Judged]) -> Result<Vec<u8>> {
    let failed = |error: &dyn std::fmt::Display| Error::Bug(format!("CSV of trades: {error}"));
    let mut writer = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(vec![]);
    writer.write_record(COLUMNS).map_err(|error| failed(&error))?;
    for judged in trades {
        writer.write_record(cells_of(judged)).map_err(|error| failed(&error))?;
    }
    writer.into_inner().map_err(|error| failed(&error))
}

fn cells_of(judged: &Judged) -> [String; 11] {
    let trade = &judged.trade;
    let mut conditions = String::new();
    if let Some(codes) = &trade.conditions {
        row::write_conditions(codes, &mut conditions);
    }
    let received_at_ms = match trade.received_at_us {
        0 => String::new(),
        received_at_us => received_at_us.div_euclid(1_000).to_string(),
    };
    [
        trade.symbol.clone(),
        trade.trade_time_ms.to_string(),
        trade.connection.to_string(),
        trade.seq.to_string(),
        trade.price.to_string(),
        trade.volume.to_string(),
        conditions,
        received_at_ms,
        judged.disposition.as_str().to_owned(),
        judged.disposition.reason().to_owned(),
        judged.session.map_or("", Session::as_str).to_owned(),
    ]
}
