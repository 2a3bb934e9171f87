//! What every case needs: servers, a world of topics and tables of its own, processes in it.

// Three test files use it, each what it needs.
#![allow(dead_code)]

pub mod foreign;
pub mod group;
mod kafka;
pub mod network;
pub mod process;
pub mod proxy;
pub mod steady;
pub mod world;

use std::path::Path;
use std::process::Command;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

pub use world::World;

/// Far beyond what anything here takes; only a hang is ended by it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// One case at a time may take a server down; it waits for the others to be done.
static SERVERS: RwLock<()> = RwLock::new(());

/// The servers stay up as long as this is held.
pub fn with_steady_servers() -> RwLockReadGuard<'static, ()> {
    SERVERS.read().unwrap_or_else(PoisonError::into_inner)
}

/// Nobody else uses the servers as long as this is held.
pub fn with_servers_to_break() -> RwLockWriteGuard<'static, ()> {
    SERVERS.write().unwrap_or_else(PoisonError::into_inner)
}

/// An environment variable that `scripts/with-services.sh` sets.
pub fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!(
            "{variable} is not set: these tests need a real Kafka and Cassandra; run them with \
             `make test-integration` or `scripts/with-services.sh cargo test --test 'services_*'`"
        )
    })
}

/// `scripts/infra.sh`; directory and ports of the servers are in the environment already.
pub fn infra(arguments: &[&str]) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/infra.sh");
    let output = Command::new(script).args(arguments).output().expect("scripts/infra.sh runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "infra.sh {arguments:?}: {}\n{said}", output.status);
}

/// Exactly one line of error, that holds every one of `words`, and the exit code.
pub fn refused(world: &World, arguments: &[&str], code: i32, words: &[&str]) {
    let ended = world.run(arguments);
    let said =
        format!("ticksmith {}: exit code {}:\n{}", arguments.join(" "), ended.code(), ended.said);
    assert_eq!(ended.code(), code, "{said}");
    let errors: Vec<&str> =
        ended.said.lines().filter_map(|line| line.strip_prefix("ticksmith: ")).collect();
    let [error] = errors[..] else { panic!("not one line of error: {said}") };
    for word in words {
        assert!(error.contains(word), "'{word}' is not named: {said}");
    }
    assert!(!ended.said.contains("panicked"), "{said}");
}

/// Asks again and again until there is an answer. `what` and the last refusal make the failure.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    const PAUSE: Duration = Duration::from_millis(100);
    let until = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(problem) if Instant::now() >= until => {
                panic!("{what}: not within {} s: {problem}", PATIENCE.as_secs())
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}
