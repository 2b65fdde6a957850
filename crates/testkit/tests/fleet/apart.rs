//! Every role in a process of its own: what customers and staff do works as in one.

use bookworm_contracts::rest::{
    Page,
    operations::Mail,
    ordering::{Order, OrderStatus, PaymentStatus},
};
use bookworm_testing::{POLL_TIMEOUT, redis_prefix, redis_url};
use bookworm_testkit::{HubClient, TestShop, ask, exchange, until};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{APART, on_postgres};

#[tokio::test]
async fn a_book_is_bought() {
    on_postgres(|server| async move {
        let mut shop = TestShop::start_apart(&server, &APART, &[]).await;
        let book = shop.book("The Dispossessed", 1299, 5).await;

        let page = shop.get(&format!("/books/{}", book.id)).send().await.expect(StatusCode::OK);
        assert!(page.text().contains("The Dispossessed"), "web asks the API through the gateway");
        let found = async || {
            let found = shop.get("/api/v1/search?q=dispossessed").send().await.expect(StatusCode::OK).text();
            found.contains("\"The Dispossessed\"").then_some(())
        };
        until("the search finds it", found).await;

        let order = shop.buy(&[(book.id, 2)]).await;
        assert_eq!(order.status, OrderStatus::Confirmed);
        until("the payment is captured", async || {
            let order: Order = shop.order(order.id).await;
            (order.payment.status == PaymentStatus::Captured).then_some(())
        })
        .await;
        assert_eq!(shop.stock(book.id).await, (5, 2, 3), "two are reserved until they are sent");
        until("the mail is there", async || {
            let mails = shop.get("/api/v1/admin/mail").bearer(shop.admin()).send().await.expect(StatusCode::OK);
            let mails: Page<Mail> = mails.read();
            mails.items.iter().any(|mail| mail.subject.contains(&order.number.to_string())).then_some(())
        })
        .await;
        shop.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_account_signs_in_and_has_its_basket() {
    on_postgres(|server| async move {
        let mut shop = TestShop::start_apart(&server, &APART, &[]).await;
        let book = shop.book("The Lathe of Heaven", 999, 5).await;
        let token = shop.customer("ann@reader.test").await;
        let add = json!({"book_id": book.id, "quantity": 1});
        let _ = shop.post("/api/v1/basket/items").bearer(&token).json(&add).send().await.expect(StatusCode::OK);
        let basket = shop.get("/api/v1/basket").bearer(&token).send().await.expect(StatusCode::OK).body;
        assert_eq!(basket["items"].as_array().map(Vec::len), Some(1), "{basket}");
        for (token, status) in [(token.as_str(), 403), ("forged", 401)] {
            let answer = shop.get("/api/v1/admin/mail").bearer(token).send().await;
            assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
        }
        shop.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_api_and_its_document_are_those_of_one_process() {
    on_postgres(|server| async move {
        let mut shop = TestShop::start_apart(&server, &APART, &[]).await;
        let document = shop.get("/api/v1/openapi.json").send().await.expect(StatusCode::OK).body;
        let whole: Value = serde_json::from_str(include_str!("../../../../docs/openapi.json")).unwrap();
        for (name, part) in whole.as_object().unwrap() {
            assert_eq!(&document[name], part, "{name}");
        }
        for (method, path, status) in [
            (Method::GET, "/api/v1/nothing", StatusCode::NOT_FOUND),
            (Method::DELETE, "/api/v1/search", StatusCode::METHOD_NOT_ALLOWED),
            (Method::GET, "/nothing/at/all", StatusCode::NOT_FOUND),
            (Method::GET, "/.well-known/jwks.json", StatusCode::OK),
            (Method::GET, "/sandbox/style.css", StatusCode::OK),
            (Method::GET, "/metrics", StatusCode::NOT_FOUND),
        ] {
            assert_eq!(shop.request(method.clone(), path).send().await.status, status, "{method} {path}");
        }
        let (_, metrics) = ask(shop.others()[0].operations.unwrap(), "/metrics").await.unwrap();
        assert!(metrics.contains("http_requests_total"), "operators read them elsewhere");
        shop.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_role_that_is_gone_is_said_and_the_rest_goes_on() {
    on_postgres(|server| async move {
        let mut shop = TestShop::start_apart(&server, &APART, &[]).await;
        let book = shop.book("The Word for World Is Forest", 999, 5).await;
        let place = APART.iter().filter(|role| **role != "gateway").position(|role| *role == "finance").unwrap();
        shop.others().remove(place).stop().await;
        let answer = shop.get("/api/v1/payment-methods").send().await;
        assert!(answer.is_problem("unavailable"), "{:?}", answer.body);
        assert_eq!(answer.header("retry-after"), Some("2"));
        let _ = shop.get(&format!("/api/v1/books/{}", book.id)).send().await.expect(StatusCode::OK);
        shop.stop().await;
    })
    .await;
}

/// With two instances a connection stays with the one that negotiated it, and a WebSocket that skips negotiation is
/// taken by either.
#[tokio::test]
async fn a_customer_talks_to_the_bot_whichever_instance_it_is() {
    on_postgres(|server| async move {
        let two = [&APART[..], &["chat"]].concat();
        let mut shop = TestShop::start_apart(&server, &two, &[]).await;
        let address = shop.listen();
        for _ in 0..4 {
            let mut hub = HubClient::connect(address, "/hubs/chat", None).await.unwrap();
            let started = hub.invoke("StartConversation", &[json!({"name": "Ann"})]).await;
            assert!(started.is_ok(), "{started:?}");
            hub.close().await;

            let negotiated = post(address, "/hubs/chat/negotiate?negotiateVersion=1", "").await;
            let token = negotiated["connectionToken"].as_str().unwrap().to_owned();
            assert!(token.contains('.'), "{token}");
            let id = format!("/hubs/chat?id={token}");
            assert_eq!(ask(address, &id).await.unwrap().0, StatusCode::OK, "the first poll");
            let hello = "{\"protocol\":\"json\",\"version\":1}\u{1e}";
            post(address, &id, hello).await;
            let (status, answer) = ask(address, &id).await.unwrap();
            assert_eq!((status, answer.contains("{}")), (StatusCode::OK, true), "{answer}");
        }
        shop.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_customer_and_an_agent_meet_whichever_instances_they_are_connected_to() {
    let Some(redis) = redis_url() else { return };
    let prefix = redis_prefix();
    on_postgres(|server| async move {
        let two = [&APART[..], &["chat"]].concat();
        let settings = [("redis.url", &*redis), ("redis.prefix", &*prefix)];
        let mut shop = TestShop::start_apart(&server, &two, &settings).await;
        let address = shop.listen();
        // Connections go to the instances in turn: of two customers one is connected to another than the agent.
        let mut customers = Vec::new();
        for _ in 0..2 {
            let mut customer = HubClient::connect(address, "/hubs/chat", None).await.unwrap();
            let started = customer.invoke("StartConversation", &[json!({"name": "Ann"})]).await.unwrap();
            let id = started["conversation"]["id"].clone();
            let _ = customer.invoke("AskForPerson", &[json!({"conversation_id": id})]).await.unwrap();
            customers.push((customer, id));
        }
        let mut agent = HubClient::connect(address, "/hubs/chat", Some(shop.admin())).await.unwrap();
        let _ = agent.invoke("SetAvailability", &[json!({"status": "away"})]).await.unwrap();
        for (customer, id) in &mut customers {
            let _ = agent.invoke("Accept", &[json!({"conversation_id": id})]).await.unwrap();
            let text = json!({"conversation_id": id, "client_message_id": Uuid::new_v4(), "text": "Hello, I am here."});
            let _ = agent.invoke("SendMessage", &[text]).await.unwrap();
            let said =
                customer.event_like("message", POLL_TIMEOUT, |message| message["author"] == "agent").await.unwrap();
            assert_eq!(said.unwrap()["text"], "Hello, I am here.");
        }
        shop.stop().await;
    })
    .await;
}

/// `POST`, and its JSON, if it has one.
async fn post(address: std::net::SocketAddr, path: &str, body: &str) -> Value {
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}", body.len());
    let answer = exchange(address, format!("{head}\r\n\r\n{body}").as_bytes()).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_default()
}
