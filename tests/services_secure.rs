//! The processes over a Kafka and a Cassandra that let nobody in without certificate or password:
//! what is right works from end to end, what is wrong is refused in one sentence with the remedy.
//!
//! `make test-secure` runs it; by hand:
//! `TICKSMITH_INFRA_SECURE=yes scripts/with-services.sh cargo test --test services_secure`.

#[path = "services_processes/harness/mod.rs"]
mod harness;

use harness::{World, refused, server};
use serde_json::Value;

const USER: &str = "ticksmith";
/// Cassandra's first superuser and its password.
const CASSANDRA: &str = "cassandra";
const WRONG: &str = "wr0ng-p4ssword";
const FEED: [&str; 5] = ["producer", "--url", "ws://127.0.0.1:1", "--symbols", "AAPL"];

/// A file of the certificates that scripts/infra/security.sh made.
fn tls_file(name: &str) -> String {
    format!("{}/tls/{name}", server("TICKSMITH_TEST_INFRA"))
}

fn password() -> String {
    std::fs::read_to_string(tls_file("password")).expect("the secure servers' password")
}

/// A world whose Cassandra is let in; its Kafka is the listener that has no lock.
fn world(case: &str) -> World {
    let mut world = World::new(case);
    world.set("CASSANDRA__TLS", "true");
    for (key, file) in [("CA", "authority.pem"), ("CERTIFICATE", "client.pem")] {
        world.set(&format!("CASSANDRA__TLS_{key}"), &tls_file(file));
    }
    world.set("CASSANDRA__TLS_KEY", &tls_file("client.key"));
    world.set("CASSANDRA__USERNAME", CASSANDRA);
    world.set("CASSANDRA__PASSWORD", CASSANDRA);
    world
}

/// Kafka by TLS and login.
fn with_login(case: &str, mechanism: &str) -> World {
    let mut world = world(case);
    world.set("KAFKA__BOOTSTRAP", &server("TICKSMITH_TEST_KAFKA_LOGIN"));
    world.set("KAFKA__SECURITY_PROTOCOL", "SASL_SSL");
    world.set("KAFKA__SASL_MECHANISM", mechanism);
    world.set("KAFKA__SASL_USERNAME", USER);
    world.set("KAFKA__SASL_PASSWORD", &password());
    world.set("KAFKA__SSL_CA", &tls_file("authority.pem"));
    world
}

/// Kafka by TLS with certificates on both sides; the client's key is encrypted.
fn with_certificate(case: &str) -> World {
    let mut world = world(case);
    world.set("KAFKA__BOOTSTRAP", &server("TICKSMITH_TEST_KAFKA_MUTUAL"));
    world.set("KAFKA__SECURITY_PROTOCOL", "SSL");
    world.set("KAFKA__SSL_CA", &tls_file("authority.pem"));
    world.set("KAFKA__SSL_CERTIFICATE", &tls_file("client.pem"));
    world.set("KAFKA__SSL_KEY", &tls_file("client-encrypted.key"));
    world.set("KAFKA__SSL_KEY_PASSWORD", &password());
    world
}

/// Every role once: what the stream took is what the tables hold, late trades marked as such.
fn run_path(world: &World) {
    world.succeed(&["topics"]);
    world.succeed(&["cassandra-init"]);
    let (_simulator, url) = world.start_market(&["--rate", "2000", "--seed", "5"]);
    let producer = world.start(&["producer", "--url", &url, "--symbols", "AAPL"]);
    world.wait_for_trades(3_000);
    let produced = producer.terminate();
    assert_eq!(produced.code(), 0, "producer after SIGTERM:\n{}", produced.said);
    let said = world.succeed(&["stream", "--until-end", "--drain"]);
    let count = |word: &str| -> usize {
        let (_, rest) = said.split_once(word).expect("a summary");
        rest.split(',').next().and_then(|count| count.trim().parse().ok()).expect("a count")
    };
    let taken = count("merged ") + count("late ");
    assert!(taken > 1_000, "{said}");
    let read = |command: &str, more: &[&str]| -> Vec<Value> {
        let all = [&[command, "--symbol", "AAPL", "--format", "json", "--limit", "9999999"], more];
        let said = world.succeed(&all.concat());
        let start = said.find('[').expect("a list");
        serde_json::from_str(&said[start..]).expect("JSON")
    };
    assert_eq!(read("trades", &[]).len(), taken, "{said}");
    assert!(!read("bars", &["--interval", "5m"]).is_empty());
}

