//! What the commands that read share: the range that is asked for, the store it is read from, and
//! what to say about a symbol that nobody has heard of.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat};
use clap::ValueEnum;

use crate::cassandra::{CassandraReader, Connection};
use crate::config::Config;
use crate::embedded::Database;
use crate::embedded::store::EmbeddedReader;
use crate::error::{Error, Result};
use crate::port::StoreReader;

/// Rows shown when neither a range nor a limit is given: a screen full.
const NEWEST_ROWS: usize = 20;
/// Rows of a range when no limit is given.
const RANGE_ROWS: usize = 100_000;
/// Unusable spellings of a symbol are not listed beyond this.
const SYMBOLS_SHOWN: usize = 10;
/// The end of year 9999: what is reckoned from such a time stays within 64 bits.
const INSTANT_MAX_MS: i64 = 253_402_300_799_999;
/// How alike two names must be to be offered, 0..=1.
const ALIKE: f64 = 0.75;

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns for people
    Table,
    /// Comma-separated values with a header
    Csv,
    /// One array of objects, an object a line
    Json,
}

/// The arguments that name a symbol and the store that has it.
#[derive(Debug, clap::Args)]
pub struct SymbolArgs {
    /// Symbol as the feed spells it, for example AAPL or BINANCE:BTCUSDT
    #[arg(long, value_name = "SYMBOL")]
    pub symbol: String,
    /// Data directory of `ticksmith up`; without it the configured Cassandra is read
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

/// The arguments that name rows.
#[derive(Debug, clap::Args)]
pub struct RangeArgs {
    #[command(flatten)]
    pub of: SymbolArgs,
    /// From this instant on: RFC 3339 or epoch seconds
    #[arg(long, value_name = "TIME", value_parser = instant_ms, allow_negative_numbers = true)]
    from: Option<i64>,
    /// Up to, and without, this instant: RFC 3339 or epoch seconds
    #[arg(long, value_name = "TIME", value_parser = instant_ms, allow_negative_numbers = true)]
    to: Option<i64>,
    /// At most so many rows, the newest ones [default: 20, with --from or --to 100000]
    #[arg(long, value_name = "ROWS")]
    limit: Option<usize>,
    /// How to print them
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

impl RangeArgs {
    /// `[from, to)` in ms since the epoch.
    ///
    /// # Errors
    /// `Config` when the range ends before it begins.
    pub fn range_ms(&self) -> Result<(i64, i64)> {
        let (from_ms, to_ms) = (self.from.unwrap_or(i64::MIN), self.to.unwrap_or(i64::MAX));
        if from_ms > to_ms {
            let (from, to) = (time_text(from_ms), time_text(to_ms));
            return Err(Error::Config(format!("--from {from} is after --to {to}; swap them")));
        }
        Ok((from_ms, to_ms))
    }

    pub fn limit_rows(&self) -> usize {
        let ranged = self.from.is_some() || self.to.is_some();
        self.limit.unwrap_or(if ranged { RANGE_ROWS } else { NEWEST_ROWS })
    }

    /// Says why nothing was found: an unknown symbol is a mistake, an empty range is an answer.
    ///
    /// # Errors
    /// `Config` naming the symbol and those that are alike or there.
    pub fn nothing_found(&self, what: &str, reader: &dyn StoreReader) -> Result<()> {
        self.of.require_known(reader)?;
        // A remark, not a row: it must not end up in a file of rows.
        let _ = writeln!(io::stderr(), "no {what} of {} in this range", self.of.symbol);
        Ok(())
    }
}

impl SymbolArgs {
    /// The store to read from.
    ///
    /// # Errors
    /// `Config` for a directory without data or a keyspace without tables, `Unavailable` when
    /// Cassandra does not answer.
    pub fn open(&self, config: &Config) -> Result<Box<dyn StoreReader>> {
        open_reader(self.data.as_deref(), config)
    }

    /// # Errors
    /// `Config` naming the symbol, when nobody ever heard of it, and those that are alike or there.
    pub fn require_known(&self, reader: &dyn StoreReader) -> Result<()> {
        let symbols = reader.symbols()?;
        if symbols.contains(&self.symbol) {
            return Ok(());
        }
        Err(unknown_symbol(&self.symbol, &symbols))
    }
}

/// Reads a data directory of `ticksmith up`, or the configured Cassandra.
///
/// # Errors
/// `Config` for a directory without data or a keyspace without tables, `Unavailable` when Cassandra
/// does not answer.
pub fn open_reader(data: Option<&Path>, config: &Config) -> Result<Box<dyn StoreReader>> {
    match data {
        Some(directory) => Ok(Box::new(open_embedded(directory)?)),
        None => {
            let connection = Connection::open(&config.cassandra)?;
            Ok(Box::new(CassandraReader::open(&connection, config)?))
        }
    }
}

fn open_embedded(directory: &Path) -> Result<EmbeddedReader> {
    if !Database::exists(directory) {
        let shown = directory.display();
        return Err(Error::Config(format!(
            "--data {shown} holds no data of ticksmith; make some with `ticksmith up \
             --data {shown}`"
        )));
    }
    EmbeddedReader::open(&Database::open(directory)?)
}

/// The sentence for a symbol that is not among `known`.
pub fn unknown_symbol(symbol: &str, known: &[String]) -> Error {
    let wanted = symbol.to_uppercase();
    let likeness = |name: &str| {
        let name = name.to_uppercase();
        let contained = wanted.len() > 1 && name.contains(&wanted);
        if contained { 1.0 } else { strsim::jaro_winkler(&wanted, &name) }
    };
    let mut alike: Vec<(f64, &str)> = known
        .iter()
        .map(|name| (likeness(name), name.as_str()))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    alike.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(other.1)));
    let remedy = if known.is_empty() {
        "nothing is stored yet".to_owned()
    } else if alike.is_empty() {
        let more = known.len().saturating_sub(SYMBOLS_SHOWN);
        let shown = known[..known.len() - more].join(", ");
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("there are {shown}{more}")
    } else {
        let names: Vec<&str> = alike.iter().take(SYMBOLS_SHOWN).map(|(_, name)| *name).collect();
        format!("did you mean {}?", names.join(", "))
    };
    Error::Config(format!("symbol '{symbol}' is not stored; {remedy}"))
}

