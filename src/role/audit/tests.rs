pub mod market;
pub mod memory;

use std::sync::Arc;

use proptest::prelude::*;

use self::market::{Act, DELAY_MS, START_MS, SYMBOLS, What, play};
use self::memory::Memory;
use super::*;
use crate::engine::Rules;
use crate::model::{Amount, Bar, BarState};
use crate::port::Contradiction;

const MINUTE_MS: i64 = 60_000;
const THREE_YEARS_MS: i64 = 3 * 365 * 86_400_000;

/// A clock that stands.
pub struct Stands(pub i64);

impl Clock for Stands {
    fn now_us(&self) -> i64 {
        self.0 * 1_000
    }

    fn monotonic_us(&self) -> i64 {
        0
    }
}

/// Two partitions, so that the symbols share and do not share a watermark.
pub fn config() -> Config {
    let mut config = Config::defaults();
    config.topics.partitions = 2;
    config.stream.intervals = vec!["1m".into(), "5m".into()];
    config
}

fn rules() -> Arc<Rules> {
    wiring::rules(&config()).expect("valid")
}

pub fn stretch(symbol: &str, from: Option<i64>, to: Option<i64>) -> StretchArgs {
    StretchArgs { symbol: symbol.into(), from, to, data: None }
}

pub fn audited(memory: &Memory, now_ms: i64, from: Option<i64>, to: Option<i64>) -> Audit {
    audit(&stretch("all", from, to), &config(), memory, &Stands(now_ms)).expect("it can be done")
}

fn trade(symbol: usize, units: u32, behind_ms: i64) -> Act {
    let what = What::Trade { symbol, cents: 100 + units, units, behind_ms };
    Act { after_ms: 10_000, what }
}

/// Three hours of every symbol, with heartbeats and one late trade of the first symbol.
pub fn steady() -> Vec<Act> {
    let mut acts = Vec::new();
    for turn in 0..270u32 {
        acts.extend((0..3).map(|symbol| trade(symbol, turn + 1, 0)));
        acts.push(Act { after_ms: 10_000, what: What::Heartbeat });
        if turn == 220 {
            acts.push(trade(0, 5_000, 30 * MINUTE_MS));
        }
    }
    acts
}

pub fn steady_store() -> (Memory, i64) {
    let log = play(&steady(), 0, 2);
    (Memory::streamed(&log, &rules(), 1_000), log.end_ms)
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let behind = prop_oneof![
        6 => 0i64..3_000,
        2 => 0i64..9 * MINUTE_MS,
        1 => 0i64..40 * MINUTE_MS,
    ];
    let trade = (0..SYMBOLS.len(), 1u32..9_999, 1u32..9_999, behind).prop_map(
        |(symbol, cents, units, behind_ms)| What::Trade { symbol, cents, units, behind_ms },
    );
    let what = prop_oneof![
        20 => trade,
        10 => Just(What::Heartbeat),
        2 => Just(What::Again),
        1 => (0..SYMBOLS.len()).prop_map(|symbol| What::Broken { symbol }),
        1 => any::<bool>().prop_map(|is_killed| What::Reconnect { is_killed }),
    ];
    let act = (1i64..120_000, what).prop_map(|(after_ms, what)| Act { after_ms, what });
    prop::collection::vec(act, 150..350)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// However often the stream was restarted, whenever the recording was made, and wherever the
    /// audit begins and ends: what the stream wrote is what bronze says.
    #[test]
    fn an_audit_of_what_a_stream_wrote_is_equal(
        acts in acts(),
        offset_ms in prop_oneof![Just(0), Just(THREE_YEARS_MS)],
        restart_every in 1usize..200,
        part in (0i64..300, 1i64..200),
    ) {
        let log = play(&acts, offset_ms, 2);
        let memory = Memory::streamed(&log, &rules(), restart_every);
        let closed = |from_ms: i64, to_ms: i64| memory.with(|tables| {
            let bars = tables.gold.values().filter(|bar| bar.state != BarState::Provisional);
            bars.filter(|bar| (from_ms..to_ms).contains(&bar.window.start_ms)).count() as u64
        });
        let whole = audited(&memory, log.end_ms, None, None);
        prop_assert_eq!(&whole.comparison.differences, &[]);
        prop_assert_eq!(whole.comparison.compared, closed(0, i64::MAX));

        let from_ms = START_MS + part.0 * MINUTE_MS;
        let to_ms = from_ms + part.1 * MINUTE_MS;
        let some = audited(&memory, log.end_ms, Some(from_ms), Some(to_ms));
        prop_assert_eq!(&some.comparison.differences, &[]);
        // Where nothing was stored, nobody can say when it would have come.
        prop_assert!(some.not_auditable.is_empty() || closed(from_ms, to_ms) == 0);
        prop_assert_eq!(some.comparison.compared, closed(from_ms, to_ms));
        let (gold, recomputed) = some.comparison.digests();
        prop_assert_eq!(gold, recomputed);
    }
}

