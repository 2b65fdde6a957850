#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod error;
mod group_commit;
mod lease;
mod migrate;
mod open;
mod pool;
mod probe;
mod row;
mod spans;
mod sql;
mod sqlite_writer;
mod tx;
mod value;

// The derive names this crate from outside and from inside alike.
extern crate self as bookworm_db;

use std::sync::Arc;

pub use bookworm_db_derive::FromRow;
use futures::future::BoxFuture;
pub use uuid::Uuid;

use crate::group_commit::GroupCommitter;
pub use crate::{
    error::{DbError, Outage},
    migrate::{Migration, Readers},
    open::Databases,
    pool::Pool,
    row::{Column, FromRow, Row},
    sql::{Sql, in_list},
    tx::Tx,
    value::{Backend, Value},
};

/// A `Result` of this crate.
pub type Result<T, E = DbError> = std::result::Result<T, E>;

/// One service's database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    name: Arc<str>,
    reads: Pool,
    writes: Writes,
    probe: probe::Probe,
}

#[derive(Clone, Debug)]
enum Writes {
    /// SQLite has one writer at a time: units of work take turns and share commits.
    Sqlite(GroupCommitter),
    /// PostgreSQL runs units of work side by side.
    Postgres,
}

impl Db {
    /// The service's name, as in metrics and file names.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which database this is. Only [`Sql`] texts that cannot be written portably need to ask.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.reads.backend()
    }

    /// For reading outside a unit of work. Sees everything committed, and refuses to write.
    #[must_use]
    pub fn read(&self) -> &Pool {
        &self.reads
    }

    /// Runs a unit of work: all of it is committed when `work` returns `Ok`, nothing when it returns `Err`, panics, or
    /// takes longer than ten seconds. The only way to write.
    ///
    /// When this returns `Ok`, the change is on disk. The work runs to its end even if the caller stops waiting, so a
    /// client that hangs up leaves nothing half done. `work` must not wait for anything but its database: on SQLite
    /// every other writer of this service waits for it.
    ///
    /// # Errors
    /// What `work` returned, or [`DbError`] when the database failed: then nothing was changed, but with
    /// [`DbError::Unknown`].
    pub async fn transact<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: for<'t> FnOnce(&'t Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        let Some(mut step) = spans::unit(self.backend(), &self.name) else {
            return self.unit(tx::Limit::WORK, work).await;
        };
        let place = step.place();
        // The work runs in a task or a thread of its own.
        let done = self.unit(tx::Limit::WORK, move |tx| Box::pin(bookworm_trace::scope(place, work(tx)))).await;
        if done.is_err() {
            step.set("bookworm.outcome", "rolled back");
        }
        done
    }

    async fn unit<T, E, F>(&self, limit: tx::Limit, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: for<'t> FnOnce(&'t Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        match &self.writes {
            Writes::Sqlite(committer) => committer.run(limit, work).await,
            Writes::Postgres => {
                let pool = self.reads.clone();
                let unit = tokio::spawn(async move {
                    let tx = Tx::postgres(pool.begin().await?, limit);
                    match tokio::time::timeout(limit.after, work(&tx)).await {
                        Ok(Ok(value)) => {
                            tx.commit().await?.run();
                            Ok(value)
                        }
                        Ok(Err(error)) => {
                            tx.rollback().await;
                            Err(error)
                        }
                        Err(_) => {
                            tx.rollback().await;
                            Err(E::from(DbError::Aborted(limit.exceeded)))
                        }
                    }
                });
                unit.await.unwrap_or_else(|_| Err(E::from(DbError::Aborted("it panicked"))))
            }
        }
    }

    /// Whether there is a table of this name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_table(&self, name: &str) -> Result<bool> {
        let count = match self.backend() {
            Backend::Postgres => {
                "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = current_schema() AND table_name = $1"
            }
            Backend::Sqlite => "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = $1",
        };
        Ok(self.read().scalar::<i64>(count, values![name]).await?.is_some_and(|count| count > 0))
    }

    /// Shows in the metrics how many connections to its server it has. For whoever reads them, each time.
    pub fn show_connections(&self) {
        let Some((open, idle)) = self.reads.connections() else { return };
        for (state, count) in [("open", open as f64), ("idle", idle as f64)] {
            let labels = [("database", self.name.to_string()), ("state", state.to_owned())];
            metrics::gauge!("db_connections", &labels).set(count);
        }
    }

    /// Waits for the units of work in flight and closes every connection.
    pub async fn close(&self) {
        if let Writes::Sqlite(committer) = &self.writes {
            committer.close().await;
        }
        self.reads.close().await;
    }
}
