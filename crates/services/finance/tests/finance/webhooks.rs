//! What a provider reports on its own.

use super::*;

#[tokio::test]
async fn webhooks_are_believed_only_with_a_good_signature() {
    on_every_database(|shop| async move {
        let order = shop.authorise("tok_challenge", 100).await;
        let payment = shop.payment_id(order).await;
        let body = webhook_body(Uuid::now_v7(), payment);
        let secret = shop.sandbox.webhook_secret().to_vec();
        let sign = |secret: &[u8], at: Timestamp, body: &str| Some(signature::sign(secret, at, body.as_bytes()));
        let now = shop.clock.now();
        let cases = [
            ("sandbox", None, body.clone(), 400, "malformed_request"),
            ("sandbox", Some("t=1".into()), body.clone(), 400, "malformed_request"),
            ("sandbox", Some("t=x,v1=y".into()), body.clone(), 400, "malformed_request"),
            ("sandbox", sign(b"guessed", now, &body), body.clone(), 401, "invalid_token"),
            ("sandbox", sign(&secret, now.minus(Duration::from_secs(301)), &body), body.clone(), 401, "invalid_token"),
            ("sandbox", sign(&secret, now, &body), body.replace("whatever", "captured"), 401, "invalid_token"),
            ("sandbox", sign(&secret, now, "{"), "{".into(), 400, "malformed_body"),
            ("sandbox", sign(&secret, now, "{}"), "{}".into(), 400, "malformed_body"),
            ("stripe", sign(&secret, now, &body), body.clone(), 404, "not_found"),
        ];
        for (provider, signature, body, status, code) in cases {
            let (answered, problem) = shop.post_webhook(provider, signature, body).await;
            assert_eq!(answered.as_u16(), status, "{problem}");
            assert_eq!(serde_json::from_str::<Value>(&problem).unwrap()["code"], code);
        }
        assert_eq!(shop.count("SELECT COUNT(*) FROM webhook_events").await, 0);
        assert_eq!(shop.webhook(Uuid::now_v7(), PaymentId::new()).await, StatusCode::NO_CONTENT, "not ours");
    })
    .await;
}

#[tokio::test]
async fn webhooks_that_repeat_or_come_late_change_nothing() {
    on_every_database(|shop| async move {
        shop.connect();
        let order = shop.authorise("tok_approve_late_webhook", 1500).await;
        let payment = shop.payment_id(order).await;
        shop.sandbox.tick().await.unwrap();
        assert_eq!(shop.line.calls("fetch"), 0, "not yet");
        shop.capture(order).await;
        for _ in 0..2 {
            shop.advance(3);
            shop.sandbox.tick().await.unwrap();
        }
        assert_eq!(shop.line.calls("fetch"), 2, "delivered twice");
        assert_eq!(shop.count("SELECT COUNT(*) FROM webhook_events").await, 1, "one event");
        let event = Uuid::now_v7();
        for _ in 0..3 {
            assert_eq!(shop.webhook(event, payment).await, StatusCode::NO_CONTENT);
        }
        assert_eq!(shop.published(order).await, ["PaymentAuthorised", "PaymentCaptured"]);
        assert_eq!(shop.balances().await["provider_clearing"], 1500);
        // A provider that cannot be asked is to send it again.
        shop.line.lose("fetch", 1);
        let event = Uuid::now_v7();
        assert_eq!(shop.webhook(event, payment).await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(shop.webhook(event, payment).await, StatusCode::NO_CONTENT);
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn webhooks_wait_until_the_shop_takes_them() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::open(&Databases::Sqlite(folder.path().to_owned())).await;
    shop.connect();
    let order = shop.authorise("tok_challenge", 100).await;
    let (url, secret) = shop.challenge(order).await;
    shop.line.lose("fetch", 2);
    shop.decide(&url, &secret, "approve").await;
    assert_eq!(shop.status(order).await, "action_required");
    shop.sandbox.tick().await.unwrap();
    assert_eq!(shop.line.calls("fetch"), 1, "not before its pause is over");
    shop.advance(2);
    shop.sandbox.tick().await.unwrap();
    shop.advance(4);
    shop.sandbox.tick().await.unwrap();
    assert_eq!(shop.published(order).await, ["PaymentActionRequired", "PaymentAuthorised"]);
}

#[tokio::test]
async fn the_webhook_secret_is_made_once_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::Sqlite(folder.path().to_owned());
    let mut secrets = Vec::new();
    for _ in 0..2 {
        let db = databases.open(SandboxProvider::NAME).await.unwrap();
        let sandbox =
            SandboxProvider::open(db, &settings::Payment::default(), Arc::new(ManualClock::at(NOW))).await.unwrap();
        secrets.push(sandbox.webhook_secret().to_vec());
        sandbox.db().close().await;
    }
    assert_eq!(secrets[0], secrets[1]);
    assert_eq!(secrets[0].len(), 64);
}
