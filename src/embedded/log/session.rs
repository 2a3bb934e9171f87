//! `port::Log` on the embedded topics: one member that owns every partition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::chunk;
use super::tables::{self, Chunk};
use super::{Broker, publish_ends};
use crate::error::{Error, Result};
use crate::model::feed_event::FEED_EVENT_HEADER;
use crate::model::partition_for_key;
use crate::port::log::{OnProgress, OnState, RestoreProgress};
use crate::port::{Beat, Log, OutRecord, Polled, RawRecord, Restored, Topic, Written};
use crate::telemetry;

/// Old chunks are looked for this often.
const TRIM_EVERY_US: i64 = 30_000_000;
/// A restore tells its progress after so many records.
const PROGRESS_EVERY: u64 = 4_096;

/// Where reading of one partition stands.
#[derive(Default)]
struct Cursor {
    /// The next offset to hand out; `None` until the partition is sought.
    next_offset: Option<i64>,
    chunk: Option<OpenChunk>,
}

struct OpenChunk {
    chunk: Chunk,
    /// Place and offset of the record that comes next in the chunk.
    position: usize,
    offset: i64,
}

pub(super) struct EmbeddedSession {
    broker: Arc<Broker>,
    connection: Connection,
    group: String,
    epoch: u64,
    assigned: bool,
    closed: bool,
    /// A beat that was committed, and nobody has asked yet.
    committed: Option<Beat>,
    cursors: Vec<Cursor>,
    /// The partition that a poll begins with, so that none starves.
    first: usize,
}

impl EmbeddedSession {
    pub fn open(broker: Arc<Broker>, group: &str) -> Result<Self> {
        let connection = broker.connect()?;
        let cursors = (0..broker.partition_count).map(|_| Cursor::default()).collect();
        let epoch = broker.next_epoch();
        Ok(Self {
            broker,
            connection,
            group: group.to_owned(),
            epoch,
            assigned: false,
            closed: false,
            committed: None,
            cursors,
            first: 0,
        })
    }

    fn check_alive(&self) -> Result<()> {
        if self.closed || self.broker.is_fenced(self.epoch) {
            let reason = if self.closed { "it was closed" } else { "a newer session took over" };
            return Err(Error::Rejoin(format!("log session of '{}': {reason}", self.group)));
        }
        Ok(())
    }

