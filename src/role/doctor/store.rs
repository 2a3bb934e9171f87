//! Cassandra: nodes, keyspace and tables, and whether its clock is ours.

use super::check::Finding;
use super::{Patient, Tell};
use crate::cassandra::Connection;
use crate::cassandra::schema::Schema;
use crate::cassandra::schema_check::{self, ObjectReport, Outcome};
use crate::config::{Config, StoreKind};
use crate::error::Result;
use crate::port::Clock;
use crate::runtime::SystemClock;

const CASSANDRA: &str = "cassandra";
const TABLES: &str = "tables";
const CLOCK: &str = "cassandra clock";
pub(super) const CHECKS: [&str; 3] = [CASSANDRA, TABLES, CLOCK];

/// Rows live for a time that is reckoned from both clocks; seconds do not matter to days.
const SKEW_MS: i64 = 5_000;

pub(super) fn check(patient: &Patient, tell: &mut Tell<'_>) {
    let config = &patient.config;
    if config.stream.store == StoreKind::None {
        let text = "stream.store = none: there are no tables";
        CHECKS.iter().for_each(|check| tell(Finding::skip(check, text)));
        return;
    }
    let connection = match Connection::open(&config.cassandra) {
        Ok(connection) => connection,
        Err(error) => {
            tell(Finding::of(CASSANDRA, &error));
            let text = "Cassandra is out of reach";
            CHECKS[1..].iter().for_each(|check| tell(Finding::skip(check, text)));
            return;
        }
    };
    let points = &config.cassandra.contact_points;
    tell(Finding::ok(CASSANDRA, format!("{points} answers")));
    tell(tables(&connection, config).unwrap_or_else(|error| Finding::of(TABLES, &error)));
    tell(clock(&connection).unwrap_or_else(|error| Finding::of(CLOCK, &error)));
}

fn tables(connection: &Connection, config: &Config) -> Result<Finding> {
    let schema = Schema::of(config)?;
    let reports = schema_check::inspect(connection, &schema)?;
    Ok(judged(&reports))
}

fn judged(reports: &[ObjectReport]) -> Finding {
    let missing: Vec<&str> = reports
        .iter()
        .filter(|report| report.outcome == Outcome::Missing)
        .map(|report| report.object.as_str())
        .collect();
    if !missing.is_empty() {
        let text =
            format!("{} missing; create with `ticksmith cassandra-init`", missing.join(", "));
        return Finding::fail(TABLES, text);
    }
    let differing: Vec<String> = reports.iter().filter_map(difference).collect();
    match differing.is_empty() {
        true => {
            Finding::ok(TABLES, format!("keyspace and {} tables as configured", reports.len() - 1))
        }
        false => Finding::fail(
            TABLES,
            format!(
                "{}; ALTER or DROP with cqlsh, or change the configuration",
                differing.join("; ")
            ),
        ),
    }
}

fn difference(report: &ObjectReport) -> Option<String> {
    let Outcome::Differs(how) = &report.outcome else { return None };
    Some(format!("{}: {}", report.object, how.join(", ")))
}

fn clock(connection: &Connection) -> Result<Finding> {
    let before_us = SystemClock.now_us();
    let server_ms = connection.server_time_ms()?;
    let between_ms = (before_us + SystemClock.now_us()) / 2_000;
    Ok(judged_clock(between_ms - server_ms))
}

fn judged_clock(skew_ms: i64) -> Finding {
    let text = format!("this machine's clock is {:+.1} s from Cassandra's", skew_ms as f64 / 1e3);
    match skew_ms.abs() <= SKEW_MS {
        true => Finding::ok(CLOCK, text),
        false => Finding::warn(
            CLOCK,
            format!("{text}; rows expire by its clock: run an NTP client on both machines"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role::doctor::check;

    fn report(object: &str, outcome: Outcome) -> ObjectReport {
        ObjectReport { object: object.into(), outcome }
    }

    #[test]
    fn what_is_missing_or_differs_fails() {
        let keyspace = || report("keyspace market", Outcome::Exists);
        let well = judged(&[keyspace(), report("table market.symbols", Outcome::Exists)]);
        assert_eq!(well.text, "keyspace and 1 tables as configured");
        let gone = judged(&[keyspace(), report("table market.symbols", Outcome::Missing)]);
        assert!(gone.is_failure() && gone.text.contains("market.symbols missing; create"));
        let other = Outcome::Differs(vec!["default_time_to_live is 1 s, not 2 s".into()]);
        assert!(judged(&[report("table market.symbols", other)]).is_failure());
    }

    #[test]
    fn seconds_between_clocks_are_let_pass_and_minutes_are_not() {
        assert_eq!(judged_clock(-900).outcome, check::Outcome::Ok);
        let warned = judged_clock(90_000);
        assert_eq!(warned.outcome, check::Outcome::Warn);
        assert!(warned.text.contains("+90.0 s"), "{}", warned.text);
    }
}
