//! `ticksmith trades`: print the trades of a symbol.

use clap::ValueEnum;

use super::range_query::{self, Format, RangeArgs};
use crate::codec::row;
use crate::codec::table::{self, Object};
use crate::config::Config;
use crate::error::Result;
use crate::model::{Disposition, Judged, Session};
use crate::port::{Tier, TradeQuery};

/// Arguments of the command; each that stands for a configuration key overrides it in `apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    range: RangeArgs,
    /// Which trades
    #[arg(long, value_enum, default_value_t = TierName::Silver)]
    tier: TierName,
}

/// The tiers that hold trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TierName {
    /// Validated trades, repeats left out
    Silver,
    /// Everything received, with what became of it
    Bronze,
}

const AFTER_HELP: &str = "\
Without --from and --to the newest trades are shown, in UTC. Silver is kept for
retention.silver_days, bronze for retention.bronze_days.

Examples:
  ticksmith trades --data ./data --symbol AAPL
  ticksmith trades --symbol AAPL --tier bronze --from 2026-01-05T14:32:00Z --to 2026-01-05T14:33:00Z

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
/// `Config` for an unknown symbol, `Unavailable` when the store is absent.
pub fn run(args: Args, config: Config) -> Result<()> {
    let (from_ms, to_ms) = args.range.range_ms()?;
    let reader = args.range.of.open(&config)?;
    let tier = match args.tier {
        TierName::Silver => Tier::Silver,
        TierName::Bronze => Tier::Bronze,
    };
    let limit = args.range.limit_rows();
    let symbol = args.range.of.symbol.clone();
    let trades = reader.trades(&TradeQuery { symbol, tier, from_ms, to_ms, limit })?;
    if trades.is_empty() {
        args.range.nothing_found("trades", reader.as_ref())?;
    }
    range_query::print(&printed(&trades, args.range.format)?)
}

fn printed(trades: &[Judged], format: Format) -> Result<Vec<u8>> {
    match format {
        Format::Table => Ok(text(trades).into_bytes()),
        Format::Json => range_query::json_lines(trades.iter().map(Object)),
        Format::Csv => table::csv(trades),
    }
}

fn text(trades: &[Judged]) -> String {
    const HEADER: [&str; 8] =
        ["time", "price", "volume", "conditions", "fate", "session", "connection", "seq"];
    const RIGHT: [bool; 8] = [false, true, true, false, false, false, true, true];
    let rows: Vec<Vec<String>> = trades.iter().map(cells).collect();
    range_query::table(&HEADER, &RIGHT, &rows)
}

fn cells(judged: &Judged) -> Vec<String> {
    let trade = &judged.trade;
    let mut conditions = String::new();
    match &trade.conditions {
        Some(codes) => row::write_conditions(codes, &mut conditions),
        None => conditions.push('-'),
    }
    vec![
        range_query::time_text(trade.trade_time_ms),
        trade.price.to_string(),
        trade.volume.to_string(),
        conditions,
        fate(judged.disposition),
        judged.session.map_or("-", Session::as_str).to_owned(),
        trade.connection.to_string(),
        trade.seq.to_string(),
    ]
}

fn fate(disposition: Disposition) -> String {
    match disposition.reason() {
        "" => disposition.as_str().to_owned(),
        reason => format!("{} ({reason})", disposition.as_str()),
    }
}
