//! `ticksmith serve` through the real binary, over a data directory: it answers what is stored,
//! shows what another process writes, and its page of examples is true.

#[path = "process/mod.rs"]
mod process;

use std::io::{BufRead, BufReader};
use std::path::Path;

use process::{Up, run, ticksmith};
use serde_json::Value;

const SYMBOLS: [&str; 6] =
    ["--symbols", "AAPL,BINANCE:BTCUSDT", "--rate", "60", "--history", "20m"];

fn with<'a>(data: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let data = data.to_str().expect("a path of text");
    [&SYMBOLS[..], &["--data", data], more].concat()
}

/// A data directory that a market has gone through.
fn filled() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let up = Up::start(&with(directory.path(), &[]));
    up.wait_for("/api/v1/state", |state| state["bars"]["provisional"].as_i64() > Some(0));
    up.wait_for("/api/v1/bars/BINANCE:BTCUSDT?interval=5m", has_bars);
    up.wait_for("/api/v1/bars/AAPL?interval=5m", has_bars);
    up.signal(libc::SIGTERM);
    assert!(up.wait().0.success());
    directory
}

fn has_bars(answer: &Value) -> bool {
    answer["bars"].as_array().is_some_and(|bars| bars.len() > 2)
}

/// The options and the address of a line with `curl`, and the headers that it sends.
fn request_of(line: &str) -> (String, Vec<(String, String)>) {
    let mut words = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find(|c: char| !c.is_whitespace()) {
        rest = &rest[start..];
        let quote = rest.chars().next().filter(|first| matches!(first, '"' | '\''));
        let word = match quote {
            Some(quote) => rest[1..].split(quote).next().unwrap_or_default(),
            None => rest.split_whitespace().next().unwrap_or_default(),
        };
        words.push(word.to_owned());
        let quotes = if quote.is_some() { 2 } else { 0 };
        rest = &rest[word.len() + quotes..];
    }
    let headers = words.windows(2).filter(|pair| pair[0] == "--header").map(|pair| {
        let (name, value) = pair[1].split_once(": ").expect("a header");
        (name.to_owned(), value.to_owned())
    });
    let address = words.iter().find(|word| word.starts_with("$API")).expect("an address");
    (address.clone(), headers.collect())
}

#[test]
fn what_is_stored_is_served_and_the_examples_of_the_page_work() {
    let directory = filled();
    let data = directory.path().to_str().expect("text");
    let serve = Up::serve(&["--data", data]);
    assert_eq!(serve.said.len(), 1, "the address comes first: {:?}", serve.said);
    serve.wait_for_text("/readyz", "ready\n");

    let printed =
        ["bars", "--data", data, "--symbol", "AAPL", "--format", "json", "--limit", "500"];
    let (code, out, err) = run(&mut ticksmith(&printed));
    assert_eq!(code, 0, "{err}");
    let printed: Value = serde_json::from_str(&out).expect("json");
    assert_eq!(serve.json("/api/v1/bars/AAPL")["bars"], printed);
    let state = serve.json("/api/v1/state");
    assert!(state.get("counts").is_none() && state["symbols"] == 2, "{state}");

    let page = include_str!("../docs/API.md");
    let examples: Vec<&str> = page.lines().filter(|line| line.starts_with("curl ")).collect();
    assert!(examples.len() >= 14, "{examples:?}");
    for example in examples {
        let (address, headers) = request_of(example);
        let url = address.replace("$API", &format!("{}/api/v1", serve.url));
        let asked = headers.iter().fold(ureq::get(&url), |asked, (name, value)| {
            asked.header(name.as_str(), value.as_str())
        });
        let answer = asked.call().unwrap_or_else(|error| panic!("{example}: {error}"));
        assert_eq!(answer.status(), 200, "{example}");
    }
    serve.signal(libc::SIGTERM);
    let (status, said) = serve.wait();
    assert!(status.success(), "{status}: {said:?}");
}

#[test]
fn what_another_process_writes_is_shown_as_it_comes() {
    let directory = tempfile::tempdir().expect("a directory");
    let up = Up::start(&with(directory.path(), &[]));
    up.wait_for("/api/v1/bars/AAPL?interval=5m", has_bars);
    let data = directory.path().to_str().expect("text");
    let serve = Up::serve(&["--data", data]);
    let url = format!("{}/api/v1/stream?symbol=AAPL&interval=5m", serve.url);
    let response = ureq::get(&url).call().expect("a stream");
    let mut lines = BufReader::new(response.into_body().into_reader()).lines();
    let mut next = |name: &str| -> Value {
        let wanted = format!("event: {name}");
        while lines.next().expect("the stream goes on").expect("a line") != wanted {}
        let data = lines.next().expect("data follows").expect("a line");
        serde_json::from_str(data.strip_prefix("data: ").expect("a data line")).expect("json")
    };
    // What was there, then what has changed since: one bar, again and again, further on each time.
    let newest = |bars: &Value| -> (i64, i64) {
        let last = bars.as_array().and_then(|bars| bars.last()).expect("a bar").clone();
        (last["ts"].as_i64().expect("ts"), last["revision"].as_i64().expect("a revision"))
    };
    let mut seen = newest(&next("bars"));
    for _ in 0..3 {
        // A late trade may change an older bar alone.
        seen = loop {
            let newer = newest(&next("bars"));
            if newer > seen {
                break newer;
            }
        };
    }
    assert!(!next("trades").as_array().expect("trades").is_empty());
    assert!(next("quotes")[0]["price"].as_f64() > Some(0.0));
    while next("state")["feed"]["state"] != "connected" {}
    up.signal(libc::SIGINT);
    assert!(up.wait().0.success());
    serve.signal(libc::SIGINT);
    assert!(serve.wait().0.success());
}

#[test]
fn where_nothing_is_stored_it_says_so_and_makes_nothing() {
    let empty = tempfile::tempdir().expect("a directory");
    let data = empty.path().to_str().expect("text");
    let (code, _, err) = run(&mut ticksmith(&["serve", "--port", "0", "--data", data]));
    assert_eq!((code, err.lines().count()), (2, 1), "{err}");
    assert!(err.contains("holds no data") && err.contains("ticksmith up"), "{err}");
    assert_eq!(std::fs::read_dir(data).expect("readable").count(), 0);
}
