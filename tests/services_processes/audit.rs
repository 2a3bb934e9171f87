//! Bars recomputed from what Cassandra holds: equal to what the stream wrote, whatever was killed
//! on the way, and no longer when a hand has changed one row.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::harness::{World, with_steady_servers};

const HOUR_MS: i64 = 3_600_000;

/// An hour and three quarters that began five hours ago, at 250 times its speed; the stream is
/// killed twice and the producer once.
fn world_after_kills() -> World {
    let mut world = World::prepared("audit");
    world.set("STREAM__BEAT_RECORDS", "400");
    world.set("STREAM__BATCH_RECORDS", "100");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let base_ms = i64::try_from(now.as_millis()).expect("fits") - 5 * HOUR_MS;
    let frames = world.record_frames(base_ms, 6_000, 3);
    let (simulator, url) = world.start_simulator(&frames, &["--speed", "250", "--exit-at-end"]);
    let first = world.start_producer(&url, &frames);
    let mut committed = 0;
    for _ in 0..2 {
        let stream = world.start(&["stream"]);
        committed = world.wait_for_commits(committed + 700);
        stream.kill();
    }
    first.kill();
    let mut second = world.start_producer(&url, &frames);
    second.wait_for("that it subscribed", |said| said.contains("subscribed").then_some(()));
    assert_eq!(simulator.wait().code(), 0, "simulate --exit-at-end");
    assert_eq!(second.terminate().code(), 0, "producer after SIGTERM");
    world.succeed(&["stream", "--until-end", "--drain"]);
    world
}

/// What an audit of everything says, as JSON, with its exit code.
fn audit(world: &World) -> (i32, serde_json::Value) {
    let ended = world.run(&["audit", "--symbol", "all", "--format", "json"]);
    (ended.code(), ended.json())
}

fn assert_equal(world: &World) -> serde_json::Value {
    let (code, told) = audit(world);
    assert_eq!((code, &told["differences"]), (0, &serde_json::json!([])), "{told:#}");
    assert!(told["compared"].as_i64() > Some(40), "{told:#}");
    told
}

#[test]
fn an_audit_of_what_the_stream_wrote_is_equal_until_a_hand_changes_it() {
    let _servers = with_steady_servers();
    let world = world_after_kills();
    let told = assert_equal(&world);
    println!("{}: {} compared, {} open", world.name(), told["compared"], told["open"]);

    // The oldest bar there is, of whatever symbol.
    let gold = "trades_gold_5m";
    let row = world.cql(&format!("SELECT symbol, CAST(ts AS text) FROM {{}}.{gold} LIMIT 1"));
    let (symbol, start) = row.expect("a bar");
    let place = format!("symbol = '{symbol}' AND ts = '{start}'");
    let found = |statement: &str, kind: &str, field: &str| {
        world.cql(statement);
        let (code, told) = audit(&world);
        let named = told["differences"].as_array().expect("differences").iter();
        let named: Vec<_> =
            named.map(|one| (&one["symbol"], &one["kind"], &one["field"])).collect();
        assert_eq!(code, 1, "{statement}: {told:#}");
        assert!(named.iter().any(|(_, k, f)| **k == kind && **f == field), "{statement}: {told:#}");
        assert_ne!(told["digest_gold"], told["digest_recomputed"], "{statement}");
    };
    let change = format!("UPDATE {{}}.{gold} SET volume = 7.5 WHERE {place}");
    found(&change, "mismatched", "volume");
    let insert = format!(
        "INSERT INTO {{}}.{gold} (symbol, ts, open, high, low, close, volume) \
         VALUES ('NOBODY', '{start}', 1, 1, 1, 1, 1)"
    );
    found(&insert, "extra", "bar");
    found(&format!("DELETE FROM {{}}.{gold} WHERE {place}"), "missing", "bar");

    // A hand writes with the time of day, above the next generation of bars of hours ago.
    let done = world.succeed(&["rebuild", "--symbol", "all", "--apply"]);
    assert!(done.contains("wrote 1 bars as generation") && done.contains("removed 1"), "{done}");
    assert_equal(&world);
}
