//! `/api/v1/gaps`, `/api/v1/revisions` and `/api/v1/explain`: what stands behind the bars.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::answer::Answer;
use super::api::{ApiContext, Sheet, require_known};
use super::asked::{Asked, Symbol};
use super::explanation::ExplanationRow;
use super::market::{interval, of_interval};
use super::page::Page;
use super::problem::Problem;
use crate::port::ExplainRequest;

/// Excluded and late trades in one explanation, each: more than anybody reads on a page.
const LISTED: usize = 100;

pub(super) async fn gaps(
    State(context): State<ApiContext>,
    Symbol(symbol): Symbol,
    asked: Asked,
) -> Result<Response, Problem> {
    let sheet = Sheet { symbol: symbol.clone(), about: Vec::new(), rows: "gaps" };
    context
        .answer_rows(asked, sheet, move |reader, span| {
            // A gap that began before the range may reach into it, so the store gives all of them.
            Ok(Page::of(reader.gaps(&symbol, span.from_ms, span.to_ms)?, span))
        })
        .await
}

pub(super) async fn revisions(
    State(context): State<ApiContext>,
    Symbol(symbol): Symbol,
    asked: Asked,
) -> Result<Response, Problem> {
    of_interval(context, symbol, asked, "revisions", |reader, query| reader.revisions(query)).await
}

pub(super) async fn explain(
    State(context): State<ApiContext>,
    Symbol(symbol): Symbol,
    asked: Asked,
) -> Result<Response, Problem> {
    let interval = interval(&context, &asked)?;
    let at_ms = asked.at_ms()?;
    let explainer = Arc::clone(&context.explainer);
    let request = ExplainRequest { symbol, interval, at_ms, list_limit: LISTED };
    let answer = context.read(move |reader| {
        let explanation = explainer.explain(reader, &request)?;
        if explanation.bar.is_none() {
            require_known(reader, &request.symbol)?;
        }
        Ok::<_, Problem>(Answer::document(&ExplanationRow(explanation))?)
    });
    Ok(answer.await?.respond(asked.headers()))
}
