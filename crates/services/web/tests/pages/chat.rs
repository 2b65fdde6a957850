//! What the pages give the chat.

use super::*;

#[tokio::test]
async fn the_chats_script_gets_the_token_and_other_sites_do_not() {
    let mut guest = Browser::new();
    let seen = guest.get("/chat/session").await;
    assert_eq!(seen.headers[header::CACHE_CONTROL], "no-store");
    let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(body, json!({"access_token": null, "expires_in": 0, "account": null, "name": null, "agent": false}));

    // Only the second cookie is left: the session is renewed on the way.
    let mut customer = Browser::new();
    customer.cookies.insert("bw_refresh".to_owned(), "good-refresh".to_owned());
    let own = customer.client.get("/chat/session").header("sec-fetch-site", "same-origin");
    let seen = customer.send(own).await;
    let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(body["access_token"], customer.cookies["bw_access"]);
    assert_eq!((&body["name"], &body["agent"]), (&json!("Ada <b>Reader</b>"), &json!(false)));

    for site in ["cross-site", "same-site", "none"] {
        let request = customer.client.get("/chat/session").header("sec-fetch-site", site);
        let seen = customer.send(request).await;
        assert_eq!((seen.status, seen.body.as_str()), (StatusCode::FORBIDDEN, ""), "{site}");
    }
    let request = customer.client.get("/chat/session").header("origin", "https://evil.example");
    assert_eq!(customer.send(request).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn every_page_offers_the_chat_and_the_desk_does_not() {
    let mut agent = Browser::signed_in(&["customer", "agent"]);
    for path in ["/", "/checkout", "/contact", "/nowhere"] {
        let body = agent.get(path).await.body;
        assert!(body.contains("<a class=\"chat-button\" href=\"/contact\""), "{path}");
        if path == "/checkout" {
            continue;
        }
        assert!(body.contains("href=\"/admin/chat\"") && !body.contains("href=\"/admin\""), "{path}");
    }
    let seen = agent.get("/admin/chat").await;
    assert_eq!(seen.headers[header::CACHE_CONTROL], "no-store");
    assert!(seen.body.contains("data-island=\"load\"") && !seen.body.contains("chat-button"));
    assert!(!seen.body.contains("data-orders"), "orders are for staff");
    holds_up("/admin/chat", &seen);
    let script = seen.body.split("data-script=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert!(script.starts_with("/assets/desk-"), "{script}");
    assert_eq!(agent.get(&script).await.status, StatusCode::OK);
    assert_eq!(agent.get("/admin/orders").await.status, StatusCode::FORBIDDEN);

    let mut staff = Browser::signed_in(&["staff"]);
    assert_eq!(staff.get("/admin/chat").await.status, StatusCode::FORBIDDEN);
    assert!(!staff.get("/").await.body.contains("/admin/chat\""));
    assert!(Browser::signed_in(&["admin"]).get("/admin/chat").await.body.contains("data-orders"));
    assert!(Browser::new().get("/admin/chat").await.location().starts_with("/sign-in"));
}

#[tokio::test]
async fn whoever_cannot_use_the_chat_writes_with_a_form() {
    let mut guest = Browser::new();
    let seen = guest.get("/contact").await;
    assert!(seen.body.contains("action=\"/contact\"") && seen.body.contains("We’ll reply by email."));
    let empty = guest.post("/contact", &[("name", "Ann"), ("email", ""), ("text", " ")]).await;
    assert_eq!(empty.status, StatusCode::BAD_REQUEST);
    assert!(empty.body.contains("Enter your email, so we can reply.") && empty.body.contains("Enter your message."));
    assert!(guest.api.asked("POST /api/v1/contact").is_empty());

    let fields = [("name", "Ann"), ("email", "ann@reader.test"), ("text", "Is it <b>there</b>?")];
    assert_eq!(guest.post("/contact", &fields).await.location(), "/contact");
    assert!(guest.get("/contact").await.body.contains("We’ve got your message and will reply by email."));
    let asked = guest.api.asked("POST /api/v1/contact").pop().unwrap().body;
    assert_eq!(asked, json!({"name": "Ann", "email": "ann@reader.test", "text": "Is it <b>there</b>?"}));

    // An account has its own name and address.
    let mut customer = Browser::signed_in(&["customer"]);
    let seen = customer.get("/contact").await;
    assert!(seen.body.contains("We’ll reply to ada@example.org.") && !seen.body.contains("id=\"f-email\""));
    assert_eq!(customer.post("/contact", &fields).await.location(), "/contact");
    let asked = customer.api.asked("POST /api/v1/contact").pop().unwrap().body;
    assert_eq!(asked, json!({"text": "Is it <b>there</b>?"}));

    // What was typed stays when it cannot be sent, and is the same message when it is sent again.
    guest.api.break_path("/contact", 503);
    let message =
        |page: &str| page.split("name=\"message\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let id = message(&guest.get("/contact").await.body);
    assert_ne!(id, message(&guest.get("/contact").await.body), "each form is a message of its own");
    let with_id = [&[("message", &*id)][..], &fields].concat();
    let away = guest.post("/contact", &with_id).await;
    assert_eq!(away.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(away.body.contains("Is it &#60;b&#62;there") && away.body.contains("Please try again in a minute"));
    assert_eq!(message(&away.body), id);
    guest.post("/contact", &with_id).await;
    let changed = [&with_id[..3], &[("text", "Never mind.")]].concat();
    guest.post("/contact", &changed).await;
    let asked = guest.api.asked("POST /api/v1/contact");
    let keys: Vec<&str> = asked[1..].iter().map(|asked| asked.headers["idempotency-key"].to_str().unwrap()).collect();
    assert!(keys[0].starts_with(&id) && keys[0] == keys[1] && keys[1] != keys[2], "{keys:?}");
}
