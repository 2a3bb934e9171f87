//! How long each tier keeps its rows: `[retention]` and the intervals, in the form the stores need.

use super::Config;
use crate::error::{Error, Result};
use crate::model::Interval;

const DAY_S: i64 = 86_400;
/// Cassandra's longest time to live: 20 years.
const MAX_DAYS: u32 = 7_300;

/// Lifetimes in seconds, 0 for ever; one gold tier for each configured interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lifetimes {
    pub bronze_s: i64,
    pub silver_s: i64,
    /// In the configured order.
    pub gold: Vec<(Interval, i64)>,
    /// The longest of the gold tiers; each row of the history lives as long as its bar.
    pub revisions_s: i64,
    pub feed_events_s: i64,
    pub feed_gaps_s: i64,
}

impl Lifetimes {
    /// # Errors
    /// `Config`: an interval that is none, or a retention of more than 7300 days.
    pub fn of(config: &Config) -> Result<Self> {
        let retention = &config.retention;
        let gold = config.stream.intervals.iter().map(|text| {
            let interval = Interval::parse(text)
                .map_err(|problem| Error::Config(format!("stream.intervals: {problem}")))?;
            let (key, days) = match interval.to_string().as_str() {
                "5m" => ("gold_5m_days", retention.gold_5m_days),
                "1h" => ("gold_1h_days", retention.gold_1h_days),
                _ => ("gold_other_days", retention.gold_other_days),
            };
            Ok((interval, seconds(key, days)?))
        });
        let gold = gold.collect::<Result<Vec<_>>>()?;
        let longest_s = gold.iter().map(|(_, ttl_s)| *ttl_s).max_by_key(|ttl_s| match ttl_s {
            0 => i64::MAX,
            _ => *ttl_s,
        });
        Ok(Self {
            bronze_s: seconds("bronze_days", retention.bronze_days)?,
            silver_s: seconds("silver_days", retention.silver_days)?,
            gold,
            revisions_s: longest_s.unwrap_or(0),
            feed_events_s: seconds("feed_events_days", retention.feed_events_days)?,
            feed_gaps_s: seconds("feed_gaps_days", retention.feed_gaps_days)?,
        })
    }

    /// Lifetime of an interval's bars; `None` when there is no table for it.
    pub fn gold_s(&self, interval: Interval) -> Option<i64> {
        self.gold.iter().find(|(known, _)| *known == interval).map(|(_, seconds)| *seconds)
    }

    /// The sentence for an interval that has no table.
    pub fn unknown_interval(&self, interval: Interval) -> Error {
        let known: Vec<String> = self.gold.iter().map(|(known, _)| known.to_string()).collect();
        let known = known.join(", ");
        Error::Config(format!("interval {interval} is not stored; stream.intervals has {known}"))
    }
}

fn seconds(key: &str, days: u32) -> Result<i64> {
    if days > MAX_DAYS {
        let problem = format!("retention.{key}: {days} days is too long; at most {MAX_DAYS}");
        return Err(Error::Config(problem));
    }
    Ok(i64::from(days) * DAY_S)
}
