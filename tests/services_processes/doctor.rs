//! `ticksmith doctor` beside real servers and processes: from nothing, by the remedies that it
//! names itself, to a setup in which no check fails.

use serde_json::Value;

use crate::harness::world::free_port;
use crate::harness::{World, eventually, with_steady_servers};

fn world(case: &str) -> World {
    let mut world = World::new(case);
    world.set("HTTP__PORT", &free_port());
    world
}

/// Findings by name: outcome and text.
struct Findings(Value, i32);

impl Findings {
    fn of(world: &World, url: &str) -> Self {
        let ended =
            world.start_with(&["doctor", "--json"], &[("FINNHUB__URL", url.to_owned())]).wait();
        Self(ended.json(), ended.code())
    }

    fn is(&self, check: &str, outcome: &str, words: &str) {
        let checks = self.0["checks"].as_array().expect("checks");
        let found = checks.iter().find(|one| one["check"] == check).expect(check);
        let text = found["text"].as_str().expect("a text");
        assert!(found["outcome"] == outcome && text.contains(words), "{check}: {:#}", self.0);
    }
}

#[test]
fn each_remedy_mends_what_it_was_named_for() {
    let _servers = with_steady_servers();
    let world = world("doctor");
    let (_market, url) = world.start_market(&["--rate", "50"]);

    let nothing = Findings::of(&world, &url);
    assert_eq!(nothing.1, 1, "{:#}", nothing.0);
    nothing.is("kafka", "ok", "1 broker");
    nothing.is("topics", "fail", "create with `ticksmith topics`");
    nothing.is("tables", "fail", "create with `ticksmith cassandra-init`");
    nothing.is("cassandra clock", "ok", "s from Cassandra's");
    nothing.is("key in use", "ok", "by nobody");

    world.succeed(&["topics"]);
    world.succeed(&["cassandra-init"]);
    let made = Findings::of(&world, &url);
    assert_eq!(made.1, 0, "{:#}", made.0);
    made.is("topics", "ok", "all 7 are as configured");
    made.is("tables", "ok", "tables as configured");
    made.is("group", "warn", "start `ticksmith stream`");
    made.is("stream port", "ok", "is free");

    let _producer = world.start(&["producer", "--url", &url, "--symbols", "AAPL"]);
    let _stream = world.start(&["stream"]);
    world.wait_until_ready();
    world.wait_for_commits(20);
    eventually("no check fails or warns", || {
        let running = Findings::of(&world, &url);
        let is_well = running.1 == 0 && running.0["warned"] == 0;
        if is_well { Ok(running) } else { Err(format!("{:#}", running.0)) }
    })
    .is("key in use", "ok", "is connected");
    let running = Findings::of(&world, &url);
    running.is("group", "ok", "1 member, lag");
    running.is("stream port", "ok", "is ready");
    running.is("producer port", "ok", "is ready");
}

#[test]
fn a_topic_and_a_table_that_differ_are_named() {
    let _servers = with_steady_servers();
    let mut world = world("doctor_differs");
    world.succeed(&["topics"]);
    world.succeed(&["cassandra-init"]);
    world.set("TOPICS__TRADES_RETENTION_HOURS", "12");
    world.set("RETENTION__SILVER_DAYS", "3");
    let (_market, url) = world.start_market(&["--rate", "50"]);
    let findings = Findings::of(&world, &url);
    assert_eq!(findings.1, 1, "{:#}", findings.0);
    findings.is("topics", "warn", "retention.ms is 604800000, not 43200000");
    findings.is("tables", "fail", "default_time_to_live");
}
