//! What the watermark will cause, in order: windows to close and windows to evict.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::symbols::SymbolIndex;
use super::windows::SlotKey;

/// At one instant closings come before evictions, and shorter intervals before longer ones, so that
/// an evicted part has been folded before the longer window goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    Close,
    Evict,
}

/// One entry; the order of the fields is the order of execution.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// Watermark at which it happens, ms.
    pub at_ms: i64,
    pub action: Action,
    pub key: SlotKey,
    /// Orders the symbols, since an index depends on who was seen first after a restart.
    pub name: Arc<str>,
    pub symbol: SymbolIndex,
}

/// Everything due in the future of one partition.
#[derive(Debug, Default)]
pub struct Agenda {
    entries: BTreeSet<Due>,
}

impl Agenda {
    pub fn add(&mut self, due: Due) {
        self.entries.insert(due);
    }

    /// The next entry at or before `watermark_ms`.
    pub fn pop_due(&mut self, watermark_ms: i64) -> Option<Due> {
        let first = self.entries.first()?;
        if first.at_ms > watermark_ms {
            return None;
        }
        self.entries.pop_first()
    }
}
