//! A book is bought, end to end.

use bookworm_contracts::rest::{
    Page,
    finance::{LedgerBalance, Payment, ReconciliationReport},
    identity::TokenResponse,
    operations::{DeadLetter, Mail},
    ordering::{Order, OrderEvent, OrderStatus, PaymentStatus},
};
use bookworm_testkit::{TestShop, on_every_database, until};
use http::StatusCode;
use serde_json::json;

/// Waits until the order's money is where it belongs.
async fn captured(shop: &TestShop, order: &Order) -> Order {
    until("the payment is captured", || async {
        Some(shop.order(order.id).await).filter(|order| order.payment.status == PaymentStatus::Captured)
    })
    .await
}

#[tokio::test]
async fn a_guest_buys_and_everybody_hears_of_it() {
    on_every_database(|database| async move {
        let mut shop = TestShop::start(database).await;
        let (dispossessed, lathe) =
            (shop.book("The Dispossessed", 1299, 5).await, shop.book("The Lathe of Heaven", 999, 5).await);
        let purchase = shop.purchase(&[(dispossessed.id, 2), (lathe.id, 1)], "tok_approve").await;
        let answer = shop.check_out(&purchase).await.expect(StatusCode::CREATED);
        let order: Order = answer.read();

        let location = answer.header("location").expect("a new order has an address");
        assert!(location.starts_with(&format!("/api/v1/orders/{}", order.id)), "{location}");
        assert_eq!(order.status, OrderStatus::Confirmed);
        assert_eq!(order.subtotal.amount, 2 * 1299 + 999);
        let tax = if order.tax_included { 0 } else { order.tax.amount };
        assert_eq!(order.total.amount, order.subtotal.amount + order.shipping.amount + tax - order.discount.amount);

        // Stock is held, the basket is cleared, the mail is written, the money is taken.
        assert_eq!(shop.stock(dispossessed.id).await, (5, 2, 3));
        until("the basket is empty", || async { shop.basket(&purchase.basket).await.items.is_empty().then_some(()) })
            .await;
        let mail = until("the mail is there", || async {
            let mails: Page<Mail> = shop.get("/api/v1/admin/mail").bearer(shop.admin()).send().await.read();
            mails.items.into_iter().find(|mail| mail.kind == "order_confirmed")
        })
        .await;
        assert!(mail.text.contains(&order.number) && mail.text.contains("The Dispossessed"), "{}", mail.text);
        let order = captured(&shop, &order).await;
        let payment: Payment =
            shop.get(&format!("/api/v1/admin/payments/{}", order.id)).bearer(shop.admin()).send().await.read();
        assert_eq!(payment.captured, order.total);

        // The guest's secret opens the order; without it there is none.
        let key = answer.body["access_key"].as_str().map(str::to_owned).expect("a guest gets the secret");
        let path = format!("/api/v1/orders/{}", order.id);
        assert_eq!(shop.get(&format!("{path}?key={key}")).send().await.status, StatusCode::OK);
        assert_eq!(shop.get(&path).send().await.status, StatusCode::NOT_FOUND);
        assert_eq!(shop.get(&format!("{path}?key=wrong")).send().await.status, StatusCode::NOT_FOUND);

        // Its history is whole, and it can be seen as it was.
        let history = shop.get(&format!("{path}/events")).bearer(shop.admin()).send().await.body;
        let events: Vec<OrderEvent> = serde_json::from_value(history["items"].clone()).unwrap();
        assert!(events.iter().enumerate().all(|(index, event)| event.version == index as u64 + 1));
        let first = &events[0];
        let then: Order = shop
            .get(&format!("{path}?as_of={}", first.at))
            .bearer(shop.admin())
            .send()
            .await
            .expect(StatusCode::OK)
            .read();
        assert_eq!((then.status, then.version), (OrderStatus::Pending, 1));

        // The books agree.
        let balances: Page<LedgerBalance> = shop.get("/api/v1/admin/ledger").bearer(shop.admin()).send().await.read();
        assert_eq!(balances.items.iter().map(|account| account.balance.amount).sum::<i64>(), 0);
        assert!(balances.items.iter().any(|account| account.balance.amount == order.total.amount));
        let report: ReconciliationReport =
            shop.get("/api/v1/admin/reconciliation").bearer(shop.admin()).send().await.read();
        assert_eq!(report.differences, []);

        // And it is all still there after a restart.
        shop.restart().await;
        assert_eq!(shop.order(order.id).await, order);
        shop.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_same_key_is_one_order() {
    on_every_database(|database| async move {
        let mut shop = TestShop::start(database).await;
        let book = shop.book("Always Coming Home", 1999, 5).await;
        let mut purchase = shop.purchase(&[(book.id, 1)], "tok_approve").await;
        let (one, two) = tokio::join!(shop.check_out(&purchase), shop.check_out(&purchase));
        let again = shop.check_out(&purchase).await;
        let ids: Vec<_> = [&one, &two, &again].iter().map(|answer| answer.body["id"].clone()).collect();
        assert!(ids[0].is_string() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(shop.stock(book.id).await, (5, 1, 4));

        purchase.body["shipping_address"]["city"] = json!("Salem");
        let other = shop.check_out(&purchase).await;
        assert!(other.is_problem("idempotency_key_reused"), "{:?}", other.body);
        shop.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_declined_card_leaves_nothing_behind() {
    on_every_database(|database| async move {
        let mut shop = TestShop::start(database).await;
        let book = shop.book("The Word for World Is Forest", 799, 3).await;
        let purchase = shop.purchase(&[(book.id, 3)], "tok_decline").await;
        let declined = shop.check_out(&purchase).await;
        assert_eq!(declined.status, StatusCode::PAYMENT_REQUIRED);
        assert!(declined.is_problem("payment_declined"), "{:?}", declined.body);
        until("the copies are for sale again", || async { (shop.stock(book.id).await == (3, 0, 3)).then_some(()) })
            .await;
        // What was not bought stays in the basket.
        assert_eq!(shop.basket(&purchase.basket).await.items.len(), 1);
        // The same key gets the same answer; a new one with another card buys.
        assert!(shop.check_out(&purchase).await.is_problem("payment_declined"));
        let mut retry = purchase.clone();
        retry.key = uuid::Uuid::new_v4().to_string();
        retry.body["payment"]["token"] = json!("tok_approve");
        assert_eq!(shop.check_out(&retry).await.status, StatusCode::CREATED);
        shop.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_guests_basket_is_the_customers_after_signing_in() {
    let mut shop = TestShop::start(bookworm_testkit::Database::Sqlite).await;
    let (one, two) = (shop.book("Rocannon's World", 500, 9).await, shop.book("City of Illusions", 600, 9).await);
    let token = shop.customer("ann@reader.test").await;
    let add = json!({"book_id": one.id, "quantity": 1});
    let _ = shop.post("/api/v1/basket/items").bearer(&token).json(&add).send().await.expect(StatusCode::OK);
    let guest = shop.purchase(&[(one.id, 2), (two.id, 1)], "tok_approve").await;

    let body = json!({"grant_type": "password", "email": "ann@reader.test", "password": "correct horse battery"});
    let signed_in: TokenResponse = shop
        .post("/api/v1/identity/token")
        .header("basket-token", &guest.basket)
        .json(&body)
        .send()
        .await
        .expect(StatusCode::OK)
        .read();
    let basket = shop.get("/api/v1/basket").bearer(&signed_in.access_token).send().await.body;
    let quantities: Vec<_> = basket["items"].as_array().unwrap().iter().map(|line| line["quantity"].clone()).collect();
    assert_eq!(quantities, [json!(3), json!(1)]);
    shop.stop().await;
}

#[tokio::test]
async fn staff_ship_complete_and_refund() {
    on_every_database(|database| async move {
        let mut shop = TestShop::start(database).await;
        let book = shop.book("Four Ways to Forgiveness", 1400, 4).await;
        let order = shop.buy(&[(book.id, 1)]).await;
        let order = captured(&shop, &order).await;
        let act = |verb: &str, body: serde_json::Value| {
            shop.post(&format!("/api/v1/orders/{}/{verb}", order.id))
                .bearer(shop.admin())
                .header("idempotency-key", uuid::Uuid::new_v4().to_string())
                .json(&body)
                .send()
        };
        assert!(act("complete", json!({})).await.is_problem("invalid_order_state"));
        let _ = act("ship", json!({"tracking": "1Z999"})).await.expect(StatusCode::OK);
        assert!(act("cancel", json!({})).await.is_problem("invalid_order_state"));
        let _ = act("complete", json!({})).await.expect(StatusCode::OK);
        until("the copy has left", || async { (shop.stock(book.id).await == (3, 0, 3)).then_some(()) }).await;

        let part = json!({"amount": {"amount": 400, "currency": "USD"}, "reason": "a torn page"});
        assert!(act("refund", part).await.status.is_success());
        until("a part went back", || async {
            (shop.order(order.id).await.payment.status == PaymentStatus::PartiallyRefunded).then_some(())
        })
        .await;
        let too_much = json!({"amount": {"amount": order.total.amount, "currency": "USD"}, "reason": "all of it"});
        assert!(act("refund", too_much).await.status.is_client_error());
        assert!(act("refund", json!({"reason": "the rest"})).await.status.is_success());
        until("all went back", || async { (shop.order(order.id).await.status == OrderStatus::Refunded).then_some(()) })
            .await;
        let dead: Page<DeadLetter> = shop.get("/api/v1/admin/dead-letters").bearer(shop.admin()).send().await.read();
        assert_eq!(dead.items, []);
        shop.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_cancelled_order_gives_everything_back() {
    on_every_database(|database| async move {
        let mut shop = TestShop::start(database).await;
        let book = shop.book("The Telling", 1100, 2).await;
        let order = shop.buy(&[(book.id, 2)]).await;
        let cancelled = shop
            .post(&format!("/api/v1/orders/{}/cancel", order.id))
            .bearer(shop.admin())
            .header("idempotency-key", "cancel-1")
            .json(&json!({"reason": "changed my mind"}))
            .send()
            .await
            .expect(StatusCode::OK);
        assert_eq!(cancelled.body["status"], "cancelled");
        until("the copies are for sale again", || async { (shop.stock(book.id).await == (2, 0, 2)).then_some(()) })
            .await;
        until("nothing is paid", || async {
            let status = shop.order(order.id).await.payment.status;
            matches!(status, PaymentStatus::Voided | PaymentStatus::Refunded).then_some(())
        })
        .await;
        let report: ReconciliationReport =
            shop.get("/api/v1/admin/reconciliation").bearer(shop.admin()).send().await.read();
        assert_eq!(report.differences, []);
        shop.stop().await;
    })
    .await;
}
