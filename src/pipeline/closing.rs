//! The end of a beat, beside the beginning of the next. What the beat holds is frozen; then the
//! store has to acknowledge its rows, and only then one transaction takes the rest. Both take their
//! time (10 to 200 ms), in which the pipeline reads on: no trade of the next beat waits for it.
//!
//! One beat closes at a time, so the running one cannot end before; it grows up to its bounds, and
//! there the pipeline waits. What fails on the way makes both void, since the running beat stands
//! on the state of the closing one.

use std::time::Duration;

use super::Pipeline;
use super::latency::Latency;
use super::pace::lag_ms;
use super::stall::{SLOW_AFTER_MS, STORE_SLICE};
use crate::error::{Error, Result};
use crate::port::{Beat, BeatReport, OutRecord, Topic};
use crate::telemetry::{spans, stream as events};

/// Where the beat stands that has ended last.
#[derive(Default)]
pub(super) enum Closing {
    /// It is committed, or void.
    #[default]
    Idle,
    /// Rows of it are on their way, and nothing is open. `None`: it has nothing for the log.
    AwaitingStore(Ended, Option<Beat>),
    /// The store has all of it; the log has the transaction.
    Committing(Ended),
}

/// What is told of a beat when it is committed.
pub(super) struct Ended {
    /// Where the partitions stood when it ended.
    report: BeatReport,
    latency: Latency,
    span: spans::Beat,
    at_us: i64,
    acknowledged_us: i64,
}

impl Closing {
    pub fn is_idle(&self) -> bool {
        matches!(self, Self::Idle)
    }

    /// Makes it void, unless its transaction is under way: of that the outcome will tell.
    pub fn give_up(&mut self) {
        if let Self::AwaitingStore(..) = self {
            *self = Self::Idle;
        }
    }
}

impl Pipeline {
    /// Takes the closing beat on as far as it goes, and ends the running one when it is due. Waits
    /// only where the running one is full, and at the last.
    pub(super) fn see_to_beats(&mut self, is_last: bool) -> Result<()> {
        self.close_on(Duration::ZERO)?;
        if is_last || self.beat_is_full() {
            self.finish_closing()?;
        }
        if self.closing.is_idle() && (is_last || self.beat_is_due()) {
            self.end_beat()?;
            self.close_on(Duration::ZERO)?;
        }
        if is_last {
            self.finish_closing()?;
        }
        if self.beat_is_due() {
            // What closes takes longer than a beat; it may be the log.
            self.tell_reach();
        }
        Ok(())
    }

    fn beat_is_due(&self) -> bool {
        let has_first_records = self.is_first_beat && self.beat_records > 0;
        has_first_records
            || self.beat_is_full()
            || self.since_ms(self.beat_started_us) >= self.parts.schedule.beat_ms
    }

    fn beat_is_full(&self) -> bool {
        let schedule = &self.parts.schedule;
        self.beat_records >= schedule.beat_records || self.outbox.bytes() >= schedule.beat_bytes
    }

    /// Freezes the beat as it is now; from here on everything belongs to the next one.
    fn end_beat(&mut self) -> Result<()> {
        self.check_deadline()?;
        let is_empty = self.beat_records == 0 && self.outbox.is_empty();
        let beat = if is_empty { None } else { Some(self.make_beat()?) };
        if let Some(store) = &mut self.parts.store {
            store.mark();
        }
        let at_us = self.parts.clock.monotonic_us();
        let records = std::mem::take(&mut self.beat_records);
        self.is_first_beat &= records == 0;
        let mut report = self.partitions.report(self.log.as_mut());
        report.records = records;
        self.lag_ms = lag_ms(report.lag_records, records, at_us - self.beat_started_us);
        self.beat_started_us = at_us;
        let ended = Ended {
            report,
            latency: std::mem::take(&mut self.latency),
            span: spans::Beat::ending(records),
            at_us,
            acknowledged_us: at_us,
        };
        self.closing = Closing::AwaitingStore(ended, beat);
        Ok(())
    }

