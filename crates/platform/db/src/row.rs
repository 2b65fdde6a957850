use std::sync::Arc;

use rusqlite::types::Value as Cell;
use sea_orm::{QueryResult, TryGetable, prelude::Uuid};

use crate::{DbError, Result};

/// A row of a result.
#[derive(Debug)]
pub struct Row(Source);

#[derive(Debug)]
enum Source {
    /// From a pool: PostgreSQL, or SQLite read outside a unit of work.
    Pool(QueryResult),
    /// From SQLite's writer.
    Writer { columns: Arc<[String]>, cells: Vec<Cell> },
}

impl Row {
    pub(crate) fn pool(row: QueryResult) -> Self {
        Self(Source::Pool(row))
    }

    pub(crate) fn writer(columns: Arc<[String]>, cells: Vec<Cell>) -> Self {
        Self(Source::Writer { columns, cells })
    }

    /// The value of a column.
    ///
    /// # Errors
    /// [`DbError::Corrupt`] when there is no such column or its value is of another type.
    pub fn get<T: Column>(&self, column: &str) -> Result<T> {
        match &self.0 {
            Source::Pool(row) => row.try_get("", column).map_err(|error| DbError::Corrupt(error.to_string())),
            Source::Writer { columns, cells } => {
                let place = columns.iter().position(|name| name == column);
                let cell = place.and_then(|place| cells.get(place));
                let cell = cell.ok_or_else(|| DbError::Corrupt(format!("there is no column {column}")))?;
                read(cell, column)
            }
        }
    }

    /// The value of the first column.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn first<T: Column>(&self) -> Result<T> {
        match &self.0 {
            Source::Pool(row) => row.try_get_by_index(0).map_err(|error| DbError::Corrupt(error.to_string())),
            Source::Writer { cells, .. } => {
                let cell = cells.first().ok_or_else(|| DbError::Corrupt("there is no column".to_owned()))?;
                read(cell, "the first")
            }
        }
    }
}

fn read<T: Column>(cell: &Cell, column: &str) -> Result<T> {
    T::from_sqlite(cell)
        .ok_or_else(|| DbError::Corrupt(format!("column {column} holds a {} of another meaning", cell.data_type())))
}

/// What can be read from a row. `#[derive(FromRow)]` reads each field from the column of its name.
pub trait FromRow: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// As [`Row::get`].
    fn from_row(row: &Row) -> Result<Self>;
}

/// A type of a column: `BIGINT` is `i64`, `UUID` is `Uuid`, `TEXT` is `String`, `BOOLEAN` is `bool`, `DOUBLE PRECISION`
/// is `f64`, `BYTEA` is `Vec<u8>`; in an `Option` where it may be missing.
pub trait Column: TryGetable {
    /// Reads what SQLite keeps, which has fewer types; `None` when this is not how the type is kept.
    #[doc(hidden)]
    fn from_sqlite(cell: &Cell) -> Option<Self>;
}

impl Column for i64 {
    fn from_sqlite(cell: &Cell) -> Option<Self> {
        if let Cell::Integer(number) = cell { Some(*number) } else { None }
    }
}

impl Column for bool {
    fn from_sqlite(cell: &Cell) -> Option<Self> {
        if let Cell::Integer(number) = cell { Some(*number != 0) } else { None }
    }
}

impl Column for f64 {
    fn from_sqlite(cell: &Cell) -> Option<Self> {
        match cell {
            Cell::Real(number) => Some(*number),
            Cell::Integer(number) => Some(*number as Self),
            _ => None,
        }
    }
}

impl Column for String {
    fn from_sqlite(cell: &Cell) -> Option<Self> {
        if let Cell::Text(text) = cell { Some(text.clone()) } else { None }
    }
}

impl Column for Uuid {
    fn from_sqlite(cell: &Cell) -> Option<Self> {
        if let Cell::Blob(bytes) = cell { Self::from_slice(bytes).ok() } else { None }
    }
}

impl Column for Vec<u8> {
    fn from_sqlite(cell: &Cell) -> Option<Self> {
        if let Cell::Blob(bytes) = cell { Some(bytes.clone()) } else { None }
    }
}

impl<T: Column> Column for Option<T> {
    fn from_sqlite(cell: &Cell) -> Option<Self> {
        if let Cell::Null = cell { Some(None) } else { T::from_sqlite(cell).map(Some) }
    }
}
