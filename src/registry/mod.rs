//! The schema registry: Confluent's REST protocol, spoken by Confluent, Karapace, Redpanda and
//! Apicurio. What it cannot answer stalls; only its own word "no such schema" is taken as final.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::crypto::aws_lc_rs;
use serde::{Deserialize, Serialize};
use ureq::http::{Response, StatusCode};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use crate::codec::avro::{Avro, WriterIds, schemas};
use crate::config::{SchemaRegistry as Settings, Secret, Topics};
use crate::error::{Error, Result};
use crate::port::Clock;

/// A lookup happens inside the poll loop, which must come back well before it counts as dead.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// Far above any schema; a wrong server must not fill the memory.
const ANSWER_BYTES_MAX: u64 = 4 << 20;
/// "No such schema" is believed for so long: a flood of garbage must not become a flood of
/// requests, and an id that is given out later must be found.
const ABSENT_FOR_US: i64 = 10_000_000;
const ABSENT_KEPT_MAX: usize = 1_024;
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// The protocol's own code for "schema not found"; a bare 404 may come from any server.
const SCHEMA_NOT_FOUND: i64 = 40_403;

/// The Avro codec for this configuration: single-object encoding without `schema_registry.url`,
/// else Confluent framing with our schemas registered under `<topic>-value`.
///
/// # Errors
/// As [`Registry::new`] and [`Registry::register`].
pub fn open_avro(settings: &Settings, topics: &Topics, clock: Arc<dyn Clock>) -> Result<Avro> {
    if settings.url.is_empty() {
        return Ok(Avro::single_object());
    }
    let registry = Registry::new(settings, clock)?;
    let register = |topic: &str, schema| registry.register(&format!("{topic}-value"), schema);
    let ids = WriterIds {
        trade: register(&topics.trades, schemas::TRADE)?,
        silver: register(&topics.silver, schemas::TRADE)?,
        bar: register(&topics.bars, schemas::BAR)?,
        late: register(&topics.late, schemas::LATE)?,
    };
    Ok(Avro::with_registry(ids, Box::new(move |id| registry.schema(id))))
}

/// A client of one registry.
pub struct Registry {
    agent: Agent,
    url: String,
    authorization: Option<Secret>,
    /// Ids that the registry denied, and when, in monotonic µs.
    absent: Mutex<HashMap<u32, i64>>,
    clock: Arc<dyn Clock>,
}

#[derive(Serialize)]
struct Registration<'a> {
    schema: &'a str,
}

#[derive(Deserialize)]
struct Registered {
    id: u32,
}

#[derive(Deserialize)]
struct Fetched {
    schema: String,
    /// Absent: Avro.
    #[serde(rename = "schemaType")]
    schema_type: Option<String>,
}

#[derive(Deserialize, Default)]
struct Refusal {
    #[serde(default)]
    error_code: i64,
    #[serde(default)]
    message: String,
}