#[test]
fn a_feed_becomes_bars_with_passwords() {
    run_path(&with_login("secure_login", "SCRAM-SHA-512"));
}

#[test]
fn a_feed_becomes_bars_with_certificates() {
    let mut world = with_certificate("secure_mutual");
    // The certificate holds this name as well, and Cassandra's driver never asks for it.
    let cassandra = world.setting("CASSANDRA__CONTACT_POINTS").replace("127.0.0.1", "localhost");
    world.set("CASSANDRA__CONTACT_POINTS", &cassandra);
    world.set("STREAM__GUARANTEE", "at_least_once");
    run_path(&world);
}

#[test]
fn each_mechanism_logs_in_and_a_wrong_password_is_refused_by_listener_and_key() {
    let listener = server("TICKSMITH_TEST_KAFKA_LOGIN");
    let words = [&listener, USER, "kafka.sasl_password"];
    std::thread::scope(|scope| {
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            scope.spawn(move || {
                let case = mechanism.to_lowercase().replace('-', "_");
                let mut world = with_login(&case, mechanism);
                world.succeed(&["topics"]);
                world.set("KAFKA__SASL_PASSWORD", WRONG);
                refused(&world, &["topics"], 3, &[&words[..], &[mechanism]].concat());
                refused(&world, &FEED, 3, &words);
            });
        }
        scope.spawn(|| {
            let mut world = with_login("secure_stream", "PLAIN");
            world.succeed(&["cassandra-init"]);
            world.set("KAFKA__SASL_PASSWORD", WRONG);
            refused(&world, &["stream"], 3, &words);
        });
    });
}

/// Runs `topics` in each world; the error must name the listener and the words.
fn refused_by_kafka(cases: Vec<(World, &str, &str)>) {
    std::thread::scope(|scope| {
        for (world, listener, word) in cases {
            scope.spawn(move || {
                refused(&world, &["topics"], 3, &[&server(listener), word]);
            });
        }
    });
}

#[test]
fn kafka_s_listeners_refuse_strangers_and_are_refused_when_they_are_strangers() {
    let (login, mutual) = ("TICKSMITH_TEST_KAFKA_LOGIN", "TICKSMITH_TEST_KAFKA_MUTUAL");
    let (elsewhere, open) = ("TICKSMITH_TEST_KAFKA_ELSEWHERE", "TICKSMITH_TEST_KAFKA");
    let mut other_authority = with_login("other_authority", "PLAIN");
    other_authority.set("KAFKA__SSL_CA", &tls_file("stranger.pem"));
    let mut system_s_authorities = with_login("system_authorities", "PLAIN");
    system_s_authorities.set("KAFKA__SSL_CA", "");
    let mut other_host = with_certificate("other_host");
    other_host.set("KAFKA__BOOTSTRAP", &server(elsewhere));
    let mut no_certificate = with_certificate("no_certificate");
    for key in ["CERTIFICATE", "KEY", "KEY_PASSWORD"] {
        no_certificate.set(&format!("KAFKA__SSL_{key}"), "");
    }
    let mut intruder = with_certificate("intruder");
    intruder.set("KAFKA__SSL_CERTIFICATE", &tls_file("intruder.pem"));
    intruder.set("KAFKA__SSL_KEY", &tls_file("intruder.key"));
    let mut no_tls = world("no_tls");
    no_tls.set("KAFKA__BOOTSTRAP", &server(login));
    let mut no_login = with_certificate("no_login");
    no_login.set("KAFKA__BOOTSTRAP", &server(login));
    let mut tls_on_open = with_certificate("tls_on_open");
    tls_on_open.set("KAFKA__BOOTSTRAP", &server(open));
    refused_by_kafka(vec![
        (other_authority, login, "kafka.ssl_ca"),
        (system_s_authorities, login, "kafka.ssl_ca"),
        (other_host, elsewhere, "host name"),
        (no_certificate, mutual, "kafka.ssl_certificate"),
        (intruder, mutual, "kafka.ssl_certificate"),
        (no_tls, login, "kafka.security_protocol"),
        (no_login, login, "kafka.security_protocol"),
        (tls_on_open, open, "kafka.security_protocol"),
    ]);
    let mut unchecked = with_certificate("unchecked_host");
    unchecked.set("KAFKA__BOOTSTRAP", &server(elsewhere));
    unchecked.set("KAFKA__SSL_VERIFY_HOSTNAME", "false");
    unchecked.succeed(&["topics"]);
}

