//! The log in memory, as honest as a real one: transactions whose decision reaches every partition
//! on its own, committed readers that stop at the first open transaction, fencing by epoch, and
//! compaction. It knows nothing of the simulation but what time it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ticksmith::model::partition_for_key;
use ticksmith::port::{OutRecord, Topic};

/// A tombstone stays for slow readers for so long, µs: an hour, beyond any run.
const TOMBSTONE_US: i64 = 3_600_000_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(&'static str, Vec<u8>)>,
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub offset: i64,
    pub transaction: Option<u64>,
    appended_us: i64,
    /// `None`: the marker that ends a transaction.
    body: Option<Arc<Stored>>,
}

/// One partition of one topic.
#[derive(Debug, Default)]
pub struct PartitionLog {
    entries: Vec<Entry>,
    next_offset: i64,
    /// First offset of every transaction without a marker here.
    open: BTreeMap<u64, i64>,
    committed: BTreeSet<u64>,
}

impl PartitionLog {
    fn append(&mut self, now_us: i64, transaction: Option<u64>, body: Option<Arc<Stored>>) {
        let offset = self.next_offset;
        self.entries.push(Entry { offset, transaction, appended_us: now_us, body });
        self.next_offset += 1;
        if let Some(transaction) = transaction {
            self.open.entry(transaction).or_insert(offset);
        }
    }

    fn mark(&mut self, now_us: i64, transaction: u64, commit: bool) {
        self.append(now_us, None, None);
        self.open.remove(&transaction);
        if commit {
            self.committed.insert(transaction);
        }
    }

    /// The offset that the next record gets.
    pub fn end(&self) -> i64 {
        self.next_offset
    }

    /// A committed reader sees nothing at or beyond this.
    pub fn stable_end(&self) -> i64 {
        self.open.values().copied().min().unwrap_or(self.next_offset)
    }

    /// What a committed reader sees of `from..to`.
    pub fn committed(&self, from: i64, to: i64) -> impl Iterator<Item = (&Entry, &Arc<Stored>)> {
        let end = to.min(self.stable_end());
        let first = self.entries.partition_point(|entry| entry.offset < from);
        self.entries[first..]
            .iter()
            .take_while(move |entry| entry.offset < end)
            .filter(|entry| entry.transaction.is_none_or(|one| self.committed.contains(&one)))
            .filter_map(|entry| Some((entry, entry.body.as_ref()?)))
    }

    /// Keeps the newest value per key of what is settled.
    fn compact(&mut self, now_us: i64) {
        let settled = self.stable_end();
        let seen = self.committed(0, settled);
        let newest: BTreeMap<Option<Vec<u8>>, i64> =
            seen.map(|(entry, stored)| (stored.key.clone(), entry.offset)).collect();
        let keeps = |entry: &Entry| {
            let Some(body) = &entry.body else { return false };
            let is_old_tombstone =
                body.value.is_none() && now_us - entry.appended_us > TOMBSTONE_US;
            newest.get(&body.key) == Some(&entry.offset) && !is_old_tombstone
        };
        self.entries.retain(|entry| entry.offset >= settled || keeps(entry));
    }
}

#[derive(Debug)]
struct Transaction {
    id: u64,
    touched: BTreeSet<(Topic, i32)>,
    offsets: Vec<(i32, i64)>,
}

#[derive(Debug, Default)]
struct Producer {
    epoch: u64,
    open: Option<Transaction>,
    /// Markers of the last decision that have not arrived yet.
    unfinished: usize,
}

/// The producer has a newer epoch: this session is a zombie.
#[derive(Debug)]
pub struct Fenced;

/// One partition, or the group's offsets, learns how a transaction ended.
#[derive(Debug)]
pub struct Marker {
    producer: u64,
    transaction: u64,
    commit: bool,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Log(Topic, i32),
    Offsets(Vec<(i32, i64)>),
}

/// All topics, and the offsets of one group.
#[derive(Debug)]
pub struct Broker {
    pub partition_count: u32,
    logs: BTreeMap<(Topic, i32), PartitionLog>,
    producers: BTreeMap<u64, Producer>,
    offsets: BTreeMap<i32, i64>,
    /// Transactions that hold an offset of the partition and are not finished.
    unstable: BTreeMap<i32, BTreeSet<u64>>,
    transactions: u64,
}

impl Broker {
    pub fn new(partition_count: u32) -> Self {
        let places = Topic::ALL.into_iter().flat_map(|topic| {
            (0..partition_count as i32)
                .map(move |partition| ((topic, partition), PartitionLog::default()))
        });
        Self {
            partition_count,
            logs: places.collect(),
            producers: BTreeMap::new(),
            offsets: BTreeMap::new(),
            unstable: BTreeMap::new(),
            transactions: 0,
        }
    }

    pub fn log(&self, topic: Topic, partition: i32) -> &PartitionLog {
        &self.logs[&(topic, partition)]
    }

    pub fn partitions(&self) -> std::ops::Range<i32> {
        0..self.partition_count as i32
    }

    /// Appends without a transaction.
    pub fn append(&mut self, now_us: i64, record: &OutRecord) {
        self.put(now_us, None, record);
    }

    fn put(&mut self, now_us: i64, transaction: Option<u64>, record: &OutRecord) -> (Topic, i32) {
        let by_key = |key: &Vec<u8>| partition_for_key(key, self.partition_count);
        let partition = record.partition.or(record.key.as_ref().map(by_key)).unwrap_or(0);
        let stored = Stored {
            key: record.key.clone(),
            value: record.value.clone(),
            headers: record.headers.clone(),
        };
        let place = (record.topic, partition);
        let log = self.logs.get_mut(&place).expect("every partition of every topic is there");
        log.append(now_us, transaction, Some(Arc::new(stored)));
        place
    }

