//! The real binary, as a user meets it: help, configuration and errors. Each run has a directory
//! and an environment of its own.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

const COMMANDS: &[&str] = &[
    "up",
    "producer",
    "stream",
    "simulate",
    "verify",
    "bars",
    "trades",
    "explain",
    "serve",
    "audit",
    "rebuild",
    "reset",
    "status",
    "doctor",
    "smoke-test",
    "topics",
    "cassandra-init",
    "config",
    "metrics",
];
const SECRET: &str = "d0ntprintm3";

/// A throw-away working directory.
struct Place {
    directory: TempDir,
}

/// What a run left behind.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Self {
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory") }
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        fs::write(self.directory.path().join(name), text).expect("written");
        self
    }

    fn command(&self, args: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ticksmith"));
        command.args(args).current_dir(self.directory.path()).env_clear();
        command.envs(environment.iter().copied()).stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str], environment: &[(&str, &str)]) -> Ran {
        self.command(args, environment).output().expect("runs").into()
    }
}

/// One line that names the thing, and nothing that looks like a crash.
fn assert_one_line(ran: &Ran, code: i32, names: &str) {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    assert!(ran.stderr.starts_with("ticksmith: ") && ran.stderr.contains(names), "{ran:?}");
    assert!(!ran.stderr.contains("panicked") && !ran.stderr.contains("bug:"), "{ran:?}");
}

#[test]
fn every_command_has_a_page_of_help() {
    let place = Place::new();
    let top = place.run(&["--help"], &[("FINNHUB_API_KEY", SECRET)]);
    assert_eq!(top.code, Some(0));
    assert!(top.stdout.contains("FINNHUB_API_KEY") && !top.stdout.contains(SECRET), "{top:?}");
    for command in COMMANDS {
        assert!(top.stdout.contains(command), "{command} is not in the help");
        let page = place.run(&[command, "--help"], &[("FINNHUB_API_KEY", SECRET)]);
        assert_eq!(page.code, Some(0), "{command}");
        assert!(page.stdout.contains("Usage: ticksmith"), "{page:?}");
        assert_page_is_like_the_others(command, &page.stdout);
        assert!(!page.stdout.contains(SECRET), "{page:?}");
    }
}

/// A page fits 100 columns, and ends with examples before exit codes, where it has them.
fn assert_page_is_like_the_others(command: &str, page: &str) {
    for line in page.lines() {
        assert!(line.chars().count() <= 100, "{command}: {line}");
    }
    let found: Vec<usize> =
        ["Usage:", "Options:", "Configuration:", "\nExamples:\n", "\nExit codes:\n"]
            .iter()
            .filter_map(|heading| page.find(heading))
            .collect();
    assert!(found.is_sorted(), "{command}: its parts stand in another order: {page}");
    let run_together = page.matches("Exit codes: ").count();
    assert_eq!(run_together, 0, "{command}: exit codes stand on lines of their own");
}

#[test]
fn wrong_arguments_exit_with_2_and_say_what_is_right() {
    let place = Place::new();
    let bare = place.run(&[], &[]);
    assert_eq!(bare.code, Some(2));
    assert!(bare.stderr.contains("Usage: ticksmith"), "{bare:?}");
    let unknown = place.run(&["streem"], &[]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.stderr.contains("'stream'"), "{unknown:?}");
    assert_eq!(place.run(&["config", "--nonsense"], &[]).code, Some(2));
}

