//! Ordering through its API, on every database, against a catalogue, a basket and a finance service that are played
//! here: the questions by gRPC, the commands and answers over the real bus.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{Extension, Router, body::Body};
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
use bookworm_db::{Databases, Db, DbError, Sql, values};
use bookworm_http::auth::{Claims, Role, TokenVerifier};
use bookworm_kernel::{BookId, Clock, Currency, CustomerId, Money, OrderId, PaymentId, SystemClock};
use bookworm_messaging::{
    Consumer, DbBus, Envelope, Message, Policy, Reaction, ReactionError, Received, SharedBus, relay,
};
use bookworm_ordering::{Dependencies, OrderingService};
use ed25519_dalek::{SigningKey, pkcs8::EncodePrivateKey};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};
use tower::ServiceExt;
use uuid::Uuid;

// --- the services around -------------------------------------------------------------------------------------------

#[derive(Clone)]
struct Book {
    title: String,
    price: i64,
    available: i64,
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

// --- the shop ------------------------------------------------------------------------------------------------------

struct Shop {
    on: &'static str,
    service: OrderingService,
    router: Router,
    world: Arc<World>,
    played: Arc<Played>,
    bus: SharedBus,
    bus_db: Db,
    key: SigningKey,
    shutdown: CancellationToken,
    running: Vec<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    fn id(&self) -> OrderId {
        let id = self.body["id"].as_str().or(self.body["order_id"].as_str());
        id.unwrap_or_else(|| panic!("no id in {}", self.body)).parse().unwrap()
    }

    #[track_caller]
    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }

    #[track_caller]
    fn problem(self, status: u16, code: &str) -> Self {
        assert_eq!((self.status.as_u16(), self.body["code"].as_str()), (status, Some(code)), "{}", self.body);
        self
    }

    fn timeline(&self) -> Vec<&str> {
        self.body["timeline"].as_array().unwrap().iter().map(|entry| entry["status"].as_str().unwrap()).collect()
    }
}

/// How long a checkout waits for stock and for payment, in seconds.
#[derive(Clone, Copy)]
struct Patience {
    reserve: u64,
    payment: u64,
}

fn settings(patience: Patience) -> Settings {
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
        reserve_timeout_seconds: patience.reserve,
        payment_timeout_seconds: patience.payment,
        ..Settings::default()
    }
}

/// A shop on each database there is.
async fn shops() -> Vec<Shop> {
    shops_with(Patience { reserve: 30, payment: 30 }).await
}

async fn shops_with(patience: Patience) -> Vec<Shop> {
    let mut shops = Vec::new();
    let folder = tempfile::tempdir().unwrap();
    shops.push(Shop::open("SQLite", Databases::Sqlite(folder.path().to_owned()), folder, patience).await);
    match std::env::var("BOOKWORM_TEST_POSTGRES") {
        Ok(url) => {
            let prefix = format!("ordering_{}_", Uuid::now_v7().simple());
            let databases = Databases::Postgres { url, max_connections: 8, prefix };
            shops.push(Shop::open("PostgreSQL", databases, tempfile::tempdir().unwrap(), patience).await);
        }
        Err(_) => {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "BOOKWORM_TEST_POSTGRES must be set in CI");
            eprintln!("SKIPPED on PostgreSQL: BOOKWORM_TEST_POSTGRES is not set");
        }
    }
    shops
}

impl Shop {
    async fn open(on: &'static str, databases: Databases, folder: tempfile::TempDir, patience: Patience) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let bus_db = databases.open("bus").await.unwrap();
        let bus: SharedBus =
            Arc::new(DbBus::open(bus_db.clone(), clock.clone(), Duration::from_secs(30)).await.unwrap());
        let world = Arc::new(World::default());
        let basket =
            BasketClient::new(Edge::local("test.basket", BasketServer::new(Queries(world.clone())), methods::BASKET));
        let catalog = CatalogClient::new(Edge::local(
            "test.catalog",
            CatalogServer::new(Queries(world.clone())),
            methods::CATALOG,
        ));
        let db = databases.open(OrderingService::NAME).await.unwrap();
        let service = OrderingService::open(Dependencies {
            db,
            clock: clock.clone(),
            settings: settings(patience),
            currency: Currency::USD,
            basket,
            catalog,
        })
        .await
        .unwrap();
        let verifier = Arc::new(TokenVerifier::new(Some("https://shop"), "bookworm", clock.clone()));
        let key = SigningKey::from_bytes(&[7; 32]);
        verifier.set_keys([("k1".to_owned(), key.verifying_key().to_bytes())]);
        let router: Router = service.api().split_for_parts().0.layer(Extension(verifier));
        let (played, shutdown) = (Arc::new(Played::default()), CancellationToken::new());
        let mut running = Vec::new();
        for consumer in service.consumers().into_iter().chain(players(&bus, &played)) {
            running.push(tokio::spawn(consumer.run(bus.clone(), clock.clone(), Policy::default(), shutdown.clone())));
        }
        let carry = relay(service.outbox().source(service.db()), bus.clone(), shutdown.clone());
        running.push(tokio::spawn(carry));
        running.extend(service.loops().iter().map(|work| tokio::spawn(work.run(shutdown.clone()))));
        Self { on, service, router, world, played, bus, bus_db, key, shutdown, running, _folder: folder }
    }

    async fn close(self) {
        self.shutdown.cancel();
        for task in self.running {
            task.await.unwrap();
        }
        let letters = self.bus.dead_letters().list(None, 10).await.unwrap();
        assert!(letters.is_empty(), "{}: dead letters {letters:#?}", self.on);
        let replayed = self.service.replay().await.unwrap();
        assert_eq!(replayed.differing, Vec::<String>::new(), "{}: the projection is what the events say", self.on);
        self.service.db().close().await;
        self.bus_db.close().await;
    }

    fn token(&self, id: CustomerId, roles: &[Role]) -> String {
        let claims = Claims {
            iss: "https://shop".into(),
            aud: "bookworm".into(),
            sub: id,
            exp: SystemClock.now().seconds() + 900,
            iat: SystemClock.now().seconds(),
            jti: Uuid::now_v7(),
            email: "ann@example.org".into(),
            name: "Ann".into(),
            roles: roles.to_vec(),
            email_confirmed: true,
        };
        let mut head = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
        head.kid = Some("k1".into());
        let der = self.key.to_pkcs8_der().unwrap();
        let key = jsonwebtoken::EncodingKey::from_ed_der(der.as_bytes());
        format!("Bearer {}", jsonwebtoken::encode(&head, &claims, &key).unwrap())
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
        let book = Book { title: format!("Book at {price}"), price, available };
        self.world.books.lock().unwrap().insert(id, book);
        id
    }

