//! The prepared writes, one a table, made from the templates.

use std::sync::Arc;

use futures_util::future::try_join_all;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;

use super::Connection;
use super::schema::{FEED_GAPS_TABLE, Schema, Table};
use crate::error::Result;

/// One table's insert.
pub struct Insert {
    pub table: Arc<str>,
    pub ttl_s: i64,
    statement: PreparedStatement,
}

impl Insert {
    /// An unlogged batch of `rows` inserts; with one partition it costs the server one mutation.
    pub fn batch(&self, connection: &Connection, rows: usize) -> Batch {
        let statements = vec![self.statement.clone().into(); rows];
        let mut batch = Batch::new_with_statements(BatchType::Unlogged, statements);
        batch.set_consistency(connection.write_consistency);
        batch.set_is_idempotent(true);
        batch
    }
}

/// Prepares the insert of every table that the pipeline writes, in the order of the schema.
///
/// # Errors
/// `Config` when a table or column is missing, `Unavailable` when the cluster does not answer.
pub fn prepare(connection: &Connection, schema: &Schema) -> Result<Vec<Insert>> {
    // Gaps are not written by the stream; the table has its place for readers.
    let written = schema.tables.iter().filter(|table| table.name != FEED_GAPS_TABLE);
    connection.block_on(try_join_all(written.map(|table| async {
        let text = insert_text(&schema.keyspace, table);
        let prepared = connection.session().prepare(text).await;
        let statement =
            prepared.map_err(|problem| connection.not_prepared(&table.name, &problem))?;
        Ok(Insert { table: table.name.as_str().into(), ttl_s: table.ttl_s, statement })
    })))
}

/// Every column in the template's order, then write timestamp, then lifetime; an unset lifetime
/// means the table's own.
fn insert_text(keyspace: &str, table: &Table) -> String {
    let columns: Vec<String> = table.columns().into_iter().map(|column| column.name).collect();
    let markers = vec!["?"; columns.len()].join(", ");
    let (name, columns) = (&table.name, columns.join(", "));
    format!(
        "INSERT INTO {keyspace}.{name} ({columns}) VALUES ({markers}) USING TIMESTAMP ? AND TTL ?"
    )
}
