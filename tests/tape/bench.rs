//! An engine under test with one partition, its log and its changelog.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::DateTime;
use ticksmith::engine::{Engine, Input, Policy, Rules};
use ticksmith::model::{Bar, Effects, Interval, Origin, Trade};

use crate::changelog::Changelog;

pub fn time_ms(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).expect("a time").timestamp_millis()
}

pub fn rules(intervals: &[&str], policy: Option<Policy>) -> Rules {
    let intervals = intervals.iter().map(|text| Interval::parse(text).expect("valid")).collect();
    let rules = Rules::with_intervals(intervals).expect("they fit");
    Rules { policy, ..rules }
}

/// A trade as the feed has it.
#[derive(Debug, Clone)]
pub struct Print {
    pub time_ms: i64,
    pub price: f64,
    pub volume: f64,
    pub codes: Vec<String>,
}

pub fn print(time_ms: i64, price: f64, volume: f64, codes: &[&str]) -> Print {
    let codes = codes.iter().map(|code| (*code).to_owned()).collect();
    Print { time_ms, price, volume, codes }
}

pub struct Bench {
    rules: Arc<Rules>,
    engine: Engine,
    changelog: Changelog,
    offset: i64,
    pub effects: Effects,
}

impl Bench {
    pub fn new(rules: Rules) -> Self {
        let rules = Arc::new(rules);
        Self {
            engine: Engine::new(Arc::clone(&rules), 0, 1),
            rules,
            changelog: Changelog::new(),
            offset: 0,
            effects: Effects::default(),
        }
    }

    pub fn trade(&mut self, symbol: &str, print: &Print) {
        self.offset += 1;
        let trade = Trade {
            symbol: symbol.into(),
            price: print.price,
            volume: print.volume,
            trade_time_ms: print.time_ms,
            conditions: Some(print.codes.iter().map(Into::into).collect()),
            connection: 1,
            seq: self.offset,
            received_at_us: 0,
            feed: "test/0".into(),
        };
        let origin = Origin { partition: 0, offset: self.offset };
        let input = Input::Trade { origin, key: Some(symbol.as_bytes()), trade };
        self.engine.step(input, &mut self.effects);
    }

    /// The last content of each bar by length and start, of open windows as of now.
    pub fn finish(&mut self) -> BTreeMap<(i64, i64), Bar> {
        self.engine.step(Input::Drain, &mut self.effects);
        let bars = self.effects.bars.iter();
        bars.map(|bar| ((bar.interval.length_ms(), bar.window.start_ms), bar.clone())).collect()
    }

    /// Through the changelog and back.
    pub fn restart(&mut self) {
        self.changelog.save(&mut self.engine);
        let (rules, records) = (Arc::clone(&self.rules), self.changelog.records());
        self.engine = Engine::restore(rules, 0, 1, records).expect("restores");
    }
}
