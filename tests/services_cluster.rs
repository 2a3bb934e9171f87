//! A Cassandra of three nodes of which one dies, and then another: as long as a quorum is there
//! the stream goes on, without it the stream stalls and says so, and with it again it goes on by
//! itself.
//!
//! `make test-cluster` runs it. The other two nodes have loopback addresses of their own, which
//! Linux has without further ado.

#[path = "services_processes/harness/mod.rs"]
mod harness;

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{World, server};

const BASE_MS: i64 = 1_710_184_800_000;
const REBALANCES: &str = "ticksmith_log_rebalances_total";

/// A further node beside the one that is there; killed on drop.
struct Node {
    host: String,
    directory: PathBuf,
}

impl Node {
    fn start(number: u32) -> Self {
        let directory = Path::new(&server("TICKSMITH_TEST_INFRA")).join(format!("node-{number}"));
        let node = Self { host: format!("127.0.0.{number}"), directory };
        node.infra("up");
        node
    }

    fn infra(&self, command: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/infra.sh");
        let seed = format!("127.0.0.1:{}", server("CASSANDRA_STORAGE_PORT"));
        let output = Command::new(script)
            .args([command, "cassandra"])
            .env("TICKSMITH_INFRA_HOST", &self.host)
            .env("TICKSMITH_INFRA_DIR", &self.directory)
            .env("CASSANDRA_SEEDS", seed)
            .output()
            .expect("scripts/infra.sh runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} of {}: {said}", command, self.host);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.infra("kill");
    }
}

fn produce(world: &World, part: i64) {
    let base_ms = (BASE_MS + part * 3_600_000).to_string();
    let connection = (1_700_000_000_000_001 + part).to_string();
    let arguments = ["--trades", "3000", "--base-ms", &base_ms, "--connection", &connection];
    world.python("produce.py", &arguments);
}

#[test]
fn one_node_of_three_is_missed_by_nobody_and_two_are_waited_for() {
    let nodes = [Node::start(2), Node::start(3)];
    let mut world = World::new("cluster");
    let port = server("CASSANDRA_PORT");
    let points = [1, 2, 3].map(|number| format!("127.0.0.{number}:{port}")).join(",");
    world.set("CASSANDRA__CONTACT_POINTS", &points);
    world.set("CASSANDRA__REPLICATION", "{'class': 'SimpleStrategy', 'replication_factor': 3}");
    world.set("CASSANDRA__REQUEST_TIMEOUT_MS", "4000");
    world.succeed(&["topics"]);
    world.succeed(&["cassandra-init"]);
    let stream = world.start(&["stream"]);
    world.wait_until_ready();
    let rebalances = world.metric(REBALANCES);
    produce(&world, 0);
    world.wait_until_read();

    nodes[0].infra("kill");
    produce(&world, 1);
    world.wait_until_read();

    nodes[1].infra("kill");
    produce(&world, 2);
    world.wait_until_stalled(&["Cassandra"]);
    nodes[1].infra("up");
    world.wait_until_read();
    world.wait_until_ready();

    assert_eq!(world.metric(REBALANCES), rebalances, "the partitions moved:\n{}", stream.said());
    let ended = stream.terminate();
    assert_eq!(ended.code(), 0, "stream after SIGTERM:\n{}", ended.said);
    world.succeed(&["stream", "--until-end", "--drain"]);
    nodes[0].infra("up");
    world.check(&["--drained", "--expect", "merged,late,bar corrected,bar closed"]);
}
