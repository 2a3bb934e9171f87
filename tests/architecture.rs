//! The repository tests itself: who may know whom, where vendor crates live, sizes, names, marks,
//! pages and keys. So the walls hold without a workspace of many crates.

#[path = "architecture/habits.rs"]
mod habits;
#[path = "architecture/repository.rs"]
mod repository;
#[path = "architecture/samples.rs"]
mod samples;
#[path = "architecture/scan.rs"]
mod scan;
#[path = "architecture/walls.rs"]
mod walls;

use repository::{File, files, root, sources};

fn none_of(problems: impl IntoIterator<Item = String>) {
    let problems: Vec<String> = problems.into_iter().collect();
    assert!(problems.is_empty(), "{} problems:\n  {}", problems.len(), problems.join("\n  "));
}

/// Every Rust file that we write, with tests and benchmarks.
fn rust_files() -> Vec<File> {
    files().into_iter().filter(|file| file.path.ends_with(".rs")).collect()
}

#[test]
fn the_arrows_between_the_rooms_hold() {
    none_of(sources().iter().flat_map(walls::broken_arrows));
}

#[test]
fn every_vendor_crate_stays_at_home() {
    let manifest = files().into_iter().find(|file| file.path == "Cargo.toml").expect("a manifest");
    none_of(walls::unlisted_crates(&manifest.text));
    none_of(sources().iter().flat_map(walls::strangers));
}

#[test]
fn files_functions_and_lines_stay_short() {
    let files = rust_files();
    let blanked: Vec<(&str, String)> =
        files.iter().map(|file| (file.path.as_str(), scan::blank(&file.text))).collect();
    let long_files = files.iter().filter_map(|file| habits::long_file(&file.path, &file.text));
    let functions = blanked.iter().flat_map(|(path, text)| habits::long_functions(path, text));
    let lines = files.iter().flat_map(|file| habits::long_lines(&file.path, &file.text));
    none_of(long_files.chain(functions).chain(lines));
}

#[test]
fn nothing_unfinished_ships() {
    let calls: Vec<String> = sources().iter().flat_map(habits::forbidden_calls).collect();
    let marks = files().into_iter().flat_map(|file| habits::marks(&file.path, &file.text));
    none_of(calls.into_iter().chain(marks));
}

#[test]
fn names_and_openings_say_something() {
    let sources = sources();
    let openings = sources.iter().filter_map(habits::unopened);
    none_of(openings.chain(rust_files().iter().filter_map(|file| habits::vague_name(&file.path))));
}

#[test]
fn no_page_is_lost_and_no_link_is_dead() {
    none_of(habits::lost_pages(&files()));
}

#[test]
fn every_key_has_a_sentence_and_a_reader() {
    none_of(habits::idle_keys(ticksmith::config::DEFAULTS, &sources()));
}

#[test]
fn nobody_s_own_paths_are_in_the_repository() {
    let checkout = root().display().to_string();
    none_of(files().iter().flat_map(|file| habits::private_paths(file, &checkout)));
}

#[test]
fn the_reference_of_the_keys_is_the_one_that_the_program_prints() {
    let page = files().into_iter().find(|file| file.path == "docs/CONFIGURATION.md");
    let same = page.is_some_and(|page| page.text == ticksmith::config::to_markdown());
    let remedy = "ticksmith config --format markdown > docs/CONFIGURATION.md";
    assert!(same, "docs/CONFIGURATION.md is out of date: {remedy}");
}

/// Other systems do not count memory and processor time where Prometheus' library looks for them.
#[cfg(target_os = "linux")]
#[test]
fn the_reference_of_the_metrics_is_the_one_that_the_program_prints() {
    let page = files().into_iter().find(|file| file.path == "docs/METRICS.md");
    let same = page.is_some_and(|page| page.text == ticksmith::telemetry::to_markdown());
    assert!(same, "docs/METRICS.md is out of date: ticksmith metrics > docs/METRICS.md");
}
