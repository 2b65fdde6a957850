//! The finance role as the others see it: commands in, events out, provider and ledger in between. Every test runs on
//! SQLite and, when `BOOKWORM_TEST_POSTGRES` names a server, on PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod challenges;
mod commands;
mod providers;
mod reconciliation;
mod webhooks;

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{Extension, Router, body::Body};
use bookworm_config as settings;
use bookworm_contracts::{
    commands::{AuthorisePayment, CapturePayment, RefundPayment, VoidPayment},
    events::ordering::{OrderCompleted, OrderConfirmed, OrderCreated, OrderRejected, OrderSummary},
    rest::ordering::PaymentMethod,
};
use bookworm_db::{Databases, Db, FromRow, Sql};
use bookworm_finance::{
    Dependencies, FinanceService, OrderFacts, OrderStatus, PaymentProvider, Providers, RouterSender, SandboxProvider,
    domain::signature,
    provider::{
        AuthoriseRequest, PaymentRef, ProviderError, ProviderPayment, ProviderRefund, ProviderState, Subject,
        WebhookError, WebhookEvent, WebhookRequest,
    },
};
use bookworm_http::auth::{Caller, Role};
use bookworm_kernel::{Cause, Clock, Currency, Email, ManualClock, MessageId, Money, OrderId, PaymentId, Timestamp};
use bookworm_messaging::{
    Bus, BusError, DeadLetter, DeadLetters, Delivery, Envelope, Follower, Message, Policy, PublishError, Subscriber,
    Tag,
};
use bookworm_testing::{account, count, execute};
use http::{Request, StatusCode, header};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

const NOW: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

fn usd(amount: i64) -> Money {
    Money::new(amount, Currency::USD)
}

/// A bus in memory, which knows when everything was dealt with.
#[derive(Default)]
struct TestBus {
    subscribers: Mutex<Vec<(Vec<String>, Arc<Queue>)>>,
    under_way: Arc<AtomicUsize>,
    dead: DeadMessages,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<VecDeque<Delivery>>,
    under_way: Arc<AtomicUsize>,
    /// What was received and not answered, by its tag.
    leased: Mutex<HashMap<String, Delivery>>,
}

impl Queue {
    fn put(&self, delivery: &Tag, attempts: u32) {
        let taken = self.leased.lock().unwrap().remove(delivery.as_str()).unwrap();
        let again = Delivery { attempt: taken.attempt + attempts, ..taken };
        self.waiting.lock().unwrap().push_back(again);
    }
}

/// `subject: reason` of each message that was given up.
#[derive(Default)]
struct DeadMessages(Mutex<Vec<String>>);

#[async_trait]
impl DeadLetters for DeadMessages {
    async fn add(&self, _: &str, delivery: &Delivery, reason: &str) -> Result<(), BusError> {
        self.0.lock().unwrap().push(format!("{}: {reason}", delivery.envelope.subject));
        Ok(())
    }
    async fn list(&self, _: Option<Uuid>, _: u64) -> Result<Vec<DeadLetter>, BusError> {
        Ok(Vec::new())
    }
    async fn count(&self) -> Result<u64, BusError> {
        Ok(self.0.lock().unwrap().len() as u64)
    }
    async fn find(&self, _: Uuid) -> Result<Option<DeadLetter>, BusError> {
        Ok(None)
    }
    async fn remove(&self, _: Uuid) -> Result<bool, BusError> {
        Ok(false)
    }
}

