//! Bars against expected rows, as decimals: a pure function, so that every rule of the comparison
//! stands in a test.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::codec::csv::{COLUMNS, ExpectedBar, ExpectedBars};
use crate::model::{Bar, Decimal, PricePoint};

/// So many are shown; the counts tell the rest.
const DIFFERENCES_SHOWN: usize = 20;
/// Places of volume and count among the values: an empty cell there says nothing.
pub(super) const VOLUME: usize = 4;
pub(super) const COUNT: usize = 5;

/// What the comparison came to, in bars.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    pub matched: usize,
    pub mismatched: usize,
    /// Expected, and not made by us.
    pub missing: usize,
    /// Made by us within the span of the rows, and not expected.
    pub extra: usize,
    /// Made by us before the first or after the last row.
    pub outside_span: usize,
    /// Rows that say that nothing was traded, rightly.
    pub empty_windows: usize,
    /// Every window that is mismatched, missing or extra.
    pub differing: Vec<Differing>,
}

/// How a window differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Mismatched,
    Missing,
    Extra,
}

/// A window that differs, with what the row says and what the bar has, by place in `COLUMNS` from
/// `open` on. What is not compared is `None` on both sides.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Differing {
    pub start_ms: i64,
    pub kind: Kind,
    pub expected: [Option<Decimal>; 6],
    pub got: [Option<Decimal>; 6],
}

/// One field of one window.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    pub window_start_epoch_s: i64,
    /// `mismatched`, `missing` or `extra`.
    pub kind: &'static str,
    pub field: &'static str,
    pub expected: Option<String>,
    pub got: Option<String>,
}

/// Compares the bars of one symbol and interval, by start in ms, with the rows of a file.
pub(super) fn compare(expected: &ExpectedBars, bars: &BTreeMap<i64, Bar>) -> Comparison {
    let mut comparison = Comparison::default();
    for row in expected.rows.values() {
        let bar = bars.get(&row.start_ms).filter(|bar| !is_empty(bar));
        match bar {
            Some(bar) if row.is_empty_window() => {
                comparison.extra += 1;
                comparison.differ(Kind::Extra, row, Some(bar), expected.has);
            }
            None if row.is_empty_window() => comparison.empty_windows += 1,
            Some(bar) if is_match(row, bar, expected.has) => comparison.matched += 1,
            Some(bar) => {
                comparison.mismatched += 1;
                comparison.differ(Kind::Mismatched, row, Some(bar), expected.has);
            }
            None => {
                comparison.missing += 1;
                comparison.differ(Kind::Missing, row, None, expected.has);
            }
        }
    }
    compare_the_rest(expected, bars, &mut comparison);
    comparison
}

/// Bars without a row.
fn compare_the_rest(expected: &ExpectedBars, bars: &BTreeMap<i64, Bar>, into: &mut Comparison) {
    let (first, last) = (expected.rows.first_key_value(), expected.rows.last_key_value());
    let is_inside = |start_ms: i64| {
        first.is_some_and(|(first, _)| start_ms >= *first)
            && last.is_some_and(|(last, _)| start_ms <= *last)
    };
    for (start_ms, bar) in bars {
        let start_ms = *start_ms;
        if expected.rows.contains_key(&start_ms) || is_empty(bar) {
            continue;
        }
        if is_inside(start_ms) {
            into.extra += 1;
            let no_row = ExpectedBar { start_ms, values: [const { None }; 6] };
            into.differ(Kind::Extra, &no_row, Some(bar), expected.has);
        } else {
            into.outside_span += 1;
        }
    }
}

/// Whether every field that the row gives is the bar's.
pub(super) fn is_match(row: &ExpectedBar, bar: &Bar, has: [bool; 6]) -> bool {
    let got = values_of(bar);
    (0..6).all(|place| !is_compared(row, place, has) || row.values[place] == got[place])
}

fn is_compared(row: &ExpectedBar, place: usize, has: [bool; 6]) -> bool {
    has[place] && (place < VOLUME || row.values[place].is_some())
}

impl Comparison {
    fn differ(&mut self, kind: Kind, row: &ExpectedBar, bar: Option<&Bar>, has: [bool; 6]) {
        let mut expected = row.values.clone();
        let mut got = bar.map_or([const { None }; 6], values_of);
        for place in 0..6 {
            let is_shown = match kind {
                Kind::Mismatched => is_compared(row, place, has),
                Kind::Missing | Kind::Extra => has[place],
            };
            if !is_shown {
                (expected[place], got[place]) = (None, None);
            }
        }
        self.differing.push(Differing { start_ms: row.start_ms, kind, expected, got });
    }

    /// Field by field, as many as a person reads.
    pub fn first_differences(&self) -> Vec<Difference> {
        self.differing.iter().flat_map(Differing::fields).take(DIFFERENCES_SHOWN).collect()
    }
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Mismatched => "mismatched",
            Self::Missing => "missing",
            Self::Extra => "extra",
        }
    }
}

impl Differing {
    /// The places whose values are not equal.
    pub fn places(&self) -> impl Iterator<Item = usize> {
        (0..6).filter(|place| self.expected[*place] != self.got[*place])
    }

    fn fields(&self) -> impl Iterator<Item = Difference> {
        self.places().map(|place| Difference {
            window_start_epoch_s: self.start_ms.div_euclid(1_000),
            kind: self.kind.as_str(),
            field: COLUMNS[place + 1],
            expected: self.expected[place].as_ref().map(Decimal::to_string),
            got: self.got[place].as_ref().map(Decimal::to_string),
        })
    }
}

/// The bar's values in the order of the columns.
fn values_of(bar: &Bar) -> [Option<Decimal>; 6] {
    let price = |point: Option<PricePoint>| point.and_then(|at| Decimal::from_f64(at.price));
    [
        price(bar.open),
        price(bar.high),
        price(bar.low),
        price(bar.close),
        Some(bar.volume.into()),
        bar.trade_count.to_string().parse().ok(),
    ]
}

/// A window whose trades count for nothing at all; nobody lists it.
fn is_empty(bar: &Bar) -> bool {
    let prices = [bar.open, bar.high, bar.low, bar.close];
    bar.trade_count == 0 && bar.volume.is_zero() && prices.iter().all(Option::is_none)
}
