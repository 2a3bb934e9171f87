//! The promises of the log port, as functions over a `World`: each adapter runs all of them.

#[path = "log/committing.rs"]
mod committing;

pub use committing::*;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use ticksmith::error::{Error, Result};
use ticksmith::model::feed_event::FEED_EVENT_HEADER;
use ticksmith::model::partition_for_key;
use ticksmith::port::log::RestoreProgress;
use ticksmith::port::{Beat, Log, LogFactory, OutRecord, Publisher, Topic};

pub const PARTITIONS: u32 = 3;
/// Set in a child process that is there to be killed.
pub const CHILD: &str = "TICKSMITH_TEST_CHILD";
const WAIT: Duration = Duration::from_millis(100);
/// Waits before a test gives up: two minutes for slow machines, never reached when all is well.
const PATIENCE: usize = 1200;

/// One adapter on topics of its own.
pub trait World {
    fn publisher(&mut self) -> Box<dyn Publisher>;
    /// One process' way to sessions.
    fn factory(&mut self) -> Box<dyn LogFactory>;
    /// What a reader of committed records sees of a partition; of the changelog any order of keys.
    fn committed(&mut self, topic: Topic, partition: i32) -> Vec<Seen>;
    /// Lets go of everything, so that another process can take over.
    fn release(&mut self);
    /// What a child process needs to find the same topics.
    fn address(&self) -> String;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

/// A record as a follower got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Got {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub event: Option<Vec<u8>>,
}

/// The smallest consumer that keeps the contract: restores what it is assigned, counts records per
/// partition as its state, copies them to the silver topic.
pub struct Follower {
    pub log: Box<dyn Log>,
    pub state: BTreeMap<i32, BTreeMap<Vec<u8>, Vec<u8>>>,
    pub next: BTreeMap<i32, i64>,
    pub assignments: usize,
}

impl Follower {
    pub fn new(log: Box<dyn Log>) -> Self {
        Self { log, state: BTreeMap::new(), next: BTreeMap::new(), assignments: 0 }
    }

    /// A session whose partitions are restored.
    pub fn joined(factory: &mut dyn LogFactory) -> Self {
        let mut follower = Self::new(factory.open().expect("a session"));
        follower.poll_until(|follower, _| follower.next.len() == PARTITIONS as usize);
        follower
    }

    pub fn take_up(&mut self, partitions: &[i32]) {
        self.assignments += 1;
        self.state.clear();
        self.next.clear();
        for partition in partitions {
            let (mut state, mut read) = (BTreeMap::new(), 0);
            let mut on_state = |key: &[u8], value: &[u8]| {
                let before = state.insert(key.to_vec(), value.to_vec());
                assert_eq!(before, None, "a key is handed out once");
                Ok(())
            };
            let mut on_progress = |told: RestoreProgress| read = told.records;
            let restored = self.log.restore(*partition, &mut on_state, &mut on_progress);
            let restored = restored.expect("restored");
            assert!(read >= state.len() as u64, "progress is told to the end");
            let next = restored.committed.unwrap_or(restored.log_start);
            self.log.seek(*partition, next).expect("sought");
            self.state.insert(*partition, state);
            self.next.insert(*partition, next);
        }
    }

    pub fn poll(&mut self, limit: usize) -> Result<Vec<Got>> {
        let mut got = Vec::new();
        let polled = self.log.poll(limit, WAIT, &mut |record| {
            got.push(Got {
                partition: record.partition,
                offset: record.offset,
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
                event: record.event.map(<[u8]>::to_vec),
            });
            Ok(())
        })?;
        assert_eq!(polled.records, got.len());
        assert!(got.len() <= limit);
        if let Some(partitions) = polled.assignment {
            assert!(got.is_empty(), "an assignment comes alone");
            self.take_up(&partitions);
        }
        for record in &got {
            let next = self.next.get_mut(&record.partition).expect("an owned partition");
            assert!(record.offset >= *next, "offsets ascend");
            *next = record.offset + 1;
        }
        Ok(got)
    }

    pub fn poll_until(&mut self, mut enough: impl FnMut(&Self, &[Got]) -> bool) -> Vec<Got> {
        let mut all = Vec::new();
        for _ in 0..PATIENCE {
            if enough(self, &all) {
                return all;
            }
            all.extend(self.poll(10_000).expect("polled"));
        }
        panic!("gave up waiting with {} records", all.len());
    }

    pub fn poll_records(&mut self, count: usize) -> Vec<Got> {
        let all = self.poll_until(|_, all| all.len() >= count);
        assert_eq!(all.len(), count, "no more than was published");
        all
    }

