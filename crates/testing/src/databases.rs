use std::{path::Path, time::Duration};

use bookworm_db::{Databases, Db, DbError, FromRow, Pool, Sql, Value};
use uuid::Uuid;

/// How many connections each database of a test may have.
const MAX_CONNECTIONS: u32 = 8;
/// How long a statement of a test may take: a busy machine fails none.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// Empty databases for one test: SQLite files in a folder of its own, or PostgreSQL schemas with a prefix of its own.
#[derive(Debug)]
pub struct TestDatabases {
    /// Opens them by the name of their service, as the program does.
    pub databases: Databases,
    folder: tempfile::TempDir,
}

/// The PostgreSQL server of the tests. `None`, with a line that says so, when there is none.
///
/// # Panics
/// When there is none although `CI` is set.
#[must_use]
pub fn postgres_url() -> Option<String> {
    let url = std::env::var("BOOKWORM_TEST_POSTGRES").ok();
    if url.is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI must test PostgreSQL: set BOOKWORM_TEST_POSTGRES");
        eprintln!("SKIPPED on PostgreSQL: run scripts/with-postgres, or set BOOKWORM_TEST_POSTGRES to a URL");
    }
    url
}

#[derive(FromRow)]
struct Schema {
    name: String,
}

impl TestDatabases {
    /// On SQLite.
    ///
    /// # Panics
    /// When there is no place for temporary files.
    #[must_use]
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { databases: Databases::Sqlite(folder.path().to_owned()), folder }
    }

    /// On the PostgreSQL server that `BOOKWORM_TEST_POSTGRES` names; `None` when it names none.
    ///
    /// # Panics
    /// When no server is named although `CI` is set.
    #[must_use]
    pub fn postgres() -> Option<Self> {
        Some(Self::on_server(postgres_url()?, format!("t{}_", Uuid::now_v7().simple())))
    }

    fn on_server(url: String, prefix: String) -> Self {
        let databases =
            Databases::Postgres { url, max_connections: MAX_CONNECTIONS, statement_timeout: STATEMENT_TIMEOUT, prefix };
        Self { databases, folder: tempfile::tempdir().unwrap() }
    }

    /// More empty databases of the same kind. On PostgreSQL they are removed together with these.
    #[must_use]
    pub fn another(&self) -> Self {
        match &self.databases {
            Databases::Sqlite(_) => Self::sqlite(),
            Databases::Postgres { url, prefix, .. } => {
                // The end of the id is its random part; schema names have 63 bytes at most.
                Self::on_server(url.clone(), format!("{prefix}{}_", &Uuid::now_v7().simple().to_string()[20..]))
            }
        }
    }

    /// A folder for the test's other files. It goes with the databases.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Removes what the test left on the server.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn clean(self) {
        let Databases::Postgres { url, prefix, .. } = &self.databases else { return };
        let server = Pool::connect(url).await.unwrap();
        let schemas: Vec<Schema> = server
            .all(
                "SELECT CAST(schema_name AS TEXT) AS name FROM information_schema.schemata WHERE schema_name LIKE $1",
                [format!("{prefix}%").into()],
            )
            .await
            .unwrap();
        for Schema { name } in schemas {
            server.batch(&format!("DROP SCHEMA \"{name}\" CASCADE")).await.unwrap();
        }
        server.close().await;
    }
}

/// Runs a test body on SQLite, and on PostgreSQL when there is a server.
///
/// # Panics
/// When the test does, or when there is no server although `CI` is set.
pub async fn on_every_database(test: impl AsyncFn(&TestDatabases)) {
    for home in [Some(TestDatabases::sqlite()), TestDatabases::postgres()].into_iter().flatten() {
        test(&home).await;
        home.clean().await;
    }
}

/// Makes two tests, `sqlite::name` and `postgres::name`, of every `async fn name(home: &TestDatabases)` that is named.
#[macro_export]
macro_rules! on_every_database {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[$crate::tokio::test(flavor = "multi_thread", worker_threads = 4, crate = "bookworm_testing::tokio")]
            async fn $name() {
                let home = $crate::TestDatabases::sqlite();
                super::$name(&home).await;
                home.clean().await;
            })*
        }
        mod postgres {
            $(#[$crate::tokio::test(flavor = "multi_thread", worker_threads = 4, crate = "bookworm_testing::tokio")]
            async fn $name() {
                let Some(home) = $crate::TestDatabases::postgres() else { return };
                super::$name(&home).await;
                home.clean().await;
            })*
        }
    };
}

/// The number that a query such as `SELECT COUNT(*) FROM mails` gives; 0 when it gives none.
///
/// # Panics
/// When the query fails.
pub async fn count(db: &Db, sql: &str) -> i64 {
    db.read().scalar(sql, []).await.unwrap().unwrap_or(0)
}

/// Runs a statement in a unit of work of its own, and returns how many rows it changed.
///
/// # Panics
/// When the statement fails.
pub async fn execute(db: &Db, sql: impl Into<String>, values: impl IntoIterator<Item = Value>) -> u64 {
    let (sql, values): (String, Vec<Value>) = (sql.into(), values.into_iter().collect());
    db.transact::<_, DbError, _>(move |tx| Box::pin(async move { tx.exec(&sql, values).await })).await.unwrap()
}
