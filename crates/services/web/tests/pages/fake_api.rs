//! A small stand-in for the public API: enough for every page, and it remembers what it was asked.

use std::sync::{Arc, Mutex};

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, patch, post, put},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::fake_coupons::coupons;

pub const HOSTILE: &str = "<script>alert(\"x\")</script> & 'Co' ";
pub const BOOK: &str = "01990000-0000-7000-8000-000000000001";
pub const ORDER: &str = "01990000-0000-7000-8000-0000000000aa";
pub const OTHER: &str = "01990000-0000-7000-8000-000000000099";

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Asked {
    pub line: String,
    pub headers: HeaderMap,
    /// As JSON; null when it is none.
    pub body: Value,
}

#[derive(Default)]
pub struct Inner {
    pub asked: Vec<Asked>,
    /// What checkout answers: status and body.
    pub checkout: Option<(u16, Value)>,
    /// What a quote says in place of the usual: status and body.
    pub quote: Option<(u16, Value)>,
    /// What an order has in place of the usual.
    pub order: Value,
    /// What a refund is answered.
    pub refund: Option<(u16, Value)>,
    /// Everything fails with this status.
    pub down: Option<u16>,
    pub empty: bool,
    /// An order of the basket waits for its customer's bank.
    pub under_way: bool,
    /// Baskets cannot be written.
    pub disk_full: bool,
    /// What search answers; a hit with hostile words when there is none.
    pub search: Option<(u16, Value)>,
    /// Paths under `/api/v1` that fail, and how.
    pub broken: Vec<(&'static str, u16)>,
    /// Synonyms as they are saved, and their version.
    pub synonyms: (Value, u32),
    /// What `/books` answers; two rated books when there is none.
    pub books: Option<Vec<Value>>,
    /// What `/recommendations` answers.
    pub recommendations: Option<Value>,
    /// What is in the basket; one line when there is none.
    pub basket: Option<Value>,
    /// What a change of a basket is refused with.
    pub refusal: Option<(u16, Value)>,
    /// What an import has in place of the usual.
    pub import: Value,
    /// What an upload, a mapping or a merge is refused with.
    pub import_refusal: Option<(u16, Value)>,
    /// Prepared replies as they are saved, and their version.
    pub replies: (Value, u32),
    /// What `/status` answers; a part of a later release when there is nothing.
    pub status: Option<(u16, Value)>,
    /// What `/admin/health/shop` answers; hostile words when there is nothing.
    pub shop_health: Option<(u16, Value)>,
    /// What `/fleet` answers; two instances with hostile words when there is none.
    pub fleet: Option<Value>,
    /// What one's own review has in place of the usual; none is written when it is null.
    pub own_review: Value,
    /// What saving a review is refused with.
    pub review_refusal: Option<(u16, Value)>,
}

#[derive(Clone, Default)]
pub struct FakeApi(pub Arc<Mutex<Inner>>);

impl FakeApi {
    pub fn asked(&self, start: &str) -> Vec<Asked> {
        self.0.lock().unwrap().asked.iter().filter(|asked| asked.line.starts_with(start)).cloned().collect()
    }

    pub fn answer_search(&self, status: u16, body: Value) {
        self.0.lock().unwrap().search = Some((status, body));
    }

    pub fn break_path(&self, path: &'static str, status: u16) {
        self.0.lock().unwrap().broken.push((path, status));
    }

    pub fn answer_checkout(&self, status: u16, body: Value) {
        self.0.lock().unwrap().checkout = Some((status, body));
    }
}

/// How the shop's parts are: a full disk under the baskets where the test says so.
async fn health(State(api): State<FakeApi>) -> Json<Value> {
    let wrong = api.0.lock().unwrap().disk_full;
    let basket = if wrong { "the database basket cannot be used: the disk is full" } else { "ok" };
    Json(json!({"status": if wrong { "unavailable" } else { "ok" }, "checks": {"basket": basket, "catalog": "ok"}}))
}

pub fn token(roles: &[&str]) -> String {
    let claims = json!({"sub": OTHER, "name": "Ada <b>Reader</b>", "email": "ada@example.org", "roles": roles});
    format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string()))
}

pub fn money(amount: i64) -> Value {
    json!({"amount": amount, "currency": "USD"})
}

pub fn book(id: &str, title: &str) -> Value {
    json!({
        "id": id, "title": title, "authors": [{"id": OTHER, "name": "O'Brien <i>"}], "publisher": "P & Q",
        "year": -380, "language": "en", "pages": 320, "subjects": ["Sea <stories>", "Classics"], "series": "S<1>",
        "description": "First.\n\n<b>Second</b>", "price": money(1299), "list_price": money(1999),
        "rating": {"average": 4.4, "count": 12345}, "available": 3, "cover_url": format!("/covers/{id}.svg?v=2"),
        "version": 2, "updated_at": "2026-03-01T12:30:00Z", "isbn13": "9780061120084"
    })
}

