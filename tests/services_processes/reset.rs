//! Going back on purpose, and more intervals than before, as an operator does it: over real servers
//! and with the real commands.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{World, refused, with_steady_servers};

/// 2024-03-11 19:20 UTC; the trades last for 105 minutes.
const BASE_MS: i64 = 1_710_184_800_000;
const EIGHT_PM_MS: i64 = BASE_MS + 40 * 60_000;
const TRADES: i64 = 24_000;

fn world_with_backlog(case: &str) -> World {
    let mut world = World::prepared(case);
    world.set("STREAM__BEAT_RECORDS", "400");
    world.set("STREAM__BATCH_RECORDS", "100");
    let (base_ms, trades) = (BASE_MS.to_string(), TRADES.to_string());
    world.python("produce.py", &["--trades", &trades, "--base-ms", &base_ms, "--again", "50"]);
    world
}

/// By interval, symbol and start.
type Bars = BTreeMap<(String, String, i64), Value>;

fn bars(world: &World, intervals: &[&str]) -> Bars {
    let symbols = world.cql_column("SELECT symbol FROM {}.symbols");
    assert!(symbols.len() > 1, "{symbols:?}");
    let mut bars = BTreeMap::new();
    for interval in intervals {
        for symbol in &symbols {
            let asked = ["bars", "--symbol", symbol, "--interval", interval, "--from", "0"];
            let ended = world.run(&[&asked[..], &["--format", "json"]].concat());
            assert_eq!(ended.code(), 0, "{}", ended.said);
            let Value::Array(rows) = ended.json() else { panic!("no rows: {}", ended.said) };
            for row in rows {
                let start = row["ts"].as_i64().expect("a start");
                bars.insert(((*interval).to_owned(), symbol.clone(), start), row);
            }
        }
    }
    bars
}

/// The first difference is told.
fn assert_same(found: &Bars, expected: &Bars) {
    for (key, row) in expected {
        assert_eq!(found.get(key), Some(row), "{key:?}");
    }
    let surplus = found.keys().find(|key| !expected.contains_key(*key));
    assert_eq!(surplus, None, "it should not be there");
}

fn silver_records(world: &World) -> i64 {
    let ends = world.observer_of("TOPICS__SILVER").ends().expect("ends");
    ends.values().sum()
}

#[test]
fn a_replay_writes_the_same_bars_as_a_new_generation() {
    let _servers = with_steady_servers();
    let world = world_with_backlog("replay");
    world.succeed(&["stream", "--until-end", "--drain"]);
    world.check(&["--drained", "--expect", "merged,late,bar corrected"]);
    let (before, silver) = (bars(&world, &["5m", "1h"]), silver_records(&world));

    // 20:30, so from 20:00 on.
    let asked = ((EIGHT_PM_MS + 30 * 60_000) / 1_000).to_string();
    let mut stream = world.start(&["stream"]);
    stream.wait_for("that it restored", |said| said.contains("restored").then_some(()));
    refused(&world, &["reset", "--to-datetime", &asked], 3, &["active member", "stop"]);
    assert!(stream.is_running(), "it goes on");
    assert_eq!(stream.terminate().code(), 0, "stream after SIGTERM");

    let stands = || {
        let mut offsets = world.observer().committed().expect("committed");
        // No symbol of the market lives in every partition.
        offsets.retain(|_, offset| *offset > 0);
        offsets
    };
    let committed = stands();
    let plan = world.succeed(&["reset", "--to-datetime", &asked]);
    for part in ["anew from 2024-03-11T20:00:00Z on, as generation 1", "nothing was changed"] {
        assert!(plan.contains(part), "{part}:\n{plan}");
    }
    assert_eq!(stands(), committed, "a plan is a plan");
    let done = world.succeed(&["reset", "--to-datetime", &asked, "--apply"]);
    assert!(done.contains("done: generation 1"), "{done}");
    assert!(stands().values().sum::<i64>() < committed.values().sum(), "back");

    world.succeed(&["stream", "--until-end", "--drain"]);
    assert_eq!(stands(), committed, "and there again");
    let expected = before.into_iter().map(|(key, mut row)| {
        if key.2 >= EIGHT_PM_MS {
            row["generation"] = 1.into();
        }
        (key, row)
    });
    let (expected, after) = (expected.collect::<BTreeMap<_, _>>(), bars(&world, &["5m", "1h"]));
    let generations =
        |wanted: i64| after.values().filter(|row| row["generation"] == wanted).count();
    assert!(generations(0) > 0 && generations(1) > 0);
    assert_same(&after, &expected);
    // Trades before 20:00 were told of before: 65 of 105 minutes came once more.
    let again = silver_records(&world) - silver;
    assert!(silver / 2 < again && again < silver * 3 / 4, "{again} of {silver} came again");
}

#[test]
fn an_interval_is_added_between_two_runs() {
    let _servers = with_steady_servers();
    let mut world = world_with_backlog("interval");
    let stream = world.start(&["stream"]);
    world.wait_for_commits(TRADES / 3);
    assert_eq!(stream.terminate().code(), 0, "stream after SIGTERM");

    world.set("STREAM__INTERVALS", "5m,15m,1h");
    refused(&world, &["stream"], 2, &["trades_gold_15m", "cassandra-init"]);
    let made = world.succeed(&["cassandra-init"]);
    assert_eq!(made.matches("created").count(), 1, "{made}");
    world.succeed(&["stream", "--until-end", "--drain"]);

    // Another group, another keyspace, the same trades: as if it had always been so.
    let found = bars(&world, &["5m", "15m", "1h"]);
    world.begin_anew(&["SILVER", "LATE", "REJECTED", "BARS", "CHANGELOG"]);
    world.succeed(&["topics"]);
    world.succeed(&["cassandra-init"]);
    world.succeed(&["stream", "--until-end", "--drain"]);
    let fresh = bars(&world, &["5m", "15m", "1h"]);
    // Each partition had come as far as it had when the interval was added.
    let mut first: BTreeMap<&str, i64> = BTreeMap::new();
    for key in found.keys().filter(|key| key.0 == "15m") {
        first.entry(&key.1).or_insert(key.2);
    }
    let is_told = |key: &(String, String, i64)| {
        key.0 != "15m" || first.get(key.1.as_str()).is_some_and(|first| key.2 >= *first)
    };
    let of_all = fresh.keys().filter(|key| key.0 == "15m").map(|key| key.2).min();
    assert!(first.values().any(|first| Some(*first) > of_all), "it began in the middle");
    let expected = fresh.iter().filter(|(key, _)| is_told(key));
    assert_same(&found, &expected.map(|(key, row)| (key.clone(), row.clone())).collect());
}
