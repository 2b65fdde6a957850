//! The basket from the outside: HTTP, gRPC and events, on each database.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Extension, Router, body::Body, middleware};
use bookworm_basket::{BasketService, Dependencies, Settings};
use bookworm_contracts::{
    events::ordering::{OrderCancelled, OrderConfirmed, OrderRejected, OrderSummary, OrderedLine},
    grpc::{
        Edge,
        basket::{
            ClaimBasketRequest, GetBasketRequest, GetBasketResponse, MergeGuestRequest, ReleaseBasketRequest,
            basket_client::BasketClient, get_basket_request::Owner,
        },
        catalog::{
            Book, GetBooksRequest, GetBooksResponse,
            catalog_client::CatalogClient,
            catalog_server::{Catalog, CatalogServer},
        },
        methods,
    },
};
use bookworm_db::{Databases, DbError, Sql};
use bookworm_http::{
    auth::{Claims, Role, TokenVerifier},
    context,
};
use bookworm_kernel::{
    BookId, Cause, Clock, Currency, CustomerId, Email, ManualClock, Money, OrderId, Quantity, Timestamp,
};
use bookworm_messaging::{DbBus, Message, Outbox, Policy, SharedBus, relay};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey};
use http::{HeaderMap, Method, Request, StatusCode, header};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};
use tower::ServiceExt;
use uuid::Uuid;

/// As `insta::assert_json_snapshot`, for a test that runs on every database: each run must say the same.
macro_rules! assert_json_snapshot {
    ($($assertion:tt)*) => {
        insta::allow_duplicates! { insta::assert_json_snapshot!($($assertion)*); }
    };
}

/// As `insta::assert_snapshot`, for a test that runs on every database: each run must say the same.
macro_rules! assert_snapshot {
    ($($assertion:tt)*) => {
        insta::allow_duplicates! { insta::assert_snapshot!($($assertion)*); }
    };
}

const NOW: i64 = 1_800_000_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A catalogue that says what a test tells it to.
#[derive(Clone, Default)]
struct Shelf {
    books: Arc<Mutex<HashMap<String, Book>>>,
    silent: Arc<AtomicBool>,
}

impl Shelf {
    fn put(&self, n: u128, price: i64, available: i64) -> BookId {
        let id = book(n);
        let shown = Book {
            id: id.to_string(),
            title: format!("Book {n}"),
            authors: vec!["Ann Author".to_owned()],
            price,
            currency: "USD".to_owned(),
            available,
            cover_url: format!("/covers/{n}.svg"),
            language: "ru".to_owned(),
        };
        self.books.lock().unwrap().insert(id.to_string(), shown);
        id
    }

    fn stop_selling(&self, n: u128) {
        self.books.lock().unwrap().remove(&book(n).to_string());
    }

    fn client(&self) -> CatalogClient<Edge> {
        CatalogClient::new(Edge::local("test.catalog", CatalogServer::new(self.clone()), methods::CATALOG))
    }
}

#[tonic::async_trait]
impl Catalog for Shelf {
    async fn get_books(&self, request: tonic::Request<GetBooksRequest>) -> Result<Response<GetBooksResponse>, Status> {
        if self.silent.load(Ordering::SeqCst) {
            return Err(Status::unavailable("down"));
        }
        let books = self.books.lock().unwrap();
        let ids = request.into_inner().ids;
        assert!(ids.len() <= 200);
        Ok(Response::new(GetBooksResponse { books: ids.iter().filter_map(|id| books.get(id).cloned()).collect() }))
    }
}

fn book(n: u128) -> BookId {
    BookId::from_uuid(Uuid::from_u128(n))
}

struct Shop {
    service: BasketService,
    shelf: Shelf,
    clock: Arc<ManualClock>,
    app: Router,
    key: SigningKey,
    databases: Databases,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn token(&self) -> String {
        self.headers["basket-token"].to_str().unwrap().to_owned()
    }

    fn lines(&self) -> Vec<(String, i64)> {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| (line["title"].as_str().unwrap().to_owned(), line["quantity"].as_i64().unwrap()))
            .collect()
    }
}

fn lines(lines: &[(&str, i64)]) -> Vec<(String, i64)> {
    lines.iter().map(|(title, quantity)| ((*title).to_owned(), *quantity)).collect()
}

