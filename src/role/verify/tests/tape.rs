//! Frames with sale conditions, sessions and volume-only bars: the contract clause by clause.

use super::*;

/// Rows that hold the bars of `frames` match, and rows with the other lines do not.
fn assert_only_match(frames: &str, rows: &str, wrong: &[&str]) {
    let found = case(frames.as_bytes(), &[HEADER, &row(TEN, rows)].concat()).comparison();
    assert_eq!(found, Comparison { matched: 1, ..Comparison::default() }, "{rows}");
    for rows in wrong {
        let found = case(frames.as_bytes(), &[HEADER, &row(TEN, rows)].concat()).comparison();
        assert_eq!((found.matched, found.mismatched), (0, 1), "{rows}");
    }
}

#[test]
fn empty_price_cells_are_a_bar_of_volume_alone() {
    let frames = stock_frame(&[("1 12", "100", "7", TEN_S), ("3", "90", "100", TEN_S + 1)]);
    assert_only_match(&frames, ",,,,107,2", &["100,100,90,90,107,2", ",,,,100,2", ",,,,107,1"]);
    assert_only_match(&frames, ",,,,,", &[",,90,,,"]);
    let frames = stock_frame(&[("1", "100", "7", TEN_S)]);
    assert_only_match(&frames, "100,100,100,100,7,1", &[",,,,7,1"]);
}

#[test]
fn a_window_is_empty_only_by_its_count() {
    let frames = stock_frame(&[("", "1", "1", TEN_S), ("", "1", "1", TEN_S + 180)]);
    let (first, last) = (row(TEN, "1,1,1,1,1,1"), row(TEN + 3, "1,1,1,1,1,1"));
    let found = |between: &str| {
        let rows = [HEADER, &first, &row(TEN + 1, between), &last].concat();
        case(frames.as_bytes(), &rows).comparison()
    };
    assert_eq!((found(",,,,0,0").empty_windows, found(",,,,0,0").missing), (1, 0));
    assert_eq!((found(",,,,0,").empty_windows, found(",,,,0,").missing), (0, 1));
}

#[test]
fn count_holds_updates_of_no_volume_and_nothing_whose_codes_forbid_volume() {
    let trades =
        [("1", "100", "0", TEN_S), ("1", "101", "5", TEN_S + 1), ("16", "102", "5", TEN_S + 2)];
    assert_only_match(&stock_frame(&trades), "101,101,101,101,5,2", &["100,101,100,101,5,2"]);
    let trades = [("1.1", "0", TEN_S), ("1.2", "5", TEN_S + 1)];
    assert_only_match(&frame(CRYPTO, &trades), "1.1,1.2,1.1,1.2,5,2", &["1.2,1.2,1.2,1.2,5,1"]);
}

#[test]
fn a_code_without_a_tape_says_nothing() {
    let frames = stock_frame(&[("12", "100", "7", TEN_S)]).replace(STOCK, CRYPTO);
    assert_only_match(&frames, "100,100,100,100,7,1", &[",,,,7,1"]);
    let rows = [HEADER, &row(TEN, ",,,,7,1")].concat();
    let mut on_the_tape = case(frames.as_bytes(), &rows);
    on_the_tape.args.policy = Some(PolicyChoice::Sip);
    assert_eq!(on_the_tape.comparison().matched, 1);
}

#[test]
fn form_t_sets_prices_outside_the_regular_session_of_its_own_day() {
    // START_S is Friday, 2019-10-11, New York four hours behind; the other a half day in winter.
    const HALF_DAY_S: i64 = 1_574_985_600 - START_S;
    for (time_s, sets_price) in [
        (13 * 3_600 + 29 * 60, true),
        (13 * 3_600 + 30 * 60, false),
        (19 * 3_600 + 59 * 60, false),
        (20 * 3_600, true),
        (HALF_DAY_S + 14 * 3_600 + 29 * 60, true),
        (HALF_DAY_S + 14 * 3_600 + 30 * 60, false),
        (HALF_DAY_S + 17 * 3_600 + 59 * 60, false),
        (HALF_DAY_S + 18 * 3_600, true),
    ] {
        let frames = stock_frame(&[("1 24", "100", "200", time_s)]);
        let prices = if sets_price { "100,100,100,100" } else { ",,," };
        let rows = [HEADER, &row(time_s / 60, &format!("{prices},200,1"))].concat();
        assert_eq!(case(frames.as_bytes(), &rows).comparison().matched, 1, "{time_s}");
    }
}

#[test]
fn the_clock_is_that_of_the_symbol_alone() {
    let far_ahead = frame("MSFT", &[("1", "1", TEN_S + 7_200)]);
    let both =
        far_ahead.replace("],", &stock_element(TEN_S)) + &stock_frame(&[("", "2", "1", TEN_S + 1)]);
    let mut case = case(both.as_bytes(), &[HEADER, &row(TEN, "1,2,1,2,2,2")].concat());
    case.args.symbol = Some(STOCK.into());
    let (replayed, comparison) = case.outcome().expect("comparable");
    assert_eq!((comparison.matched, replayed.tally.late, replayed.trades), (1, 0, 2));
}

/// A trade of the stock as the last element of a frame.
fn stock_element(time_s: i64) -> String {
    format!(r#",{{"c":[],"p":1,"s":"{STOCK}","t":{},"v":1}}],"#, (START_S + time_s) * 1_000)
}

#[test]
fn lateness_is_as_configured() {
    let trades = [("", "1", "1", TEN_S + 700), ("", "2", "1", TEN_S)];
    let rows = [HEADER, &row(TEN, "2,2,2,2,1,1"), &row(TEN + 11, "1,1,1,1,1,1")].concat();
    let case = case(stock_frame(&trades).as_bytes(), &rows);
    let mut config = config_for(&case.args);
    for (allowed_ms, late) in [(697_999, 1), (698_000, 0)] {
        config.stream.allowed_lateness_ms = allowed_ms;
        let report = verify(&case.args, &config).expect("comparable");
        assert_eq!((report.replayed.tally.late, report.comparison.missing), (late, late as usize));
    }
}
