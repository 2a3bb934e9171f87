//! One segment of the spool: a SQLite file whose write-ahead log is never folded back, so that each
//! batch is written to the disk once.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use super::{Batch, refuse};
use crate::embedded::log::chunk;
use crate::error::{Error, Result};
use crate::model::feed_event::FEED_EVENT_HEADER;
use crate::port::{OutRecord, Topic};

const SUFFIX: &str = "spool";
/// Header names that the producer writes; a name is read back as one of these.
const HEADERS: [&str; 7] =
    [FEED_EVENT_HEADER, "reason", "feed", "connection", "frame", "received_at_us", "problem"];
/// Pages of SQLite's own around a batch, roughly, B.
const BATCH_OVERHEAD_BYTES: u64 = 128;

/// How an append ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    Whole,
    NoRoom,
}

/// A segment on disk; the newest one is open for writing.
#[derive(Debug)]
pub struct Segment {
    path: PathBuf,
    last_id: i64,
    bytes: u64,
    writing: Option<Writing>,
}

#[derive(Debug)]
struct Writing {
    connection: Connection,
    wal: File,
    is_synced: bool,
}

impl Segment {
    /// A new segment whose first batch will be `first_id`.
    pub fn create(directory: &Path, first_id: i64) -> Result<Self> {
        let path = directory.join(format!("{first_id:020}.{SUFFIX}"));
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(&path)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            never_fold_back(&connection)?;
            // The spool synchronises by itself, at its own pace.
            connection.pragma_update(None, "synchronous", "OFF")?;
            connection.execute_batch(
                "CREATE TABLE IF NOT EXISTS batch (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL)",
            )?;
            Ok(connection)
        };
        let opened = open().map_err(|error| error.to_string()).and_then(|connection| {
            let wal = File::open(beside(&path, "-wal")).and_then(|wal| {
                // The log beside it counts for nothing when the file itself, or its name, is lost.
                File::open(&path)?.sync_all()?;
                File::open(directory)?.sync_all()?;
                Ok(wal)
            });
            Ok((connection, wal.map_err(|error| error.to_string())?))
        });
        let (connection, wal) = opened.map_err(|problem| {
            remove_all(&path);
            refuse(directory, &problem)
        })?;
        let writing = Some(Writing { connection, wal, is_synced: true });
        Ok(Self { path, last_id: first_id - 1, bytes: 0, writing })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Of the newest batch in it; below its first id while it is empty.
    pub fn last_id(&self) -> i64 {
        self.last_id
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn append(&mut self, id: i64, bytes: &[u8]) -> Result<Written> {
        let Some(writing) = &mut self.writing else {
            return Err(Error::Bug("a segment of an earlier run is not written".into()));
        };
        let insert = "INSERT INTO batch VALUES (?1, ?2)";
        let written = writing
            .connection
            .prepare_cached(insert)
            .and_then(|mut statement| statement.execute((id, bytes)));
        match written {
            Ok(_) => {
                writing.is_synced = false;
                self.last_id = id;
                self.bytes += bytes.len() as u64 + BATCH_OVERHEAD_BYTES;
                Ok(Written::Whole)
            }
            Err(error) if is_full(&error) => Ok(Written::NoRoom),
            Err(error) => Err(failed(&self.path, &error)),
        }
    }

    pub fn sync(&mut self) -> Result<()> {
        let Some(writing) = self.writing.as_mut().filter(|writing| !writing.is_synced) else {
            return Ok(());
        };
        writing
            .wal
            .sync_data()
            .map_err(|error| Error::Unavailable(format!("{}: {error}", self.path.display())))?;
        writing.is_synced = true;
        Ok(())
    }

    /// Nothing will be appended any more.
    pub fn finish(&mut self) -> Result<()> {
        self.sync()?;
        self.writing = None;
        Ok(())
    }

    pub fn delete(mut self) {
        self.writing = None;
        remove_all(&self.path);
    }
}

fn remove_all(path: &Path) {
    for file in [beside(path, "-wal"), beside(path, "-shm"), path.to_owned()] {
        // What is not there any more needs no removal.
        let _ = std::fs::remove_file(file);
    }
}

/// Neither while writing nor when the file is closed: that would write everything twice, and on a
/// full disk there is no room for it.
fn never_fold_back(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(drop)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// No room on the disk, in SQLite's words or the system's.
fn is_full(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure))
}

