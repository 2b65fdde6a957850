//! Links in mails: a new password, and the proof of an address.

use super::*;

on_every_database!(
    a_forgotten_password_is_replaced_by_mail_once_and_ends_every_session,
    links_for_a_new_password_age_are_few_and_go_with_a_new_one,
    a_changed_password_ends_links_and_sessions,
    an_address_is_its_owners_once_the_link_was_followed,
    a_link_for_the_address_ages_and_comes_again_within_limits,
    the_owner_of_an_address_takes_an_account_back,
);

async fn a_forgotten_password_is_replaced_by_mail_once_and_ends_every_session(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    shop.register("ann@reader.test").await;
    let session = shop.sign_in("ann@reader.test", PASSWORD).await;
    let ask = |email: &'static str| shop.post("/identity/password-reset", json!({"email": email}));
    let (known, unknown) = (ask("Ann@reader.test").await, ask("nobody@reader.test").await);
    assert_eq!((known.status, &known.body), (StatusCode::ACCEPTED, &unknown.body));
    assert_eq!(unknown.status, StatusCode::ACCEPTED);
    let link = links(&shop).await.pop().unwrap();

    let set = |token: String, password: &'static str| {
        shop.post("/identity/password-reset/confirm", json!({"token": token, "new_password": password}))
    };
    let check = |token: String| shop.post("/identity/password-reset/check", json!({"token": token}));
    for _ in 0..2 {
        assert_eq!(check(link.clone()).await.status, StatusCode::NO_CONTENT, "asking uses nothing up");
    }
    let weak = set(link.clone(), "short").await;
    assert_eq!((weak.status, weak.code()), (StatusCode::BAD_REQUEST, "validation_failed"));
    assert_eq!(set(link.clone(), "a whole new password").await.status, StatusCode::NO_CONTENT);
    assert_eq!(shop.sign_in("ann@reader.test", PASSWORD).await.code(), "invalid_credentials");
    assert_eq!(shop.sign_in("ann@reader.test", "a whole new password").await.status, StatusCode::OK);
    assert_eq!(shop.refresh(&session.refresh()).await.status, StatusCode::UNAUTHORIZED);
    let again = set(link.clone(), "yet another password").await;
    assert_eq!((again.status, &again.body["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("/token")));
    for token in [link, String::new(), "x".to_owned()] {
        let answer = check(token).await;
        let field = &answer.body["errors"][0]["field"];
        assert_eq!((answer.status, field), (StatusCode::BAD_REQUEST, &json!("/token")));
    }
}

async fn links_for_a_new_password_age_are_few_and_go_with_a_new_one(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    shop.register("ann@reader.test").await;
    // All at once: none may count before the others have written.
    let ask = || shop.post("/identity/password-reset", json!({"email": "ann@reader.test"}));
    let asked = futures::future::join_all(std::iter::repeat_with(ask).take(12)).await;
    assert!(asked.iter().all(|answer| answer.status == StatusCode::ACCEPTED));
    let mailed = links(&shop).await;
    assert_eq!(mailed.len(), 3, "more mails than an account may get in an hour");
    let confirm = async |token: &str| {
        let body = json!({"token": token, "new_password": "a whole new password"});
        shop.post("/identity/password-reset/confirm", body).await.status
    };
    assert_eq!(confirm(&mailed[2]).await, StatusCode::NO_CONTENT);
    assert_eq!(confirm(&mailed[0]).await, StatusCode::BAD_REQUEST, "an older link outlived the new password");

    shop.post("/identity/password-reset", json!({"email": "ann@reader.test"})).await;
    let link = links(&shop).await.pop().unwrap();
    shop.clock.advance(61 * MINUTE);
    let late = shop.post("/identity/password-reset/check", json!({"token": link})).await;
    assert_eq!(late.status, StatusCode::BAD_REQUEST, "the page can say so at once");
    assert_eq!(confirm(&link).await, StatusCode::BAD_REQUEST);
    assert!(shop.service.tidy().await.unwrap() > 0);
    for nonsense in ["", "x", "' OR 1=1 --"] {
        assert_eq!(confirm(nonsense).await, StatusCode::BAD_REQUEST);
    }
}

async fn a_changed_password_ends_links_and_sessions(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    shop.register("ann@reader.test").await;
    let elsewhere = shop.sign_in("ann@reader.test", PASSWORD).await;
    let here = shop.sign_in("ann@reader.test", PASSWORD).await;
    shop.post("/identity/password-reset", json!({"email": "ann@reader.test"})).await;
    let link = links(&shop).await.pop().unwrap();
    let body = json!({"current_password": PASSWORD, "new_password": "a whole new password"});
    let changed =
        shop.ask(Method::POST, "/identity/me/password", &[("authorization", &here.bearer())], Some(body)).await;
    assert_eq!(changed.status, StatusCode::OK, "{changed:?}");
    let body = json!({"token": link, "new_password": "the thief's password"});
    let late = shop.post("/identity/password-reset/confirm", body).await;
    assert_eq!((late.status, &late.body["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("/token")));
    for old in [&elsewhere, &here] {
        assert_eq!(shop.refresh(&old.refresh()).await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(shop.refresh(&changed.refresh()).await.status, StatusCode::OK);
}

async fn an_address_is_its_owners_once_the_link_was_followed(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    let made = shop.register("ann@reader.test").await;
    assert_eq!(made.body["email_confirmed"], json!(false));
    assert_eq!(shop.mails.asked.lock().unwrap()[0].kind, "confirm_email");
    let link = confirmations(&shop).await.pop().unwrap();
    let signed = shop.sign_in("ann@reader.test", PASSWORD).await;
    let confirm = async |token: &str| shop.post("/identity/confirm-email", json!({"token": token})).await;
    for wrong in ["", "x", &"A".repeat(43)] {
        let refused = confirm(wrong).await;
        assert_eq!((refused.status, &refused.body["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("/token")));
    }
    assert_eq!(confirm(&link).await.status, StatusCode::NO_CONTENT);
    assert_eq!(confirm(&link).await.status, StatusCode::NO_CONTENT, "again changes nothing");
    assert_eq!(shop.get("/identity/me", &signed.bearer()).await.body["email_confirmed"], json!(true));
    let claims = shop.verifier.verify(&shop.refresh(&signed.refresh()).await.string("access_token")).unwrap();
    assert!(claims.email_confirmed, "the next token says so");
    assert_eq!(shop.count("SELECT COUNT(*) FROM outbox WHERE envelope LIKE '%EmailConfirmed.v1%'").await, 1);
}

async fn a_link_for_the_address_ages_and_comes_again_within_limits(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    shop.register("ann@reader.test").await;
    let old = confirmations(&shop).await.pop().unwrap();
    shop.clock.advance(49 * 60 * MINUTE);
    let body = json!({"token": old});
    assert_eq!(shop.post("/identity/confirm-email", body).await.status, StatusCode::BAD_REQUEST);
    let signed = shop.sign_in("ann@reader.test", PASSWORD).await.bearer();
    let again =
        async || shop.ask(Method::POST, "/identity/me/confirm-email", &[("authorization", &signed)], None).await;
    assert_eq!(again().await.status, StatusCode::ACCEPTED);
    let link = confirmations(&shop).await.pop().unwrap();
    assert_ne!(link, old);
    *shop.mails.refuses.lock().unwrap() = Some("recipient");
    let refused = again().await;
    assert_eq!((refused.status, refused.code()), (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"));
    assert_eq!(refused.headers["retry-after"], "600");
    // An account is made all the same when its mailbox has got enough; not when its client has.
    assert_eq!(shop.register("ben@reader.test").await.status, StatusCode::CREATED);
    *shop.mails.refuses.lock().unwrap() = Some("sender");
    let refused = shop.register("cas@reader.test").await;
    assert_eq!((refused.status, refused.code()), (StatusCode::TOO_MANY_REQUESTS, "too_many_requests"));
    assert_eq!(shop.sign_in("cas@reader.test", PASSWORD).await.code(), "invalid_credentials", "none was made");
    assert_eq!(confirmations(&shop).await.last(), Some(&link), "no mail without leave");
}

async fn the_owner_of_an_address_takes_an_account_back(home: &TestDatabases) {
    let shop = Shop::open(home).await;
    shop.register("victim@reader.test").await;
    let stranger = shop.sign_in("victim@reader.test", PASSWORD).await;
    shop.post("/identity/password-reset", json!({"email": "victim@reader.test"})).await;
    let link = links(&shop).await.pop().unwrap();
    let body = json!({"token": link, "new_password": "the owner's password"});
    assert_eq!(shop.post("/identity/password-reset/confirm", body).await.status, StatusCode::NO_CONTENT);
    assert_eq!(shop.refresh(&stranger.refresh()).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(shop.sign_in("victim@reader.test", PASSWORD).await.code(), "invalid_credentials");
    let owner = shop.sign_in("victim@reader.test", "the owner's password").await;
    assert_eq!(shop.get("/identity/me", &owner.bearer()).await.body["email_confirmed"], json!(true));
}
