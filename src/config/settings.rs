//! The configuration as the roles read it: the shape of `config/default.toml`, typed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::origin::Origins;

/// A text that is never printed: `Debug`, `Display` and serialization show `***`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The text itself, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "" } else { "***" })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

macro_rules! sections {
    ($($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty),+ $(,)? })+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $(pub $field: $type),+ }
    )+};
}

/// Everything that can be configured. What each key means stands in `config/default.toml`.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub finnhub: Finnhub,
    pub producer: Producer,
    pub kafka: Kafka,
    pub topics: Topics,
    pub schema_registry: SchemaRegistry,
    pub stream: Stream,
    pub cassandra: Cassandra,
    pub retention: Retention,
    pub embedded: Embedded,
    pub http: Http,
    pub simulator: Simulator,
    pub log: Log,
    /// Where the values come from that are not defaults; shown by `ticksmith config`.
    #[serde(skip)]
    pub(super) origins: Origins,
}

sections! {
    Finnhub {
        api_key: Secret,
        url: String,
        tls_ca: String,
        symbols: Vec<String>,
        symbols_per_key: usize,
    }
    Producer {
        name: String,
        silence_after_ms: u64,
        heartbeat_every_ms: u64,
        backoff_initial_ms: u64,
        backoff_max_ms: u64,
        backoff_throttled_ms: u64,
        repeated_frames: RepeatedFrames,
        queue_frames: usize,
        spool_dir: String,
        spool_max_mib: u64,
        spool_sync_ms: u64,
        lease: bool,
        lease_timeout_ms: u64,
        http_port: u16,
    }
    Kafka {
        bootstrap: String,
        group: String,
        instance_id: String,
        session_timeout_ms: u32,
        max_poll_interval_ms: u32,
        transaction_timeout_ms: u32,
        consumer_queue_kib: u32,
        producer_queue_kib: u32,
        compression: String,
        security_protocol: SecurityProtocol,
        sasl_mechanism: String,
        sasl_username: String,
        sasl_password: Secret,
        ssl_ca: String,
        ssl_certificate: String,
        ssl_key: String,
        ssl_key_password: Secret,
        ssl_verify_hostname: bool,
        properties: Vec<String>,
    }
    Topics {
        trades: String,
        silver: String,
        late: String,
        rejected: String,
        bars: String,
        changelog: String,
        leases: String,
        partitions: u32,
        replication: u32,
        trades_retention_hours: u32,
        output_retention_hours: u32,
    }
    SchemaRegistry { url: String, username: String, password: Secret, ca_file: String }
    Stream {
        guarantee: Guarantee,
        intervals: Vec<String>,
        out_of_orderness_ms: i64,
        allowed_lateness_ms: i64,
        future_bound_ms: i64,
        earliest: String,
        policy: String,
        conditions_file: String,
        symbol_max_bytes: usize,
        crypto_prefixes: Vec<String>,
        fx_prefixes: Vec<String>,
        symbol_classes: Vec<String>,
        beat_ms: u64,
        beat_records: usize,
        beat_kib: usize,
        batch_ms: u64,
        batch_records: usize,
        provisional_every_ms: u64,
        provisional_max_lag_ms: i64,
        silver_topic: bool,
        provisional_to_topic: bool,
        store: StoreKind,
        drain_deadline_ms: u64,
        http_port: u16,
    }
    Cassandra {
        contact_points: String,
        keyspace: String,
        username: String,
        password: Secret,
        tls: bool,
        tls_ca: String,
        tls_certificate: String,
        tls_key: String,
        datacenter: String,
        replication: String,
        write_consistency: String,
        read_consistency: String,
        in_flight_batches: usize,
        batch_rows: usize,
        batch_kib: usize,
        request_timeout_ms: u64,
    }
    Retention {
        bronze_days: u32,
        silver_days: u32,
        gold_5m_days: u32,
        gold_1h_days: u32,
        gold_other_days: u32,
        feed_events_days: u32,
        feed_gaps_days: u32,
    }
    Embedded { data: String, log_retention_hours: u32 }
    Http { bind: String, port: u16, token: Secret, cors_origins: Vec<String> }
    Simulator { port: u16, key: String, rate: f64, seed: u64 }
    Log { level: String, format: LogFormat, otlp_url: String }
}

impl Finnhub {
    /// The API keys, one per connection; none when no key is set.
    pub fn api_keys(&self) -> Vec<Secret> {
        super::environment::real_keys(self.api_key.reveal()).into_iter().map(Secret::new).collect()
    }
}

/// What a commit promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Guarantee {
    ExactlyOnce,
    AtLeastOnce,
}

/// How a Kafka listener is spoken to; Kafka's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SecurityProtocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl SecurityProtocol {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }
    pub fn has_login(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
    pub fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }
}

/// What happens to a frame that repeats the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RepeatedFrames {
    Drop,
    Keep,
}

/// Where `stream` keeps the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    Cassandra,
    None,
}

/// The shape of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_file_has_exactly_the_keys_of_the_type() {
        assert_eq!(Config::defaults().topics.partitions, 6);
    }

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("s3cret");
        assert_eq!(format!("{secret} {secret:?}"), "*** \"***\"");
        assert_eq!(serde_json::to_string(&secret).expect("json"), "\"***\"");
    }
}
