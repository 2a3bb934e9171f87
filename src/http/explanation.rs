//! An explanation as one JSON object; bars, trades, gaps and revisions in it have the fields of
//! their tables' columns, and times are milliseconds since the UNIX epoch.

use serde::ser::{Serialize, SerializeStruct, Serializer};

use crate::codec::table::Object;
use crate::model::{
    ConditionMeaning, Difference, Exclusion, ExclusionReason, ExplainedTrade, Explanation,
    FeedEvent, FeedGap, ForbiddenVolume, GapInside, Judged, Listed, PriceSetter, VolumeSplit,
};

/// What `ticksmith explain --format json` prints and `/api/v1/explain` answers.
#[derive(Debug, Clone)]
pub struct ExplanationRow(pub Explanation);

impl Serialize for ExplanationRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let it = &self.0;
        let differences: Vec<_> = it.agreement.differences().iter().map(difference).collect();
        let mut row = serializer.serialize_struct("Explanation", 20)?;
        row.serialize_field("symbol", &it.symbol)?;
        row.serialize_field("interval", &it.interval.to_string())?;
        row.serialize_field("ts", &it.window.start_ms)?;
        row.serialize_field("window_end", &it.window.end_ms)?;
        row.serialize_field("bar", &it.bar.as_ref().map(Object))?;
        row.serialize_field("completeness", &it.completeness_text)?;
        row.serialize_field("agreement", it.agreement.as_str())?;
        row.serialize_field("agreement_text", &it.agreement_text)?;
        row.serialize_field("differences", &differences)?;
        row.serialize_field("policy", it.policy)?;
        row.serialize_field("conditions_version", &it.conditions_version)?;
        row.serialize_field("prices", &it.prices.iter().map(price).collect::<Vec<_>>())?;
        row.serialize_field("volume_split", &SplitRow::from(&it.split))?;
        row.serialize_field("excluded", &ListedRow::from(&it.excluded))?;
        row.serialize_field("late", &ListedRow::from(&it.late))?;
        let diverted = it.diverted.iter().map(|one| DivertedRow {
            disposition: one.disposition,
            reason: one.reason,
            count: one.count,
        });
        row.serialize_field("diverted", &diverted.collect::<Vec<_>>())?;
        row.serialize_field("gaps", &it.gaps.iter().map(gap).collect::<Vec<_>>())?;
        row.serialize_field("unlisted_gap_ms", &it.unlisted_gap_ms)?;
        let events = it.events.iter().map(|stored| EventRow::from(&stored.event));
        row.serialize_field("events", &events.collect::<Vec<_>>())?;
        let revisions = it.revisions.iter().map(Object);
        row.serialize_field("revisions", &revisions.collect::<Vec<_>>())?;
        row.end()
    }
}

#[derive(serde::Serialize)]
struct DifferenceRow<'a> {
    column: &'a str,
    stored: &'a str,
    recomputed: &'a str,
}

fn difference(one: &Difference) -> DifferenceRow<'_> {
    let Difference { column, stored, recomputed } = one;
    DifferenceRow { column, stored, recomputed }
}

#[derive(serde::Serialize)]
struct PriceRow<'a> {
    name: &'a str,
    price: f64,
    ts: i64,
    connection: i64,
    seq: i64,
    why: &'a str,
    trade: Option<ExplainedRow<'a>>,
}

fn price(setter: &PriceSetter) -> PriceRow<'_> {
    let point = setter.point;
    PriceRow {
        name: setter.name,
        price: point.price,
        ts: point.trade_time_ms,
        connection: point.connection,
        seq: point.seq,
        why: &setter.why,
        trade: setter.trade.as_ref().map(ExplainedRow::from),
    }
}

#[derive(serde::Serialize)]
struct ExplainedRow<'a> {
    #[serde(flatten)]
    trade: Object<'a, Judged>,
    /// `reason` is that of the disposition; this is why it set no price.
    exclusion: Option<&'static str>,
    meanings: Vec<MeaningRow<'a>>,
    why: &'a str,
}

