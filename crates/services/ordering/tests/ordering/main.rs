//! Ordering through its API, on every database, against a catalogue, a basket and a finance service that are played
//! here: the questions by gRPC, the commands and answers over the real bus.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod afterwards;
mod bad_input;
mod buying;
mod claims;
mod coupons;
mod lists;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{Extension, Router};
use bookworm_config::{Ordering as Settings, ShippingMethod, TaxRule};
use bookworm_contracts::{
    commands::{AuthorisePayment, CapturePayment, RefundPayment, ReleaseStock, ReserveStock, VoidPayment},
    events::{
        catalog::{ShortLine, StockRejected, StockReleased, StockReserved},
        finance::{
            PaymentActionRequired, PaymentAuthorised, PaymentCaptured, PaymentDeclined, PaymentFailed, PaymentRefunded,
            PaymentVoided, RefundFailed,
        },
        ordering::{
            OrderCancelled, OrderCompleted, OrderConfirmed, OrderCreated, OrderRefunded, OrderRejected, OrderShipped,
        },
    },
    grpc::{
        Edge,
        basket::{
            self, ClaimBasketRequest, ClaimBasketResponse, GetBasketRequest, GetBasketResponse, MergeGuestRequest,
            MergeGuestResponse, ReleaseBasketRequest, ReleaseBasketResponse, basket_client::BasketClient,
            basket_server::BasketServer, get_basket_request::Owner,
        },
        catalog::{
            self, GetBooksRequest, GetBooksResponse, catalog_client::CatalogClient, catalog_server::CatalogServer,
        },
        methods,
    },
};
use bookworm_db::{DbError, Sql, values};
use bookworm_http::auth::Role;
use bookworm_kernel::{BookId, Clock, Currency, CustomerId, Money, OrderId, PaymentId, SystemClock};
use bookworm_messaging::{Consumer, Envelope, Message, Policy, Reaction, ReactionError, Received, SharedBus};
use bookworm_ordering::{Dependencies, OrderingService};
use bookworm_testing::{Client, Response as Answered, Running, TestDatabases, TokenMint, bus, eventually, publish};
use http::{Method, header};
use serde_json::{Value, json};
use tonic::{Response, Status};
use uuid::Uuid;

#[derive(Clone)]
struct Book {
    title: String,
    price: i64,
    available: i64,
    subject: String,
}

/// The catalogue's and the basket's queries.
#[derive(Default)]
struct World {
    books: Mutex<HashMap<BookId, Book>>,
    baskets: Mutex<HashMap<String, Vec<basket::Line>>>,
    /// Basket, order and claimant.
    claims: Mutex<Vec<(String, String, String)>>,
    /// How old the claims are, in milliseconds.
    claim_age: AtomicU64,
    /// How many claims are granted without the answer arriving.
    lose_claims: AtomicUsize,
    /// The catalogue does not answer.
    silent: Mutex<bool>,
}

#[derive(Clone)]
struct Queries(Arc<World>);

#[tonic::async_trait]
impl catalog::catalog_server::Catalog for Queries {
    async fn get_books(&self, request: tonic::Request<GetBooksRequest>) -> Result<Response<GetBooksResponse>, Status> {
        if *self.0.silent.lock().unwrap() {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        let known = self.0.books.lock().unwrap();
        let ids = request.into_inner().ids;
        let books = ids.iter().filter_map(|id| {
            let book = known.get(&id.parse().ok()?)?;
            Some(catalog::Book {
                id: id.clone(),
                title: book.title.clone(),
                language: "en".into(),
                price: book.price,
                currency: "USD".into(),
                available: book.available,
                subjects: vec![book.subject.clone()],
                ..catalog::Book::default()
            })
        });
        Ok(Response::new(GetBooksResponse { books: books.collect() }))
    }
}

#[tonic::async_trait]
impl basket::basket_server::Basket for Queries {
    async fn get_basket(
        &self,
        request: tonic::Request<GetBasketRequest>,
    ) -> Result<Response<GetBasketResponse>, Status> {
        let owner = match request.into_inner().owner {
            Some(Owner::CustomerId(id)) => id,
            Some(Owner::GuestToken(token)) => token,
            None => return Err(Status::invalid_argument("no owner")),
        };
        let lines = self.0.baskets.lock().unwrap().get(&owner).cloned().unwrap_or_default();
        let basket_id = basket_id(&owner);
        let claims = self.0.claims.lock().unwrap();
        let claims = claims.iter().filter(|(basket, ..)| *basket == basket_id).map(|(_, order_id, claimant)| {
            let age_ms = self.0.claim_age.load(SeqCst);
            basket::Claim { order_id: order_id.clone(), claimant: claimant.clone(), age_ms }
        });
        let claims = claims.collect();
        Ok(Response::new(GetBasketResponse { basket_id, lines, version: 1, claims }))
    }

