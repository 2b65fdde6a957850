//! What every service may rely on, whichever database it runs on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bookworm_db::{Backend, Databases, Db, DbError, Migration, Sql, values};
use bookworm_kernel::{Clock, SystemClock, Timestamp};
use bookworm_testing::{TestDatabases, eventually, on_every_database};
use futures::future::join_all;
use tokio::sync::oneshot;
use uuid::Uuid;

on_every_database!(
    a_unit_of_work_is_kept_or_undone_as_a_whole,
    a_unit_reads_its_own_writes_and_nobody_else_does,
    a_panic_undoes_its_own_unit_alone,
    a_unit_that_takes_too_long_is_undone,
    a_unit_runs_to_its_end_when_its_caller_goes_away,
    units_that_arrive_together_keep_and_fail_on_their_own,
    no_update_is_lost_among_many_units,
    hooks_run_after_the_commit_and_only_then,
    migrations_are_applied_once_by_however_many_processes,
    an_outage_is_told_for_what_it_is,
    a_migration_that_fails_keeps_nothing,
    what_a_newer_release_added_leaves_an_older_one_able_to_run,
    what_a_newer_release_took_away_is_refused_by_whoever_needs_it,
    who_comes_during_a_migration_waits_for_it,
    a_refused_row_says_why,
    what_was_committed_is_there_after_reopening,
    a_closed_database_says_so,
    values_come_back_as_they_went_in,
    every_kind_of_value_is_one_of_a_column,
    what_cannot_be_read_is_told_for_what_it_is,
    queries_outside_a_unit_cannot_write,
);

const SCHEMA: &[Migration] = &[
    Migration::new(
        "test/0001_things",
        "CREATE TABLE things (id UUID NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE, n BIGINT NOT NULL);
              CREATE TABLE parts (id {serial}, thing UUID NOT NULL REFERENCES things (id), spare BOOLEAN NOT NULL, \
              weight DOUBLE PRECISION, note TEXT);",
    ),
    Migration::new("test/0002_index", "CREATE INDEX things_n ON things (n);"),
];

fn now() -> Timestamp {
    SystemClock.now()
}

async fn open(home: &TestDatabases) -> Db {
    let db = home.databases.open("shop").await.unwrap();
    db.migrate(SCHEMA, now()).await.unwrap();
    db
}

async fn insert(sql: &impl Sql, name: &str) -> Result<(), DbError> {
    sql.exec("INSERT INTO things (id, name, n) VALUES ($1, $2, 0)", values![Uuid::now_v7(), name]).await?;
    Ok(())
}

/// Inserts a thing in a unit of work that then fails when told to.
async fn unit(db: &Db, name: String, fail: bool) -> Result<(), DbError> {
    db.transact(move |tx| {
        Box::pin(async move {
            insert(tx, &name).await?;
            if fail { Err(DbError::Corrupt(name)) } else { Ok(()) }
        })
    })
    .await
}

async fn count(db: &Db) -> i64 {
    db.read().scalar("SELECT COUNT(*) FROM things", []).await.unwrap().unwrap()
}

async fn a_unit_of_work_is_kept_or_undone_as_a_whole(home: &TestDatabases) {
    let db = open(home).await;
    db.transact::<_, DbError, _>(|tx| {
        Box::pin(async move {
            insert(tx, "one").await?;
            insert(tx, "two").await
        })
    })
    .await
    .unwrap();
    assert_eq!(count(&db).await, 2);

    let failed = db
        .transact::<(), DbError, _>(|tx| {
            Box::pin(async move {
                insert(tx, "three").await?;
                tx.exec("UPDATE things SET n = 9", []).await?;
                Err(DbError::Corrupt("on purpose".to_owned()))
            })
        })
        .await;
    assert!(matches!(failed, Err(DbError::Corrupt(why)) if why == "on purpose"), "the caller gets its own error");
    assert_eq!(count(&db).await, 2);
    let sum: Option<i64> = db.read().scalar("SELECT CAST(SUM(n) AS BIGINT) FROM things", []).await.unwrap();
    assert_eq!(sum, Some(0));

    // A statement that the database refuses undoes the unit too, and the next one is not harmed.
    unit(&db, "one".to_owned(), false).await.unwrap_err();
    unit(&db, "four".to_owned(), false).await.unwrap();
    assert_eq!(count(&db).await, 3);
}

