//! Bad input, at every endpoint that takes some: always a 4xx problem, never a 5xx, and nothing changes.

use bookworm_kernel::BookId;
use bookworm_testkit::{Database, Response, TestShop};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

/// Who sends it.
#[derive(Clone, Copy, PartialEq, Debug)]
enum As {
    Guest,
    Customer,
    Admin,
}

/// An endpoint with a body that it would accept.
struct Endpoint {
    method: Method,
    path: String,
    who: As,
    body: Value,
    /// Fields that may be left out.
    optional: &'static [&'static str],
}

struct Scene {
    shop: TestShop,
    customer: String,
    basket: String,
    etag: String,
}

impl Scene {
    async fn send(&self, endpoint: &Endpoint, body: Vec<u8>, content_type: &str) -> Response {
        let mut request = self
            .shop
            .request(endpoint.method.clone(), &endpoint.path)
            .header("content-type", content_type)
            .header("idempotency-key", Uuid::new_v4().to_string())
            .header("if-match", &self.etag)
            .body(body);
        match endpoint.who {
            As::Guest => request = request.header("basket-token", &self.basket),
            As::Customer => request = request.bearer(&self.customer),
            As::Admin => request = request.bearer(self.shop.admin()),
        }
        request.send().await
    }
}

fn endpoints(book: BookId, order: &str) -> Vec<Endpoint> {
    let endpoint = |method: Method, path: &str, who, body, optional| Endpoint {
        method,
        path: format!("/api/v1{path}"),
        who,
        body,
        optional,
    };
    let whole_book = json!({
        "title": "A Book", "authors": ["Somebody"], "price": {"amount": 100, "currency": "USD"}, "isbn13": "9780441478125",
        "publisher": "Ace", "year": 1969, "language": "en", "pages": 300, "subjects": ["Fiction"], "series": "Hainish", "series_position": 2.5,
        "description": "About it.", "list_price": {"amount": 200, "currency": "USD"}, "source_id": "test:1",
    });
    let but_title = &[
        "authors",
        "price",
        "isbn13",
        "publisher",
        "year",
        "language",
        "pages",
        "subjects",
        "series",
        "series_position",
        "description",
        "list_price",
        "source_id",
    ];
    let mut with_stock = whole_book.clone();
    with_stock["stock"] = json!(5);
    let whole_review = json!({
        "rating": 4.5, "title": "Cold", "text": "And wide.", "language": "en", "spoiler": false,
    });
    // What is wrong with the body is said before anybody looks for the review.
    let review = |part: &str| format!("/reviews/0190b0a0-0000-7000-8000-000000000001{part}");
    vec![
        endpoint(
            Method::POST,
            "/identity/register",
            As::Guest,
            json!({"email": "new@reader.test", "password": "long enough to be one", "name": "New"}),
            &[],
        ),
        endpoint(
            Method::POST,
            "/identity/token",
            As::Guest,
            json!({"grant_type": "password", "email": "ann@reader.test", "password": "wrong password"}),
            &[],
        ),
        endpoint(Method::POST, "/identity/password-reset", As::Guest, json!({"email": "ann@reader.test"}), &[]),
        endpoint(
            Method::POST,
            "/identity/password-reset/confirm",
            As::Guest,
            json!({"token": "x", "new_password": "another long one"}),
            &[],
        ),
        endpoint(Method::POST, "/identity/confirm-email", As::Guest, json!({"token": "x"}), &[]),
        endpoint(Method::POST, "/mail/confirm", As::Guest, json!({"token": "x"}), &[]),
        endpoint(Method::POST, "/identity/sign-out", As::Guest, json!({"refresh_token": "x"}), &[]),
        endpoint(Method::PATCH, "/identity/me", As::Customer, json!({"name": "Ann"}), &[]),
        endpoint(
            Method::POST,
            "/identity/me/password",
            As::Customer,
            json!({"current_password": "wrong password", "new_password": "another long one"}),
            &[],
        ),
        endpoint(
            Method::POST,
            "/books",
            As::Admin,
            with_stock,
            &[
                "authors",
                "price",
                "isbn13",
                "publisher",
                "year",
                "language",
                "pages",
                "subjects",
                "series",
                "series_position",
                "description",
                "list_price",
                "source_id",
                "stock",
            ],
        ),
        endpoint(Method::PUT, &format!("/books/{book}"), As::Admin, whole_book, but_title),
        endpoint(
            Method::POST,
            &format!("/books/{book}/reviews"),
            As::Customer,
            whole_review.clone(),
            &["title", "text", "language", "spoiler"],
        ),
        endpoint(Method::PUT, &review(""), As::Customer, whole_review, &["title", "text", "language", "spoiler"]),
        endpoint(
            Method::POST,
            &review("/reports"),
            As::Customer,
            json!({"reason": "spam", "text": "It sells shoes."}),
            &["text"],
        ),
        endpoint(Method::POST, &review("/appeal"), As::Customer, json!({"text": "It is true."}), &[]),
        endpoint(Method::POST, "/review-invitations/check", As::Guest, json!({"token": "a".repeat(64)}), &[]),
        endpoint(Method::PUT, &review("/answer"), As::Admin, json!({"text": "Thank you."}), &[]),
        endpoint(
            Method::POST,
            &format!("/admin{}", review("/decision")),
            As::Admin,
            json!({"verdict": "publish", "reason": "It is fine."}),
            &["reason"],
        ),
        endpoint(Method::POST, "/authors", As::Admin, json!({"name": "Somebody Else"}), &[]),
        endpoint(Method::POST, "/publishers", As::Admin, json!({"name": "A House"}), &[]),
        endpoint(Method::POST, "/subjects", As::Admin, json!({"name": "A Subject"}), &[]),
        endpoint(
            Method::POST,
            &format!("/books/{book}/stock/adjustments"),
            As::Admin,
            json!({"delta": 1, "reason": "counted"}),
            &[],
        ),
        endpoint(Method::POST, "/basket/items", As::Guest, json!({"book_id": book, "quantity": 1}), &[]),
        endpoint(Method::PATCH, &format!("/basket/items/{book}"), As::Guest, json!({"quantity": 2}), &[]),
        endpoint(
            Method::POST,
            "/orders/checkout",
            As::Guest,
            json!({
                "email": "ann@reader.test",
                "shipping_address": {
                    "name": "Ann", "line1": "1 Main Street", "line2": "Back door", "city": "Portland", "region": "OR",
                    "postal_code": "97201", "country": "US",
                },
                "shipping_method": "standard",
                "payment": {"token": "tok_approve"},
                "expected_total": {"amount": 1, "currency": "USD"},
            }),
            &["expected_total", "line2"],
        ),
        endpoint(
            Method::POST,
            "/orders/quote",
            As::Guest,
            json!({"shipping_method": "standard", "country": "US", "region": "OR"}),
            &["shipping_method"],
        ),
        endpoint(Method::POST, &format!("/orders/{order}/cancel"), As::Admin, json!({"reason": "why"}), &["reason"]),
        endpoint(Method::POST, &format!("/orders/{order}/ship"), As::Admin, json!({"tracking": "1Z"}), &["tracking"]),
        endpoint(
            Method::POST,
            &format!("/orders/{order}/refund"),
            As::Admin,
            json!({"amount": {"amount": 1, "currency": "USD"}, "reason": "why"}),
            &["amount"],
        ),
        endpoint(Method::POST, "/chat/classify", As::Admin, json!({"text": "Where is my order?"}), &[]),
        endpoint(
            Method::PUT,
            "/chat/canned-replies",
            As::Admin,
            json!({"items": [{"shortcut": "hi", "text": "Hello {name}"}]}),
            &[],
        ),
    ]
}

