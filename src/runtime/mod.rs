//! The process around a role: clean shutdown, backoff, the only caller of the system clock.

pub mod backoff;
pub mod clock;
pub mod panic;
pub mod shutdown;

pub use backoff::{Backoff, BackoffBounds, Pace};
pub use clock::SystemClock;
pub use panic::install_panic_hook;
pub use shutdown::Shutdown;