    /// The beat that a stream would commit for these records.
    pub fn beat(&mut self, records: &[Got]) -> Beat {
        let mut beat = Beat::default();
        for record in records {
            let state = self.state.entry(record.partition).or_default();
            *state.entry(b"count".to_vec()).or_default() = count_of(state).to_string().into();
            beat.records.push(OutRecord {
                topic: Topic::Silver,
                partition: Some(record.partition),
                key: record.key.clone(),
                value: record.value.clone(),
                headers: Vec::new(),
            });
        }
        for (partition, state) in &self.state {
            if let Some(count) = state.get(&b"count"[..]) {
                beat.records.push(changelog(*partition, "count", Some(count)));
            }
            beat.offsets.push((*partition, self.next[partition]));
        }
        beat
    }
}

/// One more than the count that is in the state.
fn count_of(state: &BTreeMap<Vec<u8>, Vec<u8>>) -> i64 {
    count_in(state) + 1
}

pub fn count_in(state: &BTreeMap<Vec<u8>, Vec<u8>>) -> i64 {
    let text = state.get(&b"count"[..]).map_or("0".into(), |v| String::from_utf8_lossy(v));
    text.parse().unwrap_or(0)
}

pub fn changelog(partition: i32, key: &str, value: Option<&[u8]>) -> OutRecord {
    let (key, value) = (Some(key.into()), value.map(<[u8]>::to_vec));
    let (topic, partition) = (Topic::Changelog, Some(partition));
    OutRecord { topic, partition, key, value, headers: Vec::new() }
}

pub fn trade(key: &str, value: &str) -> OutRecord {
    OutRecord {
        topic: Topic::Trades,
        partition: None,
        key: Some(key.into()),
        value: Some(value.into()),
        headers: Vec::new(),
    }
}

/// `count` trades of 20 symbols, numbered.
pub fn publish(world: &mut dyn World, range: std::ops::Range<usize>) {
    let records: Vec<_> = range.map(|n| trade(&format!("S{}", n % 20), &n.to_string())).collect();
    let (count, mut publisher) = (records.len() as u64, world.publisher());
    let before = publisher.acknowledged_records();
    publisher.publish(records).expect("published");
    publisher.flush(Duration::from_secs(60)).expect("flushed");
    assert_eq!(publisher.acknowledged_records() - before, count);
}

fn silver_count(world: &mut dyn World) -> usize {
    (0..PARTITIONS as i32).map(|p| world.committed(Topic::Silver, p).len()).sum()
}

pub fn keeps_order_per_key_and_partition(world: &mut dyn World) {
    publish(world, 0..2000);
    let mut follower = Follower::joined(&mut *world.factory());
    let got = follower.poll_records(2000);
    let mut newest: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for record in &got {
        let key = record.key.clone().expect("a key");
        assert_eq!(record.partition, partition_for_key(&key, PARTITIONS), "murmur2 places it");
        assert_eq!(record.event, None);
        let number: usize =
            String::from_utf8(record.value.clone().expect("a value")).unwrap().parse().unwrap();
        if let Some(before) = newest.insert(key, number) {
            assert_eq!(number, before + 20, "in order of publishing, none missing or doubled");
        }
    }
    for partition in 0..PARTITIONS as i32 {
        let end = follower.log.end_offset(partition).expect("an end");
        assert_eq!(end, follower.next[&partition]);
        assert_eq!(follower.log.position(partition).expect("a position"), end);
    }
}

pub fn hands_out_the_event_header_of_null_values_only(world: &mut dyn World) {
    let record = |key: Option<&str>, value: Option<&str>, headers| OutRecord {
        topic: Topic::Trades,
        partition: Some(1),
        key: key.map(Into::into),
        value: value.map(Into::into),
        headers,
    };
    let mut publisher = world.publisher();
    publisher
        .publish(vec![
            record(None, None, vec![("other", vec![9]), (FEED_EVENT_HEADER, vec![1, 2, 3])]),
            record(None, None, vec![("other", vec![9])]),
            record(Some("k"), None, vec![]),
            record(Some("k"), Some("v"), vec![(FEED_EVENT_HEADER, vec![1])]),
            record(Some(""), Some(""), vec![]),
        ])
        .expect("published");
    publisher.flush(Duration::from_secs(60)).expect("flushed");
    drop(publisher);
    let mut follower = Follower::joined(&mut *world.factory());
    let got = follower.poll_records(5);
    let parts: Vec<_> = got
        .iter()
        .map(|g| (g.partition, g.key.as_deref(), g.value.as_deref(), g.event.as_deref()))
        .collect();
    assert_eq!(
        parts,
        [
            (1, None, None, Some(&[1, 2, 3][..])),
            (1, None, None, None),
            (1, Some(&b"k"[..]), None, None),
            (1, Some(&b"k"[..]), Some(&b"v"[..]), None),
            (1, Some(&b""[..]), Some(&b""[..]), None),
        ]
    );
}

