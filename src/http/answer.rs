//! An answer that was read from the store: written down in the wanted form, with a tag, so that a
//! reader who has it already is told so instead of being sent it again.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::ser::{Serialize, SerializeMap, Serializer};
use sha2::{Digest, Sha256};

use super::format::Format;
use crate::codec::table::{self, Object, Row};
use crate::error::{Error, Result};

/// Bytes of the hash that make a tag: enough that no two contents ever share one.
const TAG_BYTES: usize = 16;

/// Rows with what is said of all of them; beyond JSON, the rows alone.
pub(super) struct Listing<'a, R> {
    /// Names and values beside the rows.
    pub about: &'a [(&'static str, String)],
    /// What the rows are called.
    pub name: &'static str,
    pub rows: &'a [R],
    /// Where the next page is.
    pub next: Option<&'a str>,
}

impl<R: Row> Listing<'_, R> {
    /// # Errors
    /// `Bug` when a row has no such form.
    pub fn encode(&self, format: Format) -> Result<Vec<u8>> {
        match format {
            Format::Json => json(self),
            Format::Csv => table::csv(self.rows),
            Format::Arrow => table::arrow_stream(self.rows),
            Format::Parquet => table::parquet(self.rows),
        }
    }
}

impl<R: Row> Serialize for Listing<'_, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        for (name, value) in self.about {
            object.serialize_entry(name, value)?;
        }
        let rows: Vec<Object<'_, R>> = self.rows.iter().map(Object).collect();
        object.serialize_entry(self.name, &rows)?;
        object.serialize_entry("next", &self.next)?;
        object.end()
    }
}

/// # Errors
/// `Bug` when it has no JSON form.
pub(super) fn json(document: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(document)
        .map_err(|problem| Error::Bug(format!("an answer without a JSON form: {problem}")))
}

/// What is sent, before it is known whether the reader has it.
pub(super) struct Answer {
    pub body: Vec<u8>,
    pub media_type: &'static str,
    /// Where the next page is.
    pub next: Option<String>,
}

impl Answer {
    /// A JSON document.
    ///
    /// # Errors
    /// `Bug` when it has no JSON form.
    pub fn document(document: &impl Serialize) -> Result<Self> {
        let media_type = Format::Json.media_type();
        Ok(Self { body: json(document)?, media_type, next: None })
    }

    /// The answer to a request with these headers: 304 without a body when it names the tag.
    pub fn respond(self, asked: &HeaderMap) -> Response<Body> {
        let tag = tag_of(&self.body);
        let has_it = asked.get_all(header::IF_NONE_MATCH).iter().any(|value| names(value, &tag));
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.append(header::VARY, HeaderValue::from_static("accept"));
        if let Ok(value) = HeaderValue::try_from(tag) {
            headers.insert(header::ETAG, value);
        }
        if let Some(next) = self.next {
            // A path and a query that came with the request, and a cursor of ours: always a value.
            if let Ok(value) = HeaderValue::try_from(format!("<{next}>; rel=\"next\"")) {
                headers.insert(header::LINK, value);
            }
        }
        if has_it {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        *response.body_mut() = Body::from(self.body);
        response
    }
}

/// A weak tag: the same content may be sent compressed or not.
fn tag_of(body: &[u8]) -> String {
    let hash = Sha256::digest(body);
    let digits: String = hash.iter().take(TAG_BYTES).map(|byte| format!("{byte:02x}")).collect();
    format!("W/\"{digits}\"")
}

/// Whether a value of `If-None-Match` names the tag; weak or not makes no difference there.
fn names(value: &HeaderValue, tag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let wanted = opaque(tag);
    let listed = value.to_str().unwrap_or_default().split(',').map(opaque);
    listed.into_iter().any(|listed| listed == wanted || listed == "*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_who_has_it_is_told_so() {
        let answer = || Answer {
            body: b"{}".to_vec(),
            media_type: "application/json",
            next: Some("/api/v1/bars/A?cursor=1.2.3".to_owned()),
        };
        let fresh = answer().respond(&HeaderMap::new());
        assert_eq!(fresh.status(), StatusCode::OK);
        let link = &fresh.headers()[header::LINK];
        assert_eq!(link, "</api/v1/bars/A?cursor=1.2.3>; rel=\"next\"");
        let tag = fresh.headers()[header::ETAG].to_str().expect("text").to_owned();
        let strong = tag.trim_start_matches("W/");
        for value in [&tag, strong, "*", &format!("\"x\", {tag}"), &format!("W/\"x\",{strong}")] {
            let headers = HeaderMap::from_iter([(
                header::IF_NONE_MATCH,
                HeaderValue::from_str(value).expect("a value"),
            )]);
            let answered = answer().respond(&headers);
            assert_eq!(answered.status(), StatusCode::NOT_MODIFIED, "{value}");
            assert_eq!(answered.headers()[header::ETAG], tag.as_str(), "{value}");
            assert!(!answered.headers().contains_key(header::CONTENT_TYPE), "{value}");
        }
        let other = HeaderMap::from_iter([(
            header::IF_NONE_MATCH,
            HeaderValue::from_static("\"another\", W/\"one\""),
        )]);
        assert_eq!(answer().respond(&other).status(), StatusCode::OK);
    }
}
