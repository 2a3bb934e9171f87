//! Suites that hold every adapter of a port to the same promises.

pub mod log;
