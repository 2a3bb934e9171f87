//! Intervals that are added and removed between two runs: what stays is as if nothing had happened,
//! and what is new is, from its beginning on, what a replay of the whole log under it says.

mod changelog;
#[path = "engine_feed/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use ticksmith::engine::{Engine, Input, Policy, Rules};
use ticksmith::model::{
    Bar, BarState, Effects, Interval, Origin, PartitionMeta, RevisionWhy, Scope, StateRecord,
};

use changelog::Changelog;
use world::Record;

const SETS: [&[&str]; 9] = [
    &["5m", "20m"],
    &["1m", "5m", "20m"],
    &["5m", "10m", "20m"],
    &["1m", "20m"],
    &["20m"],
    &["5m", "20m", "1h"],
    &["2m", "10m", "20m"],
    &["10m", "20m"],
    &["30s", "1m"],
];

fn rules(texts: &[&str]) -> Arc<Rules> {
    let parse = |text: &&str| Interval::parse(text).expect("valid");
    let mut rules = Rules::with_intervals(texts.iter().map(parse).collect()).expect("they fit");
    rules.policy = Some(Policy::All);
    Arc::new(rules)
}

/// One partition's engine with its changelog.
struct Bench {
    engine: Engine,
    changelog: Changelog,
    effects: Effects,
    next_offset: i64,
}

impl Bench {
    fn new(texts: &[&str]) -> Self {
        Self {
            engine: Engine::new(rules(texts), 0, 1),
            changelog: Changelog::new(),
            effects: Effects::default(),
            next_offset: 0,
        }
    }

    fn take(&mut self, log: &[Record]) {
        for record in log {
            let origin = Origin { partition: 0, offset: self.next_offset };
            self.next_offset += 1;
            record.take(origin, &mut self.engine, &mut self.effects);
        }
    }

    /// Stops and starts with these intervals.
    fn restart(&mut self, texts: &[&str]) {
        self.changelog.save(&mut self.engine);
        self.engine =
            Engine::restore(rules(texts), 0, 1, self.changelog.records()).expect("restores");
    }

    fn scope(&self) -> Scope {
        let state = self.changelog.records().into_iter();
        let scope =
            |record| if let StateRecord::Scope(scope) = record { Some(scope) } else { None };
        state.filter_map(scope).next().expect("a state has a scope")
    }

    fn meta(&self) -> PartitionMeta {
        let state = self.changelog.records().into_iter();
        let meta = |record| if let StateRecord::Meta(meta) = record { Some(meta) } else { None };
        state.filter_map(meta).next().expect("a state has a meta record")
    }

    /// Every bar of an interval from `from_ms` on, in the order in which it was told, with its
    /// place in the history.
    fn told(&self, interval: Interval, from_ms: i64) -> (Vec<Bar>, Vec<(RevisionWhy, Bar)>) {
        let is_meant = |bar: &&Bar| bar.interval == interval && bar.window.start_ms >= from_ms;
        let bars = self.effects.bars.iter().filter(is_meant).cloned().collect();
        let history = self.effects.revisions.iter().filter(|one| is_meant(&&one.bar));
        (bars, history.map(|one| (one.why, one.bar.clone())).collect())
    }

    fn closed_before(&self, interval: Interval, from_ms: i64) -> usize {
        let is_early = |bar: &&Bar| bar.interval == interval && bar.window.start_ms < from_ms;
        self.effects.bars.iter().filter(is_early).count()
    }
}

/// The latest feed time that the log speaks of. An event without one is dated by its producer's
/// clock, which is half a minute slow at most.
fn newest_ms(log: &[Record]) -> i64 {
    let of_record = |record: &Record| match record {
        Record::Trade(trade) => trade.trade_time_ms,
        Record::Event(event) => event.feed_time_ms.unwrap_or(event.at_us / 1_000 + 30_000),
    };
    log.iter().map(of_record).max().unwrap_or(i64::MIN)
}

