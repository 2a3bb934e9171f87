//! What a validated configuration means for the engine, the beat and the codec; shared by the roles
//! that run a stream.

use std::sync::Arc;

use crate::config::{Config, Guarantee};
use crate::engine::{ClassRule, Policy, Rules};
use crate::error::{Error, Result};
use crate::model::Interval;
use crate::pipeline::Schedule;

const HOUR_MS: i64 = 3_600_000;

/// The engine's rules for `intervals`, everything else as configured.
///
/// # Errors
/// `Config` naming the key that does not fit.
pub fn rules_for(config: &Config, intervals: Vec<Interval>) -> Result<Rules> {
    let stream = &config.stream;
    Ok(Rules {
        out_of_orderness_ms: stream.out_of_orderness_ms,
        allowed_lateness_ms: stream.allowed_lateness_ms,
        future_bound_ms: stream.future_bound_ms,
        earliest_ms: stream.earliest_ms(),
        policy: Policy::parse(&stream.policy).map_err(Error::Config)?,
        classes: ClassRule {
            crypto_prefixes: stream.crypto_prefixes.clone(),
            fx_prefixes: stream.fx_prefixes.clone(),
        },
        symbol_max_bytes: stream.symbol_max_bytes,
        mark_horizon_ms: i64::from(config.topics.trades_retention_hours) * HOUR_MS,
        ..Rules::with_intervals(intervals)?
    })
}

/// The rules of the configured intervals.
pub fn rules(config: &Config) -> Result<Arc<Rules>> {
    rules_for(config, config.stream.parsed_intervals()).map(Arc::new)
}

/// The beat as configured; it runs until it is asked to stop.
pub fn schedule(config: &Config) -> Schedule {
    let stream = &config.stream;
    Schedule {
        beat_ms: stream.beat_ms,
        beat_records: stream.beat_records,
        beat_bytes: stream.beat_kib * 1024,
        batch_ms: stream.batch_ms,
        batch_records: stream.batch_records,
        provisional_every_ms: stream.provisional_every_ms,
        provisional_max_lag_ms: stream.provisional_max_lag_ms,
        drain_deadline_ms: stream.drain_deadline_ms,
        silver_topic: stream.silver_topic,
        provisional_to_topic: stream.provisional_to_topic,
        exactly_once: stream.guarantee == Guarantee::ExactlyOnce,
        until_end: false,
        drain: false,
    }
}
