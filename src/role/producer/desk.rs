//! The desk between the sockets and the log: numbers what arrives, encodes it and publishes it, in
//! order, on one thread. While the log is slow the desk is, then its queue is full, then the
//! sockets are not read: nothing is lost in between and nothing grows.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{DeskRun, feed_name};
use crate::codec::avro::Avro;
use crate::config::RepeatedFrames;
use crate::engine::{Intake, IntakeConfig, IntakeOutput, Numbered, Rejection};
use crate::error::{Error, Result};
use crate::http::Readiness;
use crate::model::feed_event::FEED_EVENT_HEADER;
use crate::model::{Arrival, FeedEvent, FeedEventKind, Trade, partition_for_key};
use crate::port::{Clock, OutRecord, Published, Publisher, Topic};
use crate::telemetry::feed;
use crate::websocket::{Happening, Signal};

/// Signals that are published together; more would only add delay.
const BATCH_SIGNALS: usize = 256;

/// Of the time that a stop may take: what is left is for the sockets before, and for leaving after.
const FLUSH_SHARE: f64 = 0.7;
/// Records of feed events held while there is no room: hours of a connection that comes and goes.
const HELD_RECORDS: usize = 65_536;

/// See the module.
pub(super) struct Desk {
    slots: Vec<Slot>,
    avro: Arc<Avro>,
    clock: Arc<dyn Clock>,
    drop_repeats: bool,
    future_bound_ms: i64,
    flush_within: Duration,
    output: IntakeOutput,
    /// Events that wait for room; the trades between them are given up.
    held: Vec<OutRecord>,
    /// There is no room, so trades are given up.
    overflowing: bool,
    progress: Option<Progress>,
    readiness: Readiness,
}

struct Slot {
    feed: String,
    /// Of the newest connection, released or not yet.
    intake: Option<Intake>,
    /// Why the connection is not up; `None`: it is.
    down: Option<String>,
    /// Feed time up to which everything was taken, ms.
    kept_to_ms: Option<i64>,
    /// Trades given up since then for want of room.
    lost_trades: i64,
}

impl Desk {
    pub(super) fn new(run: DeskRun<'_>, progress_every: Option<Duration>) -> Self {
        let slot = |slot| Slot {
            feed: feed_name(run.config, slot),
            intake: None,
            down: Some("connecting".into()),
            kept_to_ms: None,
            lost_trades: 0,
        };
        Self {
            slots: (0..run.slots).map(slot).collect(),
            progress: progress_every.map(|every| Progress::new(every, run.clock.as_ref())),
            avro: run.avro,
            clock: run.clock,
            drop_repeats: run.config.producer.repeated_frames == RepeatedFrames::Drop,
            future_bound_ms: run.config.stream.future_bound_ms,
            flush_within: Duration::from_millis(run.config.stream.drain_deadline_ms)
                .mul_f64(FLUSH_SHARE),
            output: IntakeOutput::default(),
            held: Vec::new(),
            overflowing: false,
            readiness: run.readiness,
        }
    }

    /// Publishes until every client is gone, then waits for the log's acknowledgement.
    pub(super) fn serve(
        &mut self,
        signals: &mut mpsc::Receiver<Signal>,
        publisher: &mut dyn Publisher,
    ) -> Result<()> {
        while let Some(signal) = signals.blocking_recv() {
            self.take(signal);
            for _ in 1..BATCH_SIGNALS {
                match signals.try_recv() {
                    Ok(signal) => self.take(signal),
                    Err(_) => break,
                }
            }
            self.publish(signals.len(), publisher)?;
        }
        if self.overflowing && publisher.has_room() {
            self.publish(0, publisher)?;
        }
        publisher.flush(self.flush_within)?;
        if let Some(progress) = &mut self.progress {
            progress.tell(self.clock.monotonic_us(), 0, publisher.acknowledged_records());
        }
        Ok(())
    }

    fn take(&mut self, signal: Signal) {
        let Signal { slot, arrival, happening } = signal;
        self.follow(slot, &happening);
        match happening {
            Happening::Connected { connection } => self.connect(slot, connection, arrival),
            Happening::StandsBy { detail } | Happening::Stopped { detail } => {
                self.release(slot, arrival, &detail);
            }
            happening => self.pass_on(slot, arrival, happening),
        }
    }

    /// Tells readiness of every connection that comes or goes.
    fn follow(&mut self, slot: usize, happening: &Happening) {
        self.slots[slot].down = match happening {
            Happening::Connected { .. } => None,
            Happening::Silence { detail }
            | Happening::Disconnected { detail }
            | Happening::StandsBy { detail }
            | Happening::Stopped { detail } => Some(detail.clone()),
            _ => return,
        };
        match self.slots.iter().find_map(|one| Some((&one.feed, one.down.as_ref()?))) {
            None => self.readiness.set_ready(),
            Some((feed, reason)) => self.readiness.set_not_ready(format!("feed {feed}: {reason}")),
        }
    }

