//! What the cluster has, compared with what the templates say: creates what is missing, names what
//! differs, changes nothing.

use std::collections::HashMap;
use std::fmt;

use scylla::DeserializeRow;

use super::Connection;
use super::schema::{self, Column, Schema, Table};
use crate::error::{Error, Result};

/// What became of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Created,
    /// Only where nothing is created.
    Missing,
    Exists,
    /// It exists and is left as it is; one phrase a difference.
    Differs(Vec<String>),
}

/// One object of the schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectReport {
    /// `keyspace market` or `table market.symbols`.
    pub object: String,
    pub outcome: Outcome,
}

impl fmt::Display for ObjectReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Outcome::Created => write!(f, "created  {}", self.object),
            Outcome::Missing => write!(f, "missing  {}", self.object),
            Outcome::Exists => write!(f, "exists   {}", self.object),
            Outcome::Differs(how) => write!(f, "differs  {}: {}", self.object, how.join("; ")),
        }
    }
}

#[derive(DeserializeRow)]
struct KeyspaceRow {
    replication: HashMap<String, String>,
}

#[derive(DeserializeRow)]
struct TableRow {
    table_name: String,
    default_time_to_live: Option<i32>,
    compaction: Option<HashMap<String, String>>,
}

#[derive(DeserializeRow)]
struct ColumnRow {
    table_name: String,
    column_name: String,
    kind: String,
    position: i32,
    #[scylla(rename = "type")]
    cql_type: String,
}

/// The keyspace as the cluster has it.
struct Found {
    replication: Option<HashMap<String, String>>,
    tables: Vec<TableRow>,
    columns: Vec<ColumnRow>,
}

impl Found {
    fn read(connection: &Connection, keyspace: &str) -> Result<Self> {
        let of_keyspace = format!("WHERE keyspace_name = '{keyspace}'");
        let keyspaces: Vec<KeyspaceRow> = connection
            .select(&format!("SELECT replication FROM system_schema.keyspaces {of_keyspace}"))?;
        let tables = connection.select(&format!(
            "SELECT table_name, default_time_to_live, compaction FROM system_schema.tables \
             {of_keyspace}"
        ))?;
        let columns = connection.select(&format!(
            "SELECT table_name, column_name, kind, position, type FROM system_schema.columns \
             {of_keyspace}"
        ))?;
        let replication = keyspaces.into_iter().next().map(|row| row.replication);
        Ok(Self { replication, tables, columns })
    }

    fn table(&self, name: &str) -> Option<&TableRow> {
        self.tables.iter().find(|row| row.table_name == name)
    }

    /// What a statement would stumble over, with what mends it: the key alone when that differs,
    /// since all else follows from it.
    fn column_differences(&self, keyspace: &str, table: &Table) -> Vec<String> {
        let key = self.primary_key(&table.name);
        if key != table.primary_key() {
            let wanted = table.primary_key();
            return vec![
                format!("primary key is ({key}), not ({wanted})"),
                made_anew(keyspace, table),
            ];
        }
        let found = |name: &str| {
            let mut columns = self.columns.iter();
            columns.find(|row| row.table_name == table.name && row.column_name == name)
        };
        let (mut differences, mut missing) = (Vec::new(), Vec::new());
        for column in table.columns() {
            match found(&column.name) {
                None => missing.push(column),
                Some(row) if row.cql_type != column.cql_type => differences.push(format!(
                    "column {} is {}, not {}",
                    column.name, row.cql_type, column.cql_type
                )),
                Some(_) => {}
            }
        }
        let can_be_added = differences.is_empty()
            && missing.iter().all(|column| schema::MAY_BE_ADDED.contains(&&*column.name));
        differences.extend(missing_columns(&missing));
        if differences.is_empty() {
            return differences;
        }
        differences.push(match can_be_added {
            true => added(keyspace, table, &missing),
            false => made_anew(keyspace, table),
        });
        differences
    }

    fn primary_key(&self, table: &str) -> String {
        let of_kind = |kind: &str| {
            let columns = self.columns.iter();
            let mut rows: Vec<&ColumnRow> =
                columns.filter(|row| row.table_name == table && row.kind == kind).collect();
            rows.sort_by_key(|row| row.position);
            rows.iter().map(|row| row.column_name.as_str()).collect::<Vec<_>>()
        };
        let partition = of_kind("partition_key");
        let mut parts = match partition.len() {
            1 => partition[0].to_owned(),
            _ => format!("({})", partition.join(", ")),
        };
        for column in of_kind("clustering") {
            parts.push_str(", ");
            parts.push_str(column);
        }
        parts
    }

    fn option_differences(&self, table: &Table, row: &TableRow) -> Vec<String> {
        let mut differences = Vec::new();
        let ttl_s = i64::from(row.default_time_to_live.unwrap_or(0));
        if ttl_s != table.ttl_s {
            differences.push(format!("default_time_to_live is {ttl_s} s, not {} s", table.ttl_s));
        }
        if !table.is_time_windowed() {
            return differences;
        }
        let compaction = row.compaction.clone().unwrap_or_default();
        let option = |name: &str| compaction.get(name).cloned().unwrap_or_default();
        let class = last_segment(&option("class")).to_owned();
        let found = (option("compaction_window_unit"), option("compaction_window_size"));
        let (unit, size) = table.compaction_window();
        if class != "TimeWindowCompactionStrategy" {
            differences.push(format!("compaction is {class}, not TimeWindowCompactionStrategy"));
        } else if found != (unit.to_owned(), size.to_string()) {
            let (found_unit, found_size) = found;
            differences
                .push(format!("compaction window is {found_size} {found_unit}, not {size} {unit}"));
        }
        differences
    }
}

