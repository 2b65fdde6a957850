//! Whether a database can be written to, checked by writing.
//!
//! A database that only answers questions looks well on a full or read-only disk. So the check writes, but rarely: each
//! write is a flush of the disk, and health is asked by many.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::Mutex;

use crate::{Db, DbError, Result, Sql};

/// How long a write that succeeded counts for.
const GOOD_FOR: Duration = Duration::from_secs(5);
/// How long one that failed does: recovery is to be seen soon.
const BAD_FOR: Duration = Duration::from_secs(1);

/// When the last write was, and what came of it.
type Last = Option<(Instant, Result<()>)>;

/// Remembers the last write.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probe(Arc<Mutex<Last>>);

impl Db {
    /// Whether a change can be made durable now. Writes one row, at most every five seconds while that works and every
    /// second while it does not; in between it repeats the last outcome. Who asks meanwhile waits for the same write.
    ///
    /// # Errors
    /// The result of the write.
    pub async fn check_write(&self) -> Result<()> {
        let mut last = self.probe.0.lock().await;
        if let Some((at, outcome)) = &*last
            && at.elapsed() < if outcome.is_ok() { GOOD_FOR } else { BAD_FOR }
        {
            return outcome.clone();
        }
        let outcome = self.transact::<_, DbError, _>(|tx| {
            Box::pin(async move {
                tx.batch("CREATE TABLE IF NOT EXISTS write_probe (id BIGINT PRIMARY KEY, writes BIGINT NOT NULL)")
                    .await?;
                let count = "INSERT INTO write_probe (id, writes) VALUES (1, 1) \
                             ON CONFLICT (id) DO UPDATE SET writes = write_probe.writes + 1";
                tx.exec(count, []).await.map(drop)
            })
        });
        let outcome = outcome.await;
        *last = Some((Instant::now(), outcome.clone()));
        outcome
    }
}