/// JSON Pointers of every member, objects included.
fn members(value: &Value, at: &str, found: &mut Vec<String>) {
    if let Value::Object(object) = value {
        for (name, member) in object {
            let pointer = format!("{at}/{name}");
            members(member, &pointer, found);
            found.push(pointer);
        }
    }
}

fn without(body: &Value, pointer: &str) -> Value {
    let mut body = body.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
    body
}

fn with(body: &Value, pointer: &str, value: Value) -> Value {
    let mut body = body.clone();
    *body.pointer_mut(pointer).unwrap() = value;
    body
}

/// What is never right for this member.
fn wrong_values(valid: &Value) -> Vec<Value> {
    let too_long = json!("x".repeat(100_000));
    match valid {
        Value::String(_) => vec![json!(7), json!(["a"]), json!({"a": 1}), json!(true), too_long, json!("a\u{0}b")],
        Value::Number(_) => {
            vec![
                json!("seven"),
                json!([]),
                // Stars come in halves, volumes of a series in hundredths, everything else is counted in ones.
                if valid.is_f64() { json!(1.255) } else { json!(1.5) },
                json!(-9_000_000_000_000_000_000_i64),
                json!(u64::MAX),
                too_long,
            ]
        }
        Value::Array(_) => vec![json!("a"), json!(7), json!([7]), json!([""]), json!(["x".repeat(100_000)])],
        _ => vec![json!("a"), json!(7), json!([])],
    }
}

/// Texts that mean something to a database or a browser, but are only texts.
const HOSTILE: &[&str] =
    &["'; DROP TABLE books; --", "<script>alert(1)</script>", "{{7*7}}", "../../etc/passwd", "%00", "＇"];