    fn hand_out(
        &mut self,
        limit: usize,
        on_record: &mut dyn FnMut(RawRecord<'_>) -> Result<()>,
    ) -> Result<usize> {
        let count = self.cursors.len();
        let mut records = 0;
        for step in 0..count {
            let partition = (self.first + step) % count;
            records += self.hand_out_partition(partition as i32, limit - records, on_record)?;
            if records == limit {
                self.first = (partition + 1) % count;
                break;
            }
        }
        Ok(records)
    }

    fn hand_out_partition(
        &mut self,
        partition: i32,
        limit: usize,
        on_record: &mut dyn FnMut(RawRecord<'_>) -> Result<()>,
    ) -> Result<usize> {
        let end = self.broker.end_offset(Topic::Trades, partition);
        let Self { connection, cursors, broker, .. } = self;
        let Cursor { next_offset: Some(next), chunk: open } = &mut cursors[partition as usize]
        else {
            return Ok(0);
        };
        let mut records = 0;
        while records < limit && *next < end {
            if open.is_none() {
                let found = tables::chunk_at(connection, (Topic::Trades, partition), *next)
                    .map_err(|error| broker.error(&error))?;
                let Some(chunk) = found else {
                    break;
                };
                *open = Some(OpenChunk { position: 0, offset: chunk.base_offset, chunk });
            }
            let Some(current) = open else { break };
            match chunk::take(&current.chunk.bytes, &mut current.position) {
                Some(view) => {
                    let offset = current.offset;
                    current.offset += 1;
                    if offset < *next {
                        continue;
                    }
                    *next = offset + 1;
                    records += 1;
                    let event =
                        if view.value.is_none() { view.header(FEED_EVENT_HEADER) } else { None };
                    let (key, value) = (view.key, view.value);
                    on_record(RawRecord { partition, offset, key, value, event })?;
                }
                None => {
                    check_whole(partition, current)?;
                    *open = None;
                }
            }
        }
        Ok(records)
    }

    /// One SQLite transaction: everything of the beat, or nothing.
    ///
    /// The epoch is looked at while the write lock is held. A newer session takes its epoch before
    /// it restores, so either this commit is finished before that session reads anything, or it
    /// sees the newer epoch here and writes nothing.
    fn write(&mut self, beat: &Beat) -> Result<()> {
        let guard = self.broker.database.write_lock();
        self.check_alive()?;
        let partition_count = self.broker.partition_count;
        let by_partition = group_records(&beat.records, partition_count)?;
        let now_ms = self.broker.clock.now_us() / 1000;
        let broker = Arc::clone(&self.broker);
        let write = || -> rusqlite::Result<Vec<(Topic, i32, i64)>> {
            let transaction = self.connection.transaction()?;
            let mut moved = Vec::new();
            for ((topic, partition), records) in by_partition {
                if topic == Topic::Changelog {
                    for record in records {
                        let key = record.key.as_deref().unwrap_or_default();
                        tables::set_state(&transaction, partition, key, record.value.as_deref())?;
                    }
                    continue;
                }
                let base = broker.end_offset(topic, partition);
                let place = (topic, partition);
                let end = tables::append(&transaction, place, base, records.into_iter(), now_ms)?;
                moved.push((topic, partition, end));
            }
            for (partition, next_offset) in &beat.offsets {
                tables::set_committed(&transaction, &self.group, *partition, *next_offset)?;
            }
            transaction.commit()?;
            Ok(moved)
        };
        let moved = write().map_err(|error| {
            telemetry::log::aborted(&error.to_string());
            broker.error(&error)
        })?;
        publish_ends(&self.broker, &moved);
        drop(guard);
        Ok(())
    }

    fn trim_now_and_then(&self) -> Result<()> {
        let mut trimmed_us =
            self.broker.trimmed_us.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now_us = self.broker.clock.monotonic_us();
        if now_us.saturating_sub(*trimmed_us) < TRIM_EVERY_US {
            return Ok(());
        }
        *trimmed_us = now_us;
        let before_ms = self.broker.clock.now_us() / 1000 - self.broker.retention_ms;
        let guard = self.broker.database.write_lock();
        let records =
            tables::trim(&self.connection, before_ms).map_err(|error| self.broker.error(&error))?;
        drop(guard);
        if records > 0 {
            telemetry::log::trimmed(records);
        }
        Ok(())
    }
}

/// A chunk that ends before its own count says was damaged outside of SQLite's care.
fn check_whole(partition: i32, open: &OpenChunk) -> Result<()> {
    let expected = open.chunk.base_offset + open.chunk.record_count;
    if open.offset == expected {
        return Ok(());
    }
    Err(Error::Bug(format!(
        "chunk {} of trades partition {partition} ends at {} instead of {expected}",
        open.chunk.base_offset, open.offset
    )))
}

/// Records by topic and partition, in their order.
pub(super) fn group_records(
    records: &[OutRecord],
    partition_count: u32,
) -> Result<BTreeMap<(Topic, i32), Vec<&OutRecord>>> {
    let mut grouped: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for record in records {
        let by_key =
            || record.key.as_deref().map_or(0, |key| partition_for_key(key, partition_count));
        let partition = record.partition.unwrap_or_else(by_key);
        if !(0..partition_count as i32).contains(&partition) {
            let topic = record.topic;
            return Err(Error::Bug(format!("no partition {partition} in topic {topic:?}")));
        }
        grouped.entry((record.topic, partition)).or_default().push(record);
    }
    Ok(grouped)
}

impl Log for EmbeddedSession {
    fn partition_count(&self) -> u32 {
        self.broker.partition_count
    }

    fn poll(
        &mut self,
        limit: usize,
        wait: Duration,
        on_record: &mut dyn FnMut(RawRecord<'_>) -> Result<()>,
    ) -> Result<Polled> {
        self.check_alive()?;
        if !self.assigned {
            self.assigned = true;
            let partitions: Vec<i32> = (0..self.broker.partition_count as i32).collect();
            telemetry::log::rebalanced(&partitions);
            return Ok(Polled { records: 0, assignment: Some(partitions) });
        }
        let mut records = self.hand_out(limit, on_record)?;
        if records == 0 && !wait.is_zero() {
            // A partition that was not sought has nothing to give, whatever its end.
            let position = |cursor: &Cursor| cursor.next_offset.unwrap_or(i64::MAX);
            let seen: Vec<i64> = self.cursors.iter().map(position).collect();
            self.broker.wait_beyond(&seen, wait);
            records = self.hand_out(limit, on_record)?;
        }
        Ok(Polled { records, assignment: None })
    }

    fn restore(
        &mut self,
        partition: i32,
        on_state: &mut OnState<'_>,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<Restored> {
        self.check_alive()?;
        // No writer while offset and state are read, so that they are of one commit.
        let guard = self.broker.database.write_lock();
        let read = || -> rusqlite::Result<_> {
            let committed = tables::committed(&self.connection, &self.group, partition)?;
            let log_start = tables::start(&self.connection, Topic::Trades, partition)?;
            let state = tables::changelog(&self.connection, partition, usize::MAX)?;
            let log_end = tables::end(&self.connection, Topic::Trades, partition)?;
            Ok((Restored { committed, log_start, log_end }, state))
        };
        let (restored, state) = read().map_err(|error| self.broker.error(&error))?;
        drop(guard);
        let records_max = state.len() as u64;
        let mut progress = RestoreProgress { records_max, ..RestoreProgress::default() };
        for record in state {
            if let (Some(key), Some(value)) = (record.key, record.value) {
                on_state(&key, &value)?;
                progress.bytes += (key.len() + value.len()) as u64;
            }
            progress.records += 1;
            if progress.records.is_multiple_of(PROGRESS_EVERY) || progress.records == records_max {
                on_progress(progress);
            }
        }
        Ok(restored)
    }

    fn seek(&mut self, partition: i32, offset: i64) -> Result<()> {
        self.check_alive()?;
        let cursor = self
            .cursors
            .get_mut(partition as usize)
            .ok_or_else(|| Error::Bug(format!("no partition {partition} to seek in")))?;
        *cursor = Cursor { next_offset: Some(offset), chunk: None };
        Ok(())
    }

    /// One transaction of SQLite in this process: there is nothing to wait for afterwards.
    fn begin_commit(&mut self, beat: Beat) -> Result<()> {
        self.check_alive()?;
        if !beat.is_empty() {
            let began_us = self.broker.clock.monotonic_us();
            self.write(&beat)?;
            let took_us = self.broker.clock.monotonic_us() - began_us;
            telemetry::log::committed(beat.records.len(), took_us);
            self.trim_now_and_then()?;
        }
        self.committed = Some(beat);
        Ok(())
    }

    fn commit_outcome(&mut self, _: Duration) -> Option<Result<Beat>> {
        self.committed.take().map(Ok)
    }

    fn position(&mut self, partition: i32) -> Result<i64> {
        self.check_alive()?;
        let cursor = self.cursors.get(partition as usize);
        cursor
            .and_then(|cursor| cursor.next_offset)
            .ok_or_else(|| Error::Bug(format!("partition {partition} was not sought")))
    }

    fn end_offset(&mut self, partition: i32) -> Result<i64> {
        self.check_alive()?;
        Ok(self.broker.end_offset(Topic::Trades, partition))
    }

    fn written_since(&mut self, partition: i32, time_ms: i64) -> Result<Option<Written>> {
        self.check_alive()?;
        tables::written_since(&self.connection, (Topic::Trades, partition), time_ms)
            .map_err(|error| self.broker.error(&error))
    }

    fn keep_alive(&mut self) -> Result<Option<Vec<i32>>> {
        self.check_alive().map(|()| None)
    }

    fn close(&mut self) {
        self.closed = true;
    }
}
