//! `port::Store` and `port::StoreReader` on Cassandra, and the schema they stand on. The one home
//! of the scylla driver.

mod cells;
mod connection;
mod queue;
mod read_rows;
mod reader;
mod rows;
pub mod schema;
pub mod schema_check;
mod statements;
mod store;
mod tls;

pub use connection::Connection;
pub use reader::CassandraReader;
pub use store::CassandraStore;
