//! Records of the topics as Avro, straight between structs and bytes: a `Value` tree in between
//! costs five to eight times as much and is used only for schemas that other writers brought along.
//!
//! Two framings are read, told apart by their first byte: Avro single-object encoding
//! (`C3 01`, CRC-64-AVRO of the schema) and Confluent's wire format (`00`, schema id). Topics are
//! written in the second when a registry is configured, else in the first; the changelog and feed
//! events always in the first, since nobody else's schemas matter there.

mod bar;
mod direct;
mod event;
mod foreign;
mod framing;
mod late;
mod schema;
mod scope;
mod shape;
mod state;
mod trade;

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::foreign::WriterSchemas;
use self::framing::Frame;
use self::schema::OwnSchema;
pub use self::state::{VERSION as STATE_VERSION, window_interval};
use crate::error::{Error, Result};
use crate::model::{Bar, FeedEvent, Judged, StateRecord, Trade};

/// Gives the text of the schema with an id: `None` when the registry says that there is no such
/// schema, `Unavailable` when it does not answer.
pub type SchemaLookup = dyn Fn(u32) -> Result<Option<String>> + Send + Sync;

/// The schema texts of the topics' values, for registration under `<topic>-value`.
pub mod schemas {
    pub use super::schema::{BAR, FEED_EVENT, LATE, REJECTED, TRADE};
}

/// The registry's ids for what we write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriterIds {
    pub trade: u32,
    pub silver: u32,
    pub bar: u32,
    pub late: u32,
}

/// Why bytes did not become a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undecodable {
    /// They are no record of a schema that we know, and never will be: reject them. One line.
    Definite(String),
    /// The schema could not be fetched: the same bytes may decode later, so stall and try again.
    Stalled(Error),
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Definite(problem) => f.write_str(problem),
            Self::Stalled(error) => error.fmt(f),
        }
    }
}

/// Encoder and decoder of every record. Shared by reference between threads.
pub struct Avro {
    ids: Option<WriterIds>,
    writers: WriterSchemas,
}

impl Avro {
    /// Single-object encoding, no registry.
    pub fn single_object() -> Self {
        Self { ids: None, writers: WriterSchemas::new(None) }
    }

    /// Confluent framing: topics are written under `ids`, which the registry gave to our own
    /// schemas, and other ids are asked for through `lookup`, once each.
    pub fn with_registry(ids: WriterIds, lookup: Box<SchemaLookup>) -> Self {
        let writers = WriterSchemas::new(Some(lookup));
        for (own, id) in [
            (schema::trade(), ids.trade),
            (schema::trade(), ids.silver),
            (schema::bar(), ids.bar),
            (schema::late(), ids.late),
        ] {
            writers.is_own(own, id);
        }
        Self { ids: Some(ids), writers }
    }

    /// Adds a schema of another writer (an earlier version of ours, or somebody else's) that
    /// single-object records are found to be written with.
    ///
    /// # Errors
    /// `Config` when the text is no Avro schema or one that could make a small record huge.
    pub fn knowing(mut self, writer_schema: &str) -> Result<Self> {
        self.writers.know(writer_schema)?;
        Ok(self)
    }

    /// Appends a value of the trades topic.
    ///
    /// # Errors
    /// This and the other encoders: `Bug`, when the schema and the struct disagree.
    pub fn encode_trade(&self, trade: &Trade, out: &mut Vec<u8>) -> Result<()> {
        encode_trade(self.ids.map(|ids| ids.trade), trade, out);
        Ok(())
    }

    /// Appends a value of the silver topic: a trade under that topic's own subject.
    pub fn encode_silver(&self, trade: &Trade, out: &mut Vec<u8>) -> Result<()> {
        encode_trade(self.ids.map(|ids| ids.silver), trade, out);
        Ok(())
    }

    /// Appends a value of the bars topic.
    pub fn encode_bar(&self, bar: &Bar, out: &mut Vec<u8>) -> Result<()> {
        encode(schema::bar(), self.ids.map(|ids| ids.bar), &bar::BarRecord::from(bar), out)
    }

