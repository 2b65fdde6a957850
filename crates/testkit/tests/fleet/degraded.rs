//! A role that is gone: what customers are told, and what goes on.

use std::time::{Duration, Instant};

use bookworm_contracts::rest::ordering::{Order, OrderStatus};
use bookworm_testkit::{Process, TestShop, until};
use http::StatusCode;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::{APART, on_postgres};

/// The place of this role's process among [`TestShop::others`].
fn place(role: &str) -> usize {
    APART.iter().filter(|other| **other != "gateway").position(|other| *other == role).unwrap()
}

/// Takes this role's process out of the shop.
fn remove(shop: &mut TestShop, role: &str) -> Process {
    shop.others().remove(place(role))
}

/// Stops this role's process, sees what customers notice, and starts it again.
async fn without(shop: &mut TestShop, role: &str, look: impl AsyncFnOnce(&mut TestShop)) {
    let process = remove(shop, role);
    let settings = process.settings().clone();
    process.stop().await;
    look(shop).await;
    let notes = shop.get("/health/ready").send().await.expect(StatusCode::OK).body["notes"].clone();
    let note = notes[role].as_str().unwrap_or_default().to_owned();
    assert!(note.starts_with("away: "), "{role}: {notes}");
    let process = Process::start(settings).await;
    // Where the others were in the list.
    let place = place(role);
    shop.others().insert(place, process);
    until("it is seen to be back", async || {
        // Only a request shows it.
        for path in ["/api/v1/books", "/api/v1/basket", "/api/v1/shipping-methods", "/api/v1/payment-methods"] {
            let _ = shop.get(path).send().await;
        }
        let notes = shop.get("/health/ready").send().await.body["notes"].clone();
        (notes[role] == "ok").then_some(())
    })
    .await;
}

const STALE: &str = "We can’t reach our catalogue right now.";

