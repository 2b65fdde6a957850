use bookworm_db::{DbError, FromRow, Sql, Tx, values};
use bookworm_kernel::Timestamp;

use crate::domain::Failures;

#[derive(FromRow)]
struct Row {
    failures: i64,
    last_at: i64,
}

/// The failures of an account from an address, both as fingerprints.
pub(crate) async fn lock_failures(tx: &Tx, account: &str, address: &str) -> Result<Option<Failures>, DbError> {
    let text =
        format!("SELECT failures, last_at FROM failed_attempts WHERE account = $1 AND address = $2{}", tx.for_update());
    let row: Option<Row> = tx.one(&text, values![account, address]).await?;
    Ok(row.map(|row| Failures {
        count: u32::try_from(row.failures).unwrap_or(u32::MAX),
        last_at: Timestamp::from_micros(row.last_at),
    }))
}

/// Remembers them. Two first attempts at the same instant, on PostgreSQL, may count as one.
pub(crate) async fn store_failures(tx: &Tx, account: &str, address: &str, failures: Failures) -> Result<(), DbError> {
    tx.exec(
        "INSERT INTO failed_attempts (account, address, failures, last_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (account, address) DO UPDATE SET failures = excluded.failures, last_at = excluded.last_at",
        values![account, address, i64::from(failures.count), failures.last_at.micros()],
    )
    .await?;
    Ok(())
}

/// The owner signed in from there.
pub(crate) async fn forget_failures(tx: &Tx, account: &str, address: &str) -> Result<(), DbError> {
    tx.exec("DELETE FROM failed_attempts WHERE account = $1 AND address = $2", values![account, address]).await?;
    Ok(())
}

/// Forgets what is older.
pub(crate) async fn forget_attempts(tx: &Tx, before: Timestamp) -> Result<u64, DbError> {
    tx.exec("DELETE FROM failed_attempts WHERE last_at < $1", values![before.micros()]).await
}
