//! The feed has two encodings of sale conditions, with `1` for a regular trade and without, and now
//! and then one frame carries the same group of trades in both. The second one is found here.

use crate::model::{Element, FeedTrade};

/// One repeated trade may be two genuine ones.
const LEAST_GROUP: usize = 2;

/// For each element whether it belongs to a second encoding: a group of two or more consecutive
/// trades that repeats an earlier group of the frame as a whole, with codes that are equal once `1`
/// and `41` are taken away and were different before in at least one trade.
pub(super) fn mark_second_encodings(elements: &[Element]) -> Vec<bool> {
    let mut repeated = vec![false; elements.len()];
    let mut at = LEAST_GROUP;
    while at + LEAST_GROUP <= elements.len() {
        let length = longest_repeat(elements, at);
        repeated[at..at + length].fill(true);
        at += length.max(1);
    }
    repeated
}

/// Length of the longest second encoding that begins at `at`, 0 for none.
fn longest_repeat(elements: &[Element], at: usize) -> usize {
    (0..=at - LEAST_GROUP).map(|earlier| repeat_length(elements, earlier, at)).max().unwrap_or(0)
}

fn repeat_length(elements: &[Element], earlier: usize, at: usize) -> usize {
    let mut length = 0;
    let mut differs = false;
    while earlier + length < at && at + length < elements.len() {
        let (Element::Trade(first), Element::Trade(second)) =
            (&elements[earlier + length], &elements[at + length])
        else {
            break;
        };
        if !is_same_trade(first, second) {
            break;
        }
        differs |= codes(first) != codes(second);
        length += 1;
    }
    if differs && length >= LEAST_GROUP { length } else { 0 }
}

fn is_same_trade(first: &FeedTrade, second: &FeedTrade) -> bool {
    first.trade_time_ms == second.trade_time_ms
        && first.price == second.price
        && first.volume == second.volume
        && first.symbol == second.symbol
        && telling_codes(first).eq(telling_codes(second))
}

/// Null, `[]` and nothing at all say the same.
fn codes(trade: &FeedTrade) -> &[String] {
    trade.conditions.as_deref().unwrap_or_default()
}

/// The codes without those in which the encodings differ: `1` (regular) and `41` (a neutral flag).
fn telling_codes(trade: &FeedTrade) -> impl Iterator<Item = &String> {
    codes(trade).iter().filter(|code| !matches!(code.as_str(), "1" | "41"))
}
