//! The baskets' table: one row for each basket, its lines as one JSON document. A basket is small, is always wanted
//! whole, and then costs one statement to read and one to write.

use bookworm_db::{DbError, FromRow, Migration, Sql, Tx, values};
use bookworm_kernel::{CustomerId, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use crate::domain::{Basket, Claim, Line, TokenHash};

/// This service's own tables.
pub(crate) const MIGRATIONS: &[Migration] = &[BASKETS, CLAIMS];

// A guest's basket that was merged keeps its row without lines for a while: an order from it may still be on its way, and
// what it bought must then leave the customer's basket.
const BASKETS: Migration = Migration::new(
    "basket/0001_baskets",
    "CREATE TABLE baskets (
            id UUID NOT NULL PRIMARY KEY,
            customer_id UUID UNIQUE,
            guest_hash TEXT UNIQUE,
            merged_into UUID,
            version BIGINT NOT NULL,
            lines TEXT NOT NULL,
            touched_at BIGINT NOT NULL
          );
          CREATE INDEX baskets_touched ON baskets (touched_at);",
);

// With the lines, for a claim is granted, moved and ended together with them.
const CLAIMS: Migration =
    Migration::new("basket/0002_claims", "ALTER TABLE baskets ADD COLUMN claims TEXT NOT NULL DEFAULT '[]';");

/// Whose basket it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Somebody with an account.
    Customer(CustomerId),
    /// Whoever has the secret.
    Guest(TokenHash),
}

/// A basket and when it was last used.
#[derive(Debug)]
pub(crate) struct Stored {
    /// The basket.
    pub basket: Basket,
    /// Last used, to about a day.
    pub touched_at: Timestamp,
    /// The basket that took its lines over.
    pub merged_into: Option<Uuid>,
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    merged_into: Option<Uuid>,
    version: i64,
    lines: String,
    claims: String,
    touched_at: i64,
}

impl Row {
    fn read(self) -> Result<Stored, DbError> {
        let corrupt = |what: &str, error| DbError::Corrupt(format!("the {what} of basket {}: {error}", self.id));
        let lines: Vec<Line> = serde_json::from_str(&self.lines).map_err(|error| corrupt("lines", error))?;
        let claims: Vec<Claim> = serde_json::from_str(&self.claims).map_err(|error| corrupt("claims", error))?;
        let version = u64::try_from(self.version).unwrap_or(0);
        Ok(Stored {
            basket: Basket::restore(self.id, version, lines, claims),
            touched_at: Timestamp::from_micros(self.touched_at),
            merged_into: self.merged_into,
        })
    }
}

const BY_CUSTOMER: &str =
    "SELECT id, merged_into, version, lines, claims, touched_at FROM baskets WHERE customer_id = $1";
const BY_GUEST: &str = "SELECT id, merged_into, version, lines, claims, touched_at FROM baskets WHERE guest_hash = $1";
const BY_ID: &str = "SELECT id, merged_into, version, lines, claims, touched_at FROM baskets WHERE id = $1";

async fn select(sql: &impl Sql, owner: &Owner, suffix: &str) -> Result<Option<Stored>, DbError> {
    let row: Option<Row> = match owner {
        Owner::Customer(id) => sql.one(&format!("{BY_CUSTOMER}{suffix}"), values![id.uuid()]).await?,
        Owner::Guest(hash) => sql.one(&format!("{BY_GUEST}{suffix}"), values![hash.0.clone()]).await?,
    };
    row.map(Row::read).transpose()
}

/// Reads a basket to show it.
pub(crate) async fn find(sql: &impl Sql, owner: &Owner) -> Result<Option<Stored>, DbError> {
    select(sql, owner, "").await
}

/// Reads a basket to change it.
pub(crate) async fn lock(tx: &Tx, owner: &Owner) -> Result<Option<Stored>, DbError> {
    select(tx, owner, tx.for_update()).await
}

/// Reads a basket to change it, by its id.
async fn lock_id(tx: &Tx, id: Uuid) -> Result<Option<Stored>, DbError> {
    let row: Option<Row> = tx.one(&format!("{BY_ID}{}", tx.for_update()), values![id]).await?;
    row.map(Row::read).transpose()
}

