//! `port::Store` and `port::StoreReader` on Cassandra, and the schema they stand on. The one home of
//! the scylla driver.

mod bars;
mod cells;
mod connection;
mod queue;
mod reader;
mod rows;
pub mod schema;
mod statements;
mod store;
mod trades;

pub use connection::Connection;
pub use reader::CassandraReader;
pub use store::CassandraStore;