    /// Appends a value of the late topic. A trade that is not late is a `Bug`.
    pub fn encode_late(&self, judged: &Judged, out: &mut Vec<u8>) -> Result<()> {
        let record = late::LateRecord::new(judged)?;
        encode(schema::late(), self.ids.map(|ids| ids.late), &record, out)
    }

    /// Appends the value of the feed-event header; always single-object.
    pub fn encode_feed_event(&self, event: &FeedEvent, out: &mut Vec<u8>) -> Result<()> {
        encode(schema::feed_event(), None, &event::Reference(event), out)
    }

    /// Key and value of a changelog record; no value is a tombstone. Always single-object.
    pub fn encode_state(&self, record: &StateRecord) -> Result<(Vec<u8>, Option<Vec<u8>>)> {
        state::encode(record)
    }

    /// A value of the trades or silver topic.
    ///
    /// # Errors
    /// This and the other decoders: see [`Undecodable`]. Bytes after the record are `Definite`.
    pub fn decode_trade(&self, bytes: &[u8]) -> Result<Trade, Undecodable> {
        if let Some(trade) = self.own_trade(bytes).and_then(direct::read) {
            return Ok(trade);
        }
        self.decode(schema::trade(), bytes).map(|trade::Owned(trade)| trade)
    }

    /// A value of the bars topic.
    pub fn decode_bar(&self, bytes: &[u8]) -> Result<Bar, Undecodable> {
        let record: bar::BarRecord = self.decode(schema::bar(), bytes)?;
        record.into_bar().map_err(Undecodable::Definite)
    }

    /// A value of the late topic.
    pub fn decode_late(&self, bytes: &[u8]) -> Result<Judged, Undecodable> {
        self.decode(schema::late(), bytes).map(late::LateRecord::into_judged)
    }

    /// The value of a feed-event header.
    pub fn decode_feed_event(&self, bytes: &[u8]) -> Result<FeedEvent, Undecodable> {
        self.decode(schema::feed_event(), bytes).map(|event::Owned(event)| event)
    }

    /// A changelog record that is no tombstone.
    ///
    /// # Errors
    /// `Config`: the changelog was written by a version that this one cannot read.
    pub fn decode_state(&self, key: &[u8], value: &[u8]) -> Result<StateRecord> {
        state::decode(self, key, value)
    }

    /// The datum of a trade that is written with our own schema, as far as its frame tells.
    fn own_trade<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        match Frame::parse(bytes).ok()? {
            Frame::Fingerprint(fingerprint, datum) => {
                schema::trade().is_named_by(fingerprint).then_some(datum)
            }
            Frame::Id(id, datum) => {
                let ids = self.ids?;
                [ids.trade, ids.silver].contains(&id).then_some(datum)
            }
        }
    }

    fn decode<T: DeserializeOwned>(
        &self,
        own: &'static OwnSchema,
        bytes: &[u8],
    ) -> Result<T, Undecodable> {
        let frame = Frame::parse(bytes).map_err(Undecodable::Definite)?;
        match frame {
            Frame::Fingerprint(fingerprint, datum) if own.is_named_by(fingerprint) => {
                own.read(datum).map_err(Undecodable::Definite)
            }
            Frame::Fingerprint(fingerprint, datum) => {
                self.writers.read_by_fingerprint(own, fingerprint, datum)
            }
            Frame::Id(id, datum) => self.writers.read_by_id(own, id, datum),
        }
    }
}

impl fmt::Debug for Avro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Avro").field("ids", &self.ids).finish_non_exhaustive()
    }
}

/// Frames and appends one record; `out` is as before after an error.
fn encode<T: Serialize>(
    own: &OwnSchema,
    id: Option<u32>,
    record: &T,
    out: &mut Vec<u8>,
) -> Result<()> {
    let start = out.len();
    frame(own, id, out);
    own.write(record, out).map_err(|problem| {
        out.truncate(start);
        Error::Bug(problem)
    })
}

fn encode_trade(id: Option<u32>, trade: &Trade, out: &mut Vec<u8>) {
    frame(schema::trade(), id, out);
    direct::write(trade, out);
}

fn frame(own: &OwnSchema, id: Option<u32>, out: &mut Vec<u8>) {
    match id {
        Some(id) => framing::write_id(id, out),
        None => out.extend_from_slice(own.header()),
    }
}

#[cfg(test)]
mod tests;
