//! Defaults, file, environment and flags, made into one validated `Config`.
//!
//! `config/default.toml` is embedded and is the reference: every key stands there with its default
//! and a sentence. A role only ever sees a `Config` that passed every check.

mod environment;
mod layers;
mod lifetimes;
mod load;
mod origin;
mod problem;
mod render;
mod settings;
mod validate;
mod validate_security;
mod validate_stream;

pub use environment::Environment;
pub use lifetimes::Lifetimes;
pub use load::RawConfig;
pub use origin::{Origin, Origins};
pub use render::{to_json, to_markdown, to_toml};
pub use settings::{
    Cassandra, Config, Embedded, Finnhub, Guarantee, Http, Kafka, Log, LogFormat, Producer,
    RepeatedFrames, Retention, SchemaRegistry, Secret, SecurityProtocol, Simulator, StoreKind,
    Stream, Topics,
};

/// The text of `config/default.toml`.
pub const DEFAULTS: &str = include_str!("../../config/default.toml");
