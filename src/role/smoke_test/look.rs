//! One look at one place: are the trades of the smoke test there, and is what was made of them what
//! they make?

use serde_json::Value;

use super::evidence::Expected;
use super::sample::{SYMBOL, Sample};
use crate::config::Secret;
use crate::error::Result;
use crate::http::probe::{self, Answer};
use crate::model::{Bar, Disposition, Interval, Judged, PricePoint, Window};
use crate::port::{BarQuery, StoreReader, Tier, TradeQuery};
use crate::role::range_query::time_text;

/// Both tables of trades, in the order in which a trade reaches them.
pub const TIERS: [Tier; 2] = [Tier::Bronze, Tier::Silver];
/// Smoke tests of an hour, many times over.
const TRADES_MAX: usize = 100_000;

/// What came of it; the texts are for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    Found(String),
    NotYet(String),
    /// It is there, and is not what it should be, which time does not mend.
    Wrong(String),
}

pub fn table(tier: Tier) -> &'static str {
    match tier {
        Tier::Bronze => "trades_bronze",
        Tier::Silver => "trades_silver",
    }
}

/// # Errors
/// As of the reader; of the others too.
pub fn at_trades(reader: &dyn StoreReader, tier: Tier, sample: &Sample) -> Result<Look> {
    let times = || sample.trades.iter().map(|trade| trade.trade_time_ms);
    let from_ms = times().min().unwrap_or_default();
    let to_ms = times().max().unwrap_or_default() + 1;
    let rows = trades(reader, tier, from_ms, to_ms)?;
    let ours: Vec<&Judged> =
        rows.iter().filter(|row| row.trade.connection == sample.connection()).collect();
    Ok(judge_trades(&ours, sample))
}

fn trades(reader: &dyn StoreReader, tier: Tier, from_ms: i64, to_ms: i64) -> Result<Vec<Judged>> {
    let symbol = SYMBOL.to_owned();
    reader.trades(&TradeQuery { symbol, tier, from_ms, to_ms, limit: TRADES_MAX })
}

fn judge_trades(ours: &[&Judged], sample: &Sample) -> Look {
    if let Some(other) = ours.iter().find(|row| row.disposition != Disposition::Merged) {
        return Look::Wrong(not_merged(other));
    }
    let is_there = |row: &&Judged| sample.trades.contains(&row.trade);
    if let Some(other) = ours.iter().find(|row| !is_there(row)) {
        return Look::Wrong(format!("seq {} is there with another content", other.trade.seq));
    }
    let (found, of) = (ours.len(), sample.trades.len());
    match found == of {
        true => Look::Found(format!("all {of} trades, merged")),
        false => Look::NotYet(format!("{found} of {of} trades")),
    }
}

fn not_merged(row: &Judged) -> String {
    let fate = row.disposition.as_str();
    match (row.disposition, row.lateness) {
        (Disposition::Late, Some(lateness)) => format!(
            "the trades are late: the watermark is at {}, {} s ahead of this machine's clock; see \
             `ticksmith doctor` on clocks",
            time_text(lateness.watermark_ms),
            lateness.late_by_ms / 1_000
        ),
        (other, _) => format!("the trades are {fate} ({}), not merged", other.reason()),
    }
}

/// Holds the bar around the sample against the trades that silver has of its window, the sample's
/// among them.
pub fn at_bar(reader: &dyn StoreReader, interval: Interval, sample: &Sample) -> Result<Look> {
    let Window { start_ms, end_ms } = sample.window(interval);
    let silver = trades(reader, Tier::Silver, start_ms, end_ms)?;
    let is_ours = |row: &&Judged| row.trade.connection == sample.connection();
    let (found, of) = (silver.iter().filter(is_ours).count(), sample.trades.len());
    let expected = Expected::of(&silver).filter(|_| found == of);
    let Some(expected) = expected else {
        return Ok(Look::NotYet(format!("silver has {found} of {of} trades to make a bar of")));
    };
    let bars = reader.bars(&BarQuery {
        symbol: SYMBOL.to_owned(),
        interval,
        from_ms: start_ms,
        to_ms: end_ms,
        limit: 1,
    })?;
    let Some(bar) = bars.first() else {
        return Ok(Look::NotYet(format!(
            "no bar of {}; provisional ones are written every stream.provisional_every_ms, and \
             only while the lag is below stream.provisional_max_lag_ms",
            time_text(start_ms)
        )));
    };
    Ok(match expected.difference(bar) {
        None => Look::Found(shown(bar)),
        Some(difference) => Look::NotYet(difference),
    })
}

fn shown(bar: &Bar) -> String {
    let price = |point: Option<PricePoint>| {
        point.map_or_else(|| "-".to_owned(), |point| point.price.to_string())
    };
    format!(
        "{} {}, revision {}: open {} high {} low {} close {} volume {} of {} trades, as silver has \
         them",
        time_text(bar.window.start_ms),
        bar.state.as_str(),
        bar.revision,
        price(bar.open),
        price(bar.high),
        price(bar.low),
        price(bar.close),
        bar.volume,
        bar.trade_count
    )
}

