//! The writing side: groups the rows of each call by table and partition and keeps a bounded number
//! of batches in flight.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::Connection;
use super::cells::Cells;
use super::queue::{BatchBounds, Group, PartitionId, Queue};
use super::schema::{self, Schema};
use super::schema_check;
use super::statements::{self, Insert};
use super::{cells::Rows, rows};
use crate::codec::row;
use crate::config::{Config, Lifetimes};
use crate::error::{Error, Result};
use crate::model::{Bar, BarRevision, Effects, Interval, Judged, StoredEvent};
use crate::port::{BarRemoval, Clock, Store};
use crate::runtime::{Backoff, BackoffBounds, Pace};
use crate::telemetry::store as events;

/// A batch that cannot be written is tried again for so long before the caller is told.
const RETRY_FOR: Duration = Duration::from_secs(5);
const RETRY_WAITS: BackoffBounds = BackoffBounds {
    initial: Duration::from_millis(50),
    max: Duration::from_secs(1),
    throttled: Duration::from_secs(1),
};
/// Symbols remembered by number; a feed has hundreds, so more means that names are noise.
const SYMBOLS_MAX: usize = 65_536;

/// Indexes of the inserts.
struct Tables {
    bronze: usize,
    silver: usize,
    gold: Vec<(Interval, usize)>,
    revisions: usize,
    feed_events: usize,
    symbols: usize,
}

/// `port::Store` on Cassandra.
pub struct CassandraStore {
    queue: Arc<Queue>,
    inserts: Arc<Vec<Insert>>,
    tables: Tables,
    lifetimes: Lifetimes,
    clock: Arc<dyn Clock>,
    /// Rows of the running call, by partition.
    staged: Vec<Group>,
    staged_at: FxHashMap<PartitionId, usize>,
    symbol_numbers: FxHashMap<Box<str>, u32>,
    /// Buffers to work in.
    row: Vec<u8>,
    tail: Vec<u8>,
    text: String,
    _connection: Connection,
}

impl CassandraStore {
    /// Checks the tables, prepares the statements and starts the senders.
    ///
    /// # Errors
    /// `Config` when keyspace, table or column is missing, naming `ticksmith cassandra-init`;
    /// `Unavailable` when the cluster does not answer.
    pub fn open(connection: &Connection, config: &Config, clock: Arc<dyn Clock>) -> Result<Self> {
        let schema = Schema::of(config)?;
        schema_check::require(connection, &schema)?;
        let inserts = Arc::new(statements::prepare(connection, &schema)?);
        let settings = &config.cassandra;
        let queue = Arc::new(Queue::new(BatchBounds {
            rows: settings.batch_rows.clamp(1, 10_000),
            bytes: settings.batch_kib.max(1) * 1_024,
        }));
        for _ in 0..settings.in_flight_batches.max(1) {
            let sender = send_batches(connection.clone(), queue.clone(), inserts.clone());
            // Ends when the queue is closed.
            let _detached = connection.handle().spawn(sender);
        }
        let lifetimes = Lifetimes::of(config)?;
        Ok(Self {
            tables: Tables::find(&inserts, &lifetimes),
            queue,
            inserts,
            lifetimes,
            clock,
            staged: Vec::new(),
            staged_at: FxHashMap::default(),
            symbol_numbers: FxHashMap::default(),
            row: Vec::new(),
            tail: Vec::new(),
            text: String::new(),
            _connection: connection.clone(),
        })
    }

    fn symbol_number(&mut self, symbol: &str) -> u32 {
        if let Some(number) = self.symbol_numbers.get(symbol) {
            return *number;
        }
        let number = self.symbol_numbers.len() as u32;
        self.symbol_numbers.insert(symbol.into(), number);
        number
    }

    /// Forgets numbers when there are too many. The queue compares by number, so it must be empty.
    fn bound_symbol_numbers(&mut self) -> Result<()> {
        if self.symbol_numbers.len() > SYMBOLS_MAX {
            self.queue.await_idle()?;
            self.symbol_numbers.clear();
        }
        Ok(())
    }

