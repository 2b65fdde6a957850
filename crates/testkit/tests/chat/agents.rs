//! What agents notice, and customers of them.

use std::time::Duration;

use bookworm_http::auth::Role;
use bookworm_testkit::HubClient;
use serde_json::{Value, json};

use crate::house::{Calls, House, Person, only};

async fn waiting(house: &House) -> (HubClient, String) {
    let mut guest = house.guest().await;
    let (id, _) = guest.start().await;
    guest.ok("AskForPerson", only(&id)).await;
    (guest, id)
}

/// Waits until an agent has joined, and drops the events before: among them is one that no agent is online.
async fn joined(customer: &mut HubClient) {
    customer.expect("agent_joined", |_| true).await;
    customer.expect("presence", |presence| presence["agent_online"] == true).await;
    customer.forget_events();
}

fn agent(name: &str) -> Person {
    Person::new(name, &[Role::Customer, Role::Agent])
}

fn ids(conversations: &Value) -> Vec<String> {
    conversations.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_whole_way_from_a_question_to_a_person_and_back() {
    let house = House::open().await;
    let (bo, ann) = (agent("Bo"), Person::new("Ann", &[Role::Customer]));
    let mut desk = house.at_work(&bo, 2).await;
    let mut customer = house.connect(&ann).await;
    let (id, _) = customer.start().await;
    customer.say(&id, "person").await;
    customer.expect("status", |conversation| conversation["status"] == "queued").await;
    let joined = customer.expect("agent_joined", |_| true).await;
    assert_eq!(joined["agent"]["name"], "Bo");
    desk.expect("assigned", |_| true).await;
    let opened = desk.ok("Open", only(&id)).await;
    assert_eq!(opened["conversation"]["status"], "with_agent");
    assert_eq!(opened["context"]["basket"][0], json!({"title": "The Dispossessed", "quantity": 2}));
    assert_eq!(opened["context"]["orders"][0]["number"], "BW-7K3M-92QX");
    assert!(opened["messages"].as_array().unwrap().len() >= 2);

    desk.say(&id, "How can I help?").await;
    let answer = customer.expect("message", |message| message["author"] == "agent").await;
    assert_eq!((&answer["name"], &answer["text"]), (&json!("Bo"), &json!("How can I help?")));
    let note = desk.ok("AddNote", json!({"conversation_id": id, "text": "A regular"})).await;
    assert_eq!(note["agent"]["name"], "Bo");
    desk.expect("note", |_| true).await;
    customer.expect_none("note", |_| true).await;

    desk.ok("Close", json!({"conversation_id": id, "resolution": "resolved"})).await;
    customer.expect("agent_left", |_| true).await;
    customer.expect("status", |conversation| conversation["status"] == "resolved").await;
    customer.say(&id, "One more thing").await;
    customer.expect("status", |conversation| conversation["status"] == "bot").await;
    customer.expect("message", |message| message["text"] == "You said: One more thing").await;
    house.close().await;
}

#[tokio::test]
async fn nobody_has_more_than_their_capacity_and_those_who_wait_are_told_their_place() {
    let house = House::open().await;
    let (mut one, first) = waiting(&house).await;
    let (mut two, second) = waiting(&house).await;
    let (mut three, third) = waiting(&house).await;
    one.expect("queue_position", |place| place["position"] == 1).await;
    three.expect("queue_position", |place| place["position"] == 3 && place["waiting"] == 3).await;

    let mut desk = house.at_work(&agent("Bo"), 1).await;
    assert_eq!(desk.expect("assigned", |_| true).await["id"], first.as_str(), "whoever waits longest");
    two.expect("queue_position", |place| place["position"] == 1 && place["waiting"] == 2).await;
    three.expect("queue_position", |place| place["position"] == 2).await;
    desk.expect_none("assigned", |_| true).await;
    assert_eq!(desk.refused("Accept", only(&second)).await, "invalid_conversation_state", "there is no room");
    let queue = desk.invoke("Queue", &[]).await.unwrap();
    assert_eq!(ids(&queue["waiting"]), [second.clone(), third.clone()]);
    assert_eq!((&queue["agents"][0]["open"], &queue["agents"][0]["capacity"]), (&json!(1), &json!(1)));

    desk.ok("Close", json!({"conversation_id": first, "resolution": "closed"})).await;
    assert_eq!(desk.expect("assigned", |_| true).await["id"], second.as_str());
    assert_eq!(desk.refused("Reopen", only(&first)).await, "invalid_conversation_state");
    house.close().await;
}

#[tokio::test]
async fn a_conversation_is_taken_once_however_many_want_it() {
    let house = House::open().await;
    let mut desks = Vec::new();
    for n in 0..6 {
        let mut desk = house.connect(&agent(&format!("Agent{n}"))).await;
        // Away: nothing is given to them, but they may take.
        desk.ok("SetAvailability", json!({"status": "away"})).await;
        desks.push(desk);
    }
    let (_guest, id) = waiting(&house).await;
    let taken = futures::future::join_all(desks.iter_mut().map(|desk| desk.try_call("Accept", only(&id)))).await;
    assert_eq!(taken.iter().filter(|taken| taken.is_ok()).count(), 1, "{taken:?}");
    assert!(
        taken.iter().all(|taken| taken.as_ref().map_or_else(|code| code == "invalid_conversation_state", |_| true))
    );
    house.close().await;
}

#[tokio::test]
async fn an_agent_who_vanishes_loses_the_conversation_to_the_head_of_the_queue() {
    let house = House::open().await;
    let bo = agent("Bo");
    let mut desk = house.at_work(&bo, 1).await;
    let (mut lost, first) = waiting(&house).await;
    joined(&mut lost).await;
    let (_other, second) = waiting(&house).await;
    desk.expect("queue", |queue| ids(&queue["waiting"]) == [second.clone()]).await;
    drop(desk);
    lost.expect("presence", |presence| presence["agent_online"] == false).await;
    house.clock.advance(Duration::from_secs(20));
    lost.expect_none("agent_left", |_| true).await;
    house.clock.advance(Duration::from_secs(20));
    lost.expect("agent_left", |_| true).await;
    lost.expect("queue_position", |place| place["position"] == 1 && place["waiting"] == 2).await;

    let mut colleague = house.at_work(&agent("Cy"), 1).await;
    assert_eq!(colleague.expect("assigned", |_| true).await["id"], first.as_str(), "whoever was lost comes first");
    house.close().await;
}

#[tokio::test]
async fn an_agent_who_comes_back_in_time_keeps_the_conversation() {
    let house = House::open().await;
    let bo = agent("Bo");
    let desk = house.at_work(&bo, 1).await;
    let (mut guest, id) = waiting(&house).await;
    joined(&mut guest).await;
    drop(desk);
    guest.expect("presence", |presence| presence["agent_online"] == false).await;
    let mut desk = house.connect(&bo).await;
    assert_eq!(ids(&desk.invoke("MyConversations", &[]).await.unwrap()), std::slice::from_ref(&id));
    guest.expect("presence", |presence| presence["agent_online"] == true).await;
    house.clock.advance(Duration::from_secs(60));
    guest.expect_none("agent_left", |_| true).await;
    desk.ok("Open", only(&id)).await;
    desk.say(&id, "Still here").await;
    house.close().await;
}

#[tokio::test]
async fn a_restart_is_no_reason_to_lose_an_agent_and_a_long_one_is() {
    let house = House::open().await;
    let bo = agent("Bo");
    let _desk = house.at_work(&bo, 1).await;
    let (mut guest, id) = waiting(&house).await;
    guest.expect("agent_joined", |_| true).await;
    let house = house.restart().await;
    let mut desk = house.connect(&bo).await;
    assert_eq!(ids(&desk.invoke("MyConversations", &[]).await.unwrap()), std::slice::from_ref(&id));
    let house = house.restart().await;
    let mut watching = house.connect(&agent("Cy")).await;
    assert_eq!(ids(&watching.invoke("Queue", &[]).await.unwrap()["waiting"]), Vec::<String>::new());
    watching.ok("SetAvailability", json!({"status": "away"})).await;
    house.clock.advance(Duration::from_secs(40));
    watching.expect("queue", |queue| ids(&queue["waiting"]) == [id.clone()]).await;
    house.close().await;
}

#[tokio::test]
async fn a_transfer_goes_to_a_colleague_with_room_or_back_for_somebody_who_knows_more() {
    let house = House::open().await;
    let (bo, cy) = (agent("Bo"), agent("Cy"));
    let mut desk = house.at_work(&bo, 2).await;
    let (mut guest, id) = waiting(&house).await;
    desk.expect("assigned", |_| true).await;
    let to = |agent: &Person| json!({"conversation_id": id, "agent_id": agent.id});
    assert_eq!(desk.refused("Transfer", to(&cy)).await, "invalid_conversation_state", "nobody is there");
    let mut colleague = house.at_work(&cy, 1).await;
    assert_eq!(colleague.refused("Transfer", to(&cy)).await, "invalid_conversation_state", "it is not theirs");
    let transferred = desk.ok("Transfer", to(&cy)).await;
    assert_eq!(transferred["agent"]["name"], "Cy");
    colleague.expect("assigned", |assigned| assigned["id"] == id.as_str()).await;
    guest.expect("agent_left", |left| left["agent"]["name"] == "Bo").await;
    guest.expect("agent_joined", |joined| joined["agent"]["name"] == "Cy").await;

    let (_other, second) = waiting(&house).await;
    desk.expect("assigned", |assigned| assigned["id"] == second.as_str()).await;
    let full = json!({"conversation_id": second, "agent_id": cy.id});
    assert_eq!(desk.refused("Transfer", full).await, "invalid_conversation_state", "there is no room");

    // Nobody but Cy has room for it, and it was Cy who gave it away.
    desk.ok("SetAvailability", json!({"status": "away"})).await;
    let given = colleague.ok("Transfer", json!({"conversation_id": id, "skill": "payment"})).await;
    assert_eq!(given["status"], "queued");
    colleague.expect_none("assigned", |_| true).await;
    desk.ok("SetAvailability", json!({"status": "available", "capacity": 3, "skills": ["payment"]})).await;
    desk.expect("assigned", |assigned| assigned["id"] == id.as_str()).await;
    house.close().await;
}

#[tokio::test]
async fn the_right_skill_is_waited_for() {
    let house = House::open().await;
    let mut books = house.connect(&agent("Bo")).await;
    books.ok("SetAvailability", json!({"status": "available", "capacity": 3, "skills": ["books"]})).await;
    let mut money = house.connect(&agent("Cy")).await;
    money.ok("SetAvailability", json!({"status": "available", "capacity": 1, "skills": ["payment"]})).await;
    let mut guest = house.guest().await;
    let (id, _) = guest.start().await;
    guest.say(&id, "money").await;
    assert_eq!(money.expect("assigned", |_| true).await["id"], id.as_str());
    let mut other = house.guest().await;
    let (waits, _) = other.start().await;
    other.say(&waits, "money").await;
    other.expect("queue_position", |place| place["position"] == 1).await;
    books.expect_none("assigned", |_| true).await;
    drop(money);
    // The last who knows about payments is gone: an answer from somebody else is better than none.
    assert_eq!(books.expect("assigned", |_| true).await["id"], waits.as_str());
    house.close().await;
}

#[tokio::test]
async fn prepared_answers_are_there_from_the_first_day_and_edited_at_a_version() {
    let house = House::open().await;
    let bo = agent("Bo");
    let mut desk = house.connect(&bo).await;
    let replies = desk.invoke("CannedReplies", &[]).await.unwrap();
    assert!(replies.as_array().unwrap().iter().any(|reply| reply["text"].as_str().unwrap().contains("{name}")));
    let bearer = format!("Bearer {}", house.token(&bo));
    let put = async |version: &str, body: Value| {
        let headers = [("authorization", bearer.as_str()), ("if-match", version)];
        house.request("PUT", "/chat/canned-replies", &headers, Some(body)).await
    };
    let body = json!({"items": [{"shortcut": "hi", "text": "Hello {name}"}]});
    assert_eq!(put("\"9\"", body.clone()).await.0, 412);
    assert_eq!(put("\"1\"", body.clone()).await.0, 200);
    assert_eq!(put("\"1\"", body).await.0, 412);
    for bad in [
        json!({"items": [{"shortcut": "", "text": "x"}]}),
        json!({"items": [{"shortcut": "a b", "text": "x"}]}),
        json!({"items": [{"shortcut": "a", "text": ""}]}),
        json!({"items": [{"shortcut": "a", "text": "x"}, {"shortcut": "A", "text": "y"}]}),
    ] {
        assert_eq!(put("*", bad.clone()).await.0, 400, "{bad}");
    }
    assert_eq!(desk.invoke("CannedReplies", &[]).await.unwrap(), json!([{"shortcut": "hi", "text": "Hello {name}"}]));
    house.close().await;
}
