//! What should come out: one engine per partition, fed with the same log without any fault, and
//! never restarted.

use std::collections::BTreeMap;
use std::sync::Arc;

use ticksmith::codec::avro::Undecodable;
use ticksmith::engine::{Engine, Input, Rules};
use ticksmith::model::feed_event::FEED_EVENT_HEADER;
use ticksmith::model::{
    BarState, Disposition, Effects, Origin, PartitionMeta, RejectReason, StateRecord,
};
use ticksmith::port::Topic;

use crate::broker::{Broker, Stored};
use crate::options::Options;
use crate::process::AVRO;
use crate::tables::{BarKey, Row, Tables, bar_key};

/// What one engine has made of a partition so far.
pub struct Lane {
    engine: Engine,
    pub next_offset: i64,
    /// Records taken in.
    pub consumed: i64,
    pub effects: Effects,
    pub rejected: Vec<(i64, RejectReason)>,
    /// The changelog as compaction would leave it.
    pub state: BTreeMap<Vec<u8>, Vec<u8>>,
    /// As of the newest commit of the processes.
    pub committed: i64,
    pub watermark_ms: Option<i64>,
}

pub struct Oracle {
    pub lanes: BTreeMap<i32, Lane>,
}

impl Oracle {
    pub fn new(options: &Options) -> Self {
        let count = options.partitions;
        let lane = |partition| (partition, Lane::new(&options.rules, partition, count));
        Self { lanes: (0..count as i32).map(lane).collect() }
    }

    /// Feeds the partition's engine up to `offset`, and returns its lane.
    pub fn read_to(&mut self, broker: &Broker, partition: i32, offset: i64) -> &mut Lane {
        let lane = self.lanes.get_mut(&partition).expect("one lane a partition");
        let log = broker.log(Topic::Trades, partition);
        for (entry, stored) in log.committed(lane.next_offset, offset) {
            lane.take(partition, entry.offset, stored);
        }
        lane
    }

    /// The tables of a run without faults, closed and corrected bars alone in gold.
    pub fn tables(&self) -> Tables {
        let mut tables = Tables::default();
        let rows = self.lanes.values().flat_map(|lane| Row::of(&lane.effects));
        rows.for_each(|row| tables.apply(row));
        tables
    }

    /// Revision of every window that is still open.
    pub fn open_windows(&mut self) -> BTreeMap<BarKey, i64> {
        let mut effects = Effects::default();
        for lane in self.lanes.values_mut() {
            lane.engine.step(Input::Drain, &mut effects);
        }
        let open = effects.bars.iter().filter(|bar| bar.state == BarState::Provisional);
        open.map(|bar| (bar_key(bar), bar.revision)).collect()
    }
}

impl Lane {
    fn new(rules: &Arc<Rules>, partition: i32, partition_count: u32) -> Self {
        Self {
            engine: Engine::new(Arc::clone(rules), partition, partition_count),
            next_offset: 0,
            consumed: 0,
            effects: Effects::default(),
            rejected: Vec::new(),
            state: BTreeMap::new(),
            committed: 0,
            watermark_ms: None,
        }
    }

    fn take(&mut self, partition: i32, offset: i64, stored: &Stored) {
        let input = input(Origin { partition, offset }, stored);
        if let Some(Disposition::Rejected(reason)) = self.engine.step(input, &mut self.effects) {
            self.rejected.push((offset, reason));
        }
        self.next_offset = offset + 1;
        self.consumed += 1;
    }

    /// Brings `state` up to date and returns the meta record.
    pub fn save(&mut self) -> PartitionMeta {
        let mut records = Vec::new();
        self.engine.collect_state(&mut records).expect("conservation holds");
        let mut newest = PartitionMeta::default();
        for record in records {
            let (key, value) = AVRO.encode_state(&record).expect("state can be written");
            match value {
                Some(value) => self.state.insert(key, value),
                None => self.state.remove(&key),
            };
            if let StateRecord::Meta(meta) = record {
                newest = meta;
            }
        }
        newest
    }
}

fn input(origin: Origin, stored: &Stored) -> Input<'_> {
    let header = stored.headers.iter().find(|(name, _)| *name == FEED_EVENT_HEADER);
    let reject = |reason| Input::Undecodable { origin, reason };
    let definite = |undecodable: &Undecodable| {
        assert!(matches!(undecodable, Undecodable::Definite(_)), "no registry can stall here");
    };
    match (&stored.value, header) {
        (Some(value), _) => AVRO.decode_trade(value).map_or_else(
            |undecodable| {
                definite(&undecodable);
                reject(RejectReason::Undecodable)
            },
            |trade| Input::Trade { origin, key: stored.key.as_deref(), trade },
        ),
        (None, Some((_, header))) => AVRO.decode_feed_event(header).map_or_else(
            |undecodable| {
                definite(&undecodable);
                reject(RejectReason::BadEvent)
            },
            |event| Input::Event { origin, event },
        ),
        (None, None) => reject(RejectReason::NullValue),
    }
}
