//! What of the shop works, for customers.

use super::*;

async fn page(status: u16, parts: serde_json::Value) -> String {
    let mut browser = Browser::new();
    let answer = json!({"at": "2026-03-01T12:00:00Z", "parts": parts});
    browser.api.0.lock().unwrap().status = Some((status, answer));
    let seen = browser.get("/status").await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
    holds_up("/status", &seen);
    seen.body
}

fn part(part: &str, state: &str) -> serde_json::Value {
    json!({"part": part, "state": state})
}

#[tokio::test]
async fn what_works_and_what_does_not_is_said_in_plain_words() {
    let all = ["books", "search", "basket", "checkout", "accounts", "reviews", "chat", "emails"];
    let body = page(200, json!(all.map(|name| part(name, "works")))).await;
    assert!(body.contains("Everything works.") && body.matches(">Works</span>").count() == all.len(), "{body}");
    assert!(body.contains("href=\"/status\">Shop status</a>"), "the footer leads here: {body}");

    let mut checkout = part("checkout", "unavailable");
    checkout["since"] = json!("2026-03-01T11:30:00Z");
    let body = page(200, json!([part("books", "works"), part("chat", "degraded"), checkout])).await;
    for words in [
        "Parts of the shop aren’t available.",
        "We can’t take orders right now. Your basket is kept.",
        "since <time datetime=\"2026-03-01T11:30:00Z\"",
        "Write to us with the contact form",
        ">Limited</span>",
    ] {
        assert!(body.contains(words), "{words}: {body}");
    }
    assert!(page(200, json!([part("search", "degraded")])).await.contains("Parts of the shop are limited."));
}

#[tokio::test]
async fn nothing_is_said_of_what_is_not_known() {
    let body = page(503, json!([])).await;
    assert!(body.contains("We can’t tell right now what works.") && !body.contains("<dl"), "{body}");
    let body = page(200, json!([part("a later part", "works")])).await;
    assert!(!body.contains("a later part"), "{body}");
}
