//! The wire form of a feed event; the field names are those of `feed_event.avsc`.

use serde::{Deserialize, Serialize};

use crate::model::{FeedEvent, FeedEventKind};

#[derive(Serialize, Deserialize)]
#[serde(remote = "FeedEventKind", rename = "FeedEventKind", rename_all = "snake_case")]
enum KindSymbol {
    Connected,
    Subscribed,
    Heartbeat,
    Silence,
    Disconnected,
    Released,
    Overflow,
    DecodeLoss,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "FeedEvent", rename = "FeedEvent")]
struct EventFields {
    #[serde(with = "KindSymbol")]
    kind: FeedEventKind,
    connection: i64,
    seq: i64,
    feed: String,
    #[serde(rename = "at")]
    at_us: i64,
    #[serde(rename = "feed_time")]
    feed_time_ms: Option<i64>,
    #[serde(rename = "confirmed_at")]
    confirmed_at_us: Option<i64>,
    #[serde(rename = "confirmed_feed_time")]
    confirmed_feed_time_ms: Option<i64>,
    symbols: Vec<String>,
    lost_records: i64,
    detail: String,
}

/// An event to be written.
#[derive(Serialize)]
#[serde(transparent)]
pub(super) struct Reference<'a>(#[serde(serialize_with = "write")] pub(super) &'a FeedEvent);

/// An event that was read.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Owned(#[serde(with = "EventFields")] pub(super) FeedEvent);

fn write<S: serde::Serializer>(event: &&FeedEvent, serializer: S) -> Result<S::Ok, S::Error> {
    EventFields::serialize(event, serializer)
}
