//! `/livez`, `/readyz` and `/metrics`: what an orchestrator and Prometheus ask of every role.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::server::Server;
use crate::error::Result;
use crate::telemetry;

/// Whether the role does its work, and why not when it does not. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<Mutex<Option<String>>>);

impl Readiness {
    /// Not ready yet, for `reason`.
    pub fn not_yet(reason: impl Into<String>) -> Self {
        Self(Arc::new(Mutex::new(Some(reason.into()))))
    }

    /// From now on ready.
    pub fn set_ready(&self) {
        self.set(None);
    }

    /// From now on not ready, for `reason` (one line, no secrets).
    pub fn set_not_ready(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    /// `None`: ready.
    pub fn reason(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, reason: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}

/// The three routes, to be served alone or merged into a larger router.
pub fn health_router(readiness: Readiness) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(readiness)
}

/// Serves health and metrics alone, until `stop` completes.
///
/// # Errors
/// `Unavailable` when the listener fails.
pub async fn serve_health(
    server: Server,
    readiness: Readiness,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    server.serve(health_router(readiness), stop).await
}

async fn readyz(State(readiness): State<Readiness>) -> Response {
    match readiness.reason() {
        None => "ready\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics() -> Response {
    const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, PROMETHEUS_TEXT)], telemetry::render()).into_response()
}