#[test]
fn the_version_is_the_manifest_s() {
    let ran = Place::new().run(&["--version"], &[]);
    assert_eq!(ran.stdout, format!("ticksmith {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_problem_of_the_configuration_is_listed_at_once() {
    let place = Place::new();
    place.write("my.toml", "[kafka]\ngruop = \"x\"\n[topics]\npartitions = 0\n");
    let environment = [("TICKSMITH__HTTP__PORT", "many"), ("TICKSMITH__HTTP__PROT", "1")];
    let ran = place.run(&["--config", "my.toml", "config"], &environment);
    assert_eq!(ran.code, Some(2));
    assert_eq!(ran.stderr.lines().count(), 5, "{}", ran.stderr);
    for expected in ["4 problems", "kafka.group", "topics.partitions = 0", "http.port = \"many\""] {
        assert!(ran.stderr.contains(expected), "no {expected} in {}", ran.stderr);
    }
}

#[test]
fn a_single_problem_is_one_line() {
    let place = Place::new();
    assert_one_line(&place.run(&["config", "--config", "gone.toml"], &[]), 2, "gone.toml");
    place.write("empty.toml", "").write("broken.toml", "[kafka\n");
    assert_eq!(place.run(&["config", "--config", "empty.toml"], &[]).code, Some(0));
    assert_one_line(&place.run(&["config", "--config", "broken.toml"], &[]), 2, "broken.toml");
    assert_one_line(&place.run(&["config", "--config", "."], &[]), 2, ".: cannot be read");
}

fn group_of(place: &Place, environment: &[(&str, &str)]) -> String {
    let ran = place.run(&["config", "--format", "json"], environment);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let tree: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    tree["kafka"]["group"].as_str().expect("a text").to_owned()
}

#[test]
fn the_layers_win_in_their_order() {
    let place = Place::new();
    assert_eq!(group_of(&place, &[]), "ticksmith-stream");
    place.write(".env", "TICKSMITH__KAFKA__GROUP=first\nTICKSMITH__KAFKA__GROUP=last\n");
    assert_eq!(group_of(&place, &[]), "last");
    assert_eq!(group_of(&place, &[("TICKSMITH__KAFKA__GROUP", "process")]), "process");
    let shown = place.run(&["config"], &[]).stdout;
    let line = "group = \"last\" # .env, TICKSMITH__KAFKA__GROUP";
    assert!(shown.contains(line), "{shown}");
}

#[test]
fn a_key_is_never_printed() {
    let place = Place::new();
    let key = [("FINNHUB_API_KEY", SECRET)];
    for format in ["toml", "json", "markdown"] {
        let ran = place.run(&["config", "--format", format], &key);
        assert_eq!(ran.code, Some(0));
        assert!(!ran.stdout.contains(SECRET) && !ran.stderr.contains(SECRET), "{ran:?}");
    }
    let masked = place.run(&["config"], &key).stdout;
    assert!(masked.contains("api_key = \"***\" # environment, FINNHUB_API_KEY"), "{masked}");
    let twice = format!("{SECRET},{SECRET}");
    let ran = place.run(&["config"], &[("FINNHUB_API_KEY", &twice)]);
    assert_one_line(&ran, 2, "finnhub.api_key");
    assert!(!ran.stderr.contains(SECRET), "{ran:?}");
    place.write(".env", &format!("FINNHUB_API_KEY=\"{SECRET}\n"));
    let ran = place.run(&["config"], &[]);
    assert_one_line(&ran, 2, ".env");
    assert!(!ran.stderr.contains(SECRET), "{ran:?}");
}

#[test]
fn a_placeholder_is_no_key() {
    let place = Place::new();
    place.write(".env", "FINNHUB_API_KEY=your_key_here\n");
    assert!(place.run(&["config"], &[]).stdout.contains("api_key = \"\"\n"));
    place.write(".env", "FINNHUB_API_KEY=your_key_here\nFINNHUB_API_KEY=abc\n");
    assert!(place.run(&["config"], &[]).stdout.contains("api_key = \"***\""));
}

#[test]
fn the_sample_environments_are_valid() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    for name in ["dev.env", "prod.env"] {
        let place = Place::new();
        place.write(".env", &fs::read_to_string(samples.join(name)).expect("there"));
        let ran = place.run(&["config"], &[]);
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.stderr);
        assert!(ran.stdout.contains("# .env, TICKSMITH__KAFKA__BOOTSTRAP"), "{name}");
    }
}

