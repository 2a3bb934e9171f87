//! The Finnhub client, and its mirror image, the simulator: the one home of the WebSocket protocol.

pub mod address;
pub mod client;
pub mod ending;
pub mod identity;
pub mod knock;
pub mod lease;
mod session;
pub mod signal;
pub mod simulator;
pub mod trust;

pub use address::{Address, spread_symbols};
pub use client::{Client, ClientOptions};
pub use ending::Ending;
pub use identity::ConnectionIds;
pub use knock::{Knock, knock};
pub use lease::Lease;
pub use signal::{Happening, Signal};
pub use trust::Trust;