/// A closed bar of the first symbol, an hour and a half into the market.
pub fn some_key(memory: &Memory) -> crate::engine::recompute::BarKey {
    let after_ms = START_MS + 90 * MINUTE_MS;
    let found = memory.with(|tables| {
        let mut keys = tables.gold.keys();
        keys.find(|key| *key.0 == *SYMBOLS[0] && key.2 >= after_ms).cloned()
    });
    found.expect("there is a bar")
}

/// Changes a bar; returns what the audit then names.
fn after(change: impl FnOnce(&mut Bar)) -> Vec<String> {
    let (memory, end_ms) = steady_store();
    let key = some_key(&memory);
    memory.with(|tables| change(tables.gold.get_mut(&key).expect("it is there")));
    let audit = audited(&memory, end_ms, None, None);
    let (gold, recomputed) = audit.comparison.digests();
    assert_ne!(gold, recomputed);
    assert!(matches!(audit.conclude(), Err(Error::Differences(_))));
    audit.comparison.differences.iter().map(ToString::to_string).collect()
}

#[test]
fn a_changed_field_is_found_and_named() {
    let named = after(|bar| bar.volume = "7.5".parse().expect("an amount"));
    assert_eq!(named.len(), 1, "{named:?}");
    assert!(named[0].starts_with("BINANCE:BTCUSDT 1m 2023-11-14T23:30:00Z volume: gold 7.5, rec"));
    let named = after(|bar| bar.close = None);
    assert_eq!(named.len(), 4, "price, time, connection and seq: {named:?}");
    for change in [
        (|bar: &mut Bar| bar.revision += 1) as fn(&mut Bar),
        |bar| bar.gap_ms = 1,
        |bar| bar.window.end_ms += 1,
        |bar| bar.excluded[3].count = 2,
        |bar| bar.late_included = 1,
        |bar| bar.vwap = bar.vwap.map(|vwap| vwap + 0.01),
    ] {
        assert_eq!(after(change).len(), 1);
    }
}

#[test]
fn a_double_that_belies_its_exact_text_is_found() {
    let (memory, end_ms) = steady_store();
    let key = some_key(&memory);
    let twin = Contradiction {
        start_ms: key.2,
        column: "volume".into(),
        value: Some(1.5),
        exact: Some("1".into()),
    };
    memory.with(|tables| tables.contradictions.push((key, twin)));
    let audit = audited(&memory, end_ms, None, None);
    assert_eq!((audit.comparison.differing, audit.comparison.differences.len()), (1, 1));
    let (gold, recomputed) = audit.comparison.digests();
    assert_ne!(gold, recomputed);
}

#[test]
fn a_deleted_and_an_inserted_row_are_found_and_named() {
    let (memory, end_ms) = steady_store();
    let key = some_key(&memory);
    let bar = memory.with(|tables| tables.gold.remove(&key)).expect("it was there");
    // Of a symbol nobody trades, in a quiet minute, and in a window that is still open.
    let mut places = vec![("NOBODY", key.2), (SYMBOLS[3], key.2), ("NOBODY", end_ms - 30_000)];
    for (symbol, time_ms) in &mut places {
        let window = bar.interval.window_of(*time_ms);
        *time_ms = window.start_ms;
        let key = (Arc::from(*symbol), bar.interval, window.start_ms);
        let symbol = Arc::clone(&key.0);
        memory.with(|tables| tables.gold.insert(key, Bar { symbol, window, ..bar.clone() }));
    }
    let audit = audited(&memory, end_ms, None, None);
    let Comparison { missing, extra, differing, .. } = audit.comparison;
    assert_eq!((missing, extra, differing), (1, 3, 0), "{:?}", audit.comparison.differences);
    let text = audit.text();
    assert!(text.contains("BINANCE:BTCUSDT 1m 2023-11-14T23:30:00Z bar: gold has none"), "{text}");
    assert!(text.contains("NOBODY 1m 2023-11-14T23:30:00Z bar: gold open"), "{text}");
    assert!(text.contains("recomputed none"), "{text}");
    assert!(audit.json().contains("\"kind\": \"missing\""));
}

#[test]
fn a_changed_trade_in_bronze_shows_too() {
    let (memory, end_ms) = steady_store();
    memory.with(|tables| {
        let judged = tables.bronze.values_mut().nth(400).expect("there are so many");
        judged.trade.volume += 1.0;
    });
    let audit = audited(&memory, end_ms, None, None);
    // The minute and the five minutes, each with its volume and vwap.
    assert_eq!(audit.comparison.differing, 2, "{:?}", audit.comparison.differences);
}

