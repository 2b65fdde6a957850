//! At no level does the log show anybody's words, addresses or secrets.

use bookworm_testkit::HubClient;
use serde_json::{Value, json};

use crate::program::{Program, ask};

fn post(path: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_most_talkative_log_holds_nothing_of_what_people_say() {
    let settings = [("BOOKWORM_TELEMETRY__LOG_FILTER", "trace"), ("BOOKWORM_TELEMETRY__LOG_FORMAT", "json")];
    let mut program = Program::start(1024, &settings).await;
    let account = json!({"email": "quentin@reader.test", "password": "mulberry mulberry 7", "name": "Quentin"});
    let sign_in = json!({"grant_type": "password", "email": "quentin@reader.test", "password": "mulberry mulberry 7"});
    ask(1, program.address, &post("/api/v1/identity/register", &account)).await;
    let (tokens, _) = ask(1, program.address, &post("/api/v1/identity/token", &sign_in)).await;
    ask(1, program.address, &post("/api/v1/identity/register", &json!({"email": ["mulberry"], "name": 7}))).await;
    ask(1, program.address, &post("/api/v1/identity/password-reset", &json!({"email": "quentin@reader.test"}))).await;

    let mut guest = HubClient::connect(program.address, "/hubs/chat", None).await.unwrap();
    let begun = guest.invoke("StartConversation", &[json!({"name": "Quentin"})]).await.unwrap();
    let id = &begun["conversation"]["id"];
    let message = json!({"conversation_id": id, "client_message_id": uuid(1), "text": "Where are my mulberry pies?"});
    guest.invoke("SendMessage", &[message]).await.unwrap();
    for wrong in [json!({"conversation_id": id, "text": "mulberry"}), json!("mulberry"), json!({"mulberry": 1})] {
        guest.invoke("SendMessage", &[wrong]).await.unwrap_err();
    }
    drop(guest);
    program.signal("TERM").await;
    assert!(program.ended().await.success());

    let log = program.log();
    assert!(log.contains("\"level\":\"DEBUG\"") || log.contains("\"level\":\"TRACE\""), "our own lines are there");
    let secret = begun["guest_secret"].as_str().or(begun["secret"].as_str()).unwrap_or("mulberry").to_owned();
    let token = tokens.split("\"access_token\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap().to_owned();
    for hidden in ["mulberry", "quentin@", "Quentin", &secret, &token] {
        let line = log.lines().find(|line| line.contains(hidden));
        assert!(line.is_none(), "{hidden}: {}", line.unwrap_or_default());
    }
}

fn uuid(n: u8) -> String {
    format!("00000000-0000-4000-8000-0000000000{n:02}")
}
