//! Bars against expected rows, as decimals: a pure function, so that every rule of the comparison
//! stands in a test.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::codec::csv::{COLUMNS, ExpectedBar, ExpectedBars};
use crate::model::{Bar, Decimal, PricePoint};

/// So many are shown; the counts tell the rest.
const DIFFERENCES_SHOWN: usize = 20;
/// Places of `volume` and `count` among the values: an empty cell there says nothing.
const FIRST_QUANTITY: usize = 4;

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
    pub first_differences: Vec<Difference>,
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
        match bars.get(&row.start_ms) {
            Some(bar) if row.is_empty_window() && !is_empty(bar) => {
                comparison.extra += 1;
                comparison.unequal("extra", row.start_ms, &unequal_fields(row, bar, expected.has));
            }
            _ if row.is_empty_window() => comparison.empty_windows += 1,
            Some(bar) => {
                let fields = unequal_fields(row, bar, expected.has);
                if fields.is_empty() {
                    comparison.matched += 1;
                } else {
                    comparison.mismatched += 1;
                    comparison.unequal("mismatched", row.start_ms, &fields);
                }
            }
            None => {
                comparison.missing += 1;
                let fields = all_fields(&row.values, expected.has);
                comparison.unequal("missing", row.start_ms, &fields.map(|(f, v)| (f, v, None)));
            }
        }
    }
    compare_the_rest(expected, bars, &mut comparison);
    comparison
}

/// Bars without a row.
fn compare_the_rest(expected: &ExpectedBars, bars: &BTreeMap<i64, Bar>, into: &mut Comparison) {
    let (first, last) = (expected.rows.first_key_value(), expected.rows.last_key_value());
    let is_inside = |start_ms: &i64| {
        first.is_some_and(|(first, _)| start_ms >= first)
            && last.is_some_and(|(last, _)| start_ms <= last)
    };
    for (start_ms, bar) in bars {
        if expected.rows.contains_key(start_ms) || is_empty(bar) {
            continue;
        }
        if is_inside(start_ms) {
            into.extra += 1;
            let fields = all_fields(&values_of(bar), expected.has);
            into.unequal("extra", *start_ms, &fields.map(|(field, value)| (field, None, value)));
        } else {
            into.outside_span += 1;
        }
    }
}

impl Comparison {
    fn unequal(&mut self, kind: &'static str, start_ms: i64, fields: &[Unequal]) {
        for (field, expected, got) in fields {
            if self.first_differences.len() >= DIFFERENCES_SHOWN {
                return;
            }
            if expected.is_none() && got.is_none() {
                continue;
            }
            self.first_differences.push(Difference {
                window_start_epoch_s: start_ms.div_euclid(1_000),
                kind,
                field,
                expected: expected.as_ref().map(Decimal::to_string),
                got: got.as_ref().map(Decimal::to_string),
            });
        }
    }
}

/// Field, expected, got.
type Unequal = (&'static str, Option<Decimal>, Option<Decimal>);

fn unequal_fields(row: &ExpectedBar, bar: &Bar, has: [bool; 6]) -> Vec<Unequal> {
    let got = values_of(bar).into_iter();
    let values = row.values.iter().cloned().zip(got).enumerate();
    values
        .filter(|(place, (expected, got))| {
            let is_given = has[*place] && (expected.is_some() || *place < FIRST_QUANTITY);
            is_given && expected != got
        })
        .map(|(place, (expected, got))| (COLUMNS[place + 1], expected, got))
        .collect()
}

/// The fields that are compared, with their values.
fn all_fields(
    values: &[Option<Decimal>; 6],
    has: [bool; 6],
) -> [(&'static str, Option<Decimal>); 6] {
    let mut fields = [const { ("", None) }; 6];
    for (place, value) in values.iter().enumerate() {
        fields[place] = (COLUMNS[place + 1], value.clone().filter(|_| has[place]));
    }
    fields
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
