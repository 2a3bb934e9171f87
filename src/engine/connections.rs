//! The connections that a partition has heard of: duplicate marks, liveness and the watermark.
//!
//! The log keeps the order of one connection, so a high-water mark per connection is a complete
//! duplicate filter: a seq gap is never filled later.

use crate::model::{ConnectionState, FeedEvent, FeedEventKind, GapCause, PartitionMeta};

/// More connections than this are never kept; the oldest ended ones give way.
const CONNECTIONS_LIMIT: usize = 4_096;

/// What the marks say of a numbered record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// First of its number.
    New,
    /// At or below the mark of its connection.
    Seen,
    /// Of a connection whose mark was dropped: nobody can tell any more.
    Dropped,
}

/// What an event changed beside the mark.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The new watermark, if it advanced.
    pub watermark_ms: Option<i64>,
    /// The connection has a feed time from now on.
    pub is_dated: bool,
}

/// State of all connections of one partition.
#[derive(Debug, Clone)]
pub struct Connections {
    known: Vec<ConnectionState>,
    /// Index of the connection used last; neighbouring records share it.
    recent: usize,
    dropped_up_to: i64,
    watermark_ms: Option<i64>,
    out_of_orderness_ms: i64,
    /// A mark outlives the end of its connection by so much watermark, ms.
    horizon_ms: i64,
    /// By connection: the first end of a closed window that waits for its confirmation, ms. Nearly
    /// always empty.
    awaited: Vec<(i64, i64)>,
}

impl Connections {
    pub fn new(out_of_orderness_ms: i64, horizon_ms: i64) -> Self {
        Self {
            known: Vec::new(),
            recent: 0,
            dropped_up_to: 0,
            watermark_ms: None,
            out_of_orderness_ms,
            horizon_ms,
            awaited: Vec::new(),
        }
    }

    /// Goes on from what the meta record holds.
    pub fn restore(&mut self, meta: &PartitionMeta) {
        self.known.clone_from(&meta.connections);
        self.dropped_up_to = meta.dropped_up_to;
        self.watermark_ms = meta.watermark_ms;
        self.recent = 0;
    }

    /// Writes its part of the meta record.
    pub fn save(&self, meta: &mut PartitionMeta) {
        meta.connections.clone_from(&self.known);
        meta.dropped_up_to = self.dropped_up_to;
        meta.watermark_ms = self.watermark_ms;
    }

    /// `None` until the first trade with a feed time.
    pub fn watermark_ms(&self) -> Option<i64> {
        self.watermark_ms
    }

    /// Passes a record through the mark of its connection, and raises the mark.
    pub fn pass(&mut self, connection: i64, seq: i64, feed: &str) -> Mark {
        let Some(state) = self.find_or_add(connection, feed) else { return Mark::Dropped };
        if seq <= state.mark {
            return Mark::Seen;
        }
        state.mark = seq;
        Mark::New
    }

    /// Newest feed time of the connection used last, ms.
    pub fn feed_time_ms(&self) -> Option<i64> {
        self.known.get(self.recent).and_then(|state| state.feed_time_ms)
    }

    /// An accepted trade of the connection used last. Returns the new watermark if it advanced.
    pub fn accept(&mut self, trade_time_ms: i64) -> Option<i64> {
        let state = self.known.get_mut(self.recent)?;
        confirm(state, Some(trade_time_ms));
        if state.feed_time_ms.is_some_and(|newest| newest >= trade_time_ms) {
            return None;
        }
        state.feed_time_ms = Some(trade_time_ms);
        self.advance()
    }

    /// A feed event of the connection used last.
    pub fn observe(&mut self, event: &FeedEvent) -> Observed {
        let mut observed = Observed::default();
        if event.kind == FeedEventKind::Connected {
            self.supersede(event);
        }
        let watermark_ms = self.watermark_ms.unwrap_or(i64::MIN);
        let is_superseded = self.is_superseded(event);
        let Some(state) = self.known.get_mut(self.recent) else { return observed };
        if ending(event.kind).is_some() {
            // Nothing more will come of it.
            self.awaited.retain(|(connection, _)| *connection != event.connection);
        }
        confirm(state, event.confirmed_feed_time_ms);
        if let (None, Some(feed_time_ms)) = (state.ended_by, event.feed_time_ms) {
            observed.is_dated = state.feed_offset_ms.is_none();
            state.feed_offset_ms = Some(feed_time_ms - event.at_us.div_euclid(1_000));
        }
        match ending(event.kind) {
            Some(cause) if state.ended_by.is_none() => end(state, watermark_ms, cause),
            None if state.ended_by.is_none() && !state.live => {
                // A log that begins after the `connected` event still proves liveness by the rest.
                state.live = !is_superseded;
                if is_superseded {
                    end(state, watermark_ms, GapCause::ProducerLost);
                }
            }
            _ => {}
        }
        if event.kind == FeedEventKind::Heartbeat && event.feed_time_ms > state.feed_time_ms {
            state.feed_time_ms = event.feed_time_ms;
        }
        observed.watermark_ms = self.advance();
        observed
    }

