//! Rows as they are read, made nouns again.

mod bar;
mod feed;
mod trade;
mod twins;

pub use bar::{BarRow, RevisionRow};
pub use feed::{EventRow, GapRow};
pub use trade::TradeRow;
pub use twins::TwinRow;

use crate::error::{Error, Result};
use crate::model::Session;

fn parse_session(text: Option<&str>) -> Result<Option<Session>> {
    text.map(|text| Session::parse(text).ok_or_else(|| unknown("session", text))).transpose()
}

fn unknown(column: &str, value: &str) -> Error {
    Error::Config(format!(
        "column {column} holds '{value}', which this version does not know; use the version that \
         wrote it"
    ))
}
