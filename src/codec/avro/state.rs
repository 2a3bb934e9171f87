//! The wire form of the changelog: keys `meta`, `scope`, `feed/<symbol>` and
//! `window/<interval>/<start_ms>/<symbol>`, amounts as exact text, and a version, so that a state
//! is never taken for what it is not.
//!
//! A change of a schema or of a meaning is a new version. Records of earlier ones are read: their
//! schemas are kept in `schemas/avro/earlier`, and bytes of each in `tests/fixtures/state`. The
//! version is the first field of every record in every version, so that it is readable without the
//! schema, too.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::bar::{add_exclusion, amount};
use super::framing::Frame;
use super::schema::{self, OwnSchema};
use super::scope::ScopeRecord;
use super::{Avro, encode as encode_record};
use crate::error::{Error, Result};
use crate::model::{
    Accumulator, Candidate, Completeness, ConnectionState, Exclusion, ExclusionReason, GapCause,
    Interval, Loss, OwnedSpan, PartitionMeta, PricePoint, StateRecord, SymbolFeed, Tally,
    WindowState,
};

const META: &[u8] = b"meta";
const SCOPE: &[u8] = b"scope";
const FEED: &[u8] = b"feed/";
const WINDOW: &[u8] = b"window/";
/// What is written. 2: the meta record counts windows and feeds.
pub const VERSION: i32 = 2;
const OLDEST: i32 = 1;

pub(super) fn encode(record: &StateRecord) -> Result<(Vec<u8>, Option<Vec<u8>>)> {
    match record {
        StateRecord::Meta(meta) => {
            let value = value_of(schema::partition_state(), &MetaRecord::from(meta))?;
            Ok((META.to_vec(), Some(value)))
        }
        StateRecord::Scope(scope) => {
            let value = value_of(schema::partition_scope(), &ScopeRecord::new(scope, VERSION))?;
            Ok((SCOPE.to_vec(), Some(value)))
        }
        StateRecord::Feed(feed) => {
            let key = [FEED, feed.symbol.as_bytes()].concat();
            Ok((key, Some(value_of(schema::symbol_feed(), &FeedRecord::from(feed))?)))
        }
        StateRecord::Window(window) => {
            let key = window_key(&window.symbol, window.interval, window.start_ms);
            Ok((key, Some(value_of(schema::window_state(), &WindowRecord::from(window))?)))
        }
        StateRecord::Evicted { symbol, interval, start_ms } => {
            Ok((window_key(symbol, *interval, *start_ms), None))
        }
    }
}

pub(super) fn decode(avro: &Avro, key: &[u8], value: &[u8]) -> Result<StateRecord> {
    let record = if key == META {
        read::<MetaRecord>(avro, schema::partition_state(), value)
            .and_then(|record| record.into_meta().map(StateRecord::Meta))
    } else if key == SCOPE {
        read::<ScopeRecord>(avro, schema::partition_scope(), value).and_then(|record| {
            check_version(record.version())?;
            record.into_scope().map(StateRecord::Scope)
        })
    } else if key.starts_with(FEED) {
        read::<FeedRecord>(avro, schema::symbol_feed(), value)
            .and_then(|record| record.into_feed().map(StateRecord::Feed))
    } else if key.starts_with(WINDOW) {
        read::<WindowRecord>(avro, schema::window_state(), value)
            .and_then(|record| record.into_window().map(StateRecord::Window))
    } else {
        Err("the key is none of ours".to_owned())
    };
    record.map_err(|problem| {
        let problem = match version_of(value) {
            Some(version) if version > VERSION => format!(
                "is of state version {version}, and this ticksmith reads versions {OLDEST} to \
                 {VERSION}: run the newer one that wrote it"
            ),
            _ => format!("cannot be read: {problem}; run the ticksmith that wrote it"),
        };
        Error::Config(format!(
            "changelog record '{}' {problem}, or build the state anew with `ticksmith reset \
             --to-earliest --apply`",
            String::from_utf8_lossy(key)
        ))
    })
}

/// The first field of the record, whatever its schema: an Avro int, zigzag and little endian by
/// seven bits.
fn version_of(value: &[u8]) -> Option<i32> {
    let (Frame::Fingerprint(_, datum) | Frame::Id(_, datum)) = Frame::parse(value).ok()?;
    let mut zigzag = 0_u64;
    for (byte, shift) in datum.iter().zip((0..35).step_by(7)) {
        zigzag |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let magnitude = i32::try_from(zigzag >> 1).ok()?;
            return Some(if zigzag & 1 == 0 { magnitude } else { !magnitude });
        }
    }
    None
}

fn window_key(symbol: &str, interval: Interval, start_ms: i64) -> Vec<u8> {
    format!("window/{interval}/{start_ms}/{symbol}").into_bytes()
}

/// The interval of the window that a key of the changelog names; `None` for other keys. Windows can
/// so be counted without reading them.
pub fn window_interval(key: &[u8]) -> Option<Interval> {
    let interval = key.strip_prefix(WINDOW)?.split(|byte| *byte == b'/').next()?;
    Interval::parse(std::str::from_utf8(interval).ok()?).ok()
}

