use bookworm_db::{DbError, FromRow, Sql, Tx, values};
use bookworm_kernel::{CustomerId, Timestamp};
use uuid::Uuid;

use crate::domain::Presented;

#[derive(FromRow)]
struct Row {
    session_id: Uuid,
    account_id: Uuid,
    started_at: i64,
    ended_at: Option<i64>,
    expires_at: i64,
    used_at: Option<i64>,
}

/// A refresh token that is known, and its session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredToken {
    /// The family it belongs to.
    pub session_id: Uuid,
    /// Whose session it is.
    pub account_id: CustomerId,
    /// When they signed in.
    pub started_at: Timestamp,
    /// What its use depends on.
    pub presented: Presented,
}

/// A refresh token to store.
#[derive(Debug, Clone)]
pub(crate) struct NewToken {
    /// Its hash.
    pub hash: String,
    /// From when on it is worth nothing.
    pub expires_at: Timestamp,
}

/// Starts a session.
pub(crate) async fn insert_session(tx: &Tx, id: Uuid, account: CustomerId, now: Timestamp) -> Result<(), DbError> {
    let values = values![id, account.uuid(), now.micros()];
    tx.exec("INSERT INTO sessions (id, account_id, started_at) VALUES ($1, $2, $3)", values).await?;
    Ok(())
}

/// Adds a refresh token to a session.
pub(crate) async fn insert_token(tx: &Tx, session: Uuid, token: NewToken) -> Result<(), DbError> {
    let values = values![token.hash, session, token.expires_at.micros()];
    tx.exec("INSERT INTO refresh_tokens (hash, session_id, expires_at) VALUES ($1, $2, $3)", values).await?;
    Ok(())
}

/// Finds a refresh token by its hash, with its session, to use it.
pub(crate) async fn lock_token(tx: &Tx, hash: &str) -> Result<Option<StoredToken>, DbError> {
    let text = format!(
        "SELECT t.session_id, s.account_id, s.started_at, s.ended_at, t.expires_at, t.used_at \
         FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id WHERE t.hash = $1{}",
        tx.for_update()
    );
    let row: Option<Row> = tx.one(&text, values![hash]).await?;
    Ok(row.map(|row| StoredToken {
        session_id: row.session_id,
        account_id: CustomerId::from_uuid(row.account_id),
        started_at: Timestamp::from_micros(row.started_at),
        presented: Presented {
            used_at: row.used_at.map(Timestamp::from_micros),
            expires_at: Timestamp::from_micros(row.expires_at),
            ended: row.ended_at.is_some(),
        },
    }))
}

/// Remembers the first use of a token.
pub(crate) async fn mark_used(tx: &Tx, hash: &str, now: Timestamp) -> Result<(), DbError> {
    let values = values![now.micros(), hash];
    tx.exec("UPDATE refresh_tokens SET used_at = $1 WHERE hash = $2 AND used_at IS NULL", values).await?;
    Ok(())
}

/// Ends a session: none of its tokens is accepted any more.
pub(crate) async fn end_session(tx: &Tx, session: Uuid, now: Timestamp) -> Result<(), DbError> {
    tx.exec("UPDATE sessions SET ended_at = $1 WHERE id = $2 AND ended_at IS NULL", values![now.micros(), session])
        .await?;
    Ok(())
}

/// Ends every session of an account.
pub(crate) async fn end_sessions_of(tx: &Tx, account: CustomerId, now: Timestamp) -> Result<(), DbError> {
    let values = values![now.micros(), account.uuid()];
    tx.exec("UPDATE sessions SET ended_at = $1 WHERE account_id = $2 AND ended_at IS NULL", values).await?;
    Ok(())
}

/// Deletes tokens that expired before `now`, and sessions of which none is left.
pub(crate) async fn prune(tx: &Tx, now: Timestamp) -> Result<u64, DbError> {
    let tokens = tx.exec("DELETE FROM refresh_tokens WHERE expires_at < $1", values![now.micros()]).await?;
    if tokens > 0 {
        tx.exec(
            "DELETE FROM sessions WHERE NOT EXISTS (SELECT 1 FROM refresh_tokens t WHERE t.session_id = sessions.id)",
            [],
        )
        .await?;
    }
    Ok(tokens)
}
