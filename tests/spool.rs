//! The producer in front of a log that comes and goes: nothing is lost or reordered, a full spool
//! is declared once and exactly, and what a run left behind is sent by the next.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ticksmith::codec::avro::Avro;
use ticksmith::config::Config;
use ticksmith::embedded::spool::{Spool, SpoolOptions};
use ticksmith::error::{Error, Result};
use ticksmith::http::Readiness;
use ticksmith::model::feed_event::FEED_EVENT_HEADER;
use ticksmith::model::{Arrival, Element, FeedEvent, FeedEventKind, FeedTrade, Frame, Trade};
use ticksmith::port::{Clock, OutRecord, Published, Publisher};
use ticksmith::role::producer::{DeskRun, SpooledPublisher, publish_signals};
use ticksmith::websocket::{Happening, Signal};

const PARTITIONS: u32 = 3;
const START_MS: i64 = 1_700_000_000_000;
const CONNECTION: i64 = 1_700_000_000_000_000;

/// A log that may be away; it keeps what it acknowledged.
#[derive(Clone, Default)]
struct Town {
    away: Arc<AtomicBool>,
    /// Fails after so many more batches, once.
    fails_after: Arc<Mutex<Option<usize>>>,
    log: Arc<Mutex<Vec<OutRecord>>>,
}

impl Town {
    fn connect(&self) -> Result<Box<dyn Publisher>> {
        self.check()?;
        Ok(Box::new(Line { town: self.clone(), batches: 0 }))
    }

    fn check(&self) -> Result<()> {
        match self.away.load(Ordering::Acquire) {
            true => Err(Error::Unavailable("the log is away".into())),
            false => Ok(()),
        }
    }

    /// Trades, which alone have a value; cheaper than to decode them.
    fn arrived(&self) -> i64 {
        let log = self.log.lock().expect("no panic");
        log.iter().map(|record| i64::from(record.value.is_some())).sum()
    }

    fn trades(&self) -> Vec<Trade> {
        self.log.lock().expect("no panic").iter().filter_map(trade).collect()
    }

    fn events(&self) -> Vec<FeedEvent> {
        let log = self.log.lock().expect("no panic");
        log.iter().filter(|record| record.partition == Some(0)).filter_map(event).collect()
    }
}

struct Line {
    town: Town,
    batches: u64,
}

impl Publisher for Line {
    fn partition_count(&self) -> u32 {
        PARTITIONS
    }
    fn publish(&mut self, records: Vec<OutRecord>) -> Result<Published> {
        self.town.check()?;
        let mut fails_after = self.town.fails_after.lock().expect("no panic");
        // An empty one only asks what was acknowledged.
        match &mut *fails_after {
            _ if records.is_empty() => {}
            Some(0) => {
                *fails_after = None;
                return Err(Error::Unavailable("the line broke".into()));
            }
            Some(left) => *left -= 1,
            None => {}
        }
        self.batches += u64::from(!records.is_empty());
        self.town.log.lock().expect("no panic").extend(records);
        Ok(Published::Taken)
    }
    fn has_room(&self) -> bool {
        true
    }
    /// The last batch is never acknowledged before the next, so a broken line repeats one.
    fn acknowledged_batches(&self) -> u64 {
        let is_settled = self.town.fails_after.lock().expect("no panic").is_none();
        if is_settled { self.batches } else { self.batches.saturating_sub(1) }
    }
    fn acknowledged_records(&self) -> u64 {
        self.batches
    }
    fn flush(&mut self, _within: Duration) -> Result<()> {
        Ok(())
    }
}

fn trade(record: &OutRecord) -> Option<Trade> {
    Avro::single_object().decode_trade(record.value.as_deref()?).ok()
}

fn event(record: &OutRecord) -> Option<FeedEvent> {
    let (_, header) = record.headers.iter().find(|(name, _)| *name == FEED_EVENT_HEADER)?;
    Avro::single_object().decode_feed_event(header).ok()
}

/// A clock that the script sets.
#[derive(Default)]
struct Hand(Mutex<i64>);