/// A review with hostile words, and the shop's answer to it.
pub fn review(changed: &Value) -> Value {
    let mut review = json!({
        "id": ORDER, "book_id": BOOK, "rating": 4.5, "title": HOSTILE, "text": format!("{HOSTILE}\nhttps:example"),
        "language": "de", "spoiler": false, "verified": true, "author": "Ada <b>", "helpful": 2, "found_helpful": false,
        "answer": {"text": HOSTILE, "at": "2026-03-01T12:30:00Z"}, "created_at": "2026-03-01T12:30:00Z",
        "updated_at": "2026-03-01T12:30:00Z", "version": 3, "standing": null
    });
    if let Some(changed) = changed.as_object() {
        review.as_object_mut().unwrap().extend(changed.clone());
    }
    review
}

fn hidden() -> Value {
    json!({"standing": {"status": "hidden", "reason": null, "explanation": HOSTILE, "appeal": null}})
}

async fn save_review(State(api): State<FakeApi>) -> Response {
    if let Some((status, body)) = api.0.lock().unwrap().review_refusal.clone() {
        let code = body["code"].as_str().unwrap_or("validation_failed").to_owned();
        return problem(status, &code, body);
    }
    let waiting =
        json!({"standing": {"status": "waiting", "reason": "not_verified", "explanation": null, "appeal": null}});
    Json(review(&waiting)).into_response()
}

fn reviews() -> Router<FakeApi> {
    let moderated = json!({"review": review(&hidden()), "customer_id": OTHER, "report_count": 3,
        "reports": [{"reason": "spam", "text": HOSTILE, "by": OTHER, "at": "2026-03-01T12:30:00Z"}]});
    let event = |version: u32, kind: &str, by: &str, reason: Value| {
        json!({"version": version, "type": kind, "at": "2026-03-01T12:30:00Z", "by": by, "account": null,
            "reason": reason, "correlation_id": OTHER})
    };
    let events = vec![event(1, "Written", "author", Value::Null), event(2, "Hidden", "staff", json!(HOSTILE))];
    Router::new()
        .route(
            "/books/{id}/reviews",
            get(|Path(book): Path<String>| async move {
                if book == OTHER || book.parse::<uuid::Uuid>().is_err() {
                    return problem(404, "not_found", json!({}));
                }
                let spoiler = json!({"id": OTHER, "spoiler": true, "verified": false, "title": null, "answer": null});
                let counts = [(5, 2), (4, 0), (3, 0), (2, 0), (1, 0)];
                let counts: Vec<_> = counts.iter().map(|(stars, count)| json!({"stars": stars, "count": count})).collect();
                let sentence = |text: &str| json!({"review_id": OTHER, "author": HOSTILE, "rating": 4.5, "text": text});
                let agreed = json!({"sentences": [sentence(HOSTILE), sentence("I read it twice"), sentence("Twice")]});
                let summary = json!({"praised": [agreed], "missed": [{"sentences": [sentence("The end is weak")]}]});
                let languages = json!([{"language": "de", "count": 1}, {"language": "en", "count": 1}]);
                Json(json!({"items": [review(&json!({})), review(&spoiler)], "next": "c/u+r", "count": 2, "average": 4.5,
                    "distribution": counts, "languages": languages, "checked": format!("Checked. {HOSTILE}"),
                    "summary": summary}))
                .into_response()
            })
            .post(save_review),
        )
        .route(
            "/reviews",
            get(|State(api): State<FakeApi>, Query(query): Query<std::collections::HashMap<String, String>>| async move {
                let own = api.0.lock().unwrap().own_review.clone();
                match query.contains_key("book_id") && own.is_null() {
                    true => page(vec![]),
                    false => page(vec![review(&hidden())]),
                }
            }),
        )
        .route(
            "/reviews/{id}",
            get(|| async { Json(review(&hidden())) })
                .put(save_review)
                .delete(|| async { StatusCode::NO_CONTENT }),
        )
        .route("/reviews/{id}/events", get(move || async move { page(events) }))
        .route("/reviews/{id}/helpful", put(|| async { StatusCode::NO_CONTENT }).delete(|| async { StatusCode::NO_CONTENT }))
        .route("/reviews/{id}/reports", post(|| async { StatusCode::NO_CONTENT }))
        .route("/reviews/{id}/appeal", post(|| async { Json(review(&hidden())) }))
        .route("/reviews/{id}/answer", put(save_review).delete(|| async { StatusCode::NO_CONTENT }))
        .route(
            "/review-invitations/check",
            post(|Json(body): Json<Value>| async move {
                match body["token"].as_str() {
                    Some("good") => Json(json!({"author": "Ada", "expires_at": "2026-05-01T12:30:00Z",
                        "books": [{"book_id": BOOK, "title": HOSTILE, "review": null}]}))
                    .into_response(),
                    _ => problem(400, "validation_failed", json!({"errors": [{"field": "/token", "message": "has expired"}]})),
                }
            }),
        )
        .route(
            "/review-invitations/unsubscribe",
            post(|Query(query): Query<std::collections::HashMap<String, String>>| async move {
                match query.get("token").map(String::as_str) {
                    Some("good") => StatusCode::NO_CONTENT.into_response(),
                    _ => problem(400, "validation_failed", json!({})),
                }
            }),
        )
        .route("/admin/reviews", get(move || async move { page(vec![moderated]) }))
        .route("/admin/reviews/{id}/decision", post(save_review))
}

