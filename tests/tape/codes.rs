//! One code at a time through the engine, alone and among ordinary trades; and lists of codes.

use compact_str::CompactString;
use proptest::prelude::*;
use ticksmith::engine::conditions::Last;
use ticksmith::engine::{ConditionTable, Policy};
use ticksmith::model::{Bar, ExclusionReason, Judged, PricePoint, Session};

use crate::bench::{Bench, Print, print, rules, time_ms};
use crate::rights::{MATRIX, Rights, rights_of};

const POLICIES: [Policy; 3] = [Policy::Sip, Policy::Conservative, Policy::All];
const FIVE_MINUTES: i64 = 300_000;

/// What is looked at in a bar: prices, volume, count, and what set no price by reason.
#[derive(Debug, PartialEq)]
pub struct Content {
    /// Open, high, low, close.
    pub prices: [Option<f64>; 4],
    pub volume: f64,
    pub count: i64,
    /// Reason, volume and count, in the order of the reasons.
    pub excluded: Vec<(ExclusionReason, f64, i64)>,
}

pub fn content(bar: &Bar) -> Content {
    let price = |point: Option<PricePoint>| point.map(|point| point.price);
    let listed = ExclusionReason::ALL.iter().map(|reason| {
        let exclusion = bar.excluded[*reason as usize];
        (*reason, exclusion.volume.to_f64(), exclusion.count)
    });
    Content {
        prices: [price(bar.open), price(bar.high), price(bar.low), price(bar.close)],
        volume: bar.volume.to_f64(),
        count: bar.trade_count,
        excluded: listed.filter(|(_, _, count)| *count > 0).collect(),
    }
}

/// Open, high, low and close; volume and count; volume and count of what set no price.
fn expect(
    rights: Rights,
    prices: [f64; 4],
    (volume, count): (f64, i64),
    special: (f64, i64),
) -> Option<Content> {
    let excluded = match rights {
        Rights::VolumeOnly(reason) => vec![(reason, special.0, special.1)],
        _ => Vec::new(),
    };
    Some(Content { prices: prices.map(Some), volume, count, excluded })
}

/// A window with one trade of 7 at 150 and nothing else.
fn alone(rights: Rights) -> Option<Content> {
    let bar = expect(rights, [150.0; 4], (7.0, 1), (7.0, 1));
    match rights {
        Rights::Full | Rights::Conditional => bar,
        Rights::VolumeOnly(_) => bar.map(|bar| Content { prices: [None; 4], ..bar }),
        Rights::Nothing => None,
    }
}

/// 10 at 100, then 7 at 150, then 20 at 101.
fn between(rights: Rights) -> Option<Content> {
    match rights {
        Rights::Full | Rights::Conditional => {
            expect(rights, [100.0, 150.0, 100.0, 101.0], (37.0, 3), (0.0, 0))
        }
        Rights::VolumeOnly(_) => expect(rights, [100.0, 101.0, 100.0, 101.0], (37.0, 3), (7.0, 1)),
        Rights::Nothing => expect(rights, [100.0, 101.0, 100.0, 101.0], (30.0, 2), (0.0, 0)),
    }
}

/// 7 at 50, then an ordinary 10 at 100, then 7 at 150.
fn around(rights: Rights) -> Option<Content> {
    match rights {
        Rights::Full => expect(rights, [50.0, 150.0, 50.0, 150.0], (24.0, 3), (0.0, 0)),
        Rights::Conditional => expect(rights, [100.0, 150.0, 50.0, 100.0], (24.0, 3), (0.0, 0)),
        Rights::VolumeOnly(_) => expect(rights, [100.0; 4], (24.0, 3), (14.0, 2)),
        Rights::Nothing => expect(rights, [100.0; 4], (10.0, 1), (0.0, 0)),
    }
}

/// Every policy, in regular hours and before them, and every place in the window.
pub fn check(code: &str) {
    let row = MATRIX.iter().find(|row| row.code == code).expect("the matrix has the code");
    let hours = [(true, "2024-03-11T14:00:00Z"), (false, "2024-03-11T12:00:00Z")];
    for policy in POLICIES {
        for (in_regular_hours, start) in hours {
            let rights = row.rights(policy, in_regular_hours);
            let at = |second: i64, price: f64, volume: f64, codes: &[&str]| {
                print(time_ms(start) + second * 1_000, price, volume, codes)
            };
            let cases: [(&str, Vec<Print>, Option<Content>); 3] = [
                ("alone", vec![at(20, 150.0, 7.0, &[code])], alone(rights)),
                (
                    "between",
                    vec![
                        at(10, 100.0, 10.0, &["1"]),
                        at(20, 150.0, 7.0, &[code]),
                        at(30, 101.0, 20.0, &[]),
                    ],
                    between(rights),
                ),
                (
                    "around",
                    vec![
                        at(10, 50.0, 7.0, &[code]),
                        at(20, 100.0, 10.0, &["1"]),
                        at(30, 150.0, 7.0, &[code]),
                    ],
                    around(rights),
                ),
            ];
            for (place, prints, expected) in cases {
                let shown = format!("code '{code}' {policy:?} regular {in_regular_hours} {place}");
                check_window(&shown, code, policy, rights, &prints, expected);
            }
        }
    }
}

