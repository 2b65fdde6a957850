//! The catalogue from the outside: HTTP, gRPC, messages and import, on each database.
#![expect(clippy::unwrap_used, reason = "a test may")]
mod books;
mod imports;
mod lists;
mod names;
mod ratings;
mod stock;
mod uploads;

use std::{collections::HashSet, future::Future, io::Write, path::Path, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use bookworm_catalog::{
    CatalogService, Dependencies,
    import::{ImportError, Options, Papers, Progress, Report, Source},
};
use bookworm_contracts::{
    commands::{ReleaseStock, ReserveStock, StockLine},
    events::{
        catalog::{BookChanged, InventoryUpdated, StockRejected, StockReleased, StockReserved},
        ordering::{OrderCompleted, OrderSummary},
    },
    grpc::catalog::{GetBooksRequest, catalog_client::CatalogClient},
};
use bookworm_db::{Backend, Databases, Db, DbError, Sql, values};
use bookworm_http::auth::{AccountClaims, Caller, Role};
use bookworm_kernel::{
    BookId, Cause, Clock, Currency, CustomerId, Email, ManualClock, Money, OrderId, Quantity, Timestamp,
};
use bookworm_messaging::{DbBus, Envelope, Message, Policy, SharedBus, Subscriber, relay};
use bookworm_testing::on_every_database;
use http::{HeaderMap, Request, StatusCode, header};
use proptest::{prelude::*, strategy::ValueTree};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

/// The role over a database, without an index.
async fn open(db: Db, clock: Arc<ManualClock>) -> CatalogService {
    let dependencies = Dependencies { db, clock, currency: Currency::USD, search: None };
    CatalogService::open(dependencies).await.unwrap()
}

/// A catalogue on a database of its own.
struct Shop {
    catalog: CatalogService,
    router: Router,
    databases: Databases,
    clock: Arc<ManualClock>,
    folder: tempfile::TempDir,
    staff: Arc<AccountClaims>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Shop {
    async fn open(databases: Option<Databases>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let databases = databases.unwrap_or_else(|| Databases::Sqlite(folder.path().to_owned()));
        let clock = Arc::new(ManualClock::at(Timestamp::parse("2026-03-01T12:00:00Z").unwrap()));
        let db = databases.open(CatalogService::NAME).await.unwrap();
        let catalog = open(db, clock.clone()).await;
        let (router, _) = catalog.api().split_for_parts();
        let staff = AccountClaims {
            id: CustomerId::new(),
            email: "staff@example.com".to_owned(),
            name: "Staff".to_owned(),
            roles: vec![Role::Staff],
            email_confirmed: true,
        };
        Self { catalog, router, databases, clock, folder, staff: Arc::new(staff) }
    }

    fn db(&self) -> &Db {
        self.catalog.db()
    }

    async fn call(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Answer { status, headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// As staff, with headers.
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request =
            request.body(if body.is_null() { Body::empty() } else { Body::from(body.to_string()) }).unwrap();
        request.extensions_mut().insert(Caller::Account(self.staff.clone()));
        self.call(request).await
    }

    async fn create(&self, book: Value) -> Value {
        let answer = self.send("POST", "/books", &[], book).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        answer.body
    }

    async fn count(&self, table: &str) -> i64 {
        self.db().read().scalar(&format!("SELECT COUNT(*) FROM {table}"), []).await.unwrap().unwrap()
    }

    async fn import(&self, name: &str, content: &[u8]) -> Report {
        self.try_import(name, content).await.unwrap()
    }

    async fn try_import(&self, name: &str, content: &[u8]) -> Result<Report, ImportError> {
        let file = self.folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        self.catalog.import(&Source::File(file), &Options::default(), false, &mut self.papers(), |_| {}).await
    }

    /// What an import would do.
    async fn foresee(&self, name: &str, content: &[u8]) -> Report {
        let source = Source::Memory { name: name.to_owned(), bytes: content.into() };
        self.catalog.import(&source, &Options::default(), true, &mut Papers::memory(), |_| {}).await.unwrap()
    }

    fn papers(&self) -> Papers {
        Papers::files(&self.rejects(), &self.folder.path().join("report.csv"))
    }

    fn rejects(&self) -> std::path::PathBuf {
        self.folder.path().join("rejects.jsonl")
    }

    /// Starts bus, relay and consumers.
    async fn work(&self) -> Working {
        let db = self.databases.open("bus").await.unwrap();
        let bus: SharedBus = Arc::new(DbBus::open(db, self.clock.clone(), Duration::from_secs(30)).await.unwrap());
        let subscriber = bus
            .subscribe(
                "test",
                &[
                    StockReserved::SUBJECT,
                    StockRejected::SUBJECT,
                    StockReleased::SUBJECT,
                    InventoryUpdated::SUBJECT,
                    BookChanged::SUBJECT,
                ],
            )
            .await
            .unwrap();
        let stop = CancellationToken::new();
        let outbox = self.catalog.outbox().source(self.db());
        tokio::spawn(relay(outbox, bus.clone(), self.clock.clone(), stop.clone()));
        for consumer in self.catalog.consumers() {
            tokio::spawn(consumer.run(bus.clone(), self.clock.clone(), Policy::default(), stop.clone()));
        }
        // A consumer that subscribes later also gets what the bus keeps, so nothing need wait here.
        Working { bus, subscriber, stop, now: self.clock.now() }
    }
}

struct Working {
    bus: SharedBus,
    subscriber: Arc<dyn Subscriber>,
    stop: CancellationToken,
    now: Timestamp,
}

impl Working {
    async fn publish<M: Message>(&self, message: &M) {
        self.bus.publish(&[Envelope::new(message, &Cause::start(), self.now).unwrap()]).await.unwrap();
    }

    /// The next `n` messages from the catalogue: subject and body.
    async fn heard(&self, n: usize) -> Vec<(String, Value)> {
        let mut heard = Vec::new();
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        while heard.len() < n {
            assert!(tokio::time::Instant::now() < deadline, "only {heard:?}");
            for delivery in self.subscriber.receive(n - heard.len()).await.unwrap() {
                self.subscriber.ack(std::slice::from_ref(&delivery.tag)).await.unwrap();
                heard.push((delivery.envelope.subject.clone(), delivery.envelope.data.clone()));
            }
        }
        heard
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Runs a test on SQLite, and on PostgreSQL when there is one.
async fn on_each<F: Future<Output = ()>>(test: impl Fn(Shop) -> F) {
    on_every_database(async |home| test(Shop::open(Some(home.databases.clone())).await).await).await;
}

fn usd(amount: i64) -> Value {
    json!({"amount": amount, "currency": "USD"})
}

fn dispossessed() -> Value {
    json!({
        "source_id": "demo:1", "isbn13": "0-06-051275-X", "title": "The Dispossessed",
        "authors": ["Ursula K. Le Guin"], "publisher": "Harper & Row", "year": 1974, "language": "en", "pages": 341,
        "subjects": ["Science Fiction", "Utopias"], "series": "Hainish Cycle", "description": "Two worlds, one wall.",
        "price": usd(1299), "list_price": usd(1599), "stock": 3
    })
}

/// The document with what differs each time hidden, at any depth.
fn without(mut document: Value, members: &[&str]) -> Value {
    match &mut document {
        Value::Object(object) => {
            for (name, value) in object.iter_mut() {
                *value =
                    if members.contains(&name.as_str()) { json!("[hidden]") } else { without(value.take(), members) };
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without(item.take(), members)),
        _ => {}
    }
    document
}

fn ids(body: &Value) -> Vec<String> {
    body["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

fn titles(body: &Value) -> Vec<&str> {
    let book = |item: &'_ Value| if item["book"].is_object() { "book" } else { "" };
    body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| if book(item).is_empty() { &item["title"] } else { &item["book"]["title"] })
        .map(|title| title.as_str().unwrap())
        .collect()
}

fn fields(answer: &Answer) -> Vec<&str> {
    let errors = answer.body["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().map(|error| error["field"].as_str().unwrap()).collect()
}

/// Books that differ in everything one can filter and sort by.
async fn fill(shop: &Shop) {
    let lines: Vec<String> = [
        json!({"source_id": "1", "title": "Émile, or On Education", "authors": ["Jean-Jacques Rousseau"], "year": 1762, "language": "fr", "price": 9.0, "subjects": ["Philosophy"], "stock": 1, "rating_avg": 3.7, "rating_count": 90}),
        json!({"source_id": "2", "title": "Ender's Game", "authors": ["Orson Scott Card"], "year": 1985, "language": "en", "price": 8.0, "subjects": ["Science Fiction"], "stock": 5, "rating_avg": 4.3, "rating_count": 9000, "publisher": "Tor"}),
        json!({"source_id": "3", "title": "The Left Hand of Darkness", "authors": ["Ursula K. Le Guin"], "year": 1969, "language": "en", "price": 12.0, "subjects": ["Science Fiction", "Classics"], "stock": 0, "rating_avg": 4.1, "rating_count": 800, "isbn13": "9780441478125", "publisher": "Ace"}),
        json!({"source_id": "4", "title": "The Dispossessed", "authors": ["Ursula K. Le Guin"], "year": 1974, "language": "en", "price": 11.0, "subjects": ["Science Fiction", "Utopias"], "stock": 2, "rating_avg": 4.2, "rating_count": 700}),
        json!({"source_id": "5", "title": "Cien años de soledad", "authors": ["Gabriel García Márquez"], "language": "es", "price": 15.0, "subjects": ["Classics"], "stock": 9}),
        json!({"source_id": "6", "title": "Darkness at Noon", "authors": ["Arthur Koestler"], "year": 1940, "language": "en", "price": 40.0, "subjects": ["Classics"], "stock": 3, "rating_avg": 5.0, "rating_count": 1}),
    ]
    .iter()
    .map(Value::to_string)
    .collect();
    let report = shop.import("fill.jsonl", lines.join("\n").as_bytes()).await;
    assert_eq!((report.added, report.rejected, report.adjusted), (6, 0, 0));
}

fn book_id(book: &Value) -> BookId {
    book["id"].as_str().unwrap().parse().unwrap()
}

fn lines(book: BookId, quantity: i64) -> Vec<StockLine> {
    vec![StockLine { book_id: book, quantity: Quantity::new(quantity).unwrap() }]
}

/// `n` lines of JSON, with equal prices, years and titles among them.
fn many(n: usize) -> String {
    (0..n)
        .map(|i| {
            json!({
                "source_id": format!("many:{i}"), "title": format!("Title {}", i % 7), "authors": [format!("Author {}", i % 11)],
                "subjects": [format!("Subject {}", i % 3), "All"], "year": 1900 + i % 5, "price": (i % 4) as f64 + 0.5,
                "rating_avg": 4.0, "rating_count": i % 3, "language": "en", "description": "Told at length."
            })
            .to_string()
        })
        .collect::<Vec<_>>()
        .join("\n")
}

fn rejects(path: &Path) -> Vec<(u64, String)> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|reject| (reject["line"].as_u64().unwrap(), reject["reason"].as_str().unwrap().to_owned()))
        .collect()
}

impl Shop {
    /// Uploads a file as staff.
    async fn upload(&self, name: &str, content: impl Into<Body>) -> Answer {
        self.upload_as(&Uuid::now_v7().to_string(), "application/octet-stream", name, content).await
    }

    async fn upload_as(&self, key: &str, kind: &str, name: &str, content: impl Into<Body>) -> Answer {
        let mut request = Request::post(format!("/admin/imports?filename={name}"))
            .header(header::CONTENT_TYPE, kind)
            .header("idempotency-key", key)
            .body(content.into())
            .unwrap();
        request.extensions_mut().insert(Caller::Account(self.staff.clone()));
        self.call(request).await
    }

    async fn staff_get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], Value::Null).await
    }

    async fn post(&self, path: &str) -> Answer {
        self.send("POST", path, &[], Value::Null).await
    }

    /// The import at this path once `is` says so.
    async fn import_when(&self, path: &str, is: impl Fn(&Value) -> bool) -> Value {
        let mut import = Value::Null;
        for _ in 0..3_000 {
            import = self.staff_get(path).await.body;
            if is(&import) {
                return import;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it never came: {import}");
    }

    /// An import whose process is gone: its report agrees with what is written. A database may still be ending the unit
    /// of work that it was handed last: SQLite's writer ends it before the next one, PostgreSQL before it lends the
    /// table to somebody who wants no writer beside.
    async fn settled(&self, path: &str) -> Value {
        let mut before = Value::Null;
        for _ in 0..300 {
            let last = self.db().transact::<_, DbError, _>(|tx| {
                Box::pin(async move {
                    if tx.backend() == Backend::Postgres {
                        tx.batch("LOCK TABLE books IN SHARE MODE").await?;
                    }
                    Ok(())
                })
            });
            last.await.unwrap();
            let answer = self.staff_get(path).await.body;
            let written = self.count("books").await;
            if answer == before && answer["progress"]["added"].as_i64() == Some(written) {
                return answer;
            }
            before = answer;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the report never agreed with what is written: {before}");
    }

    async fn checked(&self, uploaded: &Answer) -> Value {
        assert_eq!(uploaded.status, StatusCode::CREATED, "{}", uploaded.body);
        self.import_when(&import_path(uploaded), |import| import["status"] != "checking").await
    }

    fn workers(&self) -> Workers {
        let stop = CancellationToken::new();
        let tasks = self.catalog.loops().iter().map(|work| tokio::spawn(work.run(stop.clone()))).collect();
        Workers { stop, tasks }
    }

    async fn report(&self, path: &str) -> String {
        let mut request = Request::get(format!("{path}/report")).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Caller::Account(self.staff.clone()));
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/csv; charset=utf-8");
        let report = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(report.to_vec()).unwrap()
    }
}

fn import_path(uploaded: &Answer) -> String {
    format!("/admin/imports/{}", uploaded.body["id"].as_str().unwrap())
}

/// What runs beside the requests.
struct Workers {
    stop: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Workers {
    async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }

    /// Ends them as a killed process does: nothing is given back.
    async fn kill(self) {
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
    }
}

/// A file of many books, with a record that is rejected and one whose ISBN is taken in each batch.
fn batches(batches: u32) -> String {
    let mut file = "SKU,Title,Price,ISBN,Pages\n".to_owned();
    for n in 0..batches * 500 {
        let (price, isbn, pages) = match n % 500 {
            3 => ("cheap", "", ""),
            4 => ("5.00", "9780061120084", ""),
            5 => ("5.00", "", "soon"),
            _ => ("5.00", "", "100"),
        };
        file.push_str(&format!("K{n},Book {n},{price},{isbn},{pages}\n"));
    }
    file
}
