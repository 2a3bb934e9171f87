//! What is missing or refuses is named in one line with its remedy, and the exit code says whose
//! turn it is.

use crate::harness::{World, refused, with_steady_servers};

/// Nobody listens there: the port is one that programs do not get.
const NOBODY: &str = "127.0.0.1:1";

#[test]
fn without_topics_the_missing_one_is_named_with_the_command_that_makes_it() {
    let _servers = with_steady_servers();
    let world = World::new("no_topics");
    world.succeed(&["cassandra-init"]);
    let topic = world.setting("TOPICS__TRADES").to_owned();
    refused(&world, &["stream"], 2, &[&topic, "ticksmith topics"]);
    refused(&world, &["status"], 2, &[&topic, "ticksmith topics"]);
    let feed = ["producer", "--url", "ws://127.0.0.1:1", "--symbols", "AAPL"];
    refused(&world, &feed, 2, &[&topic, "ticksmith topics"]);
}

#[test]
fn without_kafka_its_address_is_named() {
    let _servers = with_steady_servers();
    let mut world = World::new("no_kafka");
    world.succeed(&["cassandra-init"]);
    world.set("KAFKA__BOOTSTRAP", NOBODY);
    refused(&world, &["topics"], 3, &[NOBODY]);
    refused(&world, &["stream"], 3, &[NOBODY]);
    refused(&world, &["status"], 3, &[NOBODY]);
    let feed = ["producer", "--url", "ws://127.0.0.1:1", "--symbols", "AAPL"];
    refused(&world, &feed, 3, &[NOBODY]);
}

#[test]
fn without_cassandra_its_address_is_named() {
    let _servers = with_steady_servers();
    let mut world = World::new("no_cassandra");
    world.succeed(&["topics"]);
    world.set("CASSANDRA__CONTACT_POINTS", NOBODY);
    refused(&world, &["cassandra-init"], 3, &[NOBODY]);
    refused(&world, &["stream"], 3, &[NOBODY]);
}

#[test]
fn without_keyspace_it_is_named_with_the_command_that_makes_it() {
    let _servers = with_steady_servers();
    let world = World::new("no_keyspace");
    world.succeed(&["topics"]);
    let keyspace = world.setting("CASSANDRA__KEYSPACE").to_owned();
    refused(&world, &["stream"], 2, &[&keyspace, "ticksmith cassandra-init"]);
}

#[test]
fn topics_that_do_not_fit_each_other_are_refused() {
    let _servers = with_steady_servers();
    let mut world = World::new("misfit");
    world.succeed(&["topics"]);
    world.succeed(&["cassandra-init"]);
    world.set("TOPICS__PARTITIONS", "3");
    let trades = world.setting("TOPICS__TRADES").to_owned();
    let ended = world.run(&["topics"]);
    assert_eq!(ended.code(), 1, "topics with another partition count:\n{}", ended.said);
    assert!(ended.said.contains(&trades) && ended.said.contains("wanted 3"), "{}", ended.said);
}

#[test]
fn frames_that_cannot_be_replayed_are_named() {
    let world = World::new("no_frames");
    let empty = world.file("empty.jsonl");
    std::fs::write(&empty, "").expect("written");
    for path in [empty, world.file("absent.jsonl")] {
        let path = path.to_str().expect("the path is text");
        refused(&world, &["simulate", "--port", "0", "--frames", path], 2, &[path]);
    }
}

#[test]
fn a_wrong_key_is_named_and_not_shown() {
    let _servers = with_steady_servers();
    let world = World::prepared("wrong_key");
    let frames = world.record_frames(1_710_184_800_000, 50, 1);
    let (_simulator, url) = world.start_simulator(&frames, &["--key", "the-right-one"]);
    let ended = world.start_producer(&url, &frames).wait();
    assert_eq!(ended.code(), 2, "producer with a wrong key:\n{}", ended.said);
    assert!(ended.said.contains("FINNHUB_API_KEY"), "{}", ended.said);
}