pub fn page(items: Vec<Value>) -> Json<Value> {
    Json(json!({"items": items, "next": "c/u+r"}))
}

pub fn basket(empty: bool) -> Value {
    let line = json!({
        "book_id": BOOK, "title": HOSTILE, "authors": ["O'Brien"], "quantity": 2, "unit_price": money(1299),
        "line_total": money(2598), "available": 9, "price_changed": true, "previous_price": money(999),
        "cover_url": format!("/covers/{BOOK}.svg?v=2")
    });
    let items = if empty { vec![] } else { vec![line] };
    json!({"items": items, "subtotal": money(2598), "version": 3})
}

pub fn order(status: &str) -> Value {
    json!({
        "id": ORDER, "number": "BW-7K3M-92QX", "status": status, "placed_at": "2026-03-01T12:30:00Z",
        "lines": [{"book_id": BOOK, "title": HOSTILE, "quantity": 2, "unit_price": money(1299), "line_total": money(2598)}],
        "subtotal": money(2598), "shipping": money(499), "tax": money(200), "tax_included": false, "discount": money(0),
        "total": money(3297),
        "shipping_address": {"name": "Ada <x>", "line1": "1 Main St", "city": "Town", "postal_code": "12345", "country": "US"},
        "shipping_method": "standard", "email": "ada@example.org",
        "payment": {"status": if status == "pending" { "action_required" } else { "captured" },
            "action_url": "/sandbox/challenge/1", "refunded": money(0)},
        "timeline": [{"status": "pending", "at": "2026-03-01T12:30:00Z"}, {"status": "confirmed", "at": "2026-03-01T12:30:01Z", "note": "<note>"}],
        "actions": {"cancel": matches!(status, "pending" | "confirmed"), "ship": status == "confirmed", "complete": false,
            "refund": if status == "confirmed" { money(3297) } else { Value::Null }},
        "version": 4, "access_key": "k/e+y"
    })
}

pub fn problem(status: u16, code: &str, more: Value) -> Response {
    let mut body =
        json!({"type": "/errors/x", "title": "Title", "status": status, "code": code, "trace_id": "trace<1>"});
    if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
        body.extend(more.clone());
    }
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

async fn watch(State(api): State<FakeApi>, request: Request, next: Next) -> Response {
    let line = format!("{} {}", request.method(), request.uri());
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let asked = serde_json::from_slice(&body).unwrap_or_default();
    let request = Request::from_parts(parts, body.into());
    let down = {
        let mut inner = api.0.lock().unwrap();
        let path = request.uri().path().trim_start_matches("/api/v1");
        let broken = inner.broken.iter().find(|(start, _)| path.starts_with(start)).map(|(_, status)| *status);
        inner.asked.push(Asked { line, headers: request.headers().clone(), body: asked });
        inner.down.or(broken)
    };
    match down {
        Some(status) => problem(status, "unavailable", json!({})),
        None => next.run(request).await,
    }
}

async fn get_book(Path(id): Path<String>) -> Response {
    if id == OTHER || id.parse::<uuid::Uuid>().is_err() {
        return problem(404, "not_found", json!({"detail": "There is no such book."}));
    }
    let mut response = Json(book(&id, HOSTILE)).into_response();
    response.headers_mut().insert("etag", "\"2\"".parse().unwrap());
    response
}

/// Results, `total` of them, with everything that a search can tell.
pub fn found(total: i64) -> Value {
    let highlights = json!([
        {"field": "title", "pieces": [{"text": "<script>alert(\"x\")</script>", "hit": true}, {"text": " & 'Co' ", "hit": false}]},
        {"field": "description", "pieces": [{"text": "<b>Second", "hit": true}, {"text": "</b>", "hit": false}]}]);
    let hit = json!({"book": book(BOOK, HOSTILE), "score": 1.0, "matched": {"text": true, "meaning": false},
        "highlights": highlights});
    let near =
        json!({"book": book(BOOK, "A lamp by the sea"), "score": 0.5, "matched": {"text": false, "meaning": true}});
    let dotted = json!({"book": book(BOOK, "Dots"), "score": 0.5, "matched": {"text": true, "meaning": true},
        "highlights": [{"field": "description", "pieces": [{"text": "… ", "hit": false}, {"text": "st", "hit": true}, {"text": ". …", "hit": false}]}]});
    json!({
        "items": if total > 0 { vec![hit, near, dotted] } else { vec![] }, "next": null, "total": total, "degraded": false, "took_ms": 3,
        "facets": {"subject": [{"value": "Sea <stories>", "count": 5}], "language": [{"value": "en", "count": 2}],
            "author": [{"value": "O'Brien <i>", "count": 1}], "price": [{"value": "0-999", "count": 1}]}
    })
}

