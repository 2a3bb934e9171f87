//! The producer's write-ahead spool: what was numbered at the socket is on disk before it is sent,
//! in one FIFO, so a log that is away for minutes is only a longer queue.
//!
//! It is a row of segments, each a file that is only appended to and deleted as a whole when all
//! of it was acknowledged: freeing room then needs no room, which a full disk does not have, and a
//! byte that arrives is a byte on the disk. (An embedded database was tried: it writes a page or
//! more for each small batch, eight times the bytes.)
//!
//! An append survives kill -9 of the process at once; the disk is synchronised every
//! `producer.spool_sync_ms`, so a power cut costs at most that. Where the log stands is written in
//! place with each synchronisation; what is sent again after a crash is a repeat by its seq.

mod progress;
mod segment;

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::port::OutRecord;
use crate::telemetry::feed as events;

use progress::{Progress, ProgressFile};
use segment::{Reader, Segment, Unsynced, Written};

/// A segment is followed by the next when it holds so much: small enough to free room soon. A small
/// spool has smaller ones.
const SEGMENT_BYTES: u64 = 1 << 20;
const SEGMENTS_LEAST: u64 = 16;
/// Room is offered again when so many hundredths of what filled the disk are left in use: one
/// overflow is then one event, not thousands.
const ROOM_AGAIN_PERCENT: u64 = 90;
/// And when the disk takes so many bytes: what fills it may belong to others.
const ROOM_AGAIN_BYTES: usize = 256 << 10;
/// A full disk is not asked more often.
const ASK_DISK_EVERY: Duration = Duration::from_millis(100);

/// What a spool is made for.
#[derive(Debug, Clone)]
pub struct SpoolOptions {
    pub directory: PathBuf,
    /// Most bytes of records on disk; the disk itself may set a lower bound.
    pub max_bytes: u64,
    /// Appended records reach the disk's platter after at most so long.
    pub sync_every: Duration,
}

/// One append as read back.
#[derive(Debug)]
pub struct Batch {
    /// Ascends by one with every append, over restarts too.
    pub id: i64,
    pub records: Vec<OutRecord>,
}

/// Cloning shares the spool: one side appends, the other reads and acknowledges.
#[derive(Debug, Clone)]
pub struct Spool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: SpoolOptions,
    state: Mutex<State>,
    /// Signalled by appends and by the end.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Ascending; the last one is written.
    segments: VecDeque<Segment>,
    next_id: i64,
    progress: Progress,
    file: ProgressFile,
    /// Bytes in use when an append found no room.
    full_at_bytes: Option<u64>,
    /// When the full disk was asked last.
    disk_asked: Option<Instant>,
    segment_bytes: u64,
    closed: bool,
    abandoned: bool,
}

