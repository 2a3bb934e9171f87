//! Bars as CSV: what `verify` compares with, and what `bars --format csv` prints; one set of
//! columns for both, so that the output of one is input of the other.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use ::csv::{ReaderBuilder, StringRecord, Terminator, Trim, WriterBuilder};

use crate::error::{Error, Result};
use crate::model::{Bar, Decimal, Interval, PricePoint};

/// The columns in the order of writing. Reading wants the first and takes any of the others.
pub const COLUMNS: [&str; 7] =
    ["window_start_epoch_s", "open", "high", "low", "close", "volume", "count"];

/// What one row of a file says about its window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedBar {
    /// Start of the window, ms since the UNIX epoch.
    pub start_ms: i64,
    /// By position in `COLUMNS` from `open` on; `None` where the cell is empty or the column
    /// absent.
    pub values: [Option<Decimal>; 6],
}

impl ExpectedBar {
    /// A count of 0 says that nothing was traded; a volume of 0 does not (price updates).
    pub fn is_empty_window(&self) -> bool {
        self.values[5].as_ref().is_some_and(Decimal::is_zero)
    }
}

/// A file of expected bars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedBars {
    /// Which of `open` to `count` the file has; the others are not compared.
    pub has: [bool; 6],
    /// By start of the window, ms since the UNIX epoch.
    pub rows: BTreeMap<i64, ExpectedBar>,
}

/// Reads expected bars; `name` stands for the input in errors. Columns may come in any order.
///
/// # Errors
/// `Config`, with the line: a header without `window_start_epoch_s`, an unknown column, text for a
/// number, a start that begins no window of `interval`, a window given twice, no row at all.
pub fn read_bars(input: impl Read, name: &str, interval: Interval) -> Result<ExpectedBars> {
    let mut reader = ReaderBuilder::new().trim(Trim::All).from_reader(input);
    let header = reader.headers().map_err(|error| unreadable(name, &error))?.clone();
    let places = places_of(&header, name)?;
    let mut bars = ExpectedBars { has: [false; 6], rows: BTreeMap::new() };
    for place in &places {
        if let Some(value) = place.checked_sub(1) {
            bars.has[value] = true;
        }
    }
    for record in reader.records() {
        let record = record.map_err(|error| unreadable(name, &error))?;
        let line = record.position().map_or(0, ::csv::Position::line);
        let row = row_of(&record, &places, interval)
            .map_err(|problem| Error::Config(format!("{name}, line {line}: {problem}")))?;
        let start_s = row.start_ms / 1_000;
        if bars.rows.insert(row.start_ms, row).is_some() {
            return Err(Error::Config(format!(
                "{name}, line {line}: window {start_s} stands there twice; keep one row a window"
            )));
        }
    }
    if bars.rows.is_empty() {
        return Err(Error::Config(format!("{name} has no rows; give a CSV of expected bars")));
    }
    Ok(bars)
}

/// For each column of the file its place in `COLUMNS`.
fn places_of(header: &StringRecord, name: &str) -> Result<Vec<usize>> {
    let expected = COLUMNS.join(",");
    let wrong = |problem: String| {
        Error::Config(format!("{name}: {problem}; the columns are {expected}, the first is needed"))
    };
    let mut places = Vec::with_capacity(header.len());
    for cell in header {
        // Spreadsheets begin a file with a byte order mark.
        let title = cell.trim_start_matches('\u{feff}');
        let place = COLUMNS
            .iter()
            .position(|column| column.eq_ignore_ascii_case(title))
            .ok_or_else(|| wrong(format!("unknown column '{title}'")))?;
        if places.contains(&place) {
            return Err(wrong(format!("column '{title}' stands there twice")));
        }
        places.push(place);
    }
    if !places.contains(&0) {
        return Err(wrong(format!("no column '{}'", COLUMNS[0])));
    }
    if places.len() == 1 {
        return Err(wrong("nothing to compare".to_owned()));
    }
    Ok(places)
}

fn row_of(
    record: &StringRecord,
    places: &[usize],
    interval: Interval,
) -> Result<ExpectedBar, String> {
    let mut start_ms = None;
    let mut values = [const { None }; 6];
    for (cell, place) in record.iter().zip(places) {
        let number = match cell {
            "" => None,
            text => Some(
                text.parse::<Decimal>()
                    .map_err(|()| format!("{} '{text}' is no number", COLUMNS[*place]))?,
            ),
        };
        match place.checked_sub(1) {
            Some(value) => values[value] = number,
            None => start_ms = number.as_ref().and_then(Decimal::to_i64),
        }
    }
    let start_ms = start_ms
        .and_then(|start_s| start_s.checked_mul(1_000))
        .ok_or_else(|| format!("{} must be a whole number of seconds", COLUMNS[0]))?;
    if start_ms % interval.length_ms() != 0 {
        return Err(format!("{} is not the start of a {interval} window", start_ms / 1_000));
    }
    Ok(ExpectedBar { start_ms, values })
}

fn unreadable(name: &str, error: &::csv::Error) -> Error {
    Error::Config(format!("{name} is not readable as CSV: {error}; give a CSV of expected bars"))
}