impl Registry {
    /// Does not connect yet.
    ///
    /// # Errors
    /// `Config`: the address is no HTTP URL or holds credentials, or the CA file is unreadable.
    pub fn new(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self> {
        let url = checked_url(&settings.url)?;
        let tls = TlsConfig::builder()
            .root_certs(root_certs(&settings.ca_file)?)
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .build();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_WITHIN))
            .timeout_global(Some(REQUEST_WITHIN))
            .tls_config(tls)
            .build();
        let authorization = (!settings.username.is_empty()).then(|| {
            let pair = format!("{}:{}", settings.username, settings.password.reveal());
            Secret::new(format!("Basic {}", BASE64.encode(pair)))
        });
        Ok(Self { agent: config.new_agent(), url, authorization, absent: Mutex::default(), clock })
    }

    /// Registers `schema` under `subject` and returns its id; the same schema again gives the same.
    ///
    /// # Errors
    /// `Unavailable`: no answer, or one that is no registry's. `Config`: the registry refuses the
    /// credentials, or the schema as incompatible with the subject's earlier ones.
    pub fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        let path = format!("/subjects/{}/versions", percent_encoded(subject));
        let mut request = self.agent.post(format!("{}{path}", self.url)).content_type(CONTENT_TYPE);
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization.reveal());
        }
        let mut answer =
            request.send_json(Registration { schema }).map_err(|error| self.unreachable(&error))?;
        match answer.status() {
            StatusCode::OK => Ok(self.body::<Registered>(&mut answer)?.id),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Error::Config(format!(
                "schema registry {} refuses to register {subject} (HTTP {}); set \
                 schema_registry.username and schema_registry.password",
                self.url,
                answer.status().as_u16()
            ))),
            StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => Err(Error::Config(format!(
                "schema registry {} refuses our schema for subject {subject}: {}; another writer \
                 owns the topic, or the subject's compatibility must be relaxed",
                self.url,
                refusal(&mut answer).message
            ))),
            status => Err(self.unexpected(status, &mut answer)),
        }
    }

    /// The Avro schema with this id; `None` when the registry says that there is none, or that it
    /// is of another kind.
    ///
    /// # Errors
    /// `Unavailable`: anything else than a definite answer, refused credentials included, since
    /// records must wait for a password that is being changed.
    pub fn schema(&self, id: u32) -> Result<Option<String>> {
        if self.was_absent(id) {
            return Ok(None);
        }
        let mut request = self.agent.get(format!("{}/schemas/ids/{id}", self.url));
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization.reveal());
        }
        let mut answer = request.call().map_err(|error| self.unreachable(&error))?;
        match answer.status() {
            StatusCode::OK => {
                let fetched: Fetched = self.body(&mut answer)?;
                let is_avro = fetched.schema_type.is_none_or(|kind| kind == "AVRO");
                Ok(is_avro.then_some(fetched.schema))
            }
            StatusCode::NOT_FOUND => {
                let refusal = refusal(&mut answer);
                if refusal.error_code != SCHEMA_NOT_FOUND {
                    return Err(self.no_registry());
                }
                self.remember_absent(id);
                Ok(None)
            }
            status => Err(self.unexpected(status, &mut answer)),
        }
    }

    fn was_absent(&self, id: u32) -> bool {
        let absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        let denied_at_us = absent.get(&id).copied();
        denied_at_us.is_some_and(|at_us| self.clock.monotonic_us() - at_us < ABSENT_FOR_US)
    }

    fn remember_absent(&self, id: u32) {
        let mut absent = self.absent.lock().unwrap_or_else(PoisonError::into_inner);
        if absent.len() >= ABSENT_KEPT_MAX {
            absent.clear();
        }
        absent.insert(id, self.clock.monotonic_us());
    }

    fn body<T: serde::de::DeserializeOwned>(&self, answer: &mut Response<Body>) -> Result<T> {
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        body.read_json().map_err(|_| self.no_registry())
    }

    fn unreachable(&self, error: &ureq::Error) -> Error {
        Error::Unavailable(format!(
            "schema registry {} does not answer: {error}; check schema_registry.url and ca_file, \
             and that it runs",
            self.url
        ))
    }

    fn no_registry(&self) -> Error {
        Error::Unavailable(format!(
            "{} does not answer as a schema registry; check schema_registry.url",
            self.url
        ))
    }

    fn unexpected(&self, status: StatusCode, answer: &mut Response<Body>) -> Error {
        let message = refusal(answer).message;
        Error::Unavailable(format!(
            "schema registry {} answers HTTP {} {message}; check schema_registry and its log",
            self.url,
            status.as_u16()
        ))
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What the registry says against a request, in one line of bounded length; empty when it is none.
fn refusal(answer: &mut Response<Body>) -> Refusal {
    const CHARACTERS_MAX: usize = 200;
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
    let mut refusal: Refusal = body.read_json().unwrap_or_default();
    let line = refusal.message.lines().next().unwrap_or_default();
    refusal.message = line.chars().take(CHARACTERS_MAX).collect();
    refusal
}

/// Without the last slash. Credentials in the address would turn up in every error.
fn checked_url(url: &str) -> Result<String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    match rest {
        Some(rest) if rest.contains('@') => Err(Error::Config(
            "schema_registry.url holds credentials; move them to schema_registry.username and \
             schema_registry.password"
                .into(),
        )),
        Some(rest) if !rest.trim_matches('/').is_empty() => {
            Ok(url.trim_end_matches('/').to_owned())
        }
        _ => Err(Error::Config(format!(
            "schema_registry.url '{url}' is no address; give http://host:8081 or https://host"
        ))),
    }
}

fn root_certs(ca_file: &str) -> Result<RootCerts> {
    if ca_file.is_empty() {
        return Ok(RootCerts::WebPki);
    }
    let problem = |problem: String| {
        Error::Config(format!("schema_registry.ca_file {ca_file}: {problem}; give a PEM file"))
    };
    let pem = fs::read(ca_file).map_err(|error| problem(error.to_string()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        match item {
            Ok(PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(error) => return Err(problem(error.to_string())),
        }
    }
    if certificates.is_empty() {
        return Err(problem("no certificate in it".into()));
    }
    Ok(RootCerts::from(certificates))
}

/// A subject as one segment of a path.
fn percent_encoded(subject: &str) -> String {
    let mut encoded = String::with_capacity(subject.len());
    for byte in subject.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            // Writing to a String cannot fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests;
