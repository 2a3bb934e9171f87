//! The open windows of one symbol: accumulators of the shortest interval, and for each longer one
//! what has been folded in from evicted windows. A longer bar is rolled up when it is emitted.

use std::collections::BTreeMap;

use crate::model::{Accumulator, Completeness, Interval};

use super::accumulator;

/// One window of one interval.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slot {
    /// Shortest interval: everything; longer ones: what was folded in.
    pub accumulator: Accumulator,
    /// The watermark passed the end, and the bar was emitted.
    pub closed: bool,
    /// Inputs other than trades that changed the bar: its closing, later feed events.
    pub extra_revisions: i64,
    /// The bar changed after its closing.
    pub corrected: bool,
    /// As told with the last closed or corrected bar.
    pub completeness: Option<Completeness>,
    /// Changed since the state was last collected.
    pub unsaved: bool,
    /// Changed since the provisional bars were last sampled.
    pub unsampled: bool,
}

/// Names one slot of a symbol: index of the interval, and start in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotKey {
    pub tier: usize,
    pub start_ms: i64,
}

/// All windows of one symbol, by interval and start. Few are open at a time.
#[derive(Debug, Clone)]
pub struct Windows {
    /// Boxed: a map has room for eleven of what it holds, and most symbols have two or three.
    tiers: Vec<BTreeMap<i64, Box<Slot>>>,
}

impl Windows {
    pub fn new(intervals: usize) -> Self {
        Self { tiers: vec![BTreeMap::new(); intervals] }
    }

    pub fn get(&self, key: SlotKey) -> Option<&Slot> {
        self.tiers.get(key.tier)?.get(&key.start_ms).map(Box::as_ref)
    }

    pub fn get_mut(&mut self, key: SlotKey) -> Option<&mut Slot> {
        self.tiers.get_mut(key.tier)?.get_mut(&key.start_ms).map(Box::as_mut)
    }

    /// The slot, made when it was not there; the flag says that it was made.
    pub fn entry(&mut self, key: SlotKey) -> (&mut Slot, bool) {
        use std::collections::btree_map::Entry;
        match self.tiers[key.tier].entry(key.start_ms) {
            Entry::Occupied(occupied) => (occupied.into_mut(), false),
            Entry::Vacant(vacant) => (vacant.insert(Box::default()), true),
        }
    }

    pub fn insert(&mut self, key: SlotKey, slot: Slot) {
        self.tiers[key.tier].insert(key.start_ms, Box::new(slot));
    }

    /// Number of windows held.
    pub fn len(&self) -> usize {
        self.tiers.iter().map(BTreeMap::len).sum()
    }

    /// Takes a slot out; one of the shortest interval is folded into the longer ones first.
    /// Returns the keys of the slots that this changed.
    pub fn evict(&mut self, key: SlotKey, intervals: &[Interval]) -> Vec<SlotKey> {
        let Some(slot) = self.tiers[key.tier].remove(&key.start_ms) else { return Vec::new() };
        if key.tier != 0 {
            return Vec::new();
        }
        let mut changed = Vec::with_capacity(intervals.len() - 1);
        for (tier, interval) in intervals.iter().enumerate().skip(1) {
            let start_ms = interval.window_of(key.start_ms).start_ms;
            if let Some(longer) = self.tiers[tier].get_mut(&start_ms) {
                accumulator::merge(&mut longer.accumulator, &slot.accumulator);
                changed.push(SlotKey { tier, start_ms });
            }
        }
        changed
    }

    /// The whole content of a window: for a longer interval, folded and live parts together.
    pub fn rolled_up(&self, key: SlotKey, intervals: &[Interval]) -> Option<Accumulator> {
        let slot = self.get(key)?;
        let mut total = slot.accumulator.clone();
        if key.tier > 0 {
            let end_ms = key.start_ms + intervals[key.tier].length_ms();
            for (_, part) in self.tiers[0].range(key.start_ms..end_ms) {
                accumulator::merge(&mut total, &part.accumulator);
            }
        }
        Some(total)
    }

    /// Every slot, for snapshots.
    pub fn iter(&self) -> impl Iterator<Item = (SlotKey, &Slot)> {
        self.tiers.iter().enumerate().flat_map(|(tier, slots)| {
            slots
                .iter()
                .map(move |(start_ms, slot)| (SlotKey { tier, start_ms: *start_ms }, slot.as_ref()))
        })
    }
}
