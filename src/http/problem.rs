//! What a request is told when it cannot be answered: RFC 9457 problem documents.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::error::Error;

/// A status with a sentence.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    /// 401: no token, or a wrong one.
    pub fn unauthorized() -> Self {
        let detail = "send http.token as `Authorization: Bearer …`, or as password of a browser";
        Self { status: StatusCode::UNAUTHORIZED, detail: detail.to_owned() }
    }

    /// 404: no such symbol.
    pub fn unknown_symbol(symbol: &str) -> Self {
        let detail =
            format!("symbol '{symbol}' is not known; /api/v1/symbols lists those that are");
        Self { status: StatusCode::NOT_FOUND, detail }
    }

    /// 404: no such page.
    pub fn no_such_path(path: &str) -> Self {
        Self { status: StatusCode::NOT_FOUND, detail: format!("nothing is served at '{path}'") }
    }

    /// 422: a parameter cannot be used.
    pub fn bad_parameter(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, detail: detail.into() }
    }

    /// 503: a bound is reached.
    pub fn busy(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, detail: detail.into() }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let status = match error {
            Error::Config(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Error::Bug(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self { status, detail: error.to_string() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
        };
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (self.status, kind, Json(body)).into_response()
    }
}
