use std::{fmt, sync::Arc};

use rusqlite::{
    ErrorCode,
    ffi::{self, SQLITE_CONSTRAINT_FOREIGNKEY, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE},
};

use crate::tx::TOO_LONG;

/// PostgreSQL's SQLSTATE of a server that admits no more connections.
const TOO_MANY_CLIENTS: &str = "53300";

/// What can go wrong between a service and its database.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DbError {
    /// The database cannot be opened: wrong path or address, no permission, not running.
    #[error("cannot open the database {0}")]
    Open(String, #[source] Arc<dyn std::error::Error + Send + Sync>),
    /// A migration failed and was rolled back.
    #[error("migration {name} failed")]
    Migration {
        /// The migration's name.
        name: String,
        /// The database's message.
        #[source]
        source: Arc<DbError>,
    },
    /// A newer release took away what this program needs.
    #[error("a newer release changed the database ({0}), and this program is too old to use it: start the newer one")]
    FromTheFuture(String),
    /// The server admits fewer connections than this process may open.
    #[error(
        "the PostgreSQL server admits {most} connections (its max_connections, without those that it reserves), and this \
         process may open {wanted}: raise max_connections of the server, or lower database.max_connections"
    )]
    TooFewConnections {
        /// What this process may open.
        wanted: i64,
        /// What the server admits.
        most: i64,
    },
    /// Every connection is busy, or the database did not answer in time. Trying again may help.
    #[error("the database is busy")]
    Busy,
    /// The unit of work ran too long or panicked, and was rolled back; or the database is closed.
    #[error("the unit of work was rolled back: {0}")]
    Aborted(&'static str),
    /// The database cannot be used for now; what was asked was not done. It works again once its cause is gone.
    #[error("the database {} cannot be used: {why}", database.as_deref().unwrap_or("server"))]
    Unavailable {
        /// Which one, where that is known: PostgreSQL is away as a whole.
        database: Option<Arc<str>>,
        /// Why it does not work.
        why: Outage,
        /// The database's message.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The connection was lost, or fell silent, while the unit of work was being committed: either all of it is done, or
    /// nothing. Who repeats it must know what to do about the first.
    #[error("nobody knows whether the unit of work was committed")]
    Unknown(#[source] Arc<DbError>),
    /// A statement on PostgreSQL, or one that reads on SQLite, failed.
    #[error("a statement failed")]
    Query(#[source] Arc<sqlx::Error>),
    /// A statement of a unit of work on SQLite failed.
    #[error("a statement failed")]
    Sqlite(#[source] Arc<rusqlite::Error>),
    /// A stored value cannot be read back: written by hand, or by a newer release.
    #[error("a stored value cannot be read: {0}")]
    Corrupt(String),
}

/// Why a database does not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// No room is left for its files.
    DiskFull,
    /// Its files, or the file system under them, can only be read.
    ReadOnly,
    /// Reading or writing its files fails.
    DiskFails,
    /// The server cannot be reached, is starting, or is shutting down.
    Unreachable,
    /// The server did not answer in time.
    Silent,
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DiskFull => "the disk is full",
            Self::ReadOnly => "it is read-only",
            Self::DiskFails => "its disk fails",
            Self::Unreachable => "the server does not answer",
            Self::Silent => "the server did not answer in time",
        })
    }
}

impl Outage {
    /// By SQLite's result code, plain or extended.
    fn of_sqlite(code: i32) -> Option<Self> {
        match code & 0xff {
            ffi::SQLITE_FULL => Some(Self::DiskFull),
            ffi::SQLITE_READONLY => Some(Self::ReadOnly),
            ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN => Some(Self::DiskFails),
            _ => None,
        }
    }

    /// By PostgreSQL's SQLSTATE.
    fn of_postgres(state: &str) -> Option<Self> {
        match state {
            "53100" => Some(Self::DiskFull),
            "25006" => Some(Self::ReadOnly),
            "58030" => Some(Self::DiskFails),
            // The last one ends the session of a unit of work that did nothing for long: its process was stopped.
            "57P01" | "57P02" | "57P03" | "25P03" => Some(Self::Unreachable),
            _ if state.starts_with("08") => Some(Self::Unreachable),
            _ => None,
        }
    }

    /// By a code that may be either's: SQLite's have up to four digits, PostgreSQL's five characters.
    fn of_code(code: &str) -> Option<Self> {
        if code.len() == 5 { Self::of_postgres(code) } else { Self::of_sqlite(code.parse().ok()?) }
    }
}

impl DbError {
    pub(crate) fn open(what: &str, error: sqlx::Error) -> Self {
        Self::Open(what.to_owned(), Arc::new(error))
    }

