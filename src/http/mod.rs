//! HTTP: health and metrics of every role, the JSON API, live updates, and the built-in dashboard.
//!
//! The room reads through `port::StoreReader` and is told what happens through `port::Live`, so a
//! page works the same over the embedded store and over Cassandra.

pub mod api;
mod assets;
mod explanation;
mod feed_board;
pub mod health;
mod history;
mod indicators;
pub mod live_hub;
mod overview;
pub mod probe;
mod problem;
mod rows;
mod server;
mod state;
mod stream;
mod stream_page;
mod token;

pub use api::{ApiContext, dashboard_router};
pub use explanation::ExplanationRow;
pub use health::{Readiness, health_router, serve_health};
pub use live_hub::LiveHub;
pub use rows::{BarRow, TradeRow};
pub use server::Server;
pub use state::{BarCounts, Counts, DivertedView, FeedView, PartitionView, Rates, StateView};
pub use stream_page::StreamBoard;
