//! Bytes to nouns and back. No I/O: callers bring the bytes and, where a schema must be fetched,
//! the function that fetches it.

pub mod avro;
pub mod csv;
pub mod finnhub;
pub mod row;
pub mod table;