    /// Says what finance says later of its own.
    async fn say(&self, message: impl Message) {
        let cause = bookworm_kernel::Cause::start();
        let envelope = Envelope::new(&message, &cause, SystemClock.now()).unwrap();
        self.bus.publish(&[envelope]).await.unwrap();
    }

    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        for _ in 0..400 {
            if holds().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{}: never happened: {what}", self.on);
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
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in self.head.iter().map(|(n, v)| (*n, v.as_str())).chain(head.iter().copied()) {
            request = request.header(name, value);
        }
        let request = request.body(body.map_or_else(Body::empty, Body::from)).unwrap();
        let response = self.shop.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Answer { status: parts.status, headers: parts.headers, body }
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

// --- buying --------------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_buys_a_book() {
    for shop in shops().await {
        let guest = shop.guest();
        let book = shop.book(1299, 10);
        guest.put(book, 2, 1299);
        let bought = guest.checkout("one", &order("tok_approve")).await.expect(201);
        assert_eq!(bought.body["status"], "confirmed");
        assert_eq!(bought.body["total"], json!({"amount": 2 * 1299 + 490, "currency": "USD"}));
        assert_eq!(bought.body["lines"][0]["title"], "Book at 1299");
        assert_eq!(bought.body["number"].as_str().unwrap().len(), 12);
        assert!(bought.headers.contains_key(header::ETAG));

        // The link in the mail opens the order, and nothing else does.
        let (id, link) = (bought.id(), path(&bought));
        guest.paid(id).await;
        let read = shop.nobody().get(&link).await.expect(200);
        assert_eq!(read.timeline(), ["pending", "confirmed", "payment_captured"]);
        assert_eq!(read.body["access_key"], bought.body["access_key"]);
        let key = bought.body["access_key"].as_str().unwrap();
        shop.nobody().send(Method::GET, &format!("/orders/{id}"), &[("order-key", key)], None).await.expect(200);
        for wrong in ["", "?key=", "?key=AAAAAAAAAAAAAAAAAAAAAA", &format!("?key={key}x")] {
            shop.nobody().get(&format!("/orders/{id}{wrong}")).await.problem(404, "not_found");
        }

        assert_eq!(shop.played.commands(id), ["ReserveStock", "AuthorisePayment", "CapturePayment"]);
        shop.until("events", async || shop.played.events(id).len() == 2).await;
        let mut events = shop.played.events(id);
        events.sort_unstable();
        assert_eq!(events, ["OrderConfirmed", "OrderCreated"]);
        let asked = shop.played.authorised.lock().unwrap()[&id].clone();
        assert_eq!(asked.return_path, format!("/orders/{id}?key={key}"));
        let summary = shop.played.events.lock().unwrap()[0].2.clone();
        assert_eq!(summary["link"], asked.return_path.as_str());
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_key_orders_once() {
    for shop in shops().await {
        let guest = shop.guest();
        let book = shop.book(1299, 10);
        guest.put(book, 1, 1299);
        let body = order("tok_approve");
        let answers = futures::future::join_all((0..8).map(|_| guest.checkout("same", &body))).await;
        let ids: HashSet<OrderId> = answers.into_iter().map(|answer| answer.expect(201).id()).collect();
        assert_eq!(ids.len(), 1, "{}: one order for one intention", shop.on);

        // Later, with the basket cleared, the answer is still the order, as it is now.
        guest.clear();
        let again = guest.checkout("same", &body).await.expect(201);
        assert!(ids.contains(&again.id()));
        let mut other = body.clone();
        other["payment"]["token"] = "tok_decline".into();
        guest.checkout("same", &other).await.problem(422, "idempotency_key_reused");

        // Somebody else's key of the same name is another key.
        let stranger = shop.guest();
        stranger.put(book, 1, 1299);
        let theirs = stranger.checkout("same", &body).await.expect(201);
        assert!(!ids.contains(&theirs.id()));
        shop.until("two orders", async || shop.service.order_facts().await.unwrap().len() == 2).await;
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declined_card_costs_nothing() {
    for shop in shops().await {
        let customer = shop.customer();
        let book = shop.book(1299, 10);
        customer.put(book, 1, 1299);
        let refused = customer.checkout("k", &order("tok_decline")).await.problem(402, "payment_declined");
        assert_eq!(refused.body["detail"], "Insufficient funds.");
        let id = refused.id();
        customer.checkout("k", &order("tok_decline")).await.problem(402, "payment_declined");
        shop.until("the stock is released", async || shop.played.commands(id).contains(&"ReleaseStock")).await;
        let read = customer.get(&path(&refused)).await.expect(200);
        assert_eq!((&read.body["status"], &read.body["payment"]["status"]), (&json!("rejected"), &json!("declined")));
        assert_eq!(read.body["rejection"]["code"], "payment_declined");
        assert!(!shop.played.commands(id).contains(&"CapturePayment"));
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_challenged_card_goes_on_when_the_bank_agrees() {
    for shop in shops().await {
        let guest = shop.guest();
        let book = shop.book(1299, 10);
        guest.put(book, 1, 1299);
        let asked = guest.checkout("k", &order("tok_challenge")).await.problem(402, "payment_action_required");
        assert_eq!(asked.body["action_url"], "/pay/1");
        let (id, link) = (asked.id(), path(&asked));
        let waiting = shop.nobody().get(&link).await.expect(200);
        assert_eq!(waiting.body["payment"]["action_url"], "/pay/1");
        let amount = Money::new(1789, Currency::USD);
        shop.say(PaymentAuthorised { order_id: id, payment_id: PaymentId::new(), amount }).await;
        guest.paid(id).await;
        let done = guest.checkout("k", &order("tok_challenge")).await.expect(201);
        assert_eq!(done.timeline(), ["pending", "payment_action_required", "confirmed", "payment_captured"]);
        assert_eq!(done.body["payment"].get("action_url"), None);

        // News that comes again changes nothing.
        shop.say(PaymentAuthorised { order_id: id, payment_id: PaymentId::new(), amount }).await;
        shop.say(StockReserved { order_id: id }).await;
        shop.until("nothing in flight", async || shop.bus.backlog().await.unwrap() == 0).await;
        assert_eq!(shop.nobody().get(&link).await.expect(200).body["version"], done.body["version"]);
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_will_not_wait_gets_a_link() {
    for shop in shops_with(Patience { reserve: 30, payment: 1 }).await {
        let guest = shop.guest();
        let book = shop.book(1299, 10);
        guest.put(book, 1, 1299);
        let head = [("idempotency-key", "k"), ("prefer", "respond-async, wait=0")];
        let body = order("tok_silent").to_string();
        let taken = guest.send(Method::POST, "/orders/checkout", &head, Some(body)).await.expect(202);
        assert_eq!(taken.body["status"], "pending");
        shop.nobody().get(&path(&taken)).await.expect(200);

        // Finance never answers: the customer hears of it, and what was taken is let go.
        guest.becomes(taken.id(), |order| order["status"] == "rejected").await;
        guest.checkout("k", &order("tok_silent")).await.problem(409, "checkout_timed_out");
        guest.becomes(taken.id(), |order| order["payment"]["status"] == "voided").await;
        let commands = shop.played.commands(taken.id());
        assert!(commands.contains(&"ReleaseStock") && commands.contains(&"VoidPayment"), "{commands:?}");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_catalogue_that_never_answers_ends_the_checkout() {
    for shop in shops_with(Patience { reserve: 1, payment: 30 }).await {
        let guest = shop.guest();
        let book = shop.book(1, 100);
        guest.put(book, 77, 1);
        let refused = guest.checkout("k", &order("tok_approve")).await.problem(409, "checkout_timed_out");
        assert!(refused.body["detail"].as_str().unwrap().contains("You have not been charged"), "{}", refused.body);
        shop.until("release", async || shop.played.commands(refused.id()) == ["ReserveStock", "ReleaseStock"]).await;

        // What was reserved after all is let go again.
        shop.say(StockReserved { order_id: refused.id() }).await;
        shop.until("nothing in flight", async || shop.bus.backlog().await.unwrap() == 0).await;
        assert!(!shop.played.commands(refused.id()).contains(&"AuthorisePayment"));
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_capture_is_asked_for_again() {
    for shop in shops_with(Patience { reserve: 30, payment: 2 }).await {
        let guest = shop.guest();
        let book = shop.book(1299, 10);
        guest.put(book, 1, 1299);
        shop.played.swallow_captures.store(1, SeqCst);
        let bought = guest.checkout("k", &order("tok_approve")).await.expect(201);
        let early = shop.staff().post(&format!("/orders/{}/ship", bought.id()), json!({})).await;
        early.problem(409, "invalid_order_state");
        guest.paid(bought.id()).await;
        assert_eq!(shop.played.commands(bought.id()).iter().filter(|name| **name == "CapturePayment").count(), 2);
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_capture_that_fails_calls_the_order_off() {
    for shop in shops().await {
        let guest = shop.guest();
        let book = shop.book(1299, 10);
        guest.put(book, 1, 1299);
        let bought = guest.checkout("k", &order("tok_capture_fails")).await.expect(201);
        guest.becomes(bought.id(), |order| order["status"] == "cancelled").await;
        let read = shop.nobody().get(&path(&bought)).await.expect(200);
        assert_eq!(read.body["payment"]["status"], "failed");
        assert_eq!(read.timeline(), ["pending", "confirmed", "payment_failed", "cancelled"]);
        shop.until("mail and stock", async || {
            shop.played.events(bought.id()).contains(&"OrderCancelled")
                && shop.played.commands(bought.id()).contains(&"ReleaseStock")
        })
        .await;
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_bought_is_refused_before_anything_is_ordered() {
    for shop in shops().await {
        let body = order("tok_approve");
        shop.nobody().checkout("k", &body).await.problem(409, "basket_empty");
        shop.guest().checkout("k", &body).await.problem(409, "basket_empty");

        let guest = shop.guest();
        guest.put(BookId::new(), 1, 1299);
        guest.checkout("k", &body).await.problem(409, "book_unavailable");
        guest.clear();

        let (scarce, dear) = (shop.book(500, 2), shop.book(900, 9));
        guest.put(scarce, 3, 500);
        let refused = guest.checkout("k", &body).await.problem(409, "insufficient_stock");
        let line = json!({"book_id": scarce.to_string(), "title": "Book at 500", "wanted": 3, "available": 2});
        assert_eq!(refused.body["lines"], json!([line]));
        guest.clear();

        guest.put(dear, 1, 800);
        let refused = guest.checkout("k", &body).await.problem(409, "price_changed");
        assert_eq!(
            (&refused.body["lines"][0]["old"]["amount"], &refused.body["lines"][0]["new"]["amount"]),
            (&json!(800), &json!(900))
        );
        guest.clear();

        guest.put(dear, 1, 900);
        let mut changed = body.clone();
        changed["expected_total"] = json!({"amount": 1, "currency": "USD"});
        let refused = guest.checkout("k", &changed).await.problem(409, "total_changed");
        assert_eq!(refused.body["total"]["amount"], 1390);
        let mut far = body.clone();
        far["shipping_address"]["country"] = "NZ".into();
        far["shipping_address"]["postal_code"] = "6011".into();
        guest.checkout("k", &far).await.problem(422, "shipping_unavailable");
        let mut odd = body.clone();
        odd["shipping_method"] = "rocket".into();
        guest.checkout("k", &odd).await.problem(422, "shipping_unavailable");

        assert!(shop.service.order_facts().await.unwrap().is_empty(), "nothing was ordered");
        // A key that ordered nothing is still free.
        guest.checkout("k", &body).await.expect(201);
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_that_is_gone_at_the_last_moment_is_named() {
    for shop in shops().await {
        let guest = shop.guest();
        let book = shop.book(500, 5);
        shop.played.refused.lock().unwrap().insert(book);
        guest.put(book, 2, 500);
        let refused = guest.checkout("k", &order("tok_approve")).await.problem(409, "insufficient_stock");
        let line = json!({"book_id": book.to_string(), "title": "Book at 500", "wanted": 2, "available": 1});
        assert_eq!(refused.body["lines"], json!([line]));
        let again = guest.checkout("k", &order("tok_approve")).await.problem(409, "insufficient_stock");
        assert_eq!(again.id(), refused.id());
        shop.until("the rejection is told", async || shop.played.events(refused.id()).contains(&"OrderRejected")).await;
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_does_not_answer_is_named_in_time() {
    let shop = shops().await.remove(0);
    let guest = shop.guest();
    let book = shop.book(500, 5);
    guest.put(book, 1, 500);
    *shop.world.silent.lock().unwrap() = true;
    let refused = guest.checkout("k", &order("tok_approve")).await.problem(503, "unavailable");
    assert!(refused.headers.contains_key(header::RETRY_AFTER));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quote_says_what_it_will_cost() {
    for shop in shops().await {
        let guest = shop.guest();
        guest.post("/orders/quote", json!({"country": "US"})).await.problem(409, "basket_empty");
        let book = shop.book(1000, 10);
        guest.put(book, 2, 1000);
        let quote = guest.post("/orders/quote", json!({"country": "us", "region": "ca"})).await.expect(200);
        assert_eq!(quote.body["tax"]["amount"], 145);
        assert_eq!(quote.body["total"]["amount"], 2000 + 490 + 145);
        assert_eq!(quote.body["shipping_method"], "standard");
        guest.post("/orders/quote", json!({"country": "JP"})).await.problem(422, "shipping_unavailable");
        guest.post("/orders/quote", json!({"country": "XX"})).await.problem(400, "validation_failed");
        for region in ["California", "CALIFORNIA", "US-CA", " calif. "] {
            let quote = guest.post("/orders/quote", json!({"country": "US", "region": region})).await.expect(200);
            assert_eq!(quote.body["tax"]["amount"], 145, "{region}");
        }
        for region in [Value::Null, json!("Ontario"), json!("94103")] {
            let quote = guest.post("/orders/quote", json!({"country": "US", "region": region})).await;
            let quote = quote.problem(400, "validation_failed");
            assert_eq!(quote.body["errors"][0]["field"], "/region", "{region}");
        }
        guest.post("/orders/quote", json!({"country": "DE", "region": "CA"})).await.expect(200);
        let methods = shop.nobody().get("/shipping-methods").await.expect(200);
        assert_eq!(methods.body["items"][0]["free_from"]["amount"], 5000);
        let offered = shop.nobody().get("/shipping-methods?country=us&subtotal=6000").await.expect(200);
        assert_eq!(offered.body["items"][0]["charge"], json!({"amount": 0, "currency": "USD"}));
        assert_eq!(offered.body["items"].as_array().unwrap().len(), 1);
        shop.nobody().get("/shipping-methods?country=QQ").await.problem(400, "validation_failed");
        let served = shop.nobody().get("/shipping-countries").await.expect(200);
        let served: Vec<_> = served.body["items"].as_array().unwrap().iter().map(|country| &country["code"]).collect();
        assert_eq!(served, ["US", "FR", "DE"], "the likely one first, the others by name");
        shop.close().await;
    }
}

// --- what follows --------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_can_be_read() {
    for shop in shops().await {
        let customer = shop.customer();
        let bought = customer.buy().await;
        let (id, path) = (bought.id(), path(&bought));
        let history = customer.get(&format!("{path}/events")).await.expect(200);
        let items = history.body["items"].as_array().unwrap().clone();
        let kinds: Vec<&str> = items.iter().map(|event| event["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["OrderCreated", "PaymentAuthorised", "OrderConfirmed", "PaymentCaptured"]);
        assert_eq!(items[3]["data"]["amount"]["amount"], 1789);
        let correlations: HashSet<&str> = items.iter().map(|event| event["correlation_id"].as_str().unwrap()).collect();
        assert_eq!(correlations.len(), 1, "one request set all of it in motion");

        let page = customer.get(&format!("{path}/events?limit=3")).await.expect(200);
        let next = page.body["next"].as_str().unwrap();
        let rest = customer.get(&format!("{path}/events?limit=3&cursor={next}")).await.expect(200);
        assert_eq!((rest.body["items"][0]["version"].as_u64(), &rest.body["next"]), (Some(4), &Value::Null));

        let placed_at = items[0]["at"].as_str().unwrap();
        let then = customer.get(&format!("{path}?as_of={placed_at}")).await.expect(200);
        assert_eq!((&then.body["status"], &then.body["version"]), (&json!("pending"), &json!(1)));
        customer.get(&format!("{path}?as_of=2001-01-01T00:00:00Z")).await.problem(404, "not_found");
        let bad = customer.get(&format!("{path}?as_of=yesterday")).await.problem(400, "validation_failed");
        assert_eq!(bad.body["errors"][0]["field"], "/as_of");

        let now = customer.get(&path).await.expect(200);
        let tag = now.headers[header::ETAG].to_str().unwrap();
        assert_eq!(tag, "\"4\"");
        customer.send(Method::GET, &path, &[("if-none-match", tag)], None).await.expect(304);

        // To others it does not exist.
        for stranger in [shop.customer(), shop.guest(), shop.nobody()] {
            stranger.get(&path).await.problem(404, "not_found");
            stranger.get(&format!("{path}?as_of={placed_at}")).await.problem(404, "not_found");
            stranger.get(&format!("{path}/events")).await.problem(404, "not_found");
            stranger.post(&format!("{path}/cancel"), json!({})).await.problem(404, "not_found");
        }
        let seen = shop.staff().get(&path).await.expect(200);
        assert_eq!(seen.body.get("access_key"), None, "staff need no key");
        assert_eq!(seen.id(), id);
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_called_off_and_the_money_goes_back() {
    for shop in shops().await {
        let customer = shop.customer();
        let bought = customer.buy().await;
        let (id, path) = (bought.id(), path(&bought));
        let off = customer.post(&format!("{path}/cancel"), json!({"reason": "changed my mind"})).await.expect(200);
        assert_eq!(off.body["status"], "cancelled");
        customer.becomes(id, |order| order["payment"]["status"] == "refunded").await;
        let read = customer.get(&path).await.expect(200);
        assert_eq!(read.body["status"], "cancelled");
        assert_eq!(read.body["payment"]["refunded"]["amount"], 1789);
        assert_eq!(read.timeline(), ["pending", "confirmed", "payment_captured", "cancelled", "refunded"]);
        assert!(shop.played.commands(id).contains(&"ReleaseStock"));
        customer.post(&format!("{path}/cancel"), json!({})).await.problem(409, "invalid_order_state");
        shop.until("mails", async || {
            let events = shop.played.events(id);
            events.contains(&"OrderCancelled") && events.contains(&"OrderRefunded")
        })
        .await;

        // A guest does so with the key, also while the bank is awaited, and without a body.
        let guest = shop.guest();
        let book = shop.book(1299, 10);
        guest.put(book, 1, 1299);
        let waiting = guest.checkout("k", &order("tok_challenge")).await.problem(402, "payment_action_required");
        let (id, key) = (waiting.id(), waiting.body["access_key"].as_str().unwrap().to_owned());
        let cancel = format!("/orders/{id}/cancel?key={key}");
        shop.nobody().send(Method::POST, &cancel, &[], None).await.expect(200);
        guest.becomes(id, |order| order["payment"]["status"] == "voided").await;
        guest.checkout("k", &order("tok_challenge")).await.problem(409, "invalid_order_state");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_costs_nothing_needs_no_payment() {
    for shop in shops().await {
        let (customer, staff) = (shop.customer(), shop.staff());
        let free = shop.book(0, 10);
        let mut body = order("tok_decline");
        body["shipping_address"] = json!({
            "name": "Ann Reader", "line1": "1 rue du Louvre", "city": "Paris", "postal_code": "75001", "country": "FR"
        });
        body["shipping_method"] = json!("gift");
        let mut without = body.clone();
        without.as_object_mut().unwrap().remove("payment");
        // Any token will do, and none as well.
        for (key, body) in [("any", &body), ("none", &without)] {
            customer.put(free, 1, 0);
            let bought = customer.checkout(key, body).await.expect(201);
            customer.clear();
            let (id, path) = (bought.id(), path(&bought));
            assert_eq!(bought.body["status"], "confirmed");
            assert_eq!(
                bought.body["payment"],
                json!({"status": "not_required", "refunded": {"amount": 0, "currency": "USD"}})
            );
            assert_eq!(bought.body["actions"], json!({"cancel": true, "ship": true, "complete": false}));
            let refund = json!({"reason": "x"}).to_string();
            let head = [("idempotency-key", "k")];
            let refused = staff.send(Method::POST, &format!("{path}/refund"), &head, Some(refund)).await;
            let refused = refused.problem(409, "invalid_order_state");
            assert_eq!(refused.body["detail"], "The order was free, so there is nothing to refund.");
            if key == "any" {
                staff.post(&format!("{path}/ship"), json!({})).await.expect(200);
                staff.post(&format!("{path}/complete"), json!({})).await.expect(200);
            } else {
                customer.post(&format!("{path}/cancel"), json!({})).await.expect(200);
                shop.until("release", async || shop.played.commands(id).contains(&"ReleaseStock")).await;
            }
            let asked = shop.played.commands(id);
            assert!(!asked.iter().any(|name| name.ends_with("Payment")), "finance never hears of it: {asked:?}");
        }
        // What costs something needs one.
        customer.put(shop.book(1299, 1), 1, 1299);
        let refused = customer.checkout("paid", &without).await.problem(400, "validation_failed");
        assert_eq!(
            refused.body["errors"][0],
            json!({"field": "/payment", "message": "is required: the total is $12.99"})
        );
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelling_after_a_partial_refund_gives_the_rest_back() {
    for shop in shops().await {
        let (customer, staff) = (shop.customer(), shop.staff());
        let bought = customer.buy().await;
        let (id, path) = (bought.id(), path(&bought));
        let body = json!({"reason": "torn", "amount": {"amount": 100, "currency": "USD"}}).to_string();
        let asked = staff.send(Method::POST, &format!("{path}/refund"), &[("idempotency-key", "k")], Some(body)).await;
        let asked = asked.expect(202);
        assert_eq!(asked.body["actions"]["refund"]["amount"], 1689, "what was asked for is counted at once");
        assert_eq!(asked.body["payment"]["refunding"]["amount"], 100);
        customer.becomes(id, |order| order["payment"]["refunded"]["amount"] == 100).await;
        let read = customer.get(&path).await.expect(200);
        assert_eq!(
            read.body["actions"],
            json!({"cancel": true, "ship": true, "complete": false, "refund": {"amount": 1689, "currency": "USD"}})
        );
        assert_eq!(read.body["payment"].get("refunding"), None);
        customer.post(&format!("{path}/cancel"), json!({})).await.expect(200);
        customer.becomes(id, |order| order["payment"]["refunded"]["amount"] == 1789).await;
        let read = customer.get(&path).await.expect(200);
        assert_eq!((&read.body["status"], &read.body["payment"]["status"]), (&json!("cancelled"), &json!("refunded")));
        assert_eq!(read.body["actions"], json!({"cancel": false, "ship": false, "complete": false}));
        shop.until("release", async || shop.played.commands(id).contains(&"ReleaseStock")).await;
        let list = customer.get("/orders").await.expect(200);
        assert_eq!(list.body["items"][0].get("actions"), None, "lists leave them out");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_ship_complete_and_refund() {
    for shop in shops().await {
        let (customer, staff) = (shop.customer(), shop.staff());
        let bought = customer.buy().await;
        let (id, path) = (bought.id(), path(&bought));
        for action in ["ship", "complete", "refund"] {
            let at = format!("{path}/{action}");
            let head = [("idempotency-key", "k")];
            let body = Some(json!({"reason": "x"}).to_string());
            customer.send(Method::POST, &at, &head, body.clone()).await.problem(403, "forbidden");
            shop.nobody().send(Method::POST, &at, &head, body).await.problem(401, "unauthenticated");
        }
        staff.post(&format!("{path}/complete"), json!({})).await.problem(409, "invalid_order_state");
        let sent = staff.post(&format!("{path}/ship"), json!({"tracking": "1Z999"})).await.expect(200);
        assert_eq!((&sent.body["status"], &sent.body["tracking"]), (&json!("shipped"), &json!("1Z999")));
        let late = customer.post(&format!("{path}/cancel"), json!({})).await.problem(409, "invalid_order_state");
        assert_eq!(late.body["detail"], "The order is shipped, so it cannot be cancelled.");
        staff.send(Method::POST, &format!("{path}/complete"), &[], None).await.expect(200);

        let refund = async |key: &'static str, body: Value| {
            let head = [("idempotency-key", key)];
            staff.send(Method::POST, &format!("{path}/refund"), &head, Some(body.to_string())).await
        };
        staff.post(&format!("{path}/refund"), json!({"reason": "x"})).await.problem(400, "idempotency_key_required");
        let too_much = json!({"amount": {"amount": 1790, "currency": "USD"}, "reason": "torn"});
        let refused = refund("a", too_much).await.problem(400, "validation_failed");
        assert_eq!(refused.body["errors"][0], json!({"field": "/amount", "message": "At most $17.89."}));
        let some = json!({"amount": {"amount": 500, "currency": "USD"}, "reason": "torn page"});
        refund("b", some.clone()).await.expect(202);
        refund("b", some.clone()).await.expect(202);
        refund("b", json!({"reason": "other"})).await.problem(422, "idempotency_key_reused");
        customer.becomes(id, |order| order["payment"]["refunded"]["amount"] == 500).await;
        assert_eq!(customer.get(&path).await.expect(200).body["payment"]["status"], "partially_refunded");

        // A refund that the provider refuses can be asked for again.
        refund("c", json!({"reason": "fail"})).await.expect(202);
        customer.becomes(id, |order| order["timeline"].to_string().contains("refund_failed")).await;
        refund("d", json!({"reason": "lost"})).await.expect(202);
        customer.becomes(id, |order| order["status"] == "refunded").await;
        let refunds = shop.played.commands(id).iter().filter(|name| **name == "RefundPayment").count();
        assert_eq!(refunds, 3, "once for each key");
        shop.until("events", async || shop.played.events(id).len() == 6).await;
        let mut events = shop.played.events(id);
        events.sort_unstable();
        assert_eq!(
            events,
            ["OrderCompleted", "OrderConfirmed", "OrderCreated", "OrderRefunded", "OrderRefunded", "OrderShipped"]
        );

        // Staff see who did what; the customer does not.
        let history = staff.get(&format!("{path}/events")).await.expect(200);
        for event in history.body["items"].as_array().unwrap() {
            let kind = event["type"].as_str().unwrap();
            let by_staff = ["OrderShipped", "OrderCompleted", "RefundRequested"].contains(&kind);
            let by = if by_staff { json!(staff.name) } else { Value::Null };
            assert_eq!(event["by"]["id"], by, "{event}");
            assert_eq!(event["by"]["name"].is_string(), by_staff, "{event}");
        }
        let history = customer.get(&format!("{path}/events")).await.expect(200);
        assert!(
            history.body["items"].as_array().unwrap().iter().all(|event| event.get("by").is_none()),
            "{}",
            history.body
        );
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refunded_before_it_is_shipped_goes_back_to_the_shelf() {
    for shop in shops().await {
        let customer = shop.customer();
        let bought = customer.buy().await;
        let at = format!("{}/refund", path(&bought));
        let body = Some(json!({"reason": "sorry"}).to_string());
        shop.staff().send(Method::POST, &at, &[("idempotency-key", "k")], body).await.expect(202);
        customer.becomes(bought.id(), |order| order["status"] == "refunded").await;
        shop.until("release", async || shop.played.commands(bought.id()).contains(&"ReleaseStock")).await;
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn staff_find_an_order_by_its_customer() {
    for shop in shops().await {
        let (guest, staff) = (shop.guest(), shop.staff());
        let mut placed = Vec::new();
        for (name, email) in [("Flann O’Brien", "flann@example.org"), ("José Saramago", "JS+books@example.org")] {
            let book = shop.book(1299, 10);
            guest.put(book, 1, 1299);
            let mut order = order("tok_approve");
            order["shipping_address"]["name"] = json!(name);
            order["email"] = json!(email);
            placed.push(guest.checkout(email, &order).await.expect(201).id().to_string());
            guest.clear();
        }
        let found = async |text: &str| -> Vec<String> {
            let answer = staff.get(&format!("/orders?q={text}")).await.expect(200);
            answer.body["items"].as_array().unwrap().iter().map(|o| o["id"].as_str().unwrap().to_owned()).collect()
        };
        let (flann, jose) = (&placed[..1], &placed[1..]);
        let expected = async || {
            for (text, orders) in [
                ("flann", flann),
                ("OBRIEN", flann),
                ("o'brien%20fl", flann),
                ("jose", jose),
                ("sara%20jos%C3%A9", jose),
                ("js%2Bbooks@", jose),
                ("flann%20saramago", &[]),
                ("ann", &[]),
                ("%25", &[]),
            ] {
                assert_eq!(found(text).await, orders, "{}: {text}", shop.on);
            }
        };
        expected().await;
        assert_eq!(found("flann&status=shipped").await, [""; 0]);

        // An order of the release before has no keys; they are written in the background.
        let db = shop.service.db();
        for statement in ["DELETE FROM order_keys", "UPDATE orders SET keyed = FALSE"] {
            db.transact::<_, DbError, _>(move |tx| Box::pin(async move { tx.exec(statement, []).await }))
                .await
                .unwrap();
        }
        assert_eq!(found("flann").await, [""; 0]);
        let stop = CancellationToken::new();
        let again: Vec<_> = shop.service.loops().iter().map(|work| tokio::spawn(work.run(stop.clone()))).collect();
        shop.until("older orders are found", async || found("flann").await == flann).await;
        expected().await;
        stop.cancel();
        for worker in again {
            worker.await.unwrap();
        }
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_are_listed() {
    for shop in shops().await {
        let (ann, ben, staff) = (shop.customer(), shop.customer(), shop.staff());
        let mut mine = Vec::new();
        for _ in 0..3 {
            mine.push(ann.buy().await.id().to_string());
        }
        let theirs = ben.buy().await;
        mine.reverse();
        let ids = |answer: &Answer| -> Vec<String> {
            answer.body["items"].as_array().unwrap().iter().map(|o| o["id"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(ids(&ann.get("/orders").await.expect(200)), mine);
        let page = ann.get("/orders?limit=2").await.expect(200);
        assert_eq!(ids(&page), mine[..2]);
        let next = page.body["next"].as_str().unwrap();
        assert_eq!(ids(&ann.get(&format!("/orders?limit=2&cursor={next}")).await.expect(200)), mine[2..]);
        assert_eq!(ids(&staff.get("/orders").await.expect(200)).len(), 4);
        assert_eq!(ids(&staff.get(&format!("/orders?customer_id={}", ann.name)).await.expect(200)), mine);
        let number = theirs.body["number"].as_str().unwrap().to_lowercase();
        assert_eq!(ids(&staff.get(&format!("/orders?q={number}")).await.expect(200)), [theirs.id().to_string()]);
        for written in [number.replace('-', ""), number.replace('-', "%20"), number[3..].to_owned()] {
            let found = staff.get(&format!("/orders?q={written}")).await.expect(200);
            assert_eq!(ids(&found), [theirs.id().to_string()], "{written}");
        }
        let oldest = ids(&staff.get("/orders?sort=oldest&limit=3").await.expect(200));
        assert_eq!(oldest, mine.iter().rev().cloned().collect::<Vec<_>>());
        let page = staff.get("/orders?sort=oldest&limit=3").await.expect(200);
        let next = page.body["next"].as_str().unwrap();
        let rest = staff.get(&format!("/orders?sort=oldest&limit=3&cursor={next}")).await.expect(200);
        assert_eq!(ids(&rest), [theirs.id().to_string()]);
        assert_eq!(ids(&staff.get("/orders?q=Guest@&status=").await.expect(200)).len(), 4);
        assert_eq!(ids(&staff.get("/orders?q=%25").await.expect(200)).len(), 0, "no patterns");
        assert_eq!(ids(&ann.get("/orders?status=confirmed").await.expect(200)).len(), 3);
        assert_eq!(ids(&ann.get("/orders?status=shipped").await.expect(200)).len(), 0);
        ann.get(&format!("/orders?customer_id={}", ben.name)).await.problem(403, "forbidden");
        shop.nobody().get("/orders").await.problem(401, "unauthenticated");
        for bad in ["status=paid", "customer_id=7", "limit=0", "limit=101", "limit=x", "cursor=!", "sort=random"] {
            staff.get(&format!("/orders?{bad}")).await.expect(400);
        }
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_finds_and_repairs_what_differs() {
    for shop in shops().await {
        let customer = shop.customer();
        let (one, two) = (customer.buy().await, customer.buy().await);
        let clean = shop.service.replay().await.unwrap();
        assert_eq!((clean.orders, clean.events, clean.differing.len()), (2, 8, 0));
        let (tampered, lost, orphan) = (one.id().uuid(), two.id().uuid(), Uuid::now_v7());
        let db = shop.service.db();
        db.transact::<_, DbError, _>(move |tx| {
            Box::pin(async move {
                tx.exec("UPDATE orders SET status = 'completed' WHERE id = $1", values![tampered]).await?;
                tx.exec(
                    "INSERT INTO orders (id, number, email_key, status, placed_at, updated_at, total, currency, version, document) \
                     SELECT $1, 'BW-0000-0000', email_key, status, placed_at, updated_at, total, currency, version, document \
                     FROM orders WHERE id = $2",
                    values![orphan, lost],
                )
                .await?;
                tx.exec("DELETE FROM orders WHERE id = $1", values![lost]).await
            })
        })
        .await
        .unwrap();
        let found = shop.service.replay().await.unwrap();
        assert_eq!(found.differing.len(), 3, "{found:?}");
        for id in [tampered, lost, orphan] {
            assert!(found.differing.iter().any(|line| line.contains(&id.to_string())), "{found:?}");
        }
        assert!(shop.service.replay().await.unwrap().differing.is_empty());
        customer.get(&path(&two)).await.expect(200);

        let facts = shop.service.order_facts().await.unwrap();
        assert_eq!(facts.len(), 2);
        assert!(facts.iter().all(|fact| fact.confirmed && fact.captured == fact.total && fact.refunded.amount == 0));
        shop.close().await;
    }
}

// --- bad input -----------------------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_input_names_every_bad_field_and_changes_nothing() {
    for shop in shops().await {
        let guest = shop.guest();
        let book = shop.book(1299, 10);
        guest.put(book, 1, 1299);
        let long = "x".repeat(300);
        let cases: Vec<(&str, Value, &str)> = vec![
            ("/email", Value::Null, "/email"),
            ("/email", json!("nobody"), "/email"),
            ("/email", json!(format!("{long}@example.org")), "/email"),
            ("/shipping_address/name", json!(""), "/shipping_address/name"),
            ("/shipping_address/name", json!("a\u{0}b"), "/shipping_address/name"),
            ("/shipping_address/line1", json!(long), "/shipping_address/line1"),
            ("/shipping_address/line2", json!(long), "/shipping_address/line2"),
            ("/shipping_address/city", json!("  "), "/shipping_address/city"),
            ("/shipping_address/region", json!(long), "/shipping_address/region"),
            ("/shipping_address/postal_code", json!("123456789012345678901"), "/shipping_address/postal_code"),
            ("/shipping_address/country", json!("UK"), "/shipping_address/country"),
            ("/shipping_address/country", json!(7), "/shipping_address/country"),
            ("/shipping_address/planet", json!("Mars"), "/shipping_address/planet"),
            ("/shipping_method", json!(""), "/shipping_method"),
            ("/shipping_method", json!(long), "/shipping_method"),
            ("/payment/token", json!(""), "/payment/token"),
            ("/payment/token", json!("a b"), "/payment/token"),
            ("/payment/token", json!(long), "/payment/token"),
            ("/payment", json!("tok_approve"), "/payment"),
            ("/expected_total", json!({"amount": -1, "currency": "USD"}), "/expected_total/amount"),
            ("/expected_total", json!({"amount": 1, "currency": "???"}), "/expected_total/currency"),
            ("/expected_total", json!({"amount": 1e30, "currency": "USD"}), "/expected_total/amount"),
        ];
        for (at, value, field) in cases {
            let mut body = order("tok_approve");
            let (parent, name) = at.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap()[name] = value.clone();
            let refused = guest.checkout("k", &body).await.problem(400, "validation_failed");
            assert_eq!(refused.body["errors"][0]["field"], field, "{at} = {value}: {}", refused.body);
        }
        let mut body = order("");
        body["email"] = "x".into();
        body["shipping_address"]["city"] = "".into();
        let refused = guest.checkout("k", &body).await.problem(400, "validation_failed");
        assert_eq!(refused.body["errors"].as_array().unwrap().len(), 3, "all at once");

        let head = [("idempotency-key", "k")];
        let raw = async |head: &[(&str, &str)], body: &str| {
            guest.send(Method::POST, "/orders/checkout", head, Some(body.to_owned())).await
        };
        raw(&head, "{").await.problem(400, "malformed_body");
        raw(&head, "[]").await.problem(400, "validation_failed");
        raw(&[], "{}").await.problem(400, "idempotency_key_required");
        raw(&[("idempotency-key", "a b")], "{}").await.problem(400, "validation_failed");
        guest.send(Method::POST, "/orders/checkout", &head, None).await.problem(415, "unsupported_media_type");
        let forged = [("idempotency-key", "k"), ("authorization", "Bearer forged")];
        raw(&forged, &order("tok_approve").to_string()).await.problem(401, "invalid_token");

        let staff = shop.staff();
        let unknown = OrderId::new();
        for at in ["not-an-id", &unknown.to_string(), "0", "%00"] {
            staff.get(&format!("/orders/{at}")).await.problem(404, "not_found");
            staff.get(&format!("/orders/{at}/events")).await.problem(404, "not_found");
            for action in ["cancel", "ship", "complete", "refund"] {
                let body = Some(json!({"reason": "x"}).to_string()).filter(|_| action != "ship");
                staff
                    .send(Method::POST, &format!("/orders/{at}/{action}"), &head, body)
                    .await
                    .problem(404, "not_found");
            }
        }
        let bought = guest.checkout("good", &order("tok_approve")).await.expect(201);
        let at = format!("/orders/{}", bought.id());
        for (action, body, field) in [
            ("cancel", json!({"reason": "x".repeat(501)}), "/reason"),
            ("cancel", json!({"why": "x"}), "/why"),
            ("ship", json!({"tracking": "x".repeat(101)}), "/tracking"),
            ("ship", json!({"tracking": 1}), "/tracking"),
            ("refund", json!({}), "/reason"),
            ("refund", json!({"reason": ""}), "/reason"),
            ("refund", json!({"reason": "x".repeat(501)}), "/reason"),
            ("refund", json!({"reason": "x", "amount": {"amount": 0, "currency": "USD"}}), "/amount/amount"),
            ("refund", json!({"reason": "x", "amount": {"amount": 1.5, "currency": "USD"}}), "/amount/amount"),
        ] {
            let body = Some(body.to_string());
            let refused = staff.send(Method::POST, &format!("{at}/{action}"), &head, body).await;
            let refused = refused.problem(400, "validation_failed");
            assert_eq!(refused.body["errors"][0]["field"], field, "{action}: {}", refused.body);
        }
        assert_eq!(shop.service.order_facts().await.unwrap().len(), 1);

        // Each country has its own form, and an order shows the address as it is written there.
        let address = |country: &str, city: &str, region: &str, postal_code: &str| {
            json!({"name": "Ann Reader", "line1": "1 Main Street", "city": city, "region": region,
                "postal_code": postal_code, "country": country})
        };
        for (given, field, message) in [
            (address("US", "Reno", "NV", "x"), "postal_code", "Enter a ZIP code such as 95014."),
            (address("US", "Reno", "NV", "-"), "postal_code", "Enter a ZIP code such as 95014."),
            (address("US", "San Francisco", "", "94103"), "region", "Choose a state such as California."),
            (address("DE", "?", "", "10115"), "city", "Enter the town or city."),
            (address("DE", "Berlin", "", "ABC"), "postal_code", "Enter a postal code such as 26133."),
        ] {
            let mut body = order("tok_approve");
            body["shipping_address"] = given;
            let refused = guest.checkout("k", &body).await.problem(400, "validation_failed");
            let field = format!("/shipping_address/{field}");
            assert_eq!(refused.body["errors"], json!([{"field": field, "message": message}]));
        }
        for (key, given, kept) in [
            ("reno", address("us", "Reno", "us-nv", "895011234"), json!({"region": "NV", "postal_code": "89501-1234"})),
            ("berlin", address("DE", "Berlin", "CA", "D-10115"), json!({"region": null, "postal_code": "10115"})),
        ] {
            let mut body = order("tok_approve");
            body["shipping_address"] = given;
            guest.clear();
            guest.put(shop.book(1299, 10), 1, 1299);
            let bought = guest.checkout(key, &body).await.expect(201);
            for part in ["region", "postal_code"] {
                assert_eq!(bought.body["shipping_address"][part], kept[part], "{key}");
            }
        }

        // Text is text: it comes back as it was sent.
        let nasty = "'; DROP TABLE orders; -- <script>alert(1)</script>";
        let mut body = order("tok_approve");
        body["shipping_address"]["line1"] = nasty.into();
        guest.clear();
        guest.put(shop.book(1299, 10), 1, 1299);
        let kept = guest.checkout("nasty", &body).await.expect(201);
        assert_eq!(kept.body["shipping_address"]["line1"], nasty);
        shop.close().await;
    }
}

// --- one basket, one order -----------------------------------------------------------------------------------------

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_basket_is_ordered_once_however_many_keys_there_are() {
    for shop in shops().await {
        for buyer in [shop.guest(), shop.customer()] {
            buyer.put(shop.book(1299, 100), 2, 1299);
            let (keys, body) = ((0..20).map(|n| format!("key {n}").replace(' ', "-")), order("tok_approve"));
            let keys: Vec<String> = keys.collect();
            let answers = futures::future::join_all(keys.iter().map(|key| buyer.checkout(key, &body))).await;
            let (bought, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 201);
            assert_eq!((bought.len(), refused.len()), (1, 19), "{}", shop.on);
            for answer in refused {
                let answer = answer.problem(409, "order_in_progress");
                assert_eq!(answer.id(), bought[0].id());
                assert_eq!(answer.body["order_number"], bought[0].body["number"]);
                // The way to it that the answer names is a way for this very shopper.
                buyer.get(&path(&answer)).await.expect(200);
            }

            // Still so while what was bought has not left the basket yet, and then there is nothing to buy.
            let again = buyer.checkout("later", &body).await.problem(409, "order_in_progress");
            assert_eq!((again.id(), &again.body["order_status"]), (bought[0].id(), &json!("confirmed")));
            buyer.get("/orders/under-way").await.problem(404, "not_found");
            buyer.clear();
            buyer.checkout("later", &body).await.problem(409, "basket_empty");
            buyer.paid(bought[0].id()).await;
        }
        let captured: Vec<_> = shop.played.captured.lock().unwrap().values().copied().collect();
        assert_eq!(captured.len(), 2, "{}: each basket was paid once", shop.on);
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_waits_for_the_bank_is_shown_and_can_be_begun_again() {
    for shop in shops().await {
        let guest = shop.guest();
        shop.nobody().get("/orders/under-way").await.problem(404, "not_found");
        guest.put(shop.book(1299, 10), 1, 1299);
        guest.get("/orders/under-way").await.problem(404, "not_found");
        let first = guest.checkout("first", &order("tok_challenge")).await.problem(402, "payment_action_required");

        let second = guest.checkout("second", &order("tok_approve")).await.problem(409, "order_in_progress");
        assert_eq!((second.id(), &second.body["action_url"]), (first.id(), &json!("/pay/1")));
        let shown = guest.get("/orders/under-way").await.expect(200);
        assert_eq!((shown.id(), &shown.body["access_key"]), (first.id(), &second.body["access_key"]));
        // The repeat of the first is answered as before.
        guest.checkout("first", &order("tok_challenge")).await.problem(402, "payment_action_required");

        let key = second.body["access_key"].as_str().unwrap();
        let cancel = format!("/orders/{}/cancel?key={key}", first.id());
        guest.post(&cancel, json!({"only_unconfirmed": true})).await.expect(200);
        guest.post(&cancel, json!({"only_unconfirmed": true})).await.problem(409, "invalid_order_state");
        let bought = guest.checkout("third", &order("tok_approve")).await.expect(201);
        guest.paid(bought.id()).await;

        // The bank's late yes to the first order is let go again.
        let voids = || shop.played.commands(first.id()).iter().filter(|command| **command == "VoidPayment").count();
        let before = voids();
        let (payment_id, amount) = (PaymentId::new(), Money::new(1299 + 490, Currency::USD));
        shop.say(PaymentAuthorised { order_id: first.id(), payment_id, amount }).await;
        shop.until("the first order is off", async || {
            let first = shop.staff().get(&format!("/orders/{}", first.id())).await;
            first.body["status"] == "cancelled" && voids() >= before.max(1)
        })
        .await;
        assert!(!shop.played.commands(first.id()).contains(&"CapturePayment"), "{}", shop.on);
        assert_eq!(shop.played.captured.lock().unwrap().keys().collect::<Vec<_>>(), [&bought.id()]);

        // An order that was confirmed a moment before is not called off by somebody who meant to begin again.
        let cancel = format!("/orders/{}/cancel", bought.id());
        let refused = shop.staff().post(&cancel, json!({"only_unconfirmed": true})).await;
        refused.problem(409, "invalid_order_state");
        let still = shop.staff().get(&format!("/orders/{}", bought.id())).await;
        assert_eq!(still.body["status"], "confirmed");
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_off_gives_the_basket_back() {
    for shop in shops().await {
        let customer = shop.customer();
        customer.put(shop.book(1299, 10), 1, 1299);
        for n in 0..3 {
            let key = format!("declined-{n}");
            customer.checkout(&key, &order("tok_decline")).await.problem(402, "payment_declined");
        }
        let bought = customer.checkout("approved", &order("tok_approve")).await.expect(201);
        customer.paid(bought.id()).await;
        shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_without_an_order_is_taken_up_by_its_own_request_and_given_up_for_others() {
    for shop in shops().await {
        let guest = shop.guest();
        guest.put(shop.book(1299, 10), 1, 1299);
        let claims = || shop.world.claims.lock().unwrap().clone();
        let lose_the_claim = async |key: &str| {
            shop.world.lose_claims.store(3, SeqCst);
            guest.checkout(key, &order("tok_approve")).await.problem(503, "unavailable");
        };

        // Claimed, and then nothing: as when the program was killed at this moment. Others are asked to wait.
        lose_the_claim("first").await;
        let orphan: OrderId = claims()[0].1.parse().unwrap();
        let early = guest.checkout("second", &order("tok_approve")).await.problem(409, "request_in_progress");
        assert!(early.headers.contains_key(header::RETRY_AFTER));
        guest.get("/orders/under-way").await.problem(404, "not_found");
        // The request itself goes on with the order it had begun.
        let bought = guest.checkout("first", &order("tok_decline")).await.problem(402, "payment_declined");
        assert_eq!(bought.id(), orphan);

        // Nobody comes back, and after a while somebody else may buy. The order that was never placed never is.
        lose_the_claim("third").await;
        let orphan = claims()[0].1.clone();
        shop.world.claim_age.store(60_000, SeqCst);
        let declined = guest.checkout("fourth", &order("tok_decline")).await.problem(402, "payment_declined");
        assert_ne!(declined.id().to_string(), orphan);
        let late = guest.checkout("third", &order("tok_approve")).await.expect(201);
        assert_ne!(late.id().to_string(), orphan);

        // A tombstone outlives what the basket remembers: a claim that arrives late is of no use.
        let stranger = shop.guest();
        stranger.put(shop.book(500, 10), 1, 500);
        let claimant = {
            let mut claims = shop.world.claims.lock().unwrap();
            claims.push((basket_id(&stranger.name), orphan.clone(), "somebody".to_owned()));
            claims.len()
        };
        assert_eq!(claimant, 2);
        shop.world.claim_age.store(0, SeqCst);
        let theirs = stranger.checkout("their", &order("tok_approve")).await.expect(201);
        assert_ne!(theirs.id().to_string(), orphan);
        guest.paid(late.id()).await;
        stranger.paid(theirs.id()).await;
        shop.close().await;
    }
}
