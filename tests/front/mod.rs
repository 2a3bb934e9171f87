//! A log in front of another one, for tests that spoil something on the way: everything passes but
//! what the spoiler takes into its own hands.

use std::time::Duration;

use ticksmith::error::Result;
use ticksmith::port::log::{OnProgress, OnState};
use ticksmith::port::{Beat, Log, LogFactory, Polled, RawRecord, Restored, Written};

/// What is done to the calls of a session.
pub trait Spoil: Send {
    fn poll(
        &mut self,
        inner: &mut dyn Log,
        (limit, wait): (usize, Duration),
        on_record: &mut dyn FnMut(RawRecord<'_>) -> Result<()>,
    ) -> Result<Polled> {
        inner.poll(limit, wait, on_record)
    }

    fn restore(
        &mut self,
        inner: &mut dyn Log,
        partition: i32,
        on_state: &mut OnState<'_>,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<Restored> {
        inner.restore(partition, on_state, on_progress)
    }

    fn begin_commit(&mut self, inner: &mut dyn Log, beat: Beat) -> Result<()> {
        inner.begin_commit(beat)
    }

    fn commit_outcome(&mut self, inner: &mut dyn Log, within: Duration) -> Option<Result<Beat>> {
        inner.commit_outcome(within)
    }

    fn keep_alive(&mut self, inner: &mut dyn Log) -> Result<Option<Vec<i32>>> {
        inner.keep_alive()
    }
}

/// Opens sessions with a spoiler of their own each.
pub struct FrontFactory<F> {
    pub inner: Box<dyn LogFactory>,
    pub spoiler: F,
}

impl<S: Spoil + 'static, F: FnMut() -> S + Send> LogFactory for FrontFactory<F> {
    fn open(&mut self) -> Result<Box<dyn Log>> {
        Ok(Box::new(Front { inner: self.inner.open()?, spoiler: (self.spoiler)() }))
    }
}

struct Front<S> {
    inner: Box<dyn Log>,
    spoiler: S,
}

impl<S: Spoil> Log for Front<S> {
    fn partition_count(&self) -> u32 {
        self.inner.partition_count()
    }

    fn poll(
        &mut self,
        limit: usize,
        wait: Duration,
        on_record: &mut dyn FnMut(RawRecord<'_>) -> Result<()>,
    ) -> Result<Polled> {
        self.spoiler.poll(&mut *self.inner, (limit, wait), on_record)
    }

    fn restore(
        &mut self,
        partition: i32,
        on_state: &mut OnState<'_>,
        on_progress: &mut OnProgress<'_>,
    ) -> Result<Restored> {
        self.spoiler.restore(&mut *self.inner, partition, on_state, on_progress)
    }

    fn seek(&mut self, partition: i32, offset: i64) -> Result<()> {
        self.inner.seek(partition, offset)
    }

    fn begin_commit(&mut self, beat: Beat) -> Result<()> {
        self.spoiler.begin_commit(&mut *self.inner, beat)
    }

    fn commit_outcome(&mut self, within: Duration) -> Option<Result<Beat>> {
        self.spoiler.commit_outcome(&mut *self.inner, within)
    }

    fn position(&mut self, partition: i32) -> Result<i64> {
        self.inner.position(partition)
    }

    fn end_offset(&mut self, partition: i32) -> Result<i64> {
        self.inner.end_offset(partition)
    }

    fn newest_end(&mut self, partition: i32) -> Result<i64> {
        self.inner.newest_end(partition)
    }

    fn written_since(&mut self, partition: i32, time_ms: i64) -> Result<Option<Written>> {
        self.inner.written_since(partition, time_ms)
    }

    fn keep_alive(&mut self) -> Result<Option<Vec<i32>>> {
        self.spoiler.keep_alive(&mut *self.inner)
    }

    fn close(&mut self) {
        self.inner.close();
    }
}
