//! Which cause a difference is put under, and what explains it.

use super::*;
use crate::role::verify::causes::Cause;

/// Cause, windows, and the windows of each remedy.
type Found = (Cause, usize, Vec<(String, usize)>);

/// What `verify` finds, and that text and JSON tell them.
fn causes(frames: &str, rows: &str) -> Vec<Found> {
    causes_of(case(frames.as_bytes(), &[HEADER, rows].concat()))
}

fn causes_of(case: Case) -> Vec<Found> {
    let report = case.report().expect("comparable");
    let text = report.text();
    let json: serde_json::Value = serde_json::from_str(&report.json()).expect("json");
    let findings = report.causes.expect("a file can be read twice");
    let told = findings.iter().enumerate().map(|(place, finding)| {
        let remedies: Vec<(String, usize)> =
            finding.remedies.iter().map(|(remedy, windows)| (remedy.name(), *windows)).collect();
        assert!(text.contains(finding.cause.describe()), "{text}");
        let json = &json["causes"][place];
        assert_eq!(json["cause"], finding.cause.as_str());
        assert_eq!(json["windows"], finding.windows);
        for (remedy, windows) in &finding.remedies {
            assert!(text.contains(&format!("{windows} {}", remedy.describe())), "{text}");
            assert_eq!(json["explained_by"][remedy.name()], *windows);
        }
        (finding.cause, finding.windows, remedies)
    });
    told.collect()
}

fn one(cause: Cause, windows: usize, remedies: &[(&str, usize)]) -> Vec<Found> {
    let remedies = remedies.iter().map(|(name, windows)| ((*name).to_owned(), *windows)).collect();
    vec![(cause, windows, remedies)]
}

#[test]
fn a_price_is_laid_to_the_policy_under_which_it_agrees() {
    // An odd lot in each of three minutes, whose price only the first two rows take.
    let minute = |at: i64| {
        stock_frame(&[("", "100", "200", TEN_S + at * 60), ("12", "105", "7", TEN_S + at * 60 + 1)])
    };
    let frames: String = (0..3).map(minute).collect();
    let rows = [
        row(TEN, "100,105,100,105,207,2"),
        row(TEN + 1, "100,105,100,105,207,2"),
        row(TEN + 2, "100,111,100,111,207,2"),
    ];
    let found = causes(&frames, &rows.concat());
    assert_eq!(found, one(Cause::PriceOnly, 3, &[("policy_all", 2)]));
}

#[test]
fn a_conservative_source_is_recognized() {
    let frames = stock_frame(&[("", "100", "200", TEN_S), ("30", "105", "300", TEN_S + 1)]);
    let found = causes(&frames, &row(TEN, "100,100,100,100,500,2"));
    assert_eq!(found, one(Cause::PriceOnly, 1, &[("policy_conservative", 1)]));
}

#[test]
fn a_volume_is_laid_to_the_trades_that_it_is_off_by() {
    let late = ("", "100", "8", TEN_S);
    let frames = [
        stock_frame(&[("", "100", "200", TEN_S + 1)]),
        stock_frame(&[("", "100", "100", TEN_S + 3_600)]),
        stock_frame(&[late]),
    ];
    let last = row(TEN + 60, "100,100,100,100,100,1");
    let found = |volume: &str| {
        let first = row(TEN, &format!("100,100,100,100,{volume},2"));
        causes(&frames.concat(), &[first, last.clone()].concat())
    };
    assert_eq!(found("208"), one(Cause::Volume, 1, &[("late", 1)]));
    assert_eq!(found("209"), one(Cause::Volume, 1, &[]));
}

#[test]
fn every_group_of_trades_is_held_against_the_volume() {
    let base = ("", "100", "200", TEN_S);
    let group = [("1", "100", "3", TEN_S + 1), ("1", "100", "4", TEN_S + 2)];
    let again = [("", "100", "3", TEN_S + 1), ("", "100", "4", TEN_S + 2)];
    let second_encoding = stock_frame(&[base, group[0], group[1], again[0], again[1]]);
    let three = stock_frame(&[base, group[0], group[1]]);
    let cases = [
        (second_encoding, "214,5", "second_encodings"),
        (three.clone() + &three, "207,3", "repeated"),
        (stock_frame(&[base, ("", "-5", "6", TEN_S)]), "206,2", "rejected"),
        (stock_frame(&[base, ("16", "100", "9", TEN_S)]), "209,2", "not_counted"),
        (stock_frame(&[base, ("12", "100", "9", TEN_S)]), "200,1", "without_price"),
    ];
    for (frames, rest, name) in cases {
        let found = causes(&frames, &row(TEN, &format!("100,100,100,100,{rest}")));
        let [(Cause::Volume, 1, remedies)] = found.as_slice() else { panic!("{name}: {found:?}") };
        assert!(remedies.contains(&(name.to_owned(), 1)), "{name}: {remedies:?}");
    }
    let mut dropped = case(
        (three.clone() + &three).as_bytes(),
        &[HEADER, &row(TEN, "100,100,100,100,414,6")].concat(),
    );
    dropped.args.drop_repeats = true;
    assert_eq!(causes_of(dropped), one(Cause::Volume, 1, &[("repeated", 1)]));
}

