//! The beat: poll, decode, step, write, commit. The one place where the engine meets a log and a
//! store; everything it needs comes in through ports, so tests drive this very code.
//!
//! A beat is many micro-batches and one transaction. Store writes leave with each micro-batch; when
//! the store has acknowledged all of the beat, one transaction takes its records, its state and its
//! offsets. Until then nothing is open, so a store that is away fences nobody. The next beat is
//! read meanwhile: see `closing`.

mod agreement;
mod closing;
mod latency;
mod outbox;
mod pace;
mod partitions;
mod reach;
mod restoring;
mod stall;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::codec::avro::Avro;
use crate::engine::{Input, Rules};
use crate::error::{Error, Result};
use crate::model::Effects;
use crate::port::{BeatReport, Clock, Live, Log, LogFactory, Store};
use crate::runtime::Shutdown;
use crate::telemetry::stream as events;

use closing::Closing;
use latency::Latency;
use outbox::Outbox;
use pace::wait_ms;
use partitions::Partitions;
use stall::STORE_SLICE;

/// While the stream is behind, a micro-batch may be so many times longer and larger: nobody waits
/// for its first record then, and a store is fastest with many rows of one partition at a time.
const CATCH_UP_FACTOR: usize = 5;
/// Behind means: what is left to read takes longer than this at the pace of the last beat, ms.
const BEHIND_MS: i64 = 1_000;
/// A pause is slept in steps of this, so that a stop is noticed, ms.
const RETRY_STEP_MS: u64 = 50;
/// Until the first assignment.
const WAITING: &str = "waiting for partitions: a group hands them out when every member has \
                       answered, or the session of one that was killed is over";

/// When to do what; see `[stream]` of the configuration.
#[derive(Debug, Clone)]
pub struct Schedule {
    pub beat_ms: u64,
    pub beat_records: usize,
    pub beat_bytes: usize,
    pub batch_ms: u64,
    pub batch_records: usize,
    pub provisional_every_ms: u64,
    pub provisional_max_lag_ms: i64,
    /// A stop gives up on an unfinished beat after this; its work is done again after the restart.
    pub drain_deadline_ms: u64,
    pub silver_topic: bool,
    pub provisional_to_topic: bool,
    /// Stop at the end offsets seen at start.
    pub until_end: bool,
    /// At that end, emit the windows still open, marked provisional.
    pub drain: bool,
}

/// What a pipeline is made of.
pub struct Parts {
    pub log_factory: Box<dyn LogFactory>,
    /// `None`: topics only.
    pub store: Option<Box<dyn Store>>,
    pub live: Arc<dyn Live>,
    pub avro: Arc<Avro>,
    pub rules: Arc<Rules>,
    pub clock: Arc<dyn Clock>,
    pub schedule: Schedule,
    /// Name of the trades topic, for the headers of rejected records.
    pub trades_topic: String,
}

/// A running stream. `run` owns it to its end.
pub struct Pipeline {
    parts: Parts,
    log: Box<dyn Log>,
    shutdown: Shutdown,
    partitions: Partitions,
    outbox: Outbox,
    effects: Effects,
    latency: Latency,
    /// Readiness was told so.
    log_is_away: bool,
    /// Records taken in since the last beat ended.
    beat_records: usize,
    beat_started_us: i64,
    /// The beat before, until it is committed.
    closing: Closing,
    /// The last commit, or the beginning of all since a recovery.
    committed_at_us: i64,
    /// When the last partition was sampled, and how many were.
    sampled_at_us: i64,
    samples: usize,
    /// No beat since the assignment: the first trades are not kept waiting for a whole one.
    is_first_beat: bool,
    /// How long the rest of the log takes at the pace of the last beat, ms; as good as endless
    /// before the first one.
    lag_ms: i64,
    /// When the stop was asked for.
    stop_asked_at_us: Option<i64>,
    /// End offsets of every partition owned so far, when it came, for `until_end`.
    ends: BTreeMap<i32, i64>,
    last_report: BeatReport,
}

/// Runs a pipeline until it is asked to stop, or to the end of the log when told so. Returns the
/// state after the last beat.
///
/// # Errors
/// What cannot be mended by waiting: `Config`, `Bug`, or `Unavailable` at the very start.
pub fn run(mut parts: Parts, shutdown: Shutdown) -> Result<BeatReport> {
    let log = match parts.log_factory.open() {
        Ok(log) => log,
        Err(_) if shutdown.is_requested() => return Ok(BeatReport::default()),
        Err(error) => return Err(error),
    };
    shutdown.begun();
    parts.live.ready(false, WAITING);
    let now_us = parts.clock.monotonic_us();
    let partitions = Partitions::new(
        Arc::clone(&parts.avro),
        Arc::clone(&parts.rules),
        log.partition_count(),
        parts.trades_topic.clone(),
    );
    let outbox = Outbox::new(Arc::clone(&parts.avro), parts.trades_topic.clone(), &parts.schedule);
    let mut pipeline = Pipeline {
        log,
        shutdown,
        partitions,
        outbox,
        effects: Effects::default(),
        latency: Latency::default(),
        log_is_away: false,
        beat_records: 0,
        beat_started_us: now_us,
        closing: Closing::Idle,
        committed_at_us: now_us,
        sampled_at_us: now_us,
        samples: 0,
        is_first_beat: true,
        lag_ms: i64::MAX,
        stop_asked_at_us: None,
        ends: BTreeMap::new(),
        last_report: BeatReport::default(),
        parts,
    };
    let outcome = pipeline.run();
    pipeline.log.close();
    outcome.map(|()| pipeline.last_report)
}

