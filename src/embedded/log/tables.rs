//! The log's tables and every statement on them. Writers call within a transaction of theirs.

use rusqlite::{Connection, OptionalExtension, params};

use super::chunk::{self, StoredRecord};
use crate::port::{OutRecord, Topic, Written};

/// A write is cut into chunks of about this many bytes, so that a reader never holds much more.
const CHUNK_BYTES: usize = 64 * 1024;
/// Chunks looked at in one trimming, oldest first.
const TRIM_CHUNKS: i64 = 512;

/// A row of `log_chunks`, as read.
pub(super) struct Chunk {
    pub base_offset: i64,
    pub record_count: i64,
    pub bytes: Vec<u8>,
}

pub(super) fn create(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(
        "BEGIN IMMEDIATE;
         CREATE TABLE IF NOT EXISTS log_settings (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
         CREATE TABLE IF NOT EXISTS log_chunks (
             id INTEGER PRIMARY KEY,
             topic INTEGER NOT NULL, partition INTEGER NOT NULL, base_offset INTEGER NOT NULL,
             record_count INTEGER NOT NULL, written_at_ms INTEGER NOT NULL, records BLOB NOT NULL);
         CREATE UNIQUE INDEX IF NOT EXISTS log_chunks_place
             ON log_chunks (topic, partition, base_offset);
         CREATE TABLE IF NOT EXISTS log_ends (
             topic INTEGER, partition INTEGER, next_offset INTEGER NOT NULL,
             PRIMARY KEY (topic, partition)) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS log_changelog (
             partition INTEGER, key BLOB, value BLOB NOT NULL,
             PRIMARY KEY (partition, key)) WITHOUT ROWID;
         CREATE TABLE IF NOT EXISTS log_offsets (
             group_name TEXT, partition INTEGER, next_offset INTEGER NOT NULL,
             PRIMARY KEY (group_name, partition)) WITHOUT ROWID;
         COMMIT;",
    )
}

/// Stores the count on first use; returns the stored one.
pub(super) fn pin_partition_count(connection: &Connection, count: u32) -> rusqlite::Result<u32> {
    connection.execute(
        "INSERT OR IGNORE INTO log_settings (name, value) VALUES ('partitions', ?1)",
        [count],
    )?;
    connection
        .query_row("SELECT value FROM log_settings WHERE name = 'partitions'", [], |row| row.get(0))
}

pub(super) fn end(connection: &Connection, topic: Topic, partition: i32) -> rusqlite::Result<i64> {
    let mut statement = connection
        .prepare_cached("SELECT next_offset FROM log_ends WHERE topic = ?1 AND partition = ?2")?;
    let end = statement.query_row(params![topic as i64, partition], |row| row.get(0)).optional()?;
    Ok(end.unwrap_or(0))
}

/// Oldest offset still stored; the end when there is none.
pub(super) fn start(
    connection: &Connection,
    topic: Topic,
    partition: i32,
) -> rusqlite::Result<i64> {
    let mut statement = connection.prepare_cached(
        "SELECT min(base_offset) FROM log_chunks WHERE topic = ?1 AND partition = ?2",
    )?;
    let start: Option<i64> =
        statement.query_row(params![topic as i64, partition], |row| row.get(0))?;
    start.map_or_else(|| end(connection, topic, partition), Ok)
}

/// Appends records to one partition from `base_offset` on; returns the new end.
pub(super) fn append<'a>(
    connection: &Connection,
    (topic, partition): (Topic, i32),
    base_offset: i64,
    records: impl Iterator<Item = &'a OutRecord>,
    now_ms: i64,
) -> rusqlite::Result<i64> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO log_chunks
             (topic, partition, base_offset, record_count, written_at_ms, records)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let (mut base, mut count, mut bytes) = (base_offset, 0, Vec::new());
    let mut write =
        |base: &mut i64, count: &mut i64, bytes: &mut Vec<u8>| -> rusqlite::Result<()> {
            insert.execute(params![topic as i64, partition, *base, *count, now_ms, &*bytes])?;
            *base += *count;
            *count = 0;
            bytes.clear();
            Ok(())
        };
    for record in records {
        chunk::append(&mut bytes, record);
        count += 1;
        if bytes.len() >= CHUNK_BYTES {
            write(&mut base, &mut count, &mut bytes)?;
        }
    }
    if count > 0 {
        write(&mut base, &mut count, &mut bytes)?;
    }
    let mut statement = connection.prepare_cached(
        "INSERT INTO log_ends (topic, partition, next_offset) VALUES (?1, ?2, ?3)
         ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset",
    )?;
    statement.execute(params![topic as i64, partition, base])?;
    Ok(base)
}

