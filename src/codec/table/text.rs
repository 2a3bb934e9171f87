//! Rows as CSV, for spreadsheets and scripts; times in ms, what is null is empty.

use ::csv::{Terminator, WriterBuilder};

use super::{Cell, Row};
use crate::error::{Error, Result};

/// The header and one line a row, in the given order.
///
/// # Errors
/// `Bug` when a row cannot be written to memory.
pub fn csv<R: Row>(rows: &[R]) -> Result<Vec<u8>> {
    let failed = |error: &dyn std::fmt::Display| Error::Bug(format!("rows as CSV: {error}"));
    let mut writer = WriterBuilder::new().terminator(Terminator::Any(b'\n')).from_writer(vec![]);
    let names = R::columns().iter().map(|column| &*column.name);
    writer.write_record(names).map_err(|error| failed(&error))?;
    for row in rows {
        let cells = R::columns().iter().map(|column| text_of(column.cell(row)));
        writer.write_record(cells).map_err(|error| failed(&error))?;
    }
    writer.into_inner().map_err(|error| failed(&error))
}

fn text_of(cell: Cell<'_>) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Text(text) => text.into_owned(),
        Cell::Integer(number) => number.to_string(),
        Cell::Real(number) => number.to_string(),
    }
}
