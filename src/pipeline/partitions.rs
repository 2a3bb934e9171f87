//! The partitions that this process owns: their engines, restored from the changelog, and the way
//! of a record from bytes into its engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::codec::avro::{Avro, Undecodable};
use crate::engine::{Engine, Input, Rules};
use crate::error::{Error, Result};
use crate::model::{Disposition, Effects, Origin, RejectReason, StateRecord, Tally};
use crate::port::{BeatReport, Clock, Live, Log, PartitionReport, RawRecord, Restored};
use crate::telemetry::{spans, stream as events};

use super::agreement::Standing;
use super::outbox::Outbox;
use super::restoring::Restoring;

/// Commit markers reach the offsets and the changelog independently: look again so many times.
const AGREEMENT_ATTEMPTS: u32 = 50;
const AGREEMENT_PAUSE_MS: u64 = 100;

/// Engines by partition.
pub struct Partitions {
    avro: Arc<Avro>,
    rules: Arc<Rules>,
    partition_count: u32,
    /// Its name, for what has to be said of it.
    trades_topic: String,
    engines: BTreeMap<i32, Engine>,
    /// Owned, but not restored yet.
    owed: Vec<i32>,
}

impl Partitions {
    pub fn new(
        avro: Arc<Avro>,
        rules: Arc<Rules>,
        partition_count: u32,
        trades_topic: String,
    ) -> Self {
        Self {
            avro,
            rules,
            partition_count,
            trades_topic,
            engines: BTreeMap::new(),
            owed: Vec::new(),
        }
    }

    /// Decodes one record and steps its engine. What is of no owned partition, or lies below the
    /// expected offset, was queued before a rebuild and is skipped.
    ///
    /// # Errors
    /// `Unavailable` when a schema cannot be fetched: the record was not taken.
    pub fn take(
        &mut self,
        record: &RawRecord<'_>,
        effects: &mut Effects,
        outbox: &mut Outbox,
    ) -> Result<()> {
        let Some(engine) = self.engines.get_mut(&record.partition) else { return Ok(()) };
        if record.offset < engine.next_offset() {
            return Ok(());
        }
        let input = decode(&self.avro, record)?;
        if let Some(Disposition::Rejected(reason)) = engine.step(input, effects) {
            events::rejected(record.partition, record.offset, reason);
            outbox.reject(record, reason);
        }
        Ok(())
    }

    /// Makes the engines anew from the changelog and seeks to where each stands.
    pub fn rebuild(
        &mut self,
        assignment: &[i32],
        log: &mut dyn Log,
        live: &dyn Live,
        clock: &dyn Clock,
    ) -> Result<()> {
        self.owe(assignment);
        let mut restoring = Restoring::new(assignment.len(), live, clock);
        for partition in assignment {
            self.stay_member(log)?;
            let (engine, offset) = self.restore(*partition, log, &mut restoring, clock)?;
            log.seek(*partition, offset)?;
            restoring.done(*partition, offset, engine.open_windows());
            self.engines.insert(*partition, engine);
        }
        self.owed.clear();
        Ok(())
    }

    /// To be called several times a second by whatever waits: for a store that is away, or for a
    /// transaction that a dead process left open.
    ///
    /// # Errors
    /// `Restore` when partitions moved meanwhile; the beat is void.
    pub fn stay_member(&mut self, log: &mut dyn Log) -> Result<()> {
        let Some(assignment) = log.keep_alive()? else { return Ok(()) };
        self.owe(&assignment);
        Err(Error::Restore("partitions moved meanwhile".into()))
    }

    fn restore(
        &self,
        partition: i32,
        log: &mut dyn Log,
        restoring: &mut Restoring<'_>,
        clock: &dyn Clock,
    ) -> Result<(Engine, i64)> {
        let mut last_problem = String::new();
        for attempt in 0..AGREEMENT_ATTEMPTS {
            if attempt > 0 {
                clock.sleep(Duration::from_millis(AGREEMENT_PAUSE_MS));
            }
            let (records, restored) = self.read_state(partition, log, restoring)?;
            let standing = Standing {
                partition,
                trades_topic: &self.trades_topic,
                records: &records,
                restored,
            };
            match standing.start_offset()? {
                Ok(offset) => {
                    let rules = Arc::clone(&self.rules);
                    let count = self.partition_count;
                    return Ok((Engine::restore(rules, partition, count, records)?, offset));
                }
                Err(problem) => last_problem = problem,
            }
        }
        Err(Error::Config(last_problem))
    }

