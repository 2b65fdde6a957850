//! Searching from the outside, with a model that a test can slow down and break, on each database.
#![expect(clippy::unwrap_used, reason = "a test may")]
mod finding;
mod meant;
mod model;
mod readings;
mod recommendations;
mod replicas;
mod staff;

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
use bookworm_catalog::{CatalogService, Dependencies, Models, SearchOptions};
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
use bookworm_loops::{Gone, Supervisor};
use bookworm_messaging::{DbBus, Envelope, Policy, SharedBus};
use bookworm_registry::MemoryLeases;
use bookworm_testing::{eventually, on_every_database};
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
    /// Counts its releases.
    release: AtomicU64,
}

impl Model {
    fn ways(&self) -> Models {
        let way = |name| Edge::local(name, AiServer::new(self.clone()), methods::AI);
        Models { queries: way("test.queries"), books: way("test.books") }
    }

    fn slow(&self, milliseconds: u64) {
        self.0.delay_ms.store(milliseconds, Ordering::SeqCst);
    }

    fn name(&self) -> String {
        format!("concepts {}", self.0.release.load(Ordering::SeqCst))
    }

    fn embedded(&self) -> usize {
        self.0.books.load(Ordering::SeqCst)
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
        Ok(tonic::Response::new(EmbedResponse { vectors, model: self.name() }))
    }

    async fn status(&self, _: tonic::Request<StatusRequest>) -> Result<tonic::Response<StatusResponse>, tonic::Status> {
        let absent = self.0.absent.load(Ordering::SeqCst);
        let fails = self.0.fails.load(Ordering::SeqCst);
        Ok(tonic::Response::new(StatusResponse {
            model: if absent { String::new() } else { self.name() },
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
    working: Supervisor,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Shop {
    async fn open(databases: Option<Databases>, folder: Arc<tempfile::TempDir>, model: Model) -> Self {
        Self::open_under(databases, folder, model, MemoryLeases::new()).await
    }

    /// The same, as one instance of those that share these leases.
    async fn open_under(
        databases: Option<Databases>,
        folder: Arc<tempfile::TempDir>,
        model: Model,
        leases: MemoryLeases,
    ) -> Self {
        let databases = databases.unwrap_or_else(|| Databases::Sqlite(folder.path().to_owned()));
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp::parse("2026-03-01T12:00:00Z").unwrap()));
        let db = databases.open(CatalogService::NAME).await.unwrap();
        let search = SearchOptions {
            folder: folder.path().join("search"),
            ai: Some(model.ways()),
            settings: Search { meaning_timeout_ms: 400, ..Search::default() },
        };
        let catalog = CatalogService::open(Dependencies {
            db,
            clock: clock.clone(),
            currency: Currency::USD,
            search: Some(search),
        })
        .await
        .unwrap();
        let (router, _) = catalog.api().split_for_parts();
        let working = Supervisor::new(CancellationToken::new(), Gone::default());
        let mut working = working.leading(Arc::new(leases), "an instance");
        catalog.loops().into_iter().for_each(|work| working.start(work));
        Self { catalog, router, databases, clock, folder, model, working }
    }

    /// Ends it as a process ends, and starts it again on the same data.
    async fn restart(self) -> Self {
        let (databases, folder, model) = (self.databases.clone(), self.folder.clone(), self.model.clone());
        self.end().await;
        Self::open(Some(databases), folder, model).await
    }

    async fn end(self) {
        assert_eq!(self.working.finish(Duration::from_secs(60)).await, 0, "its loops end");
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

/// Runs a test on SQLite, and on PostgreSQL when there is one.
async fn on_each<F: Future<Output = Shop>>(test: impl Fn(Shop) -> F) {
    on_every_database(async |home| {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let shop = test(Shop::open(Some(home.databases.clone()), folder, Model::default()).await).await;
        shop.end().await;
    })
    .await;
}
