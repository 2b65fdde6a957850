//! What the log says, and that at no level it shows anybody's words, addresses or secrets.

use bookworm_testkit::{HubClient, until};
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

/// A client of the running program, that remembers what must not be in the log.
struct People<'a> {
    program: &'a Program,
    secrets: Vec<String>,
}

impl People<'_> {
    /// Sends a request with these headers: the status, and the answer's text, head and body.
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Type: application/json\r\n\
             {headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let (answer, _) = ask(1, self.program.address, &request).await;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        (status, answer)
    }

    /// Sends JSON, which must be taken: the answer's text.
    async fn does(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> String {
        let (status, answer) = self.send(method, path, headers, &body.to_string()).await;
        assert!((200..300).contains(&status), "{method} {path}: {answer}");
        answer
    }

    /// What stands in an answer under this name, which is a secret from here on.
    fn secret(&mut self, answer: &str, name: &str) -> String {
        let json = answer.split(&format!("\"{name}\":\"")).nth(1).and_then(|rest| rest.split('"').next());
        let header = answer.split(&format!("\r\n{name}: ")).nth(1).and_then(|rest| rest.split("\r\n").next());
        let found = json.or(header).unwrap_or_else(|| panic!("{name} is not in {answer}")).to_owned();
        self.secrets.push(found.clone());
        found
    }

    /// The token that a mail of this kind brought.
    async fn token_of(&mut self, kind: &str, admin: &str) -> String {
        let found = until("the mail is there", async || {
            let (_, answer) = self.send("GET", "/api/v1/admin/mail", &[("Authorization", admin)], "").await;
            let body: Value = serde_json::from_str(&answer[answer.find('{')?..=answer.rfind('}')?]).ok()?;
            let mail = body["items"].as_array()?.iter().find(|mail| mail["kind"] == kind)?.clone();
            let text = mail["text"].as_str()?;
            let token = text.split("token=").nth(1)?.split_whitespace().next()?;
            Some(token.to_owned())
        })
        .await;
        self.secrets.push(found.clone());
        found
    }
}

