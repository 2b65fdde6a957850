//! The finance role as the others see it: commands in, events out, provider and ledger in between. Every test runs on
//! SQLite and, when `BOOKWORM_TEST_POSTGRES` names a server, on PostgreSQL.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

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
use bookworm_db::{Databases, Db, DbError, FromRow, Sql};
use bookworm_finance::{
    Dependencies, FinanceService, OrderFacts, OrderStatus, PaymentProvider, Providers, RouterSender, SandboxProvider,
    domain::signature,
    provider::{
        AuthoriseRequest, PaymentRef, ProviderError, ProviderPayment, ProviderRefund, ProviderState, Subject,
        WebhookError, WebhookEvent, WebhookRequest,
    },
};
use bookworm_http::auth::{AccountClaims, Caller, Role};
use bookworm_kernel::{
    Cause, Clock, Currency, CustomerId, Email, ManualClock, MessageId, Money, OrderId, PaymentId, Timestamp,
};
use bookworm_messaging::{
    Bus, BusError, DeadLetter, DeadLetters, Delivery, Envelope, Follower, Message, Policy, PublishError, Subscriber,
    Tag,
};
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

    /// What was told about an order so far, oldest first: the names of the events.
    async fn told(&self, order: OrderId) -> Vec<String> {
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
        db.transact::<_, DbError, _>(move |tx| Box::pin(async move { tx.exec(sql, []).await })).await.unwrap();
    }

    async fn count(&self, sql: &str) -> i64 {
        self.db().read().scalar::<i64>(sql, []).await.unwrap().unwrap()
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
        let claims = AccountClaims {
            id: CustomerId::new(),
            email: "a@b.c".into(),
            name: "A".into(),
            roles: vec![role],
            email_confirmed: true,
        };
        self.web.clone().layer(Extension(Caller::Account(Arc::new(claims))))
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
    }
}

/// Runs a test on SQLite and, when there is a server, on PostgreSQL.
async fn on_every_database<F: Future<Output = ()>>(test: impl Fn(Shop) -> F) {
    let folder = tempfile::tempdir().unwrap();
    test(Shop::open(&Databases::Sqlite(folder.path().to_owned())).await).await;
    match std::env::var("BOOKWORM_TEST_POSTGRES") {
        Ok(url) => {
            let prefix = format!("t{}_", Uuid::new_v4().simple());
            test(Shop::open(&Databases::Postgres { url, max_connections: 8, prefix }).await).await;
        }
        Err(_) => {
            assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "BOOKWORM_TEST_POSTGRES is not set");
            eprintln!("SKIPPED on PostgreSQL: BOOKWORM_TEST_POSTGRES is not set");
        }
    }
}