/// RFC 3339 or epoch seconds, as ms since the epoch.
///
/// # Errors
/// A sentence: another form, or more than about eight thousand years from the epoch.
pub fn instant_ms(text: &str) -> std::result::Result<i64, String> {
    let instant_ms = match text.parse::<i64>() {
        Ok(seconds) => seconds.saturating_mul(1_000),
        Err(_) => DateTime::parse_from_rfc3339(text)
            .map_err(|_| "give RFC 3339, such as 2026-01-05T14:30:00Z, or epoch seconds")?
            .timestamp_millis(),
    };
    let is_near = (-INSTANT_MAX_MS..=INSTANT_MAX_MS).contains(&instant_ms);
    if is_near { Ok(instant_ms) } else { Err("it is beyond every calendar".to_owned()) }
}

/// An instant as people read it, UTC, with as many decimals as it has.
pub fn time_text(time_ms: i64) -> String {
    match DateTime::from_timestamp_millis(time_ms) {
        Some(instant) => instant.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        None => format!("{time_ms} ms"),
    }
}

/// Prints what was made; a reader that has seen enough (`| head`) is no error.
///
/// # Errors
/// `Config` when the output cannot be written.
pub fn print(text: &[u8]) -> Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(text).and_then(|()| output.flush()) {
        Err(problem) if problem.kind() != ErrorKind::BrokenPipe => Err(Error::Config(format!(
            "the output cannot be written: {problem}; check where it goes"
        ))),
        _ => Ok(()),
    }
}

/// Objects as one JSON array, an object a line.
///
/// # Errors
/// `Bug` when a row has no JSON form.
pub fn json_lines<R: serde::Serialize>(rows: impl Iterator<Item = R>) -> Result<Vec<u8>> {
    let mut text = b"[".to_vec();
    for (index, row) in rows.enumerate() {
        text.extend_from_slice(if index > 0 { b",\n" } else { b"\n" });
        serde_json::to_writer(&mut text, &row)
            .map_err(|problem| Error::Bug(format!("a row without a JSON form: {problem}")))?;
    }
    text.extend_from_slice(b"\n]\n");
    Ok(text)
}

/// Aligned columns under a header; `right` says which columns hold numbers.
pub fn table(header: &[&str], right: &[bool], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([header[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let header: Vec<String> = header.iter().map(|&name| name.to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&header).chain(rows) {
        let mut line = String::new();
        for ((cell, width), right) in row.iter().zip(&widths).zip(right) {
            match right {
                true => line.push_str(&format!("{cell:>width$}  ")),
                false => line.push_str(&format!("{cell:<width$}  ")),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_rfc_3339_or_epoch_seconds() {
        assert_eq!(instant_ms("1700000000"), Ok(1_700_000_000_000));
        assert_eq!(instant_ms("2023-11-14T22:13:20Z"), Ok(1_700_000_000_000));
        assert_eq!(instant_ms("2023-11-14T17:13:20.5-05:00"), Ok(1_700_000_000_500));
        for text in ["", "yesterday", "2023-11-14", "99999999999999999", "253402300800"] {
            assert!(instant_ms(text).is_err(), "{text}");
        }
        assert_eq!(time_text(1_700_000_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(time_text(i64::MAX), "9223372036854775807 ms");
    }

    #[test]
    fn an_unknown_symbol_is_answered_with_those_alike() {
        let known = ["AAPL", "BINANCE:BTCUSDT", "MSFT"].map(str::to_owned);
        let sentence = |symbol: &str| unknown_symbol(symbol, &known).to_string();
        assert!(sentence("APPL").ends_with("did you mean AAPL?"), "{}", sentence("APPL"));
        assert!(sentence("btcusdt").ends_with("did you mean BINANCE:BTCUSDT?"));
        assert!(sentence("XX").ends_with("there are AAPL, BINANCE:BTCUSDT, MSFT"));
        assert!(unknown_symbol("A", &[]).to_string().ends_with("nothing is stored yet"));
    }

    #[test]
    fn tables_are_aligned() {
        let rows =
            [vec!["a".to_owned(), "1.25".to_owned()], vec!["bcd".to_owned(), "10".to_owned()]];
        let text = table(&["name", "n"], &[false, true], &rows);
        assert_eq!(text, "name     n\na     1.25\nbcd     10\n");
    }
}
