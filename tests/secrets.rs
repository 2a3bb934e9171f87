//! No secret is ever told: not at the finest log level, not by failures, metrics, panics, pages or
//! the list of processes. The real binary is given known secrets and made to fail.

#[path = "process/mod.rs"]
mod process;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use process::{run, ticksmith};
use ticksmith::config::Secret;

/// Every secret there is, by its variable. Each holds what some encoding would change.
const SECRETS: [(&str, &str); 7] = [
    ("FINNHUB_API_KEY", "f1nn+hub/K3y=="),
    ("TICKSMITH__KAFKA__SASL_PASSWORD", "k4fka$p%40ss w0rd"),
    ("TICKSMITH__KAFKA__SSL_KEY_PASSWORD", "k3y\"f1le'pass"),
    ("TICKSMITH__CASSANDRA__PASSWORD", "c4ssandra&p@ss"),
    ("TICKSMITH__SCHEMA_REGISTRY__PASSWORD", "r3gistry:p4ss"),
    ("TICKSMITH__HTTP__TOKEN", "t0ken_0f_the_pages~!"),
    ("TICKSMITH__KAFKA__PROPERTIES", r#"["debug=all", "ssl.keystore.password=pr0perty?s3cret"]"#),
];
const PROPERTY_SECRET: &str = "pr0perty?s3cret";
/// What the registry's client sends for user `desk`: the password in another coat.
const REGISTRY_LOGIN: &str = "ZGVzazpyM2dpc3RyeTpwNHNz";
const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/registry");
/// Nobody listens there.
const NOBODY: &str = "127.0.0.1:1";

/// A command with all secrets, logging everything, on servers that are not there.
fn talkative(arguments: &[&str]) -> Command {
    let mut command = ticksmith(arguments);
    command.envs(SECRETS).envs([
        ("TICKSMITH__LOG__LEVEL", "trace"),
        ("TICKSMITH__KAFKA__BOOTSTRAP", NOBODY),
        ("TICKSMITH__KAFKA__SECURITY_PROTOCOL", "SASL_SSL"),
        ("TICKSMITH__KAFKA__SASL_MECHANISM", "PLAIN"),
        ("TICKSMITH__KAFKA__SASL_USERNAME", "desk"),
        ("TICKSMITH__KAFKA__SSL_CA", &format!("{FILES}/ca.pem")),
        ("TICKSMITH__KAFKA__SSL_CERTIFICATE", &format!("{FILES}/server.pem")),
        ("TICKSMITH__KAFKA__SSL_KEY", &format!("{FILES}/server.key")),
        ("TICKSMITH__CASSANDRA__CONTACT_POINTS", NOBODY),
        ("TICKSMITH__CASSANDRA__USERNAME", "desk"),
        ("TICKSMITH__SCHEMA_REGISTRY__USERNAME", "desk"),
        ("TICKSMITH__PRODUCER__HTTP_PORT", "0"),
        ("TICKSMITH__STREAM__HTTP_PORT", "0"),
    ]);
    command
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let encode = |byte| if plain(&byte) { char::from(byte).into() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

/// No secret in any of its coats.
fn assert_discreet(what: &str, text: &str) {
    let secrets = SECRETS.iter().map(|(_, secret)| *secret);
    for secret in secrets.chain([PROPERTY_SECRET, REGISTRY_LOGIN]) {
        let escaped = secret.escape_default().to_string();
        for coat in [secret.to_owned(), percent_encoded(secret), escaped] {
            let place = text.find(&coat).map(|at| text[at.saturating_sub(200)..at].to_owned());
            assert_eq!(place, None, "{what} tells {coat} after this");
        }
    }
}

/// Runs to the end; returns everything that was said.
fn said(what: &str, command: &mut Command, expected_code: i32) -> String {
    let (code, out, err) = run(command);
    let said = format!("{out}\n{err}");
    assert_eq!(code, expected_code, "{what}: {said}");
    assert_discreet(what, &said);
    said
}

/// A running command whose standard error is at hand.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a command, waits for the address that its log names after `mark`, and goes on collecting.
fn start(command: &mut Command, mark: &str) -> (Running, String, std::thread::JoinHandle<String>) {
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let mut said = String::new();
    let address = loop {
        let line = lines.next().expect("it says its address").expect("a line");
        said.push_str(&line);
        said.push('\n');
        if let Some((_, rest)) = line.split_once(mark) {
            break rest.split(['/', '"', ' ']).next().unwrap_or_default().to_owned();
        }
    };
    let rest = std::thread::spawn(move || {
        lines.map_while(Result::ok).for_each(|line| {
            said.push_str(&line);
            said.push('\n');
        });
        said
    });
    (Running(child), address, rest)
}

#[test]
fn servers_that_are_not_there_make_no_command_talk() {
    let registry = ("TICKSMITH__SCHEMA_REGISTRY__URL", format!("http://{NOBODY}"));
    let feed = ["producer", "--url", "ws://127.0.0.1:1", "--symbols", "AAPL"];
    let commands: [&[&str]; 5] =
        [&["topics"], &["cassandra-init"], &["smoke-test"], &["stream"], &feed];
    std::thread::scope(|scope| {
        for arguments in commands {
            scope.spawn(move || {
                let said = said("a command without servers", &mut talkative(arguments), 3);
                // librdkafka's own lines, which is where its configuration would stand.
                let is_finest = said.contains("DEBUG kafka") || arguments == ["cassandra-init"];
                assert!(is_finest || arguments == ["stream"], "not at the finest level: {said}");
            });
        }
        let mut with_registry = talkative(&["stream"]);
        with_registry.env(registry.0, &registry.1);
        scope.spawn(move || said("stream without registry", &mut with_registry, 3));
        let mut doctor = talkative(&["doctor", "--connect"]);
        doctor.env("TICKSMITH__FINNHUB__URL", format!("ws://{NOBODY}"));
        scope.spawn(move || said("a doctor without servers", &mut doctor, 3));
    });
}

/// The simulator knows another key, so the feed's client is refused. Its handshake carries the key.
#[test]
fn a_wrong_key_is_refused_in_words_without_it() {
    let mut simulator = talkative(&["simulate", "--port", "0"]);
    let (simulator, address, _) = start(simulator.env("TICKSMITH__SIMULATOR__KEY", "x"), "ws://");
    let mut up = talkative(&["up", "--port", "0", "--history", "0"]);
    let said = said("up", up.env("TICKSMITH__FINNHUB__URL", format!("ws://{address}")), 2);
    assert!(said.contains("FINNHUB_API_KEY is refused"), "{said}");
    drop(simulator);
}

/// The key is right: the process works, shows pages to those with the token, and is told to end.
#[test]
fn a_working_process_tells_no_secret_in_pages_metrics_logs_or_its_command_line() {
    let mut simulator = talkative(&["simulate", "--port", "0"]);
    let key = SECRETS[0].1;
    let (_simulator, feed, _) = start(simulator.env("TICKSMITH__SIMULATOR__KEY", key), "ws://");
    let port = free_port();
    let mut up = talkative(&["up", "--port", &port, "--for", "1m", "--symbols", "AAPL"]);
    up.env("TICKSMITH__FINNHUB__URL", format!("ws://{feed}"));
    let (up, _, log) = start(&mut up, "connected to ");
    let token = SECRETS.iter().find(|(name, _)| name.ends_with("TOKEN")).expect("a token").1;
    for path in ["/", "/metrics", "/api/v1/state", "/readyz", "/api/v1/nothing"] {
        let request = ureq::get(format!("http://127.0.0.1:{port}{path}"));
        let request = request.header("Authorization", format!("Bearer {token}"));
        let mut answer =
            request.config().http_status_as_error(false).build().call().expect("an answer");
        let page = answer.body_mut().read_to_string().expect("text");
        assert!(answer.status() != 401 && !page.is_empty(), "{path}: {}", answer.status());
        assert_discreet(path, &page);
    }
    #[cfg(target_os = "linux")]
    {
        let of_process = |file: &str| {
            let path = format!("/proc/{}/{file}", up.0.id());
            std::fs::read_to_string(path).expect("Linux tells it")
        };
        assert_discreet("the list of processes", &of_process("cmdline"));
        let limits = of_process("limits");
        let core = limits.lines().find(|line| line.starts_with("Max core file size"));
        let numbers: Vec<&str> = core.expect("a limit").split_whitespace().skip(4).collect();
        assert_eq!(numbers[..2], ["0", "0"], "core dumps are allowed");
    }
    let pid = i32::try_from(up.0.id()).expect("a process id");
    // SAFETY: the child is ours and not waited for yet, so its id is its own.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);
    let log = log.join().expect("the log ends with the process");
    assert_discreet("the log of a working process", &log);
}

#[test]
fn the_configuration_is_printed_without_secrets() {
    for format in ["toml", "json"] {
        let said = said(format, &mut talkative(&["config", "--format", format]), 0);
        assert!(said.matches("***").count() >= SECRETS.len(), "{said}");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("broken.toml");
    for (section, key) in [("kafka", "sasl_password"), ("http", "token"), ("finnhub", "api_key")] {
        let secret = SECRETS[1].1;
        std::fs::write(&file, format!("[{section}]\n{key} = [\"{secret}\", oops\n")).expect("ok");
        let path = file.to_str().expect("text");
        said("a broken file", &mut talkative(&["config", "--config", path]), 2);
    }
}

/// A flag would be seen by everybody on the machine. The simulator's key is the one exception: it
/// is made up, like its market.
#[test]
fn no_flag_takes_a_secret() {
    let (_, help, _) = run(&mut ticksmith(&["--help"]));
    let commands = help.split("Commands:").nth(1).expect("a list of commands");
    let names = commands.lines().skip(1).map_while(|line| line.split_whitespace().next());
    let mut looked_at = 0;
    for name in names {
        let (_, help, _) = run(&mut ticksmith(&[name, "--help"]));
        let flags = help.split_whitespace().filter(|word| word.starts_with("--"));
        for flag in flags.filter(|flag| *flag != "--key" || name != "simulate") {
            let words = ["key", "token", "password", "secret"];
            assert!(!flag.split('-').any(|part| words.contains(&part)), "{name} {flag}");
            looked_at += 1;
        }
    }
    assert!(looked_at > 20, "only {looked_at} flags were found");
}

const PANICS: &str = "TICKSMITH_TEST_PANICS";

/// Only does something in the process that the next test starts: the hook, a secret, a panic.
#[test]
fn a_panic_with_secrets_at_hand() {
    if std::env::var_os(PANICS).is_none() {
        return;
    }
    ticksmith::runtime::install_panic_hook();
    let secret = Secret::new(SECRETS[0].1);
    let parse = |address: String| if address.contains('?') { Err(address) } else { Ok(()) };
    let parsed = parse(format!("wss://feed?token={}", secret.reveal()));
    parsed.expect("an address that parses");
}

#[test]
fn a_panic_is_one_line_without_values() {
    let program = std::env::current_exe().expect("this test");
    let mut child = Command::new(program);
    child.args(["--exact", "a_panic_with_secrets_at_hand", "--nocapture"]);
    let (code, out, err) = run(child.env(PANICS, "1").env("RUST_BACKTRACE", "full"));
    assert_ne!(code, 0, "{out}{err}");
    assert!(err.contains("ticksmith: bug: an address that parses at"), "{err}");
    assert_discreet("a panic", &format!("{out}{err}"));
}

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port().to_string()
}

#[test]
fn pages_for_strangers_are_warned_of() {
    let open = ("TICKSMITH__HTTP__BIND", "0.0.0.0");
    let warned = |token: &str| {
        let mut up = ticksmith(&["up", "--port", "0", "--for", "1s", "--history", "0"]);
        let (_, _, err) = run(up.envs([open, ("TICKSMITH__HTTP__TOKEN", token)]));
        err.contains("set http.token, or http.bind = 127.0.0.1")
    };
    assert!(warned("") && !warned("0123456789abcdef"));
}
