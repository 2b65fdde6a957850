//! Mails: written once for each event, delivered with patience, readable by staff only.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use axum::body::Body;
use bookworm_contracts::events::{
    identity::{CustomerRegistered, PasswordResetRequested},
    ordering::{OrderCancelled, OrderConfirmed, OrderRefunded, OrderRejected, OrderShipped, OrderSummary, OrderedLine},
};
use bookworm_db::{Databases, Db, DbError, Sql};
use bookworm_http::auth::{AccountClaims, Caller, Role};
use bookworm_kernel::{BookId, Cause, Currency, CustomerId, Email, ManualClock, Money, OrderId, Quantity, Timestamp};
use bookworm_messaging::{DbBus, Envelope, Message, Policy, SharedBus};
use bookworm_notification::{NotificationService, Outgoing, Transport, TransportError};
use http::Request;
use http_body_util::BodyExt;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

/// A transport that fails as told and remembers what it took.
#[derive(Default)]
struct Postman {
    taken: Mutex<Vec<Outgoing>>,
    failures: Mutex<Vec<TransportError>>,
}

#[async_trait]
impl Transport for Postman {
    async fn send(&self, mail: &Outgoing) -> Result<(), TransportError> {
        if let Some(failure) = self.failures.lock().unwrap().pop() {
            return Err(failure);
        }
        self.taken.lock().unwrap().push(mail.clone());
        Ok(())
    }
}

struct House {
    service: NotificationService,
    postman: Arc<Postman>,
    clock: Arc<ManualClock>,
    bus: SharedBus,
    bus_db: Db,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl House {
    async fn open(max_attempts: u32) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let databases = Databases::Sqlite(folder.path().to_owned());
        Self::open_on(databases, max_attempts, folder).await
    }

    async fn open_on(databases: Databases, max_attempts: u32, folder: tempfile::TempDir) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::parse("2026-03-01T12:00:00Z").unwrap()));
        let postman = Arc::new(Postman::default());
        let service = NotificationService::open_with(
            databases.open("notification").await.unwrap(),
            postman.clone(),
            max_attempts,
            "BookWorm",
            "https://books.example.org",
            clock.clone(),
        )
        .await
        .unwrap();
        let bus_db = databases.open("bus").await.unwrap();
        let bus: SharedBus =
            Arc::new(DbBus::open(bus_db.clone(), clock.clone(), Duration::from_secs(30)).await.unwrap());
        let stop = CancellationToken::new();
        for consumer in service.consumers() {
            tokio::spawn(consumer.run(bus.clone(), clock.clone(), Policy::default(), stop.clone()));
        }
        Self { service, postman, clock, bus, bus_db, stop, _folder: folder }
    }

    async fn tell(&self, message: &impl Message) {
        let envelope = Envelope::new(message, &Cause::start(), Timestamp::default()).unwrap();
        self.bus.publish(&[envelope]).await.unwrap();
    }

    async fn mails(&self) -> i64 {
        count(self.service.db(), "SELECT COUNT(*) FROM mails").await
    }

    async fn until_mails(&self, wanted: i64) {
        for _ in 0..500 {
            if self.mails().await == wanted && self.bus.backlog().await.unwrap() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} mails instead of {wanted}", self.mails().await);
    }
}

async fn count(db: &Db, sql: &str) -> i64 {
    let number: Result<Option<i64>, DbError> = db.read().scalar(sql, []).await;
    number.unwrap().unwrap_or(0)
}