async fn a_unit_reads_its_own_writes_and_nobody_else_does(home: &TestDatabases) {
    let db = open(home).await;
    let outside = db.clone();
    let (inside, seen) = db
        .transact::<_, DbError, _>(move |tx| {
            Box::pin(async move {
                insert(tx, "one").await?;
                let inside: Option<i64> = tx.scalar("SELECT COUNT(*) FROM things", []).await?;
                Ok((inside, count(&outside).await))
            })
        })
        .await
        .unwrap();
    assert_eq!((inside, seen), (Some(1), 0));
    assert_eq!(count(&db).await, 1);
}

async fn a_panic_undoes_its_own_unit_alone(home: &TestDatabases) {
    let db = open(home).await;
    let units = (0..20).map(|n| {
        let db = db.clone();
        async move {
            db.transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    insert(tx, &n.to_string()).await?;
                    assert!(n % 2 == 0, "a panic on purpose");
                    Ok(())
                })
            })
            .await
        }
    });
    let results = join_all(units).await;
    for (n, result) in results.into_iter().enumerate() {
        match result {
            Ok(()) => assert!(n % 2 == 0),
            Err(error) => assert!(n % 2 == 1 && matches!(error, DbError::Aborted(_)), "{n}: {error}"),
        }
    }
    assert_eq!(count(&db).await, 10);
}

async fn a_unit_that_takes_too_long_is_undone(home: &TestDatabases) {
    let db = open(home).await;
    let begun = Instant::now();
    let result = db
        .transact::<(), DbError, _>(|tx| {
            Box::pin(async move {
                insert(tx, "endless").await?;
                std::future::pending().await
            })
        })
        .await;
    assert!(matches!(result, Err(DbError::Aborted(_))), "{result:?}");
    assert!((9..15).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert_eq!(count(&db).await, 0);
    unit(&db, "next".to_owned(), false).await.unwrap();
}

async fn a_unit_runs_to_its_end_when_its_caller_goes_away(home: &TestDatabases) {
    let db = open(home).await;
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let caller = tokio::spawn({
        let db = db.clone();
        async move {
            db.transact::<_, DbError, _>(|tx| {
                Box::pin(async move {
                    insert(tx, "one").await?;
                    let _ = begun.send(());
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    insert(tx, "two").await
                })
            })
            .await
        }
    });
    has_begun.await.unwrap();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    eventually("both rows of the abandoned unit are kept", async || count(&db).await == 2).await;
}

async fn units_that_arrive_together_keep_and_fail_on_their_own(home: &TestDatabases) {
    let db = open(home).await;
    // While the first holds the writer, the others queue up behind it.
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (go, wait) = tokio::sync::oneshot::channel::<()>();
    let first = tokio::spawn({
        let db = db.clone();
        async move {
            db.transact::<_, DbError, _>(|tx| {
                Box::pin(async move {
                    insert(tx, "first").await?;
                    let _ = begun.send(());
                    let _ = wait.await;
                    Ok(())
                })
            })
            .await
        }
    });
    has_begun.await.unwrap();
    let others: Vec<_> = (0..60)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move {
                let kept = unit(&db, format!("other {n}"), n % 3 == 0).await.is_ok();
                (kept, count(&db).await)
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    go.send(()).unwrap();
    first.await.unwrap().unwrap();
    for (n, other) in join_all(others).await.into_iter().enumerate() {
        let (kept, seen) = other.unwrap();
        assert_eq!(kept, n % 3 != 0);
        if matches!(home.databases, Databases::Sqlite(_)) {
            assert_eq!(seen, 41, "units that wait together share one commit");
        }
    }
    assert_eq!(count(&db).await, 41);
}

async fn no_update_is_lost_among_many_units(home: &TestDatabases) {
    let db = open(home).await;
    unit(&db, "counter".to_owned(), false).await.unwrap();
    let increments = (0..200).map(|_| {
        db.transact::<_, DbError, _>(|tx| {
            Box::pin(async move { tx.exec("UPDATE things SET n = n + 1 WHERE n < $1", values![150_i64]).await })
        })
    });
    let changed: u64 = join_all(increments).await.into_iter().map(Result::unwrap).sum();
    assert_eq!(changed, 150, "a conditional update counts only what it changed");
    let n: Option<i64> = db.read().scalar("SELECT n FROM things", []).await.unwrap();
    assert_eq!(n, Some(150));
}

async fn hooks_run_after_the_commit_and_only_then(home: &TestDatabases) {
    let db = open(home).await;
    let ran = Arc::new(AtomicUsize::new(0));
    for outcome in ["kept", "undone", "panicked"] {
        let ran = ran.clone();
        let (seen, sees) = tokio::sync::oneshot::channel();
        let reader = db.clone();
        let result = db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    insert(tx, outcome).await?;
                    tx.after_commit(move || {
                        ran.fetch_add(1, Ordering::SeqCst);
                        tokio::spawn(async move { seen.send(count(&reader).await) });
                    });
                    match outcome {
                        "undone" => Err(DbError::Busy),
                        "panicked" => panic!("on purpose"),
                        _ => Ok(()),
                    }
                })
            })
            .await;
        assert_eq!(result.is_ok(), outcome == "kept");
        assert_eq!(sees.await.ok(), (outcome == "kept").then_some(1), "a hook finds the change committed");
    }
    assert_eq!(ran.load(Ordering::SeqCst), 1);
}

