//! The feed's client against the simulator, and against a few sockets that misbehave in other
//! ways, over real WebSockets.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use ticksmith::config::Secret;
use ticksmith::error::{Error, Result};
use ticksmith::model::{Element, Frame};
use ticksmith::port::Tenure;
use ticksmith::runtime::{BackoffBounds, Shutdown, SystemClock};
use ticksmith::websocket::simulator::{
    Fault, FaultTiming, MarketOptions, Recording, SimulatorOptions, Source, Speed, serve,
};
use ticksmith::websocket::{
    Address, Client, ClientOptions, ConnectionIds, Happening, Lease, Signal, Trust, spread_symbols,
};

const KEY: &str = "a-key-that-nobody-may-see";
/// Nothing here takes a second; a test that waits for so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

fn market(rate: f64) -> SimulatorOptions {
    let symbols = ["AAPL", "MSFT", "BINANCE:BTCUSDT"].map(String::from).to_vec();
    let source = Source::Market(MarketOptions::new(symbols, rate, 1));
    let fault_timing = FaultTiming { after_frames: 3, after: Duration::ZERO, every_frames: 3 };
    SimulatorOptions { fault_timing, ..SimulatorOptions::new(source, vec![KEY.into()], 1) }
}

async fn start(options: SimulatorOptions, shutdown: &Shutdown) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    tokio::spawn(serve(listener, options, shutdown.clone()));
    url
}

struct Running {
    signals: mpsc::Receiver<Signal>,
    task: JoinHandle<Result<()>>,
    shutdown: Shutdown,
}

fn options(url: &str, symbols: &[&str]) -> ClientOptions {
    ClientOptions {
        address: Address::parse(url).expect("an address"),
        trust: Trust::default(),
        key: Secret::new(KEY),
        slot: 0,
        feed: "test/0".into(),
        symbols: symbols.iter().map(ToString::to_string).collect(),
        silence_after: Duration::from_secs(30),
        heartbeat_every: Duration::from_millis(50),
        backoff: BackoffBounds {
            initial: Duration::from_millis(1),
            max: Duration::from_millis(5),
            throttled: Duration::from_millis(20),
        },
        lease: Lease::unneeded(),
    }
}

fn connect(options: ClientOptions) -> Running {
    let (sender, signals) = mpsc::channel(64);
    let shutdown = Shutdown::default();
    let ids = Arc::new(ConnectionIds::new(1));
    let client = Client::new(options, ids, Arc::new(SystemClock), sender, shutdown.clone());
    Running { signals, task: tokio::spawn(client.run()), shutdown }
}

impl Running {
    async fn next(&mut self) -> Happening {
        let signal = timeout(PATIENCE, self.signals.recv()).await.expect("in time");
        signal.expect("the client is running").happening
    }

    /// The first happening of which `pick` makes something.
    async fn until<T>(&mut self, mut pick: impl FnMut(Happening) -> Option<T>) -> T {
        loop {
            if let Some(picked) = pick(self.next().await) {
                return picked;
            }
        }
    }

    async fn until_trades(&mut self) -> Vec<Element> {
        self.until(|happening| match happening {
            Happening::Frame { frame: Frame::Trades(elements), .. } => Some(elements),
            _ => None,
        })
        .await
    }

    async fn until_disconnected(&mut self) -> String {
        self.until(|happening| match happening {
            Happening::Disconnected { detail } => Some(detail),
            _ => None,
        })
        .await
    }

    async fn until_standby(&mut self) -> String {
        self.until(|happening| match happening {
            Happening::StandsBy { detail } => Some(detail),
            _ => None,
        })
        .await
    }

    async fn until_connected(&mut self) -> i64 {
        self.until(|happening| match happening {
            Happening::Connected { connection } => Some(connection),
            _ => None,
        })
        .await
    }

    /// The client ended by itself; its queue is read to the end.
    async fn outcome(mut self) -> Result<()> {
        while timeout(PATIENCE, self.signals.recv()).await.expect("in time").is_some() {}
        self.task.await.expect("no panic")
    }

    async fn stop(self) {
        self.shutdown.request();
        self.outcome().await.expect("a clean stop");
    }
}

