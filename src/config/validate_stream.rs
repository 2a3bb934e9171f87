//! The checks of `[stream]`: times, bounds and intervals that must fit each other, and the parsed
//! forms of what the section holds as text.

use std::collections::BTreeSet;

use chrono::DateTime;

use super::validate::Checks;
use super::{Config, Stream};
use crate::model::Interval;

/// So many parts at most are added up to one longer bar: the engine's exact sums are sized for it.
const ROLL_UP_LIMIT: i64 = 4_096;

impl Stream {
    /// The bar lengths, shortest first.
    pub fn parsed_intervals(&self) -> Vec<Interval> {
        let mut intervals: Vec<Interval> =
            self.intervals.iter().filter_map(|text| Interval::parse(text).ok()).collect();
        intervals.sort_unstable();
        intervals
    }

    /// `symbol_classes` as (symbol or `PREFIX:*`, word of a class).
    pub fn parsed_symbol_classes(&self) -> Vec<(&str, &str)> {
        self.symbol_classes.iter().filter_map(|text| text.rsplit_once('=')).collect()
    }

    /// `earliest` in ms since the UNIX epoch.
    pub fn earliest_ms(&self) -> i64 {
        parse_earliest(&self.earliest).expect("validation parsed it")
    }
}

fn parse_earliest(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(text).ok().map(|instant| instant.timestamp_millis())
}

/// Notes every problem of the section.
pub(super) fn check(checks: &mut Checks<'_>) {
    let config = checks.config;
    check_intervals(checks, &config.stream);
    check_times(checks, config);
    check_symbols(checks, &config.stream);
    check_bounds(checks, config);
}

fn check_intervals(checks: &mut Checks<'_>, stream: &Stream) {
    let path = "stream.intervals";
    checks.require(!stream.intervals.is_empty(), path, "is empty", "give at least one, like 5m");
    for text in &stream.intervals {
        if let Err(problem) = Interval::parse(text) {
            checks.require(false, path, &problem, "mend it or take it out");
        }
    }
    let intervals = stream.parsed_intervals();
    let Some(shortest) = intervals.first() else { return };
    for pair in intervals.windows(2) {
        let problem = format!("holds {} twice", pair[0]);
        checks.require(pair[0] != pair[1], path, &problem, "give each interval once");
    }
    for interval in &intervals {
        let whole = interval.length_ms() % shortest.length_ms() == 0;
        let problem = format!("{interval} is no whole multiple of the shortest, {shortest}");
        let remedy = "longer bars are rolled up from the shortest: change one of them";
        checks.require(whole, path, &problem, remedy);
        let possible = interval.length_ms() / shortest.length_ms() <= ROLL_UP_LIMIT;
        let problem =
            format!("{interval} is more than {ROLL_UP_LIMIT} of the shortest, {shortest}");
        checks.require(possible, path, &problem, remedy);
    }
}

fn check_times(checks: &mut Checks<'_>, config: &Config) {
    let stream = &config.stream;
    let times = [
        ("stream.out_of_orderness_ms", stream.out_of_orderness_ms),
        ("stream.allowed_lateness_ms", stream.allowed_lateness_ms),
        ("stream.future_bound_ms", stream.future_bound_ms),
        ("stream.provisional_max_lag_ms", stream.provisional_max_lag_ms),
    ];
    for (path, time_ms) in times {
        checks.require(time_ms >= 0, path, "is negative", "give 0 or more");
    }
    let bound_ms = stream.out_of_orderness_ms.saturating_add(60_000);
    let problem = format!("is more than out_of_orderness_ms + 60000 = {bound_ms}");
    let remedy = "lower it: a single trade from the future would close every window before it";
    let holds = stream.future_bound_ms <= bound_ms;
    checks.require(holds, "stream.future_bound_ms", &problem, remedy);
    let kept_ms = i64::from(config.topics.trades_retention_hours).saturating_mul(3_600_000);
    let problem = "is longer than the trades topic keeps its records";
    let remedy = "lower it, or raise topics.trades_retention_hours";
    let holds = stream.allowed_lateness_ms < kept_ms.max(1);
    checks.require(holds, "stream.allowed_lateness_ms", problem, remedy);
    let parses = parse_earliest(&stream.earliest).is_some();
    let remedy = "write it like 2000-01-01T00:00:00Z";
    checks.require(parses, "stream.earliest", "is no RFC 3339 instant", remedy);
}

fn check_symbols(checks: &mut Checks<'_>, stream: &Stream) {
    checks.word(&stream.policy, &["auto", "sip", "conservative", "all"], "stream.policy");
    checks.positive(stream.symbol_max_bytes as u64, "stream.symbol_max_bytes");
    let lists = [
        ("stream.crypto_prefixes", &stream.crypto_prefixes),
        ("stream.fx_prefixes", &stream.fx_prefixes),
    ];
    for (path, prefixes) in lists {
        for prefix in prefixes {
            let plain = !prefix.is_empty() && !prefix.contains(':');
            let problem = format!("holds '{prefix}', which is no prefix");
            checks.require(plain, path, &problem, "write what stands before the ':', like OANDA");
        }
    }
    for prefix in &stream.fx_prefixes {
        let problem = format!("holds '{prefix}', which crypto_prefixes holds too");
        let once = !stream.crypto_prefixes.contains(prefix);
        checks.require(once, "stream.fx_prefixes", &problem, "take it out of one of them");
    }
    check_classes(checks, stream);
}

fn check_classes(checks: &mut Checks<'_>, stream: &Stream) {
    let path = "stream.symbol_classes";
    for text in &stream.symbol_classes {
        let (name, class) = text.rsplit_once('=').unwrap_or_default();
        let holds = !name.is_empty() && ["us_stock", "crypto", "fx", "other"].contains(&class);
        let problem = format!("holds '{text}', which is not SYMBOL=class");
        let remedy = "write it like BTCUSD=crypto or NYSE:*=us_stock; classes are us_stock, \
                      crypto, fx and other";
        checks.require(holds, path, &problem, remedy);
    }
    let mut seen = BTreeSet::new();
    for (name, _) in stream.parsed_symbol_classes() {
        let problem = format!("holds '{name}' twice, and a symbol has one class");
        checks.require(seen.insert(name), path, &problem, "give each symbol once");
        let prefix = name.strip_suffix(":*").unwrap_or_default();
        let is_listed = [&stream.crypto_prefixes, &stream.fx_prefixes]
            .iter()
            .any(|prefixes| prefixes.iter().any(|one| one == prefix));
        let problem = format!("holds '{name}', whose prefix has a class already");
        let remedy = "take it out of stream.crypto_prefixes or stream.fx_prefixes";
        checks.require(!is_listed, path, &problem, remedy);
    }
}

fn check_bounds(checks: &mut Checks<'_>, config: &Config) {
    let stream = &config.stream;
    checks.positive(stream.batch_ms, "stream.batch_ms");
    checks.positive(stream.batch_records as u64, "stream.batch_records");
    checks.positive(stream.beat_kib as u64, "stream.beat_kib");
    checks.positive(stream.provisional_every_ms, "stream.provisional_every_ms");
    checks.positive(stream.drain_deadline_ms, "stream.drain_deadline_ms");
    checks.at_most(("stream.batch_ms", stream.batch_ms), ("stream.beat_ms", stream.beat_ms));
    checks.at_most(
        ("stream.batch_records", stream.batch_records as u64),
        ("stream.beat_records", stream.beat_records as u64),
    );
    checks.below(
        ("stream.beat_ms", stream.beat_ms),
        ("kafka.transaction_timeout_ms", config.kafka.transaction_timeout_ms.into()),
    );
}
