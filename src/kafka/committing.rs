//! A beat's transaction on a thread of its own: a commit waits for brokers from its first call to
//! its last, and the session reads on meanwhile.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::ConsumerGroupMetadata;

use super::writer::Writers;
use crate::error::{Error, Result};
use crate::port::{Beat, Clock};
use crate::telemetry;

/// What one commit is made of.
pub(super) struct Work {
    pub writers: Arc<Writers>,
    pub beat: Beat,
    pub offsets: TopicPartitionList,
    /// As of the assignment under which the beat was read.
    pub membership: Arc<ConsumerGroupMetadata>,
    pub clock: Arc<dyn Clock>,
}

/// A commit under way.
pub(super) struct Committing {
    outcome: Receiver<Result<Beat>>,
    /// Joined when this is dropped.
    thread: Option<JoinHandle<()>>,
}

impl Committing {
    /// # Errors
    /// `Unavailable` when the system has no thread left.
    pub fn begin(work: Work) -> Result<Self> {
        let (told, outcome) = sync_channel(1);
        // Nobody hears it when the session was given up.
        let body = move || drop(told.send(work.run()));
        let thread = std::thread::Builder::new()
            .name("commit".into())
            .spawn(body)
            .map_err(|error| Error::Unavailable(format!("no thread for a commit: {error}")))?;
        Ok(Self { outcome, thread: Some(thread) })
    }

    /// Waits at most `within`; `None`: not yet.
    pub fn outcome(&self, within: Duration) -> Option<Result<Beat>> {
        match self.outcome.recv_timeout(within) {
            Ok(outcome) => Some(outcome),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                Some(Err(Error::Bug("the thread of a commit ended without an outcome".into())))
            }
        }
    }
}

impl Work {
    fn run(self) -> Result<Beat> {
        if self.beat.is_empty() {
            return Ok(self.beat);
        }
        let began_us = self.clock.monotonic_us();
        self.writers.commit(&self.beat.records, &self.offsets, &self.membership)?;
        let took_us = self.clock.monotonic_us() - began_us;
        telemetry::log::committed(self.beat.records.len(), took_us);
        Ok(self.beat)
    }
}

impl Drop for Committing {
    /// A session leaves nothing at work behind it. The writers give up by themselves when a stop is
    /// overdue.
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            // What a panic said has been told by the hook.
            let _ = thread.join();
        }
    }
}
