//! How long to wait before trying again: exponential with full jitter, so that many clients of one
//! server that comes back do not all arrive at once. Pure: randomness comes in as an argument.

use std::time::Duration;

use rand::RngExt;

/// The waits of one thing that is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffBounds {
    /// Bound of the first wait; at least 1 ms is used.
    pub initial: Duration,
    /// Bound of the longest ordinary wait.
    pub max: Duration,
    /// Bound of the wait after the other side asked for fewer attempts.
    pub throttled: Duration,
}

/// What the last attempt said about the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// The bound doubles with every attempt, from `initial` to `max`.
    Ordinary,
    /// The other side has had enough of us: between half of `throttled` and the whole.
    Throttled,
}

/// Counts attempts.
#[derive(Debug, Clone)]
pub struct Backoff {
    bounds: BackoffBounds,
    attempt: u32,
}

impl Backoff {
    pub fn new(bounds: BackoffBounds) -> Self {
        Self { bounds, attempt: 0 }
    }

    /// The thing worked: the next wait is a first one.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    /// The wait before the next attempt.
    pub fn next_wait(&mut self, pace: Pace, random: &mut impl RngExt) -> Duration {
        let (least, most) = match pace {
            Pace::Ordinary => (Duration::ZERO, self.ordinary_bound()),
            Pace::Throttled => (self.bounds.throttled / 2, self.bounds.throttled),
        };
        self.attempt = self.attempt.saturating_add(1);
        least + (most - least).mul_f64(random.random::<f64>())
    }

    fn ordinary_bound(&self) -> Duration {
        // 2³¹ times the initial wait is beyond any bound that one would configure.
        let doublings = self.attempt.min(31);
        let initial = self.bounds.initial.max(Duration::from_millis(1));
        initial.saturating_mul(1 << doublings).min(self.bounds.max.max(initial))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn backoff() -> Backoff {
        Backoff::new(BackoffBounds {
            initial: Duration::from_millis(500),
            max: Duration::from_secs(30),
            throttled: Duration::from_secs(120),
        })
    }

    /// The longest of many draws comes close to the bound of its attempt, the shortest close to 0.
    #[test]
    fn the_bound_doubles_up_to_its_maximum_and_the_wait_is_drawn_below_it() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        for (attempt, bound_ms) in [(0, 500), (1, 1_000), (3, 4_000), (6, 30_000), (90, 30_000)] {
            let draws: Vec<Duration> = (0..500)
                .map(|_| {
                    let mut backoff = Backoff { attempt, ..backoff() };
                    backoff.next_wait(Pace::Ordinary, &mut random)
                })
                .collect();
            let bound = Duration::from_millis(bound_ms);
            assert!(draws.iter().all(|wait| *wait <= bound), "{attempt}");
            assert!(draws.iter().any(|wait| *wait > bound.mul_f64(0.9)), "{attempt}");
            assert!(draws.iter().any(|wait| *wait < bound.mul_f64(0.1)), "{attempt}");
        }
    }

    #[test]
    fn a_throttled_wait_is_long_from_the_first_one_on() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut backoff = backoff();
        for _ in 0..50 {
            let wait = backoff.next_wait(Pace::Throttled, &mut random);
            assert!((60..=120).contains(&wait.as_secs()), "{wait:?}");
        }
    }

    #[test]
    fn success_starts_over() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut backoff = backoff();
        for _ in 0..20 {
            backoff.next_wait(Pace::Ordinary, &mut random);
        }
        backoff.reset();
        assert!(backoff.next_wait(Pace::Ordinary, &mut random) <= Duration::from_millis(500));
    }
}
