//! What a value may be beyond its kind, and which values exclude each other.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Map, Value};

use super::layers::shown;
use super::problem::Problem;
use super::render::tree_of;
use super::{Config, environment, validate_security, validate_stream};

/// Everything that is wrong with `config`, in the order of its sections.
pub(super) fn problems_of(config: &Config) -> Vec<Problem> {
    let mut checks = Checks { config, tree: tree_of(config), problems: Vec::new() };
    checks.finnhub();
    checks.producer();
    checks.kafka();
    checks.topics();
    checks.schema_registry();
    validate_stream::check(&mut checks);
    checks.cassandra();
    checks.retention();
    checks.processes();
    validate_security::check(&mut checks);
    checks.problems
}

/// Collects problems; knows the value and the origin of every key.
pub(super) struct Checks<'a> {
    pub config: &'a Config,
    tree: Map<String, Value>,
    problems: Vec<Problem>,
}

impl Checks<'_> {
    /// Notes a problem of `path` unless `holds`.
    pub fn require(&mut self, holds: bool, path: &str, problem: &str, remedy: &str) {
        if holds {
            return;
        }
        let value = path.split_once('.').map(|(section, key)| &self.tree[section][key]);
        self.problems.push(Problem {
            subject: path.to_owned(),
            value: value.map(|value| shown(path, value)),
            origin: self.config.origins.of(path).cloned(),
            problem: problem.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    /// A number that may not be 0 because it bounds something or divides time.
    pub fn positive(&mut self, number: impl Into<u128>, path: &str) {
        self.require(number.into() > 0, path, "may not be 0", "give 1 or more");
    }

    /// `lower < upper`, both in ms.
    pub fn below(&mut self, lower: (&str, u64), upper: (&str, u64)) {
        let problem = format!("is not below {} = {}", upper.0, upper.1);
        let remedy = format!("lower it, or raise {}", upper.0);
        self.require(lower.1 < upper.1, lower.0, &problem, &remedy);
    }

    /// `lower <= upper`.
    pub fn at_most(&mut self, lower: (&str, u64), upper: (&str, u64)) {
        let problem = format!("is more than {} = {}", upper.0, upper.1);
        let remedy = format!("lower it, or raise {}", upper.0);
        self.require(lower.1 <= upper.1, lower.0, &problem, &remedy);
    }

    pub fn word(&mut self, word: &str, words: &[&str], path: &str) {
        let remedy = format!("use {}", words.join(", "));
        self.require(words.contains(&word), path, "is not one of the words it may be", &remedy);
    }

    fn not_empty(&mut self, text: &str, path: &str) {
        self.require(!text.trim().is_empty(), path, "may not be empty", "give a name");
    }

    fn finnhub(&mut self) {
        let finnhub = &self.config.finnhub;
        let keys = environment::real_keys(finnhub.api_key.reveal());
        let distinct: BTreeSet<&str> = keys.iter().copied().collect();
        self.require(
            distinct.len() == keys.len(),
            "finnhub.api_key",
            "holds the same key twice, and a key has one connection",
            "give each key once",
        );
        let is_socket = finnhub.url.starts_with("ws://") || finnhub.url.starts_with("wss://");
        self.require(
            is_socket && !finnhub.url.ends_with("://"),
            "finnhub.url",
            "is no WebSocket address",
            "begin it with wss:// or ws://",
        );
        self.require(
            !finnhub.url.contains("token="),
            "finnhub.url",
            "holds a token",
            "put the key into FINNHUB_API_KEY; it is added by itself",
        );
        self.positive(finnhub.symbols_per_key as u64, "finnhub.symbols_per_key");
        self.symbols();
    }

    fn symbols(&mut self) {
        let symbols = &self.config.finnhub.symbols;
        let path = "finnhub.symbols";
        self.require(!symbols.is_empty(), path, "is empty", "give at least one symbol");
        let limit = self.config.stream.symbol_max_bytes;
        let mut seen = BTreeSet::new();
        for symbol in symbols {
            let plain = !symbol.is_empty()
                && symbol.trim() == symbol
                && !symbol.chars().any(char::is_control);
            let problem = format!("holds '{}', which is no symbol", symbol.escape_default());
            self.require(plain, path, &problem, "write it as the feed spells it, like AAPL");
            let problem = format!("holds '{symbol}', longer than symbol_max_bytes = {limit}");
            let remedy = "shorten it, or raise stream.symbol_max_bytes";
            self.require(symbol.len() <= limit, path, &problem, remedy);
            let problem = format!("holds '{symbol}' twice");
            self.require(seen.insert(symbol), path, &problem, "give each symbol once");
        }
    }

    fn producer(&mut self) {
        let producer = &self.config.producer;
        self.not_empty(&producer.name, "producer.name");
        self.positive(producer.heartbeat_every_ms, "producer.heartbeat_every_ms");
        self.below(
            ("producer.heartbeat_every_ms", producer.heartbeat_every_ms),
            ("producer.silence_after_ms", producer.silence_after_ms),
        );
        self.positive(producer.backoff_initial_ms, "producer.backoff_initial_ms");
        self.at_most(
            ("producer.backoff_initial_ms", producer.backoff_initial_ms),
            ("producer.backoff_max_ms", producer.backoff_max_ms),
        );
        self.at_most(
            ("producer.backoff_max_ms", producer.backoff_max_ms),
            ("producer.backoff_throttled_ms", producer.backoff_throttled_ms),
        );
        self.positive(producer.queue_frames as u64, "producer.queue_frames");
        self.positive(producer.spool_max_mib, "producer.spool_max_mib");
        self.positive(producer.spool_sync_ms, "producer.spool_sync_ms");
        self.positive(producer.lease_timeout_ms, "producer.lease_timeout_ms");
    }

    fn kafka(&mut self) {
        let kafka = &self.config.kafka;
        self.addresses(&kafka.bootstrap, "kafka.bootstrap", 9092);
        self.not_empty(&kafka.group, "kafka.group");
        let session_ms = u64::from(kafka.session_timeout_ms);
        let session = ("kafka.session_timeout_ms", session_ms);
        let transaction_ms = u64::from(kafka.transaction_timeout_ms);
        self.positive(transaction_ms, "kafka.transaction_timeout_ms");
        self.below(("kafka.transaction_timeout_ms", transaction_ms), session);
        self.below(("stream.drain_deadline_ms", self.config.stream.drain_deadline_ms), session);
        self.at_most(session, ("kafka.max_poll_interval_ms", kafka.max_poll_interval_ms.into()));
        self.positive(kafka.consumer_queue_kib, "kafka.consumer_queue_kib");
        self.positive(kafka.producer_queue_kib, "kafka.producer_queue_kib");
        let words = ["none", "gzip", "snappy", "lz4", "zstd"];
        self.word(&kafka.compression, &words, "kafka.compression");
        for property in &kafka.properties {
            let name = property.split_once('=').map_or("", |(name, _)| name);
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            self.require(
                !name.is_empty() && name.bytes().all(plain),
                "kafka.properties",
                "holds a text that is not name=value",
                "write each like \"linger.ms=5\"",
            );
        }
    }

    /// `host:port`, several separated by commas.
    fn addresses(&mut self, list: &str, path: &str, usual_port: u16) {
        for address in list.split(',') {
            let (host, port) = address.trim().rsplit_once(':').unwrap_or_default();
            let bracketed = host.starts_with('[') && host.ends_with(']');
            let host_is_plain = bracketed || !host.contains([':', '/', '@', ' ']);
            let port_is_number = port.parse::<u16>().is_ok_and(|port| port > 0);
            let problem = format!("holds '{}', which is not host:port", address.trim());
            let remedy = format!("write it like localhost:{usual_port}");
            let holds = !host.is_empty() && host_is_plain && port_is_number;
            self.require(holds, path, &problem, &remedy);
        }
    }

    fn topics(&mut self) {
        let topics = &self.config.topics;
        let names = [
            ("topics.trades", &topics.trades),
            ("topics.silver", &topics.silver),
            ("topics.late", &topics.late),
            ("topics.rejected", &topics.rejected),
            ("topics.bars", &topics.bars),
            ("topics.changelog", &topics.changelog),
            ("topics.leases", &topics.leases),
        ];
        let mut seen = BTreeSet::new();
        for (path, name) in names {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            let legal = (1..=249).contains(&name.len())
                && name.bytes().all(plain)
                && name != "."
                && name != "..";
            let remedy = "use up to 249 letters, digits, '.', '_' and '-'";
            self.require(legal, path, "is no name of a Kafka topic", remedy);
            let problem = "is the name of another topic as well";
            self.require(seen.insert(name), path, problem, "give each topic a name of its own");
        }
        self.positive(topics.partitions, "topics.partitions");
        let replication = topics.replication;
        let possible = (1..=i16::MAX as u32).contains(&replication);
        self.require(possible, "topics.replication", "is no replica count", "give 1 to 32767");
        self.positive(topics.trades_retention_hours, "topics.trades_retention_hours");
        self.positive(topics.output_retention_hours, "topics.output_retention_hours");
    }

    fn schema_registry(&mut self) {
        let registry = &self.config.schema_registry;
        let is_web = registry.url.starts_with("http://") || registry.url.starts_with("https://");
        let remedy = "begin it with https:// or http://, or leave it empty";
        let path = "schema_registry.url";
        self.require(is_web || registry.url.is_empty(), path, "is no web address", remedy);
        let path = "schema_registry.username";
        self.credentials(&registry.username, registry.password.is_empty(), path);
    }

    fn credentials(&mut self, username: &str, no_password: bool, path: &str) {
        let problem = "and the password belonging to it must both be set, or neither";
        self.require(username.is_empty() == no_password, path, problem, "set or clear the other");
    }

    fn cassandra(&mut self) {
        let cassandra = &self.config.cassandra;
        self.addresses(&cassandra.contact_points, "cassandra.contact_points", 9042);
        let name = cassandra.keyspace.as_bytes();
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let legal = (1..=48).contains(&name.len())
            && name[0].is_ascii_alphabetic()
            && name.iter().all(plain);
        let remedy = "use up to 48 letters, digits and '_', a letter first";
        self.require(legal, "cassandra.keyspace", "is no name of a keyspace", remedy);
        self.credentials(&cassandra.username, cassandra.password.is_empty(), "cassandra.username");
        let map = cassandra.replication.trim();
        let is_map = map.starts_with('{') && map.ends_with('}') && map.contains("'class'");
        let remedy = "write it like {'class': 'SimpleStrategy', 'replication_factor': 1}";
        self.require(is_map, "cassandra.replication", "is no CQL replication map", remedy);
        let words = ["ONE", "LOCAL_ONE", "QUORUM", "LOCAL_QUORUM", "ALL"];
        self.word(&cassandra.write_consistency, &words, "cassandra.write_consistency");
        self.word(&cassandra.read_consistency, &words, "cassandra.read_consistency");
        self.positive(cassandra.in_flight_batches as u64, "cassandra.in_flight_batches");
        self.positive(cassandra.batch_rows as u64, "cassandra.batch_rows");
        self.positive(cassandra.batch_kib as u64, "cassandra.batch_kib");
        self.positive(cassandra.request_timeout_ms, "cassandra.request_timeout_ms");
    }

    fn retention(&mut self) {
        let retention = &self.config.retention;
        let days = [
            ("retention.bronze_days", retention.bronze_days),
            ("retention.silver_days", retention.silver_days),
            ("retention.gold_5m_days", retention.gold_5m_days),
            ("retention.gold_1h_days", retention.gold_1h_days),
            ("retention.gold_other_days", retention.gold_other_days),
            ("retention.feed_events_days", retention.feed_events_days),
            ("retention.feed_gaps_days", retention.feed_gaps_days),
        ];
        for (path, days) in days {
            let remedy = "give 1 to 7300 days (Cassandra's longest is 20 years)";
            self.require((1..=7_300).contains(&days), path, "is no possible time to live", remedy);
        }
    }

    fn processes(&mut self) {
        let config = self.config;
        self.positive(config.embedded.log_retention_hours, "embedded.log_retention_hours");
        let is_address = config.http.bind.parse::<IpAddr>().is_ok();
        self.require(is_address, "http.bind", "is no IP address", "use 127.0.0.1 or 0.0.0.0");
        self.not_empty(&config.simulator.key, "simulator.key");
        let possible = config.simulator.rate.is_finite() && config.simulator.rate > 0.0;
        self.require(possible, "simulator.rate", "is no rate", "give trades per second above 0");
        let level = config.log.level.trim();
        let known = !level.is_empty() && level.split(',').all(is_directive);
        let remedy = "use error, warn, info, debug, trace or off, or ticksmith=debug,warn";
        self.require(known, "log.level", "is no log level or filter", remedy);
        let url = config.log.otlp_url.trim();
        let is_plain = url.strip_prefix("http://").is_some_and(|host| !host.is_empty());
        let remedy = "give http://HOST:PORT of a collector near by, which sends them on over TLS";
        self.require(url.is_empty() || is_plain, "log.otlp_url", "is no address for spans", remedy);
    }
}

/// `info`, or `target=info`.
fn is_directive(text: &str) -> bool {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let (target, level) = text.trim().rsplit_once('=').unwrap_or(("any", text.trim()));
    !target.is_empty() && LEVELS.contains(&level.to_ascii_lowercase().as_str())
}
