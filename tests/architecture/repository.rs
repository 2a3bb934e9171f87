//! The files of the repository as the checks read them.

use std::fs;
use std::path::Path;

use crate::scan;

/// One text file; `path` is relative to the repository, with `/`.
pub struct File {
    pub path: String,
    pub text: String,
}

/// One Rust file of `src/`.
pub struct Source {
    pub path: String,
    pub raw: String,
    /// Comments and literals blanked, tests left out.
    pub shipped: String,
}

impl Source {
    pub fn new(path: &str, raw: &str) -> Self {
        let of_tests = is_test_file(path);
        let shipped = if of_tests { String::new() } else { scan::without_tests(&scan::blank(raw)) };
        Self { path: path.to_owned(), raw: raw.to_owned(), shipped }
    }

    /// The names from the room down to this module: `src/engine/rules.rs` is `engine`, `rules`.
    pub fn module_path(&self) -> Vec<&str> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        path.split('/').filter(|segment| *segment != "mod").collect()
    }

    /// The room that it belongs to; `lib` and `main` stand for themselves.
    pub fn room(&self) -> &str {
        self.module_path().first().copied().unwrap_or_default()
    }
}

/// `mod tests;` in a file of its own.
fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// What no check looks at: what is built, downloaded, found by machines, or the user's own.
const SKIPPED: [&str; 10] = [
    "target",
    ".git",
    ".infra",
    ".env",
    "data",
    "node_modules",
    "Cargo.lock",
    "fuzz/target",
    "fuzz/corpus",
    "fuzz/artifacts",
];

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file of the repository.
pub fn files() -> Vec<File> {
    let mut found = Vec::new();
    collect(root(), "", &mut found);
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found
}

fn collect(directory: &Path, prefix: &str, found: &mut Vec<File>) {
    for entry in fs::read_dir(directory).expect("a readable directory").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        if SKIPPED.contains(&path.as_str()) {
            continue;
        }
        if entry.path().is_dir() {
            collect(&entry.path(), &path, found);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            found.push(File { path, text });
        }
    }
}

/// The Rust files below `src/`.
pub fn sources() -> Vec<Source> {
    files()
        .into_iter()
        .filter(|file| file.path.starts_with("src/") && file.path.ends_with(".rs"))
        .map(|file| Source::new(&file.path, &file.text))
        .collect()
}
