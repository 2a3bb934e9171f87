//! The tables as `schemas/cassandra/*.cql` describe them: which there are, how long their rows
//! live, which columns they have. Statements and checks are derived from the same texts, so the
//! three cannot disagree.

use crate::config::{Config, Lifetimes};
use crate::error::{Error, Result};
use crate::model::Interval;

const KEYSPACE: &str = include_str!("../../schemas/cassandra/keyspace.cql");
const TRADES: &str = include_str!("../../schemas/cassandra/trades.cql");
const GOLD: &str = include_str!("../../schemas/cassandra/trades_gold.cql");
const REVISIONS: &str = include_str!("../../schemas/cassandra/bar_revisions.cql");
const FEED_EVENTS: &str = include_str!("../../schemas/cassandra/feed_events.cql");
const FEED_GAPS: &str = include_str!("../../schemas/cassandra/feed_gaps.cql");
const SYMBOLS: &str = include_str!("../../schemas/cassandra/symbols.cql");

const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 86_400;
/// Compaction windows that a table's lifetime is cut into: Cassandra advises 20 to 30.
const WINDOWS_PER_LIFETIME: i64 = 30;

/// Name of the bronze table.
pub const BRONZE_TABLE: &str = "trades_bronze";
/// Name of the silver table.
pub const SILVER_TABLE: &str = "trades_silver";
/// Name of the table of bars that changed after their closing.
pub const REVISIONS_TABLE: &str = "bar_revisions";
/// Name of the table of feed events.
pub const FEED_EVENTS_TABLE: &str = "feed_events";
/// Name of the table of feed gaps.
pub const FEED_GAPS_TABLE: &str = "feed_gaps";
/// Name of the table of symbols.
pub const SYMBOLS_TABLE: &str = "symbols";

/// Columns without which a row reads well: a table that lacks them can be altered and keep its
/// rows.
pub const MAY_BE_ADDED: [&str; 2] = ["late_included", "late_window_state"];

/// Name of the table of an interval's bars.
pub fn gold_table(interval: Interval) -> String {
    format!("trades_gold_{interval}")
}

/// A table that the configuration asks for.
#[derive(Debug, Clone)]
pub struct Table {
    pub name: String,
    /// `default_time_to_live`, s; 0 keeps rows for ever.
    pub ttl_s: i64,
    template: &'static str,
    comment: String,
}

/// One column as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub cql_type: String,
}

/// The keyspace and tables of a configuration.
#[derive(Debug, Clone)]
pub struct Schema {
    pub keyspace: String,
    /// The keyspace's replication as a CQL map.
    pub replication: String,
    pub tables: Vec<Table>,
}

impl Schema {
    /// # Errors
    /// `Config`: a keyspace name that Cassandra would fold or refuse, a replication that is no map,
    /// an interval or retention out of range.
    pub fn of(config: &Config) -> Result<Self> {
        let keyspace = config.cassandra.keyspace.clone();
        let replication = config.cassandra.replication.trim().to_owned();
        if !is_plain_name(&keyspace) {
            return Err(Error::Config(format!(
                "cassandra.keyspace: '{keyspace}' is no keyspace name; use a lower-case letter and \
                 up to 47 lower-case letters, digits or _"
            )));
        }
        if !replication.starts_with('{') || !replication.ends_with('}') {
            return Err(Error::Config(format!(
                "cassandra.replication: '{replication}' is no CQL map; write \
                 {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
            )));
        }
        Ok(Self { keyspace, replication, tables: tables(&Lifetimes::of(config)?) })
    }

    /// The statement that creates the keyspace.
    pub fn create_keyspace(&self) -> String {
        KEYSPACE.replace("{keyspace}", &self.keyspace).replace("{replication}", &self.replication)
    }

    /// The table of that name; every name of this module is there, gold as configured.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == name)
    }
}

fn is_plain_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.len() <= 48
        && name.bytes().all(allowed)
}

