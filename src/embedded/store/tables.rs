//! The tables of the embedded store: keyed as in Cassandra, in the same words, so that a query
//! carries over. Bronze and silver are views of one table, since a silver row is its bronze row:
//! that halves the writes. A bronze row therefore lives as long as its silver row.

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::model::{ExclusionReason, Interval};

const BASE: &str = "
CREATE TABLE IF NOT EXISTS trades_stored (
    symbol TEXT NOT NULL, ts INTEGER NOT NULL, connection INTEGER NOT NULL, seq INTEGER NOT NULL,
    price REAL, volume REAL, conditions TEXT, received_at_us INTEGER NOT NULL, feed TEXT NOT NULL,
    disposition TEXT NOT NULL, reason TEXT, session TEXT,
    updates TEXT,
    log_partition INTEGER NOT NULL, log_offset INTEGER NOT NULL,
    watermark INTEGER, late_by_ms INTEGER, late_window_start INTEGER, late_window_state TEXT,
    write_us INTEGER NOT NULL, expires_s INTEGER NOT NULL,
    PRIMARY KEY (symbol, ts, connection, seq)
) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS trades_bronze AS SELECT * FROM trades_stored;
CREATE VIEW IF NOT EXISTS trades_silver AS
    SELECT * FROM trades_stored WHERE disposition IN ('merged', 'late');
CREATE TABLE IF NOT EXISTS symbols (symbol TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS feed_events (
    log_partition INTEGER NOT NULL, at_us INTEGER NOT NULL, connection INTEGER NOT NULL,
    seq INTEGER NOT NULL, kind TEXT NOT NULL, feed TEXT NOT NULL, feed_time INTEGER,
    confirmed_at_us INTEGER, confirmed_feed_time INTEGER, symbols TEXT,
    lost_records INTEGER NOT NULL, detail TEXT, log_offset INTEGER NOT NULL,
    expires_s INTEGER NOT NULL,
    PRIMARY KEY (log_partition, at_us, connection, seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS feed_events_at ON feed_events (at_us);
CREATE TABLE IF NOT EXISTS feed_gaps (
    symbol TEXT NOT NULL, gap_start INTEGER NOT NULL, connection INTEGER NOT NULL,
    cause TEXT NOT NULL, feed TEXT NOT NULL, gap_end INTEGER, gap_ms INTEGER,
    next_connection INTEGER, lost_records INTEGER NOT NULL, detail TEXT NOT NULL,
    write_us INTEGER NOT NULL, expires_s INTEGER NOT NULL,
    PRIMARY KEY (symbol, gap_start, connection, cause)
) WITHOUT ROWID;
";

/// Writes a trade; a row with a lower write timestamp never replaces one with a higher.
pub const INSERT_TRADE: &str = "
INSERT INTO trades_stored VALUES
    (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21)
ON CONFLICT DO UPDATE SET
    price = excluded.price, volume = excluded.volume, conditions = excluded.conditions,
    received_at_us = excluded.received_at_us, feed = excluded.feed,
    disposition = excluded.disposition, reason = excluded.reason, session = excluded.session,
    updates = excluded.updates, log_partition = excluded.log_partition,
    log_offset = excluded.log_offset, watermark = excluded.watermark,
    late_by_ms = excluded.late_by_ms, late_window_start = excluded.late_window_start,
    late_window_state = excluded.late_window_state,
    write_us = excluded.write_us, expires_s = excluded.expires_s
WHERE excluded.write_us >= write_us";

/// An event is written once; its content never changes.
pub const INSERT_EVENT: &str = "
INSERT OR REPLACE INTO feed_events VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)";

/// Writes a gap; one that lasts never replaces the same one ended.
pub const INSERT_GAP: &str = "
INSERT INTO feed_gaps VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12)
ON CONFLICT DO UPDATE SET
    feed = excluded.feed, gap_end = excluded.gap_end, gap_ms = excluded.gap_ms,
    next_connection = excluded.next_connection, lost_records = excluded.lost_records,
    detail = excluded.detail, write_us = excluded.write_us, expires_s = excluded.expires_s
WHERE excluded.write_us >= write_us";

pub const INSERT_SYMBOL: &str = "INSERT OR IGNORE INTO symbols VALUES (?1)";

/// Name of the table of an interval's bars.
pub fn gold_table(interval: Interval) -> String {
    format!("trades_gold_{interval}")
}

/// `state` of a bar that was removed: kept until its time is over, so that no older writer brings
/// it back. No reader sees it.
pub const REMOVED: &str = "removed";

/// Columns of a gold table, and of the history, that follow their keys, with their types, in the
/// order of rows.
fn gold_columns() -> Vec<(String, &'static str)> {
    let mut columns: Vec<(String, &'static str)> = [
        ("window_end", "INTEGER NOT NULL"),
        ("open", "REAL"),
        ("high", "REAL"),
        ("low", "REAL"),
        ("close", "REAL"),
        ("volume", "REAL NOT NULL"),
        ("volume_exact", "TEXT NOT NULL"),
        ("vwap", "REAL"),
        ("trade_count", "INTEGER NOT NULL"),
        ("state", "TEXT NOT NULL"),
        ("revision", "INTEGER NOT NULL"),
        ("generation", "INTEGER NOT NULL"),
        ("coverage", "REAL"),
        ("gap_ms", "INTEGER NOT NULL"),
        ("verdict", "TEXT NOT NULL"),
        ("session", "TEXT"),
        ("conditions_version", "INTEGER NOT NULL"),
        ("late_included", "INTEGER NOT NULL"),
        ("write_us", "INTEGER NOT NULL"),
        ("expires_s", "INTEGER NOT NULL"),
    ]
    .map(|(name, declaration)| (name.to_owned(), declaration))
    .into();
    for price in ["open", "high", "low", "close"] {
        for of in ["time", "connection", "seq"] {
            columns.push((format!("{price}_{of}"), "INTEGER"));
        }
    }
    for reason in ExclusionReason::ALL {
        let reason = reason.as_str();
        columns.push((format!("excluded_{reason}_volume"), "REAL NOT NULL"));
        columns.push((format!("excluded_{reason}_volume_exact"), "TEXT NOT NULL"));
        columns.push((format!("excluded_{reason}_count"), "INTEGER NOT NULL"));
    }
    columns
}

fn declarations() -> String {
    let columns: Vec<String> =
        gold_columns().iter().map(|(name, declaration)| format!("{name} {declaration}")).collect();
    columns.join(", ")
}

fn create_gold(interval: Interval) -> String {
    let (table, columns) = (gold_table(interval), declarations());
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (symbol TEXT NOT NULL, ts INTEGER NOT NULL, {columns}, \
         PRIMARY KEY (symbol, ts)) WITHOUT ROWID;"
    )
}

