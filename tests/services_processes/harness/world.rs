//! Topics, group, keyspace and files that belong to one case alone, and the commands run in it.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::foreign::{self, output_of};
use scylla::client::session_builder::SessionBuilder;

use super::kafka::Observer;
use super::process::{Ended, Process};
use super::{eventually, server};

/// A case's own corner of the servers.
pub struct World {
    name: String,
    directory: PathBuf,
    settings: Vec<(String, String)>,
    /// Of the feed, with commas between.
    keys: String,
    began_s: f64,
}

/// Time of the feed in a recording, as `tests/foreign/market.py` has it.
pub const RECORDED_MS: i64 = 105 * 60_000;

/// A recording for the simulator.
pub struct Frames {
    pub path: PathBuf,
    pub symbols: String,
}

impl World {
    /// Topics and tables are not made yet.
    pub fn new(case: &str) -> Self {
        let began = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let name = format!("{case}_{}_{}", std::process::id(), began.as_millis() % 1_000_000);
        let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(&name);
        std::fs::create_dir_all(&directory).expect("a directory for the case");
        let mut world = Self {
            name,
            directory,
            settings: Vec::new(),
            keys: "demo".into(),
            began_s: began.as_secs_f64(),
        };
        world.set("KAFKA__BOOTSTRAP", &server("TICKSMITH_TEST_KAFKA"));
        world.set("CASSANDRA__CONTACT_POINTS", &server("TICKSMITH_TEST_CASSANDRA"));
        for topic in ["TRADES", "SILVER", "LATE", "REJECTED", "BARS", "CHANGELOG", "LEASES"] {
            let name = format!("{}.{}", world.name, topic.to_lowercase());
            world.set(&format!("TOPICS__{topic}"), &name);
        }
        world.set("KAFKA__GROUP", &world.name.clone());
        world.set("CASSANDRA__KEYSPACE", &world.name.clone());
        // A killed process is missed soon.
        world.set("KAFKA__SESSION_TIMEOUT_MS", "6000");
        world.set("KAFKA__TRANSACTION_TIMEOUT_MS", "5000");
        world.set("PRODUCER__HEARTBEAT_EVERY_MS", "250");
        world.set("PRODUCER__HTTP_PORT", &free_port());
        world.set("STREAM__HTTP_PORT", &free_port());
        world
    }

    /// With topics and tables.
    pub fn prepared(case: &str) -> Self {
        let world = Self::new(case);
        world.succeed(&["topics"]);
        world.succeed(&["cassandra-init"]);
        world
    }

    /// A configuration key, `SECTION__KEY`.
    pub fn set(&mut self, key: &str, value: &str) {
        let key = format!("TICKSMITH__{key}");
        self.settings.retain(|(known, _)| *known != key);
        self.settings.push((key, value.to_owned()));
    }

    /// The keys of the feed, of the simulator as of the producer.
    pub fn set_keys(&mut self, keys: &str) {
        self.keys = keys.to_owned();
        self.set("SIMULATOR__KEY", keys);
    }

    pub fn setting(&self, key: &str) -> &str {
        let key = format!("TICKSMITH__{key}");
        let found = self.settings.iter().find(|(known, _)| *known == key);
        &found.unwrap_or_else(|| panic!("{key} is not set in this world")).1
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        self.at_home(&mut command);
        command
    }

