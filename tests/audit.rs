//! `ticksmith audit` and `ticksmith rebuild` through the real binary, on what a real run of
//! `ticksmith up` left behind and a hand then changed.

#[path = "process/mod.rs"]
mod process;

use std::path::Path;
use std::sync::OnceLock;

use process::{Up, run, ticksmith};
use rusqlite::Connection;
use tempfile::TempDir;

const SYMBOLS: &str = "AAPL,MSFT,BINANCE:BTCUSDT";
/// Three hours of market and a little of the present.
const RUN: [&str; 8] = ["--symbols", SYMBOLS, "--rate", "2", "--history", "3h", "--for", "3s"];

/// A copy of a data directory that is made once.
fn data() -> TempDir {
    static MADE: OnceLock<TempDir> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().to_str().expect("text");
        let up = Up::start(&[&RUN[..], &["--data", path]].concat());
        let (status, said) = up.wait();
        assert!(status.success() && said.join("\n").contains("lag        0 records"), "{said:?}");
        directory
    });
    let copy = tempfile::tempdir().expect("a directory");
    for entry in std::fs::read_dir(made.path()).expect("readable").flatten() {
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("copied");
    }
    copy
}

fn database(data: &TempDir) -> Connection {
    Connection::open(data.path().join("ticksmith.sqlite")).expect("a database")
}

/// Runs one statement that must hit one row.
fn change(data: &TempDir, statement: &str) {
    assert_eq!(database(data).execute(statement, []).expect("it runs"), 1, "{statement}");
}

fn command(data: &Path, arguments: &str) -> (i32, String, String) {
    let data = data.to_str().expect("text");
    let words: Vec<&str> = arguments.split_whitespace().chain(["--data", data]).collect();
    run(&mut ticksmith(&words))
}

/// An audit of everything, as JSON, with its exit code.
fn audit(data: &TempDir) -> (i32, serde_json::Value) {
    let (code, out, err) = command(data.path(), "audit --symbol all --format json");
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{code}: {out}{err}")))
}

fn assert_equal(data: &TempDir) -> serde_json::Value {
    let (code, told) = audit(data);
    assert_eq!(code, 0, "{told:#}");
    assert_eq!(told["compared"], told["equal"]);
    assert_eq!(told["digest_gold"], told["digest_recomputed"]);
    assert!(told["compared"].as_i64() > Some(60), "{told:#}");
    told
}

/// The start of the tenth five minutes of AAPL, as a number and as text.
fn tenth(data: &TempDir) -> (i64, String) {
    let query = "SELECT ts, strftime('%Y-%m-%dT%H:%M:%SZ', ts / 1000, 'unixepoch') \
                 FROM trades_gold_5m WHERE symbol = 'AAPL' ORDER BY ts LIMIT 1 OFFSET 9";
    let row = database(data).query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)));
    row.expect("so many bars")
}

/// Changes gold, and expects that the audit names it.
fn found(statement: &str, kind: &str, named: &str) -> (TempDir, String) {
    let data = data();
    let (start_ms, start) = tenth(&data);
    let place = format!("symbol = 'AAPL' AND ts = {start_ms}");
    change(&data, &statement.replace("{place}", &place));

    let (code, out, err) = command(data.path(), "audit --symbol AAPL");
    let line = out.lines().find(|line| line.contains(&start));
    let line = line.unwrap_or_else(|| panic!("{statement}: {code}: {out}{err}"));
    assert!(line.starts_with(&format!("  AAPL 5m {start} {named}")), "{line}");
    assert_eq!(code, 1, "{out}");
    assert!(err.contains("1 bars are not what bronze says"), "{err}");
    let (code, told) = audit(&data);
    assert_eq!((code, &told["differences"][0]["kind"]), (1, &kind.into()), "{told:#}");
    assert_ne!(told["digest_gold"], told["digest_recomputed"], "{statement}");
    (data, start)
}

/// A plan writes nothing, and --apply heals.
fn healed((data, start): &(TempDir, String)) {
    let (code, plan, err) = command(data.path(), "rebuild --symbol AAPL");
    assert_eq!(code, 0, "{plan}{err}");
    assert!(plan.contains(start) && plan.contains("nothing was written"), "{plan}");
    assert_eq!(audit(data).0, 1, "a plan writes nothing");
    let (code, done, err) = command(data.path(), "rebuild --symbol AAPL --apply");
    assert_eq!(code, 0, "{done}{err}");
    assert!(done.contains("as generation 1"), "{done}");
    assert_equal(data);
}