async fn search(State(api): State<FakeApi>) -> Response {
    match api.0.lock().unwrap().search.clone() {
        Some((status, body)) if status >= 400 => problem(status, "validation_failed", body),
        Some((_, body)) => Json(body).into_response(),
        None => Json(found(1_234)).into_response(),
    }
}

async fn synonyms(State(api): State<FakeApi>) -> Response {
    let (groups, version) = api.0.lock().unwrap().synonyms.clone();
    let groups = if groups.is_null() { json!([["sea", "<ocean>"]]) } else { groups };
    let mut response = Json(json!({"groups": groups})).into_response();
    response.headers_mut().insert("etag", format!("\"{version}\"").parse().unwrap());
    response
}

async fn save_synonyms(State(api): State<FakeApi>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    if body["groups"][0][0] == "refused" {
        let errors = json!({"errors": [{"field": "/groups/0/1", "message": "is not a word"}]});
        return problem(400, "validation_failed", errors);
    }
    let Some(tag) = headers.get("if-match").and_then(|tag| tag.to_str().ok()) else {
        return problem(428, "precondition_required", json!({}));
    };
    let saved = {
        let mut inner = api.0.lock().unwrap();
        let fits = tag == format!("\"{}\"", inner.synonyms.1);
        if fits {
            inner.synonyms = (body["groups"].clone(), inner.synonyms.1 + 1);
        }
        fits
    };
    if saved { synonyms(State(api)).await } else { problem(412, "edit_conflict", json!({})) }
}

fn policy() -> Value {
    json!({"slug": "gift-cards", "title": HOSTILE, "text": format!("# T\n\nFirst. {HOSTILE}\n\n## {HOSTILE}\n\n## Main")})
}

async fn replies(State(api): State<FakeApi>) -> Response {
    let (items, version) = api.0.lock().unwrap().replies.clone();
    let items = if items.is_null() { json!([{"shortcut": "hello", "text": HOSTILE}]) } else { items };
    let mut response = Json(json!({"items": items})).into_response();
    response.headers_mut().insert("etag", format!("\"{version}\"").parse().unwrap());
    response
}

async fn save_replies(State(api): State<FakeApi>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    if body["items"][0]["text"] == "refused" {
        let errors = json!({"errors": [{"field": "/items/0/text", "message": "is not kind"}]});
        return problem(400, "validation_failed", errors);
    }
    let saved = {
        let mut inner = api.0.lock().unwrap();
        let tag = headers.get("if-match").and_then(|tag| tag.to_str().ok()).unwrap_or_default();
        let fits = tag == format!("\"{}\"", inner.replies.1);
        if fits {
            inner.replies = (body["items"].clone(), inner.replies.1 + 1);
        }
        fits
    };
    if saved { replies(State(api)).await } else { problem(412, "edit_conflict", json!({})) }
}

async fn under_way(State(api): State<FakeApi>) -> Response {
    if !api.0.lock().unwrap().under_way {
        return problem(404, "not_found", json!({}));
    }
    let mut order = order("pending");
    order["access_key"] = "k/e+y".into();
    Json(order).into_response()
}

async fn cancel(State(api): State<FakeApi>, Path(_): Path<String>, Json(body): Json<Value>) -> Response {
    if body["only_unconfirmed"] == true && !std::mem::take(&mut api.0.lock().unwrap().under_way) {
        return problem(409, "invalid_order_state", json!({}));
    }
    Json(order("cancelled")).into_response()
}

async fn basket_answer(State(api): State<FakeApi>, method: http::Method, headers: HeaderMap) -> Response {
    let (known, refusal, empty) = {
        let inner = api.0.lock().unwrap();
        (inner.basket.clone(), inner.refusal.clone(), inner.empty)
    };
    if let (true, Some((status, body))) = (method != http::Method::GET, refusal) {
        let code = body["code"].as_str().unwrap_or("validation_failed").to_owned();
        return problem(status, &code, body);
    }
    let mut answer = known.unwrap_or_else(|| basket(empty));
    if api.0.lock().unwrap().under_way {
        answer["order_under_way"] = ORDER.into();
    }
    let mut response = Json(answer).into_response();
    if !headers.contains_key("basket-token") && !headers.contains_key("authorization") {
        response.headers_mut().insert("basket-token", "fresh-guest-secret".parse().unwrap());
    }
    response
}

async fn proof(Json(body): Json<Value>) -> Response {
    match body["token"].as_str() {
        Some("good") => StatusCode::NO_CONTENT.into_response(),
        _ => problem(400, "validation_failed", json!({"errors": [{"field": "/token", "message": "has expired"}]})),
    }
}

