use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::sqlite::SqliteConnectOptions;

use crate::{
    Db, DbError, FromRow, Pool, Result, Sql, Writes, group_commit::GroupCommitter, probe::Probe, row::Row,
    sqlite_writer::SqliteWriter,
};

/// Connections that read a SQLite file side by side.
const SQLITE_READERS: u32 = 4;

/// Where the services' databases are: a folder with one SQLite file each, or a PostgreSQL database with one schema
/// each.
#[derive(Clone)]
pub enum Databases {
    /// The folder; it must exist.
    Sqlite(PathBuf),
    /// The server.
    Postgres {
        /// `postgres://user:password@host:port/database`
        url: String,
        /// Connections for each service.
        max_connections: u32,
        /// How long a statement outside a unit of work may take.
        statement_timeout: Duration,
        /// Put before each schema's name; empty in a shop, unique for each test.
        prefix: String,
    },
}

impl std::fmt::Debug for Databases {
    /// Leaves the address out, since it has a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(folder) => write!(f, "SQLite files in {}", folder.display()),
            Self::Postgres { prefix, .. } => write!(f, "PostgreSQL, schemas {prefix}*"),
        }
    }
}

impl Databases {
    /// Opens the database of one service, making it when it is not there.
    ///
    /// # Errors
    /// [`DbError::Open`] when the file or the server cannot be used.
    pub async fn open(&self, service: &str) -> Result<Db> {
        match self {
            Self::Sqlite(folder) => open_sqlite(file(folder, service), service).await,
            Self::Postgres { url, max_connections, statement_timeout, prefix } => {
                open_postgres(url, &format!("{prefix}{service}"), *max_connections, *statement_timeout, service).await
            }
        }
    }
}

impl Databases {
    /// Makes one attempt to reach the server, which takes no longer than `within`, nor than ten seconds. Files need none.
    ///
    /// # Errors
    /// [`DbError::Open`] when it does not answer, or does not let us in.
    pub async fn reach(&self, within: Duration) -> Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres { url, .. } => Pool::reach(url, within).await,
        }
    }

    /// Makes sure that the server admits as many connections as `databases` of these may open together. Says so in the
    /// log, and warns where others have so many that it may not be enough.
    ///
    /// # Errors
    /// [`DbError::TooFewConnections`] when the server never admits so many, [`DbError::Open`] when it cannot be used.
    pub async fn check_connections(&self, databases: u32) -> Result<()> {
        let Self::Postgres { url, max_connections, .. } = self else { return Ok(()) };
        let wanted = i64::from(*max_connections) * i64::from(databases);
        let once = Pool::connect(url).await?;
        let limits = once.one(ADMITTED, []).await;
        once.close().await;
        let Admitted { most, others } =
            limits?.ok_or_else(|| DbError::Corrupt("the server does not tell its limits".to_owned()))?;
        if wanted > most {
            return Err(DbError::TooFewConnections { wanted, most });
        }
        let each = max_connections;
        tracing::info!(most = wanted, each, databases, server = most, others, "connections to PostgreSQL");
        if wanted + others > most {
            tracing::warn!(
                most = wanted,
                server = most,
                others,
                "others have so many connections to PostgreSQL that it may refuse some of ours: raise its max_connections, \
                 or lower database.max_connections of the processes"
            );
        }
        metrics::gauge!("db_connections_limit").set(wanted as f64);
        Ok(())
    }

    /// Which of these services have a database with something in it: on SQLite a file, on PostgreSQL a schema that was
    /// migrated. Makes nothing.
    ///
    /// # Errors
    /// [`DbError::Open`] when the server cannot be used.
    pub async fn existing<'s>(&self, services: &[&'s str]) -> Result<Vec<&'s str>> {
        let there: Vec<String> = match self {
            Self::Sqlite(folder) => services
                .iter()
                .filter(|service| file(folder, service).exists())
                .map(|service| (*service).to_owned())
                .collect(),
            Self::Postgres { url, prefix, .. } => {
                let once = Pool::connect(url).await?;
                let migrated = "SELECT table_schema FROM information_schema.tables WHERE table_name = $1";
                let rows = once.rows(migrated, crate::values!["schema_migrations"], usize::MAX).await;
                once.close().await;
                let schemas = rows?.iter().map(Row::first::<String>).collect::<Result<Vec<_>>>()?;
                schemas
                    .into_iter()
                    .filter_map(|schema| schema.strip_prefix(prefix.as_str()).map(str::to_owned))
                    .collect()
            }
        };
        Ok(services.iter().copied().filter(|service| there.iter().any(|found| found == service)).collect())
    }

    /// Puts a service's database out of the way under another name, with everything in it, so that a new one can be
    /// made in its place. Nobody may have it open. Returns the new name.
    ///
    /// # Errors
    /// [`DbError::Open`] when it cannot be renamed.
    pub async fn set_aside(&self, service: &str, suffix: &str) -> Result<String> {
        match self {
            Self::Sqlite(folder) => {
                let aside = format!("{service}.db.{suffix}");
                for ending in ["", "-wal", "-shm"] {
                    let from = folder.join(format!("{service}.db{ending}"));
                    if from.exists() {
                        let failed = |error: std::io::Error| DbError::Open(from.display().to_string(), Arc::new(error));
                        std::fs::rename(&from, folder.join(format!("{aside}{ending}"))).map_err(failed)?;
                    }
                }
                Ok(aside)
            }
            Self::Postgres { url, prefix, .. } => {
                let (schema, aside) = (format!("{prefix}{service}"), format!("{prefix}{service}_{suffix}"));
                let once = Pool::connect_to(url, &schema).await?;
                let renamed = once.batch(&format!("ALTER SCHEMA \"{schema}\" RENAME TO \"{aside}\"")).await;
                once.close().await;
                renamed.map(|()| aside)
            }
        }
    }
}

