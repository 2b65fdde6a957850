//! The bot's turns.

use std::time::Duration;

use bookworm_http::auth::Role;
use bookworm_testkit::until;
use serde_json::json;

use crate::house::{Calls, House, Person, only};

#[tokio::test]
async fn turns_come_one_after_the_other_with_what_was_said_before() {
    let house = House::open().await;
    let ann = Person::new("Ann", &[Role::Customer]);
    let mut customer = house.connect(&ann).await;
    let (id, _) = customer.start().await;
    customer.say(&id, "wait").await;
    customer.say(&id, "second").await;
    customer.expect("typing", |typing| typing["author"] == "bot" && typing["typing"] == true).await;
    customer.expect_none("message", |message| message["author"] == "bot").await;
    house.script.go.add_permits(1);
    for text in ["You said: wait", "You said: second"] {
        let answer = customer.expect("message", |message| message["author"] == "bot").await;
        assert_eq!(answer["text"], text);
    }
    let turns = house.script.turns.lock().unwrap().clone();
    let before: Vec<_> = turns[1].before.iter().map(|earlier| (earlier.by_customer, earlier.text.as_str())).collect();
    assert_eq!(before, [(true, "wait")]);
    assert_eq!((turns[0].memory.not_understood, turns[1].memory.not_understood), (0, 1));
    assert!(turns[0].rights.access_token.is_some(), "the customer's own rights");
    assert!(!format!("{:?}", turns[0]).contains(turns[0].rights.access_token.as_deref().unwrap()));
    house.close().await;
}

#[tokio::test]
async fn an_answer_is_watched_while_it_is_written() {
    let house = House::open().await;
    let mut customer = house.connect(&Person::new("Ann", &[Role::Customer])).await;
    let (id, _) = customer.start().await;
    customer.say(&id, "write").await;
    let answer = customer.expect("answer", |_| true).await;
    let answer_id = answer["answer_id"].clone();
    house.script.go.add_permits(3);
    let words = customer.stream("Answer", &[json!({"conversation_id": id, "answer_id": answer_id})]).await.unwrap();
    let words: String = words.iter().map(|word| word.as_str().unwrap()).collect();
    assert_eq!(words, "You said: write");
    let finished = customer.expect("message", |message| message["author"] == "bot").await;
    assert_eq!((&finished["answer_id"], &finished["text"]), (&answer_id, &json!("You said: write")));

    let mut stranger = house.guest().await;
    stranger.start().await;
    let watched = stranger.stream("Answer", &[json!({"conversation_id": id, "answer_id": answer_id})]).await;
    assert_eq!(watched.unwrap_err().code(), "not_found");
    house.close().await;
}

#[tokio::test]
async fn a_bot_that_fails_passes_on_to_a_person() {
    let house = House::open().await;
    let mut guest = house.guest().await;
    let (id, _) = guest.start().await;
    guest.say(&id, "panic").await;
    guest.expect("status", |conversation| conversation["status"] == "queued").await;
    house.close().await;
}

#[tokio::test]
async fn who_asks_for_a_person_gets_what_the_bot_was_about_to_say_and_keeps_the_place() {
    let house = House::open().await;
    let mut guest = house.guest().await;
    let (id, _) = guest.start().await;
    guest.say(&id, "wait").await;
    guest.expect("typing", |typing| typing["author"] == "bot").await;
    guest.ok("AskForPerson", only(&id)).await;
    house.script.go.add_permits(1);
    guest.expect("message", |message| message["text"] == "You said: wait").await;
    let secret_free = guest.ok("History", json!({"conversation_id": id, "after": 0})).await;
    assert!(secret_free["items"].as_array().unwrap().len() >= 3);
    guest.expect("queue_position", |place| place["position"] == 1).await;
    house.close().await;
}

#[tokio::test]
async fn an_answer_that_was_owed_before_a_restart_is_given_when_its_customer_is_back() {
    let house = House::open().await;
    let ann = Person::new("Ann", &[Role::Customer]);
    let mut customer = house.connect(&ann).await;
    let (id, _) = customer.start().await;
    customer.say(&id, "wait").await;
    until("the bot is at it", || async { (!house.script.turns.lock().unwrap().is_empty()).then_some(()) }).await;
    // The bot hangs while the shop is killed: the data is all that is left.
    let house = house.kill().await;
    let mut customer = house.connect(&ann).await;
    house.script.go.add_permits(1);
    customer.ok("Resume", json!({"conversation_id": id, "after": 1})).await;
    customer.expect("message", |message| message["text"] == "You said: wait").await;
    let turns = house.script.turns.lock().unwrap().clone();
    assert_eq!((turns.len(), turns[0].rights.access_token.is_some()), (1, true));
    house.close().await;
}

#[tokio::test]
async fn an_answer_whose_customer_does_not_come_back_is_given_without_their_rights() {
    let house = House::open().await;
    let ann = Person::new("Ann", &[Role::Customer]);
    let mut customer = house.connect(&ann).await;
    let (id, _) = customer.start().await;
    customer.say(&id, "wait").await;
    until("the bot is at it", || async { (!house.script.turns.lock().unwrap().is_empty()).then_some(()) }).await;
    let house = house.kill().await;
    house.script.go.add_permits(1);
    house.clock.advance(Duration::from_secs(61));
    let turn = until("the bot answers", || async { house.script.turns.lock().unwrap().first().cloned() }).await;
    assert_eq!(turn.rights.access_token, None);
    house.close().await;
}