async fn tokens(Json(body): Json<Value>) -> Response {
    if body["grant_type"] == "refresh_token" {
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        if body["refresh_token"] != "good-refresh" {
            return problem(401, "invalid_token", json!({}));
        }
    } else if body["password"] != "correct horse" {
        return problem(401, "invalid_credentials", json!({}));
    }
    let roles: &[&str] = if body["email"] == "staff@example.org" { &["customer", "staff"] } else { &["customer"] };
    Json(json!({"access_token": token(roles), "token_type": "Bearer", "expires_in": 900, "refresh_token": "next-refresh"}))
        .into_response()
}

/// An import that was checked.
fn import() -> Value {
    let note =
        json!({"line": 3, "column": "Betrag <i>", "value": HOSTILE, "message": format!("is no amount {HOSTILE}")});
    json!({
        "id": ORDER, "filename": HOSTILE, "size": 2048, "status": "ready", "created_by": "Ada <b>", "mapping": {},
        "created_at": "2026-03-01T12:30:00Z",
        "progress": {"records": 0, "added": 0, "changed": 0, "unchanged": 0, "rejected": 0, "percent": 0},
        "summary": {
            "format": "CSV, separated by semicolons", "encoding": "UTF-8", "program": "Shopify",
            "columns": [{"name": "Titel <b>", "field": "title", "example": HOSTILE}, {"name": "Betrag", "field": null, "example": "12,99"}],
            "records": 1_203, "added": 1_200, "changed": 1, "unchanged": 1, "rejected": 1, "adjusted": 1, "not_for_sale": 1_200,
            "without_stock": 1_200, "has_prices": false, "has_stock": false, "rejects": [note], "notes": [note],
            "samples": [{"line": 2, "title": HOSTILE, "authors": ["O'Brien <i>"], "isbn13": "9780061120084", "price": money(500),
                "stock": 3, "language": "de"}, {"line": 3, "title": "Plain", "authors": [], "price": null}]
        }
    })
}

async fn one_import(State(api): State<FakeApi>) -> Json<Value> {
    let mut import = import();
    if let Value::Object(changed) = api.0.lock().unwrap().import.clone() {
        import.as_object_mut().unwrap().extend(changed);
    }
    Json(import)
}

/// Changes an import, unless the test says why not.
async fn change_import(State(api): State<FakeApi>, method: http::Method) -> Response {
    match api.0.lock().unwrap().import_refusal.clone() {
        Some((status, body)) => problem(status, body["code"].as_str().unwrap(), body.clone()),
        None if method == http::Method::DELETE => StatusCode::NO_CONTENT.into_response(),
        None => (StatusCode::ACCEPTED, Json(import())).into_response(),
    }
}

fn author(id: &str, name: &str) -> Value {
    json!({"id": id, "name": name, "books": 1_200, "version": 1})
}

/// Authors by name: one was merged.
async fn authors(Query(query): Query<std::collections::HashMap<String, String>>) -> Json<Value> {
    match query.get("name").map(String::as_str) {
        None => page(vec![author(OTHER, HOSTILE)]),
        Some("Merged Name" | BOOK) => page(vec![author(OTHER, "Kept Name")]),
        Some("Nobody") => page(vec![]),
        Some(OTHER) => page(vec![author(OTHER, HOSTILE)]),
        Some(name) => page(vec![author(ORDER, name)]),
    }
}

async fn change_author(State(api): State<FakeApi>) -> Response {
    match api.0.lock().unwrap().import_refusal.clone() {
        Some((status, body)) => problem(status, body["code"].as_str().unwrap(), body.clone()),
        None => Json(author(ORDER, "Kept Name")).into_response(),
    }
}

async fn place(State(api): State<FakeApi>) -> Response {
    match api.0.lock().unwrap().checkout.clone() {
        Some((status, body)) if status >= 400 => problem(status, body["code"].as_str().unwrap(), body.clone()),
        Some((status, body)) => (StatusCode::from_u16(status).unwrap(), Json(body)).into_response(),
        None => (StatusCode::CREATED, Json(order("confirmed"))).into_response(),
    }
}

async fn one_order(
    State(api): State<FakeApi>,
    Query(query): Query<std::collections::HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if query.get("key").map(String::as_str) != Some("k/e+y") && !headers.contains_key("authorization") {
        return problem(404, "not_found", json!({}));
    }
    let mut order = order(if query.contains_key("as_of") { "pending" } else { "confirmed" });
    if let Value::Object(changed) = api.0.lock().unwrap().order.clone() {
        order.as_object_mut().unwrap().extend(changed);
    }
    Json(order).into_response()
}

pub fn instance(role: &str, process: &str, state: &str) -> Value {
    json!({"role": role, "instance": process, "version": "1.2.3", "started_at": "2026-03-01T08:00:00Z", "zone": "",
        "state": state, "requests": 1234, "open_breakers": []})
}

