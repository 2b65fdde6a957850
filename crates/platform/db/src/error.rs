use std::sync::Arc;

use rusqlite::{
    ErrorCode,
    ffi::{SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE},
};
use sea_orm::{DbErr, RuntimeErr, SqlErr};

use crate::tx::TOO_LONG;

/// What can go wrong between a service and its database.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    /// The database cannot be opened: wrong path or address, no permission, not running.
    #[error("cannot open the database {0}")]
    Open(String, #[source] Arc<dyn std::error::Error + Send + Sync>),
    /// A migration failed; nothing of it was kept.
    #[error("migration {name} failed")]
    Migration {
        /// The migration's name.
        name: String,
        /// What the database said.
        #[source]
        source: Arc<DbError>,
    },
    /// The database is written by a newer release than this program.
    #[error("the database holds migration {0}, which this program does not know: it is older than its data")]
    FromTheFuture(String),
    /// Every connection is busy, or the database did not answer in time. Trying again may help.
    #[error("the database is busy")]
    Busy,
    /// The unit of work ran too long or panicked, and was rolled back; or the database is closed.
    #[error("the unit of work was rolled back: {0}")]
    Aborted(&'static str),
    /// A statement failed.
    #[error("a statement failed")]
    Query(#[source] Arc<DbErr>),
    /// A statement of a unit of work on SQLite failed.
    #[error("a statement failed")]
    Sqlite(#[source] Arc<rusqlite::Error>),
    /// A stored value cannot be read back: written by hand, or by a newer release.
    #[error("a stored value cannot be read: {0}")]
    Corrupt(String),
}

impl DbError {
    /// Whether a unique or primary key refused the row.
    #[must_use]
    pub fn is_unique_violation(&self) -> bool {
        match self {
            Self::Query(e) => matches!(e.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))),
            Self::Sqlite(e) => matches!(code(e), Some(SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY)),
            _ => false,
        }
    }

    /// Whether a foreign key refused the change.
    #[must_use]
    pub fn is_foreign_key_violation(&self) -> bool {
        match self {
            Self::Query(e) => matches!(e.sql_err(), Some(SqlErr::ForeignKeyConstraintViolation(_))),
            Self::Sqlite(e) => code(e) == Some(SQLITE_CONSTRAINT_FOREIGNKEY),
            _ => false,
        }
    }

    /// Whether the same work may well succeed when tried again.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy | Self::Aborted(_))
    }
}

impl From<DbErr> for DbError {
    fn from(error: DbErr) -> Self {
        let code = match &error {
            DbErr::ConnectionAcquire(_) => return Self::Busy,
            DbErr::Conn(RuntimeErr::SqlxError(e))
            | DbErr::Exec(RuntimeErr::SqlxError(e))
            | DbErr::Query(RuntimeErr::SqlxError(e)) => {
                e.as_database_error().and_then(|e| e.code()).map(std::borrow::Cow::into_owned)
            }
            _ => None,
        };
        match code.as_deref() {
            // SQLite: SQLITE_BUSY and its extended codes. PostgreSQL: serialization failure, deadlock, too many clients.
            Some("5" | "261" | "517" | "40001" | "40P01" | "53300") => Self::Busy,
            _ => Self::Query(Arc::new(error)),
        }
    }
}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::OperationInterrupted) => Self::Aborted(TOO_LONG),
            _ => Self::Sqlite(Arc::new(error)),
        }
    }
}

/// SQLite's extended result code.
fn code(error: &rusqlite::Error) -> Option<i32> {
    error.sqlite_error().map(|error| error.extended_code)
}
