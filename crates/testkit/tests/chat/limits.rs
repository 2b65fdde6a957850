//! Bad input and too much of it: a clear error or a limit, and nobody else is harmed.

use std::time::{Duration, Instant};

use bookworm_config::Chat as Settings;
use bookworm_http::auth::Role;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};
use uuid::Uuid;

use crate::house::{Calls, House, Person, message, only};

#[tokio::test]
async fn what_cannot_be_a_message_is_refused_and_what_looks_like_markup_is_text() {
    let house = House::open().await;
    let mut guest = house.guest().await;
    let (id, _) = guest.start().await;
    for bad in ["", "   ", "\n\t", "a\0b", "a\u{1b}[31mb", "a\u{7f}b", &"x".repeat(4001)] {
        assert_eq!(guest.refused("SendMessage", message(&id, bad)).await, "validation_failed", "{bad:?}");
    }
    let html = "<script>alert(1)</script> & \"quotes\" \u{1f4da} \u{202e}";
    for good in [html, &"ä".repeat(4000), "line\nbreak\ttab"] {
        guest.say(&id, good).await;
        guest.expect("message", |message| message["text"] == good).await;
    }
    house.close().await;
}

#[tokio::test]
async fn wrong_arguments_are_named_and_change_nothing() {
    let house = House::open().await;
    let bo = Person::new("Bo", &[Role::Customer, Role::Agent]);
    let mut client = house.connect(&bo).await;
    let (id, _) = client.start().await;
    let cases: Vec<(&str, Value)> = vec![
        ("StartConversation", json!({"email": "nonsense"})),
        ("StartConversation", json!({"name": "x".repeat(101)})),
        ("StartConversation", json!({"name": "a\u{0}b"})),
        ("StartConversation", json!({"language": "english"})),
        ("StartConversation", json!({"language": "E1"})),
        ("StartConversation", json!({"unknown": 1})),
        ("StartConversation", json!(7)),
        ("StartConversation", Value::Null),
        ("Resume", json!({})),
        ("Resume", json!({"conversation_id": "nonsense"})),
        ("Resume", json!({"conversation_id": id, "after": -1})),
        ("Resume", json!({"conversation_id": id, "after": "1"})),
        ("SendMessage", json!({"conversation_id": id, "text": "x"})),
        ("SendMessage", json!({"conversation_id": id, "client_message_id": "x", "text": "x"})),
        ("SendMessage", json!({"conversation_id": id, "client_message_id": Uuid::new_v4(), "text": 7})),
        ("SendMessage", json!({"conversation_id": id, "client_message_id": Uuid::new_v4(), "text": null})),
        ("SendMessage", json!([id, "x"])),
        ("Typing", json!({"conversation_id": id, "typing": "yes"})),
        ("MarkRead", json!({"conversation_id": id, "seq": -1})),
        ("MarkRead", json!({"conversation_id": id, "seq": 1.5})),
        ("MarkRead", json!({"conversation_id": id, "seq": 99_999_999_999_999_999_999_999_f64})),
        ("History", json!({"conversation_id": id, "after": 0, "limit": 0})),
        ("History", json!({"conversation_id": id, "after": 0, "limit": 201})),
        ("Rate", json!({"conversation_id": id, "score": "5"})),
        ("SetAvailability", json!({"status": "busy"})),
        ("SetAvailability", json!({"status": "available", "capacity": 0})),
        ("SetAvailability", json!({"status": "available", "capacity": 21})),
        ("SetAvailability", json!({"status": "available", "skills": ["cooking"]})),
        ("SetAvailability", json!({"status": "available", "languages": []})),
        ("SetAvailability", json!({"status": "available", "languages": ["English"]})),
        ("Close", json!({"conversation_id": id, "resolution": "done"})),
    ];
    for (method, argument) in cases {
        assert_eq!(client.refused(method, argument.clone()).await, "validation_failed", "{method} {argument}");
    }
    for (method, arguments) in [("Nothing", vec![]), ("SendMessage", vec![]), ("Queue", vec![json!(1), json!(2)])] {
        assert!(client.invoke(method, &arguments).await.is_err(), "{method} {arguments:?}");
    }
    let history = client.ok("History", json!({"conversation_id": id, "after": 0})).await;
    assert_eq!(history["items"], json!([]), "and the connection lives on");
    house.close().await;
}