async fn an_outage_is_told_for_what_it_is(home: &TestDatabases) {
    let db = open(home).await;
    db.check_write().await.unwrap();
    if matches!(home.databases, Databases::Sqlite(_)) {
        // A file that may not grow is a full disk, as far as SQLite can tell.
        let limit = |sql: &'static str| {
            let db = db.clone();
            async move { db.transact::<_, DbError, _>(move |tx| Box::pin(tx.batch(sql))).await.unwrap() }
        };
        limit("PRAGMA max_page_count = 1").await;
        let full = unit(&db, "x".repeat(100_000), false).await.unwrap_err();
        assert!(full.is_outage(), "{full:?}");
        assert_eq!(full.to_string(), format!("the database {} cannot be used: the disk is full", db.name()));
        limit("PRAGMA max_page_count = 1073741823").await;
        unit(&db, "x".repeat(100_000), false).await.unwrap();
        // From here on this handle can only read: even a transaction cannot begin any more.
        limit("PRAGMA query_only = ON").await;
        let refused = unit(&db, "read-only".to_owned(), false).await.unwrap_err();
        assert_eq!(refused.to_string(), format!("the database {} cannot be used: it is read-only", db.name()));
        // The check remembers that it could write, but not for long.
        eventually("the check notices", async || db.check_write().await.is_err()).await;
    } else {
        let refused = db
            .transact::<(), DbError, _>(|tx| {
                Box::pin(async move {
                    tx.batch("SET TRANSACTION READ ONLY").await?;
                    insert(tx, "read-only").await
                })
            })
            .await
            .unwrap_err();
        assert_eq!(refused.to_string(), "the database server cannot be used: it is read-only");
        unit(&db, "after".to_owned(), false).await.unwrap();
    }
}

async fn migrations_are_applied_once_by_however_many_processes(home: &TestDatabases) {
    // Each handle stands for a process of its own.
    let handles = join_all((0..4).map(|_| async {
        let db = home.databases.open("shop").await.unwrap();
        db.migrate(SCHEMA, now()).await.unwrap();
        db.migrate(SCHEMA, now()).await.unwrap();
        db
    }))
    .await;
    for (n, db) in handles.iter().enumerate() {
        unit(db, n.to_string(), false).await.unwrap();
    }
    assert_eq!(count(&handles[0]).await, 4);
    let applied: Option<i64> = handles[0].read().scalar("SELECT COUNT(*) FROM schema_migrations", []).await.unwrap();
    assert_eq!(applied, Some(2));
}