    async fn claim_basket(
        &self,
        request: tonic::Request<ClaimBasketRequest>,
    ) -> Result<Response<ClaimBasketResponse>, Status> {
        let ClaimBasketRequest { basket_id, order_id, claimant, .. } = request.into_inner();
        let order_id = {
            let mut claims = self.0.claims.lock().unwrap();
            match claims.iter().find(|(basket, ..)| *basket == basket_id) {
                None => {
                    claims.push((basket_id, order_id.clone(), claimant));
                    order_id
                }
                Some((_, own, holder)) if *holder == claimant => own.clone(),
                Some(_) => String::new(),
            }
        };
        if self.0.lose_claims.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(Status::unavailable("the answer is lost"));
        }
        Ok(Response::new(ClaimBasketResponse { order_id }))
    }

    async fn release_basket(
        &self,
        request: tonic::Request<ReleaseBasketRequest>,
    ) -> Result<Response<ReleaseBasketResponse>, Status> {
        let ReleaseBasketRequest { basket_id, order_id } = request.into_inner();
        let mut claims = self.0.claims.lock().unwrap();
        let before = claims.len();
        claims.retain(|(basket, order, _)| (basket, order) != (&basket_id, &order_id));
        Ok(Response::new(ReleaseBasketResponse { released: claims.len() != before }))
    }

    async fn merge_guest(
        &self,
        _request: tonic::Request<MergeGuestRequest>,
    ) -> Result<Response<MergeGuestResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }
}

/// Customers are named by a UUID, and guests by `guest-` and one.
fn basket_id(owner: &str) -> String {
    owner.trim_start_matches("guest-").to_owned()
}

/// What the services that answer by message have seen and shall do.
#[derive(Default)]
struct Played {
    /// Subjects of the commands that came, in order.
    commands: Mutex<Vec<(OrderId, &'static str)>>,
    /// The events that ordering published.
    events: Mutex<Vec<(OrderId, &'static str, Value)>>,
    captured: Mutex<HashMap<OrderId, Money>>,
    authorised: Mutex<HashMap<OrderId, AuthorisePayment>>,
    refused: Mutex<HashSet<BookId>>,
    /// How many captures are swallowed.
    swallow_captures: AtomicUsize,
}

impl Played {
    fn note(&self, order: OrderId, subject: &'static str) {
        self.commands.lock().unwrap().push((order, subject.split('.').nth(2).unwrap()));
    }

    fn commands(&self, order: OrderId) -> Vec<&'static str> {
        self.commands.lock().unwrap().iter().filter(|(id, _)| *id == order).map(|(_, name)| *name).collect()
    }

    fn events(&self, order: OrderId) -> Vec<&'static str> {
        self.events.lock().unwrap().iter().filter(|(id, ..)| *id == order).map(|(_, name, _)| *name).collect()
    }
}

async fn say<C: Message, M: Message>(bus: &SharedBus, received: &Received<C>, message: M) -> Reaction {
    let envelope = Envelope::new(&message, &received.cause, SystemClock.now()).unwrap();
    bus.publish(&[envelope]).await.map_err(|error| ReactionError::retry(error.to_string()))
}

