//! Taking a bar apart needs the engine's rules, which a page does not know: a role lends them to
//! it.

use crate::error::Result;
use crate::model::{Explanation, Interval};

use super::store::StoreReader;

/// Answers why a bar is what it is.
pub trait Explain: Send + Sync {
    /// Explains the window that holds `request.at_ms`, from what the store has. A window without a
    /// bar, and a symbol that nobody heard of, are answered too: with what is known, or nothing.
    ///
    /// # Errors
    /// `Config`: no table for the interval, or too many trades in the window. `Unavailable`: the
    /// store is away.
    fn explain(&self, reader: &dyn StoreReader, request: &ExplainRequest) -> Result<Explanation>;
}

/// Names a window and how much to list of it.
#[derive(Debug, Clone)]
pub struct ExplainRequest {
    pub symbol: String,
    pub interval: Interval,
    /// Any instant in the window, ms since the epoch.
    pub at_ms: i64,
    /// Excluded and late trades listed at most, each.
    pub list_limit: usize,
}