/// The whole log in one go.
fn replayed(log: &[Record], texts: &[&str]) -> Bench {
    let mut bench = Bench::new(texts);
    bench.take(log);
    bench.engine.step(Input::Drain, &mut bench.effects);
    bench
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_stays_is_as_before_and_what_is_new_is_as_replayed(
        actions in world::actions(),
        parts in prop::collection::vec((0usize..200, 0usize..SETS.len()), 1..5),
    ) {
        let log = world::log_of(&actions);
        let mut parts = parts;
        parts.sort();
        let mut set = SETS[0];
        let mut bench = Bench::new(set);
        let mut done = 0;
        // By interval: since when it was never absent, and the bars it had before.
        let mut active: BTreeMap<Interval, (i64, usize)> = BTreeMap::new();
        for interval in &rules(set).intervals {
            active.insert(*interval, (i64::MIN, 0));
        }
        for (position, index) in parts {
            let position = position.min(log.len()).max(done);
            bench.take(&log[done..position]);
            done = position;
            set = SETS[index];
            bench.restart(set);
            // What a crash before the next beat would lose is made once more, and is the same.
            let state = bench.changelog.records();
            bench.engine = Engine::restore(rules(set), 0, 1, state).expect("restores");
            let intervals = rules(set).intervals.clone();
            let before = std::mem::take(&mut active);
            let had_state = !bench.meta().connections.is_empty();
            bench.restart(set);
            for known in bench.scope().intervals {
                let from_ms = known.from_ms.unwrap_or(i64::MIN);
                prop_assert!(had_state || known.from_ms.is_none());
                let is_new = !before.contains_key(&known.interval);
                if let (true, Some(watermark_ms)) = (is_new, bench.meta().watermark_ms) {
                    // Not later than it has to be.
                    let base_ms = intervals[0].length_ms().max(1_200_000);
                    let newest_ms = newest_ms(&log[..done]).max(watermark_ms);
                    prop_assert!(from_ms <= newest_ms + base_ms + known.interval.length_ms());
                }
                let told = bench.closed_before(known.interval, from_ms);
                let kept = before.get(&known.interval).copied();
                active.insert(known.interval, kept.unwrap_or((from_ms, told)));
            }
            prop_assert_eq!(active.keys().copied().collect::<Vec<_>>(), intervals);
        }
        bench.take(&log[done..]);
        bench.restart(set);
        bench.engine.step(Input::Drain, &mut bench.effects);
        let whole = replayed(&log, set);
        for (interval, (from_ms, told_before)) in active {
            let (bars, history) = bench.told(interval, from_ms);
            let (expected, expected_history) = whole.told(interval, from_ms);
            let is_final = |bar: &Bar| bar.state != BarState::Provisional;
            // The intervals of one record close in an order that depends on which there are.
            prop_assert_eq!(by_window(&bars), by_window(&expected), "{}", interval);
            prop_assert_eq!(
                bars.iter().filter(|bar| is_final(bar)).count(),
                expected.iter().filter(|bar| is_final(bar)).count()
            );
            prop_assert_eq!(history, expected_history, "{}", interval);
            prop_assert_eq!(bench.closed_before(interval, from_ms), told_before, "silent");
        }
        let trades = |bench: &Bench| bench.effects.trades.iter().map(|one| {
            (one.origin, one.disposition)
        }).collect::<Vec<_>>();
        prop_assert_eq!(trades(&bench), trades(&whole));
    }
}

/// Every content of every window, in the order in which it was told.
fn by_window(bars: &[Bar]) -> BTreeMap<(String, i64), Vec<Bar>> {
    let mut told: BTreeMap<(String, i64), Vec<Bar>> = BTreeMap::new();
    for bar in bars {
        told.entry((bar.symbol.to_string(), bar.window.start_ms)).or_default().push(bar.clone());
    }
    told
}