#[async_trait]
impl Bus for TestBus {
    async fn publish(&self, messages: &[Envelope]) -> Result<(), PublishError> {
        for envelope in messages {
            for (subjects, queue) in self.subscribers.lock().unwrap().iter() {
                if subjects.contains(&envelope.subject) {
                    self.under_way.fetch_add(1, Ordering::SeqCst);
                    let tag = Tag::new(Uuid::now_v7().to_string());
                    let delivery = Delivery { envelope: envelope.clone(), attempt: 1, tag };
                    queue.waiting.lock().unwrap().push_back(delivery);
                }
            }
        }
        Ok(())
    }
    async fn subscribe(&self, _: &str, subjects: &[&str]) -> Result<Arc<dyn Subscriber>, BusError> {
        let queue = Arc::new(Queue { under_way: self.under_way.clone(), ..Queue::default() });
        let subjects = subjects.iter().map(|subject| (*subject).to_owned()).collect();
        self.subscribers.lock().unwrap().push((subjects, queue.clone()));
        Ok(queue)
    }
    async fn follow(&self, _: &str, _: &[&str]) -> Result<Box<dyn Follower>, BusError> {
        Err(BusError::Unavailable("finance follows nothing".into()))
    }
    async fn redeliver(&self, _: &str, _: &Envelope) -> Result<(), BusError> {
        Ok(())
    }
    fn dead_letters(&self) -> &dyn DeadLetters {
        &self.dead
    }
    async fn backlog(&self) -> Result<u64, BusError> {
        Ok(self.under_way.load(Ordering::SeqCst) as u64)
    }
    async fn prune(&self, _: Timestamp) -> Result<u64, BusError> {
        Ok(0)
    }
}

#[async_trait]
impl Subscriber for Queue {
    fn lease(&self) -> Duration {
        Duration::from_secs(30)
    }
    async fn receive(&self, max: usize) -> Result<Vec<Delivery>, BusError> {
        let taken: Vec<Delivery> = {
            let mut waiting = self.waiting.lock().unwrap();
            let count = max.min(waiting.len());
            waiting.drain(..count).collect()
        };
        if taken.is_empty() {
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        let leased = taken.iter().map(|delivery| (delivery.tag.as_str().to_owned(), delivery.clone()));
        self.leased.lock().unwrap().extend(leased);
        Ok(taken)
    }
    async fn ack(&self, deliveries: &[Tag]) -> Result<(), BusError> {
        self.under_way.fetch_sub(deliveries.len(), Ordering::SeqCst);
        Ok(())
    }
    async fn retry(&self, delivery: &Tag, _: Duration) -> Result<(), BusError> {
        self.put(delivery, 1);
        Ok(())
    }
    async fn put_back(&self, delivery: &Tag, _: Duration) -> Result<(), BusError> {
        self.put(delivery, 0);
        Ok(())
    }
    async fn extend(&self, _: &Tag) -> Result<(), BusError> {
        Ok(())
    }
}

/// The sandbox over a bad line: answers get lost after the provider has done what was asked.
struct BadLine {
    sandbox: SandboxProvider,
    lose: Mutex<HashMap<&'static str, usize>>,
    calls: Mutex<HashMap<&'static str, usize>>,
    /// Whether it says that it knows of no such payment, instead of nothing.
    denies: AtomicBool,
}

impl BadLine {
    fn lose(&self, operation: &'static str, answers: usize) {
        self.lose.lock().unwrap().insert(operation, answers);
    }

    fn calls(&self, operation: &'static str) -> usize {
        self.calls.lock().unwrap().get(operation).copied().unwrap_or(0)
    }

    fn forget_calls(&self) {
        self.calls.lock().unwrap().clear();
    }

