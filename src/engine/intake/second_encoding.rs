//! The feed has two encodings of sale conditions, with `1` for a regular trade and without, and now
//! and then one frame carries the same group of trades in both. The second one is found here.

use compact_str::CompactString;

use crate::model::{Element, FeedTrade};

/// One repeated trade may be two genuine ones.
const LEAST_GROUP: usize = 2;

/// How far two places of a frame hold the same trades.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    /// Trades in a row that are the same.
    length: usize,
    /// So many of them come before the first whose codes differ.
    alike: usize,
}

/// For each element whether it belongs to a second encoding: a group of two or more consecutive
/// trades that repeats an earlier group of the frame as a whole, with codes that are equal once `1`
/// and `41` are taken away and were different before in at least one trade. Of groups that overlap
/// the longer one is meant: genuine prints may be equal within it.
pub(super) fn mark_second_encodings(elements: &[Element]) -> Vec<bool> {
    let mut repeated = vec![false; elements.len()];
    if elements.len() < 2 * LEAST_GROUP {
        return repeated;
    }
    let longest = longest_repeats(elements);
    let mut at = LEAST_GROUP;
    while at < elements.len() {
        let group = at..at + longest[at];
        if longest[group.clone()].iter().any(|length| *length > longest[at]) {
            at += 1;
            continue;
        }
        repeated[group].fill(true);
        at += longest[at].max(1);
    }
    repeated
}

/// For each place the length of the longest second encoding that begins there, 0 for none. From the
/// end, so that the run at two places follows from that at the next two: a frame of thousands of
/// elements must not take longer than their pairs.
fn longest_repeats(elements: &[Element]) -> Vec<usize> {
    let mut longest = vec![0; elements.len()];
    // By the earlier of the two places.
    let mut runs = vec![Run::default(); elements.len()];
    for at in (LEAST_GROUP..elements.len()).rev() {
        for earlier in 0..=at - LEAST_GROUP {
            runs[earlier] = run(&elements[earlier], &elements[at], runs[earlier + 1]);
            let length = runs[earlier].length.min(at - earlier);
            if length >= LEAST_GROUP && runs[earlier].alike < length {
                longest[at] = length.max(longest[at]);
            }
        }
    }
    longest
}

/// The run that begins with these two, `next` being that of the two places behind them.
fn run(earlier: &Element, at: &Element, next: Run) -> Run {
    let (Element::Trade(first), Element::Trade(second)) = (earlier, at) else {
        return Run::default();
    };
    if !is_same_trade(first, second) {
        return Run::default();
    }
    let alike = if codes(first) == codes(second) { next.alike + 1 } else { 0 };
    Run { length: next.length + 1, alike }
}

fn is_same_trade(first: &FeedTrade, second: &FeedTrade) -> bool {
    first.trade_time_ms == second.trade_time_ms
        && first.price == second.price
        && first.volume == second.volume
        && first.symbol == second.symbol
        && telling_codes(first).eq(telling_codes(second))
}

/// Null, `[]` and nothing at all say the same.
fn codes(trade: &FeedTrade) -> &[CompactString] {
    trade.conditions.as_deref().unwrap_or_default()
}

/// The codes without those in which the encodings differ: `1` (regular) and `41` (a neutral flag).
fn telling_codes(trade: &FeedTrade) -> impl Iterator<Item = &CompactString> {
    codes(trade).iter().filter(|code| !matches!(code.as_str(), "1" | "41"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, read literally.
    fn plainly_marked(elements: &[Element]) -> Vec<bool> {
        let count = elements.len();
        let longest: Vec<usize> = (0..count)
            .map(|at| {
                let repeats = |length: &usize| {
                    (0..=at - length).any(|earlier| {
                        let group = &elements[earlier..earlier + length];
                        is_second_encoding(group, &elements[at..at + length])
                    })
                };
                (LEAST_GROUP..=at.min(count - at)).rev().find(repeats).unwrap_or(0)
            })
            .collect();
        let mut repeated = vec![false; count];
        let mut at = 0;
        while at < count {
            let length = longest[at];
            let is_within_a_longer_one = (at..at + length).any(|later| longest[later] > length);
            let taken = if is_within_a_longer_one { 0 } else { length };
            repeated[at..at + taken].fill(true);
            at += taken.max(1);
        }
        repeated
    }

    fn is_second_encoding(group: &[Element], again: &[Element]) -> bool {
        let pairs: Option<Vec<(&FeedTrade, &FeedTrade)>> = group
            .iter()
            .zip(again)
            .map(|pair| match pair {
                (Element::Trade(first), Element::Trade(second)) => Some((first, second)),
                _ => None,
            })
            .collect();
        pairs.is_some_and(|pairs| {
            pairs.iter().all(|(first, second)| is_same_trade(first, second))
                && pairs.iter().any(|(first, second)| codes(first) != codes(second))
        })
    }

    /// Of few prices and codes, so that they repeat.
    fn element() -> impl Strategy<Value = Element> {
        let codes = prop::sample::select(vec![&[][..], &["1"], &["12"], &["1", "12"], &["41"]]);
        (0..2_u8, codes, prop::bool::weighted(0.05)).prop_map(|(price, codes, is_bad)| {
            if is_bad {
                return Element::Malformed(crate::model::MalformedElement {
                    raw: "17".into(),
                    symbol: None,
                    problem: "a number".into(),
                });
            }
            Element::Trade(FeedTrade {
                symbol: "AAPL".into(),
                price: f64::from(price),
                volume: 1.0,
                trade_time_ms: 1,
                conditions: Some(codes.iter().copied().map(Into::into).collect()),
                inexact_numbers: 0,
            })
        })
    }

    proptest! {
        #[test]
        fn groups_are_found_as_defined(elements in prop::collection::vec(element(), 0..14)) {
            prop_assert_eq!(mark_second_encodings(&elements), plainly_marked(&elements));
        }
    }
}