#[test]
fn what_is_printed_can_be_given_back() {
    let place = Place::new();
    for args in [&["config"][..], &["config", "--defaults"]] {
        place.write("again.toml", &place.run(args, &[]).stdout);
        let ran = place.run(&["--config", "again.toml", "config"], &[]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let mut command = Place::new().command(&["config", "--defaults"], &[]);
    let mut child = command
        .current_dir("/")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("UTF-8");
    assert_eq!(child.wait().expect("ends").code(), Some(0), "{stderr}");
    assert_eq!(stderr, "");
}

#[test]
fn an_unwritable_data_directory_is_named() {
    let place = Place::new();
    place.write("occupied", "");
    let ran = place.run(&["up", "--data", "occupied/data", "--for", "1s"], &[]);
    assert_one_line(&ran, 2, "occupied");
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let ran = Place::new().run(&["simulate", "--port", &port], &[]);
    assert!(matches!(ran.code, Some(2 | 3)), "{ran:?}");
    assert_one_line(&ran, ran.code.unwrap_or_default(), &port);
}

#[test]
fn a_producer_without_a_key_is_told_where_to_get_a_market() {
    let ran = Place::new().run(&["producer"], &[]);
    assert_one_line(&ran, 2, "FINNHUB_API_KEY");
    assert!(ran.stderr.contains("make simulate"), "{ran:?}");
}

#[test]
fn verify_reads_the_configured_table_and_classes() {
    let place = Place::new();
    let odd_lot = |symbol: &str| {
        let element =
            format!(r#"{{"c":["1","12"],"p":9.5,"s":"{symbol}","t":1710165600000,"v":7}}"#);
        format!("{{\"data\":[{element}],\"type\":\"trade\"}}\n")
    };
    place.write("plain.jsonl", &odd_lot("AAPL")).write("coin.jsonl", &odd_lot("BTCUSD"));
    let header = "window_start_epoch_s,open,high,low,close,volume,count\n";
    place.write("null.csv", &format!("{header}1710165600,,,,,7,1\n"));
    place.write("price.csv", &format!("{header}1710165600,9.5,9.5,9.5,9.5,7,1\n"));
    place.write("mine.csv", "# version,2\n1,A,yes,yes,yes,yes,other\n12,B,yes,yes,yes,yes,other\n");
    let verify = |frames: &str, bars: &str, environment: &[(&str, &str)]| {
        let arguments = ["verify", "--frames", frames, "--bars", bars, "--interval", "5m"];
        place.run(&arguments, environment)
    };
    assert_eq!(verify("plain.jsonl", "null.csv", &[]).code, Some(0), "an odd lot sets no price");
    let table = [("TICKSMITH__STREAM__CONDITIONS_FILE", "mine.csv")];
    assert_eq!(verify("plain.jsonl", "price.csv", &table).code, Some(0), "but by this table");
    assert_eq!(verify("coin.jsonl", "price.csv", &[]).code, Some(1));
    let classes = [("TICKSMITH__STREAM__SYMBOL_CLASSES", "BTCUSD=crypto,X=fx")];
    assert_eq!(verify("coin.jsonl", "price.csv", &classes).code, Some(0));
    let gone = [("TICKSMITH__STREAM__CONDITIONS_FILE", "gone.csv")];
    assert_one_line(&verify("plain.jsonl", "null.csv", &gone), 2, "gone.csv cannot be read");
}

#[test]
fn a_trade_outside_the_calendar_is_warned_about_once() {
    let place = Place::new();
    let frame = |time_s: i64| {
        format!(r#"{{"data":[{{"p":9.5,"s":"AAPL","t":{time_s}000,"v":7}}],"type":"trade"}}"#)
    };
    // 2012-10-29, when a storm kept the exchange closed.
    let frames: Vec<String> = (1_351_519_200..1_351_519_210).map(frame).collect();
    place.write("frames.jsonl", &frames.join("\n"));
    let header = "window_start_epoch_s,open,high,low,close,volume,count\n";
    place.write("bars.csv", &format!("{header}1351519200,9.5,9.5,9.5,9.5,70,10\n"));
    let arguments =
        ["verify", "--frames", "frames.jsonl", "--bars", "bars.csv", "--interval", "5m"];
    let ran = place.run(&arguments, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let warnings = ran.stderr.lines().filter(|line| line.contains("outside the years"));
    assert_eq!(warnings.count(), 1, "{ran:?}");
}
