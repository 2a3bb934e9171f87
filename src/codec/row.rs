//! How nouns become rows, said once for both stores: partition bucket, write timestamp, lifetime,
//! and the text of conditions. A rule that lived in one adapter would make the two drift apart.

use std::hash::{Hash, Hasher};

use compact_str::CompactString;
use rustc_hash::FxHashMap;

use crate::error::{Error, Result};
use crate::model::{
    Amount, Bar, Conditions, Disposition, FeedEvent, FeedGap, Interval, Judged, Trade,
};

/// Length of one partition of a symbol's trades, ms. A symbol with 5 million trades a day fills
/// about 5 MB in it on average, and 90 MB when twenty times as many come in a burst.
pub const BUCKET_MS: i64 = 600_000;
/// Length of one partition of feed events, gaps and revisions, ms.
pub const DAY_MS: i64 = 86_400_000;
/// Most bytes of a symbol that become part of a key (Cassandra refuses 64 KiB). Only a rejected
/// trade has a longer symbol; its raw bytes are in the rejected topic.
pub const SYMBOL_MAX_BYTES: usize = 1_024;
/// Revisions of one generation stay below this, so that the write timestamp orders both.
const REVISIONS_PER_GENERATION: i64 = 1_000_000_000;
/// Rows younger than this take the table's own lifetime, s.
const FRESH_S: i64 = 3_600;

/// The `bucket` column of trades: epoch seconds / 600, held within 32 bits for absurd times.
pub fn bucket_of(trade_time_ms: i64) -> i32 {
    clamp_to_i32(trade_time_ms.div_euclid(BUCKET_MS))
}

/// Offsets beyond this no longer order the rows of a gap: write timestamps stay near the gap.
const GAP_ORDER_LIMIT: i64 = 100_000_000_000;

/// The `bucket` column of feed events, gaps and revisions: days since the epoch.
pub fn day_of(time_ms: i64) -> i32 {
    clamp_to_i32(time_ms.div_euclid(DAY_MS))
}

fn clamp_to_i32(value: i64) -> i32 {
    value.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32
}

/// The symbol as far as it fits a key.
pub fn key_symbol(symbol: &str) -> &str {
    &symbol[..symbol.floor_char_boundary(SYMBOL_MAX_BYTES)]
}

/// Write timestamp of a trade's row, µs: its arrival, or its own time where there was no arrival.
///
/// A duplicate by seq has the key of the trade it repeats; one microsecond less lets the first win
/// in whatever order the two are written.
pub fn trade_write_timestamp_us(judged: &Judged) -> i64 {
    let trade = &judged.trade;
    let arrival_us = match trade.received_at_us {
        0 => trade.trade_time_ms.saturating_mul(1_000),
        received => received,
    };
    let earlier_us = i64::from(matches!(judged.disposition, Disposition::Duplicate(_)));
    // Cassandra takes the lowest number for "none".
    arrival_us.saturating_sub(earlier_us).max(i64::MIN + 1)
}

/// Write timestamp of a bar's row, µs: window start, then generation, then revision.
///
/// # Errors
/// `Bug` when the revision or generation leaves its range, since order would be lost.
pub fn bar_write_timestamp_us(bar: &Bar) -> Result<i64> {
    let in_range = (0..REVISIONS_PER_GENERATION).contains(&bar.revision);
    let first_us = generation_timestamp_us(bar.window.start_ms, bar.generation);
    let timestamp_us = first_us.and_then(|first_us| first_us.checked_add(bar.revision));
    timestamp_us.filter(|_| in_range).ok_or_else(|| {
        let (symbol, start) = (&bar.symbol, bar.window.start_ms);
        let (revision, generation) = (bar.revision, bar.generation);
        Error::Bug(format!(
            "bar {symbol} at {start}: revision {revision} of generation {generation} is out \
             of range"
        ))
    })
}

