//! What customers bought and looked at, and what sells: what recommendations are made from.

use std::collections::BTreeMap;

use bookworm_db::{FromRow, Result, Sql, Tx, values};
use bookworm_kernel::{BookId, CustomerId, Timestamp};
use uuid::Uuid;

/// Views that are stored of each customer.
pub(crate) const VIEWS: i64 = 50;
/// The most recent purchases that are looked at.
const PURCHASES: i64 = 200;

#[derive(FromRow)]
struct BookIdRow {
    book_id: Uuid,
}

fn ids(rows: Vec<BookIdRow>) -> Vec<BookId> {
    rows.into_iter().map(|row| BookId::from_uuid(row.book_id)).collect()
}

/// Notes that these copies were sold, to a customer if it was one with an account. Books are taken in the order of
/// their ids, so that two sales wait for each other only one way; what the catalogue never had is passed over.
pub(crate) async fn bought(
    tx: &Tx,
    customer: Option<CustomerId>,
    lines: &BTreeMap<BookId, i64>,
    now: Timestamp,
) -> Result<()> {
    for (book, copies) in lines {
        tx.exec(
            "INSERT INTO book_sales (book_id, copies) SELECT id, $2 FROM books WHERE id = $1 \
             ON CONFLICT (book_id) DO UPDATE SET copies = book_sales.copies + excluded.copies",
            values![book.uuid(), *copies],
        )
        .await?;
        if let Some(customer) = customer {
            tx.exec(
                "INSERT INTO customer_purchases (customer_id, book_id, at) SELECT $2, id, $3 FROM books WHERE id = $1 \
                 ON CONFLICT (customer_id, book_id) DO UPDATE SET at = excluded.at",
                values![book.uuid(), customer.uuid(), now.micros()],
            )
            .await?;
        }
    }
    Ok(())
}

/// Notes that a customer looked at a book, and forgets all but the last [`VIEWS`].
pub(crate) async fn viewed(tx: &Tx, customer: CustomerId, book: BookId, now: Timestamp) -> Result<()> {
    tx.exec(
        "INSERT INTO customer_views (customer_id, book_id, at) VALUES ($1, $2, $3) \
         ON CONFLICT (customer_id, book_id) DO UPDATE SET at = excluded.at",
        values![customer.uuid(), book.uuid(), now.micros()],
    )
    .await?;
    tx.exec(
        "DELETE FROM customer_views WHERE customer_id = $1 AND book_id IN \
         (SELECT book_id FROM customer_views WHERE customer_id = $1 ORDER BY at DESC, book_id DESC LIMIT 1000 OFFSET $2)",
        values![customer.uuid(), VIEWS],
    )
    .await?;
    Ok(())
}

/// The last purchases of a customer, latest first.
pub(crate) async fn purchases(db: &impl Sql, customer: CustomerId) -> Result<Vec<BookId>> {
    let rows = db
        .all(
            "SELECT book_id FROM customer_purchases WHERE customer_id = $1 ORDER BY at DESC, book_id DESC LIMIT $2",
            values![customer.uuid(), PURCHASES],
        )
        .await?;
    Ok(ids(rows))
}

/// What a customer looked at, latest first.
pub(crate) async fn views(db: &impl Sql, customer: CustomerId) -> Result<Vec<BookId>> {
    let rows = db
        .all(
            "SELECT book_id FROM customer_views WHERE customer_id = $1 ORDER BY at DESC, book_id DESC LIMIT $2",
            values![customer.uuid(), VIEWS],
        )
        .await?;
    Ok(ids(rows))
}

/// What sells: the books on sale of which most copies were sold; none before the first sale. At most `limit`.
pub(crate) async fn best_sellers(db: &impl Sql, limit: i64) -> Result<Vec<BookId>> {
    let sold = db
        .all(
            "SELECT s.book_id FROM book_sales s JOIN books b ON b.id = s.book_id WHERE b.deleted = FALSE \
             ORDER BY s.copies DESC, b.rating_count DESC, s.book_id DESC LIMIT $1",
            values![limit],
        )
        .await?;
    Ok(ids(sold))
}

/// Some of what is on sale: first what most readers rated. At most `limit`.
pub(crate) async fn on_sale(db: &impl Sql, limit: i64) -> Result<Vec<BookId>> {
    let some = db
        .all(
            "SELECT b.id AS book_id FROM books b WHERE b.deleted = FALSE ORDER BY b.rating_count DESC, b.id DESC \
             LIMIT $1",
            values![limit],
        )
        .await?;
    Ok(ids(some))
}
