//! Processes that are killed and stopped in the middle of their work: what comes out is what would
//! have come out anyway, once.

use crate::harness::world::RECORDED_MS;
use crate::harness::{World, with_steady_servers};

const BASE_MS: i64 = 1_710_184_800_000;
const TRADES: i64 = 24_000;
const ROUNDS: i64 = 4;

/// Small beats, so that many transactions fall into a backlog and a kill hits one of them.
fn world_with_backlog(case: &str) -> World {
    let mut world = World::prepared(case);
    world.set("STREAM__BEAT_RECORDS", "400");
    world.set("STREAM__BATCH_RECORDS", "100");
    let (base_ms, trades) = (BASE_MS.to_string(), TRADES.to_string());
    world.python("produce.py", &["--trades", &trades, "--base-ms", &base_ms, "--again", "50"]);
    world
}

fn drain_and_check(world: &World) {
    world.succeed(&["stream", "--until-end", "--drain"]);
    world.check(&["--drained", "--expect", "merged,duplicate,late,bar corrected,bar provisional"]);
}

#[test]
fn a_stream_killed_in_mid_flow_leaves_neither_gaps_nor_repeats() {
    let _servers = with_steady_servers();
    let world = world_with_backlog("killed");
    let mut committed = 0;
    for _ in 0..ROUNDS {
        let stream = world.start(&["stream"]);
        committed = world.wait_for_commits(committed + TRADES / (2 * ROUNDS));
        let killed = stream.kill();
        assert_eq!(killed.code(), -libc::SIGKILL, "it was still running:\n{}", killed.said);
    }
    drain_and_check(&world);
}

#[test]
fn a_stream_stopped_in_mid_flow_ends_cleanly() {
    let _servers = with_steady_servers();
    let world = world_with_backlog("stopped");
    let mut wanted = 0;
    for _ in 0..ROUNDS {
        let stream = world.start(&["stream"]);
        let committed = world.wait_for_commits(wanted);
        wanted = committed + TRADES / (2 * ROUNDS);
        let stopped = stream.terminate();
        assert_eq!(stopped.code(), 0, "stream after SIGTERM:\n{}", stopped.said);
    }
    drain_and_check(&world);
}

#[test]
fn a_producer_killed_in_mid_flow_is_succeeded_by_the_next() {
    let _servers = with_steady_servers();
    let world = World::prepared("producer_killed");
    let frames = world.record_frames(BASE_MS, 6_000, 3);
    // Slow enough to kill the producer twice before the recording ends.
    let (simulator, url) = world.start_simulator(&frames, &["--speed", "150"]);
    let stream = world.start(&["stream"]);
    for least in [1_000, 2_500] {
        let producer = world.start_producer(&url, &frames);
        world.wait_for_trades(least);
        producer.kill();
    }
    simulator.kill();
    let producer = world.produce_all(BASE_MS + RECORDED_MS, 3_000, 4);
    assert_eq!(producer.terminate().code(), 0, "producer after SIGTERM");
    world.wait_until_read();
    assert_eq!(stream.terminate().code(), 0, "stream after SIGTERM");
    world.succeed(&["stream", "--until-end", "--drain"]);
    // The watermark saw the last minutes: no connection of a producer that is gone holds it back.
    let last_minutes = (BASE_MS + 2 * RECORDED_MS - 5 * 60_000).to_string();
    world.check(&["--drained", "--watermark-past", &last_minutes, "--expect", "merged,bar closed"]);
}
