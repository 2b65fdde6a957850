//! Who found which review helpful.

use std::collections::HashSet;

use bookworm_db::{DbError, FromRow, Sql, Tx, in_list, values};
use bookworm_kernel::{CustomerId, Timestamp};
use uuid::Uuid;

/// Adds a vote; a second one of the same account changes nothing.
pub(crate) async fn add(tx: &Tx, review: Uuid, account: CustomerId, now: Timestamp) -> Result<(), DbError> {
    let sql = "INSERT INTO helpful_votes (review_id, account, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    let added = tx.exec(sql, values![review, account.uuid(), now.micros()]).await?;
    count(tx, review, added.cast_signed()).await
}

/// Takes a vote back.
pub(crate) async fn remove(tx: &Tx, review: Uuid, account: CustomerId) -> Result<(), DbError> {
    let sql = "DELETE FROM helpful_votes WHERE review_id = $1 AND account = $2";
    let removed = tx.exec(sql, values![review, account.uuid()]).await?;
    count(tx, review, -removed.cast_signed()).await
}

/// Takes back every vote for a review.
pub(crate) async fn remove_all(tx: &Tx, review: Uuid) -> Result<(), DbError> {
    tx.exec("DELETE FROM helpful_votes WHERE review_id = $1", values![review]).await.map(drop)
}

async fn count(tx: &Tx, review: Uuid, change: i64) -> Result<(), DbError> {
    tx.exec("UPDATE reviews SET helpful = helpful + $1 WHERE id = $2", values![change, review]).await.map(drop)
}

/// Which of these reviews an account found helpful.
pub(crate) async fn of_account(
    sql: &impl Sql,
    account: CustomerId,
    reviews: &[Uuid],
) -> Result<HashSet<Uuid>, DbError> {
    #[derive(FromRow)]
    struct Row {
        review_id: Uuid,
    }
    if reviews.is_empty() {
        return Ok(HashSet::new());
    }
    let list = in_list(2, reviews.len());
    let query = format!("SELECT review_id FROM helpful_votes WHERE account = $1 AND review_id IN ({list})");
    let values = values![account.uuid()].into_iter().chain(reviews.iter().map(|id| (*id).into()));
    let rows: Vec<Row> = sql.all(&query, values.collect::<Vec<_>>()).await?;
    Ok(rows.into_iter().map(|row| row.review_id).collect())
}
