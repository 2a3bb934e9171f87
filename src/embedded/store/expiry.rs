//! Deletes rows whose time is over, a bounded number at a time, so that no beat waits for it. It
//! goes round and round over the symbols; within one, rows lie by time, so that only old ones are
//! looked at.

use rusqlite::{Connection, OptionalExtension};

use super::tables;
use crate::config::Lifetimes;
use crate::telemetry::store as events;

/// Rows looked at in one step: some milliseconds of work.
const STEP_ROWS: i64 = 5_000;
/// Time between two steps, µs.
const STEP_EVERY_US: i64 = 1_000_000;

/// A table keyed by a subject and a time.
struct Swept {
    table: String,
    subject: &'static str,
    time: &'static str,
    /// Units of the time column in a second.
    per_second: i64,
    /// Rows younger than this cannot have expired; 0: nothing ever does.
    ttl_s: i64,
}

/// Where the next step goes on.
pub struct Expiry {
    swept: Vec<Swept>,
    table: usize,
    /// The subject being swept and the time reached in it.
    at: Option<(rusqlite::types::Value, i64)>,
    next_step_us: i64,
}

impl Expiry {
    pub fn new(lifetimes: &Lifetimes) -> Self {
        let swept = |table: &str, subject, time, per_second, ttl_s| Swept {
            table: table.to_owned(),
            subject,
            time,
            per_second,
            ttl_s,
        };
        // A lifetime of 0 is for ever.
        let lifetimes_of_trades = [lifetimes.bronze_s, lifetimes.silver_s];
        let trades_s = lifetimes_of_trades.into_iter().filter(|ttl_s| *ttl_s > 0).min();
        let history_s = lifetimes.gold.iter().map(|(_, ttl_s)| *ttl_s).filter(|ttl_s| *ttl_s > 0);
        let history_s = history_s.min().unwrap_or(0);
        let mut all = vec![
            swept("trades_stored", "symbol", "ts", 1_000, trades_s.unwrap_or(0)),
            swept("bar_revisions", "symbol", "ts", 1_000, history_s),
            swept("feed_gaps", "symbol", "gap_start", 1_000, lifetimes.feed_gaps_s),
            swept("feed_events", "log_partition", "at_us", 1_000_000, lifetimes.feed_events_s),
        ];
        for (interval, ttl_s) in &lifetimes.gold {
            all.push(swept(&tables::gold_table(*interval), "symbol", "ts", 1_000, *ttl_s));
        }
        all.retain(|swept| swept.ttl_s > 0);
        Self { swept: all, table: 0, at: None, next_step_us: i64::MIN }
    }

    /// Does one step when it is time for it. The caller holds the write lock.
    pub fn step(
        &mut self,
        connection: &Connection,
        now_us: i64,
        monotonic_us: i64,
    ) -> rusqlite::Result<()> {
        if monotonic_us < self.next_step_us || self.swept.is_empty() {
            return Ok(());
        }
        self.next_step_us = monotonic_us + STEP_EVERY_US;
        let swept = &self.swept[self.table];
        let now_s = now_us.div_euclid(1_000_000);
        let old = (now_s - swept.ttl_s).saturating_mul(swept.per_second);
        let (subject, from) = match self.at.take() {
            Some((subject, from)) => (subject, from),
            None => match swept.next_subject(connection, None)? {
                Some(first) => (first, i64::MIN),
                None => {
                    self.table = (self.table + 1) % self.swept.len();
                    return Ok(());
                }
            },
        };
        let bound = swept.step_end(connection, &subject, from, old)?;
        let deleted = swept.delete(connection, &subject, from, bound.unwrap_or(old), now_s)?;
        if deleted > 0 {
            events::rows_expired(&swept.table, deleted);
        }
        self.at = match bound {
            Some(bound) => Some((subject, bound)),
            None => swept.next_subject(connection, Some(&subject))?.map(|next| (next, i64::MIN)),
        };
        if self.at.is_none() {
            self.table = (self.table + 1) % self.swept.len();
        }
        Ok(())
    }
}

impl Swept {
    fn next_subject(
        &self,
        connection: &Connection,
        after: Option<&rusqlite::types::Value>,
    ) -> rusqlite::Result<Option<rusqlite::types::Value>> {
        let (table, subject) = (&self.table, self.subject);
        match after {
            None => connection
                .prepare_cached(&format!("SELECT min({subject}) FROM {table}"))?
                .query_row([], |row| row.get(0)),
            Some(after) => connection
                .prepare_cached(&format!(
                    "SELECT min({subject}) FROM {table} WHERE {subject} > ?1"
                ))?
                .query_row([after], |row| row.get(0)),
        }
        .map(|value| (value != rusqlite::types::Value::Null).then_some(value))
    }

    /// The time before which a step's worth of rows lies; `None` when fewer are left.
    fn step_end(
        &self,
        connection: &Connection,
        subject: &rusqlite::types::Value,
        from: i64,
        old: i64,
    ) -> rusqlite::Result<Option<i64>> {
        let (table, column, time) = (&self.table, self.subject, self.time);
        let text = format!(
            "SELECT {time} FROM {table} WHERE {column} = ?1 AND {time} >= ?2 AND {time} < ?3 \
             ORDER BY {time} LIMIT 1 OFFSET {STEP_ROWS}"
        );
        let mut statement = connection.prepare_cached(&text)?;
        let bound: Option<i64> =
            statement.query_row((subject, from, old), |row| row.get(0)).optional()?;
        // A whole step within one instant: step over it.
        Ok(bound.map(|bound| bound.max(from.saturating_add(1))))
    }

    fn delete(
        &self,
        connection: &Connection,
        subject: &rusqlite::types::Value,
        from: i64,
        to: i64,
        now_s: i64,
    ) -> rusqlite::Result<usize> {
        let (table, column, time) = (&self.table, self.subject, self.time);
        let text = format!(
            "DELETE FROM {table} WHERE {column} = ?1 AND {time} >= ?2 AND {time} < ?3 \
             AND expires_s <= ?4"
        );
        connection.prepare_cached(&text)?.execute((subject, from, to, now_s))
    }
}
