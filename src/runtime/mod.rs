//! The process around a role: clean shutdown, backoff, no core dumps, free memory given back, the
//! only caller of the system clock.

pub mod backoff;
pub mod clock;
pub mod core_dump;
pub mod disk;
pub mod memory;
pub mod panic;
pub mod shutdown;

pub use backoff::{Backoff, BackoffBounds, Pace};
pub use clock::SystemClock;
pub use core_dump::forbid_core_dumps;
pub use disk::{free_bytes, is_writable};
pub use memory::{give_back_now_and_then, resident_bytes};
pub use panic::install_panic_hook;
pub use shutdown::{Shutdown, hold_signals, release_signals};
