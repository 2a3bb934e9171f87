//! Time as an argument: the engine never asks for it, the roles ask only here.

use std::time::Duration;

/// A source of time. The system's own lives in `runtime`; tests move theirs by hand.
pub trait Clock: Send + Sync {
    /// Wall clock, microseconds since the UNIX epoch.
    fn now_us(&self) -> i64;
    /// Never goes back; microseconds since some fixed instant.
    fn monotonic_us(&self) -> i64;
    /// Lets `duration` pass. A clock of a simulation moves instead of waiting.
    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}
