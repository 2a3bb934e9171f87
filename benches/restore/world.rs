//! Trades of 10,000 symbols, and `ticksmith stream` over them, watched as an orchestrator does.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ticksmith::codec::avro::Avro;
use ticksmith::config::Config;
use ticksmith::kafka::KafkaPublisher;
use ticksmith::model::feed_event::FEED_EVENT_HEADER;
use ticksmith::model::{Bar, FeedEvent, FeedEventKind, Judged, Trade};
use ticksmith::port::{BeatReport, Live, OutRecord, Published, Publisher, Topic};
use ticksmith::runtime::SystemClock;

use super::{PARTITIONS, SYMBOLS, Start};

/// A Monday, ten o'clock in New York.
const START_MS: i64 = 1_710_165_600_000;
/// Each symbol trades once a minute for so long: of its windows, the last ones are open or within
/// lateness then.
const MINUTES: usize = 28;
const TOPIC: &str = "restore-trades";
const BATCH: usize = 2_000;
/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// When the pipeline was ready for the first time.
#[derive(Default)]
pub struct ReadyAt(OnceLock<Instant>);

impl ReadyAt {
    pub fn first(&self) -> Instant {
        *self.0.get().expect("it was ready")
    }
}

impl Live for ReadyAt {
    fn bars(&self, _: &[Bar]) {}
    fn trades(&self, _: &[Judged]) {}
    fn ready(&self, ready: bool, _: &str) {
        if ready {
            self.0.get_or_init(Instant::now);
        }
    }
    fn beat(&self, _: &BeatReport) {}
}

fn symbol(number: usize) -> String {
    format!("S{number:04}")
}

fn event(avro: &Avro, kind: FeedEventKind, seq: i64, partition: u32) -> OutRecord {
    let event = FeedEvent {
        kind,
        connection: 1,
        seq,
        feed: "bench/0".into(),
        at_us: START_MS * 1_000,
        feed_time_ms: None,
        confirmed_at_us: None,
        confirmed_feed_time_ms: None,
        symbols: if seq == 2 { (0..SYMBOLS).map(symbol).collect() } else { Vec::new() },
        lost_records: 0,
        detail: String::new(),
    };
    let mut header = Vec::new();
    avro.encode_feed_event(&event, &mut header).expect("encodes");
    OutRecord {
        topic: Topic::Trades,
        partition: i32::try_from(partition).ok(),
        key: None,
        value: None,
        headers: vec![(FEED_EVENT_HEADER, header)],
    }
}

fn trade(avro: &Avro, number: usize) -> OutRecord {
    let (name, at_ms) = (symbol(number % SYMBOLS), number as i64 * 60_000 / SYMBOLS as i64);
    let trade = Trade {
        symbol: name.clone(),
        price: 100.0 + (number % 97) as f64 / 8.0,
        volume: 1.0 + (number % 7) as f64,
        trade_time_ms: START_MS + at_ms,
        conditions: Some(vec!["1".into()]),
        connection: 1,
        seq: 3 + number as i64,
        received_at_us: (START_MS + at_ms) * 1_000,
        feed: "bench/0".into(),
    };
    let mut value = Vec::new();
    avro.encode_trade(&trade, &mut value).expect("encodes");
    let (topic, key) = (Topic::Trades, Some(name.into_bytes()));
    OutRecord { topic, partition: None, key, value: Some(value), headers: Vec::new() }
}

/// A connection, its subscription, and all trades.
pub fn publish(publisher: &mut dyn Publisher) {
    let avro = Avro::single_object();
    let kinds = [(FeedEventKind::Connected, 1), (FeedEventKind::Subscribed, 2)];
    let events = |(kind, seq)| (0..PARTITIONS).map(move |one| (kind, seq, one));
    let events = kinds.into_iter().flat_map(events);
    send(publisher, events.map(|(kind, seq, one)| event(&avro, kind, seq, one)).collect());
    for first in (0..SYMBOLS * MINUTES).step_by(BATCH) {
        send(publisher, (first..first + BATCH).map(|number| trade(&avro, number)).collect());
    }
    publisher.flush(PATIENCE).expect("everything is acknowledged");
}

