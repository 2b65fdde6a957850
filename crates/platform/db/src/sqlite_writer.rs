//! The one connection of a SQLite file that writes, used on the thread that owns it.
//!
//! The pool's driver has each connection on a thread of its own, so a statement is two thread switches; for the many
//! small statements of a purchase that was more than half of its cost. Here a whole unit of work runs on the writer's
//! thread and each statement is a plain call. Reading outside a unit of work still goes through the pool.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::{
    CachedStatement, Connection,
    types::{ToSqlOutput, Value as Cell, ValueRef},
};

use crate::{DbError, Result, Value, row::Row};

/// Prepared statements that are cached.
const STATEMENTS: usize = 256;
/// SQLite looks at the deadline once in so many steps of its virtual machine: some 100 µs.
const STEPS: i32 = 10_000;

/// A connection that may write. Statements run where they are called.
#[derive(Debug)]
pub(crate) struct SqliteWriter {
    name: Arc<str>,
    connection: Mutex<Connection>,
    deadline: Arc<Deadline>,
    /// The last error that made the file unusable: it ends the transaction for the units beside the one that met it, too.
    outage: Mutex<Option<DbError>>,
}

/// When statements are to be interrupted.
#[derive(Debug)]
struct Deadline {
    since: Instant,
    /// Milliseconds after `since`; `u64::MAX` for never.
    at: AtomicU64,
}

impl SqliteWriter {
    pub(crate) fn open<'a>(
        name: Arc<str>,
        file: &Path,
        pragmas: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> rusqlite::Result<Self> {
        let connection = Connection::open(file)?;
        for (name, value) in pragmas {
            connection.pragma_update(None, name, value)?;
        }
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let deadline = Arc::new(Deadline { since: Instant::now(), at: AtomicU64::new(u64::MAX) });
        let watched = deadline.clone();
        let late = move || watched.since.elapsed().as_millis() >= u128::from(watched.at.load(Ordering::Relaxed));
        connection.progress_handler(STEPS, Some(late))?;
        Ok(Self { name, connection: Mutex::new(connection), deadline, outage: Mutex::default() })
    }

    /// Adds this database's name to what went wrong.
    fn named<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            let error = error.of(&self.name);
            if error.is_outage() {
                *self.outage.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
            }
            error
        })
    }

    /// The outage since the last time somebody asked.
    pub(crate) fn take_outage(&self) -> Option<DbError> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Interrupts what still runs after this long; `None`: nothing is interrupted.
    pub(crate) fn limit(&self, after: Option<Duration>) {
        let at = after.map_or(u64::MAX, |after| {
            u64::try_from((self.deadline.since.elapsed() + after).as_millis()).unwrap_or(u64::MAX)
        });
        self.deadline.at.store(at, Ordering::Relaxed);
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `BEGIN`, `COMMIT` and the like.
    pub(crate) fn control(&self, sql: &str) -> Result<()> {
        let done = self.connection().prepare_cached(sql).and_then(|mut prepared| prepared.raw_execute());
        self.named(done.map(drop).map_err(DbError::from))
    }

    /// Whether a transaction is open. A full disk or an interrupted statement makes SQLite end it by itself.
    pub(crate) fn in_transaction(&self) -> bool {
        !self.connection().is_autocommit()
    }

    /// Statements without values.
    pub(crate) fn batch(&self, sql: &str) -> Result<()> {
        self.named(self.connection().execute_batch(sql).map_err(DbError::from))
    }

    /// A statement; returns how many rows it changed.
    pub(crate) fn exec(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<u64> {
        self.named(exec(&self.connection(), sql, values))
    }

    /// Up to `limit` rows of a statement.
    pub(crate) fn rows(&self, sql: &str, values: impl IntoIterator<Item = Value>, limit: usize) -> Result<Vec<Row>> {
        self.named(rows(&self.connection(), sql, values, limit))
    }
}

fn exec(connection: &Connection, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<u64> {
    let mut prepared = prepare(connection, sql, values)?;
    let mut rows = prepared.raw_query();
    while rows.next()?.is_some() {}
    drop(rows);
    Ok(connection.changes())
}

fn rows(connection: &Connection, sql: &str, values: impl IntoIterator<Item = Value>, limit: usize) -> Result<Vec<Row>> {
    let mut prepared = prepare(connection, sql, values)?;
    let columns: Arc<[String]> = prepared.column_names().into_iter().map(str::to_owned).collect();
    let mut collected = Vec::new();
    let mut rows = prepared.raw_query();
    while let Some(row) = rows.next()? {
        let cells = (0..columns.len()).map(|place| row.get::<_, Cell>(place)).collect::<rusqlite::Result<_>>()?;
        collected.push(Row::writer(columns.clone(), cells));
        // What a statement changes, it has changed before it gives its first row.
        if collected.len() == limit {
            break;
        }
    }
    Ok(collected)
}

fn prepare<'c>(
    connection: &'c Connection,
    sql: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<CachedStatement<'c>> {
    let mut prepared = connection.prepare_cached(sql)?;
    let values: Vec<Value> = values.into_iter().collect();
    for place in 1..=prepared.parameter_count() {
        // SQLite takes `$2` for a name and counts names as they come, so the number in the name says which value.
        let number = prepared.parameter_name(place).and_then(|name| name.get(1..)?.parse::<usize>().ok());
        let value = number.and_then(|number| values.get(number.checked_sub(1)?));
        let value = value.ok_or_else(|| DbError::Corrupt(format!("no value for parameter {place}")))?;
        prepared.raw_bind_parameter(place, stored(value))?;
    }
    Ok(prepared)
}

/// A value as SQLite stores it, the same as its readers bind it.
fn stored(value: &Value) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(match value {
        Value::Bool(value) => value.map_or(ValueRef::Null, |truth| ValueRef::Integer(i64::from(truth))),
        Value::Integer(value) => value.map_or(ValueRef::Null, ValueRef::Integer),
        Value::Double(value) => value.map_or(ValueRef::Null, ValueRef::Real),
        Value::Text(value) => value.as_ref().map_or(ValueRef::Null, |text| ValueRef::Text(text.as_bytes())),
        Value::Bytes(value) => value.as_ref().map_or(ValueRef::Null, |bytes| ValueRef::Blob(bytes)),
        Value::Uuid(value) => value.as_ref().map_or(ValueRef::Null, |id| ValueRef::Blob(id.as_bytes())),
    })
}
