//! The image of ticksmith, as far as it can be judged without building it.

use std::path::{Path, PathBuf};
use std::process::Command;

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

/// Cargo wants the file of every bench that the manifest names, even where it builds none.
#[test]
fn the_layer_of_dependencies_has_a_file_for_every_bench() {
    let dockerfile = dockerfile();
    let (_, list) = dockerfile.split_once("touch src/lib.rs $(").expect("a list of files");
    let (list, _) = list.split_once(") \\\n").expect("its end");
    let listed = Command::new("sh").args(["-c", list]).current_dir(root()).output().expect("sh");
    let listed = String::from_utf8(listed.stdout).expect("UTF-8");
    let manifest = read("Cargo.toml");
    let benches = manifest.split("[[bench]]\n").skip(1);
    let expected: Vec<String> = benches
        .map(|bench| format!("benches/{}.rs", value_of(bench, "name = ").trim_matches('"')))
        .collect();
    assert!(!expected.is_empty());
    assert_eq!(listed.lines().collect::<Vec<_>>(), expected);
}

/// A source that takes a file from elsewhere compiles here, and not in the image.
#[test]
fn what_the_sources_include_is_copied() {
    let dockerfile = dockerfile();
    let root = root().canonicalize().expect("here");
    let sources = rust_files(&root.join("src"));
    let included: Vec<PathBuf> = sources.iter().flat_map(|source| included_by(source)).collect();
    assert!(included.len() > 10, "{included:?}");
    for file in included {
        let inside = file.strip_prefix(&root).expect("a file of the repository");
        let folder = inside.components().next().expect("a folder").as_os_str().display();
        let copy = format!("\nCOPY {folder} {folder}\n");
        assert!(dockerfile.contains(&copy), "{} is not copied", inside.display());
    }
}

/// What a source takes in under a name that is spelt out.
fn included_by(source: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(source).expect("a source");
    let folder = source.parent().expect("a folder");
    let calls = text.split("include_").skip(1);
    let names = calls.filter_map(|call| {
        let named = ["str!(\"", "bytes!(\""].iter().find_map(|macro_| call.strip_prefix(macro_))?;
        named.split('"').next()
    });
    let file = |name| folder.join(name).canonicalize().unwrap_or_else(|_| panic!("no {name}"));
    names.map(file).collect()
}

/// Without those that hold tests alone.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let is_source = |path: &PathBuf| {
        path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs")
    };
    let mut found: Vec<PathBuf> = files.into_iter().filter(is_source).collect();
    found.extend(folders.iter().flat_map(|folder| rust_files(folder)));
    found
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