/// Reads a basket to change it, by its id. A guest's basket that was merged is the one that took its lines over: what
/// concerns an order from it concerns that one now.
pub(crate) async fn lock_successor(tx: &Tx, id: Uuid) -> Result<Option<Stored>, DbError> {
    let stored = lock_id(tx, id).await?;
    match stored.as_ref().and_then(|stored| stored.merged_into) {
        Some(into) => lock_id(tx, into).await,
        None => Ok(stored),
    }
}

fn document<T: Serialize>(part: &[T]) -> Result<String, DbError> {
    serde_json::to_string(part).map_err(|error| DbError::Corrupt(error.to_string()))
}

/// Stores a new basket. Returns false when its owner has got one meanwhile.
pub(crate) async fn insert(tx: &Tx, owner: &Owner, basket: &Basket, now: Timestamp) -> Result<bool, DbError> {
    let (customer, guest) = match owner {
        Owner::Customer(id) => (Some(id.uuid()), None),
        Owner::Guest(hash) => (None, Some(hash.0.clone())),
    };
    let rows = tx
        .exec(
            "INSERT INTO baskets (id, customer_id, guest_hash, version, lines, claims, touched_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            values![
                basket.id,
                customer,
                guest,
                basket.version as i64,
                document(basket.lines())?,
                document(basket.claims())?,
                now.micros()
            ],
        )
        .await?;
    Ok(rows == 1)
}

/// Stores a basket that was read with a lock.
pub(crate) async fn update(tx: &Tx, basket: &Basket, now: Timestamp) -> Result<(), DbError> {
    tx.exec(
        "UPDATE baskets SET version = $1, lines = $2, claims = $3, touched_at = $4 WHERE id = $5",
        values![basket.version as i64, document(basket.lines())?, document(basket.claims())?, now.micros(), basket.id],
    )
    .await?;
    Ok(())
}

/// Ends a guest's basket whose lines another one took over: its secret opens nothing any more.
pub(crate) async fn retire(tx: &Tx, guest: Uuid, into: Uuid, now: Timestamp) -> Result<(), DbError> {
    tx.exec(
        "UPDATE baskets SET guest_hash = NULL, merged_into = $1, lines = '[]', claims = '[]', touched_at = $2 WHERE id = $3",
        values![into, now.micros(), guest],
    )
    .await?;
    Ok(())
}

/// Deletes at most `limit` baskets of guests that were not touched since `before`; returns how many.
pub(crate) async fn expire(tx: &Tx, before: Timestamp, limit: i64) -> Result<u64, DbError> {
    tx.exec(
        "DELETE FROM baskets WHERE id IN \
         (SELECT id FROM baskets WHERE customer_id IS NULL AND touched_at < $1 ORDER BY touched_at LIMIT $2)",
        values![before.micros(), limit],
    )
    .await
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;

    use super::*;

    /// As earlier releases have written them: whatever is added to a line or a claim, these stay readable.
    const LINES: &str = r#"[{"quantity":2,"book_id":"0192f0c4-0000-7000-8000-000000000003","title":"Émile & \"Zoë\"","authors":["J.-J. Rousseau","Anon"],"language":"fr","cover_url":"/covers/1","price":{"amount":1000,"currency":"USD"},"available":7},{"quantity":99,"book_id":"0192f0c4-0000-7000-8000-000000000004","title":"Sampler","authors":[],"cover_url":"","price":{"amount":0,"currency":"JPY"},"available":0}]"#;
    const CLAIMS: &str = r#"[{"order_id":"0192f0c4-0000-7000-8000-000000000001","claimant":"9f86d081","at":"2025-11-24T16:00:00.123456Z"}]"#;

    fn unchanged<T: Serialize + DeserializeOwned>(stored: &str) {
        let read: Vec<T> = serde_json::from_str(stored).unwrap();
        assert_eq!(document(&read).unwrap(), stored);
    }

    #[test]
    fn lines_and_claims_are_read_and_written_as_they_were_stored() {
        unchanged::<Line>(LINES);
        unchanged::<Claim>(CLAIMS);
        unchanged::<Line>("[]");
    }
}