async fn a_migration_that_fails_keeps_nothing(home: &TestDatabases) {
    let db = open(home).await;
    let broken = [
        SCHEMA[0],
        SCHEMA[1],
        Migration::new("test/0003", "CREATE TABLE half (id BIGINT); CREATE TABLE things (id BIGINT);"),
    ];
    let error = db.migrate(&broken, now()).await.unwrap_err();
    assert!(matches!(&error, DbError::Migration { name, .. } if name == "test/0003"), "{error:?}");
    assert!(db.read().scalar::<i64>("SELECT COUNT(*) FROM half", []).await.is_err(), "its first statement was undone");
    let mended = [SCHEMA[0], SCHEMA[1], Migration::new("test/0003", "CREATE TABLE half (id BIGINT);")];
    db.migrate(&mended, now()).await.unwrap();
}

async fn what_a_newer_release_added_leaves_an_older_one_able_to_run(home: &TestDatabases) {
    let newer = open(home).await;
    let older = home.databases.open("shop").await.unwrap();
    older.migrate(&SCHEMA[..1], now()).await.unwrap();
    unit(&older, "by the older".to_owned(), false).await.unwrap();
    unit(&newer, "by the newer".to_owned(), false).await.unwrap();
    assert_eq!(count(&older).await, 2);
}

async fn what_a_newer_release_took_away_is_refused_by_whoever_needs_it(home: &TestDatabases) {
    let newest = [
        SCHEMA[0],
        SCHEMA[1],
        Migration::new("test/0003_successor", "CREATE TABLE new_parts (id {serial});"),
        Migration::contracting("test/0004_no_parts", "test/0003_successor", "DROP TABLE parts;"),
    ];
    let db = open(home).await;
    db.migrate(&newest[..3], now()).await.unwrap();
    db.migrate(SCHEMA, now()).await.unwrap();
    db.migrate(&newest, now()).await.unwrap();
    db.migrate(&newest[..3], now()).await.expect("the release before was prepared for it");
    for older in [&newest[..2], &newest[..1]] {
        let error = db.migrate(older, now()).await.unwrap_err();
        assert!(matches!(&error, DbError::FromTheFuture(name) if name == "test/0004_no_parts"), "{error:?}");
    }
}

/// A process that comes while another one migrates waits for it, however long it takes.
async fn who_comes_during_a_migration_waits_for_it(home: &TestDatabases) {
    let first = open(home).await;
    let second = home.databases.open("shop").await.unwrap();
    let (begun, at_it) = oneshot::channel();
    let (finish, finished) = oneshot::channel::<()>();
    let work = first.transact::<_, DbError, _>(move |tx| {
        Box::pin(async move {
            if tx.backend() == Backend::Postgres {
                tx.batch("SELECT pg_advisory_xact_lock(hashtext(current_schema()))").await?;
            }
            begun.send(()).unwrap();
            let _ = finished.await;
            Ok(())
        })
    });
    let next = [SCHEMA[0], SCHEMA[1], Migration::new("test/0003", "CREATE TABLE later (id {serial});")];
    let others = async {
        at_it.await.unwrap();
        let migrated = second.migrate(&next, now());
        tokio::pin!(migrated);
        let early = tokio::time::timeout(Duration::from_millis(500), &mut migrated).await;
        assert!(early.is_err(), "it did not wait: {early:?}");
        finish.send(()).unwrap();
        migrated.await.unwrap();
    };
    let (done, ()) = tokio::join!(work, others);
    done.unwrap();
}

async fn a_refused_row_says_why(home: &TestDatabases) {
    let db = open(home).await;
    unit(&db, "one".to_owned(), false).await.unwrap();
    let twice = unit(&db, "one".to_owned(), false).await.unwrap_err();
    assert!(twice.is_unique_violation() && !twice.is_foreign_key_violation(), "{twice:?}");
    let orphan = db
        .transact::<_, DbError, _>(|tx| {
            Box::pin(async move {
                tx.exec("INSERT INTO parts (thing, spare) VALUES ($1, $2)", values![Uuid::now_v7(), true]).await
            })
        })
        .await
        .unwrap_err();
    assert!(orphan.is_foreign_key_violation() && !orphan.is_unique_violation(), "{orphan:?}");
    assert!(!twice.is_transient() && DbError::Busy.is_transient());
}

