//! `port::Publisher` on the embedded topics: a bounded queue and one thread that writes all that
//! has come together since its last write.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::session::group_records;
use super::{Broker, publish_ends, tables};
use crate::error::{Error, Result};
use crate::port::{OutRecord, Published, Publisher, Topic};
use crate::telemetry;

/// More waits in the caller: 8 MiB are half a minute of a busy feed.
const QUEUE_BYTES: usize = 8 * 1024 * 1024;
/// One transaction takes at most so many records, which bounds how long it holds the write lock.
const WRITE_RECORDS: usize = 20_000;
/// What a queued record takes besides its texts, roughly.
const RECORD_BYTES: usize = 128;

#[derive(Default)]
struct Queue {
    records: VecDeque<OutRecord>,
    bytes: usize,
    accepted: u64,
    acknowledged: u64,
    /// `accepted` at the end of each batch that is not acknowledged yet.
    batch_ends: VecDeque<u64>,
    acknowledged_batches: u64,
    /// The error that ended the writing thread.
    failure: Option<Error>,
    closing: bool,
}

impl Queue {
    fn acknowledge(&mut self, records: u64) {
        self.acknowledged += records;
        while self.batch_ends.front().is_some_and(|end| *end <= self.acknowledged) {
            self.batch_ends.pop_front();
            self.acknowledged_batches += 1;
        }
    }
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// Signalled when records were queued, acknowledged or failed, and at the end.
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn wait<'a>(&self, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) struct EmbeddedPublisher {
    shared: Arc<Shared>,
    partition_count: u32,
    thread: Option<JoinHandle<()>>,
}

impl EmbeddedPublisher {
    pub fn start(broker: Arc<Broker>) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let partition_count = broker.partition_count;
        let connection = broker.connect()?;
        let queue = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || write_until_closed(&broker, connection, &queue))
            .map_err(|error| Error::Unavailable(format!("no thread for the log: {error}")))?;
        Ok(Self { shared, partition_count, thread: Some(thread) })
    }
}

fn size_bytes(record: &OutRecord) -> usize {
    let texts = record.headers.iter().map(|(_, value)| value.len()).sum::<usize>();
    let (key, value) = (&record.key, &record.value);
    RECORD_BYTES + texts + key.as_ref().map_or(0, Vec::len) + value.as_ref().map_or(0, Vec::len)
}

fn write_until_closed(broker: &Broker, mut connection: Connection, shared: &Shared) {
    loop {
        let mut queue = shared.lock();
        while queue.records.is_empty() && !queue.closing {
            queue = shared.wait(queue);
        }
        if queue.records.is_empty() {
            return;
        }
        let take = queue.records.len().min(WRITE_RECORDS);
        let records: Vec<OutRecord> = queue.records.drain(..take).collect();
        queue.bytes = queue.bytes.saturating_sub(records.iter().map(size_bytes).sum());
        drop(queue);
        let outcome = write(broker, &mut connection, &records);
        let mut queue = shared.lock();
        match outcome {
            Ok(()) => {
                queue.acknowledge(take as u64);
                telemetry::feed::acknowledged(queue.acknowledged);
            }
            Err(error) => queue.failure = Some(error),
        }
        let failed = queue.failure.is_some();
        drop(queue);
        shared.changed.notify_all();
        if failed {
            return;
        }
    }
}

fn write(broker: &Broker, connection: &mut Connection, records: &[OutRecord]) -> Result<()> {
    let grouped = group_records(records, broker.partition_count)?;
    let now_ms = broker.clock.now_us() / 1000;
    let guard = broker.database.write_lock();
    let append_all = || -> rusqlite::Result<Vec<(Topic, i32, i64)>> {
        let mut moved = Vec::with_capacity(grouped.len());
        let transaction = connection.transaction()?;
        for ((topic, partition), records) in grouped {
            let base = broker.end_offset(topic, partition);
            let place = (topic, partition);
            let end = tables::append(&transaction, place, base, records.into_iter(), now_ms)?;
            moved.push((topic, partition, end));
        }
        transaction.commit()?;
        Ok(moved)
    };
    let moved = append_all().map_err(|error| broker.error(&error))?;
    publish_ends(broker, &moved);
    drop(guard);
    Ok(())
}

impl Publisher for EmbeddedPublisher {
    fn partition_count(&self) -> u32 {
        self.partition_count
    }

    /// Blocks while the bounded queue is full.
    fn publish(&mut self, records: Vec<OutRecord>) -> Result<Published> {
        let mut queue = self.shared.lock();
        for record in records {
            if record.topic == Topic::Changelog {
                return Err(Error::Bug("the changelog is written by commits only".into()));
            }
            while queue.bytes >= QUEUE_BYTES && queue.failure.is_none() {
                self.shared.changed.notify_all();
                queue = self.shared.wait(queue);
            }
            if let Some(error) = &queue.failure {
                return Err(error.clone());
            }
            queue.bytes += size_bytes(&record);
            queue.accepted += 1;
            queue.records.push_back(record);
        }
        let end = queue.accepted;
        queue.batch_ends.push_back(end);
        drop(queue);
        self.shared.changed.notify_all();
        Ok(Published::Taken)
    }

    /// A disk that is full ends the process: the log itself is on it.
    fn has_room(&self) -> bool {
        true
    }

    fn acknowledged_batches(&self) -> u64 {
        self.shared.lock().acknowledged_batches
    }

    fn acknowledged_records(&self) -> u64 {
        self.shared.lock().acknowledged
    }

    fn flush(&mut self, within: Duration) -> Result<()> {
        let queue = self.shared.lock();
        let pending =
            |queue: &mut Queue| queue.acknowledged < queue.accepted && queue.failure.is_none();
        let waited = self.shared.changed.wait_timeout_while(queue, within, pending);
        let (queue, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        match &queue.failure {
            Some(error) => Err(error.clone()),
            None if timeout.timed_out() => Err(Error::Unavailable(format!(
                "{} records are still not written after {} ms; is the disk very slow?",
                queue.accepted - queue.acknowledged,
                within.as_millis()
            ))),
            None => Ok(()),
        }
    }
}

impl Drop for EmbeddedPublisher {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there was already printed; what was acknowledged is stored.
            let _ = thread.join();
        }
    }
}