impl Spool {
    /// Opens what an earlier run left, or a new one.
    ///
    /// # Errors
    /// `Config` when the directory cannot be written or is held by another producer.
    pub fn open(options: SpoolOptions) -> Result<Self> {
        std::fs::create_dir_all(&options.directory)
            .map_err(|error| refuse(&options.directory, &error.to_string()))?;
        let file = ProgressFile::open(&options.directory)?;
        let progress = file.read()?;
        let mut segments = segment::found_in(&options.directory)?;
        let newest = segments.back().map_or(0, Segment::last_id);
        let next_id = newest.max(progress.acknowledged_id) + 1;
        segments.push_back(Segment::create(&options.directory, next_id)?);
        let state = State {
            segments,
            next_id,
            progress,
            file,
            full_at_bytes: None,
            disk_asked: None,
            segment_bytes: SEGMENT_BYTES.min(options.max_bytes / SEGMENTS_LEAST),
            closed: false,
            abandoned: false,
        };
        let shared = Shared { options, state: Mutex::new(state), changed: Condvar::new() };
        let spool = Self { shared: Arc::new(shared) };
        spool.start_syncing()?;
        Ok(spool)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Partitions of the trades topic as of the last run; `None` for a new spool.
    pub fn partition_count(&self) -> Option<u32> {
        u32::try_from(self.lock().progress.partition_count).ok().filter(|count| *count > 0)
    }

    /// Notes the partitions that records are made for.
    ///
    /// # Errors
    /// `Config` when records for another count wait to be sent.
    pub fn pin_partition_count(&self, count: u32) -> Result<()> {
        let mut state = self.lock();
        let known = state.progress.partition_count;
        let waiting = state.next_id - 1 - state.progress.acknowledged_id;
        if known != 0 && known != i64::from(count) && waiting > 0 {
            return Err(Error::Config(format!(
                "the spool in {} holds records for {known} partitions, and the trades topic has \
                 {count}: their keys would change places; delete the spool to give them up",
                self.shared.options.directory.display()
            )));
        }
        state.progress.partition_count = i64::from(count);
        let progress = state.progress;
        state.file.write(progress)
    }

    /// Whether an append is likely to find room.
    pub fn has_room(&self) -> bool {
        let mut state = self.lock();
        let used = state.used_bytes();
        if let Some(full) = state.full_at_bytes {
            let is_freed = used * 100 <= full * ROOM_AGAIN_PERCENT;
            if !is_freed || !state.disk_takes_more(&self.shared.options.directory) {
                return false;
            }
            state.full_at_bytes = None;
        }
        used < self.shared.options.max_bytes
    }

    /// Writes the records as one batch, whole or not at all; false: there is no room.
    ///
    /// # Errors
    /// `Unavailable` when the disk fails in another way.
    pub fn append(&self, records: &[OutRecord]) -> Result<bool> {
        if records.is_empty() {
            return Ok(true);
        }
        if !self.has_room() {
            let mut state = self.lock();
            let used = state.used_bytes();
            state.full_at_bytes.get_or_insert(used);
            return Ok(false);
        }
        let mut bytes = segment::encode(records);
        let mut state = self.lock();
        let (id, directory) = (state.next_id, &self.shared.options.directory);
        segment::number(&mut bytes, id);
        let mut written = state.write(directory, id, &bytes)?;
        if written == Written::NoRoom && state.make_room() {
            written = state.write(directory, id, &bytes)?;
        }
        if written == Written::NoRoom {
            state.full_at_bytes = Some(state.used_bytes());
            return Ok(false);
        }
        state.full_at_bytes = None;
        state.next_id += 1;
        drop(state);
        self.shared.changed.notify_all();
        Ok(true)
    }

    /// A reader that begins with the oldest batch that is not acknowledged.
    pub fn reader(&self) -> SpoolReader {
        let next_id = self.lock().progress.acknowledged_id + 1;
        SpoolReader { spool: self.clone(), next_id, open: None }
    }

    /// Every batch up to `id` has arrived; segments that hold nothing else are deleted.
    pub fn acknowledge(&self, id: i64) {
        let mut state = self.lock();
        if id <= state.progress.acknowledged_id {
            return;
        }
        state.progress.acknowledged_id = id;
        state.delete_consumed();
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Batches acknowledged since the spool was made.
    pub fn acknowledged_batches(&self) -> u64 {
        u64::try_from(self.lock().progress.acknowledged_id).unwrap_or(0)
    }

    /// Batches that were not acknowledged yet, and bytes on disk.
    pub fn backlog(&self) -> (i64, u64) {
        let state = self.lock();
        (state.next_id - 1 - state.progress.acknowledged_id, state.used_bytes())
    }

    /// Waits until all is acknowledged, at most `within`; false: something is left.
    pub fn await_empty(&self, within: Duration) -> bool {
        let waiting = |state: &mut State| state.progress.acknowledged_id < state.next_id - 1;
        let waited = self.shared.changed.wait_timeout_while(self.lock(), within, waiting);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Nothing is appended any more; readers stop waiting.
    pub fn close(&self) {
        self.lock().closed = true;
        if let Err(error) = self.sync() {
            events::spool_not_synced(&error);
        }
        self.shared.changed.notify_all();
    }

    /// What is left is for the next run: whoever sends shall stop.
    pub fn abandon(&self) {
        self.lock().abandoned = true;
    }

    pub fn is_abandoned(&self) -> bool {
        self.lock().abandoned
    }

    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Brings to the disk what was appended before the call. Appends go on meanwhile.
    fn sync(&self) -> Result<()> {
        let unsynced: Vec<Unsynced> =
            self.lock().segments.iter().filter_map(Segment::unsynced).collect();
        segment::sync(&unsynced)?;
        let mut state = self.lock();
        for segment in &mut state.segments {
            unsynced.iter().for_each(|done| segment.note_synced(done));
        }
        let progress = state.progress;
        state.file.write(progress)
    }

    fn start_syncing(&self) -> Result<()> {
        let spool = self.clone();
        let sync = move || {
            while !spool.is_closed() {
                std::thread::sleep(spool.shared.options.sync_every);
                if let Err(error) = spool.sync() {
                    events::spool_not_synced(&error);
                }
                let (batches, bytes) = spool.backlog();
                events::spool(batches, bytes, spool.shared.options.max_bytes);
            }
        };
        // Detached: it ends with the spool, and the process does not wait for it.
        std::thread::Builder::new()
            .name("spool-sync".into())
            .spawn(sync)
            .map(drop)
            .map_err(|error| Error::Unavailable(format!("no thread for the spool: {error}")))
    }
}

impl State {
    fn used_bytes(&self) -> u64 {
        self.segments.iter().map(Segment::bytes).sum()
    }

    /// What was acknowledged may still be in the newest segment; false: nothing was.
    fn make_room(&mut self) -> bool {
        let before = self.used_bytes();
        self.full_at_bytes = Some(before);
        self.delete_consumed();
        self.used_bytes() < before
    }

    /// Tried with a file, at most so often; false in between.
    fn disk_takes_more(&mut self, directory: &Path) -> bool {
        if self.disk_asked.is_some_and(|asked| asked.elapsed() < ASK_DISK_EVERY) {
            return false;
        }
        self.disk_asked = Some(Instant::now());
        let path = directory.join("room");
        let written =
            File::create(&path).and_then(|mut file| file.write_all(&vec![0; ROOM_AGAIN_BYTES]));
        // What was not made needs no removal.
        let _ = std::fs::remove_file(&path);
        written.is_ok()
    }

    fn write(&mut self, directory: &Path, id: i64, bytes: &[u8]) -> Result<Written> {
        let enough = self.segment_bytes;
        if self.segments.back().is_none_or(|segment| segment.bytes() >= enough) {
            if let Some(segment) = self.segments.back_mut() {
                segment.finish();
            }
            match Segment::create(directory, id) {
                Ok(segment) => self.segments.push_back(segment),
                Err(_) => return Ok(Written::NoRoom),
            }
        }
        match self.segments.back_mut() {
            Some(segment) => segment.append(id, bytes),
            None => Ok(Written::NoRoom),
        }
    }

    /// The newest one too, when it has had enough; on a full disk whatever it holds.
    fn delete_consumed(&mut self) {
        let id = self.progress.acknowledged_id;
        while let Some(oldest) = self.segments.front() {
            let is_written = self.segments.len() == 1
                && oldest.bytes() < self.segment_bytes
                && self.full_at_bytes.is_none();
            if oldest.last_id() > id || is_written {
                return;
            }
            if let Some(consumed) = self.segments.pop_front() {
                consumed.delete();
            }
        }
    }
}

/// Reads in order of appending.
#[derive(Debug)]
pub struct SpoolReader {
    spool: Spool,
    next_id: i64,
    open: Option<Reader>,
}

impl SpoolReader {
    /// The next batch; `None` when there is none within the wait.
    ///
    /// # Errors
    /// `Config` when a segment cannot be read: it was damaged from outside.
    pub fn next(&mut self, wait: Duration) -> Result<Option<Batch>> {
        let nothing_new = |state: &mut State| state.next_id <= self.next_id && !state.closed;
        let waited =
            self.spool.shared.changed.wait_timeout_while(self.spool.lock(), wait, nothing_new);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        // A file that is deleted and still open takes its room on the disk with it.
        let is_kept = |open: &Reader| state.segments.iter().any(|one| one.path() == open.path());
        self.open = self.open.take().filter(is_kept);
        if state.next_id <= self.next_id {
            return Ok(None);
        }
        let holder = state.segments.iter().find(|segment| segment.last_id() >= self.next_id);
        let path = holder.map(|segment| segment.path().to_owned());
        drop(state);
        let Some(path) = path else { return Ok(None) };
        if self.open.as_ref().is_none_or(|open| open.path() != path) {
            self.open = Some(Reader::open(&path)?);
        }
        let Some(open) = &mut self.open else { return Ok(None) };
        let batch = open.next(self.next_id)?;
        self.next_id = batch.id + 1;
        Ok(Some(batch))
    }
}

fn refuse(directory: &Path, problem: &str) -> Error {
    let shown = directory.display();
    Error::Config(format!("spool {shown}: {problem}; set producer.spool_dir to a writable one"))
}

#[cfg(test)]
mod tests;
