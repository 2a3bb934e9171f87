//! The bearer token that requests must show, when one is configured.
//!
//! Browsers cannot send a bearer token by themselves, but they ask for a password and then send it
//! with every request of the page, live stream and scripts included. So the token is also taken as
//! the password of HTTP's basic authentication, of any user: no login page, no cookie, and no token
//! in an address.

use std::hint::black_box;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::problem::Problem;
use crate::config::Secret;

/// What an orchestrator asks, which has no place to keep a token: they say yes or no, and why not.
const OPEN_PATHS: [&str; 2] = ["/livez", "/readyz"];
/// What a caller may answer with; a browser asks its user for the second.
const CHALLENGES: [&str; 2] =
    ["Bearer realm=\"ticksmith\"", "Basic realm=\"ticksmith\", charset=\"UTF-8\""];

/// `router` for callers that show `token`; for all when it is empty.
pub(super) fn guarded(router: Router, token: &Secret) -> Router {
    if token.is_empty() {
        return router;
    }
    router.layer(from_fn_with_state(Arc::new(token.clone()), guard))
}

async fn guard(State(token): State<Arc<Secret>>, request: Request, next: Next) -> Response {
    let is_open = OPEN_PATHS.contains(&request.uri().path());
    if is_open || shows(request.headers(), token.reveal().as_bytes()) {
        return next.run(request).await;
    }
    let mut refusal = Problem::unauthorized().into_response();
    for challenge in CHALLENGES {
        let value = HeaderValue::from_static(challenge);
        refusal.headers_mut().append(header::WWW_AUTHENTICATE, value);
    }
    refusal
}

fn shows(headers: &HeaderMap, token: &[u8]) -> bool {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some((scheme, shown)) = given.and_then(|given| given.split_once(' ')) else {
        return false;
    };
    if scheme.eq_ignore_ascii_case("bearer") {
        return is_equal(shown.trim().as_bytes(), token);
    }
    let pair = BASE64.decode(shown.trim()).unwrap_or_default();
    let mut parts = pair.splitn(2, |byte| *byte == b':');
    let password = parts.nth(1).unwrap_or_default();
    scheme.eq_ignore_ascii_case("basic") && is_equal(password, token)
}

/// Takes the same time wherever the first difference is, so that a token cannot be guessed byte by
/// byte. Its length is no secret.
fn is_equal(left: &[u8], right: &[u8]) -> bool {
    let differences = |(left, right): (&u8, &u8)| left ^ right;
    let difference = left.iter().zip(right).map(differences).fold(0, |sum, bits| sum | bits);
    left.len() == right.len() && black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(authorization: &str) -> HeaderMap {
        let value = authorization.parse().expect("a header");
        HeaderMap::from_iter([(header::AUTHORIZATION, value)])
    }

    #[test]
    fn the_token_is_taken_in_both_forms_and_nothing_else_is() {
        let basic = |pair: &str| format!("Basic {}", BASE64.encode(pair));
        for good in ["Bearer t0:ken", "bearer  t0:ken", &basic("me:t0:ken"), &basic(":t0:ken")] {
            assert!(shows(&headers(good), b"t0:ken"), "{good}");
        }
        let bad = ["Bearer", "Bearer ", "t0:ken", "Bearer t0:ke", "Bearer t0:kenn", "Token t0:ken"];
        let bad = bad.map(str::to_owned).into_iter();
        let basics = ["t0:ken", "me:t0:kem", "me", ""].map(basic);
        for bad in bad.chain(basics).chain(["Basic t0:ken".into()]) {
            assert!(!shows(&headers(&bad), b"t0:ken"), "{bad}");
        }
        assert!(!shows(&HeaderMap::new(), b"t0:ken"));
    }
}