    fn read_state(
        &self,
        partition: i32,
        log: &mut dyn Log,
        restoring: &mut Restoring<'_>,
    ) -> Result<(Vec<StateRecord>, Restored)> {
        let mut records = Vec::new();
        let mut on_state = |key: &[u8], value: &[u8]| {
            records.push(self.avro.decode_state(key, value)?);
            Ok(())
        };
        restoring.read_anew();
        let mut on_progress = |progress| restoring.progress(partition, progress);
        let restored =
            spans::restore(partition, || log.restore(partition, &mut on_state, &mut on_progress))?;
        Ok((records, restored))
    }

    /// Gives up every engine; all that is owned waits for a rebuild.
    pub fn owe_all(&mut self) {
        self.owed = self.owned();
        self.engines.clear();
    }

    /// The assignment changed: all of it waits for a rebuild.
    pub fn owe(&mut self, assignment: &[i32]) {
        self.owed = assignment.to_vec();
        self.engines.clear();
    }

    /// Gives up everything: the session is over.
    pub fn owe_nothing(&mut self) {
        self.owed.clear();
        self.engines.clear();
    }

    /// Everything owned, restored or not.
    pub fn owned(&self) -> Vec<i32> {
        if self.owed.is_empty() {
            self.engines.keys().copied().collect()
        } else {
            self.owed.clone()
        }
    }

    /// Whether a rebuild is due before anything can be read.
    pub fn is_owing(&self) -> bool {
        !self.owed.is_empty()
    }

    pub fn next_offset(&self, partition: i32) -> Option<i64> {
        self.engines.get(&partition).map(Engine::next_offset)
    }

    pub fn engines(&self) -> impl Iterator<Item = (i32, &Engine)> {
        self.engines.iter().map(|(partition, engine)| (*partition, engine))
    }

    /// Number of partitions that are owned and restored.
    pub fn count(&self) -> usize {
        self.engines.len()
    }

    pub fn engines_mut(&mut self) -> impl Iterator<Item = &mut Engine> {
        self.engines.values_mut()
    }

    /// Where they stand, and what is left to read.
    pub fn report(&self, log: &mut dyn Log) -> BeatReport {
        let mut report = BeatReport::default();
        let mut is_answering = true;
        for (partition, engine) in self.engines() {
            let next_offset = engine.next_offset();
            // A log that is away is not asked for every partition: each question takes its time.
            let end_offset = is_answering.then(|| log.newest_end(partition).ok()).flatten();
            is_answering = end_offset.is_some();
            let end_offset = end_offset.unwrap_or(next_offset).max(next_offset);
            let tally = engine.tally();
            add(&mut report.tally, tally);
            report.lag_records += end_offset - next_offset;
            report.symbols += engine.symbol_count();
            report.partitions.push(PartitionReport {
                partition,
                next_offset,
                end_offset,
                watermark_ms: engine.watermark_ms(),
                open_windows: engine.open_windows(),
                tally,
            });
        }
        report
    }

    /// Hands out what the changelog must be told, by partition with its next offset; only of those
    /// that read something since. One partition at a time: the state of thousands of symbols is
    /// several times as large as its bytes.
    pub fn collect_state(
        &mut self,
        mut on_state: impl FnMut(i32, i64, &[StateRecord]) -> Result<()>,
    ) -> Result<()> {
        let mut records = Vec::new();
        for (partition, engine) in self.engines.iter_mut().filter(|(_, one)| one.is_unsaved()) {
            engine.collect_state(&mut records)?;
            on_state(*partition, engine.next_offset(), &records)?;
            records.clear();
        }
        Ok(())
    }
}

fn add(sum: &mut Tally, one: Tally) {
    sum.merged += one.merged;
    sum.duplicate += one.duplicate;
    sum.rejected += one.rejected;
    sum.late += one.late;
    sum.control += one.control;
}

fn decode<'a>(avro: &Avro, record: &RawRecord<'a>) -> Result<Input<'a>> {
    let origin = Origin { partition: record.partition, offset: record.offset };
    let undecodable = |reason| Input::Undecodable { origin, reason };
    match (record.value, record.event) {
        (Some(value), _) => match avro.decode_trade(value) {
            Ok(trade) => Ok(Input::Trade { origin, key: record.key, trade }),
            Err(Undecodable::Definite(_)) => Ok(undecodable(RejectReason::Undecodable)),
            Err(Undecodable::Stalled(error)) => Err(error),
        },
        (None, Some(event)) => match avro.decode_feed_event(event) {
            Ok(event) => Ok(Input::Event { origin, event }),
            Err(Undecodable::Definite(_)) => Ok(undecodable(RejectReason::BadEvent)),
            Err(Undecodable::Stalled(error)) => Err(error),
        },
        (None, None) => Ok(undecodable(RejectReason::NullValue)),
    }
}
