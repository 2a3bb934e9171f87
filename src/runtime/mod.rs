//! The process around a role: clean shutdown, backoff, the only caller of the system clock.

pub mod clock;
pub mod shutdown;

pub use clock::SystemClock;
pub use shutdown::Shutdown;
