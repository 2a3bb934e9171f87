//! The engine against a second-by-second oracle of what a log can vouch for: random feeds that
//! connect, fall silent, die, lose records and take symbols over from each other.

mod changelog;
#[path = "engine_feed/oracle.rs"]
mod oracle;
#[path = "engine_feed/world.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use proptest::prelude::*;
use ticksmith::engine::{Engine, Input, Policy, Rules};
use ticksmith::model::{
    Bar, BarState, Disposition, Effects, FeedEvent, FeedEventKind, FeedGap, GapCause, Interval,
    Origin, RevisionWhy, Trade, Verdict, partition_for_key,
};

use changelog::Changelog;
use oracle::{Ending, Expected, Key, Knowledge, Second};
use world::{Record, SYMBOLS};

fn rules() -> Arc<Rules> {
    let parse = |text: &&str| Interval::parse(text).expect("valid");
    let intervals = ["1m", "5m", "20m"].iter().map(parse).collect();
    let mut rules = Rules::with_intervals(intervals).expect("they fit");
    rules.policy = Some(Policy::All);
    // As short as it may be: half an hour.
    rules.mark_horizon_ms = 0;
    Arc::new(rules)
}

fn key_of(bar: &Bar) -> Key {
    (bar.symbol.to_string(), bar.interval.length_ms(), bar.window.start_ms)
}

/// One partition's engine with its changelog.
struct Bench {
    rules: Arc<Rules>,
    partition: i32,
    count: u32,
    engine: Engine,
    changelog: Changelog,
    effects: Effects,
}

impl Bench {
    fn new(partition: i32, count: u32) -> Self {
        let rules = rules();
        Self {
            engine: Engine::new(Arc::clone(&rules), partition, count),
            rules,
            partition,
            count,
            changelog: Changelog::new(),
            effects: Effects::default(),
        }
    }

    /// Takes the whole log, restarting from the changelog's bytes before the given records.
    fn run(
        mut self,
        log: &[Record],
        restarts: &BTreeSet<usize>,
        samples: &BTreeSet<usize>,
    ) -> Effects {
        for (position, record) in log.iter().enumerate() {
            if restarts.contains(&position) {
                self.restart();
            }
            if samples.contains(&position) {
                self.engine.step(Input::Sample, &mut self.effects);
            }
            let origin = Origin { partition: self.partition, offset: position as i64 };
            record.take(origin, &mut self.engine, &mut self.effects);
            assert_eq!(self.engine.tally().total(), position as i64 + 1, "conservation");
        }
        self.restart();
        self.engine.step(Input::Drain, &mut self.effects);
        self.effects
    }

    fn restart(&mut self) {
        self.changelog.save(&mut self.engine);
        let (rules, records) = (Arc::clone(&self.rules), self.changelog.records());
        self.engine =
            Engine::restore(rules, self.partition, self.count, records).expect("restores");
    }
}

/// Of a window: seconds up, missing or lost, not settled.
fn seconds_of(knowledge: &Knowledge, key: &Key) -> Option<[i64; 3]> {
    let (symbol, length_ms, start_ms) = key;
    let end_ms = start_ms + length_ms;
    if knowledge.first_up_ms(symbol).is_none_or(|first_ms| end_ms <= first_ms) {
        return None;
    }
    let seconds = knowledge.seconds(symbol, *start_ms, end_ms);
    let count = |wanted: &[Second]| seconds.iter().filter(|one| wanted.contains(one)).count();
    let wanted: [&[Second]; 3] =
        [&[Second::Up], &[Second::Missing, Second::Lost], &[Second::Unsettled]];
    Some(wanted.map(|wanted| count(wanted) as i64))
}

/// The last record of a key says all that was known when its window was forgotten.
fn check_bar(key: &Key, bar: &Bar, expected: &Expected) {
    let shown = format!("{bar:?}");
    assert_eq!(bar.trade_count, expected.trade_count, "{shown}");
    assert_eq!(bar.volume.to_f64(), expected.volume, "{shown}");
    assert_eq!(bar.state != BarState::Provisional, expected.closed, "{shown}");
    let Some([up_s, missing_s, unsettled_s]) = seconds_of(&expected.knowledge, key) else {
        assert_eq!((bar.coverage, bar.gap_ms, bar.verdict), (None, 0, Verdict::Unknown), "{shown}");
        return;
    };
    assert_eq!(bar.gap_ms, missing_s * 1_000, "{shown} {:#?}", expected.knowledge);
    let told_up_ms = bar.coverage.expect("somebody listened") * key.1 as f64;
    let is_settled = unsettled_s == 0;
    // A tail that is confirmed in part is told when all of it is.
    let slack_s = if is_settled { 0 } else { up_s };
    let told_up_s = (told_up_ms / 1_000.0).round() as i64;
    assert!((up_s - slack_s..=up_s).contains(&told_up_s), "{told_up_s} of {up_s} s: {shown}");
    let has_losses = expected.knowledge.has_losses(&key.0, key.2, key.2 + key.1);
    let verdict = match (missing_s > 0 || has_losses, is_settled) {
        (true, _) => Verdict::Partial,
        (false, false) => Verdict::Unknown,
        (false, true) => Verdict::Complete,
    };
    assert_eq!(bar.verdict, verdict, "{shown}");
}

