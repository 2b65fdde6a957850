//! The chat in a whole shop whose conversations are in MongoDB.

use bookworm_testing::{FerretDb, mongodb_database, mongodb_url};
use bookworm_testkit::{Database, HubClient, TestShop, until};
use http::StatusCode;
use serde_json::json;

use crate::house::{Calls, PATH, message, only};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_answers_a_guest_by_mail_also_after_a_restart() {
    let Some(url) = mongodb_url() else { return };
    let database = mongodb_database();
    let settings = [("mongodb.url", url.as_str()), ("mongodb.database", &database)];
    let mut shop = TestShop::start_with(Database::Sqlite, &settings).await;
    let address = shop.listen();
    let mut guest = HubClient::connect(address, PATH, None).await.unwrap();
    let started = guest.ok("StartConversation", json!({"name": "Ann", "email": "ann@reader.test"})).await;
    let id = started["conversation"]["id"].as_str().unwrap().to_owned();
    guest.ok("AskForPerson", only(&id)).await;
    guest.say(&id, "My parcel is late.").await;
    guest.close().await;
    shop.restart().await;
    assert!(shop.database("chat").await.is_none(), "no conversation is anywhere else");

    let address = shop.listen();
    let mut desk = HubClient::connect(address, PATH, Some(shop.admin())).await.unwrap();
    desk.ok("SetAvailability", json!({"status": "available"})).await;
    desk.expect("assigned", |_| true).await;
    let opened = desk.ok("Open", only(&id)).await;
    assert!(opened.to_string().contains("My parcel is late."), "{opened}");
    desk.say(&id, "It arrives tomorrow.").await;
    until("the answer is on its way to the guest", || async {
        let mails = shop.get("/api/v1/admin/mail?kind=chat_answer").bearer(shop.admin()).send().await.body;
        mails["items"].as_array().is_some_and(|mails| mails.len() == 1).then_some(())
    })
    .await;
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_mongodb_is_away_the_chat_says_so_and_loses_nothing() {
    let Some(mut server) = FerretDb::start() else { return };
    let url = server.url();
    let mut shop = TestShop::start_with(Database::Sqlite, &[("mongodb.url", url.as_str())]).await;
    let address = shop.listen();
    let mut guest = HubClient::connect(address, PATH, None).await.unwrap();
    let (id, _) = guest.start().await;
    guest.say(&id, "Before").await;
    server.kill();
    let meanwhile = message(&id, "Meanwhile");
    assert_eq!(guest.refused("SendMessage", meanwhile.clone()).await, "unavailable");
    let detail = shop.get("/api/v1/admin/health").bearer(shop.admin()).send().await;
    assert!(detail.text().contains("MongoDB is away"), "{}", detail.text());
    let ready = shop.get("/health/ready").send().await;
    assert_eq!(ready.status, StatusCode::OK, "the rest of the shop goes on: {}", ready.text());
    let books = shop.get("/api/v1/books").send().await;
    assert_eq!(books.status, StatusCode::OK);

    server.start_again();
    // The same message under the same id, as a client sends it that got no answer.
    until("the message is accepted", async || guest.try_call("SendMessage", meanwhile.clone()).await.ok()).await;
    let messages = guest.ok("History", json!({"conversation_id": id, "after": 0})).await;
    for text in ["Before", "Meanwhile"] {
        assert_eq!(messages.to_string().matches(&format!("\"text\":\"{text}\"")).count(), 1, "{messages}");
    }
    shop.stop().await;
}
