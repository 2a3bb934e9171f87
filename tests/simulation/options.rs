//! What one seed plays with: sizes, times, and which faults there are, drawn so that some seeds
//! have all of them and some hardly any (a fault that is always there hides what needs calm).

use std::sync::{Arc, LazyLock};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use ticksmith::engine::Rules;
use ticksmith::model::Interval;
use ticksmith::pipeline::Schedule;

pub const MS: i64 = 1_000;
pub const SECOND: i64 = 1_000_000;

/// Rates are per opportunity, 0..=1; times in µs unless they say otherwise.
#[derive(Debug, Clone)]
pub struct Options {
    pub partitions: u32,
    /// Processes of the group that run at a time.
    pub processes: usize,
    /// How long the feed delivers.
    pub feed_us: i64,
    /// Producers, each with a key of its own.
    pub feeds: usize,
    /// Symbols of the feeds.
    pub symbols: usize,
    /// The end is read by one more process that stops by itself where the log ended.
    pub ends_bounded: bool,
    /// kill -9 at a port call, before or after its effect.
    pub kill: f64,
    /// SIGSTOP there, for up to `stop_longest_us`.
    pub stop: f64,
    pub stop_longest_us: i64,
    /// SIGTERM to a process, and a new one later; per second.
    pub restart: f64,
    /// A member leaves or comes for no reason; per second.
    pub rebalance: f64,
    /// The broker refuses a step of a transaction.
    pub abort: f64,
    /// The broker commits, and the client never hears of it.
    pub lost_answer: f64,
    /// A new session cannot be opened.
    pub unreachable: f64,
    /// A call of the log fails: try again, restore, or join anew.
    pub log_fails: f64,
    /// A poll hands out records once more that were queued before a seek.
    pub stale_records: f64,
    /// The store refuses a call; part of it may have been written.
    pub store_refuses: f64,
    /// The store goes away; per second.
    pub store_outage: f64,
    /// Longest time that a call of the store takes.
    pub store_slowest_us: i64,
    /// Longest time that a step of a transaction takes.
    pub commit_slowest_us: i64,
    /// Markers of a decided transaction reach each log within this, in any order.
    pub marker_slowest_us: i64,
    pub session_timeout_us: i64,
    pub transaction_timeout_us: i64,
    pub rebalance_timeout_us: i64,
    /// Faults of the feed.
    pub feed: FeedOptions,
    pub schedule: Schedule,
    pub rules: Arc<Rules>,
    /// Under which a process may be started as well: with one interval more.
    pub more_rules: Option<Arc<Rules>>,
}

/// Rates per step of the feed, about 300 ms.
#[derive(Debug, Clone)]
pub struct FeedOptions {
    /// The producer tells of its connections; false: a foreign writer of bare trades.
    pub has_events: bool,
    pub disconnect: f64,
    pub silence: f64,
    pub kill: f64,
    pub takeover: f64,
    pub overflow: f64,
    pub decode_loss: f64,
    pub idle: f64,
    /// Records are delivered once more.
    pub repeat: f64,
    pub clock_jump: f64,
    /// Per trade: within the lateness, beyond it, and not to be believed.
    pub behind: f64,
    pub late: f64,
    pub bad: f64,
    /// Somebody else writes to the topic in transactions; some are aborted, some dangle.
    pub foreign: f64,
}

/// Independent randomness for each use within a seed.
pub fn random_of(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    random
}

struct Swarm(ChaCha8Rng);

impl Swarm {
    /// Off in `off` of all seeds, otherwise up to `most`, small rates as likely as large ones.
    fn rate(&mut self, off: f64, most: f64) -> f64 {
        if self.0.random_bool(off) { 0.0 } else { most * 10f64.powf(-self.0.random::<f64>()) }
    }

    fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0.random_range(low..=high)
    }
}

