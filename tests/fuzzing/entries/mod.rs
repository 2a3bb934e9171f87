//! Every way in which bytes of others come into the program, as one function each: the fuzz targets
//! of `fuzz/` call them, and `tests/fuzzing` runs the kept corpus through them. None may panic, and
//! none may hold more than `HELD_BYTES_MAX`, whatever the bytes are.

mod avro;
mod engine;
mod feed;
mod files;
mod http;
mod samples;

use crate::memory::most_held;

/// Input to nothing.
pub type Entry = fn(&[u8]);

/// By name, which is that of the fuzz target and of the folder in `fuzz/corpus/`.
pub const ENTRIES: [(&str, Entry); 14] = [
    ("finnhub_frame", feed::finnhub_frame),
    ("avro_trade", avro::trade),
    ("avro_feed_event", avro::feed_event),
    ("avro_bar", avro::bar),
    ("avro_schema", avro::schema),
    ("changelog_record", engine::changelog),
    ("engine_inputs", engine::inputs),
    ("config_file", files::config_file),
    ("dot_env", files::dot_env),
    ("csv_bars", files::csv_bars),
    ("jsonl_trades", files::jsonl_trades),
    ("frames_file", files::frames_file),
    ("condition_table", files::condition_table),
    ("http_query", http::http_query),
];

/// Most that one input may make the program hold, B: some hundred times the longest input, and far
/// below what hurts.
pub const HELD_BYTES_MAX: usize = 64 << 20;

/// Runs one input and panics when it holds too much.
pub fn take(entry: Entry, bytes: &[u8]) {
    let held = most_held(|| entry(bytes));
    assert!(held <= HELD_BYTES_MAX, "{} bytes of input held {held} bytes", bytes.len());
}
