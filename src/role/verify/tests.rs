use std::fs;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;
use crate::model::{Bar, Decimal};

mod causes;
mod tape;

const HEADER: &str = "window_start_epoch_s,open,high,low,close,volume,count\n";

struct Case {
    directory: TempDir,
    args: Args,
}

/// Frames and rows of a case, over one-minute windows.
fn case(frames: &[u8], rows: &str) -> Case {
    let directory = TempDir::new().expect("a directory");
    let (frames_file, bars_file) =
        (directory.path().join("frames.jsonl"), directory.path().join("bars.csv"));
    fs::write(&frames_file, frames).expect("written");
    fs::write(&bars_file, rows).expect("written");
    let args = Args {
        frames: frames_file,
        bars: bars_file,
        interval: Interval::parse("1m").expect("valid"),
        policy: None,
        symbol: None,
        drop_repeats: false,
        json: false,
    };
    Case { directory, args }
}

fn config_for(args: &Args) -> Config {
    let mut config = Config::defaults();
    args.apply(&mut config);
    config
}

impl Case {
    fn report(&self) -> Result<Report> {
        verify(&self.args, &config_for(&self.args))
    }

    fn outcome(&self) -> Result<(Replayed, Comparison)> {
        self.report().map(|report| (report.replayed, report.comparison))
    }

    fn comparison(&self) -> Comparison {
        self.outcome().expect("comparable").1
    }

    /// The message of an error that ends with exit code 2.
    fn problem(&self) -> String {
        match self.outcome() {
            Err(Error::Config(problem)) => {
                assert!(!problem.contains('\n'), "{problem}");
                problem
            }
            other => panic!("no configuration error: {other:?}"),
        }
    }
}

