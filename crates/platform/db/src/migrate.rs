use std::{collections::HashSet, sync::Arc, time::Duration};

use bookworm_db_derive::FromRow;
use bookworm_kernel::Timestamp;

use crate::{Backend, Db, DbError, Result, Sql, Tx, tx::Limit, values};

/// How often a process that waits for another one's migrations looks again.
const WAIT: Duration = Duration::from_millis(200);
/// How often it says that it waits, in looks.
const LOOKS_BEFORE_A_WORD: u32 = 25;

/// One step of a schema, applied once, in one transaction.
///
/// The text is SQL that SQLite and PostgreSQL both read, with types `UUID`, `BIGINT`, `TEXT`, `BOOLEAN`,
/// `DOUBLE PRECISION`, and one word of ours: `{serial}` is a 64-bit primary key that counts up. A migration must leave
/// the release before it able to run (expand now, contract one release later).
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Unique in its database, e.g. `ordering/0001_orders`. Applied in the order of the list, never of the names.
    pub name: &'static str,
    /// The statements, each ended by a semicolon.
    pub sql: &'static str,
    /// Which programs can use the database afterwards.
    pub readers: Readers,
}

/// Which programs can use a database once a migration is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Those that came before it too: it only expands. During a rolling upgrade, and after going back, they run on it.
    All,
    /// Those that know the migration of this name, which is the one that prepared the contraction.
    Since(&'static str),
}

impl Migration {
    /// One that only expands.
    #[must_use]
    pub const fn new(name: &'static str, sql: &'static str) -> Self {
        Self { name, sql, readers: Readers::All }
    }

    /// One that takes something away: programs that do not know the migration `prepared_by` refuse the database.
    #[must_use]
    pub const fn contracting(name: &'static str, prepared_by: &'static str, sql: &'static str) -> Self {
        Self { name, sql, readers: Readers::Since(prepared_by) }
    }
}

#[derive(FromRow)]
struct Applied {
    name: String,
    /// The migration that a program must know, where this one contracts.
    readers_know: Option<String>,
}

impl Db {
    /// Applies the migrations that this database has not seen. Several processes may do so at once: one works, the
    /// others wait for as long as it takes.
    ///
    /// # Errors
    /// When one fails, or when a newer release took something away that this program needs.
    pub async fn migrate(&self, migrations: &[Migration], now: Timestamp) -> Result<()> {
        for look in 1_u32.. {
            let list = migrations.to_vec();
            let applied =
                self.unit(Limit::MIGRATION, move |tx| Box::pin(async move { apply(tx, &list, now).await })).await;
            match applied {
                Ok(true) => break,
                Ok(false) | Err(DbError::Busy) => {}
                Err(error) => return Err(error),
            }
            if look % LOOKS_BEFORE_A_WORD == 1 {
                tracing::info!(database = self.name(), "waits for another process that brings the database up to date");
            }
            tokio::time::sleep(WAIT).await;
        }
        Ok(())
    }
}

/// `false` when another process is at it.
async fn apply(tx: &Tx, migrations: &[Migration], now: Timestamp) -> Result<bool> {
    let failed = |name: &str| {
        let name = name.to_owned();
        move |source: DbError| DbError::Migration { name, source: Arc::new(source) }
    };
    if tx.backend() == Backend::Postgres {
        // One process migrates a schema at a time; the lock ends with the transaction.
        let lock = "SELECT pg_try_advisory_xact_lock(hashtext(current_schema()))";
        if tx.scalar::<bool>(lock, []).await? != Some(true) {
            return Ok(false);
        }
        // The server's limit is for what a service does; a migration has one of its own.
        tx.batch("SET LOCAL statement_timeout = 0").await?;
    }
    tx.batch(
        "CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT PRIMARY KEY, applied_at BIGINT NOT NULL);
         CREATE TABLE IF NOT EXISTS schema_readers (migration TEXT PRIMARY KEY, know TEXT NOT NULL);",
    )
    .await
    .map_err(failed("schema_migrations"))?;
    let applied: Vec<Applied> = tx
        .all(
            "SELECT m.name, r.know AS readers_know FROM schema_migrations m LEFT JOIN schema_readers r ON r.migration = m.name",
            [],
        )
        .await?;
    let known: HashSet<&str> = migrations.iter().map(|migration| migration.name).collect();
    for unknown in applied.iter().filter(|applied| !known.contains(applied.name.as_str())) {
        if let Some(needed) = &unknown.readers_know
            && !known.contains(needed.as_str())
        {
            return Err(DbError::FromTheFuture(unknown.name.clone()));
        }
        tracing::info!(migration = unknown.name, "the database was brought up to date by a newer release");
    }
    let applied: HashSet<String> = applied.into_iter().map(|applied| applied.name).collect();
    let serial = match tx.backend() {
        Backend::Postgres => "BIGSERIAL PRIMARY KEY",
        Backend::Sqlite => "INTEGER PRIMARY KEY AUTOINCREMENT",
    };
    for migration in migrations.iter().filter(|m| !applied.contains(m.name)) {
        tx.batch(&migration.sql.replace("{serial}", serial)).await.map_err(failed(migration.name))?;
        tx.exec(
            "INSERT INTO schema_migrations (name, applied_at) VALUES ($1, $2)",
            values![migration.name, now.micros()],
        )
        .await?;
        if let Readers::Since(needed) = migration.readers {
            tx.exec("INSERT INTO schema_readers (migration, know) VALUES ($1, $2)", values![migration.name, needed])
                .await?;
        }
        tracing::info!(migration = migration.name, "applied");
    }
    Ok(true)
}
