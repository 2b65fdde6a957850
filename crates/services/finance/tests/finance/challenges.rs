//! Payments that the customer confirms with their bank.

use super::*;

#[tokio::test]
async fn a_challenge_ends_as_the_customer_decides() {
    on_every_database(|shop| async move {
        shop.connect();
        for (decision, status, event) in
            [("approve", "authorised", "PaymentAuthorised"), ("decline", "declined", "PaymentDeclined")]
        {
            let order = shop.authorise("tok_challenge", 2500).await;
            assert_eq!(shop.published(order).await, ["PaymentActionRequired"]);
            assert_eq!(shop.status(order).await, "action_required");
            let (url, secret) = shop.challenge(order).await;
            assert_eq!(shop.decide(&url, "guessed", decision).await.0, StatusCode::FORBIDDEN);
            assert_eq!(shop.decide(&url, &secret, "maybe").await.0, StatusCode::BAD_REQUEST);
            assert_eq!(shop.status(order).await, "action_required");
            let back = Some(format!("/orders/{order}?key=secret"));
            assert_eq!(shop.decide(&url, &secret, decision).await, (StatusCode::SEE_OTHER, back.clone()));
            assert_eq!(
                shop.published(order).await,
                ["PaymentActionRequired", event],
                "the webhook came before the redirect"
            );
            assert_eq!(shop.status(order).await, status);
            // Pressing the other button afterwards changes nothing.
            let other = if decision == "approve" { "decline" } else { "approve" };
            assert_eq!(shop.decide(&url, &secret, other).await, (StatusCode::SEE_OTHER, back));
            shop.sandbox.tick().await.unwrap();
            assert_eq!(shop.status(order).await, status);
            assert_eq!(shop.published(order).await.len(), 2);
        }
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn a_challenge_that_nobody_answers_is_declined_in_the_end() {
    on_every_database(|shop| async move {
        shop.connect();
        let order = shop.authorise("tok_challenge", 2500).await;
        let (url, secret) = shop.challenge(order).await;
        shop.advance(15 * 60);
        let (_, page) = ask(&shop.web, Request::get(&url).body(Body::empty()).unwrap()).await;
        assert!(page.contains("The time to confirm this payment is over."), "{page}");
        shop.decide(&url, &secret, "approve").await;
        assert_eq!(shop.status(order).await, "action_required", "too late to approve");
        shop.sandbox.tick().await.unwrap();
        assert_eq!(shop.published(order).await, ["PaymentActionRequired", "PaymentDeclined"]);
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn the_challenge_page_is_plain_and_safe() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::open(&Databases::Sqlite(folder.path().to_owned())).await;
    let mut command = authorise(OrderId::new(), "tok_challenge", 2500);
    command.order_number = "<script>alert(1)</script>".into();
    command.return_path = "https://evil.example/".into();
    shop.send(&command).await;
    let (url, secret) = shop.challenge(command.order_id).await;
    let (_, page) =
        ask(&shop.web, Request::get(format!("{url}?return=//evil.example")).body(Body::empty()).unwrap()).await;
    assert!(!page.contains("<script"), "{page}");
    assert!(!page.contains("evil.example"), "{page}");
    for part in
        ["<html lang=\"en\">", "<main>", "<h1>Confirm your payment</h1>", "$25.00", "Approve payment", "Decline"]
    {
        assert!(page.contains(part), "{part}");
    }
    let (status, location) = shop.decide(&url, &secret, "approve").await;
    assert_eq!((status, location), (StatusCode::OK, None), "a shop elsewhere is not returned to");
    for path in ["/sandbox/challenge/nonsense", &format!("/sandbox/challenge/{}", Uuid::new_v4())] {
        assert_eq!(ask(&shop.web, Request::get(path).body(Body::empty()).unwrap()).await.0, StatusCode::NOT_FOUND);
    }
    let (status, style) = ask(&shop.web, Request::get("/sandbox/style.css").body(Body::empty()).unwrap()).await;
    assert!(status == StatusCode::OK && style.contains("prefers-color-scheme"));
}
