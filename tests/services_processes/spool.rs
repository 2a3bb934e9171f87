//! What the producer's spool keeps and what it cannot: kill -9 at random moments, a Kafka that does
//! not answer, a disk without room.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::harness::steady::{self, assert_delivered};
use crate::harness::world::Frames;
use crate::harness::{World, eventually, server, with_servers_to_break};

const KILLS: usize = 8;
const KILLS_WITHIN_S: i64 = 50;
const KILL_FRAME_EVERY_MS: i64 = 4;

#[test]
fn kill_9_loses_only_what_a_gap_declares() {
    let _servers = with_servers_to_break();
    let world = World::prepared("spool_killed");
    let frames = steady::record(&world, KILLS_WITHIN_S, KILL_FRAME_EVERY_MS);
    let (simulator, url) = world.start_simulator(&frames, &["--exit-at-end"]);
    let seed = rand::random();
    println!("{}: moments of seed {seed}", world.name());
    let mut moments = StdRng::seed_from_u64(seed);
    let mut kills = Vec::new();
    for number in 0..KILLS {
        let mut producer = world.start_producer(&url, &frames);
        producer
            .wait_for("that it subscribed", |said| said.contains("subscribed to").then_some(()));
        pass(moments.random_range(100..1_500));
        // Every other time the spool is full of what Kafka has not taken.
        let frozen = (number % 2 == 1).then(FrozenKafka::new);
        if frozen.is_some() {
            pass(moments.random_range(100..700));
        }
        let killed_at = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        producer.kill();
        kills.push(killed_at.as_millis().to_string());
    }
    let mut last = world.start_producer(&url, &frames);
    last.wait_for("that it subscribed", |said| said.contains("subscribed to").then_some(()));
    assert_eq!(simulator.wait().code(), 0, "simulate --exit-at-end");
    let ended = last.terminate();
    assert_eq!(ended.code(), 0, "producer after SIGTERM:\n{}", ended.said);
    world.succeed(&["stream", "--until-end", "--drain"]);
    world.check(&["--drained", "--expect", "merged,gap producer_lost"]);
    let kills = kills.join(",");
    let counted = assert_delivered(&world, &frames, &["--kills", &kills, "--expect", "missing"]);
    assert!(counted["connections"].as_u64() > Some(KILLS as u64), "{counted}");
}

#[test]
fn a_full_disk_costs_trades_that_are_declared_once_and_exactly() {
    const OVERFLOWS_FOR_MS: u64 = 4_000;
    let _servers = with_servers_to_break();
    let mut world = World::prepared("spool_full");
    let disk = SmallDisk::new(&mut world);
    let frames = steady::record(&world, 40, 2);
    let (simulator, url) = world.start_simulator(&frames, &["--exit-at-end"]);
    let mut producer = world.start_producer(&url, &frames);
    world.wait_for_trades(1_000);
    let frozen = FrozenKafka::new();
    producer
        .wait_for("that it overflows", |said| said.contains("no room in the spool").then_some(()));
    assert!(metrics(&world).contains("\nticksmith_spool_overflowing 1\n"));
    pass(OVERFLOWS_FOR_MS);
    drop(frozen);
    producer.wait_for("that there is room", |said| said.contains("has room again").then_some(()));
    assert!(metrics(&world).contains("\nticksmith_spool_overflowing 0\n"));
    assert_eq!(simulator.wait().code(), 0, "simulate --exit-at-end");
    let ended = producer.terminate();
    assert_eq!(ended.code(), 0, "producer after SIGTERM:\n{}", ended.said);
    drop(disk);
    world.succeed(&["stream", "--until-end", "--drain"]);
    world.check(&["--drained", "--expect", "merged,gap overflow"]);
    let counted = delivered_but_for_overflow(&world, &frames);
    // A slow Kafka may let the spool fill up more than once.
    let told = ended.said.matches("no room in the spool").count();
    assert_eq!(counted["overflows"], told, "one overflow is one event:\n{}", ended.said);
}

fn delivered_but_for_overflow(world: &World, frames: &Frames) -> serde_json::Value {
    assert_delivered(world, frames, &["--all-overflowed", "--expect", "missing,overflowed"])
}

fn metrics(world: &World) -> String {
    eventually("metrics", || world.get(world.setting("PRODUCER__HTTP_PORT"), "/metrics"))
}

/// The moment itself is what is tested: there is nothing to wait for.
fn pass(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// Kafka takes connections and answers nothing, until this is dropped.
struct FrozenKafka(i32);

impl FrozenKafka {
    fn new() -> Self {
        let path = Path::new(&server("TICKSMITH_TEST_INFRA")).join("kafka/pid");
        let text = std::fs::read_to_string(&path).expect("Kafka's pid");
        let pid = text.trim().parse().expect("a number");
        signal(pid, libc::SIGSTOP);
        Self(pid)
    }
}

impl Drop for FrozenKafka {
    fn drop(&mut self) {
        signal(self.0, libc::SIGCONT);
    }
}

fn signal(pid: i32, signal: i32) {
    // SAFETY: `kill` takes two integers; the pid is of the Kafka that the run has started.
    let done = unsafe { libc::kill(pid, signal) };
    assert_eq!(done, 0, "signal {signal} to {pid}");
}

/// A file system of its own for the spool, with very little room. Where none can be mounted, the
/// spool's own bound stands for it.
struct SmallDisk(Option<PathBuf>);

impl SmallDisk {
    fn new(world: &mut World) -> Self {
        let path = world.file("disk");
        std::fs::create_dir_all(&path).expect("a directory");
        world.set("PRODUCER__SPOOL_DIR", path.to_str().expect("the path is text"));
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=2m", "ticksmith-test"])
            .arg(&path)
            .output()
            .is_ok_and(|output| output.status.success());
        if mounted {
            return Self(Some(path));
        }
        println!("{}: no file system can be mounted here; a bound of 2 MiB", world.name());
        world.set("PRODUCER__SPOOL_MAX_MIB", "2");
        Self(None)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // After a failure somebody may still be there; it goes with them.
            let _ = Command::new("umount").arg("-l").arg(path).status();
        }
    }
}
