//! Two instances of the chat, which meet on Redis: what people notice of it.

use std::time::Duration;

use bookworm_http::auth::Role;
use bookworm_testing::{RedisServer, until};
use bookworm_testkit::HubClient;
use serde_json::json;

use crate::house::{Calls, House, Person, QUIET, only};

/// The grace period of a lost connection.
const GRACE: Duration = Duration::from_secs(30);
/// Several rounds of the desk.
const ROUNDS: Duration = Duration::from_secs(4);

fn bo() -> Person {
    Person::new("Bo", &[Role::Customer, Role::Agent])
}

#[tokio::test]
async fn a_customer_and_an_agent_talk_from_one_instance_to_the_other() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let [one, two] = House::two(&server.url()).await;
    let ann = Person::new("Ann", &[Role::Customer]);
    let mut customer = one.connect(&ann).await;
    let (id, _) = customer.start().await;
    customer.ok("AskForPerson", only(&id)).await;
    let mut desk = two.connect(&bo()).await;
    desk.ok("SetAvailability", json!({"status": "away"})).await;
    desk.ok("Accept", only(&id)).await;
    assert_eq!(customer.expect("agent_joined", |_| true).await["agent"]["name"], "Bo");

    let asked = customer.say(&id, "Where is my parcel?").await;
    assert_eq!(desk.expect("message", |message| message["seq"] == asked).await["text"], "Where is my parcel?");
    desk.ok("MarkDelivered", json!({"conversation_id": id, "seq": asked})).await;
    customer.expect("receipt", |receipt| receipt["side"] == "agent" && receipt["delivered"] == asked).await;
    desk.ok("Typing", json!({"conversation_id": id, "typing": true})).await;
    customer.expect("typing", |typing| typing["author"] == "agent" && typing["typing"] == true).await;
    let answered = desk.say(&id, "It arrives tomorrow.").await;
    customer.expect("message", |message| message["text"] == "It arrives tomorrow.").await;
    customer.expect("typing", |typing| typing["author"] == "agent" && typing["typing"] == false).await;
    customer.ok("MarkRead", json!({"conversation_id": id, "seq": answered})).await;
    desk.expect("receipt", |receipt| receipt["side"] == "customer" && receipt["read"] == answered).await;

    // The customer comes back, to the other instance: nothing is missed.
    customer.close().await;
    let missed = desk.say(&id, "Before noon.").await;
    let mut customer = two.connect(&ann).await;
    let resumed = customer.ok("Resume", json!({"conversation_id": id, "after": answered})).await;
    assert_eq!(resumed["messages"][0]["seq"], missed, "{resumed}");
    customer.say(&id, "Thanks!").await;
    desk.expect("message", |message| message["text"] == "Thanks!").await;
    desk.ok("Close", json!({"conversation_id": id, "resolution": "resolved"})).await;
    customer.expect("status", |conversation| conversation["status"] == "resolved").await;
    one.close().await;
    two.close().await;
}

#[tokio::test]
async fn without_redis_each_instance_goes_on_and_clients_catch_up_afterwards() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let [one, two] = House::two(&server.url()).await;
    let mut customer = one.connect(&Person::new("Ann", &[Role::Customer])).await;
    let (id, _) = customer.start().await;
    customer.ok("AskForPerson", only(&id)).await;
    let mut desk = two.connect(&bo()).await;
    desk.ok("SetAvailability", json!({"status": "away"})).await;
    desk.ok("Accept", only(&id)).await;
    customer.expect("agent_joined", |_| true).await;
    for stalled in [true, false] {
        if stalled {
            server.pause(true);
        } else {
            server.kill();
        }
        // Stored, shown to this instance's, and answered, each within the timeout of a message.
        let missed = desk.say(&id, "Are you there?").await;
        customer.ok("Typing", json!({"conversation_id": id, "typing": true})).await;
        let said = customer.say(&id, "Yes, here.").await;
        customer.expect("message", |message| message["seq"] == said).await;
        if stalled {
            server.pause(false);
        } else {
            server.start_again();
        }
        customer.expect("resynchronise", |_| true).await;
        desk.expect("resynchronise", |_| true).await;
        let resumed = customer.ok("Resume", json!({"conversation_id": id, "after": missed - 1})).await;
        assert_eq!(resumed["messages"][0]["text"], "Are you there?", "{resumed}");
        let opened = desk.ok("Open", json!({"conversation_id": id, "after": said - 1})).await;
        assert_eq!(opened["messages"][0]["text"], "Yes, here.", "{opened}");
        until("messages arrive again", async || {
            let seq = desk.say(&id, "So am I.").await;
            customer.event_like("message", QUIET, |message| message["seq"] == seq).await.unwrap()
        })
        .await;
        customer.forget_events();
        desk.forget_events();
    }
    one.close().await;
    two.close().await;
}

