//! The trades of a smoke test, and how they enter the log without being taken for a feed: one event
//! before them says that their connection is over, so they move no watermark and vouch for nothing
//! (docs/decisions/0019).

use crate::codec::avro::Avro;
use crate::error::Result;
use crate::model::feed_event::FEED_EVENT_HEADER;
use crate::model::{FeedEvent, FeedEventKind, Interval, Trade, Window, partition_for_key};
use crate::port::{OutRecord, Topic};
use crate::role::producer::trade_record;

/// No market has it; its bars stand beside the others.
pub const SYMBOL: &str = "SMOKE:TEST";
/// Instead of the name of a feed.
const FEED: &str = "smoke-test";
/// Price, volume, and ms after the first: out of order, so that open, high, low and close are four
/// different trades and none of them is the first or last to arrive.
const PRINTS: [(f64, f64, i64); 5] =
    [(101.0, 1.0, 2), (100.25, 2.0, 0), (103.5, 0.5, 3), (102.0, 1.25, 4), (98.75, 1.0, 1)];
/// From the first trade to the last, ms.
const SPAN_MS: i64 = 4;

/// What is sent.
#[derive(Debug, Clone)]
pub struct Sample {
    pub trades: Vec<Trade>,
    release: FeedEvent,
}

impl Sample {
    /// Trades of this moment that lie in one window of `shortest`, and so in one of every interval.
    pub fn made_at(now_us: i64, connection: i64, shortest: Interval) -> Self {
        let now_ms = now_us.div_euclid(1_000);
        let first_ms = shortest.window_of(now_ms).start_ms.max(now_ms - SPAN_MS);
        // At the very start of a window it is the arrival that waits for the trades.
        let received_at_us = now_us.max((first_ms + SPAN_MS) * 1_000);
        let trade = |(seq, (price, volume, after_ms)): (i64, (f64, f64, i64))| Trade {
            symbol: SYMBOL.into(),
            price,
            volume,
            trade_time_ms: first_ms + after_ms,
            conditions: None,
            connection,
            seq,
            received_at_us,
            feed: FEED.into(),
        };
        Self {
            trades: (2..).zip(PRINTS).map(trade).collect(),
            release: FeedEvent {
                kind: FeedEventKind::Released,
                connection,
                seq: 1,
                feed: FEED.into(),
                at_us: received_at_us,
                feed_time_ms: None,
                confirmed_at_us: None,
                confirmed_feed_time_ms: None,
                symbols: Vec::new(),
                lost_records: 0,
                detail: "smoke test: no feed".into(),
            },
        }
    }

    pub fn connection(&self) -> i64 {
        self.release.connection
    }

    /// The window of `interval` that holds all of them.
    pub fn window(&self, interval: Interval) -> Window {
        interval.window_of(self.trades[0].trade_time_ms)
    }

    /// In the order in which they must stand in the log; all of one partition.
    ///
    /// # Errors
    /// As of the encoder.
    pub fn records(&self, avro: &Avro, partitions: u32) -> Result<Vec<OutRecord>> {
        let mut header = Vec::with_capacity(128);
        avro.encode_feed_event(&self.release, &mut header)?;
        let release = OutRecord {
            topic: Topic::Trades,
            partition: Some(partition_for_key(SYMBOL.as_bytes(), partitions)),
            key: None,
            value: None,
            headers: vec![(FEED_EVENT_HEADER, header)],
        };
        let trades = self.trades.iter().map(|trade| trade_record(avro, trade, partitions));
        std::iter::once(Ok(release)).chain(trades).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(text: &str) -> Interval {
        Interval::parse(text).expect("valid")
    }

    #[test]
    fn the_trades_lie_in_one_window_whenever_they_are_made() {
        let boundary_us = 1_710_163_800_000_000;
        for after_us in [-4_001, -1, 0, 1, 999, 2_000, 4_001, 60_000_000] {
            let sample = Sample::made_at(boundary_us + after_us, 7, interval("5m"));
            let window = sample.window(interval("5m"));
            for trade in &sample.trades {
                assert_eq!(interval("5m").window_of(trade.trade_time_ms), window, "{after_us}");
                assert!(trade.trade_time_ms * 1_000 <= trade.received_at_us, "{after_us}");
            }
            assert!(sample.trades[0].received_at_us - boundary_us - after_us <= 4_000);
        }
    }

    #[test]
    fn the_release_comes_first_and_all_go_to_the_partition_of_the_symbol() {
        let sample = Sample::made_at(1_710_163_800_000_000, 7, interval("5m"));
        let avro = Avro::single_object();
        let records = sample.records(&avro, 6).expect("encoded");
        let partitions: Vec<_> = records.iter().filter_map(|one| one.partition).collect();
        assert_eq!(partitions, [partition_for_key(SYMBOL.as_bytes(), 6); 6]);
        let event = avro.decode_feed_event(&records[0].headers[0].1).expect("an event");
        assert!(event.is_of_no_feed() && event.seq < sample.trades[0].seq);
        let sent: Vec<Trade> = records[1..]
            .iter()
            .map(|one| avro.decode_trade(one.value.as_deref().expect("a value")).expect("a trade"))
            .collect();
        assert_eq!(sent, sample.trades);
    }
}
