//! Bars out of a stretch of the log and nothing else: what an audit holds against the stored bars.
//! It reads no state and no disposition that a stream wrote, so it cannot repeat a mistake of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{
    Bar, BarState, Disposition, Effects, FeedEvent, Interval, Judged, Origin, Trade, Window,
};

use super::{Engine, Input, Rules};

/// No believable trade lies further behind a watermark, ms: both lie before the year 10000.
const UNLIMITED_MS: i64 = 253_402_300_800_000;

/// One record of a partition.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub offset: i64,
    pub content: Recorded,
}

/// What a record held.
#[derive(Debug, Clone, PartialEq)]
pub enum Recorded {
    Trade(Trade),
    Event(FeedEvent),
}

/// A partition of the trades topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    pub index: i32,
    /// Partitions of the topic.
    pub count: u32,
}

/// Symbol, interval and start of the window, ms.
pub type BarKey = (Arc<str>, Interval, i64);

/// What a stretch of the log came to.
#[derive(Debug, Default, PartialEq)]
pub struct Recomputed {
    /// The last content of every bar; provisional where the watermark did not pass the end.
    pub bars: BTreeMap<BarKey, Bar>,
    /// By bar: trades beyond the allowed lateness whose codes allow volume.
    pub late: BTreeMap<BarKey, i64>,
    /// At the end of the stretch, ms; `None` when nothing moved it.
    pub watermark_ms: Option<i64>,
}

impl Recomputed {
    /// The watermark has not passed the end: the bar may be provisional.
    pub fn is_open(&self, window: Window) -> bool {
        self.watermark_ms.is_none_or(|watermark_ms| window.end_ms > watermark_ms)
    }

    /// The watermark has passed the end and the lateness: nothing changes the bar any more, and no
    /// stream holds it.
    pub fn is_settled(&self, end_ms: i64, rules: &Rules) -> bool {
        let settled_at_ms = end_ms.saturating_add(rules.allowed_lateness_ms);
        self.watermark_ms.is_some_and(|watermark_ms| settled_at_ms <= watermark_ms)
    }
}

/// Recomputes from `log`, which is in order of offset. Windows are right from where the connections
/// of the log are known: some time before the first window that is asked for.
pub fn recompute(rules: &Arc<Rules>, partition: Partition, log: &[Record]) -> Recomputed {
    let mut found = Recomputed::default();
    let engine = run(rules, partition, log, |effects| {
        for bar in effects.bars.drain(..) {
            found.bars.insert(key_of(&bar), bar);
        }
        for judged in effects.trades.drain(..).filter(is_late_volume) {
            let symbol: Arc<str> = judged.trade.symbol.as_str().into();
            for interval in &rules.intervals {
                let start_ms = interval.window_of(judged.trade.trade_time_ms).start_ms;
                *found.late.entry((Arc::clone(&symbol), *interval, start_ms)).or_default() += 1;
            }
        }
    });
    found.watermark_ms = engine.watermark_ms();
    found
}

/// The bars that trades beyond the allowed lateness belong to, with these merged. Prices, volume
/// and counts are those of all trades; how complete the feed was is as without them.
pub fn with_late(
    rules: &Arc<Rules>,
    partition: Partition,
    log: &[Record],
    on_time: &Recomputed,
) -> BTreeMap<BarKey, Bar> {
    let unlimited = Rules { allowed_lateness_ms: UNLIMITED_MS, ..Rules::clone(rules) };
    let mut all: BTreeMap<BarKey, Bar> = BTreeMap::new();
    run(&Arc::new(unlimited), partition, log, |effects| {
        for bar in effects.bars.drain(..) {
            let key = key_of(&bar);
            if on_time.late.contains_key(&key) {
                all.insert(key, bar);
            }
        }
    });
    for (key, bar) in &mut all {
        bar.late_included = on_time.late.get(key).copied().unwrap_or(0);
        let Some(before) = on_time.bars.get(key) else { continue };
        bar.revision = before.revision + bar.late_included;
        bar.coverage = before.coverage;
        bar.gap_ms = before.gap_ms;
        bar.verdict = before.verdict;
        if before.state != BarState::Provisional {
            bar.state = BarState::Corrected;
        }
    }
    all
}

fn key_of(bar: &Bar) -> BarKey {
    (Arc::clone(&bar.symbol), bar.interval, bar.window.start_ms)
}

fn is_late_volume(judged: &Judged) -> bool {
    judged.disposition == Disposition::Late && judged.updates_volume
}

fn run(
    rules: &Arc<Rules>,
    partition: Partition,
    log: &[Record],
    mut keep: impl FnMut(&mut Effects),
) -> Engine {
    let mut engine = Engine::new(Arc::clone(rules), partition.index, partition.count);
    let mut effects = Effects::default();
    for record in log {
        let origin = Origin { partition: partition.index, offset: record.offset };
        match record.content.clone() {
            Recorded::Trade(trade) => {
                let key = trade.symbol.clone();
                let input = Input::Trade { origin, key: Some(key.as_bytes()), trade };
                engine.step(input, &mut effects);
            }
            Recorded::Event(event) => {
                engine.step(Input::Event { origin, event }, &mut effects);
            }
        }
        keep(&mut effects);
        effects.clear();
    }
    engine.step(Input::Drain, &mut effects);
    keep(&mut effects);
    engine
}
