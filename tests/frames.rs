//! The shapes of frames that were seen on the wire, through codec and intake.

use ticksmith::codec::finnhub;
use ticksmith::engine::{Intake, IntakeConfig, IntakeOutput, Numbered};
use ticksmith::model::{Arrival, FeedEventKind, RejectReason};

fn take(file: &str, drop_repeats: bool) -> IntakeOutput {
    let path = format!("{}/tests/fixtures/frames/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("a fixture");
    let mut intake = Intake::new(IntakeConfig {
        connection: 1,
        feed: "test/0".into(),
        drop_repeats,
        future_bound_ms: 60_000,
    });
    let mut out = IntakeOutput::default();
    for line in text.lines() {
        intake.accept_frame(line, finnhub::decode(line), Arrival::default(), &mut out);
    }
    out
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