fn tables(lifetimes: &Lifetimes) -> Vec<Table> {
    let table = |name: &str, ttl_s, template, comment: &str| Table {
        name: name.to_owned(),
        ttl_s,
        template,
        comment: comment.to_owned(),
    };
    let mut tables = vec![
        table(BRONZE_TABLE, lifetimes.bronze_s, TRADES, "Every trade received, as received"),
        table(SILVER_TABLE, lifetimes.silver_s, TRADES, "Validated trades, repeats left out"),
    ];
    for (interval, ttl_s) in &lifetimes.gold {
        let comment = format!("Bars of {interval}, labelled by window start");
        tables.push(table(&gold_table(*interval), *ttl_s, GOLD, &comment));
    }
    let (revisions_s, gaps_s) = (lifetimes.revisions_s, lifetimes.feed_gaps_s);
    tables.extend([
        table(REVISIONS_TABLE, revisions_s, REVISIONS, "Bars that changed after their closing"),
        table(FEED_EVENTS_TABLE, lifetimes.feed_events_s, FEED_EVENTS, "Events of the feed"),
        table(FEED_GAPS_TABLE, gaps_s, FEED_GAPS, "Times without a confirmed feed"),
        table(SYMBOLS_TABLE, 0, SYMBOLS, "Every symbol ever stored"),
    ]);
    tables
}

impl Table {
    /// The statement that creates the table.
    pub fn create(&self, keyspace: &str) -> String {
        let (unit, size) = self.compaction_window();
        self.template
            .replace("{keyspace}", keyspace)
            .replace("{table}", &self.name)
            .replace("{comment}", &self.comment)
            .replace("{ttl_s}", &self.ttl_s.to_string())
            .replace("{window_unit}", unit)
            .replace("{window_size}", &size.to_string())
    }

    /// Unit and size of a compaction window: the lifetime in at most 30 windows, whole hours below
    /// a day, whole days above; a day for tables that keep everything.
    pub fn compaction_window(&self) -> (&'static str, i64) {
        match self.ttl_s {
            0 => ("DAYS", 1),
            ttl_s if ttl_s < DAY_S * WINDOWS_PER_LIFETIME => {
                ("HOURS", rounded_up(ttl_s, HOUR_S * WINDOWS_PER_LIFETIME))
            }
            ttl_s => ("DAYS", rounded_up(ttl_s, DAY_S * WINDOWS_PER_LIFETIME)),
        }
    }

    /// Whether the template asks for TimeWindowCompactionStrategy.
    pub fn is_time_windowed(&self) -> bool {
        self.template.contains("TimeWindowCompactionStrategy")
    }

    /// Columns in the order of the template, which is that of statements and rows.
    pub fn columns(&self) -> Vec<Column> {
        self.template
            .lines()
            .filter_map(|line| line.strip_prefix("    ")?.strip_suffix(','))
            .filter_map(|declaration| declaration.split_once(' '))
            .map(|(name, cql_type)| Column { name: name.to_owned(), cql_type: cql_type.to_owned() })
            .collect()
    }

    /// The text inside `PRIMARY KEY (…)`.
    pub fn primary_key(&self) -> &'static str {
        self.template
            .lines()
            .find_map(|line| line.trim().strip_prefix("PRIMARY KEY (")?.strip_suffix(')'))
            .unwrap_or_default()
    }
}

fn rounded_up(value: i64, unit: i64) -> i64 {
    (value + unit - 1) / unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        let config: Config = figment::Figment::new()
            .merge(<figment::providers::Toml as figment::providers::Format>::string(
                crate::config::DEFAULTS,
            ))
            .extract()
            .expect("defaults parse");
        Schema::of(&config).expect("defaults are valid")
    }

    #[test]
    fn every_placeholder_is_filled_and_every_column_found() {
        let schema = schema();
        assert!(!schema.create_keyspace().contains("{keyspace}"));
        for table in &schema.tables {
            let text = table.create("market");
            for placeholder in ["{keyspace}", "{table}", "{ttl_s}", "{comment}", "{window_"] {
                assert!(!text.contains(placeholder), "{placeholder} in {text}");
            }
            assert_eq!(table.columns().len(), text.matches(",\n").count(), "{text}");
            assert!(!table.primary_key().is_empty(), "{text}");
        }
    }

    #[test]
    fn compaction_windows_fit_the_lifetime() {
        let schema = schema();
        let window = |name: &str| schema.table(name).expect("a table").compaction_window();
        assert_eq!(window(BRONZE_TABLE), ("HOURS", 6));
        assert_eq!(window(SILVER_TABLE), ("DAYS", 1));
        assert_eq!(window("trades_gold_5m"), ("DAYS", 3));
        assert_eq!(window("trades_gold_1h"), ("DAYS", 13));
    }

    #[test]
    fn a_name_that_cassandra_would_fold_is_refused() {
        assert!(is_plain_name("market"));
        for name in ["", "Market", "1st", "a b", "a;", "_x"] {
            assert!(!is_plain_name(name), "{name}");
        }
    }
}
