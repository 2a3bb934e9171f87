//! Whole days of trades with sale conditions through `ticksmith verify`, against the bars that a
//! program that shares no code with us computes from the same frames. These need no server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use tempfile::TempDir;

use crate::harness::foreign::{output_of, script};

const POLICIES: [&str; 3] = ["sip", "conservative", "all"];
const INTERVALS: [&str; 2] = ["5m", "1h"];

/// What the maker of the frames says of them.
#[derive(Deserialize)]
struct Made {
    symbol: String,
    trades: u64,
    odd_lots: f64,
    codes: BTreeMap<String, u64>,
}

/// What became of the trades, as the foreign program has it.
#[derive(Debug, Deserialize)]
struct Expected {
    trades: u64,
    late: u64,
    rejected: u64,
    malformed: u64,
    second_encodings: u64,
    repeats: u64,
    volume_only: u64,
    conditional: u64,
}

struct Day {
    directory: TempDir,
    frames: PathBuf,
    made: Made,
}

impl Day {
    fn of(kind: &str, date: &str) -> Self {
        let directory = TempDir::new().expect("a directory");
        let frames = directory.path().join("frames.jsonl");
        let mut command = script("days.py");
        command.arg(&frames).args(["--kind", kind, "--day", date, "--beside", "MSFT"]);
        let made = serde_json::from_str(&output_of(&mut command)).expect("a summary");
        Self { directory, frames, made }
    }

    /// Has the bars computed by the foreign program.
    fn expect(&self, more: &[&str]) -> Expected {
        let mut command = script("expected_bars.py");
        command.arg(&self.frames).arg(self.directory.path());
        command.args(["--symbol", &self.made.symbol]).args(more);
        serde_json::from_str(&output_of(&mut command)).expect("a summary")
    }

    fn bars(&self, policy: &str, interval: &str) -> PathBuf {
        self.directory.path().join(format!("{policy}.{interval}.csv"))
    }

    /// Exit code and report of `verify` against the bars in a file.
    fn verify(&self, bars: &Path, interval: &str, more: &[&str]) -> (i32, serde_json::Value) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ticksmith"));
        command.current_dir(self.directory.path()).arg("verify").arg("--json");
        command.arg("--frames").arg(&self.frames).arg("--bars").arg(bars);
        command.args(["--symbol", &self.made.symbol, "--interval", interval]).args(more);
        let output = command.output().expect("verify runs");
        let said = String::from_utf8_lossy(&output.stdout);
        let report = serde_json::from_str(&said).unwrap_or_else(|error| {
            panic!("{error}: {said}{}", String::from_utf8_lossy(&output.stderr))
        });
        (output.status.code().expect("it ended by itself"), report)
    }

    /// Every window is as the foreign program has it, and so is what became of the trades.
    fn assert_match(&self, expected: &Expected, policy: &str, interval: &str, more: &[&str]) {
        let bars = self.bars(policy, interval);
        let (code, report) = self.verify(&bars, interval, more);
        let rows = std::fs::read_to_string(&bars).expect("rows").lines().count() - 1;
        assert!(rows > 0, "{policy} {interval}: no rows");
        let found: [u64; 10] = [
            "matched",
            "mismatched",
            "missing",
            "extra",
            "outside_span",
            "trades",
            "late",
            "rejected",
            "malformed",
            "second_encodings_dropped",
        ]
        .map(|name| report[name].as_u64().unwrap_or_else(|| panic!("no {name}: {report:#}")));
        let Expected { trades, late, rejected, malformed, second_encodings, .. } = *expected;
        let wanted = [rows as u64, 0, 0, 0, 0, trades, late, rejected, malformed, second_encodings];
        assert_eq!((code, found), (0, wanted), "{policy} {interval}: {report:#}");
    }
}

fn assert_every_policy_matches(day: &Day, expected: &Expected) {
    for policy in POLICIES {
        for interval in INTERVALS {
            day.assert_match(expected, policy, interval, &["--policy", policy]);
        }
    }
}

/// The Mondays after both changes of the clock, a half day, and a day without a session that no
/// rule foresees.
#[test]
fn a_stock_with_every_sale_condition_matches_under_every_policy() {
    let mut conditional = 0;
    for date in ["2024-03-11", "2024-11-04", "2024-11-29", "2018-12-05"] {
        let day = Day::of("stock", date);
        assert!((0.44..0.46).contains(&day.made.odd_lots), "{}", day.made.odd_lots);
        for code in 1..=41 {
            assert!(day.made.codes.contains_key(&code.to_string()), "{date}: no code {code}");
        }
        let expected = day.expect(&[]);
        let Expected { late, rejected, second_encodings, volume_only, .. } = expected;
        assert!(
            late > 0 && rejected > 0 && second_encodings > 0 && volume_only > 0,
            "{date}: {expected:?}"
        );
        conditional += expected.conditional;
        assert_every_policy_matches(&day, &expected);
        day.assert_match(&expected, "sip", "5m", &[]);
    }
    assert!(conditional > 0, "no window is set by conditional trades alone");
}

#[test]
fn an_etf_with_half_a_million_trades_in_a_day_matches() {
    let day = &Day::of("etf", "2024-03-11");
    assert!(day.made.trades >= 500_000);
    let expected = &day.expect(&[]);
    std::thread::scope(|threads| {
        threads.spawn(|| day.assert_match(expected, "sip", "5m", &[]));
        let conservative = ["--policy", "conservative"];
        threads.spawn(move || day.assert_match(expected, "conservative", "1h", &conservative));
        day.assert_match(expected, "all", "5m", &["--policy", "all"]);
    });
}

#[test]
fn crypto_and_currencies_with_updates_of_no_volume_match() {
    for kind in ["crypto", "currency"] {
        let day = Day::of(kind, "2024-03-10");
        let expected = day.expect(&[]);
        assert!(expected.late > 0 && expected.volume_only == 0, "{kind}: {expected:?}");
        assert_every_policy_matches(&day, &expected);
        day.assert_match(&expected, "all", "5m", &[]);
    }
}

#[test]
fn repeated_frames_are_left_out_on_request() {
    let day = Day::of("stock", "2024-11-29");
    let expected = day.expect(&["--drop-repeats"]);
    assert!(expected.repeats > 0, "{expected:?}");
    day.assert_match(&expected, "sip", "5m", &["--drop-repeats"]);
    let (code, report) = day.verify(&day.bars("sip", "5m"), "5m", &[]);
    assert_eq!(code, 1, "{report:#}");
    let cause = cause(&report, "volume");
    assert_eq!(cause["explained_by"]["repeated"], cause["windows"], "{report:#}");
}

#[test]
fn the_policy_of_the_source_is_found() {
    let day = Day::of("stock", "2024-03-11");
    day.expect(&[]);
    let bars = day.bars("conservative", "5m");
    let (code, report) = day.verify(&bars, "5m", &[]);
    assert_eq!(code, 1, "{report:#}");
    let found = cause(&report, "price_only");
    assert!(found["windows"].as_u64() > Some(10), "{report:#}");
    assert_eq!(found["windows"], report["mismatched"]);
    assert_eq!(found["explained_by"]["policy_conservative"], found["windows"]);
}

fn cause<'a>(report: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    let causes = report["causes"].as_array().expect("causes");
    let found = causes.iter().find(|cause| cause["cause"] == name);
    found.unwrap_or_else(|| panic!("no cause {name}: {report:#}"))
}
