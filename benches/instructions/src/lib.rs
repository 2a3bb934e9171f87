//! The rooms that a trade passes between socket and bar, and nothing else: they know no outside
//! system, so they build without one.

#[path = "../../../src/model/mod.rs"]
pub mod model;

#[path = "../../../src/engine/mod.rs"]
pub mod engine;

#[path = "../../../src/error.rs"]
pub mod error;

pub mod codec;