impl Shop {
    async fn open(databases: Databases, options: Settings) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(NOW * 1_000_000)));
        let shelf = Shelf::default();
        let db = databases.open(BasketService::NAME).await.unwrap();
        let service =
            BasketService::open(Dependencies { db, clock: clock.clone(), settings: options, catalog: shelf.client() })
                .await
                .unwrap();
        let key = SigningKey::from_bytes(&[7; 32]);
        let verifier = Arc::new(TokenVerifier::new(Some("https://shop"), "bookworm", clock.clone()));
        verifier.set_keys([("k1".to_owned(), key.verifying_key().to_bytes())]);
        let (api, _) = service.api().split_for_parts();
        let app = api.layer(Extension(verifier)).layer(middleware::from_fn(context::layer));
        Self { service, shelf, clock, app, key, databases }
    }

    fn sign_in(&self, customer: CustomerId) -> String {
        let claims = Claims {
            iss: "https://shop".to_owned(),
            aud: "bookworm".to_owned(),
            sub: customer,
            exp: NOW + 1_000_000,
            iat: NOW,
            jti: Uuid::new_v4(),
            email: "ann@example.org".to_owned(),
            name: "Ann".to_owned(),
            roles: vec![Role::Customer],
            email_confirmed: true,
        };
        let mut head = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
        head.kid = Some("k1".to_owned());
        let der = self.key.to_pkcs8_der().unwrap();
        let token =
            jsonwebtoken::encode(&head, &claims, &jsonwebtoken::EncodingKey::from_ed_der(der.as_bytes())).unwrap();
        format!("Bearer {token}")
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        }
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        let request = headers.iter().fold(Request::builder().method(method).uri(path), |r, (k, v)| r.header(*k, *v));
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        self.send(request.unwrap()).await
    }

    async fn add(&self, headers: &[(&str, &str)], n: u128, quantity: i64) -> Answer {
        self.ask(Method::POST, "/basket/items", headers, Some(json!({"book_id": book(n), "quantity": quantity}))).await
    }

    async fn basket(&self, headers: &[(&str, &str)]) -> Answer {
        self.ask(Method::GET, "/basket", headers, None).await
    }

    fn grpc(&self) -> BasketClient<Edge> {
        BasketClient::new(Edge::local("test.basket", self.service.grpc(), methods::BASKET))
    }

    async fn basket_id(&self, owner: Owner) -> String {
        self.grpc().get_basket(GetBasketRequest { owner: Some(owner) }).await.unwrap().into_inner().basket_id
    }
}

/// Runs a test on SQLite, and on PostgreSQL when there is one.
async fn on_each_database<F: Future<Output = Shop>>(options: Settings, test: impl Fn(Shop) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let shop = test(Shop::open(Databases::Sqlite(folder.path().to_owned()), options).await).await;
    shop.service.db().close().await;
    let Ok(url) = std::env::var("BOOKWORM_TEST_POSTGRES") else {
        eprintln!("SKIPPED on PostgreSQL: BOOKWORM_TEST_POSTGRES is not set");
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI must test on PostgreSQL");
        return;
    };
    let prefix = format!("t{}_", Uuid::new_v4().simple());
    let drop = format!("DROP SCHEMA \"{prefix}basket\" CASCADE");
    let shop = test(Shop::open(Databases::Postgres { url, max_connections: 8, prefix }, options).await).await;
    let db = shop.service.db();
    db.transact::<_, DbError, _>(move |tx| Box::pin(async move { tx.exec(&drop, []).await })).await.unwrap();
    db.close().await;
}

#[tokio::test]
async fn a_guest_gets_a_basket_and_keeps_it_by_header_or_cookie() {
    on_each_database(Settings { secure_cookies: true, ..Settings::default() }, |shop| async move {
        shop.shelf.put(1, 1299, 7);
        let empty = shop.basket(&[]).await;
        assert_json_snapshot!(empty.body, @r#"
        {
          "items": [],
          "subtotal": {
            "amount": 0,
            "currency": "USD"
          },
          "version": 0
        }
        "#);
        assert!(empty.headers.get("basket-token").is_none(), "looking makes no basket");

        let added = shop.add(&[], 1, 2).await;
        assert_eq!(added.status, 200);
        assert_json_snapshot!(added.body, @r#"
        {
          "items": [
            {
              "authors": [
                "Ann Author"
              ],
              "available": 7,
              "book_id": "00000000-0000-0000-0000-000000000001",
              "cover_url": "/covers/1.svg",
              "language": "ru",
              "line_total": {
                "amount": 2598,
                "currency": "USD"
              },
              "price_changed": false,
              "quantity": 2,
              "title": "Book 1",
              "unit_price": {
                "amount": 1299,
                "currency": "USD"
              }
            }
          ],
          "subtotal": {
            "amount": 2598,
            "currency": "USD"
          },
          "version": 1
        }
        "#);
        let token = added.token();
        assert_eq!(token.len(), 43);
        assert_eq!(
            added.headers[header::SET_COOKIE].to_str().unwrap(),
            format!("basket_token={token}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure")
        );
        let cookie = format!("theme=dark; basket_token={token}");
        assert_eq!(shop.basket(&[("cookie", &cookie)]).await.lines(), lines(&[("Book 1", 2)]));
        let again = shop.add(&[("basket-token", &token)], 1, 3).await;
        assert_eq!((again.lines(), again.token()), (lines(&[("Book 1", 5)]), token.clone()));

        // Only a hash of the secret is stored.
        let stored: Option<String> =
            shop.service.db().read().scalar("SELECT guest_hash FROM baskets", []).await.unwrap();
        assert_ne!(stored.unwrap(), token);
        shop
    })
    .await;
}

#[tokio::test]
async fn a_token_that_is_no_good_is_an_empty_basket_and_never_an_error() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1299, 7);
        let unknown = "A".repeat(43);
        for bad in ["", "x", "' OR 1=1 --", "<script>", &unknown, &"z".repeat(4000)] {
            let cookie = format!("basket_token={bad}");
            for headers in [[("basket-token", bad)], [("cookie", cookie.as_str())]] {
                assert_eq!(shop.basket(&headers).await.lines(), lines(&[]), "{bad}");
                let added = shop.add(&headers, 1, 1).await;
                assert_eq!(added.lines(), lines(&[("Book 1", 1)]), "{bad}");
                assert_ne!(added.token(), *bad);
            }
        }
        shop
    })
    .await;
}

