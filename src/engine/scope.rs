//! Intervals that came or went since the state was made: which windows have a bar, and how the
//! state of the old intervals becomes that of the new ones, exact to the last digit.

use crate::model::{
    Accumulator, ActiveInterval, ConnectionState, Interval, Scope, StateRecord, WindowState,
};

use super::accumulator;
use super::partition::Engine;
use super::rules::Rules;
use super::symbols::SymbolIndex;
use super::windows::SlotKey;

/// Since ever.
const EVER_MS: i64 = i64::MIN;
const LISTED: &str = "a window that was just listed is there";

/// What the configured intervals change in a state.
#[derive(Debug, Default)]
pub(super) struct Change {
    /// The shortest interval of the state, where another one is the shortest now. Its accumulators
    /// are whole and have to go into those of longer ones.
    old_base: Option<Interval>,
    /// Tiers that the state has no windows of.
    added: Vec<usize>,
    /// Windows of an old base that is no longer configured.
    orphans: Vec<WindowState>,
}

impl Change {
    /// A window of an interval that is no longer configured.
    pub fn take(&mut self, window: WindowState) {
        if self.old_base == Some(window.interval) {
            self.orphans.push(window);
        }
    }
}

impl Engine {
    /// The window starts before its interval is active: nothing tells of it. Of the shortest
    /// interval it is kept all the same, since longer bars are rolled up from it.
    pub(super) fn is_silent(&self, key: SlotKey) -> bool {
        key.start_ms < self.active_from_ms[key.tier]
    }

    /// A reset went back behind this record, and the new generation begins after this trade.
    pub(super) fn is_told(&self, offset: i64, trade_time_ms: i64) -> bool {
        let told = self.told;
        told.is_some_and(|told| offset < told.below_offset && trade_time_ms < told.before_ms)
    }

    pub(super) fn scope(&self) -> Scope {
        let known = self.rules.intervals.iter().zip(&self.active_from_ms);
        let intervals = known.map(|(interval, from_ms)| ActiveInterval {
            interval: *interval,
            from_ms: (*from_ms != EVER_MS).then_some(*from_ms),
        });
        Scope { intervals: intervals.collect(), told: self.told }
    }

    /// Compares the state's intervals with the configured ones, and sets from when on each has
    /// bars. The meta record must have been restored.
    pub(super) fn take_scope(&mut self, records: &[StateRecord]) -> Change {
        let stored = records.iter().find_map(|record| match record {
            StateRecord::Scope(scope) => Some(scope),
            _ => None,
        });
        self.told = stored.and_then(|scope| scope.told);
        let known = match stored {
            Some(scope) => scope.intervals.clone(),
            None => assumed(records, &self.rules),
        };
        let Some(old_base) = known.iter().map(|one| one.interval).min() else {
            return Change::default();
        };
        let new_base = self.rules.intervals[0];
        let mut change =
            Change { old_base: (old_base != new_base).then_some(old_base), ..Change::default() };
        for tier in 0..self.rules.intervals.len() {
            let interval = self.rules.intervals[tier];
            let before = known.iter().find(|one| one.interval == interval);
            self.active_from_ms[tier] = match before {
                Some(known) => known.from_ms.unwrap_or(EVER_MS),
                None if tier == 0 => self.first_of_new_base(old_base, records),
                None => self.first_of_longer(interval),
            };
            if before.is_none() {
                change.added.push(tier);
            }
        }
        self.is_scope_unsaved = stored != Some(&self.scope());
        change
    }

    /// A new shortest interval begins where nothing was seen yet: what was, is no longer known in
    /// smaller parts than the old one's.
    fn first_of_new_base(&self, old_base: Interval, records: &[StateRecord]) -> i64 {
        let of_record = |record: &StateRecord| match record {
            StateRecord::Window(window) if window.interval == old_base => Some(window.start_ms),
            StateRecord::Feed(feed) => {
                let losses = feed.losses.iter().map(|loss| loss.to_ms);
                losses.chain(feed.spans.iter().filter_map(|span| span.up_from_ms)).max()
            }
            StateRecord::Meta(meta) => {
                let heard = |state: &ConnectionState| state.feed_time_ms.max(state.confirmed_ms);
                let heard = meta.connections.iter().filter_map(heard);
                heard.chain(meta.watermark_ms).max()
            }
            _ => None,
        };
        let newest_ms = records.iter().filter_map(of_record).max();
        newest_ms.map_or(EVER_MS, |newest_ms| {
            boundary_at_or_after(self.rules.intervals[0], old_base.window_of(newest_ms).end_ms)
        })
    }

