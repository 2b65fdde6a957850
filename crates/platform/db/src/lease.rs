//! One use of a connection to PostgreSQL. Whatever the server does, or does not do, the pool has its place back soon after.

use std::{future::Future, sync::Arc, time::Duration};

use sqlx::{AssertSqlSafe, Connection, Executor, Postgres, pool::PoolConnection, postgres::PgConnection};
use tokio::{runtime::Handle, time::timeout};

use crate::{DbError, Outage, Result, Value, row::Row, value::to_postgres};

/// Before every unit of work: what only reads may not write ([`crate::Pool::postgres`]).
const BEGIN: &str = "BEGIN READ WRITE";
const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";
/// How long a connection may take to undo what its unit of work did, and then to answer, before it is closed instead.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// A statement's answer did not come in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
struct Silent(Duration);

/// A connection that the pool has lent.
#[derive(Debug)]
pub(crate) struct Leased {
    /// There until the use ends.
    connection: Option<PoolConnection<Postgres>>,
    /// Whether a unit of work has begun and has not ended.
    open: bool,
}

impl Leased {
    pub(crate) fn new(connection: PoolConnection<Postgres>) -> Self {
        Self { connection: Some(connection), open: false }
    }

    /// Begins a unit of work.
    pub(crate) async fn begin(&mut self, limit: Duration) -> Result<()> {
        // It may have begun also when the answer does not come.
        self.open = true;
        self.batch(BEGIN, limit).await
    }

    /// Ends the unit of work, and makes it durable.
    ///
    /// # Errors
    /// [`DbError::Unknown`] when the connection was lost, or fell silent, before the server had said what it did.
    pub(crate) async fn commit(&mut self, limit: Duration) -> Result<()> {
        match self.batch(COMMIT, limit).await {
            Ok(()) => {
                self.open = false;
                Ok(())
            }
            Err(error @ DbError::Unavailable { why: Outage::Unreachable | Outage::Silent, .. }) => {
                Err(DbError::Unknown(Arc::new(error)))
            }
            Err(error) => Err(error),
        }
    }

    /// Ends the unit of work, and undoes it; the server does that by itself when the connection is closed.
    pub(crate) async fn rollback(mut self) {
        self.end().await;
    }

    /// A statement; returns how many rows it changed.
    pub(crate) async fn exec(&mut self, sql: &str, values: &[Value], limit: Duration) -> Result<u64> {
        let query = sqlx::query_with(AssertSqlSafe(sql), to_postgres(values)?);
        let connection = self.connection()?;
        within(limit, async { Ok(connection.execute(query).await?.rows_affected()) }).await
    }

    /// Statements without values.
    pub(crate) async fn batch(&mut self, sql: &str, limit: Duration) -> Result<()> {
        let connection = self.connection()?;
        within(limit, async { Ok(connection.execute(AssertSqlSafe(sql)).await.map(drop)?) }).await
    }

    /// Up to `most` rows of a statement.
    pub(crate) async fn rows(&mut self, sql: &str, values: &[Value], most: usize, limit: Duration) -> Result<Vec<Row>> {
        let query = sqlx::query_with(AssertSqlSafe(sql), to_postgres(values)?);
        let connection = self.connection()?;
        let rows = async {
            Ok(if most == 1 {
                connection.fetch_optional(query).await?.map(Row::postgres).into_iter().collect()
            } else {
                connection.fetch_all(query).await?.into_iter().map(Row::postgres).collect()
            })
        };
        within(limit, rows).await
    }

    pub(crate) async fn ping(&mut self, limit: Duration) -> Result<()> {
        let connection = self.connection()?;
        within(limit, async { Ok(connection.ping().await?) }).await
    }

    /// Closes the connection at once, and makes room in the pool for another.
    pub(crate) fn discard(mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }

    fn connection(&mut self) -> Result<&mut PgConnection> {
        self.connection.as_deref_mut().ok_or(DbError::Aborted("its connection is closed"))
    }

    /// Undoes what is open and gives the connection back. The pool itself asks it whether it is well and waits for the
    /// answer without end, and would miss it until the system gives the connection up: what is silent is closed.
    fn end(&mut self) -> impl Future<Output = ()> + Send + 'static {
        let (connection, open) = (self.connection.take(), self.open);
        async move {
            let Some(mut connection) = connection else { return };
            // On its way through here it must not be dropped: only what is detached or given back asks for no answer.
            let is_well = !open
                || timeout(ENDS_WITHIN, connection.execute(AssertSqlSafe(ROLLBACK)))
                    .await
                    .is_ok_and(|undone| undone.is_ok());
            if !is_well {
                metrics::counter!("db_connections_given_up_total").increment(1);
                drop(connection.detach());
                return;
            }
            let returning = connection.return_to_pool();
            // Nobody waits for the pool, which asks the connection whether it is well.
            tokio::spawn(async move {
                if timeout(ENDS_WITHIN, returning).await.is_err() {
                    metrics::counter!("db_connections_given_up_total").increment(1);
                }
            });
        }
    }
}

impl Drop for Leased {
    fn drop(&mut self) {
        if self.connection.is_none() {
            return;
        }
        // Without a runtime the process is at its end.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(self.end());
        }
    }
}

/// What does not answer in time has failed. What was asked may still be under way: the connection is given back only once
/// that has ended.
async fn within<T>(limit: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(limit, work).await.unwrap_or_else(|_| {
        Err(DbError::Unavailable { database: None, why: Outage::Silent, source: Arc::new(Silent(limit)) })
    })
}