#[tokio::test]
async fn lines_are_set_removed_and_cleared() {
    on_each_database(Settings::default(), |shop| async move {
        for n in 1..=3 {
            shop.shelf.put(n, 1000, 7);
        }
        let token = shop.add(&[], 1, 1).await.token();
        let headers = [("basket-token", token.as_str())];
        shop.add(&headers, 2, 2).await;
        shop.add(&headers, 3, 3).await;
        let item = |n| format!("/basket/items/{}", book(n));
        let set = shop.ask(Method::PATCH, &item(2), &headers, Some(json!({"quantity": 99}))).await;
        assert_eq!(set.lines(), lines(&[("Book 1", 1), ("Book 2", 99), ("Book 3", 3)]));
        assert_eq!(set.body["version"], 4);
        let zero = shop.ask(Method::PATCH, &item(2), &headers, Some(json!({"quantity": 0}))).await;
        assert_eq!(zero.lines(), lines(&[("Book 1", 1), ("Book 3", 3)]));
        let removed = shop.ask(Method::DELETE, &item(1), &headers, None).await;
        assert_eq!(removed.lines(), lines(&[("Book 3", 3)]));
        let repeated = shop.ask(Method::DELETE, &item(1), &headers, None).await;
        assert_eq!((repeated.lines(), &repeated.body["version"]), (lines(&[("Book 3", 3)]), &json!(6)));
        let cleared = shop.ask(Method::DELETE, "/basket", &headers, None).await;
        assert_eq!(cleared.lines(), lines(&[]));
        assert_eq!(shop.basket(&headers).await.lines(), lines(&[]));
        shop
    })
    .await;
}

