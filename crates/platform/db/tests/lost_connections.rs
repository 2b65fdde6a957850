//! A connection that the server closed while nobody used it fails nobody.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bookworm_db::{Databases, Db, DbError, Migration, Pool, Sql, values};
use bookworm_kernel::{Clock, SystemClock};
use bookworm_testing::{TestDatabases, eventually};
use futures::future::join_all;
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

/// As many as the pool of a service under test may have.
const CONNECTIONS: usize = 8;
const SCHEMA: &[Migration] = &[Migration::new("test/0001", "CREATE TABLE things (n BIGINT NOT NULL);")];

/// A service's database whose connections can be told from those of other tests.
struct Service {
    db: Db,
    name: String,
    server: Pool,
}

impl Service {
    async fn open(home: &TestDatabases) -> Self {
        let Databases::Postgres { url, .. } = &home.databases else { unreachable!("opened for PostgreSQL") };
        let name = Uuid::now_v7().simple().to_string();
        let db = home.databases.open(&name).await.unwrap();
        db.migrate(SCHEMA, SystemClock.now()).await.unwrap();
        Self { db, name: format!("bookworm-{name}"), server: Pool::connect(url).await.unwrap() }
    }

    /// How many connections the service has.
    async fn connections(&self) -> i64 {
        let count = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = $1";
        self.server.scalar(count, values![self.name.as_str()]).await.unwrap().unwrap()
    }

    /// Opens every connection of the pool, then ends them all from the server's side, as its restart does.
    async fn lose_connections(&self) {
        join_all((0..CONNECTIONS).map(|_| async {
            // The others must open their own connection while this one is in use.
            let slept: Option<String> = self.db.read().scalar("SELECT CAST(pg_sleep(0.1) AS TEXT)", []).await.unwrap();
            assert_eq!(slept.as_deref(), Some(""));
        }))
        .await;
        assert!(self.connections().await > 1, "the pool has more than one");
        let end = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1";
        self.server.scalar::<i64>(end, values![self.name.as_str()]).await.unwrap();
        eventually("the server closes them", async || self.connections().await == 0).await;
    }

    async fn add(&self, n: i64) -> Result<(), DbError> {
        let insert = "INSERT INTO things (n) VALUES ($1)";
        self.db.transact(move |tx| Box::pin(async move { tx.exec(insert, values![n]).await.map(drop) })).await
    }

    async fn sum(&self) -> Result<Option<i64>, DbError> {
        self.db.read().scalar("SELECT CAST(COALESCE(SUM(n), 0) AS BIGINT) FROM things", []).await
    }

    async fn close(self) {
        self.db.close().await;
        self.server.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_first_ones_after_a_restart_are_answered() {
    let Some(home) = TestDatabases::postgres() else { return };
    let service = Service::open(&home).await;
    service.add(1).await.unwrap();

    service.lose_connections().await;
    assert_eq!(service.sum().await.unwrap(), Some(1), "one question");
    service.lose_connections().await;
    service.add(2).await.unwrap();
    service.lose_connections().await;
    assert!(service.db.has_table("things").await.unwrap());
    service.db.check_write().await.unwrap();
    service.lose_connections().await;
    service.db.read().exec("SELECT 1", []).await.unwrap();
    service.lose_connections().await;
    service.db.read().batch("SELECT 1; SELECT 2").await.unwrap();

    service.lose_connections().await;
    for sum in join_all((0..4 * CONNECTIONS).map(|_| service.sum())).await {
        assert_eq!(sum.unwrap(), Some(3), "many questions at once");
    }
    service.lose_connections().await;
    for added in join_all((0..4 * CONNECTIONS).map(|_| service.add(1))).await {
        added.unwrap();
    }
    assert_eq!(service.sum().await.unwrap(), Some(3 + 4 * CONNECTIONS as i64), "each was added once");
    service.close().await;
    home.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_unit_of_work_that_lost_its_connection_fails_and_is_not_repeated() {
    let Some(home) = TestDatabases::postgres() else { return };
    let service = Service::open(&home).await;
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let cut = service
        .db
        .transact::<(), DbError, _>(move |tx| {
            Box::pin(async move {
                counted.fetch_add(1, Ordering::SeqCst);
                tx.exec("INSERT INTO things (n) VALUES ($1)", values![7_i64]).await?;
                // The answer to this is the end of the connection.
                tx.scalar::<bool>("SELECT pg_terminate_backend(pg_backend_pid())", []).await?;
                tx.exec("INSERT INTO things (n) VALUES ($1)", values![8_i64]).await.map(drop)
            })
        })
        .await
        .unwrap_err();
    assert!(cut.is_outage(), "{cut:?}");
    assert_eq!(cut.to_string(), "the database server cannot be used: the server does not answer");
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(service.sum().await.unwrap(), Some(0), "nothing of it was kept");
    service.add(1).await.unwrap();
    service.close().await;
    home.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_is_reached_once_it_is_there() {
    let Some(home) = TestDatabases::postgres() else { return };
    let Databases::Postgres { url, .. } = &home.databases else { unreachable!("opened for PostgreSQL") };
    let (before, rest) = url.split_once('@').unwrap();
    let (server, database) = rest.split_once('/').unwrap();
    // Nobody listens there yet.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let at = |url: String| Databases::Postgres {
        url,
        max_connections: 1,
        statement_timeout: Duration::from_secs(30),
        prefix: String::new(),
    };
    let databases = at(format!("{before}@{address}/{database}"));
    let reach = || databases.reach(Duration::from_secs(5));
    let away = reach().await.unwrap_err();
    assert!(away.may_pass(), "{away:?}");

    // It accepts, and says nothing.
    let listener = TcpListener::bind(address).await.unwrap();
    let silent = databases.reach(Duration::from_millis(100)).await.unwrap_err();
    assert!(silent.may_pass(), "{silent:?}");
    let server = server.to_owned();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move {
                let mut server = TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    eventually("it is reached", async || reach().await.is_ok()).await;
    let nowhere = at(format!("{before}@{address}/no_such_database")).reach(Duration::from_secs(60)).await.unwrap_err();
    assert!(!nowhere.may_pass(), "no time makes it: {nowhere:?}");
}

#[test]
fn a_connection_that_ends_before_it_is_made_is_an_outage() {
    let ended = sqlx::Error::Protocol("unexpected response from SSLRequest: 0x00".to_owned());
    assert!(DbError::from(ended).is_outage());
    let broken = sqlx::Error::Protocol("unknown message type: '\\0'".to_owned());
    assert!(!DbError::from(broken).is_outage(), "what is wrong with one answer is not wrong with the server");
}
