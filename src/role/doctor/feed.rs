//! The key and the feed. A key has one connection, so it is tried only when nobody has it.

use std::time::Duration;

use super::check::Finding;
use super::{Patient, Tell};
use crate::config::{Config, Secret};
use crate::error::{Error, Result};
use crate::http::probe::{self, Answer};
use crate::kafka::lease_members;
use crate::port::Clock;
use crate::role::producer::{FeedPlan, key_hash, plan_feed};
use crate::role::status::own_address;
use crate::runtime::SystemClock;
use crate::websocket::{Ending, Knock, knock};

const KEY: &str = "key";
const FEED: &str = "feed";
const CLOCK: &str = "feed clock";
const USE: &str = "key in use";
pub(super) const CHECKS: [&str; 4] = [KEY, FEED, CLOCK, USE];

/// A server tells whole seconds; what is more than this is a clock.
const SKEW_MS: i64 = 2_500;

/// A key that nobody uses may be tried; whether it is used is not always known.
enum Use {
    /// In these words.
    Proven(String),
    /// The producer is there, and not connected.
    Troubled(String),
    Nobody,
    /// Why it cannot be known.
    Unknown(String),
}

pub(super) fn check(patient: &Patient, tell: &mut Tell<'_>) {
    let config = &patient.config;
    let plan = match plan_feed(config) {
        Ok(plan) => plan,
        Err(error) => {
            tell(Finding::of(KEY, &error));
            let text = "not tried without a key, an address and symbols";
            CHECKS[1..].iter().for_each(|check| tell(Finding::skip(check, text)));
            return;
        }
    };
    tell(Finding::ok(KEY, described(config, &plan)));
    let (knocked, took, heard_ms) = match knock_at(&plan, &Secret::default()) {
        Ok(heard) => heard,
        Err(error) => {
            CHECKS[1..].iter().for_each(|check| tell(Finding::of(check, &error)));
            return;
        }
    };
    let shown = plan.address.shown();
    let is_reached = is_there(&knocked);
    tell(match &knocked.refusal {
        Some(refusal) if !is_reached => Finding::absent(
            FEED,
            format!(
                "{shown} does not let us in: {}; check finnhub.url, the network and its proxy",
                refusal.detail()
            ),
        ),
        _ => Finding::ok(FEED, format!("{shown} answers in {} ms", took.as_millis())),
    });
    tell(clock(&knocked, heard_ms));
    tell(match is_reached {
        true => in_use(patient, &plan),
        false => Finding::skip(USE, "the feed is out of reach"),
    });
}

fn described(config: &Config, plan: &FeedPlan) -> String {
    let symbols: usize = plan.slots.iter().map(|(_, symbols)| symbols.len()).sum();
    let (keys, of) = (plan.slots.len(), plan.slots.len() * config.finnhub.symbols_per_key);
    let noun = if keys == 1 { "key" } else { "keys" };
    format!("{keys} {noun} for {}, {symbols} of {of} symbols", plan.address.shown())
}

/// What was heard, how long it took, and when that was by our clock, ms since the epoch.
fn knock_at(plan: &FeedPlan, key: &Secret) -> Result<(Knock, Duration, i64)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Unavailable(format!("no runtime for the feed: {error}")))?;
    let began_us = SystemClock.monotonic_us();
    let knocked = runtime.block_on(knock(&plan.address, &plan.trust, key));
    let took_us = SystemClock.monotonic_us() - began_us;
    let heard_ms = SystemClock.now_us() / 1_000;
    Ok((knocked, Duration::from_micros(took_us.unsigned_abs()), heard_ms))
}

/// Whoever refuses for want of a key is there.
fn is_there(knocked: &Knock) -> bool {
    matches!(
        knocked.refusal,
        None | Some(Ending::WrongKey(_) | Ending::Throttled(_) | Ending::KeyInUse(_))
    )
}

