//! What the reviews of a book say together, and whether they have changed since.

use std::collections::BTreeSet;

use bookworm_db::{Db, DbError, FromRow, Sql, Tx, Value, in_list, values};
use bookworm_kernel::{BookId, Timestamp};
use uuid::Uuid;

use crate::domain::{Status, summary::Summary};

/// A book whose reviews have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stale {
    pub book: BookId,
    /// Counts the changes.
    pub changes: i64,
}

/// The published reviews of a book have changed.
pub(crate) async fn mark_stale(tx: &Tx, book: BookId) -> Result<(), DbError> {
    let sql = "INSERT INTO book_summaries (book_id, changes, built) VALUES ($1, 1, 0) \
               ON CONFLICT (book_id) DO UPDATE SET changes = book_summaries.changes + 1";
    tx.exec(sql, values![book.uuid()]).await.map(drop)
}

/// Books whose summary is older than their reviews, at most `limit`, after a book.
pub(crate) async fn stale(sql: &impl Sql, after: Option<BookId>, limit: i64) -> Result<Vec<Stale>, DbError> {
    #[derive(FromRow)]
    struct Row {
        book_id: Uuid,
        changes: i64,
    }
    let query = "SELECT book_id, changes FROM book_summaries WHERE built < changes AND book_id > $1 \
                 ORDER BY book_id LIMIT $2";
    let after = after.map_or(Uuid::nil(), BookId::uuid);
    let rows: Vec<Row> = sql.all(query, values![after, limit]).await?;
    Ok(rows.into_iter().map(|row| Stale { book: BookId::from_uuid(row.book_id), changes: row.changes }).collect())
}

/// Stores a summary of the reviews as they were after so many changes, unless there is a later one.
pub(crate) async fn put(db: &Db, of: Stale, summary: &Summary, now: Timestamp) -> Result<(), DbError> {
    let summary = (!summary.is_empty()).then(|| serde_json::to_string(summary).unwrap_or_default());
    db.transact(move |tx| {
        Box::pin(async move {
            let sql = "UPDATE book_summaries SET built = $2, summary = $3, at = $4 WHERE book_id = $1 AND built < $2";
            tx.exec(sql, values![of.book.uuid(), of.changes, summary, now.micros()]).await.map(drop)
        })
    })
    .await
}

/// The summary of a book, which may be older than its reviews.
pub(crate) async fn of(sql: &impl Sql, book: BookId) -> Result<Option<Summary>, DbError> {
    let query = "SELECT summary FROM book_summaries WHERE book_id = $1 AND summary IS NOT NULL";
    let summary: Option<String> = sql.scalar(query, values![book.uuid()]).await?;
    let read = |text: String| {
        serde_json::from_str(&text).map_err(|error| DbError::Corrupt(format!("the summary of book {book}: {error}")))
    };
    summary.map(read).transpose()
}

/// A review that can be summarised.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Text {
    pub id: Uuid,
    pub author_name: String,
    pub stars: i64,
    pub text: String,
    pub language: Option<String>,
}

const QUOTABLE: &str = "SELECT id, author_name, stars, text, language FROM reviews \
                        WHERE status = $1 AND spoiler = FALSE AND text IS NOT NULL";

/// The latest published reviews of a book with words that give nothing away, at most `limit`.
pub(crate) async fn texts(sql: &impl Sql, book: BookId, limit: i64) -> Result<Vec<Text>, DbError> {
    let query = format!("{QUOTABLE} AND book_id = $2 ORDER BY id DESC LIMIT $3");
    sql.all(&query, values![Status::Published.name(), book.uuid(), limit]).await
}

/// Those of these reviews that are published still, with words that give nothing away.
pub(crate) async fn texts_of(sql: &impl Sql, reviews: BTreeSet<Uuid>) -> Result<Vec<Text>, DbError> {
    if reviews.is_empty() {
        return Ok(Vec::new());
    }
    let query = format!("{QUOTABLE} AND id IN ({})", in_list(2, reviews.len()));
    let bound = std::iter::once(Status::Published.name().into()).chain(reviews.into_iter().map(Value::from));
    sql.all(&query, bound.collect::<Vec<_>>()).await
}
