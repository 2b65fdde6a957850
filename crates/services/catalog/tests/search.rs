//! Searching from the outside, with a model that a test can slow down and break, on each database.
#![expect(clippy::unwrap_used, reason = "a test may")]

use std::{
    future::Future,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use bookworm_catalog::{CatalogService, Models, SearchOptions};
use bookworm_config::Search;
use bookworm_contracts::{
    events::ordering::{OrderConfirmed, OrderSummary, OrderedLine},
    grpc::{
        Edge,
        ai::{
            CompleteChunk, CompleteRequest, EmbedRequest, EmbedResponse, Purpose, StatusRequest, StatusResponse,
            Vector,
            ai_server::{Ai, AiServer},
        },
        methods,
    },
};
use bookworm_db::{Databases, DbError, Sql, values};
use bookworm_http::auth::{AccountClaims, Caller, Role};
use bookworm_kernel::{
    BookId, Cause, Clock, Currency, CustomerId, Email, ManualClock, Money, OrderId, Quantity, Timestamp,
};
use bookworm_messaging::{DbBus, Envelope, Policy, SharedBus};
use http::{HeaderMap, Request, StatusCode, header};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

/// Words that mean the same to the model, a line for each number of a vector.
const CONCEPTS: [&[&str]; 6] = [
    &["lighthouse", "beacon", "sea", "keeper", "coast", "nautical"],
    &["grief", "mourning", "sorrow", "loss"],
    &["robot", "android", "machine", "automaton"],
    &["wizard", "magic", "sorcerer", "spell"],
    &["cooking", "kitchen", "recipes", "gastronomy"],
    &["anarchist", "utopia", "moon", "commune"],
];

/// Directions of texts that have none of these words.
const OWN: u64 = 1_000;

/// A model that knows a few words, and does as it is told.
#[derive(Clone, Default)]
struct Model(Arc<ModelState>);

#[derive(Default)]
struct ModelState {
    delay_ms: AtomicU64,
    fails: AtomicBool,
    absent: AtomicBool,
    queries: AtomicUsize,
    books: AtomicUsize,
}

impl Model {
    fn ways(&self) -> Models {
        let way = |name| Edge::local(name, AiServer::new(self.clone()), methods::AI);
        Models { queries: way("test.queries"), books: way("test.books") }
    }

    fn slow(&self, milliseconds: u64) {
        self.0.delay_ms.store(milliseconds, Ordering::SeqCst);
    }

    fn fail(&self, fails: bool) {
        self.0.fails.store(fails, Ordering::SeqCst);
    }
}

#[tonic::async_trait]
impl Ai for Model {
    type CompleteStream = futures::stream::Empty<Result<CompleteChunk, tonic::Status>>;

    async fn complete(
        &self,
        _: tonic::Request<CompleteRequest>,
    ) -> Result<tonic::Response<Self::CompleteStream>, tonic::Status> {
        Err(tonic::Status::unavailable("no language model"))
    }

    async fn embed(
        &self,
        request: tonic::Request<EmbedRequest>,
    ) -> Result<tonic::Response<EmbedResponse>, tonic::Status> {
        let request = request.into_inner();
        let counter = if request.purpose() == Purpose::Query { &self.0.queries } else { &self.0.books };
        counter.fetch_add(request.texts.len(), Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(self.0.delay_ms.load(Ordering::SeqCst))).await;
        if self.0.fails.load(Ordering::SeqCst) || self.0.absent.load(Ordering::SeqCst) {
            return Err(tonic::Status::unavailable("no model"));
        }
        let vectors = request.texts.iter().map(|text| {
            let text = text.to_lowercase();
            let mut values: Vec<f32> =
                CONCEPTS.iter().map(|words| words.iter().filter(|word| text.contains(**word)).count() as f32).collect();
            // Beside what it knows every text has a direction of its own, and nothing else when it knows nothing.
            let own = text.bytes().fold(7_u64, |hash, byte| hash.wrapping_mul(31) ^ u64::from(byte)) % OWN;
            let weight = if values.iter().all(|value| *value == 0.0) { 1.0 } else { 0.05 };
            values.extend((0..OWN).map(|n| if n == own { weight } else { 0.0 }));
            let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
            Vector { values: values.into_iter().map(|value| value / length).collect() }
        });
        let vectors = vectors.collect();
        Ok(tonic::Response::new(EmbedResponse { vectors, model: "concepts".to_owned() }))
    }

    async fn status(&self, _: tonic::Request<StatusRequest>) -> Result<tonic::Response<StatusResponse>, tonic::Status> {
        let absent = self.0.absent.load(Ordering::SeqCst);
        let fails = self.0.fails.load(Ordering::SeqCst);
        Ok(tonic::Response::new(StatusResponse {
            model: if absent { String::new() } else { "concepts".to_owned() },
            dimensions: 6 + OWN as u32,
            ready: !absent && !fails,
            problem: if fails { "it fails".to_owned() } else { String::new() },
        }))
    }
}

/// A catalogue that searches.
struct Shop {
    catalog: CatalogService,
    router: Router,
    databases: Databases,
    clock: Arc<dyn Clock>,
    folder: Arc<tempfile::TempDir>,
    model: Model,
    stop: CancellationToken,
    workers: Vec<tokio::task::JoinHandle<()>>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Shop {
    async fn open(databases: Option<Databases>, folder: Arc<tempfile::TempDir>, model: Model) -> Self {
        let databases = databases.unwrap_or_else(|| Databases::Sqlite(folder.path().to_owned()));
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp::parse("2026-03-01T12:00:00Z").unwrap()));
        let db = databases.open(CatalogService::NAME).await.unwrap();
        let search = SearchOptions {
            folder: folder.path().join("search"),
            ai: Some(model.ways()),
            settings: Search { meaning_timeout_ms: 400, ..Search::default() },
        };
        let catalog = CatalogService::open_with_search(db, Currency::USD, clock.clone(), search).await.unwrap();
        let (router, _) = catalog.api().split_for_parts();
        let stop = CancellationToken::new();
        let workers = catalog.loops().iter().map(|work| tokio::spawn(work.run(stop.clone()))).collect();
        Self { catalog, router, databases, clock, folder, model, stop, workers }
    }

    /// Ends it as a process ends, and starts it again on the same data.
    async fn restart(mut self) -> Self {
        let (databases, folder, model) = (self.databases.clone(), self.folder.clone(), self.model.clone());
        self.end().await;
        Self::open(Some(databases), folder, model).await
    }

    async fn end(&mut self) {
        self.stop.cancel();
        for worker in self.workers.drain(..) {
            worker.await.unwrap();
        }
        self.catalog.db().close().await;
    }

    async fn call(&self, caller: Option<(CustomerId, Role)>, mut request: Request<Body>) -> Answer {
        if let Some((id, role)) = caller {
            let account = AccountClaims {
                id,
                email: "somebody@example.com".to_owned(),
                name: "Somebody".to_owned(),
                roles: vec![role],
                email_confirmed: true,
            };
            request.extensions_mut().insert(Caller::Account(Arc::new(account)));
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Answer { status, headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.call(None, Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn staff(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.call(Some((CustomerId::new(), Role::Staff)), request.body(body).unwrap()).await
    }

    async fn create(&self, book: Value) -> Value {
        let answer = self.staff("POST", "/books", &[], book).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        answer.body
    }

    async fn search(&self, query: &str) -> Value {
        let answer = self.get(&format!("/search?{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.body);
        answer.body
    }

    async fn titles(&self, query: &str) -> Vec<String> {
        titles(&self.search(query).await)
    }

    async fn status(&self) -> Value {
        self.staff("GET", "/admin/search", &[], Value::Null).await.body
    }

    /// Waits until every book is found by words, and by meaning.
    async fn ready(&self) {
        eventually("ready", async || {
            let status = self.status().await;
            status["meaning"] == "ready"
                && status["indexed"] == status["books"]
                && status["with_meaning"] == status["books"]
        })
        .await;
    }

    /// A shop with a few books.
    async fn fill(&self) {
        for (title, authors, subjects, language, price, stock, description) in BOOKS {
            self.create(json!({
                "title": title, "authors": authors, "subjects": subjects, "language": language, "price": usd(price),
                "stock": stock, "description": description,
            }))
            .await;
        }
        self.create(json!({
            "title": "The Left Hand of Darkness", "isbn13": "9780441478125", "authors": ["Ursula K. Le Guin"],
            "subjects": ["Science Fiction"], "language": "en", "price": usd(1100), "stock": 0, "year": 1969,
        }))
        .await;
        self.ready().await;
    }
}

type Sample = (&'static str, &'static [&'static str], &'static [&'static str], &'static str, i64, i64, &'static str);

const BOOKS: [Sample; 6] = [
    (
        "The Stone Keeper",
        &["Mara Lindqvist"],
        &["Fiction", "Literary Fiction"],
        "en",
        1500,
        5,
        "A quiet novel of a man who tends a lighthouse on a bare coast, and of grief.",
    ),
    (
        "The Dispossessed",
        &["Ursula K. Le Guin"],
        &["Science Fiction", "Utopias"],
        "en",
        1299,
        3,
        "Two worlds, one wall; an anarchist moon.",
    ),
    ("I, Robot", &["Isaac Asimov"], &["Science Fiction"], "en", 899, 2, "Nine stories of machine minds."),
    ("Cien años de soledad", &["Gabriel García Márquez"], &["Fiction"], "es", 2100, 1, "Macondo y la familia Buendía."),
    ("A Wizard of Earthsea", &["Ursula K. Le Guin"], &["Fantasy"], "en", 999, 4, "A boy learns magic and its price."),
    ("Salt and Fire", &["Nadia Oum"], &["Cooking"], "fr", 3500, 9, "Recipes from a small kitchen."),
];

fn usd(amount: i64) -> Value {
    json!({"amount": amount, "currency": "USD"})
}

fn titles(body: &Value) -> Vec<String> {
    let title = |item: &Value| item["book"]["title"].as_str().or(item["title"].as_str()).unwrap().to_owned();
    body["items"].as_array().unwrap().iter().map(title).collect()
}

/// Waits for it, and not for ever.
async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let patience = tokio::time::Instant::now() + Duration::from_secs(60);
    while !holds().await {
        assert!(tokio::time::Instant::now() < patience, "never {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Runs a test on SQLite, and on PostgreSQL when there is one.
async fn on_each<F: Future<Output = Shop>>(test: impl Fn(Shop) -> F) {
    let folder = || Arc::new(tempfile::tempdir().unwrap());
    let mut shop = test(Shop::open(None, folder(), Model::default()).await).await;
    shop.end().await;
    match std::env::var("BOOKWORM_TEST_POSTGRES") {
        Ok(url) => {
            let prefix = format!("test_{}_", Uuid::now_v7().simple());
            let databases = Databases::Postgres { url, max_connections: 8, prefix: prefix.clone() };
            let mut shop = test(Shop::open(Some(databases.clone()), folder(), Model::default()).await).await;
            shop.end().await;
            for service in [CatalogService::NAME, "bus"] {
                let db = databases.open(service).await.unwrap();
                let drop = format!("DROP SCHEMA IF EXISTS \"{prefix}{service}\" CASCADE");
                let dropped =
                    db.transact::<_, DbError, _>(move |tx| Box::pin(async move { tx.exec(&drop, []).await })).await;
                dropped.unwrap();
                db.close().await;
            }
        }
        Err(_) => {
            eprintln!("SKIPPED on PostgreSQL: set BOOKWORM_TEST_POSTGRES to a postgres:// URL");
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "CI must run against PostgreSQL too");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_book_is_found_soon_after_it_was_written_and_gone_after_it_was_deleted() {
    on_each(|shop| async move {
        shop.fill().await;
        let book = shop.create(json!({"title": "Quartz Harvest", "authors": ["Ivo Tal"], "price": usd(500)})).await;
        eventually("found", async || shop.titles("q=quartz").await == ["Quartz Harvest"]).await;
        let path = format!("/books/{}", book["id"].as_str().unwrap());
        let edited = json!({"title": "Basalt Harvest", "authors": ["Ivo Tal"], "price": usd(500)});
        assert_eq!(shop.staff("PUT", &path, &[("if-match", "*")], edited).await.status, StatusCode::OK);
        eventually("found by its new title", async || shop.titles("q=basalt").await == ["Basalt Harvest"]).await;
        assert_eq!(
            shop.search("q=quartz").await["items"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|i| i["matched"]["text"] == true)
                .count(),
            0
        );
        // The name is in every book of the author.
        let author = shop.get("/authors?q=ursula").await.body["items"][0]["id"].as_str().unwrap().to_owned();
        let renamed = json!({"name": "Ursula Kroeber"});
        let answer = shop.staff("PUT", &format!("/authors/{author}"), &[("if-match", "*")], renamed).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        eventually("found by the new name", async || shop.search("q=author:kroeber").await["total"] == 3).await;
        // The last copy comes back.
        eventually("out of stock", async || shop.search("q=darkness&in_stock=true").await["total"] == 0).await;
        let dark = shop.search("q=darkness").await["items"][0]["book"]["id"].as_str().unwrap().to_owned();
        let more = json!({"delta": 1, "reason": "found one"});
        let key = [("idempotency-key", "one-more-copy-of-it")];
        let answer = shop.staff("POST", &format!("/books/{dark}/stock/adjustments"), &key, more).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        eventually("in stock", async || shop.search("q=darkness&in_stock=true").await["total"] == 1).await;
        assert_eq!(shop.staff("DELETE", &path, &[], Value::Null).await.status, StatusCode::NO_CONTENT);
        eventually("gone", async || !shop.titles("q=basalt").await.contains(&"Basalt Harvest".to_owned())).await;
        // Whoever keeps answers was told.
        let told: Option<i64> = shop
            .catalog
            .db()
            .read()
            .scalar("SELECT COUNT(*) FROM outbox WHERE envelope LIKE $1", values!["%SearchIndexUpdated%"])
            .await
            .unwrap();
        assert!(told.unwrap() > 0);
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn words_names_and_numbers_find_their_book() {
    on_each(|shop| async move {
        shop.fill().await;
        for (query, first) in [
            ("the%20dispossessed", "The Dispossessed"),
            ("dispossessed%20guin", "The Dispossessed"),
            ("the%20dispossessed%20by%20ursula%20le%20guin", "The Dispossessed"),
            ("garcia%20marquez", "Cien años de soledad"),
            ("CIEN%20ANOS", "Cien años de soledad"),
            ("dispossesed", "The Dispossessed"),
            ("the%20dispozessed", "The Dispossessed"),
            ("asimof", "I, Robot"),
            ("978-0-441-47812-5", "The Left Hand of Darkness"),
            ("0441478123", "The Left Hand of Darkness"),
            ("isbn%209780441478125", "The Left Hand of Darkness"),
            ("something%200-441-47812-3%20else", "The Left Hand of Darkness"),
            ("%22left%20hand%22", "The Left Hand of Darkness"),
            ("author:asimov", "I, Robot"),
            ("author:%22le%20guin%22%20wizard", "A Wizard of Earthsea"),
            ("language:french", "Salt and Fire"),
            ("year:1969", "The Left Hand of Darkness"),
            // By meaning alone.
            ("beacon%20and%20mourning%20on%20a%20shore", "The Stone Keeper"),
        ] {
            let body = shop.search(&format!("q={query}")).await;
            assert_eq!(titles(&body).first().map(String::as_str), Some(first), "{query}: {body}");
            assert_eq!(body["degraded"], false, "{query}");
        }
        let exact = shop.search("q=978-0-441-47812-5").await;
        assert_eq!((exact["total"].as_i64(), exact["nearest"].as_bool()), (Some(1), Some(false)));
        assert_eq!(shop.search("q=9780306406157").await["total"], 0);
        let body = shop.search("q=author:guin").await;
        assert_eq!(body["total"], 3, "{body}");
        assert_eq!(shop.search("q=subject:utopias").await["total"], 1);
        assert_eq!(shop.search("q=").await["total"], 7);
        assert_eq!(shop.search("q=!!!").await["total"], 0);
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_a_character_finds_the_whole_series() {
    on_each(|shop| async move {
        let volume = |title: &str, author: &str, isbn: Value, description: &str| {
            json!({
                "title": title, "authors": [author], "series": "The Harbour Files", "isbn13": isbn, "language": "en",
                "price": usd(900), "stock": 1, "description": description,
            })
        };
        shop.create(volume("Low Water", "Ann Ode", json!("9780306406157"), "Inspector Ilse Marrow finds a boat."))
            .await;
        shop.create(volume("The Second Tide", "Bo Vind", Value::Null, "A letter comes a year too late.")).await;
        shop.fill().await;
        assert_eq!(shop.titles("q=ilse%20marrow").await, ["Low Water", "The Second Tide"]);
        for to_the_letter in
            ["q=%22ilse%20marrow%22", "q=author:ode", "q=title:low", "q=9780306406157", "q=ilse%20marrow&sort=title"]
        {
            assert_eq!(shop.titles(to_the_letter).await[..1], ["Low Water"], "{to_the_letter}");
            assert_eq!(shop.search(to_the_letter).await["total"], 1, "{to_the_letter}");
        }
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_found_by_words_is_answered_by_meaning_and_better_spelling() {
    on_each(|shop| async move {
        shop.fill().await;
        let body = shop.search("q=gastronomy").await;
        assert_eq!(
            (titles(&body).first().map(String::as_str), &body["nearest"]),
            (Some("Salt and Fire"), &json!(true))
        );
        assert_eq!(body["items"][0]["matched"], json!({"text": false, "meaning": true}));
        // Far from everything: rather nothing.
        let body = shop.search("q=xylophone").await;
        assert_eq!((body["total"].as_i64(), &body["nearest"]), (Some(0), &json!(false)));
        let body = shop.search("q=dispossesed").await;
        assert_eq!((&body["did_you_mean"], &body["corrected_to"]), (&json!("dispossessed"), &json!("dispossessed")));
        assert_eq!((titles(&body)[0].as_str(), &body["total"]), ("The Dispossessed", &json!(1)));
        assert_eq!(shop.search("q=dispossessed").await.get("did_you_mean"), None);
        // As typed, on request: what it may have been is said all the same.
        let body = shop.search("q=dispossesed&exact=true").await;
        assert_eq!((&body["did_you_mean"], body.get("corrected_to")), (&json!("dispossessed"), None));
        assert_eq!(body["total"], 0, "{body}");
        let only = shop.search("q=left%20hnad%20of%20darknes").await;
        assert_eq!(only["corrected_to"], "left hand of darkness", "{only}");
        // Words of the language are spelt right, whether a book has them or not.
        for right in ["q=potatoes", "q=a%20book%20about%20a%20beacon", "q=stranded%20robots", "q=keepers%20mourn"] {
            let body = shop.search(right).await;
            assert_eq!((body.get("did_you_mean"), body.get("corrected_to")), (None, None), "{right}: {body}");
        }
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_the_shop_does_not_have_is_said_so() {
    on_each(|shop| async move {
        shop.fill().await;
        for query in ["q=left%20wizard", "q=darkness%20asimov", "q=asimov%20xylophones"] {
            let body = shop.search(query).await;
            assert_eq!((&body["missing"], &body["total"]), (&json!(true), &json!(0)), "{query}: {body}");
            assert_eq!(body["facets"], json!({"subject": [], "language": [], "author": [], "price": []}), "{query}");
            assert!(body["items"].as_array().unwrap().iter().all(|item| item["related"] == true), "{query}: {body}");
        }
        for query in ["q=left%20hand", "q=asimov%20robot", "q=ursula%20wizard", "q=novels%20in%20french"] {
            let body = shop.search(query).await;
            assert_eq!(body["missing"], false, "{query}: {body}");
            assert!(body["total"].as_i64() > Some(0), "{query}: {body}");
        }
        // What shares only a first name or a word of the title with it is not like it.
        for query in ["q=isaac%20poter", "q=nadia%20kowalski", "q=robot%20farm", "q=mara%20smyth"] {
            let body = shop.search(query).await;
            assert_eq!((&body["missing"], &body["items"]), (&json!(true), &json!([])), "{query}: {body}");
        }
        // The same author's books are.
        let titles = shop.titles("q=asimov%20xylophones").await;
        assert_eq!(titles, ["I, Robot"]);
        // A title that begins like a question is one.
        shop.create(json!({"title": "Looking for Quartz", "authors": [], "price": usd(100)})).await;
        eventually("found", async || !shop.titles("q=looking%20for%20quartz").await.is_empty()).await;
        assert_eq!(shop.titles("q=looking%20for%20quartz").await[0], "Looking for Quartz");
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_sounds_like_one_of_the_shop_is_that_one() {
    on_each(|shop| async move {
        shop.fill().await;
        for (title, author) in [
            ("Mrs Dalloway", "Virginia Woolf"),
            ("Wolf Hall", "Hilary Mantel"),
            ("Lewis and Clark", "A. Guide"),
            ("A Christmas Carol", "Charles Dickens"),
            ("Alice in Wonderland", "Lewis Carroll"),
            ("Steven and Co", "Jon Smith"),
            ("Travels with Charley", "John Steinbeck"),
            ("Harry Potter and the Goblet of Fire", "J. K. Rowling"),
            ("The Da Vinci Code", "Dan Brown"),
        ] {
            shop.create(json!({"title": title, "authors": [author], "language": "en", "price": usd(100)})).await;
        }
        shop.ready().await;
        // Misspelt words, right words that are another name, both, and a word written together.
        for (query, meant, title) in [
            ("harry poter", "harry potter", "Harry Potter and the Goblet of Fire"),
            ("hary poter", "harry potter", "Harry Potter and the Goblet of Fire"),
            ("virginia wolf", "virginia woolf", "Mrs Dalloway"),
            ("lewis carol", "lewis carroll", "Alice in Wonderland"),
            ("jon steinbek", "john steinbeck", "Travels with Charley"),
            ("the davinchi code", "the da vinci code", "The Da Vinci Code"),
        ] {
            let body = shop.search(&format!("q={}", query.replace(' ', "%20"))).await;
            assert_eq!(body["corrected_to"], meant, "{query}: {body}");
            assert_eq!(body["items"][0]["book"]["title"], title, "{query}: {body}");
            // And there is a way back.
            let body = shop.search(&format!("q={}&exact=true", query.replace(' ', "%20"))).await;
            assert_eq!((&body["corrected_to"], &body["total"]), (&Value::Null, &json!(0)), "{query}: {body}");
        }
        // What is there as it is typed is not taken for anything else.
        for query in ["wolf%20hall", "christmas%20carol", "jon%20smith", "steven"] {
            let body = shop.search(&format!("q={query}")).await;
            assert_eq!((body["corrected_to"].as_str(), body["did_you_mean"].as_str()), (None, None), "{query}: {body}");
            assert_eq!(body["total"], 1, "{query}: {body}");
        }
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn titles_of_an_older_shop_are_put_in_order_once() {
    on_each(|shop| async move {
        shop.fill().await;
        let old = shop.catalog.db().transact::<_, DbError, _>(|tx| {
            Box::pin(async move {
                let sql = "UPDATE books SET title_key = $1 WHERE title = $2";
                tx.exec(sql, values![b"the dispossessed".to_vec(), "The Dispossessed"]).await?;
                tx.exec("DELETE FROM title_order", []).await?;
                Ok(())
            })
        });
        old.await.unwrap();
        let shop = shop.restart().await;
        let mut walked = Vec::new();
        let mut path = "/books?sort=title&limit=2".to_owned();
        loop {
            let body = shop.get(&path).await.body;
            walked.extend(
                body["items"].as_array().unwrap().iter().map(|book| book["title"].as_str().unwrap().to_owned()),
            );
            let Some(next) = body["next"].as_str() else { break };
            assert!(walked.len() < 10, "{walked:?}");
            path = format!("/books?sort=title&limit=2&cursor={next}");
        }
        let sorted = [
            "Cien años de soledad",
            "The Dispossessed",
            "I, Robot",
            "The Left Hand of Darkness",
            "Salt and Fire",
            "The Stone Keeper",
            "A Wizard of Earthsea",
        ];
        assert_eq!(walked, sorted);
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_isbn_with_a_wrong_digit_is_explained() {
    on_each(|shop| async move {
        shop.fill().await;
        // One digit wrong, two the wrong way round, the last one wrong: the book is found.
        for typed in ["9780441478135", "9780414478125", "978-0-441-47812-6", "0441478124"] {
            let body = shop.search(&format!("q={typed}")).await;
            assert_eq!(titles(&body), ["The Left Hand of Darkness"], "{typed}: {body}");
            assert_eq!(body["wrong_isbn"]["meant"], "9780441478125", "{typed}");
            assert_eq!(body["wrong_isbn"]["typed"], typed.replace('-', ""), "{typed}");
        }
        let body = shop.search("q=9780804429574").await;
        let wrong = json!({"typed": "9780804429574", "expected": "3", "meant": "9780804429573"});
        assert_eq!((&body["wrong_isbn"], &body["total"]), (&wrong, &json!(0)), "{body}");
        assert_eq!(shop.search("q=9780441478125").await.get("wrong_isbn"), None);
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_combine_and_facets_count_the_whole_result() {
    on_each(|shop| async move {
        shop.fill().await;
        let body = shop.search("q=ursula&limit=1").await;
        assert_eq!(body["items"].as_array().unwrap().len(), 1);
        let values = |facet: &str| -> Vec<(String, i64)> {
            let values = body["facets"][facet].as_array().unwrap();
            values.iter().map(|v| (v["value"].as_str().unwrap().to_owned(), v["count"].as_i64().unwrap())).collect()
        };
        assert_eq!(values("author")[0], ("Ursula K. Le Guin".to_owned(), 3));
        assert!(values("subject").contains(&("Science Fiction".to_owned(), 2)), "{body}");
        assert!(values("price").contains(&("1000-1999".to_owned(), 2)), "{body}");
        for (filters, total) in [
            ("subject=science%20fiction", 2),
            ("subject=science%20fiction&in_stock=true", 1),
            ("subject=science%20fiction&max_price=1200", 1),
            ("author=ISAAC%20asimov", 0),
            ("language=en", 3),
            ("language=fr", 0),
            ("subject=no%20such", 0),
            ("publisher=01981d5c-0000-7000-8000-000000000000", 0),
        ] {
            let body = shop.search(&format!("q=author:ursula&{filters}")).await;
            assert_eq!(body["total"], total, "{filters}: {body}");
        }
        let utopias = shop.get("/subjects?q=utopias").await.body["items"][0]["id"].as_str().unwrap().to_owned();
        assert_eq!(shop.titles(&format!("q=&subject={utopias}")).await, ["The Dispossessed"]);
        assert_eq!(
            shop.titles("q=author:ursula&sort=price").await,
            ["A Wizard of Earthsea", "The Left Hand of Darkness", "The Dispossessed"]
        );
        assert_eq!(
            shop.titles("q=author:ursula&sort=title").await,
            ["The Dispossessed", "The Left Hand of Darkness", "A Wizard of Earthsea"]
        );
        let marked = shop.search("q=wizard").await;
        let highlight = &marked["items"][0]["highlights"][0];
        assert_eq!(highlight["field"], "title", "{marked}");
        let pieces = highlight["pieces"].as_array().unwrap();
        assert!(pieces.iter().any(|piece| piece["text"] == "Wizard" && piece["hit"] == true), "{marked}");
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_are_reached_by_cursor_and_by_number() {
    on_each(|shop| async move {
        shop.fill().await;
        let all = shop.titles("q=&sort=title").await;
        let (mut walked, mut path) = (Vec::new(), "q=&sort=title&limit=3".to_owned());
        loop {
            let body = shop.search(&path).await;
            walked.extend(titles(&body));
            let Some(next) = body["next"].as_str() else { break };
            path = format!("q=&sort=title&limit=3&cursor={next}");
        }
        assert_eq!(walked, all);
        assert_eq!(shop.titles("q=&sort=title&limit=3&page=2").await, all[3..6]);
        assert_eq!(shop.titles("q=&sort=title&limit=3&page=9").await, Vec::<String>::new());
        let cursor = shop.search("q=&sort=title&limit=3").await["next"].as_str().unwrap().to_owned();
        for (query, code, field) in [
            (format!("q=&limit=3&page=2&cursor={cursor}"), "validation_failed", Some("/page")),
            ("q=&limit=100&page=11".to_owned(), "validation_failed", Some("/page")),
            ("q=&page=0".to_owned(), "validation_failed", Some("/page")),
            ("q=&page=x".to_owned(), "validation_failed", Some("/page")),
            (format!("q=&sort=price&cursor={cursor}"), "invalid_cursor", None),
            ("q=&cursor=broken".to_owned(), "invalid_cursor", None),
        ] {
            let answer = shop.get(&format!("/search?{query}")).await;
            assert_eq!((answer.status, answer.body["code"].as_str()), (StatusCode::BAD_REQUEST, Some(code)), "{query}");
            assert_eq!(answer.body["errors"][0]["field"].as_str(), field, "{query}");
        }
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_that_is_slow_or_down_costs_meaning_and_nothing_else() {
    on_each(|shop| async move {
        shop.fill().await;
        // Slow: words answer within the time that is allowed, and say so.
        shop.model.slow(30_000);
        let started = std::time::Instant::now();
        let body = shop.search("q=robot").await;
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        assert_eq!((titles(&body)[0].as_str(), &body["degraded"]), ("I, Robot", &json!(true)));
        // Down: after a few failures nobody asks any more.
        shop.model.slow(0);
        shop.model.fail(true);
        for n in 0..8 {
            assert_eq!(shop.search(&format!("q=robot%20{n}")).await["degraded"], true);
        }
        let asked = shop.model.0.queries.load(Ordering::SeqCst);
        for n in 0..8 {
            assert_eq!(shop.search(&format!("q=robots%20{n}")).await["degraded"], true);
        }
        assert!(shop.model.0.queries.load(Ordering::SeqCst) - asked < 8, "the breaker is open");
        assert_eq!(shop.status().await["meaning"], "failing");
        // Names are still found at once, and a book that comes now waits for its vector.
        shop.create(json!({"title": "The Automaton", "price": usd(700), "description": "An android wakes."})).await;
        eventually("found by words", async || shop.titles("q=automaton").await.contains(&"The Automaton".to_owned()))
            .await;
        // It recovers by itself.
        shop.model.fail(false);
        eventually("whole again", async || shop.search("q=robot").await["degraded"] == false).await;
        shop.ready().await;
        // No model at all: nothing is missing that was promised.
        shop.model.0.absent.store(true, Ordering::SeqCst);
        eventually("off", async || shop.status().await["meaning"] == "off").await;
        let body = shop.search("q=wizard").await;
        assert_eq!((titles(&body)[0].as_str(), &body["degraded"]), ("A Wizard of Earthsea", &json!(false)));
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_embeds_nothing_twice_and_a_lost_index_is_made_again() {
    on_each(|shop| async move {
        shop.fill().await;
        let embedded = shop.model.0.books.load(Ordering::SeqCst);
        assert!(embedded >= 7);
        let shop = shop.restart().await;
        shop.ready().await;
        assert_eq!(shop.model.0.books.load(Ordering::SeqCst), embedded);
        // Its files are overwritten while nobody looks.
        let folder = shop.folder.path().join("search");
        let mut shop = shop;
        let (databases, data, model) = (shop.databases.clone(), shop.folder.clone(), shop.model.clone());
        shop.end().await;
        let mut spoilt = 0;
        spoil(&folder, &mut spoilt);
        assert!(spoilt > 0);
        let shop = Shop::open(Some(databases), data, model).await;
        shop.ready().await;
        assert_eq!(shop.titles("q=dispossessed").await[0], "The Dispossessed");
        // It is gone.
        let mut shop = shop;
        let (databases, data, model) = (shop.databases.clone(), shop.folder.clone(), shop.model.clone());
        shop.end().await;
        std::fs::remove_dir_all(&folder).unwrap();
        let shop = Shop::open(Some(databases), data, model).await;
        // Meanwhile the database answers.
        let body = shop.search("q=dispossessed").await;
        assert_eq!(titles(&body)[0], "The Dispossessed");
        shop.ready().await;
        assert_eq!(shop.search("q=dispossessed").await["degraded"], false);
        shop
    })
    .await;
}

/// Overwrites the middle of every file, in its place: a thread of the shop that ended may still have it mapped, and must
/// not find it shorter.
fn spoil(folder: &Path, spoilt: &mut usize) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            spoil(&path, spoilt);
        } else {
            let mut bytes = std::fs::read(&path).unwrap();
            let length = bytes.len();
            bytes.iter_mut().skip(length / 3).take(length / 3 + 1).for_each(|byte| *byte = !*byte);
            let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            std::io::Write::write_all(&mut file, &bytes).unwrap();
            *spoilt += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reasons_modes_and_synonyms_are_for_staff() {
    on_each(|shop| async move {
        shop.fill().await;
        for path in ["/search?q=robot&explain=true", "/search?q=robot&mode=text"] {
            assert_eq!(shop.get(path).await.status, StatusCode::FORBIDDEN, "{path}");
            let customer = Some((CustomerId::new(), Role::Customer));
            let answer = shop.call(customer, Request::get(path).body(Body::empty()).unwrap()).await;
            assert_eq!(answer.body["code"], "forbidden", "{path}");
        }
        let answer = shop.staff("GET", "/search?q=robot%20machine&explain=true", &[], Value::Null).await;
        let why = &answer.body["items"][0]["explanation"];
        assert_eq!((&why["text_rank"], &why["meaning_rank"]), (&json!(1), &json!(1)), "{}", answer.body);
        assert!(!why["reasons"].as_array().unwrap().is_empty(), "{why}");
        for (mode, matched) in
            [("text", json!({"text": true, "meaning": false})), ("meaning", json!({"text": false, "meaning": true}))]
        {
            let answer = shop.staff("GET", &format!("/search?q=robot&mode={mode}"), &[], Value::Null).await;
            assert_eq!(titles(&answer.body)[0], "I, Robot");
            assert_eq!(answer.body["items"][0]["matched"], matched);
        }
        assert_eq!(shop.get("/search/synonyms").await.status, StatusCode::UNAUTHORIZED);
        let answer = shop.staff("GET", "/search/synonyms", &[], Value::Null).await;
        assert_eq!(
            (&answer.headers[header::ETAG], answer.body),
            (&http::HeaderValue::from_static("\"0\""), json!({"groups": []}))
        );
        assert_eq!(shop.staff("GET", "/search?q=bot%20tales&mode=text", &[], Value::Null).await.body["total"], 0);
        let groups = json!({"groups": [["bot tales", "I, Robot"], ["sf", "science fiction"]]});
        let old = [("if-match", "\"7\"")];
        assert_eq!(shop.staff("PUT", "/search/synonyms", &old, groups.clone()).await.body["code"], "edit_conflict");
        let answer = shop.staff("PUT", "/search/synonyms", &[("if-match", "\"0\"")], groups.clone()).await;
        assert_eq!((answer.status, &answer.body), (StatusCode::OK, &groups));
        let answer = shop.staff("GET", "/search?q=bot%20tales&mode=text", &[], Value::Null).await;
        assert_eq!(titles(&answer.body).first().map(String::as_str), Some("I, Robot"), "{}", answer.body);
        for (groups, field) in [
            (json!([["alone"]]), "/groups/0"),
            (json!([["same", "Same"]]), "/groups/0"),
            (json!([["a", ""]]), "/groups/0/1"),
            (json!([["a", "!!"]]), "/groups/0/1"),
            (json!([["a", "x".repeat(61)]]), "/groups/0/1"),
            (json!([(0..21).map(|n| n.to_string()).collect::<Vec<_>>()]), "/groups/0"),
            (json!(vec![["a", "b"]; 1001]), "/groups"),
        ] {
            let answer = shop.staff("PUT", "/search/synonyms", &[("if-match", "*")], json!({"groups": groups})).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST);
            let fields = answer.body["errors"].as_array().unwrap();
            assert!(fields.iter().any(|error| error["field"] == field), "{field}: {}", answer.body);
        }
        // They are there after a restart.
        let shop = shop.restart().await;
        shop.ready().await;
        let answer = shop.staff("GET", "/search?q=bot%20tales&mode=text", &[], Value::Null).await;
        assert_eq!(titles(&answer.body).first().map(String::as_str), Some("I, Robot"));
        shop
    })
    .await;
}

fn confirmed(customer_id: Option<CustomerId>, book: BookId, copies: i64) -> OrderConfirmed {
    let price = Money::new(1000, Currency::USD);
    OrderConfirmed {
        order: OrderSummary {
            order_id: OrderId::new(),
            number: "BW-1".to_owned(),
            customer_id,
            email: Email::parse("reader@example.com").unwrap(),
            name: "A Reader".to_owned(),
            basket_id: Uuid::now_v7(),
            lines: vec![OrderedLine {
                book_id: book,
                title: "A book".to_owned(),
                language: None,
                quantity: Quantity::new(copies).unwrap(),
                unit_price: price,
                line_total: price,
            }],
            subtotal: price,
            shipping: price,
            tax: price,
            tax_included: false,
            shipping_address: None,
            total: price,
            link: "/orders/1".to_owned(),
            placed_at: Timestamp::default(),
            placed_from: None,
        },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recommendations_follow_what_a_customer_bought_and_looked_at() {
    on_each(|shop| async move {
        shop.fill().await;
        for (title, text) in
            [("Steel Hearts", "A robot dreams."), ("The Tin Choir", "An android sings; a machine listens.")]
        {
            shop.create(json!({"title": title, "price": usd(900), "description": text})).await;
        }
        shop.ready().await;
        let id = async |title: &str| -> BookId {
            let body = shop.search(&format!("q={title}")).await;
            body["items"][0]["book"]["id"].as_str().unwrap().parse().unwrap()
        };
        let (robot, wizard, salt) = (id("asimov").await, id("earthsea").await, id("salt").await);
        let bus: SharedBus = Arc::new(
            DbBus::open(shop.databases.open("bus").await.unwrap(), shop.clock.clone(), Duration::from_secs(30))
                .await
                .unwrap(),
        );
        for consumer in shop.catalog.consumers() {
            tokio::spawn(consumer.run(bus.clone(), shop.clock.clone(), Policy::default(), shop.stop.clone()));
        }
        let recommended = async |caller: Option<CustomerId>| {
            let request = Request::get("/recommendations?limit=3").body(Body::empty()).unwrap();
            shop.call(caller.map(|id| (id, Role::Customer)), request).await
        };
        // Before the first sale nothing is said to sell.
        let answer = recommended(None).await;
        assert_eq!((&answer.body["basis"], titles(&answer.body).len()), (&json!("shelf"), 3));
        let reader = CustomerId::new();
        let orders = [confirmed(Some(reader), robot, 1), confirmed(None, salt, 5), confirmed(None, BookId::new(), 1)];
        let messages: Vec<_> =
            orders.iter().map(|order| Envelope::new(order, &Cause::start(), shop.clock.now()).unwrap()).collect();
        bus.publish(&messages).await.unwrap();
        // A stranger sees what sells, and nothing else beside it.
        eventually("sold", async || titles(&recommended(None).await.body) == ["Salt and Fire", "I, Robot"]).await;
        let answer = recommended(None).await;
        assert_eq!(answer.body["basis"], "popular");
        assert_eq!(answer.headers["surrogate-key"].to_str().unwrap().split(' ').count(), 2);
        // A customer sees what is near to theirs, and nothing that they own.
        eventually("theirs", async || recommended(Some(reader)).await.body["basis"] == "yours").await;
        let theirs = titles(&recommended(Some(reader)).await.body);
        assert!(
            theirs[..2].contains(&"Steel Hearts".to_owned()) && theirs[..2].contains(&"The Tin Choir".to_owned()),
            "{theirs:?}"
        );
        assert!(!theirs.contains(&"I, Robot".to_owned()));
        // Somebody who only looked.
        let (looker, path) = (CustomerId::new(), format!("/books/{wizard}/views"));
        let look = |caller: Option<(CustomerId, Role)>, path: String| {
            let request = Request::post(path).body(Body::empty()).unwrap();
            let shop = &shop;
            async move { shop.call(caller, request).await.status }
        };
        assert_eq!(look(None, path.clone()).await, StatusCode::UNAUTHORIZED);
        let customer = Some((looker, Role::Customer));
        assert_eq!(recommended(Some(looker)).await.body["basis"], "popular");
        assert_eq!(look(customer, path.clone()).await, StatusCode::NO_CONTENT);
        assert_eq!(look(customer, path).await, StatusCode::NO_CONTENT);
        assert_eq!(look(customer, format!("/books/{}/views", BookId::new())).await, StatusCode::NOT_FOUND);
        assert_eq!(recommended(Some(looker)).await.body["basis"], "yours");
        let bad = shop.get("/recommendations?limit=0").await;
        assert_eq!(bad.body["errors"][0]["field"], "/limit");
        // Books like one: by meaning.
        let like = shop.get(&format!("/books/{robot}/similar?limit=2")).await;
        assert!(titles(&like.body).contains(&"The Tin Choir".to_owned()), "{}", like.body);
        assert!(like.headers["surrogate-key"].to_str().unwrap().contains(&robot.to_string()));
        // Completions.
        let typed = shop.get("/search/suggest?q=ursu").await.body;
        let items = typed["items"].as_array().unwrap();
        let of = |kind: &str| items.iter().filter(|item| item["kind"] == kind).collect::<Vec<_>>();
        assert_eq!(of("author")[0]["text"], "Ursula K. Le Guin", "{typed}");
        assert_eq!(of("title").len(), 3, "the author's titles as well: {typed}");
        assert_eq!(of("title")[0]["authors"], json!(["Ursula K. Le Guin"]));
        assert_eq!(of("title")[0]["price"]["currency"], "USD");
        assert!(of("title")[0]["cover_url"].as_str().unwrap().contains("cover"), "{typed}");
        assert_eq!((of("author")[0].get("price"), of("author")[0].get("lang")), (None, None));
        assert_eq!(of("title")[0]["lang"], "en");
        for (title, lang) in [("cien", "es"), ("salt", "fr")] {
            let typed = shop.get(&format!("/search/suggest?q={title}")).await.body;
            assert_eq!(typed["items"][0]["lang"], lang, "{typed}");
            assert_eq!(shop.search(&format!("q={title}")).await["items"][0]["lang"], lang, "{title}");
        }
        // In any order, unfinished and misspelt.
        for tolerant in ["darkness%20left", "guin%20disposs", "ursla%20guin", "wizzard%20earth"] {
            let typed = shop.get(&format!("/search/suggest?q={tolerant}")).await.body;
            assert_eq!(typed["items"][0]["kind"], "title", "{tolerant}: {typed}");
        }
        let typed = shop.get("/search/suggest?q=%C3%A9earthsea").await;
        assert_eq!(typed.status, StatusCode::OK);
        let typed = shop.get("/search/suggest?q=dispo").await;
        assert_eq!(typed.body["items"][0]["text"], "The Dispossessed", "{}", typed.body);
        assert!(typed.headers.contains_key("surrogate-key"));
        shop
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_is_never_a_fault_of_ours() {
    on_each(|shop| async move {
        shop.fill().await;
        let long = "a".repeat(10_000);
        let letters = "lighthouse%20".repeat(300);
        for (query, status) in [
            ("", 200),
            ("q=", 200),
            ("q=%20%20", 200),
            ("q=%00%01%1f%7f", 200),
            ("q=dune%00", 200),
            ("q=%22unbalanced", 200),
            ("q=%22%22%22", 200),
            ("q=title:%22unbalanced", 200),
            ("q=author:", 200),
            ("q=AND%20OR%20NOT", 200),
            ("q=%2B-%26%26%7C%7C!()%7B%7D%5B%5D%5E~*%3F%3A%5C%2F", 200),
            ("q=*:*", 200),
            ("q=title:*%20TO%20z]", 200),
            ("q=';DROP%20TABLE%20books;--", 200),
            ("q=%F0%9F%93%9A%20%E4%B8%89%E4%BD%93", 200),
            ("q=%ff%fe", 200),
            ("q=a&limit=101", 400),
            ("q=a&limit=x", 400),
            ("q=a&cursor=broken", 400),
            ("q=a&cursor=e30", 400),
            ("q=a&sort=sideways", 400),
            ("q=a&mode=sideways", 400),
            ("q=a&explain=maybe", 400),
            ("q=a&in_stock=perhaps", 400),
            ("q=a&min_price=-1", 400),
            ("q=a&min_price=9223372036854775808", 400),
            ("q=a&language=notalanguage", 400),
            ("q=a&facet=nonsense", 200),
            ("q=year:99999999999999999999", 200),
            ("q=year:1-0", 200),
        ] {
            let answer = shop.get(&format!("/search?{query}")).await;
            let seen = answer.status.as_u16();
            assert!(seen == status, "{query}: {seen} {}", answer.body);
        }
        let answer = shop.get(&format!("/search?q={long}")).await;
        assert_eq!((answer.status, &answer.body["errors"][0]["field"]), (StatusCode::BAD_REQUEST, &json!("/q")));
        let body = shop.search(&format!("q={letters}")).await;
        assert_eq!(titles(&body).first().map(String::as_str), Some("The Stone Keeper"), "{body}");
        for query in ["%00", "%22", "*", "a%20(", "%F0%9F%93%9A"] {
            assert_eq!(shop.get(&format!("/search/suggest?q={query}")).await.status, StatusCode::OK, "{query}");
        }
        assert_eq!(shop.get(&format!("/search/suggest?q={long}")).await.status, StatusCode::BAD_REQUEST);
        shop
    })
    .await;
}