    /// Waits until the provider was asked so often.
    async fn called(&self, operation: &'static str, times: usize) {
        for _ in 0..4000 {
            if self.calls(operation) >= times {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{operation} was called {} times", self.calls(operation));
    }

    fn carry<T>(&self, operation: &'static str, answer: Result<T, ProviderError>) -> Result<T, ProviderError> {
        *self.calls.lock().unwrap().entry(operation).or_default() += 1;
        let mut lose = self.lose.lock().unwrap();
        match lose.get_mut(operation) {
            Some(left) if *left > 0 => {
                *left -= 1;
                let denies = self.denies.load(Ordering::SeqCst);
                Err(if denies { ProviderError::Unknown } else { ProviderError::Unavailable(None) })
            }
            _ => answer,
        }
    }
}

#[async_trait]
impl PaymentProvider for BadLine {
    fn name(&self) -> &'static str {
        self.sandbox.name()
    }
    fn open_webhook(&self, request: WebhookRequest<'_>) -> Result<WebhookEvent, WebhookError> {
        self.sandbox.open_webhook(request)
    }
    fn methods(&self) -> Vec<PaymentMethod> {
        self.sandbox.methods()
    }
    async fn authorise(&self, key: &str, request: &AuthoriseRequest) -> Result<ProviderPayment, ProviderError> {
        self.carry("authorise", self.sandbox.authorise(key, request).await)
    }
    async fn capture(&self, key: &str, payment: PaymentRef<'_>) -> Result<ProviderPayment, ProviderError> {
        self.carry("capture", self.sandbox.capture(key, payment).await)
    }
    async fn void(&self, key: &str, payment: PaymentRef<'_>) -> Result<ProviderPayment, ProviderError> {
        self.carry("void", self.sandbox.void(key, payment).await)
    }
    async fn refund(
        &self,
        key: &str,
        payment: PaymentRef<'_>,
        refund: Uuid,
        amount: Money,
    ) -> Result<ProviderPayment, ProviderError> {
        self.carry("refund", self.sandbox.refund(key, payment, refund, amount).await)
    }
    async fn fetch(&self, payment: PaymentRef<'_>) -> Result<Option<ProviderPayment>, ProviderError> {
        self.carry("fetch", self.sandbox.fetch(payment).await)
    }
}

/// A payment by our id alone, as a provider may know it before it has answered.
fn by_id(id: PaymentId) -> PaymentRef<'static> {
    PaymentRef { id, reference: None }
}

struct Shop {
    finance: FinanceService,
    sandbox: SandboxProvider,
    line: Arc<BadLine>,
    bus: Arc<TestBus>,
    clock: Arc<ManualClock>,
    web: Router,
    stop: CancellationToken,
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Shop {
    async fn open(databases: &Databases) -> Self {
        Self::open_with(databases, |line| Providers::new(line)).await
    }

    /// A shop with these providers, among them the sandbox.
    async fn open_with(databases: &Databases, providers: impl FnOnce(Arc<BadLine>) -> Providers) -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        let payment = settings::Payment { timeout_seconds: 1, ..settings::Payment::default() };
        let sandbox_db = databases.open(SandboxProvider::NAME).await.unwrap();
        let sandbox = SandboxProvider::open(sandbox_db, &payment, clock.clone()).await.unwrap();
        let line = Arc::new(BadLine {
            sandbox: sandbox.clone(),
            lose: Mutex::default(),
            calls: Mutex::default(),
            denies: AtomicBool::new(false),
        });
        let db = databases.open(FinanceService::NAME).await.unwrap();
        let finance = FinanceService::open(Dependencies {
            db,
            clock: clock.clone(),
            settings: payment.clone(),
            providers: providers(line.clone()),
        })
        .await
        .unwrap();
        let (api, _) = finance.api().split_for_parts();
        let web = Router::new().nest("/api/v1", api).merge(sandbox.pages());
        let bus = Arc::new(TestBus::default());
        let stop = CancellationToken::new();
        let (initial_backoff, max_backoff) = (Duration::from_millis(1), Duration::from_millis(20));
        let policy = Policy { initial_backoff, max_backoff, max_attempts: 8, ..Policy::default() };
        for consumer in finance.consumers() {
            tokio::spawn(consumer.run(bus.clone(), clock.clone(), policy, stop.clone()));
        }
        while bus.subscribers.lock().unwrap().len() < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Self { finance, sandbox, line, bus, clock, web, stop }
    }

