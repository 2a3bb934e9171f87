//! What a request is told when it cannot be answered: RFC 9457 problem documents.

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::error::Error;

/// When to ask again what was too much at once, or what the store could not answer, s.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

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

    /// 403: a page of another origin wants a socket.
    pub fn foreign_origin(origin: &str) -> Self {
        let detail = format!("pages of '{origin}' may not read this; add it to http.cors_origins");
        Self { status: StatusCode::FORBIDDEN, detail }
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

    /// 405: everything here is read.
    pub fn no_such_method(method: &Method) -> Self {
        let detail = format!("{method} is not possible here; everything is read with GET");
        Self { status: StatusCode::METHOD_NOT_ALLOWED, detail }
    }

    /// 406: no form of the answer is one that the reader takes.
    pub fn not_acceptable(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_ACCEPTABLE, detail: detail.into() }
    }

    /// 422: a parameter cannot be used.
    pub fn bad_parameter(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, detail: detail.into() }
    }

    /// 426: only a WebSocket is served there.
    pub fn upgrade_required(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::UPGRADE_REQUIRED, detail: detail.into() }
    }

    /// 503: a bound is reached.
    pub fn busy(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, detail: detail.into() }
    }

    /// The problem document.
    pub fn body(&self) -> impl Serialize + '_ {
        Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
        }
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
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (self.status, kind, Json(self.body())).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if self.status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        response
    }
}
