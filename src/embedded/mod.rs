//! `port::Log` and `port::Store` in this process, on one SQLite file: no server needed to try
//! ticksmith, and honest about transactions (a commit is a SQLite transaction in WAL mode with
//! `synchronous=NORMAL`: it survives kill -9 of the process; a power cut may take the last ones).

pub mod database;
pub mod log;
pub mod spool;
pub mod store;

pub use database::Database;
pub use log::Broker;
