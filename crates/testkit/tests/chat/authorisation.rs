//! Who may do what: a table of everybody and everything.

use bookworm_http::auth::Role;
use bookworm_testkit::{HubClient, HubClientError};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::house::{Calls, House, PATH, Person, message, only};

/// Every method that customers use in a conversation, with an argument that its customer could send.
fn of_customers(id: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("Resume", only(id)),
        ("SendMessage", message(id, "Hello")),
        ("Typing", json!({"conversation_id": id, "typing": true})),
        ("MarkDelivered", json!({"conversation_id": id, "seq": 1})),
        ("MarkRead", json!({"conversation_id": id, "seq": 1})),
        ("History", json!({"conversation_id": id, "after": 0})),
        ("AskForPerson", only(id)),
        ("Rate", json!({"conversation_id": id, "score": 5})),
        ("EndConversation", only(id)),
        ("SendTranscript", json!({"conversation_id": id, "email": "x@reader.test"})),
        ("DeleteConversation", only(id)),
    ]
}

/// Every method of agents; `None` for one without an argument.
fn of_agents(id: &str) -> Vec<(&'static str, Option<Value>)> {
    vec![
        ("SetAvailability", Some(json!({"status": "available"}))),
        ("Queue", None),
        ("MyConversations", None),
        ("Accept", Some(only(id))),
        ("Open", Some(only(id))),
        ("AddNote", Some(json!({"conversation_id": id, "text": "x"}))),
        ("CannedReplies", None),
        ("Transfer", Some(only(id))),
        ("Close", Some(json!({"conversation_id": id, "resolution": "closed"}))),
        ("Reopen", Some(only(id))),
    ]
}

async fn code(client: &mut HubClient, method: &str, argument: Option<Value>) -> String {
    match client.invoke(method, argument.as_slice()).await {
        Ok(answer) => panic!("{method} was not refused: {answer}"),
        Err(error) => error.code().to_owned(),
    }
}

#[tokio::test]
async fn a_conversation_is_its_customers_and_to_others_it_does_not_exist() {
    let house = House::open().await;
    let ann = Person::new("Ann", &[Role::Customer]);
    let mut owner = house.connect(&ann).await;
    let (of_account, _) = owner.start().await;
    owner.say(&of_account, "a secret of mine").await;
    let mut guest = house.guest().await;
    let (of_guest, secret) = guest.start().await;
    let unknown = Uuid::now_v7().to_string();

    let mut strangers = vec![
        ("a guest", house.guest().await),
        ("another customer", house.connect(&Person::new("Eve", &[Role::Customer])).await),
        ("staff", house.connect(&Person::new("Sam", &[Role::Customer, Role::Staff])).await),
        ("an agent who did not open it", house.connect(&Person::new("Bo", &[Role::Customer, Role::Agent])).await),
        ("another guest", guest),
    ];
    for (who, client) in &mut strangers {
        for id in [&of_account, &unknown] {
            for (method, argument) in of_customers(id) {
                assert_eq!(client.refused(method, argument).await, "not_found", "{who}: {method}");
            }
        }
    }
    for wrong in [json!(""), json!("x".repeat(43)), Value::Null, json!(secret.as_str().unwrap().to_lowercase())] {
        let argument = json!({"conversation_id": of_guest, "secret": wrong});
        assert_eq!(strangers[0].1.refused("Resume", argument).await, "not_found", "{wrong}");
    }
    let history = owner.ok("History", json!({"conversation_id": of_account, "after": 0})).await;
    let own = history["items"].as_array().unwrap();
    assert!(own.iter().all(|message| message["text"] != "Hello"), "nobody wrote into it: {history}");
    house.close().await;
}

#[tokio::test]
async fn only_agents_act_as_agents() {
    let house = House::open().await;
    let mut guest = house.guest().await;
    let (id, _) = guest.start().await;
    guest.ok("AskForPerson", only(&id)).await;
    let others = [
        ("a guest", guest, "unauthenticated"),
        ("a customer", house.connect(&Person::new("Ann", &[Role::Customer])).await, "forbidden"),
        ("staff", house.connect(&Person::new("Sam", &[Role::Customer, Role::Staff])).await, "forbidden"),
    ];
    for (who, mut client, expected) in others {
        for (method, argument) in of_agents(&id) {
            assert_eq!(code(&mut client, method, argument).await, expected, "{who}: {method}");
        }
    }
    let mut agent = house.connect(&Person::new("Bo", &[Role::Customer, Role::Agent])).await;
    assert_eq!(code(&mut agent, "AddNote", Some(json!({"conversation_id": id, "text": "x"}))).await, "not_found");
    agent.ok("Open", only(&id)).await;
    // To look at it is not to have it.
    for (method, argument) in [
        ("SendMessage", message(&id, "Hello")),
        ("Typing", json!({"conversation_id": id, "typing": true})),
        ("MarkRead", json!({"conversation_id": id, "seq": 1})),
    ] {
        assert_eq!(agent.refused(method, argument).await, "invalid_conversation_state", "{method}");
    }
    // Nor is an agent the customer.
    for (method, argument) in of_customers(&id).into_iter().skip(6) {
        assert_eq!(agent.refused(method, argument).await, "not_found", "{method}");
    }
    house.close().await;
}

