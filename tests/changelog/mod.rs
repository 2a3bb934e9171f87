//! What a compacted changelog holds of an engine: its records go there as bytes, and come back.

use std::collections::BTreeMap;

use ticksmith::codec::avro::Avro;
use ticksmith::engine::Engine;
use ticksmith::model::StateRecord;

/// The changelog of one partition.
pub struct Changelog {
    avro: Avro,
    newest: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Changelog {
    pub fn new() -> Self {
        Self { avro: Avro::single_object(), newest: BTreeMap::new() }
    }

    /// What the engine would have written with its next beat.
    pub fn save(&mut self, engine: &mut Engine) {
        let mut records = Vec::new();
        engine.collect_state(&mut records).expect("conservation holds");
        for record in records {
            match self.avro.encode_state(&record).expect("encodes") {
                (key, Some(value)) => self.newest.insert(key, value),
                (key, None) => self.newest.remove(&key),
            };
        }
    }

    /// What an engine is restored from.
    pub fn records(&self) -> Vec<StateRecord> {
        let decode = |(key, value): (&Vec<u8>, &Vec<u8>)| {
            self.avro.decode_state(key, value).expect("what was encoded decodes")
        };
        self.newest.iter().map(decode).collect()
    }
}
