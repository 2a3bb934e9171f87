//! A server dies and comes back while everything runs.

use crate::harness::{World, infra, with_servers_to_break};

const BASE_MS: i64 = 1_710_184_800_000;
const TRADES: u32 = 6_000;

#[test]
fn the_stream_and_the_producer_go_on_after_kafka_was_killed() {
    survives("kafka");
}

#[test]
fn the_stream_goes_on_after_cassandra_was_killed() {
    survives("cassandra");
}

/// Nothing arrives, so nothing fails: it is asked for.
#[test]
fn an_idle_stream_says_that_kafka_is_away_and_is_ready_when_it_is_back() {
    let _servers = with_servers_to_break();
    let world = World::prepared("idle_without_kafka");
    let stream = world.start(&["stream"]);
    world.wait_until_ready();
    infra(&["kill", "kafka"]);
    world.wait_until_stalled(&["broker"]);
    infra(&["up", "kafka"]);
    world.wait_until_ready();
    let ended = stream.terminate();
    assert_eq!(ended.code(), 0, "stream after SIGTERM:\n{}", ended.said);
}

fn survives(service: &str) {
    let _servers = with_servers_to_break();
    let world = World::prepared(&format!("without_{service}"));
    let frames = world.record_frames(BASE_MS, TRADES, 5);
    let mut stream = world.start(&["stream"]);
    let (simulator, url) = world.start_simulator(&frames, &["--speed", "300", "--exit-at-end"]);
    let mut producer = world.start_producer(&url, &frames);
    world.wait_for_commits(1_000);
    infra(&["kill", service]);
    infra(&["up", service]);
    assert_eq!(simulator.wait().code(), 0, "simulate --exit-at-end");
    assert!(producer.is_running(), "the producer gave up:\n{}", producer.said());
    // What a Kafka on its way back has not taken when the time for a stop is over stays in the
    // spool.
    world.wait_for_trades(i64::from(TRADES));
    let produced = producer.terminate();
    assert_eq!(produced.code(), 0, "producer after SIGTERM:\n{}", produced.said);
    world.wait_until_read();
    assert!(stream.is_running(), "the stream gave up:\n{}", stream.said());
    let streamed = stream.terminate();
    assert_eq!(streamed.code(), 0, "stream after SIGTERM:\n{}", streamed.said);
    world.succeed(&["stream", "--until-end", "--drain"]);
    let last_minutes = (BASE_MS + 100 * 60_000).to_string();
    world.check(&["--drained", "--watermark-past", &last_minutes, "--expect", "merged,bar closed"]);
}