    /// A key has one connection: a newer one of the same feed ends the older ones, which is how the
    /// log learns of a producer that was killed.
    fn supersede(&mut self, event: &FeedEvent) {
        let watermark_ms = self.watermark_ms.unwrap_or(i64::MIN);
        for state in &mut self.known {
            if state.live && state.feed == event.feed && state.connection < event.connection {
                end(state, watermark_ms, GapCause::ProducerLost);
            }
        }
    }

    /// What a producer had queued before another one took its key arrives late: its connection
    /// never lives here, or it would hold the watermark for good.
    fn is_superseded(&self, event: &FeedEvent) -> bool {
        let is_newer = |state: &ConnectionState| state.connection > event.connection;
        self.known.iter().any(|state| state.live && state.feed == event.feed && is_newer(state))
    }

    /// What is known of a connection, while its mark is kept.
    pub fn find(&self, connection: i64) -> Option<&ConnectionState> {
        // The newest ones, which nearly everybody asks for, are last.
        self.known.iter().rev().find(|state| state.connection == connection)
    }

    /// How feed time related to the producer's clock on the connection before of the same feed, ms.
    pub fn offset_before(&self, connection: i64) -> Option<i64> {
        let feed = &self.find(connection)?.feed;
        let earlier = self.known.iter().filter(|state| state.connection < connection);
        let dated = earlier.filter(|state| state.feed == *feed && state.feed_offset_ms.is_some());
        dated.max_by_key(|state| state.connection)?.feed_offset_ms
    }

    /// Connected, and not known to have ended.
    pub fn is_live(&self, connection: i64) -> bool {
        self.find(connection).is_some_and(|state| state.live)
    }

    /// A closed window that ends at `end_ms` waits until `connection` is confirmed so far.
    pub fn await_confirmation(&mut self, connection: i64, end_ms: i64) {
        match self.awaited.iter_mut().find(|(awaited, _)| *awaited == connection) {
            Some((_, first_ms)) => *first_ms = end_ms.min(*first_ms),
            None => self.awaited.push((connection, end_ms)),
        }
    }

    /// The connection used last, when what was awaited of it has come; it is awaited no longer.
    pub fn take_confirmed(&mut self) -> Option<i64> {
        if self.awaited.is_empty() {
            return None;
        }
        let state = self.known.get(self.recent)?;
        let index = self.awaited.iter().position(|(connection, end_ms)| {
            *connection == state.connection && state.confirmed_ms >= Some(*end_ms)
        })?;
        Some(self.awaited.swap_remove(index).0)
    }

    /// Minimum over the live connections that have a feed time; without any live one (a foreign
    /// producer that writes no feed events), the newest time seen. Never goes back.
    fn advance(&mut self) -> Option<i64> {
        let any_live = self.known.iter().any(|state| state.live);
        let times = |live: bool| {
            self.known
                .iter()
                .filter(move |state| state.live == live && state.ended_at_watermark_ms.is_none())
                .filter_map(|state| state.feed_time_ms)
        };
        let newest = if any_live { times(true).min() } else { times(false).max() };
        let candidate = newest? - self.out_of_orderness_ms;
        if self.watermark_ms.is_some_and(|watermark| watermark >= candidate) {
            return None;
        }
        self.watermark_ms = Some(candidate);
        Some(candidate)
    }

    /// Connections that ended longer ago than their marks are kept, and could be dropped.
    pub fn passed(&self) -> Vec<i64> {
        let Some(watermark_ms) = self.watermark_ms else { return Vec::new() };
        let kept_to = |ended_ms: i64| ended_ms.saturating_add(self.horizon_ms);
        let is_passed = |state: &&ConnectionState| {
            // One that ended before there was a watermark may have ended a moment ago.
            let ended_ms = state.ended_at_watermark_ms.filter(|ended_ms| *ended_ms > i64::MIN);
            ended_ms.is_some_and(|ended_ms| kept_to(ended_ms) < watermark_ms)
        };
        let passed = self.known.iter().filter(is_passed).filter(|state| !self.is_clock(state));
        passed.map(|state| state.connection).collect()
    }

