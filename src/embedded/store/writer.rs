//! The rows of one transaction of the embedded store.

use rusqlite::types::ToSql;
use rusqlite::{CachedStatement, Transaction, params};

use super::tables;
use crate::codec::row;
use crate::config::Lifetimes;
use crate::model::{Bar, BarRevision, FeedGap, Interval, Judged, StoredEvent, Trade};
use crate::port::BarRemoval;

/// The rows of one transaction.
pub struct Writer<'a> {
    pub transaction: &'a Transaction<'a>,
    pub lifetimes: &'a Lifetimes,
    pub gold: &'a [Gold],
    pub now_us: i64,
}

/// The statements on one interval's bars.
pub struct Gold {
    pub interval: Interval,
    insert: String,
    remove: String,
}

impl Gold {
    pub fn of(interval: Interval) -> Self {
        let (insert, remove) = (tables::insert_bar(interval), tables::remove_bar(interval));
        Self { interval, insert, remove }
    }
}

impl Writer<'_> {
    /// The second from which a row may be deleted.
    fn expires_s(&self, ttl_s: i64, age_s: i64) -> i64 {
        if ttl_s == 0 {
            return i64::MAX;
        }
        let lifetime_s = row::lifetime_s(ttl_s, age_s).map_or(ttl_s, i64::from);
        self.now_us / 1_000_000 + lifetime_s
    }

    pub fn trades(&self, trades: &[Judged]) -> rusqlite::Result<()> {
        let mut statement = self.transaction.prepare_cached(tables::INSERT_TRADE)?;
        let mut conditions = String::new();
        // In the order of the key, so that neighbours go to one page while it is at hand. Stable:
        // of two rows with one key the later one is written later.
        let mut in_order: Vec<&Judged> = trades.iter().collect();
        in_order.sort_by(|a, b| key(&a.trade).cmp(&key(&b.trade)));
        for judged in in_order {
            self.trade(&mut statement, judged, &mut conditions)?;
        }
        Ok(())
    }

    fn trade(
        &self,
        statement: &mut CachedStatement<'_>,
        judged: &Judged,
        conditions: &mut String,
    ) -> rusqlite::Result<()> {
        let trade = &judged.trade;
        conditions.clear();
        if let Some(codes) = &trade.conditions {
            row::write_conditions(codes, conditions);
        }
        let ttl_s = match judged.disposition.is_silver() {
            true => self.lifetimes.silver_s,
            false => self.lifetimes.bronze_s,
        };
        let reason = judged.disposition.reason();
        statement.execute(params![
            row::key_symbol(&trade.symbol),
            trade.trade_time_ms,
            trade.connection,
            trade.seq,
            trade.price,
            trade.volume,
            trade.conditions.as_ref().map(|_| conditions.as_str()),
            trade.received_at_us,
            trade.feed.as_str(),
            judged.disposition.as_str(),
            (!reason.is_empty()).then_some(reason),
            judged.session.map(|session| session.as_str()),
            row::updates_text(judged),
            judged.origin.partition,
            judged.origin.offset,
            judged.lateness.map(|late| late.watermark_ms),
            judged.lateness.map(|late| late.late_by_ms),
            judged.lateness.map(|late| late.window_start_ms),
            judged.lateness.map(|late| late.window.as_str()),
            row::trade_write_timestamp_us(judged),
            self.expires_s(ttl_s, row::trade_age_s(trade, self.now_us)),
        ])?;
        Ok(())
    }

    fn gold_of(&self, interval: Interval) -> &Gold {
        let found = self.gold.iter().find(|gold| gold.interval == interval);
        found.expect("the store looked for the interval before it began")
    }

    /// Bars with their write timestamps.
    pub fn bars(&self, bars: &[(&Bar, i64)]) -> rusqlite::Result<()> {
        for (bar, timestamp_us) in bars {
            let insert = &self.gold_of(bar.interval).insert;
            let mut statement = self.transaction.prepare_cached(insert)?;
            let mut row = Binder { statement: &mut statement, next: 1 };
            self.bind_bar(&mut row, bar, *timestamp_us)?;
            statement.raw_execute()?;
        }
        Ok(())
    }

    /// Revisions with their write timestamps.
    pub fn revisions(&self, revisions: &[(&BarRevision, i64)]) -> rusqlite::Result<()> {
        if revisions.is_empty() {
            return Ok(());
        }
        let mut statement = self.transaction.prepare_cached(&tables::insert_revision())?;
        for (BarRevision { bar, why }, timestamp_us) in revisions {
            let mut row = Binder { statement: &mut statement, next: 1 };
            row.bind(bar.interval.to_string())?;
            row.bind(why.as_str())?;
            self.bind_bar(&mut row, bar, *timestamp_us)?;
            statement.raw_execute()?;
        }
        Ok(())
    }

    /// Removals with their write timestamps.
    pub fn remove(&self, bars: &[(&BarRemoval, i64)]) -> rusqlite::Result<()> {
        for (bar, timestamp_us) in bars {
            let remove = &self.gold_of(bar.interval).remove;
            let mut statement = self.transaction.prepare_cached(remove)?;
            statement.execute(params![bar.symbol, bar.start_ms, timestamp_us])?;
        }
        Ok(())
    }

    /// The columns of a bar as the tables order them.
    fn bind_bar(
        &self,
        row: &mut Binder<'_, '_>,
        bar: &Bar,
        timestamp_us: i64,
    ) -> rusqlite::Result<()> {
        bind_plain_columns(row, bar)?;
        row.bind(timestamp_us)?;
        let ttl_s = self.lifetimes.gold_s(bar.interval).unwrap_or(0);
        row.bind(self.expires_s(ttl_s, row::bar_age_s(bar, self.now_us)))?;
        for point in [bar.open, bar.high, bar.low, bar.close] {
            row.bind(point.map(|point| point.trade_time_ms))?;
            row.bind(point.map(|point| point.connection))?;
            row.bind(point.map(|point| point.seq))?;
        }
        for excluded in &bar.excluded {
            row.bind(excluded.volume.to_f64())?;
            row.bind(excluded.volume.to_string())?;
            row.bind(excluded.count)?;
        }
        Ok(())
    }

    pub fn events(&self, stored: &[StoredEvent]) -> rusqlite::Result<()> {
        let mut statement = self.transaction.prepare_cached(tables::INSERT_EVENT)?;
        for StoredEvent { origin, event } in stored {
            let age_s = row::event_age_s(event, self.now_us);
            statement.execute(params![
                origin.partition,
                event.at_us,
                event.connection,
                event.seq,
                event.kind.as_str(),
                event.feed,
                event.feed_time_ms,
                event.confirmed_at_us,
                event.confirmed_feed_time_ms,
                row::symbols_text(&event.symbols),
                event.lost_records,
                (!event.detail.is_empty()).then_some(&event.detail),
                origin.offset,
                self.expires_s(self.lifetimes.feed_events_s, age_s),
            ])?;
        }
        Ok(())
    }

    pub fn gaps(&self, gaps: &[FeedGap]) -> rusqlite::Result<()> {
        let mut statement = self.transaction.prepare_cached(tables::INSERT_GAP)?;
        for gap in gaps {
            statement.execute(params![
                row::key_symbol(&gap.symbol),
                gap.from_ms,
                gap.connection,
                gap.cause.as_str(),
                gap.feed,
                gap.to_ms,
                gap.to_ms.map(|to_ms| to_ms.saturating_sub(gap.from_ms)),
                gap.next_connection,
                gap.lost_records,
                gap.detail,
                row::gap_write_timestamp_us(gap),
                self.expires_s(self.lifetimes.feed_gaps_s, row::gap_age_s(gap, self.now_us)),
            ])?;
        }
        Ok(())
    }

    pub fn symbols(&self, symbols: &[String]) -> rusqlite::Result<()> {
        let mut statement = self.transaction.prepare_cached(tables::INSERT_SYMBOL)?;
        for symbol in symbols.iter().filter(|symbol| !symbol.is_empty()) {
            statement.execute([row::key_symbol(symbol)])?;
        }
        Ok(())
    }
}