    /// A new longer interval begins with the first window of which every part is still in the
    /// state, and which the watermark has not closed.
    fn first_of_longer(&self, interval: Interval) -> i64 {
        let Some(watermark_ms) = self.connections.watermark_ms() else {
            return self.active_from_ms[0];
        };
        let base_ms = self.rules.intervals[0].length_ms();
        let kept_from_ms = watermark_ms - self.rules.allowed_lateness_ms - base_ms + 1;
        let open_from_ms = watermark_ms - interval.length_ms() + 1;
        let from_ms = self.active_from_ms[0].max(kept_from_ms).max(open_from_ms);
        boundary_at_or_after(interval, from_ms)
    }

    /// Makes the windows of the configured intervals out of those that were restored. The error is
    /// a clause on what does not fit each other.
    pub(super) fn adopt(&mut self, change: Change) -> Result<(), &'static str> {
        if let Some(old_base) = change.old_base {
            self.fold_old_base(old_base, &change.orphans)?;
        }
        for tier in change.added.into_iter().filter(|tier| *tier > 0) {
            self.make_windows(tier);
        }
        Ok(())
    }

    /// What the shortest interval held goes where it would have gone at its eviction. What the new
    /// shortest one then holds is whole, and longer ones get it again when they are rolled up.
    fn fold_old_base(
        &mut self,
        old_base: Interval,
        orphans: &[WindowState],
    ) -> Result<(), &'static str> {
        if let Some(tier) = self.rules.intervals.iter().position(|one| *one == old_base) {
            let of_base = self.keys_of(tier);
            for (index, key) in of_base {
                let slot = self.symbols.get(index).windows.get(key);
                let whole = slot.expect(LISTED).accumulator.clone();
                self.fold(index, old_base, key.start_ms, &whole);
            }
        }
        for window in orphans {
            let index = self.symbols.intern(&window.symbol, &self.rules);
            self.fold(index, old_base, window.start_ms, &window.accumulator);
        }
        let mut fits = true;
        for (index, key) in self.keys_of(0) {
            let slot = self.symbols.get(index).windows.get(key);
            let whole = slot.expect(LISTED).accumulator.clone();
            self.for_each_longer(index, self.rules.intervals[0], key.start_ms, |longer| {
                fits &= accumulator::take_out(longer, &whole);
            });
        }
        if fits { Ok(()) } else { Err("a window that is less than its parts") }
    }

    fn fold(&mut self, index: SymbolIndex, of: Interval, start_ms: i64, whole: &Accumulator) {
        self.for_each_longer(index, of, start_ms, |longer| accumulator::merge(longer, whole));
    }

    /// The windows of longer intervals around one that starts at `start_ms`.
    fn for_each_longer(
        &mut self,
        index: SymbolIndex,
        than: Interval,
        start_ms: i64,
        mut change: impl FnMut(&mut Accumulator),
    ) {
        for tier in 0..self.rules.intervals.len() {
            let interval = self.rules.intervals[tier];
            if interval <= than {
                continue;
            }
            let key = SlotKey { tier, start_ms: interval.window_of(start_ms).start_ms };
            if let Some(slot) = self.symbols.get_mut(index).windows.get_mut(key) {
                change(&mut slot.accumulator);
                self.save_later(index, key);
            }
        }
    }

    /// The windows of a tier that the state lacks: their content is in the shortest interval's.
    fn make_windows(&mut self, tier: usize) {
        for (index, base) in self.keys_of(0) {
            let start_ms = self.rules.intervals[tier].window_of(base.start_ms).start_ms;
            let key = SlotKey { tier, start_ms };
            if !self.is_silent(key) {
                // New or not, its content is as it was.
                self.change(index, key, |_| false);
            }
        }
    }

    fn keys_of(&self, tier: usize) -> Vec<(SymbolIndex, SlotKey)> {
        let slots = self
            .symbols
            .iter()
            .flat_map(|(index, symbol)| symbol.windows.iter().map(move |(key, _)| (index, key)));
        slots.filter(|(_, key)| key.tier == tier).collect()
    }
}

/// A state without a scope was made by a version that knew no change of intervals: under those that
/// have windows, and those configured that may have lost theirs to eviction. Where a shorter
/// interval has windows, a longer one that existed has some too.
fn assumed(records: &[StateRecord], rules: &Rules) -> Vec<ActiveInterval> {
    let windows = records.iter().filter_map(|record| match record {
        StateRecord::Window(window) => Some(window.interval),
        _ => None,
    });
    let mut intervals: Vec<Interval> = windows.collect();
    intervals.sort_unstable();
    intervals.dedup();
    let shortest = intervals.first().copied();
    let may_be_evicted = |one: &&Interval| shortest.is_none_or(|shortest| **one < shortest);
    intervals.extend(rules.intervals.iter().filter(may_be_evicted));
    intervals.into_iter().map(|interval| ActiveInterval { interval, from_ms: None }).collect()
}

fn boundary_at_or_after(interval: Interval, time_ms: i64) -> i64 {
    if time_ms == EVER_MS {
        return EVER_MS;
    }
    interval.window_of(time_ms + interval.length_ms() - 1).start_ms
}