fn symbols_of(elements: &[Element]) -> Vec<&str> {
    fn symbol(element: &Element) -> &str {
        match element {
            Element::Trade(trade) => &trade.symbol,
            Element::Malformed(element) => panic!("{element:?}"),
        }
    }
    elements.iter().map(symbol).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_gets_the_symbols_that_it_asked_for_and_stops_cleanly() {
    let shutdown = Shutdown::default();
    let url = start(market(500.0), &shutdown).await;
    let mut client = connect(options(&url, &["AAPL"]));
    client.until_connected().await;
    let Happening::Subscribed { symbols } = client.next().await else { panic!("not subscribed") };
    assert_eq!(symbols, ["AAPL"]);
    for _ in 0..5 {
        assert!(symbols_of(&client.until_trades().await).iter().all(|symbol| *symbol == "AAPL"));
    }
    client.until(|happening| matches!(happening, Happening::Heartbeat).then_some(())).await;
    client.shutdown.request();
    let stopped = |happening| matches!(happening, Happening::Stopped { .. }).then_some(());
    client.until(stopped).await;
    client.stop().await;
    shutdown.request();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_of_the_feed_are_understood() {
    let shutdown = Shutdown::default();
    let ping_every = Duration::from_millis(10);
    let url = start(SimulatorOptions { ping_every, ..market(0.001) }, &shutdown).await;
    let mut client = connect(options(&url, &["AAPL"]));
    let ping = |happening| matches!(happening, Happening::Frame { frame: Frame::Ping, .. });
    client.until(|happening| ping(happening).then_some(())).await;
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_is_named_and_ends_the_client() {
    let shutdown = Shutdown::default();
    let url =
        start(SimulatorOptions { keys: vec!["other".into()], ..market(1.0) }, &shutdown).await;
    let error = connect(options(&url, &["AAPL"])).outcome().await.expect_err("wrong key");
    assert!(matches!(error, Error::Config(_)));
    let text = error.to_string();
    assert!(
        text.contains("401") && text.contains("FINNHUB_API_KEY") && !text.contains(KEY),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_any_characters_is_known_again() {
    let key = "k/e y+100%&";
    let shutdown = Shutdown::default();
    let url = start(SimulatorOptions { keys: vec![key.into()], ..market(1.0) }, &shutdown).await;
    let mut client = connect(ClientOptions { key: Secret::new(key), ..options(&url, &["AAPL"]) });
    client.until_connected().await;
    client.stop().await;
}

/// A server that sends `message`, then closes with `reason`.
async fn closing_server(message: Option<&'static str>, reason: &'static str) -> String {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut socket = tokio_tungstenite::accept_async(stream).await.expect("an upgrade");
            if let Some(message) = message {
                socket.send(Message::text(message)).await.expect("sent");
            }
            let frame = CloseFrame { code: CloseCode::Policy, reason: reason.into() };
            let _ = socket.close(Some(frame)).await;
            while let Some(Ok(_)) = socket.next().await {}
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_key_may_also_be_said_by_message_or_close_reason() {
    let message = Some(r#"{"msg":"Invalid API key","type":"error"}"#);
    for (message, reason) in [(message, ""), (None, "Invalid API key")] {
        let url = closing_server(message, reason).await;
        let outcome = connect(options(&url, &["AAPL"])).outcome().await;
        assert!(matches!(outcome, Err(Error::Config(_))), "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connect_then_close_and_a_key_in_use_are_named() {
    for (message, reason, expected) in [
        (None, "", "right after it opened"),
        (None, "token already in use", "in use by another"),
        (Some(r#"{"msg":"token already in use","type":"error"}"#), "", "in use by another"),
        (Some(r#"{"msg":"API limit reached.","type":"error"}"#), "", "throttled"),
    ] {
        let url = closing_server(message, reason).await;
        let mut client = connect(options(&url, &["AAPL"]));
        let detail = client.until_disconnected().await;
        assert!(detail.contains(expected), "{detail}");
        client.until_connected().await;
        client.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_429_is_tried_again_after_the_long_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    let throttled = Duration::from_millis(200);
    let mut patient = options(&url, &["AAPL"]);
    patient.backoff.throttled = throttled;
    let client = connect(patient);
    let mut attempts = Vec::new();
    while attempts.len() < 2 {
        let (mut stream, _) =
            timeout(PATIENCE, listener.accept()).await.expect("in time").expect("a connection");
        attempts.push(std::time::Instant::now());
        let mut request = [0; 1024];
        assert!(stream.read(&mut request).await.expect("a request") > 0);
        let answer = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(answer).await.expect("sent");
    }
    assert!(attempts[1] - attempts[0] >= throttled / 2, "the lower bound of the long wait");
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_is_tried_until_somebody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let mut client = connect(options(&format!("ws://{address}"), &["AAPL"]));
    let listener = TcpListener::bind(address).await.expect("still free");
    let shutdown = Shutdown::default();
    tokio::spawn(serve(listener, market(500.0), shutdown.clone()));
    client.until_trades().await;
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_connection_is_noticed_and_made_anew() {
    let shutdown = Shutdown::default();
    let url =
        start(SimulatorOptions { fault: Some(Fault::Silent), ..market(500.0) }, &shutdown).await;
    let mut patient = options(&url, &["AAPL"]);
    patient.silence_after = Duration::from_millis(300);
    let mut client = connect(patient);
    let first = client.until_connected().await;
    client.until_trades().await;
    let silence = |happening| matches!(happening, Happening::Silence { .. }).then_some(());
    client.until(silence).await;
    assert!(client.until_disconnected().await.contains("300 ms"));
    assert!(client.until_connected().await > first);
    client.until_trades().await;
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_connection_is_made_anew_under_a_higher_id() {
    let shutdown = Shutdown::default();
    let dropping = SimulatorOptions { fault: Some(Fault::Drop), ..market(500.0) };
    let url = start(dropping, &shutdown).await;
    let mut client = connect(options(&url, &["AAPL", "MSFT"]));
    let mut last = 0;
    for _ in 0..3 {
        let connection = client.until_connected().await;
        assert!(connection > last);
        last = connection;
        client.until_trades().await;
        client.until_disconnected().await;
    }
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_frames_do_not_disturb_their_neighbours() {
    let shutdown = Shutdown::default();
    let simulator = SimulatorOptions { fault: Some(Fault::Malformed), ..market(500.0) };
    let url = start(simulator, &shutdown).await;
    let mut client = connect(options(&url, &["AAPL"]));
    let malformed = |happening| {
        matches!(happening, Happening::Frame { frame: Frame::Malformed { .. }, .. }).then_some(())
    };
    client.until(malformed).await;
    client.until_trades().await;
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_can_be_sent_three_times() {
    let shutdown = Shutdown::default();
    let simulator = SimulatorOptions { fault: Some(Fault::Repeat3), ..market(5_000.0) };
    let url = start(simulator, &shutdown).await;
    let mut client = connect(options(&url, &["AAPL"]));
    let mut last_three = Vec::new();
    client
        .until(|happening| match happening {
            Happening::Frame { raw, .. } => {
                last_three.push(raw);
                let count = last_three.len();
                let is_triple = count >= 3
                    && last_three[count - 3..].iter().all(|frame| *frame == last_three[count - 1]);
                is_triple.then_some(())
            }
            _ => None,
        })
        .await;
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_and_unknown_symbols_are_told_and_the_rest_is_served() {
    let shutdown = Shutdown::default();
    let url = start(SimulatorOptions { symbols_per_key: 1, ..market(500.0) }, &shutdown).await;
    let mut client = connect(options(&url, &["FX:EURUSD", "MSFT", "AAPL"]));
    let mut messages = Vec::new();
    while messages.len() < 2 {
        let message = |happening| match happening {
            Happening::Frame { frame: Frame::Error { message }, .. } => Some(message),
            _ => None,
        };
        messages.push(client.until(message).await);
    }
    assert_eq!(messages, ["Invalid symbol FX:EURUSD", "Subscribing to too many symbols"]);
    assert!(symbols_of(&client.until_trades().await).iter().all(|symbol| *symbol == "MSFT"));
    client.stop().await;
    let too_many: Vec<String> = (0..51).map(|index| format!("S{index}")).collect();
    assert!(spread_symbols(&too_many, 1, 50).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_connection_on_one_key_costs_both_theirs() {
    let shutdown = Shutdown::default();
    let url = start(market(500.0), &shutdown).await;
    let mut slow = options(&url, &["AAPL"]);
    slow.backoff.throttled = Duration::from_secs(60);
    slow.backoff.initial = Duration::from_secs(60);
    slow.backoff.max = Duration::from_secs(60);
    let mut first = connect(slow.clone());
    first.until_trades().await;
    let mut second = connect(slow);
    let detail = second.until_disconnected().await;
    assert!(detail.contains("in use"), "{detail}");
    first.until_disconnected().await;
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recording_is_replayed_whole_and_the_server_ends_with_it() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/frames/feed.jsonl");
    let recorded = std::fs::read_to_string(path).expect("the fixture");
    let recording = Recording::open(path.as_ref()).expect("frames");
    let symbols = recording.symbols.clone();
    let names: Vec<&str> = symbols.iter().map(String::as_str).collect();
    let source = Source::Recording { recording, speed: Speed::Max, exit_at_end: true };
    let simulator = SimulatorOptions::new(source, vec![KEY.into()], 1);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}", listener.local_addr().expect("an address"));
    let server = tokio::spawn(serve(listener, simulator, Shutdown::default()));
    let mut client = connect(options(&url, &names));
    let mut received = Vec::new();
    client
        .until(|happening| match happening {
            Happening::Frame { raw, .. } => {
                received.push(raw);
                None
            }
            Happening::Disconnected { .. } => Some(()),
            _ => None,
        })
        .await;
    assert_eq!(received, recorded.lines().collect::<Vec<_>>());
    timeout(PATIENCE, server).await.expect("in time").expect("no panic").expect("served");
    client.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_websocket_client_does_not_disturb_the_simulator() {
    let shutdown = Shutdown::default();
    let url = start(market(500.0), &shutdown).await;
    let mut stream =
        TcpStream::connect(url.trim_start_matches("ws://")).await.expect("a connection");
    stream.write_all(b"rubbish\r\n\r\n").await.expect("sent");
    let mut client = connect(options(&url, &["AAPL"]));
    client.until_trades().await;
    client.stop().await;
}

/// A client whose lease is in the test's hands.
fn leased(url: &str, first: Tenure) -> (Running, watch::Sender<Tenure>) {
    let (sender, receiver) = watch::channel(first);
    let lease = Lease::new(receiver);
    (connect(ClientOptions { lease, ..options(url, &["AAPL"]) }), sender)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_reads_while_it_has_the_lease_and_gives_way_when_another_has_it() {
    let shutdown = Shutdown::default();
    let url = start(market(500.0), &shutdown).await;
    let (mut client, tenure) = leased(&url, Tenure::Elsewhere);
    assert!(client.until_standby().await.contains("another producer holds the lease"));
    assert!(client.signals.try_recv().is_err(), "it does not connect");
    tenure.send_replace(Tenure::Held);
    let first = client.until_connected().await;
    client.until_trades().await;
    for passing in [Tenure::Asked, Tenure::Presumed, Tenure::Asked, Tenure::Held] {
        tenure.send_replace(passing);
        client.until_trades().await;
    }
    tenure.send_replace(Tenure::Elsewhere);
    assert!(client.until_disconnected().await.contains("another producer"));
    client.until_standby().await;
    let mut other = connect(options(&url, &["AAPL"]));
    other.until_trades().await;
    other.stop().await;
    tenure.send_replace(Tenure::Held);
    assert!(client.until_connected().await > first);
    client.stop().await;
    assert!(tenure.is_closed(), "the lease is given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_lease_is_asked_for_nothing_new_is_opened() {
    let shutdown = Shutdown::default();
    let dropping = SimulatorOptions { fault: Some(Fault::Drop), ..market(500.0) };
    let url = start(dropping, &shutdown).await;
    let (mut client, tenure) = leased(&url, Tenure::Presumed);
    client.until_trades().await;
    tenure.send_replace(Tenure::Asked);
    client.until_disconnected().await;
    assert!(client.until_standby().await.contains("asking"));
    tenure.send_replace(Tenure::Presumed);
    client.until_connected().await;
    tenure.send_replace(Tenure::Refused("no such group".into()));
    let error = client.outcome().await.expect_err("no lease").to_string();
    assert!(error.contains("no such group"), "{error}");
}

/// The old holder's connection lives on for a while: the feed drops both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_in_use_is_tried_again_soon_by_the_holder_and_not_by_one_who_presumes() {
    let url = closing_server(None, "token already in use").await;
    for (tenure, is_held) in [(Tenure::Held, true), (Tenure::Presumed, false)] {
        let (sender, receiver) = watch::channel(tenure);
        let mut patient = options(&url, &["AAPL"]);
        patient.lease = Lease::new(receiver);
        patient.backoff.throttled = Duration::from_secs(3_600);
        let mut client = connect(patient);
        client.until_disconnected().await;
        // Word that the lease is ours ends the long wait.
        if !is_held {
            sender.send_replace(Tenure::Held);
        }
        client.until_connected().await;
        client.stop().await;
    }
}
