//! `/api/v1/gaps`, `/api/v1/revisions` and `/api/v1/explain`: what stands behind the bars.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::api::{ApiContext, Range, RangeParameters, instant_ms};
use super::explanation::ExplanationRow;
use super::problem::Problem;
use super::rows::{GapRow, RevisionRow};
use crate::error::Error;
use crate::port::{BarQuery, ExplainRequest, StoreReader};

/// Excluded and late trades in one explanation, each: more than anybody reads on a page.
const LISTED: usize = 100;

#[derive(Serialize)]
pub(super) struct GapsBody {
    symbol: String,
    gaps: Vec<Value>,
}

pub(super) async fn gaps(
    State(context): State<ApiContext>,
    Path(symbol): Path<String>,
    Query(parameters): Query<RangeParameters>,
) -> Result<Json<GapsBody>, Problem> {
    let Range { from_ms, to_ms, limit } = parameters.range()?;
    let wanted = symbol.clone();
    let rows = move |reader: &dyn StoreReader| {
        let gaps = reader.gaps(&wanted, from_ms, to_ms)?;
        let newest = &gaps[gaps.len().saturating_sub(limit)..];
        let row = |gap| serde_json::to_value(GapRow::from(gap));
        let rows: Result<Vec<Value>, _> = newest.iter().map(row).collect();
        rows.map_err(|problem| Error::Bug(format!("a gap without a JSON form: {problem}")))
    };
    let gaps = context.read(rows).await?;
    if gaps.is_empty() {
        context.require_known(symbol.clone()).await?;
    }
    Ok(Json(GapsBody { symbol, gaps }))
}

#[derive(Serialize)]
pub(super) struct RevisionsBody {
    symbol: String,
    interval: String,
    revisions: Vec<RevisionRow>,
}

pub(super) async fn revisions(
    State(context): State<ApiContext>,
    Path(symbol): Path<String>,
    Query(parameters): Query<RangeParameters>,
) -> Result<Json<RevisionsBody>, Problem> {
    let interval = context.interval(parameters.interval())?;
    let Range { from_ms, to_ms, limit } = parameters.range()?;
    let query = BarQuery { symbol: symbol.clone(), interval, from_ms, to_ms, limit };
    let rows = move |reader: &dyn StoreReader| {
        let revisions = reader.revisions(&query)?.into_iter();
        Ok(revisions.map(RevisionRow::from).collect::<Vec<_>>())
    };
    let revisions = context.read(rows).await?;
    if revisions.is_empty() {
        context.require_known(symbol.clone()).await?;
    }
    Ok(Json(RevisionsBody { symbol, interval: interval.to_string(), revisions }))
}

#[derive(Debug, Deserialize)]
pub(super) struct ExplainParameters {
    interval: Option<String>,
    at: Option<String>,
}

pub(super) async fn explain(
    State(context): State<ApiContext>,
    Path(symbol): Path<String>,
    Query(parameters): Query<ExplainParameters>,
) -> Result<Json<ExplanationRow>, Problem> {
    let interval = context.interval(parameters.interval.as_deref().unwrap_or("5m"))?;
    let at = parameters.at.as_deref();
    let at = at.ok_or_else(|| Problem::bad_parameter("'at' is missing: which bar?"))?;
    let at_ms = instant_ms("at", at)?;
    let explainer = Arc::clone(&context.explainer);
    let request = ExplainRequest { symbol: symbol.clone(), interval, at_ms, list_limit: LISTED };
    let explanation = context.read(move |reader| explainer.explain(reader, &request)).await?;
    if explanation.bar.is_none() {
        context.require_known(symbol).await?;
    }
    Ok(Json(ExplanationRow(explanation)))
}
