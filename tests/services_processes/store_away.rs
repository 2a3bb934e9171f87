//! A Cassandra that is away, hangs, is slow, or has lost its tables: the stream stalls and says
//! why, keeps its partitions all the while, and goes on by itself.

use std::time::{Duration, Instant};

use crate::harness::proxy::Proxy;
use crate::harness::{World, eventually, infra, with_servers_to_break, with_steady_servers};

const BASE_MS: i64 = 1_710_184_800_000;
const MAX_POLL_MS: u64 = 12_000;
/// What takes longer than the group waits for a poll.
const TOO_LONG: Duration = Duration::from_millis(MAX_POLL_MS + 3_000);
const REBALANCES: &str = "ticksmith_log_rebalances_total";

fn hasty_group(world: &mut World) {
    world.set("KAFKA__MAX_POLL_INTERVAL_MS", &MAX_POLL_MS.to_string());
    world.set("CASSANDRA__REQUEST_TIMEOUT_MS", "4000");
}

fn produce(world: &World, hours: i64, connection: &str, trades: &str, more: &[&str]) {
    let base_ms = (BASE_MS + hours * 3_600_000).to_string();
    let arguments = ["--trades", trades, "--base-ms", &base_ms, "--connection", connection];
    world.python("produce.py", &[&arguments[..], more].concat());
}

fn stay(length: Duration) {
    let began = Instant::now();
    eventually("the time is over", || {
        let left = length.saturating_sub(began.elapsed());
        if left.is_zero() { Ok(()) } else { Err(format!("{left:?} are left")) }
    });
}

/// Every trade is in the tables, once, and the partitions never left this process.
fn finish(world: &World, stream: crate::harness::process::Process, rebalances: u64) {
    world.wait_until_read();
    world.wait_until_ready();
    assert_eq!(world.metric(REBALANCES), rebalances, "the partitions moved:\n{}", stream.said());
    let ended = stream.terminate();
    assert_eq!(ended.code(), 0, "stream after SIGTERM:\n{}", ended.said);
    world.succeed(&["stream", "--until-end", "--drain"]);
    world.check(&["--drained", "--expect", "merged,late,bar corrected,bar closed"]);
}

#[test]
fn down_for_longer_than_a_poll_may_take() {
    let _servers = with_servers_to_break();
    let mut world = World::prepared("store_down");
    hasty_group(&mut world);
    let stream = world.start(&["stream"]);
    world.wait_until_ready();
    let rebalances = world.metric(REBALANCES);
    infra(&["kill", "cassandra"]);
    produce(&world, 0, "1700000000000001", "4000", &[]);
    world.wait_until_stalled(&["Cassandra"]);
    stay(TOO_LONG);
    world.wait_until_stalled(&["Cassandra"]);
    infra(&["up", "cassandra"]);
    finish(&world, stream, rebalances);
}

/// First nothing gets through, as from a node in a long pause, and requests time out. Then all of
/// it gets through, but slowly: no request fails, yet a beat takes longer than a poll may.
#[test]
fn hanging_and_then_slow() {
    let _servers = with_steady_servers();
    let mut world = World::prepared("store_slow");
    hasty_group(&mut world);
    let proxy = Proxy::start(world.setting("CASSANDRA__CONTACT_POINTS"));
    let direct = world.setting("CASSANDRA__CONTACT_POINTS").to_owned();
    world.set("CASSANDRA__CONTACT_POINTS", &proxy.address);
    world.set("CASSANDRA__IN_FLIGHT_BATCHES", "4");
    let stream = world.start(&["stream"]);
    world.wait_until_ready();
    let rebalances = world.metric(REBALANCES);
    proxy.slow_down(0);
    produce(&world, 0, "1700000000000001", "12000", &[]);
    world.wait_until_stalled(&["Cassandra"]);
    stay(TOO_LONG);
    proxy.slow_down(150_000);
    world.wait_until_stalled(&["slow"]);
    stay(TOO_LONG);
    proxy.speed_up();
    world.set("CASSANDRA__CONTACT_POINTS", &direct);
    finish(&world, stream, rebalances);
}

#[test]
fn dropped_tables_are_named_and_waited_for() {
    let _servers = with_steady_servers();
    let world = World::prepared("store_dropped");
    let keyspace = world.setting("CASSANDRA__KEYSPACE").to_owned();
    let stream = world.start(&["stream"]);
    world.wait_until_ready();
    let rebalances = world.metric(REBALANCES);
    world.cql("DROP KEYSPACE {}");
    produce(&world, 0, "1700000000000001", "2000", &[]);
    world.wait_until_stalled(&["keyspace", &keyspace, "ticksmith cassandra-init"]);
    world.succeed(&["cassandra-init"]);
    world.wait_until_read();
    world.wait_until_ready();
    // Of this table nothing was written so far.
    world.cql("DROP TABLE {}.feed_events");
    produce(&world, 2, "1700000000000002", "2000", &["--gap"]);
    world.wait_until_stalled(&["feed_events", "ticksmith cassandra-init"]);
    world.succeed(&["cassandra-init"]);
    finish(&world, stream, rebalances);
}