fn order() -> OrderSummary {
    let usd = |amount| Money::new(amount, Currency::USD);
    let line = |title: &str, quantity, price| OrderedLine {
        book_id: BookId::new(),
        title: title.to_owned(),
        quantity: Quantity::new(quantity).unwrap(),
        unit_price: usd(price),
        line_total: usd(price * quantity),
    };
    OrderSummary {
        order_id: OrderId::new(),
        number: "BW-7K3M-92QX".to_owned(),
        customer_id: None,
        email: Email::parse("ann@reader.test").unwrap(),
        name: "Ann Reader".to_owned(),
        basket_id: Uuid::now_v7(),
        lines: vec![line("The Dispossessed", 2, 1299), line("<b>Bold</b> & 'quoted'", 1, 500)],
        subtotal: usd(3098),
        shipping: usd(490),
        tax: usd(0),
        total: usd(3588),
        link: "/orders/0190?key=secret".to_owned(),
        placed_at: Timestamp::default(),
    }
}

#[tokio::test]
async fn the_confirmation_says_what_was_bought_and_escapes_it() {
    let house = House::open(3).await;
    house.tell(&OrderConfirmed { order: order() }).await;
    house.until_mails(1).await;
    assert_eq!(house.service.deliver().await.unwrap(), 1);
    let mail = house.postman.taken.lock().unwrap()[0].clone();
    assert_eq!((mail.to.as_str(), mail.subject.as_str()), ("ann@reader.test", "Your order BW-7K3M-92QX"));
    insta::assert_snapshot!(mail.text, @r"
    Dear Ann Reader,

    we have your order BW-7K3M-92QX, and your books are set aside for you. We write
    again when they are on their way.

      2 x The Dispossessed: $25.98
      1 x <b>Bold</b> & 'quoted': $5.00

      Books     $30.98
      Delivery  $4.90
      Tax       $0.00
      Total     $35.88

    See your order: https://books.example.org/orders/0190?key=secret

    -- 
    BookWorm
    https://books.example.org
    ");
    assert!(mail.html.contains("&#60;b&#62;Bold&#60;/b&#62;") && !mail.html.contains("<b>Bold"), "{}", mail.html);
    house.stop.cancel();
}

#[tokio::test]
async fn each_event_is_one_mail_however_often_it_comes() {
    let house = House::open(3).await;
    let usd = |amount| Money::new(amount, Currency::USD);
    house
        .tell(&CustomerRegistered {
            customer_id: CustomerId::new(),
            email: Email::parse("ann@reader.test").unwrap(),
            name: "Ann".to_owned(),
        })
        .await;
    house
        .tell(&OrderRejected {
            order: order(),
            code: "payment_declined".into(),
            reason: "The card was declined.".into(),
        })
        .await;
    house.tell(&OrderCancelled { order: order(), reason: String::new() }).await;
    house.tell(&OrderShipped { order: order(), tracking: Some("1Z".into()) }).await;
    house.tell(&OrderRefunded { order: order(), amount: usd(400), reason: "a torn page".into() }).await;
    house.tell(&OrderConfirmed { order: order() }).await;
    house.until_mails(6).await;
    // The bus hands everything out again, as after lost acknowledgements.
    house
        .bus_db
        .transact::<_, DbError, _>(|tx| {
            Box::pin(async move {
                let again = "INSERT INTO bus_deliveries (consumer, seq, attempts, due_at) \
                             SELECT 'notification.mails', seq, 1, 0 FROM bus_messages";
                tx.exec(again, []).await
            })
        })
        .await
        .unwrap();
    house.until_mails(6).await;
    assert_eq!(house.mails().await, 6);
    assert_eq!(house.service.deliver().await.unwrap(), 6);
    assert_eq!(house.service.deliver().await.unwrap(), 0, "none is sent twice");
    house.stop.cancel();
}

#[tokio::test]
async fn a_mail_waits_longer_each_time_and_is_given_up_in_the_end() {
    let house = House::open(2).await;
    let later = || TransportError::Later("the mail server cannot be reached".to_owned());
    house.postman.failures.lock().unwrap().extend([later(), later()]);
    house.tell(&OrderConfirmed { order: order() }).await;
    house.until_mails(1).await;
    assert_eq!(house.service.deliver().await.unwrap(), 1);
    assert_eq!(house.service.deliver().await.unwrap(), 0, "it is not due yet");
    house.clock.advance(Duration::from_secs(5));
    assert_eq!(house.service.deliver().await.unwrap(), 1);
    assert_eq!(count(house.service.db(), "SELECT COUNT(*) FROM mails WHERE status = 'failed'").await, 1);
    house.clock.advance(Duration::from_secs(7200));
    assert_eq!(house.service.deliver().await.unwrap(), 0);
    house.stop.cancel();
}

#[tokio::test]
async fn a_mail_whose_sender_died_is_sent_by_the_next() {
    let house = House::open(8).await;
    house.tell(&OrderConfirmed { order: order() }).await;
    house.until_mails(1).await;
    // A process leased the mail and died.
    let until = 2 * 60 * 1_000_000 + Timestamp::parse("2026-03-01T12:00:00Z").unwrap().micros();
    house
        .service
        .db()
        .transact::<_, DbError, _>(move |tx| {
            Box::pin(async move { tx.exec("UPDATE mails SET due_at = $1", bookworm_db::values![until]).await })
        })
        .await
        .unwrap();
    assert_eq!(house.service.deliver().await.unwrap(), 0);
    house.clock.advance(Duration::from_secs(121));
    assert_eq!(house.service.deliver().await.unwrap(), 1);
    assert_eq!(house.postman.taken.lock().unwrap().len(), 1);
    house.stop.cancel();
}

#[tokio::test]
async fn the_queue_works_on_postgresql() {
    let Ok(url) = std::env::var("BOOKWORM_TEST_POSTGRES") else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "BOOKWORM_TEST_POSTGRES must be set in CI");
        eprintln!("*** SKIPPED on PostgreSQL: BOOKWORM_TEST_POSTGRES is not set (run scripts/with-postgres) ***");
        return;
    };
    let prefix = format!("n{}_", Uuid::now_v7().simple());
    let databases = Databases::Postgres { url, max_connections: 4, prefix };
    let house = House::open_on(databases, 2, tempfile::tempdir().unwrap()).await;
    house.tell(&OrderConfirmed { order: order() }).await;
    house.until_mails(1).await;
    assert_eq!(house.service.deliver().await.unwrap(), 1);
    assert_eq!(count(house.service.db(), "SELECT COUNT(*) FROM mails WHERE status = 'sent'").await, 1);
    house.stop.cancel();
}

