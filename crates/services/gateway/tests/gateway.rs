//! The door's promises about kept answers, with the real bus behind it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Json, Router, body::Body, response::IntoResponse, routing::get};
use bookworm_config::Gateway;
use bookworm_contracts::events::catalog::{BookChanged, InventoryUpdated, SearchIndexUpdated};
use bookworm_db::Databases;
use bookworm_gateway::{Dependencies, GatewayService, Health};
use bookworm_http::auth::TokenVerifier;
use bookworm_kernel::{BookId, Cause, Clock, SystemClock};
use bookworm_messaging::{DbBus, Envelope, Message, Policy, SharedBus};
use http::{Request, StatusCode};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

struct Door {
    api: Router,
    bus: SharedBus,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

/// The book that every answer shows.
fn shown() -> BookId {
    BookId::from_uuid(Uuid::from_u128(7))
}

impl Door {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = Databases::Sqlite(folder.path().to_owned()).open("bus").await.unwrap();
        let bus = DbBus::open(db, Arc::new(SystemClock), Duration::from_secs(30)).await.unwrap();
        Self::on(Arc::new(bus), folder).await
    }

    /// A gateway on a bus that others use too.
    async fn on(bus: SharedBus, folder: tempfile::TempDir) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let verifier = Arc::new(TokenVerifier::new(None, "bookworm", clock.clone()));
        let gateway = GatewayService::new(Dependencies {
            settings: Gateway::default(),
            verifier,
            bus: bus.clone(),
            clock: clock.clone(),
            shared_cache: None,
        });
        let calls = Arc::new(AtomicUsize::new(0));
        let answer = move || {
            let call = calls.fetch_add(1, Ordering::SeqCst) + 1;
            let headers = [("surrogate-key", shown().to_string()), ("cache-status", "catalog; fwd=miss".to_owned())];
            async move { (headers, Json(call)).into_response() }
        };
        let services = ["/search", "/search/suggest", "/books/{id}/similar", "/recommendations", "/books"]
            .into_iter()
            .fold(OpenApiRouter::new(), |router, path| router.route(path, get(answer.clone())));
        let stop = CancellationToken::new();
        for consumer in gateway.consumers() {
            tokio::spawn(consumer.run(bus.clone(), clock.clone(), Policy::default(), stop.clone()));
        }
        let door = Self {
            api: gateway.api(services, &Health::new(Vec::new(), CancellationToken::new())),
            bus,
            clock,
            stop,
            _folder: folder,
        };
        door.listening().await;
        door
    }

    /// Waits until the consumer has subscribed: messages before that would not reach it at once.
    async fn listening(&self) {
        let begun = Instant::now();
        loop {
            let before = self.ask("/recommendations").await.1;
            self.tell(&SearchIndexUpdated { book_ids: vec![] }).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            if self.ask("/recommendations").await.1 != before {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "it does not listen");
        }
    }

    async fn tell<M: Message>(&self, message: &M) {
        let envelope = Envelope::new(message, &Cause::start(), self.clock.now()).unwrap();
        self.bus.publish(&[envelope]).await.unwrap();
    }

    /// Its part of `Cache-Status`, and which call of the service it was made by.
    async fn ask(&self, path: &str) -> (String, usize) {
        self.ask_with(path, &[]).await
    }

    async fn ask_with(&self, path: &str, headers: &[(&str, &str)]) -> (String, usize) {
        let request = Request::get(format!("/api/v1{path}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = self.api.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert!(!response.headers().contains_key("surrogate-key"));
        let status = response.headers()["cache-status"].to_str().unwrap();
        let ours = status.strip_prefix("catalog; fwd=miss").unwrap().trim_start_matches(", ");
        let ours = ours.split("; ttl=").next().unwrap().to_owned();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (ours, serde_json::from_slice(&body).unwrap())
    }

    /// Whether this path's answer goes within a second of the message.
    async fn goes<M: Message>(&self, path: &str, message: &M) -> bool {
        let (_, before) = self.ask(path).await;
        assert_eq!(self.ask(path).await, ("bookworm; hit".to_owned(), before), "{path} is kept");
        self.tell(message).await;
        let told = Instant::now();
        while told.elapsed() < Duration::from_secs(1) {
            if self.ask(path).await.1 != before {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        false
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test]
async fn what_the_catalogue_tells_is_seen_within_a_second() {
    let door = Door::open().await;
    let (book, other) = (shown(), BookId::from_uuid(Uuid::from_u128(8)));
    let similar = format!("/books/{other}/similar");
    let changed = |book_id| BookChanged { book_id, version: 2, deleted: false };
    let stock = |book_id| InventoryUpdated { book_id, on_hand: 1, reserved: 0, order_id: None };
    let indexed = |book_ids: &[BookId]| SearchIndexUpdated { book_ids: book_ids.to_vec() };
    for path in ["/search?q=sea", "/search/suggest?q=sea", &similar, "/recommendations"] {
        assert!(door.goes(path, &changed(book)).await, "{path}: a book that it shows");
        assert!(door.goes(path, &stock(book)).await, "{path}: its stock");
        assert!(door.goes(path, &indexed(&[book])).await, "{path}: indexed");
        assert!(door.goes(path, &indexed(&[])).await, "{path}: everything");
    }
    assert!(door.goes("/search?q=sea", &indexed(&[other])).await, "a new book may match anything");
    assert!(door.goes(&similar, &changed(other)).await, "the book that it is about");
    assert!(door.goes("/search?in_stock=true", &stock(other)).await, "it may be in stock again");
    assert!(!door.goes("/recommendations", &stock(other)).await, "no business of this answer");
}

#[tokio::test]
async fn every_gateway_hears_of_every_change() {
    let first = Door::open().await;
    let second = Door::on(first.bus.clone(), tempfile::tempdir().unwrap()).await;
    for round in 0..10 {
        let before = [first.ask("/search?q=sea").await.1, second.ask("/search?q=sea").await.1];
        assert_eq!(first.ask("/search?q=sea").await, ("bookworm; hit".to_owned(), before[0]));
        assert_eq!(second.ask("/search?q=sea").await, ("bookworm; hit".to_owned(), before[1]));
        first.tell(&BookChanged { book_id: shown(), version: round, deleted: false }).await;
        let told = Instant::now();
        while first.ask("/search?q=sea").await.1 == before[0] || second.ask("/search?q=sea").await.1 == before[1] {
            assert!(told.elapsed() < Duration::from_secs(20), "in round {round} one of two did not hear of it");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    assert_eq!(first.bus.backlog().await.unwrap(), 0, "nothing is kept for them");
}

#[tokio::test]
async fn a_token_that_proves_nothing_is_refused_before_the_cache_answers() {
    let door = Door::open().await;
    assert_eq!(door.ask("/search?q=sea").await.0, "bookworm; fwd=miss; stored");
    let request = Request::get("/api/v1/search?q=sea").header("authorization", "Bearer nonsense");
    let response = door.api.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(door.ask_with("/search?q=sea", &[("cache-control", "no-cache")]).await.0, "bookworm; hit");
    assert_eq!(door.ask("/books").await.0, "", "not kept here");
}
