//! A PostgreSQL server that is really restarted, and one that admits few.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{net::TcpListener, path::PathBuf, process::Command, time::Duration};

use bookworm_db::{Databases, Db, DbError, Migration, Sql, values};
use bookworm_kernel::{Clock, SystemClock};
use futures::future::join_all;
use tokio::sync::oneshot;

const SCHEMA: &[Migration] = &[Migration::new("test/0001", "CREATE TABLE things (n BIGINT NOT NULL);")];
const LIMIT: Duration = Duration::from_secs(30);
/// What the server admits, less what it reserves for administrators.
const ADMITTED: u32 = 17;

/// A server of its own. It is gone with the test.
struct Server {
    programs: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
}

impl Server {
    /// `None`, said loudly, where the tests have no PostgreSQL or do not know its programs; with `CI=true` that fails.
    fn start() -> Option<Self> {
        let Some(programs) = std::env::var_os("BOOKWORM_TEST_POSTGRES_BIN") else {
            eprintln!(
                "*** SKIPPED: a server of its own: BOOKWORM_TEST_POSTGRES_BIN is not set (scripts/with-postgres) ***"
            );
            assert!(std::env::var("CI").as_deref() != Ok("true"), "with CI=true nothing is skipped");
            return None;
        };
        let programs = PathBuf::from(programs);
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { programs, folder, port };
        // The server refuses to run as root.
        if is_root() {
            assert!(Command::new("chown").arg("postgres").arg(server.folder.path()).status().unwrap().success());
        }
        server.run("initdb", "-A trust -U postgres --no-sync");
        server.up();
        Some(server)
    }

    fn run(&self, program: &str, options: &str) {
        let (program, data) = (self.programs.join(program), self.folder.path().join("data"));
        let line = format!("'{}' -D '{}' {options}", program.display(), data.display());
        let mut shell = if is_root() { Command::new("su") } else { Command::new("bash") };
        if is_root() {
            shell.args(["postgres", "-s", "/bin/bash"]);
        }
        let log = std::fs::File::create(self.folder.path().join("output")).unwrap();
        let status = shell.arg("-c").arg(&line).stdout(log.try_clone().unwrap()).stderr(log).status().unwrap();
        assert!(status.success(), "{line}: {}", std::fs::read_to_string(self.folder.path().join("output")).unwrap());
    }

    fn up(&self) {
        let (folder, port, most) = (self.folder.path().display(), self.port, ADMITTED + 3);
        let settings = format!("-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c max_connections={most}");
        self.run("pg_ctl", &format!("-w -t 120 -l '{folder}/log' -o '{settings}' start"));
    }

    fn down(&self) {
        self.run("pg_ctl", "-m fast -w -t 120 stop");
    }

    fn databases(&self, max_connections: u32) -> Databases {
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres", self.port);
        Databases::Postgres { url, max_connections, statement_timeout: LIMIT, prefix: String::new() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.run("pg_ctl", "-m immediate stop")));
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"))
}

async fn add(db: &Db) -> Result<(), DbError> {
    let insert = "INSERT INTO things (n) VALUES (1)";
    db.transact(move |tx| Box::pin(async move { tx.exec(insert, []).await.map(drop) })).await
}

async fn count(db: &Db) -> Result<Option<i64>, DbError> {
    db.read().scalar("SELECT COUNT(*) FROM things", []).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_first_request_after_a_restart_works_and_one_during_it_waits() {
    let Some(server) = Server::start() else { return };
    let db = server.databases(4).open("restarted").await.unwrap();
    db.migrate(SCHEMA, SystemClock.now()).await.unwrap();
    // Every connection of the pool is open, and then idle.
    for added in join_all((0..32).map(|_| add(&db))).await {
        added.unwrap();
    }

    server.down();
    server.up();
    assert_eq!(count(&db).await.unwrap(), Some(32), "the first question");
    server.down();
    server.up();
    add(&db).await.unwrap();
    server.down();
    server.up();
    let (counts, added) = tokio::join!(join_all((0..8).map(|_| count(&db))), join_all((0..8).map(|_| add(&db))));
    assert!(counts.iter().all(Result::is_ok) && added.iter().all(Result::is_ok), "{counts:?} {added:?}");

    // In the middle of a unit of work: nothing of it is kept, and its caller hears that it may try again later.
    let (begin, begun) = oneshot::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let cut = {
        let db = db.clone();
        tokio::spawn(async move {
            let insert = "INSERT INTO things (n) VALUES ($1)";
            let cut = db.transact::<(), DbError, _>(move |tx| {
                Box::pin(async move {
                    tx.exec(insert, values![2_i64]).await?;
                    let _ = begin.send(());
                    let _ = stopped.await;
                    tx.exec(insert, values![3_i64]).await.map(drop)
                })
            });
            cut.await
        })
    };
    begun.await.unwrap();
    server.down();
    let waiting = {
        let db = db.clone();
        tokio::spawn(async move { count(&db).await })
    };
    stop.send(()).unwrap();
    let cut = cut.await.unwrap().unwrap_err();
    assert!(cut.is_outage(), "{cut:?}");
    server.up();
    assert_eq!(count(&db).await.unwrap(), Some(41));
    // Asked while there was no server: answered late, or told that it is busy.
    match waiting.await.unwrap() {
        Ok(count) => assert_eq!(count, Some(41)),
        Err(error) => assert!(error.is_outage() || error.is_transient(), "{error:?}"),
    }
    db.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_admits_too_few_is_refused_in_words() {
    let Some(server) = Server::start() else { return };
    server.databases(8).check_connections(2).await.unwrap();
    let error = server.databases(9).check_connections(2).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the PostgreSQL server admits 17 connections (its max_connections, without those that it reserves), and this \
         process may open 18: raise max_connections of the server, or lower database.max_connections"
    );
    // Pools never open more than they may.
    let dbs = join_all(["one", "two"].map(|name| {
        let databases = server.databases(8);
        async move { databases.open(name).await.unwrap() }
    }))
    .await;
    let sleep = "SELECT CAST(pg_sleep(0.05) AS TEXT)";
    let asked = dbs.iter().flat_map(|db| (0..40).map(move |_| db.read().scalar::<String>(sleep, [])));
    assert!(join_all(asked).await.iter().all(Result::is_ok));
    let count = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name LIKE 'bookworm-%'";
    assert_eq!(dbs[0].read().scalar::<i64>(count, []).await.unwrap(), Some(16));
    for db in &dbs {
        db.close().await;
    }
}