async fn what_was_committed_is_there_after_reopening(home: &TestDatabases) {
    let db = open(home).await;
    unit(&db, "one".to_owned(), false).await.unwrap();
    let last = tokio::spawn({
        let db = db.clone();
        async move { unit(&db, "two".to_owned(), false).await }
    });
    last.await.unwrap().unwrap();
    db.close().await;
    let db = open(home).await;
    assert_eq!(count(&db).await, 2);
}

async fn a_closed_database_says_so(home: &TestDatabases) {
    let db = open(home).await;
    db.close().await;
    let error = unit(&db, "late".to_owned(), false).await.unwrap_err();
    assert!(matches!(error, DbError::Aborted(_) | DbError::Busy | DbError::Query(_)), "{error:?}");
    db.close().await;
}

async fn values_come_back_as_they_went_in(home: &TestDatabases) {
    let db = open(home).await;
    let id = Uuid::now_v7();
    let name = "Ünïcode '; DROP TABLE things; -- 書虫 \u{1F41B}";
    db.transact::<_, DbError, _>(move |tx| {
        Box::pin(async move {
            tx.exec("INSERT INTO things (id, name, n) VALUES ($1, $2, $3)", values![id, name, i64::MAX]).await?;
            tx.exec(
                "INSERT INTO parts (thing, spare, weight, note) VALUES ($1, $2, $3, $4)",
                values![id, false, 0.1_f64, None::<String>],
            )
            .await
        })
    })
    .await
    .unwrap();
    #[derive(bookworm_db::FromRow, Debug, PartialEq)]
    struct Row {
        id: Uuid,
        name: String,
        n: i64,
        serial: i64,
        spare: bool,
        weight: Option<f64>,
        note: Option<String>,
    }
    let query = "SELECT t.id AS id, t.name AS name, t.n AS n, p.id AS serial, p.spare AS spare, p.weight AS weight, \
                 p.note AS note FROM things t JOIN parts p ON p.thing = t.id WHERE t.id = $1";
    let row: Option<Row> = db.read().one(query, values![id]).await.unwrap();
    let expected =
        Row { id, name: name.to_owned(), n: i64::MAX, serial: 1, spare: false, weight: Some(0.1), note: None };
    assert_eq!(row, Some(expected));
    let none: Option<Row> = db.read().one(query, values![Uuid::now_v7()]).await.unwrap();
    assert_eq!(none, None);
}

#[derive(bookworm_db::FromRow, Clone, Debug, PartialEq)]
struct Sample {
    id: Uuid,
    whole: Option<i64>,
    truth: Option<bool>,
    ratio: Option<f64>,
    words: Option<String>,
    bytes: Option<Vec<u8>>,
}

const SAMPLES: &[Migration] = &[Migration::new(
    "test/0001_samples",
    "CREATE TABLE samples (id UUID NOT NULL PRIMARY KEY, whole BIGINT, truth BOOLEAN, ratio DOUBLE PRECISION, \
          words TEXT, bytes BYTEA);",
)];

