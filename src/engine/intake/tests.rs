use super::*;

/// Any instant of which feed times are near enough.
const NOW_MS: i64 = 1_700_000_000_000;

fn intake(drop_repeats: bool) -> Intake {
    Intake::new(IntakeConfig {
        connection: 77,
        feed: "test/0".into(),
        drop_repeats,
        future_bound_ms: 60_000,
    })
}

fn at(milliseconds: i64) -> Arrival {
    Arrival { at_us: (NOW_MS + milliseconds) * 1_000, monotonic_us: milliseconds * 1_000 }
}

fn trade(time_ms: i64, price: f64, volume: f64, codes: &[&str]) -> Element {
    Element::Trade(FeedTrade {
        symbol: "AAPL".into(),
        price,
        volume,
        trade_time_ms: NOW_MS + time_ms,
        conditions: Some(codes.iter().copied().map(Into::into).collect()),
        inexact_numbers: 0,
    })
}

fn bad(symbol: &str) -> Element {
    Element::Malformed(MalformedElement {
        raw: "{}".into(),
        symbol: Some(symbol.into()),
        problem: "missing field `t`".into(),
    })
}

/// Frames as (raw text, elements); the raw text only has to be equal where frames are.
fn run(intake: &mut Intake, frames: &[(&str, Vec<Element>)]) -> IntakeOutput {
    let mut out = IntakeOutput::default();
    for (raw, elements) in frames {
        intake.accept_frame(raw, Frame::Trades(elements.clone()), at(0), &mut out);
    }
    out
}

fn seqs(out: &IntakeOutput) -> Vec<i64> {
    let seq = |record: &Numbered| match record {
        Numbered::Trade(trade) => trade.seq,
        Numbered::Event(event) => event.seq,
    };
    out.records.iter().map(seq).collect()
}

fn events<'a>(out: &'a IntakeOutput) -> Vec<&'a FeedEvent> {
    let event = |record: &'a Numbered| match record {
        Numbered::Event(event) => Some(event),
        Numbered::Trade(_) => None,
    };
    out.records.iter().filter_map(event).collect()
}

#[test]
fn trades_and_events_share_one_running_number() {
    let mut intake = intake(true);
    let mut out = IntakeOutput::default();
    intake.connected(at(0), &mut out);
    intake.subscribed(vec!["AAPL".into()], at(0), &mut out);
    let frame = Frame::Trades(vec![trade(0, 1.0, 1.0, &[]), bad("MSFT"), trade(1, 1.0, 1.0, &[])]);
    intake.accept_frame("a", frame, at(1), &mut out);
    intake.heartbeat(at(2), &mut out);
    assert_eq!(seqs(&out), [1, 2, 3, 4, 5, 6, 7]);
    let kinds: Vec<_> = events(&out).iter().map(|event| event.kind).collect();
    use FeedEventKind::{Connected, DecodeLoss, Heartbeat, Subscribed};
    assert_eq!(kinds, [Connected, Subscribed, Heartbeat, DecodeLoss, Heartbeat]);
}

#[test]
fn two_equal_trades_are_two_trades() {
    let twice = vec![trade(0, 1.0, 1.0, &["1"]); 2];
    let out = run(&mut intake(true), &[("a", twice)]);
    assert_eq!((out.counts.trades, out.counts.second_encodings), (2, 0));
    let groups = vec![trade(0, 1.0, 1.0, &["1"]); 6];
    assert_eq!(run(&mut intake(true), &[("a", groups)]).counts.trades, 6);
}

#[test]
fn a_large_frame_that_repeats_the_one_before_is_dropped_and_counted() {
    let large = ("large", vec![trade(0, 1.0, 1.0, &[]), trade(1, 2.0, 1.0, &[]), bad("A")]);
    let other = ("other", vec![trade(2, 1.0, 1.0, &[])]);
    let frames = [large.clone(), large.clone(), large.clone(), other, large];
    let dropped = run(&mut intake(true), &frames);
    assert_eq!((dropped.counts.repeats_dropped, dropped.counts.repeated_elements_dropped), (2, 6));
    assert_eq!((dropped.counts.trades, dropped.rejections.len()), (5, 2));
    let kept = run(&mut intake(false), &frames);
    assert_eq!((kept.counts.repeats_kept, kept.counts.trades), (2, 9));
}

#[test]
fn a_small_frame_that_repeats_is_delivered_and_counted_as_suspicious() {
    let small = ("small", vec![trade(0, 1.0, 1.0, &[]), trade(1, 2.0, 1.0, &[])]);
    let out = run(&mut intake(true), &[small.clone(), small.clone(), small]);
    assert_eq!((out.counts.suspicious_repeats, out.counts.trades), (2, 6));
}

