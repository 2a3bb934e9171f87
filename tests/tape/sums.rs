//! A day of a US stock, nearly half of it odd lots, with late trades and restarts: the bars are
//! those of the oracle, volume adds up exactly, and an hour rolled up equals one computed directly.

use std::collections::BTreeMap;

use proptest::prelude::*;
use ticksmith::model::{Amount, Bar, Disposition, Judged};

use crate::bench::{Bench, Print, rules, time_ms};
use crate::codes::{Content, content};
use crate::oracle;
use crate::rights::MATRIX;

const FIVE_MINUTES: i64 = 300_000;
const HOUR: i64 = 3_600_000;

/// 2024-03-11: New York is four hours behind, and trades regularly from 09:30 to 16:00.
fn is_regular(trade_time_ms: i64) -> bool {
    let open_ms = time_ms("2024-03-11T13:30:00Z");
    (open_ms..open_ms + 6 * HOUR + HOUR / 2).contains(&trade_time_ms)
}

/// Of 100 trades 45 are odd lots and 20 have any codes; `regular` and `conditional` ones make up
/// the rest. Without many regular ones whole hours have none that sets open and close by right.
fn codes(regular: u32, conditional: u32) -> impl Strategy<Value = Vec<String>> {
    let list = |codes: &[&str]| Just(codes.iter().map(ToString::to_string).collect::<Vec<_>>());
    let any = prop::collection::vec(prop::sample::select(MATRIX), 1..3);
    let any = any.prop_map(|rows| rows.iter().map(|row| row.code.to_owned()).collect());
    prop_oneof![
        30 => list(&["1", "12"]),
        15 => list(&["1", "8", "12"]),
        20 => any,
        regular => prop_oneof![list(&["1"]), list(&[]), list(&["1", "24"])],
        conditional => prop_oneof![list(&["1", "30"]), list(&["32"]), list(&["21"])],
    ]
}

/// From 04:00 to 20:00 New York; some trades are minutes late, a few beyond the allowed lateness.
fn day() -> impl Strategy<Value = Vec<Print>> {
    prop_oneof![day_of(34, 1), day_of(1, 34)]
}

fn day_of(regular: u32, conditional: u32) -> impl Strategy<Value = Vec<Print>> {
    let delay_ms = prop_oneof![8 => 0i64..1_500, 3 => 0i64..600_000, 1 => 0i64..3_000_000];
    let print = (9_000u32..11_000, 0u32..1_000, delay_ms, codes(regular, conditional));
    prop::collection::vec(print, 2..400).prop_map(|prints| {
        let step_ms = 16 * HOUR / prints.len() as i64;
        let opening_ms = time_ms("2024-03-11T08:00:00Z");
        (0..)
            .zip(prints)
            .map(|(position, (cents, shares, delay_ms, codes))| Print {
                time_ms: opening_ms + position * step_ms - delay_ms,
                price: f64::from(cents) / 100.0,
                // What is no update of a price alone: those have a rule and a test of their own.
                volume: f64::from(shares + 1),
                codes,
            })
            .collect()
    })
}

struct Ended {
    bars: BTreeMap<(i64, i64), Bar>,
    trades: Vec<Judged>,
}

fn run(prints: &[Print], intervals: &[&str], restarts: &[usize]) -> Ended {
    let mut bench = Bench::new(rules(intervals, None));
    for (position, print) in prints.iter().enumerate() {
        bench.trade("AAPL", print);
        if restarts.contains(&position) {
            bench.restart();
        }
    }
    Ended { bars: bench.finish(), trades: bench.effects.trades }
}

impl Ended {
    fn of_length(&self, length_ms: i64) -> impl Iterator<Item = &Bar> {
        self.bars.iter().filter(move |((length, _), _)| *length == length_ms).map(|(_, bar)| bar)
    }

    fn merged(&self) -> Vec<&Judged> {
        self.trades.iter().filter(|one| one.disposition == Disposition::Merged).collect()
    }
}

fn sum(amounts: impl Iterator<Item = Amount>) -> Amount {
    amounts.fold(Amount::ZERO, |so_far, one| so_far.checked_add(one).expect("a day's volume fits"))
}

fn volume<'a>(trades: impl Iterator<Item = &'a Judged>) -> Amount {
    sum(trades.map(|one| Amount::from_f64(one.trade.volume).expect("a volume")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn the_bars_of_a_stock_are_those_of_the_oracle(
        prints in day(),
        restarts in prop::collection::vec(0usize..400, 0..5),
    ) {
        let ended = run(&prints, &["5m", "1h"], &restarts);
        for length_ms in [FIVE_MINUTES, HOUR] {
            let found: BTreeMap<i64, Content> =
                ended.of_length(length_ms).map(|bar| (bar.window.start_ms, content(bar))).collect();
            prop_assert_eq!(found, oracle::bars(&ended.merged(), length_ms, is_regular));
        }
    }

    #[test]
    fn volume_adds_up_to_silver_over_the_day(
        prints in day(),
        restarts in prop::collection::vec(0usize..400, 0..5),
    ) {
        let ended = run(&prints, &["5m", "1h"], &restarts);
        let silver = volume(ended.trades.iter().filter(|one| one.disposition.is_silver()));
        let late = volume(ended.trades.iter().filter(|one| one.disposition == Disposition::Late));
        let merged = ended.merged();
        let forbidden = volume(merged.iter().copied().filter(|one| !one.updates_volume));
        for length_ms in [FIVE_MINUTES, HOUR] {
            let in_bars = sum(ended.of_length(length_ms).map(|bar| bar.volume));
            prop_assert_eq!(sum([in_bars, forbidden, late].into_iter()), silver);
        }
    }

    #[test]
    fn what_set_a_price_and_what_did_not_are_the_volume_of_a_bar(prints in day()) {
        let ended = run(&prints, &["5m", "1h"], &[]);
        let merged = ended.merged();
        for bar in ended.bars.values() {
            let priced = merged.iter().copied().filter(|one| {
                bar.window.start_ms <= one.trade.trade_time_ms
                    && one.trade.trade_time_ms < bar.window.end_ms
                    && one.updates_volume
                    && (one.updates_last || one.updates_high_low)
            });
            let listed = sum(bar.excluded.iter().map(|one| one.volume));
            prop_assert_eq!(sum([volume(priced.clone()), listed].into_iter()), bar.volume);
            let listed: i64 = bar.excluded.iter().map(|one| one.count).sum();
            prop_assert_eq!(priced.count() as i64 + listed, bar.trade_count);
            prop_assert_eq!(bar.open.is_none(), bar.trade_count == listed, "null exactly then");
        }
    }

    #[test]
    fn an_hour_rolled_up_equals_one_computed_directly(
        prints in day(),
        restarts in prop::collection::vec(0usize..400, 0..5),
        other_restarts in prop::collection::vec(0usize..400, 0..5),
    ) {
        let rolled = run(&prints, &["5m", "1h"], &restarts);
        let direct = run(&prints, &["1h"], &other_restarts);
        let rolled: Vec<&Bar> = rolled.of_length(HOUR).collect();
        let direct: Vec<&Bar> = direct.of_length(HOUR).collect();
        prop_assert_eq!(rolled, direct);
    }
}
