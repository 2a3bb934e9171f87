//! What a validated configuration means for the engine, the beat and the codec; shared by the roles
//! that run a stream.

use std::fs;
use std::sync::Arc;

use crate::config::Config;
use crate::engine::{ClassRule, ConditionTable, Policy, Rules, SymbolClass};
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
        classes: class_rule(config)?,
        conditions: conditions(&stream.conditions_file)?,
        symbol_max_bytes: stream.symbol_max_bytes,
        mark_horizon_ms: i64::from(config.topics.trades_retention_hours) * HOUR_MS,
        ..Rules::with_intervals(intervals)?
    })
}

fn class_rule(config: &Config) -> Result<ClassRule> {
    let stream = &config.stream;
    let named = stream.parsed_symbol_classes().into_iter().map(|(name, class)| {
        Ok((name.to_owned(), SymbolClass::parse(class).map_err(Error::Config)?))
    });
    Ok(ClassRule {
        crypto_prefixes: stream.crypto_prefixes.clone(),
        fx_prefixes: stream.fx_prefixes.clone(),
        named: named.collect::<Result<_>>()?,
    })
}

/// The built-in table, or the one in the file at `path`.
fn conditions(path: &str) -> Result<ConditionTable> {
    let built_in = ConditionTable::built_in()?;
    if path.is_empty() {
        return Ok(built_in);
    }
    let source = format!("stream.conditions_file {path}");
    let text = fs::read_to_string(path).map_err(|error| {
        Error::Config(format!("{source} cannot be read: {error}; give a CSV, or leave it empty"))
    })?;
    let table = ConditionTable::parse(&text, &source)?;
    if table.version() == built_in.version() {
        return Err(Error::Config(format!(
            "{source} has version {}, which is the built-in table's: every bar names the version, \
             so give it one of its own",
            table.version()
        )));
    }
    Ok(table)
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
        until_end: false,
        drain: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(change: impl FnOnce(&mut Config)) -> Result<Arc<Rules>> {
        let mut config = Config::defaults();
        change(&mut config);
        rules(&config)
    }

    #[test]
    fn a_symbol_has_the_class_that_the_configuration_gives_it() {
        let classes = ["BTCUSD=crypto", "NYSE:*=us_stock", "OANDA:XAU=Z=other"];
        let rules = configured(|config| {
            config.stream.symbol_classes = classes.map(str::to_owned).to_vec();
        });
        let rule = rules.expect("valid").classes.clone();
        assert_eq!(rule.class_of("BTCUSD"), SymbolClass::Crypto);
        assert_eq!(rule.class_of("NYSE:IBM"), SymbolClass::UsStock);
        assert_eq!(rule.class_of("OANDA:XAU=Z"), SymbolClass::Other);
        assert_eq!(rule.class_of("OANDA:EUR_USD"), SymbolClass::Fx);
        assert_eq!(rule.class_of("AAPL"), SymbolClass::UsStock);
    }

    #[test]
    fn a_table_of_ones_own_is_taken_from_its_file_or_refused_with_its_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("mine.csv");
        let with = |text: &str| {
            fs::write(&path, text).expect("written");
            configured(|config| config.stream.conditions_file = path.display().to_string())
        };
        let row = "12,Odd lot,yes,yes,yes,yes,odd_lot\n";
        let rules = with(&format!("# version,7\n{row}")).expect("valid");
        assert_eq!(rules.conditions.version(), 7);
        let cases = [
            (format!("# version,1\n{row}"), "the built-in table's"),
            (row.to_owned(), "has no version"),
            ("# version,2\n12,Odd lot\n".to_owned(), "line 2: '12,Odd lot': 2 fields"),
        ];
        for (text, expected) in cases {
            let problem = with(&text).expect_err(expected).to_string();
            assert!(problem.contains(expected) && problem.contains("mine.csv"), "{problem}");
        }
        drop(directory);
        let gone = configured(|config| config.stream.conditions_file = path.display().to_string());
        let problem = gone.expect_err("gone").to_string();
        assert!(problem.contains("mine.csv cannot be read"), "{problem}");
    }
}
