//! TLS and logins: what the configuration means to librdkafka, and what a refusal means to the
//! user.

use std::fs::File;

use tracing::warn;

use crate::config::{Kafka, SecurityProtocol};
use crate::error::{Error, Result};

/// librdkafka's settings that have a key of ours.
const KEYS: [(&str, &str); 10] = [
    ("security.protocol", "kafka.security_protocol"),
    ("sasl.mechanism", "kafka.sasl_mechanism"),
    ("sasl.mechanisms", "kafka.sasl_mechanism"),
    ("sasl.username", "kafka.sasl_username"),
    ("sasl.password", "kafka.sasl_password"),
    ("ssl.ca.location", "kafka.ssl_ca"),
    ("ssl.certificate.location", "kafka.ssl_certificate"),
    ("ssl.key.location", "kafka.ssl_key"),
    ("ssl.key.password", "kafka.ssl_key_password"),
    ("ssl.endpoint.identification.algorithm", "kafka.ssl_verify_hostname"),
];

/// The key that a setting of librdkafka belongs to, so that there is one place for it.
pub(super) fn key_of(property: &str) -> Option<&'static str> {
    KEYS.iter().find(|(name, _)| *name == property).map(|(_, key)| *key)
}

/// The settings of every client.
pub(super) fn properties(kafka: &Kafka) -> Vec<(&'static str, &str)> {
    let protocol = match kafka.security_protocol {
        SecurityProtocol::Plaintext => "plaintext",
        SecurityProtocol::Ssl => "ssl",
        SecurityProtocol::SaslPlaintext => "sasl_plaintext",
        SecurityProtocol::SaslSsl => "sasl_ssl",
    };
    let mut properties = vec![("security.protocol", protocol)];
    if kafka.security_protocol.has_login() {
        properties.push(("sasl.mechanism", &kafka.sasl_mechanism));
        properties.push(("sasl.username", &kafka.sasl_username));
        properties.push(("sasl.password", kafka.sasl_password.reveal()));
    }
    if kafka.security_protocol.has_tls() {
        // The OpenSSL that is built in knows no system's directories; `probe` looks at the usual.
        let authorities = if kafka.ssl_ca.is_empty() { "probe" } else { &kafka.ssl_ca };
        let check = if kafka.ssl_verify_hostname { "https" } else { "none" };
        let files = [
            ("ssl.ca.location", authorities),
            ("ssl.certificate.location", &kafka.ssl_certificate),
            ("ssl.key.location", &kafka.ssl_key),
            ("ssl.key.password", kafka.ssl_key_password.reveal()),
            ("ssl.endpoint.identification.algorithm", check),
        ];
        properties.extend(files.into_iter().filter(|(_, value)| !value.is_empty()));
    }
    properties
}

/// Warns of what is allowed and unwise.
///
/// # Errors
/// `Config` naming the first file that cannot be read.
pub(super) fn check(kafka: &Kafka) -> Result<()> {
    let files = [
        ("ssl_ca", &kafka.ssl_ca),
        ("ssl_certificate", &kafka.ssl_certificate),
        ("ssl_key", &kafka.ssl_key),
    ];
    for (key, path) in files.into_iter().filter(|(_, path)| !path.is_empty()) {
        File::open(path).map_err(|error| {
            Error::Config(format!("kafka.{key} {path}: {error}; name a PEM file that is readable"))
        })?;
    }
    if kafka.security_protocol == SecurityProtocol::SaslPlaintext {
        warn!("kafka.security_protocol = SASL_PLAINTEXT logs in without TLS; use SASL_SSL");
    }
    if kafka.security_protocol.has_tls() && !kafka.ssl_verify_hostname {
        warn!(
            "kafka.ssl_verify_hostname = false: whoever has any certificate of the authority can \
             pass for a broker"
        );
    }
    Ok(())
}

/// librdkafka cannot use a file: which one, and what to do. Its own words name no secret.
pub(super) fn refused_file(reason: &str) -> Option<String> {
    let remedies = [
        ("ssl.ca.location", "ssl_ca", "give a PEM file with certificates"),
        ("ssl.certificate.location", "ssl_certificate", "give a PEM file with a certificate"),
        ("ssl.key.location", "ssl_key", "give its PEM file, and kafka.ssl_key_password if needed"),
    ];
    let (_, key, remedy) = remedies.into_iter().find(|(name, ..)| reason.contains(name))?;
    Some(format!("kafka.{key} cannot be used ({reason}); {remedy}"))
}