/// A catalogue that holds whatever it is asked for, but for the books in `refused`. Tokens say what finance does:
/// `tok_approve`, `tok_decline`, `tok_challenge`, `tok_silent`, `tok_capture_fails`.
fn players(bus: &SharedBus, played: &Arc<Played>) -> Vec<Consumer> {
    macro_rules! on {
        ($consumer:expr, $command:ty, |$bus:ident, $played:ident, $m:ident| $body:block) => {{
            let (bus, played) = (bus.clone(), played.clone());
            $consumer.on(move |$m: Received<$command>| {
                let ($bus, $played) = (bus.clone(), played.clone());
                async move {
                    $played.note($m.body.order_id, <$command>::SUBJECT);
                    $body
                }
            })
        }};
    }
    let catalogue = on!(Consumer::new("test.catalog"), ReserveStock, |bus, played, m| {
        let order_id = m.body.order_id;
        let refused = played.refused.lock().unwrap().clone();
        let short: Vec<ShortLine> = m
            .body
            .lines
            .iter()
            .filter(|line| refused.contains(&line.book_id))
            .map(|line| ShortLine { book_id: line.book_id, wanted: line.quantity.get(), available: 1 })
            .collect();
        if m.body.lines.iter().any(|line| line.quantity.get() == 77) {
            return Ok(()); // Nobody answers.
        }
        if short.is_empty() {
            say(&bus, &m, StockReserved { order_id }).await
        } else {
            say(&bus, &m, StockRejected { order_id, short }).await
        }
    });
    let catalogue = on!(catalogue, ReleaseStock, |bus, played, m| {
        let _ = &played;
        say(&bus, &m, StockReleased { order_id: m.body.order_id }).await
    });
    let finance = on!(Consumer::new("test.finance"), AuthorisePayment, |bus, played, m| {
        let AuthorisePayment { order_id, amount, .. } = m.body;
        played.authorised.lock().unwrap().insert(order_id, m.body.clone());
        match m.body.token.as_str() {
            "tok_decline" => say(&bus, &m, PaymentDeclined { order_id, reason: "Insufficient funds.".into() }).await,
            "tok_challenge" => say(&bus, &m, PaymentActionRequired { order_id, action_url: "/pay/1".into() }).await,
            "tok_silent" => Ok(()),
            _ => say(&bus, &m, PaymentAuthorised { order_id, payment_id: PaymentId::new(), amount }).await,
        }
    });
    let finance = on!(finance, CapturePayment, |bus, played, m| {
        let order_id = m.body.order_id;
        let swallowed = played.swallow_captures.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        let asked = played.authorised.lock().unwrap().get(&order_id).cloned();
        match asked {
            _ if swallowed => Ok(()),
            Some(asked) if asked.token == "tok_capture_fails" => {
                say(&bus, &m, PaymentFailed { order_id, reason: "expired".into() }).await
            }
            Some(asked) => {
                played.captured.lock().unwrap().insert(order_id, asked.amount);
                let (payment_id, amount) = (PaymentId::new(), asked.amount);
                say(&bus, &m, PaymentCaptured { order_id, payment_id, amount }).await
            }
            None => Err(ReactionError::refuse("nothing was authorised")),
        }
    });
    let finance = on!(finance, VoidPayment, |bus, played, m| {
        let order_id = m.body.order_id;
        let captured = played.captured.lock().unwrap().get(&order_id).copied();
        match captured {
            Some(amount) => {
                // As finance does it: all that is left.
                let refund_id = order_id.uuid();
                say(&bus, &m, PaymentRefunded { order_id, refund_id, amount }).await
            }
            None => say(&bus, &m, PaymentVoided { order_id }).await,
        }
    });
    let finance = on!(finance, RefundPayment, |bus, played, m| {
        let RefundPayment { order_id, refund_id, amount, .. } = m.body;
        if m.body.reason == "fail" {
            return say(&bus, &m, RefundFailed { order_id, refund_id, reason: "card closed".into() }).await;
        }
        if let Some(left) = played.captured.lock().unwrap().get_mut(&order_id) {
            left.amount -= amount.amount;
        }
        say(&bus, &m, PaymentRefunded { order_id, refund_id, amount }).await
    });
    vec![catalogue, finance, observer(played)]
}

fn observer(played: &Arc<Played>) -> Consumer {
    macro_rules! observe {
        ($($event:ty),*) => {{
            let mut consumer = Consumer::new("test.observer");
            $(
                let seen = played.clone();
                consumer = consumer.on(move |m: Received<$event>| {
                    let name = <$event>::SUBJECT.split('.').nth(2).unwrap();
                    let event = (m.body.order.order_id, name, serde_json::to_value(&m.body).unwrap());
                    seen.events.lock().unwrap().push(event);
                    async { Ok(()) }
                });
            )*
            consumer
        }};
    }
    observe!(OrderCreated, OrderConfirmed, OrderRejected, OrderCancelled, OrderShipped, OrderCompleted, OrderRefunded)
}