impl Clock for Hand {
    fn now_us(&self) -> i64 {
        *self.0.lock().expect("no panic")
    }
    fn monotonic_us(&self) -> i64 {
        self.now_us()
    }
}

/// A desk whose sockets are the test.
struct Run {
    signals: Option<tokio::sync::mpsc::Sender<Signal>>,
    clock: Arc<Hand>,
    desk: Option<std::thread::JoinHandle<Result<()>>>,
    spool: Spool,
    readiness: Readiness,
}

impl Run {
    fn start(directory: &Path, max_bytes: u64, town: &Town, flush_ms: u64) -> Result<Self> {
        let options = SpoolOptions {
            directory: directory.to_owned(),
            max_bytes,
            sync_every: Duration::from_millis(5),
        };
        let spool = Spool::open(options)?;
        let connect = town.clone();
        let readiness = Readiness::not_yet("starting");
        let mut publisher = SpooledPublisher::start(
            spool.clone(),
            readiness.part("log"),
            Box::new(move || connect.connect()),
        )?;
        let (signals, mut receiver) = tokio::sync::mpsc::channel(64);
        let clock = Arc::new(Hand(Mutex::new(START_MS * 1_000)));
        let (desk_clock, told) = (Arc::clone(&clock), readiness.clone());
        let desk = std::thread::spawn(move || {
            let mut config = Config::defaults();
            config.stream.drain_deadline_ms = flush_ms;
            let run = DeskRun {
                config: &config,
                slots: 1,
                avro: Arc::new(Avro::single_object()),
                clock: desk_clock,
                readiness: told,
            };
            publish_signals(run, &mut receiver, &mut publisher)
        });
        Ok(Self { signals: Some(signals), clock, desk: Some(desk), spool, readiness })
    }

    fn tell(&self, at_ms: i64, happening: Happening) {
        let at_us = (START_MS + at_ms) * 1_000;
        *self.clock.0.lock().expect("no panic") = at_us;
        let signal = Signal { slot: 0, arrival: Arrival { at_us, monotonic_us: at_us }, happening };
        let sender = self.signals.as_ref().expect("running");
        sender.blocking_send(signal).expect("the desk runs");
    }

    fn connect(&self, connection: i64) {
        self.tell(0, Happening::Connected { connection });
        self.tell(0, Happening::Subscribed { symbols: vec!["AAPL".into()] });
    }

    fn trade(&self, at_ms: i64) {
        let element = FeedTrade {
            symbol: "AAPL".into(),
            price: 100.0,
            volume: 1.0,
            trade_time_ms: START_MS + at_ms,
            conditions: None,
            inexact_numbers: 0,
        };
        let raw = at_ms.to_string();
        let frame = Frame::Trades(vec![Element::Trade(element)]);
        self.tell(at_ms, Happening::Frame { raw, frame });
    }

    fn stop(mut self) -> Result<()> {
        self.signals = None;
        self.desk.take().expect("running").join().expect("no panic")
    }
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain until {what}");
}

fn times(trades: &[Trade]) -> Vec<i64> {
    trades.iter().map(|trade| trade.trade_time_ms - START_MS).collect()
}

#[test]
fn a_log_that_is_away_is_only_a_longer_queue() {
    let directory = tempfile::tempdir().expect("a directory");
    let town = Town::default();
    let run = Run::start(directory.path(), 1 << 30, &town, 60_000).expect("starts");
    run.connect(CONNECTION);
    (0..100).for_each(|at_ms| run.trade(at_ms));
    until("the first ones arrive", || town.trades().len() == 100);
    town.away.store(true, Ordering::Release);
    (100..5_000).for_each(|at_ms| run.trade(at_ms));
    until("it is told", || run.readiness.reason().is_some());
    let reason = run.readiness.reason().expect("away");
    assert!(reason.contains("the log is away; the spool keeps what arrives"), "{reason}");
    town.away.store(false, Ordering::Release);
    until("that it is back is told", || run.readiness.reason().is_none());
    run.stop().expect("everything was sent");
    let seen = town.trades();
    assert_eq!(times(&seen), (0..5_000).collect::<Vec<_>>());
    assert!(town.events().iter().all(|event| event.kind != FeedEventKind::Overflow));
}

