//! One page per subcommand: its help, its arguments, and how its parts are wired.

pub mod audit;
pub mod bars;
pub mod cassandra_init;
pub mod config;
pub mod doctor;
mod duration;
pub mod explain;
pub mod metrics;
pub mod producer;
mod range_query;
pub mod rebuild;
pub mod reset;
pub mod serve;
pub mod simulate;
pub mod smoke_test;
pub mod status;
pub mod stream;
pub mod topics;
pub mod trades;
pub mod up;
pub mod verify;
pub mod wiring;
