//! Tells how a restore goes, to whoever waits for it: readiness, a log line now and then, metrics.

use crate::port::log::RestoreProgress;
use crate::port::{Clock, Live};
use crate::telemetry::restore as events;

/// A restore that takes longer gets a log line this often, µs.
const LINE_EVERY_US: i64 = 5_000_000;

/// One rebuild of all assigned partitions, one after the other.
pub struct Restoring<'a> {
    live: &'a dyn Live,
    clock: &'a dyn Clock,
    partitions: usize,
    done: usize,
    /// When the partition at hand was begun.
    began_us: i64,
    line_us: i64,
    read: RestoreProgress,
}

impl<'a> Restoring<'a> {
    pub fn new(partitions: usize, live: &'a dyn Live, clock: &'a dyn Clock) -> Self {
        live.ready(false, "restoring state from the changelog");
        events::waiting(partitions);
        let now_us = clock.monotonic_us();
        let read = RestoreProgress::default();
        Self { live, clock, partitions, done: 0, began_us: now_us, line_us: now_us, read }
    }

    /// The next partition, or another try at the same one, begins to be read.
    pub fn read_anew(&mut self) {
        self.read = RestoreProgress::default();
    }

    pub fn progress(&mut self, partition: i32, progress: RestoreProgress) {
        events::read(progress, self.read);
        self.read = progress;
        let (records, records_max) = (grouped(progress.records), grouped(progress.records_max));
        let (done, partitions) = (self.done, self.partitions);
        self.live.ready(
            false,
            &format!(
                "restoring partition {partition}: {records} of about {records_max} records; \
                 {done} of {partitions} partitions are done"
            ),
        );
        let now_us = self.clock.monotonic_us();
        if now_us - self.line_us >= LINE_EVERY_US {
            self.line_us = now_us;
            events::going_on(partition, progress, partitions - done);
        }
    }

    /// The partition at hand goes on from `offset` with so many open windows.
    pub fn done(&mut self, partition: i32, offset: i64, windows: usize) {
        self.done += 1;
        let now_us = self.clock.monotonic_us();
        events::done(partition, offset, windows, self.read, now_us - self.began_us);
        events::waiting(self.partitions - self.done);
        self.began_us = now_us;
    }
}

/// With commas between the thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_set_apart() {
        let grouped = [0, 999, 1_000, 40_000, 12_345_678].map(grouped);
        assert_eq!(grouped, ["0", "999", "1,000", "40,000", "12,345,678"]);
    }
}