    /// The connection before, if any, is over for good now that it has a successor.
    fn connect(&mut self, slot: usize, connection: i64, arrival: Arrival) {
        self.release(slot, arrival, "followed by a new connection");
        let mut intake = Intake::new(IntakeConfig {
            connection,
            feed: self.slots[slot].feed.as_str().into(),
            drop_repeats: self.drop_repeats,
            future_bound_ms: self.future_bound_ms,
        });
        intake.connected(arrival, &mut self.output);
        feed::heard(&self.slots[slot].feed, arrival.at_us);
        self.slots[slot].intake = Some(intake);
    }

    fn release(&mut self, slot: usize, arrival: Arrival, detail: &str) {
        // A connection tells its own loss before it goes.
        self.tell_loss(slot, arrival);
        if let Some(mut intake) = self.slots[slot].intake.take() {
            intake.released(arrival, detail, &mut self.output);
        }
    }

    fn pass_on(&mut self, slot: usize, arrival: Arrival, happening: Happening) {
        let Slot { feed, intake: Some(intake), .. } = &mut self.slots[slot] else { return };
        let output = &mut self.output;
        match happening {
            Happening::Frame { raw, frame } => {
                feed::heard(feed, arrival.at_us);
                intake.accept_frame(&raw, frame, arrival, output);
            }
            Happening::Subscribed { symbols } => intake.subscribed(symbols, arrival, output),
            Happening::Alive => {
                feed::heard(feed, arrival.at_us);
                intake.confirm(arrival);
            }
            Happening::Heartbeat => intake.heartbeat(arrival, output),
            Happening::Silence { detail } => intake.silence(arrival, &detail, output),
            Happening::Disconnected { detail } => intake.disconnected(arrival, &detail, output),
            Happening::Connected { .. }
            | Happening::StandsBy { .. }
            | Happening::Stopped { .. } => {}
        }
    }

    fn publish(&mut self, queued: usize, publisher: &mut dyn Publisher) -> Result<()> {
        if self.overflowing && publisher.has_room() {
            self.end_overflow();
        }
        let partitions = publisher.partition_count();
        let published = if self.overflowing {
            self.give_up(partitions)?;
            0
        } else {
            let records = self.records(partitions)?;
            let count = records.len();
            match publisher.publish(records)? {
                Published::Taken => {
                    self.kept();
                    count
                }
                Published::NoRoom(_) => {
                    self.overflowing = true;
                    feed::overflow_began();
                    self.give_up(partitions)?;
                    0
                }
            }
        };
        self.tell_counts(published, queued, publisher.acknowledged_records());
        self.output.clear();
        Ok(())
    }

    /// What was held, then the output, encoded; both stay until they were taken.
    fn records(&self, partitions: u32) -> Result<Vec<OutRecord>> {
        let mut records = self.held.clone();
        records.reserve(self.output.records.len());
        for record in &self.output.records {
            match record {
                Numbered::Trade(trade) => {
                    records.push(trade_record(&self.avro, trade, partitions)?);
                }
                Numbered::Event(event) => {
                    event_records(&self.avro, event, partitions, &mut records)?;
                }
            }
        }
        records.extend(self.output.rejections.iter().map(rejection_record));
        Ok(records)
    }

    fn kept(&mut self) {
        self.held.clear();
        for slot in &mut self.slots {
            let confirmed_ms = slot.intake.as_ref().and_then(Intake::confirmed_feed_time_ms);
            slot.kept_to_ms = confirmed_ms.or(slot.kept_to_ms);
        }
    }

    /// Gives the output's trades up, and holds the events that must not be missed: who is
    /// connected, who owns what, what was lost.
    fn give_up(&mut self, partitions: u32) -> Result<()> {
        let mut lost = 0;
        for record in &self.output.records {
            match record {
                Numbered::Trade(trade) => {
                    lost += 1;
                    let slot = self.slots.iter_mut().find(|slot| slot.feed == trade.feed);
                    slot.expect("a trade is of one of the slots").lost_trades += 1;
                }
                Numbered::Event(event) if event.kind == FeedEventKind::Heartbeat => {}
                Numbered::Event(event) => {
                    event_records(&self.avro, event, partitions, &mut self.held)?;
                }
            }
        }
        feed::overflowed(lost);
        if self.held.len() > HELD_RECORDS {
            let held = self.held.len();
            return Err(Error::Unavailable(format!(
                "no room in the spool, and {held} feed events wait: make room on the disk of \
                 producer.spool_dir, or bring the log back"
            )));
        }
        Ok(())
    }

    /// There is room again: every connection tells what it lost.
    fn end_overflow(&mut self) {
        self.overflowing = false;
        let arrival =
            Arrival { at_us: self.clock.now_us(), monotonic_us: self.clock.monotonic_us() };
        let lost = self.slots.iter().map(|slot| slot.lost_trades).sum();
        for slot in 0..self.slots.len() {
            self.tell_loss(slot, arrival);
        }
        feed::overflow_ended(lost);
    }