#[tokio::test]
async fn the_limits_are_99_a_line_and_100_lines() {
    on_each_database(Settings::default(), |shop| async move {
        for n in 1..=101 {
            shop.shelf.put(n, 1000, 7);
        }
        let token = shop.add(&[], 1, 98).await.token();
        let headers = [("basket-token", token.as_str())];
        let refused = shop.add(&headers, 1, 2).await;
        assert_eq!((refused.status, &refused.body["code"]), (StatusCode::BAD_REQUEST, &json!("validation_failed")));
        assert_json_snapshot!(refused.body["errors"], @r#"
        [
          {
            "field": "/quantity",
            "message": "must not be above 99 with the 98 already in the basket"
          }
        ]
        "#);
        for n in 2..=100 {
            assert_eq!(shop.add(&headers, n, 1).await.status, 200);
        }
        let full = shop.add(&headers, 101, 1).await;
        assert_eq!((full.status, &full.body["code"]), (StatusCode::CONFLICT, &json!("basket_full")));
        assert_eq!(full.body["detail"], "A basket holds at most 100 different books.");
        assert_eq!(shop.add(&headers, 1, 1).await.status, 200, "a line that is there still takes copies");
        assert_eq!(shop.basket(&headers).await.lines().len(), 100);
        shop
    })
    .await;
}

#[tokio::test]
async fn bad_input_is_named_and_changes_nothing() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1000, 7);
        let token = shop.add(&[], 1, 5).await.token();
        let headers = [("basket-token", token.as_str())];
        let id = book(1);
        let mut answers = Vec::new();
        let post = |body: &str| {
            Request::post("/basket/items")
                .header("basket-token", &token)
                .header("content-type", "application/json")
                .body(Body::from(body.to_owned()))
                .unwrap()
        };
        for body in [
            String::new(),
            "{".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            format!(r#"{{"book_id":"{id}"}}"#),
            format!(r#"{{"book_id":"{id}","quantity":"2"}}"#),
            format!(r#"{{"book_id":"{id}","quantity":0}}"#),
            format!(r#"{{"book_id":"{id}","quantity":-1}}"#),
            format!(r#"{{"book_id":"{id}","quantity":100}}"#),
            format!(r#"{{"book_id":"{id}","quantity":99999999999999999999}}"#),
            format!(r#"{{"book_id":"{id}","quantity":1.5}}"#),
            r#"{"book_id":"'; DROP TABLE baskets; --","quantity":1}"#.to_owned(),
            format!(r#"{{"book_id":"{id}","quantity":1,"price":1}}"#),
            format!(r#"{{"book_id":"{}","quantity":1}}"#, book(404)),
        ] {
            let answer = shop.send(post(&body)).await;
            answers.push(summary("POST", &body, &answer));
        }
        let invalid_utf8 = Request::post("/basket/items")
            .header("content-type", "application/json")
            .body(Body::from(vec![b'"', 0xff, b'"']))
            .unwrap();
        answers.push(summary("POST", "(invalid UTF-8)", &shop.send(invalid_utf8).await));
        let form = Request::post("/basket/items")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from("quantity=1"))
            .unwrap();
        answers.push(summary("POST", "(form)", &shop.send(form).await));
        for (path, quantity) in [
            (id.to_string(), json!(-1)),
            (id.to_string(), json!(100)),
            (id.to_string(), json!(i64::MAX)),
            (id.to_string(), json!("9")),
            (id.to_string(), Value::Null),
            (book(2).to_string(), json!(1)),
            ("nonsense".to_owned(), json!(1)),
        ] {
            let body = json!({"quantity": quantity});
            let answer = shop.ask(Method::PATCH, &format!("/basket/items/{path}"), &headers, Some(body.clone())).await;
            answers.push(summary("PATCH", &body.to_string(), &answer));
        }
        assert_snapshot!(answers.join("\n"), @r#"
        POST  -> 400 malformed_body
        POST { -> 400 malformed_body
        POST [] -> 400 validation_failed
        POST {} -> 400 validation_failed /book_id
        POST {"book_id":"00000000-0000-0000-0000-000000000001"} -> 400 validation_failed /quantity
        POST {"book_id":"00000000-0000-0000-0000-000000000001","quantity":"2"} -> 400 validation_failed /quantity
        POST {"book_id":"00000000-0000-0000-0000-000000000001","quantity":0} -> 400 validation_failed /quantity
        POST {"book_id":"00000000-0000-0000-0000-000000000001","quantity":-1} -> 400 validation_failed /quantity
        POST {"book_id":"00000000-0000-0000-0000-000000000001","quantity":100} -> 400 validation_failed /quantity
        POST {"book_id":"00000000-0000-0000-0000-000000000001","quantity":99999999999999999999} -> 400 validation_failed /quantity
        POST {"book_id":"00000000-0000-0000-0000-000000000001","quantity":1.5} -> 400 validation_failed /quantity
        POST {"book_id":"'; DROP TABLE baskets; --","quantity":1} -> 400 validation_failed /book_id
        POST {"book_id":"00000000-0000-0000-0000-000000000001","quantity":1,"price":1} -> 400 validation_failed /price
        POST {"book_id":"00000000-0000-0000-0000-000000000194","quantity":1} -> 404 not_found
        POST (invalid UTF-8) -> 400 malformed_body
        POST (form) -> 415 unsupported_media_type
        PATCH {"quantity":-1} -> 400 validation_failed /quantity
        PATCH {"quantity":100} -> 400 validation_failed /quantity
        PATCH {"quantity":9223372036854775807} -> 400 validation_failed /quantity
        PATCH {"quantity":"9"} -> 400 validation_failed /quantity
        PATCH {"quantity":null} -> 400 validation_failed /quantity
        PATCH {"quantity":1} -> 404 not_found
        PATCH {"quantity":1} -> 404 not_found
        "#);
        assert_eq!(shop.basket(&headers).await.lines(), lines(&[("Book 1", 5)]));
        let bad_bearer = shop.basket(&[("authorization", "Bearer nonsense")]).await;
        assert_eq!((bad_bearer.status, &bad_bearer.body["code"]), (StatusCode::UNAUTHORIZED, &json!("invalid_token")));
        shop
    })
    .await;
}

fn summary(method: &str, sent: &str, answer: &Answer) -> String {
    let fields: Vec<_> =
        answer.body["errors"].as_array().into_iter().flatten().map(|error| error["field"].as_str().unwrap()).collect();
    format!(
        "{method} {sent} -> {} {} {}",
        answer.status.as_u16(),
        answer.body["code"].as_str().unwrap_or("?"),
        fields.join(" ")
    )
    .trim_end()
    .to_owned()
}

#[tokio::test]
async fn a_changed_price_is_shown_once_and_a_lost_book_stays() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1000, 7);
        shop.shelf.put(2, 500, 7);
        let token = shop.add(&[], 1, 2).await.token();
        let headers = [("basket-token", token.as_str())];
        shop.add(&headers, 2, 1).await;
        shop.shelf.put(1, 1100, 3);
        shop.shelf.stop_selling(2);
        let changed = shop.basket(&headers).await.body;
        let shown: Vec<_> = changed["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| {
                format!(
                    "{} now {} was {} available {}",
                    line["price_changed"],
                    line["unit_price"]["amount"],
                    line["previous_price"]["amount"],
                    line["available"]
                )
            })
            .collect();
        assert_eq!(shown, ["true now 1100 was 1000 available 3", "false now 500 was null available 0"]);
        assert_eq!(changed["subtotal"]["amount"], 2700);
        let again = shop.basket(&headers).await.body;
        assert_eq!(again["items"][0]["price_changed"], false);
        assert_eq!(again["items"][0]["unit_price"]["amount"], 1100);
        assert_eq!(again["version"], 2, "looking is no change");
        shop
    })
    .await;
}

#[tokio::test]
async fn without_the_catalogue_the_basket_is_still_there() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1000, 7);
        shop.shelf.put(2, 1000, 7);
        let token = shop.add(&[], 1, 2).await.token();
        let headers = [("basket-token", token.as_str())];
        shop.shelf.silent.store(true, Ordering::SeqCst);
        let degraded = shop.basket(&headers).await;
        assert_eq!(degraded.lines(), lines(&[("Book 1", 2)]));
        assert_eq!(degraded.headers["basket-degraded"], "1");
        assert_eq!(degraded.body["items"][0]["available"], 7);
        let refused = shop.add(&headers, 2, 1).await;
        assert_eq!((refused.status, &refused.body["code"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("unavailable")));
        assert_eq!(refused.headers["retry-after"], "1");
        let removed = shop.ask(Method::DELETE, "/basket", &headers, None).await;
        assert_eq!(removed.lines(), lines(&[]));
        shop.shelf.silent.store(false, Ordering::SeqCst);
        shop
    })
    .await;
}

