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
    let max_bytes = 40 * SEGMENT_BYTES;
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
    let unfinished = directory.path().join("00000000000000000001.batches");
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

/// Needs a file system of its own; where none can be mounted, says so and leaves it to the others.
#[test]
fn a_disk_that_is_full_is_one_overflow_and_has_room_when_its_own_or_others_data_go() {
    let directory = tempfile::tempdir().expect("a directory");
    let Some(_disk) = SmallDisk::mount(directory.path()) else {
        println!("no file system can be mounted here: a full disk is not tried");
        return;
    };
    let spool = Spool::open(options(directory.path())).expect("opens");
    let fill = || {
        let mut appended = 0;
        while spool.append(&[record(1, 10_000)]).expect("no failure") {
            appended += 1;
        }
        appended
    };
    let mut reader = spool.reader();
    assert!(spool.append(&[record(1, 1_100_000)]).expect("no failure"));
    spool.acknowledge(1);
    // Half of the disk held what was acknowledged.
    let appended = fill();
    assert!(appended > 150, "{appended}");
    while reader.next(Duration::ZERO).expect("readable").is_some() {}
    assert!(!spool.has_room());
    // Its only segment goes, although the reader has it open.
    spool.acknowledge(1 + appended);
    until_room(&spool, &mut reader);
    assert!(fill() > appended / 2, "all the room is there again");
    spool.acknowledge(1 + appended + spool.backlog().0);
    // Others take what is left: nothing of the spool's own can make room.
    while reader.next(Duration::ZERO).expect("readable").is_some() {}
    let other = directory.path().join("other");
    let chunk = vec![0; 4_096];
    let mut file = std::fs::File::create(&other).expect("a file");
    while std::io::Write::write_all(&mut file, &chunk).is_ok() {}
    assert!(!spool.append(&[record(1, 10_000)]).expect("no failure"));
    for _ in 0..100 {
        assert!(!spool.has_room(), "an overflow is told once");
    }
    std::fs::remove_file(&other).expect("removed");
    drop(file);
    until_room(&spool, &mut reader);
    assert!(spool.append(&[record(1, 10_000)]).expect("no failure"));
    spool.close();
}

fn until_room(spool: &Spool, reader: &mut SpoolReader) {
    for _ in 0..1_000 {
        // Whoever sends asks for more all the time.
        assert!(reader.next(Duration::ZERO).expect("readable").is_none());
        if spool.has_room() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("no room");
}

struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(path: &'a Path) -> Option<Self> {
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=2m", "ticksmith-test"]).arg(path);
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn an_end_that_was_cut_off_or_never_reached_the_disk_costs_only_itself() {
    let expected: Vec<OutRecord> = (0..10).map(|number| record(number, 100)).collect();
    for damage in ["cut", "zeros"] {
        let directory = tempfile::tempdir().expect("a directory");
        {
            let spool = Spool::open(options(directory.path())).expect("opens");
            for one in &expected {
                assert!(spool.append(std::slice::from_ref(one)).expect("written"));
            }
            spool.close();
        }
        wait_until_free(directory.path());
        let path = directory.path().join("00000000000000000001.batches");
        let mut bytes = std::fs::read(&path).expect("the segment");
        let end = bytes.len();
        match damage {
            "cut" => bytes.truncate(end - 30),
            _ => bytes[end - 30..].fill(0),
        }
        std::fs::write(&path, &bytes).expect("written");
        let spool = Spool::open(options(directory.path())).expect("opens again");
        let (last, records) = read_all(&spool);
        assert_eq!((last, &records[..]), (9, &expected[..9]), "{damage}");
        assert!(spool.append(&expected[9..]).expect("written"));
        assert_eq!(read_all(&spool), (10, expected.clone()), "{damage}");
        spool.close();
    }
}

#[test]
fn the_disk_holds_little_more_than_what_arrived() {
    let directory = tempfile::tempdir().expect("a directory");
    let spool = Spool::open(options(directory.path())).expect("opens");
    let batches = 2_000_u64;
    for _ in 0..batches {
        assert!(spool.append(&[record(1, 100)]).expect("written"));
    }
    let files = std::fs::read_dir(directory.path()).expect("readable").flatten();
    let on_disk: u64 = files.map(|file| file.metadata().expect("there").len()).sum();
    let (_, told) = spool.backlog();
    assert!(told <= on_disk && on_disk < told + 4_096, "{told} told, {on_disk} on disk");
    assert!(told < batches * 200, "{told}");
    spool.close();
}

/// FNV-1a byte by byte, written down once more.
fn older_sum(id: u64, records: &[u8]) -> u64 {
    let start = (0xcbf2_9ce4_8422_2325 ^ id).wrapping_mul(0x0100_0000_01b3);
    records.iter().fold(start, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn what_an_older_version_has_not_sent_is_read_like_all_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let expected = [record(1, 20), record(2, 33)];
    {
        let spool = Spool::open(options(directory.path())).expect("opens");
        assert!(spool.append(&expected).expect("written"));
        spool.close();
    }
    wait_until_free(directory.path());
    let path = directory.path().join("00000000000000000001.batches");
    let mut bytes = std::fs::read(&path).expect("the segment");
    let sum = older_sum(1, &bytes[24..]).to_le_bytes();
    assert_ne!(bytes[16..24], sum);
    bytes[16..24].copy_from_slice(&sum);
    std::fs::write(&path, &bytes).expect("written");
    let spool = Spool::open(options(directory.path())).expect("opens again");
    assert_eq!(read_all(&spool).1, expected);
}
