//! Strangers at both ends: a producer that shares no code with us and knows nothing of feed events,
//! and makes every mistake there is.

use crate::harness::{World, with_steady_servers};

/// 12:20 in New York on a half day: over its early close.
const HALF_DAY_MS: i64 = 1_732_900_800_000;
const WANTED: &str = "merged,late,duplicate,reason seq,bar corrected,bar closed,bar provisional";

#[test]
fn what_a_stranger_writes_becomes_bars_and_what_is_wrong_is_diverted_with_its_reason() {
    let _servers = with_steady_servers();
    let world = World::prepared("foreign");
    let base_ms = HALF_DAY_MS.to_string();
    let arguments = ["--trades", "3000", "--base-ms", &base_ms, "--bad", "--again", "9"];
    let produced = world.python("produce.py", &arguments);
    let bad = world.file("bad.json");
    std::fs::write(&bad, produced).expect("written");
    let bad = bad.to_str().expect("the path is text");
    world.succeed(&["stream", "--until-end", "--drain"]);
    world.check(&["--drained", "--bad", bad, "--expect", WANTED]);
}

/// A second stranger goes on where the first has ended, and the stream with them.
#[test]
fn a_stream_goes_on_where_the_one_before_it_ended() {
    let _servers = with_steady_servers();
    let world = World::prepared("foreign_again");
    for (hours, connection) in [(0, "1700000000000001"), (1, "1700000000000002")] {
        let base_ms = (HALF_DAY_MS + hours * 3_600_000).to_string();
        let arguments = ["--base-ms", &base_ms, "--connection", connection, "--trades", "1500"];
        world.python("produce.py", &arguments);
        world.succeed(&["stream", "--until-end"]);
        world.check(&[]);
    }
    world.succeed(&["stream", "--until-end", "--drain"]);
    world.check(&["--drained", "--expect", WANTED_AGAIN]);
}

const WANTED_AGAIN: &str = "merged,late,bar closed,bar provisional";

/// Feeds that do all that feeds can do, told by a stranger and judged by one: coverage, gaps and
/// history of every bar, and the rows of `feed_gaps`.
#[test]
fn feeds_that_come_and_go_are_told_as_the_oracle_tells_them() {
    let _servers = with_steady_servers();
    for seed in ["1", "2", "3"] {
        let world = World::prepared(&format!("wild_{seed}"));
        let base_ms = HALF_DAY_MS.to_string();
        world.python("wild.py", &["--base-ms", &base_ms, "--seed", seed]);
        world.succeed(&["stream", "--until-end", "--drain"]);
        world.check(&["--drained", "--expect", WANTED_OF_WILD]);
    }
}

const WANTED_OF_WILD: &str = "merged,late,reason not_owner,bar corrected,revision closed,\
     revision late_trade,revision feed_gap,revision confirmed,gap disconnected,gap silence,\
     gap released,gap producer_lost,gap overflow,gap decode_loss";
