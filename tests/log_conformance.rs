//! The embedded log keeps the promises of the log port, without any server.

mod conformance;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use conformance::log::{self as suite, Follower, PARTITIONS, Seen, World};
use ticksmith::embedded::{Broker, Database};
use ticksmith::error::Error;
use ticksmith::port::{Beat, Clock, LogFactory, Publisher, Topic};
use ticksmith::runtime::SystemClock;

struct Embedded {
    directory: PathBuf,
    broker: Option<Arc<Broker>>,
    _temporary: Option<tempfile::TempDir>,
}

impl Embedded {
    fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a directory");
        let directory = temporary.path().to_owned();
        Self { directory, broker: None, _temporary: Some(temporary) }
    }

    fn broker(&mut self) -> Arc<Broker> {
        let directory = &self.directory;
        Arc::clone(self.broker.get_or_insert_with(|| open(directory).expect("a broker")))
    }
}

fn open(directory: &Path) -> ticksmith::error::Result<Arc<Broker>> {
    Broker::open(&Database::open(directory)?, PARTITIONS, 24, Arc::new(SystemClock))
}

impl World for Embedded {
    fn publisher(&mut self) -> Box<dyn Publisher> {
        self.broker().publisher().expect("a publisher")
    }
    fn factory(&mut self) -> Box<dyn LogFactory> {
        self.broker().factory("test")
    }
    fn committed(&mut self, topic: Topic, partition: i32) -> Vec<Seen> {
        let records = self.broker().read(topic, partition, 0, usize::MAX).expect("read");
        let seen = records.into_iter().enumerate().map(|(index, record)| {
            assert!(topic == Topic::Changelog || record.offset == index as i64, "no gaps");
            Seen { key: record.key, value: record.value, headers: record.headers }
        });
        seen.collect()
    }
    fn release(&mut self) {
        let broker = self.broker.take();
        assert!(broker.is_none_or(|broker| Arc::into_inner(broker).is_some()), "nobody holds it");
    }
    fn address(&self) -> String {
        self.directory.display().to_string()
    }
}

macro_rules! cases {
    ($($case:ident),+ $(,)?) => {$(
        #[test]
        fn $case() {
            suite::$case(&mut Embedded::new());
        }
    )+};
}

cases! {
    keeps_order_per_key_and_partition,
    hands_out_the_event_header_of_null_values_only,
    commits_records_state_and_offsets_together,
    reads_on_while_a_beat_is_committed,
    a_session_that_is_closed_in_a_commit_leaves_no_half_of_it,
    leaves_nothing_of_a_beat_that_failed,
    forgets_what_was_not_committed,
    replays_after_a_seek,
    tells_when_a_record_was_written,
    restores_the_newest_values_without_tombstones,
    fences_an_older_session_of_the_same_process,
    wakes_a_waiting_poll,
}

#[test]
fn survives_kill_9() {
    suite::survives_kill_9(&mut Embedded::new(), "child_that_is_killed", 5);
}

/// Does nothing unless `survives_kill_9` started it.
#[test]
fn child_that_is_killed() {
    let Ok(directory) = std::env::var(suite::CHILD) else { return };
    let broker = open(Path::new(&directory)).expect("a broker");
    suite::commit_until_killed(&mut *broker.factory("test"));
}

fn refusal(result: ticksmith::error::Result<Arc<Broker>>) -> String {
    match result.map(|_| ()).expect_err("refused") {
        Error::Config(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_second_opener_is_refused_until_the_first_is_gone() {
    let mut world = Embedded::new();
    let session = world.factory().open().expect("a session");
    let text = refusal(open(&world.directory));
    assert!(text.contains("another ticksmith is running on it"), "{text}");
    drop(session);
    world.release();
    world.broker();
}

#[test]
fn another_partition_count_is_refused_with_the_stored_one() {
    let mut world = Embedded::new();
    suite::publish(&mut world, 0..10);
    world.release();
    let database = Database::open(&world.directory).expect("the file");
    let text = refusal(Broker::open(&database, 7, 24, Arc::new(SystemClock)));
    assert!(text.contains("3 partitions") && text.contains("is 7"), "{text}");
}

/// A clock that a test moves.
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
    fn monotonic_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn old_records_go_once_they_were_consumed() {
    const HOUR_US: i64 = 3_600_000_000;
    let directory = tempfile::tempdir().expect("a directory");
    let clock = Arc::new(HandClock(AtomicI64::new(1000 * HOUR_US)));
    let database = Database::open(directory.path()).expect("a file");
    let broker = Broker::open(&database, PARTITIONS, 24, clock.clone()).expect("a broker");
    let mut publisher = broker.publisher().expect("a publisher");
    let mut follower = Follower::joined(&mut *broker.factory("test"));
    let mut publish_one = |value: &str| {
        publisher.publish(vec![suite::trade("S1", value)]).expect("published");
        publisher.flush(Duration::from_secs(60)).expect("flushed");
    };
    publish_one("old and consumed");
    let got = follower.poll_records(1);
    let partition = got[0].partition;
    let beat = follower.beat(&got);
    follower.log.commit(beat).expect("committed");
    publish_one("old and not consumed");
    clock.0.fetch_add(25 * HOUR_US, Ordering::SeqCst);
    let unrelated = Beat { records: vec![suite::changelog(0, "k", Some(b"v"))], offsets: vec![] };
    follower.log.commit(unrelated).expect("committed");
    let kept = broker.read(Topic::Trades, partition, 0, 10).expect("read");
    assert_eq!(kept.len(), 1);
    assert_eq!((kept[0].offset, kept[0].value.as_deref()), (1, Some(&b"old and not consumed"[..])));
    assert!(broker.read(Topic::Silver, partition, 0, 10).expect("read").is_empty());
    follower.take_up(&[partition]);
    assert_eq!(follower.poll_records(1)[0].offset, 1, "reading goes on behind the trimmed ones");
}
