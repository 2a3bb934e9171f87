//! Why bars differ: every differing window is put under one cause, and what would make it agree is
//! tried out, so that a user sees the reason and not only the numbers.

use std::collections::BTreeMap;

use super::compare::{COUNT, Comparison, Differing, Kind, VOLUME, is_match};
use super::second_look::{Group, SecondLook, Sum};
use crate::codec::csv::ExpectedBars;
use crate::engine::Policy;
use crate::model::{Amount, Bar, Decimal, Interval};

/// Sums of doubles drift by far less than this, relatively.
const DRIFT: f64 = 1e-9;
/// Digits of a sum of doubles; decimal sums have fewer.
const DIGITS_OF_A_DOUBLE: usize = 15;

/// What kind of difference it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    Rounding,
    PriceOnly,
    Volume,
    Count,
    /// Missing, and the frames hold no trade of the window.
    NoTrades,
    /// Missing, and every trade of the window was late.
    AllLate,
    /// Missing, and no trade of the window counts, for several reasons.
    NoneCounts,
    /// Extra, and no trade of the window may set a price.
    VolumeOnly,
    Extra,
}

/// What would make a window agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Remedy {
    /// The whole row agrees under this policy.
    Policy(&'static str),
    /// The whole row is that of the window before: the rows are named by their ends.
    NamedByEnd,
    /// Volume, or the count where the volume agrees, differs by exactly these trades.
    Trades(&'static str, &'static str),
}

/// The windows of one cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub cause: Cause,
    pub windows: usize,
    pub first_start_ms: i64,
    /// Volume of the rows and of the bars, summed; `None` where it is not compared.
    pub volumes: Option<(Amount, Amount)>,
    /// How many of the windows each remedy explains, the best first.
    pub remedies: Vec<(Remedy, usize)>,
}

/// What the causes are found from.
pub(super) struct Evidence<'a> {
    pub expected: &'a ExpectedBars,
    pub interval: Interval,
    pub bars: &'a BTreeMap<i64, Bar>,
    pub drop_repeats: bool,
    pub look: &'a SecondLook,
    /// The bars under the other policies.
    pub others: &'a [(&'static str, BTreeMap<i64, Bar>)],
}

impl Cause {
    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rounding => "rounding",
            Self::PriceOnly => "price_only",
            Self::Volume => "volume",
            Self::Count => "count",
            Self::NoTrades => "missing_no_trades",
            Self::AllLate => "missing_all_late",
            Self::NoneCounts => "missing_none_counts",
            Self::VolumeOnly => "extra_volume_only",
            Self::Extra => "extra",
        }
    }

    /// For people.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Rounding => "rounded or summed with less precision",
            Self::PriceOnly => "open, high, low or close; volume and count agree",
            Self::Volume => "volume",
            Self::Count => "count; volume agrees",
            Self::NoTrades => "missing: the frames hold no trade of the window",
            Self::AllLate => "missing: every trade of the window is late",
            Self::NoneCounts => "missing: no trade of the window counts",
            Self::VolumeOnly => "extra: volume, and no trade that may set a price",
            Self::Extra => "extra: a bar where no row is",
        }
    }
}

impl Remedy {
    /// The name in JSON.
    pub fn name(self) -> String {
        match self {
            Self::Policy(policy) => format!("policy_{policy}"),
            Self::NamedByEnd => "named_by_end".to_owned(),
            Self::Trades(name, _) => name.to_owned(),
        }
    }

    /// For people, after a number of windows.
    pub fn describe(self) -> String {
        match self {
            Self::Policy(policy) => format!("match under --policy {policy}"),
            Self::NamedByEnd => "match when a row is named by the end of its window".to_owned(),
            Self::Trades(_, trades) => format!("differ by exactly {trades}"),
        }
    }
}

/// The policies that the command did not use, by the names of `--policy`.
pub(super) fn policies_beside(used: Policy) -> impl Iterator<Item = (&'static str, Policy)> {
    let all = [("sip", Policy::Sip), ("conservative", Policy::Conservative), ("all", Policy::All)];
    all.into_iter().filter(move |(_, policy)| *policy != used)
}

/// Puts every differing window under its cause.
pub(super) fn find_causes(comparison: &Comparison, evidence: &Evidence<'_>) -> Vec<Finding> {
    let places = places_by_column(evidence.expected);
    let mut found: BTreeMap<Cause, (Finding, BTreeMap<Remedy, usize>)> = BTreeMap::new();
    for differing in &comparison.differing {
        let cause = evidence.cause_of(differing, places);
        let (finding, remedies) = found.entry(cause).or_insert_with(|| {
            let volumes = evidence.expected.has[VOLUME].then_some((Amount::ZERO, Amount::ZERO));
            let first_start_ms = differing.start_ms;
            let finding =
                Finding { cause, windows: 0, first_start_ms, volumes, remedies: Vec::new() };
            (finding, BTreeMap::new())
        });
        finding.windows += 1;
        finding.first_start_ms = finding.first_start_ms.min(differing.start_ms);
        finding.add_volumes(differing);
        for remedy in evidence.remedies_of(differing) {
            *remedies.entry(remedy).or_default() += 1;
        }
    }
    let ranked = |(mut finding, remedies): (Finding, BTreeMap<Remedy, usize>)| {
        finding.remedies = remedies.into_iter().collect();
        finding.remedies.sort_by_key(|(_, windows)| std::cmp::Reverse(*windows));
        finding
    };
    found.into_values().map(ranked).collect()
}

