//! `ticksmith up` end to end through the real binary: it says where it is, makes bars, ends when it
//! should, and goes on where it was, whatever ended it.

#[path = "process/mod.rs"]
mod process;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use process::{Up, run, ticksmith};
use serde_json::Value;

/// Few symbols and a short past: a debug build has other things to do.
const SMALL: [&str; 6] = ["--symbols", "AAPL,BINANCE:BTCUSDT", "--rate", "60", "--history", "1m"];

fn with<'a>(data: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let data = data.to_str().expect("a path of text");
    [&SMALL[..], &["--data", data], more].concat()
}

fn count(state: &Value, key: &str) -> i64 {
    state["counts"][key].as_i64().expect("a count")
}

/// Every disposition adds up, per partition and in all.
fn check_conservation(state: &Value) {
    let parts = ["merged", "duplicate", "rejected", "late", "control"];
    let sum = |counts: &Value| parts.iter().filter_map(|key| counts[*key].as_i64()).sum::<i64>();
    assert_eq!(sum(&state["counts"]), count(state, "total"));
    let mut total = 0;
    for partition in state["partitions"].as_array().expect("partitions") {
        assert_eq!(sum(&partition["counts"]), partition["next_offset"].as_i64().expect("offset"));
        total += sum(&partition["counts"]);
    }
    assert_eq!(total, count(state, "total"));
}

/// Identities of the bronze trades of a symbol; none may be there twice, which the set tells.
fn bronze(up: &Up, symbol: &str) -> BTreeSet<(i64, i64)> {
    let answer = up.json(&format!("/api/v1/trades/{symbol}?tier=bronze&limit=10000"));
    let trades = answer["trades"].as_array().expect("trades");
    let identity = |trade: &Value| Some((trade["connection"].as_i64()?, trade["seq"].as_i64()?));
    let identities: BTreeSet<_> = trades.iter().filter_map(identity).collect();
    assert_eq!(identities.len(), trades.len(), "a trade is stored twice");
    identities
}

#[test]
fn it_ends_by_itself_and_leaves_bars_that_can_be_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let up = Up::start(&with(directory.path(), &["--for", "8s"]));
    assert!(up.url.starts_with("http://127.0.0.1:"), "{}", up.url);
    assert_eq!(up.said.len(), 1, "the address comes first: {:?}", up.said);
    let state =
        up.wait_for("/api/v1/state", |state| state["bars"]["provisional"].as_i64() > Some(0));
    check_conservation(&state);
    let symbols = up.json("/api/v1/symbols");
    assert_eq!(symbols["symbols"], serde_json::json!(["AAPL", "BINANCE:BTCUSDT"]));
    let live = up.wait_for("/api/v1/bars/AAPL?interval=5m", |answer| {
        answer["bars"].as_array().is_some_and(|bars| !bars.is_empty())
    });
    assert!(live["bars"][0]["volume"].as_f64() > Some(0.0), "{live}");
    let (status, said) = up.wait();
    assert!(status.success(), "{status}: {said:?}");
    let text = said.join("\n");
    assert!(!text.contains('\u{1b}') && !text.contains('\r'), "plain lines: {text}");
    assert!(text.contains("stopped") && text.contains("lag        0 records"), "{text}");

    let data = directory.path().to_str().expect("text");
    let read = ["bars", "--data", data, "--symbol", "AAPL", "--interval", "5m", "--format", "csv"];
    let (code, out, err) = run(&mut ticksmith(&read));
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("window_start_epoch_s,open,high,low,close"), "{out}");
    assert!(out.lines().count() >= 2, "{out}");
}

#[test]
fn it_goes_on_after_a_stop_and_after_kill_9() {
    let directory = tempfile::tempdir().expect("a directory");
    let enough = |more: i64| move |state: &Value| state["counts"]["merged"].as_i64() > Some(more);

    let first = Up::start(&with(directory.path(), &[]));
    let before = first.wait_for("/api/v1/state", enough(2_000));
    let trades_before = bronze(&first, "BINANCE:BTCUSDT");
    first.signal(libc::SIGKILL);
    let (status, _) = first.wait();
    assert!(!status.success());

    let second = Up::start(&with(directory.path(), &[]));
    let after = second.wait_for("/api/v1/state", enough(count(&before, "merged") + 100));
    check_conservation(&after);
    assert!(trades_before.is_subset(&bronze(&second, "BINANCE:BTCUSDT")), "trades were lost");
    let asked = Instant::now();
    second.signal(libc::SIGINT);
    let (status, said) = second.wait();
    assert!(status.success(), "{status}: {said:?}");
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());

    let third = Up::start(&with(directory.path(), &[]));
    let last = third.wait_for("/api/v1/state", enough(count(&after, "merged") + 100));
    check_conservation(&last);
    assert!(trades_before.is_subset(&bronze(&third, "BINANCE:BTCUSDT")), "trades were lost");
    third.signal(libc::SIGTERM);
    assert!(third.wait().0.success());
}

#[test]
fn without_a_data_directory_nothing_is_left_behind() {
    let temporary = tempfile::tempdir().expect("a directory");
    let entries = || std::fs::read_dir(temporary.path()).expect("readable").count();
    let place = temporary.path().to_str().expect("text");
    let killed = Up::start_with(&SMALL, &[("TMPDIR", place)]);
    killed.wait_for("/api/v1/state", |state| count(state, "total") > 0);
    killed.signal(libc::SIGKILL);
    killed.wait();
    assert_eq!(entries(), 1, "a killed run cannot clean up");
    let next = Up::start_with(&SMALL, &[("TMPDIR", place)]);
    next.wait_for("/api/v1/state", |state| count(state, "total") > 0);
    assert_eq!(entries(), 1, "the next one does");
    next.signal(libc::SIGINT);
    assert!(next.wait().0.success());
    assert_eq!(entries(), 0);
}

#[test]
fn what_cannot_work_is_said_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    std::fs::write(&file, "").expect("written");
    let not_a_directory = file.join("data");
    let not_a_directory = not_a_directory.to_str().expect("text");
    let cases: [(&[&str], &[&str]); 4] = [
        (&["--port", &port], &["port", &port, "--port"]),
        (&["--port", "0", "--data", not_a_directory], &[not_a_directory, "--data"]),
        (&["--port", "0", "--frames", "nowhere.jsonl"], &["nowhere.jsonl"]),
        (&["--port", "0", "--rate", "0"], &["simulator.rate"]),
    ];
    for (arguments, named) in cases {
        let (code, _, err) = run(&mut ticksmith(&[&["up"], arguments].concat()));
        assert_eq!(code, 2, "{arguments:?}: {err}");
        assert_eq!(err.lines().count(), 1, "{arguments:?}: {err}");
        assert!(named.iter().all(|name| err.contains(name)), "{arguments:?}: {err}");
    }
}