#[tokio::test]
async fn a_token_that_is_not_valid_opens_nothing() {
    let house = House::open().await;
    let ann = Person::new("Ann", &[Role::Customer]);
    let token = house.token(&ann);
    for bad in ["abc", &token[..token.len() - 4]] {
        let refused = HubClient::connect(house.address, PATH, Some(bad)).await;
        assert!(matches!(refused, Err(HubClientError::Lost(ref why)) if why.contains("401")), "{refused:?}");
    }
    house.clock.advance(std::time::Duration::from_secs(901));
    let expired = HubClient::connect(house.address, PATH, Some(&token)).await;
    assert!(matches!(expired, Err(HubClientError::Lost(ref why)) if why.contains("401")), "{expired:?}");
    house.close().await;
}

#[tokio::test]
async fn over_http_the_same_doors_are_shut() {
    let house = House::open().await;
    let ann = Person::new("Ann", &[Role::Customer]);
    let (eve, sam) = (Person::new("Eve", &[Role::Customer]), Person::new("Sam", &[Role::Customer, Role::Staff]));
    let bo = Person::new("Bo", &[Role::Customer, Role::Agent]);
    let mut owner = house.connect(&ann).await;
    let (own, _) = owner.start().await;
    let (of_guest, secret) = house.guest().await.start().await;
    let bearer = |person: &Person| format!("Bearer {}", house.token(person));
    let secret = secret.as_str().unwrap().to_owned();
    let as_person = |person: &Person| vec![("authorization", bearer(person))];
    let with_secret = vec![("conversation-secret", secret.clone())];
    let with_wrong = vec![("conversation-secret", "x".repeat(43))];
    let nobody: Vec<(&str, String)> = Vec::new();

    let cases = [
        ("the customer", as_person(&ann), &own, [200, 200, 403, 403]),
        ("another customer", as_person(&eve), &own, [404, 404, 403, 403]),
        ("staff", as_person(&sam), &own, [404, 404, 403, 403]),
        ("an agent", as_person(&bo), &own, [200, 200, 200, 200]),
        ("nobody", nobody.clone(), &own, [404, 404, 401, 401]),
        ("somebody with another's secret", with_secret.clone(), &own, [404, 404, 401, 401]),
        ("the guest", with_secret, &of_guest, [200, 200, 401, 401]),
        ("a guest with a wrong secret", with_wrong, &of_guest, [404, 404, 401, 401]),
        ("a customer at a guest's", as_person(&ann), &of_guest, [404, 404, 403, 403]),
    ];
    for (who, headers, id, expected) in cases {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for (path, status) in ["", "/messages", "/notes", "/context"].into_iter().zip(expected) {
            let (answered, body) = house.get(&format!("/conversations/{id}{path}"), &headers).await;
            assert_eq!(answered, status, "{who}: {path} {body}");
        }
    }
    let listed = |person: &Person| {
        let bearer = bearer(person);
        let house = &house;
        async move { house.get("/conversations", &[("authorization", &bearer)]).await }
    };
    assert_eq!(listed(&ann).await.1["items"].as_array().unwrap().len(), 1);
    assert_eq!(listed(&eve).await.1["items"].as_array().unwrap().len(), 0);
    assert_eq!(listed(&sam).await.1["items"].as_array().unwrap().len(), 0);
    assert_eq!(listed(&bo).await.1["items"].as_array().unwrap().len(), 2);
    for person in [&eve, &sam, &bo] {
        let bearer = bearer(person);
        let headers = [("authorization", bearer.as_str())];
        let (status, _) = house.request("DELETE", &format!("/conversations/{own}"), &headers, None).await;
        assert_eq!(status, 404, "{}", person.name);
    }
    let agents = format!("/conversations?agent_id={}", bo.id);
    assert_eq!(house.get(&agents, &[("authorization", &bearer(&eve))]).await.0, 403);
    let bearer = bearer(&ann);
    let (status, _) =
        house.request("DELETE", &format!("/conversations/{own}"), &[("authorization", &bearer)], None).await;
    assert_eq!(status, 204);
    house.close().await;
}
