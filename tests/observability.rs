//! What a running role tells about itself: metrics, health, lines for a collector, spans.

#[path = "process/mod.rs"]
mod process;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::spawn;
use std::time::Duration;

use process::{Up, ticksmith};
use serde_json::Value;
use ticksmith::telemetry::{Kind, catalogue};

/// Few symbols and a short past: a debug build has other things to do.
const SMALL: [&str; 6] = ["--symbols", "AAPL,BINANCE:BTCUSDT", "--rate", "60", "--history", "1m"];

fn page(url: &str) -> String {
    let mut answer = ureq::get(url).call().expect("an answer");
    answer.body_mut().read_to_string().expect("text")
}

/// Names of the families of a `/metrics` page, by what its `# TYPE` lines say.
fn families(page: &str) -> BTreeSet<(String, String)> {
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| line.split_once(' ')).map(|(a, b)| (a.into(), b.into())).collect()
}

#[test]
fn the_metrics_of_a_role_are_there_from_its_start_and_are_those_of_the_reference() {
    let up = Up::start(&SMALL);
    up.wait_for("/api/v1/state", |state| state["counts"]["merged"].as_i64() > Some(0));
    assert_eq!(page(&format!("{}/livez", up.url)), "ok\n");
    assert_eq!(page(&format!("{}/readyz", up.url)), "ready\n");
    let page = page(&format!("{}/metrics", up.url));
    let known: BTreeSet<(String, String)> = catalogue()
        .into_iter()
        .map(|metric| (metric.name, metric.kind.as_str().to_owned()))
        .collect();
    let found = families(&page);
    let strangers: Vec<_> = found.difference(&known).collect();
    assert!(strangers.is_empty(), "not in the reference: {strangers:?}");
    // Before anything went wrong, so that the first time is seen as one.
    for counter in ["ticksmith_spool_overflowed_trades_total", "ticksmith_log_aborts_total"] {
        assert!(page.lines().any(|line| line == format!("{counter} 0")), "{counter}\n{page}");
    }
    let version = env!("CARGO_PKG_VERSION");
    for line in [
        format!("ticksmith_build_info{{role=\"up\",version=\"{version}\"}} 1"),
        "ticksmith_ready 1".to_owned(),
        "ticksmith_stream_store_stalled 0".to_owned(),
    ] {
        assert!(page.lines().any(|one| one == line), "no {line} in\n{page}");
    }
    let to = |stage| format!("ticksmith_stream_latency_seconds_count{{to=\"{stage}\"}}");
    for series in [to("engine"), to("commit"), "ticksmith_process_resident_memory_bytes".into()] {
        let value = page.lines().find_map(|line| line.strip_prefix(&format!("{series} ")));
        let value: f64 = value.and_then(|value| value.parse().ok()).expect(&series);
        assert!(value > 0.0, "{series} {value}");
    }
}

/// What `simulate` says on standard error, line by line; killed on drop.
struct Simulator {
    child: Child,
    lines: Receiver<String>,
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Simulator {
    fn start(environment: &[(&str, &str)]) -> Self {
        let mut command = ticksmith(&["simulate", "--port", "0", "--symbols", "AAPL"]);
        command.envs(environment.iter().copied()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let said = BufReader::new(child.stderr.take().expect("piped"));
        let (sender, lines) = channel();
        spawn(move || said.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(Duration::from_secs(30)).expect("a line")
    }
}

#[test]
fn lines_are_json_on_request_and_the_simulator_serves_its_pages_on_its_own_port() {
    let simulator = Simulator::start(&[("TICKSMITH__LOG__FORMAT", "json")]);
    let line: Value = serde_json::from_str(&simulator.line()).expect("one object a line");
    let text = |key: &str| line[key].as_str().unwrap_or_else(|| panic!("no {key} in {line}"));
    assert_eq!((text("level"), text("target")), ("INFO", "ticksmith::role::simulate"));
    assert!(text("timestamp").ends_with('Z'), "{line}");
    let said = text("message");
    let address = said.split("ws://").nth(1).and_then(|rest| rest.split('/').next());
    let url = format!("http://{}", address.unwrap_or_else(|| panic!("no address in {said}")));
    assert_eq!(page(&format!("{url}/livez")), "ok\n");
    assert_eq!(page(&format!("{url}/readyz")), "ok\n");
    let metrics = page(&format!("{url}/metrics"));
    assert!(metrics.contains("ticksmith_build_info{role=\"simulate\""), "{metrics}");
    let kinds = catalogue().into_iter().filter(|metric| metric.kind == Kind::Gauge);
    let names: BTreeSet<String> = kinds.map(|metric| metric.name).collect();
    assert!(names.contains("ticksmith_ready") && metrics.contains("ticksmith_ready 1"));
}

/// A collector that takes everything, and what it was sent: path and body.
fn collector() -> (String, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let (sender, requests) = channel();
    spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            while let Some(request) = read_request(&mut stream) {
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                if stream.write_all(answer.as_bytes()).is_err() || sender.send(request).is_err() {
                    break;
                }
            }
        }
    });
    (url, requests)
}

fn read_request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.split("content-length: ").nth(1)?.lines().next()?.parse().ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((head.split_whitespace().nth(1)?.to_owned(), body))
}

fn holds(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn spans_of_beats_and_requests_go_to_the_collector() {
    let (url, requests) = collector();
    let up = Up::start_with(&SMALL, &[("TICKSMITH__LOG__OTLP_URL", &url)]);
    up.wait_for("/api/v1/state", |state| state["counts"]["merged"].as_i64() > Some(0));
    up.signal(libc::SIGTERM);
    let (status, said) = up.wait();
    assert!(status.success(), "{status}: {said:?}");
    let wanted =
        ["ticksmith", "beat", "store_flush", "commit", "restore", "GET /api/v1/state", "records"];
    let mut missing: BTreeSet<&str> = wanted.into();
    while !missing.is_empty() {
        let (path, body) = requests
            .recv_timeout(Duration::from_secs(30))
            .unwrap_or_else(|_| panic!("no span says {missing:?}"));
        assert_eq!(path, "/v1/traces");
        missing.retain(|text| !holds(&body, text));
    }
}

/// Nobody waits for a collector that is away, and nothing is said of it on the lines.
#[test]
fn a_collector_that_is_away_costs_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let up = Up::start_with(&SMALL, &[("TICKSMITH__LOG__OTLP_URL", &url)]);
    up.wait_for("/api/v1/state", |state| state["counts"]["merged"].as_i64() > Some(0));
    up.signal(libc::SIGTERM);
    let (status, said) = up.wait();
    assert!(status.success(), "{status}: {said:?}");
}