    /// The newest of its feed with a feed time: the next one is dated by its clock.
    fn is_clock(&self, state: &ConnectionState) -> bool {
        let is_newer = |other: &ConnectionState| {
            other.feed == state.feed
                && other.connection > state.connection
                && other.feed_offset_ms.is_some()
        };
        state.feed_offset_ms.is_some() && !self.known.iter().any(is_newer)
    }

    /// Forgets connections; what still comes of them is diverted.
    pub fn drop_marks(&mut self, dropped: &[i64]) {
        let Some(newest) = dropped.iter().max() else { return };
        self.dropped_up_to = self.dropped_up_to.max(*newest);
        let recent = self.known.get(self.recent).map(|state| state.connection);
        self.known.retain(|state| !dropped.contains(&state.connection));
        self.recent = self.position(recent.unwrap_or(0)).unwrap_or(0);
    }

    fn position(&self, connection: i64) -> Option<usize> {
        self.known.iter().position(|state| state.connection == connection)
    }

    fn find_or_add(&mut self, connection: i64, feed: &str) -> Option<&mut ConnectionState> {
        if self.known.get(self.recent).is_none_or(|state| state.connection != connection) {
            self.recent = match self.position(connection) {
                Some(index) => index,
                None if connection <= self.dropped_up_to => return None,
                None => self.add(connection, feed),
            };
        }
        self.known.get_mut(self.recent)
    }

    fn add(&mut self, connection: i64, feed: &str) -> usize {
        if self.known.len() >= CONNECTIONS_LIMIT {
            self.drop_oldest();
        }
        self.known.push(ConnectionState {
            connection,
            feed: feed.to_owned(),
            mark: 0,
            live: false,
            feed_time_ms: None,
            ended_at_watermark_ms: None,
            ended_by: None,
            feed_offset_ms: None,
            confirmed_ms: None,
        });
        self.known.len() - 1
    }

    fn drop_oldest(&mut self) {
        let candidates = self.known.iter().enumerate().filter(|(_, state)| !state.live);
        let oldest = candidates.min_by_key(|(_, state)| state.connection);
        let index = oldest.map_or(0, |(index, _)| index);
        let dropped = self.known.remove(index);
        self.dropped_up_to = self.dropped_up_to.max(dropped.connection);
    }
}

fn end(state: &mut ConnectionState, watermark_ms: i64, cause: GapCause) {
    state.live = false;
    state.ended_at_watermark_ms = Some(watermark_ms);
    state.ended_by = Some(cause);
}

/// A connection that has ended is confirmed no further, whatever a zombie still writes.
fn confirm(state: &mut ConnectionState, time_ms: Option<i64>) {
    if state.ended_by.is_none() {
        state.confirmed_ms = state.confirmed_ms.max(time_ms);
    }
}

