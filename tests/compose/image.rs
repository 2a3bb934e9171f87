//! The image of ticksmith, as far as it can be judged without building it.

use std::path::Path;

use crate::description::root;

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).expect(path)
}

fn dockerfile() -> String {
    read("docker/Dockerfile")
}

fn value_of<'a>(text: &'a str, beginning: &str) -> &'a str {
    let line = text.lines().find(|line| line.starts_with(beginning));
    line.unwrap_or_else(|| panic!("no line begins with {beginning}")).trim_start_matches(beginning)
}

#[test]
fn it_is_built_with_the_compiler_that_the_manifest_asks_for_and_holds_little() {
    let dockerfile = dockerfile();
    let wanted = read("Cargo.toml");
    let version = value_of(&wanted, "rust-version = ").trim_matches('"');
    let stages: Vec<&str> = dockerfile.lines().filter(|line| line.starts_with("FROM ")).collect();
    let build = format!("FROM rust:{version}-bookworm AS build");
    assert_eq!(stages, [build.as_str(), "FROM debian:bookworm-slim"]);
    // An architecture by name would build for that one only.
    assert!(!["x86_64", "amd64-", "aarch64", "--platform="].iter().any(|name| {
        dockerfile.lines().any(|line| !line.starts_with('#') && line.contains(name))
    }));
}

#[test]
fn it_runs_as_nobody_and_says_whether_it_is_well() {
    let dockerfile = dockerfile();
    let user = value_of(&dockerfile, "USER ");
    let id: u32 = user.split(':').next().and_then(|id| id.parse().ok()).expect("a number");
    assert!(id >= 10_000, "{user}");
    assert!(dockerfile.contains("HEALTHCHECK --interval="));
    assert_eq!(value_of(&dockerfile, "ENTRYPOINT "), "[\"ticksmith\"]");
}

/// What the image is made of is there, and `.dockerignore` lets it in, and nothing else.
#[test]
fn what_is_copied_is_there_and_let_in() {
    let dockerfile = dockerfile();
    let ignored = read(".dockerignore");
    let let_in: Vec<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let mut copied: Vec<&str> = Vec::new();
    let own = |line: &&str| line.starts_with("COPY ") && !line.contains("--from=");
    for line in dockerfile.lines().filter(own) {
        let mut words: Vec<&str> = line.split_whitespace().skip(1).collect();
        words.pop();
        copied.extend(words);
    }
    for path in &copied {
        assert!(Path::new(root()).join(path).exists(), "{path}");
    }
    let sorted = |mut paths: Vec<&str>| {
        paths.sort_unstable();
        paths.join(" ")
    };
    assert_eq!(sorted(copied), sorted(let_in));
    assert!(ignored.lines().any(|line| line == "*"), "everything else stays out");
}
