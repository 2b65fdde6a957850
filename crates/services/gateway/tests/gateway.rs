//! What the gateway guarantees about cached answers, with the real bus behind it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Json, response::IntoResponse, routing::get};
use bookworm_config::Gateway;
use bookworm_contracts::{
    events::catalog::{BookChanged, InventoryUpdated, SearchIndexUpdated},
    rest::operations::FleetKind,
};
use bookworm_fleet::Peers;
use bookworm_gateway::{Dependencies, GatewayService, Health, KnownFleet, KnownTraces};
use bookworm_kernel::{BookId, SystemClock};
use bookworm_messaging::{Message, Policy, SharedBus};
use bookworm_registry::Directory;
use bookworm_testing::{Client, Running, TestDatabases, TokenMint, bus, eventually, publish};
use http::StatusCode;
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;
use uuid::Uuid;

/// A gateway before services that count their calls.
struct Door {
    api: Client,
    bus: SharedBus,
    _running: Running,
}

/// The book that every answer shows.
fn shown() -> BookId {
    BookId::from_uuid(Uuid::from_u128(7))
}

impl Door {
    async fn open(home: &TestDatabases) -> Self {
        Self::on(bus(home, Arc::new(SystemClock)).await).await
    }

    /// A gateway on a bus that others use too.
    async fn on(bus: SharedBus) -> Self {
        let clock = Arc::new(SystemClock);
        let gateway = GatewayService::new(Dependencies {
            settings: Gateway::default(),
            verifier: TokenMint::new(clock.clone()).verifier(),
            bus: bus.clone(),
            clock: clock.clone(),
            shared_cache: None,
            fleet: KnownFleet {
                directory: Directory::fixed([]),
                kind: FleetKind::OneProcess,
                process: "gateway".to_owned(),
            },
            traces: KnownTraces {
                peers: Peers::new(Directory::fixed([]), [], None, None),
                process: "gateway".to_owned(),
            },
            shared_limits: None,
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
        let mut running = Running::new();
        for consumer in gateway.consumers() {
            running.consumer(consumer, &bus, clock.clone(), Policy { workers: 1, ..Policy::default() });
        }
        let api = Client::new(gateway.api(services, &Health::new(Vec::new(), CancellationToken::new(), clock.clone())));
        let door = Self { api, bus, _running: running };
        door.subscribed().await;
        door
    }

    /// Waits until the consumer has subscribed: messages before that would not reach it. Several may be published
    /// before the first is seen, so it is a kind that invalidates no answer of the tests: those that come late do no harm.
    async fn subscribed(&self) {
        let path = "/search?q=subscribed&in_stock=true";
        let (_, before) = self.ask(path).await;
        eventually("the gateway subscribes", async || {
            let stock = InventoryUpdated { book_id: BookId::new(), on_hand: 1, reserved: 0, order_id: None };
            publish(&self.bus, &stock).await;
            self.ask(path).await.1 != before
        })
        .await;
    }

    /// Its member of `Cache-Status`, and the number of the call that made the answer.
    async fn ask(&self, path: &str) -> (String, usize) {
        self.ask_with(path, &[]).await
    }

    async fn ask_with(&self, path: &str, headers: &[(&str, &str)]) -> (String, usize) {
        let request = self.api.get(&format!("/api/v1{path}")).headers(headers.iter().copied());
        let response = request.send().await.expect(StatusCode::OK);
        assert!(!response.headers.contains_key("surrogate-key"));
        let status = response.headers["cache-status"].to_str().unwrap();
        let ours = status.strip_prefix("catalog; fwd=miss").unwrap().trim_start_matches(", ");
        let ours = ours.split("; ttl=").next().unwrap().to_owned();
        (ours, response.read())
    }

    /// The message invalidates this path's answer.
    async fn invalidates<M: Message>(&self, path: &str, message: &M) {
        let (_, before) = self.ask(path).await;
        assert_eq!(self.ask(path).await, ("bookworm; hit".to_owned(), before), "{path} is cached");
        publish(&self.bus, message).await;
        eventually(&format!("{} invalidates {path}", M::SUBJECT), async || self.ask(path).await.1 != before).await;
    }

    /// The message, once it is handled, has not invalidated this path's answer.
    async fn leaves<M: Message>(&self, path: &str, message: &M) {
        let (_, before) = self.ask(path).await;
        publish(&self.bus, message).await;
        // One worker handles messages in order, so this one shows that the other was handled.
        self.invalidates(
            "/search/suggest?q=marker",
            &BookChanged { book_id: BookId::new(), version: 1, deleted: false },
        )
        .await;
        assert_eq!(self.ask(path).await, ("bookworm; hit".to_owned(), before), "{path}");
    }
}

#[tokio::test]
async fn messages_of_the_catalogue_invalidate_what_they_change() {
    let home = TestDatabases::sqlite();
    let door = Door::open(&home).await;
    let (book, other) = (shown(), BookId::from_uuid(Uuid::from_u128(8)));
    let similar = format!("/books/{other}/similar");
    let changed = |book_id| BookChanged { book_id, version: 2, deleted: false };
    let stock = |book_id| InventoryUpdated { book_id, on_hand: 1, reserved: 0, order_id: None };
    let indexed = |book_ids: &[BookId]| SearchIndexUpdated { book_ids: book_ids.to_vec() };
    for path in ["/search?q=sea", "/search/suggest?q=sea", &similar, "/recommendations"] {
        door.invalidates(path, &changed(book)).await;
        door.invalidates(path, &stock(book)).await;
        door.invalidates(path, &indexed(&[book])).await;
        door.invalidates(path, &indexed(&[])).await;
    }
    // A new book may match anything, the book that it is about, one that may be in stock again.
    door.invalidates("/search?q=sea", &indexed(&[other])).await;
    door.invalidates(&similar, &changed(other)).await;
    door.invalidates("/search?in_stock=true", &stock(other)).await;
    door.leaves("/recommendations", &stock(other)).await;
}

#[tokio::test]
async fn every_gateway_handles_every_message() {
    let home = TestDatabases::sqlite();
    let first = Door::open(&home).await;
    let second = Door::on(first.bus.clone()).await;
    for round in 0..10 {
        let before = [first.ask("/search?q=sea").await.1, second.ask("/search?q=sea").await.1];
        assert_eq!(first.ask("/search?q=sea").await, ("bookworm; hit".to_owned(), before[0]));
        assert_eq!(second.ask("/search?q=sea").await, ("bookworm; hit".to_owned(), before[1]));
        publish(&first.bus, &BookChanged { book_id: shown(), version: round, deleted: false }).await;
        eventually(&format!("both handle the message of round {round}"), async || {
            first.ask("/search?q=sea").await.1 != before[0] && second.ask("/search?q=sea").await.1 != before[1]
        })
        .await;
    }
    assert_eq!(first.bus.backlog().await.unwrap(), 0, "nothing waits for consumers of an instance");
}

#[tokio::test]
async fn an_invalid_token_is_refused_before_the_cache_answers() {
    let home = TestDatabases::sqlite();
    let door = Door::open(&home).await;
    assert_eq!(door.ask("/search?q=sea").await.0, "bookworm; fwd=miss; stored");
    let _refused =
        door.api.get("/api/v1/search?q=sea").bearer("nonsense").send().await.expect(StatusCode::UNAUTHORIZED);
    assert_eq!(door.ask_with("/search?q=sea", &[("cache-control", "no-cache")]).await.0, "bookworm; hit");
    assert_eq!(door.ask("/books").await.0, "", "not cached here");
}
