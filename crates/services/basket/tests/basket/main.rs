//! The basket from the outside: HTTP, gRPC and events, on each database.
#![expect(clippy::unwrap_used, reason = "a test may")]

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

mod bad_input;
mod claims;
mod merging;
mod shopping;

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::Extension;
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
use bookworm_db::{DbError, Sql};
use bookworm_http::{auth::Role, context};
use bookworm_kernel::{
    BookId, Cause, Clock, Currency, CustomerId, Email, ManualClock, Money, OrderId, Quantity, Timestamp,
};
use bookworm_messaging::{Message, Outbox, Policy};
use bookworm_testing::{Client, Response as Answered, Running, TestDatabases, TokenMint, bus, count, eventually};
use http::{Method, StatusCode, header};
use serde_json::{Value, json};
use tonic::{Response, Status};
use uuid::Uuid;

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
            publisher: String::new(),
            subjects: Vec::new(),
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
    client: Client,
    mint: TokenMint,
    home: TestDatabases,
}

/// An answer that shows a basket.
struct Answer(Answered);

impl std::ops::Deref for Answer {
    type Target = Answered;

    fn deref(&self) -> &Answered {
        &self.0
    }
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
    async fn open(home: TestDatabases, settings: Settings) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(NOW * 1_000_000)));
        let shelf = Shelf::default();
        let db = home.databases.open(BasketService::NAME).await.unwrap();
        let service = BasketService::open(Dependencies { db, clock: clock.clone(), settings, catalog: shelf.client() })
            .await
            .unwrap();
        let mint = TokenMint::new(clock.clone());
        let (api, _) = service.api().split_for_parts();
        let app = api.layer(Extension(mint.verifier())).layer(bookworm_http::Stack::new().with(context::layer));
        Self { service, shelf, clock, client: Client::new(app), mint, home }
    }

    fn sign_in(&self, customer: CustomerId) -> String {
        format!("Bearer {}", self.mint.token(customer, &[Role::Customer]))
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        let request = self.client.request(method, path).headers(headers.iter().copied());
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        Answer(request.send().await)
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
async fn on_each_database<F: Future<Output = Shop>>(settings: Settings, test: impl Fn(Shop) -> F) {
    for home in [Some(TestDatabases::sqlite()), TestDatabases::postgres()].into_iter().flatten() {
        let Shop { service, home, .. } = test(Shop::open(home, settings).await).await;
        service.db().close().await;
        home.clean().await;
    }
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
    let clock: Arc<dyn Clock> = shop.clock.clone();
    let bus = bus(&TestDatabases::sqlite(), clock.clone()).await;
    let mut running = Running::new();
    for consumer in shop.service.consumers() {
        running.consumer(consumer, &bus, clock.clone(), Policy::default());
    }
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
    let before = count(db, done).await;
    running.relay(outbox.source(db), &bus);
    eventually("the service has reacted to every event", async || {
        count(db, "SELECT COUNT(*) FROM outbox").await == 0
            && count(db, done).await >= before + events.len() as i64
            && bus.backlog().await.unwrap() == 0
    })
    .await;
    running.stop().await;
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
            discount: None,
            coupon: None,
        },
    }
}

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