#[tokio::test]
async fn whichever_role_is_gone_customers_read_what_is_safe_and_the_rest_goes_on() {
    on_postgres(|server| async move {
        let mut shop = TestShop::start_apart(&server, &APART, &[]).await;
        let book = shop.book("The Dispossessed", 1299, 9).await;
        let page = format!("/books/{}", book.id);
        let mut browser = shop.browser();
        let (token, id) = (browser.get("/about").await.hidden("_csrf"), book.id.to_string());
        let fields = [("_csrf", token.as_str()), ("book_id", &id), ("quantity", "1")];
        let added = browser.send(browser.client.post("/basket/items").fields(&fields)).await;
        assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.body);
        let purchase = shop.purchase(&[(book.id, 1)], "tok_approve").await;
        for path in ["/", "/books", &page] {
            let seen = browser.get(path).await;
            assert!(seen.status == StatusCode::OK && !seen.body.contains(STALE), "{path}");
        }

        without(&mut shop, "catalog", async |_| {
            for path in ["/books", &page] {
                let seen = browser.get(path).await;
                assert!(seen.body.contains("The Dispossessed") && seen.body.contains(STALE), "{path}: {}", seen.body);
            }
            let closed = browser.get("/books?sort=title").await;
            assert_eq!(closed.status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(closed.body.contains("We can’t reach our shelves right now"), "{}", closed.body);
            assert!(browser.get("/basket").await.body.contains("The Dispossessed"));
        })
        .await;
        until("the pages are those of now", async || (!browser.get(&page).await.body.contains(STALE)).then_some(()))
            .await;

        without(&mut shop, "basket", async |_| {
            let closed = browser.get("/basket").await;
            assert_eq!(closed.status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(closed.body.contains("you can go on browsing"), "{}", closed.body);
            for path in ["/", "/books", &page] {
                assert_eq!(browser.get(path).await.status, StatusCode::OK, "{path}");
            }
        })
        .await;

        without(&mut shop, "ordering", async |_| {
            let closed = browser.get("/checkout").await;
            assert_eq!(closed.status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(closed.body.contains("We can’t take orders right now"), "{}", closed.body);
            assert!(closed.body.contains("Please come back in a few minutes"), "{}", closed.body);
            assert!(browser.get("/basket").await.body.contains("The Dispossessed"), "the basket is kept");
        })
        .await;
        assert_eq!(browser.get("/checkout").await.status, StatusCode::OK);

        let mut order = None;
        without(&mut shop, "finance", async |shop| {
            let _ = shop.get("/api/v1/payment-methods").send().await;
            let waits = shop.check_out(&purchase).await;
            assert!(waits.status == StatusCode::ACCEPTED || waits.status == StatusCode::CREATED, "{:?}", waits.body);
            order = Some(waits.read::<Order>().id);
            assert!(browser.get("/checkout").await.body.contains("We can’t take orders right now"));
        })
        .await;
        until("the order is decided", async || {
            let order: Order = shop.order(order.unwrap()).await;
            matches!(order.status, OrderStatus::Confirmed | OrderStatus::Rejected).then_some(())
        })
        .await;
        shop.stop().await;
    })
    .await;
}

#[tokio::test]
async fn without_notification_people_buy_and_their_mail_comes_later() {
    on_postgres(|server| async move {
        let mut shop = TestShop::start_apart(&server, &APART, &[]).await;
        let book = shop.book("The Dispossessed", 1299, 9).await;
        let process = remove(&mut shop, "notification");
        let settings = process.settings().clone();
        process.stop().await;
        let order = shop.buy(&[(book.id, 1)]).await;
        assert_eq!(order.status, OrderStatus::Confirmed);
        let process = Process::start(settings).await;
        shop.others().push(process);
        until("the mail is there", async || {
            let mails: Value = shop.get("/api/v1/admin/mail").bearer(shop.admin()).send().await.body;
            mails.to_string().contains(&order.number).then_some(())
        })
        .await;
        shop.stop().await;
    })
    .await;
}

#[tokio::test]
async fn without_the_chat_a_message_waits_and_becomes_a_conversation() {
    on_postgres(|server| async move {
        let mut shop = TestShop::start_apart(&server, &APART, &[]).await;
        let chat = remove(&mut shop, "chat");
        let settings = chat.settings().clone();
        chat.stop().await;

        let mut browser = shop.browser();
        let page = browser.get("/contact").await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        let token = page.hidden("_csrf");
        let fields = [("_csrf", token.as_str()), ("email", "ann@reader.test"), ("text", "Where is my parcel?")];
        let sent = browser.send(browser.client.post("/contact").fields(&fields)).await;
        assert_eq!(sent.location(), "/contact", "{}", sent.body);
        assert!(browser.get("/contact").await.body.contains("We’ve got your message"));

        let chat = Process::start(settings).await;
        shop.others().push(chat);
        let queued = until("it is a conversation", async || {
            let path = "/api/v1/conversations?status=queued";
            let list: Value = shop.get(path).bearer(shop.admin()).send().await.body;
            list["items"].as_array().and_then(|items| items.first().cloned())
        })
        .await;
        assert_eq!(
            (&queued["customer_name"], &queued["preview"]),
            (&"Guest".into(), &"Where is my parcel?".into()),
            "{queued}"
        );
        shop.stop().await;
    })
    .await;
}

/// An address that accepts connections and never answers.
async fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut accepted = Vec::new();
        while let Ok((socket, _)) = listener.accept().await {
            accepted.push(socket);
        }
    });
    address
}

/// Calls by gRPC have a test of their own, in `contracts`.
#[tokio::test]
async fn nobody_waits_longer_than_the_gateway_allows_for_a_role_that_never_answers() {
    on_postgres(|server| async move {
        let silent = silent().await;
        let roles = ["finance", "ordering", "rating", "chat", "web"];
        let keys = roles.map(|role| format!("fleet.endpoints.{role}"));
        let mut changes: Vec<(&str, &str)> = keys.iter().map(|key| (&**key, &*silent)).collect();
        changes.push(("gateway.request_timeout_seconds", "1"));
        let here = ["gateway,identity,basket,notification,catalog"];
        let mut shop = TestShop::start_apart(&server, &here, &changes).await;
        let book = shop.book("The Dispossessed", 1299, 5).await;
        let reviews = format!("/api/v1/books/{}/reviews", book.id);
        for path in ["/api/v1/payment-methods", "/api/v1/shipping-methods", &reviews, "/api/v1/chat/policies", "/about"]
        {
            let began = Instant::now();
            let answer = shop.get(path).send().await;
            assert!(answer.is_problem("timeout"), "{path}: {} {}", answer.status, answer.body);
            // One second, and what a busy machine adds.
            assert!(began.elapsed() < Duration::from_secs(10), "{path}: {:?}", began.elapsed());
        }
        let _ = shop.get(&format!("/api/v1/books/{}", book.id)).send().await.expect(StatusCode::OK);
        shop.stop().await;
    })
    .await;
}