/// The chunk that holds `offset`, or the first one after it.
pub(super) fn chunk_at(
    connection: &Connection,
    (topic, partition): (Topic, i32),
    offset: i64,
) -> rusqlite::Result<Option<Chunk>> {
    // The chunk that begins at or before the offset may end before it: then the next one is meant.
    let mut statement = connection.prepare_cached(
        "SELECT base_offset, record_count, records FROM log_chunks
         WHERE topic = ?1 AND partition = ?2 AND base_offset >= coalesce(
             (SELECT base_offset FROM log_chunks
              WHERE topic = ?1 AND partition = ?2 AND base_offset <= ?3
              ORDER BY base_offset DESC LIMIT 1), 0)
             AND base_offset + record_count > ?3
         ORDER BY base_offset LIMIT 1",
    )?;
    let chunk = |row: &rusqlite::Row<'_>| {
        Ok(Chunk { base_offset: row.get(0)?, record_count: row.get(1)?, bytes: row.get(2)? })
    };
    statement.query_row(params![topic as i64, partition, offset], chunk).optional()
}

/// The first chunk written at `time_ms` or later: its first record, and the time.
pub(super) fn written_since(
    connection: &Connection,
    (topic, partition): (Topic, i32),
    time_ms: i64,
) -> rusqlite::Result<Option<Written>> {
    let mut statement = connection.prepare_cached(
        "SELECT base_offset, written_at_ms FROM log_chunks
         WHERE topic = ?1 AND partition = ?2 AND written_at_ms >= ?3
         ORDER BY base_offset LIMIT 1",
    )?;
    let written = |row: &rusqlite::Row<'_>| Ok(Written { offset: row.get(0)?, at_ms: row.get(1)? });
    statement.query_row(params![topic as i64, partition, time_ms], written).optional()
}

/// Records of a topic that is not the changelog.
pub(super) fn records(
    connection: &Connection,
    topic: Topic,
    partition: i32,
    mut offset: i64,
    limit: usize,
) -> rusqlite::Result<Vec<StoredRecord>> {
    let mut found = Vec::new();
    while let Some(chunk) = chunk_at(connection, (topic, partition), offset)? {
        let (mut position, mut at) = (0, chunk.base_offset);
        while let Some(view) = chunk::take(&chunk.bytes, &mut position) {
            if at >= offset && found.len() < limit {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let headers = view.headers().map(|(name, value)| (text(name), value.to_vec()));
                found.push(StoredRecord {
                    partition,
                    offset: at,
                    key: view.key.map(<[u8]>::to_vec),
                    value: view.value.map(<[u8]>::to_vec),
                    headers: headers.collect(),
                });
            }
            at += 1;
        }
        offset = chunk.base_offset + chunk.record_count;
        if found.len() >= limit {
            break;
        }
    }
    Ok(found)
}

pub(super) fn changelog(
    connection: &Connection,
    partition: i32,
    limit: usize,
) -> rusqlite::Result<Vec<StoredRecord>> {
    let mut statement = connection.prepare_cached(
        "SELECT key, value FROM log_changelog WHERE partition = ?1 ORDER BY key LIMIT ?2",
    )?;
    let record = |row: &rusqlite::Row<'_>| {
        let (key, value) = (Some(row.get(0)?), Some(row.get(1)?));
        Ok(StoredRecord { partition, offset: 0, key, value, headers: Vec::new() })
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    statement.query_map(params![partition, limit], record)?.collect()
}

/// Sets the newest value of a key, or takes the key away.
pub(super) fn set_state(
    connection: &Connection,
    partition: i32,
    key: &[u8],
    value: Option<&[u8]>,
) -> rusqlite::Result<()> {
    match value {
        Some(value) => connection
            .prepare_cached(
                "INSERT INTO log_changelog (partition, key, value) VALUES (?1, ?2, ?3)
                 ON CONFLICT (partition, key) DO UPDATE SET value = excluded.value",
            )?
            .execute(params![partition, key, value])?,
        None => connection
            .prepare_cached("DELETE FROM log_changelog WHERE partition = ?1 AND key = ?2")?
            .execute(params![partition, key])?,
    };
    Ok(())
}

pub(super) fn committed(
    connection: &Connection,
    group: &str,
    partition: i32,
) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT next_offset FROM log_offsets WHERE group_name = ?1 AND partition = ?2",
    )?;
    statement.query_row(params![group, partition], |row| row.get(0)).optional()
}

pub(super) fn set_committed(
    connection: &Connection,
    group: &str,
    partition: i32,
    next_offset: i64,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO log_offsets (group_name, partition, next_offset) VALUES (?1, ?2, ?3)
         ON CONFLICT (group_name, partition) DO UPDATE SET next_offset = excluded.next_offset",
    )?;
    statement.execute(params![group, partition, next_offset])?;
    Ok(())
}

/// Drops old chunks, a bounded number at a time; returns how many records that were. Trades that
/// some group has not consumed stay, however old: nothing vanishes unread.
pub(super) fn trim(connection: &Connection, before_ms: i64) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM log_chunks WHERE id IN (
             SELECT id FROM log_chunks AS chunk
             WHERE written_at_ms < ?1 AND id <= (SELECT min(id) FROM log_chunks) + ?2
               AND (topic <> ?3 OR base_offset + record_count <= (
                   SELECT min(next_offset) FROM log_offsets
                   WHERE log_offsets.partition = chunk.partition)))
         RETURNING record_count",
    )?;
    let counts = statement
        .query_map(params![before_ms, TRIM_CHUNKS, Topic::Trades as i64], |row| {
            row.get::<_, i64>(0)
        })?;
    counts.sum::<rusqlite::Result<i64>>().map(|records| records as u64)
}
