//! What programs rely on in the HTTP API: the forms of an answer, pages, tags, compression, who may
//! read, and live updates over a WebSocket and from a store that is polled.

#[path = "http_world/mod.rs"]
mod http_world;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Cursor, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_schema::DataType;
use flate2::read::GzDecoder;
use http_world::{
    Memory, bar, defaults, gap, interval, judged, memory, next_event, start, start_over,
    start_polled,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use ticksmith::config::{Http, Secret};
use ticksmith::http::StorePoller;
use ticksmith::model::{BarRevision, BarState, Disposition, RevisionWhy};
use ticksmith::port::Live;
use ticksmith::runtime::{Shutdown, SystemClock};
use tokio_tungstenite::tungstenite::stream::MaybeTlsStream;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, connect};

const PATHS: [(&str, &str); 5] = [
    ("/api/v1/bars/AAPL", "bars"),
    ("/api/v1/trades/AAPL?tier=bronze", "trades"),
    ("/api/v1/gaps/AAPL", "gaps"),
    ("/api/v1/revisions/AAPL", "revisions"),
    ("/api/v1/latest", "bars"),
];

/// Rows by column, as JSON would have them.
type Columns = Vec<(String, Vec<Value>)>;

fn columns_of_json(answer: &Value, rows: &str, names: &[String]) -> Columns {
    let rows = answer[rows].as_array().expect("rows");
    let column = |name: &String| rows.iter().map(|row| row[name].clone()).collect();
    names.iter().map(|name| (name.clone(), column(name))).collect()
}

fn columns_of_batches(batches: &[RecordBatch]) -> Columns {
    let schema = batches[0].schema();
    let fields = schema.fields().iter().enumerate();
    fields
        .map(|(index, field)| {
            let cells = batches.iter().flat_map(|batch| cells_of(batch.column(index)));
            (field.name().clone(), cells.collect())
        })
        .collect()
}

fn cells_of(array: &dyn Array) -> Vec<Value> {
    let cell = |row: usize| match array.data_type() {
        _ if array.is_null(row) => Value::Null,
        DataType::Utf8 => json!(array.as_string::<i32>().value(row)),
        DataType::Int64 => json!(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => json!(array.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(_, Some(zone)) => {
            assert_eq!(&**zone, "UTC");
            json!(array.as_primitive::<TimestampMillisecondType>().value(row))
        }
        other => panic!("a column of {other}"),
    };
    (0..array.len()).map(cell).collect()
}

fn columns_of_csv(text: &[u8]) -> Vec<(String, Vec<String>)> {
    let mut reader = csv::Reader::from_reader(text);
    let names: Vec<String> =
        reader.headers().expect("a header").iter().map(str::to_owned).collect();
    let records: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
    let column = |index: usize| records.iter().map(|row| row[index].to_owned()).collect();
    names.into_iter().enumerate().map(|(index, name)| (name, column(index))).collect()
}

/// As CSV has it: texts bare, what is null empty.
fn bare(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        // Whole doubles have no point in CSV.
        Value::Number(number) if number.is_f64() => number.as_f64().expect("a double").to_string(),
        other => other.to_string(),
    }
}

#[test]
fn every_form_of_an_answer_says_the_same() {
    let server = start();
    for (path, rows) in PATHS {
        let ask = |format: &str| {
            let mark = if path.contains('?') { '&' } else { '?' };
            let answer = server.ask(&format!("{path}{mark}format={format}"), &[]);
            assert_eq!(answer.status, 200, "{path} {format}");
            answer
        };
        let arrow = ask("arrow").body;
        let stream = StreamReader::try_new(Cursor::new(arrow), None).expect("a stream");
        let batches: Vec<RecordBatch> = stream.map(|batch| batch.expect("a batch")).collect();
        let of_arrow = columns_of_batches(&batches);
        let names: Vec<String> = of_arrow.iter().map(|(name, _)| name.clone()).collect();
        let of_json = columns_of_json(&ask("json").json(), rows, &names);
        assert_eq!(of_arrow, of_json, "{path}");
        assert!(of_json.iter().any(|(_, cells)| cells.iter().any(|cell| !cell.is_null())));
        let fields = ask("json").json()[rows][0].as_object().expect("a row").len();
        assert_eq!(fields, names.len(), "{path}");

        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&ask("parquet").body).expect("written");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file");
        let batches = reader.build().expect("readable").map(|batch| batch.expect("a batch"));
        assert_eq!(columns_of_batches(&batches.collect::<Vec<_>>()), of_json, "{path}");

        let of_csv = columns_of_csv(&ask("csv").body);
        let bared = |(name, cells): &(String, Vec<Value>)| {
            (name.clone(), cells.iter().map(bare).collect::<Vec<_>>())
        };
        assert_eq!(of_csv, of_json.iter().map(bared).collect::<Vec<_>>(), "{path}");
    }
}

