//! The wire form of a trade for the vendor's reader, which takes what `direct` leaves; the field
//! names are those of `trade.avsc`.

use serde::{Deserialize, Serialize};

use crate::model::Trade;

#[derive(Serialize, Deserialize)]
#[serde(remote = "Trade", rename = "Trade")]
struct TradeFields {
    symbol: String,
    price: f64,
    volume: f64,
    #[serde(rename = "trade_time")]
    trade_time_ms: i64,
    conditions: Option<Vec<String>>,
    connection: i64,
    seq: i64,
    #[serde(rename = "received_at")]
    received_at_us: i64,
    feed: String,
}

/// A trade to be written, for comparison with `direct`.
#[cfg(test)]
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Reference<'a>(#[serde(serialize_with = "write")] pub(super) &'a Trade);

/// A trade that was read.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Owned(#[serde(with = "TradeFields")] pub(super) Trade);

#[cfg(test)]
fn write<S: serde::Serializer>(trade: &&Trade, serializer: S) -> Result<S::Ok, S::Error> {
    TradeFields::serialize(trade, serializer)
}