struct Shop {
    on: &'static str,
    service: OrderingService,
    client: Client,
    world: Arc<World>,
    played: Arc<Played>,
    bus: SharedBus,
    mint: TokenMint,
    running: Running,
    home: TestDatabases,
}

/// An answer about an order.
struct Answer(Answered);

impl std::ops::Deref for Answer {
    type Target = Answered;

    fn deref(&self) -> &Answered {
        &self.0
    }
}

impl Answer {
    fn id(&self) -> OrderId {
        let id = self.body["id"].as_str().or(self.body["order_id"].as_str());
        id.unwrap_or_else(|| panic!("no id in {}", self.body)).parse().unwrap()
    }

    #[track_caller]
    fn expect(self, status: u16) -> Self {
        Self(self.0.expect(status))
    }

    #[track_caller]
    fn problem(self, status: u16, code: &str) -> Self {
        Self(self.0.expect_problem(status, code))
    }

    fn timeline(&self) -> Vec<&str> {
        self.body["timeline"].as_array().unwrap().iter().map(|entry| entry["status"].as_str().unwrap()).collect()
    }
}

/// How long a checkout waits for stock and for payment, in seconds.
#[derive(Clone, Copy)]
struct Timeouts {
    reserve: u64,
    payment: u64,
}

fn settings(timeouts: Timeouts) -> Settings {
    Settings {
        shipping_methods: vec![
            ShippingMethod {
                code: "standard".into(),
                name: "Standard".into(),
                price: 490,
                free_from: Some(5000),
                min_days: 3,
                max_days: 5,
                countries: vec!["US".into(), "DE".into()],
            },
            ShippingMethod {
                code: "gift".into(),
                name: "On us".into(),
                price: 0,
                free_from: None,
                min_days: 3,
                max_days: 5,
                countries: vec!["FR".into()],
            },
        ],
        tax: vec![TaxRule {
            country: "US".into(),
            region: Some("CA".into()),
            rate_basis_points: 725,
            inclusive: false,
            shipping_taxed: false,
        }],
        reserve_timeout_seconds: timeouts.reserve,
        payment_timeout_seconds: timeouts.payment,
        ..Settings::default()
    }
}

/// A shop on each database there is.
async fn shops() -> Vec<Shop> {
    shops_with(Timeouts { reserve: 30, payment: 30 }).await
}

async fn shops_with(timeouts: Timeouts) -> Vec<Shop> {
    let mut shops = vec![Shop::open("SQLite", TestDatabases::sqlite(), timeouts).await];
    if let Some(home) = TestDatabases::postgres() {
        shops.push(Shop::open("PostgreSQL", home, timeouts).await);
    }
    shops
}

/// An instance of the service.
async fn service(home: &TestDatabases, world: &Arc<World>, timeouts: Timeouts) -> OrderingService {
    let basket =
        BasketClient::new(Edge::local("test.basket", BasketServer::new(Queries(world.clone())), methods::BASKET));
    let catalog =
        CatalogClient::new(Edge::local("test.catalog", CatalogServer::new(Queries(world.clone())), methods::CATALOG));
    let db = home.databases.open(OrderingService::NAME).await.unwrap();
    OrderingService::open(Dependencies {
        db,
        clock: Arc::new(SystemClock),
        settings: settings(timeouts),
        currency: Currency::USD,
        basket,
        catalog,
    })
    .await
    .unwrap()
}

impl Shop {
    async fn open(on: &'static str, home: TestDatabases, timeouts: Timeouts) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let bus = bus(&home, clock.clone()).await;
        let world = Arc::new(World::default());
        let service = service(&home, &world, timeouts).await;
        let mint = TokenMint::new(clock.clone());
        let router: Router = service.api().split_for_parts().0.layer(Extension(mint.verifier()));
        let (played, mut running) = (Arc::new(Played::default()), Running::new());
        for consumer in service.consumers().into_iter().chain(players(&bus, &played)) {
            running.consumer(consumer, &bus, clock.clone(), Policy::default());
        }
        running.relay(service.outbox().source(service.db()), &bus);
        service.loops().iter().for_each(|work| running.work(work));
        Self { on, service, client: Client::new(router), world, played, bus, mint, running, home }
    }

    async fn close(self) {
        self.running.stop().await;
        let letters = self.bus.dead_letters().list(None, 10).await.unwrap();
        assert!(letters.is_empty(), "{}: dead letters {letters:#?}", self.on);
        let replayed = self.service.replay().await.unwrap();
        assert_eq!(replayed.differing, Vec::<String>::new(), "{}: the projection is what the events say", self.on);
        self.service.db().close().await;
        self.home.clean().await;
    }