fn missing_columns(missing: &[Column]) -> Option<String> {
    let names: Vec<&str> = missing.iter().map(|column| &*column.name).collect();
    match names[..] {
        [] => None,
        [only] => Some(format!("column {only} is missing")),
        _ => Some(format!("columns {} are missing", names.join(", "))),
    }
}

/// How rows that do not tell of these columns are kept.
fn added(keyspace: &str, table: &Table, missing: &[Column]) -> String {
    let columns: Vec<String> =
        missing.iter().map(|column| format!("{} {}", column.name, column.cql_type)).collect();
    format!("add it with `ALTER TABLE {keyspace}.{} ADD ({})`", table.name, columns.join(", "))
}

fn made_anew(keyspace: &str, table: &Table) -> String {
    format!(
        "its rows do not fit: `DROP TABLE {keyspace}.{}` with cqlsh, then \
         `ticksmith cassandra-init` makes it anew",
        table.name
    )
}

/// Creates what is missing and compares what is there.
///
/// # Errors
/// `Unavailable` when the cluster does not answer, `Config` when it refuses a statement.
pub fn init(connection: &Connection, schema: &Schema) -> Result<Vec<ObjectReport>> {
    compare(connection, schema, |object, statement| {
        connection.change(object, statement).map(|()| Outcome::Created)
    })
}

/// Compares what is there, and creates nothing.
///
/// # Errors
/// `Unavailable` when the cluster does not answer.
pub fn inspect(connection: &Connection, schema: &Schema) -> Result<Vec<ObjectReport>> {
    compare(connection, schema, |_, _| Ok(Outcome::Missing))
}

/// `on_missing` gets the object and the statement that creates it.
fn compare(
    connection: &Connection,
    schema: &Schema,
    on_missing: impl Fn(&str, &str) -> Result<Outcome>,
) -> Result<Vec<ObjectReport>> {
    let found = Found::read(connection, &schema.keyspace)?;
    let keyspace = format!("keyspace {}", schema.keyspace);
    let outcome = match &found.replication {
        None => on_missing(&keyspace, &schema.create_keyspace())?,
        Some(replication) => compared(replication_differences(replication, &schema.replication)),
    };
    let mut reports = vec![ObjectReport { object: keyspace, outcome }];
    for table in &schema.tables {
        let object = format!("table {}.{}", schema.keyspace, table.name);
        let outcome = match found.table(&table.name) {
            None => on_missing(&object, &table.create(&schema.keyspace))?,
            Some(row) => {
                let mut differences = found.column_differences(&schema.keyspace, table);
                differences.extend(found.option_differences(table, row));
                compared(differences)
            }
        };
        reports.push(ObjectReport { object, outcome });
    }
    Ok(reports)
}

fn compared(differences: Vec<String>) -> Outcome {
    if differences.is_empty() { Outcome::Exists } else { Outcome::Differs(differences) }
}

/// Makes sure that the tables can be written and read.
///
/// # Errors
/// `Config`, naming the first table that is missing or differs, how, and what mends it.
pub fn require(connection: &Connection, schema: &Schema) -> Result<()> {
    let (keyspace, points) = (&schema.keyspace, &connection.contact_points);
    let found = Found::read(connection, keyspace)?;
    if found.replication.is_none() {
        return Err(Error::Config(format!(
            "keyspace '{keyspace}' does not exist on {points}; create it with \
             `ticksmith cassandra-init`"
        )));
    }
    for table in &schema.tables {
        let name = &table.name;
        if found.table(name).is_none() {
            return Err(Error::Config(format!(
                "table '{keyspace}.{name}' does not exist on {points}; create it with \
                 `ticksmith cassandra-init`"
            )));
        }
        let differences = found.column_differences(keyspace, table);
        if !differences.is_empty() {
            let differences = differences.join("; ");
            return Err(Error::Config(format!(
                "table '{keyspace}.{name}' on {points}: {differences}; `ticksmith cassandra-init` \
                 names what else differs"
            )));
        }
    }
    Ok(())
}

fn replication_differences(found: &HashMap<String, String>, wanted: &str) -> Vec<String> {
    let wanted = parse_map(wanted);
    let plain = |map: &HashMap<String, String>| {
        let mut pairs: Vec<String> = map
            .iter()
            .map(|(name, value)| format!("'{name}': '{}'", last_segment(value)))
            .collect();
        pairs.sort();
        pairs.join(", ")
    };
    let (found, wanted) = (plain(found), plain(&wanted));
    if found == wanted {
        return Vec::new();
    }
    vec![format!("replication is {{{found}}}, not {{{wanted}}}")]
}

/// A CQL map of texts and numbers, as `cassandra.replication` has it.
fn parse_map(text: &str) -> HashMap<String, String> {
    let inner = text.trim().trim_start_matches('{').trim_end_matches('}');
    let plain = |part: &str| part.trim().trim_matches('\'').to_owned();
    inner
        .split(',')
        .filter_map(|pair| pair.split_once(':'))
        .map(|(name, value)| (plain(name), plain(value)))
        .collect()
}

/// `SimpleStrategy` of `org.apache.cassandra.locator.SimpleStrategy`.
fn last_segment(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replication_is_compared_by_meaning() {
        let found: HashMap<String, String> =
            [("class", "org.apache.cassandra.locator.SimpleStrategy"), ("replication_factor", "1")]
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
        let same = "{'class': 'SimpleStrategy', 'replication_factor': 1}";
        assert!(replication_differences(&found, same).is_empty());
        let other = "{'class': 'SimpleStrategy', 'replication_factor': 3}";
        assert_eq!(replication_differences(&found, other).len(), 1);
    }
}