impl Pipeline {
    fn run(&mut self) -> Result<()> {
        let mut failures = 0;
        loop {
            match self.turn() {
                Ok(true) => return Ok(()),
                Ok(false) => failures = 0,
                Err(error) if self.gives_up() || matches!(error, Error::Interrupted(_)) => {
                    events::gave_up_beat(&error);
                    return Ok(());
                }
                Err(error) => {
                    failures += 1;
                    if !self.recover(error, failures)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// One micro-batch, the end of the beat when it is due, and what the end of the one before
    /// waits for. True: finished.
    fn turn(&mut self) -> Result<bool> {
        let stopping = self.is_stopping();
        if !stopping && self.partitions.is_owing() {
            let owned = self.partitions.owned();
            self.assume(&owned)?;
        }
        if !stopping {
            self.take_batch()?;
        }
        let at_end = self.is_at_end()?;
        self.sample();
        if at_end && self.parts.schedule.drain {
            self.outbox.send_provisional(true);
            self.step_all(|| Input::Drain);
        }
        self.deliver()?;
        self.see_to_beats(stopping || at_end)?;
        Ok(stopping || at_end)
    }

    fn is_stopping(&mut self) -> bool {
        if self.stop_asked_at_us.is_none() && self.shutdown.is_requested() {
            self.stop_asked_at_us = Some(self.parts.clock.monotonic_us());
        }
        self.stop_asked_at_us.is_some()
    }

    /// Asked to stop, and the time for a clean end has run out.
    fn gives_up(&mut self) -> bool {
        self.is_stopping()
            && self.stop_asked_at_us.is_some_and(|asked_us| {
                self.since_ms(asked_us) >= self.parts.schedule.drain_deadline_ms
            })
    }

    /// To be asked before every call that may take long: none begins after the deadline.
    fn check_deadline(&mut self) -> Result<()> {
        if self.gives_up() {
            return Err(Error::Interrupted("the drain deadline has passed".into()));
        }
        Ok(())
    }

    fn since_ms(&self, instant_us: i64) -> u64 {
        let elapsed_us = self.parts.clock.monotonic_us() - instant_us;
        u64::try_from(elapsed_us / 1_000).unwrap_or(0)
    }

    /// Polls for up to `batch_ms` and takes in what comes.
    fn take_batch(&mut self) -> Result<()> {
        let started_us = self.parts.clock.monotonic_us();
        let (batch_ms, limit) = self.batch_bounds();
        let mut taken = 0;
        while taken < limit {
            let left_ms = batch_ms.saturating_sub(self.since_ms(started_us));
            let (partitions, effects) = (&mut self.partitions, &mut self.effects);
            let outbox = &mut self.outbox;
            let polled =
                self.log.poll(limit - taken, Duration::from_millis(left_ms), &mut |record| {
                    partitions.take(&record, effects, outbox)
                })?;
            if let Some(assignment) = polled.assignment {
                return self.assume(&assignment);
            }
            taken += polled.records;
            if left_ms == 0 || polled.records == 0 {
                break;
            }
        }
        self.beat_records += taken;
        Ok(())
    }

    fn batch_bounds(&self) -> (u64, usize) {
        let schedule = &self.parts.schedule;
        if self.is_first_beat || self.lag_ms <= BEHIND_MS {
            return (schedule.batch_ms, schedule.batch_records);
        }
        (schedule.batch_ms * CATCH_UP_FACTOR as u64, schedule.batch_records * CATCH_UP_FACTOR)
    }

    /// Takes over a new assignment: whatever was not committed is void, every partition is rebuilt
    /// from the changelog, and read on from where that stands.
    fn assume(&mut self, assignment: &[i32]) -> Result<()> {
        self.discard();
        self.partitions.owe(assignment);
        self.settle()?;
        // It may have changed once more meanwhile.
        let assignment = self.partitions.owned();
        events::assigned(&assignment);
        // Asked before anything is fetched: an answer waits behind a fetch that waits itself.
        if self.parts.schedule.until_end {
            self.note_ends(&assignment)?;
        }
        let Parts { live, clock, .. } = &self.parts;
        self.partitions.rebuild(&assignment, self.log.as_mut(), live.as_ref(), clock.as_ref())?;
        self.parts.live.ready(true, "");
        self.log_is_away = false;
        self.is_first_beat = true;
        Ok(())
    }

    /// Where each partition ends, when it comes for the first time: one that another process gave
    /// up unfinished is finished here.
    fn note_ends(&mut self, assignment: &[i32]) -> Result<()> {
        for partition in assignment {
            if !self.ends.contains_key(partition) {
                self.ends.insert(*partition, self.log.end_offset(*partition)?);
            }
        }
        Ok(())
    }

    /// Forgets everything that is not in an engine: of the running beat, and of the closing one
    /// unless its transaction is under way.
    fn discard(&mut self) {
        self.closing.give_up();
        self.outbox.clear();
        self.effects.clear();
        self.latency.clear();
        self.beat_records = 0;
        self.beat_started_us = self.parts.clock.monotonic_us();
        self.committed_at_us = self.beat_started_us;
    }

    /// Whoever owns nothing is not at the end: in a rebalance everybody gives up everything first,
    /// and the last one to leave the group is handed all that others have not finished.
    fn is_at_end(&mut self) -> Result<bool> {
        if !self.parts.schedule.until_end || self.partitions.count() == 0 {
            return Ok(false);
        }
        for (partition, end) in &self.ends {
            if self.partitions.next_offset(*partition).is_some_and(|next| next < *end)
                && self.log.position(*partition)? < *end
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Provisional bars. The partitions take turns over the period, so that the store does not get
    /// all of them at once, and what is more urgent behind them.
    fn sample(&mut self) {
        let schedule = &self.parts.schedule;
        let (period_us, owned) = (1_000 * schedule.provisional_every_ms, self.partitions.count());
        let step_us = (period_us / owned.max(1) as u64).cast_signed();
        let now_us = self.parts.clock.monotonic_us();
        if self.lag_ms > schedule.provisional_max_lag_ms {
            self.sampled_at_us = now_us;
        }
        // None is owed twice.
        self.sampled_at_us = self.sampled_at_us.max(now_us - period_us.cast_signed());
        while owned > 0 && now_us - self.sampled_at_us >= step_us.max(1) {
            self.sampled_at_us += step_us.max(1);
            let turn = self.samples % owned;
            self.samples = turn + 1;
            if let Some(engine) = self.partitions.engines_mut().nth(turn) {
                engine.step(Input::Sample, &mut self.effects);
            }
        }
    }

    fn step_all(&mut self, input: impl Fn() -> Input<'static>) {
        for engine in self.partitions.engines_mut() {
            engine.step(input(), &mut self.effects);
        }
    }

    /// Sends the effects of the micro-batch on their way: rows, topic records, live readers.
    fn deliver(&mut self) -> Result<()> {
        if self.effects.is_empty() {
            return Ok(());
        }
        events::effects(&self.effects);
        self.latency.took_in(&self.effects.trades, self.parts.clock.now_us());
        self.outbox.add(&self.effects)?;
        self.parts.live.events(&self.effects.events);
        self.parts.live.trades(&self.effects.trades);
        self.parts.live.bars(&self.effects.bars);
        let effects = std::mem::take(&mut self.effects);
        let since_us = self.parts.clock.monotonic_us();
        let written = self.with_store("write", since_us, |store| {
            Ok(store.await_room(STORE_SLICE)? && store.write(&effects).map(|()| true)?)
        });
        self.effects = effects;
        self.effects.clear();
        written
    }

    /// One recovery path: give up the beat, and let the next turn rebuild every owned partition
    /// from the changelog, seek and go on. False: a stop was asked for, and there is nothing to go
    /// on with.
    fn recover(&mut self, error: Error, failures: u32) -> Result<bool> {
        events::recovering(&error);
        self.parts.live.ready(false, &error.to_string());
        match error {
            Error::Unavailable(_) | Error::Restore(_) => self.partitions.owe_all(),
            Error::Rejoin(_) => {
                self.partitions.owe_nothing();
                self.log.close();
                // Of this one, too, the changelog will tell.
                self.closing = Closing::Idle;
                // To join only to leave would cost the others a rebalance.
                if self.is_stopping() || !self.reopen()? {
                    return Ok(false);
                }
            }
            final_error => return Err(final_error),
        }
        self.discard();
        self.pause(failures);
        Ok(true)
    }

    /// A new session of the log. One that is away is tried until it is back, or a stop is asked
    /// for.
    fn reopen(&mut self) -> Result<bool> {
        for failures in 1.. {
            match self.parts.log_factory.open() {
                Ok(log) => {
                    self.log = log;
                    return Ok(true);
                }
                Err(error @ Error::Unavailable(_)) => {
                    if self.is_stopping() {
                        events::gave_up_beat(&error);
                        return Ok(false);
                    }
                    events::recovering(&error);
                    self.parts.live.ready(false, &error.to_string());
                    self.pause(failures);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Waits longer with every failure in a row; ends early when a stop is asked for.
    fn pause(&mut self, failures: u32) {
        let started_us = self.parts.clock.monotonic_us();
        while self.since_ms(started_us) < wait_ms(failures) && !self.gives_up() {
            self.parts.clock.sleep(Duration::from_millis(RETRY_STEP_MS));
        }
    }
}
