//! A PostgreSQL server whose connections fall silent: nobody waits for them without end, none of them is missed in the pool,
//! and a commit that nobody heard of is told as such.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bookworm_db::{Databases, Db, DbError, Migration, Sql, values};
use bookworm_kernel::{Clock, SystemClock};
use bookworm_testing::{Proxy, TestDatabases, eventually};
use futures::future::join_all;

const SCHEMA: &[Migration] = &[Migration::new("test/0001", "CREATE TABLE things (n BIGINT NOT NULL);")];
const CONNECTIONS: u32 = 3;
/// Short, so that the tests are.
const LIMIT: Duration = Duration::from_secs(2);
/// Far below what the system waits for an answer on a connection, which is a quarter of an hour.
const BOUND: Duration = Duration::from_secs(45);

/// A service's database behind a proxy, and the same without one.
struct Behind {
    proxy: Arc<Proxy>,
    db: Db,
    direct: Db,
}

impl Behind {
    async fn open(home: &TestDatabases) -> Self {
        let Databases::Postgres { url, prefix, .. } = &home.databases else { unreachable!("opened for PostgreSQL") };
        let (before, rest) = url.split_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let proxy = Proxy::before(server).await;
        let url = format!("{before}@{}/{database}", proxy.address());
        let behind =
            Databases::Postgres { url, max_connections: CONNECTIONS, statement_timeout: LIMIT, prefix: prefix.clone() };
        let (db, direct) = (behind.open("silent").await.unwrap(), home.databases.open("silent").await.unwrap());
        db.migrate(SCHEMA, SystemClock.now()).await.unwrap();
        let behind = Self { proxy: Arc::new(proxy), db, direct };
        behind.fill().await;
        behind
    }

    /// Opens every connection of the pool.
    async fn fill(&self) {
        let sleep = "SELECT CAST(pg_sleep(0.1) AS TEXT)";
        join_all((0..CONNECTIONS).map(|_| async { self.db.read().scalar::<String>(sleep, []).await.unwrap() })).await;
    }

    async fn count(&self) -> Result<Option<i64>, DbError> {
        self.db.read().scalar("SELECT COUNT(*) FROM things", []).await
    }

    async fn add(&self) -> Result<(), DbError> {
        let insert = "INSERT INTO things (n) VALUES (1)";
        self.db.transact(move |tx| Box::pin(async move { tx.exec(insert, []).await.map(drop) })).await
    }

    async fn stored(&self) -> i64 {
        self.direct.read().scalar("SELECT COUNT(*) FROM things", []).await.unwrap().unwrap()
    }

    async fn close(self) {
        self.db.close().await;
        self.direct.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_question_on_a_silent_connection_ends_in_time_and_the_next_ones_are_answered() {
    let Some(home) = TestDatabases::postgres() else { return };
    let behind = Behind::open(&home).await;
    behind.proxy.lose();
    let began = Instant::now();
    let silent = behind.count().await.unwrap_err();
    assert!(silent.is_outage(), "{silent:?}");
    assert_eq!(silent.to_string(), "the database server cannot be used: the server did not answer in time");
    assert!(began.elapsed() >= LIMIT);
    eventually("it is answered", async || behind.count().await.is_ok()).await;
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    // Every place of the pool is there again.
    eventually("all are", async || {
        join_all((0..CONNECTIONS * 4).map(|_| behind.count())).await.iter().all(Result::is_ok)
    })
    .await;
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    behind.close().await;
    home.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_stops_waiting_leaves_no_place_of_the_pool_behind() {
    let Some(home) = TestDatabases::postgres() else { return };
    let behind = Behind::open(&home).await;
    behind.proxy.lose();
    let began = Instant::now();
    // As many as there are connections, each waits on one of its own, and goes away.
    let short = Duration::from_millis(300);
    let asked = join_all((0..CONNECTIONS).map(|_| tokio::time::timeout(short, behind.count()))).await;
    assert!(asked.iter().all(Result::is_err), "{asked:?}");
    eventually("others are answered", async || behind.count().await.is_ok()).await;
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    behind.close().await;
    home.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_unit_of_work_begins_on_a_connection_that_answers() {
    let Some(home) = TestDatabases::postgres() else { return };
    let behind = Behind::open(&home).await;
    behind.proxy.lose();
    behind.add().await.unwrap();
    assert_eq!(behind.stored().await, 1);
    behind.close().await;
    home.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_unit_of_work_whose_connection_falls_silent_is_undone() {
    let Some(home) = TestDatabases::postgres() else { return };
    let behind = Behind::open(&home).await;
    let (proxy, began) = (behind.proxy.clone(), Instant::now());
    let cut = behind.db.transact::<(), DbError, _>(move |tx| {
        Box::pin(async move {
            tx.exec("INSERT INTO things (n) VALUES ($1)", values![7_i64]).await?;
            proxy.lose();
            tx.exec("INSERT INTO things (n) VALUES ($1)", values![8_i64]).await.map(drop)
        })
    });
    let cut = cut.await.unwrap_err();
    assert!(matches!(cut, DbError::Aborted(_)) || cut.is_outage(), "{cut:?}");
    assert!(!matches!(cut, DbError::Unknown(_)), "it was never told to commit: {cut:?}");
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    assert_eq!(behind.stored().await, 0, "nothing of it was kept");
    behind.add().await.unwrap();
    assert_eq!(behind.stored().await, 1);
    behind.close().await;
    home.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_commit_that_nobody_heard_of_is_told_as_such() {
    let Some(home) = TestDatabases::postgres() else { return };
    let behind = Behind::open(&home).await;
    let (proxy, began) = (behind.proxy.clone(), Instant::now());
    let told = behind.db.transact::<(), DbError, _>(move |tx| {
        Box::pin(async move {
            tx.exec("INSERT INTO things (n) VALUES ($1)", values![7_i64]).await?;
            proxy.lose();
            Ok(())
        })
    });
    let told = told.await.unwrap_err();
    assert!(matches!(told, DbError::Unknown(_)), "{told:?}");
    assert!(told.is_outage() && !told.is_transient(), "it may not simply be done again: {told:?}");
    assert_eq!(told.to_string(), "nobody knows whether the unit of work was committed");
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    behind.add().await.unwrap();
    behind.close().await;
    home.clean().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_is_silent_altogether_keeps_nobody() {
    let Some(home) = TestDatabases::postgres() else { return };
    let behind = Behind::open(&home).await;
    behind.proxy.silence(true);
    let began = Instant::now();
    let (counts, added) =
        tokio::join!(join_all((0..CONNECTIONS * 2).map(|_| behind.count())), join_all((0..2).map(|_| behind.add())));
    assert!(counts.iter().all(Result::is_err) && added.iter().all(Result::is_err), "{counts:?} {added:?}");
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    behind.proxy.silence(false);
    eventually("it answers again", async || behind.add().await.is_ok()).await;
    behind.close().await;
    home.clean().await;
}
