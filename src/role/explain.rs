//! `ticksmith explain`: why a bar is what it is.

mod evidence;
mod text;

use std::sync::Arc;

use clap::ValueEnum;

use super::range_query::{self, SymbolArgs};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::http::ExplanationRow;
use crate::model::Interval;
use crate::port::{Explain, ExplainRequest};
use crate::runtime::SystemClock;

pub use evidence::Explainer;

/// Excluded and late trades listed without `--all`: half a screen.
const LISTED: usize = 10;

const AFTER_HELP: &str = "\
Shows the stored bar, the trades that set open, high, low and close and why they were the ones,
where the volume went, the trades that set nothing, what came too late or was diverted, the gaps of
the feed, and each content that the bar has had. The engine's own rules are applied once more to the
stored trades; when they do not give the stored bar, it says so.

Examples:
  ticksmith explain --data ./data --symbol AAPL --at 2026-01-05T14:32:10Z
  ticksmith explain --symbol AAPL --interval 1h --at 1767623400 --format json | jq .volume_split

Any instant inside the bar will do. Trades are kept for 30 days and what was diverted for 7, unless
configured otherwise; gaps and earlier contents stay longer.";

/// Arguments of the command; each that stands for a configuration key overrides it in `apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    of: SymbolArgs,
    /// Bar length, one of the configured intervals
    #[arg(long, value_name = "INTERVAL", default_value = "5m", value_parser = Interval::parse)]
    interval: Interval,
    /// An instant inside the bar: RFC 3339 or epoch seconds
    #[arg(
        long,
        value_name = "TIME",
        value_parser = range_query::instant_ms,
        allow_negative_numbers = true
    )]
    at: i64,
    /// List every excluded and late trade instead of the first ones
    #[arg(long)]
    all: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A page for people
    Text,
    /// One object; fields as the columns of the tables
    Json,
}

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, _config: &mut Config) {}
}

/// Runs the command to its end.
///
/// # Errors
/// `Config` for an unknown symbol or interval, `Unavailable` when the store is absent.
pub fn run(args: Args, config: Config) -> Result<()> {
    let explainer = Explainer::new(&config, Arc::new(SystemClock))?;
    let reader = args.of.open(&config)?;
    let request = ExplainRequest {
        symbol: args.of.symbol.clone(),
        interval: args.interval,
        at_ms: args.at,
        list_limit: if args.all { usize::MAX } else { LISTED },
    };
    let explanation = explainer.explain(reader.as_ref(), &request)?;
    if explanation.bar.is_none() {
        args.of.require_known(reader.as_ref())?;
    }
    let printed = match args.format {
        Format::Text => text::page(&explanation).into_bytes(),
        Format::Json => {
            let mut text = serde_json::to_vec_pretty(&ExplanationRow(explanation))
                .map_err(|problem| Error::Bug(format!("no JSON form: {problem}")))?;
            text.push(b'\n');
            text
        }
    };
    range_query::print(&printed)
}
