//! The wire form of what a partition makes of its records: intervals, and from when on.

use serde::{Deserialize, Serialize};

use crate::model::{ActiveInterval, Interval, Scope, Told};

#[derive(Serialize, Deserialize)]
#[serde(rename = "PartitionScope")]
pub(super) struct ScopeRecord {
    version: i32,
    intervals: Vec<IntervalRecord>,
    told_below_offset: Option<i64>,
    told_before: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "ActiveInterval")]
struct IntervalRecord {
    interval: String,
    active_from: Option<i64>,
}

impl ScopeRecord {
    pub fn new(scope: &Scope, version: i32) -> Self {
        let intervals = scope.intervals.iter().map(|known| IntervalRecord {
            interval: known.interval.to_string(),
            active_from: known.from_ms,
        });
        Self {
            version,
            intervals: intervals.collect(),
            told_below_offset: scope.told.map(|told| told.below_offset),
            told_before: scope.told.map(|told| told.before_ms),
        }
    }

    pub fn version(&self) -> i32 {
        self.version
    }

    pub fn into_scope(self) -> Result<Scope, String> {
        let intervals = self.intervals.iter().map(|record| {
            let interval = Interval::parse(&record.interval)?;
            Ok(ActiveInterval { interval, from_ms: record.active_from })
        });
        let told = self.told_below_offset.zip(self.told_before);
        Ok(Scope {
            intervals: intervals.collect::<Result<_, String>>()?,
            told: told.map(|(below_offset, before_ms)| Told { below_offset, before_ms }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::avro::Avro;
    use crate::model::StateRecord;

    #[test]
    fn a_scope_round_trips_under_its_key() {
        let known = |text: &str, from_ms| {
            let interval = Interval::parse(text).expect("valid");
            ActiveInterval { interval, from_ms }
        };
        let scope = Scope {
            intervals: vec![known("5m", None), known("1h", Some(7))],
            told: Some(Told { below_offset: 12, before_ms: -1 }),
        };
        let avro = Avro::single_object();
        for scope in [scope, Scope::default()] {
            let record = StateRecord::Scope(scope);
            let (key, value) = avro.encode_state(&record).expect("encodes");
            assert_eq!(key, b"scope");
            assert_eq!(avro.decode_state(&key, &value.expect("a value")), Ok(record));
        }
    }
}
