//! The HTTP API of `ticksmith serve` over real Cassandra: held against the tables by clients that
//! share no code with us, and against its own description by a tester that asks whatever it allows.

use std::path::Path;
use std::process::Command;

use crate::harness::foreign::output_of;
use crate::harness::{World, with_steady_servers};

const BASE_MS: i64 = 1_710_184_800_000;

#[test]
fn the_api_has_what_the_tables_have_and_is_as_it_is_described() {
    let _servers = with_steady_servers();
    let world = World::prepared("api");
    let base_ms = BASE_MS.to_string();
    world.python("produce.py", &["--trades", "3000", "--gap", "--base-ms", &base_ms]);
    world.succeed(&["stream", "--until-end", "--drain"]);
    let mut serve = world.start(&["serve", "--port", "0"]);
    let url = serve.wait_for("its address", |said| {
        let line = said.lines().find_map(|line| line.strip_prefix("dashboard"))?;
        Some(line.trim().to_owned())
    });
    println!("{}", world.python("api.py", &["--url", &url]).trim());
    is_as_described(&url);
    let ended = serve.terminate();
    assert_eq!(ended.code(), 0, "serve after SIGTERM:\n{}", ended.said);
}

/// Live updates do not end, so they have tests of their own.
fn is_as_described(url: &str) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tester = Command::new(repository.join(".infra/foreign-venv/bin/schemathesis"));
    tester.env("PYTHONPATH", repository.join("tests/foreign"));
    tester.env("SCHEMATHESIS_HOOKS", "api_hooks").env("TICKSMITH_TEST_SYMBOLS", "AAPL,SPY");
    tester.current_dir(env!("CARGO_TARGET_TMPDIR"));
    tester.args(["run", &format!("{url}/api/v1/openapi.json")]);
    tester.args(["--exclude-path", "/api/v1/stream", "--exclude-path", "/api/v1/ws"]);
    tester.args(["--checks", "all", "--max-examples", "40", "--generation-deterministic"]);
    let said = output_of(&mut tester);
    println!("{}", said.lines().last().unwrap_or_default());
}