/// Writes the header and one row a bar, in the given order. A price that nothing set is empty.
///
/// # Errors
/// `Config` when the output cannot be written.
pub fn write_bars(bars: &[Bar], output: &mut impl Write) -> Result<()> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::Config(format!("the CSV cannot be written: {error}; check where the output goes"))
    };
    let mut writer = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(output);
    writer.write_record(COLUMNS).map_err(|error| failed(&error))?;
    for bar in bars {
        writer.write_record(cells_of(bar)).map_err(|error| failed(&error))?;
    }
    writer.flush().map_err(|error| failed(&error))
}

fn cells_of(bar: &Bar) -> [String; 7] {
    let price =
        |point: Option<PricePoint>| point.map(|point| point.price.to_string()).unwrap_or_default();
    [
        bar.window.start_ms.div_euclid(1_000).to_string(),
        price(bar.open),
        price(bar.high),
        price(bar.low),
        price(bar.close),
        bar.volume.to_string(),
        bar.trade_count.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{BarState, ExclusionReason, Verdict};

    fn minute() -> Interval {
        Interval::parse("1m").expect("valid")
    }

    fn read(text: &str) -> Result<ExpectedBars> {
        read_bars(text.as_bytes(), "bars.csv", minute())
    }

    fn bar(start_ms: i64, price: Option<f64>) -> Bar {
        let point =
            price.map(|price| PricePoint { price, trade_time_ms: start_ms, connection: 1, seq: 1 });
        Bar {
            symbol: "A".into(),
            interval: minute(),
            window: minute().window_of(start_ms),
            open: point,
            high: point,
            low: point,
            close: point,
            volume: "0.00001".parse().expect("amount"),
            vwap: None,
            trade_count: 1,
            excluded: [crate::model::Exclusion::default(); ExclusionReason::ALL.len()],
            session: None,
            coverage: None,
            gap_ms: 0,
            verdict: Verdict::Unknown,
            state: BarState::Closed,
            revision: 2,
            generation: 0,
            conditions_version: 1,
            late_included: 0,
        }
    }

    #[test]
    fn what_is_written_reads_back_exactly() {
        let bars = [bar(60_000, Some(1e-7)), bar(120_000, None)];
        let mut text = Vec::new();
        write_bars(&bars, &mut text).expect("writes");
        let text = String::from_utf8(text).expect("text");
        assert_eq!(
            text,
            "window_start_epoch_s,open,high,low,close,volume,count\n\
             60,0.0000001,0.0000001,0.0000001,0.0000001,0.00001,1\n\
             120,,,,,0.00001,1\n"
        );
        let read = read(&text).expect("reads");
        assert_eq!(read.has, [true; 6]);
        assert_eq!(read.rows[&60_000].values[0], "1e-7".parse().ok());
        assert_eq!(read.rows[&120_000].values[..4], [None, None, None, None]);
    }

    #[test]
    fn columns_may_be_missing_reordered_or_written_by_a_spreadsheet() {
        let read = read("\u{feff}Volume, window_start_epoch_s\r\n1e-05, 120.0\r\n0,60\r\n");
        let read = read.expect("reads");
        assert_eq!(read.has, [false, false, false, false, true, false]);
        assert_eq!(read.rows.keys().copied().collect::<Vec<_>>(), [60_000, 120_000]);
        assert_eq!(read.rows[&120_000].values[4], "0.00001".parse().ok());
        assert!(!read.rows[&60_000].is_empty_window(), "no count, so volume 0 is a bar");
    }

    #[test]
    fn an_empty_window_is_told_by_its_count() {
        let read = read("window_start_epoch_s,volume,count\n60,0,0\n120,0,3\n").expect("reads");
        assert!(read.rows[&60_000].is_empty_window());
        assert!(!read.rows[&120_000].is_empty_window());
    }

    #[test]
    fn bad_files_are_named_with_line_and_remedy() {
        for (text, words) in [
            ("", "no column 'window_start_epoch_s'"),
            ("open,close\n1,2\n", "no column 'window_start_epoch_s'"),
            ("window_start_epoch_s,price\n60,2\n", "unknown column 'price'"),
            ("window_start_epoch_s,open,open\n60,2,2\n", "twice"),
            ("window_start_epoch_s\n60\n", "nothing to compare"),
            ("window_start_epoch_s,open\n", "no rows"),
            ("window_start_epoch_s,open\n60,1\n60,1\n", "line 3: window 60"),
            ("window_start_epoch_s,open\n61,1\n", "line 2: 61 is not the start of a 1m window"),
            ("window_start_epoch_s,open\n,1\n", "line 2: window_start_epoch_s"),
            ("window_start_epoch_s,open\n60,one\n", "line 2: open 'one' is no number"),
            ("window_start_epoch_s,open\n60\n", "not readable as CSV"),
        ] {
            let error = read(text).expect_err(text).to_string();
            assert!(error.contains(words) && error.starts_with("bars.csv"), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        assert!(read_bars(&b"window_start_epoch_s,open\n60,\xff\n"[..], "x", minute()).is_err());
    }
}