    fn stage_trade(&mut self, judged: &Judged, now_us: i64) {
        let mut buffer = std::mem::take(&mut self.row);
        buffer.clear();
        rows::trade(judged, &mut Cells(&mut buffer), &mut self.text);
        let subject = self.symbol_number(row::key_symbol(&judged.trade.symbol));
        let bucket = row::bucket_of(judged.trade.trade_time_ms);
        let timestamp_us = row::trade_write_timestamp_us(judged);
        let age_s = row::trade_age_s(&judged.trade, now_us);
        let silver = judged.disposition.is_silver().then_some(self.tables.silver);
        for insert in [Some(self.tables.bronze), silver].into_iter().flatten() {
            let partition = PartitionId { insert, subject, bucket };
            self.stage(partition, &buffer, Some(timestamp_us), age_s);
        }
        self.row = buffer;
    }

    fn stage_bar(&mut self, bar: &Bar, now_us: i64) -> Result<()> {
        let table = self.tables.gold.iter().find(|(interval, _)| *interval == bar.interval);
        let &(_, insert) = table.ok_or_else(|| self.lifetimes.unknown_interval(bar.interval))?;
        let timestamp_us = row::bar_write_timestamp_us(bar)?;
        let partition = PartitionId { insert, subject: self.symbol_number(&bar.symbol), bucket: 0 };
        let mut buffer = std::mem::take(&mut self.row);
        buffer.clear();
        rows::bar(bar, &mut Cells(&mut buffer));
        self.stage(partition, &buffer, Some(timestamp_us), row::bar_age_s(bar, now_us));
        self.row = buffer;
        Ok(())
    }

    fn stage_revision(&mut self, revision: &BarRevision, now_us: i64) -> Result<()> {
        let BarRevision { bar, why } = revision;
        let timestamp_us = row::bar_write_timestamp_us(bar)?;
        // The partition's key holds the interval too; it takes the place of the bucket's low
        // digits.
        let interval = self.lifetimes.gold.iter().position(|(known, _)| *known == bar.interval);
        let intervals = self.lifetimes.gold.len() as i32;
        let place = interval.map_or(0, |index| index as i32);
        let partition = PartitionId {
            insert: self.tables.revisions,
            subject: self.symbol_number(&bar.symbol),
            bucket: row::day_of(bar.window.start_ms).wrapping_mul(intervals).wrapping_add(place),
        };
        let mut buffer = std::mem::take(&mut self.row);
        buffer.clear();
        rows::revision(bar, why.as_str(), &mut Cells(&mut buffer));
        self.stage(partition, &buffer, Some(timestamp_us), row::bar_age_s(bar, now_us));
        self.row = buffer;
        Ok(())
    }

    fn stage_event(&mut self, stored: &StoredEvent, now_us: i64) {
        let at_us = stored.event.at_us;
        let partition = PartitionId {
            insert: self.tables.feed_events,
            subject: stored.origin.partition as u32,
            bucket: row::day_of(at_us.div_euclid(1_000)),
        };
        let mut buffer = std::mem::take(&mut self.row);
        buffer.clear();
        rows::event(stored, &mut Cells(&mut buffer));
        let age_s = now_us.saturating_sub(at_us) / 1_000_000;
        self.stage(partition, &buffer, Some(at_us), age_s);
        self.row = buffer;
    }

    fn stage_symbol(&mut self, symbol: &str) {
        let symbol = row::key_symbol(symbol);
        if symbol.is_empty() {
            return;
        }
        let insert = self.tables.symbols;
        let partition = PartitionId { insert, subject: self.symbol_number(symbol), bucket: 0 };
        let mut buffer = std::mem::take(&mut self.row);
        buffer.clear();
        Cells(&mut buffer).text(symbol);
        self.stage(partition, &buffer, None, 0);
        self.row = buffer;
    }

