//! The queue of mails, which is also the mailbox that staff read.

pub mod ledger;
pub mod proofs;

use bookworm_contracts::rest::operations::Mail;
use bookworm_db::{Db, DbError, FromRow, Migration, Sql, Tx, Value, values};
use bookworm_kernel::Timestamp;
use uuid::Uuid;

use self::ledger::TooMany;
use crate::domain::Draft;

pub const MIGRATIONS: &[Migration] =
    &[MAILS, ledger::MIGRATION, proofs::MIGRATION, UNSUBSCRIBE, TRACE, bookworm_http::idempotency::MIGRATION];

const MAILS: Migration = Migration::new(
    "notification/0001_mails",
    "CREATE TABLE mails (
            id UUID NOT NULL PRIMARY KEY,
            kind TEXT NOT NULL,
            recipient TEXT NOT NULL,
            subject TEXT NOT NULL,
            text TEXT NOT NULL,
            html TEXT NOT NULL,
            status TEXT NOT NULL,
            attempts BIGINT NOT NULL,
            error TEXT,
            order_id UUID,
            due_at BIGINT,
            created_at BIGINT NOT NULL,
            sent_at BIGINT
          );
          CREATE INDEX mails_due ON mails (due_at);
          CREATE INDEX mails_order ON mails (order_id);",
);

const UNSUBSCRIBE: Migration =
    Migration::new("notification/0004_unsubscribe", "ALTER TABLE mails ADD COLUMN unsubscribe TEXT;");

/// The step that queued it, as `traceparent`: null where nothing is known of it.
const TRACE: Migration = Migration::new("notification/0005_trace", "ALTER TABLE mails ADD COLUMN trace TEXT;");

const COLUMNS: &str = "id, kind, recipient, subject, text, html, status, attempts, error, order_id, unsubscribe, trace, created_at, sent_at";

/// A mail as it is stored. `due_at` is null once there is nothing left to do.
#[derive(Debug, FromRow)]
pub struct Row {
    pub id: Uuid,
    pub kind: String,
    pub recipient: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    pub status: String,
    pub attempts: i64,
    pub error: Option<String>,
    pub order_id: Option<Uuid>,
    pub unsubscribe: Option<String>,
    pub trace: Option<String>,
    pub created_at: i64,
    pub sent_at: Option<i64>,
}

impl From<Row> for Mail {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            to: row.recipient,
            subject: row.subject,
            text: row.text,
            html: row.html,
            status: row.status,
            attempts: i32::try_from(row.attempts).unwrap_or(i32::MAX),
            error: row.error,
            order_id: row.order_id,
            created_at: Timestamp::from_micros(row.created_at),
            sent_at: row.sent_at.map(Timestamp::from_micros),
        }
    }
}

/// Queues a mail, to be sent at once.
pub async fn queue(tx: &Tx, draft: &Draft, now: Timestamp) -> Result<Uuid, DbError> {
    let id = Uuid::now_v7();
    tx.exec(
        "INSERT INTO mails (id, kind, recipient, subject, text, html, status, attempts, order_id, due_at, created_at, unsubscribe, trace) \
         VALUES ($1, $2, $3, $4, $5, $6, 'queued', 0, $7, $8, $8, $9, $10)",
        values![
            id,
            draft.kind,
            draft.to.as_str(),
            draft.subject.as_str(),
            draft.text.as_str(),
            draft.html.as_str(),
            draft.order_id,
            now.micros(),
            draft.unsubscribe.clone(),
            bookworm_trace::current().map(|place| place.to_string())
        ],
    )
    .await?;
    Ok(id)
}

/// Stores a mail beyond a limit, for staff to see, and to send if it should be sent after all.
pub async fn refuse(tx: &Tx, draft: &Draft, too_many: &TooMany, now: Timestamp) -> Result<(), DbError> {
    let id = queue(tx, draft, now).await?;
    let why = format!("more mails than the limit for the {} allows", too_many.whose.described());
    tx.exec("UPDATE mails SET status = 'refused', due_at = NULL, error = $2 WHERE id = $1", values![id, why]).await?;
    Ok(())
}

