//! A key is claimed once, whatever happens at the same moment, on every database.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use bookworm_db::{Db, DbError};
use bookworm_http::{
    IdempotencyKey, Problem,
    idempotency::{self, Claim, Fingerprint, MIGRATION},
};
use bookworm_kernel::{ErrorCode, Timestamp};
use bookworm_testing::{TestDatabases, on_every_database};
use http::Request;
use uuid::Uuid;

on_every_database!(
    the_same_request_finds_what_the_first_one_made,
    another_request_with_the_same_key_is_noticed,
    of_many_at_once_one_does_the_work,
    a_claim_is_undone_with_its_transaction,
    old_keys_are_forgotten,
);

async fn open(home: &TestDatabases) -> Db {
    let db = home.databases.open("idem").await.unwrap();
    db.migrate(&[MIGRATION], Timestamp::from_micros(0)).await.unwrap();
    db
}

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey(text.to_owned())
}

fn print(text: &str) -> Fingerprint {
    Fingerprint::of([text.as_bytes()])
}

async fn claim(db: &Db, scope: &'static str, name: &'static str, body: &'static str, id: Uuid, at: i64) -> Claim {
    db.transact::<_, DbError, _>(move |tx| {
        Box::pin(
            async move { idempotency::claim(tx, scope, &key(name), print(body), id, Timestamp::from_micros(at)).await },
        )
    })
    .await
    .unwrap()
}

async fn the_same_request_finds_what_the_first_one_made(home: &TestDatabases) {
    let db = open(home).await;
    let first = Uuid::now_v7();
    assert_eq!(idempotency::find(db.read(), "ann", &key("k"), print("a")).await.unwrap(), None);
    assert_eq!(claim(&db, "ann", "k", "a", first, 1).await, Claim::New);
    assert_eq!(claim(&db, "ann", "k", "a", Uuid::now_v7(), 2).await, Claim::Same(first));
    assert_eq!(idempotency::find(db.read(), "ann", &key("k"), print("a")).await.unwrap(), Some(Claim::Same(first)));
    assert_eq!(
        claim(&db, "bob", "k", "a", Uuid::now_v7(), 3).await,
        Claim::New,
        "another customer's key is another key"
    );
}

async fn another_request_with_the_same_key_is_noticed(home: &TestDatabases) {
    let db = open(home).await;
    assert_eq!(claim(&db, "ann", "k", "a", Uuid::now_v7(), 1).await, Claim::New);
    assert_eq!(claim(&db, "ann", "k", "b", Uuid::now_v7(), 2).await, Claim::Different);
}

async fn of_many_at_once_one_does_the_work(home: &TestDatabases) {
    let db = open(home).await;
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                let id = Uuid::now_v7();
                (id, claim(&db, "ann", "k", "a", id, 1).await)
            })
        })
        .collect();
    let mut made = Vec::new();
    let mut found = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            (id, Claim::New) => made.push(id),
            (_, Claim::Same(id)) => found.push(id),
            (_, Claim::Different) => panic!("it was the same request"),
        }
    }
    assert_eq!(made.len(), 1);
    assert!(found.iter().all(|id| *id == made[0]), "everybody is answered with the one resource");
}

async fn a_claim_is_undone_with_its_transaction(home: &TestDatabases) {
    let db = open(home).await;
    let failed = db
        .transact::<(), Problem, _>(|tx| {
            Box::pin(async move {
                idempotency::claim(tx, "ann", &key("k"), print("a"), Uuid::now_v7(), Timestamp::from_micros(1)).await?;
                Err(Problem::new(ErrorCode::InsufficientStock))
            })
        })
        .await;
    assert_eq!(failed.unwrap_err().code(), ErrorCode::InsufficientStock);
    assert_eq!(claim(&db, "ann", "k", "a", Uuid::now_v7(), 2).await, Claim::New);
}

async fn old_keys_are_forgotten(home: &TestDatabases) {
    let db = open(home).await;
    claim(&db, "ann", "old", "a", Uuid::now_v7(), 10).await;
    claim(&db, "ann", "new", "a", Uuid::now_v7(), 20).await;
    let pruned = db
        .transact::<_, DbError, _>(|tx| {
            Box::pin(async move { idempotency::prune(tx, Timestamp::from_micros(20)).await })
        })
        .await
        .unwrap();
    assert_eq!(pruned, 1);
    assert_eq!(claim(&db, "ann", "old", "b", Uuid::now_v7(), 30).await, Claim::New);
    assert_eq!(claim(&db, "ann", "new", "b", Uuid::now_v7(), 30).await, Claim::Different);
}

#[test]
fn a_fingerprint_tells_parts_apart() {
    let of = |parts: &[&str]| Fingerprint::of(parts.iter().map(|part| part.as_bytes()));
    assert_eq!(of(&["ab", "c"]), of(&["ab", "c"]));
    assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
}

#[tokio::test]
async fn the_header_is_required_and_checked() {
    use axum::extract::FromRequestParts;
    let long = "k".repeat(IdempotencyKey::MAX);
    let too_long = "k".repeat(IdempotencyKey::MAX + 1);
    for (values, expected) in [
        (vec![], Err(ErrorCode::IdempotencyKeyRequired)),
        (vec!["a-1_~!"], Ok("a-1_~!")),
        (vec![long.as_str()], Ok(long.as_str())),
        (vec![too_long.as_str()], Err(ErrorCode::ValidationFailed)),
        (vec![""], Err(ErrorCode::ValidationFailed)),
        (vec!["a b"], Err(ErrorCode::ValidationFailed)),
        (vec!["\u{e9}"], Err(ErrorCode::ValidationFailed)),
        (vec!["a", "a"], Err(ErrorCode::ValidationFailed)),
    ] {
        let request =
            values.iter().fold(Request::builder(), |request, value| request.header("Idempotency-Key", *value));
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let key = IdempotencyKey::from_request_parts(&mut parts, &()).await;
        match (&key, expected) {
            (Ok(key), Ok(text)) => assert_eq!(key.0, text),
            (Err(problem), Err(code)) => {
                assert_eq!(problem.code(), code, "{values:?}");
                assert!(problem.errors().iter().all(|error| error.field == "Idempotency-Key"));
            }
            _ => panic!("{values:?}: {key:?}"),
        }
    }
}
