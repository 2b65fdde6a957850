//! Connections that several callers share: all of PostgreSQL, and SQLite outside of units of work.

use std::{future::Future, io, str::FromStr, time::Duration};

use bookworm_resilience::Deadline;
use futures::future::Either;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, Executor, PgPool, SqlitePool,
    pool::PoolOptions,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::{Instant, timeout};

use crate::{Backend, DbError, Outage, Result, Sql, Value, lease::Leased, row::Row, spans, value::to_sqlite};

/// How long to wait for a connection before the database counts as busy.
pub(crate) const ACQUIRE: Duration = Duration::from_secs(10);
/// A connection that nobody used for so long is asked whether it is still there, and how long it may take to say so: one
/// that a router or a firewall forgot says nothing.
const UNUSED_FOR: Duration = Duration::from_secs(5);
const SAYS_SO_WITHIN: Duration = Duration::from_secs(3);
/// The limit of a statement on a connection for what concerns more than one service.
const LONE_STATEMENT: Duration = Duration::from_secs(60);
/// How much later than the deadline of whoever waits a statement is given up: they say what happened.
const BEYOND_DEADLINE: Duration = Duration::from_millis(250);
/// What messages call it where no database of it is meant.
const SERVER: &str = "the PostgreSQL server";

/// Statements outside a unit of work. They see everything committed. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pool(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Sqlite(SqlitePool),
    Postgres(Server),
}

/// Connections to a PostgreSQL server.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pool: PgPool,
    /// How long a statement may take.
    limit: Duration,
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
        let reached = timeout(within.min(ACQUIRE), reached).await.map_err(silent).flatten();
        reached.map_err(|error| DbError::open(SERVER, error))
    }

    pub(crate) async fn connect_to(url: &str, what: &str) -> Result<Self> {
        let pool = async {
            let options = PgConnectOptions::from_str(url)?.disable_statement_logging();
            PgPoolOptions::new().max_connections(1).acquire_timeout(ACQUIRE).connect_with(options).await
        };
        let server = pool.await.map(|pool| Server { pool, limit: LONE_STATEMENT });
        server.map(|server| Self(Inner::Postgres(server))).map_err(|error| DbError::open(what, error))
    }

    /// The connections of one service to its schema. Outside a unit of work they refuse to write.
    pub(crate) async fn postgres(
        url: &str,
        schema: &str,
        connections: u32,
        application: &str,
        limit: Duration,
    ) -> Result<Self, sqlx::Error> {
        let options = PgConnectOptions::from_str(url)?.disable_statement_logging().application_name(application);
        let settings = format!(
            "SET search_path = \"{schema}\"; SET default_transaction_read_only = on; {}",
            for_those_that_vanish(limit)
        );
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .min_connections(1)
            .acquire_timeout(ACQUIRE)
            // A round trip before each statement. What the server closed is found by the statement instead.
            .test_before_acquire(false)
            .before_acquire(|connection, use_of| {
                Box::pin(async move {
                    if use_of.idle_for < UNUSED_FOR {
                        return Ok(true);
                    }
                    Ok(timeout(SAYS_SO_WITHIN, connection.ping()).await.is_ok_and(|said| said.is_ok()))
                })
            })
            .after_connect(move |connection, _| {
                let settings = settings.clone();
                Box::pin(async move { connection.execute(AssertSqlSafe(settings)).await.map(drop) })
            });
        Ok(Self(Inner::Postgres(Server { pool: pool.connect_with(options).await?, limit })))
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
            Inner::Postgres(Server { pool, .. }) => Some((pool.size(), pool.num_idle())),
        }
    }

    /// Closes every connection, once what runs on it has ended.
    pub async fn close(&self) {
        match &self.0 {
            Inner::Sqlite(pool) => pool.close().await,
            Inner::Postgres(Server { pool, .. }) => pool.close().await,
        }
    }

    /// Begins a unit of work on PostgreSQL.
    pub(crate) async fn begin(&self) -> Result<Leased> {
        let Inner::Postgres(server) = &self.0 else {
            return Err(DbError::Aborted("units of work on SQLite run on its writer"));
        };
        // A connection that the server closed while nobody used it is known by its first answer, and nothing is done
        // yet: each try removes one of them from the pool, and the last makes a new one.
        let began = Instant::now();
        let mut stale = server.pool.options().get_max_connections();
        loop {
            let mut leased = server.lease().await?;
            let lost = match leased.begin(SAYS_SO_WITHIN).await {
                Err(error) if is_lost(&error) || is_silent(&error) => error,
                begun => return begun.map(|()| leased),
            };
            leased.discard();
            if is_silent(&lost) {
                server.ask_idle();
            }
            if began.elapsed() > ACQUIRE {
                return Err(lost);
            }
            stale = stale.checked_sub(1).ok_or(lost)?;
        }
    }
}

