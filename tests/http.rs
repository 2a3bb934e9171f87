//! The HTTP room over a small store held in memory: what is answered, and what a live reader sees.

use std::io::{BufRead, BufReader};
use std::sync::Arc;

use figment::Figment;
use figment::providers::{Format, Toml};
use serde_json::Value;
use ticksmith::config::{Config, DEFAULTS, Http, Secret};
use ticksmith::error::Result;
use ticksmith::http::{ApiContext, LiveHub, Server, dashboard_router};
use ticksmith::model::{
    Amount, Bar, BarRevision, BarState, Disposition, FeedGap, GapCause, Interval, Judged, Origin,
    PricePoint, RejectReason, RevisionWhy, Session, StoredEvent, Tally, Trade, Verdict,
};
use ticksmith::port::{
    BarQuery, BeatReport, Clock, Contradiction, Live, PartitionReport, StoreReader, Tier,
    TradeQuery,
};
use ticksmith::role::explain::Explainer;
use ticksmith::runtime::{Shutdown, SystemClock};

struct Memory {
    bars: Vec<Bar>,
    trades: Vec<Judged>,
    gaps: Vec<FeedGap>,
    revisions: Vec<BarRevision>,
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
        Ok(self.bars.iter().filter(wanted).cloned().collect())
    }

    fn trades(&self, query: &TradeQuery) -> Result<Vec<Judged>> {
        let wanted = |judged: &&Judged| {
            judged.trade.symbol == query.symbol
                && (query.tier == Tier::Bronze || judged.disposition.is_silver())
                && (query.from_ms..query.to_ms).contains(&judged.trade.trade_time_ms)
        };
        Ok(self.trades.iter().filter(wanted).cloned().collect())
    }

    fn bar_symbols(&self, interval: Interval) -> Result<Vec<String>> {
        let of_interval = self.bars.iter().filter(|bar| bar.interval == interval);
        Ok(of_interval.map(|bar| bar.symbol.to_string()).collect())
    }

    fn revisions(&self, query: &BarQuery) -> Result<Vec<BarRevision>> {
        let mut revisions = self.revisions.clone();
        revisions.retain(|one| *one.bar.symbol == query.symbol);
        Ok(revisions)
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

fn interval(text: &str) -> Interval {
    Interval::parse(text).expect("an interval")
}

fn bar(start_ms: i64, close: Option<f64>, state: BarState, revision: i64) -> Bar {
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

fn judged(seq: i64, symbol: &str, disposition: Disposition) -> Judged {
    Judged {
        trade: Trade {
            symbol: symbol.into(),
            price: 100.0 + seq as f64,
            volume: 5.0,
            trade_time_ms: 300_000 + seq,
            conditions: Some(vec!["1".into(), "8".into()]),
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

struct Running {
    url: String,
    hub: Arc<LiveHub>,
    stop: Shutdown,
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

fn defaults() -> Config {
    Figment::from(Toml::string(DEFAULTS)).extract().expect("the defaults")
}

fn start() -> Running {
    start_with("")
}

fn start_with(token: &str) -> Running {
    let hub = Arc::new(LiveHub::new(Arc::new(SystemClock)));
    let bars =
        vec![bar(0, Some(101.0), BarState::Closed, 3), bar(300_000, None, BarState::Closed, 2)];
    let rejected = Disposition::Rejected(RejectReason::TimeInFuture);
    let trades = vec![judged(1, "AAPL", Disposition::Merged), judged(2, "AAPL", rejected)];
    let gap = |from_ms: i64, to_ms: Option<i64>| FeedGap {
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
    };
    let gaps = vec![gap(290_000, Some(310_000)), gap(900_000, None)];
    let revisions = vec![BarRevision { bar: bars[1].clone(), why: RevisionWhy::FeedGap }];
    let reader = Arc::new(Memory { bars, trades, gaps, revisions });
    let explainer = Explainer::new(&defaults(), Arc::new(FirstDay)).expect("an explainer");
    let intervals = [interval("5m"), interval("1h")];
    let context = ApiContext::new(reader, Arc::new(explainer), hub.clone(), &intervals);
    let router = dashboard_router(context, hub.readiness());
    let http = Http { token: Secret::new(token), ..defaults().http };
    let server = Server::bind(&http, 0, "--port").expect("a free port");
    let (url, stop) = (server.url(), Shutdown::default());
    let stopped = stop.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let serving = server.serve(router, async move { stopped.requested().await });
        runtime.expect("a runtime").block_on(serving).expect("serves");
    });
    Running { url, hub, stop }
}

impl Running {
    fn get(&self, path: &str) -> (u16, String, String) {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut response = agent.get(format!("{}{path}", self.url)).call().expect("an answer");
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().to_owned();
        let text = response.body_mut().read_to_string().expect("text");
        (response.status().as_u16(), kind, text)
    }

    fn json(&self, path: &str) -> Value {
        let (status, _, text) = self.get(path);
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).expect("json")
    }

    fn problem(&self, path: &str, expected_status: u16) -> String {
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

#[test]
fn bars_and_trades_have_the_columns_of_the_tables() {
    let server = start();
    let answer = server.json("/api/v1/bars/AAPL?interval=5m");
    let (first, second) = (&answer["bars"][0], &answer["bars"][1]);
    assert_eq!(first["ts"], 0);
    assert_eq!(first["window_end"], 300_000);
    assert_eq!(first["close"], 101.0);
    assert_eq!(first["close_seq"], 3);
    assert_eq!(first["volume_exact"], "120.5");
    assert_eq!(first["excluded_odd_lot_count"], 0);
    assert_eq!(first["session"], "regular");
    // Volume without a price: null, never zero.
    assert!(second["open"].is_null() && second["close_time"].is_null());

    let silver = server.json("/api/v1/trades/AAPL");
    assert_eq!(silver["trades"].as_array().map(Vec::len), Some(1));
    assert_eq!(silver["trades"][0]["conditions"], "1,8");
    let bronze = server.json("/api/v1/trades/AAPL?tier=bronze");
    assert_eq!(bronze["trades"][1]["reason"], "time_in_future");
    let symbols = server.json("/api/v1/symbols");
    assert_eq!(symbols["intervals"], serde_json::json!(["5m", "1h"]));
}

#[test]
fn what_stands_behind_a_bar_is_answered() {
    let server = start();
    let all = server.json("/api/v1/gaps/AAPL");
    assert_eq!(all["gaps"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        (&all["gaps"][0]["gap_ms"], &all["gaps"][0]["cause"]),
        (&20_000.into(), &"silence".into())
    );
    assert!(all["gaps"][1]["gap_end"].is_null(), "it lasts");
    let first = server.json("/api/v1/gaps/AAPL?from=0&to=300000");
    assert_eq!(first["gaps"].as_array().map(Vec::len), Some(1));
    let newest = server.json("/api/v1/gaps/AAPL?limit=1");
    assert_eq!(newest["gaps"][0]["gap_start"], 900_000);

    let revisions = server.json("/api/v1/revisions/AAPL?interval=5m");
    assert_eq!(revisions["revisions"][0]["why"], "feed_gap");
    assert_eq!(revisions["revisions"][0]["ts"], 300_000);

    // The bar says 120.5 in 2 trades; the store has one trade of 5.
    let it = server.json("/api/v1/explain/AAPL?interval=5m&at=1970-01-01T00:07:00Z");
    assert_eq!((&it["ts"], &it["agreement"]), (&300_000.into(), &"differs".into()));
    assert_eq!(it["differences"][4]["column"], "volume");
    assert_eq!(it["differences"][4]["recomputed"], "5");
    assert_eq!(it["diverted"][0]["reason"], "time_in_future");
    assert_eq!(it["gaps"][0]["inside_ms"], 10_000);
    assert_eq!(it["volume_split"]["sets_price"]["count"], 1);
    assert!(it["revisions"][0]["open"].is_null());
    let nothing = server.json("/api/v1/explain/AAPL?at=7200000");
    assert_eq!((&nothing["bar"], &nothing["agreement"]), (&Value::Null, &"no_bar".into()));
}

#[test]
fn indicators_and_the_overview_stand_over_the_stored_bars() {
    let server = start();
    let it = server.json("/api/v1/indicators/AAPL?interval=5m&names=vwap,sma20");
    let rows = [0, 300_000].map(|ts| serde_json::json!({"ts": ts, "vwap": 101.0, "sma20": null}));
    assert_eq!(it["names"], serde_json::json!(["vwap", "sma20"]));
    assert_eq!(it["values"], serde_json::json!(rows));
    let all = server.json("/api/v1/indicators/AAPL?interval=5m&to=1970-01-01T00:05:00Z");
    assert_eq!(all["values"].as_array().map(Vec::len), Some(1));
    assert!(all["values"][0].as_object().is_some_and(|row| row.contains_key("macd_signal")));
    assert!(server.problem("/api/v1/indicators/AAPL?names=sma21", 422).contains("bollinger"));
    assert!(server.problem("/api/v1/indicators/NOPE", 404).contains("'NOPE'"));
    // Hours are what the day is made of, and this store has none.
    let overview = server.json("/api/v1/overview");
    assert_eq!((&overview["interval"], &overview["hidden"]), (&"1h".into(), &0.into()));
    assert_eq!(overview["symbols"], serde_json::json!([]));
}

#[test]
fn what_cannot_be_answered_says_why() {
    let server = start();
    assert!(server.problem("/api/v1/bars/NOPE?interval=5m", 404).contains("'NOPE'"));
    assert!(server.problem("/api/v1/trades/NOPE", 404).contains("'NOPE'"));
    assert!(server.problem("/nothing/here", 404).contains("/nothing/here"));
    for (parameters, named) in [
        ("interval=7m", "5m, 1h"),
        ("interval=five", "'five'"),
        ("from=yesterday", "RFC 3339"),
        ("from=2000&to=1000", "'from' is after 'to'"),
        ("limit=0", "1 to 10000"),
        ("limit=10001", "1 to 10000"),
        ("to=-5", "'to'"),
    ] {
        let detail = server.problem(&format!("/api/v1/bars/AAPL?{parameters}"), 422);
        assert!(detail.contains(named), "{parameters}: {detail}");
    }
    assert!(server.problem("/api/v1/trades/AAPL?tier=gold", 422).contains("silver or bronze"));
    for path in ["gaps/NOPE", "revisions/NOPE", "explain/NOPE?at=0"] {
        assert!(server.problem(&format!("/api/v1/{path}"), 404).contains("'NOPE'"), "{path}");
    }
    assert!(server.problem("/api/v1/explain/AAPL", 422).contains("'at' is missing"));
    assert!(server.problem("/api/v1/explain/AAPL?at=0&interval=7m", 422).contains("5m, 1h"));
    assert!(server.problem("/api/v1/stream?interval=9m", 422).contains("5m, 1h"));
    // A symbol that is known and has nothing yet is an empty answer; a space in it is a space.
    assert_eq!(server.json("/api/v1/bars/IC%20MARKETS%3A1")["bars"], serde_json::json!([]));
    let one = server.json("/api/v1/bars/AAPL?from=1970-01-01T00:05:00Z");
    assert_eq!(one["bars"].as_array().map(Vec::len), Some(1));
}

#[test]
fn readiness_follows_the_pipeline_and_metrics_are_text() {
    let server = start();
    assert_eq!(server.get("/livez").0, 200);
    assert_eq!(
        server.get("/readyz"),
        (503, "text/plain; charset=utf-8".into(), "starting\n".into())
    );
    server.hub.ready(true, "");
    assert_eq!(server.get("/readyz").0, 200);
    server.hub.ready(false, "the store is away");
    assert_eq!(server.get("/readyz").2, "the store is away\n");
    assert!(server.get("/metrics").1.starts_with("text/plain; version=0.0.4"));
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    let server = start();
    let (status, kind, page) = server.get("/");
    assert_eq!((status, kind.as_str()), (200, "text/html; charset=utf-8"));
    for attribute in ["src=\"http", "href=\"http"] {
        let links = page.matches(attribute).count();
        // The one link out is the attribution that the charts' licence asks for.
        assert_eq!(links, usize::from(attribute.starts_with("href")), "{attribute}");
    }
    assert!(page.contains("https://www.tradingview.com/"));
    let paths = page.split('"').filter(|text| text.starts_with("/assets/"));
    for path in paths {
        assert_eq!(server.get(path).0, 200, "{path}");
    }
    let agent = ureq::Agent::new_with_defaults();
    let answer = agent.get(&server.url).call().expect("the page");
    let policy = answer.headers()["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
}

/// Of every route that the page and its readers use.
const GUARDED: [&str; 9] = [
    "/",
    "/assets/app.js",
    "/assets/no-such-file",
    "/api/v1/symbols",
    "/api/v1/bars/AAPL",
    "/api/v1/stream",
    "/metrics",
    "/livez/",
    "/no/such/page",
];

#[test]
fn with_a_token_nothing_but_the_probes_is_open_to_strangers() {
    const TOKEN: &str = "0123456789abcdef";
    let server = start_with(TOKEN);
    server.hub.ready(true, "");
    assert_eq!((server.get("/livez").0, server.get("/readyz").0), (200, 200));
    for path in GUARDED {
        assert!(server.problem(path, 401).contains("http.token"), "{path}");
    }
    let ask = |path: &str, authorization: &str| {
        let request = ureq::get(format!("{}{path}", server.url));
        let request = request.header("Authorization", authorization);
        request.config().http_status_as_error(false).build().call().expect("an answer")
    };
    let wrong = ask("/", "Bearer 0123456789abcdeF");
    let challenges = wrong.headers().get_all("www-authenticate").iter();
    let schemes = challenges.map(|value| value.as_bytes().split(|b| *b == b' ').next());
    assert_eq!(wrong.status(), 401);
    assert_eq!(schemes.collect::<Vec<_>>(), [Some(&b"Bearer"[..]), Some(b"Basic")]);
    // As programs send it, and as browsers do: `reader:0123456789abcdef`.
    for good in ["Bearer 0123456789abcdef", "Basic cmVhZGVyOjAxMjM0NTY3ODlhYmNkZWY="] {
        for path in ["/", "/assets/app.js", "/api/v1/symbols", "/metrics"] {
            assert_eq!(ask(path, good).status(), 200, "{path}");
        }
        assert_eq!(ask("/no/such/page", good).status(), 404);
        let stream = ask("/api/v1/stream", good).into_body().into_reader();
        next_event(&mut BufReader::new(stream).lines(), "state");
    }
    let in_the_address = format!("/api/v1/symbols?token={TOKEN}");
    server.problem(&in_the_address, 401);
}

/// Reads server-sent events until one of `name` comes, and returns its data.
fn next_event(lines: &mut impl Iterator<Item = std::io::Result<String>>, name: &str) -> Value {
    let wanted = format!("event: {name}");
    while lines.next().expect("the stream goes on").expect("a line") != wanted {}
    let data = lines.next().expect("data follows").expect("a line");
    serde_json::from_str(data.strip_prefix("data: ").expect("a data line")).expect("json")
}

#[test]
fn a_live_reader_gets_what_changed_and_only_that() {
    let server = start();
    server.hub.bars(&[bar(300_000, Some(5.0), BarState::Provisional, 4)]);
    let rejected = Disposition::Rejected(RejectReason::SymbolTooLong);
    server.hub.trades(&[judged(1, "AAPL", Disposition::Merged), judged(2, "??", rejected)]);
    let tally = Tally { merged: 7, late: 1, ..Tally::default() };
    server.hub.set_source("simulator");
    server.hub.beat(&BeatReport {
        tally,
        lag_records: 4,
        partitions: vec![PartitionReport {
            partition: 0,
            next_offset: 8,
            end_offset: 12,
            watermark_ms: Some(301_000),
            open_windows: 2,
            tally,
        }],
        ..BeatReport::default()
    });
    let url = format!("{}/api/v1/stream?symbol=AAPL&interval=5m", server.url);
    let response = ureq::get(&url).call().expect("a stream");
    let mut lines = BufReader::new(response.into_body().into_reader()).lines();

    let bars = next_event(&mut lines, "bars");
    assert_eq!(
        (bars[0]["state"].as_str(), bars[0]["close"].as_f64()),
        (Some("provisional"), Some(5.0))
    );
    let trades = next_event(&mut lines, "trades");
    assert_eq!((trades.as_array().map(Vec::len), &trades[0]["seq"]), (Some(1), &Value::from(1)));
    let state = next_event(&mut lines, "state");
    assert_eq!(state["counts"]["total"], 8);
    assert_eq!(state["bars"]["provisional"], 1);
    assert_eq!(state["lag_records"], 4);
    assert_eq!(state["watermark"], 301_000);
    assert_eq!(state["feed"]["source"], "simulator");
    let quotes = next_event(&mut lines, "quotes");
    assert_eq!(quotes, serde_json::json!([{"symbol": "AAPL", "price": 101.0, "ts": 300_001}]));

    server.hub.bars(&[bar(300_000, Some(6.0), BarState::Closed, 5)]);
    let bars = next_event(&mut lines, "bars");
    assert_eq!((bars.as_array().map(Vec::len), bars[0]["close"].as_f64()), (Some(1), Some(6.0)));

    // More bars than the board keeps, at once: the reader is told to read them from the store.
    let many: Vec<Bar> =
        (2..40).map(|n| bar(n * 300_000, Some(7.0), BarState::Closed, 1)).collect();
    many.iter().for_each(|bar| server.hub.bars(std::slice::from_ref(bar)));
    next_event(&mut lines, "bars");
    // Only a beat says that the store has them.
    server.hub.beat(&BeatReport { tally, ..BeatReport::default() });
    assert_eq!(next_event(&mut lines, "missed"), serde_json::json!({}));
    assert_eq!(server.json("/api/v1/state")["counts"]["merged"], 7);
}
