//! `ticksmith config`: print the effective configuration, secrets masked, so that nobody has to
//! guess which of four layers won.

use clap::ValueEnum;

use crate::config::{Config, DEFAULTS, to_json, to_markdown, to_toml};
use crate::error::Result;

const EXAMPLES: &str = "\
Examples:
  ticksmith config                         what is in effect, and where it comes from
  ticksmith config --defaults > my.toml    a file to start from: every key with its sentence
  ticksmith --config my.toml config --format json";

/// Arguments of the command; each that stands for a configuration key overrides it in `apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// How to print it; markdown is the reference of every key and its default
    #[arg(long, value_enum, default_value_t = Format::Toml)]
    format: Format,
    /// Print the defaults with a sentence on each key, instead of what is in effect
    #[arg(long)]
    defaults: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Toml,
    Json,
    Markdown,
}

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, _config: &mut Config) {}
}

/// Runs the command to its end.
pub fn run(args: Args, config: Config) -> Result<()> {
    let text = match (args.format, args.defaults) {
        (Format::Markdown, _) => to_markdown(),
        (Format::Toml, true) => DEFAULTS.to_owned(),
        (Format::Json, true) => to_json(&Config::defaults()),
        (Format::Toml, false) => to_toml(&config),
        (Format::Json, false) => to_json(&config),
    };
    print!("{text}");
    Ok(())
}
