//! A bar taken apart: which trade set what and why, where the volume went, and whether the engine's
//! own rules make the same bar of the stored trades. A pure function of what a store holds.

mod tally;
#[cfg(test)]
mod tests;
mod wording;

use rustc_hash::FxHashMap;

use crate::model::{
    Accumulator, Agreement, Bar, BarRevision, BarState, ConditionMeaning, Difference, Disposition,
    Diverted, ExclusionReason, ExplainedTrade, Explanation, FeedGap, GapInside, Interval, Judged,
    Listed, PricePoint, PriceSetter, StoredEvent, Window,
};

use super::accumulator;
use super::conditions::{ConditionTable, Eligibility, Policy};
use super::rules::Rules;
use super::symbol_class::SymbolClass;
use tally::{Seen, Tally};

/// Which window, and how much to list of it.
#[derive(Debug, Clone)]
pub struct Question {
    pub symbol: String,
    pub interval: Interval,
    pub window: Window,
    /// Excluded and late trades listed at most, each.
    pub list_limit: usize,
    /// Silver keeps what is newer, ms since the epoch; `None`: everything.
    pub silver_from_ms: Option<i64>,
}

/// What the tables hold of the window.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    pub bar: Option<Bar>,
    /// Merged and late trades of the window.
    pub silver: Vec<Judged>,
    /// Duplicates and rejected records of the window, from bronze.
    pub diverted: Vec<Judged>,
    /// Gaps of the symbol that overlap the window.
    pub gaps: Vec<FeedGap>,
    pub events: Vec<StoredEvent>,
    pub revisions: Vec<BarRevision>,
}

/// How the trades of one symbol are judged.
#[derive(Debug, Clone, Copy)]
struct Reading<'a> {
    conditions: &'a ConditionTable,
    class: SymbolClass,
    policy: Policy,
}

/// Answers from the evidence alone.
pub fn explain(rules: &Rules, question: &Question, evidence: Evidence) -> Explanation {
    let class = rules.classes.class_of(&question.symbol);
    let reading = Reading { conditions: &rules.conditions, class, policy: rules.policy_for(class) };
    let Evidence { bar, silver, diverted, gaps, events, revisions } = evidence;
    let (merged, mut late): (Vec<Judged>, Vec<Judged>) =
        silver.into_iter().partition(|judged| judged.disposition == Disposition::Merged);
    let mut tally = Tally::of(merged, rules, reading);
    if let Some(bar) = &bar {
        late = tally.take_late(late, bar.late_included, rules, reading);
    }
    let agreement = agreement(question, bar.as_ref(), &tally);
    let gaps: Vec<GapInside> = gaps.into_iter().map(|gap| inside(question.window, gap)).collect();
    let listed_ms: i64 = gaps.iter().map(|one| one.inside_ms).sum();
    let gap_ms = bar.as_ref().map_or(0, |bar| bar.gap_ms);
    Explanation {
        symbol: question.symbol.clone(),
        interval: question.interval,
        window: question.window,
        agreement_text: wording::agreement(question, &agreement, bar.as_ref(), &tally, reading),
        completeness_text: match &bar {
            Some(bar) => wording::completeness(bar),
            None => wording::no_bar(tally.seen.len(), late.len(), &gaps),
        },
        agreement,
        policy: reading.policy.as_str(),
        conditions_version: reading.conditions.version(),
        prices: prices(bar.as_ref(), &tally, reading),
        split: tally.split(reading),
        excluded: excluded(&tally, reading, question.list_limit),
        late: listed(late.iter(), question.list_limit, |judged| ExplainedTrade {
            judged: judged.clone(),
            conditions: meanings(judged, reading),
            reason: None,
            why: wording::late(judged),
        }),
        diverted: counted(&diverted),
        unlisted_gap_ms: (gap_ms - listed_ms).max(0),
        gaps,
        events,
        revisions,
        bar,
    }
}

/// Open, high, low and close as the bar has them; without a bar, as the trades give them.
fn prices(bar: Option<&Bar>, tally: &Tally, reading: Reading) -> Vec<PriceSetter> {
    let recomputed = tally.points();
    let points = bar.map_or(recomputed, points_of);
    let set = NAMES.into_iter().zip(points).zip(recomputed);
    set.filter_map(|((name, point), recomputed)| {
        let point = point?;
        let seen = tally.find(point);
        Some(PriceSetter {
            name,
            point,
            trade: seen.map(|seen| explained(seen, reading)),
            why: wording::setter(name, seen, recomputed == Some(point), tally, reading),
        })
    })
    .collect()
}

/// Names of the four prices, as the columns.
const NAMES: [&str; 4] = ["open", "high", "low", "close"];

fn points_of(bar: &Bar) -> [Option<PricePoint>; 4] {
    [bar.open, bar.high, bar.low, bar.close]
}

