//! What customers notice.

use std::time::Duration;

use bookworm_http::auth::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::house::{Calls, House, Person, message, only};

fn numbers(messages: &Value) -> Vec<u64> {
    messages.as_array().unwrap().iter().map(|message| message["seq"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_message_that_is_sent_again_is_one_message() {
    let house = House::open().await;
    let mut guest = house.guest().await;
    let (id, _) = guest.start().await;
    let message = message(&id, "Where is my order?");
    let first = guest.ok("SendMessage", message.clone()).await;
    guest.expect("message", |message| message["author"] == "bot").await;
    let again = guest.ok("SendMessage", message.clone()).await;
    assert_eq!(first, again);
    guest.ok("EndConversation", only(&id)).await;
    assert_eq!(first, guest.ok("SendMessage", message).await, "whatever happened since");
    let history = guest.ok("History", json!({"conversation_id": id, "after": 0})).await;
    assert_eq!(history["items"].as_array().unwrap().len(), 2, "{history}");
    house.close().await;
}

#[tokio::test]
async fn after_a_reconnect_a_guest_gets_what_was_missed_and_nothing_twice() {
    let house = House::open().await;
    let mut guest = house.guest().await;
    let (id, secret) = guest.start().await;
    assert_eq!(secret.as_str().unwrap().len(), 43);
    guest.say(&id, "one").await;
    let seen = guest.expect("message", |message| message["author"] == "bot").await["seq"].as_u64().unwrap();
    guest.close().await;

    let mut other = house.guest().await;
    let resumed = other.ok("Resume", json!({"conversation_id": id, "secret": secret})).await;
    assert_eq!(numbers(&resumed["messages"]), [1, 2]);
    other.say(&id, "two").await;
    other.expect("message", |message| message["author"] == "bot").await;

    let mut back = house.guest().await;
    let resumed = back.ok("Resume", json!({"conversation_id": id, "secret": secret, "after": seen})).await;
    assert_eq!(numbers(&resumed["messages"]), [3, 4]);
    assert_eq!(resumed["more"], false);
    house.close().await;
}

#[tokio::test]
async fn a_long_history_comes_in_pieces() {
    let settings = bookworm_config::Chat { message_burst: 1000, ..Default::default() };
    let house = House::open_with(settings).await;
    let mut guest = house.guest().await;
    let (id, secret) = guest.start().await;
    for n in 0..105 {
        guest.say(&id, &format!("message {n}")).await;
    }
    // The bot answers 105 times at most; it skips the oldest when too many wait.
    let resumed = guest.ok("Resume", json!({"conversation_id": id, "secret": secret})).await;
    let first = numbers(&resumed["messages"]);
    assert!(first.len() <= 200);
    let history = guest.ok("History", json!({"conversation_id": id, "after": 100, "limit": 3})).await;
    assert_eq!(numbers(&history["items"]), [101, 102, 103]);
    assert_eq!(history["next"], 103);
    house.close().await;
}

#[tokio::test]
async fn every_tab_of_a_customer_gets_everything() {
    let house = House::open().await;
    let ann = Person::new("Ann", &[Role::Customer]);
    let (mut one, mut two) = (house.connect(&ann).await, house.connect(&ann).await);
    let (id, secret) = one.start().await;
    assert_eq!(secret, Value::Null, "an account needs no secret");
    two.ok("Resume", only(&id)).await;
    one.say(&id, "Hello").await;
    for tab in [&mut one, &mut two] {
        let own = tab.expect("message", |message| message["author"] == "customer").await;
        assert!(own["client_message_id"].is_string(), "the sender's side sees its own id: {own}");
        let answer = tab.expect("message", |message| message["author"] == "bot").await;
        assert_eq!((answer["seq"].as_u64(), answer["text"].as_str()), (Some(2), Some("You said: Hello")));
        assert_eq!(tab.expect("status", |_| true).await["intent"], "track_order");
    }
    let listed = two.invoke("Conversations", &[]).await.unwrap();
    assert_eq!(listed[0]["id"], id.as_str());
    house.close().await;
}

#[tokio::test]
async fn a_customer_is_online_while_any_tab_is() {
    let house = House::open().await;
    let (bo, ann) = (Person::new("Bo", &[Role::Agent]), Person::new("Ann", &[Role::Customer]));
    let mut agent = house.at_work(&bo, 3).await;
    let (mut one, two) = (house.connect(&ann).await, house.connect(&ann).await);
    let mut two = two;
    let (id, _) = one.start().await;
    two.ok("Resume", only(&id)).await;
    agent.ok("Open", only(&id)).await;
    agent.expect("presence", |presence| presence["customer_online"] == true).await;
    one.close().await;
    agent.expect_none("presence", |presence| presence["customer_online"] == false).await;
    two.close().await;
    agent.expect("presence", |presence| presence["customer_online"] == false).await;
    house.close().await;
}

#[tokio::test]
async fn a_guest_who_signs_in_keeps_the_conversation() {
    let house = House::open().await;
    let mut guest = house.guest().await;
    let (id, secret) = guest.start().await;
    let ann = Person::new("Ann", &[Role::Customer]);
    let mut signed_in = house.connect(&ann).await;
    assert_eq!(signed_in.refused("Resume", only(&id)).await, "not_found");
    let resumed = signed_in.ok("Resume", json!({"conversation_id": id, "secret": secret})).await;
    assert_eq!(resumed["conversation"]["customer_id"], ann.id.to_string());
    assert_eq!(resumed["conversation"]["customer_name"], "Ann");
    let mut late = house.guest().await;
    let old = json!({"conversation_id": id, "secret": secret});
    assert_eq!(late.refused("Resume", old).await, "not_found", "the secret opens nothing any more");
    house.close().await;
}

#[tokio::test]
async fn receipts_and_typing_reach_the_other_side() {
    let house = House::open().await;
    let mut agent = house.at_work(&Person::new("Bo", &[Role::Agent]), 3).await;
    let mut guest = house.guest().await;
    let (id, _) = guest.start().await;
    guest.ok("AskForPerson", only(&id)).await;
    let assigned = agent.expect("assigned", |_| true).await;
    assert_eq!(assigned["id"], id.as_str());
    agent.ok("Open", only(&id)).await;
    let seq = guest.say(&id, "Hello").await;
    let heard = agent.expect("message", |message| message["author"] == "customer").await;
    assert_eq!(heard["client_message_id"], Value::Null, "the other side does not see the sender's id");
    agent.ok("MarkDelivered", json!({"conversation_id": id, "seq": seq})).await;
    agent.ok("MarkRead", json!({"conversation_id": id, "seq": 99})).await;
    let receipt = guest.expect("receipt", |receipt| receipt["read"] == seq).await;
    assert_eq!((&receipt["side"], &receipt["delivered"]), (&json!("agent"), &json!(seq)));

    let typing = |on: bool| json!({"conversation_id": id, "typing": on});
    agent.ok("Typing", typing(true)).await;
    guest.expect("typing", |typing| typing["typing"] == true && typing["author"] == "agent").await;
    agent.ok("Typing", typing(false)).await;
    guest.expect("typing", |typing| typing["typing"] == false && typing["author"] == "agent").await;
    guest.ok("Typing", typing(true)).await;
    agent.expect("typing", |typing| typing["typing"] == true && typing["name"] == "Guest").await;
    // No call ends it.
    agent.expect("typing", |typing| typing["typing"] == false && typing["author"] == "customer").await;
    house.close().await;
}

#[tokio::test]
async fn typing_ends_with_the_message_the_conversation_and_the_connection() {
    let house = House::open().await;
    let bo = Person::new("Bo", &[Role::Agent]);
    let mut agent = house.at_work(&bo, 3).await;
    let mut guest = house.guest().await;
    let (id, secret) = guest.start().await;
    guest.ok("AskForPerson", only(&id)).await;
    agent.expect("assigned", |_| true).await;
    agent.ok("Open", only(&id)).await;
    let typing = json!({"conversation_id": id, "typing": true});
    let ends = |typing: &Value| typing["typing"] == false;
    for _ in 0..2 {
        agent.ok("Typing", typing.clone()).await;
        agent.say(&id, "Here I am.").await;
        let event = guest.expect("typing", ends).await;
        assert_eq!((&event["author"], &event["name"]), (&json!("agent"), &json!("Bo")));
        guest.ok("Typing", typing.clone()).await;
        guest.say(&id, "Hello").await;
        assert_eq!(agent.expect("typing", ends).await["author"], "customer");
    }
    guest.ok("Typing", typing.clone()).await;
    agent.expect("typing", |typing| typing["typing"] == true).await;
    guest.close().await;
    agent.expect("typing", ends).await;

    let mut guest = house.guest().await;
    guest.ok("Resume", json!({"conversation_id": id, "secret": secret})).await;
    agent.ok("Typing", typing.clone()).await;
    guest.expect("typing", |typing| typing["typing"] == true).await;
    guest.ok("EndConversation", only(&id)).await;
    guest.expect("typing", ends).await;
    house.close().await;
}

#[tokio::test]
async fn an_id_stands_for_one_message() {
    let house = House::open().await;
    let mut agent = house.at_work(&Person::new("Bo", &[Role::Agent]), 3).await;
    let mut guest = house.guest().await;
    let (id, _) = guest.start().await;
    guest.ok("AskForPerson", only(&id)).await;
    agent.expect("assigned", |_| true).await;
    agent.ok("Open", only(&id)).await;
    for client in [&mut guest, &mut agent] {
        let first = message(&id, "first");
        let sent = client.ok("SendMessage", first.clone()).await;
        assert_eq!(client.ok("SendMessage", first.clone()).await, sent, "the same again is the same");
        let mut padded = first.clone();
        padded["text"] = json!(" first\r\n");
        assert_eq!(client.ok("SendMessage", padded).await, sent, "as it is stored");
        for other in ["second", "First", "first."] {
            let mut reused = first.clone();
            reused["text"] = json!(other);
            assert_eq!(client.refused("SendMessage", reused).await, "message_id_reused", "{other}");
        }
    }
    let history = guest.ok("History", json!({"conversation_id": id, "after": 0})).await;
    let firsts = history["items"].as_array().unwrap().iter().filter(|message| message["text"] == "first").count();
    assert_eq!(firsts, 2, "one of each side");
    house.close().await;
}

#[tokio::test]
async fn what_is_deleted_is_gone_for_everybody() {
    let house = House::open().await;
    let bo = Person::new("Bo", &[Role::Agent]);
    let mut agent = house.at_work(&bo, 3).await;
    let mut guest = house.guest().await;
    let (id, secret) = guest.start().await;
    guest.say(&id, "person").await;
    agent.expect("assigned", |_| true).await;
    agent.ok("Open", only(&id)).await;
    agent.ok("AddNote", json!({"conversation_id": id, "text": "A regular"})).await;
    guest.ok("DeleteConversation", only(&id)).await;
    agent.expect("deleted", |deleted| deleted["conversation_id"] == id.as_str()).await;
    assert_eq!(agent.refused("Open", only(&id)).await, "not_found");
    assert_eq!(guest.refused("SendMessage", message(&id, "Hello?")).await, "not_found");
    assert_eq!(guest.refused("Resume", json!({"conversation_id": id, "secret": secret})).await, "not_found");
    let bearer = format!("Bearer {}", house.token(&bo));
    for path in ["", "/messages", "/notes", "/context"] {
        let (status, _) = house.get(&format!("/conversations/{id}{path}"), &[("authorization", &bearer)]).await;
        assert_eq!(status, 404, "{path}");
    }
    house.close().await;
}

#[tokio::test]
async fn nobody_there_means_a_promise_and_then_a_mail() {
    let house = House::open().await;
    let mut guest = house.guest().await;
    let started = guest.ok("StartConversation", json!({"name": "Ann", "email": "ann@reader.test"})).await;
    let id = started["conversation"]["id"].as_str().unwrap().to_owned();
    let queued = guest.ok("AskForPerson", only(&id)).await;
    assert_eq!((&queued["status"], &queued["answer_by_mail"]), (&json!("queued"), &json!(true)));
    let place = guest.expect("queue_position", |_| true).await;
    assert_eq!((&place["position"], &place["answer_by_mail"]), (&json!(1), &json!(true)));
    let notice = guest.expect("message", |message| message["author"] == "system").await;
    assert!(notice["text"].as_str().unwrap().contains("mail"), "{notice}");
    guest.close().await;

    let mut agent = house.at_work(&Person::new("Bo", &[Role::Agent]), 3).await;
    agent.expect("assigned", |_| true).await;
    agent.ok("Open", only(&id)).await;
    agent.expect("presence", |presence| presence["customer_online"] == false).await;
    agent.say(&id, "It ships tomorrow.").await;
    let letters = letters(&house, "AnsweredByMail").await;
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0]["email"], &letters[0]["text"]), (&json!("ann@reader.test"), &json!("It ships tomorrow.")));
    house.close().await;
}