#[tokio::test]
async fn an_approved_payment_is_taken_once_however_often_it_is_asked_for() {
    on_every_database(|shop| async move {
        let order = shop.authorise("tok_approve", 1299).await;
        assert_eq!(shop.told(order).await, ["PaymentAuthorised"]);
        assert!(shop.balances().await.is_empty(), "an authorisation is not booked");
        shop.capture(order).await;
        shop.capture(order).await;
        assert_eq!(shop.told(order).await, ["PaymentAuthorised", "PaymentCaptured", "PaymentCaptured"]);
        assert_eq!(shop.line.calls("capture"), 1);
        let again = shop.envelope(&CapturePayment { order_id: order });
        shop.publish(&[again.clone(), again.clone(), again]).await;
        shop.quiet().await;
        assert_eq!(shop.told(order).await.len(), 4, "the same message is answered once");
        let expected = HashMap::from([("provider_clearing".into(), 1299), ("customer_orders".into(), -1299)]);
        assert_eq!(shop.balances().await, expected);
        let payment = shop.payment(order).await;
        assert_eq!(
            (payment["status"].as_str(), payment["captured"]["amount"].as_i64()),
            (Some("captured"), Some(1299))
        );
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn a_declined_card_is_declined_and_stays_so() {
    on_every_database(|shop| async move {
        for (token, reason) in [("tok_decline", "The card was declined."), ("tok_unheard_of", "The card is not known.")]
        {
            let order = shop.authorise(token, 500).await;
            shop.send(&authorise(order, "tok_approve", 500)).await;
            assert_eq!(shop.told(order).await, ["PaymentDeclined", "PaymentDeclined"], "{token}");
            assert_eq!(shop.events(order).await[0].data["reason"], reason);
            shop.capture(order).await;
            assert_eq!(shop.told(order).await.last().unwrap(), "PaymentFailed");
            shop.void(order).await;
            assert_eq!(shop.told(order).await.last().unwrap(), "PaymentVoided");
        }
        assert!(shop.balances().await.is_empty());
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn a_challenge_ends_as_the_customer_decides() {
    on_every_database(|shop| async move {
        shop.connect();
        for (decision, status, event) in
            [("approve", "authorised", "PaymentAuthorised"), ("decline", "declined", "PaymentDeclined")]
        {
            let order = shop.authorise("tok_challenge", 2500).await;
            assert_eq!(shop.told(order).await, ["PaymentActionRequired"]);
            assert_eq!(shop.status(order).await, "action_required");
            let (url, secret) = shop.challenge(order).await;
            assert_eq!(shop.decide(&url, "guessed", decision).await.0, StatusCode::FORBIDDEN);
            assert_eq!(shop.decide(&url, &secret, "maybe").await.0, StatusCode::BAD_REQUEST);
            assert_eq!(shop.status(order).await, "action_required");
            let back = Some(format!("/orders/{order}?key=secret"));
            assert_eq!(shop.decide(&url, &secret, decision).await, (StatusCode::SEE_OTHER, back.clone()));
            assert_eq!(
                shop.told(order).await,
                ["PaymentActionRequired", event],
                "the webhook came before the redirect"
            );
            assert_eq!(shop.status(order).await, status);
            // Pressing the other button afterwards changes nothing.
            let other = if decision == "approve" { "decline" } else { "approve" };
            assert_eq!(shop.decide(&url, &secret, other).await, (StatusCode::SEE_OTHER, back));
            shop.sandbox.tick().await.unwrap();
            assert_eq!(shop.status(order).await, status);
            assert_eq!(shop.told(order).await.len(), 2);
        }
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn a_challenge_that_nobody_answers_is_declined_in_the_end() {
    on_every_database(|shop| async move {
        shop.connect();
        let order = shop.authorise("tok_challenge", 2500).await;
        let (url, secret) = shop.challenge(order).await;
        shop.advance(15 * 60);
        let (_, page) = ask(&shop.web, Request::get(&url).body(Body::empty()).unwrap()).await;
        assert!(page.contains("The time to confirm this payment is over."), "{page}");
        shop.decide(&url, &secret, "approve").await;
        assert_eq!(shop.status(order).await, "action_required", "too late to approve");
        shop.sandbox.tick().await.unwrap();
        assert_eq!(shop.told(order).await, ["PaymentActionRequired", "PaymentDeclined"]);
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn the_challenge_page_is_plain_and_safe() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::open(&Databases::Sqlite(folder.path().to_owned())).await;
    let mut command = authorise(OrderId::new(), "tok_challenge", 2500);
    command.order_number = "<script>alert(1)</script>".into();
    command.return_path = "https://evil.example/".into();
    shop.send(&command).await;
    let (url, secret) = shop.challenge(command.order_id).await;
    let (_, page) =
        ask(&shop.web, Request::get(format!("{url}?return=//evil.example")).body(Body::empty()).unwrap()).await;
    assert!(!page.contains("<script"), "{page}");
    assert!(!page.contains("evil.example"), "{page}");
    for part in
        ["<html lang=\"en\">", "<main>", "<h1>Confirm your payment</h1>", "$25.00", "Approve payment", "Decline"]
    {
        assert!(page.contains(part), "{part}");
    }
    let (status, location) = shop.decide(&url, &secret, "approve").await;
    assert_eq!((status, location), (StatusCode::OK, None), "a shop elsewhere is not returned to");
    for path in ["/sandbox/challenge/nonsense", &format!("/sandbox/challenge/{}", Uuid::new_v4())] {
        assert_eq!(ask(&shop.web, Request::get(path).body(Body::empty()).unwrap()).await.0, StatusCode::NOT_FOUND);
    }
    let (status, style) = ask(&shop.web, Request::get("/sandbox/style.css").body(Body::empty()).unwrap()).await;
    assert!(status == StatusCode::OK && style.contains("prefers-color-scheme"));
}

#[tokio::test]
async fn a_bank_that_never_answers_is_voided() {
    on_every_database(|shop| async move {
        let command = authorise(OrderId::new(), "tok_timeout", 900);
        let order = command.order_id;
        shop.publish(&[shop.envelope(&command)]).await;
        while shop.status(order).await == "none" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // The saga's patience ends while the provider is still being asked.
        shop.publish(&[shop.envelope(&VoidPayment { order_id: order })]).await;
        shop.quiet().await;
        let mut told = shop.told(order).await;
        told.sort();
        assert_eq!(told, ["PaymentDeclined", "PaymentVoided"], "never authorised");
        assert_eq!(shop.status(order).await, "voided");
        assert_eq!(shop.at_provider(order).await.unwrap().state, ProviderState::Voided);
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn a_void_that_overtakes_its_payment_keeps_the_provider_out_of_it() {
    on_every_database(|shop| async move {
        let order = OrderId::new();
        shop.void(order).await;
        shop.void(order).await;
        shop.send(&authorise(order, "tok_approve", 700)).await;
        shop.capture(order).await;
        assert_eq!(shop.told(order).await, ["PaymentVoided", "PaymentVoided", "PaymentDeclined", "PaymentFailed"]);
        assert_eq!(shop.events(order).await[2].data["reason"], "cancelled");
        assert_eq!(shop.line.calls("authorise") + shop.line.calls("void") + shop.line.calls("capture"), 0);
        assert_eq!(shop.at_provider(order).await, None);
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn answers_that_get_lost_have_their_effect_once() {
    on_every_database(|shop| async move {
        // The provider does what it is asked, and then the process dies before it can write that down: the command
        // comes again, twice.
        for operation in ["authorise", "capture", "refund"] {
            shop.line.lose(operation, 2);
        }
        let (order, id) = (shop.authorise("tok_approve", 1000).await, Uuid::now_v7());
        shop.capture(order).await;
        shop.refund(order, id, 400).await;
        for operation in ["authorise", "capture", "refund"] {
            assert_eq!(shop.line.calls(operation), 3, "{operation}");
        }
        assert_eq!(shop.told(order).await, ["PaymentAuthorised", "PaymentCaptured", "PaymentRefunded"]);
        let at_provider = shop.at_provider(order).await.unwrap();
        assert_eq!((at_provider.captured, at_provider.refunds.len()), (usd(1000), 1));
        assert_eq!(shop.balances().await["provider_clearing"], 600);

        shop.line.lose("void", 2);
        let order = shop.authorise("tok_approve", 300).await;
        shop.void(order).await;
        assert_eq!(shop.told(order).await, ["PaymentAuthorised", "PaymentVoided"]);
        assert_eq!(shop.at_provider(order).await.unwrap().state, ProviderState::Voided);
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn what_was_asked_for_is_finished_even_when_the_command_never_comes_again() {
    on_every_database(|shop| async move {
        let refund_id = Uuid::now_v7();
        let [captured, voided, refunded] = [
            shop.authorise("tok_approve", 100).await,
            shop.authorise("tok_approve", 200).await,
            shop.authorise("tok_approve", 300).await,
        ];
        shop.capture(refunded).await;
        let lost = shop.authorise("tok_challenge", 400).await;
        for operation in ["capture", "void", "refund"] {
            shop.line.lose(operation, usize::MAX);
        }
        shop.line.forget_calls();
        let (capture, void) = (CapturePayment { order_id: captured }, VoidPayment { order_id: voided });
        let commands = [shop.envelope(&capture), shop.envelope(&void), shop.envelope(&refund(refunded, refund_id, 50))];
        shop.publish(&commands).await;
        // However long the provider is away, no command is given up.
        for operation in ["capture", "void", "refund"] {
            shop.line.called(operation, 12).await;
        }
        assert_eq!(*shop.bus.dead.0.lock().unwrap(), Vec::<String>::new());
        shop.stop.cancel();
        for operation in ["capture", "void", "refund"] {
            shop.line.lose(operation, 0);
        }
        // The customer confirms, and no webhook gets through.
        let (url, secret) = shop.challenge(lost).await;
        shop.decide(&url, &secret, "approve").await;
        assert_eq!(shop.status(lost).await, "action_required");

        assert_eq!(shop.finance.follow_up().await.unwrap(), 0, "too early");
        shop.advance(61);
        assert_eq!(shop.finance.follow_up().await.unwrap(), 4);
        assert_eq!(shop.told(captured).await, ["PaymentAuthorised", "PaymentCaptured"]);
        assert_eq!(shop.told(voided).await, ["PaymentAuthorised", "PaymentVoided"]);
        assert_eq!(shop.told(refunded).await, ["PaymentAuthorised", "PaymentCaptured", "PaymentRefunded"]);
        assert_eq!(shop.told(lost).await, ["PaymentActionRequired", "PaymentAuthorised"]);
        // What is only waiting is looked at ever more rarely.
        shop.advance(61);
        assert_eq!(shop.finance.follow_up().await.unwrap(), 1);
        shop.advance(61);
        assert_eq!(shop.finance.follow_up().await.unwrap(), 0);
        shop.advance(61);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn refunds_never_give_back_more_than_was_taken() {
    on_every_database(|shop| async move {
        let order = shop.authorise("tok_approve", 1000).await;
        let early = Uuid::now_v7();
        shop.refund(order, early, 100).await;
        assert_eq!(shop.told(order).await.last().unwrap(), "RefundFailed");
        shop.capture(order).await;
        let [first, second, third] = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
        shop.refund(order, first, 400).await;
        shop.refund(order, first, 400).await;
        assert_eq!(shop.status(order).await, "partially_refunded");
        assert_eq!(shop.line.calls("refund"), 1, "a repeat asks nothing of the provider");
        // Two at once, for which only one has room.
        let both = [shop.envelope(&refund(order, second, 500)), shop.envelope(&refund(order, third, 500))];
        shop.publish(&both).await;
        shop.quiet().await;
        let told = shop.told(order).await;
        assert_eq!(told.iter().filter(|name| *name == "RefundFailed").count(), 2, "{told:?}");
        assert_eq!(shop.payment(order).await["refunded"]["amount"], 900);
        shop.refund(order, Uuid::now_v7(), 100).await;
        assert_eq!(shop.status(order).await, "refunded");
        assert_eq!(shop.balances().await.values().copied().collect::<Vec<_>>(), [0, 0]);
        shop.refund(OrderId::new(), Uuid::now_v7(), 100).await;
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn voiding_what_was_captured_gives_all_of_it_back() {
    on_every_database(|shop| async move {
        let order = shop.authorise("tok_approve", 1000).await;
        shop.capture(order).await;
        shop.refund(order, Uuid::now_v7(), 300).await;
        shop.void(order).await;
        let told = shop.told(order).await;
        assert_eq!(told[2..], ["PaymentRefunded", "PaymentRefunded", "PaymentVoided"]);
        assert_eq!(shop.events(order).await[3].data["amount"]["amount"], 700);
        shop.void(order).await;
        assert_eq!(shop.told(order).await.len(), 6);
        assert_eq!(shop.line.calls("refund"), 2);

        // The capture was given up, so finance does not know yet that there is money to give back.
        let order = shop.authorise("tok_approve", 800).await;
        shop.line.denies.store(true, Ordering::SeqCst);
        shop.line.lose("capture", 8);
        shop.capture(order).await;
        assert_eq!(std::mem::take(&mut *shop.bus.dead.0.lock().unwrap()).len(), 1);
        shop.void(order).await;
        assert_eq!(
            shop.told(order).await,
            ["PaymentAuthorised", "PaymentCaptured", "PaymentRefunded", "PaymentVoided"]
        );
        assert_eq!(shop.at_provider(order).await.unwrap().refunds[0].amount, usd(800));
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn webhooks_are_believed_only_with_a_good_signature() {
    on_every_database(|shop| async move {
        let order = shop.authorise("tok_challenge", 100).await;
        let payment = shop.payment_id(order).await;
        let body = webhook_body(Uuid::now_v7(), payment);
        let secret = shop.sandbox.webhook_secret().to_vec();
        let sign = |secret: &[u8], at: Timestamp, body: &str| Some(signature::sign(secret, at, body.as_bytes()));
        let now = shop.clock.now();
        let cases = [
            ("sandbox", None, body.clone(), 400, "malformed_request"),
            ("sandbox", Some("t=1".into()), body.clone(), 400, "malformed_request"),
            ("sandbox", Some("t=x,v1=y".into()), body.clone(), 400, "malformed_request"),
            ("sandbox", sign(b"guessed", now, &body), body.clone(), 401, "invalid_token"),
            ("sandbox", sign(&secret, now.minus(Duration::from_secs(301)), &body), body.clone(), 401, "invalid_token"),
            ("sandbox", sign(&secret, now, &body), body.replace("whatever", "captured"), 401, "invalid_token"),
            ("sandbox", sign(&secret, now, "{"), "{".into(), 400, "malformed_body"),
            ("sandbox", sign(&secret, now, "{}"), "{}".into(), 400, "malformed_body"),
            ("stripe", sign(&secret, now, &body), body.clone(), 404, "not_found"),
        ];
        for (provider, signature, body, status, code) in cases {
            let (answered, problem) = shop.post_webhook(provider, signature, body).await;
            assert_eq!(answered.as_u16(), status, "{problem}");
            assert_eq!(serde_json::from_str::<Value>(&problem).unwrap()["code"], code);
        }
        assert_eq!(shop.count("SELECT COUNT(*) FROM webhook_events").await, 0);
        assert_eq!(shop.webhook(Uuid::now_v7(), PaymentId::new()).await, StatusCode::NO_CONTENT, "not ours");
    })
    .await;
}

#[tokio::test]
async fn webhooks_that_repeat_or_come_late_change_nothing() {
    on_every_database(|shop| async move {
        shop.connect();
        let order = shop.authorise("tok_approve_late_webhook", 1500).await;
        let payment = shop.payment_id(order).await;
        shop.sandbox.tick().await.unwrap();
        assert_eq!(shop.line.calls("fetch"), 0, "not yet");
        shop.capture(order).await;
        for _ in 0..2 {
            shop.advance(3);
            shop.sandbox.tick().await.unwrap();
        }
        assert_eq!(shop.line.calls("fetch"), 2, "delivered twice");
        assert_eq!(shop.count("SELECT COUNT(*) FROM webhook_events").await, 1, "one event");
        let event = Uuid::now_v7();
        for _ in 0..3 {
            assert_eq!(shop.webhook(event, payment).await, StatusCode::NO_CONTENT);
        }
        assert_eq!(shop.told(order).await, ["PaymentAuthorised", "PaymentCaptured"]);
        assert_eq!(shop.balances().await["provider_clearing"], 1500);
        // A provider that cannot be asked is to send it again.
        shop.line.lose("fetch", 1);
        let event = Uuid::now_v7();
        assert_eq!(shop.webhook(event, payment).await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(shop.webhook(event, payment).await, StatusCode::NO_CONTENT);
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn webhooks_wait_until_the_shop_takes_them() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::open(&Databases::Sqlite(folder.path().to_owned())).await;
    shop.connect();
    let order = shop.authorise("tok_challenge", 100).await;
    let (url, secret) = shop.challenge(order).await;
    shop.line.lose("fetch", 2);
    shop.decide(&url, &secret, "approve").await;
    assert_eq!(shop.status(order).await, "action_required");
    shop.sandbox.tick().await.unwrap();
    assert_eq!(shop.line.calls("fetch"), 1, "not before its pause is over");
    shop.advance(2);
    shop.sandbox.tick().await.unwrap();
    shop.advance(4);
    shop.sandbox.tick().await.unwrap();
    assert_eq!(shop.told(order).await, ["PaymentActionRequired", "PaymentAuthorised"]);
}

#[tokio::test]
async fn commands_in_any_order_at_once_and_repeated_end_in_one_allowed_state() {
    on_every_database(|shop| async move {
        let mut orders = Vec::new();
        for round in 0..24_usize {
            let (order, refund_id) = (OrderId::new(), Uuid::now_v7());
            let mut messages = vec![
                shop.envelope(&authorise(order, "tok_approve", 1000)),
                shop.envelope(&CapturePayment { order_id: order }),
                shop.envelope(&VoidPayment { order_id: order }),
                shop.envelope(&refund(order, refund_id, 250)),
            ];
            messages.extend(messages.clone());
            // A different order of arrival each round.
            let mut n = round;
            for i in (1..messages.len()).rev() {
                messages.swap(i, n % (i + 1));
                n = n * 7 + 3;
            }
            shop.line.lose(["authorise", "capture", "void", "refund"][round % 4], 1);
            shop.publish(&messages).await;
            orders.push(order);
        }
        shop.quiet().await;
        for order in orders {
            let (payment, at_provider) = (shop.payment(order).await, shop.at_provider(order).await);
            let status = payment["status"].as_str().unwrap();
            // A void was asked for, so nothing is kept and nothing is held.
            assert!(["voided", "refunded"].contains(&status), "{payment} {:?}", shop.told(order).await);
            assert_eq!(payment["captured"], payment["refunded"]);
            if let Some(held) = at_provider {
                let refunded: i64 = held.refunds.iter().map(|refund| refund.amount.amount).sum();
                assert_eq!(held.captured.amount, refunded);
                assert!(!matches!(held.state, ProviderState::Authorised));
            }
            assert!(shop.told(order).await.contains(&"PaymentVoided".to_owned()));
        }
        shop.advance(120);
        shop.is_sound().await;
    })
    .await;
}

#[tokio::test]
async fn the_provider_does_everything_once_for_each_key() {
    on_every_database(|shop| async move {
        let (id, sandbox) = (PaymentId::new(), &shop.sandbox);
        let payment = by_id(id);
        let request = AuthoriseRequest {
            payment_id: id,
            order_id: OrderId::new(),
            order_number: "BW".into(),
            amount: usd(1000),
            token: "tok_approve".into(),
            return_path: String::new(),
        };
        let first = sandbox.authorise("k1", &request).await.unwrap();
        assert_eq!(sandbox.authorise("k1", &request).await.unwrap(), first);
        let other = AuthoriseRequest { amount: usd(2000), ..request.clone() };
        assert!(matches!(sandbox.authorise("k1", &other).await, Err(ProviderError::Refused(_))));
        assert!(matches!(sandbox.refund("r0", payment, Uuid::now_v7(), usd(1)).await, Err(ProviderError::Refused(_))));
        let captured = sandbox.capture("k2", payment).await.unwrap();
        assert_eq!(sandbox.capture("k2", payment).await.unwrap(), captured);
        assert!(matches!(sandbox.void("k3", payment).await, Err(ProviderError::Refused(_))));
        let id = Uuid::now_v7();
        let refunded = sandbox.refund("r1", payment, id, usd(600)).await.unwrap();
        assert_eq!(sandbox.refund("r1", payment, id, usd(600)).await.unwrap(), refunded);
        for (key, refund, amount) in
            [("r1", id, 500), ("r2", id, 500), ("r3", Uuid::now_v7(), 401), ("r4", Uuid::now_v7(), 0)]
        {
            assert!(
                matches!(sandbox.refund(key, payment, refund, usd(amount)).await, Err(ProviderError::Refused(_))),
                "{key}"
            );
        }
        // A void before the request: the request is refused when it comes.
        let late = PaymentId::new();
        sandbox.void("v1", by_id(late)).await.unwrap();
        let answer = sandbox.authorise("v2", &AuthoriseRequest { payment_id: late, ..request }).await.unwrap();
        assert_eq!(answer.state, ProviderState::Voided);
        assert_eq!(sandbox.fetch(by_id(PaymentId::new())).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn the_webhook_secret_is_made_once_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::Sqlite(folder.path().to_owned());
    let mut secrets = Vec::new();
    for _ in 0..2 {
        let db = databases.open(SandboxProvider::NAME).await.unwrap();
        let sandbox =
            SandboxProvider::open(db, &settings::Payment::default(), Arc::new(ManualClock::at(NOW))).await.unwrap();
        secrets.push(sandbox.webhook_secret().to_vec());
        sandbox.db().close().await;
    }
    assert_eq!(secrets[0], secrets[1]);
    assert_eq!(secrets[0].len(), 64);
}

#[tokio::test]
async fn reconciliation_names_every_difference() {
    on_every_database(|shop| async move {
        let mut facts = Vec::new();
        let mut orders = Vec::new();
        for _ in 0..6 {
            let order = shop.authorise("tok_approve", 1000).await;
            shop.send(&OrderCreated { order: summary(order, 1000) }).await;
            // The confirmation overtakes nothing here, but it may: what was heard first does not matter.
            shop.send(&OrderConfirmed { order: summary(order, 1000) }).await;
            shop.capture(order).await;
            facts.push(OrderFacts {
                order_id: order,
                status: OrderStatus::Confirmed,
                total: usd(1000),
                confirmed: true,
                payment_captured: Some(true),
                refunded: usd(0),
            });
            orders.push(order);
        }
        let report = shop.finance.reconcile(facts.clone()).await.unwrap();
        assert_eq!((report.differences, report.orders, report.payments, report.transactions), (vec![], 6, 6, 6));
        shop.advance(61);
        let (_, report) = shop.get("/api/v1/admin/reconciliation").await;
        assert_eq!((report["orders"].as_i64(), report["differences"].as_array().map(Vec::len)), (Some(6), Some(0)));

        facts[0].total = usd(999);
        facts[1].confirmed = false;
        facts[2].payment_captured = Some(false);
        facts.push(OrderFacts { order_id: OrderId::new(), ..facts[5].clone() });
        facts.remove(3);
        shop.tamper(shop.sandbox.db(), "UPDATE sandbox_payments SET captured = 900 WHERE payment_id IN (SELECT payment_id FROM sandbox_payments ORDER BY payment_id DESC LIMIT 1)").await;
        shop.tamper(shop.db(), "UPDATE ledger_entries SET amount = amount + 1 WHERE account = 'provider_clearing' AND transaction_id = (SELECT id FROM ledger_transactions ORDER BY id LIMIT 1)").await;
        let report = shop.finance.reconcile(facts).await.unwrap();
        let kinds: Vec<&str> = report.differences.iter().map(|difference| difference.kind.as_str()).collect();
        assert_eq!(
            kinds,
            [
                "captured_without_confirmed_order",
                "confirmed_without_payment",
                "ledger_captured_differs",
                "ledger_transaction_unbalanced",
                "order_captured_differs",
                "payment_without_order",
                "provider_captured_differs",
                "total_differs"
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn the_running_shop_compares_what_it_has_heard_of_orders() {
    on_every_database(|shop| async move {
        let [rejected, silent, income] = [
            shop.authorise("tok_approve", 100).await,
            shop.authorise("tok_approve", 200).await,
            shop.authorise("tok_approve", 300).await,
        ];
        shop.send(&OrderRejected { order: summary(rejected, 100), code: "c".into(), reason: "r".into() }).await;
        // An older event that comes later does not bring the order back.
        shop.send(&OrderCreated { order: summary(rejected, 100) }).await;
        shop.capture(income).await;
        shop.send(&OrderConfirmed { order: summary(income, 300) }).await;
        shop.send(&OrderCompleted { order: summary(income, 300) }).await;
        shop.send(&OrderCompleted { order: summary(income, 300) }).await;
        assert_eq!(
            shop.balances().await,
            HashMap::from([("provider_clearing".into(), 300), ("customer_orders".into(), 0), ("revenue".into(), -300)])
        );
        let (_, moving) = shop.get("/api/v1/admin/reconciliation").await;
        assert_eq!(moving["differences"], serde_json::json!([]), "what just changed is still under way");
        shop.advance(61);
        let (_, report) = shop.get("/api/v1/admin/reconciliation").await;
        let found: Vec<(&str, &str)> = report["differences"]
            .as_array()
            .unwrap()
            .iter()
            .map(|difference| (difference["kind"].as_str().unwrap(), difference["order_id"].as_str().unwrap()))
            .collect();
        assert_eq!(
            found,
            [("held_for_closed_order", rejected.to_string().as_str()), ("payment_without_order", &silent.to_string())]
        );
    })
    .await;
}

#[tokio::test]
async fn only_staff_see_money_and_lists_page_and_filter() {
    on_every_database(|shop| async move {
        let mut orders = Vec::new();
        for token in ["tok_approve", "tok_decline", "tok_approve"] {
            orders.push(shop.authorise(token, 100).await);
        }
        let (_, page) = shop.get("/api/v1/admin/payments?limit=2").await;
        let items = page["items"].as_array().unwrap();
        assert_eq!(items[0]["order_id"], orders[2].to_string(), "latest first");
        let next = page["next"].as_str().unwrap();
        let (_, rest) = shop.get(&format!("/api/v1/admin/payments?limit=2&cursor={next}")).await;
        assert_eq!(rest["items"].as_array().unwrap().len(), 1);
        assert_eq!(rest["next"], Value::Null);
        let (_, declined) = shop.get("/api/v1/admin/payments?status=declined").await;
        assert_eq!(declined["items"].as_array().unwrap().len(), 1);
        assert_eq!(declined["items"][0]["order_id"], orders[1].to_string());
        for (path, status, code) in [
            ("/api/v1/admin/payments?limit=0", 400, "validation_failed"),
            ("/api/v1/admin/payments?limit=101", 400, "validation_failed"),
            ("/api/v1/admin/payments?status=paid", 400, "validation_failed"),
            ("/api/v1/admin/payments?cursor=x", 400, "invalid_cursor"),
            ("/api/v1/admin/payments/nonsense", 404, "not_found"),
            ("/api/v1/admin/payments/0190b0a0-0000-7000-8000-000000000001", 404, "not_found"),
        ] {
            let (answered, problem) = shop.get(path).await;
            assert_eq!((answered.as_u16(), problem["code"].as_str()), (status, Some(code)), "{path} {problem}");
        }
        for path in ["payments", &format!("payments/{}", orders[0]), "ledger", "reconciliation"] {
            let request = || Request::get(format!("/api/v1/admin/{path}")).body(Body::empty()).unwrap();
            assert_eq!(ask(&shop.web, request()).await.0, StatusCode::UNAUTHORIZED, "{path}");
            assert_eq!(ask(&shop.as_role(Role::Customer), request()).await.0, StatusCode::FORBIDDEN, "{path}");
            assert_eq!(ask(&shop.staff(), request()).await.0, StatusCode::OK, "{path}");
        }
        let (status, methods) =
            ask(&shop.web, Request::get("/api/v1/payment-methods").body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::OK);
        for token in ["tok_approve", "tok_decline", "tok_challenge", "tok_timeout"] {
            assert!(methods.contains(token), "{token}");
        }
    })
    .await;
}

#[tokio::test]
async fn messages_carry_the_order_s_own_trace_even_after_a_webhook() {
    let folder = tempfile::tempdir().unwrap();
    let shop = Shop::open(&Databases::Sqlite(folder.path().to_owned())).await;
    shop.connect();
    let command = authorise(OrderId::new(), "tok_challenge", 100);
    let envelope = shop.envelope(&command);
    shop.publish(std::slice::from_ref(&envelope)).await;
    shop.quiet().await;
    let (url, secret) = shop.challenge(command.order_id).await;
    shop.decide(&url, &secret, "approve").await;
    let events = shop.events(command.order_id).await;
    assert_eq!(events.len(), 2);
    for event in events {
        assert_eq!(event.correlationid, envelope.correlationid);
        assert_ne!(event.id, MessageId::from_uuid(envelope.id.uuid()));
    }
}

/// Another company: it knows payments by its own references alone, and signs its webhooks with a key in a header.
#[derive(Default)]
struct Elsewhere(Mutex<HashMap<String, ProviderPayment>>);

impl Elsewhere {
    fn change(
        &self,
        payment: PaymentRef<'_>,
        change: impl FnOnce(&mut ProviderPayment),
    ) -> Result<ProviderPayment, ProviderError> {
        let reference = payment.reference.ok_or(ProviderError::Unavailable(None))?;
        let mut books = self.0.lock().unwrap();
        let held = books.get_mut(reference).ok_or_else(|| ProviderError::Refused("no such payment".into()))?;
        change(held);
        Ok(held.clone())
    }
}

#[async_trait]
impl PaymentProvider for Elsewhere {
    fn name(&self) -> &'static str {
        "elsewhere"
    }
    fn open_webhook(&self, request: WebhookRequest<'_>) -> Result<WebhookEvent, WebhookError> {
        if request.headers.get("x-elsewhere-key").is_none_or(|key| key != "open sesame") {
            return Err(WebhookError::Untrusted("X-Elsewhere-Key: not ours.".into()));
        }
        let body: Value = serde_json::from_slice(request.body).map_err(|_| WebhookError::NotAnEvent)?;
        let text = |name: &str| body[name].as_str().map(str::to_owned).ok_or(WebhookError::NotAnEvent);
        Ok(WebhookEvent { id: text("event")?, subject: Subject::Reference(text("charge")?) })
    }
    async fn authorise(&self, key: &str, request: &AuthoriseRequest) -> Result<ProviderPayment, ProviderError> {
        let held = ProviderPayment {
            reference: format!("ch_{key}"),
            state: ProviderState::Authorised,
            amount: request.amount,
            captured: usd(0),
            refunds: Vec::new(),
        };
        Ok(self.0.lock().unwrap().entry(held.reference.clone()).or_insert(held).clone())
    }
    async fn capture(&self, _: &str, payment: PaymentRef<'_>) -> Result<ProviderPayment, ProviderError> {
        self.change(payment, |held| (held.state, held.captured) = (ProviderState::Captured, held.amount))
    }
    async fn void(&self, _: &str, payment: PaymentRef<'_>) -> Result<ProviderPayment, ProviderError> {
        self.change(payment, |held| held.state = ProviderState::Voided)
    }
    async fn refund(
        &self,
        _: &str,
        payment: PaymentRef<'_>,
        refund: Uuid,
        amount: Money,
    ) -> Result<ProviderPayment, ProviderError> {
        self.change(payment, |held| held.refunds.push(ProviderRefund { id: refund, amount }))
    }
    async fn fetch(&self, payment: PaymentRef<'_>) -> Result<Option<ProviderPayment>, ProviderError> {
        Ok(payment.reference.and_then(|reference| self.0.lock().unwrap().get(reference).cloned()))
    }
}

#[tokio::test]
async fn a_payment_stays_with_its_provider_when_the_shop_changes_to_another() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::Sqlite(folder.path().to_owned());
    let elsewhere = Arc::new(Elsewhere::default());
    // Paid while payments went elsewhere.
    let before = Shop::open_with(&databases, |_| Providers::new(elsewhere.clone())).await;
    let (taken, held) = (before.authorise("4242", 900).await, before.authorise("4242", 400).await);
    before.capture(taken).await;
    drop(before);

    let shop = Shop::open_with(&databases, |line| Providers::new(line).with(elsewhere.clone())).await;
    let new = shop.authorise("tok_approve", 500).await;
    assert!(shop.at_provider(new).await.is_some(), "new payments go to the sandbox");
    shop.refund(taken, Uuid::now_v7(), 900).await;
    assert_eq!(shop.status(taken).await, "refunded");
    assert_eq!(shop.line.calls("refund"), 0, "the sandbox has nothing to do with it");
    // What happens there is heard of here: a charge that was taken by hand in the provider's own pages.
    let reference = format!("ch_{}:authorise", shop.payment_id(held).await);
    elsewhere.0.lock().unwrap().get_mut(&reference).unwrap().state = ProviderState::Voided;
    let post = async |key: &str, charge: &str, event: &str| {
        let body = serde_json::json!({"event": event, "charge": charge}).to_string();
        let request = Request::post("/api/v1/payments/webhooks/elsewhere").header("x-elsewhere-key", key);
        ask(&shop.web, request.body(Body::from(body)).unwrap()).await.0
    };
    assert_eq!(post("guessed", &reference, "e1").await, StatusCode::UNAUTHORIZED);
    assert_eq!(post("open sesame", "ch_of_another_shop", "e2").await, StatusCode::NO_CONTENT);
    assert_eq!(post("open sesame", &reference, "e3").await, StatusCode::NO_CONTENT);
    assert_eq!(shop.status(held).await, "voided");
    // One provider cannot speak of another's payments.
    let sandbox_reference = shop.at_provider(new).await.unwrap().reference;
    assert_eq!(post("open sesame", &sandbox_reference, "e4").await, StatusCode::NO_CONTENT);
    assert_eq!(shop.webhook(Uuid::now_v7(), shop.payment_id(held).await).await, StatusCode::NO_CONTENT);
    assert_eq!(shop.count("SELECT COUNT(*) FROM webhook_events").await, 1, "only the one that was about its own");
    shop.advance(120);
    shop.is_sound().await;
}

#[tokio::test]
async fn a_payment_whose_provider_is_gone_waits_and_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let databases = Databases::Sqlite(folder.path().to_owned());
    let elsewhere = Arc::new(Elsewhere::default());
    let before = Shop::open_with(&databases, |_| Providers::new(elsewhere.clone())).await;
    let order = before.authorise("4242", 900).await;
    before.capture(order).await;
    drop(before);

    let shop = Shop::open(&databases).await;
    shop.refund(order, Uuid::now_v7(), 900).await;
    assert_eq!(shop.bus.dead.0.lock().unwrap().len(), 1, "tried again, then left to staff");
    assert_eq!(shop.payment(order).await["refunded"]["amount"], 0);
    shop.advance(120);
    let report = shop.get("/api/v1/admin/reconciliation").await.1;
    let kinds: Vec<&str> =
        report["differences"].as_array().unwrap().iter().filter_map(|difference| difference["kind"].as_str()).collect();
    assert!(kinds.contains(&"provider_unreachable"), "{kinds:?}");
    // With its provider back, what was wanted is done.
    let shop = Shop::open_with(&databases, |line| Providers::new(line).with(elsewhere.clone())).await;
    shop.advance(7200);
    shop.finance.follow_up().await.unwrap();
    assert_eq!(shop.status(order).await, "refunded");
}