pub fn commits_records_state_and_offsets_together(world: &mut dyn World) {
    publish(world, 0..100);
    let mut factory = world.factory();
    let mut follower = Follower::joined(&mut *factory);
    let got = follower.poll_records(100);
    let mut beat = follower.beat(&got);
    beat.records.push(OutRecord {
        topic: Topic::Bars,
        partition: None,
        key: Some("S1".into()),
        value: Some("bar".into()),
        headers: vec![("reason", b"because".to_vec())],
    });
    assert_eq!(silver_count(world), 0, "nothing is visible before the commit");
    follower.log.commit(beat).expect("committed");
    assert_eq!(silver_count(world), 100);
    let bars = world.committed(Topic::Bars, partition_for_key(b"S1", PARTITIONS));
    let headers = vec![("reason".to_owned(), b"because".to_vec())];
    assert_eq!(
        bars,
        [Seen { key: Some("S1".into()), value: Some("bar".into()), headers }],
        "an output without a partition goes where its key belongs"
    );
    let (next, state) = (follower.next.clone(), follower.state.clone());
    follower.log.close();
    drop(follower);
    let follower = Follower::joined(&mut *factory);
    assert_eq!((&follower.next, &follower.state), (&next, &state), "resumes where it stood");
    assert_eq!(state.values().map(count_in).sum::<i64>(), 100);
}

fn sorted(mut all: Vec<Got>) -> Vec<Got> {
    all.sort_by_key(|got| (got.partition, got.offset));
    all
}

pub fn leaves_nothing_of_a_beat_that_failed(world: &mut dyn World) {
    publish(world, 0..60);
    let mut factory = world.factory();
    let mut follower = Follower::joined(&mut *factory);
    let first = follower.poll_records(60);
    let mut beat = follower.beat(&first);
    beat.records.push(OutRecord { partition: Some(99), ..trade("S1", "nowhere") });
    beat.records.last_mut().expect("just pushed").topic = Topic::Silver;
    let refused = follower.log.commit(beat).expect_err("there is no partition 99");
    assert!(!matches!(refused, Error::Config(_) | Error::Unavailable(_)), "{refused:?}");
    assert_eq!(silver_count(world), 0, "aborted records are invisible");
    if matches!(refused, Error::Rejoin(_)) {
        drop(follower);
        follower = Follower::joined(&mut *factory);
    } else {
        follower.take_up(&(0..PARTITIONS as i32).collect::<Vec<_>>());
    }
    assert_eq!(follower.state.values().map(count_in).sum::<i64>(), 0, "aborted state as well");
    let again = follower.poll_records(60);
    let beat = follower.beat(&again);
    assert_eq!(sorted(first), sorted(again), "and the same records come again");
    follower.log.commit(beat).expect("committed");
    assert_eq!(silver_count(world), 60);
}

pub fn forgets_what_was_not_committed(world: &mut dyn World) {
    publish(world, 0..50);
    let mut factory = world.factory();
    let mut follower = Follower::joined(&mut *factory);
    let first = follower.poll_records(50);
    let beat = follower.beat(&first);
    follower.log.commit(beat).expect("committed");
    publish(world, 50..90);
    assert_eq!(follower.poll_records(40).len(), 40);
    follower.log.close();
    drop(follower);
    let mut follower = Follower::joined(&mut *factory);
    assert_eq!(follower.state.values().map(count_in).sum::<i64>(), 50);
    assert_eq!(follower.poll_records(40).len(), 40, "uncommitted records come again");
}

pub fn replays_after_a_seek(world: &mut dyn World) {
    publish(world, 0..300);
    let mut follower = Follower::joined(&mut *world.factory());
    let all = follower.poll_records(300);
    for (partition, from) in [(0, 5), (1, 0), (2, 20)] {
        follower.log.seek(partition, from).expect("sought");
        follower.next.insert(partition, from);
        assert_eq!(follower.log.position(partition).expect("a position"), from);
    }
    let is_replayed = |got: &&Got| match got.partition {
        0 => got.offset >= 5,
        1 => true,
        _ => got.offset >= 20,
    };
    let mut expected: Vec<_> = all.iter().filter(is_replayed).cloned().collect();
    let mut replayed = follower.poll_records(expected.len());
    expected.sort_by_key(|got| (got.partition, got.offset));
    replayed.sort_by_key(|got| (got.partition, got.offset));
    assert_eq!(replayed, expected);
}

