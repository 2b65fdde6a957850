//! Links in mails, by the hash of their secret.

use bookworm_db::{DbError, Sql, Tx, values};
use bookworm_kernel::{CustomerId, Timestamp};
use uuid::Uuid;

use crate::domain::LinkPurpose;

/// Each purpose has a table of its own; they are alike.
const fn table(purpose: LinkPurpose) -> &'static str {
    match purpose {
        LinkPurpose::ConfirmEmail => "email_confirmations",
        LinkPurpose::SetPassword => "password_resets",
    }
}

/// How many links of an account are still good. Locks the account, so that two requests do not both find room for one
/// more.
pub(crate) async fn open_links(
    tx: &Tx,
    purpose: LinkPurpose,
    account: CustomerId,
    now: Timestamp,
) -> Result<i64, DbError> {
    let lock = format!("SELECT id FROM accounts WHERE id = $1{}", tx.for_update());
    let _: Option<Uuid> = tx.scalar(&lock, values![account.uuid()]).await?;
    let text = format!("SELECT COUNT(*) FROM {} WHERE account_id = $1 AND expires_at > $2", table(purpose));
    Ok(tx.scalar(&text, values![account.uuid(), now.micros()]).await?.unwrap_or(0))
}

/// Stores a link's hash.
pub(crate) async fn insert_link(
    tx: &Tx,
    purpose: LinkPurpose,
    hash: &str,
    account: CustomerId,
    now: Timestamp,
) -> Result<(), DbError> {
    let text = format!("INSERT INTO {} (hash, account_id, expires_at) VALUES ($1, $2, $3)", table(purpose));
    tx.exec(&text, values![hash, account.uuid(), purpose.expires_at(now).micros()]).await?;
    Ok(())
}

/// The account whose link this is, while it is good.
pub(crate) async fn account_of_link(
    sql: &impl Sql,
    purpose: LinkPurpose,
    hash: &str,
    now: Timestamp,
) -> Result<Option<CustomerId>, DbError> {
    let text = format!("SELECT account_id FROM {} WHERE hash = $1 AND expires_at > $2", table(purpose));
    let account: Option<Uuid> = sql.scalar(&text, values![hash, now.micros()]).await?;
    Ok(account.map(CustomerId::from_uuid))
}

/// Takes a link, so that nobody else can use it. `false` when it was taken before or is too old.
pub(crate) async fn take_link(tx: &Tx, purpose: LinkPurpose, hash: &str, now: Timestamp) -> Result<bool, DbError> {
    let text = format!("DELETE FROM {} WHERE hash = $1 AND expires_at > $2", table(purpose));
    Ok(tx.exec(&text, values![hash, now.micros()]).await? == 1)
}

/// Makes every link of an account worthless.
pub(crate) async fn drop_links(tx: &Tx, purpose: LinkPurpose, account: CustomerId) -> Result<(), DbError> {
    tx.exec(&format!("DELETE FROM {} WHERE account_id = $1", table(purpose)), values![account.uuid()]).await?;
    Ok(())
}

/// Deletes links that are too old, whatever they were for.
pub(crate) async fn prune_links(tx: &Tx, now: Timestamp) -> Result<u64, DbError> {
    let mut gone = 0;
    for purpose in LinkPurpose::ALL {
        gone +=
            tx.exec(&format!("DELETE FROM {} WHERE expires_at < $1", table(purpose)), values![now.micros()]).await?;
    }
    Ok(gone)
}