#[test]
fn files_that_cannot_be_used_are_named_before_anything_is_sent() {
    let mut world = with_certificate("wrong_files");
    world.set("KAFKA__SSL_KEY_PASSWORD", WRONG);
    refused(&world, &["topics"], 2, &["kafka.ssl_key", "kafka.ssl_key_password"]);
    world.set("KAFKA__SSL_CA", "/no/such/ca.pem");
    refused(&world, &["topics"], 2, &["kafka.ssl_ca /no/such/ca.pem"]);
    world.set("CASSANDRA__TLS_KEY", &tls_file("client-encrypted.key"));
    refused(&world, &["cassandra-init"], 2, &["cassandra.tls_key", "not encrypted"]);
}

#[test]
fn cassandra_refuses_strangers_and_is_refused_when_it_is_one() {
    let point = server("TICKSMITH_TEST_CASSANDRA");
    let case = |key: &str, value: &str, code: i32, word: &str| {
        let mut world = with_login("cassandra_refusal", "PLAIN");
        world.set(&format!("CASSANDRA__{key}"), value);
        if matches!(key, "TLS_CERTIFICATE" | "TLS") {
            world.set("CASSANDRA__TLS_KEY", "");
            world.set("CASSANDRA__TLS_CERTIFICATE", "");
        }
        if key == "TLS" {
            world.set("CASSANDRA__TLS_CA", "");
        }
        refused(&world, &["cassandra-init"], code, &[&point, word]);
    };
    case("PASSWORD", WRONG, 3, "user 'cassandra'; set cassandra.username and cassandra.password");
    case("TLS_CA", &tls_file("stranger.pem"), 3, "set cassandra.tls_ca");
    case("TLS_CERTIFICATE", "", 3, "set cassandra.tls_certificate");
    case("TLS", "false", 3, "set cassandra.tls = true");
    let mut world = with_login("cassandra_stream", "PLAIN");
    world.succeed(&["topics"]);
    world.set("CASSANDRA__PASSWORD", WRONG);
    refused(&world, &["stream"], 3, &[&point, "cassandra.password"]);
}

/// librdkafka, the Cassandra driver and we at our most talkative, with right and wrong passwords.
#[test]
fn the_finest_log_level_tells_no_password() {
    let mut world = with_login("talkative", "PLAIN");
    world.set("LOG__LEVEL", "trace");
    world.set("KAFKA__PROPERTIES", "debug=all");
    let discreet = |world: &World, command: &[&str], sign: &str, secret: &str| {
        let said = world.run(command).said;
        assert!(said.contains(sign), "{command:?} is not at the finest level: {said}");
        assert!(!said.contains(secret), "{command:?} tells {secret}: {said}");
    };
    discreet(&world, &["topics"], "TRACE rdkafka", &password());
    world.succeed(&["cassandra-init"]);
    discreet(&world, &["stream", "--until-end"], "SaslAuthenticate", &password());
    world.set("KAFKA__SASL_PASSWORD", WRONG);
    discreet(&world, &["topics"], "SaslAuthenticate", WRONG);
    world.set("CASSANDRA__PASSWORD", WRONG);
    discreet(&world, &["cassandra-init"], "TRACE scylla", WRONG);
}