/// The messages with this name that wait in the outbox.
async fn letters(house: &House, name: &str) -> Vec<Value> {
    let envelopes = house.service.store().outbox().waiting(1_000).await.unwrap();
    envelopes.into_iter().filter(|envelope| envelope.subject.contains(name)).map(|envelope| envelope.data).collect()
}

#[tokio::test]
async fn transcripts_go_where_the_guest_says_or_to_the_account() {
    let house = House::open().await;
    let mut guest = house.guest().await;
    let (id, _) = guest.start().await;
    guest.say(&id, "Hello").await;
    guest.expect("message", |message| message["author"] == "bot").await;
    assert_eq!(guest.refused("SendTranscript", only(&id)).await, "validation_failed");
    let to = |email: &str| json!({"conversation_id": id, "email": email});
    assert_eq!(guest.refused("SendTranscript", to("nonsense")).await, "validation_failed");
    for _ in 0..3 {
        guest.ok("SendTranscript", to("guest@reader.test")).await;
    }
    assert_eq!(guest.refused("SendTranscript", to("guest@reader.test")).await, "too_many_requests");
    let (other, _) = guest.start().await;
    guest.say(&other, "Hello").await;
    let enough = json!({"conversation_id": other, "email": "enough@reader.test"});
    assert_eq!(guest.refused("SendTranscript", enough).await, "too_many_requests", "that mailbox has got enough");

    let ann = Person::new("Ann", &[Role::Customer]);
    let mut signed_in = house.connect(&ann).await;
    let (own, _) = signed_in.start().await;
    signed_in.say(&own, "Hello").await;
    let elsewhere = json!({"conversation_id": own, "email": "thief@elsewhere.test"});
    signed_in.ok("SendTranscript", elsewhere).await;
    let mut unconfirmed = Person::new("Cas", &[Role::Customer]);
    unconfirmed.confirmed = false;
    let mut unproven = house.connect(&unconfirmed).await;
    let (his, _) = unproven.start().await;
    unproven.say(&his, "Hello").await;
    unproven.ok("SendTranscript", only(&his)).await;
    let letters = letters(&house, "TranscriptRequested").await;
    let proven: Vec<_> = letters.iter().map(|letter| letter["proven"].as_bool().unwrap()).collect();
    assert_eq!(proven, [false, false, false, true, false], "only a confirmed address of an account is proved");
    let to: Vec<_> = letters.iter().map(|letter| letter["email"].as_str().unwrap()).collect();
    assert_eq!(
        to,
        ["guest@reader.test", "guest@reader.test", "guest@reader.test", "ann@reader.test", "cas@reader.test"]
    );
    let lines: Vec<_> = letters[0]["lines"].as_array().unwrap().iter().map(|line| line["text"].clone()).collect();
    assert_eq!(lines, ["Hello", "You said: Hello"]);
    house.close().await;
}

