//! Where the frames come from: the market at the pace of the wall clock, or a recording.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at};

use super::hub::{Batch, Hub};
use super::market::{Market, MarketOptions};
use super::recording::{Recording, Speed};
use crate::port::Clock;
use crate::runtime::SystemClock;

/// How often the market speaks.
const TICK: Duration = Duration::from_millis(10);
/// From trade to socket, as measured on the feed.
const DELAY_MS: i64 = 100;
/// A market that fell further behind (the machine slept) leaves the rest out.
const MOST_BEHIND_MS: i64 = 2_000;
/// A recording starts when no subscription came for so long, so that nothing of it is missed.
const SETTLE: Duration = Duration::from_millis(300);
/// A longer step from one frame to the next, in either direction, is no pause of a market but a
/// wrong time: nobody waits for it, and the pace begins anew.
const LONGEST_STEP_MS: i64 = 7 * 86_400_000;

/// Runs for ever.
pub(super) async fn run_market(options: MarketOptions, hub: &Hub) {
    let clock = SystemClock;
    let now_ms = || clock.now_us() / 1_000 - DELAY_MS;
    let mut at_ms = now_ms();
    let mut market = Market::new(options, at_ms);
    let mut changes = hub.changes();
    changes.mark_changed();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if changes.has_changed().unwrap_or(false) {
            changes.mark_unchanged();
            let wanted = hub.wanted();
            market.activate(|index| wanted[index]);
        }
        let until_ms = now_ms();
        if until_ms - at_ms > MOST_BEHIND_MS {
            market.skip_to(until_ms - MOST_BEHIND_MS);
        }
        at_ms = at_ms.max(until_ms);
        let mut prints = Vec::new();
        market.advance(until_ms, &mut prints);
        if !prints.is_empty() {
            hub.send(Batch::Prints(Arc::new(prints))).await;
        }
    }
}

/// Runs to the end of the recording.
pub(super) async fn run_recording(recording: &Recording, speed: Speed, hub: &Hub) {
    let mut changes = hub.changes();
    wait_for_subscribers(hub, &mut changes).await;
    let mut lines = recording.stream();
    let mut pace = Pace { speed, start: None, last_ms: 0 };
    while let Some(line) = lines.recv().await {
        match speed {
            Speed::Times(_) => pace.wait(line.newest_ms).await,
            // Nobody's reading sets the pace, so without readers there is none.
            Speed::Max => while !hub.is_anyone_subscribed() && changes.changed().await.is_ok() {},
        }
        hub.send(Batch::Line(Arc::new(line))).await;
    }
}

/// Until every symbol is asked for, or no further one was asked for in a while.
async fn wait_for_subscribers(hub: &Hub, changes: &mut watch::Receiver<u64>) {
    loop {
        while !hub.is_anyone_subscribed() {
            if changes.changed().await.is_err() {
                return;
            }
        }
        changes.mark_unchanged();
        let is_complete = hub.wanted().iter().all(|wanted| *wanted);
        if is_complete || timeout_at(Instant::now() + SETTLE, changes.changed()).await.is_err() {
            return;
        }
    }
}

/// Turns the frames' own times into instants.
struct Pace {
    speed: Speed,
    start: Option<(Instant, i64)>,
    /// Time of the frame before.
    last_ms: i64,
}

impl Pace {
    async fn wait(&mut self, newest_ms: Option<i64>) {
        let (Some(newest_ms), Speed::Times(times)) = (newest_ms, self.speed) else { return };
        if newest_ms.saturating_sub(self.last_ms).saturating_abs() > LONGEST_STEP_MS {
            self.start = None;
        }
        self.last_ms = newest_ms;
        let (start, first_ms) = *self.start.get_or_insert((Instant::now(), newest_ms));
        let since_ms = newest_ms.saturating_sub(first_ms).max(0) as f64;
        sleep_until(start + Duration::from_secs_f64((since_ms / 1_000.0 / times).min(1e9))).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    /// How long the frames of these times take, at their own speed.
    async fn paced(times_ms: &[i64]) -> Duration {
        let mut pace = Pace { speed: Speed::Times(1.0), start: None, last_ms: 0 };
        let began = Instant::now();
        for time_ms in times_ms {
            let waited = timeout(Duration::from_secs(60), pace.wait(Some(*time_ms))).await;
            assert!(waited.is_ok(), "{time_ms} is waited for");
        }
        began.elapsed()
    }

    #[tokio::test]
    async fn a_wrong_time_does_not_hold_up_the_recording_and_the_rest_keeps_its_pace() {
        const NOW_MS: i64 = 1_710_000_000_000;
        const YEAR_MS: i64 = 365 * 86_400_000;
        for wrong_ms in [NOW_MS + YEAR_MS, NOW_MS - YEAR_MS, i64::MAX, i64::MIN] {
            let took = paced(&[NOW_MS, wrong_ms, NOW_MS + 10, NOW_MS + 60]).await;
            assert!(took >= Duration::from_millis(50), "{wrong_ms}: {took:?}");
        }
    }
}