fn failed(path: &Path, error: &rusqlite::Error) -> Error {
    Error::Config(format!(
        "spool segment {}: {error}; move it away to go on without its records",
        path.display()
    ))
}

/// The segments that earlier runs left, ascending; empty ones are deleted.
pub fn found_in(directory: &Path) -> Result<VecDeque<Segment>> {
    let entries =
        std::fs::read_dir(directory).map_err(|error| refuse(directory, &error.to_string()))?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == SUFFIX))
        .collect();
    paths.sort();
    let mut segments = VecDeque::new();
    for path in paths {
        let connection = open_to_read(&path)?;
        let (last_id, bytes) = extent(&connection).map_err(|error| failed(&path, &error))?;
        let bytes = u64::try_from(bytes.unwrap_or(0)).unwrap_or(0);
        let segment = Segment { path, last_id: last_id.unwrap_or(0), bytes, writing: None };
        match last_id {
            Some(_) => segments.push_back(segment),
            None => segment.delete(),
        }
    }
    Ok(segments)
}

/// Newest id and bytes of records. A run that was killed while it made the segment left it without
/// its table, and so without records.
fn extent(connection: &Connection) -> rusqlite::Result<(Option<i64>, Option<i64>)> {
    if !connection.table_exists(None, "batch")? {
        return Ok((None, None));
    }
    let query = "SELECT max(id), sum(length(bytes)) FROM batch";
    connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)))
}

fn open_to_read(path: &Path) -> Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .and_then(|connection| never_fold_back(&connection).map(|()| connection))
        .map_err(|error| failed(path, &error))
}

/// Reads the batches of one segment.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

impl Reader {
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self { connection: open_to_read(path)?, path: path.to_owned() })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first batch at or after `id`.
    pub fn next(&mut self, id: i64) -> Result<Option<Batch>> {
        let query = "SELECT id, bytes FROM batch WHERE id >= ?1 ORDER BY id LIMIT 1";
        let row = self
            .connection
            .prepare_cached(query)
            .and_then(|mut statement| {
                let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?));
                statement.query_row([id], read).optional()
            })
            .map_err(|error| failed(&self.path, &error))?;
        let Some((id, bytes)) = row else { return Ok(None) };
        let records = decode(&bytes).ok_or_else(|| {
            Error::Config(format!(
                "spool segment {}: batch {id} is damaged; move the file away to go on without it",
                self.path.display()
            ))
        })?;
        Ok(Some(Batch { id, records }))
    }
}

/// Appends topic, partition and record.
pub fn encode(bytes: &mut Vec<u8>, record: &OutRecord) {
    bytes.push(record.topic as u8);
    bytes.extend_from_slice(&record.partition.unwrap_or(-1).to_le_bytes());
    chunk::append(bytes, record);
}

fn decode(bytes: &[u8]) -> Option<Vec<OutRecord>> {
    let mut records = Vec::new();
    let mut position = 0;
    while position < bytes.len() {
        let topic = *Topic::ALL.get(usize::from(bytes[position]))?;
        let (partition, _) = bytes.get(position + 1..)?.split_first_chunk::<4>()?;
        let partition = i32::from_le_bytes(*partition);
        position += 5;
        let view = chunk::take(bytes, &mut position)?;
        let header = |(name, value): (&[u8], &[u8])| {
            let known = HEADERS.iter().find(|known| known.as_bytes() == name)?;
            Some((*known, value.to_vec()))
        };
        records.push(OutRecord {
            topic,
            partition: (partition >= 0).then_some(partition),
            key: view.key.map(<[u8]>::to_vec),
            value: view.value.map(<[u8]>::to_vec),
            headers: view.headers().map(header).collect::<Option<_>>()?,
        });
    }
    Some(records)
}
