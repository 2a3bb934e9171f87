//! The log in this process: topics, changelog and group offsets as tables of the shared SQLite
//! file.
//!
//! Records are stored in chunks, one row for all that one write put into a partition: a row a
//! record would cost ten times as much. A commit is one SQLite transaction. One process at a time
//! has the log open (a lock file that the system releases with the process), and in it one session:
//! a newer session fences the older one, as Kafka's transactional ids do.

pub(super) mod chunk;
mod publisher;
mod session;
mod tables;

use std::fs::{File, TryLockError};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use super::Database;
use crate::error::{Error, Result};
use crate::port::{Clock, Log, LogFactory, Publisher, Topic};

pub use chunk::StoredRecord;

/// Ends of the partitions, by `Topic as usize` and partition.
type Ends = [Vec<i64>; Topic::ALL.len()];

/// The topics of one data directory. Hands out publishers and sessions, which keep it alive.
pub struct Broker {
    database: Database,
    partition_count: u32,
    retention_ms: i64,
    clock: Arc<dyn Clock>,
    /// The next offset of every partition, as committed; written under the database's write lock.
    ends: Mutex<Ends>,
    /// Signalled when `ends` moved.
    appended: Condvar,
    /// Number of the newest session: older ones are fenced.
    epoch: AtomicU64,
    trimmed_us: Mutex<i64>,
    /// Held for its lock.
    _lock: File,
}

impl Broker {
    /// Opens the log of `database`, with `partition_count` partitions a topic, keeping the records
    /// of topics for `retention_hours`.
    ///
    /// # Errors
    /// `Config` when another process has it open, or when it was made with another partition count.
    pub fn open(
        database: &Database,
        partition_count: u32,
        retention_hours: u32,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>> {
        let lock = lock(database)?;
        let connection = database.connect()?;
        let guard = database.write_lock();
        tables::create(&connection).map_err(|error| broken(database, &error))?;
        let stored = tables::pin_partition_count(&connection, partition_count)
            .map_err(|error| broken(database, &error))?;
        drop(guard);
        if stored != partition_count {
            return Err(Error::Config(format!(
                "{} was made with {stored} partitions and topics.partitions is {partition_count}: \
                 set it to {stored}, or start afresh with another data directory",
                database.path().display()
            )));
        }
        let ends =
            load_ends(&connection, partition_count).map_err(|error| broken(database, &error))?;
        Ok(Arc::new(Self {
            database: database.clone(),
            partition_count,
            retention_ms: i64::from(retention_hours) * 3_600_000,
            clock,
            ends: Mutex::new(ends),
            appended: Condvar::new(),
            epoch: AtomicU64::new(0),
            trimmed_us: Mutex::new(i64::MIN),
            _lock: lock,
        }))
    }

    /// A writer for the feed, with a thread and a bounded queue of its own.
    pub fn publisher(self: &Arc<Self>) -> Result<Box<dyn Publisher>> {
        Ok(Box::new(publisher::EmbeddedPublisher::start(Arc::clone(self))?))
    }

    /// A session of `group`. Every older session is fenced.
    pub fn session(self: &Arc<Self>, group: &str) -> Result<Box<dyn Log>> {
        Ok(Box::new(session::EmbeddedSession::open(Arc::clone(self), group)?))
    }

    /// Opens sessions of `group`.
    pub fn factory(self: &Arc<Self>, group: &str) -> Box<dyn LogFactory> {
        Box::new(Factory { broker: Arc::clone(self), group: group.to_owned() })
    }

    /// The committed records of a partition from `offset` on, at most `limit`. Of the changelog it
    /// is the newest value per key, in order of keys, with offset 0.
    pub fn read(
        &self,
        topic: Topic,
        partition: i32,
        offset: i64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>> {
        let connection = self.connect()?;
        let records = if topic == Topic::Changelog {
            tables::changelog(&connection, partition, limit)
        } else {
            tables::records(&connection, topic, partition, offset, limit)
        };
        records.map_err(|error| broken(&self.database, &error))
    }

    /// The offset that the next record of the partition will get.
    pub fn end_offset(&self, topic: Topic, partition: i32) -> i64 {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends[topic as usize].get(partition as usize).copied().unwrap_or(0)
    }

    fn connect(&self) -> Result<Connection> {
        let connection = self.database.connect()?;
        // The sessions' few statements all stay prepared.
        connection.set_prepared_statement_cache_capacity(32);
        Ok(connection)
    }

    /// Waits until a trades partition goes beyond `seen`, at most `wait`.
    fn wait_beyond(&self, seen: &[i64], wait: Duration) {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let idle =
            |ends: &mut Ends| ends[Topic::Trades as usize].iter().zip(seen).all(|(e, s)| e <= s);
        // A poisoned lock means that a writer panicked; its transaction was rolled back.
        drop(self.appended.wait_timeout_while(ends, wait, idle));
    }

    fn error(&self, error: &rusqlite::Error) -> Error {
        broken(&self.database, error)
    }
}

struct Factory {
    broker: Arc<Broker>,
    group: String,
}

impl LogFactory for Factory {
    fn open(&mut self) -> Result<Box<dyn Log>> {
        self.broker.session(&self.group)
    }
}

/// One process per log: a second one would consume the same partitions.
fn lock(database: &Database) -> Result<File> {
    let path = database.path().with_extension("lock");
    let refuse = |problem: &str| {
        let directory = database.path().parent().unwrap_or(database.path()).display();
        Error::Config(format!("data directory {directory}: {problem}"))
    };
    let file =
        File::create(&path).map_err(|error| refuse(&format!("{error}; make it writable")))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(refuse(
            "another ticksmith is running on it; stop that one, or give --data another directory",
        )),
        Err(TryLockError::Error(error)) => Err(refuse(&format!("{error}; use a local disk"))),
    }
}

fn load_ends(connection: &Connection, partition_count: u32) -> rusqlite::Result<Ends> {
    let mut ends: Ends = Default::default();
    for topic in Topic::ALL {
        for partition in 0..partition_count as i32 {
            ends[topic as usize].push(tables::end(connection, topic, partition)?);
        }
    }
    Ok(ends)
}

/// What SQLite refuses: a full disk passes, a file that is not ours does not.
fn broken(database: &Database, error: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked, DiskFull, SystemIoFailure};
    let shown = database.path().display();
    match error.sqlite_error_code() {
        Some(DatabaseBusy | DatabaseLocked | DiskFull | SystemIoFailure) => Error::Unavailable(
            format!("{shown}: {error}; make room, or stop what else writes to it"),
        ),
        _ => Error::Config(format!("{shown}: {error}; give --data another directory")),
    }
}

/// Advances the known ends and wakes who waits for records. Call it under the write lock, after
/// the SQLite transaction was committed.
fn publish_ends(broker: &Broker, moved: &[(Topic, i32, i64)]) {
    let mut ends = broker.ends.lock().unwrap_or_else(PoisonError::into_inner);
    for (topic, partition, end) in moved {
        ends[*topic as usize][*partition as usize] = *end;
    }
    drop(ends);
    broker.appended.notify_all();
}

impl Broker {
    fn next_epoch(&self) -> u64 {
        self.epoch.fetch_add(1, Ordering::AcqRel) + 1
    }

    fn is_fenced(&self, epoch: u64) -> bool {
        self.epoch.load(Ordering::Acquire) != epoch
    }
}
