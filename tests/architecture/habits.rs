//! How the code and the pages are written: sizes, names, marks that must not stay.

use std::collections::BTreeSet;

use crate::repository::{File, Source};
use crate::scan;

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;
const LINE_CHARACTERS: usize = 100;

pub fn long_file(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > FILE_LINES).then(|| format!("{path}: {lines} lines, at most {FILE_LINES}"))
}

pub fn long_functions(path: &str, blanked: &str) -> Vec<String> {
    scan::functions(blanked)
        .into_iter()
        .filter(|(_, _, lines)| *lines > FUNCTION_LINES)
        .map(|(name, at, lines)| {
            format!("{path}:{at}: fn {name} has {lines} lines, at most {FUNCTION_LINES}")
        })
        .collect()
}

pub fn long_lines(path: &str, text: &str) -> Vec<String> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| line.chars().count() > LINE_CHARACTERS)
        .map(|(at, _)| format!("{path}:{}: longer than {LINE_CHARACTERS} characters", at + 1))
        .collect()
}

/// Calls that do not belong into what ships.
pub fn forbidden_calls(source: &Source) -> Vec<String> {
    const CALLS: [&str; 4] = [".unwrap()", "todo!", "unimplemented!", "dbg!"];
    CALLS
        .iter()
        .flat_map(|call| source.shipped.match_indices(call))
        .map(|(at, call)| format!("{}: {call}", place(&source.path, &source.shipped, at)))
        .collect()
}

/// Notes to oneself and switched-off tests. Pieced together so as not to find themselves.
pub fn marks(path: &str, text: &str) -> Vec<String> {
    let marks =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("#[ig", "nore")];
    marks
        .iter()
        .flat_map(|mark| text.match_indices(mark))
        .map(|(at, mark)| format!("{}: {mark}", place(path, text, at)))
        .collect()
}

/// A module opens with a sentence on what it is for.
pub fn unopened(source: &Source) -> Option<String> {
    let opens = source.raw.starts_with("//! ") || source.path.ends_with("/tests.rs");
    (!opens).then(|| format!("{}: does not open with a sentence on what it is for", source.path))
}

/// Names that say nothing.
pub fn vague_name(path: &str) -> Option<String> {
    const VAGUE: [&str; 8] =
        ["util", "utils", "helper", "helpers", "common", "manager", "misc", "shared"];
    let vague = path.trim_end_matches(".rs").split('/').any(|part| VAGUE.contains(&part));
    vague.then(|| format!("{path}: a name that says nothing"))
}

/// Paths of one person's machine, this checkout's included.
pub fn private_paths(file: &File, checkout: &str) -> Vec<String> {
    let homes = [concat!("/ho", "me/"), concat!("/Us", "ers/"), concat!("/ro", "ot/")];
    homes
        .iter()
        .copied()
        .chain([checkout])
        .flat_map(|path| file.text.match_indices(path))
        .map(|(at, path)| format!("{}: names {path}", place(&file.path, &file.text, at)))
        .collect()
}

/// Pages below `docs/` that no other page and not the README links to, and links that lead nowhere.
pub fn lost_pages(files: &[File]) -> Vec<String> {
    let known: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let pages = || files.iter().filter(|file| file.path.ends_with(".md"));
    let mut linked = BTreeSet::new();
    let mut problems = Vec::new();
    for page in pages() {
        for target in links(&page.text) {
            let path = resolve(&page.path, target);
            let directory = format!("{}/", path.trim_end_matches('/'));
            let is_directory = known.iter().any(|file| file.starts_with(&directory));
            if !known.contains(path.as_str()) && !is_directory && !is_picture(&path) {
                problems.push(format!("{}: links to {target}, which is not there", page.path));
            }
            if path != page.path {
                linked.insert(path);
            }
        }
    }
    let lost =
        pages().filter(|page| page.path.starts_with("docs/") && !linked.contains(&page.path));
    problems.extend(lost.map(|page| format!("{}: no page links to it", page.path)));
    problems
}

/// Pictures are no text files, so they are looked for on the disk.
fn is_picture(path: &str) -> bool {
    let is_image = [".png", ".svg", ".jpg"].iter().any(|end| path.ends_with(end));
    is_image && crate::repository::root().join(path).exists()
}

/// The targets of `[text](target)` that are files.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("](").filter_map(|(at, _)| {
        let target = text[at + 2..].split([')', '#', ' ']).next()?;
        let is_file = !target.is_empty() && !target.contains("://");
        is_file.then_some(target)
    })
}

fn resolve(page: &str, target: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// Keys of the default file without a sentence, and keys that no room reads.
pub fn idle_keys(defaults: &str, sources: &[Source]) -> Vec<String> {
    let (mut section, mut commented) = (String::new(), false);
    let mut problems = Vec::new();
    for line in defaults.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned();
        } else if let Some((key, _)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            let key = key.trim();
            if !commented {
                problems.push(format!("{section}.{key}: no sentence above it"));
            }
            if !is_read(key, sources) {
                problems.push(format!("{section}.{key}: nobody reads it"));
            }
        }
        commented = line.starts_with('#');
    }
    problems
}

/// Keys that are read in their parsed form.
const PARSED: [(&str, &str); 11] = [
    ("api_key", "api_keys"),
    ("intervals", "parsed_intervals"),
    ("earliest", "earliest_ms"),
    ("symbol_classes", "parsed_symbol_classes"),
    ("bronze_days", "bronze_s"),
    ("silver_days", "silver_s"),
    ("gold_5m_days", "gold_s"),
    ("gold_1h_days", "gold_s"),
    ("gold_other_days", "gold_s"),
    ("feed_events_days", "feed_events_s"),
    ("feed_gaps_days", "feed_gaps_s"),
];

/// Whether a room other than `config` names the field, or its parsed form.
fn is_read(key: &str, sources: &[Source]) -> bool {
    let parsed = PARSED.iter().filter(|(raw, _)| *raw == key).map(|(_, parsed)| *parsed);
    parsed.chain([key]).any(|name| is_named(name, sources))
}

fn is_named(key: &str, sources: &[Source]) -> bool {
    let goes_on = |c: char| c.is_alphanumeric() || c == '_';
    sources.iter().filter(|source| source.room() != "config").any(|source| {
        let text = &source.shipped;
        text.match_indices(key).any(|(at, _)| {
            let field = text[..at].ends_with('.');
            field && !text[at + key.len()..].starts_with(goes_on)
        })
    })
}

fn place(path: &str, text: &str, at: usize) -> String {
    format!("{path}:{}", text[..at].matches('\n').count() + 1)
}
