//! One basket becomes one order: with two keys, in two windows, and while the bank still asks.

use std::collections::{BTreeMap, HashMap};

use bookworm_contracts::rest::{
    Page as Batch,
    finance::{Payment, ReconciliationReport},
    ordering::{Order, OrderStatus, PaymentStatus},
};
use bookworm_kernel::OrderId;
use bookworm_testkit::{Browser, Database, Page, Purchase, Response, TestShop, on_every_database, until};
use futures::{StreamExt, future::join_all, stream};
use http::StatusCode;
use serde_json::json;
use uuid::Uuid;

fn another(purchase: &Purchase, token: &str) -> Purchase {
    let mut other = Purchase { key: Uuid::new_v4().to_string(), ..purchase.clone() };
    other.body["payment"]["token"] = json!(token);
    other
}

/// Checks out as a good client does: what passes is asked again, with the same key.
async fn patiently(shop: &TestShop, purchase: &Purchase) -> Response {
    until("there is a definite answer", || async {
        let answer = shop.check_out(purchase).await;
        let passing = answer.status == StatusCode::SERVICE_UNAVAILABLE
            || answer.status == StatusCode::ACCEPTED
            || answer.is_problem("request_in_progress")
            || answer.is_problem("concurrent_change");
        Some(answer).filter(|_| !passing)
    })
    .await
}

