use std::{collections::HashSet, sync::Arc};

use bookworm_db_derive::FromRow;
use bookworm_kernel::Timestamp;

use crate::{Backend, Db, DbError, Result, Sql, Tx, values};

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
}

#[derive(FromRow)]
struct Applied {
    name: String,
}

impl Db {
    /// Applies the migrations that this database has not seen. Several processes may do so at once.
    ///
    /// # Errors
    /// When one fails, or when the database has a migration that `migrations` does not: then it was written by a
    /// newer release, and running on would risk its data.
    pub async fn migrate(&self, migrations: &[Migration], now: Timestamp) -> Result<()> {
        let migrations = migrations.to_vec();
        self.transact(move |tx| Box::pin(async move { apply(tx, &migrations, now).await })).await
    }
}

async fn apply(tx: &Tx, migrations: &[Migration], now: Timestamp) -> Result<()> {
    let failed = |name: &str| {
        let name = name.to_owned();
        move |source: DbError| DbError::Migration { name, source: Arc::new(source) }
    };
    if tx.backend() == Backend::Postgres {
        // One process migrates a schema at a time; the lock ends with the transaction.
        tx.batch("SELECT pg_advisory_xact_lock(hashtext(current_schema()))").await?;
    }
    tx.batch("CREATE TABLE IF NOT EXISTS schema_migrations (name TEXT PRIMARY KEY, applied_at BIGINT NOT NULL)")
        .await
        .map_err(failed("schema_migrations"))?;
    let applied: HashSet<String> =
        tx.all::<Applied>("SELECT name FROM schema_migrations", []).await?.into_iter().map(|row| row.name).collect();
    if let Some(unknown) = applied.iter().find(|name| migrations.iter().all(|m| m.name != name.as_str())) {
        return Err(DbError::FromTheFuture(unknown.clone()));
    }
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
        tracing::info!(migration = migration.name, "applied");
    }
    Ok(())
}