#[test]
fn a_ping_between_two_equal_frames_changes_nothing() {
    let mut intake = intake(true);
    let mut out = IntakeOutput::default();
    let frame = Frame::Trades(vec![trade(0, 1.0, 1.0, &[]); 3]);
    intake.accept_frame("a", frame.clone(), at(0), &mut out);
    intake.accept_frame("ping", Frame::Ping, at(1), &mut out);
    intake.accept_frame("a", frame, at(2), &mut out);
    assert_eq!((out.counts.repeats_dropped, out.counts.trades, out.counts.pings), (1, 3, 1));
}

/// The shape of a frame that was seen on the wire: four of five trades come again, later in the
/// frame, in the other encoding.
#[test]
fn a_group_in_its_second_encoding_is_dropped() {
    let frame = vec![
        trade(30, 183.24, 5.0, &["8", "12", "41"]),
        trade(32, 183.23, 100.0, &[]),
        trade(33, 183.23, 100.0, &[]),
        trade(35, 183.221, 100.0, &[]),
        trade(40, 183.235, 10.0, &["12"]),
        trade(26, 183.23, 500.0, &["1"]),
        trade(30, 183.24, 5.0, &["1", "8", "12"]),
        trade(32, 183.23, 100.0, &["1"]),
        trade(33, 183.23, 100.0, &["1"]),
        trade(35, 183.221, 100.0, &["1"]),
    ];
    let out = run(&mut intake(true), &[("a", frame)]);
    assert_eq!((out.counts.trades, out.counts.second_encodings), (6, 4));
}

#[test]
fn what_only_looks_like_a_second_encoding_stays() {
    let first = [trade(1, 1.0, 1.0, &["8"]), trade(2, 2.0, 1.0, &["12"])];
    let cases = [
        ("a single trade", vec![trade(1, 1.0, 1.0, &["1", "8"])]),
        ("the same codes", first.to_vec()),
        ("other codes", vec![trade(1, 1.0, 1.0, &["1", "8"]), trade(2, 2.0, 1.0, &["1", "3"])]),
        ("another volume", vec![trade(1, 1.0, 1.0, &["1", "8"]), trade(2, 2.0, 2.0, &["1", "12"])]),
        ("another order", vec![trade(2, 2.0, 1.0, &["1", "12"]), trade(1, 1.0, 1.0, &["1", "8"])]),
    ];
    for (name, second) in cases {
        let frame: Vec<Element> = first.iter().cloned().chain(second).collect();
        let expected = frame.len() as u64;
        assert_eq!(run(&mut intake(true), &[("a", frame)]).counts.trades, expected, "{name}");
    }
    let separated = vec![first[0].clone(), bad("A"), first[1].clone()];
    let second = vec![trade(1, 1.0, 1.0, &["1", "8"]), trade(2, 2.0, 1.0, &["1", "12"])];
    let frame: Vec<Element> = separated.into_iter().chain(second).collect();
    assert_eq!(run(&mut intake(true), &[("a", frame)]).counts.trades, 4, "not consecutive");
}

#[test]
fn equal_prints_within_a_second_encoding_all_stay() {
    let print = |codes: &[&str]| trade(1, 9.0, 100.0, codes);
    let (first, second) = (vec![print(&[]); 3], vec![print(&["1"]); 3]);
    let out = run(&mut intake(true), &[("a", [first.clone(), second].concat())]);
    assert_eq!((out.counts.trades, out.counts.second_encodings), (3, 3));
    let out = run(&mut intake(true), &[("b", [first.clone(), first].concat())]);
    assert_eq!((out.counts.trades, out.counts.second_encodings), (6, 0));
}

/// Pairs of elements may be looked at, not triples: that would take minutes here.
#[test]
fn a_frame_of_thousands_of_equal_trades_is_taken_apart() {
    let plain = vec![trade(1, 9.0, 7.0, &["12"]); 1_000];
    let again = vec![trade(1, 9.0, 7.0, &["1", "12"]); 1_000];
    assert_eq!(run(&mut intake(true), &[("a", plain.clone())]).counts.trades, 1_000);
    let out = run(&mut intake(true), &[("b", [plain, again].concat())]);
    assert_eq!((out.counts.trades, out.counts.second_encodings), (1_000, 1_000));
}

#[test]
fn null_and_no_codes_are_one_encoding() {
    let without = |time_ms| match trade(time_ms, 1.0, 1.0, &[]) {
        Element::Trade(trade) => Element::Trade(FeedTrade { conditions: None, ..trade }),
        other => other,
    };
    let frame = vec![trade(1, 1.0, 1.0, &[]), trade(2, 1.0, 1.0, &[]), without(1), without(2)];
    assert_eq!(run(&mut intake(true), &[("a", frame)]).counts.trades, 4);
}

