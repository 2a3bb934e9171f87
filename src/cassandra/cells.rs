//! Rows as the bytes of Cassandra's protocol, made once where the trade or bar is at hand. The
//! driver then copies them into its frames: no value is boxed, and a retry sends the very same
//! bytes.

use scylla::serialize::SerializationError;
use scylla::serialize::batch::{BatchValues, BatchValuesIterator};
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;

const NULL: i32 = -1;
const UNSET: i32 = -2;

/// Appends cells to a row. The order is that of the statement's markers.
pub struct Cells<'a>(pub &'a mut Vec<u8>);

impl Cells<'_> {
    fn value(&mut self, bytes: &[u8]) {
        // A record of the log has at most a few MiB.
        self.0.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    pub fn text(&mut self, text: &str) -> &mut Self {
        self.value(text.as_bytes());
        self
    }

    /// `int`.
    pub fn int(&mut self, value: i32) -> &mut Self {
        self.value(&value.to_be_bytes());
        self
    }

    /// `bigint`, or `timestamp` in ms since the epoch.
    pub fn long(&mut self, value: i64) -> &mut Self {
        self.value(&value.to_be_bytes());
        self
    }

    pub fn double(&mut self, value: f64) -> &mut Self {
        self.value(&value.to_be_bytes());
        self
    }

    /// Overwrites what an older revision may have put there.
    pub fn null(&mut self) -> &mut Self {
        self.0.extend_from_slice(&NULL.to_be_bytes());
        self
    }

    /// Writes nothing at all, not even a tombstone.
    pub fn unset(&mut self) -> &mut Self {
        self.0.extend_from_slice(&UNSET.to_be_bytes());
        self
    }

    pub fn long_or_null(&mut self, value: Option<i64>) -> &mut Self {
        match value {
            Some(value) => self.long(value),
            None => self.null(),
        }
    }

    pub fn double_or_null(&mut self, value: Option<f64>) -> &mut Self {
        match value {
            Some(value) => self.double(value),
            None => self.null(),
        }
    }

    pub fn text_or_unset(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(value),
            None => self.unset(),
        }
    }

    pub fn long_or_unset(&mut self, value: Option<i64>) -> &mut Self {
        match value {
            Some(value) => self.long(value),
            None => self.unset(),
        }
    }
}

/// Rows of one partition, one after the other.
#[derive(Debug, Default)]
pub struct Rows {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Rows {
    /// Adds a row made of two runs of cells.
    pub fn push(&mut self, head: &[u8], tail: &[u8]) {
        self.bytes.extend_from_slice(head);
        self.bytes.extend_from_slice(tail);
        self.ends.push(self.bytes.len());
    }

    /// Adds all rows of `other`.
    pub fn append(&mut self, other: &Rows) {
        let offset = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| end + offset));
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Each row so many times in a row, for a batch that has so many statements a row.
    pub fn repeated(&self, times: usize) -> Repeated<'_> {
        Repeated { rows: self, times }
    }
}

/// See `Rows::repeated`.
pub struct Repeated<'r> {
    rows: &'r Rows,
    times: usize,
}

impl BatchValues for Repeated<'_> {
    type BatchValuesIter<'r>
        = RowsIterator<'r>
    where
        Self: 'r;

    fn batch_values_iter(&self) -> RowsIterator<'_> {
        RowsIterator { rows: self.rows, times: self.times, next: 0 }
    }
}

/// Hands the rows to the driver.
pub struct RowsIterator<'r> {
    rows: &'r Rows,
    times: usize,
    next: usize,
}

impl<'r> RowsIterator<'r> {
    fn advance(&mut self) -> Option<Row<'r>> {
        let row = self.next / self.times;
        let end = *self.rows.ends.get(row)?;
        let start = row.checked_sub(1).map_or(0, |before| self.rows.ends[before]);
        self.next += 1;
        Some(Row(&self.rows.bytes[start..end]))
    }
}

impl<'r> BatchValuesIterator<'r> for RowsIterator<'r> {
    fn serialize_next(
        &mut self,
        context: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Option<Result<(), SerializationError>> {
        self.advance().map(|row| row.serialize(context, writer))
    }

    fn is_empty_next(&mut self) -> Option<bool> {
        self.advance().map(|row| row.is_empty())
    }

    fn skip_next(&mut self) -> Option<()> {
        self.advance().map(|_| ())
    }
}

/// The cells of one row.
struct Row<'r>(&'r [u8]);

impl SerializeRow for Row<'_> {
    fn serialize(
        &self,
        context: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        let (mut rest, mut cells) = (self.0, 0);
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let length = i32::from_be_bytes(*length);
            let cell = writer.make_cell_writer();
            cells += 1;
            rest = match length {
                NULL => {
                    cell.set_null();
                    tail
                }
                UNSET => {
                    cell.set_unset();
                    tail
                }
                _ => {
                    let (value, after) = tail.split_at(length as usize);
                    cell.set_value(value).map_err(SerializationError::new)?;
                    after
                }
            };
        }
        let expected = context.columns().len();
        if cells == expected {
            Ok(())
        } else {
            Err(SerializationError::new(CellCount { cells, expected }))
        }
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The table has other columns than the statement was built for.
#[derive(Debug, thiserror::Error)]
#[error("a row of {cells} cells for a statement of {expected}")]
struct CellCount {
    cells: usize,
    expected: usize,
}