#[tokio::test]
async fn only_administrators_read_a_link_that_sets_a_password() {
    let house = House::open(2).await;
    let event = PasswordResetRequested {
        customer_id: CustomerId::new(),
        email: Email::parse("ann@reader.test").unwrap(),
        name: "Ann".to_owned(),
        token: "the-secret".to_owned(),
        minutes: 60,
    };
    house.tell(&event).await;
    house.until_mails(1).await;
    assert_eq!(house.service.deliver().await.unwrap(), 1);
    let sent = house.postman.taken.lock().unwrap()[0].clone();
    assert!(sent.text.contains("https://books.example.org/reset-password?token=the-secret"), "{}", sent.text);
    for (roles, sees) in [(vec![Role::Staff], false), (vec![Role::Staff, Role::Admin], true)] {
        let account = AccountClaims { id: CustomerId::new(), email: "x@shop.test".into(), name: "X".into(), roles };
        let (api, _) = house.service.api().split_for_parts();
        for path in ["/admin/mail".to_owned(), format!("/admin/mail/{}", sent.id)] {
            let mut request = Request::get(path).body(Body::empty()).unwrap();
            request.extensions_mut().insert(Caller::Account(Arc::new(account.clone())));
            let answer = api.clone().oneshot(request).await.unwrap();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let text = String::from_utf8_lossy(&body);
            assert!(text.contains("password_reset"), "{text}");
            assert_eq!(text.contains("the-secret"), sees, "{text}");
        }
    }
    house.stop.cancel();
}