/// The API shows the trades, and of each interval a bar with what the store has by then.
pub fn at_api(
    reader: &dyn StoreReader,
    address: &str,
    token: &Secret,
    sample: &Sample,
    intervals: &[Interval],
) -> Result<Look> {
    let trades = sample.window(intervals[0]);
    let path = api_path("trades", trades, "tier=silver&limit=10000");
    let found = match probe::ask_json(address, &path, token) {
        Ok(document) => trades_in(&document, sample.connection()),
        Err(answer) => return Ok(Look::NotYet(unanswered(address, &answer))),
    };
    if found < sample.trades.len() {
        return Ok(Look::NotYet(format!("{found} of {} trades at {address}", sample.trades.len())));
    }
    for interval in intervals {
        let window = sample.window(*interval);
        let path = api_path("bars", window, &format!("interval={interval}"));
        let document = match probe::ask_json(address, &path, token) {
            Ok(document) => document,
            Err(answer) => return Ok(Look::NotYet(unanswered(address, &answer))),
        };
        let stored = reader.bars(&BarQuery {
            symbol: SYMBOL.to_owned(),
            interval: *interval,
            from_ms: window.start_ms,
            to_ms: window.end_ms,
            limit: 1,
        })?;
        if let Some(difference) = bar_difference(&document, stored.first()) {
            return Ok(Look::NotYet(format!("{interval} bar at {address}: {difference}")));
        }
    }
    Ok(Look::Found(format!("the same trades and bars at {address}")))
}

fn api_path(what: &str, window: Window, more: &str) -> String {
    let Window { start_ms, end_ms } = window;
    format!("/api/v1/{what}/{SYMBOL}?from={start_ms}&to={end_ms}&{more}")
}

fn trades_in(document: &Value, connection: i64) -> usize {
    let rows = document["trades"].as_array().map_or(&[][..], Vec::as_slice);
    rows.iter().filter(|row| row["connection"] == connection).count()
}

fn bar_difference(document: &Value, stored: Option<&Bar>) -> Option<String> {
    let shown = &document["bars"][0];
    let Some(stored) = stored else { return Some("the store has none".to_owned()) };
    let price = |point: Option<PricePoint>| Value::from(point.map(|point| point.price));
    let cells = [
        ("ts", stored.window.start_ms.into()),
        ("open", price(stored.open)),
        ("high", price(stored.high)),
        ("low", price(stored.low)),
        ("close", price(stored.close)),
        ("volume_exact", stored.volume.to_string().into()),
        ("trade_count", stored.trade_count.into()),
    ];
    let differing = cells.into_iter().find(|(name, value)| shown[*name] != *value);
    differing.map(|(name, value)| format!("{name} is {}, the store has {value}", shown[name]))
}

fn unanswered(address: &str, answer: &Answer) -> String {
    match answer {
        Answer::Silent => format!("{address} does not answer"),
        Answer::Absent(why) => format!("nobody at {address} ({why}); start `ticksmith serve`"),
        Answer::Foreign(what) => format!("{address} answers {what}"),
        Answer::Ready => format!("{address} answers no document"),
        Answer::NotReady(reason) => format!("{address} is not ready: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Origin;

    fn sample() -> Sample {
        Sample::made_at(1_710_163_800_000_000, 7, Interval::parse("5m").expect("valid"))
    }

    fn rows(disposition: Disposition) -> Vec<Judged> {
        let judged = |trade| Judged {
            trade,
            origin: Origin { partition: 0, offset: 0 },
            disposition,
            session: None,
            updates_last: true,
            updates_high_low: true,
            updates_volume: true,
            lateness: None,
            behind_ms: 0,
        };
        sample().trades.into_iter().map(judged).collect()
    }

    #[test]
    fn trades_are_found_when_all_are_there_as_sent() {
        let merged = rows(Disposition::Merged);
        let all: Vec<&Judged> = merged.iter().collect();
        assert_eq!(judge_trades(&all, &sample()), Look::Found("all 5 trades, merged".into()));
        assert_eq!(judge_trades(&all[1..], &sample()), Look::NotYet("4 of 5 trades".into()));
        let mut other = merged.clone();
        other[2].trade.price = 1.0;
        let other: Vec<&Judged> = other.iter().collect();
        assert!(matches!(judge_trades(&other, &sample()), Look::Wrong(_)));
        let late = rows(Disposition::Late);
        let late: Vec<&Judged> = late.iter().collect();
        assert_eq!(judge_trades(&late, &sample()), {
            Look::Wrong("the trades are late (), not merged".into())
        });
    }

    #[test]
    fn the_api_must_show_what_the_store_has() {
        let document = json!({"trades": [{"connection": 7}, {"connection": 8}, {"connection": 7}]});
        assert_eq!(trades_in(&document, 7), 2);
        assert_eq!(trades_in(&json!([]), 7), 0);
        assert_eq!(bar_difference(&json!({}), None).as_deref(), Some("the store has none"));
    }
}