#[tokio::test]
async fn old_conversations_close_and_are_deleted_in_the_end() {
    let house = House::open().await;
    let mut guest = house.guest().await;
    let (id, secret) = guest.start().await;
    let status = async || {
        let secret = secret.as_str().unwrap();
        house.get(&format!("/conversations/{id}"), &[("conversation-secret", secret)]).await
    };
    house.clock.advance(Duration::from_secs(23 * 3600));
    house.service.tidy().await.unwrap();
    assert_eq!(status().await.1["status"], "bot");
    house.clock.advance(Duration::from_secs(2 * 3600));
    house.service.tidy().await.unwrap();
    assert_eq!(status().await.1["status"], "closed");
    house.clock.advance(Duration::from_secs(364 * 24 * 3600));
    house.service.tidy().await.unwrap();
    assert_eq!(status().await.0, 200);
    house.clock.advance(Duration::from_secs(2 * 24 * 3600));
    house.service.tidy().await.unwrap();
    assert_eq!(status().await.0, 404);
    house.close().await;
}

#[tokio::test]
async fn a_rating_needs_an_answer_and_the_last_one_counts() {
    let house = House::open().await;
    let mut guest = house.guest().await;
    let (id, _) = guest.start().await;
    let rate = |score: i64| json!({"conversation_id": id, "score": score, "comment": "Kind"});
    assert_eq!(guest.refused("Rate", rate(5)).await, "invalid_conversation_state");
    guest.ok("EndConversation", only(&id)).await;
    for bad in [0, 6, -1, 300] {
        assert_eq!(guest.refused("Rate", rate(bad)).await, "validation_failed", "{bad}");
    }
    guest.ok("Rate", rate(2)).await;
    guest.ok("Rate", rate(4)).await;
    guest.expect("status", |conversation| conversation["rating"] == 4).await;
    let unknown = Uuid::new_v4().to_string();
    assert_eq!(guest.refused("EndConversation", only(&unknown)).await, "not_found");
    house.close().await;
}
