use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bookworm_db::{DbError, FromRow, Sql, Tx, values};
use bookworm_kernel::Timestamp;

use crate::domain::SigningKey;

#[derive(FromRow)]
struct Row {
    generation: i64,
    kid: String,
    secret: String,
    created_at: i64,
}

/// Every key that is still needed.
pub(crate) async fn keys(sql: &impl Sql) -> Result<Vec<SigningKey>, DbError> {
    let rows: Vec<Row> =
        sql.all("SELECT generation, kid, secret, created_at FROM signing_keys ORDER BY generation", []).await?;
    rows.into_iter()
        .map(|row| {
            let secret: Option<[u8; 32]> = STANDARD_NO_PAD.decode(&row.secret).ok().and_then(|s| s.try_into().ok());
            let secret = secret.ok_or_else(|| DbError::Corrupt(format!("signing key {}", row.generation)))?;
            Ok(SigningKey {
                generation: row.generation,
                kid: row.kid,
                key: ed25519_dalek::SigningKey::from_bytes(&secret),
                created_at: Timestamp::from_micros(row.created_at),
            })
        })
        .collect()
}

/// Stores a key. Another process may have made the same generation first: then that one counts.
pub(crate) async fn insert_key(tx: &Tx, key: &SigningKey) -> Result<(), DbError> {
    let secret = STANDARD_NO_PAD.encode(key.key.to_bytes());
    tx.exec(
        "INSERT INTO signing_keys (generation, kid, secret, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        values![key.generation, key.kid.clone(), secret, key.created_at.micros()],
    )
    .await?;
    Ok(())
}

/// Drops the keys up to this generation.
pub(crate) async fn drop_keys(tx: &Tx, generation: i64) -> Result<u64, DbError> {
    tx.exec("DELETE FROM signing_keys WHERE generation <= $1", values![generation]).await
}
