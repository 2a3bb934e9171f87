//! The log of a partition, put together again from the store: bronze holds every element with its
//! offset, and `feed_events` every event, so sorting by offset gives the log back.
//!
//! Trades are found by their own time and events by the producer's clock. A recording of years ago
//! has both years apart, so the arrival times of the trades say where the events are.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::engine::Rules;
use crate::engine::intake::SUBSCRIBED_AGAIN_EVERY_US;
use crate::engine::recompute::{Partition, Recomputed, Record, Recorded, recompute};
use crate::error::{Error, Result};
use crate::model::{Disposition, FeedEventKind, Judged, RejectReason, Trade, partition_for_key};
use crate::port::{StoreReader, Tier, TradeQuery};

use super::range::Slice;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// For delays, and for what producers tell a little later than they should, ms.
const MARGIN_MS: i64 = 300_000;
/// A feed that is silent over a long week-end closes its last windows when it comes back, ms.
const READ_ON_MS: i64 = 4 * DAY_MS;
const PIECE_MS: i64 = 4 * HOUR_MS;
/// So far back a subscription is looked for when the last hour has none, ms.
const LOOK_BACK_MS: i64 = 7 * DAY_MS;

/// Reads the log of a partition out of the store.
pub struct LogReader<'a> {
    pub reader: &'a dyn StoreReader,
    pub rules: Arc<Rules>,
    pub partition_count: u32,
    /// Every symbol that a trade is known of.
    pub symbols: &'a [String],
    pub now_ms: i64,
}

/// A stretch of the log around a slice of time, and what it came to.
pub struct Stretch {
    pub partition: Partition,
    pub log: Vec<Record>,
    pub recomputed: Recomputed,
    /// The least time from a trade to its arrival, ms: maps trade times to the producer's clock.
    pub least_delay_ms: i64,
    /// Trades were read up to here, trade time, ms.
    end_ms: i64,
}

/// Least and greatest time from a trade to its arrival, ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Delays {
    least_ms: i64,
    most_ms: i64,
}

/// What has to be read before a slice: an hour in which every connection tells its symbols, and
/// whatever a trade or an open window can depend on, ms.
pub fn lead_ms(rules: &Rules) -> i64 {
    let told_again_ms = SUBSCRIBED_AGAIN_EVERY_US / 1_000;
    told_again_ms + MARGIN_MS + rules.allowed_lateness_ms + rules.longest_ms()
}

