//! `ticksmith cassandra-init`: create the Cassandra keyspace and tables, or report what differs.

use super::range_query::print;
use crate::cassandra::Connection;
use crate::cassandra::schema::Schema;
use crate::cassandra::schema_check::{self, Outcome};
use crate::config::Config;
use crate::error::{Error, Result};

/// Arguments of the command; each that stands for a configuration key overrides it in `apply`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Contact points, host:port, several separated by commas
    #[arg(long, value_name = "HOST:PORT")]
    contact_points: Option<String>,
    /// Keyspace to create or compare
    #[arg(long, value_name = "NAME")]
    keyspace: Option<String>,
}

const AFTER_HELP: &str = "\
May be repeated: what exists is compared with the configuration and never changed. Each interval of
stream.intervals has a table.

Examples:
  ticksmith cassandra-init
  ticksmith cassandra-init --contact-points cassandra-1:9042 --keyspace market

Exit codes:
  0 keyspace and tables are as configured   1 some differ: they are named, and were left as they are
  2 wrong arguments   3 Cassandra does not answer, or does not allow it";

impl Args {
    /// Puts the flags that were given over the configuration.
    pub fn apply(&self, config: &mut Config) {
        if let Some(contact_points) = &self.contact_points {
            config.cassandra.contact_points.clone_from(contact_points);
        }
        if let Some(keyspace) = &self.keyspace {
            config.cassandra.keyspace.clone_from(keyspace);
        }
    }
}

/// Runs the command to its end.
///
/// # Errors
/// `Differences` when an existing object is not as configured; nothing of it was changed.
pub fn run(_args: Args, config: Config) -> Result<()> {
    let schema = Schema::of(&config)?;
    let connection = Connection::open(&config.cassandra)?;
    let reports = schema_check::init(&connection, &schema)?;
    let text: String = reports.iter().map(|report| format!("{report}\n")).collect();
    print(text.as_bytes())?;
    let differs = |outcome: &Outcome| matches!(outcome, Outcome::Differs(_));
    let differing = reports.iter().filter(|report| differs(&report.outcome)).count();
    if differing == 0 {
        return Ok(());
    }
    let of = reports.len();
    Err(Error::Differences(format!(
        "{differing} of {of} objects differ from the configuration and were left as they are; \
         ALTER or DROP them with cqlsh, or change the configuration"
    )))
}
