//! Connections that several callers share: all of PostgreSQL, and SQLite outside of units of work.

use std::{future::Future, io, str::FromStr, time::Duration};

use futures::future::Either;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgPool, Postgres, SqlitePool, Transaction,
    pool::{PoolConnection, PoolOptions},
    postgres::{PgConnectOptions, PgConnection, PgPoolOptions},
};

use crate::{
    Backend, DbError, Outage, Result, Sql, Value,
    row::Row,
    spans,
    value::{to_postgres, to_sqlite},
};

/// How long to wait for a connection before the database counts as busy.
pub(crate) const ACQUIRE: Duration = Duration::from_secs(10);
/// What messages call it where no database of it is meant.
const SERVER: &str = "the PostgreSQL server";
/// Before every unit of work: what only reads may not write ([`Pool::postgres`]).
const BEGIN: &str = "BEGIN READ WRITE";

/// Statements outside a unit of work. They see everything committed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pool(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Pool {
    /// One connection to a PostgreSQL server, for what concerns more than one service: making and removing schemas and
    /// databases. It may write.
    ///
    /// # Errors
    /// [`DbError::Open`] when there is no such server, or it does not let us in.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::connect_to(url, SERVER).await
    }

    /// Connects once and ends the connection again; that takes no longer than `within`.
    pub(crate) async fn reach(url: &str, within: Duration) -> Result<()> {
        let reached = async {
            let connection = PgConnectOptions::from_str(url)?.disable_statement_logging().connect().await?;
            connection.close().await
        };
        let silent = |_| sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"));
        let reached = tokio::time::timeout(within.min(ACQUIRE), reached).await.map_err(silent).flatten();
        reached.map_err(|error| DbError::open(SERVER, error))
    }

    pub(crate) async fn connect_to(url: &str, what: &str) -> Result<Self> {
        let pool = async {
            let options = PgConnectOptions::from_str(url)?.disable_statement_logging();
            PgPoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE).connect_with(options).await
        };
        pool.await.map(|pool| Self(Inner::Postgres(pool))).map_err(|error| DbError::open(what, error))
    }

    /// The connections of one service to its schema. Outside a unit of work they refuse to write.
    pub(crate) async fn postgres(
        url: &str,
        schema: &str,
        connections: u32,
        application: &str,
    ) -> Result<Self, sqlx::Error> {
        let options = PgConnectOptions::from_str(url)?.disable_statement_logging().application_name(application);
        let settings = format!("SET search_path = \"{schema}\"; SET default_transaction_read_only = on");
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .min_connections(1)
            .acquire_timeout(ACQUIRE)
            // A round trip before each statement. What the server closed is found by the statement instead.
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                let settings = settings.clone();
                Box::pin(async move { connection.execute(AssertSqlSafe(settings)).await.map(drop) })
            });
        Ok(Self(Inner::Postgres(pool.connect_with(options).await?)))
    }

    pub(crate) async fn sqlite(
        options: sqlx::sqlite::SqliteConnectOptions,
        connections: u32,
    ) -> Result<Self, sqlx::Error> {
        let pool = PoolOptions::new()
            .max_connections(connections)
            .min_connections(1)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false);
        Ok(Self(Inner::Sqlite(pool.connect_with(options.disable_statement_logging()).await?)))
    }

    /// How many connections are open to a server, and how many of them nobody uses; `None` for files.
    pub(crate) fn connections(&self) -> Option<(u32, usize)> {
        match &self.0 {
            Inner::Sqlite(_) => None,
            Inner::Postgres(pool) => Some((pool.size(), pool.num_idle())),
        }
    }

    /// Closes every connection, once what runs on it has ended.
    pub async fn close(&self) {
        match &self.0 {
            Inner::Sqlite(pool) => pool.close().await,
            Inner::Postgres(pool) => pool.close().await,
        }
    }

    /// Begins a unit of work on PostgreSQL.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>> {
        let Inner::Postgres(pool) = &self.0 else {
            return Err(DbError::Aborted("units of work on SQLite run on its writer"));
        };
        // A connection that the server closed while nobody used it is known by its first answer, and nothing is done
        // yet: each try removes one of them from the pool, and the last makes a new one.
        let mut stale = pool.options().get_max_connections();
        loop {
            let lost = match pool.begin_with(BEGIN).await.map_err(DbError::from) {
                Err(error) if is_lost(&error) => error,
                other => return other,
            };
            stale = stale.checked_sub(1).ok_or(lost)?;
        }
    }
}