fn create_revisions() -> String {
    let columns = declarations();
    format!(
        "CREATE TABLE IF NOT EXISTS bar_revisions (interval TEXT NOT NULL, why TEXT NOT NULL, \
         symbol TEXT NOT NULL, ts INTEGER NOT NULL, {columns}, \
         PRIMARY KEY (symbol, interval, ts, generation, revision)) WITHOUT ROWID;"
    )
}

/// Writes a bar; a row with a lower write timestamp never replaces one with a higher. Of two equal
/// ones a removal wins, as in Cassandra.
pub fn insert_bar(interval: Interval) -> String {
    let columns = gold_columns();
    let markers = vec!["?"; columns.len() + 2].join(",");
    let updates: Vec<String> =
        columns.iter().map(|(name, _)| format!("{name} = excluded.{name}")).collect();
    let (table, updates) = (gold_table(interval), updates.join(", "));
    format!(
        "INSERT INTO {table} VALUES ({markers}) ON CONFLICT DO UPDATE SET {updates} \
         WHERE excluded.write_us >= write_us + (state = '{REMOVED}')"
    )
}

/// Writes a content that a bar had; it is written once and never changes. Interval and why come
/// before the columns of the bar.
pub fn insert_revision() -> String {
    let markers = vec!["?"; gold_columns().len() + 4].join(",");
    format!("INSERT OR REPLACE INTO bar_revisions VALUES ({markers})")
}

/// Removes a bar that is older than the write timestamp: symbol, start, timestamp.
pub fn remove_bar(interval: Interval) -> String {
    let table = gold_table(interval);
    format!(
        "UPDATE {table} SET state = '{REMOVED}', write_us = ?3 \
         WHERE symbol = ?1 AND ts = ?2 AND write_us <= ?3"
    )
}

/// Creates what is missing.
///
/// # Errors
/// As of `refused`.
pub fn create(connection: &Connection, intervals: &[Interval]) -> Result<()> {
    let mut script = BASE.to_owned() + &create_revisions();
    intervals.iter().for_each(|interval| script.push_str(&create_gold(*interval)));
    connection.execute_batch(&script).map_err(|problem| refused(connection, &problem))
}

/// A failure of SQLite, named by what has to be done about it.
pub fn refused(connection: &Connection, problem: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode;
    let file = connection.path().unwrap_or("the embedded store").to_owned();
    match problem.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Error::Unavailable(format!("{file} is held by another process; it will be tried again"))
        }
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => Error::Unavailable(format!(
            "{file}: {problem}; make room on the disk, it will be tried again"
        )),
        None if matches!(problem, rusqlite::Error::FromSqlConversionFailure(..)) => {
            Error::Config(format!("{file}: {problem}; use the version that wrote it"))
        }
        _ => Error::Config(format!("{file}: {problem}; give --data another directory")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_the_tables_is_a_new_layout() {
        let interval = Interval::parse("5m").expect("an interval");
        let text = [BASE, &create_revisions(), &create_gold(interval)].concat();
        // FNV-1a.
        let fingerprint = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        assert_eq!(
            fingerprint, 17_375_978_130_060_043_662,
            "raise LAYOUT in database.rs when older files lack something, then put the new \
             number here"
        );
    }
}
