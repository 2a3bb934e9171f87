//! Defaults, file, environment and flags, made into one validated `Config`.
//!
//! `config/default.toml` is embedded and is the reference: every key stands there with its default
//! and a sentence.

mod settings;

pub use settings::{
    Cassandra, Config, Embedded, Finnhub, Guarantee, Http, Kafka, Log, LogFormat, Producer,
    RepeatedFrames, Retention, SchemaRegistry, Secret, Simulator, StoreKind, Stream, Topics,
};

/// The text of `config/default.toml`.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");
