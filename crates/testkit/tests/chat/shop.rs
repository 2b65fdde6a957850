//! The chat in a whole shop, through its door.

use bookworm_testkit::{Database, HubClient, TestShop, on_every_database, until};
use serde_json::{Value, json};

use crate::house::{Calls, PATH, only};

async fn agent(shop: &TestShop, address: std::net::SocketAddr) -> HubClient {
    HubClient::connect(address, PATH, Some(shop.admin())).await.unwrap()
}

async fn mails(shop: &TestShop, kind: &str) -> Vec<Value> {
    let path = format!("/api/v1/admin/mail?kind={kind}");
    let mails = shop.get(&path).bearer(shop.admin()).send().await.body;
    mails["items"].as_array().cloned().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_gets_an_answer_and_a_transcript_by_mail() {
    on_every_database(|database| async move {
        let mut shop = TestShop::start(database).await;
        let address = shop.listen();
        let mut guest = HubClient::connect(address, PATH, None).await.unwrap();
        let started = guest.ok("StartConversation", json!({"name": "Ann", "email": "ann@reader.test"})).await;
        let id = started["conversation"]["id"].as_str().unwrap().to_owned();
        guest.ok("AskForPerson", only(&id)).await;
        guest.say(&id, "My parcel is <b>late</b>.").await;
        guest.ok("SendTranscript", only(&id)).await;
        guest.close().await;
        let link = until("a link comes", || async { mails(&shop, "confirm_mail").await.pop() }).await;
        let text = link["text"].as_str().unwrap();
        assert!(link["to"] == "ann@reader.test" && !text.contains("Ann") && !text.contains("late"), "{link}");
        let held = until("the transcript waits", || async { mails(&shop, "chat_transcript").await.pop() }).await;
        assert_eq!(held["status"], "held");
        let token: String =
            text.split("token=").nth(1).unwrap().chars().take_while(char::is_ascii_alphanumeric).collect();
        let confirmed = shop.post("/api/v1/mail/confirm").json(&json!({"token": token})).send().await;
        assert_eq!(confirmed.status, 204);
        let transcript = until("the transcript comes", || async {
            mails(&shop, "chat_transcript").await.pop().filter(|mail| mail["status"] == "kept")
        })
        .await;
        assert_eq!(transcript["to"], "ann@reader.test");
        assert!(transcript["text"].as_str().unwrap().contains("My parcel is <b>late</b>."), "{transcript}");
        assert!(!transcript["html"].as_str().unwrap().contains("<b>late"), "{transcript}");

        let mut desk = agent(&shop, address).await;
        desk.ok("SetAvailability", json!({"status": "available"})).await;
        desk.expect("assigned", |_| true).await;
        desk.ok("Open", only(&id)).await;
        desk.say(&id, "It arrives tomorrow.").await;
        let answer = until("the answer comes by mail", || async {
            mails(&shop, "chat_answer").await.pop().filter(|mail| mail["status"] == "kept")
        })
        .await;
        assert!(answer["text"].as_str().unwrap().contains("It arrives tomorrow."), "{answer}");
        shop.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_sees_what_the_customer_ordered_and_means_to_buy() {
    let mut shop = TestShop::start(Database::Sqlite).await;
    let token = shop.customer("ann@reader.test").await;
    let (sold, wanted) = (shop.book("The Dispossessed", 1500, 5).await, shop.book("The Lathe of Heaven", 900, 5).await);
    let add = |book| json!({"book_id": book, "quantity": 2});
    let put = async |book| drop(shop.post("/api/v1/basket/items").bearer(&token).json(&add(book)).send().await);
    put(sold.id).await;
    let checkout = shop.purchase(&[(wanted.id, 1)], "tok_approve").await.body;
    let order = shop.post("/api/v1/orders/checkout").bearer(&token).header("idempotency-key", "k1").json(&checkout);
    assert_eq!(order.send().await.status, 201);
    until("the basket is empty", || async {
        let basket = shop.get("/api/v1/basket").bearer(&token).send().await.body;
        basket["items"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
    .await;
    put(wanted.id).await;

    let address = shop.listen();
    let mut customer = HubClient::connect(address, PATH, Some(&token)).await.unwrap();
    let (id, _) = customer.start().await;
    customer.ok("AskForPerson", only(&id)).await;
    let mut desk = agent(&shop, address).await;
    let context = desk.ok("Accept", only(&id)).await["context"].clone();
    assert_eq!(context["basket"], json!([{"title": "The Lathe of Heaven", "quantity": 2}]));
    assert_eq!(context["orders"][0]["titles"], json!(["The Dispossessed"]));
    assert_eq!(context["orders"][0]["status"], "confirmed");
    let over_http = shop.get(&format!("/api/v1/conversations/{id}/context")).bearer(shop.admin()).send().await.body;
    assert_eq!(over_http, context);
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_polling_outlasts_the_doors_time_limit_and_its_rate() {
    let changes = [
        ("gateway.request_timeout_seconds", "1"),
        ("gateway.rate_limit.enabled", "true"),
        ("gateway.rate_limit.burst", "5"),
    ];
    let mut shop = TestShop::start_with(Database::Sqlite, &changes).await;
    let negotiated = shop.post("/hubs/chat/negotiate?negotiateVersion=1").send().await;
    let token = negotiated.body["connectionToken"].as_str().unwrap().to_owned();
    let path = format!("/hubs/chat?id={token}");
    let poll = async || {
        let answer = shop.get(&path).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-encoding"), None);
        answer.text()
    };
    assert_eq!(poll().await, "", "the first poll only starts it");
    let send = async |text: String| shop.post(&path).body(format!("{text}\u{1e}")).send().await.status;
    assert_eq!(send("{\"protocol\":\"json\",\"version\":1}".into()).await, 200);
    assert_eq!(poll().await, "{}\u{1e}");
    let waits = async {
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        let start = json!({"type": 1, "invocationId": "1", "target": "StartConversation", "arguments": [{}]});
        assert_eq!(send(start.to_string()).await, 200);
    };
    let (answer, ()) = tokio::join!(poll(), waits);
    assert!(answer.contains("\"conversation\""), "{answer}");
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_that_stops_lets_go_of_everybody() {
    let mut shop = TestShop::start(Database::Sqlite).await;
    let address = shop.listen();
    let mut guest = HubClient::connect(address, PATH, None).await.unwrap();
    guest.start().await;
    let stopped = tokio::time::timeout(std::time::Duration::from_secs(10), shop.stop()).await;
    assert!(stopped.is_ok(), "it waits for connections that never end");
    assert!(guest.event(std::time::Duration::from_secs(5)).await.is_err() || guest.invoke("Queue", &[]).await.is_err());
}