#[tokio::test]
async fn signing_in_merges_the_guest_and_loses_no_line() {
    on_each_database(Settings { max_lines: 3, ..Settings::default() }, |shop| async move {
        for n in 1..=6 {
            shop.shelf.put(n, 1000, 7);
        }
        let customer = CustomerId::new();
        let bearer = shop.sign_in(customer);
        let signed = [("authorization", bearer.as_str())];
        for n in [1, 2, 3] {
            let added = shop.add(&signed, n, 60).await;
            assert!(added.headers.get("set-cookie").is_none(), "an account needs no secret");
        }
        let token = shop.add(&[], 3, 60).await.token();
        let guest = [("basket-token", token.as_str())];
        shop.add(&guest, 4, 1).await;
        shop.add(&guest, 5, 1).await;
        let cookie = format!("basket_token={token}");
        let merged = shop.basket(&[signed[0], ("cookie", &cookie)]).await;
        assert_eq!(
            merged.lines(),
            lines(&[("Book 1", 60), ("Book 2", 60), ("Book 3", 99), ("Book 4", 1), ("Book 5", 1)])
        );
        assert_eq!(merged.headers["set-cookie"], "basket_token=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
        let repeated = shop.basket(&[signed[0], guest[0]]).await;
        assert_eq!(repeated.lines(), merged.lines());
        assert_eq!(shop.basket(&guest).await.lines(), lines(&[]), "the secret opens nothing any more");
        assert_eq!(shop.add(&signed, 6, 1).await.body["code"], "basket_full", "adding stays within the limit");

        // The same through gRPC, into a basket that is not there yet.
        let token = shop.add(&[], 4, 2).await.token();
        let other = CustomerId::new();
        let ask = || MergeGuestRequest { customer_id: other.to_string(), guest_token: token.clone() };
        assert_eq!(shop.grpc().merge_guest(ask()).await.unwrap().into_inner().merged, 1);
        assert_eq!(shop.grpc().merge_guest(ask()).await.unwrap().into_inner().merged, 0);
        let owner = Some(Owner::CustomerId(other.to_string()));
        let basket = shop.grpc().get_basket(GetBasketRequest { owner }).await.unwrap().into_inner();
        assert_eq!((basket.lines.len(), basket.lines[0].quantity, basket.lines[0].seen_price), (1, 2, 1000));
        shop
    })
    .await;
}

#[tokio::test]
async fn grpc_knows_no_unknown_owner_and_refuses_nonsense() {
    on_each_database(Settings::default(), |shop| async move {
        let get = |owner| shop.grpc().get_basket_owned(owner);
        for owner in [Owner::CustomerId(CustomerId::new().to_string()), Owner::GuestToken("nonsense".to_owned())] {
            let basket = get(Some(owner)).await.unwrap();
            assert_eq!((basket.basket_id.as_str(), basket.lines.len()), ("", 0));
        }
        for owner in [None, Some(Owner::CustomerId("nonsense".to_owned()))] {
            assert_eq!(get(owner).await.unwrap_err().code(), tonic::Code::InvalidArgument);
        }
        shop
    })
    .await;
}

trait Ask {
    async fn get_basket_owned(
        self,
        owner: Option<Owner>,
    ) -> Result<bookworm_contracts::grpc::basket::GetBasketResponse, Status>;
}

impl Ask for BasketClient<Edge> {
    async fn get_basket_owned(
        mut self,
        owner: Option<Owner>,
    ) -> Result<bookworm_contracts::grpc::basket::GetBasketResponse, Status> {
        self.get_basket(GetBasketRequest { owner }).await.map(Response::into_inner)
    }
}

/// Publishes events to the service through a bus, and waits until it has reacted to all.
async fn publish<M: Message + Clone>(shop: &Shop, events: &[M]) {
    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = shop.clock.clone();
    let db = Databases::Sqlite(folder.path().to_owned()).open("bus").await.unwrap();
    let bus: SharedBus = Arc::new(DbBus::open(db, clock.clone(), Duration::from_secs(30)).await.unwrap());
    let stop = CancellationToken::new();
    let working: Vec<_> = shop
        .service
        .consumers()
        .into_iter()
        .map(|consumer| tokio::spawn(consumer.run(bus.clone(), clock.clone(), Policy::default(), stop.clone())))
        .collect();
    let outbox = Outbox::new(clock.clone());
    let putting = (outbox.clone(), events.to_vec());
    let db = shop.service.db();
    db.transact::<_, DbError, _>(move |tx| {
        Box::pin(async move {
            for event in &putting.1 {
                putting.0.put(tx, &Cause::start(), event).await?;
            }
            Ok(())
        })
    })
    .await
    .unwrap();
    let done = "SELECT COUNT(*) FROM inbox";
    let before: Option<i64> = db.read().scalar(done, []).await.unwrap();
    let relaying = tokio::spawn(relay(outbox.source(db), bus.clone(), stop.clone()));
    for _ in 0..500 {
        let seen: Option<i64> = db.read().scalar(done, []).await.unwrap();
        let waiting: Option<i64> = db.read().scalar("SELECT COUNT(*) FROM outbox", []).await.unwrap();
        if waiting == Some(0)
            && seen >= before.map(|before| before + events.len() as i64)
            && bus.backlog().await.unwrap() == 0
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(bus.backlog().await.unwrap(), 0);
    stop.cancel();
    relaying.await.unwrap();
    for task in working {
        task.await.unwrap();
    }
}

fn confirmed(basket_id: &str, bought: &[(u128, i64)]) -> OrderConfirmed {
    let money = Money::new(1000, Currency::USD);
    let line = |(n, quantity): &(u128, i64)| OrderedLine {
        book_id: book(*n),
        title: format!("Book {n}"),
        language: None,
        quantity: Quantity::new(*quantity).unwrap(),
        unit_price: money,
        line_total: money,
    };
    OrderConfirmed {
        order: OrderSummary {
            order_id: OrderId::new(),
            number: "B-1".to_owned(),
            customer_id: None,
            email: Email::parse("ann@example.org").unwrap(),
            name: "Ann".to_owned(),
            basket_id: basket_id.parse().unwrap(),
            lines: bought.iter().map(line).collect(),
            subtotal: money,
            shipping: money,
            tax: money,
            tax_included: false,
            shipping_address: None,
            total: money,
            link: "/orders/1".to_owned(),
            placed_at: Timestamp::from_micros(NOW),
            placed_from: None,
        },
    }
}

#[tokio::test]
async fn an_order_takes_out_what_was_bought_and_nothing_else() {
    on_each_database(Settings::default(), |shop| async move {
        for n in 1..=4 {
            shop.shelf.put(n, 1000, 7);
        }
        let token = shop.add(&[], 1, 2).await.token();
        let headers = [("basket-token", token.as_str())];
        shop.add(&headers, 2, 2).await;
        shop.add(&headers, 3, 1).await;
        let id = shop.basket_id(Owner::GuestToken(token.clone())).await;
        let unknown = confirmed(&Uuid::new_v4().to_string(), &[(1, 1)]);
        publish(&shop, &[confirmed(&id, &[(1, 2), (2, 1), (4, 9)]), unknown]).await;
        assert_eq!(shop.basket(&headers).await.lines(), lines(&[("Book 2", 1), ("Book 3", 1)]));
        shop
    })
    .await;
}

#[tokio::test]
async fn an_order_placed_before_signing_in_empties_the_basket_it_was_merged_into() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1000, 7);
        shop.shelf.put(2, 1000, 7);
        let token = shop.add(&[], 1, 2).await.token();
        let id = shop.basket_id(Owner::GuestToken(token.clone())).await;
        let bearer = shop.sign_in(CustomerId::new());
        let signed = [("authorization", bearer.as_str())];
        shop.add(&[signed[0], ("basket-token", &token)], 2, 1).await;
        publish(&shop, &[confirmed(&id, &[(1, 2)])]).await;
        assert_eq!(shop.basket(&signed).await.lines(), lines(&[("Book 2", 1)]));
        shop
    })
    .await;
}

