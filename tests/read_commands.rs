//! `ticksmith bars` and `ticksmith trades` through the real binary, on a data directory.

#[allow(dead_code, reason = "only its sample rows are used here")]
#[path = "conformance/store.rs"]
mod suite;

use std::process::{Command, Output};
use std::sync::Arc;

use suite::{HandClock, NOW_MS};
use tempfile::TempDir;
use ticksmith::embedded::Database;
use ticksmith::embedded::store::EmbeddedStore;
use ticksmith::model::{BarState, Effects};
use ticksmith::port::{Clock, Store};

/// Three bars and three trades of AAPL, and a second symbol without any.
fn directory_with_rows() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let database = Database::open(directory.path()).expect("a database");
    let clock = Arc::new(HandClock::at(NOW_MS));
    assert_eq!(clock.now_us(), NOW_MS * 1_000);
    let mut store = EmbeddedStore::open(&database, &suite::config(), clock).expect("a store");
    let mut bars: Vec<_> =
        (0..3).map(|index| suite::bar("AAPL", NOW_MS + index * 300_000, index)).collect();
    (bars[1].open, bars[1].vwap, bars[1].coverage) = (None, None, None);
    bars[2].state = BarState::Provisional;
    let trades = (0..3).map(|seq| suite::trade("AAPL", NOW_MS + seq, seq)).collect();
    let symbols = vec!["AAPL".into(), "BINANCE:BTCUSDT".into()];
    let rows = Effects { trades, bars, symbols, ..Effects::default() };
    store.write(&rows).expect("written");
    store.flush().expect("flushed");
    directory
}

fn ticksmith(directory: &TempDir, args: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ticksmith"))
        .args(args.split_whitespace())
        .arg("--data")
        .arg(directory.path())
        .current_dir(directory.path())
        .output()
        .expect("it runs")
}

fn stdout(directory: &TempDir, args: &str) -> String {
    let output = ticksmith(directory, args);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args}: {error}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn refusal(directory: &TempDir, args: &str, code: i32) -> String {
    let output = ticksmith(directory, args);
    let error = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(output.status.code(), Some(code), "{args}: {error}");
    error
}

#[test]
fn bars_are_printed_as_asked() {
    let directory = directory_with_rows();
    let csv = stdout(&directory, "bars --symbol AAPL --interval 5m --format csv");
    assert_eq!(
        csv,
        "window_start_epoch_s,open,high,low,close,volume,count\n\
         1700060400,10.5,11.25,10,10.75,123456789.000000000000000001,77\n\
         1700060700,,11.25,10,10.75,123456789.000000000000000001,77\n\
         1700061000,10.5,11.25,10,10.75,123456789.000000000000000001,77\n"
    );
    let table = stdout(&directory, "bars --symbol AAPL");
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(lines[0].starts_with("start ") && lines[0].ends_with(" state"), "{table}");
    assert!(lines[2].contains("2023-11-15T15:05:00Z     -  11.25"), "{table}");
    assert!(lines[3].ends_with("partial  provisional"), "{table}");
    let json = stdout(&directory, "bars --symbol AAPL --format json --limit 1");
    assert!(json.starts_with("[\n{\"symbol\":\"AAPL\",\"interval\":\"5m\",\"ts\":1700061000000,"));
    assert!(json.ends_with("}\n]\n"));
}

#[test]
fn ranges_and_limits_are_kept() {
    let directory = directory_with_rows();
    let rows = |args: &str| stdout(&directory, args).lines().count() - 1;
    let from = "bars --symbol AAPL --format csv --from";
    assert_eq!(rows(&format!("{from} 2023-11-15T15:05:00Z")), 2);
    assert_eq!(rows(&format!("{from} 1700060400 --to 1700060700")), 1);
    assert_eq!(rows(&format!("{from} 1800000000")), 0);
    assert_eq!(rows("trades --symbol AAPL --format csv --limit 2"), 2);
    assert_eq!(rows("trades --symbol AAPL --tier bronze"), 3);
}

#[test]
fn what_is_not_there_is_named_with_a_remedy() {
    let directory = directory_with_rows();
    let unknown = refusal(&directory, "bars --symbol APPL", 2);
    assert_eq!(unknown, "ticksmith: symbol 'APPL' is not stored; did you mean AAPL?\n");
    let unknown = refusal(&directory, "trades --symbol XYZ", 2);
    assert!(unknown.contains("there are AAPL, BINANCE:BTCUSDT"), "{unknown}");
    let unknown = refusal(&directory, "bars --symbol AAPL --interval 7m", 2);
    assert!(unknown.contains("7m") && unknown.contains("1m, 5m, 1h"), "{unknown}");
    let backwards = "bars --symbol AAPL --from 2 --to 1";
    assert!(refusal(&directory, backwards, 2).contains("swap them"));
    assert!(refusal(&directory, "bars --symbol AAPL --from noon", 2).contains("RFC 3339"));
    let empty = tempfile::tempdir().expect("a directory");
    let error = refusal(&empty, "bars --symbol AAPL", 2);
    assert!(error.contains("holds no data") && error.contains("ticksmith up"), "{error}");
    assert_eq!(std::fs::read_dir(empty.path()).expect("readable").count(), 0, "nothing is made");
}