fn clock(knocked: &Knock, heard_ms: i64) -> Finding {
    let Some(server_ms) = knocked.server_ms else {
        return Finding::skip(CLOCK, "the feed tells no time");
    };
    // It cuts the second off: half a second is its mean.
    let skew_ms = heard_ms - (server_ms + 500);
    let text = format!("this machine's clock is {:+.1} s from the feed's", skew_ms as f64 / 1e3);
    if skew_ms.abs() <= SKEW_MS {
        return Finding::ok(CLOCK, text);
    }
    let remedy = "arrival times, and what counts as too far in the future, go by it: run an NTP \
                  client (chrony, systemd-timesyncd)";
    Finding::warn(CLOCK, format!("{text}; {remedy}"))
}

fn in_use(patient: &Patient, plan: &FeedPlan) -> Finding {
    let config = &patient.config;
    match used(config, plan) {
        Use::Proven(text) => Finding::ok(USE, text),
        Use::Troubled(text) => Finding::warn(USE, text),
        Use::Unknown(why) if !patient.may_connect => {
            let cost = "a second connection would cost both theirs; --connect tries";
            Finding::skip(USE, format!("not tried: {why}, and {cost}"))
        }
        Use::Nobody | Use::Unknown(_) => tried(plan),
    }
}

fn used(config: &Config, plan: &FeedPlan) -> Use {
    if let Some(address) = own_address(&config.http, config.producer.http_port) {
        match probe::ask_ready(&address) {
            Answer::Ready => {
                return Use::Proven(format!("the producer at {address} is connected"));
            }
            Answer::NotReady(reason) => {
                return Use::Troubled(format!(
                    "the producer at {address} is not connected: {reason}"
                ));
            }
            _ => {}
        }
    }
    if !config.producer.lease {
        return Use::Unknown("producer.lease = false, so nobody knows who uses the key".into());
    }
    let members = plan.slots.iter().map(|(key, _)| lease_members(config, &key_hash(key)));
    match members.sum::<Result<usize>>() {
        Ok(0) => Use::Nobody,
        Ok(count) => Use::Proven(format!(
            "by {count} producers, as their lease says; their own pages tell more"
        )),
        Err(_) => Use::Unknown("Kafka does not say whether a producer uses the key".into()),
    }
}

/// Every key once; the first that is not let in is told.
fn tried(plan: &FeedPlan) -> Finding {
    for (slot, (key, _)) in plan.slots.iter().enumerate() {
        let refusal = match knock_at(plan, key) {
            Ok((knocked, ..)) => knocked.refusal,
            Err(error) => return Finding::of(USE, &error),
        };
        let number = slot + 1;
        match refusal {
            None => {}
            Some(Ending::WrongKey(text)) => {
                return Finding::fail(
                    USE,
                    format!("key {number} of FINNHUB_API_KEY is refused ({text}): check the key"),
                );
            }
            Some(other) => {
                return Finding::warn(
                    USE,
                    format!("key {number} was not let in: {}", other.detail()),
                );
            }
        }
    }
    let (count, shown) = (plan.slots.len(), plan.address.shown());
    Finding::ok(USE, format!("by nobody; {shown} let {count} in and was left again"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::doctor::check::Outcome;

    fn knocked(refusal: Option<Ending>, server_ms: Option<i64>) -> Knock {
        Knock { refusal, server_ms }
    }

    #[test]
    fn a_clock_is_judged_by_whole_seconds() {
        let outcome = |server_ms| clock(&knocked(None, server_ms), 100_000).outcome;
        assert_eq!(outcome(None), Outcome::Skip);
        for server_ms in [97_500, 99_000, 100_000, 101_000] {
            assert_eq!(outcome(Some(server_ms)), Outcome::Ok, "{server_ms}");
        }
        assert_eq!(outcome(Some(90_000)), Outcome::Warn);
        let text = clock(&knocked(None, Some(160_000)), 100_000).text;
        assert!(text.contains("-60.5 s") && text.contains("NTP"), "{text}");
    }

    #[test]
    fn who_asks_for_a_key_is_there_and_who_is_broken_is_not() {
        assert!(is_there(&knocked(None, None)));
        assert!(is_there(&knocked(Some(Ending::WrongKey("HTTP 401".into())), None)));
        assert!(!is_there(&knocked(Some(Ending::Refused("HTTP 502".into())), None)));
    }
}
