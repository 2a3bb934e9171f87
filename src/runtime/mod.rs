//! The process around a role: clean shutdown, backoff, the only caller of the system clock.

pub mod backoff;
pub mod clock;
pub mod shutdown;

pub use backoff::{Backoff, BackoffBounds, Pace};
pub use clock::SystemClock;
pub use shutdown::Shutdown;
