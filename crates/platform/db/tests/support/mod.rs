//! Runs each test of a contract suite on SQLite and, when `BOOKWORM_TEST_POSTGRES` holds a URL, on PostgreSQL.
//!
//! Shared by the platform crates that stand on `bookworm-db`.

use bookworm_db::{Databases, FromRow, Pool, Sql};
use uuid::Uuid;

/// Empty databases for one test: a folder of its own, or schemas of its own.
pub struct Home {
    pub databases: Databases,
    folder: Option<tempfile::TempDir>,
}

#[derive(FromRow)]
struct Schema {
    name: String,
}

impl Home {
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { databases: Databases::Sqlite(folder.path().to_owned()), folder: Some(folder) }
    }

    /// `None`, with a loud line, when there is no server to test with; a failure where there must be one.
    pub fn postgres() -> Option<Self> {
        let Ok(url) = std::env::var("BOOKWORM_TEST_POSTGRES") else {
            assert!(std::env::var("CI").is_err(), "CI must test PostgreSQL: set BOOKWORM_TEST_POSTGRES");
            eprintln!("SKIPPED on PostgreSQL: set BOOKWORM_TEST_POSTGRES to the URL of a server");
            return None;
        };
        let prefix = format!("t{}_", Uuid::now_v7().simple());
        Some(Self { databases: Databases::Postgres { url, max_connections: 8, prefix }, folder: None })
    }

    /// Empty databases beside these, on the same server, which are removed with these.
    #[allow(dead_code, reason = "not every suite needs it")]
    pub fn another(&self) -> Self {
        match &self.databases {
            Databases::Sqlite(_) => Self::sqlite(),
            Databases::Postgres { url, max_connections, prefix } => {
                let prefix = format!("{prefix}{}_", &Uuid::now_v7().simple().to_string()[20..]);
                let databases = Databases::Postgres { url: url.clone(), max_connections: *max_connections, prefix };
                Self { databases, folder: None }
            }
        }
    }

    /// Removes what the test left on the server.
    pub async fn clean(self) {
        let Databases::Postgres { url, prefix, .. } = &self.databases else { return drop(self.folder) };
        let server = Pool::connect(url).await.unwrap();
        let schemas: Vec<Schema> = server
            .all(
                "SELECT CAST(schema_name AS TEXT) AS name FROM information_schema.schemata WHERE schema_name LIKE $1",
                [format!("{prefix}%").into()],
            )
            .await
            .unwrap();
        for Schema { name } in schemas {
            server.exec(&format!("DROP SCHEMA \"{name}\" CASCADE"), []).await.unwrap();
        }
        server.close().await;
    }
}

/// Makes a test on each database of every `async fn name(home: &Home)`.
macro_rules! on_every_database {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                let home = super::Home::sqlite();
                super::$name(&home).await;
                home.clean().await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $name() {
                let Some(home) = super::Home::postgres() else { return };
                super::$name(&home).await;
                home.clean().await;
            })*
        }
    };
}
