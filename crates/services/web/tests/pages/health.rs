//! The page about the shop's health.

use super::*;

fn process(name: &str, state: &str, checks: serde_json::Value) -> serde_json::Value {
    json!({"process": name, "roles": ["catalog", "ai"], "version": "1.2.3", "zone": "north", "state": state,
        "since": "2026-03-01T08:00:00Z", "started_at": "2026-03-01T07:00:00Z", "checks": checks,
        "requests_per_second": 3.25, "failed": 0.5, "latency_p95": 0.012,
        "requests": chart("requests", "per_second", json!([1.0, 3.25]))})
}

fn chart(id: &str, unit: &str, points: serde_json::Value) -> serde_json::Value {
    json!({"id": id, "unit": unit, "from": "2026-03-01T11:00:00Z", "step_seconds": 60, "points": points})
}

fn shop(processes: serde_json::Value) -> serde_json::Value {
    json!({"at": "2026-03-01T12:00:00Z", "answered_by": "m", "history_from": "2026-03-01T10:00:00Z", "series_left_out": 0,
        "processes": processes,
        "charts": [chart("latency", "seconds", json!([0.1, null, 0.4, 0.2])), chart("orders", "per_minute", json!([null, null]))],
        "breakers": [{"process": "a", "name": "ordering.catalog", "state": "half_open"}],
        "leases": [{"name": "saga", "holders": ["a"]}, {"name": "mail", "holders": []}],
        "queues": [{"name": "outbox ordering", "unit": "seconds", "value": 90.0}, {"name": "bus", "unit": "count", "value": 12.0}],
        "errors": [], "starts": []})
}

async fn page(status: u16, answer: serde_json::Value) -> String {
    let mut browser = Browser::signed_in(&["staff"]);
    browser.api.0.lock().unwrap().shop_health = Some((status, answer));
    let seen = browser.get("/admin/health").await;
    assert_eq!(seen.status, StatusCode::OK, "{}", seen.body);
    holds_up("/admin/health", &seen);
    let part = browser.get("/admin/health/part").await;
    assert!(seen.body.contains(part.body.trim()), "the island fetches the same: {}", part.body);
    assert_eq!(part.headers["cache-control"], "no-store");
    seen.body
}

#[tokio::test]
async fn each_process_says_how_it_is_and_since_when() {
    let down = json!([{"name": "catalog", "state": "down", "since": "2026-03-01T09:00:00Z", "why": "the disk is full"},
        {"name": "ai", "state": "ok", "since": "2026-03-01T09:00:00Z"}]);
    let processes = json!([process("a", "away", json!([])), process("b", "ready", down)]);
    let body = page(200, shop(processes)).await;
    for words in [
        "2 processes: 1 ready, 1 away. 1 check needs attention.",
        ">Away</span>",
        ">Ready</span>",
        ">Down</span> catalog: the disk is full, since <time datetime=\"2026-03-01T09:00:00Z\"",
        "OK: ai",
        ">3.2/s</td>",
        ">50%</td>",
        ">12 ms</td>",
        "Half open</span> ordering.catalog, in a",
        ">Nobody</span>",
        "Oldest message of ordering not on the bus yet</dt><dd>90 s</dd>",
        "No errors were logged.",
        "href=\"/admin/health\" data-again",
        "<meta http-equiv=\"refresh\"",
    ] {
        assert!(body.contains(words), "{words}: {body}");
    }
}

#[tokio::test]
async fn a_chart_says_in_words_and_numbers_what_it_draws() {
    let body = page(200, shop(json!([process("a", "ready", json!([]))]))).await;
    assert!(body.contains("1 process, ready."), "{body}");
    let words = "aria-label=\"95 of 100 requests take at most in the last two hours: now 200 ms, at most 400 ms at";
    assert!(body.contains(words), "{body}");
    assert_eq!(body.matches("<polyline").count(), 2, "a gap is a gap: {body}");
    assert!(
        body.contains("Orders placed: no data in the last two hours.") && body.contains(">No data</strong>"),
        "{body}"
    );
    assert!(body.contains("<td class=\"num\">200 ms</td>"), "{body}");
}

#[tokio::test]
async fn without_a_monitor_the_page_says_so() {
    let body = page(503, json!({})).await;
    assert!(
        body.contains("No process with the role monitor answers.") && body.contains("href=\"/admin/fleet\""),
        "{body}"
    );
}

#[tokio::test]
async fn what_changes_is_said_as_it_happens() {
    let mut staff = Browser::signed_in(&["staff"]);
    let events = staff.get("/admin/health/events").await;
    assert_eq!((events.status, &*events.body), (StatusCode::OK, "event: look\ndata: now\n\n"));
    assert_eq!(events.headers["content-type"], "text/event-stream");
    let mut customer = Browser::signed_in(&["customer"]);
    assert_eq!(customer.get("/admin/health/events").await.status, StatusCode::FORBIDDEN);
}
