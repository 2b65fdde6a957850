//! What is in a file of SQLite stays readable, and what is written now is stored in the same bytes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use bookworm_db::{Databases, Db, DbError, FromRow, Migration, Sql, Value, values};
use bookworm_kernel::{Clock, SystemClock};
use uuid::Uuid;

const COLUMNS: [&str; 6] = ["id", "whole", "truth", "ratio", "words", "bytes"];

#[derive(FromRow, Clone, Debug, PartialEq)]
struct Sample {
    id: Uuid,
    whole: Option<i64>,
    truth: Option<bool>,
    ratio: Option<f64>,
    words: Option<String>,
    bytes: Option<Vec<u8>>,
}

fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x0193_7d2a_5b00_7000_8000_0000_0000_0000 + n)
}

fn sample(n: u128, whole: i64, truth: bool, ratio: f64, words: &str, bytes: &[u8]) -> Sample {
    let (words, bytes) = (Some(words.to_owned()), Some(bytes.to_vec()));
    Sample { id: id(n), whole: Some(whole), truth: Some(truth), ratio: Some(ratio), words, bytes }
}

fn samples() -> Vec<Sample> {
    vec![
        sample(0, 0, false, 0.0, "", &[]),
        sample(1, i64::MAX, true, 0.1, "Les Misérables 📚", &[0, 1, 127, 128, 255]),
        sample(2, i64::MIN, true, -1024.5, "it's \"quoted\"\n", b"text as bytes"),
        sample(3, -1, false, 5.0, "42", &[0; 16]),
        Sample { id: id(4), whole: None, truth: None, ratio: None, words: None, bytes: None },
        sample(255, 1_732_896_000_000_000, true, 1e-7, "01937d2a-5b00-7000-8000-000000000001", id(1).as_bytes()),
    ]
}

fn row(sample: Sample) -> [Value; 6] {
    values![sample.id, sample.whole, sample.truth, sample.ratio, sample.words, sample.bytes]
}

/// The table under another name is for what is written now.
const SCHEMA: &[Migration] = &[
    Migration::new("samples/0001", "not run again;"),
    Migration::new(
        "samples/0002",
        "CREATE TABLE written_now (id UUID NOT NULL PRIMARY KEY, whole BIGINT, truth BOOLEAN, \
              ratio DOUBLE PRECISION, words TEXT, bytes BYTEA);",
    ),
];

/// Opens a file that holds what an earlier release wrote.
async fn open(folder: &tempfile::TempDir) -> Db {
    let file = rusqlite::Connection::open(folder.path().join("shop.db")).unwrap();
    file.execute_batch(include_str!("stored_form.sql")).unwrap();
    drop(file);
    let db = Databases::Sqlite(folder.path().to_owned()).open("shop").await.unwrap();
    db.migrate(SCHEMA, SystemClock.now()).await.unwrap();
    db
}

#[tokio::test]
async fn rows_of_an_earlier_release_are_read_and_found() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    let all = "SELECT * FROM samples ORDER BY id";
    assert_eq!(db.read().all::<Sample>(all, []).await.unwrap(), samples(), "outside a unit of work");
    let inside = db.transact::<_, DbError, _>(move |tx| Box::pin(tx.all::<Sample>(all, [])));
    assert_eq!(inside.await.unwrap(), samples(), "inside");
    for expected in samples() {
        for (column, value) in COLUMNS.into_iter().zip(row(expected.clone())) {
            let find = format!("SELECT * FROM samples WHERE id = $2 AND {column} IS NOT DISTINCT FROM $1");
            let by = [value, Value::from(expected.id)];
            let outside: Option<Sample> = db.read().one(&find, by.clone()).await.unwrap();
            assert_eq!(outside.as_ref(), Some(&expected), "by {column}, outside a unit of work");
            let inside =
                db.transact::<_, DbError, _>(move |tx| Box::pin(async move { tx.one::<Sample>(&find, by).await }));
            assert_eq!(inside.await.unwrap().as_ref(), Some(&expected), "by {column}, inside");
        }
    }
    db.close().await;
}

#[tokio::test]
async fn what_is_written_now_is_stored_in_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let db = open(&folder).await;
    db.transact::<_, DbError, _>(|tx| {
        Box::pin(async move {
            for sample in samples() {
                tx.exec("INSERT INTO written_now VALUES ($1, $2, $3, $4, $5, $6)", row(sample)).await?;
            }
            Ok(())
        })
    })
    .await
    .unwrap();
    db.close().await;

    let file = rusqlite::Connection::open(folder.path().join("shop.db")).unwrap();
    let cells = |table: &str| -> Vec<String> {
        let cells = COLUMNS.map(|column| format!("typeof({column}) || ' ' || quote({column})")).join(" || ', ' || ");
        let mut rows = file.prepare(&format!("SELECT {cells} FROM {table} ORDER BY id")).unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    assert_eq!(cells("written_now"), cells("samples"));
    assert!(cells("samples")[1].starts_with("blob X'01937D2A5B0070008000000000000001', integer 9223372036854775807"));
}