#[tokio::test]
async fn a_flood_gets_a_limit_and_harms_nobody_else() {
    let house = House::open().await;
    let (mut flood, mut other) = (house.guest().await, house.guest().await);
    let (id, _) = flood.start().await;
    let (calm, _) = other.start().await;
    let mut refused = 0;
    for n in 0..60 {
        match flood.try_call("SendMessage", message(&id, &format!("{n}"))).await {
            Ok(_) => {}
            Err(code) => {
                assert_eq!(code, "too_many_requests");
                refused += 1;
            }
        }
    }
    assert!((20..=30).contains(&refused), "{refused}");
    let asked = Instant::now();
    other.say(&calm, "Hello").await;
    other.expect("message", |message| message["author"] == "bot").await;
    assert!(asked.elapsed() < Duration::from_secs(2));
    house.clock.advance(Duration::from_secs(5));
    flood.say(&id, "Now then").await;

    let mut calls = 0;
    while flood.try_call("History", json!({"conversation_id": id, "after": 0})).await.is_ok() {
        calls += 1;
        assert!(calls < 5000, "there is no limit");
    }
    house.close().await;
}

#[tokio::test]
async fn five_open_conversations_and_no_more() {
    let house = House::open().await;
    let mut customer = house.connect(&Person::new("Ann", &[Role::Customer])).await;
    let mut guest = house.guest().await;
    for client in [&mut customer, &mut guest] {
        let mut last = String::new();
        for _ in 0..5 {
            last = client.start().await.0;
        }
        assert_eq!(client.refused("StartConversation", json!({})).await, "too_many_requests");
        client.ok("DeleteConversation", only(&last)).await;
        client.start().await;
    }
    assert_eq!(house.guest().await.refused("StartConversation", json!({})).await, "too_many_requests", "one address");
    house.close().await;
}

#[tokio::test]
async fn a_conversation_ends_at_its_limit() {
    let settings = Settings { max_messages: 10, ..Settings::default() };
    let house = House::open_with(settings).await;
    let mut guest = house.guest().await;
    let (id, _) = guest.start().await;
    for n in 0..5 {
        guest.say(&id, &format!("{n}")).await;
        guest.expect("message", |message| message["author"] == "bot").await;
    }
    assert_eq!(guest.refused("SendMessage", message(&id, "More")).await, "invalid_conversation_state");
    house.close().await;
}

/// A WebSocket that speaks the protocol by hand.
async fn raw(house: &House) -> WebSocketStream<TcpStream> {
    let url = format!("ws://{}{}", house.address, crate::house::PATH);
    let stream = TcpStream::connect(house.address).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    socket.send(Message::text("{\"protocol\":\"json\",\"version\":1}\u{1e}")).await.unwrap();
    socket
}