/// A broker's refusal of our login or certificate, or ours of its certificate, as one sentence that
/// names the listener, the setting and the remedy; `None` when the reason is another. `reason` is
/// that of a first connection: one that ended later was not refused. librdkafka has no codes for
/// these, only words.
pub(super) fn explain(reason: &str, kafka: &Kafka) -> Option<String> {
    let has = |words: &str| reason.contains(words);
    let (user, mechanism) = (&kafka.sasl_username, &kafka.sasl_mechanism);
    let sentence = if let Some((_, offered)) = reason.split_once("broker's supported mechanisms: ")
    {
        match offered.split(" (after").next().unwrap_or_default().trim() {
            "" => another_protocol(kafka),
            offered => {
                format!("takes no login by {mechanism}; set kafka.sasl_mechanism: {offered}")
            }
        }
    } else if has("SASL authentication error") || has("Authentication failed") {
        format!(
            "refuses the login of user '{user}' by {mechanism}; set kafka.sasl_username and \
             kafka.sasl_password"
        )
    } else if has("certificate verify failed") {
        "shows a certificate that is not trusted; set kafka.ssl_ca to the authority that signed \
         it, and connect by a host name that it holds"
            .to_owned()
    } else if has(" alert ") && (has("certificate") || has("unknown ca")) {
        match kafka.ssl_certificate.as_str() {
            "" => "wants a client certificate; set kafka.ssl_certificate and kafka.ssl_key".into(),
            path => format!(
                "refuses our certificate; set kafka.ssl_certificate (now {path}) to one of an \
                 authority that it trusts"
            ),
        }
    } else if has("Disconnected") {
        another_protocol(kafka)
    } else {
        return None;
    };
    let (listener, words) = split_listener(reason).unwrap_or((&kafka.bootstrap, reason));
    Some(format!("Kafka at {listener} {sentence} ({words})"))
}

fn another_protocol(kafka: &Kafka) -> String {
    format!(
        "breaks the connection off, as listeners of another kind do; set kafka.security_protocol \
         (now {}) to what it speaks",
        kafka.security_protocol.as_str()
    )
}

/// `host:port` and what is said of it, from `ssl://host:port/bootstrap: words (after 1ms in …)`.
fn split_listener(reason: &str) -> Option<(&str, &str)> {
    let (place, rest) = reason.split_once("/bootstrap: ").or_else(|| {
        // A broker that told its number: `ssl://host:port/3: words`.
        let (place, rest) = reason.split_once(": ")?;
        Some((place.rsplit_once('/')?.0, rest))
    })?;
    let listener = place.rsplit(['/', ' ']).next()?;
    Some((listener, rest.split(" (after ").next().unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Secret};

    fn kafka() -> Kafka {
        let mut kafka = Config::defaults().kafka;
        kafka.security_protocol = SecurityProtocol::SaslSsl;
        kafka.sasl_mechanism = "PLAIN".into();
        kafka.sasl_username = "desk".into();
        kafka.sasl_password = Secret::new("s3cret");
        kafka
    }

    /// The words are librdkafka's own, as a real broker made it say them.
    #[test]
    fn refusals_name_the_listener_the_setting_and_the_remedy() {
        let cases = [
            (
                "sasl_ssl://b:9094/bootstrap: SASL authentication error: Authentication failed: \
                 Invalid username or password (after 303ms in state AUTH_REQ)",
                "Kafka at b:9094 refuses the login of user 'desk' by PLAIN; set \
                 kafka.sasl_username and kafka.sasl_password (SASL authentication error: \
                 Authentication failed: Invalid username or password)",
            ),
            (
                "sasl_ssl://b:9094/3: SASL PLAIN mechanism handshake failed: Broker: Unsupported \
                 SASL mechanism: broker's supported mechanisms: SCRAM-SHA-512 (after 1ms in state",
                "set kafka.sasl_mechanism: SCRAM-SHA-512 (",
            ),
            (
                "sasl_plaintext://b:9092/bootstrap: SASL PLAIN mechanism handshake failed: Broker: \
                 Request not valid in current SASL state: broker's supported mechanisms:  (after",
                "set kafka.security_protocol (now SASL_SSL)",
            ),
            (
                "ssl://b:9093/bootstrap: SSL handshake failed: error:0A000086:SSL \
                 routines::certificate verify failed: broker certificate could not be verified",
                "set kafka.ssl_ca to the authority",
            ),
            (
                "ssl://b:9093/bootstrap: Receive failed: error:0A000412:SSL routines::ssl/tls \
                 alert bad certificate: SSL alert number 42 (after 2ms in state APIVERSION_QUERY)",
                "set kafka.ssl_certificate and kafka.ssl_key",
            ),
            (
                "[thrd:b:9093/bootstrap]: b:9093/bootstrap: Disconnected: connection closed by \
                 peer: receive 0 after POLLIN (after 1ms in state APIVERSION_QUERY)",
                "Kafka at b:9093 breaks the connection off, as listeners of another kind do; set \
                 kafka.security_protocol",
            ),
        ];
        for (reason, expected) in cases {
            let told = explain(reason, &kafka()).unwrap_or_default();
            assert!(told.contains(expected) && !told.contains("s3cret"), "{told}");
        }
        assert_eq!(explain("b:9092/bootstrap: Connect to ipv4#b:9092 failed", &kafka()), None);
    }

    #[test]
    fn logins_and_files_are_sent_only_where_the_protocol_has_them() {
        let names = |kafka: &Kafka| properties(kafka).iter().map(|(n, _)| *n).collect::<Vec<_>>();
        let plain = Config::defaults().kafka;
        assert_eq!(properties(&plain), [("security.protocol", "plaintext")]);
        let both = names(&kafka());
        assert!(both.contains(&"sasl.password") && both.contains(&"ssl.ca.location"), "{both:?}");
        assert!(!both.contains(&"ssl.key.location"), "{both:?}");
        let is_listed = |name: &&str| key_of(name).is_some();
        assert!(both.iter().all(is_listed), "{both:?}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_its_key() {
        let missing = Kafka { ssl_ca: "/no/such/ca.pem".into(), ..kafka() };
        let told = check(&missing).expect_err("missing").to_string();
        assert!(told.starts_with("kafka.ssl_ca /no/such/ca.pem: No such file"), "{told}");
    }
}
