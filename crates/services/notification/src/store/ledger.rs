//! What was granted, by limit; and what was refused, by kind.

use std::time::Duration;

use bookworm_contracts::rest::operations::MailRefusals;
use bookworm_db::{Db, DbError, FromRow, Migration, Sql, Tx, values};
use bookworm_kernel::Timestamp;

use crate::domain::limits::{Limit, Whose};

pub const MIGRATION: Migration = Migration::new(
    "notification/0002_limits",
    "CREATE TABLE mail_uses (
            limit_key TEXT NOT NULL,
            bucket BIGINT NOT NULL,
            uses BIGINT NOT NULL,
            ends_at BIGINT NOT NULL,
            PRIMARY KEY (limit_key, bucket)
          );
          CREATE INDEX mail_uses_end ON mail_uses (ends_at);
          CREATE TABLE mail_refusals (
            kind TEXT NOT NULL,
            whose TEXT NOT NULL,
            hour BIGINT NOT NULL,
            refused BIGINT NOT NULL,
            last_at BIGINT NOT NULL,
            PRIMARY KEY (kind, whose, hour)
          );",
);

/// How long refusals are shown.
const SHOWN: Duration = Duration::from_secs(24 * 60 * 60);

/// A mail would be one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// Whose limit is reached.
    pub whose: Whose,
    /// When asking again may help.
    pub wait: Duration,
}

#[derive(FromRow)]
struct Bucket {
    bucket: i64,
    uses: i64,
}

/// Counts one more for each limit, or for none when one of them has no room.
pub async fn take(tx: &Tx, limits: &[Limit], now: Timestamp) -> Result<Result<(), TooMany>, DbError> {
    for (index, limit) in limits.iter().enumerate() {
        let bucket = limit.bucket(now);
        // Written before it is read: on PostgreSQL this waits for others who count the same.
        tx.exec(
            "INSERT INTO mail_uses (limit_key, bucket, uses, ends_at) VALUES ($1, $2, 1, $3) \
             ON CONFLICT (limit_key, bucket) DO UPDATE SET uses = mail_uses.uses + 1",
            values![limit.key.as_str(), bucket, limit.ends(bucket).micros()],
        )
        .await?;
        let rows: Vec<Bucket> = tx
            .all(
                "SELECT bucket, uses FROM mail_uses WHERE limit_key = $1 AND ends_at > $2 ORDER BY bucket",
                values![limit.key.as_str(), now.micros()],
            )
            .await?;
        let own = |began: i64| i64::from(began == bucket);
        let buckets: Vec<(i64, u32)> =
            rows.into_iter().map(|row| (row.bucket, u32::try_from(row.uses - own(row.bucket)).unwrap_or(0))).collect();
        if let Some(wait) = limit.wait(&buckets, now) {
            for taken in &limits[..=index] {
                tx.exec(
                    "UPDATE mail_uses SET uses = uses - 1 WHERE limit_key = $1 AND bucket = $2",
                    values![taken.key.as_str(), taken.bucket(now)],
                )
                .await?;
            }
            return Ok(Err(TooMany { whose: limit.whose, wait }));
        }
    }
    Ok(Ok(()))
}

/// Notes that a mail was not written.
pub async fn note_refusal(tx: &Tx, kind: &str, whose: Whose, now: Timestamp) -> Result<(), DbError> {
    let hour = now.micros() - now.micros().rem_euclid(3_600_000_000);
    tx.exec(
        "INSERT INTO mail_refusals (kind, whose, hour, refused, last_at) VALUES ($1, $2, $3, 1, $4) \
         ON CONFLICT (kind, whose, hour) DO UPDATE SET refused = mail_refusals.refused + 1, last_at = excluded.last_at",
        values![kind, whose.name(), hour, now.micros()],
    )
    .await?;
    Ok(())
}

#[derive(FromRow)]
struct Refused {
    kind: String,
    whose: String,
    refused: i64,
    last_at: i64,
}

/// What was refused in the last day.
pub async fn refusals(db: &Db, now: Timestamp) -> Result<Vec<MailRefusals>, DbError> {
    let rows: Vec<Refused> = db
        .read()
        .all(
            "SELECT kind, whose, CAST(SUM(refused) AS BIGINT) AS refused, MAX(last_at) AS last_at FROM mail_refusals \
             WHERE last_at > $1 GROUP BY kind, whose ORDER BY kind, whose",
            values![now.minus(SHOWN).micros()],
        )
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| MailRefusals {
            kind: row.kind,
            limit: row.whose,
            count: u64::try_from(row.refused).unwrap_or(0),
            last_at: Timestamp::from_micros(row.last_at),
        })
        .collect())
}

/// Forgets what counts no more.
pub async fn prune(tx: &Tx, now: Timestamp) -> Result<u64, DbError> {
    let uses = tx.exec("DELETE FROM mail_uses WHERE ends_at <= $1", values![now.micros()]).await?;
    Ok(uses + tx.exec("DELETE FROM mail_refusals WHERE last_at <= $1", values![now.minus(SHOWN).micros()]).await?)
}
