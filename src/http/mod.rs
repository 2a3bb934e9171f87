//! HTTP: health and metrics of every role, the JSON API, live updates, and the built-in dashboard.
//!
//! The room reads through `port::StoreReader` and is told what happens through `port::Live`, so a
//! page works the same over the embedded store and over Cassandra.

mod answer;
pub mod api;
mod asked;
mod assets;
mod explanation;
mod feed_board;
mod format;
pub mod health;
mod history;
mod indicators;
pub mod live_hub;
mod live_reader;
mod market;
mod openapi;
mod operations;
mod origins;
mod overview;
mod page;
pub mod probe;
mod problem;
mod server;
mod socket;
mod state;
mod store_poller;
mod stream;
mod stream_page;
mod token;

pub use api::{ApiContext, dashboard_router};
pub use explanation::ExplanationRow;
pub use health::{Readiness, health_router, serve_health};
pub use live_hub::LiveHub;
pub use server::Server;
pub use state::{
    BarCounts, Counts, DivertedView, FeedView, PartitionView, Rates, StateView, StoreView,
};
pub use store_poller::StorePoller;
pub use stream_page::StreamBoard;