/// Everything that people do here, at the level at which the most is written. Whatever they say has the same word in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_scenario_leaves_a_secret_in_the_log() {
    let settings = [("BOOKWORM_TELEMETRY__LOG_FILTER", "trace"), ("BOOKWORM_TELEMETRY__LOG_FORMAT", "json")];
    let mut program = Program::start(1024, &settings).await;
    let mut people = People { program: &program, secrets: vec!["a long admin password".to_owned()] };

    // An administrator signs in, and changes a book.
    let sign_in = |email: &str, password: &str| json!({"grant_type": "password", "email": email, "password": password});
    let tokens =
        people.does("POST", "/api/v1/identity/token", &[], sign_in("admin@shop.test", "a long admin password")).await;
    let admin = format!("Bearer {}", people.secret(&tokens, "access_token"));
    people.secret(&tokens, "refresh_token");
    let by_admin = [("Authorization", admin.as_str())];
    let book =
        json!({"title": "The Dispossessed", "authors": ["A"], "price": {"amount": 999, "currency": "USD"}, "stock": 9});
    let book = people.does("POST", "/api/v1/books", &by_admin, book).await;
    let book = book.split("\"id\":\"").nth(1).unwrap()[..36].to_owned();

    // Somebody makes an account, signs in, writes a review, and forgets the password.
    let account = json!({"email": "quentin@reader.test", "password": "mulberry mulberry 7", "name": "Quentin"});
    people.does("POST", "/api/v1/identity/register", &[], account).await;
    let tokens = sign_in("quentin@reader.test", "mulberry mulberry 7");
    let tokens = people.does("POST", "/api/v1/identity/token", &[], tokens).await;
    let customer = format!("Bearer {}", people.secret(&tokens, "access_token"));
    people.secret(&tokens, "refresh_token");
    let review = json!({"rating": 4.5, "title": "mulberry", "text": "All about mulberry trees.", "language": "en"});
    people.does("POST", &format!("/api/v1/books/{book}/reviews"), &[("Authorization", &customer)], review).await;
    people.does("POST", "/api/v1/identity/password-reset", &[], json!({"email": "quentin@reader.test"})).await;
    let token = people.token_of("password_reset", &admin).await;
    people.send("GET", &format!("/reset-password?token={token}"), &[], "").await;
    let confirmation = json!({"token": token, "new_password": "mulberry again 8"});
    people.does("POST", "/api/v1/identity/password-reset/confirm", &[], confirmation).await;
    let token = people.token_of("confirm_email", &admin).await;
    people.send("GET", &format!("/confirm-email?token={token}"), &[], "").await;
    people.does("POST", "/api/v1/identity/confirm-email", &[], json!({"token": token})).await;

    // A guest buys, first with a card number where a token belongs; staff ship, and refund.
    let item = json!({"book_id": book, "quantity": 1});
    let basket = people.does("POST", "/api/v1/basket/items", &[], item).await;
    let basket = people.secret(&basket, "basket-token");
    people.secrets.extend(["4242424242424242".to_owned(), "tok_approve".to_owned()]);
    let checkout = |payment: &str| {
        json!({"email": "quentin@reader.test", "shipping_method": "standard", "payment": {"token": payment},
            "shipping_address": {"name": "Quentin Mulberry", "line1": "1 Mulberry Lane", "city": "Portland", "region": "OR",
            "postal_code": "97201", "country": "US"}})
    };
    let key = uuid(9);
    let buys = [("basket-token", basket.as_str()), ("idempotency-key", key.as_str())];
    people.send("POST", "/api/v1/orders/checkout", &buys, &checkout("4242424242424242").to_string()).await;
    let key = uuid(10);
    let buys = [("basket-token", basket.as_str()), ("idempotency-key", key.as_str())];
    let order = until("the basket can be bought", async || {
        let (status, answer) =
            people.send("POST", "/api/v1/orders/checkout", &buys, &checkout("tok_approve").to_string()).await;
        (status == 201).then_some(answer)
    })
    .await;
    let id = order.split("\"id\":\"").nth(1).unwrap()[..36].to_owned();
    let secret = people.secret(&order, "access_key");
    people.send("GET", &format!("/orders/{id}?key={secret}"), &[], "").await;
    until("the payment is captured", async || {
        let path = format!("/api/v1/orders/{id}");
        people.send("GET", &path, &by_admin, "").await.1.contains("\"captured\"").then_some(())
    })
    .await;
    people
        .send("POST", &format!("/api/v1/orders/{id}/ship"), &by_admin, &json!({"tracking": "mulberry-1"}).to_string())
        .await;
    let refund = json!({"reason": "mulberry stains", "amount": {"amount": 100, "currency": "USD"}});
    people.send("POST", &format!("/api/v1/orders/{id}/refund"), &by_admin, &refund.to_string()).await;

    // Somebody writes with the form, and strangers try what does not work.
    let form = json!({"name": "Quentin", "email": "quentin@reader.test", "text": "Where are my mulberry pies?"});
    people.does("POST", "/api/v1/contact", &[], form).await;
    let webhook = "{\"mulberry\": \"quentin@reader.test\"}";
    let signed = [("Payment-Signature", "t=1,v1=mulberry")];
    people.send("POST", "/api/v1/payments/webhooks/sandbox", &signed, webhook).await;
    people.send("GET", "/api/v1/orders", &[("Authorization", "Bearer mulberry.mulberry.mulberry")], "").await;
    people.send("GET", "/search?q=mulberry", &[], "").await;
    people.send("POST", "/sign-in", &[], "email=quentin@reader.test&password=mulberry").await;
    people.send("PUT", &format!("/api/v1/books/{book}"), &by_admin, "{\"title\": \"mulberry").await;

    let mut secrets = people.secrets;
    secrets.extend(["mulberry", "Mulberry", "quentin", "Quentin", "97201"].map(str::to_owned));
    program.signal("TERM").await;
    assert!(program.ended().await.success());
    let log = program.log();
    assert!(log.lines().filter(|line| line.contains("\"message\":\"answered\"")).count() > 20, "{log}");
    let told: Vec<_> = secrets
        .iter()
        .filter_map(|secret| Some((secret, log.lines().find(|line| line.contains(secret.as_str()))?)))
        .collect();
    assert!(told.is_empty(), "the log has secrets: {told:#?}");
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
