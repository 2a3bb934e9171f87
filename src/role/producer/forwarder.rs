//! From the spool to the log, on a thread of its own: one FIFO, sent again from the oldest batch
//! that was not acknowledged whenever the connection to the log has to be made anew.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::embedded::spool::{Batch, Spool};
use crate::error::{Error, Result};
use crate::http::Readiness;
use crate::port::{OutRecord, Published, Publisher};
use crate::runtime::{Backoff, BackoffBounds, Pace};
use crate::telemetry::feed as events;

/// How long the spool is asked for the next batch before acknowledgements are looked at.
const ASK_EVERY: Duration = Duration::from_millis(10);
/// A log that acknowledges nothing for so long, of what it was given, is away: Kafka's client waits
/// for its broker without a word.
const QUIET_AFTER: Duration = Duration::from_secs(5);
/// Waits between attempts to reach the log.
const WAITS: BackoffBounds = BackoffBounds {
    initial: Duration::from_millis(100),
    max: Duration::from_secs(2),
    throttled: Duration::from_secs(2),
};

/// Makes a connection to the log.
pub type Connect = Box<dyn FnMut() -> Result<Box<dyn Publisher>> + Send>;

/// A publisher whose batches are safe on disk when it has taken them.
pub struct SpooledPublisher {
    spool: Spool,
    partition_count: u32,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    acknowledged_records: AtomicU64,
    /// What ended the sending for good.
    failure: Mutex<Option<Error>>,
}

impl SpooledPublisher {
    /// The log may be away when the spool knows the partition count from an earlier run.
    /// `readiness` is told when it goes and comes back.
    ///
    /// # Errors
    /// `Unavailable` when it is away at the very first start; `Config` when its topics are not as
    /// they must be, or records for another partition count wait.
    pub fn start(spool: Spool, readiness: Readiness, mut connect: Connect) -> Result<Self> {
        let first = match (connect(), spool.partition_count()) {
            (Ok(publisher), _) => {
                spool.pin_partition_count(publisher.partition_count())?;
                Some(publisher)
            }
            (Err(away @ Error::Unavailable(_)), Some(_)) => {
                events::log_away(&away);
                None
            }
            (Err(error), _) => return Err(error),
        };
        let partition_count = spool.partition_count().unwrap_or(1);
        let (waiting, _) = spool.backlog();
        if waiting > 0 {
            events::spool_resumed(waiting);
        }
        let shared = Arc::new(Shared::default());
        let forwarder = Forwarder {
            spool: spool.clone(),
            connect,
            readiness,
            shared: Arc::clone(&shared),
            earlier: 0,
        };
        let thread = std::thread::Builder::new()
            .name("forwarder".into())
            .spawn(move || forwarder.run(first))
            .map_err(|error| Error::Unavailable(format!("no thread for the spool: {error}")))?;
        Ok(Self { spool, partition_count, shared, thread: Some(thread) })
    }

    fn check(&self) -> Result<()> {
        let failure = self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.clone().map_or(Ok(()), Err)
    }
}

impl Publisher for SpooledPublisher {
    fn partition_count(&self) -> u32 {
        self.partition_count
    }

    fn publish(&mut self, records: Vec<OutRecord>) -> Result<Published> {
        self.check()?;
        Ok(if self.spool.append(&records)? { Published::Taken } else { Published::NoRoom(records) })
    }

    fn has_room(&self) -> bool {
        self.spool.has_room()
    }

    fn acknowledged_batches(&self) -> u64 {
        self.spool.acknowledged_batches()
    }

    fn acknowledged_records(&self) -> u64 {
        self.shared.acknowledged_records.load(Ordering::Acquire)
    }

    /// What is left after the wait stays in the spool: that is no failure.
    fn flush(&mut self, within: Duration) -> Result<()> {
        self.spool.close();
        if self.spool.await_empty(within) {
            if let Some(thread) = self.thread.take() {
                // A panic there was already printed; what was acknowledged has arrived.
                let _ = thread.join();
            }
        } else {
            self.spool.abandon();
            events::spool_kept(self.spool.backlog().0);
        }
        self.check()
    }
}