impl Options {
    pub fn of_seed(seed: u64) -> Self {
        let mut swarm = Swarm(random_of(seed, 0));
        let stops_are_long = swarm.0.random_bool(0.7);
        let store_is_slow = swarm.0.random_bool(0.3);
        let commits_are_slow = swarm.0.random_bool(0.6);
        Self {
            partitions: swarm.between(1, 4) as u32,
            processes: swarm.between(1, 3) as usize,
            feed_us: swarm.between(30, 150) * SECOND,
            feeds: swarm.between(1, 2) as usize,
            symbols: swarm.between(1, 6) as usize,
            ends_bounded: swarm.0.random_bool(0.3),
            kill: swarm.rate(0.2, 0.01),
            stop: swarm.rate(0.4, 0.005),
            stop_longest_us: if stops_are_long { 25 * SECOND } else { 2 * SECOND },
            restart: swarm.rate(0.5, 0.05),
            rebalance: swarm.rate(0.3, 0.1),
            abort: swarm.rate(0.3, 0.05),
            lost_answer: swarm.rate(0.3, 0.2),
            unreachable: swarm.rate(0.5, 0.3),
            log_fails: swarm.rate(0.4, 0.02),
            stale_records: swarm.rate(0.5, 0.1),
            store_refuses: swarm.rate(0.3, 0.1),
            store_outage: swarm.rate(0.5, 0.05),
            store_slowest_us: if store_is_slow { 3 * SECOND } else { 20 * MS },
            commit_slowest_us: if commits_are_slow { 300 * MS } else { 3 * MS },
            marker_slowest_us: swarm.between(1, 400) * MS,
            session_timeout_us: swarm.between(3, 10) * SECOND,
            transaction_timeout_us: swarm.between(2, 8) * SECOND,
            rebalance_timeout_us: swarm.between(5, 15) * SECOND,
            feed: swarm.feed(),
            schedule: swarm.schedule(),
            rules: Arc::clone(&RULES[0]),
            more_rules: swarm.0.random_bool(0.3).then(|| Arc::clone(&RULES[1])),
        }
    }
}

impl Swarm {
    fn feed(&mut self) -> FeedOptions {
        FeedOptions {
            has_events: self.0.random_bool(0.85),
            disconnect: self.rate(0.4, 0.02),
            silence: self.rate(0.5, 0.02),
            kill: self.rate(0.5, 0.02),
            takeover: self.rate(0.5, 0.02),
            overflow: self.rate(0.5, 0.02),
            decode_loss: self.rate(0.5, 0.05),
            idle: self.rate(0.5, 0.02),
            repeat: self.rate(0.3, 0.1),
            clock_jump: self.rate(0.5, 0.05),
            behind: self.rate(0.2, 0.2),
            late: self.rate(0.3, 0.1),
            bad: self.rate(0.3, 0.1),
            foreign: self.rate(0.6, 0.05),
        }
    }

    fn schedule(&mut self) -> Schedule {
        Schedule {
            beat_ms: self.between(500, 4_000) as u64,
            beat_records: self.between(5, 120) as usize,
            beat_bytes: 1 << 20,
            batch_ms: self.between(100, 600) as u64,
            batch_records: self.between(3, 50) as usize,
            provisional_every_ms: self.between(500, 5_000) as u64,
            provisional_max_lag_ms: 60_000,
            drain_deadline_ms: self.between(500, 6_000) as u64,
            silver_topic: true,
            provisional_to_topic: self.0.random_bool(0.2),
            until_end: false,
            drain: false,
        }
    }
}

/// The interval that comes and goes between two runs, in seeds that have it. What the others come
/// to does not depend on it.
pub const PASSING_MS: i64 = 10_000;

/// Short windows, so that minutes see closings, corrections, evictions and forgotten marks.
static RULES: LazyLock<[Arc<Rules>; 2]> =
    LazyLock::new(|| [rules(&["5s", "20s"]), rules(&["5s", "10s", "20s"])]);

fn rules(intervals: &[&str]) -> Arc<Rules> {
    let intervals = intervals.iter().map(|text| Interval::parse(text).expect("an interval"));
    let rules = Rules::with_intervals(intervals.collect()).expect("they fit each other");
    Arc::new(Rules {
        out_of_orderness_ms: 1_000,
        allowed_lateness_ms: 8_000,
        mark_horizon_ms: 45_000,
        ..rules
    })
}
