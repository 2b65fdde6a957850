//! Access and refresh tokens, the keys that sign them, and what survives a restart.

use super::*;

on_every_database!(
    a_refresh_token_is_good_for_one_use,
    a_session_ends_when_it_is_not_used_or_signed_out,
    two_tabs_that_refresh_at_once_both_stay_signed_in,
    keys_rotate_without_anybody_noticing,
    accounts_sessions_and_keys_survive_a_restart_and_hashes_grow_with_the_settings,
);

async fn a_refresh_token_is_good_for_one_use(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    shop.register("ann@example.org").await;
    let first = shop.sign_in("ann@example.org", PASSWORD).await.refresh();
    let second = shop.refresh(&first).await;
    assert_eq!(second.status, 200);
    assert_ne!(second.refresh(), first);
    assert_eq!(shop.get("/identity/me", &second.bearer()).await.status, 200);

    // Two tabs at once: the late one gets a token of its own.
    shop.clock.advance(Duration::from_secs(30));
    let tab = shop.refresh(&first).await;
    assert_eq!(tab.status, 200);
    assert_eq!(shop.refresh(&second.refresh()).await.status, 200);

    // A thief: the token was used long ago, so the session ends for everybody.
    shop.clock.advance(Duration::from_secs(1));
    for token in [&first, &tab.refresh(), &second.refresh()] {
        let refused = shop.refresh(token).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::UNAUTHORIZED, "invalid_token"));
    }
    // Signing in again starts another session.
    let again = shop.sign_in("ann@example.org", PASSWORD).await;
    assert_eq!(shop.refresh(&again.refresh()).await.status, 200);

    let stored: Option<i64> = shop
        .service
        .db()
        .read()
        .scalar("SELECT COUNT(*) FROM refresh_tokens WHERE hash = $1", bookworm_db::values![first])
        .await
        .unwrap();
    assert_eq!(stored, Some(0), "only hashes are stored");
    for bad in ["", "x", "' OR 1=1 --", &"A".repeat(43), &"z".repeat(5000)] {
        assert_eq!(shop.refresh(bad).await.code(), "invalid_token", "{bad}");
    }
}

async fn a_session_ends_when_it_is_not_used_or_signed_out(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    shop.register("ann@example.org").await;
    let token = shop.sign_in("ann@example.org", PASSWORD).await.refresh();
    let other = shop.sign_in("ann@example.org", PASSWORD).await.refresh();
    let next = shop.refresh(&token).await.refresh();
    for token in [token.as_str(), "nonsense"] {
        let out = shop.post("/identity/sign-out", json!({"refresh_token": token})).await;
        assert_eq!(out.status, StatusCode::NO_CONTENT);
    }
    assert_eq!(shop.refresh(&next).await.code(), "invalid_token");
    shop.clock.advance(29 * DAY);
    let other = shop.refresh(&other).await.refresh();
    shop.clock.advance(30 * DAY);
    assert_eq!(shop.refresh(&other).await.code(), "invalid_token");
    shop.clock.advance(DAY);
    assert!(shop.service.tidy().await.unwrap() > 0);
    assert_eq!(shop.count("SELECT COUNT(*) FROM sessions").await, 0);
}

async fn two_tabs_that_refresh_at_once_both_stay_signed_in(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    shop.register("ann@example.org").await;
    let token = shop.sign_in("ann@example.org", PASSWORD).await.refresh();
    let answers = futures::future::join_all((0..8).map(|_| shop.refresh(&token))).await;
    let mut tokens: Vec<_> = answers.iter().map(Response::refresh).collect();
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 8);
    for token in tokens {
        assert_eq!(shop.refresh(&token).await.status, 200);
    }
}

