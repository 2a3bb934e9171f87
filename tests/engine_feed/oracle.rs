//! What can be known of a symbol's feed from a log, second by second, straight from the definition:
//! a second is up when the connection that owned the symbol then was heard of at or after its end;
//! not settled while a connection lives that may still be heard of; missing otherwise.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use ticksmith::model::{FeedEvent, FeedEventKind, Interval, Trade, partition_for_key};

use crate::world::Record;

const OUT_OF_ORDERNESS_MS: i64 = 2_000;
const LATENESS_MS: i64 = 600_000;
const SECOND_MS: i64 = 1_000;

/// Symbol, interval length and window start, ms.
pub type Key = (String, i64, i64);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Second {
    Up,
    Lost,
    Missing,
    Unsettled,
}

#[derive(Debug, Clone)]
struct Connection {
    feed: String,
    live: bool,
    /// Feed time − producer's clock, ms; in this world a constant of the feed.
    offset_ms: Option<i64>,
    feed_time_ms: Option<i64>,
    confirmed_ms: Option<i64>,
}

/// A symbol's owner from an instant on.
#[derive(Debug, Clone)]
struct Owner {
    connection: i64,
    since_us: i64,
    /// How far those before it had been heard of when it came, or since when they were there.
    came_after_ms: i64,
}

struct Tenure {
    from_ms: i64,
    to_ms: i64,
    heard_ms: i64,
    live: bool,
}

#[derive(Debug, Clone)]
struct Loss {
    from_ms: i64,
    to_ms: i64,
}

/// Everything that one partition's log has told so far.
#[derive(Debug, Clone, Default)]
pub struct Knowledge {
    connections: HashMap<i64, Connection>,
    owners: BTreeMap<String, Vec<Owner>>,
    losses: BTreeMap<String, Vec<Loss>>,
    pub watermark_ms: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Merged,
    NotOwner,
    Late,
}

impl Knowledge {
    pub fn trade(&mut self, trade: &Trade) -> Ending {
        let owner = self.owners.get(trade.symbol.as_str()).and_then(|owners| owners.last());
        let is_other = |owner: &Owner| {
            owner.connection != trade.connection && trade.received_at_us > owner.since_us
        };
        if owner.is_some_and(is_other) {
            return Ending::NotOwner;
        }
        let bound = self.watermark_ms.map(|watermark| watermark - LATENESS_MS);
        let ending = match bound {
            Some(bound) if trade.trade_time_ms < bound => Ending::Late,
            _ => Ending::Merged,
        };
        let connection = self.connections.get_mut(&trade.connection).expect("it connected");
        connection.feed_time_ms = connection.feed_time_ms.max(Some(trade.trade_time_ms));
        if connection.live {
            connection.confirmed_ms = connection.confirmed_ms.max(Some(trade.trade_time_ms));
        }
        self.advance();
        ending
    }

    pub fn event(&mut self, event: &FeedEvent) {
        use FeedEventKind::{Connected, DecodeLoss, Disconnected, Overflow};
        use FeedEventKind::{Heartbeat, Released, Silence, Subscribed};
        if event.kind == Connected {
            // A key has one connection.
            for other in self.connections.values_mut().filter(|other| other.feed == event.feed) {
                other.live = false;
            }
            self.connections.insert(
                event.connection,
                Connection {
                    feed: event.feed.clone(),
                    live: true,
                    offset_ms: None,
                    feed_time_ms: None,
                    confirmed_ms: None,
                },
            );
        }
        let connection = self.connections.get_mut(&event.connection).expect("it connected");
        if let Some(feed_time_ms) = event.feed_time_ms {
            connection.offset_ms = Some(feed_time_ms - event.at_us / 1_000);
        }
        connection.confirmed_ms = connection.confirmed_ms.max(event.confirmed_feed_time_ms);
        match event.kind {
            Heartbeat => connection.feed_time_ms = connection.feed_time_ms.max(event.feed_time_ms),
            Disconnected | Silence | Released => connection.live = false,
            Subscribed => self.subscribed(event),
            Overflow | DecodeLoss => self.lost(event),
            Connected => {}
        }
        self.advance();
    }

    fn is_live(&self, connection: i64) -> bool {
        self.connections.get(&connection).is_some_and(|known| known.live)
    }