#[tokio::test]
async fn forgotten_guests_expire_and_customers_never_do() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1000, 7);
        let bearer = shop.sign_in(CustomerId::new());
        let signed = [("authorization", bearer.as_str())];
        shop.add(&signed, 1, 1).await;
        let forgotten = shop.add(&[], 1, 1).await.token();
        let read = shop.add(&[], 1, 1).await.token();
        shop.clock.advance(10 * DAY);
        shop.basket(&[("basket-token", &read)]).await;
        shop.clock.advance(21 * DAY);
        assert_eq!(shop.service.expire_guests().await.unwrap(), 1);
        assert_eq!(shop.basket(&[("basket-token", &forgotten)]).await.lines(), lines(&[]));
        assert_eq!(shop.basket(&[("basket-token", &read)]).await.lines(), lines(&[("Book 1", 1)]));
        let kept: Option<i64> = shop.service.db().read().scalar("SELECT COUNT(*) FROM baskets", []).await.unwrap();
        assert_eq!(kept, Some(2));
        shop
    })
    .await;
}

#[tokio::test]
async fn concurrent_adds_lose_no_copy() {
    on_each_database(Settings::default(), |shop| async move {
        for n in 1..=4 {
            shop.shelf.put(n, 1000, 7);
        }
        let bearer = shop.sign_in(CustomerId::new());
        let signed = [("authorization", bearer.as_str())];
        // The first adds race to make the customer's basket.
        let answers = futures::future::join_all((0..40).map(|i| shop.add(&signed, 1 + i % 4, 1))).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
        let mut basket = shop.basket(&signed).await.lines();
        basket.sort();
        assert_eq!(basket, lines(&[("Book 1", 10), ("Book 2", 10), ("Book 3", 10), ("Book 4", 10)]));
        shop
    })
    .await;
}