async fn every_kind_of_value_is_one_of_a_column(home: &TestDatabases) {
    let db = home.databases.open("samples").await.unwrap();
    db.migrate(SAMPLES, now()).await.unwrap();
    let sample = |whole, truth, ratio, words: &str, bytes: &[u8]| Sample {
        id: Uuid::now_v7(),
        whole: Some(whole),
        truth: Some(truth),
        ratio: Some(ratio),
        words: Some(words.to_owned()),
        bytes: Some(bytes.to_vec()),
    };
    let samples = [
        sample(0, false, 0.0, "", &[]),
        sample(i64::MIN, true, f64::MIN_POSITIVE, "書虫", &[0, 255]),
        sample(i64::MAX, true, 3.0, "3", &[0; 16]),
        Sample { id: Uuid::now_v7(), whole: None, truth: None, ratio: None, words: None, bytes: None },
    ];
    let row = |sample: &Sample| {
        let Sample { id, whole, truth, ratio, words, bytes } = sample.clone();
        values![id, whole, truth, ratio, words, bytes]
    };
    let rows = samples.each_ref().map(row);
    db.transact::<_, DbError, _>(move |tx| {
        Box::pin(async move {
            for row in rows {
                tx.exec("INSERT INTO samples VALUES ($1, $2, $3, $4, $5, $6)", row).await?;
            }
            Ok(())
        })
    })
    .await
    .unwrap();
    // Found by each of its values, and read, on both sides of a unit of work.
    let find = "SELECT * FROM samples WHERE id = $1 AND whole IS NOT DISTINCT FROM $2 AND truth IS NOT DISTINCT FROM $3 \
                AND ratio IS NOT DISTINCT FROM $4 AND words IS NOT DISTINCT FROM $5 AND bytes IS NOT DISTINCT FROM $6";
    for sample in samples {
        let outside: Option<Sample> = db.read().one(find, row(&sample)).await.unwrap();
        assert_eq!(outside.as_ref(), Some(&sample), "outside");
        let by = row(&sample);
        let inside = db.transact::<_, DbError, _>(move |tx| Box::pin(tx.one::<Sample>(find, by))).await.unwrap();
        assert_eq!(inside.as_ref(), Some(&sample), "inside");
    }
}

async fn what_cannot_be_read_is_told_for_what_it_is(home: &TestDatabases) {
    #[derive(bookworm_db::FromRow, Debug)]
    struct NoText {
        #[expect(dead_code, reason = "it cannot be read")]
        name: i64,
    }
    #[derive(bookworm_db::FromRow, Debug)]
    struct NotNull {
        #[expect(dead_code, reason = "it cannot be read")]
        note: String,
    }
    #[derive(bookworm_db::FromRow, Debug)]
    struct Missing {
        #[expect(dead_code, reason = "it cannot be read")]
        nowhere: Option<i64>,
    }
    async fn ask(sql: &impl Sql) -> [DbError; 4] {
        let text = "SELECT 'one' AS name";
        [
            sql.one::<NoText>(text, []).await.unwrap_err(),
            sql.scalar::<i64>(text, []).await.unwrap_err(),
            sql.one::<NotNull>("SELECT CAST(NULL AS TEXT) AS note", []).await.unwrap_err(),
            sql.one::<Missing>(text, []).await.unwrap_err(),
        ]
    }
    let db = open(home).await;
    let outside = ask(db.read()).await;
    let inside = db.transact::<_, DbError, _>(|tx| Box::pin(async move { Ok(ask(tx).await) })).await.unwrap();
    for errors in [outside, inside] {
        for (error, column) in errors.iter().zip(["column name", "the first column", "column note", "column nowhere"]) {
            assert!(matches!(error, DbError::Corrupt(why) if why.contains(column)), "{column}: {error}");
        }
    }
}

async fn queries_outside_a_unit_cannot_write(home: &TestDatabases) {
    let db = open(home).await;
    insert(db.read(), "one").await.unwrap_err();
    let returning = "INSERT INTO things (id, name, n) VALUES ($1, $2, 0) RETURNING n";
    db.read().scalar::<i64>(returning, values![Uuid::now_v7(), "two"]).await.unwrap_err();
    db.read().batch("DELETE FROM things; CREATE TABLE other (id BIGINT)").await.unwrap_err();
    assert_eq!(count(&db).await, 0);
    unit(&db, "three".to_owned(), false).await.unwrap();
    assert_eq!(count(&db).await, 1);
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_named() {
    let nowhere = Databases::Sqlite("/nonexistent/folder".into());
    let error = nowhere.open("shop").await.unwrap_err();
    assert!(error.to_string().contains("/nonexistent/folder/shop.db"), "{error}");
    let secret = Databases::Postgres {
        url: "postgres://user:secret@127.0.0.1:1/db".to_owned(),
        max_connections: 1,
        statement_timeout: Duration::from_secs(30),
        prefix: String::new(),
    };
    let error = secret.open("shop").await.unwrap_err();
    assert!(!format!("{error} {secret:?}").contains("secret"), "{error}");
}
