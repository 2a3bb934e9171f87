//! The shapes of frames that were seen on the wire, through codec and intake; and golden cases in
//! `tests/golden_frames`: above `expect` frames as they arrive (`keep` delivers repeated ones),
//! below it the numbered records and what was counted.

use std::fmt::Write as _;

use ticksmith::codec::finnhub;
use ticksmith::engine::{Intake, IntakeConfig, IntakeOutput, Numbered};
use ticksmith::model::{Arrival, FeedEventKind, RejectReason};

fn take(file: &str, drop_repeats: bool) -> IntakeOutput {
    let path = format!("{}/tests/fixtures/frames/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("a fixture");
    take_in(text.lines(), drop_repeats)
}

fn take_in<'a>(frames: impl Iterator<Item = &'a str>, drop_repeats: bool) -> IntakeOutput {
    let mut intake = Intake::new(IntakeConfig {
        connection: 1,
        feed: "test/0".into(),
        drop_repeats,
        future_bound_ms: 60_000,
    });
    let mut out = IntakeOutput::default();
    for frame in frames {
        intake.accept_frame(frame, finnhub::decode(frame), Arrival::default(), &mut out);
    }
    out
}

/// One line a record, by its number on the connection, then the counts that are not 0.
fn show(out: &IntakeOutput) -> String {
    let mut text = String::new();
    for record in &out.records {
        match record {
            Numbered::Trade(trade) => {
                let codes = trade.conditions.as_ref().map(|codes| codes.join(","));
                let codes = codes.unwrap_or("null".into());
                let time_ms = trade.trade_time_ms;
                let (seq, symbol, price) = (trade.seq, &trade.symbol, trade.price);
                writeln!(text, "{seq} {symbol} {time_ms} {price} × {} [{codes}]", trade.volume)
            }
            Numbered::Event(event) => writeln!(text, "{} {}", event.seq, event.kind.as_str()),
        }
        .expect("a string takes all");
    }
    for (name, count) in out.counts.named().into_iter().filter(|(_, count)| *count > 0) {
        writeln!(text, "{name} {count}").expect("a string takes all");
    }
    text
}

#[test]
fn every_golden_case_numbers_what_it_expects() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden_frames");
    let mut cases = 0;
    for entry in std::fs::read_dir(directory).expect("the golden cases are there") {
        let path = entry.expect("readable").path();
        let text = std::fs::read_to_string(&path).expect("readable");
        let (script, expected) = text.split_once("\nexpect\n").expect("has an expectation");
        let lines = script.lines().filter(|line| !line.starts_with('#'));
        let keep = script.lines().any(|line| line == "keep");
        let found = show(&take_in(lines.filter(|line| *line != "keep"), !keep));
        let shown = path.display();
        assert!(found == expected, "{shown}\n--- expected\n{expected}--- found\n{found}");
        cases += 1;
    }
    assert!(cases >= 7, "only {cases} golden cases were found");
}

#[test]
fn frames_of_the_feed_are_taken_whole() {
    let out = take("feed.jsonl", true);
    let counts = out.counts;
    assert_eq!((counts.frames, counts.pings, counts.error_frames), (21, 1, 3));
    assert_eq!(counts.trades, 33);
    assert_eq!((counts.repeats_dropped, counts.suspicious_repeats), (2, 2));
    assert_eq!(counts.second_encodings, 3);
    assert!(out.rejections.is_empty());
    let kept = take("feed.jsonl", false).counts;
    assert_eq!((kept.repeats_kept, kept.trades), (2, 41));
}

#[test]
fn every_malformed_frame_and_element_is_diverted_with_a_reason() {
    let out = take("malformed.jsonl", true);
    let count = |reason| out.rejections.iter().filter(|r| r.reason == reason).count();
    assert_eq!(count(RejectReason::MalformedFrame), 6);
    assert_eq!(count(RejectReason::MalformedElement), 6);
    assert!(out.rejections.iter().all(|rejection| !rejection.problem.is_empty()));
    let mut trades = 0;
    for record in &out.records {
        match record {
            Numbered::Trade(trade) => {
                trades += 1;
                assert_eq!(trade.price, 146.12);
            }
            Numbered::Event(event) if event.kind == FeedEventKind::Heartbeat => {
                assert_eq!(event.feed_time_ms.is_some(), trades == 1, "with the first trade");
            }
            Numbered::Event(event) => assert_eq!(event.kind, FeedEventKind::DecodeLoss),
        }
    }
    assert_eq!((trades, out.records.len()), (1, 12));
}
