use bookworm_db::{DbError, Sql, Tx, values};
use bookworm_kernel::{CustomerId, Timestamp};
use uuid::Uuid;

/// How many links of an account are still good. Locks the account, so that two requests do not both find room for one
/// more.
pub(crate) async fn open_resets(tx: &Tx, account: CustomerId, now: Timestamp) -> Result<i64, DbError> {
    let lock = format!("SELECT id FROM accounts WHERE id = $1{}", tx.for_update());
    let _: Option<Uuid> = tx.scalar(&lock, values![account.uuid()]).await?;
    let text = "SELECT COUNT(*) FROM password_resets WHERE account_id = $1 AND expires_at > $2";
    Ok(tx.scalar(text, values![account.uuid(), now.micros()]).await?.unwrap_or(0))
}

/// Stores a link's hash.
pub(crate) async fn insert_reset(
    tx: &Tx,
    hash: &str,
    account: CustomerId,
    expires_at: Timestamp,
) -> Result<(), DbError> {
    let values = values![hash, account.uuid(), expires_at.micros()];
    tx.exec("INSERT INTO password_resets (hash, account_id, expires_at) VALUES ($1, $2, $3)", values).await?;
    Ok(())
}

/// The account whose link this is, while it is good.
pub(crate) async fn account_of_reset(
    sql: &impl Sql,
    hash: &str,
    now: Timestamp,
) -> Result<Option<CustomerId>, DbError> {
    let text = "SELECT account_id FROM password_resets WHERE hash = $1 AND expires_at > $2";
    let account: Option<Uuid> = sql.scalar(text, values![hash, now.micros()]).await?;
    Ok(account.map(CustomerId::from_uuid))
}

/// Takes a link, so that nobody else can use it. `false` when it was taken before or is too old.
pub(crate) async fn take_reset(tx: &Tx, hash: &str, now: Timestamp) -> Result<bool, DbError> {
    let text = "DELETE FROM password_resets WHERE hash = $1 AND expires_at > $2";
    Ok(tx.exec(text, values![hash, now.micros()]).await? == 1)
}

/// Makes every link of an account worthless.
pub(crate) async fn drop_resets(tx: &Tx, account: CustomerId) -> Result<(), DbError> {
    tx.exec("DELETE FROM password_resets WHERE account_id = $1", values![account.uuid()]).await?;
    Ok(())
}

/// Deletes links that are too old.
pub(crate) async fn prune_resets(tx: &Tx, now: Timestamp) -> Result<u64, DbError> {
    tx.exec("DELETE FROM password_resets WHERE expires_at < $1", values![now.micros()]).await
}