async fn scene() -> (Scene, BookId, String) {
    let shop = TestShop::start(Database::Sqlite).await;
    let book = shop.book("The Left Hand of Darkness", 1299, 50).await;
    let customer = shop.customer("ann@reader.test").await;
    let order = shop.buy(&[(book.id, 1)]).await;
    let basket = shop.purchase(&[(book.id, 1)], "tok_approve").await.basket;
    (Scene { shop, customer, basket, etag: format!("\"{}\"", book.version) }, book.id, order.id.to_string())
}

/// What is wrong with an answer that should be a refusal.
fn refusal(answer: &Response, what: &str) -> Result<(), String> {
    if !answer.status.is_client_error() {
        return Err(format!("{what}: {} {}", answer.status, answer.body));
    }
    if answer.header("content-type") != Some("application/problem+json") {
        return Err(format!("{what}: {:?} is no problem", answer.header("content-type")));
    }
    let problem = &answer.body;
    match ["type", "title", "status", "code", "trace_id"].into_iter().find(|member| problem[member].is_null()) {
        Some(member) => Err(format!("{what}: no {member} in {problem}")),
        None => Ok(()),
    }
}

fn assert_refused(answer: &Response, what: &str) {
    refusal(answer, what).unwrap();
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let (mut scene, book, order) = scene().await;
    let before = scene.shop.get(&format!("/api/v1/books/{book}")).send().await.body;
    let mut wrong = Vec::new();
    for endpoint in endpoints(book, &order) {
        let mut pointers = Vec::new();
        members(&endpoint.body, "", &mut pointers);
        for pointer in &pointers {
            let name = pointer.rsplit('/').next().unwrap();
            let tried = |how: &str| format!("{} {} {pointer} {how}", endpoint.method, endpoint.path);
            let mut bad: Vec<(String, Value)> = wrong_values(endpoint.body.pointer(pointer).unwrap())
                .into_iter()
                .map(|value| {
                    let shown: String = value.to_string().chars().take(30).collect();
                    (shown, with(&endpoint.body, pointer, value))
                })
                .collect();
            if !endpoint.optional.contains(&name) {
                bad.push(("missing".to_owned(), without(&endpoint.body, pointer)));
                bad.push(("null".to_owned(), with(&endpoint.body, pointer, Value::Null)));
            }
            for (how, body) in bad {
                let answer = scene.send(&endpoint, body.to_string().into_bytes(), "application/json").await;
                // A wrong password or a worthless token is answered as such.
                if matches!(answer.body["code"].as_str(), Some("invalid_credentials" | "invalid_token")) {
                    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
                    continue;
                }
                // Signing out with a worthless token leaves one signed out (RFC 7009, 2.2).
                if endpoint.path.ends_with("sign-out") && answer.status == StatusCode::NO_CONTENT {
                    continue;
                }
                wrong.extend(refusal(&answer, &tried(&how)).err());
                let problem = &answer.body;
                if problem["code"] == "validation_failed" {
                    let fields: Vec<_> = problem["errors"]
                        .as_array()
                        .map(|errors| errors.iter().filter_map(|error| error["field"].as_str()).collect())
                        .unwrap_or_default();
                    if !fields.iter().any(|field| field.starts_with(pointer.as_str()) || pointer.starts_with(*field)) {
                        wrong.push(format!("{} names {fields:?}", tried(&how)));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} answers are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(scene.shop.get(&format!("/api/v1/books/{book}")).send().await.body, before, "nothing changed");
    scene.shop.stop().await;
}

#[tokio::test]
async fn bodies_that_are_none_are_refused() {
    let (mut scene, book, order) = scene().await;
    for endpoint in endpoints(book, &order) {
        let what = |how: &str| format!("{} {} {how}", endpoint.method, endpoint.path);
        let valid = endpoint.body.to_string();
        let cases: [(&str, Vec<u8>, &str, &[u16]); 8] = [
            ("broken", valid.as_bytes()[..valid.len() - 2].to_vec(), "application/json", &[400]),
            ("empty", Vec::new(), "application/json", &[400]),
            ("an array", b"[]".to_vec(), "application/json", &[400]),
            ("a word", b"null".to_vec(), "application/json", &[400]),
            ("not UTF-8", [b"{\"a\":\"".as_slice(), &[0xff, 0xfe], b"\"}"].concat(), "application/json", &[400]),
            ("deep", "[".repeat(10_000).into_bytes(), "application/json", &[400]),
            ("huge", vec![b' '; 2_000_000], "application/json", &[413]),
            ("a form", b"a=b".to_vec(), "application/x-www-form-urlencoded", &[415]),
        ];
        for (how, body, content_type, statuses) in cases {
            let answer = scene.send(&endpoint, body, content_type).await;
            assert_refused(&answer, &what(how));
            assert!(statuses.contains(&answer.status.as_u16()), "{}: {}", what(how), answer.status);
        }
    }
    scene.shop.stop().await;
}

#[tokio::test]
async fn hostile_texts_are_only_texts() {
    let (mut scene, book, order) = scene().await;
    for endpoint in endpoints(book, &order) {
        let mut pointers = Vec::new();
        members(&endpoint.body, "", &mut pointers);
        for pointer in pointers.iter().filter(|pointer| endpoint.body.pointer(pointer).unwrap().is_string()) {
            for text in HOSTILE {
                let body = with(&endpoint.body, pointer, json!(text));
                let answer = scene.send(&endpoint, body.to_string().into_bytes(), "application/json").await;
                assert!(
                    answer.status.is_success() || answer.status.is_client_error(),
                    "{} {} {pointer} {text}: {} {}",
                    endpoint.method,
                    endpoint.path,
                    answer.status,
                    answer.body
                );
            }
        }
    }
    for text in HOSTILE.iter().chain(&["\"", "a:b:c", "*", "NEAR(", "\u{1}", "author:"]) {
        let query: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for path in ["search", "search/suggest", "subjects", "authors"] {
            let answer = scene.shop.get(&format!("/api/v1/{path}?q={query}")).send().await;
            assert!(!answer.status.is_server_error(), "{path} {text}: {}", answer.status);
        }
    }
    // The tables are still there.
    assert_eq!(scene.shop.get(&format!("/api/v1/books/{book}")).send().await.status, StatusCode::OK);
    scene.shop.stop().await;
}

#[tokio::test]
async fn queries_and_paths_are_checked() {
    let (mut scene, book, order) = scene().await;
    let nobody = Uuid::now_v7();
    let lists = [
        "books",
        "authors",
        "publishers",
        "subjects",
        "search?q=a&x=1",
        "orders",
        "admin/mail",
        "admin/dead-letters",
        "admin/payments",
        "admin/reviews",
        "reviews",
        "conversations",
    ];
    for list in lists {
        let separator = if list.contains('?') { '&' } else { '?' };
        for (name, value) in
            [("limit", "0"), ("limit", "101"), ("limit", "-1"), ("limit", "x"), ("cursor", "%21%21"), ("cursor", "e30")]
        {
            let path = format!("/api/v1/{list}{separator}{name}={value}");
            let answer = scene.shop.get(&path).bearer(scene.shop.admin()).send().await;
            assert_refused(&answer, &path);
        }
    }
    for query in ["sort=cheapest", "min_price=-1", "min_price=x", "max_price=99999999999999999999", "in_stock=perhaps"]
    {
        for list in ["books", "search"] {
            let path = format!("/api/v1/{list}?q=a&{query}");
            assert_refused(&scene.shop.get(&path).send().await, &path);
        }
    }
    for path in [
        format!("books/{nobody}"),
        "books/not-an-id".to_owned(),
        "books/isbn/9780441478126".to_owned(),
        format!("books/{nobody}/stock"),
        format!("orders/{nobody}"),
        format!("orders/{nobody}/events"),
        format!("orders/{order}?as_of=yesterday"),
        "nothing/here".to_owned(),
        format!("conversations/{nobody}"),
        format!("conversations/{nobody}/messages"),
        format!("conversations/{nobody}/messages?after=-1"),
        format!("conversations/{nobody}/messages?limit=201"),
        format!("conversations/{nobody}/notes"),
        format!("conversations/{nobody}/context"),
        "conversations/not-an-id".to_owned(),
        "chat/policies/nothing".to_owned(),
        "conversations?status=lost".to_owned(),
        "conversations?agent_id=nobody".to_owned(),
    ] {
        let path = format!("/api/v1/{path}");
        assert_refused(&scene.shop.get(&path).bearer(scene.shop.admin()).send().await, &path);
    }
    // Somebody else's order is not found; staff's addresses are forbidden to customers and closed to strangers.
    for path in [format!("orders/{order}"), format!("orders/{order}/events")] {
        let answer = scene.shop.get(&format!("/api/v1/{path}")).bearer(&scene.customer).send().await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    for path in ["admin/mail", "admin/dead-letters", "admin/payments", "admin/ledger", "admin/reconciliation"] {
        let path = format!("/api/v1/{path}");
        assert_eq!(scene.shop.get(&path).bearer(&scene.customer).send().await.status, StatusCode::FORBIDDEN, "{path}");
        assert_eq!(scene.shop.get(&path).send().await.status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(scene.shop.get(&path).bearer("not.a.token").send().await.is_problem("invalid_token"), "{path}");
    }
    let delete =
        scene.shop.request(Method::DELETE, &format!("/api/v1/books/{book}")).bearer(&scene.customer).send().await;
    assert_eq!(delete.status, StatusCode::FORBIDDEN);
    scene.shop.stop().await;
}