#[tokio::test]
async fn a_basket_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::Sqlite(folder.path().to_owned());
    let shop = Shop::open(databases, Settings::default()).await;
    shop.shelf.put(1, 1000, 7);
    let token = shop.add(&[], 1, 2).await.token();
    shop.service.db().close().await;
    let reopened = Shop::open(shop.databases.clone(), Settings::default()).await;
    reopened.shelf.put(1, 1000, 7);
    assert_eq!(reopened.basket(&[("basket-token", &token)]).await.lines(), lines(&[("Book 1", 2)]));
    reopened.service.db().close().await;
}

// --- claims --------------------------------------------------------------------------------------------------------

impl Shop {
    async fn read(&self, owner: &Owner) -> GetBasketResponse {
        self.grpc().get_basket_owned(Some(owner.clone())).await.unwrap()
    }

    /// Claims the basket as it is; returns the order that may be placed.
    async fn claim(&self, owner: &Owner, order: OrderId, claimant: &str) -> Option<OrderId> {
        let GetBasketResponse { basket_id, version, .. } = self.read(owner).await;
        let request =
            ClaimBasketRequest { basket_id, version, order_id: order.to_string(), claimant: claimant.to_owned() };
        self.grpc().claim_basket(request).await.unwrap().into_inner().order_id.parse().ok()
    }

    async fn claims(&self, owner: &Owner) -> Vec<OrderId> {
        self.read(owner).await.claims.iter().map(|claim| claim.order_id.parse().unwrap()).collect()
    }

    async fn release(&self, basket_id: &str, order: OrderId) -> bool {
        let request = ReleaseBasketRequest { basket_id: basket_id.to_owned(), order_id: order.to_string() };
        self.grpc().release_basket(request).await.unwrap().into_inner().released
    }
}

fn of(order_id: OrderId, basket_id: &str, bought: &[(u128, i64)]) -> OrderSummary {
    OrderSummary { order_id, ..confirmed(basket_id, bought).order }
}

#[tokio::test]
async fn a_basket_is_claimed_by_one_order_until_that_order_ends() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1000, 7);
        let token = shop.add(&[], 1, 2).await.token();
        let headers = [("basket-token", token.as_str())];
        let owner = Owner::GuestToken(token.clone());
        let id = shop.basket_id(owner.clone()).await;
        let [first, second, third] = [(); 3].map(|()| OrderId::new());

        // Of many at once, one.
        let wanted: Vec<OrderId> = (0..20).map(|_| OrderId::new()).collect();
        let claims = wanted.iter().map(|order| {
            let (shop, owner) = (&shop, &owner);
            async move { shop.claim(owner, *order, &order.to_string()).await }
        });
        let granted: Vec<OrderId> = futures::future::join_all(claims).await.into_iter().flatten().collect();
        assert_eq!(granted.len(), 1);
        assert_eq!(shop.basket(&headers).await.body["order_under_way"], granted[0].to_string());
        assert!(shop.release(&id, granted[0]).await && !shop.release(&id, granted[0]).await);

        // Rejected, called off: the basket is free, and its copies are still there.
        assert_eq!(shop.claim(&owner, first, "one").await, Some(first));
        assert_eq!(shop.claim(&owner, second, "two").await, None);
        assert_eq!(shop.claim(&owner, third, "one").await, Some(first), "the same request goes on with its order");
        let stranger = OrderRejected { order: of(second, &id, &[(1, 2)]), code: String::new(), reason: String::new() };
        publish(&shop, &[stranger]).await;
        assert_eq!(shop.claims(&owner).await, [first], "only its own claim");
        let rejected = OrderRejected { order: of(first, &id, &[(1, 2)]), code: String::new(), reason: String::new() };
        publish(&shop, &[rejected]).await;
        assert_eq!(shop.claim(&owner, second, "two").await, Some(second));
        let off =
            |order, confirmed| OrderCancelled { order: of(order, &id, &[(1, 2)]), reason: String::new(), confirmed };
        publish(&shop, &[off(second, false)]).await;
        assert_eq!(shop.claims(&owner).await, []);
        let seen = shop.basket(&headers).await;
        assert_eq!((seen.lines(), seen.body.get("order_under_way")), (lines(&[("Book 1", 2)]), None));

        // While it is claimed it can be changed. Confirmed: what was bought leaves it, in one step with the claim.
        assert_eq!(shop.claim(&owner, third, "three").await, Some(third));
        shop.add(&headers, 1, 1).await;
        assert_eq!(shop.claim(&owner, third, "three").await, Some(third));
        publish(&shop, &[OrderConfirmed { order: of(third, &id, &[(1, 2)]) }]).await;
        assert_eq!(shop.claims(&owner).await, []);
        assert_eq!(shop.basket(&headers).await.lines(), lines(&[("Book 1", 1)]));
        shop
    })
    .await;
}