async fn all<T: serde::de::DeserializeOwned>(shop: &TestShop, path: &str) -> Vec<T> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    loop {
        let page: Batch<T> = shop
            .get(&format!("{path}?limit=100{cursor}"))
            .bearer(shop.admin())
            .send()
            .await
            .expect(StatusCode::OK)
            .read();
        items.extend(page.items);
        match page.next {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

/// What was captured for each order, once no payment is under way any more. None was given back.
async fn captured(shop: &TestShop) -> HashMap<OrderId, i64> {
    let payments = until("every payment has come to its end", || async {
        let payments: Vec<Payment> = all(shop, "/api/v1/admin/payments").await;
        let ended = payments.iter().all(|payment| {
            use PaymentStatus::{Captured, Declined, Voided};
            matches!(payment.status, Captured | Declined | Voided)
        });
        Some(payments).filter(|_| ended)
    })
    .await;
    assert!(payments.iter().all(|payment| payment.refunded.amount == 0), "{payments:?}");
    let captured = payments.iter().filter(|payment| payment.captured.amount > 0);
    captured.map(|payment| (payment.order_id, payment.captured.amount)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_baskets_checked_out_twice_at_once_are_two_hundred_orders() {
    on_every_database(|database| async move {
        // So many at once want more connections than a shop has by default.
        let mut shop = TestShop::start_with(database, &[("database.max_connections", "480")]).await;
        let book = shop.book("Bought Once", 1500, 1000).await;
        let one = [(book.id, 2)];
        let purchases: Vec<_> =
            stream::iter(0..200).map(|_| shop.purchase(&one, "tok_approve")).buffered(8).collect().await;
        let seconds: Vec<_> = purchases.iter().map(|purchase| another(purchase, "tok_approve")).collect();
        let answers = join_all(purchases.iter().zip(&seconds).map(|(first, second)| {
            let shop = &shop;
            async move { tokio::join!(patiently(shop, first), patiently(shop, second)) }
        }))
        .await;
        for (first, second) in &answers {
            let (bought, refused) = if first.status == StatusCode::CREATED { (first, second) } else { (second, first) };
            assert_eq!(bought.status, StatusCode::CREATED, "{} {}", first.body, second.body);
            if refused.is_problem("order_in_progress") {
                assert_eq!(refused.body["order_id"], bought.body["id"], "it says which order has the basket");
            } else {
                assert!(refused.is_problem("basket_empty"), "{} {}", bought.body, refused.body);
            }
        }
        let orders: Vec<Order> = all(&shop, "/api/v1/orders").await;
        assert_eq!(orders.len(), 200);
        assert!(orders.iter().all(|order| order.status == OrderStatus::Confirmed));
        assert_eq!(shop.stock(book.id).await, (1000, 400, 600));
        let captured = captured(&shop).await;
        assert!(captured.len() == 200 && captured.values().all(|amount| *amount == orders[0].total.amount));
        shop.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beginning_again_while_the_bank_says_yes_is_paid_once() {
    on_every_database(|database| async move {
        let mut shop = TestShop::start(database).await;
        let book = shop.book("Paid Once", 1500, 1000).await;
        let mut expected = BTreeMap::new();
        for round in 0..12 {
            let first = shop.purchase(&[(book.id, 1)], "tok_challenge").await;
            let asked = shop.check_out(&first).await.expect(StatusCode::PAYMENT_REQUIRED).body;
            let text = |name: &str| asked[name].as_str().unwrap().to_owned();
            let (id, key, challenge) = (text("order_id"), text("access_key"), text("action_url"));
            let second = another(&first, "tok_approve");
            let refused = shop.check_out(&second).await.expect(StatusCode::CONFLICT);
            assert!(refused.is_problem("order_in_progress"), "{}", refused.body);
            assert_eq!((&refused.body["order_id"], &refused.body["action_url"]), (&json!(id), &json!(challenge)));

            let secret = shop.browser().get(&challenge).await.hidden("secret");
            let approve = async {
                tokio::time::sleep(std::time::Duration::from_millis(round)).await;
                form(&shop, &challenge, &[("secret", &secret), ("decision", "approve")]).await
            };
            let again = async {
                let cancel = shop.post(&format!("/api/v1/orders/{id}/cancel?key={key}"));
                let cancelled = cancel.json(&json!({"only_unconfirmed": true})).send().await;
                (cancelled, patiently(&shop, &second).await)
            };
            let (_, (cancelled, second)) = tokio::join!(approve, again);
            if cancelled.status == StatusCode::OK {
                let second: Order = second.expect(StatusCode::CREATED).read();
                expected.insert(second.id, second.total.amount);
            } else {
                assert!(cancelled.is_problem("invalid_order_state"), "{}", cancelled.body);
                assert!(second.is_problem("order_in_progress") || second.is_problem("basket_empty"));
                let first: Order = until("the first is confirmed", || async {
                    Some(shop.order(&id).await).filter(|order| order.status == OrderStatus::Confirmed)
                })
                .await;
                expected.insert(first.id, first.total.amount);
            }
            // A late yes of the bank, to an order that was called off, changes nothing.
            let _ = form(&shop, &challenge, &[("secret", &secret), ("decision", "approve")]).await;
        }
        assert_eq!(captured(&shop).await.into_iter().collect::<BTreeMap<_, _>>(), expected);
        let path = "/api/v1/admin/reconciliation";
        let report: ReconciliationReport = shop.get(path).bearer(shop.admin()).send().await.read();
        assert_eq!(report.differences, []);
        shop.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_declined_at_the_bank_gives_the_basket_back() {
    let mut shop = TestShop::start(Database::Sqlite).await;
    let book = shop.book("Not Bought", 1500, 10).await;
    let first = shop.purchase(&[(book.id, 1)], "tok_challenge").await;
    let asked = shop.check_out(&first).await.expect(StatusCode::PAYMENT_REQUIRED).body;
    let challenge = asked["action_url"].as_str().unwrap().to_owned();
    let secret = shop.browser().get(&challenge).await.hidden("secret");
    let _ = form(&shop, &challenge, &[("secret", &secret), ("decision", "decline")]).await;
    until("the basket is free", || async { shop.basket(&first.basket).await.order_under_way.is_none().then_some(()) })
        .await;
    assert_eq!(shop.basket(&first.basket).await.items.len(), 1, "what was not bought is still there");
    let bought = shop.check_out(&another(&first, "tok_approve")).await.expect(StatusCode::CREATED);
    assert_eq!(captured(&shop).await.into_keys().collect::<Vec<_>>(), [bought.read::<Order>().id]);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_in_does_not_free_what_a_guest_is_ordering() {
    let mut shop = TestShop::start(Database::Sqlite).await;
    let book = shop.book("Ordered as a Guest", 1500, 10).await;
    let first = shop.purchase(&[(book.id, 1)], "tok_challenge").await;
    let asked = shop.check_out(&first).await.expect(StatusCode::PAYMENT_REQUIRED).body;
    let token = shop.customer("ann@reader.test").await;
    let _ = shop.get("/api/v1/basket").bearer(&token).header("basket-token", &first.basket).send().await;

    let key = Uuid::new_v4().to_string();
    let checkout = || {
        let request = shop.post("/api/v1/orders/checkout").bearer(&token).header("idempotency-key", &key);
        request.json(&another(&first, "tok_approve").body).send()
    };
    let refused = checkout().await.expect(StatusCode::CONFLICT);
    assert!(refused.is_problem("order_in_progress"), "{}", refused.body);
    assert_eq!(refused.body["order_id"], asked["order_id"]);
    // The account did not place it, so it comes with the key that the guest has.
    let shown = shop.get("/api/v1/orders/under-way").bearer(&token).send().await.expect(StatusCode::OK).body;
    assert_eq!(shown["access_key"], asked["access_key"]);
    let path = refused.header("location").unwrap().to_owned();
    let _ = shop.get(&path).send().await.expect(StatusCode::OK);
    // Nobody else learns of it.
    let stranger = shop.customer("eve@reader.test").await;
    let unknown = shop.get("/api/v1/orders/under-way").bearer(&stranger).send().await;
    assert!(unknown.is_problem("not_found"));

    let cancel = path.replace("?key", "/cancel?key");
    let _ = shop.post(&cancel).json(&json!({"only_unconfirmed": true})).send().await.expect(StatusCode::OK);
    let bought: Order = checkout().await.expect(StatusCode::CREATED).read();
    assert_eq!(captured(&shop).await.into_keys().collect::<Vec<_>>(), [bought.id]);
    shop.stop().await;
}

// --- in the browser's windows --------------------------------------------------------------------------------------

/// The checkout as it is once the total is known.
const CHECKOUT: &str = "/checkout?country=US&region=OR";

/// Presses "place order" in a window that shows this page; returns where it leads.
async fn order(window: &mut Browser, page: &Page, token: &str) -> String {
    let hidden =
        ["_csrf", "idempotency_key", "expected_amount", "expected_currency"].map(|name| (name, page.hidden(name)));
    let typed = [
        ("email", "ann@reader.test"),
        ("name", "Ann Reader"),
        ("line1", "1 Main Street"),
        ("city", "Portland"),
        ("region", "OR"),
        ("postal_code", "97201"),
        ("country", "US"),
        ("shipping_method", "standard"),
        ("payment_token", token),
        ("action", "place"),
    ];
    let fields: Vec<_> = hidden.iter().map(|(name, value)| (*name, value.as_str())).chain(typed).collect();
    press(window, "/checkout", &fields).await
}

/// Presses the button of a form; returns where it leads.
async fn press(window: &mut Browser, path: &str, fields: &[(&str, &str)]) -> String {
    let page = window.submit(path, fields).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{path}: {}", page.body);
    page.location().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_windows_with_the_checkout_open_place_one_order() {
    on_every_database(|database| async move {
        let mut shop = TestShop::start(database).await;
        let book = shop.book("In Two Windows", 1500, 10).await;
        for (round, at_once) in [true, false, true].into_iter().enumerate() {
            let basket = shop.purchase(&[(book.id, 1)], "").await.basket;
            let mut window = shop.browser().with_cookie("basket_token", basket);
            let (one, two) = (window.get(CHECKOUT).await, window.get(CHECKOUT).await);
            assert_ne!(one.hidden("idempotency_key"), two.hidden("idempotency_key"));
            let mut other = window.clone();
            let (first, second) = if at_once {
                tokio::join!(order(&mut window, &one, "tok_approve"), order(&mut other, &two, "tok_approve"))
            } else {
                (order(&mut window, &one, "tok_approve").await, order(&mut other, &two, "tok_approve").await)
            };
            // Both windows end at the one order, or the slower one at the basket, which is empty.
            let places: Vec<_> = [&first, &second].into_iter().filter(|place| place.starts_with("/orders/")).collect();
            assert!(!places.is_empty() && places.iter().all(|place| *place == places[0]), "{first} {second}");
            assert!([&first, &second].iter().all(|place| *place == "/basket" || place.starts_with("/orders/")));
            let orders: Vec<Order> = all(&shop, "/api/v1/orders").await;
            assert_eq!(orders.len(), round + 1, "one more order");
        }
        assert_eq!(captured(&shop).await.len(), 3);
        shop.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_waits_for_the_bank_is_shown_at_the_checkout_and_in_the_basket() {
    let mut shop = TestShop::start(Database::Sqlite).await;
    let book = shop.book("Waiting for the Bank", 1500, 10).await;
    let basket = shop.purchase(&[(book.id, 1)], "").await.basket;
    let mut browser = shop.browser().with_cookie("basket_token", basket);
    let (one, two) = (browser.get(CHECKOUT).await, browser.get(CHECKOUT).await);
    let bank = order(&mut browser, &one, "tok_challenge").await;
    assert!(bank.starts_with("/sandbox/challenge/"), "{bank}");
    // The other window does not pay as well.
    assert_eq!(order(&mut browser, &two, "tok_approve").await, "/checkout");
    for path in ["/checkout", "/basket"] {
        let page = browser.get(path).await.body;
        assert!(page.contains(&format!("href=\"{bank}\"")) && page.contains("Start again"), "{path}: {page}");
    }
    let page = browser.get("/checkout").await;
    let (csrf, first, key) = (page.hidden("_csrf"), page.hidden("order"), page.hidden("key"));
    let again = [("_csrf", csrf.as_str()), ("order", &first), ("key", &key)];
    assert_eq!(press(&mut browser, "/checkout/start-again", &again).await, "/checkout");
    let page = browser.get(CHECKOUT).await;
    let placed = order(&mut browser, &page, "tok_approve").await;
    assert!(placed.starts_with("/orders/"), "{placed}");
    // Pressing it once more, in a window that still shows it, leads to the order that was called off and changes nothing.
    assert!(press(&mut browser, "/checkout/start-again", &again).await.starts_with(&format!("/orders/{first}")));
    let captured = captured(&shop).await;
    assert_eq!(captured.len(), 1);
    assert!(captured.keys().all(|id| placed.contains(&id.to_string())), "{captured:?} {placed}");
    shop.stop().await;
}

async fn form(shop: &TestShop, path: &str, fields: &[(&str, &str)]) -> Response {
    shop.post(path).fields(fields).send().await
}
