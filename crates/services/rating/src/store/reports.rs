//! What readers say is wrong with reviews.

use bookworm_db::{DbError, FromRow, Sql, Tx, in_list, values};
use bookworm_kernel::{CustomerId, Timestamp};
use uuid::Uuid;

/// The most reports that are shown of a review.
const SHOWN: i64 = 5;

/// A report that staff have not decided on.
#[derive(Debug, FromRow)]
pub(crate) struct Row {
    pub review_id: Uuid,
    pub account: Uuid,
    pub reason: String,
    pub text: Option<String>,
    pub at: i64,
}

/// Adds a report; a second one of the same account changes nothing.
pub(crate) async fn add(
    tx: &Tx,
    review: Uuid,
    account: CustomerId,
    reason: String,
    text: Option<String>,
    now: Timestamp,
) -> Result<(), DbError> {
    let sql = "INSERT INTO review_reports (review_id, account, reason, text, at, decided) \
               VALUES ($1, $2, $3, $4, $5, FALSE) ON CONFLICT DO NOTHING";
    let added = tx.exec(sql, values![review, account.uuid(), reason, text, now.micros()]).await?;
    if added == 1 {
        let sql = "UPDATE reviews SET reports = reports + 1, open = TRUE WHERE id = $1";
        tx.exec(sql, values![review]).await?;
    }
    Ok(())
}

/// Staff decided on what was reported so far.
pub(crate) async fn decide(tx: &Tx, review: Uuid) -> Result<(), DbError> {
    tx.exec("UPDATE review_reports SET decided = TRUE WHERE review_id = $1", values![review]).await.map(drop)
}

/// The first reports of each of these reviews that staff have not decided on.
pub(crate) async fn undecided(sql: &impl Sql, reviews: &[Uuid]) -> Result<Vec<Row>, DbError> {
    if reviews.is_empty() {
        return Ok(Vec::new());
    }
    let query = format!(
        "SELECT review_id, account, reason, text, at FROM \
         (SELECT review_id, account, reason, text, at, \
          ROW_NUMBER() OVER (PARTITION BY review_id ORDER BY at, account) AS place \
          FROM review_reports WHERE decided = FALSE AND review_id IN ({})) AS numbered \
         WHERE place <= $1 ORDER BY review_id, place",
        in_list(2, reviews.len())
    );
    let values = values![SHOWN].into_iter().chain(reviews.iter().map(|id| (*id).into()));
    sql.all(&query, values.collect::<Vec<_>>()).await
}
