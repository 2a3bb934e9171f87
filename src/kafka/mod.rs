//! `port::Log` and `port::Publisher` on rdkafka: one consumer group member and one transactional
//! producer make a session in the shape of Kafka's exactly-once v2.
//!
//! Clients of a session: the member (reads trades, holds the group membership), the writer
//! (outputs, state and consumed offsets in one transaction), the cluster client (metadata,
//! uncommitted watermarks), and, while restoring, a changelog reader. The producer side is a
//! publisher, and a group member of its own for each lease.

mod assignment;
mod changelog;
mod cluster;
mod committed;
mod committing;
mod context;
mod fetch;
mod lease;
mod leaving;
mod member;
mod moment;
pub mod overview;
mod publisher;
mod security;
mod session;
mod settings;
pub mod topics;
mod writer;

pub use cluster::broker_count;
pub use lease::{KafkaLease, LeaseClaim, lease_members};
pub use publisher::KafkaPublisher;
pub use session::KafkaLogFactory;
