//! What is counted for an account, and what it bought.

use std::time::Duration;

use bookworm_db::{DbError, FromRow, Sql, Tx, values};
use bookworm_kernel::{BookId, CustomerId, OrderId, Timestamp};
use uuid::Uuid;

#[derive(FromRow)]
struct Row {
    counted_from: i64,
    changes: i64,
}

/// Locks an account: until the unit of work ends, nothing else is counted or decided for it.
async fn lock_row(tx: &Tx, reader: CustomerId, now: Timestamp) -> Result<Row, DbError> {
    let make = "INSERT INTO readers (id, counted_from, changes) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING";
    tx.exec(make, values![reader.uuid(), now.micros()]).await?;
    let sql = format!("SELECT counted_from, changes FROM readers WHERE id = $1{}", tx.for_update());
    let row: Option<Row> = tx.one(&sql, values![reader.uuid()]).await?;
    row.ok_or_else(|| DbError::Corrupt("a reader who was stored is missing".to_owned()))
}

/// Locks an account.
pub(crate) async fn lock(tx: &Tx, reader: CustomerId, now: Timestamp) -> Result<(), DbError> {
    lock_row(tx, reader, now).await.map(drop)
}

/// Locks an account and counts a change that it makes: at most `limit` in `window`. Otherwise how long to wait.
pub(crate) async fn count(
    tx: &Tx,
    reader: CustomerId,
    (limit, window): (i64, Duration),
    now: Timestamp,
) -> Result<Result<(), Duration>, DbError> {
    let row = lock_row(tx, reader, now).await?;
    let (mut from, mut changes) = (Timestamp::from_micros(row.counted_from), row.changes);
    if now.since(from) >= window {
        (from, changes) = (now, 0);
    }
    if changes >= limit {
        return Ok(Err(window.saturating_sub(now.since(from))));
    }
    let sql = "UPDATE readers SET counted_from = $1, changes = $2 WHERE id = $3";
    tx.exec(sql, values![from.micros(), changes + 1, reader.uuid()]).await?;
    Ok(Ok(()))
}

/// How many reviews an account began after `since`, those that it took back among them.
pub(crate) async fn written_since(tx: &Tx, author: CustomerId, since: Timestamp) -> Result<i64, DbError> {
    let sql = "SELECT COUNT(*) FROM reviews WHERE author = $1 AND created_at > $2";
    Ok(tx.scalar(sql, values![author.uuid(), since.micros()]).await?.unwrap_or(0))
}

/// The completed order with which an account bought a book.
pub(crate) async fn order_with(sql: &impl Sql, reader: CustomerId, book: BookId) -> Result<Option<OrderId>, DbError> {
    let query = "SELECT order_id FROM purchases WHERE customer_id = $1 AND book_id = $2";
    let order: Option<Uuid> = sql.scalar(query, values![reader.uuid(), book.uuid()]).await?;
    Ok(order.map(OrderId::from_uuid))
}

/// Stores that an account bought a book; the first order counts.
pub(crate) async fn bought(
    tx: &Tx,
    reader: CustomerId,
    book: BookId,
    order: OrderId,
    now: Timestamp,
) -> Result<(), DbError> {
    let sql = "INSERT INTO purchases (customer_id, book_id, order_id, at) VALUES ($1, $2, $3, $4) \
               ON CONFLICT DO NOTHING";
    tx.exec(sql, values![reader.uuid(), book.uuid(), order.uuid(), now.micros()]).await.map(drop)
}