#[test]
fn what_bronze_no_longer_reaches_is_not_auditable() {
    let (memory, end_ms) = steady_store();
    // Seven days after the middle of the market.
    let now_ms = START_MS + 90 * MINUTE_MS + 7 * 86_400_000;
    let asked = audited(&memory, now_ms, Some(START_MS), Some(end_ms));
    let lead_ms = (60 + 5 + 10 + 5) * MINUTE_MS;
    let first_ms = START_MS + 90 * MINUTE_MS + lead_ms - DELAY_MS;
    assert_eq!(asked.not_auditable, [Slice { from_ms: START_MS, to_ms: first_ms }]);
    let Err(Error::Differences(said)) = asked.conclude() else { panic!("it is not equal") };
    assert!(said.contains("not auditable: 2023-11-14T22:00:00Z to 2023-11-15T00:49:59.850Z"));
    assert!(said.contains("--from 2023-11-15T00:50:00Z"), "{said}");
    assert!(asked.comparison.compared > 0, "the rest is compared");
    assert_eq!(asked.comparison.unequal(), 0);

    let rest = audited(&memory, now_ms, Some(whole_windows(first_ms, &asked.intervals)), None);
    assert!(rest.conclude().is_ok() && rest.comparison.compared > 0);
    let default = audited(&memory, now_ms, None, None);
    assert_eq!(default.not_auditable, []);
    assert_eq!(default.comparison.compared, asked.comparison.compared);
}

#[test]
fn a_recording_of_years_ago_is_auditable_while_its_rows_live() {
    let log = play(&steady(), THREE_YEARS_MS, 2);
    let memory = Memory::streamed(&log, &rules(), 1_000);
    let asked = audited(&memory, log.end_ms, Some(START_MS), Some(START_MS + 100 * MINUTE_MS));
    assert!(asked.conclude().is_ok() && asked.comparison.compared > 300, "{}", asked.text());
    let long = audited(&memory, log.end_ms, Some(START_MS - 86_400_000 * 30), None);
    assert_eq!(long.comparison.unequal(), 0);
    assert!(long.conclude().is_err(), "nobody can say what was there a month before");
    let week_ms = 8 * 86_400_000;
    let gone = audited(&memory, log.end_ms + week_ms, Some(START_MS), Some(log.end_ms));
    assert_eq!(gone.comparison.compared, 0);
    assert!(gone.conclude().is_err());
}

#[test]
fn open_windows_are_counted_and_left_out() {
    let (memory, end_ms) = steady_store();
    let audit = audited(&memory, end_ms, Some(end_ms - 30_000), Some(end_ms + MINUTE_MS));
    assert_eq!(audit.comparison.compared, 0);
    assert!(audit.comparison.open > 0);
    let Err(Error::Differences(said)) = audit.conclude() else { panic!("nothing was compared") };
    assert!(said.contains("still open"), "{said}");
    let empty = audited(&memory, end_ms, Some(START_MS - 9 * MINUTE_MS), Some(START_MS));
    assert!(empty.conclude().is_ok(), "no bars, and none recomputed");
}

#[test]
fn mistakes_are_named_with_a_remedy() {
    let (memory, end_ms) = steady_store();
    let refusal = |config: &Config, stretch: &StretchArgs| match audit(
        stretch,
        config,
        &memory,
        &Stands(end_ms),
    ) {
        Err(Error::Config(said)) => said,
        other => panic!("{:?}", other.map(|audit| audit.text())),
    };
    let said = refusal(&config(), &stretch("APPL", None, None));
    assert!(said.contains("did you mean AAPL?"), "{said}");
    let said = refusal(&config(), &stretch("AAPL", Some(2), Some(1)));
    assert!(said.contains("swap them"), "{said}");
    let mut other = config();
    other.topics.partitions = 3;
    let said = refusal(&other, &stretch("all", None, None));
    assert!(said.contains("topics.partitions"), "{said}");
    memory.with(|tables| {
        let trade = tables.bronze.values_mut().next().expect("a trade");
        let mut events = tables.events.iter().map(|stored| stored.origin);
        let event = events.find(|origin| origin.partition == trade.origin.partition);
        trade.origin = event.expect("each partition has events");
    });
    let said = refusal(&config(), &stretch("all", None, None));
    assert!(said.contains("made anew"), "{said}");
}

#[test]
fn bars_that_hold_late_trades_are_held_against_all_trades() {
    let (memory, end_ms) = steady_store();
    let late_ms = START_MS + (220 * 40_000 + 50_000) - 30 * MINUTE_MS;
    let bars = memory.with(|tables| {
        let late = tables.bronze.values().find(|one| one.lateness.is_some()).expect("a late one");
        assert!((late.trade.trade_time_ms - late_ms).abs() < MINUTE_MS);
        late.trade.clone()
    });
    let key = |minutes: i64| {
        let interval = Interval::parse(&format!("{minutes}m")).expect("valid");
        let start_ms = interval.window_of(bars.trade_time_ms).start_ms;
        (Arc::from(bars.symbol.as_str()), interval, start_ms)
    };
    let volume = Amount::from_f64(bars.volume).expect("in range");
    memory.with(|tables| {
        let bar = tables.gold.get_mut(&key(1)).expect("it is there");
        bar.late_included = 1;
        bar.volume = bar.volume.checked_add(volume).expect("in range");
    });
    let audit = audited(&memory, end_ms, None, None);
    let named: Vec<&str> =
        audit.comparison.differences.iter().map(|one| one.field.as_str()).collect();
    assert!(!named.contains(&"volume") && !named.contains(&"late_included"), "{named:?}");
    assert!(named.contains(&"trade_count"), "{named:?}");
    assert_eq!((audit.comparison.differing, audit.comparison.late_included), (1, 1));
}
