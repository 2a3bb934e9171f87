//! `ticksmith smoke-test` beside real servers: it finds its trades in every table, beside a feed of
//! another year that does not notice, and where no feed is; what keeps it from finding is named.

use std::path::Path;

use serde_json::Value;

use crate::harness::process::Ended;
use crate::harness::world::free_port;
use crate::harness::{World, steady, with_steady_servers};

const PLACES: [&str; 5] =
    ["sent", "trades_bronze", "trades_silver", "trades_gold_5m", "trades_gold_1h"];
const SYMBOL: &str = "SMOKE:TEST";

fn world(case: &str) -> World {
    let mut world = World::prepared(case);
    world.set("HTTP__PORT", &free_port());
    world
}

fn smoke_test(world: &World, more: &[&str]) -> Ended {
    world.run(&[&["smoke-test", "--json"], more].concat())
}

fn all_is_found(ended: &Ended) -> Value {
    assert_eq!(ended.code(), 0, "{}", ended.said);
    let report = ended.json();
    let steps = report["steps"].as_array().expect("steps");
    let found = steps.iter().filter(|step| step["outcome"] == "found");
    let places: Vec<&str> = found.filter_map(|step| step["place"].as_str()).collect();
    assert_eq!(places, PLACES, "{}", ended.said);
    report
}

fn status(world: &World) -> Value {
    world.run(&["status", "--format", "json"]).json()
}

/// Of the partition that has a state, and of all others that have one.
fn watermarks(status: &Value) -> Vec<Option<i64>> {
    let partitions = status["partitions"].as_array().expect("partitions").iter();
    let states = partitions.map(|one| &one["state"]).filter(|state| !state.is_null());
    states.map(|state| state["watermark_ms"].as_i64()).collect()
}

#[test]
fn a_feed_of_another_year_does_not_notice() {
    let _servers = with_steady_servers();
    let world = world("smoke_feed");
    let stream = world.start(&["stream"]);
    let frames = steady::record(&world, 20, 20);
    let (simulator, url) = world.start_simulator(&frames, &["--exit-at-end"]);
    let producer = world.start_producer(&url, &frames);
    world.wait_for_commits(200);

    let report = all_is_found(&smoke_test(&world, &[]));
    let connection = report["connection"].as_i64().expect("a connection");
    let half_way = status(&world);
    let year_2025_ms = 1_735_689_600_000;
    assert!(watermarks(&half_way).iter().all(|one| *one < Some(year_2025_ms)), "{half_way:#}");

    assert_eq!(simulator.wait().code(), 0);
    assert_eq!(producer.terminate().code(), 0);
    world.wait_until_read();
    let records = status(&world)["total"]["records"].clone();
    assert_eq!((&records["late"], &records["rejected"]), (&0.into(), &0.into()), "{records}");
    let ended = stream.terminate();
    assert_eq!(ended.code(), 0, "{}", ended.said);
    // The oracle knows nothing of smoke tests, only the rules.
    world.succeed(&["stream", "--until-end", "--drain"]);
    world.check(&["--drained"]);
    let verdicts = world
        .cql_column(&format!("SELECT verdict FROM {{}}.trades_gold_5m WHERE symbol = '{SYMBOL}'"));
    assert_eq!(verdicts, ["unknown"]);
    let told = format!(
        "SELECT kind FROM {{}}.feed_events WHERE connection = {connection} ALLOW FILTERING"
    );
    assert_eq!(world.cql_column(&told), ["released"]);
    assert!(world.cql_column("SELECT symbol FROM {}.feed_gaps").iter().all(|one| one != SYMBOL));
}

#[test]
fn without_a_feed_it_is_found_as_often_as_asked_and_no_watermark_comes_of_it() {
    let _servers = with_steady_servers();
    let world = world("smoke_alone");
    let stream = world.start(&["stream"]);
    for _ in 0..3 {
        all_is_found(&smoke_test(&world, &[]));
    }
    assert_eq!(watermarks(&status(&world)), [None]);

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/smoke_test.py");
    let script = script.to_str().expect("the path is text");
    let ran = world.run_program("python3", &[script, "-v"]);
    assert_eq!(ran.code(), 0, "{}", ran.said);
    for place in PLACES {
        assert!(ran.answer.contains(place), "{}", ran.said);
    }
    assert!(ran.answer.contains("SMOKE:TEST: found in trades_bronze, "), "{}", ran.said);
    assert!(ran.answer.contains("http api skipped"), "{}", ran.said);

    // An API that was named must be there.
    let nobody = smoke_test(&world, &["--within", "1s", "--api", "http://127.0.0.1:1"]);
    assert_eq!(nobody.code(), 1, "{}", nobody.said);
    assert!(nobody.said.contains("http api") && nobody.said.contains("ticksmith serve"));
    assert_eq!(stream.terminate().code(), 0);
}

#[test]
fn what_keeps_it_from_finding_is_named() {
    let _servers = with_steady_servers();
    let mut world = world("smoke_unread");
    let unread = smoke_test(&world, &["--within", "1s"]);
    assert_eq!(unread.code(), 1, "{}", unread.said);
    let report = unread.json();
    let steps = report["steps"].as_array().expect("steps").iter();
    let missing = steps.filter(|step| step["outcome"] == "missing").count();
    assert_eq!(missing, PLACES.len() - 1, "{}", unread.said);
    assert!(report["problems"][0].as_str().expect("a text").contains("start `ticksmith stream`"));
    assert!(unread.said.contains("not as sent in trades_bronze"), "{}", unread.said);
    // Nobody has read it, and it is not lost: the next stream brings it.
    world.succeed(&["stream", "--until-end", "--drain"]);
    let bars = world.succeed(&["bars", "--symbol", SYMBOL, "--format", "csv"]);
    assert!(bars.contains("100.25") && bars.contains("98.75"), "{bars}");
    world.set("STREAM__STORE", "none");
    let no_tables = smoke_test(&world, &[]);
    assert_eq!(no_tables.code(), 2, "{}", no_tables.said);
    world.set("STREAM__STORE", "cassandra");
    world.set("KAFKA__BOOTSTRAP", "127.0.0.1:1");
    assert_eq!(smoke_test(&world, &[]).code(), 3);
}
