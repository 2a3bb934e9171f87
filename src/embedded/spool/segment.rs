//! One segment of the spool: a file to which batches are appended, each with its id, its length and
//! a checksum, so that what a crash cut off shows. Nothing in it is ever written twice.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Batch, refuse};
use crate::embedded::log::chunk;
use crate::error::{Error, Result};
use crate::model::feed_event::FEED_EVENT_HEADER;
use crate::port::{OutRecord, Topic};
use crate::telemetry::feed as events;

const SUFFIX: &str = "batches";
/// Header names that the producer writes; a name is read back as one of these.
const HEADERS: [&str; 7] =
    [FEED_EVENT_HEADER, "reason", "feed", "connection", "frame", "received_at_us", "problem"];
/// Before each batch: id and length of its records, and the sum of both and the records.
const HEAD_BYTES: usize = 24;
/// Of FNV-1a with 64 bits.
const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

/// How an append ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    Whole,
    NoRoom,
}

/// A segment on disk; the newest one takes appends.
#[derive(Debug)]
pub struct Segment {
    path: PathBuf,
    last_id: i64,
    bytes: u64,
    /// Bytes of it that have reached the disk.
    synced_bytes: u64,
    /// The directory that names the file was synchronised after it was made.
    is_listed: bool,
    /// Open until nothing will be appended and all of it has reached the disk; `None` also for
    /// one of an earlier run.
    file: Option<Arc<File>>,
    is_finished: bool,
}

/// What of a segment has not reached the disk yet. Synchronised without the spool's lock, since a
/// disk takes its time and the feed does not wait.
#[derive(Debug)]
pub struct Unsynced {
    path: PathBuf,
    file: Arc<File>,
    bytes: u64,
    is_listed: bool,
}

impl Segment {
    /// A new segment whose first batch will be `first_id`.
    pub fn create(directory: &Path, first_id: i64) -> Result<Self> {
        let path = directory.join(format!("{first_id:020}.{SUFFIX}"));
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path);
        let file = file.map_err(|error| refuse(directory, &error.to_string()))?;
        Ok(Self {
            path,
            last_id: first_id - 1,
            bytes: 0,
            synced_bytes: 0,
            is_listed: false,
            file: Some(Arc::new(file)),
            is_finished: false,
        })
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

    /// A disk that refuses for whatever reason has no room: that can be declared, and may pass.
    pub fn append(&mut self, id: i64, batch: &[u8]) -> Result<Written> {
        let Some(file) = self.file.as_ref().filter(|_| !self.is_finished) else {
            return Err(Error::Bug("a segment that is finished is not written".into()));
        };
        if file.write_all_at(batch, self.bytes).is_err() {
            // Whatever of it was written makes room; what stays is overwritten, or cut off as torn.
            let _ = file.set_len(self.bytes);
            return Ok(Written::NoRoom);
        }
        self.last_id = id;
        self.bytes += batch.len() as u64;
        Ok(Written::Whole)
    }

    /// Nothing will be appended any more.
    pub fn finish(&mut self) {
        self.is_finished = true;
        self.close_when_done();
    }

    /// What is left to synchronise; `None`: nothing.
    pub fn unsynced(&self) -> Option<Unsynced> {
        let file = self.file.as_ref().filter(|_| self.synced_bytes < self.bytes)?;
        let (path, bytes, is_listed) = (self.path.clone(), self.bytes, self.is_listed);
        Some(Unsynced { path, file: Arc::clone(file), bytes, is_listed })
    }

    /// `done`, if it is of this segment, has reached the disk.
    pub fn note_synced(&mut self, done: &Unsynced) {
        if done.path == self.path {
            self.synced_bytes = done.bytes;
            self.is_listed = true;
            self.close_when_done();
        }
    }

    fn close_when_done(&mut self) {
        if self.is_finished && self.synced_bytes == self.bytes {
            self.file = None;
        }
    }

    pub fn delete(self) {
        // What is not there any more needs no removal.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Brings segments of one directory to the disk.
///
/// # Errors
/// `Unavailable` when it fails, naming the file.
pub fn sync(unsynced: &[Unsynced]) -> Result<()> {
    let failed = |path: &Path, error: &dyn std::fmt::Display| {
        Error::Unavailable(format!("{}: {error}", path.display()))
    };
    for one in unsynced {
        one.file.sync_data().map_err(|error| failed(&one.path, &error))?;
    }
    if let Some(new) = unsynced.iter().find(|one| !one.is_listed) {
        let directory = new.path.parent().unwrap_or(Path::new("."));
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(|error| failed(directory, &error))?;
    }
    Ok(())
}

/// The segments that earlier runs left, ascending; empty ones are deleted, torn ends are cut off.
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
        let segment = reopen(path.clone()).map_err(|error| failed(&path, &error.to_string()))?;
        match segment.bytes {
            0 => segment.delete(),
            _ => segments.push_back(segment),
        }
    }
    Ok(segments)
}