#[test]
fn a_count_without_the_updates_of_no_volume_is_recognized() {
    let frames = frame("OANDA:EUR_USD", &[("1.1", "0", 1), ("1.1", "3", 2)]);
    let found = causes(&frames, &row(0, "1.1,1.1,1.1,1.1,3,1"));
    assert_eq!(found, one(Cause::Count, 1, &[("price_updates", 1)]));
}

#[test]
fn fewer_digits_are_rounding_and_a_cent_is_not() {
    let frames = frame(CRYPTO, &[("1.234567", "0.1", 1), ("1.234567", "0.2", 2)]);
    let all = |price: &str, volume: &str| {
        causes(&frames, &row(0, &format!("{price},{price},{price},{price},{volume},2")))
    };
    assert_eq!(all("1.23457", "0.3"), one(Cause::Rounding, 1, &[]));
    assert_eq!(all("1.234567", "0.30000000000000004"), one(Cause::Rounding, 1, &[]));
    assert_eq!(all("1.23458", "0.3"), one(Cause::PriceOnly, 1, &[]));
    assert_eq!(all("1.234567", "0.31"), one(Cause::Volume, 1, &[]));
}

#[test]
fn what_is_missing_has_no_trades_or_late_ones_or_none_that_count() {
    let frames = [
        stock_frame(&[("", "1", "1", TEN_S - 600)]),
        stock_frame(&[("", "1", "1", TEN_S + 3_600)]),
        stock_frame(&[("", "1", "1", TEN_S + 60), ("16", "1", "1", TEN_S + 121)]),
    ];
    let some = "1,1,1,1,1,1";
    let rows: String = [-10, 0, 1, 2, 60].iter().map(|minute| row(TEN + minute, some)).collect();
    let found = causes(&frames.concat(), &rows);
    let late = vec![("late".to_owned(), 1)];
    let not_counted = vec![("not_counted".to_owned(), 1)];
    assert_eq!(
        found,
        [
            (Cause::NoTrades, 1, vec![]),
            (Cause::AllLate, 1, late),
            (Cause::NoneCounts, 1, not_counted)
        ]
    );
}

#[test]
fn an_extra_bar_without_prices_is_told_from_another() {
    let frames = stock_frame(&[
        ("", "1", "1", TEN_S),
        ("12", "1", "1", TEN_S + 60),
        ("", "1", "1", TEN_S + 120),
        ("", "1", "1", TEN_S + 180),
    ]);
    let rows = [row(TEN, "1,1,1,1,1,1"), row(TEN + 2, ",,,,0,0"), row(TEN + 3, "1,1,1,1,1,1")];
    let found = causes(&frames, &rows.concat());
    assert_eq!(found, [(Cause::VolumeOnly, 1, vec![]), (Cause::Extra, 1, vec![])]);
}

#[test]
fn rows_named_by_the_end_of_their_windows_are_recognized() {
    let frames = frame(CRYPTO, &[("1", "1", 1), ("2", "2", 61), ("3", "3", 121)]);
    let rows = [row(1, "1,1,1,1,1,1"), row(2, "2,2,2,2,2,1"), row(3, "3,3,3,3,3,1")];
    let found = causes(&frames, &rows.concat());
    let by_end = |windows| vec![("named_by_end".to_owned(), windows)];
    assert_eq!(found, [(Cause::Volume, 2, by_end(2)), (Cause::NoTrades, 1, by_end(1))]);
}

#[test]
fn frames_that_come_through_a_pipe_are_compared_all_the_same() {
    let frames = frame(CRYPTO, &[("1", "1", 1)]);
    let case = case(frames.as_bytes(), &[HEADER, &row(0, "2,2,2,2,1,1")].concat());
    let pipe = case.directory.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
    assert!(made.success());
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::write(pipe, frames)
    });
    let mut case = case;
    case.args.frames = pipe;
    let report = case.report().expect("comparable");
    writer.join().expect("no panic").expect("written");
    assert_eq!((report.comparison.mismatched, report.causes.is_none()), (1, true));
    assert!(report.text().contains("give a file"), "{}", report.text());
}