fn check_window(
    shown: &str,
    code: &str,
    policy: Policy,
    rights: Rights,
    prints: &[Print],
    expected: Option<Content>,
) {
    let mut bench = Bench::new(rules(&["5m"], Some(policy)));
    for print in prints {
        bench.trade("AAPL", print);
    }
    let bars = bench.finish();
    let start_ms = prints[0].time_ms.div_euclid(FIVE_MINUTES) * FIVE_MINUTES;
    assert_eq!(bars.get(&(FIVE_MINUTES, start_ms)).map(content), expected, "{shown}");
    let is_special = |one: &&Judged| one.trade.conditions.as_deref() == Some(&[code.into()]);
    let mut number = 0;
    for judged in bench.effects.trades.iter().filter(is_special) {
        let found = (judged.updates_last, judged.updates_high_low, judged.updates_volume);
        let expected = match rights {
            Rights::Full | Rights::Conditional => (true, true, true),
            Rights::VolumeOnly(_) => (false, false, true),
            Rights::Nothing => (false, false, false),
        };
        assert_eq!(found, expected, "{shown}, on the trade");
        number += 1;
    }
    let is_unknown = rights == Rights::VolumeOnly(ExclusionReason::UnknownCode);
    let counted = if is_unknown { vec![code; number] } else { Vec::new() };
    assert_eq!(bench.effects.unknown_codes, counted, "{shown}");
}

#[test]
fn form_t_sets_prices_on_the_afternoon_of_a_half_day_and_on_holidays() {
    let cases = [
        ("2024-11-29T17:59:00Z", None), // 12:59 of the day after Thanksgiving
        ("2024-11-29T18:00:00Z", Some(100.0)), // 13:00: the market has closed
        ("2024-11-28T16:00:00Z", Some(100.0)), // Thanksgiving
        ("2018-12-05T16:00:00Z", Some(100.0)), // a day of mourning
        ("2024-03-09T16:00:00Z", Some(100.0)), // a Saturday
        ("2024-03-11T13:29:59Z", Some(100.0)), // 09:29:59
        ("2024-03-11T13:30:00Z", None),
        ("2024-03-11T19:59:59Z", None),
        ("2024-03-11T20:00:00Z", Some(100.0)),
    ];
    for (time, price) in cases {
        let mut bench = Bench::new(rules(&["1m"], None));
        bench.trade("AAPL", &print(time_ms(time), 100.0, 1.0, &["1", "24"]));
        let bars = bench.finish();
        let bar = bars.values().next().expect("a bar");
        assert_eq!(content(bar).prices, [price; 4], "{time}");
    }
}

#[test]
fn a_price_update_of_a_us_stock_sets_nothing_and_is_counted() {
    let mut bench = Bench::new(rules(&["5m"], None));
    bench.trade("AAPL", &print(time_ms("2024-03-11T14:00:00Z"), 100.0, 0.0, &["1"]));
    let bars = bench.finish();
    let found = content(bars.values().next().expect("a bar"));
    let excluded = vec![(ExclusionReason::Other, 0.0, 1)];
    assert_eq!(found, Content { prices: [None; 4], volume: 0.0, count: 1, excluded });
}

fn code() -> impl Strategy<Value = CompactString> {
    (0..MATRIX.len()).prop_map(|index| MATRIX[index].code.into())
}

proptest! {
    #[test]
    fn a_list_of_codes_is_judged_as_all_of_them_in_any_order(
        (codes, shuffled) in prop::collection::vec(code(), 0..6)
            .prop_flat_map(|codes| (Just(codes.clone()), Just(codes).prop_shuffle())),
        policy in prop::sample::select(&POLICIES[..]),
        session in prop::sample::select(Session::ALL),
    ) {
        let table = ConditionTable::built_in().expect("the built-in table parses");
        let judged = table.judge(&codes, policy, session);
        prop_assert_eq!(judged, table.judge(&shuffled, policy, session), "order");
        let judge = |one: &CompactString| table.judge(std::slice::from_ref(one), policy, session);
        let singles: Vec<_> = codes.iter().map(judge).collect();
        let least = singles.iter().map(|one| one.last).min().unwrap_or(Last::Yes);
        prop_assert_eq!(judged.last, least);
        prop_assert_eq!(judged.high_low, singles.iter().all(|one| one.high_low));
        prop_assert_eq!(judged.volume, singles.iter().all(|one| one.volume));
        let has_unknown_code = singles.iter().any(|one| one.has_unknown_code);
        prop_assert_eq!(judged.has_unknown_code, has_unknown_code);
        let found = match judged {
            one if one.is_excluded() => Rights::VolumeOnly(one.reason),
            one if !one.volume => Rights::Nothing,
            one if one.last == Last::Yes => Rights::Full,
            _ => Rights::Conditional,
        };
        prop_assert_eq!(found, rights_of(&codes, policy, session == Session::Regular), "by hand");
    }
}
