//! The same request twice does its work once: `Idempotency-Key`, and the table that remembers it.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use bookworm_db::{DbError, FromRow, Migration, Sql, Tx, values};
use bookworm_kernel::{ErrorCode, FieldError, Timestamp};
use http::request::Parts;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Problem, Result};

/// The key that a client gives to one intention, e.g. one checkout: 1 to 255 visible ASCII characters. Missing: 400
/// `idempotency_key_required`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(pub String);

impl IdempotencyKey {
    /// The most characters of a key.
    pub const MAX: usize = 255;
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else {
            return Err(Problem::new(ErrorCode::IdempotencyKeyRequired)
                .detail("Send a header Idempotency-Key with a new random value, and the same value when you repeat this request."));
        };
        let bytes = value.as_bytes();
        let valid =
            (1..=Self::MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic) && values.next().is_none();
        let key = valid.then(|| value.to_str().ok()).flatten();
        key.map(|key| Self(key.to_owned())).ok_or_else(|| {
            Problem::validation(vec![FieldError::new(
                "Idempotency-Key",
                "must be 1 to 255 visible ASCII characters, sent once",
            )])
        })
    }
}

/// For what may be sent without: `None` where the header is missing.
impl<S: Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>> {
        if !parts.headers.contains_key("idempotency-key") {
            return Ok(None);
        }
        <Self as FromRequestParts<S>>::from_request_parts(parts, state).await.map(Some)
    }
}

/// What a request asks for, to notice a key that is used again for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The SHA-256 of everything that makes the request what it is: its parts, in order.
    #[must_use]
    pub fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The table. Put it among the migrations of a service that uses [`claim`].
pub const MIGRATION: Migration = Migration::new(
    "http/0001_idempotency_keys",
    "CREATE TABLE idempotency_keys (
        scope TEXT NOT NULL,
        key TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        resource_id UUID NOT NULL,
        created_at BIGINT NOT NULL,
        PRIMARY KEY (scope, key)
    );
    CREATE INDEX idempotency_keys_created_at ON idempotency_keys (created_at);",
);

/// Whether the work is ours to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The key was never used in this scope: do the work in this same transaction.
    New,
    /// The same request was made before and made this resource: answer with it.
    Same(Uuid),
    /// The key was used for another request: answer `idempotency_key_reused`.
    Different,
}

#[derive(FromRow)]
struct Row {
    fingerprint: String,
    resource_id: Uuid,
}

/// Claims a key for the resource that this transaction is about to make. Of two requests with one key, one gets
/// [`Claim::New`]; the other waits for it to commit, and does the work itself if that was undone.
///
/// `scope` says whose key it is, e.g. `checkout:<customer>`: two customers may choose the same key.
///
/// # Errors
/// When the database fails.
pub async fn claim(
    tx: &Tx,
    scope: &str,
    key: &IdempotencyKey,
    fingerprint: Fingerprint,
    resource_id: Uuid,
    now: Timestamp,
) -> Result<Claim, DbError> {
    let mine = fingerprint.hex();
    let inserted = tx
        .exec(
            "INSERT INTO idempotency_keys (scope, key, fingerprint, resource_id, created_at)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (scope, key) DO NOTHING",
            values![scope, key.0.as_str(), mine.as_str(), resource_id, now.micros()],
        )
        .await?;
    if inserted == 1 {
        return Ok(Claim::New);
    }
    // Pruned between the two statements: trying again claims it.
    find(tx, scope, key, fingerprint).await?.ok_or(DbError::Busy)
}

/// Gives a key back that this transaction claimed, where the work is not done after all.
///
/// # Errors
/// When the database fails.
pub async fn release(tx: &Tx, scope: &str, key: &IdempotencyKey) -> Result<(), DbError> {
    let delete = "DELETE FROM idempotency_keys WHERE scope = $1 AND key = $2";
    tx.exec(delete, values![scope, key.0.as_str()]).await.map(drop)
}

/// Looks a key up without claiming it, for an early answer before any work: `None` when it was never used.
///
/// # Errors
/// When the database fails.
pub async fn find(
    db: &impl Sql,
    scope: &str,
    key: &IdempotencyKey,
    fingerprint: Fingerprint,
) -> Result<Option<Claim>, DbError> {
    let sql = "SELECT fingerprint, resource_id FROM idempotency_keys WHERE scope = $1 AND key = $2";
    let row: Option<Row> = db.one(sql, values![scope, key.0.as_str()]).await?;
    Ok(row
        .map(|row| if row.fingerprint == fingerprint.hex() { Claim::Same(row.resource_id) } else { Claim::Different }))
}

/// Forgets the keys that were claimed before `older_than`; returns how many.
///
/// # Errors
/// When the database fails.
pub async fn prune(tx: &Tx, older_than: Timestamp) -> Result<u64, DbError> {
    tx.exec("DELETE FROM idempotency_keys WHERE created_at < $1", values![older_than.micros()]).await
}