fn file(folder: &Path, service: &str) -> PathBuf {
    folder.join(format!("{service}.db"))
}

/// What a server admits to those for whom it reserves nothing, and how many connections there are, without this one.
/// `reserved_connections` is new in PostgreSQL 16. `pg_stat_activity` hides from us what sessions of other users are;
/// `pg_stat_database` counts them for everybody.
const ADMITTED: &str = "SELECT CAST(current_setting('max_connections') AS BIGINT) \
       - CAST(current_setting('superuser_reserved_connections') AS BIGINT) \
       - CAST(COALESCE(current_setting('reserved_connections', true), '0') AS BIGINT) AS most, \
     (SELECT CAST(SUM(numbackends) AS BIGINT) - 1 FROM pg_stat_database) AS others";

#[derive(FromRow)]
struct Admitted {
    most: i64,
    others: i64,
}

/// How every connection to a SQLite file behaves.
const PRAGMAS: [(&str, &str); 5] = [
    ("busy_timeout", "10000"),
    ("journal_mode", "WAL"),
    // FULL flushes the log at each commit: what was acknowledged survives a power cut.
    ("synchronous", "FULL"),
    ("foreign_keys", "ON"),
    ("temp_store", "MEMORY"),
];
/// Prepared statements that each reader caches.
const STATEMENTS: usize = 256;
/// The writer's page cache, in KiB (negative: not a number of pages). A page that is not cached is a call to the
/// operating system away, which caches the whole file where there is memory: every service has its own file with a writer and some
/// readers, so what each of them takes counts fifty times.
const WRITER_CACHE: (&str, &str) = ("cache_size", "-2048");
/// The same for each reader.
const READER_CACHE: (&str, &str) = ("cache_size", "-1024");

async fn open_sqlite(file: PathBuf, service: &str) -> Result<Db> {
    let name: Arc<str> = service.into();
    let failed = |source: Arc<dyn std::error::Error + Send + Sync>| DbError::Open(file.display().to_string(), source);
    let writer = SqliteWriter::open(name.clone(), &file, PRAGMAS.into_iter().chain([WRITER_CACHE]))
        .map_err(|error| failed(Arc::new(error)))?;
    let options = PRAGMAS
        .into_iter()
        .chain([READER_CACHE, ("query_only", "ON")])
        .fold(SqliteConnectOptions::new().filename(&file), |options, (name, value)| options.pragma(name, value))
        .statement_cache_capacity(STATEMENTS);
    let reads = Pool::sqlite(options, SQLITE_READERS).await.map_err(|error| failed(Arc::new(error)))?;
    let committer = GroupCommitter::start(name.clone(), writer).map_err(|error| failed(Arc::new(error)))?;
    Ok(Db { writes: Writes::Sqlite(committer), name, reads, probe: Probe::default() })
}

async fn open_postgres(url: &str, schema: &str, connections: u32, limit: Duration, service: &str) -> Result<Db> {
    let what = format!("schema {schema} of the PostgreSQL server");
    let once = Pool::connect_to(url, &what).await?;
    let created = once.batch(&format!("CREATE SCHEMA IF NOT EXISTS \"{schema}\"")).await;
    once.close().await;
    // Two processes that create a schema at once can both fail the check and one then meets the other's row.
    if created.is_err_and(|error| !error.is_unique_violation()) {
        return Err(DbError::Aborted("the schema cannot be created"));
    }
    let reads = Pool::postgres(url, schema, connections, &format!("bookworm-{service}"), limit).await;
    let reads = reads.map_err(|error| DbError::open(&what, error))?;
    Ok(Db { name: service.into(), reads, writes: Writes::Postgres, probe: Probe::default() })
}
