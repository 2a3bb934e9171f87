//! ticksmith turns a live trade feed into bars that can be trusted.
//!
//! The rooms, and what each is for:
//!
//! - [`model`]: the nouns: trade, bar, window, amount, identity, feed event. No I/O, no clock.
//! - [`engine`]: the pure machine: `step(Input)` appends to `Effects`.
//! - [`codec`]: bytes to nouns and back: Finnhub JSON, Avro, CSV.
//! - [`port`]: what the roles need from the world, as traits.
//! - [`pipeline`]: the beat: poll, decode, step, write, commit; where the engine meets a log.
//! - [`kafka`]: `port::Log` and `port::Publisher` on rdkafka.
//! - [`cassandra`]: `port::Store` on scylla.
//! - [`embedded`]: `port::Log` and `port::Store` in this process, one SQLite file.
//! - [`registry`]: the schema registry's client.
//! - [`websocket`]: the Finnhub client, and its mirror image, the simulator's server.
//! - [`http`]: health, metrics, bars, live updates, the built-in dashboard.
//! - [`runtime`]: shutdown, backoff, the only caller of the system clock.
//! - [`telemetry`]: every metric name once.
//! - [`config`]: defaults, file, environment and flags, made into one validated `Config`.
//! - [`role`]: one page per subcommand: wires config, ports, engine and shutdown.
//! - [`cli`]: the command tree and its help.
//! - [`error`]: errors named by what has to be done about them.

pub mod cassandra;
pub mod cli;
pub mod codec;
pub mod config;
pub mod embedded;
pub mod engine;
pub mod error;
pub mod http;
pub mod kafka;
pub mod model;
pub mod pipeline;
pub mod port;
pub mod registry;
pub mod role;
pub mod runtime;
pub mod telemetry;
pub mod websocket;