/// A frame of trades `(price, volume, time in s)`, as the feed writes numbers.
fn frame(symbol: &str, trades: &[(&str, &str, i64)]) -> String {
    let elements = trades.iter().map(|(price, volume, time_s)| {
        let time_ms = (START_S + time_s) * 1_000;
        format!(r#"{{"c":null,"p":{price},"s":"{symbol}","t":{time_ms},"v":{volume}}}"#)
    });
    let elements: Vec<String> = elements.collect();
    format!("{{\"data\":[{}],\"type\":\"trade\"}}\n", elements.join(","))
}

/// The start of a minute and of an hour.
const START_S: i64 = 1_570_752_000;
const CRYPTO: &str = "BINANCE:XRPETH";

const STOCK: &str = "AAPL";
/// 10:00 in New York, a Friday: inside the regular session.
const TEN_S: i64 = 14 * 3_600;
const TEN: i64 = TEN_S / 60;

/// A frame of trades `(codes, price, volume, time in s)` of a US stock.
fn stock_frame(trades: &[(&str, &str, &str, i64)]) -> String {
    let elements = trades.iter().map(|(codes, price, volume, time_s)| {
        let codes: Vec<String> = codes.split_whitespace().map(|c| format!("\"{c}\"")).collect();
        let (codes, time_ms) = (codes.join(","), (START_S + time_s) * 1_000);
        format!(r#"{{"c":[{codes}],"p":{price},"s":"{STOCK}","t":{time_ms},"v":{volume}}}"#)
    });
    let elements: Vec<String> = elements.collect();
    format!("{{\"data\":[{}],\"type\":\"trade\"}}\n", elements.join(","))
}

fn row(minute: i64, rest: &str) -> String {
    format!("{},{rest}\n", START_S + minute * 60)
}

#[test]
fn bars_match_as_decimals_whatever_their_notation() {
    let trades = [("1e-05", "0.1", 1), ("0.00002", "0.2", 2), ("1.5e-5", "1e2", 61)];
    let rows = [
        HEADER,
        &row(0, "0.0000100,2e-5,1E-5,.00002,0.30,2"),
        &row(1, "0.000015,0.000015,0.000015,0.000015,100.0,1"),
    ];
    let case = case(frame(CRYPTO, &trades).as_bytes(), &rows.concat());
    let (replayed, comparison) = case.outcome().expect("comparable");
    assert_eq!(comparison, Comparison { matched: 2, ..Comparison::default() });
    assert_eq!((replayed.symbol.as_str(), replayed.trades), (CRYPTO, 3));
    assert_eq!(run(case.args, config_for_all()), Ok(()));
}

fn config_for_all() -> Config {
    Config::defaults()
}

#[test]
fn every_way_of_differing_is_counted_and_shown() {
    let trades = [("1", "1", 0), ("2", "1", 60), ("3", "1", 120), ("4", "1", 300), ("5", "1", 360)];
    let rows = [
        HEADER,
        &row(1, "2,2,2,2,1.5,1"),
        &row(2, "3,3,3,3,1,1"),
        &row(3, "9,9,9,9,1,1"),
        &row(4, ",,,,0,0"),
        &row(5, ",,,,0,0"),
    ];
    let case = case(frame(CRYPTO, &trades).as_bytes(), &rows.concat());
    let comparison = case.comparison();
    let shown = comparison.first_differences();
    let shown: Vec<_> = shown.iter().map(|d| (d.kind, d.field)).collect();
    assert_eq!(shown[..2], [("mismatched", "volume"), ("missing", "open")]);
    assert_eq!(
        shown[7..],
        [
            ("extra", "open"),
            ("extra", "high"),
            ("extra", "low"),
            ("extra", "close"),
            ("extra", "volume"),
            ("extra", "count")
        ]
    );
    let first = &comparison.first_differences()[0];
    assert_eq!(first.window_start_epoch_s, START_S + 60);
    assert_eq!((first.expected.as_deref(), first.got.as_deref()), (Some("1.5"), Some("1")));
    let counts = (comparison.matched, comparison.mismatched, comparison.missing, comparison.extra);
    assert_eq!(counts, (1, 1, 1, 1));
    assert_eq!((comparison.outside_span, comparison.empty_windows), (2, 1));
    let error = run(case.args, config_for_all()).expect_err("differences");
    assert!(matches!(error, Error::Differences(_)), "{error}");
}

#[test]
fn a_bar_between_the_rows_is_extra() {
    let trades = [("1", "1", 0), ("2", "1", 60), ("3", "1", 120)];
    let rows = [HEADER, &row(0, "1,1,1,1,1,1"), &row(2, "3,3,3,3,1,1")].concat();
    let comparison = case(frame(CRYPTO, &trades).as_bytes(), &rows).comparison();
    assert_eq!((comparison.matched, comparison.extra, comparison.outside_span), (2, 1, 0));
}

#[test]
fn price_updates_make_bars_of_volume_zero() {
    let trades = [("1.1", "0", 1), ("1.2", "0", 2)];
    let rows = [HEADER, &row(0, "1.1,1.2,1.1,1.2,0,2")].concat();
    let fx = case(frame("OANDA:EUR_USD", &trades).as_bytes(), &rows);
    assert_eq!(fx.comparison().matched, 1);
    // Without a count, a row of volume 0 is a bar as well.
    let rows = format!("window_start_epoch_s,open,volume\n{}", row(0, "1.1,0"));
    assert_eq!(case(frame("OANDA:EUR_USD", &trades).as_bytes(), &rows).comparison().matched, 1);
}

#[test]
fn the_policy_decides_what_a_us_stock_trade_may_set() {
    let time_ms = (START_S + 16 * 3_600) * 1_000;
    let element = |price: &str, codes: &str| {
        format!(r#"{{"c":[{codes}],"p":{price},"s":"AAPL","t":{time_ms},"v":10}}"#)
    };
    // 12 is an odd lot: volume, never a price.
    let elements = [element("100", ""), element("999", r#""12""#)].join(",");
    let frame = format!(r#"{{"data":[{elements}],"type":"trade"}}"#);
    for (policy, high) in [(None, "100"), (Some(PolicyChoice::All), "999")] {
        let rows =
            format!("window_start_epoch_s,high,volume\n{}", row(16 * 60, &format!("{high},20")));
        let mut case = case(frame.as_bytes(), &rows);
        case.args.policy = policy;
        assert_eq!(case.comparison().matched, 1, "{policy:?}");
    }
}

#[test]
fn repeats_are_delivered_unless_asked_otherwise() {
    let one = frame(CRYPTO, &[("1", "1", 1), ("2", "1", 2), ("3", "1", 3)]);
    let twice = format!("{one}{one}");
    for (drop_repeats, volume) in [(false, 6), (true, 3)] {
        let rows = [HEADER, &row(0, &format!("1,3,1,3,{volume},{volume}"))].concat();
        let mut case = case(twice.as_bytes(), &rows);
        case.args.drop_repeats = drop_repeats;
        let report = case.report().expect("comparable");
        assert_eq!(report.comparison.matched, 1);
        let counts = report.replayed.counts;
        assert_eq!(
            (counts.repeats_kept, counts.repeats_dropped),
            match drop_repeats {
                true => (0, 1),
                false => (1, 0),
            }
        );
        assert!(report.text().contains("\nrepeats        1 frames"));
    }
}

#[test]
fn late_rejected_and_malformed_lines_are_counted_and_cost_nothing_else() {
    let mut frames =
        frame(CRYPTO, &[("1", "1", 7_200), ("-1", "1", 7_201), ("9", "9", 0)]).into_bytes();
    frames.extend_from_slice(b"not json\n\n\xff\xfe\n{\"type\":\"ping\"}\n");
    frames.extend_from_slice(br#"{"type":"trade","data":[{"s":"A","p":"text","v":1,"t":1}]}"#);
    let rows = [HEADER, &row(120, "1,1,1,1,1,1")].concat();
    let (replayed, comparison) = case(&frames, &rows).outcome().expect("comparable");
    assert_eq!((comparison.matched, comparison.extra), (1, 0));
    assert_eq!((replayed.tally.late, replayed.tally.rejected), (1, 1));
    let counts = replayed.counts;
    assert_eq!((counts.malformed_frames, counts.malformed_elements, counts.pings), (2, 1, 1));
}

#[test]
fn several_symbols_need_a_choice() {
    let frames = frame(CRYPTO, &[("1", "1", 1)]) + &frame("AAPL", &[("2", "1", 2)]);
    let rows = [HEADER, &row(0, "1,1,1,1,1,1")].concat();
    let mut case = case(frames.as_bytes(), &rows);
    assert!(case.problem().contains("2 symbols; choose one with --symbol: AAPL, BINANCE:XRPETH"));
    case.args.symbol = Some("MSFT".into());
    assert!(case.problem().contains("no trade of 'MSFT'"));
    case.args.symbol = Some(CRYPTO.into());
    assert_eq!(case.comparison().matched, 1);
}

#[test]
fn frames_may_be_compressed_and_damage_is_told() {
    let frames = frame(CRYPTO, &[("1", "1", 1)]);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(frames.as_bytes()).expect("compressed");
    let compressed = encoder.finish().expect("compressed");
    let rows = [HEADER, &row(0, "1,1,1,1,1,1")].concat();
    assert_eq!(case(&compressed, &rows).comparison().matched, 1);
    let cut = case(&compressed[..compressed.len() - 9], &rows).problem();
    assert!(cut.contains("frames.jsonl cannot be read"), "{cut}");
}

#[test]
fn inputs_that_are_no_inputs_are_named() {
    let rows = [HEADER, &row(0, "1,1,1,1,1,1")].concat();
    let frames = frame(CRYPTO, &[("1", "1", 1)]);
    assert!(case(b"", &rows).problem().contains("frames.jsonl is empty"));
    assert!(case(b"{}\nx\n", &rows).problem().contains("no trade in its 2 lines"));
    assert!(case(frames.as_bytes(), "").problem().contains("bars.csv"));
    assert!(case(frames.as_bytes(), "a,b\n1,2\n").problem().contains("unknown column 'a'"));
    let mut nowhere = case(frames.as_bytes(), &rows);
    nowhere.args.frames = nowhere.directory.path().join("nowhere.jsonl");
    assert!(nowhere.problem().contains("nowhere.jsonl cannot be read"));
}

#[test]
fn the_json_has_the_promised_names() {
    let trades = [("1", "1", 1)];
    let rows = format!("window_start_epoch_s,open\n{}", row(0, "2"));
    let case = case(frame(CRYPTO, &trades).as_bytes(), &rows);
    let report = case.report().expect("comparable");
    let json: serde_json::Value = serde_json::from_str(&report.json()).expect("json");
    for name in [
        "matched",
        "mismatched",
        "missing",
        "extra",
        "outside_span",
        "late",
        "rejected",
        "malformed",
    ] {
        assert!(json[name].is_u64() || json[name].is_i64(), "{name}");
    }
    assert_eq!(json["first_differences"][0]["field"], "open");
    assert_eq!(json["columns_not_compared"][0], "high");
    let text = report.text();
    assert!(text.contains("matched        0 of 1\n"), "{text}");
    assert!(text.contains("not compared   high, low, close, volume, count\n"), "{text}");
}

#[test]
fn what_we_write_as_csv_we_verify() {
    let trades = [("0.1", "0.00000001", 1), ("0.30000000000000004", "3", 59), ("7", "5e-7", 60)];
    let rows = [HEADER, &row(0, "1,1,1,1,1,1")].concat();
    let case = case(frame(CRYPTO, &trades).as_bytes(), &rows);
    let (replayed, _) = case.outcome().expect("comparable");
    let bars: Vec<Bar> = replayed.bars.values().cloned().collect();
    let mut csv = Vec::new();
    crate::codec::csv::write_bars(&bars, &mut csv).expect("written");
    fs::write(&case.args.bars, csv).expect("written");
    assert_eq!(case.comparison(), Comparison { matched: 2, ..Comparison::default() });
    assert_eq!(Decimal::from_f64(bars[0].volume.to_f64()), "3.00000001".parse().ok());
}
