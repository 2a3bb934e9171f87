use std::sync::atomic::{AtomicI64, Ordering};

use serde_json::Value;

use super::*;
use crate::config::Secret;
use crate::port::PartitionReport;

const START_US: i64 = 1_710_163_800_000_000;

#[derive(Default)]
struct HandMoved(AtomicI64);

impl Clock for HandMoved {
    fn now_us(&self) -> i64 {
        START_US + self.monotonic_us()
    }
    fn monotonic_us(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl HandMoved {
    fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }
}

fn board() -> (Arc<HandMoved>, StreamBoard) {
    let clock = Arc::new(HandMoved::default());
    let mut config = Config::defaults();
    config.finnhub.api_key = Secret::new("s3cret");
    let board = StreamBoard::new(clock.clone(), &config);
    board.ready(true, "");
    (clock, board)
}

/// Partition 3 at an offset, its log so far ahead.
fn report(next_offset: i64, lag_records: i64) -> BeatReport {
    let tally = Tally { merged: next_offset, ..Tally::default() };
    BeatReport {
        tally,
        partitions: vec![PartitionReport {
            partition: 3,
            next_offset,
            end_offset: next_offset + lag_records,
            watermark_ms: Some(START_US / 1_000 - 2_000),
            open_windows: 12,
            tally,
        }],
        lag_records,
        symbols: 4,
        records: 70,
        beat_us: 1_000_000,
        flush_us: 5_000,
        commit_us: 9_000,
    }
}

fn figures_of(board: &StreamBoard) -> Value {
    serde_json::to_value(board.view()).expect("plain values")
}

#[test]
fn figures_are_those_of_the_last_beat_with_rates_over_the_last_seconds() {
    let (clock, board) = board();
    board.beat(&report(100, 0));
    clock.pass(4);
    board.beat(&report(500, 20));
    let figures = figures_of(&board);
    let task = &figures["partitions"][0];
    assert_eq!(task["state"], "running");
    assert_eq!((&task["read_rate"], &task["arrival_rate"]), (&100.0.into(), &105.0.into()));
    assert_eq!((&task["lag_records"], &task["open_windows"]), (&20.into(), &12.into()));
    assert_eq!(task["watermark_lag_ms"], 6_000);
    assert_eq!(figures["rates"]["merged"], 100.0);
    assert_eq!((&figures["lag_ms"], &figures["symbols"]), (&200.into(), &4.into()));
    assert_eq!(figures["ready"], true);
    assert_eq!(figures["started"], START_US / 1_000);
    let beats = figures["beats"].as_array().expect("beats");
    assert_eq!(beats.len(), 2);
    assert_eq!(beats[1]["at"], START_US / 1_000 + 4_000);
    assert_eq!((&beats[1]["flush_us"], &beats[1]["records"]), (&5_000.into(), &70.into()));
}

#[test]
fn a_task_says_what_it_does() {
    let (clock, board) = board();
    let state = || figures_of(&board)["partitions"][0]["state"].clone();
    board.beat(&report(100, 9_000));
    assert_eq!(state(), "behind", "no pace is known yet");
    clock.pass(2);
    board.beat(&report(300, 9_000));
    assert_eq!(state(), "behind", "90 s at this pace");
    clock.pass(2);
    board.beat(&report(9_300, 0));
    assert_eq!(state(), "running");
    clock.pass(60);
    board.beat(&report(9_300, 0));
    assert_eq!(state(), "idle");
    board.ready(false, "Cassandra is away");
    assert_eq!(state(), "waiting");
    assert_eq!(figures_of(&board)["reason"], "Cassandra is away");
}

#[test]
fn a_stall_ends_the_rates_and_what_is_kept_is_bounded() {
    let (clock, board) = board();
    for beat in 0..500 {
        board.beat(&report(beat * 100, 0));
        clock.0.fetch_add(1_000, Ordering::Relaxed);
    }
    assert_eq!(board.board().beats.len(), BEATS_KEPT);
    assert!(board.board().marks.len() <= 3, "500 beats in half a second");
    assert!(figures_of(&board)["rates"]["total"].as_f64() > Some(90_000.0));
    clock.pass(11);
    let figures = figures_of(&board);
    assert_eq!(figures["rates"]["total"], 0.0);
    assert_eq!(figures["partitions"][0]["read_rate"], 0.0);
}

#[test]
fn the_configuration_is_shown_without_its_secrets() {
    let (_, board) = board();
    assert!(board.config.contains("\"api_key\": \"***\"") && !board.config.contains("s3cret"));
}

#[test]
fn the_page_asks_nobody_but_its_own_server() {
    for (path, _, content) in FILES {
        let outside = content.replace("http://www.w3.org/", "");
        assert!(!outside.contains("//cdn") && !outside.contains("https://"), "{path}");
        assert!(!content.contains("style=\"") && !content.contains("onclick"), "{path}");
    }
}
