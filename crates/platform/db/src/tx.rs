use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, Statement};

use crate::Result;

/// The longest a unit of work may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
pub(crate) const TOO_LONG: &str = "it took longer than 10 s";

type Hook = Box<dyn FnOnce() + Send>;

/// An open unit of work: reads its own writes, and is kept or undone as a whole.
pub struct Tx {
    inner: DatabaseTransaction,
    backend: DbBackend,
    hooks: Mutex<Vec<Hook>>,
}

impl std::fmt::Debug for Tx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tx")
    }
}

impl Tx {
    pub(crate) fn new(inner: DatabaseTransaction, backend: DbBackend) -> Self {
        Self { inner, backend, hooks: Mutex::default() }
    }

    /// Runs `hook` once this unit of work is durable, and never when it is undone. For waking workers and dropping
    /// cached values: nothing that must not be lost, since a crash may come in between.
    pub fn after_commit(&self, hook: impl FnOnce() + Send + 'static) {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(hook));
    }

    pub(crate) async fn commit(self) -> Result<Hooks> {
        self.inner.commit().await?;
        Ok(Hooks(self.hooks.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }

    pub(crate) async fn rollback(self) -> Result<()> {
        Ok(self.inner.rollback().await?)
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

#[sea_orm::prelude::async_trait::async_trait]
impl ConnectionTrait for Tx {
    fn get_database_backend(&self) -> DbBackend {
        self.backend
    }
    async fn execute_raw(&self, stmt: Statement) -> Result<ExecResult, DbErr> {
        self.inner.execute_raw(stmt).await
    }
    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.inner.execute_unprepared(sql).await
    }
    async fn query_one_raw(&self, stmt: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.inner.query_one_raw(stmt).await
    }
    async fn query_all_raw(&self, stmt: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.inner.query_all_raw(stmt).await
    }
}