/// Leases mails whose time has come until `until`, and counts the attempt.
pub async fn lease(db: &Db, now: Timestamp, until: Timestamp, limit: i64) -> Result<Vec<Row>, DbError> {
    let due = "SELECT id FROM mails WHERE due_at <= $1 ORDER BY due_at LIMIT $2";
    // Most looks find nothing: they should not take the writer.
    let waiting: Option<Uuid> = db.read().scalar(due, values![now.micros(), 1_i64]).await?;
    if waiting.is_none() {
        return Ok(Vec::new());
    }
    db.transact(move |tx| {
        Box::pin(async move {
            let lock = tx.for_update_skip_locked();
            let lease = format!(
                "UPDATE mails SET attempts = attempts + 1, due_at = $3 WHERE id IN ({due}{lock}) RETURNING {COLUMNS}"
            );
            tx.all(&lease, values![now.micros(), limit, until.micros()]).await
        })
    })
    .await
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A mail server has it.
    Sent,
    /// It stays here: there is no mail server.
    Kept,
    /// Try again at this time.
    Later(Timestamp, String),
    /// There is no use.
    Failed(String),
}

/// Notes how attempts ended.
pub async fn settle(db: &Db, outcomes: Vec<(Uuid, Outcome)>, now: Timestamp) -> Result<(), DbError> {
    db.transact(move |tx| {
        Box::pin(async move {
            for (id, outcome) in outcomes {
                let (status, due, error, sent): (_, Option<i64>, Option<String>, Option<i64>) = match outcome {
                    Outcome::Sent => ("sent", None, None, Some(now.micros())),
                    Outcome::Kept => ("kept", None, None, None),
                    Outcome::Later(at, error) => ("queued", Some(at.micros()), Some(error), None),
                    Outcome::Failed(error) => ("failed", None, Some(error), None),
                };
                tx.exec(
                    "UPDATE mails SET status = $2, due_at = $3, error = $4, sent_at = $5 WHERE id = $1",
                    values![id, status, due, error, sent],
                )
                .await?;
            }
            Ok(())
        })
    })
    .await
}

/// Queues a mail again, as new. `false` when there is none with this id, or its reader must prove the address first.
pub async fn requeue(db: &Db, id: Uuid, now: Timestamp) -> Result<bool, DbError> {
    db.transact(move |tx| {
        Box::pin(async move {
            let changed = tx
                .exec(
                    "UPDATE mails SET status = 'queued', attempts = 0, error = NULL, due_at = $2 WHERE id = $1 \
                     AND status <> 'held'",
                    values![id, now.micros()],
                )
                .await?;
            Ok(changed == 1)
        })
    })
    .await
}

/// A mail.
pub async fn find(db: &Db, id: Uuid) -> Result<Option<Row>, DbError> {
    db.read().one(&format!("SELECT {COLUMNS} FROM mails WHERE id = $1"), values![id]).await
}

/// What a list of mails is narrowed to.
#[derive(Debug, Default)]
pub struct Filter {
    pub kind: Option<String>,
    pub status: Option<String>,
    pub order_id: Option<Uuid>,
}

/// Mails, latest first, after the one that `after` names.
pub async fn list(db: &Db, filter: &Filter, after: Option<Uuid>, limit: usize) -> Result<Vec<Row>, DbError> {
    let mut clauses = vec!["id < $1".to_owned()];
    // Version 7 ids sort by time, so the id alone is the cursor.
    let mut bound: Vec<Value> = vec![after.unwrap_or(Uuid::max()).into()];
    let filters = [
        ("kind", filter.kind.clone().map(Value::from)),
        ("status", filter.status.clone().map(Value::from)),
        ("order_id", filter.order_id.map(Value::from)),
    ];
    for (column, value) in filters {
        if let Some(value) = value {
            bound.push(value);
            clauses.push(format!("{column} = ${}", bound.len()));
        }
    }
    bound.push((limit as i64).into());
    let select =
        format!("SELECT {COLUMNS} FROM mails WHERE {} ORDER BY id DESC LIMIT ${}", clauses.join(" AND "), bound.len());
    db.read().all(&select, bound).await
}