fn ending(kind: FeedEventKind) -> Option<GapCause> {
    match kind {
        FeedEventKind::Disconnected => Some(GapCause::Disconnected),
        FeedEventKind::Released => Some(GapCause::Released),
        FeedEventKind::Silence => Some(GapCause::Silence),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HORIZON_MS: i64 = 1_000_000;

    fn event(kind: FeedEventKind, connection: i64, seq: i64) -> FeedEvent {
        FeedEvent {
            kind,
            connection,
            seq,
            feed: "finnhub/0".into(),
            at_us: 0,
            feed_time_ms: None,
            confirmed_at_us: None,
            confirmed_feed_time_ms: None,
            symbols: Vec::new(),
            lost_records: 0,
            detail: String::new(),
        }
    }

    fn observe(connections: &mut Connections, event: &FeedEvent) -> Option<i64> {
        assert_eq!(connections.pass(event.connection, event.seq, &event.feed), Mark::New);
        connections.observe(event).watermark_ms
    }

    fn trade(connections: &mut Connections, connection: i64, seq: i64, time: i64) -> Option<i64> {
        assert_eq!(connections.pass(connection, seq, "finnhub/0"), Mark::New);
        connections.accept(time)
    }

    #[test]
    fn a_seq_passes_once() {
        let mut connections = Connections::new(2_000, HORIZON_MS);
        assert_eq!(connections.pass(7, 1, "f"), Mark::New);
        assert_eq!(connections.pass(8, 1, "f"), Mark::New);
        assert_eq!(connections.pass(7, 1, "f"), Mark::Seen);
        assert_eq!(connections.pass(7, 5, "f"), Mark::New);
        assert_eq!(connections.pass(7, 4, "f"), Mark::Seen);
    }

    #[test]
    fn the_slowest_live_connection_holds_the_watermark() {
        let mut connections = Connections::new(2_000, HORIZON_MS);
        observe(&mut connections, &event(FeedEventKind::Connected, 1, 1));
        let mut other = event(FeedEventKind::Connected, 2, 1);
        other.feed = "finnhub/1".into();
        observe(&mut connections, &other);
        assert_eq!(trade(&mut connections, 1, 2, 100_000), Some(98_000));
        assert_eq!(trade(&mut connections, 2, 2, 50_000), None, "never goes back");
        assert_eq!(trade(&mut connections, 1, 3, 200_000), None, "held by connection 2");
        assert_eq!(trade(&mut connections, 2, 3, 150_000), Some(148_000));
        let gone = event(FeedEventKind::Disconnected, 2, 4);
        assert_eq!(observe(&mut connections, &gone), Some(198_000));
    }

    #[test]
    fn a_heartbeat_moves_the_watermark_and_one_before_the_first_trade_does_not() {
        let mut connections = Connections::new(2_000, HORIZON_MS);
        observe(&mut connections, &event(FeedEventKind::Connected, 1, 1));
        assert_eq!(observe(&mut connections, &event(FeedEventKind::Heartbeat, 1, 2)), None);
        let mut beat = event(FeedEventKind::Heartbeat, 1, 3);
        beat.feed_time_ms = Some(10_000);
        assert_eq!(observe(&mut connections, &beat), Some(8_000));
    }

    #[test]
    fn a_newer_connection_of_the_same_feed_ends_the_older() {
        let mut connections = Connections::new(2_000, HORIZON_MS);
        observe(&mut connections, &event(FeedEventKind::Connected, 1, 1));
        trade(&mut connections, 1, 2, 100_000);
        observe(&mut connections, &event(FeedEventKind::Connected, 2, 1));
        assert_eq!(trade(&mut connections, 2, 2, 300_000), Some(298_000));
    }

    #[test]
    fn without_feed_events_the_newest_trade_counts() {
        let mut connections = Connections::new(2_000, HORIZON_MS);
        assert_eq!(trade(&mut connections, 1, 1, 100_000), Some(98_000));
        assert_eq!(trade(&mut connections, 2, 1, 200_000), Some(198_000));
    }

    #[test]
    fn a_dropped_mark_is_not_a_blank_cheque() {
        let mut connections = Connections::new(0, HORIZON_MS);
        observe(&mut connections, &event(FeedEventKind::Connected, 1, 1));
        trade(&mut connections, 1, 2, 100_000);
        observe(&mut connections, &event(FeedEventKind::Released, 1, 3));
        observe(&mut connections, &event(FeedEventKind::Connected, 2, 1));
        trade(&mut connections, 2, 2, 100_001);
        assert_eq!(connections.pass(1, 3, "finnhub/0"), Mark::Seen);
        assert!(connections.passed().is_empty());
        trade(&mut connections, 2, 3, 100_002 + HORIZON_MS);
        assert_eq!(connections.passed(), [1]);
        connections.drop_marks(&[1]);
        assert_eq!(connections.pass(1, 3, "finnhub/0"), Mark::Dropped);
    }

    #[test]
    fn trades_of_what_was_released_first_pass_and_move_no_watermark() {
        let mut connections = Connections::new(2_000, HORIZON_MS);
        observe(&mut connections, &event(FeedEventKind::Released, 9, 1));
        assert_eq!(trade(&mut connections, 9, 2, 900_000), None, "nobody else has spoken yet");
        assert_eq!(trade(&mut connections, 1, 1, 100_000), Some(98_000));
        assert_eq!(trade(&mut connections, 9, 3, 950_000), None);
        assert_eq!(connections.watermark_ms(), Some(98_000));
        trade(&mut connections, 1, 2, 100_000 + 3 * HORIZON_MS);
        assert!(connections.passed().is_empty(), "it ended nobody knows how long ago");
    }

    #[test]
    fn the_number_of_connections_is_bounded() {
        let mut connections = Connections::new(0, HORIZON_MS);
        for connection in 1..=(CONNECTIONS_LIMIT as i64 + 10) {
            connections.pass(connection, 1, "f");
        }
        assert_eq!(connections.known.len(), CONNECTIONS_LIMIT);
        assert_eq!(connections.pass(3, 2, "f"), Mark::Dropped);
    }
}
