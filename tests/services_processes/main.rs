//! The path over real servers, process by process: simulator, producer, Kafka, stream, Cassandra,
//! dashboards. What comes out is held against an oracle and clients that share no code with us
//! (tests/foreign).
//!
//! `make test-integration` runs it; by hand:
//! `scripts/with-services.sh cargo test --test services_processes`.

mod api;
mod audit;
mod dashboards;
mod doctor;
mod foreign;
mod gap;
mod guarantee;
mod harness;
mod lease;
mod members;
mod outage;
mod path;
mod refusals;
mod reset;
mod restart;
mod smoke;
mod spool;
mod state;
mod status;
mod stop;
mod store_away;
mod tape;
mod zombie;
