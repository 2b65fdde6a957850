use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::Either;
use tokio::sync::Mutex as AsyncMutex;

use crate::{Backend, Result, Sql, Value, lease::Leased, row::Row, spans, sqlite_writer::SqliteWriter};

/// How long a unit of work may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) after: Duration,
    /// What its caller is told.
    pub(crate) exceeded: &'static str,
}

impl Limit {
    /// Of everything that a service does.
    pub(crate) const WORK: Self = Self { after: Duration::from_secs(10), exceeded: TOO_LONG };
    /// Of a migration: an index over millions of rows takes minutes.
    pub(crate) const MIGRATION: Self =
        Self { after: Duration::from_secs(3600), exceeded: "the migration took longer than an hour" };
}

/// How long the server may take to say that a unit of work is durable.
const COMMITS_WITHIN: Duration = Duration::from_secs(10);

pub(crate) const TOO_LONG: &str = "it took longer than 10 s";

type Hook = Box<dyn FnOnce() + Send>;

/// An open unit of work: reads its own writes, and is committed or rolled back as a whole.
pub struct Tx {
    inner: Inner,
    hooks: Mutex<Vec<Hook>>,
}

enum Inner {
    /// The writer's thread begins and ends it.
    Sqlite(Arc<SqliteWriter>),
    /// And for how long a statement may take.
    Postgres(AsyncMutex<Leased>, Duration),
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tx")
    }
}

impl Tx {
    pub(crate) fn sqlite(writer: Arc<SqliteWriter>) -> Self {
        Self { inner: Inner::Sqlite(writer), hooks: Mutex::default() }
    }

    /// A unit of work that has begun, and its limit.
    pub(crate) fn postgres(begun: Leased, limit: Limit) -> Self {
        Self { inner: Inner::Postgres(AsyncMutex::new(begun), limit.after), hooks: Mutex::default() }
    }

    /// Ends a `SELECT` so that the rows it reads are locked until this unit of work ends. Whoever counts rows, or reads
    /// them to decide, and then writes, needs it: PostgreSQL runs units of work side by side, and each sees the counts
    /// from before the others. Empty on SQLite, which has one writer.
    #[must_use]
    pub fn for_update(&self) -> &'static str {
        if self.backend() == Backend::Postgres { " FOR UPDATE" } else { "" }
    }

    /// As [`for_update`](Self::for_update), without the rows that others have locked: for work that several claim.
    #[must_use]
    pub fn for_update_skip_locked(&self) -> &'static str {
        if self.backend() == Backend::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" }
    }

    /// Runs `hook` once this unit of work is durable, and never when it is undone. For waking workers and dropping
    /// cached values: nothing that must not be lost, since a crash may come in between.
    pub fn after_commit(&self, hook: impl FnOnce() + Send + 'static) {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(hook));
    }

    pub(crate) fn into_hooks(self) -> Hooks {
        Hooks(self.hooks.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Commits what was done on PostgreSQL.
    pub(crate) async fn commit(self) -> Result<Hooks> {
        let hooks = Hooks(self.hooks.into_inner().unwrap_or_else(PoisonError::into_inner));
        if let Inner::Postgres(begun, _) = self.inner {
            begun.into_inner().commit(COMMITS_WITHIN).await?;
        }
        Ok(hooks)
    }

    /// Undoes what was done on PostgreSQL.
    pub(crate) async fn rollback(self) {
        if let Inner::Postgres(begun, _) = self.inner {
            begun.into_inner().rollback().await;
        }
    }
}

/// What waits for the commit.
pub(crate) struct Hooks(Vec<Hook>);

impl Hooks {
    pub(crate) fn run(self) {
        for hook in self.0 {
            hook();
        }
    }
}

impl Sql for Tx {
    fn backend(&self) -> Backend {
        match self.inner {
            Inner::Sqlite(_) => Backend::Sqlite,
            Inner::Postgres(..) => Backend::Postgres,
        }
    }

    fn exec(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> impl Future<Output = Result<u64>> + Send {
        let values: Vec<Value> = values.into_iter().collect();
        let work = match &self.inner {
            Inner::Sqlite(writer) => Either::Left(async move { writer.exec(sql, values) }),
            Inner::Postgres(begun, limit) => {
                Either::Right(async move { begun.lock().await.exec(sql, &values, *limit).await })
            }
        };
        spans::statement(self.backend(), sql, work)
    }

    async fn batch(&self, sql: &str) -> Result<()> {
        match &self.inner {
            Inner::Sqlite(writer) => writer.batch(sql),
            Inner::Postgres(begun, limit) => begun.lock().await.batch(sql, *limit).await,
        }
    }

    fn rows(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Row>>> + Send {
        let values: Vec<Value> = values.into_iter().collect();
        let work = match &self.inner {
            Inner::Sqlite(writer) => Either::Left(async move { writer.rows(sql, values, limit) }),
            Inner::Postgres(begun, within) => {
                Either::Right(async move { begun.lock().await.rows(sql, &values, limit, *within).await })
            }
        };
        spans::statement(self.backend(), sql, work)
    }
}
