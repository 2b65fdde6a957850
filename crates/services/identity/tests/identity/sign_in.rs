//! Signing in, and guessing passwords.

use super::*;

on_every_database!(
    wrong_credentials_tell_nothing,
    guessing_is_slowed_down_and_the_owner_is_not_locked_out,
    trying_many_accounts_from_one_address_is_slowed_down_too,
    many_guesses_at_once_gain_nothing,
    many_right_sign_ins_at_once_lock_nobody_out_and_many_guesses_do,
    the_guests_basket_comes_along_and_never_stands_in_the_way,
);

async fn wrong_credentials_tell_nothing(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    shop.register("ann@example.org").await;
    let long = "x".repeat(1000);
    for (email, password) in [
        ("ann@example.org", "wrong password"),
        ("ann@example.org", ""),
        ("ann@example.org", long.as_str()),
        ("nobody@example.org", PASSWORD),
        ("not an address", PASSWORD),
        ("' OR 1=1 --", PASSWORD),
        ("", ""),
    ] {
        let answer = shop.sign_in(email, password).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::UNAUTHORIZED, "invalid_credentials"), "{email}");
        assert_eq!(answer.body["detail"], Value::Null, "the same for everybody");
    }
}

async fn guessing_is_slowed_down_and_the_owner_is_not_locked_out(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    shop.register("ann@example.org").await;
    let (thief, owner) = ("203.0.113.9", "192.0.2.1");
    // The same for an address that has no account.
    for email in ["ann@example.org", "nobody@example.org"] {
        for _ in 0..5 {
            assert_eq!(shop.sign_in_from(thief, email, "a guess").await.code(), "invalid_credentials");
        }
        let refused = shop.sign_in_from(thief, email, PASSWORD).await;
        assert_eq!((refused.status, refused.code()), (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts"));
        assert_eq!(refused.headers["retry-after"], "2", "the right password is not even looked at");
    }
    // The owner signs in from elsewhere as ever.
    let signed = shop.sign_in_from(owner, "ann@example.org", PASSWORD).await;
    assert_eq!(signed.status, 200);

    // The wait doubles, to a quarter of an hour at most.
    let mut waits = Vec::new();
    for _ in 0..12 {
        let refused = shop.sign_in_from(thief, "ann@example.org", "a guess").await;
        assert_eq!(refused.code(), "too_many_attempts");
        let wait: u64 = refused.headers["retry-after"].to_str().unwrap().parse().unwrap();
        waits.push(wait);
        shop.clock.advance(Duration::from_secs(wait) + MINUTE);
        assert_eq!(shop.sign_in_from(thief, "ann@example.org", "a guess").await.code(), "invalid_credentials");
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
    assert_eq!(shop.sign_in_from(owner, "ann@example.org", PASSWORD).await.status, 200);
    assert_eq!(shop.refresh(&signed.refresh()).await.status, 200, "who is signed in stays signed in");

    // Success forgives: from the same address too, once the wait is over.
    shop.clock.advance(15 * MINUTE);
    assert_eq!(shop.sign_in_from(thief, "ann@example.org", PASSWORD).await.status, 200);
    for _ in 0..5 {
        assert_eq!(shop.sign_in_from(thief, "ann@example.org", "a guess").await.code(), "invalid_credentials");
    }
    shop.clock.advance(2 * DAY);
    assert!(shop.service.tidy().await.unwrap() > 0);
    assert_eq!(shop.count("SELECT COUNT(*) FROM failed_attempts").await, 0);
}

async fn trying_many_accounts_from_one_address_is_slowed_down_too(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    shop.register("ann@example.org").await;
    for _ in 0..30 {
        assert_eq!(shop.sign_in("ann@example.org", PASSWORD).await.status, 200, "signing in is no guess");
    }
    for n in 0..20 {
        let answer = shop.sign_in(&format!("nobody{n}@example.org"), PASSWORD).await;
        assert_eq!(answer.code(), "invalid_credentials");
    }
    let refused = shop.sign_in("ann@example.org", PASSWORD).await;
    assert_eq!((refused.code(), refused.headers["retry-after"].to_str().unwrap()), ("too_many_attempts", "60"));
    shop.clock.advance(MINUTE);
    assert_eq!(shop.sign_in("ann@example.org", PASSWORD).await.status, 200);
}

async fn many_guesses_at_once_gain_nothing(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    shop.register("ann@example.org").await;
    assert_eq!(shop.sign_in("ann@example.org", "a guess").await.code(), "invalid_credentials");
    let answers = futures::future::join_all((0..15).map(|_| shop.sign_in("ann@example.org", "a guess"))).await;
    let looked_at = answers.iter().filter(|answer| answer.code() == "invalid_credentials").count();
    assert_eq!(looked_at, 4);
}

async fn many_right_sign_ins_at_once_lock_nobody_out_and_many_guesses_do(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    shop.register("ann@reader.test").await;
    let right = futures::future::join_all((0..16).map(|_| shop.sign_in("ann@reader.test", PASSWORD))).await;
    assert!(right.iter().all(|answer| answer.status == StatusCode::OK), "{right:?}");
    let wrong = futures::future::join_all((0..16).map(|_| shop.sign_in("ann@reader.test", "a wrong guess"))).await;
    let tried = wrong.iter().filter(|answer| answer.code() == "invalid_credentials").count();
    assert_eq!(tried, 5, "no more guesses at once than one after the other");
    assert!(wrong.iter().all(|answer| ["invalid_credentials", "too_many_attempts"].contains(&answer.code())));
}

async fn the_guests_basket_comes_along_and_never_stands_in_the_way(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let body = json!({"email": "ann@example.org", "password": PASSWORD, "name": "Ann"});
    let made = shop.ask(Method::POST, "/identity/register", &[("basket-token", "one")], Some(body)).await;
    let grant = json!({"grant_type": "password", "email": "ann@example.org", "password": PASSWORD});
    let cookie = [("cookie", "theme=dark; basket_token=two")];
    assert_eq!(shop.ask(Method::POST, "/identity/token", &cookie, Some(grant.clone())).await.status, 200);
    let asked: Vec<_> =
        shop.baskets.merged.lock().unwrap().iter().map(|m| (m.customer_id.clone(), m.guest_token.clone())).collect();
    assert_eq!(asked, [(made.string("id"), "one".to_owned()), (made.string("id"), "two".to_owned())]);
    shop.baskets.silent.store(true, Ordering::SeqCst);
    assert_eq!(shop.ask(Method::POST, "/identity/token", &cookie, Some(grant)).await.status, 200);
}
