//! What the feed's own events in the log say of its connections: the same picture for the process
//! that runs the feed and for one that only reads the log.

use std::collections::BTreeMap;

use super::state::FeedView;
use crate::model::{FeedEvent, FeedEventKind};

/// From afar, a feed of which nothing was heard for so long is away: its producer, or the stream
/// that stores its heartbeats. They come every few seconds.
const SILENT_AFTER_US: i64 = 60_000_000;

#[derive(Debug, Default)]
pub(super) struct FeedBoard {
    pub source: String,
    /// The newest event, by the producer's clock.
    heard_at_us: Option<i64>,
    /// By the feed's name, which is one key's connections in succession.
    feeds: BTreeMap<String, Feed>,
}

#[derive(Debug, Default)]
struct Feed {
    /// `(connection, seq)` of the newest event: the others are repeats from further partitions.
    newest: (i64, i64),
    is_connected: bool,
    symbols: usize,
    detail: String,
}

impl FeedBoard {
    pub fn take(&mut self, event: &FeedEvent) {
        if event.is_of_no_feed() {
            return;
        }
        if !self.feeds.contains_key(&event.feed) {
            self.feeds.insert(event.feed.clone(), Feed::default());
        }
        let Some(feed) = self.feeds.get_mut(&event.feed) else { return };
        if (event.connection, event.seq) <= feed.newest {
            return;
        }
        feed.newest = (event.connection, event.seq);
        self.heard_at_us = self.heard_at_us.max(Some(event.at_us));
        match event.kind {
            FeedEventKind::Connected | FeedEventKind::Heartbeat => feed.is_connected = true,
            FeedEventKind::Subscribed => {
                feed.is_connected = true;
                feed.symbols = event.symbols.len();
            }
            FeedEventKind::Silence | FeedEventKind::Disconnected | FeedEventKind::Released => {
                feed.is_connected = false;
                feed.detail.clone_from(&event.detail);
            }
            FeedEventKind::Overflow | FeedEventKind::DecodeLoss => {}
        }
    }

    /// For one who reads stored events: a producer that was killed has said nothing of it.
    pub fn view_from_afar(&self, now_us: i64) -> FeedView {
        let silence_us = self.heard_at_us.map(|heard_at_us| now_us - heard_at_us);
        let detail = match silence_us {
            Some(silence_us) if silence_us <= SILENT_AFTER_US => return self.view(),
            Some(silence_us) => format!("no word of the feed for {} s", silence_us / 1_000_000),
            None => "no word of a feed lately".to_owned(),
        };
        FeedView { source: self.source.clone(), state: "disconnected", detail }
    }

    pub fn view(&self) -> FeedView {
        let (state, detail) = match self.feeds.values().find(|feed| !feed.is_connected) {
            _ if self.feeds.is_empty() => ("starting", String::new()),
            Some(away) => ("disconnected", away.detail.clone()),
            None => {
                let symbols: usize = self.feeds.values().map(|feed| feed.symbols).sum();
                let noun = if symbols == 1 { "symbol" } else { "symbols" };
                ("connected", format!("{symbols} {noun}"))
            }
        };
        FeedView { source: self.source.clone(), state, detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(feed: &str, connection: i64, seq: i64, kind: FeedEventKind) -> FeedEvent {
        FeedEvent {
            kind,
            connection,
            seq,
            feed: feed.into(),
            at_us: 0,
            feed_time_ms: None,
            confirmed_at_us: None,
            confirmed_feed_time_ms: None,
            symbols: vec!["A".into(), "B".into()],
            lost_records: 0,
            detail: format!("{} at {seq}", kind.as_str()),
        }
    }

    #[test]
    fn from_afar_silence_is_away() {
        let mut board = FeedBoard::default();
        assert_eq!(board.view_from_afar(0).detail, "no word of a feed lately");
        let mut connected = event("finnhub/0", 1, 1, FeedEventKind::Subscribed);
        connected.at_us = 1_000_000;
        board.take(&connected);
        assert_eq!(board.view_from_afar(61_000_000), board.view());
        let silent = board.view_from_afar(91_000_000);
        assert_eq!(
            (silent.state, &*silent.detail),
            ("disconnected", "no word of the feed for 90 s")
        );
    }

    #[test]
    fn one_connection_away_shows_and_repeats_from_other_partitions_do_not() {
        let mut board = FeedBoard::default();
        assert_eq!(board.view().state, "starting");
        let mut take = |feed: &str, connection: i64, seq: i64, kind: FeedEventKind| {
            board.take(&event(feed, connection, seq, kind));
            (board.view().state, board.view().detail)
        };
        take("finnhub/0", 1, 1, FeedEventKind::Connected);
        let connected = ("connected", "2 symbols".to_owned());
        assert_eq!(take("finnhub/0", 1, 2, FeedEventKind::Subscribed), connected);
        assert_eq!(take("finnhub/1", 2, 1, FeedEventKind::Subscribed).1, "4 symbols");
        let away = ("disconnected", "silence at 7".to_owned());
        assert_eq!(take("finnhub/1", 2, 7, FeedEventKind::Silence), away);
        // Partition 5 tells of the subscription only now.
        assert_eq!(take("finnhub/1", 2, 1, FeedEventKind::Subscribed), away);
        assert_eq!(take("finnhub/1", 3, 1, FeedEventKind::Connected).0, "connected");
        // A smoke test is no feed, so it is not one that went away.
        assert_eq!(take("smoke-test", 9, 1, FeedEventKind::Released).0, "connected");
    }
}