fn excluded(tally: &Tally, reading: Reading, limit: usize) -> Listed {
    let without = tally.seen.iter().filter(|seen| !seen.eligibility.sets_price());
    listed(without, limit, |seen| explained(seen, reading))
}

fn explained(seen: &Seen, reading: Reading) -> ExplainedTrade {
    ExplainedTrade {
        judged: seen.judged.clone(),
        conditions: meanings(&seen.judged, reading),
        reason: seen.eligibility.is_excluded().then_some(seen.eligibility.reason),
        why: wording::trade(seen, reading),
    }
}

fn meanings(judged: &Judged, reading: Reading) -> Vec<ConditionMeaning> {
    let codes = judged.trade.conditions.as_deref().unwrap_or_default();
    codes.iter().map(|code| reading.meaning(code)).collect()
}

fn listed<T>(
    all: impl Iterator<Item = T>,
    limit: usize,
    explained: impl Fn(T) -> ExplainedTrade,
) -> Listed {
    let mut all = all;
    let trades = all.by_ref().take(limit).map(explained).collect();
    Listed { trades, hidden: all.count() }
}

fn counted(diverted: &[Judged]) -> Vec<Diverted> {
    let mut counts: Vec<Diverted> = Vec::new();
    for judged in diverted {
        let (disposition, reason) = (judged.disposition.as_str(), judged.disposition.reason());
        match counts.iter_mut().find(|one| (one.disposition, one.reason) == (disposition, reason)) {
            Some(known) => known.count += 1,
            None => counts.push(Diverted { disposition, reason, count: 1 }),
        }
    }
    counts.sort_by_key(|one| (one.disposition, one.reason));
    counts
}

fn inside(window: Window, gap: FeedGap) -> GapInside {
    let to_ms = gap.to_ms.unwrap_or(i64::MAX).min(window.end_ms);
    GapInside { inside_ms: (to_ms - gap.from_ms.max(window.start_ms)).max(0), gap }
}

fn agreement(question: &Question, bar: Option<&Bar>, tally: &Tally) -> Agreement {
    let Some(bar) = bar else { return Agreement::NoBar };
    let differences = differences(bar, tally);
    let (stored, counted) = (tally.total.trade_count, bar.trade_count);
    let is_old = question.silver_from_ms.is_some_and(|from_ms| bar.window.start_ms < from_ms);
    if differences.is_empty() {
        Agreement::Follows
    } else if bar.state == BarState::Provisional {
        Agreement::Sample
    } else if stored < counted && (stored == 0 || is_old) {
        Agreement::TradesGone
    } else {
        Agreement::Differs(differences)
    }
}

fn differences(bar: &Bar, tally: &Tally) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut compare = |column: &str, stored: String, recomputed: String| {
        if stored != recomputed {
            found.push(Difference { column: column.to_owned(), stored, recomputed });
        }
    };
    let total = &tally.total;
    for ((name, stored), recomputed) in NAMES.into_iter().zip(points_of(bar)).zip(tally.points()) {
        compare(name, wording::point(stored), wording::point(recomputed));
    }
    compare("volume", bar.volume.to_string(), total.volume.to_string());
    compare("vwap", wording::number(bar.vwap), wording::number(vwap(total)));
    compare("trade_count", bar.trade_count.to_string(), total.trade_count.to_string());
    let reasons = ExclusionReason::ALL.iter();
    for ((reason, stored), recomputed) in reasons.zip(bar.excluded).zip(total.excluded) {
        let column = format!("excluded_{}", reason.as_str());
        compare(&column, wording::exclusion(stored), wording::exclusion(recomputed));
    }
    found
}

fn vwap(total: &Accumulator) -> Option<f64> {
    total.turnover.per(total.volume)
}

impl Reading<'_> {
    fn meaning(&self, code: &str) -> ConditionMeaning {
        let name = self.conditions.name(code).map(str::to_owned);
        ConditionMeaning { code: code.to_owned(), name }
    }
}

impl Tally {
    /// Open, high, low and close as the trades give them.
    fn points(&self) -> [Option<PricePoint>; 4] {
        let total = &self.total;
        let candidates =
            [accumulator::open(total), total.high, total.low, accumulator::close(total)];
        candidates.map(|candidate| candidate.map(|one| one.point))
    }

    /// The trade that a point names.
    fn find(&self, point: PricePoint) -> Option<&Seen> {
        self.by_name.get(&(point.connection, point.seq)).map(|index| &self.seen[*index])
    }
}

/// Index into `Tally::seen` by connection and seq.
type ByName = FxHashMap<(i64, i64), usize>;

impl Eligibility {
    /// It may set at least one of the four.
    fn sets_price(self) -> bool {
        self.volume && !self.is_excluded()
    }
}