impl<'a> From<&'a ExplainedTrade> for ExplainedRow<'a> {
    fn from(one: &'a ExplainedTrade) -> Self {
        Self {
            trade: Object(&one.judged),
            exclusion: one.reason.map(ExclusionReason::as_str),
            meanings: one.conditions.iter().map(meaning).collect(),
            why: &one.why,
        }
    }
}

#[derive(serde::Serialize)]
struct MeaningRow<'a> {
    code: &'a str,
    name: Option<&'a str>,
}

fn meaning(one: &ConditionMeaning) -> MeaningRow<'_> {
    MeaningRow { code: &one.code, name: one.name.as_deref() }
}

#[derive(serde::Serialize)]
struct ListedRow<'a> {
    trades: Vec<ExplainedRow<'a>>,
    hidden: usize,
}

impl<'a> From<&'a Listed> for ListedRow<'a> {
    fn from(listed: &'a Listed) -> Self {
        let trades = listed.trades.iter().map(ExplainedRow::from).collect();
        Self { trades, hidden: listed.hidden }
    }
}

#[derive(serde::Serialize)]
struct ShareRow {
    volume: f64,
    volume_exact: String,
    count: i64,
}

fn share(what: Exclusion) -> ShareRow {
    ShareRow {
        volume: what.volume.to_f64(),
        volume_exact: what.volume.to_string(),
        count: what.count,
    }
}

#[derive(serde::Serialize)]
struct ExcludedRow {
    reason: &'static str,
    #[serde(flatten)]
    share: ShareRow,
}

#[derive(serde::Serialize)]
struct ForbiddenRow<'a> {
    #[serde(flatten)]
    condition: MeaningRow<'a>,
    #[serde(flatten)]
    share: ShareRow,
}

#[derive(serde::Serialize)]
struct SplitRow<'a> {
    sets_price: ShareRow,
    excluded: Vec<ExcludedRow>,
    counted: ShareRow,
    forbidden: Vec<ForbiddenRow<'a>>,
    price_updates: i64,
}

impl<'a> From<&'a VolumeSplit> for SplitRow<'a> {
    fn from(split: &'a VolumeSplit) -> Self {
        let reasons = ExclusionReason::ALL.iter().zip(split.excluded);
        let excluded = reasons
            .filter(|(_, what)| what.count > 0)
            .map(|(reason, what)| ExcludedRow { reason: reason.as_str(), share: share(what) });
        let forbidden = split.forbidden.iter().map(|ForbiddenVolume { condition, what }| {
            ForbiddenRow { condition: meaning(condition), share: share(*what) }
        });
        Self {
            sets_price: share(split.sets_price),
            excluded: excluded.collect(),
            counted: share(split.counted),
            forbidden: forbidden.collect(),
            price_updates: split.price_updates,
        }
    }
}

#[derive(serde::Serialize)]
struct DivertedRow {
    disposition: &'static str,
    reason: &'static str,
    count: i64,
}

#[derive(serde::Serialize)]
struct GapInsideRow<'a> {
    #[serde(flatten)]
    gap: Object<'a, FeedGap>,
    inside_ms: i64,
}

fn gap(one: &GapInside) -> GapInsideRow<'_> {
    GapInsideRow { gap: Object(&one.gap), inside_ms: one.inside_ms }
}

/// One row of `feed_events`.
#[derive(serde::Serialize)]
struct EventRow<'a> {
    at: i64,
    connection: i64,
    seq: i64,
    kind: &'static str,
    feed: &'a str,
    feed_time: Option<i64>,
    lost_records: i64,
    detail: &'a str,
}

impl<'a> From<&'a FeedEvent> for EventRow<'a> {
    fn from(event: &'a FeedEvent) -> Self {
        Self {
            at: event.at_us.div_euclid(1_000),
            connection: event.connection,
            seq: event.seq,
            kind: event.kind.as_str(),
            feed: &event.feed,
            feed_time: event.feed_time_ms,
            lost_records: event.lost_records,
            detail: &event.detail,
        }
    }
}
