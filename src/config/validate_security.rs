//! The checks of what keeps strangers out: logins and certificates that must come together, and a
//! token that cannot be guessed.

use super::validate::Checks;
use super::{Cassandra, Kafka};

const MECHANISMS: [&str; 4] = ["", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"];
/// A random token of so many characters is beyond guessing over a network.
const TOKEN_CHARACTERS_MIN: usize = 16;

/// Notes every problem of the keys.
pub(super) fn check(checks: &mut Checks<'_>) {
    let config = checks.config;
    check_login(checks, &config.kafka);
    check_kafka_certificates(checks, &config.kafka);
    check_cassandra(checks, &config.cassandra);
    check_token(checks, config.http.token.reveal());
    check_origins(checks, &config.http.cors_origins);
}

fn check_login(checks: &mut Checks<'_>, kafka: &Kafka) {
    let path = "kafka.sasl_mechanism";
    let remedy = "use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512";
    let known = MECHANISMS.contains(&kafka.sasl_mechanism.as_str());
    checks.require(known, path, "is not one of the words it may be", remedy);
    let protocol = kafka.security_protocol;
    let login = [
        (path, kafka.sasl_mechanism.is_empty(), remedy),
        ("kafka.sasl_username", kafka.sasl_username.is_empty(), "give the user"),
        ("kafka.sasl_password", kafka.sasl_password.is_empty(), "give the password"),
    ];
    for (path, is_empty, remedy) in login {
        let word = protocol.as_str();
        if protocol.has_login() {
            let problem = format!("is empty, but kafka.security_protocol = {word} logs in");
            checks.require(!is_empty, path, &problem, remedy);
        } else {
            let problem = format!("is set, but kafka.security_protocol = {word} does not log in");
            let remedy = "use SASL_SSL, or clear it";
            checks.require(is_empty, path, &problem, remedy);
        }
    }
}

fn check_kafka_certificates(checks: &mut Checks<'_>, kafka: &Kafka) {
    let files = [
        ("kafka.ssl_ca", kafka.ssl_ca.is_empty()),
        ("kafka.ssl_certificate", kafka.ssl_certificate.is_empty()),
        ("kafka.ssl_key", kafka.ssl_key.is_empty()),
        ("kafka.ssl_key_password", kafka.ssl_key_password.is_empty()),
    ];
    let word = kafka.security_protocol.as_str();
    for (path, is_empty) in files {
        let problem = format!("is set, but kafka.security_protocol = {word} is without TLS");
        let holds = is_empty || kafka.security_protocol.has_tls();
        checks.require(holds, path, &problem, "use SSL or SASL_SSL, or clear it");
    }
    check_pair(checks, &files[1], &files[2]);
    let holds = kafka.ssl_key_password.is_empty() || !kafka.ssl_key.is_empty();
    let problem = "is set without kafka.ssl_key";
    checks.require(holds, "kafka.ssl_key_password", problem, "name the file of the key");
}

fn check_cassandra(checks: &mut Checks<'_>, cassandra: &Cassandra) {
    let files = [
        ("cassandra.tls_ca", cassandra.tls_ca.is_empty()),
        ("cassandra.tls_certificate", cassandra.tls_certificate.is_empty()),
        ("cassandra.tls_key", cassandra.tls_key.is_empty()),
    ];
    for (path, is_empty) in files {
        let problem = "is set, but cassandra.tls is false";
        checks.require(is_empty || cassandra.tls, path, problem, "set it to true, or clear this");
    }
    check_pair(checks, &files[1], &files[2]);
}

/// A certificate is of no use without its key, nor the other way round.
fn check_pair(checks: &mut Checks<'_>, certificate: &(&str, bool), key: &(&str, bool)) {
    for ((path, is_empty), (other, other_is_empty)) in [(certificate, key), (key, certificate)] {
        let problem = format!("is empty, but {other} is set");
        checks.require(!is_empty || *other_is_empty, path, &problem, "name both files, or neither");
    }
}

fn check_origins(checks: &mut Checks<'_>, origins: &[String]) {
    let is_origin = |origin: &String| {
        let host = origin.strip_prefix("https://").or(origin.strip_prefix("http://"));
        let is_plain = |host: &str| {
            let has_more = host.contains(['/', '?', '#', '@', '*']);
            !host.is_empty() && !has_more && host.bytes().all(|byte| byte.is_ascii_graphic())
        };
        origin == "*" || host.is_some_and(is_plain)
    };
    let problem = "holds something that is no origin";
    let remedy = "give each as https://host or http://host:port, without a path, or \"*\"";
    checks.require(origins.iter().all(is_origin), "http.cors_origins", problem, remedy);
}

fn check_token(checks: &mut Checks<'_>, token: &str) {
    let path = "http.token";
    let is_long = token.is_empty() || token.len() >= TOKEN_CHARACTERS_MIN;
    let remedy = "give 16 characters or more, such as `openssl rand -hex 24` prints";
    checks.require(is_long, path, "is too short to be safe", remedy);
    let is_plain = token.bytes().all(|byte| byte.is_ascii_graphic());
    let problem = "holds a space, a control character or a letter that is not ASCII";
    checks.require(is_plain, path, problem, remedy);
}