impl LogReader<'_> {
    /// See `lead_ms`.
    pub fn lead_ms(&self) -> i64 {
        lead_ms(&self.rules)
    }

    /// What has to be read after it, until nothing changes its windows any more, ms.
    fn tail_ms(&self) -> i64 {
        let rules = &self.rules;
        let behind_ms = rules.allowed_lateness_ms + rules.out_of_orderness_ms;
        behind_ms + self.longest_ms() + rules.future_bound_ms + MARGIN_MS
    }

    fn longest_ms(&self) -> i64 {
        self.rules.intervals.last().map_or(0, |longest| longest.length_ms())
    }

    /// The stretch that decides the windows of `slice`.
    ///
    /// # Errors
    /// `Config` when the rows were written with another partition count; the store's own errors.
    pub fn read(&self, partition: i32, slice: Slice) -> Result<Stretch> {
        let end_ms = slice.to_ms.saturating_add(self.tail_ms());
        let mut stretch = Stretch {
            partition: Partition { index: partition, count: self.partition_count },
            log: self.trades(partition, slice.from_ms.saturating_sub(self.lead_ms()), end_ms)?,
            recomputed: Recomputed::default(),
            least_delay_ms: 0,
            end_ms,
        };
        self.complete(&mut stretch, slice)?;
        Ok(stretch)
    }

    /// Reads on until the watermark has settled the slice, or nothing more can have come.
    ///
    /// # Errors
    /// As of `read`.
    pub fn read_on(&self, stretch: &mut Stretch, slice: Slice) -> Result<()> {
        let limit_ms = slice.to_ms.saturating_add(READ_ON_MS);
        let last_ms = slice.to_ms.saturating_add(self.longest_ms());
        while !stretch.recomputed.is_settled(last_ms, &self.rules) {
            let arrived_ms = stretch.end_ms.saturating_add(stretch.least_delay_ms);
            if stretch.end_ms >= limit_ms || arrived_ms > self.now_ms {
                return Ok(());
            }
            let from_ms = stretch.end_ms;
            stretch.end_ms = from_ms.saturating_add(PIECE_MS);
            let more = self.trades(stretch.partition.index, from_ms, stretch.end_ms)?;
            if !more.is_empty() {
                stretch.log.retain(|record| trade_of(record).is_some());
                stretch.log.extend(more);
                self.complete(stretch, slice)?;
            }
        }
        Ok(())
    }

    /// Whether bronze holds a trade of the symbol in `[from_ms, to_ms)`.
    ///
    /// # Errors
    /// The store's own.
    pub fn has_trades(&self, symbol: &str, from_ms: i64, to_ms: i64) -> Result<bool> {
        let (symbol, tier) = (symbol.to_owned(), Tier::Bronze);
        let query = TradeQuery { symbol, tier, from_ms, to_ms, limit: 1 };
        Ok(!self.reader.trades(&query)?.is_empty())
    }

    /// Puts the events to the trades, and recomputes.
    fn complete(&self, stretch: &mut Stretch, slice: Slice) -> Result<()> {
        let delays = delays_of(&stretch.log);
        let future_ms = self.rules.future_bound_ms;
        stretch.least_delay_ms = delays.map_or(0, |delays| delays.least_ms.max(-future_ms));
        self.add_events(stretch, delays.unwrap_or(Delays { least_ms: 0, most_ms: 0 }), slice)?;
        stretch.log.sort_by_key(|record| record.offset);
        check_offsets(&stretch.log, stretch.partition.index)?;
        stretch.recomputed = recompute(&self.rules, stretch.partition, &stretch.log);
        Ok(())
    }

    /// Trades of all symbols of the partition with `from_ms <= trade time < to_ms`: the watermark
    /// and with it the lateness of a trade depend on all of them.
    fn trades(&self, partition: i32, from_ms: i64, to_ms: i64) -> Result<Vec<Record>> {
        let mut records = Vec::new();
        for symbol in self.symbols {
            if partition_for_key(symbol.as_bytes(), self.partition_count) != partition {
                continue;
            }
            let (tier, limit) = (Tier::Bronze, usize::MAX);
            let query = TradeQuery { symbol: symbol.clone(), tier, from_ms, to_ms, limit };
            for judged in self.reader.trades(&query)? {
                if !is_stray(&judged) {
                    self.check_partition(&judged, partition)?;
                    let offset = judged.origin.offset;
                    records.push(Record { offset, content: Recorded::Trade(judged.trade) });
                }
            }
        }
        Ok(records)
    }

    fn check_partition(&self, judged: &Judged, expected: i32) -> Result<()> {
        let found = judged.origin.partition;
        if found == expected {
            return Ok(());
        }
        let (symbol, count) = (&judged.trade.symbol, self.partition_count);
        Err(Error::Config(format!(
            "bronze has {symbol} in partition {found}, but of {count} partitions it belongs to \
             {expected}; set topics.partitions to the number that the trades were written with"
        )))
    }

    fn add_events(&self, stretch: &mut Stretch, delays: Delays, slice: Slice) -> Result<()> {
        let first_ms = slice.from_ms.saturating_sub(self.lead_ms());
        let lead_ms = SUBSCRIBED_AGAIN_EVERY_US / 1_000 + MARGIN_MS;
        let mut from_ms = first_ms.saturating_add(delays.least_ms).saturating_sub(lead_ms);
        let to_ms = stretch.end_ms.saturating_add(delays.most_ms).saturating_add(MARGIN_MS);
        let to_ms = to_ms.min(self.now_ms.saturating_add(DAY_MS));
        let mut unowned = symbols_of(&stretch.log);
        let begins_at = first_offset_from(&stretch.log, slice.from_ms);
        let mut add = |from_ms: i64, to_ms: i64| -> Result<bool> {
            for stored in self.reader.events(from_ms, to_ms)? {
                if stored.origin.partition != stretch.partition.index {
                    continue;
                }
                let event = stored.event;
                let offset = stored.origin.offset;
                if event.kind == FeedEventKind::Subscribed && offset < begins_at {
                    unowned.retain(|symbol| !event.symbols.contains(symbol));
                }
                stretch.log.push(Record { offset, content: Recorded::Event(event) });
            }
            Ok(unowned.is_empty())
        };
        let limit_ms = from_ms.saturating_sub(LOOK_BACK_MS);
        let mut step_ms = lead_ms;
        let mut is_owned = add(from_ms, to_ms)?;
        // Whoever was not told of in the last hour lost its feed before, or never had one.
        while !is_owned && from_ms > limit_ms {
            let before_ms = from_ms;
            from_ms = from_ms.saturating_sub(step_ms).max(limit_ms);
            step_ms = step_ms.saturating_mul(2);
            is_owned = add(from_ms, before_ms)?;
        }
        Ok(())
    }
}

/// Rejected for what it was filed under: its key is not in bronze, so it cannot be judged again. It
/// changes no bar.
fn is_stray(judged: &Judged) -> bool {
    matches!(
        judged.disposition,
        Disposition::Rejected(RejectReason::KeyMismatch | RejectReason::WrongPartition)
    )
}

/// The engine takes an offset once. Two records at one place are of two logs.
fn check_offsets(log: &[Record], partition: i32) -> Result<()> {
    let Some(pair) = log.windows(2).find(|pair| pair[0].offset == pair[1].offset) else {
        return Ok(());
    };
    let offset = pair[0].offset;
    Err(Error::Config(format!(
        "bronze and feed_events hold two records of partition {partition} at offset {offset}: the \
         trades topic was made anew in between; give --from or --to so that the range is of one log"
    )))
}

fn symbols_of(log: &[Record]) -> BTreeSet<String> {
    let mut symbols = BTreeSet::new();
    for trade in log.iter().filter_map(trade_of) {
        if !symbols.contains(trade.symbol.as_str()) {
            symbols.insert(trade.symbol.to_string());
        }
    }
    symbols
}

/// Where the first trade of `from_ms` or later stands.
fn first_offset_from(log: &[Record], from_ms: i64) -> i64 {
    let later = log
        .iter()
        .filter(|record| trade_of(record).is_some_and(|trade| trade.trade_time_ms >= from_ms));
    later.map(|record| record.offset).min().unwrap_or(i64::MAX)
}

fn trade_of(record: &Record) -> Option<&Trade> {
    match &record.content {
        Recorded::Trade(trade) => Some(trade),
        Recorded::Event(_) => None,
    }
}

fn delays_of(log: &[Record]) -> Option<Delays> {
    let delays = log.iter().filter_map(trade_of).map(|trade| match trade.received_at_us {
        // Without an arrival it came when it happened.
        0 => 0,
        received_us => received_us.div_euclid(1_000).saturating_sub(trade.trade_time_ms),
    });
    delays.fold(None, |known: Option<Delays>, delay_ms| {
        Some(known.map_or(Delays { least_ms: delay_ms, most_ms: delay_ms }, |known| Delays {
            least_ms: known.least_ms.min(delay_ms),
            most_ms: known.most_ms.max(delay_ms),
        }))
    })
}
