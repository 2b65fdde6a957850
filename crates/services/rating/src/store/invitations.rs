//! Who is asked for reviews, and who asked not to be.

use bookworm_db::{DbError, FromRow, Sql, Tx, values};
use bookworm_kernel::{BookId, CustomerId, Email, OrderId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A book of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Book {
    pub book_id: BookId,
    pub title: String,
}

/// Somebody to ask, once their order is complete.
#[derive(Debug, Clone)]
pub(crate) struct Invitee {
    pub order: OrderId,
    pub reader: CustomerId,
    pub email: Email,
    pub mailbox: String,
    pub name: String,
    pub author_name: String,
    pub books: Vec<Book>,
}

/// Stores whom to ask and when; the first of an order counts, so a withdrawal that came before stays.
pub(crate) async fn plan(tx: &Tx, invitee: &Invitee, due_at: Timestamp) -> Result<(), DbError> {
    let books = serde_json::to_string(&invitee.books).unwrap_or_default();
    let sql = "INSERT INTO invitations (order_id, reader, mailbox, email, name, author_name, books, state, due_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', $8) ON CONFLICT DO NOTHING";
    let bound = values![
        invitee.order.uuid(),
        invitee.reader.uuid(),
        invitee.mailbox.clone(),
        invitee.email.as_str(),
        invitee.name.clone(),
        invitee.author_name.clone(),
        books,
        due_at.micros()
    ];
    tx.exec(sql, bound).await.map(drop)
}

/// Nobody is asked about this order any more; who was asked already may still answer.
pub(crate) async fn withdraw(tx: &Tx, order: OrderId, now: Timestamp) -> Result<(), DbError> {
    let sql = "INSERT INTO invitations (order_id, reader, mailbox, author_name, books, state, due_at) \
               VALUES ($1, $2, '', '', '[]', 'withdrawn', $3) \
               ON CONFLICT (order_id) DO UPDATE SET state = 'withdrawn', email = NULL, name = NULL \
               WHERE invitations.state = 'waiting'";
    tx.exec(sql, values![order.uuid(), Uuid::nil(), now.micros()]).await.map(drop)
}

/// The orders whose buyers are to be asked by now, at most `limit`.
pub(crate) async fn due(sql: &impl Sql, now: Timestamp, limit: i64) -> Result<Vec<OrderId>, DbError> {
    #[derive(FromRow)]
    struct Row {
        order_id: Uuid,
    }
    let query = "SELECT order_id FROM invitations WHERE state = 'waiting' AND due_at <= $1 ORDER BY due_at LIMIT $2";
    let rows: Vec<Row> = sql.all(query, values![now.micros(), limit]).await?;
    Ok(rows.into_iter().map(|row| OrderId::from_uuid(row.order_id)).collect())
}

/// Somebody whose turn it is.
pub(crate) struct Taken {
    pub email: Email,
    pub name: String,
    pub books: Vec<Book>,
}

/// Takes an order's invitation to send it now, under this token: once, whoever asks. `None` when it was sent or
/// withdrawn, or its mailbox wants none. Where to write to is not stored any longer.
pub(crate) async fn take(
    tx: &Tx,
    order: OrderId,
    token_hash: String,
    expires_at: Timestamp,
) -> Result<Option<Taken>, DbError> {
    #[derive(FromRow)]
    struct Row {
        email: Option<String>,
        name: Option<String>,
        books: String,
        mailbox: String,
    }
    let query = format!(
        "SELECT email, name, books, mailbox FROM invitations WHERE order_id = $1 AND state = 'waiting'{}",
        tx.for_update()
    );
    let row: Option<Row> = tx.one(&query, values![order.uuid()]).await?;
    let Some(row) = row else { return Ok(None) };
    let refused: Option<i64> =
        tx.scalar("SELECT COUNT(*) FROM unsubscribed WHERE mailbox = $1", values![row.mailbox]).await?;
    let state = if refused == Some(0) { "sent" } else { "unwanted" };
    let sql = "UPDATE invitations SET state = $1, token_hash = $2, expires_at = $3, email = NULL, name = NULL \
               WHERE order_id = $4";
    tx.exec(sql, values![state, token_hash, expires_at.micros(), order.uuid()]).await?;
    let corrupt = |what: &str| DbError::Corrupt(format!("the {what} of the invitation for order {order}"));
    let email = row.email.as_deref().and_then(|email| Email::parse(email).ok()).ok_or_else(|| corrupt("address"))?;
    let books = books(&row.books).ok_or_else(|| corrupt("books"))?;
    Ok((state == "sent").then(|| Taken { email, name: row.name.unwrap_or_default(), books }))
}

fn books(stored: &str) -> Option<Vec<Book>> {
    serde_json::from_str(stored).ok()
}

/// What a link stands for.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub reader: CustomerId,
    pub author_name: String,
    pub books: Vec<Book>,
    pub mailbox: String,
    pub expires_at: Timestamp,
}

/// The invitation that was sent with this token, also one that has expired.
pub(crate) async fn by_token(sql: &impl Sql, token_hash: String) -> Result<Option<Found>, DbError> {
    #[derive(FromRow)]
    struct Row {
        reader: Uuid,
        author_name: String,
        books: String,
        mailbox: String,
        expires_at: Option<i64>,
    }
    let query = "SELECT reader, author_name, books, mailbox, expires_at FROM invitations \
                 WHERE token_hash = $1 AND state = 'sent'";
    let row: Option<Row> = sql.one(query, values![token_hash]).await?;
    row.map(|row| {
        Ok(Found {
            reader: CustomerId::from_uuid(row.reader),
            author_name: row.author_name,
            books: books(&row.books).ok_or_else(|| DbError::Corrupt("the books of an invitation".to_owned()))?,
            mailbox: row.mailbox,
            expires_at: Timestamp::from_micros(row.expires_at.unwrap_or_default()),
        })
    })
    .transpose()
}

/// A mailbox wants no more invitations.
pub(crate) async fn unsubscribe(tx: &Tx, mailbox: String, now: Timestamp) -> Result<(), DbError> {
    let sql = "INSERT INTO unsubscribed (mailbox, at) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    tx.exec(sql, values![mailbox, now.micros()]).await.map(drop)
}