/// The primary key of a trade's row.
fn key(trade: &Trade) -> (&str, i64, i64, i64) {
    (&trade.symbol, trade.trade_time_ms, trade.connection, trade.seq)
}

/// Binds one value after the other.
struct Binder<'a, 'c> {
    statement: &'a mut CachedStatement<'c>,
    next: usize,
}

impl Binder<'_, '_> {
    fn bind(&mut self, value: impl ToSql) -> rusqlite::Result<()> {
        self.statement.raw_bind_parameter(self.next, value)?;
        self.next += 1;
        Ok(())
    }
}

/// The key and the plain columns, as `tables::gold_columns` orders them.
fn bind_plain_columns(row: &mut Binder<'_, '_>, bar: &Bar) -> rusqlite::Result<()> {
    row.bind(&*bar.symbol)?;
    row.bind(bar.window.start_ms)?;
    row.bind(bar.window.end_ms)?;
    for point in [bar.open, bar.high, bar.low, bar.close] {
        row.bind(point.map(|point| point.price))?;
    }
    row.bind(bar.volume.to_f64())?;
    row.bind(bar.volume.to_string())?;
    row.bind(bar.vwap)?;
    row.bind(bar.trade_count)?;
    row.bind(bar.state.as_str())?;
    row.bind(bar.revision)?;
    row.bind(bar.generation)?;
    row.bind(bar.coverage)?;
    row.bind(bar.gap_ms)?;
    row.bind(bar.verdict.as_str())?;
    row.bind(bar.session.map(|session| session.as_str()))?;
    row.bind(bar.conditions_version)?;
    row.bind(bar.late_included)
}
