use sqlx::{Arguments, postgres::PgArguments, sqlite::SqliteArguments};
use uuid::Uuid;

use crate::Result;

/// Which database a text of SQL runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A file of SQLite.
    Sqlite,
    /// A schema of a PostgreSQL server.
    Postgres,
}

/// A value of a statement, by the type of its column; `None` is NULL. PostgreSQL wants to know the type of a NULL, too.
///
/// | here | PostgreSQL | SQLite stores |
/// |---|---|---|
/// | `Bool` | `BOOLEAN` | an integer, 0 or 1 |
/// | `Integer` | `BIGINT` | an integer |
/// | `Double` | `DOUBLE PRECISION` | a real |
/// | `Text` | `TEXT` | a text |
/// | `Bytes` | `BYTEA` | a blob |
/// | `Uuid` | `UUID` | a blob of 16 bytes, in the order in which they are written |
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `BOOLEAN`.
    Bool(Option<bool>),
    /// `BIGINT`: counts, and times in microseconds.
    Integer(Option<i64>),
    /// `DOUBLE PRECISION`.
    Double(Option<f64>),
    /// `TEXT`.
    Text(Option<String>),
    /// `BYTEA`.
    Bytes(Option<Vec<u8>>),
    /// `UUID`.
    Uuid(Option<Uuid>),
}

macro_rules! from {
    ($($from:ty => $kind:ident),* $(,)?) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$kind(Some(value.into()))
            }
        }

        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Self {
                Self::$kind(value.map(Into::into))
            }
        }
    )*};
}

from!(
    bool => Bool,
    i64 => Integer,
    i32 => Integer,
    u32 => Integer,
    f64 => Double,
    String => Text,
    &str => Text,
    &String => Text,
    Vec<u8> => Bytes,
    &[u8] => Bytes,
    Uuid => Uuid,
);

/// The values as PostgreSQL's protocol sends them.
pub(crate) fn to_postgres(values: &[Value]) -> Result<PgArguments> {
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Value::Bool(value) => arguments.add(value),
            Value::Integer(value) => arguments.add(value),
            Value::Double(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value.as_deref()),
            Value::Bytes(value) => arguments.add(value.as_deref()),
            Value::Uuid(value) => arguments.add(value),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// The values as SQLite's readers bind them.
pub(crate) fn to_sqlite(values: Vec<Value>) -> Result<SqliteArguments> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        match value {
            Value::Bool(value) => arguments.add(value),
            Value::Integer(value) => arguments.add(value),
            Value::Double(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
            Value::Uuid(value) => arguments.add(value),
        }
        .map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}