    /// Lets webhooks through.
    fn connect(&self) {
        self.sandbox.connect(Arc::new(RouterSender::new(self.web.clone())));
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn envelope<M: Message>(&self, message: &M) -> Envelope {
        Envelope::new(message, &Cause::start(), self.clock.now()).unwrap()
    }

    async fn publish(&self, envelopes: &[Envelope]) {
        self.bus.publish(envelopes).await.unwrap();
    }

    /// Sends a message and waits until everything sent was dealt with.
    async fn send<M: Message>(&self, message: &M) {
        self.publish(&[self.envelope(message)]).await;
        self.quiet().await;
    }

    async fn quiet(&self) {
        for _ in 0..4000 {
            if self.bus.under_way.load(Ordering::SeqCst) == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("still under way: {:?}", self.bus.dead.0.lock().unwrap());
    }

    async fn authorise(&self, token: &str, amount: i64) -> OrderId {
        let command = authorise(OrderId::new(), token, amount);
        self.send(&command).await;
        command.order_id
    }

    async fn capture(&self, order_id: OrderId) {
        self.send(&CapturePayment { order_id }).await;
    }

    async fn void(&self, order_id: OrderId) {
        self.send(&VoidPayment { order_id }).await;
    }

    async fn refund(&self, order_id: OrderId, refund_id: Uuid, amount: i64) {
        self.send(&refund(order_id, refund_id, amount)).await;
    }

    /// What was published about an order so far, oldest first: the names of the events.
    async fn published(&self, order: OrderId) -> Vec<String> {
        self.events(order).await.into_iter().map(|event| event.subject.split('.').nth(2).unwrap().to_owned()).collect()
    }

    async fn events(&self, order: OrderId) -> Vec<Envelope> {
        #[derive(FromRow)]
        struct Row {
            envelope: String,
        }
        let rows: Vec<Row> = self.db().read().all("SELECT envelope FROM outbox ORDER BY seq", []).await.unwrap();
        let all = rows.iter().map(|row| serde_json::from_str::<Envelope>(&row.envelope).unwrap());
        all.filter(|event| event.data["order_id"] == order.to_string()).collect()
    }

    fn db(&self) -> &Db {
        self.finance.db()
    }

    /// Changes a row behind the service's back.
    async fn tamper(&self, db: &Db, sql: &'static str) {
        execute(db, sql, []).await;
    }

    async fn count(&self, sql: &str) -> i64 {
        count(self.db(), sql).await
    }

    /// Balances by account, in minor units.
    async fn balances(&self) -> HashMap<String, i64> {
        let (_, body) = self.get("/api/v1/admin/ledger").await;
        let items = body["items"].as_array().unwrap().clone();
        items
            .iter()
            .map(|item| (item["account"].as_str().unwrap().to_owned(), item["balance"]["amount"].as_i64().unwrap()))
            .collect()
    }

    async fn payment(&self, order: OrderId) -> Value {
        self.get(&format!("/api/v1/admin/payments/{order}")).await.1
    }

    async fn status(&self, order: OrderId) -> String {
        self.payment(order).await["status"].as_str().unwrap_or("none").to_owned()
    }

    async fn payment_id(&self, order: OrderId) -> PaymentId {
        self.payment(order).await["id"].as_str().unwrap().parse().unwrap()
    }

    async fn at_provider(&self, order: OrderId) -> Option<ProviderPayment> {
        self.sandbox.fetch(by_id(self.payment_id(order).await)).await.unwrap()
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let (status, body) = ask(&self.staff(), Request::get(path).body(Body::empty()).unwrap()).await;
        (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
    }

    fn as_role(&self, role: Role) -> Router {
        self.web.clone().layer(Extension(Caller::Account(account(&[role]))))
    }

    fn staff(&self) -> Router {
        self.as_role(Role::Staff)
    }

    async fn webhook(&self, event: Uuid, payment: PaymentId) -> StatusCode {
        let body = webhook_body(event, payment);
        let signature = signature::sign(self.sandbox.webhook_secret(), self.clock.now(), body.as_bytes());
        self.post_webhook("sandbox", Some(signature), body).await.0
    }

    async fn post_webhook(&self, provider: &str, signature: Option<String>, body: String) -> (StatusCode, String) {
        let mut request = Request::post(format!("/api/v1/payments/webhooks/{provider}"));
        if let Some(signature) = signature {
            request = request.header("Payment-Signature", signature);
        }
        ask(&self.web, request.body(Body::from(body)).unwrap()).await
    }

    /// The challenge's address and secret.
    async fn challenge(&self, order: OrderId) -> (String, String) {
        let events = self.events(order).await;
        let event = events.iter().find(|event| event.subject.contains("PaymentActionRequired")).unwrap();
        let url = event.data["action_url"].as_str().unwrap().to_owned();
        let (status, page) = ask(&self.web, Request::get(&url).body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::OK);
        let secret = page.split("name=\"secret\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        (url, secret)
    }

    async fn decide(&self, url: &str, secret: &str, decision: &str) -> (StatusCode, Option<String>) {
        let request = Request::post(url)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(format!("secret={secret}&decision={decision}")))
            .unwrap();
        let response = self.web.clone().oneshot(request).await.unwrap();
        let location = response.headers().get(header::LOCATION).map(|value| value.to_str().unwrap().to_owned());
        (response.status(), location)
    }

    /// Nothing may ever differ; the books balance.
    async fn is_sound(&self) {
        let (status, report) = self.get("/api/v1/admin/reconciliation").await;
        assert_eq!(status, StatusCode::OK);
        let odd: Vec<&Value> = report["differences"]
            .as_array()
            .unwrap()
            .iter()
            // These tests have payments without orders.
            .filter(|difference| difference["kind"] != "payment_without_order")
            .collect();
        assert!(odd.is_empty(), "{odd:?}");
        assert_eq!(self.balances().await.values().sum::<i64>(), 0);
        assert_eq!(*self.bus.dead.0.lock().unwrap(), Vec::<String>::new());
    }
}

fn webhook_body(event: Uuid, payment: PaymentId) -> String {
    serde_json::json!({
        "id": event, "type": "payment.updated", "created": 1, "data": {"payment_id": payment, "status": "whatever"}
    })
    .to_string()
}

async fn ask(router: &Router, request: Request<Body>) -> (StatusCode, String) {
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn authorise(order_id: OrderId, token: &str, amount: i64) -> AuthorisePayment {
    AuthorisePayment {
        order_id,
        order_number: "BW-7K3M-92QX".into(),
        customer_id: None,
        amount: usd(amount),
        token: token.into(),
        return_path: format!("/orders/{order_id}?key=secret"),
    }
}

fn refund(order_id: OrderId, refund_id: Uuid, amount: i64) -> RefundPayment {
    RefundPayment { order_id, refund_id, amount: usd(amount), reason: "torn".into() }
}

fn summary(order_id: OrderId, total: i64) -> OrderSummary {
    OrderSummary {
        order_id,
        number: "BW-7K3M-92QX".into(),
        customer_id: None,
        email: Email::parse("ann@example.org").unwrap(),
        name: "Ann".into(),
        basket_id: Uuid::nil(),
        lines: vec![],
        subtotal: usd(total),
        shipping: usd(0),
        tax: usd(0),
        tax_included: false,
        shipping_address: None,
        total: usd(total),
        link: "/orders/1".into(),
        placed_at: NOW,
        placed_from: None,
        discount: None,
        coupon: None,
    }
}

/// Runs a test on SQLite and, when there is a server, on PostgreSQL.
async fn on_every_database<F: Future<Output = ()>>(test: impl Fn(Shop) -> F) {
    bookworm_testing::on_every_database(async |home| test(Shop::open(&home.databases).await).await).await;
}