fn value_of<T: Serialize>(own: &OwnSchema, record: &T) -> Result<Vec<u8>> {
    let mut value = Vec::with_capacity(256);
    encode_record(own, None, record, &mut value)?;
    Ok(value)
}

fn read<T: DeserializeOwned>(
    avro: &Avro,
    own: &'static OwnSchema,
    value: &[u8],
) -> Result<T, String> {
    avro.decode(own, value).map_err(|undecodable| undecodable.to_string())
}

fn check_version(version: i32) -> Result<(), String> {
    let known = OLDEST..=VERSION;
    if known.contains(&version) { Ok(()) } else { Err(format!("there is no version {version}")) }
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "PartitionState")]
struct MetaRecord {
    version: i32,
    next_offset: i64,
    watermark: Option<i64>,
    connections: Vec<ConnectionRecord>,
    dropped_up_to: i64,
    merged: i64,
    duplicate: i64,
    rejected: i64,
    late: i64,
    control: i64,
    consumed: i64,
    generation: i64,
    partition_count: u32,
    windows: Option<i64>,
    feeds: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "ConnectionState")]
struct ConnectionRecord {
    connection: i64,
    feed: String,
    mark: i64,
    live: bool,
    feed_time: Option<i64>,
    ended_at_watermark: Option<i64>,
    ended_by: Option<String>,
    feed_offset_ms: Option<i64>,
    confirmed: Option<i64>,
}

impl From<&PartitionMeta> for MetaRecord {
    fn from(meta: &PartitionMeta) -> Self {
        let connections = meta.connections.iter().map(|known| ConnectionRecord {
            connection: known.connection,
            feed: known.feed.clone(),
            mark: known.mark,
            live: known.live,
            feed_time: known.feed_time_ms,
            ended_at_watermark: known.ended_at_watermark_ms,
            ended_by: known.ended_by.map(|cause| cause.as_str().to_owned()),
            feed_offset_ms: known.feed_offset_ms,
            confirmed: known.confirmed_ms,
        });
        Self {
            version: VERSION,
            next_offset: meta.next_offset,
            watermark: meta.watermark_ms,
            connections: connections.collect(),
            dropped_up_to: meta.dropped_up_to,
            merged: meta.tally.merged,
            duplicate: meta.tally.duplicate,
            rejected: meta.tally.rejected,
            late: meta.tally.late,
            control: meta.tally.control,
            consumed: meta.consumed,
            generation: meta.generation,
            partition_count: meta.partition_count,
            windows: meta.windows,
            feeds: meta.feeds,
        }
    }
}

impl MetaRecord {
    fn into_meta(self) -> Result<PartitionMeta, String> {
        check_version(self.version)?;
        let connections = self.connections.into_iter().map(|record| ConnectionState {
            connection: record.connection,
            feed: record.feed,
            mark: record.mark,
            live: record.live,
            feed_time_ms: record.feed_time,
            ended_at_watermark_ms: record.ended_at_watermark,
            ended_by: record.ended_by.as_deref().and_then(GapCause::parse),
            feed_offset_ms: record.feed_offset_ms,
            confirmed_ms: record.confirmed,
        });
        Ok(PartitionMeta {
            next_offset: self.next_offset,
            watermark_ms: self.watermark,
            connections: connections.collect(),
            dropped_up_to: self.dropped_up_to,
            tally: Tally {
                merged: self.merged,
                duplicate: self.duplicate,
                rejected: self.rejected,
                late: self.late,
                control: self.control,
            },
            consumed: self.consumed,
            generation: self.generation,
            partition_count: self.partition_count,
            windows: self.windows,
            feeds: self.feeds,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "SymbolFeed")]
struct FeedRecord {
    version: i32,
    symbol: String,
    spans: Vec<SpanRecord>,
    losses: Vec<LossRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "OwnedSpan")]
struct SpanRecord {
    connection: i64,
    since: i64,
    up_from: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "Loss")]
struct LossRecord {
    from: i64,
    to: i64,
}

impl From<&SymbolFeed> for FeedRecord {
    fn from(feed: &SymbolFeed) -> Self {
        let spans = feed.spans.iter().map(|span| SpanRecord {
            connection: span.connection,
            since: span.since_us,
            up_from: span.up_from_ms,
        });
        let losses = feed.losses.iter();
        Self {
            version: VERSION,
            symbol: feed.symbol.clone(),
            spans: spans.collect(),
            losses: losses.map(|loss| LossRecord { from: loss.from_ms, to: loss.to_ms }).collect(),
        }
    }
}

