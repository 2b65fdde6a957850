//! What the log says, and that at no level it shows anybody's words, addresses or secrets.

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_says_which_process_wrote_it_and_which_request_it_belongs_to() {
    let mut program = Program::start(1024, &[("BOOKWORM_TELEMETRY__LOG_FORMAT", "json")]).await;
    let (correlation, trace) = ("0190b0a0-0000-7000-8000-000000000001", "4bf92f3577b34da6a3ce929d0e0e4736");
    let request = format!(
        "GET /api/v1/books HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nX-Correlation-Id: {correlation}\r\n\
         traceparent: 00-{trace}-00f067aa0ba902b7-01\r\n\r\n"
    );
    ask(1, program.address, &request).await;
    program.signal("TERM").await;
    assert!(program.ended().await.success());

    let log = program.log();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let instance = lines[0]["instance"].as_str().unwrap();
    assert_eq!(instance.len(), 8, "a name is made where none is set, before the first line");
    assert!(lines.iter().all(|line| line["instance"] == instance && line["release"].is_string()), "{log}");
    let answered = lines.iter().find(|line| line["message"] == "answered").unwrap();
    assert_eq!(answered["correlation_id"], correlation);
    assert_eq!(answered["trace_id"], trace);
    let span = answered["span_id"].as_str().unwrap();
    assert!(span.len() == 16 && span != "00f067aa0ba902b7", "our span, not the caller's: {span}");
}

fn uuid(n: u8) -> String {
    format!("00000000-0000-4000-8000-0000000000{n:02}")
}