async fn shop_status(State(api): State<FakeApi>) -> Response {
    let usual = json!({"at": "2026-03-01T12:00:00Z", "parts": [{"part": HOSTILE, "state": HOSTILE},
        {"part": "search", "state": HOSTILE, "since": "2026-03-01T11:00:00Z"}]});
    match api.0.lock().unwrap().status.clone() {
        Some((200, answer)) => Json(answer).into_response(),
        Some((status, _)) => problem(status, "unavailable", json!({})),
        None => Json(usual).into_response(),
    }
}

async fn shop_health(State(api): State<FakeApi>) -> Response {
    let chart = |id: &str, unit: &str| {
        json!({"id": id, "unit": unit, "from": "2026-03-01T10:00:00Z", "step_seconds": 60,
        "points": [null, 1.5, 3.0, null]})
    };
    let process = json!({"process": HOSTILE, "roles": [HOSTILE], "version": HOSTILE, "zone": HOSTILE, "state": HOSTILE,
        "since": "2026-03-01T08:00:00Z", "checks": [{"name": HOSTILE, "state": HOSTILE, "since": "2026-03-01T08:00:00Z",
        "why": HOSTILE}], "requests": chart("requests", HOSTILE)});
    let mut other = process.clone();
    other["process"] = json!("b");
    let usual = json!({"at": "2026-03-01T12:00:00Z", "answered_by": HOSTILE, "history_from": "2026-03-01T10:00:00Z",
        "series_left_out": 3, "processes": [process, other], "charts": [chart(HOSTILE, HOSTILE), chart("failed", "share")],
        "breakers": [{"process": HOSTILE, "name": HOSTILE, "state": HOSTILE}],
        "leases": [{"name": HOSTILE, "holders": [HOSTILE]}, {"name": "b", "holders": []}],
        "queues": [{"name": HOSTILE, "unit": HOSTILE, "value": 1.0}],
        "errors": [{"process": HOSTILE, "at": "2026-03-01T08:00:00Z", "target": HOSTILE, "message": HOSTILE, "count": 2,
        "trace_id": HOSTILE}],
        "starts": [{"process": HOSTILE, "roles": HOSTILE, "version": HOSTILE, "at": "2026-03-01T08:00:00Z"}]});
    match api.0.lock().unwrap().shop_health.clone() {
        Some((200, answer)) => Json(answer).into_response(),
        Some((status, _)) => problem(status, "unavailable", json!({})),
        None => Json(usual).into_response(),
    }
}

async fn fleet(State(api): State<FakeApi>) -> Json<Value> {
    let hostile = json!({"role": HOSTILE, "instance": HOSTILE, "address": HOSTILE, "version": HOSTILE,
        "started_at": "2026-03-01T08:00:00Z", "zone": HOSTILE, "state": HOSTILE, "requests": u64::MAX,
        "open_breakers": [HOSTILE], "ejected": [HOSTILE], "verdict": {"reason": HOSTILE, "since": "2026-03-01T08:00:00Z"}});
    let usual = json!({"kind": "registry", "current": false, "answered_by": HOSTILE,
        "instances": [hostile, instance("catalog", "a", "ready")]});
    let answer = api.0.lock().unwrap().fleet.clone();
    Json(answer.unwrap_or(usual))
}

