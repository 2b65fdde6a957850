use bookworm_db::{DbError, Sql, Tx, values};
use bookworm_kernel::{CustomerId, Timestamp};
use uuid::Uuid;

/// Stores a link's hash.
pub(crate) async fn insert_confirmation(
    tx: &Tx,
    hash: &str,
    account: CustomerId,
    expires_at: Timestamp,
) -> Result<(), DbError> {
    let values = values![hash, account.uuid(), expires_at.micros()];
    tx.exec("INSERT INTO email_confirmations (hash, account_id, expires_at) VALUES ($1, $2, $3)", values).await?;
    Ok(())
}

/// The account whose link this is, while it is good.
pub(crate) async fn account_of_confirmation(
    tx: &Tx,
    hash: &str,
    now: Timestamp,
) -> Result<Option<CustomerId>, DbError> {
    let text = "SELECT account_id FROM email_confirmations WHERE hash = $1 AND expires_at > $2";
    let account: Option<Uuid> = tx.scalar(text, values![hash, now.micros()]).await?;
    Ok(account.map(CustomerId::from_uuid))
}

/// Deletes links that are too old.
pub(crate) async fn prune_confirmations(tx: &Tx, now: Timestamp) -> Result<u64, DbError> {
    tx.exec("DELETE FROM email_confirmations WHERE expires_at < $1", values![now.micros()]).await
}