    /// A new epoch: whatever the older one left open is aborted.
    pub fn init(&mut self, producer: u64) -> (u64, Vec<Marker>) {
        let markers = self.abort_open(producer);
        let state = self.producers.entry(producer).or_default();
        state.epoch += 1;
        (state.epoch, markers)
    }

    /// Markers of the last transaction are on their way: a new one has to wait.
    pub fn is_finishing(&self, producer: u64) -> bool {
        self.producers.get(&producer).is_some_and(|state| state.unfinished > 0)
    }

    pub fn begin(&mut self, producer: u64, epoch: u64) -> Result<u64, Fenced> {
        self.transactions += 1;
        let id = self.transactions;
        let state = self.fresh(producer, epoch)?;
        state.open = Some(Transaction { id, touched: BTreeSet::new(), offsets: Vec::new() });
        Ok(id)
    }

    fn fresh(&mut self, producer: u64, epoch: u64) -> Result<&mut Producer, Fenced> {
        self.producers.get_mut(&producer).filter(|state| state.epoch == epoch).ok_or(Fenced)
    }

    pub fn produce(
        &mut self,
        now_us: i64,
        (producer, epoch): (u64, u64),
        record: &OutRecord,
    ) -> Result<(), Fenced> {
        let open = self.fresh(producer, epoch)?.open.as_ref().ok_or(Fenced)?.id;
        let place = self.put(now_us, Some(open), record);
        if let Some(open) = &mut self.fresh(producer, epoch)?.open {
            open.touched.insert(place);
        }
        Ok(())
    }

    /// The group has already agreed that the member may commit them.
    pub fn add_offsets(
        &mut self,
        (producer, epoch): (u64, u64),
        offsets: &[(i32, i64)],
    ) -> Result<(), Fenced> {
        let open = self.fresh(producer, epoch)?.open.as_mut().ok_or(Fenced)?;
        open.offsets.extend_from_slice(offsets);
        let id = open.id;
        for (partition, _) in offsets {
            self.unstable.entry(*partition).or_default().insert(id);
        }
        Ok(())
    }

    /// Decides the open transaction. Durable from here on; visible as the markers arrive.
    pub fn end(
        &mut self,
        (producer, epoch): (u64, u64),
        commit: bool,
    ) -> Result<Vec<Marker>, Fenced> {
        let open = self.fresh(producer, epoch)?.open.take().ok_or(Fenced)?;
        Ok(self.decide(producer, open, commit))
    }

    /// The coordinator's time-out: aborts the transaction if it is still open, and fences.
    pub fn time_out(&mut self, producer: u64, transaction: u64) -> Vec<Marker> {
        let state = self.producers.get(&producer);
        let is_open =
            state.and_then(|state| state.open.as_ref()).is_some_and(|t| t.id == transaction);
        if !is_open {
            return Vec::new();
        }
        let markers = self.abort_open(producer);
        self.producers.entry(producer).or_default().epoch += 1;
        markers
    }

    fn abort_open(&mut self, producer: u64) -> Vec<Marker> {
        let open = self.producers.entry(producer).or_default().open.take();
        open.map(|open| self.decide(producer, open, false)).unwrap_or_default()
    }

    fn decide(&mut self, producer: u64, transaction: Transaction, commit: bool) -> Vec<Marker> {
        let Transaction { id, touched, offsets } = transaction;
        let marker = |place| Marker { producer, transaction: id, commit, place };
        let logs = touched.into_iter().map(|(topic, partition)| Place::Log(topic, partition));
        let group = (!offsets.is_empty()).then_some(Place::Offsets(offsets));
        let markers: Vec<Marker> = logs.chain(group).map(marker).collect();
        self.producers.entry(producer).or_default().unfinished += markers.len();
        markers
    }

    pub fn arrive(&mut self, now_us: i64, marker: Marker) {
        match marker.place {
            Place::Log(topic, partition) => {
                let log = self.logs.get_mut(&(topic, partition)).expect("it was written to");
                log.mark(now_us, marker.transaction, marker.commit);
            }
            Place::Offsets(offsets) => {
                for (partition, offset) in offsets {
                    self.unstable.entry(partition).or_default().remove(&marker.transaction);
                    if marker.commit {
                        self.offsets.insert(partition, offset);
                    }
                }
            }
        }
        self.producers.entry(marker.producer).or_default().unfinished -= 1;
    }

    /// The group's offset; `None` while a transaction on it is not finished.
    pub fn stable_offset(&self, partition: i32) -> Option<Option<i64>> {
        let is_stable = self.unstable.get(&partition).is_none_or(BTreeSet::is_empty);
        is_stable.then(|| self.offsets.get(&partition).copied())
    }

    /// No transaction is open or finishing.
    pub fn is_settled(&self) -> bool {
        self.producers.values().all(|state| state.open.is_none() && state.unfinished == 0)
    }

    pub fn compact(&mut self, now_us: i64) {
        for ((topic, _), log) in &mut self.logs {
            if *topic == Topic::Changelog {
                log.compact(now_us);
            }
        }
    }

    /// The newest committed value per key of a changelog partition, below `end`.
    pub fn newest_state(&self, partition: i32, end: i64) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut newest = BTreeMap::new();
        for (_, stored) in self.log(Topic::Changelog, partition).committed(0, end) {
            let key = stored.key.clone().unwrap_or_default();
            match &stored.value {
                Some(value) => newest.insert(key, value.clone()),
                None => newest.remove(&key),
            };
        }
        newest
    }
}
