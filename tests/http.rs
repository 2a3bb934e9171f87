//! The HTTP room over a small store held in memory: what is answered, and what a live reader sees.

#[path = "http_world/mod.rs"]
mod http_world;

use std::io::{BufRead, BufReader};

use http_world::{bar, judged, next_event, start, start_with};
use serde_json::Value;
use ticksmith::model::{Bar, BarState, Disposition, RejectReason, Tally};
use ticksmith::port::{BeatReport, Live, PartitionReport};

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
        ("to=253402300800000", "'to'"),
        ("limit=5&limit=6", "'limit' is given twice"),
        ("limt=5", "there are interval, from, to, limit, cursor, format"),
        ("cursor=5", "'cursor' is '5'"),
        ("format=xml", "json, csv, arrow, parquet"),
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