/// Of all bars told of a key: revisions rise, and the history repeats what changed after closing.
fn check_emission(effects: &Effects) {
    let mut told: HashMap<Key, Vec<&Bar>> = HashMap::new();
    for bar in &effects.bars {
        assert!(bar.gap_ms >= 0 && bar.gap_ms <= bar.interval.length_ms(), "{bar:?}");
        let up = bar.coverage.unwrap_or(0.0) + bar.gap_ms as f64 / bar.interval.length_ms() as f64;
        assert!(up <= 1.0 + 1e-9, "more than the whole window: {bar:?}");
        let bars = told.entry(key_of(bar)).or_default();
        if let Some(before) = bars.last() {
            let is_same = before.revision == bar.revision;
            assert!(bar.revision >= before.revision, "{before:?} and then {bar:?}");
            let both_samples = bar.state == before.state && bar.state == BarState::Provisional;
            assert!(!is_same || both_samples, "{before:?} and then {bar:?}");
        }
        bars.push(bar);
    }
    let mut history: HashMap<Key, Vec<&Bar>> = HashMap::new();
    for revision in &effects.revisions {
        let bars = history.entry(key_of(&revision.bar)).or_default();
        assert_eq!(revision.why == RevisionWhy::Closed, bars.is_empty(), "{revision:?}");
        bars.push(&revision.bar);
    }
    for (key, bars) in told {
        let closed = bars.iter().filter(|bar| bar.state == BarState::Closed).count();
        let final_ones = bars.into_iter().filter(|bar| bar.state != BarState::Provisional);
        let final_ones: Vec<&Bar> = final_ones.collect();
        assert_eq!(closed, usize::from(!final_ones.is_empty()), "it closes once: {key:?}");
        match final_ones.len() {
            0 | 1 => assert!(!history.contains_key(&key), "{key:?} never changed"),
            _ => assert_eq!(history.get(&key), Some(&final_ones), "{key:?}"),
        }
    }
}

/// The rows of `feed_gaps`, each as it was written last, cover the missing seconds and no others.
fn check_gaps(
    effects: &Effects,
    knowledge: &Knowledge,
    to_ms: i64,
    is_home: impl Fn(&&str) -> bool,
) {
    let mut rows: BTreeMap<(&str, i64, i64, &str), &FeedGap> = BTreeMap::new();
    for gap in &effects.gaps {
        let is_loss = matches!(gap.cause, GapCause::Overflow | GapCause::DecodeLoss);
        if !is_loss {
            assert!(gap.to_ms.is_none_or(|to_ms| to_ms >= gap.from_ms), "{gap:?}");
            let cause = gap.cause.as_str();
            rows.insert((&gap.symbol, gap.from_ms, gap.connection, cause), gap);
        }
    }
    for symbol in SYMBOLS.into_iter().filter(is_home) {
        let Some(first_ms) = knowledge.first_up_ms(symbol) else { continue };
        let of_symbol: Vec<&&FeedGap> = rows.values().filter(|gap| gap.symbol == symbol).collect();
        let lasting = of_symbol.iter().filter(|gap| gap.to_ms.is_none()).count();
        assert!(lasting <= 1, "one gap at most can last: {of_symbol:?}");
        let seconds = knowledge.seconds(symbol, first_ms, to_ms);
        for (second, at_ms) in seconds.into_iter().zip((first_ms..).step_by(1_000)) {
            let is_told = of_symbol
                .iter()
                .any(|gap| gap.from_ms <= at_ms && gap.to_ms.is_none_or(|to_ms| at_ms < to_ms));
            // Where a live connection may still have been there, a row may stand or not.
            let agrees = second == Second::Unsettled || is_told == (second == Second::Missing);
            assert!(agrees, "{symbol} at {at_ms}: {second:?} {of_symbol:#?} {knowledge:#?}");
        }
    }
}

fn last_by_key(effects: &Effects) -> BTreeMap<Key, &Bar> {
    effects.bars.iter().map(|bar| (key_of(bar), bar)).collect()
}

fn endings(effects: &Effects) -> Vec<Ending> {
    let ending = |disposition| match disposition {
        Disposition::Merged => Ending::Merged,
        Disposition::Late => Ending::Late,
        Disposition::Duplicate(_) => Ending::NotOwner,
        Disposition::Rejected(reason) => panic!("nothing here is to be rejected: {reason:?}"),
    };
    effects.trades.iter().map(|judged| ending(judged.disposition)).collect()
}