/// Whether the connection is gone, and with it what was asked.
fn is_lost(error: &DbError) -> bool {
    matches!(error, DbError::Unavailable { why: Outage::Unreachable, .. })
}

/// A connection that answered a moment ago.
async fn live(pool: &PgPool) -> Result<PoolConnection<Postgres>> {
    let mut stale = pool.options().get_max_connections();
    loop {
        let mut connection = pool.acquire().await?;
        let Err(error) = connection.ping().await else { return Ok(connection) };
        connection.close_on_drop();
        stale = stale.checked_sub(1).ok_or(error)?;
    }
}

impl Sql for Pool {
    fn backend(&self) -> Backend {
        match self.0 {
            Inner::Sqlite(_) => Backend::Sqlite,
            Inner::Postgres(_) => Backend::Postgres,
        }
    }

    fn exec(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> impl Future<Output = Result<u64>> + Send {
        let values: Vec<Value> = values.into_iter().collect();
        let work = match &self.0 {
            Inner::Sqlite(pool) => Either::Left(async move {
                let query = sqlx::query_with(AssertSqlSafe(sql), to_sqlite(values)?);
                Ok(pool.execute(query).await?.rows_affected())
            }),
            Inner::Postgres(pool) => Either::Right(async move {
                let mut connection = live(pool).await?;
                exec(&mut connection, sql, &values).await
            }),
        };
        spans::statement(self.backend(), sql, work)
    }

    async fn batch(&self, sql: &str) -> Result<()> {
        match &self.0 {
            Inner::Sqlite(pool) => Ok(pool.execute(AssertSqlSafe(sql)).await.map(drop)?),
            Inner::Postgres(pool) => {
                let mut connection = live(pool).await?;
                batch(&mut connection, sql).await
            }
        }
    }

    fn rows(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Row>>> + Send {
        let values: Vec<Value> = values.into_iter().collect();
        let work = match &self.0 {
            Inner::Sqlite(pool) => Either::Left(async move {
                let query = sqlx::query_with(AssertSqlSafe(sql), to_sqlite(values)?);
                Ok(if limit == 1 {
                    pool.fetch_optional(query).await?.map(Row::sqlite).into_iter().collect()
                } else {
                    pool.fetch_all(query).await?.into_iter().map(Row::sqlite).collect()
                })
            }),
            Inner::Postgres(pool) => Either::Right(async move {
                let mut connection = pool.acquire().await?;
                match rows(&mut connection, sql, &values, limit).await {
                    // The server closed the connection, perhaps long ago. To read twice does no harm.
                    Err(error) if is_lost(&error) => {
                        connection.close_on_drop();
                        drop(connection);
                        let mut connection = live(pool).await?;
                        rows(&mut connection, sql, &values, limit).await
                    }
                    other => other,
                }
            }),
        };
        spans::statement(self.backend(), sql, work)
    }
}

/// A statement on PostgreSQL; returns how many rows it changed.
pub(crate) async fn exec(connection: &mut PgConnection, sql: &str, values: &[Value]) -> Result<u64> {
    let query = sqlx::query_with(AssertSqlSafe(sql), to_postgres(values)?);
    Ok(connection.execute(query).await?.rows_affected())
}

/// Statements without values on PostgreSQL.
pub(crate) async fn batch(connection: &mut PgConnection, sql: &str) -> Result<()> {
    Ok(connection.execute(AssertSqlSafe(sql)).await.map(drop)?)
}

/// Up to `limit` rows of a statement on PostgreSQL.
pub(crate) async fn rows(connection: &mut PgConnection, sql: &str, values: &[Value], limit: usize) -> Result<Vec<Row>> {
    let query = sqlx::query_with(AssertSqlSafe(sql), to_postgres(values)?);
    Ok(if limit == 1 {
        connection.fetch_optional(query).await?.map(Row::postgres).into_iter().collect()
    } else {
        connection.fetch_all(query).await?.into_iter().map(Row::postgres).collect()
    })
}
