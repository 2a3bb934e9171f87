//! Spans to a collector, as OTLP over HTTP. It may be away: a thread of its own sends, what waits
//! is bounded, and nobody ever waits for it but the end of the process, for a second.

use std::future::{Future, ready};
use std::pin::Pin;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use ureq::Agent;

use crate::error::{Error, Result};

/// A collector on this machine or the next answers at once; one that does not is tried again with
/// the next batch.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// The end of the process waits so long for what was not sent yet.
const LAST_BATCH_WITHIN: Duration = Duration::from_secs(1);

/// Sends what spans are left when it is dropped.
#[derive(Debug, Default)]
pub struct Export(Option<SdkTracerProvider>);

impl Drop for Export {
    fn drop(&mut self) {
        if let Some(provider) = &self.0 {
            // A collector that is away loses them, which it has lost already.
            let _ = provider.shutdown_with_timeout(LAST_BATCH_WITHIN);
        }
    }
}

impl Export {
    /// To the collector at `url`, for example `http://localhost:4318`.
    ///
    /// # Errors
    /// `Config` when the address cannot be one.
    pub(super) fn to(url: &str) -> Result<(Self, SdkTracer)> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Poster::new())
            .with_endpoint(format!("{}/v1/traces", url.trim_end_matches('/')))
            .with_timeout(ANSWER_WITHIN)
            .build()
            .map_err(|error| {
                Error::Config(format!(
                    "log.otlp_url '{url}': {error}; give the address of a collector, such as \
                     http://localhost:4318"
                ))
            })?;
        let process = KeyValue::new("process.pid", i64::from(std::process::id()));
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder()
            .with_service_name("ticksmith")
            .with_attributes([process, version])
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        let tracer = provider.tracer("ticksmith");
        Ok((Self(Some(provider)), tracer))
    }
}

/// HTTP as the exporter wants it: the exporter has a thread of its own, so it may block.
#[derive(Debug)]
struct Poster(Agent);

impl Poster {
    fn new() -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(ANSWER_WITHIN))
            .build();
        Self(config.into())
    }

    fn post(&self, request: Request<Bytes>) -> std::result::Result<Response<Bytes>, HttpError> {
        let mut answer = self.0.run(request.map(|body| body.to_vec()))?;
        let body = answer.body_mut().read_to_vec()?;
        Ok(Response::builder().status(answer.status()).body(body.into())?)
    }
}

type Answer<'a> =
    Pin<Box<dyn Future<Output = std::result::Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for Poster {
    fn send_bytes<'client, 'answer>(&'client self, request: Request<Bytes>) -> Answer<'answer>
    where
        'client: 'answer,
        Self: 'answer,
    {
        Box::pin(ready(self.post(request)))
    }
}