    /// Whether a server that cannot be used now may be there later: it does not answer, is starting, is shutting down, or
    /// has no room for us. Not so when it refuses the user, or has no such database.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Open(_, source) => source.downcast_ref::<sqlx::Error>().is_some_and(is_away),
            Self::Busy => true,
            Self::Unavailable { why, .. } => matches!(why, Outage::Unreachable | Outage::Silent),
            _ => false,
        }
    }

    /// Names the database that is not available, unless it is named already.
    pub(crate) fn of(mut self, name: &Arc<str>) -> Self {
        if let Self::Unavailable { database: database @ None, .. } = &mut self {
            *database = Some(name.clone());
        }
        self
    }

    /// Whether a unique or primary key refused the row.
    #[must_use]
    pub fn is_unique_violation(&self) -> bool {
        match self {
            Self::Query(e) => e.as_database_error().is_some_and(|e| e.is_unique_violation()),
            Self::Sqlite(e) => matches!(code(e), Some(SQLITE_CONSTRAINT_UNIQUE | SQLITE_CONSTRAINT_PRIMARYKEY)),
            _ => false,
        }
    }

    /// Whether a foreign key refused the change.
    #[must_use]
    pub fn is_foreign_key_violation(&self) -> bool {
        match self {
            Self::Query(e) => e.as_database_error().is_some_and(|e| e.is_foreign_key_violation()),
            Self::Sqlite(e) => code(e) == Some(SQLITE_CONSTRAINT_FOREIGNKEY),
            _ => false,
        }
    }

    /// Whether the same work may well succeed when tried again.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Busy | Self::Aborted(_))
    }

    /// Whether the database cannot be used for now.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Unknown(_))
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|e| e.code()).map(std::borrow::Cow::into_owned);
        let lost = is_lost(&error).then_some(Outage::Unreachable);
        match (&error, code.as_deref()) {
            (sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed, _) => Self::Busy,
            // SQLite: SQLITE_BUSY and its extended codes. PostgreSQL: serialization failure, deadlock, a statement that took
            // too long, too many clients.
            (_, Some("5" | "261" | "517" | "40001" | "40P01" | "57014" | TOO_MANY_CLIENTS)) => Self::Busy,
            (_, code) => match code.and_then(Outage::of_code).or(lost) {
                Some(why) => Self::Unavailable { database: None, why, source: Arc::new(error) },
                None => Self::Query(Arc::new(error)),
            },
        }
    }
}

/// Whether the server may be there, or have room, later.
fn is_away(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    let full = code.as_deref() == Some(TOO_MANY_CLIENTS);
    let coming = code.as_deref().and_then(Outage::of_postgres) == Some(Outage::Unreachable);
    full || coming || is_lost(error) || matches!(error, sqlx::Error::PoolTimedOut)
}

/// Whether there is no connection, or it broke. One that ends while TLS is being agreed on is reported as an answer that
/// nobody knows.
fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) => true,
        sqlx::Error::Protocol(why) => why.contains("response from SSLRequest"),
        _ => false,
    }
}

impl From<rusqlite::Error> for DbError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::OperationInterrupted) => Self::Aborted(TOO_LONG),
            _ => match code(&error).and_then(Outage::of_sqlite) {
                Some(why) => Self::Unavailable { database: None, why, source: Arc::new(error) },
                None => Self::Sqlite(Arc::new(error)),
            },
        }
    }
}

/// SQLite's extended result code.
fn code(error: &rusqlite::Error) -> Option<i32> {
    error.sqlite_error().map(|error| error.extended_code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_database_from_working_is_told_by_its_code() {
        for (code, why) in [
            ("13", Some(Outage::DiskFull)),
            ("8", Some(Outage::ReadOnly)),
            ("1032", Some(Outage::ReadOnly)),
            ("778", Some(Outage::DiskFails)),
            ("14", Some(Outage::DiskFails)),
            ("53100", Some(Outage::DiskFull)),
            ("25006", Some(Outage::ReadOnly)),
            ("57P03", Some(Outage::Unreachable)),
            ("08006", Some(Outage::Unreachable)),
            ("19", None),
            ("23505", None),
            ("", None),
        ] {
            assert_eq!(Outage::of_code(code), why, "{code:?}");
        }
    }

    #[test]
    fn an_outage_is_named_once() {
        let full = rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_FULL), None);
        let error = DbError::from(full).of(&"basket".into()).of(&"ordering".into());
        assert_eq!(error.to_string(), "the database basket cannot be used: the disk is full");
        assert!(!error.is_transient() && !error.is_unique_violation());
    }
}
