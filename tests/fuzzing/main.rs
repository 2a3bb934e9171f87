//! What fuzzing found stays found: the kept corpus, with every input that ever broke something,
//! goes through the entries of the fuzz targets, and so do random bytes and mutations of it.

mod draw;
mod entries;
mod memory;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use entries::{ENTRIES, Entry, take};
use proptest::prelude::*;

#[global_allocator]
static MEMORY: memory::Metered = memory::Metered;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The kept inputs of an entry, in order of their names.
fn corpus(name: &str) -> Vec<PathBuf> {
    let folder = repository().join("fuzz/corpus").join(name);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files: Vec<PathBuf> = files.flatten().map(|file| file.path()).collect();
    files.sort();
    files
}

#[test]
fn the_corpus_breaks_nothing() {
    let mut inputs = 0;
    for (name, entry) in ENTRIES {
        for file in corpus(name) {
            // Shown when the next line fails.
            println!("{}", file.display());
            take(entry, &fs::read(&file).expect("a readable file"));
            inputs += 1;
        }
    }
    println!("{inputs} inputs");
}

#[test]
fn every_entry_has_a_target_and_inputs() {
    let names = |folder: &str| -> BTreeSet<String> {
        let files = fs::read_dir(repository().join(folder)).expect("a folder").flatten();
        let stem = |path: PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        files.filter_map(|file| stem(file.path())).collect()
    };
    let entries = BTreeSet::from(ENTRIES.map(|(name, _)| name.to_owned()));
    assert_eq!(names("fuzz/fuzz_targets"), entries);
    assert_eq!(names("fuzz/corpus"), entries);
    assert!(ENTRIES.iter().all(|(name, _)| !corpus(name).is_empty()));
}

fn any_entry() -> impl Strategy<Value = (&'static str, Entry)> {
    prop::sample::select(ENTRIES.to_vec())
}

/// A kept input of the entry with a few bytes set, then cut or doubled at some place.
fn mutated(name: &str, changes: &[(prop::sample::Index, u8)], at: prop::sample::Index) -> Vec<u8> {
    let files = corpus(name);
    let mut bytes = fs::read(&files[at.index(files.len())]).expect("a readable file");
    if bytes.is_empty() {
        return bytes;
    }
    for (place, byte) in changes {
        let place = place.index(bytes.len());
        bytes[place] = *byte;
    }
    let cut = at.index(bytes.len());
    match changes.len() % 3 {
        0 => bytes,
        1 => bytes[..cut].to_vec(),
        _ => [&bytes[..], &bytes[cut..]].concat(),
    }
}

proptest! {
    // What it finds becomes a file of the corpus.
    #![proptest_config(ProptestConfig {
        cases: 700,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_bytes_break_nothing(
        (_, entry) in any_entry(),
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        take(entry, &bytes);
    }

    #[test]
    fn mutated_inputs_break_nothing(
        (name, entry) in any_entry(),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..6),
        at in any::<prop::sample::Index>(),
    ) {
        take(entry, &mutated(name, &changes, at));
    }
}