fn send(publisher: &mut dyn Publisher, mut records: Vec<OutRecord>) {
    while let Published::NoRoom(back) = publisher.publish(records).expect("published") {
        std::thread::sleep(Duration::from_millis(5));
        records = back;
    }
}

/// What a process says of its restores.
pub fn metrics_of(text: &str) -> Start {
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |number| number.parse().expect("a number"))
    };
    Start {
        ready_seconds: 0.0,
        restore_seconds: value("ticksmith_restore_seconds_sum"),
        records: value("ticksmith_restore_records_total"),
        bytes: value("ticksmith_restore_bytes_total"),
    }
}

/// Topics in a real Kafka, and streams over them.
pub struct KafkaWorld {
    bootstrap: String,
}

impl KafkaWorld {
    /// With all trades in the topic.
    pub fn filled(bootstrap: &str) -> Self {
        let world = Self { bootstrap: bootstrap.to_owned() };
        world.succeed("filled", &["topics"]);
        let mut config = Config::defaults();
        config.kafka.bootstrap = bootstrap.to_owned();
        config.topics.trades = TOPIC.to_owned();
        let clock = Arc::new(SystemClock);
        publish(&mut KafkaPublisher::connect(&config, clock).expect("a publisher"));
        world
    }

    /// Makes the state of `group`.
    pub fn read_all(&self, group: &str, beat_records: usize) {
        self.succeed(group, &["topics"]);
        let mut command = self.command(group, &["stream", "--until-end"]);
        command.env("TICKSMITH__STREAM__BEAT_RECORDS", beat_records.to_string());
        command.env("TICKSMITH__STREAM__BEAT_MS", "10000");
        assert!(command.status().expect("the binary runs").success(), "stream --until-end");
    }

    /// Starts the stream, waits until it is ready, and stops it.
    pub fn start_until_ready(&self, group: &str) -> Start {
        let address = free_address();
        let port = address.rsplit(':').next().expect("a port").to_owned();
        let began = Instant::now();
        let mut command = self.command(group, &["stream"]);
        let mut child = command.env("TICKSMITH__STREAM__HTTP_PORT", port).spawn().expect("starts");
        while !get(&address, "/readyz").starts_with("HTTP/1.1 200") {
            assert!(child.try_wait().expect("ours").is_none(), "the stream ended");
            assert!(began.elapsed() < PATIENCE, "not ready: {}", get(&address, "/readyz"));
            std::thread::sleep(Duration::from_millis(5));
        }
        let ready_seconds = began.elapsed().as_secs_f64();
        let start = metrics_of(&get(&address, "/metrics"));
        stop(child);
        Start { ready_seconds, ..start }
    }

    fn succeed(&self, group: &str, arguments: &[&str]) {
        let output = self.command(group, arguments).output().expect("the binary runs");
        // 1 = something exists with other settings, which a second run of the bench may find.
        let problem = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code().is_some_and(|code| code <= 1), "{arguments:?}: {problem}");
    }

    fn command(&self, group: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ticksmith"));
        command
            .args(arguments)
            .current_dir(std::env::temp_dir())
            .stdout(Stdio::null())
            .env("TICKSMITH__KAFKA__BOOTSTRAP", &self.bootstrap)
            .env("TICKSMITH__KAFKA__GROUP", group)
            .env("TICKSMITH__TOPICS__TRADES", TOPIC)
            .env("TICKSMITH__TOPICS__CHANGELOG", format!("{group}-changelog"))
            .env("TICKSMITH__STREAM__STORE", "none")
            .env("TICKSMITH__STREAM__SILVER_TOPIC", "false")
            .env("TICKSMITH__STREAM__HTTP_PORT", "0")
            .env("TICKSMITH__LOG__LEVEL", "warn");
        command
    }
}

fn stop(mut child: Child) {
    let pid = libc::pid_t::try_from(child.id()).expect("a process id");
    // SAFETY: `kill` takes two integers; the child is ours and not yet waited for.
    unsafe { libc::kill(pid, libc::SIGTERM) };
    assert!(child.wait().expect("it ends").success(), "a clean stop");
}

/// One that was free a moment ago.
fn free_address() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").to_string()
}

/// The answer with its head; empty while nobody listens.
fn get(address: &str, path: &str) -> String {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().unwrap_or_default()
}
