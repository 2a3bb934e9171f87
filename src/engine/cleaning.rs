//! Bronze to silver: is this a trade that we can believe? Named reasons, judged in a fixed order.

use crate::model::{Amount, FeedEvent, RejectReason, Trade};

use super::rules::Rules;

/// End of the year 9999, ms since the epoch: beyond it lies no trade, and arithmetic stays safe.
pub(super) const LATEST_MS: i64 = 253_402_300_799_999;

/// Feed time may run ahead of this partition's newest trade, and of the producer's clock where a
/// recording is played fast, but not by more than this from one heartbeat to the next, ms.
const EVENT_BOUND_MS: i64 = 86_400_000;

/// Price and volume of a believable trade, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clean {
    pub price: Amount,
    pub volume: Amount,
}

/// Judges numbers and times; `feed_time_ms` is the newest feed time of the trade's connection.
pub fn judge(
    trade: &Trade,
    feed_time_ms: Option<i64>,
    rules: &Rules,
) -> Result<Clean, RejectReason> {
    let clean = Clean { price: judge_price(trade.price)?, volume: judge_volume(trade.volume)? };
    if trade.trade_time_ms < rules.earliest_ms {
        return Err(RejectReason::TimeTooEarly);
    }
    let latest_ms = latest_ms(trade.received_at_us, feed_time_ms, rules.future_bound_ms);
    if trade.trade_time_ms > latest_ms {
        return Err(RejectReason::TimeInFuture);
    }
    Ok(clean)
}

fn judge_price(price: f64) -> Result<Amount, RejectReason> {
    if !price.is_finite() {
        return Err(RejectReason::PriceNotFinite);
    }
    if price <= 0.0 {
        return Err(RejectReason::PriceNotPositive);
    }
    Amount::from_f64(price).ok_or(RejectReason::PriceOutOfRange)
}

fn judge_volume(volume: f64) -> Result<Amount, RejectReason> {
    if !volume.is_finite() {
        return Err(RejectReason::VolumeNotFinite);
    }
    if volume < 0.0 {
        return Err(RejectReason::VolumeNegative);
    }
    Amount::from_f64(volume).ok_or(RejectReason::VolumeOutOfRange)
}

/// An event with the times that nobody can believe taken out: one forged or broken event must not
/// carry the watermark into another century. `feed_time_ms` as for `judge`.
pub fn believable(event: &FeedEvent, feed_time_ms: Option<i64>, rules: &Rules) -> FeedEvent {
    let at_us = event.at_us.clamp(0, LATEST_MS * 1_000);
    let latest_ms = latest_ms(at_us, feed_time_ms, EVENT_BOUND_MS);
    let is_believable = |time_ms: &i64| (rules.earliest_ms..=latest_ms).contains(time_ms);
    FeedEvent {
        at_us,
        feed_time_ms: event.feed_time_ms.filter(is_believable),
        confirmed_feed_time_ms: event.confirmed_feed_time_ms.filter(is_believable),
        ..event.clone()
    }
}

/// A replay of another year is as good as a live feed, so it is the later of arrival and feed time
/// that bounds a time. Without an arrival (offline) there is no bound but the calendar's.
fn latest_ms(at_us: i64, feed_time_ms: Option<i64>, bound_ms: i64) -> i64 {
    if at_us == 0 {
        return LATEST_MS;
    }
    let known_ms = at_us.div_euclid(1_000).max(feed_time_ms.unwrap_or(i64::MIN));
    known_ms.saturating_add(bound_ms).min(LATEST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Interval;

    fn trade(price: f64, volume: f64, trade_time_ms: i64, received_at_us: i64) -> Trade {
        Trade {
            symbol: "AAPL".into(),
            price,
            volume,
            trade_time_ms,
            conditions: None,
            connection: 1,
            seq: 1,
            received_at_us,
            feed: "finnhub/0".into(),
        }
    }

    #[test]
    fn every_reason_has_its_case() {
        let five = Interval::parse("5m").expect("valid");
        let rules = Rules::with_intervals(vec![five]).expect("valid rules");
        const NOW_MS: i64 = 1_700_000_000_000;
        let reason = |price: f64, volume: f64, time_ms: i64| {
            judge(&trade(price, volume, time_ms, NOW_MS * 1_000), Some(NOW_MS), &rules).err()
        };
        assert_eq!(reason(1.0, 1.0, NOW_MS), None);
        assert_eq!(reason(1.0, 0.0, NOW_MS), None);
        assert_eq!(reason(f64::NAN, 1.0, NOW_MS), Some(RejectReason::PriceNotFinite));
        assert_eq!(reason(0.0, 1.0, NOW_MS), Some(RejectReason::PriceNotPositive));
        assert_eq!(reason(-1.0, 1.0, NOW_MS), Some(RejectReason::PriceNotPositive));
        assert_eq!(reason(1e300, 1.0, NOW_MS), Some(RejectReason::PriceOutOfRange));
        assert_eq!(reason(1.0, f64::INFINITY, NOW_MS), Some(RejectReason::VolumeNotFinite));
        assert_eq!(reason(1.0, -1.0, NOW_MS), Some(RejectReason::VolumeNegative));
        assert_eq!(reason(1.0, 1e-30, NOW_MS), Some(RejectReason::VolumeOutOfRange));
        assert_eq!(reason(1.0, 1.0, NOW_MS + 60_001), Some(RejectReason::TimeInFuture));
        assert_eq!(reason(1.0, 1.0, NOW_MS + 60_000), None);
        assert_eq!(reason(1.0, 1.0, 0), Some(RejectReason::TimeTooEarly));
        let offline = trade(1.0, 1.0, NOW_MS * 2, 0);
        assert!(judge(&offline, Some(NOW_MS), &rules).is_ok(), "offline there is no bound");
    }
}