#[test]
fn without_rows_the_forms_still_say_what_the_columns_are() {
    let server = start();
    let empty = "/api/v1/bars/AAPL?from=2000-01-01T00:00:00Z&format=";
    assert_eq!(server.json(&format!("{empty}json"))["bars"], json!([]));
    let csv = server.ask(&format!("{empty}csv"), &[]);
    assert!(csv.body.starts_with(b"symbol,interval,ts,") && csv.body.ends_with(b"late_included\n"));
    let arrow = server.ask(&format!("{empty}arrow"), &[]);
    let stream = StreamReader::try_new(Cursor::new(arrow.body), None).expect("a stream");
    assert!(stream.schema().field_with_name("close_seq").expect("a field").is_nullable());
    assert_eq!(stream.map(|batch| batch.expect("a batch").num_rows()).sum::<usize>(), 0);
    let parquet = server.ask(&format!("{empty}parquet"), &[]);
    assert!(parquet.body.starts_with(b"PAR1") && parquet.body.ends_with(b"PAR1"));
}

#[test]
fn the_form_is_chosen_by_parameter_or_by_header() {
    let server = start();
    for (accept, parameters, expected) in [
        ("*/*", "", "application/json"),
        ("text/csv", "", "text/csv; charset=utf-8"),
        ("text/csv", "?format=json", "application/json"),
        ("application/vnd.apache.parquet", "", "application/vnd.apache.parquet"),
        ("application/vnd.apache.arrow.stream;q=0.5, text/html", "", STREAM),
    ] {
        let answer = server.ask(&format!("/api/v1/bars/AAPL{parameters}"), &[("accept", accept)]);
        assert_eq!(answer.header("content-type"), expected, "{accept} {parameters}");
        assert!(answer.header("vary").contains("accept"), "{accept} {parameters}");
    }
    let none = server.ask("/api/v1/bars/AAPL", &[("accept", "image/png")]);
    assert_eq!((none.status, none.header("content-type")), (406, "application/problem+json"));
    assert!(none.json()["detail"].as_str().is_some_and(|text| text.contains("text/csv")));
}

const STREAM: &str = "application/vnd.apache.arrow.stream";

/// Rows of every table, many of them of one instant.
fn crowded() -> Memory {
    let bars: Vec<_> =
        (0..23).map(|n| bar(n * 300_000, Some(n as f64 + 1.0), BarState::Closed, 2)).collect();
    let revisions = (0..23).map(|n| {
        let mut bar = bars[n / 10].clone();
        bar.revision = n as i64;
        BarRevision { bar, why: RevisionWhy::LateTrade }
    });
    let trades = (0..23).map(|seq| {
        let mut judged = judged(seq, "AAPL", Disposition::Merged);
        judged.trade.trade_time_ms = 300_000 + seq / 20;
        judged
    });
    let gaps = (0..23).map(|n| {
        let mut gap = gap(1_000 + n / 20, Some(1_000 + n));
        gap.connection = n;
        gap
    });
    let (trades, gaps, revisions) = (trades.collect(), gaps.collect(), revisions.collect());
    Memory { trades, gaps, revisions, bars }
}

/// The address of the next page, as the header tells it.
fn next_of(link: &str) -> Option<String> {
    let target = link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"")?;
    Some(target.to_owned())
}