/// Write timestamp of a bar's removal, µs: just below revision 0 of its generation, so that this
/// generation stays and every revision of the one before goes.
///
/// # Errors
/// `Bug` when the generation leaves its range.
pub fn removal_timestamp_us(start_ms: i64, generation: i64) -> Result<i64> {
    let first_us = generation_timestamp_us(start_ms, generation);
    first_us.and_then(|first_us| first_us.checked_sub(1)).ok_or_else(|| {
        Error::Bug(format!(
            "removal of a bar at {start_ms}: generation {generation} is out of range"
        ))
    })
}

/// What revision 0 of a generation would be written with, µs.
fn generation_timestamp_us(start_ms: i64, generation: i64) -> Option<i64> {
    let order = generation.checked_mul(REVISIONS_PER_GENERATION).filter(|order| *order >= 0)?;
    start_ms.checked_mul(1_000)?.checked_add(order)
}

/// Write timestamp of a gap's row, µs: what was told later in the log wins, in whatever order the
/// rows are written.
pub fn gap_write_timestamp_us(gap: &FeedGap) -> i64 {
    let ended = i64::from(gap.to_ms.is_some());
    let order = gap.told_at.clamp(0, GAP_ORDER_LIMIT) * 2 + ended;
    gap.from_ms.saturating_mul(1_000).saturating_add(order)
}

/// The highest generation of a window's bars whose write timestamps lie before `now_ms`.
pub fn generation_written_at(window_start_ms: i64, now_ms: i64) -> i64 {
    let age_us = now_ms.saturating_sub(window_start_ms).saturating_mul(1_000);
    age_us.div_euclid(REVISIONS_PER_GENERATION).max(0)
}

/// Seconds a row shall live when that differs from its table's `ttl_s`; `None`: as the table says.
///
/// A rewrite must not live longer than the first write, so its age is taken off. What is older than
/// its tier keeps (a demo of recorded trades of years ago) would be gone at once; it was written
/// for somebody to look at, so it lives as long as a fresh row.
pub fn lifetime_s(ttl_s: i64, age_s: i64) -> Option<i32> {
    let shortened = ttl_s > 0 && age_s >= FRESH_S && age_s < ttl_s;
    shortened.then(|| i32::try_from(ttl_s - age_s).unwrap_or(i32::MAX))
}

/// Age of a trade's row, s: since arrival, or since its own time where there was no arrival.
pub fn trade_age_s(trade: &Trade, now_us: i64) -> i64 {
    let since_us = match trade.received_at_us {
        0 => trade.trade_time_ms.saturating_mul(1_000),
        received => received,
    };
    now_us.saturating_sub(since_us) / 1_000_000
}

/// Age of a bar's row, s: since the window ended.
pub fn bar_age_s(bar: &Bar, now_us: i64) -> i64 {
    (now_us / 1_000).saturating_sub(bar.window.end_ms) / 1_000
}

/// Age of a feed event's row, s.
pub fn event_age_s(event: &FeedEvent, now_us: i64) -> i64 {
    now_us.saturating_sub(event.at_us) / 1_000_000
}

/// Age of a gap's row, s: since the gap began.
pub fn gap_age_s(gap: &FeedGap, now_us: i64) -> i64 {
    (now_us / 1_000).saturating_sub(gap.from_ms) / 1_000
}

/// Sale conditions as one text: codes with commas between them, as people expect to read them, or
/// a JSON array when a code would make that ambiguous.
pub fn write_conditions(codes: &[CompactString], text: &mut String) {
    let plain = |code: &CompactString| !code.is_empty() && !code.contains([',', '[', '"']);
    if !codes.iter().all(plain) {
        // Strings always have a JSON form.
        text.push_str(&serde_json::to_string(codes).unwrap_or_default());
        return;
    }
    for (index, code) in codes.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str(code);
    }
}

/// The inverse of `write_conditions`; `None` for a text that it never writes.
pub fn parse_conditions(text: &str) -> Option<Conditions> {
    match text {
        "" => Some(Conditions::new()),
        json if json.starts_with('[') => serde_json::from_str(json).ok(),
        plain => Some(plain.split(',').map(CompactString::from).collect()),
    }
}