    fn subscribed(&mut self, event: &FeedEvent) {
        for symbol in &event.symbols {
            let newest = self.owners.get(symbol).and_then(|owners| owners.last());
            let newest = newest.map(|owner| owner.connection);
            let stays = newest.is_some_and(|newest| {
                newest == event.connection || newest > event.connection && self.is_live(newest)
            });
            if !stays {
                let before = self.owners.get(symbol).map_or(&[][..], Vec::as_slice);
                let owner = Owner {
                    connection: event.connection,
                    since_us: event.at_us,
                    came_after_ms: self.came_to_ms(before),
                };
                self.owners.entry(symbol.clone()).or_default().push(owner);
            }
        }
    }

    fn came_to_ms(&self, owners: &[Owner]) -> i64 {
        let heard = self.tenures(owners).into_iter().map(|one| one.heard_ms.min(one.to_ms));
        let came = (0..owners.len()).filter_map(|index| self.known_from_ms(owners, index));
        heard.chain(came).max().unwrap_or(i64::MIN)
    }

    fn lost(&mut self, event: &FeedEvent) {
        let hit = |symbol: &String| event.symbols.is_empty() || event.symbols.contains(symbol);
        let symbols: Vec<String> = self.owners.keys().filter(|one| hit(one)).cloned().collect();
        for symbol in symbols {
            let owners = &self.owners[&symbol];
            let own = owners.iter().rposition(|one| one.connection == event.connection);
            let Some(own) = own else { continue };
            let Some(to_ms) = event.feed_time_ms else {
                // Nothing is vouched for before it.
                if own + 1 == owners.len() && event.at_us > owners[own].since_us {
                    let came_after_ms = self.came_to_ms(&owners[..own]);
                    let owners = self.owners.get_mut(&symbol).expect("it is one of its keys");
                    owners[own] =
                        Owner { since_us: event.at_us, came_after_ms, ..owners[own].clone() };
                }
                continue;
            };
            let is_span = event.kind == FeedEventKind::Overflow;
            let from_ms = if is_span { event.confirmed_feed_time_ms } else { Some(to_ms) };
            let from_ms = from_ms.expect("dated events are confirmed");
            // What a successor delivered was not lost.
            let owners = &self.owners[&symbol];
            let later = own + 1..owners.len();
            let next_ms = later.filter_map(|next| self.known_from_ms(owners, next)).min();
            let to_ms = to_ms.min(next_ms.unwrap_or(i64::MAX));
            if from_ms <= to_ms {
                self.losses.entry(symbol).or_default().push(Loss { from_ms, to_ms });
            }
        }
    }

    fn advance(&mut self) {
        let live = self.connections.values().filter(|one| one.live);
        if let Some(slowest_ms) = live.filter_map(|one| one.feed_time_ms).min() {
            self.watermark_ms = self.watermark_ms.max(Some(slowest_ms - OUT_OF_ORDERNESS_MS));
        }
    }

    /// When each owner had the symbol, and until when it was heard of.
    fn tenures(&self, owners: &[Owner]) -> Vec<Tenure> {
        let mut tenures = Vec::new();
        let mut came_to_ms = i64::MIN;
        for (index, owner) in owners.iter().enumerate() {
            let known = &self.connections[&owner.connection];
            let from_ms = self.known_from_ms(owners, index);
            let later = index + 1..owners.len();
            let taken = later.filter_map(|next| self.known_from_ms(owners, next));
            let to_ms = taken.min().unwrap_or(i64::MAX);
            let heard_ms = known.confirmed_ms.filter(|_| from_ms.is_some());
            tenures.push(Tenure {
                // One without a date came after those before it that were heard of or live still.
                from_ms: from_ms.unwrap_or(came_to_ms),
                to_ms,
                heard_ms: heard_ms.unwrap_or(i64::MIN),
                live: known.live,
            });
            let until_ms = heard_ms.map(|heard_ms| heard_ms.min(to_ms));
            let came_ms = from_ms.filter(|_| heard_ms.is_some() || known.live);
            came_to_ms = came_to_ms.max(until_ms.max(came_ms).unwrap_or(i64::MIN));
        }
        tenures
    }

    /// When an owner began in feed time, as far as the log tells: by its own first trade; else by
    /// the clock of the connection before it of the same feed; else by that of the owner before,
    /// whose clock may differ, but which was heard of before the takeover.
    fn known_from_ms(&self, owners: &[Owner], index: usize) -> Option<i64> {
        let owner = &owners[index];
        let own = &self.connections[&owner.connection];
        let since_ms = owner.since_us / 1_000;
        let is_before = |(id, other): &(&i64, &Connection)| {
            **id < owner.connection && other.feed == own.feed && other.offset_ms.is_some()
        };
        let before = || self.connections.iter().filter(is_before).max_by_key(|(id, _)| **id);
        if let Some(offset_ms) = own.offset_ms.or_else(|| before()?.1.offset_ms) {
            return Some(since_ms + offset_ms);
        }
        let dated =
            |before: &usize| self.connections[&owners[*before].connection].offset_ms.is_some();
        let before = (0..index).rev().find(dated)?;
        let offset_ms = self.connections[&owners[before].connection].offset_ms?;
        let not_before_ms = self.known_from_ms(owners, before).max(Some(owner.came_after_ms));
        not_before_ms.max(Some(since_ms + offset_ms))
    }