    fn make_beat(&mut self) -> Result<Beat> {
        let mut records = self.outbox.take();
        let mut offsets = Vec::new();
        let avro = &self.parts.avro;
        self.partitions.collect_state(|partition, next_offset, state| {
            for record in state {
                let (key, value) = avro.encode_state(record)?;
                records.push(OutRecord {
                    topic: Topic::Changelog,
                    partition: Some(partition),
                    key: Some(key),
                    value,
                    headers: Vec::new(),
                });
            }
            offsets.push((partition, next_offset));
            Ok(())
        })?;
        Ok(Beat { records, offsets })
    }

    fn finish_closing(&mut self) -> Result<()> {
        while !self.closing.is_idle() {
            self.close_on(STORE_SLICE)?;
        }
        Ok(())
    }

    /// Takes the closing beat on; waits at most `patience` for its next step. An error leaves it
    /// void.
    fn close_on(&mut self, patience: Duration) -> Result<()> {
        match std::mem::take(&mut self.closing) {
            Closing::Idle => Ok(()),
            Closing::AwaitingStore(ended, beat) => {
                if self.is_acknowledged(ended.at_us, patience)? {
                    return self.begin_commit(ended, beat);
                }
                self.closing = Closing::AwaitingStore(ended, beat);
                Ok(())
            }
            Closing::Committing(ended) => self.await_commit(ended, patience),
        }
    }

    /// Whether the store has all rows of the closing beat. One that refuses, or takes long, is
    /// waited for: reading on would only pile more upon it.
    fn is_acknowledged(&mut self, ended_us: i64, patience: Duration) -> Result<bool> {
        let is_slow = self.since_ms(ended_us) >= SLOW_AFTER_MS;
        let mut within = if is_slow { STORE_SLICE } else { patience };
        let mut is_acknowledged = self.parts.store.is_none();
        self.with_store("flush", ended_us, |store| {
            // A second call comes after a refusal.
            let asked = std::mem::replace(&mut within, STORE_SLICE);
            is_acknowledged = store.await_mark(asked)?;
            Ok(is_acknowledged || asked.is_zero())
        })?;
        Ok(is_acknowledged)
    }

    fn begin_commit(&mut self, mut ended: Ended, beat: Option<Beat>) -> Result<()> {
        ended.acknowledged_us = self.parts.clock.monotonic_us();
        let Some(beat) = beat else {
            self.committed(ended);
            return Ok(());
        };
        self.check_deadline()?;
        ended.span.commits();
        self.log.begin_commit(beat)?;
        self.await_commit(ended, Duration::ZERO)
    }

    fn await_commit(&mut self, ended: Ended, patience: Duration) -> Result<()> {
        if let Some(outcome) = self.log.commit_outcome(patience) {
            self.outbox.recycle(outcome?);
            self.committed(ended);
            return Ok(());
        }
        self.closing = Closing::Committing(ended);
        if !patience.is_zero() {
            self.check_deadline()?;
            self.partitions.stay_member(self.log.as_mut())?;
        }
        Ok(())
    }

    /// Learns how a commit under way ends: before, nobody knows where the state stands. That it has
    /// to be restored, or that partitions moved once more, is no news to who is about to restore.
    pub(super) fn settle(&mut self) -> Result<()> {
        while !self.closing.is_idle() {
            match self.close_on(STORE_SLICE) {
                Ok(()) | Err(Error::Restore(_) | Error::Unavailable(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells of a beat that is in the store and in the log.
    fn committed(&mut self, ended: Ended) {
        let Ended { mut report, mut latency, at_us, acknowledged_us, .. } = ended;
        latency.committed(self.parts.clock.now_us());
        let now_us = self.parts.clock.monotonic_us();
        report.beat_us = now_us - self.committed_at_us;
        report.flush_us = acknowledged_us - at_us;
        report.commit_us = now_us - acknowledged_us;
        self.committed_at_us = now_us;
        events::beat(report.records, report.beat_us);
        events::report(&report);
        self.parts.live.beat(&report);
        self.last_report = report;
        self.tell_reach();
    }
}