#[test]
fn what_the_pipeline_wrote_is_equal_also_after_kill_9() {
    let data = data();
    let told = assert_equal(&data);
    assert_eq!(told["not_auditable"], serde_json::json!([]));

    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("text");
    let endless = [&RUN[..6], &["--data", path]].concat();
    for merged in [3_000, 9_000] {
        let up = Up::start(&endless);
        up.wait_for("/api/v1/state", |state| state["counts"]["merged"].as_i64() > Some(merged));
        up.signal(libc::SIGKILL);
        up.wait();
    }
    let last = Up::start(&[&endless[..], &["--for", "2s"]].concat());
    assert!(last.wait().0.success());
    let (code, told) = audit(&directory);
    assert_eq!(code, 0, "{told:#}");
    assert!(told["compared"].as_i64() > Some(20), "{told:#}");
}

#[test]
fn one_changed_volume_is_found_named_and_healed() {
    let (gold, table) = ("mismatched", "trades_gold_5m");
    let exact = format!("UPDATE {table} SET volume_exact = '7.5' WHERE {{place}}");
    found(&exact, gold, "volume: gold 7.5");
    let double = format!("UPDATE {table} SET volume = 7.5 WHERE {{place}}");
    healed(&found(&double, gold, "volume: gold 7.5 beside volume_exact"));
    let both = format!("UPDATE {table} SET volume = 7.5, volume_exact = '7.5' WHERE {{place}}");
    found(&both, gold, "volume: gold 7.5, recomputed");
}

#[test]
fn one_deleted_row_is_found_named_and_healed() {
    let statement = "DELETE FROM trades_gold_5m WHERE {place}";
    healed(&found(statement, "missing", "bar: gold has none, recomputed open"));
}

#[test]
fn one_inserted_row_is_found_named_and_removed() {
    let data = data();
    let (start_ms, start) = tenth(&data);
    let connection = database(&data);
    let copy = format!(
        "CREATE TEMP TABLE one AS SELECT * FROM trades_gold_5m \
         WHERE symbol = 'AAPL' AND ts = {start_ms}; \
         UPDATE one SET symbol = 'NOBODY', open_time = NULL; \
         INSERT INTO trades_gold_5m SELECT * FROM one;"
    );
    connection.execute_batch(&copy).expect("it runs");
    drop(connection);
    let (code, told) = audit(&data);
    let difference = &told["differences"][0];
    assert_eq!((code, &difference["kind"]), (1, &"extra".into()), "{told:#}");
    assert_eq!((&difference["symbol"], &difference["start"]), (&"NOBODY".into(), &start.into()));
    let (code, out, err) = command(data.path(), "rebuild --symbol NOBODY --apply");
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("removed     1") && out.contains("removed 1"), "{out}");
    assert_equal(&data);
}

#[test]
fn late_trades_are_merged_on_request_and_audited_as_such() {
    let data = data();
    let (code, out, err) = command(data.path(), "rebuild --symbol all --include-late --apply");
    assert_eq!(code, 0, "{out}{err}");
    let told = assert_equal(&data);
    assert!(told["late_included"].as_i64() > Some(0), "{told:#}");
    let query = "SELECT COUNT(*) FROM trades_gold_5m WHERE late_included > 0 AND generation = 1";
    let count: i64 = database(&data).query_row(query, [], |row| row.get(0)).expect("a count");
    assert!(count > 0);
}

#[test]
fn what_cannot_be_answered_is_said_with_a_remedy() {
    let data = data();
    let (start_ms, _) = tenth(&data);
    let said = |arguments: &str, wanted: i32| {
        let (code, out, err) = command(data.path(), arguments);
        assert_eq!(code, wanted, "{arguments}: {out}{err}");
        err
    };
    let unknown = said("audit --symbol APPL", 2);
    assert!(unknown.contains("did you mean AAPL?"), "{unknown}");
    let month_ago = start_ms / 1_000 - 30 * 86_400;
    let gone = said(&format!("audit --symbol AAPL --from {month_ago}"), 1);
    assert!(gone.contains("not auditable: ") && gone.contains("give --from 20"), "{gone}");
    let inside = said(&format!("rebuild --symbol AAPL --from {}", start_ms / 1_000 + 1), 2);
    assert!(inside.contains("inside a window of 1h; give 20"), "{inside}");
    let held = said("rebuild --symbol BINANCE:BTCUSDT --to 2100-01-01T00:00:00Z", 2);
    assert!(held.contains("state of the stream") && held.contains("give --to 20"), "{held}");
}