async fn keys_rotate_without_anybody_noticing(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    shop.register("ann@example.org").await;
    let mut changes = shop.service.watch_keys();
    shop.service.rotate_keys().await.unwrap();
    assert!(!changes.has_changed().unwrap());
    shop.clock.advance(90 * DAY);
    shop.service.rotate_keys().await.unwrap();
    assert!(changes.has_changed().unwrap());
    let keys = changes.borrow_and_update().clone();
    assert_eq!(keys.len(), 2);
    shop.verifier.set_keys(keys.clone());
    let kid = |answer: &Response| jsonwebtoken::decode_header(answer.string("access_token")).unwrap().kid.unwrap();
    let old = shop.sign_in("ann@example.org", PASSWORD).await;
    assert_eq!(kid(&old), keys[0].0, "published first, used later");
    shop.clock.advance(15 * MINUTE - Duration::from_secs(1));
    let last = shop.sign_in("ann@example.org", PASSWORD).await;
    shop.clock.advance(Duration::from_secs(1));
    let new = shop.sign_in("ann@example.org", PASSWORD).await;
    assert_eq!((kid(&last), kid(&new)), (keys[0].0.clone(), keys[1].0.clone()));
    for token in [&last, &new] {
        assert_eq!(shop.get("/identity/me", &token.bearer()).await.status, 200);
    }
    shop.clock.advance(20 * MINUTE);
    shop.service.rotate_keys().await.unwrap();
    assert_eq!(shop.service.public_keys(), keys[1..]);
}

async fn accounts_sessions_and_keys_survive_a_restart_and_hashes_grow_with_the_settings(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    shop.register("ann@example.org").await;
    let signed = shop.sign_in("ann@example.org", PASSWORD).await;
    let keys = shop.service.public_keys();
    shop.service.db().close().await;

    let dearer = Identity { argon2: Argon2 { memory_kib: 16, iterations: 2, parallelism: 1 }, ..settings() };
    let shop = Shop::open_with(home, &dearer, shop.clock).await;
    assert_eq!(shop.service.public_keys(), keys);
    assert_eq!(shop.get("/identity/me", &signed.bearer()).await.status, 200);
    assert_eq!(shop.refresh(&signed.refresh()).await.status, 200);
    for _ in 0..2 {
        assert_eq!(shop.sign_in("ann@example.org", PASSWORD).await.status, 200);
        let hash: Option<String> =
            shop.service.db().read().scalar("SELECT password_hash FROM accounts", []).await.unwrap();
        assert!(hash.unwrap().starts_with("$argon2id$v=19$m=16,t=2,p=1$"));
    }
    shop.service.db().close().await;
}

#[tokio::test]
async fn accounts_of_the_release_before_keep_their_password_and_count_as_confirmed() {
    let home = TestDatabases::sqlite();
    let file = rusqlite::Connection::open(home.folder().join("identity.db")).unwrap();
    file.execute_batch(include_str!("fixtures/before_confirmations.sql")).unwrap();
    file.close().unwrap();
    let shop = Shop::open(&home).await;
    for (email, name, password) in [
        ("ann@reader.test", "Ann Reader", PASSWORD),
        ("ben@reader.test", "Ben Reader", PASSWORD),
        ("admin@shop.test", "Admin", "a long admin password"),
    ] {
        let session = shop.sign_in(email, password).await;
        assert_eq!(session.status, StatusCode::OK, "{email}: {session:?}");
        let me = shop.get("/identity/me", &session.bearer()).await.body;
        assert_eq!((&me["name"], &me["email_confirmed"]), (&json!(name), &json!(true)), "{email}");
        let bearer = session.bearer();
        let again = shop.ask(Method::POST, "/identity/me/confirm-email", &[("authorization", &bearer)], None).await;
        assert_eq!(again.status, StatusCode::ACCEPTED);
    }
    assert!(confirmations(&shop).await.is_empty(), "nobody who had an account is asked");
    assert_eq!(shop.register("ann@reader.test").await.code(), "email_taken");
    assert_eq!(shop.register("cleo@reader.test").await.body["email_confirmed"], false, "who is new is asked");
    assert_eq!(confirmations(&shop).await.len(), 1);
    shop.service.db().close().await;
}