pub fn router(api: &FakeApi) -> Router {
    let mail = json!({"id": OTHER, "kind": "order_confirmed", "to": "ada@example.org", "subject": HOSTILE,
        "text": HOSTILE, "html": "<p onclick=\"x\">Hi</p>", "status": "sent", "attempts": 1, "created_at": "2026-03-01T12:30:00Z"});
    let letter = json!({"id": OTHER, "message_id": OTHER, "subject": "OrderConfirmed", "consumer": "notification",
        "reason": HOSTILE, "attempts": 12, "message": {"a": HOSTILE}, "at": "2026-03-01T12:30:00Z"});
    let payment = json!({"id": OTHER, "order_id": ORDER, "status": "captured", "amount": money(3297), "captured": money(3297),
        "refunded": money(0), "provider": "sandbox", "provider_reference": HOSTILE, "created_at": "2026-03-01T12:30:00Z",
        "updated_at": "2026-03-01T12:30:00Z"});
    let event = json!({"version": 1, "type": "OrderCreated", "at": "2026-03-01T12:30:00Z", "data": {"t": HOSTILE},
        "correlation_id": OTHER, "causation_id": OTHER});
    let report = json!({"at": "2026-03-01T12:30:00Z", "orders": 1, "payments": 1, "transactions": 2,
        "differences": [{"kind": "captured_twice", "order_id": ORDER, "detail": HOSTILE}]});
    let stock = json!({"on_hand": 10, "reserved": 2, "available": 8});
    let quote = json!({"subtotal": money(2598), "shipping": money(499), "tax": money(200), "tax_included": false,
        "discount": money(0), "total": money(3297), "shipping_method": "standard"});
    let methods = json!([{"code": "standard", "name": "Standard <i>", "price": money(499), "min_days": 3, "max_days": 5, "countries": ["US", "DE"]},
        {"code": "express", "name": "Express", "price": money(1499), "min_days": 1, "max_days": 1, "countries": ["US"]},
        {"code": "international", "name": "International", "price": money(1990), "min_days": 7, "max_days": 9, "countries": ["HK"]}]);
    let countries = json!({"items": [{"code": "US", "name": "United States"}, {"code": "DE", "name": "Germany"},
        {"code": "HK", "name": "Hong Kong"}], "next": null});
    let payments = json!({"items": [{"token": "tok_approve", "name": "Card that works", "description": "Approved."},
        {"token": "tok_decline", "name": "Card that does not", "description": "Declined."}], "next": null});
    let account = json!({"id": OTHER, "email": "ada@example.org", "name": "Ada <b>Reader</b>", "roles": ["customer"]});
    let status = json!({"books": 2000, "indexed": 2000, "with_meaning": 1234, "model": "m<1>", "meaning": "building",
        "last_error": HOSTILE});
    let answer = |value: Value| get(move || async move { Json(value) });
    let v1 = Router::new()
        .route(
            "/books",
            get(|State(api): State<FakeApi>| async move {
                let books = api.0.lock().unwrap().books.clone();
                page(books.unwrap_or_else(|| vec![book(BOOK, HOSTILE), book(OTHER, "Plain title")]))
            })
            .post(|| async { (StatusCode::CREATED, Json(book(BOOK, HOSTILE))) }),
        )
        .route(
            "/books/{id}",
            get(get_book).merge(put(|headers: HeaderMap| async move {
                match headers.get("if-match").map(|tag| tag.as_bytes()) {
                    Some(b"\"2\"") => Json(book(BOOK, HOSTILE)).into_response(),
                    _ => problem(412, "edit_conflict", json!({})),
                }
            })),
        )
        .route("/authors", get(authors))
        .route("/authors/{id}/merge", post(change_author))
        .route("/authors/{id}/split", post(change_author))
        .route(
            "/admin/authors/doubles",
            get(|| async {
                let group = |reason: &str| json!({"reason": reason, "authors": [author(OTHER, HOSTILE), author(ORDER, "Ada <b>")]});
                Json(json!({"groups": [group("spelling"), group("initials")]}))
            }),
        )
        .route(
            "/admin/imports",
            get(|| async { page(vec![import()]) }).post(|State(api): State<FakeApi>, method: http::Method| async move {
                match change_import(State(api), method).await {
                    answer if answer.status().is_success() => (StatusCode::CREATED, Json(import())).into_response(),
                    refusal => refusal,
                }
            }),
        )
        .route("/admin/imports/{id}", get(one_import).delete(change_import))
        .route("/admin/imports/{id}/mapping", put(change_import))
        .route("/admin/imports/{id}/start", post(change_import))
        .route("/admin/imports/{id}/cancel", post(change_import))
        .route("/admin/imports/{id}/report", get(|| async { "\u{feff}line,what,column,value,message\n" }))
        .route("/books/{id}/stock", answer(stock.clone()))
        .route("/books/{id}/stock/adjustments", post(move || async move { Json(stock) }))
        .route(
            "/subjects",
            get(|| async { page(vec![json!({"id": OTHER, "name": "Sea <stories>", "books": 7, "version": 1})]) }),
        )
        .route("/books/{id}/similar", get(|| async { page(vec![book(OTHER, "Much like it")]) }))
        .route("/books/{id}/views", post(|| async { StatusCode::NO_CONTENT }))
        .route("/search", get(search))
        .route("/search/synonyms", get(synonyms).put(save_synonyms))
        .route(
            "/recommendations",
            get(|State(api): State<FakeApi>, headers: HeaderMap| async move {
                if let Some(answer) = api.0.lock().unwrap().recommendations.clone() {
                    return Json(answer);
                }
                let basis = if headers.contains_key("authorization") { "yours" } else { "popular" };
                Json(json!({"items": [book(OTHER, "A likely book"), book(BOOK, HOSTILE)], "basis": basis}))
            }),
        )
        .route("/admin/search", answer(status))
        .route("/admin/health", get(health))
        .route("/chat/canned-replies", get(replies).put(save_replies))
        .route("/contact", post(|| async { (StatusCode::ACCEPTED, Json(json!({"conversation_id": ORDER}))) }))
        .route("/chat/policies", get(|| async { page(vec![policy()]) }))
        .route(
            "/chat/policies/{slug}",
            get(|Path(slug): Path<String>| async move {
                match slug.as_str() {
                    "gift-cards" => Json(policy()).into_response(),
                    _ => problem(404, "not_found", json!({})),
                }
            }),
        )
        .route("/basket", get(basket_answer))
        .route("/basket/items", post(basket_answer))
        .route("/basket/items/{id}", patch(basket_answer))
        .route(
            "/shipping-methods",
            get(move |Query(query): Query<std::collections::HashMap<String, String>>| async move {
                let served = |method: &Value| match query.get("country") {
                    Some(country) => method["countries"].as_array().unwrap().contains(&json!(country)),
                    None => true,
                };
                Json(methods.as_array().unwrap().iter().filter(|method| served(method)).cloned().collect::<Value>())
            }),
        )
        .route("/shipping-countries", answer(countries))
        .route("/payment-methods", answer(payments))
        .route(
            "/orders/quote",
            post(move |State(api): State<FakeApi>| async move {
                match api.0.lock().unwrap().quote.clone() {
                    Some((status, body)) if status >= 400 => {
                        problem(status, body["code"].as_str().unwrap(), body.clone())
                    }
                    Some((_, body)) => Json(body).into_response(),
                    None => Json(quote).into_response(),
                }
            }),
        )
        .route("/orders/checkout", post(place))
        .route("/orders", get(|| async { page(vec![order("confirmed"), order("pending")]) }))
        .route("/orders/under-way", get(under_way))
        .route("/orders/{id}/cancel", post(cancel))
        .route("/orders/{id}", get(one_order))
        .route("/orders/{id}/events", get(move || async move { page(vec![event]) }))
        .route(
            "/orders/{id}/{action}",
            post(|State(api): State<FakeApi>, Path((_, action)): Path<(String, String)>| async move {
                if action == "refund"
                    && let Some((status, body)) = api.0.lock().unwrap().refund.clone()
                {
                    return problem(status, body["code"].as_str().unwrap(), body.clone());
                }
                if action == "ship" {
                    return problem(409, "invalid_order_state", json!({"detail": "It was shipped already."}));
                }
                Json(order("cancelled")).into_response()
            }),
        )
        .route("/identity/register", {
            let account = account.clone();
            post(|Json(body): Json<Value>| async move {
                if body["email"] == "taken@example.org" {
                    return problem(409, "email_taken", json!({}));
                }
                (StatusCode::CREATED, Json(account)).into_response()
            })
        })
        .route("/identity/password-reset", post(|| async { StatusCode::ACCEPTED }))
        .route(
            "/identity/password-reset/check",
            post(|Json(body): Json<Value>| async move {
                match body["token"].as_str() {
                    Some("good") => StatusCode::NO_CONTENT.into_response(),
                    Some("busy") => problem(429, "too_many_attempts", json!({})),
                    _ => problem(
                        400,
                        "validation_failed",
                        json!({"errors": [{"field": "/token", "message": "is not good"}]}),
                    ),
                }
            }),
        )
        .route(
            "/identity/password-reset/confirm",
            post(|Json(body): Json<Value>| async move {
                let about = |field: &str| json!({"errors": [{"field": field, "message": "is not good"}]});
                match (body["token"].as_str(), body["new_password"].as_str()) {
                    (Some("good"), Some("short")) => problem(400, "validation_failed", about("/new_password")),
                    (Some("good"), _) => StatusCode::NO_CONTENT.into_response(),
                    _ => problem(400, "validation_failed", about("/token")),
                }
            }),
        )
        .route("/identity/token", post(tokens))
        .route("/identity/sign-out", post(|| async { StatusCode::NO_CONTENT }))
        .route("/identity/me", answer(account))
        .route("/identity/me/confirm-email", post(|| async { StatusCode::ACCEPTED }))
        .route("/identity/confirm-email", post(proof))
        .route("/mail/confirm", post(proof))
        .route(
            "/admin/mail/refusals",
            answer(
                json!([{"kind": "confirm_email", "limit": "sender", "count": 7, "last_at": "2026-03-01T12:00:00Z"}]),
            ),
        )
        .route("/admin/mail", {
            let mail = mail.clone();
            get(move || async move { page(vec![mail]) })
        })
        .route("/admin/mail/{id}", answer(mail))
        .route("/fleet", get(fleet))
        .route("/status", get(shop_status))
        .route("/admin/health/shop", get(shop_health))
        .route("/admin/health/events", get(async || ([("content-type", "text/event-stream")], "event: look\ndata: now\n\n")))
        .route("/admin/dead-letters", get(move || async move { page(vec![letter]) }))
        .route("/admin/dead-letters/{id}/retry", post(|| async { StatusCode::NO_CONTENT }))
        .route("/admin/payments", get(move || async move { page(vec![payment]) }))
        .route(
            "/admin/ledger",
            get(|| async { page(vec![json!({"account": "provider_clearing", "balance": money(-3297)})]) }),
        )
        .route("/admin/reconciliation", answer(report))
        .merge(reviews())
        .merge(coupons());
    Router::new().nest("/api/v1", v1).layer(middleware::from_fn_with_state(api.clone(), watch)).with_state(api.clone())
}