impl Finding {
    fn add_volumes(&mut self, differing: &Differing) {
        let of = |values: &[Option<Decimal>; 6]| amount(values[VOLUME].as_ref());
        self.volumes = self.volumes.and_then(|(expected, got)| {
            let expected = expected.checked_add(of(&differing.expected)?)?;
            Some((expected, got.checked_add(of(&differing.got)?)?))
        });
    }
}

/// What is not there is nothing; `None`: no amount.
fn amount(value: Option<&Decimal>) -> Option<Amount> {
    value.map_or(Some(Amount::ZERO), |value| value.to_string().parse().ok())
}

impl Evidence<'_> {
    fn cause_of(&self, differing: &Differing, places: [usize; 6]) -> Cause {
        match differing.kind {
            Kind::Missing => self.cause_of_missing(differing.start_ms),
            Kind::Extra => match self.bars.get(&differing.start_ms) {
                Some(bar) if bar.open.is_none() && bar.high.is_none() => Cause::VolumeOnly,
                _ => Cause::Extra,
            },
            Kind::Mismatched => {
                let is_rounded = |place: &usize| {
                    let (expected, got) = (&differing.expected[*place], &differing.got[*place]);
                    is_rounding(expected.as_ref(), got.as_ref(), places[*place])
                };
                let unlike: Vec<usize> =
                    differing.places().filter(|place| !is_rounded(place)).collect();
                match unlike.as_slice() {
                    [] => Cause::Rounding,
                    unlike if unlike.contains(&VOLUME) => Cause::Volume,
                    unlike if unlike.contains(&COUNT) => Cause::Count,
                    _ => Cause::PriceOnly,
                }
            }
        }
    }

    fn cause_of_missing(&self, start_ms: i64) -> Cause {
        let sums = self.look.sums_of(start_ms);
        let held: i64 = sums.iter().map(|sum| sum.count).sum();
        match sums[Group::Late as usize].count {
            _ if held == 0 => Cause::NoTrades,
            late if late == held => Cause::AllLate,
            _ => Cause::NoneCounts,
        }
    }

    fn remedies_of(&self, differing: &Differing) -> Vec<Remedy> {
        let mut remedies = Vec::new();
        let Some(row) = self.expected.rows.get(&differing.start_ms) else { return remedies };
        let is_row =
            |bar: Option<&Bar>| bar.is_some_and(|bar| is_match(row, bar, self.expected.has));
        for (policy, bars) in self.others {
            if is_row(bars.get(&differing.start_ms)) {
                remedies.push(Remedy::Policy(policy));
            }
        }
        if is_row(self.bars.get(&(differing.start_ms - self.interval.length_ms()))) {
            remedies.push(Remedy::NamedByEnd);
        }
        let sums = self.look.sums_of(differing.start_ms);
        for group in Group::ALL {
            if self.is_explained_by(differing, group, sums[group as usize]) == Some(true) {
                remedies.push(Remedy::Trades(group.as_str(), group.describe()));
            }
        }
        remedies
    }

    /// Whether the trades of `group`, counted where we did not or the other way round, make the
    /// volume equal, or the count where the volume is equal already. `None`: no such numbers.
    fn is_explained_by(&self, differing: &Differing, group: Group, sum: Sum) -> Option<bool> {
        let place = differing.places().find(|place| [VOLUME, COUNT].contains(place))?;
        let expected = amount(Some(differing.expected[place].as_ref()?))?;
        let got = amount(differing.got[place].as_ref())?;
        let part = if place == VOLUME { sum.volume } else { amount_of(sum.count)? };
        let is_counted_by_us = match group {
            Group::Late | Group::Rejected | Group::SecondEncoding | Group::NotCounted => false,
            Group::Repeated => !self.drop_repeats,
            Group::PriceUpdate | Group::Priceless => true,
        };
        let (less, more) = if is_counted_by_us { (expected, got) } else { (got, expected) };
        Some(sum.count > 0 && less.checked_add(part)? == more)
    }
}

fn amount_of(count: i64) -> Option<Amount> {
    count.to_string().parse().ok()
}

/// The most decimal places that each column of the rows uses.
fn places_by_column(expected: &ExpectedBars) -> [usize; 6] {
    let mut places = [0; 6];
    for row in expected.rows.values() {
        for (most, value) in places.iter_mut().zip(&row.values) {
            *most = value.as_ref().map_or(0, Decimal::places).max(*most);
        }
    }
    places
}

/// The expected number is ours, rounded to the `places` of its column or summed in doubles.
fn is_rounding(expected: Option<&Decimal>, got: Option<&Decimal>, places: usize) -> bool {
    let (Some(expected), Some(got)) = (expected, got) else { return false };
    let apart = (expected.to_f64() - got.to_f64()).abs();
    let is_cut = got.places() > places && apart <= 0.500_001 * 0.1_f64.powi(places as i32);
    let is_drift = expected.digits() >= DIGITS_OF_A_DOUBLE && apart <= DRIFT * got.to_f64().abs();
    is_cut || is_drift
}
