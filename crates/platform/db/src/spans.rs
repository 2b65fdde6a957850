//! Units of work and statements as spans (semantic conventions for databases). A statement's text is left out: its table
//! and what it does there say enough, and are short.

use std::{borrow::Cow, future::Future};

use bookworm_trace::{KeyValue, Kind, Span};

use crate::{Backend, DbError, Result};

fn system(backend: Backend) -> KeyValue {
    let system = match backend {
        Backend::Sqlite => "sqlite",
        Backend::Postgres => "postgresql",
    };
    KeyValue::new("db.system.name", system)
}

/// A unit of work on this database, within what the task is at.
pub(crate) fn unit(backend: Backend, name: &str) -> Option<Span> {
    Span::within(Kind::Client, || {
        let attributes = vec![
            system(backend),
            KeyValue::new("db.namespace", name.to_owned()),
            KeyValue::new("db.operation.name", "TRANSACTION"),
        ];
        (format!("TRANSACTION {name}").into(), attributes)
    })
}

/// A statement, within what the task is at.
pub(crate) fn statement<T>(
    backend: Backend,
    sql: &str,
    work: impl Future<Output = Result<T>> + Send,
) -> impl Future<Output = Result<T>> + Send {
    let step = Span::within(Kind::Client, || (summary(sql), vec![system(backend)]));
    async move {
        let done = work.await;
        if let (Some(mut step), Err(error)) = (step, &done) {
            step.fail(word(error));
        }
        done
    }
}

/// What a statement does, and to which table first: `SELECT orders`.
fn summary(sql: &str) -> Cow<'static, str> {
    let mut words = sql.split_ascii_whitespace();
    let verb = words.next().unwrap_or_default();
    let table = match verb {
        "UPDATE" => words.next(),
        _ => words.find(|word| matches!(*word, "FROM" | "INTO" | "UPDATE")).and_then(|_| words.next()),
    };
    let name =
        |text: &str| text.chars().take_while(|char| char.is_ascii_alphanumeric() || *char == '_').collect::<String>();
    match table.map(name) {
        Some(table) if !table.is_empty() => format!("{} {table}", name(verb)).into(),
        _ => name(verb).into(),
    }
}

fn word(error: &DbError) -> &'static str {
    match error {
        DbError::Open(..) | DbError::Unavailable { .. } => "unavailable",
        DbError::Busy => "busy",
        DbError::Aborted(_) => "aborted",
        DbError::Unknown(_) => "unknown",
        DbError::Corrupt(_) => "corrupt",
        DbError::Query(_)
        | DbError::Sqlite(_)
        | DbError::Migration { .. }
        | DbError::FromTheFuture(_)
        | DbError::TooFewConnections { .. } => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_named_by_its_verb_and_its_first_table() {
        for (sql, name) in [
            ("SELECT a, b FROM orders WHERE id = $1", "SELECT orders"),
            ("INSERT INTO sagas (kind, id) VALUES ($1, $2)", "INSERT sagas"),
            ("INSERT INTO sagas(kind) VALUES ('from x')", "INSERT sagas"),
            ("UPDATE stock SET reserved = $1", "UPDATE stock"),
            ("DELETE FROM outbox WHERE id = $1", "DELETE outbox"),
            ("WITH due AS (SELECT id FROM mails) UPDATE mails SET x = $1", "WITH mails"),
            ("SELECT 1", "SELECT"),
            ("SELECT count(*) FROM (SELECT 1)", "SELECT"),
        ] {
            assert_eq!(summary(sql), name, "{sql}");
        }
    }
}
