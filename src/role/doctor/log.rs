//! Kafka: brokers, topics, the group that reads them, and the schema registry beside it.

use std::sync::Arc;

use super::check::Finding;
use super::{Patient, Tell};
use crate::config::Config;
use crate::kafka::broker_count;
use crate::kafka::topics::{self, TopicReport, TopicState};
use crate::registry::Registry;
use crate::role::{duration, status};
use crate::runtime::SystemClock;

const KAFKA: &str = "kafka";
const TOPICS: &str = "topics";
const GROUP: &str = "group";
pub(super) const CHECKS: [&str; 3] = [KAFKA, TOPICS, GROUP];
pub(super) const REGISTRY: [&str; 1] = ["schema registry"];
/// Registries give small numbers; whether this one is given does not matter.
const ANY_SCHEMA: u32 = 1;

pub(super) fn check(patient: &Patient, tell: &mut Tell<'_>) {
    let config = &patient.config;
    let brokers = match broker_count(config) {
        Ok(brokers) => brokers,
        Err(error) => {
            tell(Finding::of(KAFKA, &error));
            CHECKS[1..]
                .iter()
                .for_each(|check| tell(Finding::skip(check, "Kafka is out of reach")));
            return;
        }
    };
    let noun = if brokers == 1 { "broker" } else { "brokers" };
    tell(Finding::ok(KAFKA, format!("{brokers} {noun} behind {}", config.kafka.bootstrap)));
    match topics::inspect(config) {
        Ok(reports) => {
            let missing = missing(&reports);
            tell(judged_topics(&reports, &missing));
            tell(match missing.is_empty() {
                true => group(config),
                false => Finding::skip(GROUP, "a topic is missing"),
            });
        }
        Err(error) => {
            tell(Finding::of(TOPICS, &error));
            tell(group(config));
        }
    }
}

fn missing(reports: &[TopicReport]) -> Vec<&str> {
    let missing = reports.iter().filter(|report| report.state == TopicState::Missing);
    missing.map(|report| report.name.as_str()).collect()
}

fn judged_topics(reports: &[TopicReport], missing: &[&str]) -> Finding {
    if !missing.is_empty() {
        let text = format!("{} missing; create with `ticksmith topics`", missing.join(", "));
        return Finding::fail(TOPICS, text);
    }
    let differences: Vec<String> = reports.iter().flat_map(differences).collect();
    match differences.is_empty() {
        true => Finding::ok(TOPICS, format!("all {} are as configured", reports.len())),
        // What a stream cannot live with it refuses itself, and the group's check tells of it.
        false => Finding::warn(
            TOPICS,
            format!(
                "{}; change them with kafka-configs, or the configuration",
                differences.join(", ")
            ),
        ),
    }
}

fn differences(report: &TopicReport) -> Vec<String> {
    let TopicState::Differs(differences) = &report.state else { return Vec::new() };
    let told = differences.iter().map(|one| {
        format!("{}: {} is {}, not {}", report.name, one.setting, one.found, one.wanted)
    });
    told.collect()
}

fn group(config: &Config) -> Finding {
    let name = &config.kafka.group;
    let summary = match status::summary(config) {
        Ok(summary) => summary,
        Err(error) => return Finding::of(GROUP, &error),
    };
    match &summary.problems[..] {
        [] => {
            let watermark = match summary.watermark_lag_ms {
                Some(lag_ms) => format!("watermark {} behind", duration::text(lag_ms)),
                None => "no watermark yet".to_owned(),
            };
            let (members, lag) = (summary.members, summary.lag_records);
            let noun = if members == 1 { "member" } else { "members" };
            Finding::ok(GROUP, format!("{name}: {members} {noun}, lag {lag} records, {watermark}"))
        }
        // A setup that was not started yet is no broken one.
        [only] if summary.members == 0 => Finding::warn(GROUP, only),
        [first, ..] => {
            let more = "`ticksmith status` has all of it";
            Finding::fail(GROUP, format!("{first}; {more}"))
        }
    }
}

pub(super) fn check_registry(patient: &Patient, tell: &mut Tell<'_>) {
    let [check] = REGISTRY;
    let settings = &patient.config.schema_registry;
    if settings.url.is_empty() {
        tell(Finding::skip(check, "none is configured: Avro single-object encoding needs none"));
        return;
    }
    let asked = Registry::new(settings, Arc::new(SystemClock))
        .and_then(|registry| registry.schema(ANY_SCHEMA));
    tell(match asked {
        Ok(_) => Finding::ok(check, format!("{} answers", settings.url)),
        Err(error) => Finding::of(check, &error),
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::topics::Difference;
    use crate::role::doctor::check::Outcome;

    fn report(name: &str, state: TopicState) -> TopicReport {
        TopicReport { name: name.into(), partitions: 6, state }
    }

    #[test]
    fn a_missing_topic_fails_and_another_setting_warns() {
        let difference = Difference {
            setting: "retention.ms".into(),
            wanted: "604800000".into(),
            found: "1000".into(),
        };
        let well = [report("trades", TopicState::AsWanted)];
        let other = [report("trades", TopicState::Differs(vec![difference]))];
        let gone = [report("trades", TopicState::AsWanted), report("bars", TopicState::Missing)];
        let judged = |reports: &[TopicReport]| judged_topics(reports, &missing(reports));
        assert_eq!(judged(&well).outcome, Outcome::Ok);
        assert_eq!(judged(&gone).text, "bars missing; create with `ticksmith topics`");
        let warned = judged(&other);
        assert_eq!(warned.outcome, Outcome::Warn);
        assert!(warned.text.starts_with("trades: retention.ms is 1000, not 604800000;"));
    }
}
