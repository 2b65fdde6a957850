//! What changed, in the order in which it was committed: the search index follows it.
//!
//! Whatever changes what a search shows leaves a row here in the same unit of work. Who follows remembers the last `seq`
//! it has seen; for that, no row may appear below a row that was already visible. SQLite has one writer, so `seq` is the
//! order of commits. PostgreSQL hands out numbers before commits: there, who writes to the feed holds a lock from before
//! its first number to its commit. So [`note`] comes last in a unit of work, when nothing is waited for any more.

use bookworm_db::{Backend, FromRow, Result, Sql, Tx, values};
use bookworm_kernel::{BookId, Timestamp};
use uuid::Uuid;

use super::insert;

/// Notes that these books are to be indexed again, or are gone. The last statement of a unit of work.
pub(crate) async fn note(tx: &Tx, books: &[BookId], now: Timestamp) -> Result<()> {
    if books.is_empty() {
        return Ok(());
    }
    if tx.backend() == Backend::Postgres {
        tx.batch("SELECT pg_advisory_xact_lock(hashtext(current_schema() || '.book_changes'))").await?;
    }
    insert(tx, "book_changes (book_id, at)", "", books, |book| values![book.uuid(), now.micros()].to_vec()).await
}

/// A book that changed.
#[derive(Debug, Clone, Copy, FromRow)]
pub(crate) struct Change {
    pub(crate) seq: i64,
    pub(crate) book_id: Uuid,
}

/// The changes after `seq`, at most `limit`.
pub(crate) async fn after(db: &impl Sql, seq: i64, limit: i64) -> Result<Vec<Change>> {
    db.all("SELECT seq, book_id FROM book_changes WHERE seq > $1 ORDER BY seq LIMIT $2", values![seq, limit]).await
}

/// Where the feed stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub(crate) struct Feed {
    /// Names this feed: a checkpoint of another one means nothing here.
    pub(crate) id: Uuid,
    /// Rows up to here may be gone: who has not seen them all begins anew.
    pub(crate) pruned_through: i64,
    /// The last change.
    pub(crate) last: i64,
    /// Counts edits of the synonyms, which other processes make too.
    pub(crate) synonyms: i64,
}

/// Where the feed stands; `None` before [`begin`].
pub(crate) async fn state(db: &impl Sql) -> Result<Option<Feed>> {
    db.one(
        "SELECT f.id, f.pruned_through, \
           COALESCE((SELECT MAX(c.seq) FROM book_changes c), f.pruned_through) AS last, \
           COALESCE((SELECT MAX(s.version) FROM search_synonyms s), 0) AS synonyms FROM search_feed f",
        [],
    )
    .await
}

/// Gives the feed its name, once.
pub(crate) async fn begin(tx: &Tx) -> Result<()> {
    tx.exec(
        "INSERT INTO search_feed (place, id, pruned_through) VALUES (1, $1, 0) ON CONFLICT DO NOTHING",
        values![Uuid::now_v7()],
    )
    .await?;
    Ok(())
}

/// Forgets changes up to `through` that are older than `before`. Returns how many.
pub(crate) async fn prune(tx: &Tx, through: i64, before: Timestamp) -> Result<u64> {
    let old: Option<Option<i64>> = tx
        .scalar("SELECT MAX(seq) FROM book_changes WHERE seq <= $1 AND at < $2", values![through, before.micros()])
        .await?;
    let Some(old) = old.flatten() else { return Ok(0) };
    tx.exec("UPDATE search_feed SET pruned_through = $1 WHERE pruned_through < $1", values![old]).await?;
    tx.exec("DELETE FROM book_changes WHERE seq <= $1", values![old]).await
}
