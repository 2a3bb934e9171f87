//! The entries of tests/fuzzing as fuzz targets: one file in `fuzz_targets/` each.

#[path = "../../tests/fuzzing/draw.rs"]
mod draw;
#[path = "../../tests/fuzzing/entries/mod.rs"]
pub mod entries;
#[path = "../../tests/fuzzing/memory.rs"]
pub mod memory;

#[global_allocator]
static MEMORY: memory::Metered = memory::Metered;

/// The entry of a fuzz target.
pub fn named(name: &str) -> entries::Entry {
    let found = entries::ENTRIES.iter().find(|(known, _)| *known == name);
    found.map(|(_, entry)| *entry).expect("every target has an entry")
}

/// A target that hands every input to the entry of its name.
#[macro_export]
macro_rules! target {
    ($name:literal) => {
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
            $crate::entries::take($crate::named($name), bytes)
        });
    };
}
