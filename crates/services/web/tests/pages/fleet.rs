//! The page about the shop's processes.

use super::*;
use crate::fake_api::instance;

async fn page(answer: serde_json::Value) -> String {
    let mut browser = Browser::signed_in(&["staff"]);
    browser.api.0.lock().unwrap().fleet = Some(answer);
    let seen = browser.get("/admin/fleet").await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
    holds_up("/admin/fleet", &seen);
    let part = browser.get("/admin/fleet/status").await;
    assert!(seen.body.contains(part.body.trim()), "the island fetches the same: {}", part.body);
    assert_eq!(part.headers["cache-control"], "no-store");
    seen.body
}

#[tokio::test]
async fn one_process_says_so_with_its_release_and_start() {
    let instances = ["basket", "catalog"].map(|role| instance(role, "a1b2", "ready"));
    let body =
        page(json!({"kind": "one_process", "current": true, "answered_by": "a1b2", "instances": instances})).await;
    assert!(body.contains("The whole shop runs in one process."), "{body}");
    assert!(body.contains("<dd>a1b2</dd>") && body.contains("<dd>1.2.3</dd>") && !body.contains("<table"), "{body}");
    assert!(body.contains("datetime=\"2026-03-01T08:00:00Z\""), "{body}");
}

#[tokio::test]
async fn each_state_is_said_in_words() {
    let mut out = instance("catalog", "b", "ready");
    out["verdict"] = json!({"reason": "it cannot be reached", "since": "2026-03-01T08:00:00Z"});
    let mut reader = instance("web", "d", "ready");
    reader["open_breakers"] = json!(["web.gateway"]);
    reader["ejected"] = json!(["catalog.b"]);
    reader["address"] = json!("http://10.0.0.4:9000");
    reader["zone"] = json!("north");
    let instances = [
        instance("ai", "a", "starting"),
        out,
        instance("chat", "d", "draining"),
        instance("chat", "e", "a later state"),
        reader,
    ];
    let body = page(json!({"kind": "registry", "current": true, "answered_by": "a", "instances": instances})).await;
    assert!(body.contains("5 instances: 1 ready, 1 out, 1 starting, 1 stopping, 1 unknown."), "{body}");
    for words in [
        ">Starting</span>",
        ">Out</span>",
        ">Stopping</span>",
        ">Unknown</span>",
        ">Ready</span>",
        "</time>: it cannot be reached.",
        "Its calls fail: web.gateway.",
        "Leaves alone for now: catalog.b.",
        "http://10.0.0.4:9000",
        "d, north",
        ">1,234</td>",
    ] {
        assert!(body.contains(words), "{words}: {body}");
    }
    assert!(body.contains("href=\"/admin/fleet\" data-again"), "without a script there is a link: {body}");
    assert!(!body.contains("class=\"note\""), "{body}");
}

#[tokio::test]
async fn what_the_page_does_not_know_it_says() {
    let ready = || [instance("catalog", "a", "ready")];
    let stale = json!({"kind": "registry", "current": false, "answered_by": "a", "instances": ready()});
    let body = page(stale).await;
    assert!(body.contains("1 instance, all ready.") && body.contains("this is what it said last"), "{body}");
    let settings = json!({"kind": "settings", "current": true, "answered_by": "a", "instances": ready()});
    assert!(page(settings).await.contains("Only this process is listed"));
}