#[tokio::test]
async fn what_was_confirmed_and_then_called_off_does_not_free_the_basket_before_it_is_emptied() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1000, 7);
        let token = shop.add(&[], 1, 2).await.token();
        let owner = Owner::GuestToken(token.clone());
        let (id, order) = (shop.basket_id(owner.clone()).await, OrderId::new());
        shop.claim(&owner, order, "one").await.unwrap();
        // The later event comes first.
        let off = OrderCancelled { order: of(order, &id, &[(1, 2)]), reason: String::new(), confirmed: true };
        publish(&shop, &[off]).await;
        assert_eq!(shop.claims(&owner).await, [order]);
        publish(&shop, &[OrderConfirmed { order: of(order, &id, &[(1, 2)]) }]).await;
        assert_eq!(shop.claims(&owner).await, []);
        assert_eq!(shop.basket(&[("basket-token", &token)]).await.lines(), lines(&[]));
        shop
    })
    .await;
}

#[tokio::test]
async fn a_basket_that_has_changed_is_not_claimed_as_it_was() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1000, 7);
        let token = shop.add(&[], 1, 2).await.token();
        let owner = Owner::GuestToken(token.clone());
        let before = shop.read(&owner).await;
        let claim = |basket_id: &str, version| {
            let request = ClaimBasketRequest {
                basket_id: basket_id.to_owned(),
                version,
                order_id: OrderId::new().to_string(),
                claimant: "one".to_owned(),
            };
            let mut client = shop.grpc();
            async move { client.claim_basket(request).await.map(|answer| answer.into_inner().order_id) }
        };
        shop.add(&[("basket-token", &token)], 1, 1).await;
        assert_eq!(claim(&before.basket_id, before.version).await.unwrap(), "");
        assert_eq!(claim(&Uuid::new_v4().to_string(), 1).await.unwrap(), "", "there is no such basket");
        assert_eq!(claim("nonsense", 1).await.unwrap_err().code(), tonic::Code::InvalidArgument);
        // An emptied basket has nothing to claim, and one that was merged is no basket any more.
        shop.ask(Method::DELETE, "/basket", &[("basket-token", &token)], None).await;
        let now = shop.read(&owner).await;
        assert_eq!(claim(&now.basket_id, now.version).await.unwrap(), "");
        shop.add(&[("basket-token", &token)], 1, 1).await;
        let now = shop.read(&owner).await;
        let bearer = shop.sign_in(CustomerId::new());
        shop.basket(&[("authorization", &bearer), ("basket-token", &token)]).await;
        assert_eq!(claim(&now.basket_id, now.version).await.unwrap(), "");
        shop
    })
    .await;
}

#[tokio::test]
async fn signing_in_takes_the_claims_along() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1000, 7);
        shop.shelf.put(2, 1000, 7);
        let customer = CustomerId::new();
        let bearer = shop.sign_in(customer);
        let signed = [("authorization", bearer.as_str())];
        let own = Owner::CustomerId(customer.to_string());
        shop.add(&signed, 1, 1).await;
        let token = shop.add(&[], 2, 1).await.token();
        let guest = Owner::GuestToken(token.clone());
        let (guests, customers) = (OrderId::new(), OrderId::new());
        let guests_id = shop.basket_id(guest.clone()).await;
        shop.claim(&guest, guests, "guest").await.unwrap();
        shop.claim(&own, customers, "customer").await.unwrap();

        shop.basket(&[signed[0], ("basket-token", &token)]).await;
        assert_eq!(shop.claims(&own).await, [customers, guests]);
        // Each order ends its own claim, wherever its basket has gone.
        let own_id = shop.basket_id(own.clone()).await;
        publish(&shop, &[OrderConfirmed { order: of(customers, &own_id, &[(1, 1)]) }]).await;
        assert_eq!(shop.claim(&own, OrderId::new(), "another").await, None);
        publish(&shop, &[OrderConfirmed { order: of(guests, &guests_id, &[(2, 1)]) }]).await;
        assert_eq!(shop.claims(&own).await, []);
        assert_eq!(shop.basket(&signed).await.lines(), lines(&[]));
        shop
    })
    .await;
}

#[tokio::test]
async fn a_claimed_basket_that_its_guest_forgot_expires_like_any_other() {
    on_each_database(Settings::default(), |shop| async move {
        shop.shelf.put(1, 1000, 7);
        let token = shop.add(&[], 1, 2).await.token();
        let owner = Owner::GuestToken(token.clone());
        shop.clock.advance(29 * DAY);
        let (id, order) = (shop.basket_id(owner.clone()).await, OrderId::new());
        // A claim is a sign of life.
        shop.claim(&owner, order, "one").await.unwrap();
        shop.clock.advance(29 * DAY);
        assert_eq!(shop.service.expire_guests().await.unwrap(), 0);
        shop.clock.advance(2 * DAY);
        assert_eq!(shop.service.expire_guests().await.unwrap(), 1);
        // Nothing is left to be given back, or to be bought a second time.
        assert!(!shop.release(&id, order).await);
        publish(&shop, &[OrderConfirmed { order: of(order, &id, &[(1, 2)]) }]).await;
        assert_eq!(shop.read(&owner).await, GetBasketResponse::default());
        shop
    })
    .await;
}
