//! `ticksmith bars`: print the bars of a symbol.

use super::range_query::{self, Format, RangeArgs};
use crate::codec::csv;
use crate::codec::table::Object;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::{Bar, Interval, PricePoint};
use crate::port::BarQuery;

/// Arguments of the command; each that stands for a configuration key overrides it in `apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    range: RangeArgs,
    /// Bar length, one of the configured intervals
    #[arg(long, value_name = "INTERVAL", default_value = "5m", value_parser = Interval::parse)]
    interval: Interval,
}

const AFTER_HELP: &str = "\
Without --from and --to the newest bars are shown, in UTC. CSV has the columns that `ticksmith
verify` compares, JSON every field of a bar.

Examples:
  ticksmith bars --data ./data --symbol AAPL
  ticksmith bars --symbol AAPL --interval 1h --from 2026-01-05T14:00:00Z --to 2026-01-05T21:00:00Z
  ticksmith bars --symbol AAPL --from 1767623400 --format csv > bars.csv

Exit codes:
  0 done, even if there is nothing in the range   2 unknown symbol or wrong arguments
  3 the store is absent";

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, _config: &mut Config) {}
}

/// Runs the command to its end.
///
/// # Errors
/// `Config` for an unknown symbol or interval, `Unavailable` when the store is absent.
pub fn run(args: Args, config: Config) -> Result<()> {
    let (from_ms, to_ms) = args.range.range_ms()?;
    let reader = args.range.of.open(&config)?;
    let bars = reader.bars(&BarQuery {
        symbol: args.range.of.symbol.clone(),
        interval: args.interval,
        from_ms,
        to_ms,
        limit: args.range.limit_rows(),
    })?;
    if bars.is_empty() {
        args.range.nothing_found("bars", reader.as_ref())?;
    }
    range_query::print(&printed(&bars, args.range.format)?)
}

fn printed(bars: &[Bar], format: Format) -> Result<Vec<u8>> {
    match format {
        Format::Table => Ok(table(bars).into_bytes()),
        Format::Json => range_query::json_lines(bars.iter().map(Object)),
        Format::Csv => {
            let mut text = Vec::new();
            csv::write_bars(bars, &mut text).map_err(|error| Error::Bug(error.to_string()))?;
            Ok(text)
        }
    }
}

fn table(bars: &[Bar]) -> String {
    const HEADER: [&str; 11] = [
        "start", "open", "high", "low", "close", "volume", "count", "vwap", "coverage", "verdict",
        "state",
    ];
    let right: Vec<bool> = (0..HEADER.len()).map(|column| (1..=8).contains(&column)).collect();
    let price = |point: Option<PricePoint>| text_or_dash(point.map(|point| point.price));
    let cells = |bar: &Bar| {
        vec![
            range_query::time_text(bar.window.start_ms),
            price(bar.open),
            price(bar.high),
            price(bar.low),
            price(bar.close),
            bar.volume.to_string(),
            bar.trade_count.to_string(),
            text_or_dash(bar.vwap.map(|vwap| format!("{vwap:.4}"))),
            text_or_dash(bar.coverage.map(|coverage| format!("{:.1} %", coverage * 100.0))),
            bar.verdict.as_str().to_owned(),
            bar.state.as_str().to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = bars.iter().map(cells).collect();
    range_query::table(&HEADER, &right, &rows)
}

fn text_or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
