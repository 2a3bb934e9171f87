//! Spans: how long the parts of a beat, a restore and a request take. They go to the tracer that
//! `log.otlp_url` names, and nowhere without one; they are no lines of the log.

use tracing::{Span, field, info_span};

/// The end of a beat, which is where its time goes when it takes long; to the moment at which this
/// is dropped.
#[derive(Debug)]
pub struct Beat {
    beat: Span,
    /// What it waits for: first the store, then the transaction.
    part: Span,
}

impl Beat {
    /// A beat of so many records has ended, and waits for the store.
    pub fn ending(records: usize) -> Self {
        let beat = info_span!("beat", records);
        let part = info_span!(parent: &beat, "store_flush");
        Self { beat, part }
    }

    /// The store has it; the transaction begins.
    pub fn commits(&mut self) {
        self.part = info_span!(parent: &self.beat, "commit");
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
