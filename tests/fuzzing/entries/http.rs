//! Paths and queries of the HTTP API, over real tables in a real SQLite file, through a socket that
//! is only memory.

use std::io;
use std::sync::{Arc, LazyLock};

use axum::serve::Listener;
use tempfile::TempDir;
use ticksmith::config::Config;
use ticksmith::embedded::Database;
use ticksmith::embedded::store::{EmbeddedReader, EmbeddedStore};
use ticksmith::engine::{Engine, Input};
use ticksmith::http::{ApiContext, LiveHub, dashboard_router};
use ticksmith::model::{Effects, FeedEventKind, Origin};
use ticksmith::port::{Clock, Store};
use ticksmith::role::explain::Explainer;
use ticksmith::role::wiring;
use ticksmith::runtime::SystemClock;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use super::samples::{self, NOW_MS, interval};

/// Bytes on the way in one direction.
const WIRE_BYTES: usize = 64 * 1024;

/// Hands the server one end of each connection.
struct InMemory(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for InMemory {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.recv().await {
            Some(stream) => (stream, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<()> {
        Ok(())
    }
}

struct Server {
    runtime: Runtime,
    connect: mpsc::UnboundedSender<DuplexStream>,
    _directory: TempDir,
}

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory");
    let config = Config::defaults();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let database = Database::open(directory.path()).expect("a database");
    let mut store = EmbeddedStore::open(&database, &config, Arc::clone(&clock)).expect("a store");
    store.write(&a_few_trades(&config)).expect("written");
    store.flush().expect("written");
    let reader = Arc::new(EmbeddedReader::open(&database).expect("a reader"));
    let explainer = Arc::new(Explainer::new(&config, Arc::clone(&clock)).expect("an explainer"));
    let hub = Arc::new(LiveHub::new(clock));
    let intervals = [interval("5m"), interval("1h")];
    let router = dashboard_router(
        ApiContext::new(reader, explainer, hub.clone(), &intervals),
        hub.readiness(),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let (connect, connections) = mpsc::unbounded_channel();
    runtime.spawn(async move {
        let served: Result<(), io::Error> = axum::serve(InMemory(connections), router).await;
        served.expect("serves");
    });
    Server { runtime, connect, _directory: directory }
});

fn a_few_trades(config: &Config) -> Effects {
    let rules = wiring::rules(config).expect("valid rules");
    let mut engine = Engine::new(rules, 0, 1);
    let mut effects = Effects::default();
    let origin = |offset| Origin { partition: 0, offset };
    let subscribed = samples::event(FeedEventKind::Subscribed);
    engine.step(Input::Event { origin: origin(0), event: subscribed }, &mut effects);
    for (offset, minute) in (1..40).zip(0..) {
        let trade = ticksmith::model::Trade {
            seq: offset + 1,
            trade_time_ms: NOW_MS + minute * 60_000,
            received_at_us: (NOW_MS + minute * 60_000) * 1_000,
            ..samples::trade()
        };
        let key = trade.symbol.clone();
        let input = Input::Trade { origin: origin(offset), key: Some(key.as_bytes()), trade };
        engine.step(input, &mut effects);
    }
    effects
}

/// One request: the input is what follows `/api/v1/`, path and query.
pub fn http_query(bytes: &[u8]) {
    // Whatever ends the line would begin another request.
    let target: Vec<u8> = bytes.iter().copied().filter(|byte| !b"\r\n \0".contains(byte)).collect();
    if target.starts_with(b"stream") {
        // Live updates do not end.
        return;
    }
    let head = " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let request = [b"GET /api/v1/", &target[..], head.as_bytes()].concat();
    let server = &*SERVER;
    let answer = server.runtime.block_on(async {
        let (mut ours, theirs) = duplex(WIRE_BYTES);
        server.connect.send(theirs).expect("the server lives");
        let mut answer = Vec::new();
        // The server may refuse before it has read everything.
        let _ = ours.write_all(&request).await;
        ours.read_to_end(&mut answer).await.expect("memory does not break");
        answer
    });
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).unwrap_or_default();
    // 500 and a connection without an answer are what a panic in a handler comes to.
    let expected = ["200", "304", "400", "404", "405", "414", "422", "426", "431"];
    assert!(expected.contains(&status), "{answer}");
}
