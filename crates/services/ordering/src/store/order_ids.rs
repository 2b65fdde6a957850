//! Ids that orders were placed under, and tombstones of those that never may be. Placing an order and writing its
//! tombstone take the same row, so that one of the two happens and the other never.

use bookworm_db::{DbError, Sql, Tx, values};
use bookworm_kernel::{OrderId, Timestamp};

/// Takes an id for the order that is placed in this unit of work; `false` when there is a tombstone.
pub(crate) async fn take(tx: &Tx, id: OrderId, now: Timestamp) -> Result<bool, DbError> {
    insert(tx, id, false, now).await
}

/// Writes a tombstone. Returns whether there is one: `false` when the order was placed.
pub(crate) async fn write_tombstone(tx: &Tx, id: OrderId, now: Timestamp) -> Result<bool, DbError> {
    if insert(tx, id, true, now).await? {
        // An order from before this table has no row here.
        let placed: Option<i64> = tx.scalar("SELECT COUNT(*) FROM orders WHERE id = $1", values![id.uuid()]).await?;
        if placed.unwrap_or(0) == 0 {
            return Ok(true);
        }
        tx.exec("UPDATE order_ids SET tombstone = FALSE WHERE id = $1", values![id.uuid()]).await?;
        return Ok(false);
    }
    has_tombstone(tx, id).await
}

/// Whether there is a tombstone.
pub(crate) async fn has_tombstone(conn: &impl Sql, id: OrderId) -> Result<bool, DbError> {
    let tombstone: Option<bool> =
        conn.scalar("SELECT tombstone FROM order_ids WHERE id = $1", values![id.uuid()]).await?;
    Ok(tombstone.unwrap_or(false))
}

async fn insert(tx: &Tx, id: OrderId, tombstone: bool, now: Timestamp) -> Result<bool, DbError> {
    let insert = "INSERT INTO order_ids (id, tombstone, taken_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    Ok(tx.exec(insert, values![id.uuid(), tombstone, now.micros()]).await? == 1)
}

/// Deletes rows from before `before`: no request runs for so long, and a placed order is known by its own row.
pub(crate) async fn prune(tx: &Tx, before: Timestamp) -> Result<u64, DbError> {
    tx.exec("DELETE FROM order_ids WHERE taken_at < $1", values![before.micros()]).await
}