impl FeedRecord {
    fn into_feed(self) -> Result<SymbolFeed, String> {
        check_version(self.version)?;
        let spans = self.spans.into_iter().map(|record| OwnedSpan {
            connection: record.connection,
            since_us: record.since,
            up_from_ms: record.up_from,
        });
        let losses = self.losses.into_iter();
        Ok(SymbolFeed {
            symbol: self.symbol,
            spans: spans.collect(),
            losses: losses.map(|loss| Loss { from_ms: loss.from, to_ms: loss.to }).collect(),
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "WindowState")]
struct WindowRecord {
    version: i32,
    symbol: String,
    interval: String,
    start: i64,
    first: Option<CandidateRecord>,
    last: Option<CandidateRecord>,
    conditional_first: Option<CandidateRecord>,
    conditional_last: Option<CandidateRecord>,
    high: Option<CandidateRecord>,
    low: Option<CandidateRecord>,
    volume: String,
    turnover: String,
    trade_count: i64,
    excluded: Vec<ExcludedRecord>,
    sessions: i32,
    inputs: i64,
    closed: bool,
    extra_revisions: i64,
    corrected: bool,
    completeness: Option<CompletenessRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Completeness", rename = "Completeness")]
struct CompletenessFields {
    up_ms: Option<i64>,
    gap_ms: i64,
    unconfirmed_ms: i64,
    has_losses: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct CompletenessRecord(#[serde(with = "CompletenessFields")] Completeness);

#[derive(Serialize, Deserialize)]
#[serde(rename = "Candidate")]
struct CandidateRecord {
    price: f64,
    trade_time: i64,
    connection: i64,
    seq: i64,
    arrival: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "ExcludedState")]
struct ExcludedRecord {
    reason: String,
    volume: String,
    count: i64,
}

impl From<Candidate> for CandidateRecord {
    fn from(Candidate { point, arrival }: Candidate) -> Self {
        Self {
            price: point.price,
            trade_time: point.trade_time_ms,
            connection: point.connection,
            seq: point.seq,
            arrival,
        }
    }
}

impl From<CandidateRecord> for Candidate {
    fn from(record: CandidateRecord) -> Self {
        Self {
            point: PricePoint {
                price: record.price,
                trade_time_ms: record.trade_time,
                connection: record.connection,
                seq: record.seq,
            },
            arrival: record.arrival,
        }
    }
}

impl From<&WindowState> for WindowRecord {
    fn from(window: &WindowState) -> Self {
        let accumulator = &window.accumulator;
        let reasons = ExclusionReason::ALL.iter().zip(&accumulator.excluded);
        let excluded =
            reasons.filter(|(_, entry)| **entry != Exclusion::default()).map(|(reason, entry)| {
                ExcludedRecord {
                    reason: reason.as_str().to_owned(),
                    volume: entry.volume.to_string(),
                    count: entry.count,
                }
            });
        Self {
            version: VERSION,
            symbol: window.symbol.clone(),
            interval: window.interval.to_string(),
            start: window.start_ms,
            first: accumulator.first.map(Into::into),
            last: accumulator.last.map(Into::into),
            conditional_first: accumulator.conditional_first.map(Into::into),
            conditional_last: accumulator.conditional_last.map(Into::into),
            high: accumulator.high.map(Into::into),
            low: accumulator.low.map(Into::into),
            volume: accumulator.volume.to_string(),
            turnover: accumulator.turnover.to_string(),
            trade_count: accumulator.trade_count,
            excluded: excluded.collect(),
            sessions: i32::from(accumulator.sessions),
            inputs: accumulator.inputs,
            closed: window.closed,
            extra_revisions: window.extra_revisions,
            corrected: window.corrected,
            completeness: window.completeness.map(CompletenessRecord),
        }
    }
}

impl WindowRecord {
    fn into_window(self) -> Result<WindowState, String> {
        check_version(self.version)?;
        let mut excluded = [Exclusion::default(); ExclusionReason::ALL.len()];
        for entry in &self.excluded {
            add_exclusion(&mut excluded, &entry.reason, &entry.volume, entry.count)?;
        }
        let accumulator = Accumulator {
            first: self.first.map(Into::into),
            last: self.last.map(Into::into),
            conditional_first: self.conditional_first.map(Into::into),
            conditional_last: self.conditional_last.map(Into::into),
            high: self.high.map(Into::into),
            low: self.low.map(Into::into),
            volume: amount(&self.volume)?,
            turnover: self
                .turnover
                .parse()
                .map_err(|()| format!("'{}' is no exact turnover", self.turnover))?,
            trade_count: self.trade_count,
            excluded,
            sessions: u8::try_from(self.sessions)
                .map_err(|_| format!("'{}' is no set of sessions", self.sessions))?,
            inputs: self.inputs,
        };
        Ok(WindowState {
            symbol: self.symbol,
            interval: Interval::parse(&self.interval)?,
            start_ms: self.start,
            accumulator,
            closed: self.closed,
            extra_revisions: self.extra_revisions,
            corrected: self.corrected,
            completeness: self.completeness.map(|CompletenessRecord(told)| told),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_told_by_their_keys() {
        let hour = Interval::parse("1h").expect("an interval");
        let key = window_key("A/B", hour, -3_600_000);
        assert_eq!(window_interval(&key), Some(hour));
        for other in [META, b"feed/window/1h/0/A", b"window", b"window/", b"window/1x/0/A"] {
            assert_eq!(window_interval(other), None, "{}", String::from_utf8_lossy(other));
        }
    }
}