/// Each instance would count what it sees at that moment, and each would find room.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_most_open_conversations_of_a_customer_are_counted_over_all_instances() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let [one, two] = House::two(&server.url()).await;
    let ann = Person::new("Ann", &[Role::Customer]);
    let mut started = Vec::new();
    for instance in [&one, &two] {
        for _ in 0..6 {
            let mut connection = instance.connect(&ann).await;
            started.push(tokio::spawn(async move { connection.try_call("StartConversation", json!({})).await }));
        }
    }
    let mut refused = 0;
    for outcome in futures::future::join_all(started).await {
        match outcome.unwrap() {
            Ok(_) => {}
            Err(code) => {
                assert_eq!(code, "too_many_requests");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 12 - 5, "five, whichever instances they are at");
    // Guests of one address together have as many.
    let mut guests = 0;
    for n in 0..8 {
        let mut guest = if n % 2 == 0 { one.guest().await } else { two.guest().await };
        guests += u32::from(guest.try_call("StartConversation", json!({})).await.is_ok());
    }
    assert_eq!(guests, 5);
    one.close().await;
    two.close().await;
}

/// A customer of one instance with an agent of the other.
async fn talking(one: &House, two: &House) -> (HubClient, HubClient, String) {
    let mut customer = one.guest().await;
    let (id, _) = customer.start().await;
    customer.ok("AskForPerson", only(&id)).await;
    let mut desk = two.at_work(&bo(), 1).await;
    assert_eq!(desk.expect("assigned", |_| true).await["id"], id.as_str(), "whichever instance has the desk");
    desk.ok("Open", only(&id)).await;
    customer.expect("agent_joined", |_| true).await;
    customer.expect("presence", |presence| presence["agent_online"] == true).await;
    customer.forget_events();
    (customer, desk, id)
}

#[tokio::test]
async fn an_instance_takes_no_conversation_from_agents_of_the_other() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let [one, two] = House::two(&server.url()).await;
    let (mut customer, mut desk, id) = talking(&two, &two).await;
    // It starts, and the agent has no connection to it, and long had none.
    let one = one.restart().await;
    one.clock.advance(GRACE * 2);
    let left = customer.event_like("agent_left", ROUNDS, |_| true).await.unwrap();
    assert_eq!(left, None, "the agent is connected to the other instance");
    desk.say(&id, "Still with you.").await;
    customer.expect("message", |message| message["text"] == "Still with you.").await;
    // Once the agent is gone from there, too, their grace period begins.
    desk.close().await;
    customer.expect("presence", |presence| presence["agent_online"] == false).await;
    one.clock.advance(GRACE * 2);
    customer.expect("agent_left", |_| true).await;
    one.close().await;
    two.close().await;
}

#[tokio::test]
async fn agents_of_an_instance_that_crashes_are_lost_and_their_conversations_queued() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let [one, mut two] = House::two(&server.url()).await;
    let (mut customer, _desk, _) = talking(&one, &two).await;
    two.fall();
    customer.expect("presence", |presence| presence["agent_online"] == false).await;
    one.clock.advance(GRACE * 2);
    customer.expect("status", |conversation| conversation["status"] == "queued").await;
    one.close().await;
}

#[tokio::test]
async fn each_side_sees_whether_the_other_is_connected_to_another_instance() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let [one, two] = House::two(&server.url()).await;
    let (customer, mut desk, id) = talking(&one, &two).await;
    let opened = async |desk: &mut HubClient| {
        desk.forget_events();
        desk.ok("Open", only(&id)).await;
        desk.expect("presence", |_| true).await["customer_online"].as_bool().unwrap()
    };
    assert!(opened(&mut desk).await);
    customer.close().await;
    desk.expect("presence", |presence| presence["customer_online"] == false).await;
    assert!(!opened(&mut desk).await);
    one.close().await;
    two.close().await;
}

#[tokio::test]
async fn the_bot_answers_once_a_customer_who_is_at_both_instances() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let [one, two] = House::two(&server.url()).await;
    let ann = Person::new("Ann", &[Role::Customer]);
    let mut first = one.connect(&ann).await;
    let (id, _) = first.start().await;
    let mut second = two.connect(&ann).await;
    second.ok("Resume", only(&id)).await;
    let turns = || one.script.turns.lock().unwrap().len() + two.script.turns.lock().unwrap().len();
    first.say(&id, "wait").await;
    until("the bot has been asked", async || (turns() == 1).then_some(())).await;
    // Another tab, and several looks for messages that wait.
    let mut third = two.connect(&ann).await;
    third.ok("Resume", only(&id)).await;
    let early = second.event_like("message", ROUNDS, |message| message["author"] == "bot").await.unwrap();
    assert_eq!((early, turns()), (None, 1));
    one.script.go.add_permits(1);
    second.expect("message", |message| message["author"] == "bot").await;
    assert_eq!(turns(), 1);

    // Who took the message is gone: the other answers.
    first.say(&id, "wait").await;
    until("the bot has been asked again", async || (turns() == 2).then_some(())).await;
    let mut one = one;
    one.fall();
    two.script.go.add_permits(1);
    second.expect("message", |message| message["author"] == "bot").await;
    two.close().await;
}