#[test]
fn what_was_not_acknowledged_is_sent_again_after_a_broken_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let town = Town::default();
    let run = Run::start(directory.path(), 1 << 30, &town, 60_000).expect("starts");
    run.connect(CONNECTION);
    for at_ms in 0..200 {
        run.trade(at_ms);
        // Each is a batch of its own, so there are enough of them, and the one that is sent again
        // is of a trade.
        until("it arrives", || town.arrived() > at_ms);
        if at_ms == 0 {
            *town.fails_after.lock().expect("no panic") = Some(3);
        }
    }
    run.stop().expect("everything was sent");
    let mut seen = times(&town.trades());
    assert!(seen.len() > 200, "something was sent twice: {}", seen.len());
    let repeats = seen.windows(2).filter(|pair| pair[1] <= pair[0]).count();
    assert_eq!(repeats, 1, "one step back, to the oldest that was not acknowledged");
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, (0..200).collect::<Vec<_>>());
}

#[test]
fn what_a_run_left_behind_is_sent_by_the_next_and_first() {
    let directory = tempfile::tempdir().expect("a directory");
    let town = Town::default();
    let run = Run::start(directory.path(), 1 << 30, &town, 1).expect("starts");
    run.connect(CONNECTION);
    run.trade(0);
    until("it arrives", || town.trades().len() == 1);
    town.away.store(true, Ordering::Release);
    (1..50).for_each(|at_ms| run.trade(at_ms));
    run.stop().expect("a stop with the log away is clean");
    assert_eq!(town.trades().len(), 1);
    // Still away, and started all the same: the partition count is known.
    let again = || Run::start(directory.path(), 1 << 30, &town, 60_000);
    let mut run = again();
    until("the spool is free", || {
        if run.is_err() {
            run = again();
        }
        run.is_ok()
    });
    let run = run.expect("starts");
    run.connect(CONNECTION + 1);
    run.trade(50);
    town.away.store(false, Ordering::Release);
    run.stop().expect("everything was sent");
    assert_eq!(times(&town.trades()), (0..=50).collect::<Vec<_>>());
}

#[test]
fn a_full_spool_is_declared_once_and_exactly() {
    let directory = tempfile::tempdir().expect("a directory");
    let town = Town::default();
    let run = Run::start(directory.path(), 400_000, &town, 60_000).expect("starts");
    run.connect(CONNECTION);
    run.trade(0);
    until("it arrives", || town.trades().len() == 1);
    town.away.store(true, Ordering::Release);
    let mut at_ms = 0;
    while run.spool.has_room() {
        at_ms += 1;
        run.trade(at_ms);
    }
    let full_at_ms = at_ms;
    while at_ms < full_at_ms + 1_000 {
        at_ms += 1;
        run.trade(at_ms);
        if at_ms % 100 == 0 {
            run.tell(at_ms, Happening::Heartbeat);
        }
    }
    town.away.store(false, Ordering::Release);
    until("there is room again", || run.spool.has_room());
    for _ in 0..100 {
        at_ms += 1;
        run.trade(at_ms);
    }
    run.stop().expect("everything that was kept was sent");
    let seen = times(&town.trades());
    let lost: Vec<i64> = (0..=at_ms).filter(|at_ms| !seen.contains(at_ms)).collect();
    assert!(lost.len() >= 500, "{}", lost.len());
    let events = town.events();
    let told: Vec<_> =
        events.iter().filter(|event| event.kind == FeedEventKind::Overflow).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].lost_records, lost.len() as i64);
    let from_ms = told[0].confirmed_feed_time_ms.expect("a beginning") - START_MS;
    let to_ms = told[0].feed_time_ms.expect("an end") - START_MS;
    assert!(lost.iter().all(|at_ms| from_ms < *at_ms && *at_ms <= to_ms), "{from_ms}..{to_ms}");
    let kept_inside = seen.iter().filter(|at_ms| from_ms < **at_ms && **at_ms < lost[0]).count();
    assert_eq!(kept_inside, 0, "the gap begins with the first loss");
}