#[test]
fn pages_together_are_everything_once() {
    let server = start_over(crowded(), &defaults().http);
    for (name, rows) in [
        ("bars/AAPL", "bars"),
        ("trades/AAPL", "trades"),
        ("gaps/AAPL", "gaps"),
        ("revisions/AAPL", "revisions"),
    ] {
        let whole = server.json(&format!("/api/v1/{name}?from=0&limit=1000"));
        assert!(whole["next"].is_null());
        let whole = whole[rows].as_array().expect("rows").clone();
        assert_eq!(whole.len(), 23, "{name}");
        for limit in [1, 7, 22, 23] {
            let mut path = Some(format!("/api/v1/{name}?from=0&limit={limit}"));
            let mut found: Vec<Value> = Vec::new();
            let mut pages = 0;
            while let Some(asked) = path {
                let answer = server.ask(&asked, &[]);
                let page = answer.json();
                path = next_of(answer.header("link"));
                assert_eq!(page["next"].as_str(), path.as_deref(), "{asked}");
                let page = page[rows].as_array().expect("rows").clone();
                assert!(page.len() <= limit, "{asked}");
                // Each page is older than the one before it.
                found.splice(0..0, page);
                pages += 1;
            }
            assert_eq!((found, pages), (whole.clone(), 23_usize.div_ceil(limit)), "{name} {limit}");
        }
    }
}

#[test]
fn the_newest_bars_of_all_symbols_come_in_pages_too() {
    let mut memory = memory();
    let mut other = bar(600_000, Some(7.0), BarState::Provisional, 9);
    other.symbol = "IC MARKETS:1".into();
    memory.bars.push(other);
    let server = start_over(memory, &defaults().http);
    let latest = server.json("/api/v1/latest?interval=5m");
    let named = |answer: &Value| -> Vec<(String, i64)> {
        let bars = answer["bars"].as_array().expect("bars").iter();
        let name = |bar: &Value| {
            (bar["symbol"].as_str().expect("text").to_owned(), bar["ts"].as_i64().expect("ts"))
        };
        bars.map(name).collect()
    };
    let both = [("AAPL".to_owned(), 300_000), ("IC MARKETS:1".to_owned(), 600_000)];
    assert_eq!(named(&latest), both);
    let first = server.json("/api/v1/latest?limit=1");
    assert_eq!(named(&first), both[..1]);
    let next = first["next"].as_str().expect("another page");
    assert_eq!(named(&server.json(next)), both[1..]);
    assert!(server.json(next)["next"].is_null());
    assert_eq!(named(&server.json("/api/v1/latest?symbols=IC%20MARKETS:1")), both[1..]);
    assert!(server.problem("/api/v1/latest?symbols=AAPL,NOPE", 404).contains("'NOPE'"));
    assert_eq!(named(&server.json("/api/v1/latest?interval=1h")), []);
}

#[test]
fn what_a_reader_has_is_not_sent_again() {
    let server = start();
    let paths = PATHS.map(|(path, _)| path);
    for path in paths.into_iter().chain(["/api/v1/symbols", "/api/v1/explain/AAPL?at=0"]) {
        let tag = server.ask(path, &[]).header("etag").to_owned();
        assert!(tag.starts_with("W/\""), "{path}: {tag}");
        let again = server.ask(path, &[("if-none-match", &tag)]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(again.header("etag"), tag, "{path}");
        assert_eq!(server.ask(path, &[("if-none-match", "\"other\"")]).status, 200, "{path}");
    }
    // Another form is another content.
    let tag = server.ask(paths[0], &[]).header("etag").to_owned();
    let csv = server.ask(paths[0], &[("if-none-match", &tag), ("accept", "text/csv")]);
    assert_eq!(csv.status, 200);
}

#[test]
fn what_shrinks_is_sent_compressed_to_those_who_ask() {
    let server = start();
    let gzip = [("accept-encoding", "gzip")];
    for path in ["/api/v1/bars/AAPL", "/api/v1/bars/AAPL?format=arrow", "/assets/app.js"] {
        let packed = server.ask(path, &gzip);
        assert_eq!(packed.header("content-encoding"), "gzip", "{path}");
        let mut body = Vec::new();
        GzDecoder::new(&packed.body[..]).read_to_end(&mut body).expect("gzip");
        assert_eq!(body, server.ask(path, &[]).body, "{path}");
        assert!(packed.body.len() < body.len(), "{path}");
    }
    let parquet = server.ask("/api/v1/bars/AAPL?format=parquet", &gzip);
    assert_eq!(parquet.header("content-encoding"), "", "it is compressed already");
}

#[test]
fn everything_is_read_and_nothing_else() {
    let server = start();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = server.send(method, "/api/v1/bars/AAPL", &[]);
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), "GET,HEAD", "{method}");
        assert_eq!(answer.header("content-type"), "application/problem+json", "{method}");
    }
    let head = server.send("HEAD", "/api/v1/bars/AAPL", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(!head.header("etag").is_empty());
    assert!(server.problem("/api/v1/state?x=1", 422).contains("nothing can be asked for here"));
    assert!(server.problem("/api/v1/bars/%FF", 422).contains("UTF-8"));
}

