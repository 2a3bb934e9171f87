//! ticksmith turns a live trade feed into bars that can be trusted.
//!
//! The rooms, and what each is for:
//!
//! - [`model`]: the nouns: trade, bar, window, amount, identity, feed event.
//! - [`engine`]: the pure machine: `step(Input)` appends to `Effects`; no clock, no I/O.
//! - [`codec`]: bytes to nouns and back: Finnhub JSON, Avro, CSV.
//! - [`port`]: what the roles need from the world, as traits.
//! - [`config`]: defaults, file, environment and flags, made into one validated `Config`.
//! - [`error`]: errors named by what has to be done about them.

pub mod codec;
pub mod config;
pub mod engine;
pub mod error;
pub mod model;
pub mod port;
