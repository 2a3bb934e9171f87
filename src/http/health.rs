//! `/livez`, `/readyz` and `/metrics`: what an orchestrator and Prometheus ask of every role.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::server::Server;
use crate::error::Result;
use crate::telemetry;

/// Whether the role does its work, and why not when it does not. Cloning shares it.
///
/// A role that depends on several things gives each a `part`: it is ready when all of them are, and
/// names all that are not.
#[derive(Debug, Clone)]
pub struct Readiness {
    part: &'static str,
    reasons: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

impl Readiness {
    /// Not ready yet, for `reason`.
    pub fn not_yet(reason: impl Into<String>) -> Self {
        let readiness = Self { part: "", reasons: Arc::default() };
        readiness.set_not_ready(reason);
        readiness
    }

    /// The same readiness, to be told of one more thing that it takes.
    pub fn part(&self, name: &'static str) -> Self {
        Self { part: name, reasons: Arc::clone(&self.reasons) }
    }

    /// From now on ready.
    pub fn set_ready(&self) {
        self.lock().remove(self.part);
    }

    /// From now on not ready, for `reason` (one line, no secrets).
    pub fn set_not_ready(&self, reason: impl Into<String>) {
        self.lock().insert(self.part, reason.into());
    }

    /// `None`: ready.
    pub fn reason(&self) -> Option<String> {
        let reasons = self.lock();
        let all: Vec<&str> = reasons.values().map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, String>> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
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

async fn metrics(State(readiness): State<Readiness>) -> Response {
    telemetry::process::ready(readiness.reason().is_none());
    ([(header::CONTENT_TYPE, telemetry::PROMETHEUS_TEXT)], telemetry::render()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_when_all_its_parts_are() {
        let feed = Readiness::not_yet("connecting");
        let log = feed.part("log");
        assert_eq!(log.reason().as_deref(), Some("connecting"));
        log.set_not_ready("Kafka is away");
        assert_eq!(feed.reason().as_deref(), Some("connecting; Kafka is away"));
        feed.set_ready();
        assert_eq!(feed.reason().as_deref(), Some("Kafka is away"));
        log.set_ready();
        assert_eq!(feed.reason(), None);
    }
}