/// The first message of this type that comes.
async fn of_type(socket: &mut WebSocketStream<TcpStream>, wanted: u64) -> Value {
    let read = async {
        loop {
            let message = socket.next().await.unwrap().unwrap();
            let Message::Text(text) = message else { continue };
            for record in text.split('\u{1e}').filter(|record| !record.is_empty()) {
                let value: Value = serde_json::from_str(record).unwrap();
                if value["type"] == wanted {
                    return value;
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read).await.unwrap()
}

#[tokio::test]
async fn the_longest_message_fits_however_it_is_escaped() {
    let house = House::open().await;
    let mut guest = house.guest().await;
    let (id, secret) = guest.start().await;
    let mut socket = raw(&house).await;
    let resume = json!({"type": 1, "invocationId": "1", "target": "Resume",
        "arguments": [{"conversation_id": id, "secret": secret}]});
    socket.send(Message::text(format!("{resume}\u{1e}"))).await.unwrap();
    of_type(&mut socket, 3).await;
    for (n, (escaped, text)) in [
        ("\\ud83d\\ude00".repeat(4000), "\u{1F600}".repeat(4000)),
        ("\\u00e4".repeat(4000), "\u{e4}".repeat(4000)),
        ("\\\"".repeat(4000), "\"".repeat(4000)),
    ]
    .into_iter()
    .enumerate()
    {
        let client_message_id = Uuid::new_v4();
        let call = format!(
            "{{\"type\":1,\"invocationId\":\"s{n}\",\"target\":\"SendMessage\",\"arguments\":[{{\"conversation_id\":{id:?},\
             \"client_message_id\":\"{client_message_id}\",\"text\":\"{escaped}\"}}]}}\u{1e}"
        );
        socket.send(Message::text(call)).await.unwrap();
        let answer = of_type(&mut socket, 3).await;
        assert!(answer["result"]["seq"].is_u64(), "{answer}");
        guest.expect("message", |message| message["text"] == text.as_str()).await;
    }
    house.close().await;
}

#[tokio::test]
async fn an_invocation_beyond_64_kib_closes_that_connection_with_the_reason_and_no_other() {
    let house = House::open().await;
    let (mut guest, mut other) = (house.guest().await, house.guest().await);
    let (id, _) = guest.start().await;
    let (calm, _) = other.start().await;
    let lost = guest.invoke("SendMessage", &[message(&id, &"x".repeat(70 * 1024))]).await;
    assert_eq!(lost.unwrap_err().code(), "", "the connection is closed");
    let mut socket = raw(&house).await;
    let call = json!({"type": 1, "target": "SendMessage", "arguments": [message(&id, &"x".repeat(70 * 1024))]});
    socket.send(Message::text(format!("{call}\u{1e}"))).await.unwrap();
    let closed = of_type(&mut socket, 7).await;
    assert!(closed["error"].as_str().unwrap().contains("at most 65536 bytes"), "{closed}");
    other.say(&calm, "Hello").await;
    house.close().await;
}

#[tokio::test]
async fn what_is_wrong_with_an_argument_is_said_in_words() {
    let house = House::open().await;
    let mut guest = house.guest().await;
    let (id, _) = guest.start().await;
    for (method, argument, sentence) in [
        ("Resume", json!({"conversation_id": id, "after": -1}), "after must be a whole number of 0 or more, not -1"),
        ("Typing", Value::Null, "the argument must be an object"),
        ("Typing", json!({"conversation_id": id}), "typing is required"),
        ("Typing", json!({"conversation_id": id, "typing": "yes"}), "typing must be a boolean"),
        ("MarkRead", json!({"conversation_id": "x", "seq": 1}), "conversation_id must be a UUID"),
        ("SendMessage", json!([id, "x"]), "the argument must be an object"),
        ("Rate", json!({"conversation_id": id, "score": 5, "stars": 1}), "stars is not known"),
    ] {
        let refused = guest.invoke(method, std::slice::from_ref(&argument)).await.unwrap_err().to_string();
        assert!(
            refused.contains("validation_failed: ") && refused.contains(sentence),
            "{method} {argument}: {refused}"
        );
        let ours = refused.split("validation_failed: ").nth(1).unwrap();
        for jargon in ["u64", "struct", "line 1", "column"] {
            assert!(!ours.contains(jargon), "{method} {argument}: {refused}");
        }
    }
    house.close().await;
}

#[tokio::test]
async fn whoever_does_not_read_slows_nobody_down() {
    let house = House::open().await;
    let ann = Person::new("Ann", &[Role::Customer]);
    let mut writes = house.connect(&ann).await;
    let (id, _) = writes.start().await;
    writes.ok("EndConversation", only(&id)).await;
    // A tab that resumes and then never reads from its socket again.
    let url = format!("ws://{}{}?access_token={}", house.address, crate::house::PATH, house.token(&ann));
    let (mut asleep, _) =
        tokio_tungstenite::client_async(url, tokio::net::TcpStream::connect(house.address).await.unwrap())
            .await
            .unwrap();
    let resume = json!({"type": 1, "invocationId": "1", "target": "Resume", "arguments": [only(&id)]});
    for text in ["{\"protocol\":\"json\",\"version\":1}".to_owned(), resume.to_string()] {
        asleep.send(Message::text(format!("{text}\u{1e}"))).await.unwrap();
    }
    let long = "x".repeat(3900);
    let mut slowest = Duration::ZERO;
    for _ in 0..400 {
        // Time enough for a sender not to be too fast.
        house.clock.advance(Duration::from_secs(1));
        let asked = Instant::now();
        writes.say(&id, &long).await;
        slowest = slowest.max(asked.elapsed());
    }
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    house.close().await;
}