    fn at_home<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.current_dir(&self.directory).envs(self.settings.iter().cloned());
        command.env("FINNHUB_API_KEY", &self.keys)
    }

    /// Starts a role.
    pub fn start(&self, arguments: &[&str]) -> Process {
        self.start_with(arguments, &[])
    }

    /// Starts a role that has settings, `SECTION__KEY`, of its own.
    pub fn start_with(&self, arguments: &[&str], settings: &[(&str, String)]) -> Process {
        let mut command = self.command(env!("CARGO_BIN_EXE_ticksmith"));
        for (key, value) in settings {
            command.env(format!("TICKSMITH__{key}"), value);
        }
        Process::start(&format!("ticksmith {}", arguments.join(" ")), command.args(arguments))
    }

    /// Runs a role to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.start(arguments).wait()
    }

    /// Runs a role that must succeed, and returns what it said.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code(), 0, "ticksmith {}:\n{}", arguments.join(" "), ended.said);
        ended.said
    }

    /// Runs another program, which finds this build in TICKSMITH_BIN, to its end.
    pub fn run_program(&self, program: &str, arguments: &[&str]) -> Ended {
        let mut command = self.command(program);
        command.env("TICKSMITH_BIN", env!("CARGO_BIN_EXE_ticksmith"));
        Process::start(program, command.args(arguments)).wait()
    }

    /// Runs a script of tests/foreign, which must succeed, and returns its standard output.
    pub fn python(&self, script: &str, arguments: &[&str]) -> String {
        let mut command = foreign::script(script);
        output_of(self.at_home(&mut command).args(arguments))
    }

    /// Holds everything in the topics and tables against the oracle.
    pub fn check(&self, arguments: &[&str]) {
        let since = format!("{:.0}", self.began_s.floor());
        let said = self.python("check.py", &[&["--since", &since], arguments].concat());
        println!("{}: {}", self.name, said.trim());
    }

    /// Makes a recording whose trades begin at `base_ms` and last for `RECORDED_MS`.
    pub fn record_frames(&self, base_ms: i64, trades: u32, seed: u32) -> Frames {
        let path = self.file(&format!("frames-{seed}.jsonl.gz"));
        let [base_ms, trades, seed] = [base_ms, trades.into(), seed.into()].map(|n| n.to_string());
        let arguments = ["--base-ms", &base_ms, "--trades", &trades, "--seed", &seed];
        let file = path.to_str().expect("the path is text");
        let summary = self.python("frames.py", &[&[file][..], &arguments].concat());
        let summary: serde_json::Value = serde_json::from_str(&summary).expect("a summary");
        let symbols = summary["symbols"].as_array().expect("symbols").iter();
        let symbols: Vec<&str> = symbols.filter_map(|symbol| symbol.as_str()).collect();
        Frames { path, symbols: symbols.join(",") }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs a statement, `{}` standing for the keyspace; returns the first row of two texts.
    pub fn cql(&self, statement: &str) -> Option<(String, String)> {
        let text = statement.replace("{}", self.setting("CASSANDRA__KEYSPACE"));
        let address = self.setting("CASSANDRA__CONTACT_POINTS");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let session = SessionBuilder::new().known_node(address).build().await;
            let answer = session.expect("Cassandra answers").query_unpaged(text, ()).await;
            let rows = answer.expect("an answer").into_rows_result().ok()?;
            rows.maybe_first_row().expect("two texts")
        })
    }

    /// Why the stream is not ready; `None`: it is. The outer one: it does not answer.
    pub fn readiness(&self) -> Result<Option<String>, String> {
        let text = self.page("readyz")?;
        Ok((text.trim() != "ready").then(|| text.trim().to_owned()))
    }

    /// A number without labels among the stream's metrics.
    pub fn metric(&self, name: &str) -> u64 {
        let page = self.page("metrics").expect("the stream answers");
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no metric {name}")).parse().expect("a whole number")
    }

    fn page(&self, path: &str) -> Result<String, String> {
        let url = format!("http://127.0.0.1:{}/{path}", self.setting("STREAM__HTTP_PORT"));
        let request = ureq::get(url).config().http_status_as_error(false).build();
        let mut answer = request.call().map_err(|error| error.to_string())?;
        answer.body_mut().read_to_string().map_err(|error| error.to_string())
    }

    /// Waits until the stream is ready.
    pub fn wait_until_ready(&self) {
        eventually("the stream is ready", || self.readiness()?.map_or(Ok(()), Err));
    }

    /// Waits until the stream is not ready, with all of `words` in the reason.
    pub fn wait_until_stalled(&self, words: &[&str]) {
        eventually(&format!("the stream names {words:?} as what keeps it"), || {
            let reason = self.readiness()?.ok_or("it is ready")?;
            let is_named = words.iter().all(|word| reason.contains(word));
            if is_named { Ok(()) } else { Err(reason) }
        });
    }

    /// The only column of a statement's rows, texts, in order.
    pub fn cql_column(&self, statement: &str) -> Vec<String> {
        let text = statement.replace("{}", self.setting("CASSANDRA__KEYSPACE"));
        let address = self.setting("CASSANDRA__CONTACT_POINTS");
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let mut column = runtime.block_on(async {
            let session = SessionBuilder::new().known_node(address).build().await;
            let answer = session.expect("Cassandra answers").query_unpaged(text, ()).await;
            let rows = answer.expect("an answer").into_rows_result().expect("rows");
            let rows = rows.rows::<(String,)>().expect("one text");
            rows.map(|row| row.expect("a text").0).collect::<Vec<_>>()
        });
        column.sort();
        column
    }

    /// Another group, keyspace and topics of the given roles, in place of those so far.
    pub fn begin_anew(&mut self, topics: &[&str]) {
        let name = format!("{}_anew", self.name);
        for topic in topics {
            self.set(&format!("TOPICS__{topic}"), &format!("{name}.{}", topic.to_lowercase()));
        }
        self.set("KAFKA__GROUP", &name);
        self.set("CASSANDRA__KEYSPACE", &name);
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Starts the simulator; returns it with its address.
    pub fn start_simulator(&self, frames: &Frames, more: &[&str]) -> (Process, String) {
        let path = frames.path.to_str().expect("the path is text");
        self.start_market(&[&["--frames", path], more].concat())
    }

    /// The same without a recording.
    pub fn start_market(&self, more: &[&str]) -> (Process, String) {
        let mut simulator = self.start(&[&["simulate", "--port", "0"], more].concat());
        let address = simulator.wait_for("its address", address_in);
        let url = format!("ws://{address}");
        (simulator, url)
    }

    pub fn start_producer(&self, url: &str, frames: &Frames) -> Process {
        self.start(&["producer", "--url", url, "--symbols", &frames.symbols])
    }

    /// A producer that has read all of a recording of its own. One that is under way already may be
    /// over before a slow machine has started another producer.
    pub fn produce_all(&self, base_ms: i64, trades: u32, seed: u32) -> Process {
        let frames = self.record_frames(base_ms, trades, seed);
        let (simulator, url) = self.start_simulator(&frames, &["--speed", "300", "--exit-at-end"]);
        let mut producer = self.start_producer(&url, &frames);
        producer.wait_for("that it subscribed", |said| said.contains("subscribed").then_some(()));
        assert_eq!(simulator.wait().code(), 0, "simulate --exit-at-end");
        producer
    }

    /// What a process on this machine answers over HTTP, head and body.
    pub fn get(&self, port: &str, path: &str) -> Result<String, String> {
        let ask = || -> std::io::Result<String> {
            let mut stream = std::net::TcpStream::connect(format!("127.0.0.1:{port}"))?;
            write!(stream, "GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().map_err(|error| error.to_string())
    }

    pub fn observer(&self) -> Observer {
        self.observer_of("TOPICS__TRADES")
    }

    /// Of the topic that a configuration key names.
    pub fn observer_of(&self, topic: &str) -> Observer {
        let topic = self.setting(topic);
        // The listener that is open even where the world's own one is not.
        let bootstrap = server("TICKSMITH_TEST_KAFKA");
        Observer::new(&bootstrap, self.setting("KAFKA__GROUP"), topic)
    }

    /// The same, as readers of one isolation level see it.
    pub fn isolated_observer_of(&self, topic: &str, isolation: &str) -> Observer {
        let bootstrap = server("TICKSMITH_TEST_KAFKA");
        let (group, topic) = (self.setting("KAFKA__GROUP"), self.setting(topic));
        Observer::isolated(&bootstrap, group, topic, isolation)
    }

    /// Waits until the trades topic holds so many records.
    pub fn wait_for_trades(&self, least: i64) {
        let observer = self.observer();
        eventually(&format!("{least} records in the trades topic"), || {
            let held: i64 = observer.ends()?.values().sum();
            if held >= least { Ok(()) } else { Err(format!("it holds {held}")) }
        });
    }

    /// Waits until the group has committed so many records; returns how many.
    pub fn wait_for_commits(&self, least: i64) -> i64 {
        let observer = self.observer();
        eventually(&format!("{least} records committed"), || {
            let committed: i64 = observer.committed()?.values().sum();
            if committed >= least { Ok(committed) } else { Err(format!("only {committed}")) }
        })
    }

    /// Waits until the group has committed the whole topic.
    pub fn wait_until_read(&self) {
        let observer = self.observer();
        eventually("the stream reads to the end", || {
            let (ends, committed) = (observer.ends()?, observer.committed()?);
            let behind =
                |(partition, end): (&i32, &i64)| committed.get(partition).unwrap_or(&0) < end;
            if ends.iter().any(behind) {
                return Err(format!("ends {ends:?}, committed {committed:?}"));
            }
            Ok(())
        });
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // After a failure the files are there to be looked at; what cannot be removed does no harm.
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// Host and port that a simulator says it listens on.
pub fn address_in(said: &str) -> Option<String> {
    let (_, rest) = said.split_once("ws://")?;
    Some(rest.split(['/', '?', ':', ' ']).take(2).collect::<Vec<_>>().join(":"))
}

/// A port that nobody has and nobody was given before. It lies below those that the kernel hands
/// out to outgoing connections: one of theirs is taken again before the process that it is for.
pub fn free_port() -> String {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    // Another run beside this one looks elsewhere.
    let first = 10_000 + (std::process::id() % 8_000) as u16;
    let mut ports = std::iter::repeat_with(|| first + GIVEN.fetch_add(1, Ordering::Relaxed));
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(is_free).expect("a free port").to_string()
}
