//! The wait for the store. It may be away for an hour, or slow: the beat stalls, and this process
//! stays what it is for the group, so that its partitions do not begin to wander.

use std::time::Duration;

use super::pace::wait_ms;
use super::{Pipeline, RETRY_STEP_MS};
use crate::error::{Error, Result};
use crate::port::Store;
use crate::telemetry::stream as events;

/// A store that takes so long for one call is told as slow, ms.
pub(super) const SLOW_AFTER_MS: u64 = 5_000;
/// One wait for the store; the group and a stop are seen to in between.
pub(super) const STORE_SLICE: Duration = Duration::from_millis(200);

impl Pipeline {
    /// Calls the store until it says that it is done; it is waited for since `since_us`. A store
    /// that is away, or slow, stalls the beat: the group is answered meanwhile, and readiness says
    /// why.
    pub(super) fn with_store(
        &mut self,
        what: &'static str,
        since_us: i64,
        mut call: impl FnMut(&mut dyn Store) -> Result<bool>,
    ) -> Result<()> {
        let Some(mut store) = self.parts.store.take() else { return Ok(()) };
        let outcome = self.insist(what, since_us, &mut || call(store.as_mut()));
        self.parts.store = Some(store);
        outcome
    }

    fn insist(
        &mut self,
        what: &'static str,
        began_us: i64,
        call: &mut dyn FnMut() -> Result<bool>,
    ) -> Result<()> {
        let (mut failures, mut is_stalled) = (0, false);
        // A store that was away may come back slow: that is told then, once after each failure.
        let (mut waiting_since_us, mut is_slow) = (began_us, false);
        loop {
            match call() {
                Ok(true) => break,
                Ok(false) => {
                    self.check_deadline()?;
                    if !is_slow && self.since_ms(waiting_since_us) >= SLOW_AFTER_MS {
                        (is_slow, is_stalled) = (true, true);
                        let waited_ms = self.since_ms(began_us);
                        self.stall(what, &format!("the store is slow: {waited_ms} ms so far"));
                    }
                    self.partitions.stay_member(self.log.as_mut())?;
                }
                Err(Error::Unavailable(problem)) if !self.gives_up() => {
                    (failures, is_stalled) = (failures + 1, true);
                    self.stall(what, &problem);
                    self.wait_as_member(failures)?;
                    (waiting_since_us, is_slow) = (self.parts.clock.monotonic_us(), false);
                }
                Err(error) => return Err(error),
            }
        }
        if is_stalled {
            events::store_resumed(what, self.since_ms(began_us));
            self.parts.live.ready(true, "");
        }
        Ok(())
    }

    fn stall(&self, what: &'static str, problem: &str) {
        events::store_stalled(what, problem);
        self.parts.live.ready(false, problem);
    }

    /// Waits longer with every failure in a row, seen by the group: a store that is away for an
    /// hour must not cost the partitions.
    ///
    /// # Errors
    /// `Restore` when partitions moved meanwhile; the beat is void.
    fn wait_as_member(&mut self, failures: u32) -> Result<()> {
        let started_us = self.parts.clock.monotonic_us();
        while self.since_ms(started_us) < wait_ms(failures) && !self.gives_up() {
            self.partitions.stay_member(self.log.as_mut())?;
            self.parts.clock.sleep(Duration::from_millis(RETRY_STEP_MS));
        }
        Ok(())
    }
}
