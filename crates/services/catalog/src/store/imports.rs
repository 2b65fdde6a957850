//! Files that staff uploaded, and what became of them.

use bookworm_db::{FromRow, Result, Sql, Tx, values};
use bookworm_kernel::Timestamp;
use uuid::Uuid;

use crate::import::Totals;

/// How many uploads are stored. A new one removes the oldest that is not being worked on.
pub(crate) const STORED: i64 = 20;
/// How often work on a file may end with its process before it is given up: the file may be what ends it.
pub(crate) const ATTEMPTS: i64 = 5;

#[derive(Debug, Clone, FromRow)]
pub(crate) struct ImportRow {
    pub(crate) id: Uuid,
    pub(crate) filename: String,
    pub(crate) size: i64,
    pub(crate) status: String,
    /// JSON: field to column.
    pub(crate) mapping: String,
    /// JSON of what the dry run or the import found: [`stored::Summary`](super::stored::Summary).
    pub(crate) summary: Option<String>,
    pub(crate) problem: Option<String>,
    /// JSON of [`Totals`].
    pub(crate) written: String,
    pub(crate) created_by: String,
    pub(crate) created_at: i64,
    pub(crate) attempts: i64,
}

const COLUMNS: &str =
    "id, filename, size, status, mapping, summary, problem, written, created_by, created_at, attempts";

/// Text as both databases store it: PostgreSQL takes no zero byte.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

pub(crate) async fn by_id(db: &impl Sql, id: Uuid) -> Result<Option<ImportRow>> {
    db.one(&format!("SELECT {COLUMNS} FROM imports WHERE id = $1"), values![id]).await
}

/// Latest first.
pub(crate) async fn latest(db: &impl Sql) -> Result<Vec<ImportRow>> {
    db.all(&format!("SELECT {COLUMNS} FROM imports ORDER BY id DESC LIMIT $1"), values![STORED]).await
}

#[derive(FromRow)]
struct ContentRow {
    content: Vec<u8>,
}

/// The file itself. It is removed once all of it is imported.
pub(crate) async fn content(db: &impl Sql, id: Uuid) -> Result<Option<Vec<u8>>> {
    let row: Option<ContentRow> = db.one("SELECT content FROM import_files WHERE import_id = $1", values![id]).await?;
    Ok(row.map(|row| row.content))
}

#[derive(FromRow)]
struct ReportRow {
    report: String,
}

/// Everything that was rejected or adjusted, as CSV.
pub(crate) async fn report(db: &impl Sql, id: Uuid) -> Result<Option<String>> {
    let row: Option<ReportRow> = db.one("SELECT report FROM imports WHERE id = $1", values![id]).await?;
    Ok(row.map(|row| row.report))
}

/// Stores a file that is to be checked, and removes the oldest ones.
pub(crate) async fn create(
    tx: &Tx,
    id: Uuid,
    filename: &str,
    content: Vec<u8>,
    by: &str,
    now: Timestamp,
) -> Result<()> {
    let size = i64::try_from(content.len()).unwrap_or(i64::MAX);
    tx.exec(
        "INSERT INTO imports (id, filename, size, status, mapping, summary, problem, report, written, created_by, \
         created_at, attempts, lease, leased_until) \
         VALUES ($1, $2, $3, 'checking', '{}', NULL, NULL, '', '{}', $4, $5, 0, NULL, 0)",
        values![id, storable(filename), size, storable(by), now.micros()],
    )
    .await?;
    tx.exec("INSERT INTO import_files (import_id, content) VALUES ($1, $2)", values![id, content]).await?;
    let old = format!(
        "SELECT id FROM imports WHERE status NOT IN ('queued', 'running') AND id NOT IN \
         (SELECT id FROM imports ORDER BY id DESC LIMIT $1){}",
        tx.for_update()
    );
    let old: Vec<IdRow> = tx.all(&old, values![STORED]).await?;
    for row in old {
        remove(tx, row.id).await?;
    }
    Ok(())
}

async fn remove(tx: &Tx, id: Uuid) -> Result<()> {
    tx.exec("DELETE FROM import_files WHERE import_id = $1", values![id]).await?;
    tx.exec("DELETE FROM imports WHERE id = $1", values![id]).await?;
    Ok(())
}

/// Reads an import that this unit of work is about to change.
pub(crate) async fn locked(tx: &Tx, id: Uuid) -> Result<Option<ImportRow>> {
    tx.one(&format!("SELECT {COLUMNS} FROM imports WHERE id = $1{}", tx.for_update()), values![id]).await
}

/// Gives a locked import another status, and nobody the lease: whoever works on it stops.
pub(crate) async fn set_status(tx: &Tx, id: Uuid, status: &str) -> Result<()> {
    let sql = "UPDATE imports SET status = $1, lease = NULL, leased_until = 0, attempts = 0 WHERE id = $2";
    tx.exec(sql, values![status, id]).await?;
    Ok(())
}

