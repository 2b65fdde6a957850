use std::sync::Arc;

use rusqlite::types::Value as Cell;
use sqlx::{ColumnIndex, Row as _, postgres::PgRow, sqlite::SqliteRow};
use uuid::Uuid;

use crate::{DbError, Result};

/// A row of a result.
#[derive(Debug)]
pub struct Row(Source);

enum Source {
    Postgres(PgRow),
    /// From SQLite outside a unit of work.
    Sqlite(SqliteRow),
    /// From SQLite's writer.
    Writer {
        columns: Arc<[String]>,
        cells: Vec<Cell>,
    },
}

impl std::fmt::Debug for Source {
    /// Leaves the values out: they may be personal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Postgres(_) => "PostgreSQL",
            Self::Sqlite(_) | Self::Writer { .. } => "SQLite",
        })
    }
}

impl Row {
    pub(crate) fn postgres(row: PgRow) -> Self {
        Self(Source::Postgres(row))
    }

    pub(crate) fn sqlite(row: SqliteRow) -> Self {
        Self(Source::Sqlite(row))
    }

    pub(crate) fn writer(columns: Arc<[String]>, cells: Vec<Cell>) -> Self {
        Self(Source::Writer { columns, cells })
    }

    /// The value of a column.
    ///
    /// # Errors
    /// [`DbError::Corrupt`] when there is no such column, or its value is of another type, or NULL where `T` is not an
    /// `Option`.
    pub fn get<T: Column>(&self, column: &str) -> Result<T> {
        let place = match &self.0 {
            Source::Postgres(row) => column.index(row).ok(),
            Source::Sqlite(row) => column.index(row).ok(),
            Source::Writer { columns, .. } => columns.iter().position(|name| name == column),
        };
        let place = place.ok_or_else(|| DbError::Corrupt(format!("there is no column {column}")))?;
        self.at(place).map_err(|why| DbError::Corrupt(format!("column {column} {why}")))
    }

    /// The value of the first column.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn first<T: Column>(&self) -> Result<T> {
        self.at(0).map_err(|why| DbError::Corrupt(format!("the first column {why}")))
    }

    fn at<T: Column>(&self, place: usize) -> Result<T, String> {
        T::read(self, place)?.ok_or_else(|| "is NULL".to_owned())
    }
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
pub trait Column: Sized {
    /// Reads the column at a place, counted from 0; `None` for NULL. The error says what is wrong with the column.
    #[doc(hidden)]
    fn read(row: &Row, place: usize) -> Result<Option<Self>, String>;
}

/// How a type is read from each kind of row. `$stored` says which of SQLite's few types it is stored as.
macro_rules! column {
    ($type:ty, $stored:expr) => {
        impl Column for $type {
            fn read(row: &Row, place: usize) -> Result<Option<Self>, String> {
                match &row.0 {
                    Source::Postgres(row) => row.try_get(place).map_err(|error| format!("cannot be read: {error}")),
                    Source::Sqlite(row) => row.try_get(place).map_err(|error| format!("cannot be read: {error}")),
                    Source::Writer { cells, .. } => {
                        let stored: fn(&Cell) -> Option<Self> = $stored;
                        match cells.get(place).ok_or("is missing")? {
                            Cell::Null => Ok(None),
                            cell => match stored(cell) {
                                Some(value) => Ok(Some(value)),
                                None => Err(format!("has a {} where another type is expected", cell.data_type())),
                            },
                        }
                    }
                }
            }
        }
    };
}

column!(i64, |cell| if let Cell::Integer(number) = cell { Some(*number) } else { None });
column!(bool, |cell| if let Cell::Integer(number) = cell { Some(*number != 0) } else { None });
column!(f64, |cell| match cell {
    Cell::Real(number) => Some(*number),
    Cell::Integer(number) => Some(*number as Self),
    _ => None,
});
column!(String, |cell| if let Cell::Text(text) = cell { Some(text.clone()) } else { None });
column!(Uuid, |cell| if let Cell::Blob(bytes) = cell { Self::from_slice(bytes).ok() } else { None });
column!(Vec<u8>, |cell| if let Cell::Blob(bytes) = cell { Some(bytes.clone()) } else { None });

impl<T: Column> Column for Option<T> {
    fn read(row: &Row, place: usize) -> Result<Option<Self>, String> {
        T::read(row, place).map(Some)
    }
}
