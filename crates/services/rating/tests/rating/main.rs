//! The rating role from the outside: HTTP and events, on each database.
#![expect(clippy::unwrap_used, reason = "a test may")]

mod invitations;
mod lists;
mod moderation;
mod rated;
mod summary;
mod writing;

use std::sync::Arc;

use axum::Extension;
use bookworm_contracts::{
    events::ordering::{OrderCompleted, OrderSummary, OrderedLine},
    grpc::{
        Edge,
        ai::{
            CompleteChunk, CompleteRequest, EmbedRequest, EmbedResponse, StatusRequest, StatusResponse, Vector,
            ai_server::{Ai, AiServer},
        },
        catalog::{
            Book, GetBooksRequest, GetBooksResponse,
            catalog_client::CatalogClient,
            catalog_server::{Catalog, CatalogServer},
        },
        methods,
    },
};
use bookworm_http::{auth::AccountClaims, auth::Role, context};
use bookworm_kernel::{BookId, Clock, Currency, CustomerId, Email, ManualClock, Money, OrderId, Quantity};
use bookworm_messaging::{Message, Policy, Subscriber};
use bookworm_rating::{Dependencies, RatingService};
use bookworm_testing::{
    Client, NOW, Response, Running, TestDatabases, TokenMint, account, bus, clock, count, eventually, publish, until,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tonic::Status;
use uuid::Uuid;

/// A catalogue that sells every book but number 404.
struct Shelf;

#[tonic::async_trait]
impl Catalog for Shelf {
    async fn get_books(
        &self,
        request: tonic::Request<GetBooksRequest>,
    ) -> Result<tonic::Response<GetBooksResponse>, Status> {
        let ids = request.into_inner().ids.into_iter().filter(|id| *id != book(404).to_string());
        let books = ids.map(|id| Book { id, currency: "USD".to_owned(), ..Book::default() });
        Ok(tonic::Response::new(GetBooksResponse { books: books.collect() }))
    }
}

/// A model that knows what three words are about and whether a sentence praises. It breaks where a text says so.
struct Model;

#[tonic::async_trait]
impl Ai for Model {
    type CompleteStream = futures::stream::Empty<Result<CompleteChunk, Status>>;

    async fn complete(
        &self,
        _: tonic::Request<CompleteRequest>,
    ) -> Result<tonic::Response<Self::CompleteStream>, Status> {
        Err(Status::unavailable("no language model"))
    }

    async fn embed(&self, request: tonic::Request<EmbedRequest>) -> Result<tonic::Response<EmbedResponse>, Status> {
        let texts = request.into_inner().texts;
        if texts.iter().any(|text| text.contains("\u{1F4A5}")) {
            return Err(Status::invalid_argument("nobody can read this"));
        }
        if texts.iter().any(|text| text.contains("out of order")) {
            return Err(Status::unavailable("out of order"));
        }
        let vectors = texts.iter().map(|text| {
            let text = text.to_lowercase();
            let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
            let about = if has(&["writing"]) {
                0
            } else if has(&["story", "plot"]) {
                1
            } else {
                2
            };
            let mut values = vec![0.0; 4];
            values[3] = match (has(&["loved", "beautiful", "gripping"]), has(&["disappoint", "dull", "weak"])) {
                (true, false) => 0.6,
                (false, true) => -0.6,
                _ => 0.0,
            };
            values[about] = f32::sqrt(1.0 - values[3] * values[3]);
            Vector { values }
        });
        Ok(tonic::Response::new(EmbedResponse { vectors: vectors.collect(), model: "words".to_owned() }))
    }

    async fn status(&self, _: tonic::Request<StatusRequest>) -> Result<tonic::Response<StatusResponse>, Status> {
        Err(Status::unavailable("nobody asks this here"))
    }
}

fn book(n: u128) -> BookId {
    BookId::from_uuid(Uuid::from_u128(n))
}

struct Shop {
    service: RatingService,
    client: Client,
    clock: Arc<ManualClock>,
}

impl Shop {
    async fn open(home: &TestDatabases) -> Self {
        let clock = clock();
        let db = home.databases.open(RatingService::NAME).await.unwrap();
        let catalog = CatalogClient::new(Edge::local("test.catalog", CatalogServer::new(Shelf), methods::CATALOG));
        let service = RatingService::open(Dependencies {
            db,
            clock: clock.clone(),
            catalog,
            model: Some(Edge::local("test.ai", AiServer::new(Model), methods::AI)),
            invite_after_days: 3,
            invitation_valid_days: 60,
        })
        .await
        .unwrap();
        let (api, _) = service.api().split_for_parts();
        let mint = TokenMint::new(clock.clone());
        let app = api.layer(Extension(mint.verifier())).layer(bookworm_http::Stack::new().with(context::layer));
        Self { service, client: Client::new(app), clock }
    }

    async fn close(self) {
        self.service.db().close().await;
    }

    /// The orders of `buyers` with this book are complete; one of `None` is a guest's.
    async fn complete(&self, home: &TestDatabases, book: BookId, buyers: &[Option<CustomerId>]) {
        let orders: Vec<_> = buyers.iter().map(|buyer| completed(book, *buyer)).collect();
        self.react(home, &orders).await;
    }

    /// The role reacts to these messages.
    async fn react<M: Message>(&self, home: &TestDatabases, messages: &[M]) {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let bus = bus(&home.another(), clock.clone()).await;
        let mut running = Running::new();
        for consumer in self.service.consumers() {
            running.consumer(consumer, &bus, clock.clone(), Policy::default());
        }
        let inbox = "SELECT COUNT(*) FROM inbox";
        let before = count(self.service.db(), inbox).await;
        for message in messages {
            publish(&bus, message).await;
        }
        eventually("the role reacted to every message", async || {
            count(self.service.db(), inbox).await == before + messages.len() as i64
        })
        .await;
        running.stop().await;
    }

    async fn write(&self, who: &Arc<AccountClaims>, book: BookId, body: Value) -> Response {
        self.client.post(&format!("/books/{book}/reviews")).caller(who.clone()).json(&body).send().await
    }

    /// Writes a review and returns its id.
    async fn review(&self, who: &Arc<AccountClaims>, book: BookId, body: Value) -> String {
        self.write(who, book, body).await.expect(201).string("id")
    }

    async fn get(&self, path: &str) -> Response {
        self.client.get(path).send().await
    }

    async fn get_as(&self, who: &Arc<AccountClaims>, path: &str) -> Response {
        self.client.get(path).caller(who.clone()).send().await
    }

    async fn decide(&self, staff: &Arc<AccountClaims>, review: &str, body: Value) -> Response {
        let request = self.client.post(&format!("/admin/reviews/{review}/decision")).caller(staff.clone());
        request.header("if-match", "*").json(&body).send().await
    }

    /// Where a review stands, and why.
    async fn standing(&self, who: &Arc<AccountClaims>, review: &str) -> (String, String) {
        let body = self.get_as(who, &format!("/reviews/{review}")).await.expect(200).body;
        let text = |member: &str| body["standing"][member].as_str().unwrap_or_default().to_owned();
        (text("status"), text("reason"))
    }

    /// The ratings in a list of reviews.
    async fn ratings(&self, path: &str) -> Vec<f64> {
        let body = self.get(path).await.expect(200).body;
        body["items"].as_array().unwrap().iter().map(|review| review["rating"].as_f64().unwrap()).collect()
    }
}

/// Hears what the role publishes of one kind.
struct Listener<M> {
    subscriber: Arc<dyn Subscriber>,
    running: Running,
    kind: std::marker::PhantomData<M>,
}

impl<M: Message + DeserializeOwned> Listener<M> {
    async fn new(shop: &Shop, home: &TestDatabases) -> Self {
        let clock: Arc<dyn Clock> = shop.clock.clone();
        let bus = bus(&home.another(), clock).await;
        let subscriber = bus.subscribe("test", &[M::SUBJECT]).await.unwrap();
        let mut running = Running::new();
        running.relay(shop.service.outbox().source(shop.service.db()), &bus);
        Self { subscriber, running, kind: std::marker::PhantomData }
    }

    /// The next `n` messages.
    async fn heard(&self, n: usize) -> Vec<M> {
        let mut heard: Vec<M> = Vec::new();
        while heard.len() < n {
            let received = until("the messages are published", async || {
                let received = self.subscriber.receive(n - heard.len()).await.unwrap();
                (!received.is_empty()).then_some(received)
            });
            for delivery in received.await {
                self.subscriber.ack(std::slice::from_ref(&delivery.tag)).await.unwrap();
                heard.push(serde_json::from_value(delivery.envelope.data.clone()).unwrap());
            }
        }
        heard
    }

    async fn stop(self) {
        self.running.stop().await;
    }
}

fn customer() -> Arc<AccountClaims> {
    account(&[Role::Customer])
}

fn staff() -> Arc<AccountClaims> {
    account(&[Role::Staff])
}

fn completed(book_id: BookId, customer_id: Option<CustomerId>) -> OrderCompleted {
    let money = Money::new(1000, Currency::USD);
    OrderCompleted {
        order: OrderSummary {
            order_id: OrderId::new(),
            number: "B-1".to_owned(),
            customer_id,
            email: Email::parse("ann@example.org").unwrap(),
            name: "Ann".to_owned(),
            shipping_address: None,
            basket_id: Uuid::now_v7(),
            lines: vec![OrderedLine {
                book_id,
                title: "A Book".to_owned(),
                language: None,
                quantity: Quantity::new(1).unwrap(),
                unit_price: money,
                line_total: money,
            }],
            subtotal: money,
            shipping: money,
            tax: money,
            tax_included: false,
            total: money,
            link: "/orders/1".to_owned(),
            placed_at: NOW,
            placed_from: None,
            discount: None,
            coupon: None,
        },
    }
}
