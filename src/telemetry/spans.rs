//! Spans: how long the parts of a beat, a restore and a request take. They go to the tracer that
//! `log.otlp_url` names, and nowhere without one; they are no lines of the log.

use tracing::{Span, field, info_span};

/// The end of a beat, which is where its time goes when it takes long.
#[derive(Debug)]
pub struct Beat(Span);

impl Beat {
    /// A beat of so many records ends; to the moment at which this is dropped.
    pub fn ending(records: usize) -> Self {
        Self(info_span!("beat", records))
    }

    /// Waits for the store.
    pub fn flush<T>(&self, work: impl FnOnce() -> T) -> T {
        info_span!(parent: &self.0, "store_flush").in_scope(work)
    }

    /// The transaction.
    pub fn commit<T>(&self, work: impl FnOnce() -> T) -> T {
        info_span!(parent: &self.0, "commit").in_scope(work)
    }
}

/// A partition is rebuilt from its changelog.
pub fn restore<T>(partition: i32, work: impl FnOnce() -> T) -> T {
    info_span!("restore", partition).in_scope(work)
}

/// A request is answered; named as OpenTelemetry names such spans.
pub fn request(method: &str, path: &str) -> Span {
    info_span!(
        "request",
        otel.name = format!("{method} {path}"),
        otel.kind = "server",
        http.request.method = method,
        url.path = path,
        http.response.status_code = field::Empty,
    )
}

/// The status of its answer.
pub fn answered(request: &Span, status: u16) {
    request.record("http.response.status_code", status);
}
