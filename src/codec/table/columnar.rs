//! Rows as Arrow and Parquet, for programs that analyse: instants are timestamps in UTC, and every
//! column says whether it may be null.

use std::fmt::Display;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::{Cell, Column, Kind, Row};
use crate::error::{Error, Result};

const ZONE: &str = "UTC";

/// Arrow's streaming format, one record batch; without rows, the schema alone.
///
/// # Errors
/// `Bug` when a row contradicts its columns.
pub fn arrow_stream<R: Row>(rows: &[R]) -> Result<Vec<u8>> {
    let (schema, batch) = batch(rows)?;
    let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(broken)?;
    writer.write(&batch).map_err(broken)?;
    writer.into_inner().map_err(broken)
}

/// A Parquet file with one row group, compressed with Snappy, which every reader knows.
///
/// # Errors
/// `Bug` when a row contradicts its columns.
pub fn parquet<R: Row>(rows: &[R]) -> Result<Vec<u8>> {
    let (schema, batch) = batch(rows)?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, schema, Some(properties)).map_err(broken)?;
    writer.write(&batch).map_err(broken)?;
    writer.close().map_err(broken)?;
    Ok(file)
}

fn broken(problem: impl Display) -> Error {
    Error::Bug(format!("rows as columns: {problem}"))
}

fn batch<R: Row>(rows: &[R]) -> Result<(SchemaRef, RecordBatch)> {
    let columns = R::columns();
    let fields: Vec<Field> = columns
        .iter()
        .map(|column| Field::new(&*column.name, data_type(&column.kind), column.is_nullable))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let arrays = columns.iter().map(|column| array(column, rows)).collect();
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(broken)?;
    Ok((schema, batch))
}

fn data_type(kind: &Kind) -> DataType {
    match kind {
        Kind::Text | Kind::Word(_) => DataType::Utf8,
        Kind::Integer => DataType::Int64,
        Kind::Instant => DataType::Timestamp(TimeUnit::Millisecond, Some(ZONE.into())),
        Kind::Real => DataType::Float64,
    }
}

fn array<R>(column: &Column<R>, rows: &[R]) -> ArrayRef {
    let cells = rows.iter().map(|row| column.cell(row));
    let integer = |cell| if let Cell::Integer(number) = cell { Some(number) } else { None };
    match column.kind {
        Kind::Text | Kind::Word(_) => {
            let text = |cell| if let Cell::Text(text) = cell { Some(text) } else { None };
            Arc::new(cells.map(text).collect::<StringArray>())
        }
        Kind::Integer => Arc::new(cells.map(integer).collect::<Int64Array>()),
        Kind::Instant => {
            let instants = cells.map(integer).collect::<TimestampMillisecondArray>();
            Arc::new(instants.with_timezone(ZONE))
        }
        Kind::Real => {
            let real = |cell| if let Cell::Real(number) = cell { Some(number) } else { None };
            Arc::new(cells.map(real).collect::<Float64Array>())
        }
    }
}