pub fn tells_when_a_record_was_written(world: &mut dyn World) {
    let mut follower = Follower::joined(&mut *world.factory());
    assert_eq!(follower.log.written_since(0, 0).expect("asked"), None, "nothing is there");
    publish(world, 0..60);
    let all = follower.poll_records(60);
    for partition in 0..PARTITIONS as i32 {
        let count = all.iter().filter(|got| got.partition == partition).count() as i64;
        let mut ask = |time_ms| follower.log.written_since(partition, time_ms).expect("asked");
        let first = ask(0).expect("the oldest");
        assert_eq!(first.offset, 0);
        assert_eq!(ask(first.at_ms), Some(first), "at that time or later");
        assert_eq!(ask(i64::MAX / 2), None, "nothing is written in times to come");
        let later = ask(first.at_ms + 1);
        assert!(
            later.is_none_or(|one| one.at_ms > first.at_ms && (1..count).contains(&one.offset))
        );
    }
    publish(world, 60..120);
    let rest = follower.poll_records(60);
    assert_eq!(rest.len(), 60, "the questions moved nothing");
}

pub fn restores_the_newest_values_without_tombstones(world: &mut dyn World) {
    let mut factory = world.factory();
    let mut follower = Follower::joined(&mut *factory);
    let commit = |follower: &mut Follower, records: Vec<OutRecord>| {
        follower.log.commit(Beat { records, offsets: Vec::new() }).expect("committed");
    };
    commit(
        &mut follower,
        vec![
            changelog(0, "a", Some(b"1")),
            changelog(0, "b", Some(b"1")),
            changelog(0, "c", Some(b"1")),
            changelog(1, "a", Some(b"other")),
        ],
    );
    commit(
        &mut follower,
        vec![changelog(0, "a", Some(b"2")), changelog(0, "b", None), changelog(0, "c", None)],
    );
    commit(&mut follower, vec![changelog(0, "c", Some(b"3"))]);
    follower.log.close();
    drop(follower);
    let follower = Follower::joined(&mut *factory);
    let expected: BTreeMap<Vec<u8>, Vec<u8>> =
        [("a", "2"), ("c", "3")].map(|(k, v)| (k.into(), v.into())).into();
    assert_eq!(follower.state[&0], expected);
    assert_eq!(follower.state[&1], BTreeMap::from([("a".into(), "other".into())]));
    assert!(follower.state[&2].is_empty());
}

pub fn wakes_a_waiting_poll(world: &mut dyn World) {
    let mut follower = Follower::joined(&mut *world.factory());
    let mut publisher = world.publisher();
    let writer = std::thread::spawn(move || {
        publisher.publish(vec![trade("S1", "1")]).expect("published");
        publisher.flush(Duration::from_secs(60)).expect("flushed");
    });
    let mut records = 0;
    // One call waits for a minute; without waking it, the suite would visibly hang here.
    for _ in 0..2 {
        if records == 0 {
            let polled = follower.log.poll(10, Duration::from_secs(60), &mut |_| Ok(()));
            records += polled.expect("polled").records;
        }
    }
    assert_eq!(records, 1);
    writer.join().expect("published");
}

/// A child process commits small beats until it is killed; whatever moment that was, the next one
/// goes on from the last whole beat.
pub fn survives_kill_9(world: &mut dyn World, test_of_child: &str, rounds: usize) {
    const TRADES: usize = 4000;
    publish(world, 0..TRADES);
    world.release();
    for _ in 0..rounds {
        let mut child = Command::new(std::env::current_exe().expect("this test binary"))
            .args([test_of_child, "--exact", "--nocapture", "--test-threads=1"])
            .env(CHILD, world.address())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let beats = lines.map_while(std::result::Result::ok).filter(|line| line == "beat");
        assert_eq!(beats.take(8).count(), 8, "the child makes progress");
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    let mut follower = Follower::joined(&mut *world.factory());
    assert!(follower.state.values().map(count_in).sum::<i64>() >= 8 * 7);
    for (partition, state) in &follower.state {
        assert_eq!(count_in(state), follower.next[partition], "state and offset are of one beat");
        let silver = world.committed(Topic::Silver, *partition).len() as i64;
        assert_eq!(silver, follower.next[partition], "and so are the records");
    }
    let done: i64 = follower.next.values().sum();
    let rest = follower.poll_records(TRADES - done as usize);
    let beat = follower.beat(&rest);
    follower.log.commit(beat).expect("committed");
    let mut numbers = Vec::new();
    for partition in 0..PARTITIONS as i32 {
        for seen in world.committed(Topic::Silver, partition) {
            let value = String::from_utf8(seen.value.expect("a value")).expect("text");
            numbers.push(value.parse::<usize>().expect("a number"));
        }
    }
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..TRADES), "every trade once");
}

/// What the child of `survives_kill_9` does.
pub fn commit_until_killed(factory: &mut dyn LogFactory) -> ! {
    let mut follower = Follower::joined(factory);
    loop {
        let got = follower.poll(7).expect("polled");
        if !got.is_empty() {
            let beat = follower.beat(&got);
            follower.log.commit(beat).expect("committed");
            println!("beat");
        }
    }
}