    fn tell_loss(&mut self, slot: usize, arrival: Arrival) {
        let Slot { intake: Some(intake), kept_to_ms, lost_trades, .. } = &mut self.slots[slot]
        else {
            return;
        };
        if *lost_trades > 0 {
            intake.overflow(arrival, *kept_to_ms, *lost_trades, &mut self.output);
            *lost_trades = 0;
        }
    }

    fn tell_counts(&mut self, published: usize, queued: usize, acknowledged: u64) {
        let counts = self.output.counts.named();
        for (kind, count) in counts {
            feed::intake(kind, count);
        }
        feed::published(published, queued);
        if let Some(progress) = &mut self.progress {
            progress.add(&counts);
            progress.report(self.clock.monotonic_us(), queued, acknowledged);
        }
    }
}

/// A trade as it goes into the trades topic.
///
/// # Errors
/// As of the encoder.
pub(in crate::role) fn trade_record(
    avro: &Avro,
    trade: &Trade,
    partitions: u32,
) -> Result<OutRecord> {
    let key = trade.symbol.as_bytes();
    let mut value = Vec::with_capacity(128);
    avro.encode_trade(trade, &mut value)?;
    Ok(OutRecord {
        topic: Topic::Trades,
        partition: Some(partition_for_key(key, partitions)),
        key: Some(key.to_vec()),
        value: Some(value),
        headers: Vec::new(),
    })
}

/// The event goes to every partition, so that its order with the trades is kept in each.
fn event_records(
    avro: &Avro,
    event: &FeedEvent,
    partitions: u32,
    records: &mut Vec<OutRecord>,
) -> Result<()> {
    feed::event(event.kind, event.connection, &event.detail);
    let mut header = Vec::with_capacity(128);
    avro.encode_feed_event(event, &mut header)?;
    let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
    records.extend((0..partitions).map(|partition| OutRecord {
        topic: Topic::Trades,
        partition: Some(partition),
        key: None,
        value: None,
        headers: vec![(FEED_EVENT_HEADER, header.clone())],
    }));
    Ok(())
}

fn rejection_record(rejection: &Rejection) -> OutRecord {
    let Rejection { reason, connection, feed: name, frame, received_at_us, raw, problem } =
        rejection;
    feed::rejected(*reason, *connection, *frame, problem);
    let text = |value: &i64| value.to_string().into_bytes();
    OutRecord {
        topic: Topic::Rejected,
        partition: None,
        key: None,
        value: Some(raw.clone().into_bytes()),
        headers: vec![
            ("reason", reason.as_str().into()),
            ("feed", name.clone().into_bytes()),
            ("connection", text(connection)),
            ("frame", text(frame)),
            ("received_at_us", text(received_at_us)),
            ("problem", problem.clone().into_bytes()),
        ],
    }
}

/// Sums since the start and since the last line.
struct Progress {
    every_us: i64,
    reported_us: i64,
    totals: Vec<(&'static str, u64)>,
    reported: Vec<(&'static str, u64)>,
}

impl Progress {
    fn new(every: Duration, clock: &dyn Clock) -> Self {
        Self {
            every_us: i64::try_from(every.as_micros()).unwrap_or(i64::MAX),
            reported_us: clock.monotonic_us(),
            totals: Vec::new(),
            reported: Vec::new(),
        }
    }

    fn add(&mut self, counts: &[(&'static str, u64)]) {
        if self.totals.is_empty() {
            self.totals = counts.to_vec();
            return;
        }
        for (total, count) in self.totals.iter_mut().zip(counts) {
            total.1 += count.1;
        }
    }

    /// A line when one is due.
    fn report(&mut self, now_us: i64, queued: usize, acknowledged: u64) {
        if now_us - self.reported_us >= self.every_us {
            self.tell(now_us, queued, acknowledged);
        }
    }

    fn tell(&mut self, now_us: i64, queued: usize, acknowledged: u64) {
        let since_us = now_us - self.reported_us;
        let rate = |kind| {
            let since = count(&self.totals, kind) - count(&self.reported, kind);
            since as f64 / (since_us.max(1) as f64 / 1e6)
        };
        let (trades, frames) = (rate("trades"), rate("frames"));
        let total = |kind| count(&self.totals, kind);
        feed::progress(&format!(
            "{trades:.1} trades/s in {frames:.1} frames/s; {queued} frames queued; since start: \
             {acknowledged} records acknowledged, {} trades, {} repeated frames dropped, {} second \
             encodings dropped, {} malformed",
            total("trades"),
            total("repeats_dropped"),
            total("second_encodings"),
            total("malformed_frames") + total("malformed_elements"),
        ));
        self.reported_us = now_us;
        self.reported.clone_from(&self.totals);
    }
}

fn count(counts: &[(&'static str, u64)], kind: &str) -> u64 {
    counts.iter().find(|(name, _)| *name == kind).map_or(0, |(_, count)| *count)
}
