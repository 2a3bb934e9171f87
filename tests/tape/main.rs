//! The rules of the tape, written down a second time by hand and held against the engine: what each
//! sale condition may update, New York's sessions, and sums that must come out exactly.

mod bench;
mod calendar;
#[path = "../changelog/mod.rs"]
mod changelog;
mod codes;
mod oracle;
mod rights;
mod sessions;
mod sums;
