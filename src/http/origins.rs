//! Whose web pages may read what is served: those of this host, and those of the configured
//! origins. Browsers ask for it and keep to it (CORS); programs need no leave.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

/// Every origin, in the configuration.
const EVERY: &str = "*";
/// A browser need not ask again for so long.
const KNOWN_FOR: Duration = Duration::from_secs(3_600);
const ASKED_HEADERS: [HeaderName; 4] =
    [header::ACCEPT, header::AUTHORIZATION, header::IF_NONE_MATCH, header::CACHE_CONTROL];
const SHOWN_HEADERS: [HeaderName; 3] = [header::ETAG, header::LINK, header::RETRY_AFTER];

/// The origins of `http.cors_origins`. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub(super) struct Origins(Arc<[String]>);

impl Origins {
    pub fn new(origins: &[String]) -> Self {
        Self(origins.into())
    }

    pub fn allow(&self, origin: &str) -> bool {
        self.0.iter().any(|allowed| allowed == EVERY || allowed == origin)
    }

    /// What answers browsers that ask for leave; `None` when no origin has it.
    pub fn layer(&self) -> Option<CorsLayer> {
        if self.0.is_empty() {
            return None;
        }
        let layer = CorsLayer::new()
            .allow_methods([Method::GET, Method::HEAD])
            .allow_headers(ASKED_HEADERS)
            .expose_headers(SHOWN_HEADERS)
            .max_age(KNOWN_FOR);
        if self.allow(EVERY) {
            return Some(layer.allow_origin(Any));
        }
        let origins = self.0.iter().filter_map(|origin| HeaderValue::from_str(origin).ok());
        Some(layer.allow_origin(AllowOrigin::list(origins)))
    }
}
