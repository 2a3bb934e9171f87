//! The wire form of a trade for the vendor's reader, which takes what `direct` leaves; the field
//! names are those of `trade.avsc`.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::model::{Conditions, Trade};

#[derive(Serialize, Deserialize)]
#[serde(remote = "Trade", rename = "Trade")]
struct TradeFields {
    symbol: CompactString,
    price: f64,
    volume: f64,
    #[serde(rename = "trade_time")]
    trade_time_ms: i64,
    #[serde(default, deserialize_with = "read_conditions")]
    conditions: Option<Conditions>,
    connection: i64,
    seq: i64,
    #[serde(rename = "received_at")]
    received_at_us: i64,
    feed: CompactString,
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

/// Codes by way of a `Vec`, which makes room as they come: a damaged record may claim any number of
/// them, and `SmallVec` makes room for as many as are claimed.
pub(super) fn read_conditions<'de, D>(deserializer: D) -> Result<Option<Conditions>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    let codes: Option<Vec<CompactString>> = Deserialize::deserialize(deserializer)?;
    Ok(codes.map(Conditions::from_vec))
}

#[cfg(test)]
fn write<S: serde::Serializer>(trade: &&Trade, serializer: S) -> Result<S::Ok, S::Error> {
    TradeFields::serialize(trade, serializer)
}