struct Forwarder {
    spool: Spool,
    connect: Connect,
    readiness: Readiness,
    shared: Arc<Shared>,
    /// Records acknowledged over earlier connections.
    earlier: u64,
}

impl Forwarder {
    fn run(mut self, first: Option<Box<dyn Publisher>>) {
        if let Err(error) = self.forward(first) {
            *self.shared.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }

    /// Until the spool is closed and empty.
    fn forward(&mut self, first: Option<Box<dyn Publisher>>) -> Result<()> {
        let mut connection = first;
        let mut backoff = Backoff::new(WAITS);
        loop {
            let attempt = match connection.take() {
                Some(publisher) => Ok(publisher),
                None => (self.connect)(),
            };
            let sent = attempt.and_then(|mut publisher| {
                self.spool.pin_partition_count(publisher.partition_count())?;
                let sent = self.send_all(publisher.as_mut(), &mut backoff);
                self.earlier += publisher.acknowledged_records();
                sent
            });
            match sent {
                Err(away @ Error::Unavailable(_)) => {
                    events::log_away(&away);
                    self.readiness.set_not_ready(format!("{away}; the spool keeps what arrives"));
                }
                done_or_final => return done_or_final,
            }
            if self.spool.is_abandoned() {
                return Ok(());
            }
            std::thread::sleep(backoff.next_wait(Pace::Ordinary, &mut rand::rng()));
        }
    }

    fn send_all(&self, publisher: &mut dyn Publisher, backoff: &mut Backoff) -> Result<()> {
        let mut reader = self.spool.reader();
        let mut sent: VecDeque<i64> = VecDeque::new();
        let mut settled = 0;
        let mut waiting: Option<Batch> = None;
        let mut hearing = Hearing::began(&self.readiness);
        loop {
            if sent.is_empty() || settled < publisher.acknowledged_batches() {
                hearing.answered();
            } else {
                hearing.unanswered();
            }
            while settled < publisher.acknowledged_batches() {
                settled += 1;
                backoff.reset();
                if let Some(id) = sent.pop_front() {
                    self.spool.acknowledge(id);
                }
            }
            let acknowledged = self.earlier + publisher.acknowledged_records();
            self.shared.acknowledged_records.store(acknowledged, Ordering::Release);
            events::acknowledged(acknowledged);
            if waiting.is_none() {
                waiting = reader.next(ASK_EVERY)?;
            }
            let Some(Batch { id, records }) = waiting.take() else {
                let is_done = sent.is_empty() && self.spool.is_closed();
                if is_done || self.spool.is_abandoned() {
                    return Ok(());
                }
                // Nothing to send: still the moment to learn of a delivery that failed.
                publisher.publish(Vec::new())?;
                if self.spool.is_closed() {
                    std::thread::sleep(ASK_EVERY);
                }
                continue;
            };
            match publisher.publish(records)? {
                Published::Taken => sent.push_back(id),
                Published::NoRoom(records) => {
                    waiting = Some(Batch { id, records });
                    std::thread::sleep(ASK_EVERY);
                }
            }
        }
    }
}

/// Whether the log answers, told when that changes.
struct Hearing<'a> {
    readiness: &'a Readiness,
    answered: Instant,
    is_quiet: bool,
}

impl<'a> Hearing<'a> {
    /// With a connection that has just been made.
    fn began(readiness: &'a Readiness) -> Self {
        readiness.set_ready();
        Self { readiness, answered: Instant::now(), is_quiet: false }
    }

    /// It acknowledged something, or there is nothing that it could.
    fn answered(&mut self) {
        self.answered = Instant::now();
        if std::mem::take(&mut self.is_quiet) {
            self.readiness.set_ready();
        }
    }

    fn unanswered(&mut self) {
        if !self.is_quiet && self.answered.elapsed() >= QUIET_AFTER {
            self.is_quiet = true;
            let seconds = QUIET_AFTER.as_secs();
            let quiet = format!("the log has acknowledged nothing for {seconds} s and more");
            events::log_away(&Error::Unavailable(quiet.clone()));
            self.readiness.set_not_ready(format!("{quiet}; the spool keeps what arrives"));
        }
    }
}