#[test]
fn pages_of_the_configured_origins_may_read_and_no_others() {
    const DESK: &str = "https://desk.example";
    let token = Secret::new("0123456789abcdef");
    let http = Http { token, cors_origins: vec![DESK.to_owned()], ..defaults().http };
    let server = start_over(memory(), &http);
    let path = "/api/v1/bars/AAPL";
    let asks_for_leave = |origin: &str| {
        let asked = [
            ("origin", origin),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "authorization"),
        ];
        server.send("OPTIONS", path, &asked)
    };
    let leave = asks_for_leave(DESK);
    assert_eq!(leave.status, 200, "a browser shows no token before it has leave");
    assert_eq!(leave.header("access-control-allow-origin"), DESK);
    assert!(leave.header("access-control-allow-headers").contains("authorization"));
    let refused = asks_for_leave("https://elsewhere.example");
    assert_eq!(refused.header("access-control-allow-origin"), "");

    let bearer = ("authorization", "Bearer 0123456789abcdef");
    let read = server.ask(path, &[("origin", DESK), bearer]);
    assert_eq!((read.status, read.header("access-control-allow-origin")), (200, DESK));
    assert!(read.header("access-control-expose-headers").contains("link"));
    // Why it was refused can be read there, too.
    let stranger = server.ask(path, &[("origin", DESK)]);
    assert_eq!((stranger.status, stranger.header("access-control-allow-origin")), (401, DESK));

    // Without a configured origin nothing is said at all, and no preflight answered.
    let closed = start();
    let answer = closed.ask(path, &[("origin", DESK)]);
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, ""));
}

#[test]
fn the_description_names_what_is_served() {
    let server = start();
    let document = server.json("/api/v1/openapi.json");
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().expect("paths");
    let all: BTreeSet<&str> = paths.keys().map(String::as_str).collect();
    assert!(all.len() >= 11 && all.contains("/api/v1/ws"), "{all:?}");
    for path in all {
        if path != "/api/v1/stream" {
            let status = server.get(&path.replace("{symbol}", "AAPL")).0;
            let expected = match path {
                "/api/v1/explain/{symbol}" => 422,
                "/api/v1/ws" => 426,
                _ => 200,
            };
            assert_eq!(status, expected, "{path}");
        }
        assert_eq!(server.send("DELETE", &path.replace("{symbol}", "A"), &[]).status, 405);
    }
}

type Socket = WebSocket<MaybeTlsStream<TcpStream>>;

/// The data of the next frame with this event.
fn next_frame(socket: &mut Socket, event: &str) -> Value {
    loop {
        let message = socket.read().expect("the socket stays open");
        if let Message::Text(text) = message {
            let frame: Value = serde_json::from_str(&text).expect("json");
            if frame["event"] == event {
                return frame["data"].clone();
            }
        }
    }
}