#[test]
fn feed_time_is_the_newest_trade_time_plus_the_time_since_its_receipt() {
    let mut intake = intake(true);
    let mut out = IntakeOutput::default();
    intake.heartbeat(at(0), &mut out);
    let frame = Frame::Trades(vec![trade(500, 1.0, 1.0, &[]), trade(300, 1.0, 1.0, &[])]);
    intake.accept_frame("a", frame, at(1_000), &mut out);
    intake.heartbeat(at(6_000), &mut out);
    let older = Frame::Trades(vec![trade(400, 1.0, 1.0, &[])]);
    intake.accept_frame("b", older, at(7_000), &mut out);
    intake.heartbeat(at(8_000), &mut out);
    let mut beats = events(&out);
    assert_eq!((beats[0].feed_time_ms, beats[0].confirmed_at_us), (None, None));
    let first = beats.remove(1);
    assert_eq!(first.at_us, (NOW_MS + 1_000) * 1_000, "with the first trade");
    assert_eq!(first.feed_time_ms, Some(NOW_MS + 500));
    assert_eq!(beats[1].feed_time_ms, Some(NOW_MS + 5_500));
    assert_eq!(beats[1].confirmed_at_us, Some((NOW_MS + 1_000) * 1_000));
    assert_eq!(beats[1].confirmed_feed_time_ms, Some(NOW_MS + 500));
    assert_eq!(beats[2].feed_time_ms, Some(NOW_MS + 7_500));
    assert_eq!(beats[2].confirmed_feed_time_ms, Some(NOW_MS + 6_500));
}

#[test]
fn what_will_be_rejected_does_not_move_feed_time() {
    for element in [
        trade(60_001, 1.0, 1.0, &[]),
        trade(10, 0.0, 1.0, &[]),
        trade(10, f64::NAN, 1.0, &[]),
        trade(10, 1.0, -1.0, &[]),
    ] {
        let mut intake = intake(true);
        let mut out = IntakeOutput::default();
        intake.accept_frame("a", Frame::Trades(vec![trade(0, 1.0, 1.0, &[])]), at(0), &mut out);
        intake.accept_frame("b", Frame::Trades(vec![element]), at(0), &mut out);
        assert_eq!((intake.feed_time_ms(0), out.counts.trades), (Some(NOW_MS), 2));
    }
}

#[test]
fn a_trade_within_the_bound_of_feed_time_moves_it_even_when_the_wall_clock_is_behind() {
    let mut intake = intake(true);
    let mut out = IntakeOutput::default();
    for time_ms in [50_000, 100_000] {
        let frame = Frame::Trades(vec![trade(time_ms, 1.0, 1.0, &[])]);
        intake.accept_frame(&time_ms.to_string(), frame, at(0), &mut out);
    }
    assert_eq!(intake.feed_time_ms(0), Some(NOW_MS + 100_000));
}

#[test]
fn what_cannot_be_a_trade_is_diverted_with_its_frame_number_and_told() {
    let mut intake = intake(true);
    let mut out = IntakeOutput::default();
    intake.accept_frame("ping", Frame::Ping, at(0), &mut out);
    intake.accept_frame("{", Frame::Malformed { problem: "not JSON".into() }, at(1), &mut out);
    intake.accept_frame("b", Frame::Trades(vec![bad("B"), bad("A"), bad("B")]), at(2), &mut out);
    let told: Vec<_> = out.rejections.iter().map(|r| (r.reason, r.frame, r.raw.as_str())).collect();
    let (frame, element) = (RejectReason::MalformedFrame, RejectReason::MalformedElement);
    assert_eq!(told, [(frame, 2, "{"), (element, 3, "{}"), (element, 3, "{}"), (element, 3, "{}")]);
    let losses = events(&out);
    assert_eq!((losses[0].lost_records, losses[1].lost_records), (1, 3));
    assert_eq!(losses[1].symbols, ["A", "B"]);
}

#[test]
fn offline_frames_have_no_arrival_and_no_future() {
    let mut intake = intake(true);
    let mut out = IntakeOutput::default();
    let frame = Frame::Trades(vec![trade(0, 1.0, 1.0, &[])]);
    intake.accept_frame("a", frame, Arrival::default(), &mut out);
    assert_eq!(intake.feed_time_ms(0), Some(NOW_MS));
}

#[test]
fn the_symbols_are_told_again_every_hour() {
    let mut intake = intake(true);
    let mut out = IntakeOutput::default();
    intake.subscribed(vec!["AAPL".into()], at(0), &mut out);
    for minute in 1..=121 {
        intake.heartbeat(at(minute * 60_000), &mut out);
    }
    let told = events(&out).into_iter().filter(|one| one.kind == FeedEventKind::Subscribed);
    let told: Vec<(i64, Vec<String>)> =
        told.map(|one| (one.at_us / 60_000_000, one.symbols.clone())).collect();
    let first = NOW_MS / 60_000;
    let expected = [0, 60, 120].map(|minute| (first + minute, vec!["AAPL".to_owned()]));
    assert_eq!(told, expected);
}
