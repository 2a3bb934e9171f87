//! What a socket tells the desk that numbers and publishes, in the order in which it happened: one
//! bounded channel of these is all that lies between the two.

use crate::model::{Arrival, Frame};

/// Something that happened on the connection of one key.
#[derive(Debug)]
pub struct Signal {
    /// Which key, from 0.
    pub slot: usize,
    pub arrival: Arrival,
    pub happening: Happening,
}

#[derive(Debug)]
pub enum Happening {
    /// The upgrade succeeded; `connection` is the new connection's id.
    Connected { connection: i64 },
    /// Every symbol of the key was asked for.
    Subscribed { symbols: Vec<String> },
    /// A message, and what the codec made of it.
    Frame { raw: String, frame: Frame },
    /// A ping or pong of the WebSocket protocol.
    Alive,
    /// The heartbeat is due.
    Heartbeat,
    /// Nothing was heard for too long.
    Silence { detail: String },
    /// The socket is closed, for the reason in `detail`.
    Disconnected { detail: String },
    /// Nothing of the connection before will follow, and no connection is made for now.
    StandsBy { detail: String },
    /// This key will not connect again in this process.
    Stopped { detail: String },
}
