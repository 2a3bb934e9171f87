//! `ticksmith doctor` where no server is: every check is told in one line, nothing waits for long,
//! and nothing secret is said.

mod process;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// Nobody listens there: the port is one that programs do not get.
const NOBODY: &str = "127.0.0.1:1";
const KEY: &str = "d0ntprintm3";
const CHECKS: [&str; 15] = [
    "key",
    "feed",
    "feed clock",
    "key in use",
    "kafka",
    "topics",
    "group",
    "schema registry",
    "cassandra",
    "tables",
    "cassandra clock",
    "spool",
    "stream port",
    "producer port",
    "api port",
];

/// A simulator; killed on drop.
struct Market {
    child: Child,
    url: String,
}

impl Market {
    fn start() -> Self {
        let mut command = process::ticksmith(&["simulate", "--port", "0", "--key", KEY]);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
        let said = BufReader::new(child.stderr.take().expect("piped")).lines();
        let address = |line: String| {
            let (_, rest) = line.split_once("ws://")?;
            Some(rest.split(['/', '?', ' ']).next()?.to_owned())
        };
        let address = said.map_while(Result::ok).find_map(address).expect("it says its address");
        Self { child, url: format!("ws://{address}") }
    }
}

impl Drop for Market {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn doctor(url: &str, arguments: &[&str]) -> Command {
    let mut command = process::ticksmith(&[&["doctor"], arguments].concat());
    command.env("FINNHUB_API_KEY", KEY).env("TICKSMITH__FINNHUB__URL", url);
    command.env("TICKSMITH__KAFKA__BOOTSTRAP", NOBODY);
    command.env("TICKSMITH__CASSANDRA__CONTACT_POINTS", NOBODY);
    for role in ["STREAM", "PRODUCER"] {
        command.env(format!("TICKSMITH__{role}__HTTP_PORT"), "0");
    }
    command.env("TICKSMITH__HTTP__PORT", "0");
    command
}

fn outcome<'a>(report: &'a Value, check: &str) -> (&'a str, &'a str) {
    let checks = report["checks"].as_array().expect("checks");
    let found = checks.iter().find(|one| one["check"] == check).expect(check);
    (found["outcome"].as_str().expect("a word"), found["text"].as_str().expect("a text"))
}

#[test]
fn without_servers_each_check_is_a_line_and_what_is_away_is_named() {
    let market = Market::start();
    let (code, lines, error) = process::run(&mut doctor(&market.url, &[]));
    assert_eq!(code, 3, "{lines}{error}");
    let named = |line: &&str| CHECKS.iter().any(|check| line[6..].starts_with(check));
    let told: Vec<&str> = lines.lines().take_while(|line| !line.is_empty()).collect();
    assert_eq!(told.len(), CHECKS.len(), "{lines}");
    assert!(told.iter().all(named), "{lines}");
    assert!(lines.ends_with("failed, 7 skipped\n"), "{lines}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains("2 checks failed, first kafka: ") && error.contains(NOBODY), "{error}");

    let (code, object, error) = process::run(&mut doctor(&market.url, &["--json"]));
    assert_eq!(code, 3, "{object}{error}");
    let report: Value = serde_json::from_str(&object).expect("an object");
    assert_eq!(report["failed"], 2, "{object}");
    assert_eq!(outcome(&report, "key").0, "ok");
    assert_eq!(outcome(&report, "feed").0, "ok", "who asks for a key is there");
    let (tried, why) = outcome(&report, "key in use");
    assert!(tried == "skip" && why.contains("--connect"), "Kafka cannot say who has it: {why}");
    assert_eq!(outcome(&report, "topics"), ("skip", "Kafka is out of reach"));
    assert_eq!(outcome(&report, "cassandra").0, "fail");
    for said in [lines, object, error] {
        assert!(!said.contains(KEY), "{said}");
    }
}

#[test]
fn a_key_may_be_tried_all_the_same_and_a_wrong_one_is_named() {
    let market = Market::start();
    let report = |command: &mut Command| {
        let (_, object, error) = process::run(command);
        serde_json::from_str::<Value>(&object).unwrap_or_else(|_| panic!("{object}{error}"))
    };
    let right = report(&mut doctor(&market.url, &["--connect", "--json"]));
    let (state, text) = outcome(&right, "key in use");
    assert!(state == "ok" && text.contains("let 1 in"), "{text}");
    let mut wrong = doctor(&market.url, &["--connect", "--json"]);
    let wrong = report(wrong.env("FINNHUB_API_KEY", "another"));
    let (state, text) = outcome(&wrong, "key in use");
    assert!(state == "fail" && text.contains("FINNHUB_API_KEY"), "{text}");
    let gone = report(&mut doctor(&format!("ws://{NOBODY}"), &["--json"]));
    assert_eq!(outcome(&gone, "feed").0, "fail");
    assert_eq!(outcome(&gone, "key in use"), ("skip", "the feed is out of reach"));
}

#[test]
fn what_does_not_answer_in_time_has_failed() {
    // They listen, and never say a word.
    let [kafka, feed] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    let address = |listener: &TcpListener| listener.local_addr().expect("bound").to_string();
    let url = format!("ws://{}", address(&feed));
    let mut command = doctor(&url, &["--json", "--within", "1s"]);
    let (code, object, _) =
        process::run(command.env("TICKSMITH__KAFKA__BOOTSTRAP", address(&kafka)));
    assert_eq!(code, 3, "{object}");
    let report: Value = serde_json::from_str(&object).expect("an object");
    for check in ["feed", "kafka"] {
        let (state, text) = outcome(&report, check);
        assert!(state == "fail" && text.contains("within 1 s"), "{check}: {text}");
    }
    assert_eq!(outcome(&report, "spool").0, "ok", "the others are told");
}

#[test]
fn without_a_key_the_remedy_is_named() {
    let mut command = doctor("wss://ws.finnhub.io", &["--json"]);
    let (code, object, _) = process::run(command.env("FINNHUB_API_KEY", "your_key_here"));
    assert_eq!(code, 3, "{object}");
    let report: Value = serde_json::from_str(&object).expect("an object");
    let (state, text) = outcome(&report, "key");
    assert!(state == "fail" && text.contains("FINNHUB_API_KEY") && text.contains("make simulate"));
    assert_eq!(outcome(&report, "feed").0, "skip", "nobody is asked");
}