/// What the server is told of a session: it gives up what its client has given up, and what a client has that stopped, or
/// that vanished without a word. Until then it would hold the locks.
fn for_those_that_vanish(limit: Duration) -> String {
    let statement = limit.as_millis() + 1000;
    format!(
        "SET statement_timeout = {statement}; SET idle_in_transaction_session_timeout = '15s'; SET tcp_keepalives_idle = 30; \
         SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3"
    )
}

/// Whether the connection is gone, and with it what was asked.
fn is_lost(error: &DbError) -> bool {
    matches!(error, DbError::Unavailable { why: Outage::Unreachable, .. })
}

/// Whether there was no answer in time.
fn is_silent(error: &DbError) -> bool {
    matches!(error, DbError::Unavailable { why: Outage::Silent, .. })
}

impl Server {
    async fn lease(&self) -> Result<Leased> {
        Ok(Leased::new(self.pool.acquire().await?))
    }

    /// A connection that answered a moment ago.
    async fn live(&self) -> Result<Leased> {
        let began = Instant::now();
        let mut stale = self.pool.options().get_max_connections();
        loop {
            let mut leased = self.lease().await?;
            let Err(error) = leased.ping(SAYS_SO_WITHIN).await else { return Ok(leased) };
            leased.discard();
            if is_silent(&error) {
                self.ask_idle();
            }
            if began.elapsed() > ACQUIRE {
                return Err(error);
            }
            stale = stale.checked_sub(1).ok_or(error)?;
        }
    }

    /// What one connection met, others may have met too: each that nobody uses is asked whether it is well, beside whoever
    /// goes on, and closed when it does not say so.
    fn ask_idle(&self) {
        for _ in 0..self.pool.num_idle() {
            drop(self.pool.try_acquire().map(Leased::new));
        }
    }

    /// How long a statement may take: no longer than somebody waits for it.
    fn limit(&self) -> Duration {
        Deadline::current().map_or(self.limit, |deadline| self.limit.min(deadline.left() + BEYOND_DEADLINE))
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
            Inner::Postgres(server) => Either::Right(async move {
                let mut leased = server.live().await?;
                leased.exec(sql, &values, server.limit()).await
            }),
        };
        spans::statement(self.backend(), sql, work)
    }

    async fn batch(&self, sql: &str) -> Result<()> {
        match &self.0 {
            Inner::Sqlite(pool) => Ok(pool.execute(AssertSqlSafe(sql)).await.map(drop)?),
            Inner::Postgres(server) => {
                let mut leased = server.live().await?;
                leased.batch(sql, server.limit()).await
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
            Inner::Postgres(server) => Either::Right(async move {
                let mut leased = server.lease().await?;
                match leased.rows(sql, &values, limit, server.limit()).await {
                    // The server closed the connection, perhaps long ago. To read twice does no harm.
                    Err(error) if is_lost(&error) => {
                        leased.discard();
                        let mut leased = server.live().await?;
                        leased.rows(sql, &values, limit, server.limit()).await
                    }
                    Err(error) if is_silent(&error) => {
                        leased.discard();
                        server.ask_idle();
                        Err(error)
                    }
                    other => other,
                }
            }),
        };
        spans::statement(self.backend(), sql, work)
    }
}