    fn token(&self, id: CustomerId, roles: &[Role]) -> String {
        format!("Bearer {}", self.mint.token(id, roles))
    }

    fn customer(&self) -> Buyer<'_> {
        let id = CustomerId::new();
        Buyer { shop: self, name: id.to_string(), head: vec![("authorization", self.token(id, &[Role::Customer]))] }
    }

    fn staff(&self) -> Buyer<'_> {
        let id = CustomerId::new();
        Buyer { shop: self, name: id.to_string(), head: vec![("authorization", self.token(id, &[Role::Staff]))] }
    }

    fn guest(&self) -> Buyer<'_> {
        let token = format!("guest-{}", Uuid::now_v7());
        Buyer { shop: self, name: token.clone(), head: vec![("basket-token", token)] }
    }

    fn nobody(&self) -> Buyer<'_> {
        Buyer { shop: self, name: String::new(), head: Vec::new() }
    }

    fn book(&self, price: i64, available: i64) -> BookId {
        let id = BookId::new();
        let book = Book { title: format!("Book at {price}"), price, available, subject: String::new() };
        self.world.books.lock().unwrap().insert(id, book);
        id
    }

    /// Publishes what finance reports later on its own.
    async fn say(&self, message: impl Message) {
        publish(&self.bus, &message).await;
    }

    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        eventually(&format!("{what} ({})", self.on), async || holds().await).await;
    }
}

/// Somebody who asks.
struct Buyer<'a> {
    shop: &'a Shop,
    name: String,
    head: Vec<(&'static str, String)>,
}

impl Buyer<'_> {
    fn put(&self, book: BookId, quantity: u32, seen_price: i64) {
        let line = basket::Line {
            book_id: book.to_string(),
            quantity,
            seen_price,
            currency: "USD".into(),
            seen_title: String::new(),
        };
        self.shop.world.baskets.lock().unwrap().entry(self.name.clone()).or_default().push(line);
    }

    /// As the basket does when an order is confirmed.
    fn clear(&self) {
        self.shop.world.baskets.lock().unwrap().remove(&self.name);
        let basket_id = basket_id(&self.name);
        self.shop.world.claims.lock().unwrap().retain(|(basket, ..)| *basket != basket_id);
    }

    async fn send(&self, method: Method, path: &str, head: &[(&str, &str)], body: Option<String>) -> Answer {
        let own = self.head.iter().map(|(name, value)| (*name, value.as_str()));
        let request = self.shop.client.request(method, path).headers(own.chain(head.iter().copied()));
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body),
            None => request,
        };
        Answer(request.send().await)
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], None).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, &[], Some(body.to_string())).await
    }

    async fn checkout(&self, key: &str, body: &Value) -> Answer {
        let head = [("idempotency-key", key)];
        self.send(Method::POST, "/orders/checkout", &head, Some(body.to_string())).await
    }

    /// Buys one copy of a book at 12.99 and waits until it is paid.
    async fn buy(&self) -> Answer {
        let book = self.shop.book(1299, 10);
        self.put(book, 1, 1299);
        let bought = self.checkout(&Uuid::now_v7().to_string(), &order("tok_approve")).await.expect(201);
        self.clear();
        self.paid(bought.id()).await;
        bought
    }

    async fn paid(&self, id: OrderId) {
        self.becomes(id, |order| order["payment"]["status"] == "captured").await;
    }

    async fn becomes(&self, id: OrderId, holds: impl Fn(&Value) -> bool) {
        let staff = self.shop.staff();
        let path = format!("/orders/{id}");
        self.shop.until("the order changes", async || holds(&staff.get(&path).await.expect(200).body)).await;
    }
}

fn order(token: &str) -> Value {
    json!({
        "email": "guest@example.org",
        "shipping_address": {
            "name": "Ann Reader", "line1": "1 Main Street", "city": "Springfield", "postal_code": "12345",
            "country": "US", "region": "IL"
        },
        "shipping_method": "standard",
        "payment": {"token": token}
    })
}

fn path(answer: &Answer) -> String {
    answer.headers[header::LOCATION].to_str().unwrap().strip_prefix("/api/v1").unwrap().to_owned()
}