    /// The first second of which it is known that somebody listened.
    pub fn first_up_ms(&self, symbol: &str) -> Option<i64> {
        let owners = self.owners.get(symbol)?;
        let heard = |owner: &&Owner| self.connections[&owner.connection].confirmed_ms.is_some();
        let indexes = (0..owners.len()).filter(|index| heard(&&owners[*index]));
        indexes.into_iter().find_map(|index| self.known_from_ms(owners, index))
    }

    /// Every second of `[from_ms, to_ms)`.
    pub fn seconds(&self, symbol: &str, from_ms: i64, to_ms: i64) -> Vec<Second> {
        let tenures = self.tenures(self.owners.get(symbol).map_or(&[], Vec::as_slice));
        let losses = self.losses.get(symbol).map_or(&[][..], Vec::as_slice);
        let second = |at_ms| {
            let of_then = |one: &&Tenure| one.from_ms <= at_ms && at_ms < one.to_ms;
            let then = tenures.iter().filter(of_then);
            let is_up = then.clone().any(|one| at_ms + SECOND_MS <= one.heard_ms);
            let is_lost = |loss: &Loss| loss.from_ms <= at_ms && at_ms < loss.to_ms;
            match is_up {
                true if losses.iter().any(is_lost) => Second::Lost,
                true => Second::Up,
                false if then.clone().any(|one| one.live) => Second::Unsettled,
                false => Second::Missing,
            }
        };
        (from_ms..to_ms).step_by(SECOND_MS as usize).map(second).collect()
    }

    /// Something was lost in `[from_ms, to_ms)`.
    pub fn has_losses(&self, symbol: &str, from_ms: i64, to_ms: i64) -> bool {
        let losses = self.losses.get(symbol).into_iter().flatten();
        let mut hits = losses.filter(|loss| {
            let at_instant = loss.from_ms == loss.to_ms && loss.from_ms >= from_ms;
            loss.from_ms < to_ms && (loss.to_ms > from_ms || at_instant)
        });
        hits.next().is_some()
    }
}

/// A bar as far as this oracle goes.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    pub volume: f64,
    pub trade_count: i64,
    /// The watermark passed the end.
    pub closed: bool,
    /// What could be known when its window was forgotten, or at the end of the log.
    pub knowledge: Rc<Knowledge>,
}

/// The partition's part of the log.
pub fn of_partition(log: &[Record], partition: i32, count: u32) -> Vec<Record> {
    let belongs = |record: &&Record| match record {
        Record::Trade(trade) => partition_for_key(trade.symbol.as_bytes(), count) == partition,
        Record::Event(_) => true,
    };
    log.iter().filter(belongs).cloned().collect()
}

/// Bars and endings of one partition's log.
pub fn judge(log: &[Record], intervals: &[Interval]) -> (BTreeMap<Key, Expected>, Vec<Ending>) {
    let mut bars: BTreeMap<Key, Expected> = BTreeMap::new();
    let mut endings = Vec::new();
    let mut knowledge = Knowledge::default();
    for record in log {
        match record {
            Record::Event(event) => knowledge.event(event),
            Record::Trade(trade) => {
                let ending = knowledge.trade(trade);
                endings.push(ending);
                if ending == Ending::Merged {
                    for interval in intervals {
                        let start_ms = interval.window_of(trade.trade_time_ms).start_ms;
                        let key = (trade.symbol.to_string(), interval.length_ms(), start_ms);
                        let bar = bars.entry(key).or_default();
                        bar.volume += trade.volume;
                        bar.trade_count += 1;
                    }
                }
            }
        }
        let now = Rc::new(knowledge.clone());
        for ((_, length_ms, start_ms), bar) in &mut bars {
            let forgotten_ms = start_ms + length_ms + LATENESS_MS;
            let is_kept = bar.knowledge.watermark_ms.is_none_or(|seen_ms| seen_ms < forgotten_ms);
            if is_kept {
                bar.knowledge = Rc::clone(&now);
                bar.closed = knowledge.watermark_ms >= Some(start_ms + length_ms);
            }
        }
    }
    (bars, endings)
}
