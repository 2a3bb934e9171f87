//! The HTTP room over a small store held in memory, on a free port of this host.

// Each test file is a crate of its own and uses what it needs.
#![allow(dead_code)]

use std::io;
use std::sync::Arc;

use figment::Figment;
use figment::providers::{Format, Toml};
use serde_json::Value;
use ticksmith::config::{Config, DEFAULTS, Http, Secret};
use ticksmith::error::Result;
use ticksmith::http::{ApiContext, LiveHub, Server, dashboard_router};
use ticksmith::model::{
    Amount, Bar, BarRevision, BarState, Disposition, FeedGap, GapCause, Interval, Judged, Origin,
    PricePoint, RejectReason, RevisionWhy, Session, StoredEvent, Trade, Verdict,
};
use ticksmith::port::{BarQuery, Clock, Contradiction, StoreReader, Tier, TradeQuery};
use ticksmith::role::explain::Explainer;
use ticksmith::runtime::{Shutdown, SystemClock};
use ureq::http::{HeaderMap, Request};

/// A store that is four lists, each in the order of its table.
#[derive(Default)]
pub struct Memory {
    pub bars: Vec<Bar>,
    pub trades: Vec<Judged>,
    pub gaps: Vec<FeedGap>,
    pub revisions: Vec<BarRevision>,
}

/// The newest rows, as a store gives them.
fn newest<R>(mut rows: Vec<R>, limit: usize) -> Vec<R> {
    rows.drain(..rows.len().saturating_sub(limit));
    rows
}

impl StoreReader for Memory {
    fn symbols(&self) -> Result<Vec<String>> {
        Ok(vec!["AAPL".into(), "IC MARKETS:1".into()])
    }

    fn bars(&self, query: &BarQuery) -> Result<Vec<Bar>> {
        let wanted = |bar: &&Bar| {
            *bar.symbol == query.symbol
                && bar.interval == query.interval
                && (query.from_ms..query.to_ms).contains(&bar.window.start_ms)
        };
        Ok(newest(self.bars.iter().filter(wanted).cloned().collect(), query.limit))
    }

    fn trades(&self, query: &TradeQuery) -> Result<Vec<Judged>> {
        let wanted = |judged: &&Judged| {
            judged.trade.symbol == query.symbol
                && (query.tier == Tier::Bronze || judged.disposition.is_silver())
                && (query.from_ms..query.to_ms).contains(&judged.trade.trade_time_ms)
        };
        Ok(newest(self.trades.iter().filter(wanted).cloned().collect(), query.limit))
    }

    fn bar_symbols(&self, interval: Interval) -> Result<Vec<String>> {
        let of_interval = self.bars.iter().filter(|bar| bar.interval == interval);
        Ok(of_interval.map(|bar| bar.symbol.to_string()).collect())
    }

    fn revisions(&self, query: &BarQuery) -> Result<Vec<BarRevision>> {
        let wanted = |one: &&BarRevision| {
            *one.bar.symbol == query.symbol
                && (query.from_ms..query.to_ms).contains(&one.bar.window.start_ms)
        };
        Ok(newest(self.revisions.iter().filter(wanted).cloned().collect(), query.limit))
    }

    fn events(&self, _from_ms: i64, _to_ms: i64) -> Result<Vec<StoredEvent>> {
        Ok(Vec::new())
    }

    fn gaps(&self, symbol: &str, from_ms: i64, to_ms: i64) -> Result<Vec<FeedGap>> {
        let wanted = |gap: &&FeedGap| gap.symbol == symbol && gap.overlaps(from_ms, to_ms);
        Ok(self.gaps.iter().filter(wanted).cloned().collect())
    }

    fn contradictions(&self, _query: &BarQuery) -> Result<Vec<Contradiction>> {
        Ok(Vec::new())
    }
}

pub fn interval(text: &str) -> Interval {
    Interval::parse(text).expect("an interval")
}

pub fn bar(start_ms: i64, close: Option<f64>, state: BarState, revision: i64) -> Bar {
    let point = close.map(|price| PricePoint {
        price,
        trade_time_ms: start_ms + 7,
        connection: 1_760_000_000_000_000,
        seq: 3,
    });
    Bar {
        symbol: "AAPL".into(),
        interval: interval("5m"),
        window: interval("5m").window_of(start_ms),
        open: point,
        high: point,
        low: point,
        close: point,
        volume: Amount::from_f64(120.5).expect("in range"),
        vwap: close,
        trade_count: 2,
        excluded: Default::default(),
        session: Some(Session::Regular),
        coverage: None,
        gap_ms: 0,
        verdict: Verdict::Unknown,
        state,
        revision,
        generation: 0,
        conditions_version: 1,
        late_included: 0,
    }
}

pub fn judged(seq: i64, symbol: &str, disposition: Disposition) -> Judged {
    Judged {
        trade: Trade {
            symbol: symbol.into(),
            price: 100.0 + seq as f64,
            volume: 5.0,
            trade_time_ms: 300_000 + seq,
            conditions: Some(vec!["1".into(), "8".into()].into()),
            connection: 9,
            seq,
            received_at_us: 300_000_500,
            feed: "test/0".into(),
        },
        origin: Origin { partition: 0, offset: seq },
        disposition,
        session: None,
        updates_last: true,
        updates_high_low: true,
        updates_volume: true,
        lateness: None,
        behind_ms: 0,
    }
}