/// What a trade may change, as one text: a cell costs the server more than its bytes.
const UPDATES: [&str; 8] =
    ["", "last", "high_low", "last,high_low", "volume", "last,volume", "high_low,volume", "all"];

/// The trade's rights as words; `None` when it has none.
pub fn updates_text(judged: &Judged) -> Option<&'static str> {
    let bit = |right: bool, bit: usize| usize::from(right) << bit;
    let index = bit(judged.updates_last, 0)
        | bit(judged.updates_high_low, 1)
        | bit(judged.updates_volume, 2);
    (index != 0).then_some(UPDATES[index])
}

/// The inverse of `updates_text`: last, high and low, volume. `None` for other words.
pub fn parse_updates(text: Option<&str>) -> Option<[bool; 3]> {
    let index = UPDATES.iter().position(|words| *words == text.unwrap_or_default())?;
    Some([0, 1, 2].map(|bit| index & (1 << bit) != 0))
}

/// Whether a double and the exact decimal beside it say the same.
pub fn agree(value: Option<f64>, exact: Option<&str>) -> bool {
    let exact = exact.and_then(|text| text.parse::<Amount>().ok());
    value.is_some() && value == exact.map(Amount::to_f64)
}

/// A feed event's symbols as one text, a JSON array; `None` when it names none.
pub fn symbols_text(symbols: &[String]) -> Option<String> {
    // A list of strings always has a JSON form.
    (!symbols.is_empty()).then(|| serde_json::to_string(symbols).unwrap_or_default())
}

/// The inverse of `symbols_text`; `None` for a text that it never writes.
pub fn parse_symbols(text: Option<&str>) -> Option<Vec<String>> {
    text.map_or_else(|| Some(Vec::new()), |json| serde_json::from_str(json).ok())
}

/// The newest emission of each bar, in no particular order: older ones of the same call would be
/// overwritten at once.
pub fn newest_bars(bars: &[Bar]) -> impl Iterator<Item = &Bar> {
    let mut newest: FxHashMap<BarKey<'_>, &Bar> = FxHashMap::default();
    for bar in bars {
        let kept = newest.entry(BarKey(bar)).or_insert(bar);
        if (bar.generation, bar.revision) >= (kept.generation, kept.revision) {
            *kept = bar;
        }
    }
    newest.into_values()
}

/// A bar compared by symbol, interval and window start alone.
struct BarKey<'a>(&'a Bar);

impl BarKey<'_> {
    fn parts(&self) -> (i64, Interval, &str) {
        (self.0.window.start_ms, self.0.interval, &self.0.symbol)
    }
}

impl PartialEq for BarKey<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for BarKey<'_> {}

impl Hash for BarKey<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_survive_the_way_through_text() {
        for codes in [&[][..], &["1"], &["1", "41"], &[""], &["a,b", "c"], &["[x"], &["\""]] {
            let codes: Conditions = codes.iter().copied().map(Into::into).collect();
            let mut text = String::new();
            write_conditions(&codes, &mut text);
            assert_eq!(parse_conditions(&text), Some(codes), "{text}");
        }
        assert_eq!(parse_conditions("[1"), None);
    }

    #[test]
    fn a_rewrite_lives_for_what_is_left_and_a_replay_of_old_trades_as_if_fresh() {
        const WEEK_S: i64 = 604_800;
        assert_eq!(lifetime_s(WEEK_S, 0), None);
        assert_eq!(lifetime_s(WEEK_S, -86_400), None);
        assert_eq!(lifetime_s(WEEK_S, 86_400), Some(518_400));
        assert_eq!(lifetime_s(WEEK_S, WEEK_S), None);
        assert_eq!(lifetime_s(0, 86_400), None);
    }

    #[test]
    fn keys_hold_for_absurd_input() {
        assert_eq!(bucket_of(1_700_000_000_000), 2_833_333);
        assert_eq!(bucket_of(i64::MAX), i32::MAX);
        assert_eq!(bucket_of(-1), -1);
        let long = "é".repeat(600);
        assert_eq!(key_symbol(&long).len(), 1_024);
        assert_eq!(key_symbol("AAPL"), "AAPL");
    }
}
