//! The feed's client over TLS (`wss://`): it talks to whom its authorities vouch for, and to nobody
//! else.

#[path = "process/mod.rs"]
mod process;

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use process::ticksmith;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use ticksmith::config::Secret;
use ticksmith::model::Frame;
use ticksmith::runtime::{BackoffBounds, Shutdown, SystemClock};
use ticksmith::websocket::simulator::{MarketOptions, SimulatorOptions, Source, serve};
use ticksmith::websocket::{
    Address, Client, ClientOptions, ConnectionIds, Happening, Lease, Signal, Trust,
};

const KEY: &str = "a-key-that-nobody-may-see";
/// An authority, and a certificate of it for `localhost` and 127.0.0.1.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/registry");
/// Nothing here takes a second; a test that waits for so long has failed.
const PATIENCE: Duration = Duration::from_secs(20);

fn acceptor() -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(format!("{FIXTURES}/server.pem"));
    let key = PrivateKeyDer::from_pem_file(format!("{FIXTURES}/server.key"));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.expect("a certificate")], key.expect("a key"))
        .expect("a pair");
    TlsAcceptor::from(Arc::new(config))
}

/// The simulator behind TLS; returns the port.
async fn start(shutdown: &Shutdown) -> u16 {
    let plain = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let behind = plain.local_addr().expect("an address");
    let source = Source::Market(MarketOptions::new(vec!["AAPL".into()], 200.0, 1));
    let options = SimulatorOptions::new(source, vec![KEY.into()], 1);
    tokio::spawn(serve(plain, options, shutdown.clone()));
    let secure = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = secure.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = secure.accept().await {
            tokio::spawn(async move {
                // A client that does not believe the certificate hangs up here.
                let Ok(mut stream) = acceptor().accept(stream).await else { return };
                let mut simulator = TcpStream::connect(behind).await.expect("the simulator");
                let _ = copy_bidirectional(&mut stream, &mut simulator).await;
            });
        }
    });
    port
}

fn connect(url: &str, trust: Trust, shutdown: &Shutdown) -> mpsc::Receiver<Signal> {
    let pause = Duration::from_millis(5);
    let options = ClientOptions {
        address: Address::parse(url).expect("an address"),
        trust,
        key: Secret::new(KEY),
        slot: 0,
        feed: "test/0".into(),
        symbols: vec!["AAPL".into()],
        silence_after: Duration::from_secs(30),
        heartbeat_every: Duration::from_millis(50),
        backoff: BackoffBounds { initial: pause, max: pause, throttled: pause },
        lease: Lease::unneeded(),
    };
    let (sender, signals) = mpsc::channel(64);
    let ids = Arc::new(ConnectionIds::new(1));
    let client = Client::new(options, ids, Arc::new(SystemClock), sender, shutdown.clone());
    tokio::spawn(client.run());
    signals
}

async fn next(signals: &mut mpsc::Receiver<Signal>) -> Option<Happening> {
    timeout(PATIENCE, signals.recv()).await.expect("in time").map(|signal| signal.happening)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trades_come_from_a_feed_that_the_authority_vouches_for() {
    let shutdown = Shutdown::default();
    let port = start(&shutdown).await;
    for host in ["localhost", "127.0.0.1"] {
        let trust = Trust::of(&format!("{FIXTURES}/ca.pem")).expect("an authority");
        let mut signals = connect(&format!("wss://{host}:{port}"), trust, &shutdown);
        loop {
            let happening = next(&mut signals).await.expect("the client goes on");
            if let Happening::Frame { frame: Frame::Trades(elements), .. } = happening {
                assert!(!elements.is_empty());
                break;
            }
        }
    }
    shutdown.request();
}

/// The real program, with the authorities that are built in: none of them knows ours.
#[test]
fn a_feed_that_nobody_vouches_for_is_refused_with_a_sentence() {
    let (runtime, shutdown) = (Runtime::new().expect("a runtime"), Shutdown::default());
    let port = runtime.block_on(start(&shutdown));
    let data = tempfile::tempdir().expect("a directory");
    let data = data.path().to_str().expect("a path of text");
    let mut up = ticksmith(&["up", "--port", "0", "--data", data, "--for", "60s"])
        .env("FINNHUB_API_KEY", KEY)
        .env("TICKSMITH__FINNHUB__URL", format!("wss://localhost:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let lines = BufReader::new(up.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let said: Vec<String> = lines
        .scan(false, |is_over, line| {
            let goes_on = !std::mem::replace(is_over, line.contains("finnhub.tls_ca"));
            goes_on.then_some(line)
        })
        .collect();
    up.kill().expect("it runs");
    up.wait().expect("it ends");
    let said = said.join("\n");
    assert!(said.contains("no connection to wss://localhost"), "{said}");
    assert!(said.contains("certificate is not believed"), "{said}");
    assert!(!said.contains(KEY), "{said}");
    shutdown.request();
}
