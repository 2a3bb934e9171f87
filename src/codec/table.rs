//! Rows as readers get them: each column once, with its name, kind and meaning, so that JSON, CSV,
//! Arrow, Parquet and the description of the API cannot drift apart.

mod bar;
mod columnar;
mod gap;
mod text;
mod trade;

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};

pub use columnar::{arrow_stream, parquet};
pub use text::csv;

/// What a column's cells are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// One of these words.
    Word(Vec<&'static str>),
    Integer,
    /// Milliseconds since the UNIX epoch.
    Instant,
    Real,
}

/// What one cell holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    Null,
    Text(Cow<'a, str>),
    /// Of integers and instants.
    Integer(i64),
    Real(f64),
}

type Read<R> = Box<dyn Fn(&R) -> Cell<'_> + Send + Sync>;

/// A column of rows made of `R`, named as in the store's table.
pub struct Column<R> {
    pub name: Cow<'static, str>,
    pub kind: Kind,
    pub is_nullable: bool,
    /// A sentence for people.
    pub meaning: &'static str,
    read: Read<R>,
}

impl<R> Column<R> {
    fn new(
        name: impl Into<Cow<'static, str>>,
        kind: Kind,
        meaning: &'static str,
        read: impl Fn(&R) -> Cell<'_> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), kind, is_nullable: false, meaning, read: Box::new(read) }
    }

    #[must_use]
    fn nullable(self) -> Self {
        Self { is_nullable: true, ..self }
    }

    pub fn cell<'a>(&self, row: &'a R) -> Cell<'a> {
        (self.read)(row)
    }
}

/// A noun that is a row of a table.
pub trait Row: Sized + 'static {
    /// In the order of the table.
    fn columns() -> &'static [Column<Self>];
}

/// A row as one JSON object; also for `serde(flatten)`.
#[derive(Debug)]
pub struct Object<'a, R>(pub &'a R);

impl<R: Row> Serialize for Object<'_, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let columns = R::columns();
        let mut object = serializer.serialize_map(Some(columns.len()))?;
        for column in columns {
            object.serialize_entry(&*column.name, &column.cell(self.0))?;
        }
        object.end()
    }
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Real(number) => serializer.serialize_f64(*number),
        }
    }
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Cell<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<i64> for Cell<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<i32> for Cell<'_> {
    fn from(number: i32) -> Self {
        Self::Integer(i64::from(number))
    }
}

impl From<f64> for Cell<'_> {
    /// No format holds NaN or infinity alike, so what a rejected record came with is null in all.
    fn from(number: f64) -> Self {
        if number.is_finite() { Self::Real(number) } else { Self::Null }
    }
}

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests;
