//! The writing side: groups the rows of each call by table and partition and keeps a bounded number
//! of batches in flight.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::Connection;
use super::cells::Cells;
use super::queue::{BatchBounds, Group, PartitionId, Queue};
use super::schema::Schema;
use super::schema_check;
use super::statements::{self, Gold, Places, Write};
use super::{cells::Rows, rows};
use crate::codec::row;
use crate::config::{Config, Lifetimes};
use crate::error::{Error, Result};
use crate::model::{Bar, BarRevision, BarState, Effects, FeedGap, Interval, Judged, StoredEvent};
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
/// What the cluster refuses although the tables are as they must be is tried again for so long,
/// since nodes agree on a new table one after the other. Then it is a mistake of ours.
const AGREE_WITHIN_US: i64 = 30_000_000;
/// Symbols remembered by number; a feed has hundreds, so more means that names are noise.
const SYMBOLS_MAX: usize = 65_536;

/// `port::Store` on Cassandra.
pub struct CassandraStore {
    queue: Arc<Queue>,
    writes: Arc<Vec<Write>>,
    places: Places,
    lifetimes: Lifetimes,
    clock: Arc<dyn Clock>,
    schema: Schema,
    /// Monotonic µs of the first refusal since a wait came to its end, of those that the tables do
    /// not explain.
    refused_since_us: Option<i64>,
    /// Rows of the running call, by partition.
    staged: Vec<Group>,
    staged_at: FxHashMap<PartitionId, usize>,
    symbol_numbers: FxHashMap<Box<str>, u32>,
    /// Buffers to work in.
    row: Vec<u8>,
    tail: Vec<u8>,
    text: String,
    connection: Connection,
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
        let lifetimes = Lifetimes::of(config)?;
        let writes = Arc::new(statements::prepare(connection, &schema, &lifetimes)?);
        let settings = &config.cassandra;
        let queue = Arc::new(Queue::new(BatchBounds {
            rows: settings.batch_rows.clamp(1, 10_000),
            bytes: settings.batch_kib.max(1) * 1_024,
        }));
        for _ in 0..settings.in_flight_batches.max(1) {
            let sender = send_batches(connection.clone(), queue.clone(), writes.clone());
            // Ends when the queue is closed.
            let _detached = connection.handle().spawn(sender);
        }
        Ok(Self {
            places: Places::of(&schema, &lifetimes),
            queue,
            writes,
            lifetimes,
            clock,
            schema,
            refused_since_us: None,
            staged: Vec::new(),
            staged_at: FxHashMap::default(),
            symbol_numbers: FxHashMap::default(),
            row: Vec::new(),
            tail: Vec::new(),
            text: String::new(),
            connection: connection.clone(),
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

    fn stage_trade(&mut self, judged: &Judged, now_us: i64) {
        let mut buffer = std::mem::take(&mut self.row);
        buffer.clear();
        rows::trade(judged, &mut Cells(&mut buffer), &mut self.text);
        let subject = self.symbol_number(row::key_symbol(&judged.trade.symbol));
        let bucket = row::bucket_of(judged.trade.trade_time_ms);
        let timestamp_us = row::trade_write_timestamp_us(judged);
        let age_s = row::trade_age_s(&judged.trade, now_us);
        let Places { bronze, silver, bronze_and_silver, .. } = self.places;
        let lifetimes = [bronze, silver].map(|write| self.lifetime_s(write, age_s));
        let writes: &[_] = match judged.disposition.is_silver() {
            false => &[(bronze, lifetimes[0])],
            // Half the requests, and each replica takes both rows or none.
            true if lifetimes[0] == lifetimes[1] => &[(bronze_and_silver, lifetimes[0])],
            true => &[(bronze, lifetimes[0]), (silver, lifetimes[1])],
        };
        for (write, lifetime_s) in writes {
            let partition = PartitionId::new(*write, subject, bucket);
            self.stage(partition, &buffer, Some(timestamp_us), *lifetime_s);
        }
        self.row = buffer;
    }

    fn stage_bar(&mut self, bar: &Bar, now_us: i64) -> Result<()> {
        let write = self.gold(bar.interval)?.insert;
        let timestamp_us = row::bar_write_timestamp_us(bar)?;
        let mut partition = PartitionId::new(write, self.symbol_number(&bar.symbol), 0);
        partition.can_wait = bar.state == BarState::Provisional;
        let lifetime_s = self.lifetime_s(write, row::bar_age_s(bar, now_us));
        self.stage_row(partition, Some(timestamp_us), lifetime_s, |cells| rows::bar(bar, cells));
        Ok(())
    }

    fn stage_revision(&mut self, revision: &BarRevision, now_us: i64) -> Result<()> {
        let bar = &revision.bar;
        let timestamp_us = row::bar_write_timestamp_us(bar)?;
        let tier = self.gold(bar.interval)?.insert;
        // The partition's key holds the interval too; it takes the place of the bucket's low
        // digits.
        let intervals = self.places.gold.len() as i32;
        let interval = self.places.gold.iter().position(|gold| gold.insert == tier);
        let place = interval.map_or(0, |index| index as i32);
        let subject = self.symbol_number(&bar.symbol);
        let bucket = row::day_of(bar.window.start_ms).wrapping_mul(intervals).wrapping_add(place);
        let partition = PartitionId::new(self.places.revisions, subject, bucket);
        // As long as the bar, whatever the table's own lifetime is. 0 is for ever.
        let tier_s = self.writes[tier].ttl_s;
        let rest_s = row::lifetime_s(tier_s, row::bar_age_s(bar, now_us));
        let lifetime_s = rest_s.or_else(|| i32::try_from(tier_s).ok());
        self.stage_row(partition, Some(timestamp_us), lifetime_s, |cells| {
            rows::revision(revision, cells);
        });
        Ok(())
    }

    fn stage_event(&mut self, stored: &StoredEvent, now_us: i64) {
        let (write, at_us) = (self.places.feed_events, stored.event.at_us);
        let day = row::day_of(at_us.div_euclid(1_000));
        let partition = PartitionId::new(write, stored.origin.partition as u32, day);
        let lifetime_s = self.lifetime_s(write, row::event_age_s(&stored.event, now_us));
        self.stage_row(partition, Some(at_us), lifetime_s, |cells| rows::event(stored, cells));
    }

    fn stage_gap(&mut self, gap: &FeedGap, now_us: i64) {
        let write = self.places.feed_gaps;
        let subject = self.symbol_number(row::key_symbol(&gap.symbol));
        let partition = PartitionId::new(write, subject, row::day_of(gap.from_ms));
        let lifetime_s = self.lifetime_s(write, row::gap_age_s(gap, now_us));
        let timestamp_us = Some(row::gap_write_timestamp_us(gap));
        self.stage_row(partition, timestamp_us, lifetime_s, |cells| rows::gap(gap, cells));
    }

    fn stage_symbol(&mut self, symbol: &str) {
        let symbol = row::key_symbol(symbol);
        if symbol.is_empty() {
            return;
        }
        let write = self.places.symbols;
        let partition = PartitionId::new(write, self.symbol_number(symbol), 0);
        self.stage_row(partition, None, None, |cells| {
            cells.text(symbol);
        });
    }

    fn stage_removal(&mut self, bar: &BarRemoval) -> Result<()> {
        let write = self.gold(bar.interval)?.delete;
        let timestamp_us = row::removal_timestamp_us(bar.start_ms, bar.generation)?;
        let partition = PartitionId::new(write, self.symbol_number(&bar.symbol), 0);
        let mut buffer = std::mem::take(&mut self.row);
        buffer.clear();
        rows::removal(timestamp_us, &bar.symbol, bar.start_ms, &mut Cells(&mut buffer));
        self.add(partition, &buffer, &[]);
        self.row = buffer;
        Ok(())
    }

    fn gold(&self, interval: Interval) -> Result<Gold> {
        let found = self.places.gold.iter().find(|gold| gold.interval == interval);
        found.copied().ok_or_else(|| self.lifetimes.unknown_interval(interval))
    }

    /// What is left of a row's life; `None`: all of the table's.
    fn lifetime_s(&self, write: usize, age_s: i64) -> Option<i32> {
        row::lifetime_s(self.writes[write].ttl_s, age_s)
    }

    fn stage_row(
        &mut self,
        partition: PartitionId,
        timestamp_us: Option<i64>,
        lifetime_s: Option<i32>,
        fill: impl FnOnce(&mut Cells<'_>),
    ) {
        let mut buffer = std::mem::take(&mut self.row);
        buffer.clear();
        fill(&mut Cells(&mut buffer));
        self.stage(partition, &buffer, timestamp_us, lifetime_s);
        self.row = buffer;
    }

    /// Adds a row with its write timestamp (`None`: the server's) and lifetime (`None`: the
    /// table's).
    fn stage(
        &mut self,
        partition: PartitionId,
        row: &[u8],
        timestamp_us: Option<i64>,
        lifetime_s: Option<i32>,
    ) {
        let mut tail = std::mem::take(&mut self.tail);
        tail.clear();
        let mut cells = Cells(&mut tail);
        cells.long_or_unset(timestamp_us);
        match lifetime_s {
            Some(lifetime_s) => cells.int(lifetime_s),
            None => cells.unset(),
        };
        self.add(partition, row, &tail);
        self.tail = tail;
    }

    /// Adds the two runs of cells of one statement.
    fn add(&mut self, partition: PartitionId, head: &[u8], tail: &[u8]) {
        let size_bytes = head.len() + tail.len();
        let open = self.staged_at.get(&partition).map(|index| &mut self.staged[*index]);
        match open {
            Some(group) if self.queue.bounds().admit(&group.rows, 1, size_bytes) => {
                group.rows.push(head, tail);
            }
            _ => {
                let mut rows = Rows::default();
                rows.push(head, tail);
                self.staged_at.insert(partition, self.staged.len());
                self.staged.push(Group::new(partition, rows));
            }
        }
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
        for gap in &effects.gaps {
            self.stage_gap(gap, now_us);
        }
        for symbol in &effects.symbols {
            self.stage_symbol(symbol);
        }
        Ok(())
    }

    /// Stages what one call brings and takes it over, all or nothing.
    fn take_over(&mut self, stage: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        while !self.await_room(Duration::MAX)? {}
        let staged = stage(self);
        self.staged_at.clear();
        if staged.is_err() {
            self.staged.clear();
            return staged;
        }
        self.queue.add(&mut self.staged);
        Ok(())
    }

    fn await_idle(&mut self, within: Duration) -> Result<bool> {
        self.queue.resume();
        let outcome = self.queue.await_idle(within);
        self.judge(outcome)
    }

    /// How a wait for acknowledgements ended.
    fn judge(&mut self, outcome: Result<bool>) -> Result<bool> {
        let is_done = outcome.map_err(|failure| self.look_into(failure))?;
        if is_done {
            self.refused_since_us = None;
        }
        Ok(is_done)
    }

    /// What a failed wait means. A refusal is looked into: tables that somebody has dropped or
    /// altered under us are waited for, as a cluster that is away is.
    fn look_into(&mut self, failure: Error) -> Error {
        let Error::Config(refusal) = failure else { return failure };
        match schema_check::require(&self.connection, &self.schema) {
            Err(Error::Config(problem)) => Error::Unavailable(problem),
            Err(away) => away,
            Ok(()) => {
                let now_us = self.clock.monotonic_us();
                let since_us = *self.refused_since_us.get_or_insert(now_us);
                if now_us - since_us < AGREE_WITHIN_US {
                    return Error::Unavailable(refusal);
                }
                Error::Config(refusal)
            }
        }
    }
}

impl Store for CassandraStore {
    fn write(&mut self, rows: &Effects) -> Result<()> {
        self.take_over(|store| store.stage_all(rows))
    }

    fn await_room(&mut self, within: Duration) -> Result<bool> {
        if self.symbol_numbers.len() > SYMBOLS_MAX {
            // The queue compares by number, so it must be empty before they are forgotten.
            let is_idle = self.await_idle(within)?;
            if is_idle {
                self.symbol_numbers.clear();
            }
            return Ok(is_idle);
        }
        self.queue.resume();
        self.queue.await_room(within).map_err(|failure| self.look_into(failure))
    }

    fn flush(&mut self) -> Result<()> {
        while !self.await_idle(Duration::MAX)? {}
        Ok(())
    }

    fn mark(&mut self) {
        self.queue.mark();
    }

    fn await_mark(&mut self, within: Duration) -> Result<bool> {
        self.queue.resume();
        let outcome = self.queue.await_mark(within);
        self.judge(outcome)
    }

    fn remove(&mut self, bars: &[BarRemoval]) -> Result<()> {
        self.take_over(|store| bars.iter().try_for_each(|bar| store.stage_removal(bar)))
    }
}

impl Drop for CassandraStore {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// One of the senders: a batch at a time, until the queue is closed.
async fn send_batches(connection: Connection, queue: Arc<Queue>, writes: Arc<Vec<Write>>) {
    while let Some(group) = queue.next().await {
        let write = &writes[group.partition.write];
        match send(&connection, write, &group.rows).await {
            Ok(()) => queue.acknowledged(&group),
            Err(failure) => {
                events::batch_failed(&write.name, &failure);
                queue.failed(group, failure);
            }
        }
    }
}

/// Sends one batch, again and again within the bound while the trouble may pass.
async fn send(connection: &Connection, write: &Write, rows: &Rows) -> Result<()> {
    let batch = write.batch(connection, rows.len());
    let began = Instant::now();
    let mut backoff = Backoff::new(RETRY_WAITS);
    loop {
        let sent = Instant::now();
        let Err(problem) = connection.session().batch(&batch, write.values(rows)).await else {
            let took = sent.elapsed();
            write.tables().for_each(|table| events::batch_written(table, rows.len(), took));
            return Ok(());
        };
        let failure = connection.failed(&write.name, &problem);
        if !matches!(failure, Error::Unavailable(_)) || began.elapsed() >= RETRY_FOR {
            return Err(failure);
        }
        events::batch_retried(&write.name, &failure);
        let wait = backoff.next_wait(Pace::Ordinary, &mut rand::rng());
        tokio::time::sleep(wait).await;
    }
}
