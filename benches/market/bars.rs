//! What a run has told in its bars topic, read as whoever wants the result reads it.

use std::collections::BTreeMap;

use rdkafka::message::Message;
use ticksmith::codec::avro::Avro;
use ticksmith::model::Bar;

use crate::log::Log;
use crate::oracle::{Key, key_of};

/// The last committed bar of every key, of those that are wanted.
pub fn last_bars(log: &Log, wanted: impl Fn(&Bar) -> bool) -> BTreeMap<Key, Bar> {
    let avro = Avro::single_object();
    let mut bars = BTreeMap::new();
    log.each_committed(|message| {
        let bar = avro.decode_bar(message.payload().expect("a bar")).expect("a record of bar.avsc");
        assert_eq!(message.key(), Some(bar.symbol.as_bytes()), "a bar's key is its symbol");
        if wanted(&bar) {
            bars.insert(key_of(&bar), bar);
        }
    });
    bars
}
