//! From a feed's frames to rows and records: every process once, as an operator runs them.

use std::path::PathBuf;

use crate::harness::{World, with_steady_servers};

/// 15:20 in New York on the first trading day of daylight saving time: over the close, for 105
/// minutes.
const OVER_THE_CLOSE_MS: i64 = 1_710_184_800_000;
const TRADES: u32 = 5_000;
const DAY_MS: i64 = 86_400_000;
const WANTED: &str = "merged,late,rejected,control,bar corrected,bar closed,bar provisional,\
                      reason price_not_positive,reason volume_negative,reason time_in_future,\
                      rejected by the producer";

#[test]
fn topics_and_tables_are_made_once_and_reported_afterwards() {
    let _servers = with_steady_servers();
    let world = World::new("made_once");
    for (command, count) in [("topics", 6), ("cassandra-init", 8)] {
        let first = world.succeed(&[command]);
        assert!(first.matches("created").count() >= count, "{command}:\n{first}");
        let second = world.succeed(&[command]);
        assert!(!second.contains("created"), "{command} again:\n{second}");
        assert!(second.matches("exists").count() >= count, "{command} again:\n{second}");
    }
}

#[test]
fn a_feed_becomes_the_bars_of_the_oracle() {
    let _servers = with_steady_servers();
    let world = World::prepared("path");
    let frames = run_path(&world, OVER_THE_CLOSE_MS);
    let frames = frames.to_str().expect("the path is text");
    world.check(&["--drained", "--frames", frames, "--expect", WANTED]);
}

/// Rows of days ago live for what is left of their tier's time.
#[test]
fn trades_of_three_days_ago_live_for_the_rest_of_their_time() {
    let _servers = with_steady_servers();
    let world = World::prepared("three_days");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now_ms = i64::try_from(now.expect("after 1970").as_millis()).expect("fits");
    run_path(&world, now_ms - 3 * DAY_MS);
    world.check(&["--drained", "--expect", "merged,late,bar closed"]);
}

/// Returns the recording that was replayed.
fn run_path(world: &World, base_ms: i64) -> PathBuf {
    let frames = world.record_frames(base_ms, TRADES, 1);
    let mut stream = world.start(&["stream"]);
    let (simulator, url) = world.start_simulator(&frames, &["--speed", "max", "--exit-at-end"]);
    let producer = world.start_producer(&url, &frames);
    let simulated = simulator.wait();
    assert_eq!(simulated.code(), 0, "simulate --exit-at-end:\n{}", simulated.said);
    let produced = producer.terminate();
    assert_eq!(produced.code(), 0, "producer after SIGTERM:\n{}", produced.said);
    world.wait_until_read();
    assert!(stream.is_running(), "stream ended by itself:\n{}", stream.said());
    let streamed = stream.terminate();
    assert_eq!(streamed.code(), 0, "stream after SIGTERM:\n{}", streamed.said);
    world.check(&[]);
    world.succeed(&["stream", "--until-end", "--drain"]);
    frames.path
}
