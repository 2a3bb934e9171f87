//! Bars from scratch: every window's trades, sorted, judged by the matrix that is written by hand.

use std::collections::BTreeMap;

use ticksmith::engine::Policy;
use ticksmith::model::{ExclusionReason, Judged};

use crate::codes::Content;
use crate::rights::{Rights, rights_of};

/// The bars of `trades` by start in ms. `is_regular` tells New York's regular hours.
pub fn bars(
    trades: &[&Judged],
    length_ms: i64,
    is_regular: impl Fn(i64) -> bool,
) -> BTreeMap<i64, Content> {
    let mut windows: BTreeMap<i64, Vec<(Rights, &Judged)>> = BTreeMap::new();
    for judged in trades {
        let time_ms = judged.trade.trade_time_ms;
        let codes = judged.trade.conditions.as_deref().unwrap_or_default();
        let rights = rights_of(codes, Policy::Sip, is_regular(time_ms));
        if rights != Rights::Nothing {
            let start_ms = time_ms.div_euclid(length_ms) * length_ms;
            windows.entry(start_ms).or_default().push((rights, judged));
        }
    }
    windows.into_iter().map(|(start_ms, window)| (start_ms, bar(window))).collect()
}

fn bar(mut window: Vec<(Rights, &Judged)>) -> Content {
    window.sort_by_key(|(_, judged)| (judged.trade.trade_time_ms, judged.origin.offset));
    let of = |wanted: &[Rights]| -> Vec<f64> {
        let chosen = window.iter().filter(|(rights, _)| wanted.contains(rights));
        chosen.map(|(_, judged)| judged.trade.price).collect()
    };
    let full = of(&[Rights::Full]);
    let extremes = of(&[Rights::Full, Rights::Conditional]);
    let last = if full.is_empty() { &extremes } else { &full };
    let reasons = ExclusionReason::ALL.iter().map(|reason| {
        let listed = window.iter().filter(|(rights, _)| *rights == Rights::VolumeOnly(*reason));
        let volumes: Vec<f64> = listed.map(|(_, judged)| judged.trade.volume).collect();
        (*reason, volumes.iter().sum(), volumes.len() as i64)
    });
    Content {
        prices: [
            last.first().copied(),
            extremes.iter().copied().reduce(f64::max),
            extremes.iter().copied().reduce(f64::min),
            last.last().copied(),
        ],
        volume: window.iter().map(|(_, judged)| judged.trade.volume).sum(),
        count: window.len() as i64,
        excluded: reasons.filter(|(_, _, count)| *count > 0).collect(),
    }
}