/// A server over such a store; it ends when this is dropped.
pub struct Running {
    pub url: String,
    pub hub: Arc<LiveHub>,
    stop: Shutdown,
}

/// What was answered, of any kind.
pub struct Answered {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answered {
    /// The header's value; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("json")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.request();
    }
}

/// The rows of the first minutes of 1970 are fresh.
struct FirstDay;

impl Clock for FirstDay {
    fn now_us(&self) -> i64 {
        86_400_000_000
    }

    fn monotonic_us(&self) -> i64 {
        0
    }
}

pub fn defaults() -> Config {
    Figment::from(Toml::string(DEFAULTS)).extract().expect("the defaults")
}

pub fn start() -> Running {
    start_with("")
}

pub fn start_with(token: &str) -> Running {
    let http = Http { token: Secret::new(token), ..defaults().http };
    start_over(memory(), &http)
}

/// Two bars of which one has no price, two trades of which one is rejected, two gaps of which one
/// lasts, and a change.
pub fn memory() -> Memory {
    let bars =
        vec![bar(0, Some(101.0), BarState::Closed, 3), bar(300_000, None, BarState::Closed, 2)];
    let rejected = Disposition::Rejected(RejectReason::TimeInFuture);
    let trades = vec![judged(1, "AAPL", Disposition::Merged), judged(2, "AAPL", rejected)];
    let gaps = vec![gap(290_000, Some(310_000)), gap(900_000, None)];
    let revisions = vec![BarRevision { bar: bars[1].clone(), why: RevisionWhy::FeedGap }];
    Memory { bars, trades, gaps, revisions }
}

pub fn gap(from_ms: i64, to_ms: Option<i64>) -> FeedGap {
    FeedGap {
        symbol: "AAPL".into(),
        feed: "test/0".into(),
        connection: 9,
        from_ms,
        to_ms,
        next_connection: None,
        cause: GapCause::Silence,
        lost_records: 0,
        told_at: 0,
        detail: "no word for 30 s".into(),
    }
}

pub fn start_over(memory: Memory, http: &Http) -> Running {
    start_hub(memory, http, Arc::new(LiveHub::new(Arc::new(SystemClock)))).0
}

/// The same with a hub that nobody tells anything but what is polled.
pub fn start_polled(memory: Memory) -> (Running, Arc<Memory>) {
    start_hub(memory, &defaults().http, Arc::new(LiveHub::over_store(Arc::new(SystemClock))))
}

fn start_hub(memory: Memory, http: &Http, hub: Arc<LiveHub>) -> (Running, Arc<Memory>) {
    let reader = Arc::new(memory);
    let explainer = Explainer::new(&defaults(), Arc::new(FirstDay)).expect("an explainer");
    let intervals = [interval("5m"), interval("1h")];
    let context = ApiContext::new(reader.clone(), Arc::new(explainer), hub.clone(), &intervals);
    let router = dashboard_router(context, hub.readiness());
    let server = Server::bind(http, 0, "--port").expect("a free port");
    let (url, stop) = (server.url(), Shutdown::default());
    let stopped = stop.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let serving = server.serve(router, async move { stopped.requested().await });
        runtime.expect("a runtime").block_on(serving).expect("serves");
    });
    (Running { url, hub, stop }, reader)
}

impl Running {
    /// Asks with these headers.
    pub fn ask(&self, path: &str, headers: &[(&str, &str)]) -> Answered {
        self.send("GET", path, headers)
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answered {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut response = agent.run(request.body(()).expect("a request")).expect("an answer");
        Answered {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.body_mut().read_to_vec().expect("a body"),
        }
    }

    pub fn get(&self, path: &str) -> (u16, String, String) {
        let answer = self.ask(path, &[]);
        let kind = answer.header("content-type").to_owned();
        (answer.status, kind, String::from_utf8(answer.body).expect("text"))
    }

    pub fn json(&self, path: &str) -> Value {
        let (status, _, text) = self.get(path);
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).expect("json")
    }

    /// The sentence of the problem document that `path` is answered with.
    pub fn problem(&self, path: &str, expected_status: u16) -> String {
        let (status, kind, text) = self.get(path);
        assert_eq!(
            (status, kind.as_str()),
            (expected_status, "application/problem+json"),
            "{path}"
        );
        let problem: Value = serde_json::from_str(&text).expect("json");
        assert_eq!(problem["status"], expected_status);
        problem["detail"].as_str().expect("a sentence").to_owned()
    }
}

/// Reads server-sent events until one of `name` comes, and returns its data.
pub fn next_event(lines: &mut impl Iterator<Item = io::Result<String>>, name: &str) -> Value {
    let wanted = format!("event: {name}");
    while lines.next().expect("the stream goes on").expect("a line") != wanted {}
    let data = lines.next().expect("data follows").expect("a line");
    serde_json::from_str(data.strip_prefix("data: ").expect("a data line")).expect("json")
}