/// Stores which column is what, and gives the import another status.
pub(crate) async fn set_mapping(tx: &Tx, id: Uuid, mapping: &str, status: &str) -> Result<()> {
    tx.exec("UPDATE imports SET mapping = $1, problem = NULL WHERE id = $2", values![mapping, id]).await?;
    set_status(tx, id, status).await
}

/// Removes a locked import with its file.
pub(crate) async fn delete(tx: &Tx, id: Uuid) -> Result<()> {
    remove(tx, id).await
}

#[derive(FromRow)]
struct IdRow {
    id: Uuid,
}

/// What is to be done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// The dry run.
    Check,
    /// The import.
    Import,
}

impl Work {
    /// What waits for it, as a condition. `$1` is the time.
    const fn waiting(self) -> &'static str {
        match self {
            Self::Check => "status = 'checking' AND leased_until < $1",
            // One after the other: the next starts when none is under way.
            Self::Import => {
                "(status = 'queued' AND NOT EXISTS (SELECT 1 FROM imports r WHERE r.status = 'running' AND \
                 r.leased_until >= $1)) OR (status = 'running' AND leased_until < $1)"
            }
        }
    }

    /// The status of what is being worked on.
    pub(crate) const fn status(self) -> &'static str {
        match self {
            Self::Check => "checking",
            Self::Import => "running",
        }
    }
}

/// Whether there is something to do.
pub(crate) async fn is_waiting(db: &impl Sql, work: Work, now: Timestamp) -> Result<bool> {
    let sql = format!("SELECT COUNT(*) FROM imports WHERE {}", work.waiting());
    Ok(db.scalar::<i64>(&sql, values![now.micros()]).await?.unwrap_or(0) > 0)
}

/// Leases what is next, or what a process left behind when it died.
pub(crate) async fn claim(
    tx: &Tx,
    work: Work,
    lease: Uuid,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<ImportRow>> {
    let sql =
        format!("SELECT id FROM imports WHERE {} ORDER BY id LIMIT 1{}", work.waiting(), tx.for_update_skip_locked());
    let next: Option<IdRow> = tx.one(&sql, values![now.micros()]).await?;
    let Some(IdRow { id }) = next else { return Ok(None) };
    tx.exec(
        "UPDATE imports SET status = $1, lease = $2, leased_until = $3, attempts = attempts + 1, problem = NULL \
         WHERE id = $4",
        values![work.status(), lease, until.micros(), id],
    )
    .await?;
    by_id(tx, id).await
}

/// Renews a lease; `false` when somebody else has it, or the work was cancelled. On PostgreSQL the row stays locked until
/// the unit of work ends, so that nobody cancels in between.
pub(crate) async fn renew(tx: &Tx, id: Uuid, lease: Uuid, until: Timestamp) -> Result<bool> {
    let sql = "UPDATE imports SET leased_until = $1 WHERE id = $2 AND lease = $3";
    Ok(tx.exec(sql, values![until.micros(), id, lease]).await? == 1)
}

/// Gives a lease back, so that the work goes on with the next start of the program at once.
pub(crate) async fn release(tx: &Tx, id: Uuid, lease: Uuid) -> Result<()> {
    let sql = "UPDATE imports SET leased_until = 0, lease = NULL, attempts = 0 WHERE id = $1 AND lease = $2";
    tx.exec(sql, values![id, lease]).await?;
    Ok(())
}

/// Stores with a batch's books how far the import is.
pub(crate) async fn checkpoint(tx: &Tx, id: Uuid, totals: &Totals) -> Result<()> {
    let text = serde_json::to_string(totals).unwrap_or_default();
    tx.exec("UPDATE imports SET written = $1, attempts = 0 WHERE id = $2", values![text, id]).await?;
    Ok(())
}

/// How a dry run or an import ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) status: &'static str,
    pub(crate) summary: Option<String>,
    pub(crate) problem: Option<String>,
    pub(crate) report: String,
    /// Totals of an import that is done.
    pub(crate) written: Option<Totals>,
}

/// Stores how it ended, unless somebody else has the lease.
pub(crate) async fn finish(tx: &Tx, id: Uuid, lease: Uuid, outcome: &Outcome) -> Result<()> {
    let written = outcome.written.as_ref().map(|totals| serde_json::to_string(totals).unwrap_or_default());
    let finished = tx
        .exec(
            "UPDATE imports SET status = $1, summary = COALESCE($2, summary), problem = $3, report = $4, \
             written = COALESCE($5, written), attempts = 0, lease = NULL, leased_until = 0 WHERE id = $6 AND lease = $7",
            values![
                outcome.status,
                outcome.summary.clone(),
                outcome.problem.as_deref().map(storable),
                storable(&outcome.report),
                written,
                id,
                lease,
            ],
        )
        .await?;
    if finished == 1 && outcome.status == "done" {
        tx.exec("DELETE FROM import_files WHERE import_id = $1", values![id]).await?;
    }
    Ok(())
}
