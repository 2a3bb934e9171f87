//! An open load: every frame has its instant. Between the market's frames there are probes, whose
//! volume is their number, so that whoever sees one knows when it ought to have been sent.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ticksmith::model::partition_for_key;

use crate::feed::Wire;
use crate::frame::frame;
use crate::generator::Generator;
use crate::latency::WARM_UP;

pub const PARTITIONS: u32 = 6;
/// Trades of a frame of the market.
const FRAME_TRADES: usize = 5;
/// One probe of each partition's symbol in so long, one after the other, µs.
pub const PROBE_EVERY_US: i64 = 30_000;

/// What is sent when.
pub struct Load {
    rate: u32,
    lasting: Duration,
    probes: Vec<String>,
    /// Wall clock of the first frame, µs since the epoch.
    began_us: OnceLock<i64>,
}

pub fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_micros()).expect("before the year 294,000")
}

impl Load {
    pub fn new(rate: u32, lasting: Duration) -> Self {
        let in_partition = |wanted: u32| {
            let mut names = (0..).map(|number| format!("PROBE{number}"));
            let fits = |name: &String| {
                partition_for_key(name.as_bytes(), PARTITIONS).cast_unsigned() == wanted
            };
            names.find(fits).expect("some name has every hash")
        };
        let probes = (0..PARTITIONS).map(in_partition).collect();
        Self { rate, lasting, probes, began_us: OnceLock::new() }
    }

    /// The symbol of each partition's probes.
    pub fn probes(&self) -> &[String] {
        &self.probes
    }

    /// Sends everything; a frame whose instant has passed goes at once.
    pub fn send(&self, mut market: Generator, wire: &mut Wire) {
        let began_us = now_us();
        self.began_us.set(began_us).expect("sent once");
        let frame_every_us = FRAME_TRADES as f64 / f64::from(self.rate) * 1e6;
        let end_us = i64::try_from((WARM_UP + self.lasting).as_micros()).expect("some seconds");
        let (mut frames, mut probes) = (0_i64, 0_i64);
        loop {
            let frame_us = (frames as f64 * frame_every_us) as i64;
            let probe_us = probes * PROBE_EVERY_US;
            let due_us = frame_us.min(probe_us);
            if due_us >= end_us {
                return;
            }
            wait_until(began_us + due_us);
            let at_ms = (began_us + due_us).div_euclid(1_000);
            let mut trades = Vec::with_capacity(FRAME_TRADES);
            if probe_us <= frame_us {
                trades.extend(market.next());
                trades[0].symbol = self.probes[(probes % 6) as usize].as_str().into();
                trades[0].volume = probes as f64 + 1.0;
                trades[0].conditions = Some(["1".into()].into_iter().collect());
                probes += 1;
            } else {
                trades.extend(market.by_ref().take(FRAME_TRADES));
                frames += 1;
            }
            trades.iter_mut().for_each(|trade| trade.trade_time_ms = at_ms);
            wire.write(frame(&trades).into());
            wire.flush();
        }
    }

    /// Wall clock of the first frame, µs since the epoch.
    pub fn began_us(&self) -> i64 {
        *self.began_us.get().expect("watched after its begin")
    }

    /// When a probe ought to be sent, µs since the epoch; its number is its volume.
    pub fn due_us(&self, number: i64) -> i64 {
        self.began_us() + (number - 1) * PROBE_EVERY_US
    }

    /// The first probe after the warm-up, and the first one that is not sent any more.
    pub fn counted(&self) -> std::ops::Range<i64> {
        let until = |time: Duration| {
            let us = i64::try_from(time.as_micros()).expect("some seconds");
            (us + PROBE_EVERY_US - 1) / PROBE_EVERY_US + 1
        };
        until(WARM_UP)..until(WARM_UP + self.lasting)
    }

    /// The last instant that a frame has, µs since the epoch.
    pub fn end_us(&self) -> i64 {
        let lasts = (WARM_UP + self.lasting).as_micros();
        self.began_us() + i64::try_from(lasts).expect("some seconds")
    }
}

/// Sleeps; the kernel wakes some 60 µs late, which counts as ours.
fn wait_until(due_us: i64) {
    let left_us = due_us - now_us();
    if let Ok(left_us) = u64::try_from(left_us) {
        std::thread::sleep(Duration::from_micros(left_us));
    }
}