#[test]
fn a_socket_follows_what_its_reader_wishes() {
    let server = start();
    server.hub.bars(&[bar(300_000, Some(5.0), BarState::Provisional, 4)]);
    let url = format!("{}/api/v1/ws?symbol=AAPL&interval=5m", server.url.replace("http", "ws"));
    let (mut socket, _) = connect(&url).expect("a socket");
    let bars = next_frame(&mut socket, "bars");
    assert_eq!((&bars[0]["close"], &bars[0]["interval"]), (&json!(5.0), &json!("5m")));
    assert_eq!(next_frame(&mut socket, "state")["symbols"], 0);

    socket.send(Message::text(r#"{"symbols": ["IC MARKETS:1"]}"#)).expect("sent");
    let following = next_frame(&mut socket, "following");
    assert_eq!(following, json!({"symbols": ["IC MARKETS:1"], "interval": null}));
    let mut other = bar(600_000, Some(8.0), BarState::Closed, 1);
    server.hub.bars(std::slice::from_ref(&other));
    other.symbol = "IC MARKETS:1".into();
    server.hub.bars(&[other]);
    let bars = next_frame(&mut socket, "bars");
    assert_eq!(
        (bars.as_array().map(Vec::len), &bars[0]["symbol"]),
        (Some(1), &"IC MARKETS:1".into())
    );

    for wish in ["what?", r#"{"symbols": "AAPL"}"#, r#"{"interval": "7m"}"#, r#"{"x": 1}"#] {
        socket.send(Message::text(wish)).expect("sent");
        let problem = next_frame(&mut socket, "problem");
        assert_eq!(problem["status"], 422, "{wish}: {problem}");
    }
    socket.close(None).expect("said");
    while socket.read().is_ok() {}
}

#[test]
fn a_socket_is_opened_only_by_pages_of_this_host() {
    let server = start();
    let url = format!("{}/api/v1/ws", server.url.replace("http", "ws"));
    let open = |origin: &str| {
        use tokio_tungstenite::tungstenite::client::IntoClientRequest;
        let mut request = url.as_str().into_client_request().expect("a request");
        request.headers_mut().insert("origin", origin.parse().expect("a value"));
        connect(request)
    };
    open(&server.url).expect("its own page");
    let Err(Error::Http(refused)) = open("https://elsewhere.example") else {
        panic!("a page of another host has opened a socket");
    };
    assert_eq!(refused.status(), 403);
}

#[test]
fn only_the_wanted_updates_come() {
    let server = start();
    server.hub.bars(&[bar(300_000, Some(5.0), BarState::Provisional, 4)]);
    server.hub.trades(&[judged(1, "AAPL", Disposition::Merged)]);
    let url = format!("{}/api/v1/stream?symbols=AAPL,MSFT&events=trades,state", server.url);
    let response = ureq::get(&url).call().expect("a stream");
    let lines = BufReader::new(response.into_body().into_reader()).lines();
    let events = lines.map(|line| line.expect("a line"));
    let events = events.filter_map(|line| line.strip_prefix("event: ").map(str::to_owned));
    let first: Vec<String> = events.take(2).collect();
    assert_eq!(first, ["trades", "state"]);
    assert!(server.problem("/api/v1/stream?events=news", 422).contains("bars, trades, quotes"));
    assert!(server.problem("/api/v1/stream?symbol=A&symbols=B", 422).contains("not both"));
}

#[test]
fn without_a_pipeline_the_store_is_polled_for_what_is_followed() {
    let (server, reader) = start_polled(memory());
    assert_eq!(server.get("/readyz").0, 503, "nobody has looked at the store yet");
    let stop = Shutdown::default();
    let intervals = [interval("5m"), interval("1h")];
    let poller = StorePoller::new(reader, server.hub.clone(), Arc::new(SystemClock), &intervals);
    let stopped = stop.clone();
    let polling = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(poller.run(stopped))
    });
    let url = format!("{}/api/v1/stream?symbol=AAPL&interval=5m", server.url);
    let response = ureq::get(&url).call().expect("a stream");
    let mut lines = BufReader::new(response.into_body().into_reader()).lines();
    let state = next_event(&mut lines, "state");
    // What only a pipeline knows is not made up.
    assert!(state.get("counts").is_none() && state["feed"]["state"] == "disconnected", "{state}");
    let bars = next_event(&mut lines, "bars");
    assert_eq!((bars.as_array().map(Vec::len), &bars[1]["ts"]), (Some(2), &json!(300_000)));
    let trades = next_event(&mut lines, "trades");
    assert_eq!((trades.as_array().map(Vec::len), &trades[0]["seq"]), (Some(1), &json!(1)));
    assert_eq!(next_event(&mut lines, "quotes")[0]["price"], 101.0);
    while next_event(&mut lines, "state")["symbols"] != 2 {}
    assert_eq!(server.get("/readyz").0, 200);
    stop.request();
    polling.join().expect("no panic").expect("a clean end");
}
