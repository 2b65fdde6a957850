//! Mails that wait until their reader has proved the address, and the links that prove it.

use bookworm_db::{DbError, Migration, Sql, Tx, values};
use bookworm_kernel::{Email, Timestamp};
use uuid::Uuid;

use crate::domain::Draft;

pub const MIGRATION: Migration = Migration::new(
    "notification/0003_proofs",
    "ALTER TABLE mails ADD COLUMN scope TEXT;
          ALTER TABLE mails ADD COLUMN held_until BIGINT;
          CREATE INDEX mails_held ON mails (held_until);
          CREATE TABLE mail_proofs (
            hash TEXT NOT NULL PRIMARY KEY,
            scope TEXT NOT NULL,
            mailbox TEXT NOT NULL,
            made_at BIGINT NOT NULL,
            expires_at BIGINT NOT NULL,
            proven_at BIGINT
          );
          CREATE INDEX mail_proofs_scope ON mail_proofs (scope, mailbox);
          CREATE INDEX mail_proofs_expiry ON mail_proofs (expires_at);",
);

/// Whether somebody followed a link that was sent to this address for this.
pub async fn is_proven(tx: &Tx, scope: &str, to: &Email) -> Result<bool, DbError> {
    let text = "SELECT COUNT(*) FROM mail_proofs WHERE scope = $1 AND mailbox = $2 AND proven_at IS NOT NULL";
    let proofs: Option<i64> = tx.scalar(text, values![scope, to.key()]).await?;
    Ok(proofs.unwrap_or(0) > 0)
}

/// Whether a link was sent to this address for this since then.
pub async fn link_since(tx: &Tx, scope: &str, to: &Email, since: Timestamp) -> Result<bool, DbError> {
    let text = "SELECT COUNT(*) FROM mail_proofs WHERE scope = $1 AND mailbox = $2 AND made_at > $3";
    let links: Option<i64> = tx.scalar(text, values![scope, to.key(), since.micros()]).await?;
    Ok(links.unwrap_or(0) > 0)
}

/// A link that proves an address, by its hash.
pub async fn insert_link(
    tx: &Tx,
    hash: &str,
    scope: &str,
    to: &Email,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<(), DbError> {
    tx.exec(
        "INSERT INTO mail_proofs (hash, scope, mailbox, made_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
        values![hash, scope, to.key(), now.micros(), expires_at.micros()],
    )
    .await?;
    Ok(())
}

/// Stores a mail until its reader has proved the address, or until it expires.
pub async fn store(tx: &Tx, draft: &Draft, scope: &str, now: Timestamp, until: Timestamp) -> Result<(), DbError> {
    tx.exec(
        "INSERT INTO mails (id, kind, recipient, subject, text, html, status, attempts, order_id, created_at, scope, \
         held_until) VALUES ($1, $2, $3, $4, $5, $6, 'held', 0, $7, $8, $9, $10)",
        values![
            Uuid::now_v7(),
            draft.kind,
            draft.to.as_str(),
            draft.subject.as_str(),
            draft.text.as_str(),
            draft.html.as_str(),
            draft.order_id,
            now.micros(),
            scope,
            until.micros()
        ],
    )
    .await?;
    Ok(())
}

#[derive(bookworm_db::FromRow)]
struct Link {
    scope: String,
    mailbox: String,
}

#[derive(bookworm_db::FromRow)]
struct Unproven {
    id: Uuid,
    recipient: String,
}

/// Somebody followed a link: the address is theirs, and what waits for it is queued. `false` when the link is none of
/// ours or too old. Following it again changes nothing.
pub async fn prove(tx: &Tx, hash: &str, now: Timestamp) -> Result<bool, DbError> {
    let text = "UPDATE mail_proofs SET proven_at = COALESCE(proven_at, $2) WHERE hash = $1 AND expires_at > $2 \
                RETURNING scope, mailbox";
    let link: Option<Link> = tx.one(text, values![hash, now.micros()]).await?;
    let Some(link) = link else { return Ok(false) };
    let unproven: Vec<Unproven> = tx
        .all("SELECT id, recipient FROM mails WHERE scope = $1 AND status = 'held'", values![link.scope.as_str()])
        .await?;
    for mail in unproven {
        if Email::parse(&mail.recipient).is_ok_and(|to| to.key() == link.mailbox) {
            let text = "UPDATE mails SET status = 'queued', held_until = NULL, due_at = $2 WHERE id = $1";
            tx.exec(text, values![mail.id, now.micros()]).await?;
        }
    }
    Ok(true)
}

/// Deletes what nobody asked for in time, and links that are too old. Proofs last as long as links.
pub async fn prune(tx: &Tx, now: Timestamp) -> Result<u64, DbError> {
    let deleted =
        tx.exec("DELETE FROM mails WHERE status = 'held' AND held_until <= $1", values![now.micros()]).await?;
    Ok(deleted + tx.exec("DELETE FROM mail_proofs WHERE expires_at <= $1", values![now.micros()]).await?)
}
