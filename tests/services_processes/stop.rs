//! A stop in the middle of everything, with servers there and away: exit code 0 soon, 130 at once
//! after a second signal, and nothing is lost by it.

use std::time::{Duration, Instant};

use crate::harness::process::Process;
use crate::harness::proxy::Proxy;
use crate::harness::world::RECORDED_MS;
use crate::harness::{World, infra, with_servers_to_break, with_steady_servers};

const BASE_MS: i64 = 1_710_184_800_000;
/// Drain deadline and leaving take five seconds together; this leaves room for a busy machine, and
/// none for the time-outs of a client, which begin at ten.
const SOON: Duration = Duration::from_secs(9);

fn stops_soon(process: Process, what: &str) {
    let asked = Instant::now();
    let ended = process.terminate();
    assert_eq!(ended.code(), 0, "{what} after SIGTERM:\n{}", ended.said);
    println!("{what}: stopped within {:?}", asked.elapsed());
    assert!(asked.elapsed() < SOON, "{what} took {:?}:\n{}", asked.elapsed(), ended.said);
}

/// A backlog in small beats: some stops fall into the start, some into a restore, some into a
/// commit.
#[test]
fn a_stream_is_stopped_at_any_moment() {
    let _servers = with_steady_servers();
    let mut world = World::prepared("stop_any");
    world.set("STREAM__BEAT_RECORDS", "300");
    world.set("STREAM__BATCH_RECORDS", "100");
    let base_ms = BASE_MS.to_string();
    world.python("produce.py", &["--trades", "24000", "--base-ms", &base_ms, "--again", "50"]);
    for wait_ms in [0, 30, 100, 200, 400, 700, 1_100, 1_600, 2_200, 3_000, 3_700, 4_100] {
        let stream = world.start(&["stream"]);
        std::thread::sleep(Duration::from_millis(wait_ms));
        // Before its first line of main the system ends it; that is for `tests/stop.rs` to see.
        if wait_ms == 0 {
            stream.kill();
            continue;
        }
        stops_soon(stream, &format!("stream after {wait_ms} ms"));
    }
    world.succeed(&["stream", "--until-end", "--drain"]);
    world.check(&["--drained", "--expect", "merged,duplicate,late,bar corrected,bar provisional"]);
}

#[test]
fn a_store_that_hangs_keeps_nobody() {
    let _servers = with_steady_servers();
    let mut world = World::prepared("stop_hanging");
    let direct = world.setting("CASSANDRA__CONTACT_POINTS").to_owned();
    let base_ms = BASE_MS.to_string();
    for round in ["first", "second"] {
        let proxy = Proxy::start(&direct);
        world.set("CASSANDRA__CONTACT_POINTS", &proxy.address);
        let mut stream = world.start(&["stream"]);
        world.wait_until_ready();
        proxy.slow_down(0);
        if round == "first" {
            world.python("produce.py", &["--trades", "3000", "--base-ms", &base_ms]);
            world.wait_until_stalled(&["store is slow"]);
            stops_soon(stream, "stream with a store that hangs");
            continue;
        }
        world.wait_until_stalled(&["store is slow"]);
        stream.signal(libc::SIGINT);
        stream.wait_for("that it stops", |said| said.contains("second signal").then_some(()));
        let ended = stream.terminate();
        assert_eq!(ended.code(), 130, "stream after a second signal:\n{}", ended.said);
    }
    world.set("CASSANDRA__CONTACT_POINTS", &direct);
    world.succeed(&["stream", "--until-end", "--drain"]);
    world.check(&["--drained", "--expect", "merged,bar closed"]);
}

/// What the producer has not sent is in its spool, and what the stream has not committed is in the
/// log: both end with 0, and go on where they were.
#[test]
fn a_log_that_is_away_keeps_nobody() {
    let _servers = with_servers_to_break();
    let world = World::prepared("stop_no_log");
    let frames = world.record_frames(BASE_MS, 6_000, 5);
    let (simulator, url) = world.start_simulator(&frames, &["--speed", "150"]);
    let stream = world.start(&["stream"]);
    let producer = world.start_producer(&url, &frames);
    world.wait_for_commits(1_000);
    infra(&["kill", "kafka"]);
    // Long enough for both to be in the middle of trying.
    std::thread::sleep(Duration::from_secs(3));
    stops_soon(producer, "producer without Kafka");
    stops_soon(stream, "stream without Kafka");
    simulator.kill();
    infra(&["up", "kafka"]);
    let stream = world.start(&["stream"]);
    let producer = world.produce_all(BASE_MS + RECORDED_MS, 3_000, 6);
    stops_soon(producer, "producer");
    world.wait_until_read();
    stops_soon(stream, "stream");
    world.succeed(&["stream", "--until-end", "--drain"]);
    let last_minutes = (BASE_MS + 2 * RECORDED_MS - 5 * 60_000).to_string();
    world.check(&["--drained", "--watermark-past", &last_minutes, "--expect", "merged,bar closed"]);
}
