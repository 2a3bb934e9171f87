use std::time::Duration;

use super::*;
use crate::port::Topic;

const WAIT: Duration = Duration::from_secs(10);

fn options(directory: &Path) -> SpoolOptions {
    SpoolOptions {
        directory: directory.to_owned(),
        max_bytes: 1 << 30,
        sync_every: Duration::from_millis(10),
    }
}

fn record(number: usize, size: usize) -> OutRecord {
    let mut value = number.to_le_bytes().to_vec();
    value.resize(size.max(8), 7);
    OutRecord {
        topic: if number.is_multiple_of(5) { Topic::Rejected } else { Topic::Trades },
        partition: number.is_multiple_of(3).then_some(number as i32 % 6),
        key: number.is_multiple_of(2).then(|| b"AAPL".to_vec()),
        value: Some(value),
        headers: if number.is_multiple_of(4) {
            vec![("reason", b"x".to_vec())]
        } else {
            Vec::new()
        },
    }
}

fn read_all(spool: &Spool) -> (i64, Vec<OutRecord>) {
    let (mut reader, mut last, mut records) = (spool.reader(), 0, Vec::new());
    while let Some(batch) = reader.next(Duration::ZERO).expect("readable") {
        last = batch.id;
        records.extend(batch.records);
    }
    (last, records)
}

#[test]
fn what_was_appended_is_read_back_in_order_and_once_over_restarts() {
    let directory = tempfile::tempdir().expect("a directory");
    let expected: Vec<OutRecord> = (0..100).map(|number| record(number, 20)).collect();
    let half = {
        let spool = Spool::open(options(directory.path())).expect("opens");
        for records in expected.chunks(7) {
            assert!(spool.append(records).expect("written"));
        }
        let (_, records) = read_all(&spool);
        assert_eq!(records, expected);
        spool.acknowledge(6);
        spool.close();
        6 * 7
    };
    wait_until_free(directory.path());
    let spool = Spool::open(options(directory.path())).expect("opens again");
    let (last, records) = read_all(&spool);
    assert_eq!(records, expected[half..]);
    assert!(spool.append(&expected[..1]).expect("written"));
    let mut reader = spool.reader();
    while reader.next_id <= last {
        reader.next(WAIT).expect("readable");
    }
    let batch = reader.next(WAIT).expect("readable").expect("one more");
    assert_eq!((batch.id, batch.records), (last + 1, expected[..1].to_vec()));
    spool.acknowledge(batch.id);
    assert!(spool.await_empty(WAIT));
    spool.close();
}

/// The thread that synchronises holds the lock for one more round.
fn wait_until_free(directory: &Path) {
    while let Err(error) = ProgressFile::open(directory) {
        assert!(error.to_string().contains("another producer"), "{error}");
        std::thread::yield_now();
    }
}

#[test]
fn segments_are_deleted_as_they_are_acknowledged_and_room_comes_back_late() {
    let directory = tempfile::tempdir().expect("a directory");
    let max_bytes = 5 * SEGMENT_BYTES;
    let spool = Spool::open(SpoolOptions { max_bytes, ..options(directory.path()) });
    let spool = spool.expect("opens");
    let large = [record(1, 1 << 20)];
    let mut appended = 0;
    while spool.append(&large).expect("written") {
        appended += 1;
    }
    assert!(appended >= 40, "{appended}");
    assert!(!spool.has_room());
    let files = || std::fs::read_dir(directory.path()).expect("readable").count();
    let before = files();
    spool.acknowledge(1);
    assert!(!spool.has_room(), "one batch of forty is no room yet");
    spool.acknowledge(appended / 2);
    assert!(spool.has_room());
    assert!(files() < before);
    assert!(spool.append(&large).expect("written"));
    spool.close();
}

#[test]
fn a_segment_that_was_never_finished_being_made_is_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let unfinished = directory.path().join("00000000000000000001.spool");
    std::fs::write(&unfinished, "").expect("written");
    let spool = Spool::open(options(directory.path())).expect("opens");
    assert!(spool.append(&[record(1, 20)]).expect("written"));
    assert_eq!(read_all(&spool).1, [record(1, 20)]);
}

#[test]
fn a_second_producer_on_one_spool_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let spool = Spool::open(options(directory.path())).expect("opens");
    let problem = Spool::open(options(directory.path())).expect_err("held").to_string();
    assert!(problem.contains("another producer") && problem.contains("producer.spool_dir"));
    spool.close();
}

#[test]
fn records_for_another_partition_count_are_not_sent() {
    let directory = tempfile::tempdir().expect("a directory");
    let spool = Spool::open(options(directory.path())).expect("opens");
    assert_eq!(spool.partition_count(), None);
    spool.pin_partition_count(6).expect("new");
    assert!(spool.append(&[record(1, 8)]).expect("written"));
    assert_eq!(spool.partition_count(), Some(6));
    assert!(spool.pin_partition_count(3).expect_err("six").to_string().contains("6 partitions"));
    spool.acknowledge(1);
    spool.pin_partition_count(3).expect("nothing waits");
    spool.close();
}