/// Reads all of it, once: whatever follows the last whole batch was never acknowledged to anybody.
fn reopen(path: PathBuf) -> std::io::Result<Segment> {
    let file = OpenOptions::new().read(true).write(true).open(&path)?;
    let length = file.metadata()?.len();
    let mut reader = BufReader::new(&file);
    let (mut last_id, mut bytes, mut batch) = (0, 0, Vec::new());
    let mut head = [0; HEAD_BYTES];
    while reader.read_exact(&mut head).is_ok() {
        let head = Head::decode(&head);
        if head.length > length - bytes {
            break;
        }
        batch.resize(usize::try_from(head.length).unwrap_or(usize::MAX), 0);
        if reader.read_exact(&mut batch).is_err() || !head.is_of(&batch) {
            break;
        }
        (last_id, bytes) = (head.id, bytes + HEAD_BYTES as u64 + head.length);
    }
    if bytes < length {
        events::spool_torn(&path, length - bytes);
        file.set_len(bytes)?;
    }
    Ok(Segment {
        path,
        last_id,
        bytes,
        synced_bytes: bytes,
        is_listed: true,
        file: None,
        is_finished: true,
    })
}

fn failed(path: &Path, problem: &str) -> Error {
    Error::Config(format!(
        "spool segment {}: {problem}; move it away to go on without its records",
        path.display()
    ))
}

struct Head {
    id: i64,
    length: u64,
    sum: u64,
}

impl Head {
    fn decode(bytes: &[u8; HEAD_BYTES]) -> Self {
        let (words, _) = bytes.as_chunks::<8>();
        let [id, length, sum] = [0, 1, 2].map(|index| u64::from_le_bytes(words[index]));
        Self { id: id.cast_signed(), length, sum }
    }

    fn is_of(&self, records: &[u8]) -> bool {
        [Self::sum, Self::older_sum].iter().any(|sum| self.sum == sum(self.id, records))
    }

    /// That of versions before December 2026: what waits from before an update is sent as well.
    fn older_sum(id: i64, records: &[u8]) -> u64 {
        let start = (BASIS ^ id.cast_unsigned()).wrapping_mul(PRIME);
        records.iter().fold(start, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(PRIME))
    }

    /// It need only tell a torn or overwritten batch from a whole one, at the speed of the feed:
    /// FNV-1a over words of eight bytes, each turned so that none cancels another. Every byte goes
    /// through it twice, when it is written and when it is read back.
    fn sum(id: i64, records: &[u8]) -> u64 {
        let mix = |sum: u64, word: u64| (sum.rotate_left(23) ^ word).wrapping_mul(PRIME);
        let (words, rest) = records.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let whole = words
            .iter()
            .fold(mix(BASIS, id.cast_unsigned()), |sum, word| mix(sum, u64::from_le_bytes(*word)));
        // The length is part of the sum, since the last word is filled up with zeros.
        mix(mix(whole, u64::from_le_bytes(last)), records.len() as u64)
    }
}

/// Reads the batches of one segment.
#[derive(Debug)]
pub struct Reader {
    file: File,
    path: PathBuf,
    /// Of the next batch's head.
    position: u64,
}

impl Reader {
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| failed(path, &error.to_string()))?;
        Ok(Self { file, path: path.to_owned(), position: 0 })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first batch at or after `id`, which the segment has.
    pub fn next(&mut self, id: i64) -> Result<Batch> {
        loop {
            let batch = self.read(id).map_err(|error| failed(&self.path, &error.to_string()))?;
            let Some((found, records)) = batch else { continue };
            let damaged = || failed(&self.path, &format!("batch {found} is damaged"));
            return Ok(Batch { id: found, records: records.ok_or_else(damaged)? });
        }
    }

    /// One batch on; `None`: it is before `id`.
    fn read(&mut self, id: i64) -> std::io::Result<Option<(i64, Option<Vec<OutRecord>>)>> {
        let mut head = [0; HEAD_BYTES];
        self.file.read_exact_at(&mut head, self.position)?;
        let head = Head::decode(&head);
        let (found, length) = (head.id, head.length);
        let records_at = self.position + HEAD_BYTES as u64;
        self.position = records_at.saturating_add(length);
        if found < id {
            return Ok(None);
        }
        if self.position > self.file.metadata()?.len() {
            return Ok(Some((found, None)));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.file.read_exact_at(&mut bytes, records_at)?;
        let is_whole = head.is_of(&bytes);
        Ok(Some((found, is_whole.then(|| decode(&bytes)).flatten())))
    }
}

/// The bytes of a batch, but for what `number` fills in.
pub fn encode(records: &[OutRecord]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + records.len() * 128);
    bytes.resize(HEAD_BYTES, 0);
    for record in records {
        bytes.push(record.topic as u8);
        bytes.extend_from_slice(&record.partition.unwrap_or(-1).to_le_bytes());
        chunk::append(&mut bytes, record);
    }
    bytes
}

/// Writes the head of an encoded batch.
pub fn number(batch: &mut [u8], id: i64) {
    let (head, records) = batch.split_at_mut(HEAD_BYTES);
    let words = [id.cast_unsigned(), records.len() as u64, Head::sum(id, records)];
    for (place, word) in head.chunks_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
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