/// All but the samples, which are not part of the promise.
fn promised(effects: &Effects) -> (Vec<&Bar>, &Effects) {
    let bars = effects.bars.iter().filter(|bar| bar.state != BarState::Provisional);
    (bars.collect(), effects)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn bars_and_gaps_say_what_the_log_can_vouch_for(
        actions in world::actions(),
        count in 1u32..4,
        restarts in prop::collection::btree_set(0usize..300, 0..6),
        samples in prop::collection::btree_set(0usize..300, 0..20),
    ) {
        let log = world::log_of(&actions);
        for partition in 0..i32::try_from(count).expect("small") {
            let log = oracle::of_partition(&log, partition, count);
            let (expected, ended) = oracle::judge(&log, &rules().intervals);
            let straight = Bench::new(partition, count).run(&log, &BTreeSet::new(), &samples);
            prop_assert_eq!(endings(&straight), ended);
            check_emission(&straight);
            let found = last_by_key(&straight);
            prop_assert!(found.keys().eq(expected.keys()));
            for (key, bar) in found {
                check_bar(&key, bar, &expected[&key]);
            }
            let mut knowledge = Knowledge::default();
            let mut last_ms = world::START_MS;
            for record in &log {
                match record {
                    Record::Event(event) => {
                        knowledge.event(event);
                        last_ms = last_ms.max(event.feed_time_ms.unwrap_or(last_ms));
                    }
                    Record::Trade(trade) => { knowledge.trade(trade); }
                }
            }
            let is_home =
                |symbol: &&str| partition_for_key(symbol.as_bytes(), count) == partition;
            check_gaps(&straight, &knowledge, last_ms, is_home);
            let restarted = Bench::new(partition, count).run(&log, &restarts, &BTreeSet::new());
            let ((bars, one), (again, other)) = (promised(&straight), promised(&restarted));
            prop_assert_eq!(bars, again);
            prop_assert_eq!(&one.revisions, &other.revisions);
            prop_assert_eq!(&one.gaps, &other.gaps);
            prop_assert_eq!(&one.trades, &other.trades);
            prop_assert_eq!(&one.events, &other.events);
        }
    }
}

/// Times as the log may hold them, whoever wrote them: near each other, and at the ends of the
/// type.
fn times() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => world::START_MS..world::START_MS + 4_000_000,
        1 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX]),
        1 => any::<i64>(),
    ]
}

fn absurd_events() -> impl Strategy<Value = Vec<Record>> {
    let kinds = prop::sample::select(FeedEventKind::ALL.to_vec());
    let maybe = || prop::option::of(times());
    let at_us = prop_oneof![times().prop_map(|at_ms| at_ms.saturating_mul(1_000)), any::<i64>()];
    let numbers = (prop_oneof![4 => 1i64..6, 1 => any::<i64>()], any::<i64>());
    let event = (kinds, numbers, at_us, maybe(), maybe(), 0usize..3, any::<i64>());
    let event =
        event.prop_map(|(kind, (connection, seq), at_us, feed_time_ms, heard, feed, lost)| {
            Record::Event(FeedEvent {
                kind,
                connection,
                seq,
                feed: format!("feed/{feed}"),
                at_us,
                feed_time_ms,
                confirmed_at_us: Some(at_us),
                confirmed_feed_time_ms: heard,
                symbols: SYMBOLS.map(str::to_owned).to_vec(),
                lost_records: lost,
                detail: String::new(),
            })
        });
    let trade = (0..SYMBOLS.len(), times(), 1i64..6, any::<i64>(), times(), any::<f64>());
    let trade = trade.prop_map(|(symbol, trade_time_ms, connection, seq, at_ms, price)| {
        Record::Trade(Trade {
            symbol: SYMBOLS[symbol].into(),
            price: if seq % 2 == 0 { 10.0 } else { price },
            volume: 1.0,
            trade_time_ms,
            conditions: None,
            connection,
            seq,
            received_at_us: at_ms.saturating_mul(1_000),
            feed: "feed/0".into(),
        })
    });
    prop::collection::vec(prop_oneof![event, trade], 1..120)
}

proptest! {
    /// Whoever writes nonsense into the log: nothing panics, nothing is lost count of, and a
    /// restart goes on alike.
    #[test]
    fn nothing_in_the_log_stops_the_engine(
        log in absurd_events(),
        restarts in prop::collection::btree_set(0usize..120, 0..6),
    ) {
        let straight = Bench::new(0, 1).run(&log, &BTreeSet::new(), &BTreeSet::new());
        check_emission(&straight);
        let restarted = Bench::new(0, 1).run(&log, &restarts, &BTreeSet::new());
        prop_assert_eq!(promised(&straight).0, promised(&restarted).0);
        prop_assert_eq!(&straight.gaps, &restarted.gaps);
    }
}