    /// Adds a row with its write timestamp (`None`: the server's) and lifetime.
    fn stage(&mut self, partition: PartitionId, row: &[u8], timestamp_us: Option<i64>, age_s: i64) {
        let ttl_s = self.inserts[partition.insert].ttl_s;
        let mut tail = std::mem::take(&mut self.tail);
        tail.clear();
        let mut cells = Cells(&mut tail);
        cells.long_or_unset(timestamp_us);
        match row::lifetime_s(ttl_s, age_s) {
            Some(lifetime_s) => cells.int(lifetime_s),
            None => cells.unset(),
        };
        let size_bytes = row.len() + tail.len();
        let open = self.staged_at.get(&partition).map(|index| &mut self.staged[*index]);
        match open {
            Some(group) if self.queue.bounds().admit(&group.rows, 1, size_bytes) => {
                group.rows.push(row, &tail);
            }
            _ => {
                let mut rows = Rows::default();
                rows.push(row, &tail);
                self.staged_at.insert(partition, self.staged.len());
                self.staged.push(Group { partition, rows });
            }
        }
        self.tail = tail;
    }

    fn stage_all(&mut self, effects: &Effects) -> Result<()> {
        let now_us = self.clock.now_us();
        for judged in &effects.trades {
            self.stage_trade(judged, now_us);
        }
        for bar in row::newest_bars(&effects.bars) {
            self.stage_bar(bar, now_us)?;
        }
        for revision in &effects.revisions {
            self.stage_revision(revision, now_us)?;
        }
        for event in &effects.events {
            self.stage_event(event, now_us);
        }
        for symbol in &effects.symbols {
            self.stage_symbol(symbol);
        }
        Ok(())
    }
}

impl Store for CassandraStore {
    fn write(&mut self, rows: &Effects) -> Result<()> {
        self.queue.resume()?;
        self.queue.await_room()?;
        self.bound_symbol_numbers()?;
        let staged = self.stage_all(rows);
        self.staged_at.clear();
        if staged.is_err() {
            self.staged.clear();
            return staged;
        }
        self.queue.add(&mut self.staged);
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.queue.resume()?;
        self.queue.await_idle()
    }

    fn remove(&mut self, _bars: &[BarRemoval]) -> Result<()> {
        Err(Error::Bug("bars cannot be removed yet".into()))
    }
}

impl Drop for CassandraStore {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Tables {
    fn find(inserts: &[Insert], lifetimes: &Lifetimes) -> Self {
        let index = |name: &str| {
            let found = inserts.iter().position(|insert| &*insert.table == name);
            found.expect("the schema has every table that it names")
        };
        let gold = lifetimes.gold.iter();
        Self {
            bronze: index(schema::BRONZE_TABLE),
            silver: index(schema::SILVER_TABLE),
            gold: gold
                .map(|(interval, _)| (*interval, index(&schema::gold_table(*interval))))
                .collect(),
            revisions: index(schema::REVISIONS_TABLE),
            feed_events: index(schema::FEED_EVENTS_TABLE),
            symbols: index(schema::SYMBOLS_TABLE),
        }
    }
}

/// One of the senders: a batch at a time, until the queue is closed.
async fn send_batches(connection: Connection, queue: Arc<Queue>, inserts: Arc<Vec<Insert>>) {
    while let Some(group) = queue.next().await {
        let insert = &inserts[group.partition.insert];
        match send(&connection, insert, &group.rows).await {
            Ok(()) => queue.acknowledged(&group),
            Err(failure) => {
                events::batch_failed(&insert.table, &failure);
                queue.failed(group, failure);
            }
        }
    }
}

/// Sends one batch, again and again within the bound while the trouble may pass.
async fn send(connection: &Connection, insert: &Insert, rows: &Rows) -> Result<()> {
    let batch = insert.batch(connection, rows.len());
    let began = Instant::now();
    let mut backoff = Backoff::new(RETRY_WAITS);
    loop {
        let sent = Instant::now();
        let Err(problem) = connection.session().batch(&batch, rows).await else {
            events::batch_written(&insert.table, rows.len(), sent.elapsed());
            return Ok(());
        };
        let failure = connection.failed(&insert.table, &problem);
        if !matches!(failure, Error::Unavailable(_)) || began.elapsed() >= RETRY_FOR {
            return Err(failure);
        }
        events::batch_retried(&insert.table, &failure);
        let wait = backoff.next_wait(Pace::Ordinary, &mut rand::rng());
        tokio::time::sleep(wait).await;
    }
}
