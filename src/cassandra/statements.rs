//! The prepared writes, made from the templates: one insert a table, one for bronze and silver
//! together, one delete a table of bars.

use std::sync::Arc;

use futures_util::future::try_join_all;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::prepared::PreparedStatement;

use super::Connection;
use super::cells::{Repeated, Rows};
use super::schema::{self, Schema, Table};
use crate::config::Lifetimes;
use crate::error::Result;
use crate::model::Interval;

/// What is done with a row.
pub struct Write {
    /// For messages.
    pub name: Arc<str>,
    /// Of the first table.
    pub ttl_s: i64,
    /// Each row goes to every one of them.
    targets: Vec<Target>,
}

/// One statement that changes a table.
#[derive(Clone)]
struct Target {
    table: Arc<str>,
    statement: PreparedStatement,
}

impl Write {
    /// An unlogged batch of `rows` rows; with one partition key it costs the server one mutation,
    /// and one it stays when it concerns several tables of the keyspace.
    pub fn batch(&self, connection: &Connection, rows: usize) -> Batch {
        let each = self.targets.iter().map(|target| target.statement.clone().into());
        let statements = each.cycle().take(rows * self.targets.len()).collect();
        let mut batch = Batch::new_with_statements(BatchType::Unlogged, statements);
        batch.set_consistency(connection.write_consistency);
        batch.set_is_idempotent(true);
        batch
    }

    /// The values of that batch.
    pub fn values<'r>(&self, rows: &'r Rows) -> Repeated<'r> {
        rows.repeated(self.targets.len())
    }

    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.targets.iter().map(|target| target.table.as_ref())
    }
}

/// The writes of one interval's bars, by index.
#[derive(Debug, Clone, Copy)]
pub struct Gold {
    pub interval: Interval,
    pub insert: usize,
    pub delete: usize,
}

/// Where each write is.
pub struct Places {
    pub bronze: usize,
    pub silver: usize,
    /// Both, for the many trades that have the same row in each.
    pub bronze_and_silver: usize,
    pub gold: Vec<Gold>,
    pub revisions: usize,
    pub feed_events: usize,
    pub feed_gaps: usize,
    pub symbols: usize,
}

impl Places {
    /// Inserts come in the order of the schema, then the deletes in that of the intervals, then
    /// bronze and silver together.
    pub fn of(schema: &Schema, lifetimes: &Lifetimes) -> Self {
        let index = |name: &str| {
            let found = schema.tables.iter().position(|table| table.name == name);
            found.expect("the schema has every table that it names")
        };
        let gold = lifetimes.gold.iter().enumerate();
        Self {
            bronze: index(schema::BRONZE_TABLE),
            silver: index(schema::SILVER_TABLE),
            bronze_and_silver: schema.tables.len() + lifetimes.gold.len(),
            gold: gold
                .map(|(place, &(interval, _))| Gold {
                    interval,
                    insert: index(&schema::gold_table(interval)),
                    delete: schema.tables.len() + place,
                })
                .collect(),
            revisions: index(schema::REVISIONS_TABLE),
            feed_events: index(schema::FEED_EVENTS_TABLE),
            feed_gaps: index(schema::FEED_GAPS_TABLE),
            symbols: index(schema::SYMBOLS_TABLE),
        }
    }
}

/// Prepares every write, in the order of `Places`.
///
/// # Errors
/// `Config` when a table or column is missing, `Unavailable` when the cluster does not answer.
pub fn prepare(
    connection: &Connection,
    schema: &Schema,
    lifetimes: &Lifetimes,
) -> Result<Vec<Write>> {
    let keyspace = &schema.keyspace;
    let inserts = schema.tables.iter().map(|table| (table, insert_text(keyspace, table)));
    let gold = lifetimes.gold.iter().map(|(interval, _)| schema::gold_table(*interval));
    let deletes = gold.filter_map(|name| {
        let table = schema.table(&name)?;
        Some((table, delete_text(keyspace, table)))
    });
    let writes = inserts.chain(deletes).map(|(table, text)| async {
        let prepared = connection.session().prepare(text).await;
        let statement =
            prepared.map_err(|problem| connection.not_prepared(&table.name, &problem))?;
        let name: Arc<str> = table.name.as_str().into();
        let targets = vec![Target { table: Arc::clone(&name), statement }];
        Ok(Write { name, ttl_s: table.ttl_s, targets })
    });
    let mut writes = connection.block_on(try_join_all(writes))?;
    let places = Places::of(schema, lifetimes);
    let [bronze, silver] = [&writes[places.bronze], &writes[places.silver]];
    let both = Write {
        name: format!("{} and {}", bronze.name, silver.name).into(),
        ttl_s: bronze.ttl_s,
        targets: [bronze.targets.as_slice(), &silver.targets].concat(),
    };
    writes.push(both);
    Ok(writes)
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

/// Write timestamp, then the key of a bar.
fn delete_text(keyspace: &str, table: &Table) -> String {
    format!("DELETE FROM {keyspace}.{} USING TIMESTAMP ? WHERE symbol = ? AND ts = ?", table.name)
}
