//! Of that room, what the hot path takes.

#[path = "../../../src/codec/avro/mod.rs"]
pub mod avro;
#[path = "../../../src/codec/finnhub.rs"]
pub mod finnhub;
