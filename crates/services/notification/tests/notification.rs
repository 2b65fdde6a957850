//! Mails: written once for each event, retried until delivered, readable by staff only.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bookworm_config::{Mail, MailLimits, MailQuota};
use bookworm_contracts::{
    events::{
        chat::{AnsweredByMail, TranscriptLine, TranscriptRequested},
        identity::{EmailConfirmationRequested, EmailConfirmed, PasswordResetRequested},
        notification::ContactRequested,
        ordering::{
            OrderCancelled, OrderConfirmed, OrderRefunded, OrderRejected, OrderShipped, OrderSummary, OrderedLine,
        },
        rating::{InvitedBook, ReviewInvited},
    },
    grpc::{
        Edge, methods,
        notification::{AdmitRequest, AdmitResponse, mailroom_client::MailroomClient},
    },
};
use bookworm_db::{Db, DbError, Sql};
use bookworm_http::auth::Role;
use bookworm_kernel::{
    BookId, ConversationId, Currency, CustomerId, Email, ManualClock, Money, OrderId, Quantity, TimeZone, Timestamp,
};
use bookworm_messaging::{Consumer, Message, Policy, SharedBus};
use bookworm_notification::{Dependencies, Handover, NotificationService, Outgoing, Transport, TransportError};
use bookworm_testing::{
    Client, NOW, Running, TestDatabases, account, count, eventually, execute, on_every_database, publish, until,
};
use http::StatusCode;
use serde_json::json;
use uuid::Uuid;

on_every_database!(
    the_confirmation_says_what_was_bought_and_escapes_it,
    sums_of_mails_add_up_and_nothing_untrue_is_promised,
    each_event_is_one_mail_however_often_it_comes,
    a_mail_waits_longer_each_time_and_is_given_up_in_the_end,
    a_mail_whose_sender_died_is_sent_by_the_next,
    only_administrators_read_a_link_that_sets_a_password,
    every_mail_says_the_same_in_both_parts_and_why_it_came,
    without_a_mail_server_a_mail_is_kept_and_never_called_sent,
    a_stranger_gets_a_fixed_text_and_the_rest_only_after_following_the_link,
    a_confirmed_address_gets_its_transcript_at_once,
    the_mail_that_confirms_an_address_holds_no_word_of_whoever_named_it,
    limits_hold_for_senders_mailboxes_and_all_and_outlive_a_restart,
    many_at_once_get_no_more_than_the_limit,
    a_message_to_the_shop_is_published_once_and_strangers_send_so_many,
    a_message_that_is_sent_again_after_a_lost_answer_stays_one,
    who_has_the_books_is_asked_with_a_link_for_each_and_a_way_to_end_it,
    a_link_beyond_the_limit_is_shown_as_refused_and_keeps_no_other_back,
    orders_to_one_mailbox_are_confirmed_up_to_the_limit_and_the_rest_is_kept_for_staff,
);

/// A transport that fails as told and remembers what it took.
#[derive(Default)]
struct Postman {
    taken: Mutex<Vec<Outgoing>>,
    failures: Mutex<Vec<TransportError>>,
}

#[async_trait]
impl Transport for Postman {
    async fn send(&self, mail: &Outgoing) -> Result<Handover, TransportError> {
        if let Some(failure) = self.failures.lock().unwrap().pop() {
            return Err(failure);
        }
        self.taken.lock().unwrap().push(mail.clone());
        Ok(Handover::Sent)
    }
}

struct Shop {
    service: NotificationService,
    postman: Arc<Postman>,
    clock: Arc<ManualClock>,
    bus: SharedBus,
    bus_db: Db,
    running: Running,
}

impl Shop {
    async fn open(home: &TestDatabases, max_attempts: u32) -> Self {
        Self::with(home, Mail { max_attempts, ..Mail::default() }).await
    }

    async fn with(home: &TestDatabases, settings: Mail) -> Self {
        let (clock, postman) = (bookworm_testing::clock(), Arc::new(Postman::default()));
        let service = open(home, postman.clone(), settings, &clock).await;
        let bus_db = home.databases.open("bus").await.unwrap();
        let bus = bookworm_testing::bus(home, clock.clone()).await;
        let running = react(&service, &bus, &clock);
        Self { service, postman, clock, bus, bus_db, running }
    }

    async fn publish(&self, message: &impl Message) {
        bookworm_testing::publish(&self.bus, message).await;
    }

    async fn mails(&self) -> i64 {
        count(self.service.db(), "SELECT COUNT(*) FROM mails").await
    }

    async fn until_mails(&self, wanted: i64) {
        let there = async || self.mails().await == wanted && self.bus.backlog().await.unwrap() == 0;
        eventually(&format!("there are {wanted} mails"), there).await;
    }

    fn client(&self) -> Client {
        Client::new(self.service.api().split_for_parts().0)
    }
}

async fn open(
    home: &TestDatabases,
    transport: Arc<dyn Transport>,
    settings: Mail,
    clock: &Arc<ManualClock>,
) -> NotificationService {
    let dependencies = Dependencies {
        db: home.databases.open("notification").await.unwrap(),
        clock: clock.clone(),
        settings,
        transport,
        shop_name: "BookWorm".to_owned(),
        origin: "https://books.example.org".to_owned(),
        time_zone: TimeZone::parse("Europe/Berlin").unwrap(),
    };
    NotificationService::open(dependencies).await.unwrap()
}

/// Starts what the service does with messages.
fn react(service: &NotificationService, bus: &SharedBus, clock: &Arc<ManualClock>) -> Running {
    let mut running = Running::new();
    for consumer in service.consumers() {
        running.consumer(consumer, bus, clock.clone(), Policy::default());
    }
    running
}

fn order() -> OrderSummary {
    let usd = |amount| Money::new(amount, Currency::USD);
    let line = |title: &str, quantity, price| OrderedLine {
        book_id: BookId::new(),
        title: title.to_owned(),
        language: None,
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
        tax_included: false,
        shipping_address: Some(bookworm_contracts::events::ordering::Address {
            name: "Ann Reader".to_owned(),
            line1: "1 Main Street".to_owned(),
            city: "Portland".to_owned(),
            region: Some("OR".to_owned()),
            postal_code: "97201".to_owned(),
            country: "US".to_owned(),
            ..Default::default()
        }),
        total: usd(3588),
        link: "/orders/0190?key=secret".to_owned(),
        placed_at: Timestamp::default(),
        placed_from: None,
        discount: None,
        coupon: None,
    }
}

async fn a_message_to_the_shop_is_published_once_and_strangers_send_so_many(home: &TestDatabases) {
    let contact = MailQuota { sender_hour: 2, ..MailLimits::default().contact };
    let limits = MailLimits { contact, ..MailLimits::default() };
    let mut shop = Shop::with(home, Mail { limits, ..Mail::default() }).await;
    shop.running.relay(shop.service.outbox(), &shop.bus);
    let (came, mut coming) = tokio::sync::mpsc::unbounded_channel();
    let consumer = Consumer::new("a.test").on::<ContactRequested, _, _>(move |message| {
        let _ = came.send(message.body);
        std::future::ready(Ok(()))
    });
    shop.running.consumer(consumer, &shop.bus, shop.clock.clone(), Policy::default());
    let write = async |body: serde_json::Value| shop.client().post("/contact").json(&body).send().await;
    for wrong in [json!({"text": "Hello?"}), json!({"email": "ann@reader.test", "text": " "}), json!({"email": "ann"})]
    {
        assert_eq!(write(wrong.clone()).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let good = json!({"name": "Ann", "email": "ann@reader.test", "text": "Hello?\nIs anybody there?"});
    let taken = write(good.clone()).await.expect(StatusCode::ACCEPTED).body;
    let event = coming.recv().await.unwrap();
    assert_eq!(json!(event.conversation_id), taken["conversation_id"]);
    assert_eq!((event.account, event.name.as_str(), event.email.as_str()), (None, "Ann", "ann@reader.test"));
    assert_eq!(event.text, "Hello?\nIs anybody there?");

    // The account's own address counts, whatever the form says.
    let account = account(&[Role::Customer]);
    let (id, email) = (account.id, account.email.clone());
    let own = shop.client().post("/contact").caller(account).json(&good).send().await;
    assert_eq!(own.status, StatusCode::ACCEPTED);
    let event = coming.recv().await.unwrap();
    assert_eq!((event.account.unwrap().id, event.email.as_str()), (id, email.as_str()));

    let refused = write(good).await;
    assert!(refused.is_problem("too_many_requests"), "{:?}", refused.body);
    assert!(refused.header("retry-after").is_some());
    // What was written takes nothing from the mails that answer it.
    for n in 0..5 {
        assert!(shop.admit("chat_transcript", &format!("s{n}"), "ann@reader.test", false).await.granted, "{n}");
    }
    eventually("each was dealt with", async || shop.bus.backlog().await.unwrap() == 0).await;
    assert!(coming.try_recv().is_err(), "nothing else was published");
}

async fn a_message_that_is_sent_again_after_a_lost_answer_stays_one(home: &TestDatabases) {
    let contact = MailQuota { sender_hour: 2, ..MailLimits::default().contact };
    let limits = MailLimits { contact, ..MailLimits::default() };
    let shop = Shop::with(home, Mail { limits, ..Mail::default() }).await;
    let body = json!({"name": "Ann", "email": "ann@reader.test", "text": "Hello?"});
    let send = async |key: &str, body: &serde_json::Value| {
        shop.client().post("/contact").header("idempotency-key", key).json(body).send().await
    };
    let first = send("one", &body).await.expect(StatusCode::ACCEPTED).body;
    for _ in 0..3 {
        let again = send("one", &body).await.expect(StatusCode::ACCEPTED).body;
        assert_eq!(again, first, "the same conversation, and no limit counts it");
    }
    // At once, both before either is stored.
    let (left, right) = tokio::join!(send("two", &body), send("two", &body));
    assert_eq!((left.status, left.body), (StatusCode::ACCEPTED, right.body.clone()));
    assert_ne!(right.body, first);
    let other = json!({"name": "Ann", "email": "ann@reader.test", "text": "Something else"});
    assert!(send("one", &other).await.is_problem("idempotency_key_reused"));
    assert!(send("", &body).await.is_problem("validation_failed"));
    let stored = count(shop.service.db(), "SELECT COUNT(*) FROM outbox").await;
    assert_eq!(stored, 2, "one for each message");
    // Somebody else may choose the same key; a message without one is a message each time.
    let bob = json!({"name": "Bob", "email": "bob@reader.test", "text": "Hello?"});
    for _ in 0..2 {
        let refused = send("one", &bob).await;
        assert!(refused.is_problem("too_many_requests"), "two of this client: {:?}", refused.body);
    }
    shop.clock.advance(Duration::from_secs(2 * 3600));
    let _ = send("one", &bob).await.expect(StatusCode::ACCEPTED);
    shop.running.stop().await;
}

async fn the_confirmation_says_what_was_bought_and_escapes_it(home: &TestDatabases) {
    let shop = Shop::open(home, 3).await;
    shop.publish(&OrderConfirmed { order: order() }).await;
    shop.until_mails(1).await;
    assert_eq!(shop.service.deliver().await.unwrap(), 1);
    let mail = shop.postman.taken.lock().unwrap()[0].clone();
    assert_eq!((mail.to.as_str(), mail.subject.as_str()), ("ann@reader.test", "Your order BW-7K3M-92QX is confirmed"));
    insta::allow_duplicates! { insta::assert_snapshot!(mail.text, @r"
    Dear Ann Reader,

    Your order BW-7K3M-92QX is confirmed and your books are set aside. We’ll email you
    when they ship.

      2 x The Dispossessed: $25.98
      1 x <b>Bold</b> & 'quoted': $5.00

      Books     $30.98
      Shipping  $4.90
      Tax       $0.00
      Total     $35.88

    Delivery to:
      Ann Reader
      1 Main Street
      Portland, OR 97201
      United States

    View your order: https://books.example.org/orders/0190?key=secret

    -- 
    BookWorm
    https://books.example.org
    You’re receiving this because you placed an order at BookWorm.
    Questions? https://books.example.org/contact
    "); }
    assert!(mail.html.contains("&#60;b&#62;Bold&#60;/b&#62;") && !mail.html.contains("<b>Bold"), "{}", mail.html);
    shop.running.stop().await;
}

async fn sums_of_mails_add_up_and_nothing_untrue_is_promised(home: &TestDatabases) {
    let shop = Shop::open(home, 3).await;
    let usd = |amount| Money::new(amount, Currency::USD);
    let taxed = OrderSummary { tax: usd(235), tax_included: true, ..order() };
    shop.publish(&OrderRefunded { order: taxed, amount: usd(400), reason: String::new() }).await;
    let nothing = usd(0);
    let free = OrderSummary { subtotal: nothing, shipping: nothing, total: nothing, ..order() };
    shop.publish(&OrderCancelled { order: free, reason: String::new(), confirmed: true }).await;
    shop.until_mails(2).await;
    assert_eq!(shop.service.deliver().await.unwrap(), 2);
    let mails = shop.postman.taken.lock().unwrap().clone();
    let about = |word: &str| mails.iter().find(|mail| mail.text.contains(word)).unwrap();
    let refund = about("We’ve refunded");
    assert!(refund.text.contains("  Total     $35.88, including tax $2.35") && !refund.text.contains("  Tax "));
    assert!(refund.html.contains("including tax $2.35") && !refund.html.contains(", tax $2.35"));
    assert!(!refund.text.contains("Reason") && !refund.html.contains("Reason"), "nobody gave one");
    let cancelled = about("has been cancelled");
    assert!(
        !cancelled.text.contains("If you were charged") && !cancelled.html.contains("If you were charged"),
        "nothing was paid"
    );
    shop.running.stop().await;
}

async fn each_event_is_one_mail_however_often_it_comes(home: &TestDatabases) {
    let shop = Shop::open(home, 3).await;
    let usd = |amount| Money::new(amount, Currency::USD);
    shop.publish(&EmailConfirmed {
        customer_id: CustomerId::new(),
        email: Email::parse("ann@reader.test").unwrap(),
        name: "Ann".to_owned(),
    })
    .await;
    shop.publish(&OrderRejected {
        order: order(),
        code: "payment_declined".into(),
        reason: "The card was declined.".into(),
    })
    .await;
    shop.publish(&OrderCancelled { order: order(), reason: String::new(), confirmed: true }).await;
    shop.publish(&OrderShipped { order: order(), tracking: Some("1Z".into()) }).await;
    shop.publish(&OrderRefunded { order: order(), amount: usd(400), reason: "a torn page".into() }).await;
    shop.publish(&OrderConfirmed { order: order() }).await;
    shop.until_mails(6).await;
    // The bus hands everything out again, as after lost acknowledgements.
    let again = "INSERT INTO bus_deliveries (consumer, seq, attempts, due_at) \
                 SELECT 'notification.mails', seq, 1, 0 FROM bus_messages";
    execute(&shop.bus_db, again, []).await;
    shop.until_mails(6).await;
    assert_eq!(shop.mails().await, 6);
    assert_eq!(shop.service.deliver().await.unwrap(), 6);
    assert_eq!(shop.service.deliver().await.unwrap(), 0, "none is sent twice");
    shop.running.stop().await;
}

async fn a_mail_waits_longer_each_time_and_is_given_up_in_the_end(home: &TestDatabases) {
    let shop = Shop::open(home, 2).await;
    let later = || TransportError::Later("the mail server cannot be reached".to_owned());
    shop.postman.failures.lock().unwrap().extend([later(), later()]);
    shop.publish(&OrderConfirmed { order: order() }).await;
    shop.until_mails(1).await;
    assert_eq!(shop.service.deliver().await.unwrap(), 1);
    assert_eq!(shop.service.deliver().await.unwrap(), 0, "it is not due yet");
    shop.clock.advance(Duration::from_secs(5));
    assert_eq!(shop.service.deliver().await.unwrap(), 1);
    assert_eq!(count(shop.service.db(), "SELECT COUNT(*) FROM mails WHERE status = 'failed'").await, 1);
    shop.clock.advance(Duration::from_secs(7200));
    assert_eq!(shop.service.deliver().await.unwrap(), 0);
    shop.running.stop().await;
}

async fn a_mail_whose_sender_died_is_sent_by_the_next(home: &TestDatabases) {
    let shop = Shop::open(home, 8).await;
    shop.publish(&OrderConfirmed { order: order() }).await;
    shop.until_mails(1).await;
    // A process leased the mail and died.
    let until = NOW.plus(Duration::from_secs(120)).micros();
    execute(shop.service.db(), "UPDATE mails SET due_at = $1", bookworm_db::values![until]).await;
    assert_eq!(shop.service.deliver().await.unwrap(), 0);
    shop.clock.advance(Duration::from_secs(121));
    assert_eq!(shop.service.deliver().await.unwrap(), 1);
    assert_eq!(shop.postman.taken.lock().unwrap().len(), 1);
    shop.running.stop().await;
}

async fn only_administrators_read_a_link_that_sets_a_password(home: &TestDatabases) {
    let shop = Shop::open(home, 2).await;
    let event = PasswordResetRequested {
        customer_id: CustomerId::new(),
        email: Email::parse("ann@reader.test").unwrap(),
        name: "Ann".to_owned(),
        token: "the-secret".to_owned(),
        minutes: 60,
    };
    shop.publish(&event).await;
    shop.until_mails(1).await;
    assert_eq!(shop.service.deliver().await.unwrap(), 1);
    let sent = shop.postman.taken.lock().unwrap()[0].clone();
    assert!(sent.text.contains("https://books.example.org/reset-password?token=the-secret"), "{}", sent.text);
    for (roles, sees) in [(&[Role::Staff][..], false), (&[Role::Staff, Role::Admin], true)] {
        for path in ["/admin/mail".to_owned(), format!("/admin/mail/{}", sent.id)] {
            let text = shop.client().get(&path).caller(account(roles)).send().await.text();
            assert!(text.contains("password_reset"), "{text}");
            assert_eq!(text.contains("the-secret"), sees, "{text}");
        }
    }
    shop.running.stop().await;
}

/// The words of a mail's HTML part.
fn seen(html: &str) -> String {
    let body = &html[html.find("<body").unwrap()..];
    let mut text = String::new();
    let mut tag = false;
    for letter in body.chars() {
        match letter {
            '<' => tag = true,
            '>' => {
                tag = false;
                text.push(' ');
            }
            _ if !tag => text.push(letter),
            _ => {}
        }
    }
    text.replace("&times;", "x").replace("&#39;", "'").replace("&#38;", "&").replace("&#60;", "<").replace("&#62;", ">")
}

fn words(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

async fn every_mail_says_the_same_in_both_parts_and_why_it_came(home: &TestDatabases) {
    let shop = Shop::open(home, 3).await;
    let usd = |amount| Money::new(amount, Currency::USD);
    let email = || Email::parse("ann@reader.test").unwrap();
    let line = |name: &str, text: &str| TranscriptLine {
        name: name.to_owned(),
        text: text.to_owned(),
        at: Timestamp::parse("2026-03-01T09:05:00Z").unwrap(),
    };
    shop.publish(&EmailConfirmed { customer_id: CustomerId::new(), email: email(), name: "Ann".to_owned() }).await;
    shop.publish(&OrderConfirmed { order: order() }).await;
    for reason in ["The card was declined.", "The payment was withdrawn. You have not been charged."] {
        shop.publish(&OrderRejected { order: order(), code: "payment_declined".into(), reason: reason.into() }).await;
    }
    for reason in ["", "Asked by phone"] {
        shop.publish(&OrderCancelled { order: order(), reason: reason.to_owned(), confirmed: true }).await;
        shop.publish(&OrderRefunded { order: order(), amount: usd(400), reason: reason.to_owned() }).await;
    }
    for tracking in [None, Some("1Z999".to_owned())] {
        shop.publish(&OrderShipped { order: order(), tracking }).await;
    }
    shop.publish(&PasswordResetRequested {
        customer_id: CustomerId::new(),
        email: email(),
        name: "Ann".to_owned(),
        token: "t0ken".to_owned(),
        minutes: 60,
    })
    .await;
    shop.publish(&AnsweredByMail {
        conversation_id: ConversationId::new(),
        email: email(),
        customer_name: "Guest".to_owned(),
        agent_name: "Jo Helpful".to_owned(),
        text: "First line\nsecond line".to_owned(),
        proven: true,
        sender: String::new(),
    })
    .await;
    shop.publish(&TranscriptRequested {
        conversation_id: ConversationId::new(),
        email: email(),
        customer_name: "Ann".to_owned(),
        started_at: Timestamp::default(),
        lines: vec![line("Ann", "Hello"), line("Bot", "Hi, I am a bot")],
        proven: true,
    })
    .await;
    let confirm = EmailConfirmationRequested {
        customer_id: CustomerId::new(),
        email: email(),
        token: "t0ken".to_owned(),
        hours: 48,
    };
    shop.publish(&confirm).await;
    // Not to a proved address: its mail is the link.
    shop.publish(&transcript(ConversationId::new(), "ann@reader.test", false)).await;
    shop.until_mails(16).await;
    assert_eq!(shop.service.deliver().await.unwrap(), 15);
    let mails = shop.postman.taken.lock().unwrap().clone();
    for mail in &mails {
        let (text, html) = (&mail.text, &mail.html);
        assert!(html.contains("<html lang=\"en\">") && html.contains("prefers-color-scheme: dark"), "{html}");
        // After a comma a German letter goes on in lower case; an English one does not.
        let second = text.lines().filter(|line| !line.is_empty()).nth(1).unwrap();
        assert!(second.starts_with(char::is_uppercase), "{text}");
        let reason = text.lines().find(|line| line.starts_with("Reason:"));
        assert!(reason.is_none_or(|line| line.len() > "Reason: ".len()), "{text}");
        assert!(!text.contains("\n\n\n"), "{text}");
        assert!(text.matches("charged").count() <= 1, "{text}");
        assert!(text.contains("You’re receiving this because"), "{text}");
        assert!(!text.contains("Guest") && !html.contains("Guest"), "{text}");
        // Every word of the text is in the HTML; what only the text has are addresses and the words around a link.
        let there = words(&seen(html));
        for line in text.lines().filter(|line| !line.contains("https://")) {
            for word in words(line) {
                assert!(there.contains(&word), "{word:?} is missing in the HTML of {:?}: {html}", mail.subject);
            }
        }
    }
    let transcript = mails.iter().find(|mail| mail.subject.contains("conversation")).unwrap();
    assert!(transcript.text.contains("1 March 2026, 10:05 CET"), "{}", transcript.text);
    shop.running.stop().await;
}

async fn without_a_mail_server_a_mail_is_kept_and_never_called_sent(home: &TestDatabases) {
    let clock = bookworm_testing::clock();
    let settings = Mail::default();
    let service = open(home, NotificationService::transport(&settings).unwrap(), settings, &clock).await;
    let bus = bookworm_testing::bus(home, clock.clone()).await;
    let running = react(&service, &bus, &clock);
    publish(&bus, &OrderConfirmed { order: order() }).await;
    let delivered =
        until("a mail is delivered", async || Some(service.deliver().await.unwrap()).filter(|n| *n > 0)).await;
    let kept = "SELECT COUNT(*) FROM mails WHERE status = 'kept' AND sent_at IS NULL AND due_at IS NULL";
    assert_eq!((delivered, count(service.db(), kept).await), (1, 1));
    running.stop().await;
}

fn line(text: &str) -> TranscriptLine {
    TranscriptLine { name: "Security Team".to_owned(), text: text.to_owned(), at: Timestamp::default() }
}

fn transcript(conversation_id: ConversationId, to: &str, proven: bool) -> TranscriptRequested {
    TranscriptRequested {
        conversation_id,
        email: Email::parse(to).unwrap(),
        customer_name: "Security Team".to_owned(),
        started_at: Timestamp::default(),
        lines: vec![line("Your account is locked: https://evil.example/login")],
        proven,
    }
}

impl Shop {
    /// Subjects and texts of what was sent, in order.
    async fn sent(&self) -> Vec<(String, String)> {
        while self.service.deliver().await.unwrap() > 0 {}
        self.postman.taken.lock().unwrap().iter().map(|mail| (mail.to.clone(), mail.text.clone())).collect()
    }

    async fn admit(&self, kind: &str, sender: &str, recipient: &str, proven: bool) -> AdmitResponse {
        let request = AdmitRequest { kind: kind.into(), sender: sender.into(), recipient: recipient.into(), proven };
        MailroomClient::new(Edge::local("test.notification", self.service.grpc(), methods::NOTIFICATION))
            .admit(tonic::Request::new(request))
            .await
            .unwrap()
            .into_inner()
    }

    async fn confirm(&self, token: &str) -> http::StatusCode {
        self.client().post("/mail/confirm").json(&serde_json::json!({"token": token})).send().await.status
    }

    async fn statuses(&self) -> Vec<String> {
        #[derive(bookworm_db::FromRow)]
        struct Status {
            status: String,
        }
        let rows: Result<Vec<Status>, DbError> =
            self.service.db().read().all("SELECT status FROM mails ORDER BY status", []).await;
        rows.unwrap().into_iter().map(|row| row.status).collect()
    }
}

fn token_in(text: &str) -> String {
    let rest = text.split("token=").nth(1).unwrap();
    rest.chars().take_while(char::is_ascii_alphanumeric).collect()
}

async fn a_stranger_gets_a_fixed_text_and_the_rest_only_after_following_the_link(home: &TestDatabases) {
    let shop = Shop::open(home, 3).await;
    let conversation = ConversationId::new();
    shop.publish(&transcript(conversation, "victim@example.org", false)).await;
    shop.until_mails(2).await;
    let sent = shop.sent().await;
    assert_eq!(sent.len(), 1, "{sent:?}");
    let (to, text) = &sent[0];
    assert_eq!(to, "victim@example.org");
    for word in ["Security", "locked", "evil"] {
        assert!(!text.contains(word), "{text}");
    }
    // An agent's answer in the same conversation waits for the same link.
    let answer = AnsweredByMail {
        conversation_id: conversation,
        email: Email::parse("Victim@example.org").unwrap(),
        customer_name: "Security Team".to_owned(),
        agent_name: "Eve".to_owned(),
        text: "Which account do you mean?".to_owned(),
        proven: false,
        sender: "somebody".to_owned(),
    };
    shop.publish(&answer).await;
    shop.until_mails(3).await;
    assert_eq!(shop.sent().await.len(), 1, "one link is enough");

    for wrong in ["", "x", &"a".repeat(64)] {
        assert_eq!(shop.confirm(wrong).await, 400, "{wrong}");
    }
    let token = token_in(text);
    assert_eq!(shop.confirm(&token).await, 204);
    assert_eq!(shop.confirm(&token).await, 204, "again changes nothing");
    let sent = shop.sent().await;
    assert_eq!(sent.len(), 3);
    assert!(sent[1..].iter().any(|(_, text)| text.contains("evil.example")), "what was asked for comes now");
    // From now on this conversation may write there, and no other may.
    shop.publish(&transcript(conversation, "victim@example.org", false)).await;
    shop.until_mails(4).await;
    assert_eq!(shop.sent().await.len(), 4);
    shop.publish(&transcript(ConversationId::new(), "victim@example.org", false)).await;
    shop.until_mails(6).await;
    let sent = shop.sent().await;
    assert!(sent.len() == 5 && !sent[4].1.contains("evil"), "{sent:?}");
    // What nobody asks for is deleted.
    shop.clock.advance(Duration::from_secs(73 * 3600));
    assert_eq!(shop.confirm(&token_in(&sent[4].1)).await, 400);
    shop.service.tidy().await.unwrap();
    assert_eq!(shop.statuses().await, ["sent"; 5]);
    shop.running.stop().await;
}

async fn a_confirmed_address_gets_its_transcript_at_once(home: &TestDatabases) {
    let shop = Shop::open(home, 3).await;
    shop.publish(&transcript(ConversationId::new(), "ann@reader.test", true)).await;
    shop.until_mails(1).await;
    let sent = shop.sent().await;
    assert!(sent.len() == 1 && sent[0].1.contains("Your account is locked"), "{sent:?}");
    shop.running.stop().await;
}

async fn the_mail_that_confirms_an_address_holds_no_word_of_whoever_named_it(home: &TestDatabases) {
    let shop = Shop::open(home, 3).await;
    let email = Email::parse("victim@example.org").unwrap();
    let (customer_id, token) = (CustomerId::new(), "the-secret".to_owned());
    shop.publish(&EmailConfirmationRequested { customer_id, email, token, hours: 48 }).await;
    shop.until_mails(1).await;
    let sent = shop.sent().await;
    let text = &sent[0].1;
    assert!(text.starts_with("Hello,\n") && text.contains("https://books.example.org/confirm-email?token=the-secret"));
    assert!(text.contains("If you didn't create an account, ignore this email"), "{text}");
    shop.running.stop().await;
}

fn small() -> MailQuota {
    MailQuota { sender_hour: 3, sender_day: 5, recipient_hour: 2, recipient_day: 4, all_hour: 6, all_day: 8 }
}

fn limited() -> Mail {
    Mail { limits: MailLimits { account: small(), chat: small(), contact: small(), order: small() }, ..Mail::default() }
}

async fn limits_hold_for_senders_mailboxes_and_all_and_outlive_a_restart(home: &TestDatabases) {
    let shop = Shop::with(home, limited()).await;
    let to = |n: u32| format!("v{n}@example.org");
    for n in 0..3 {
        assert!(shop.admit("chat_transcript", "a", &to(n), false).await.granted, "{n}");
    }
    let refused = shop.admit("chat_transcript", "a", &to(9), false).await;
    assert_eq!((refused.granted, refused.limit.as_str()), (false, "sender"));
    assert!(refused.wait_seconds > 3000 && refused.wait_seconds <= 3901, "{refused:?}");
    assert!(shop.admit("chat_transcript", "b", "V1+x@Example.org", false).await.granted);
    let refused = shop.admit("chat_transcript", "c", "v1+y@example.org", false).await;
    assert_eq!((refused.granted, refused.limit.as_str()), (false, "recipient"), "one mailbox, however it is written");
    assert!(shop.admit("confirm_email", "a", &to(0), false).await.granted, "other mails have limits of their own");
    // All together: six an hour, of which four are taken.
    for n in 20..22 {
        assert!(shop.admit("chat_transcript", &format!("s{n}"), &to(n), false).await.granted);
    }
    let refused = shop.admit("chat_transcript", "s30", &to(30), false).await;
    assert_eq!((refused.granted, refused.limit.as_str()), (false, "all"));
    assert!(shop.admit("chat_transcript", "s31", &to(31), true).await.granted, "a proved address is no stranger's");

    // The same database, another process.
    let again = open(home, shop.postman.clone(), limited(), &shop.clock).await;
    let shop = Shop { service: again, ..shop };
    assert!(!shop.admit("chat_transcript", "a", &to(9), false).await.granted);
    shop.clock.advance(Duration::from_secs(3901));
    assert!(shop.admit("chat_transcript", "a", &to(9), false).await.granted, "an hour later");
    let refusals = shop.client().get("/admin/mail/refusals").caller(account(&[Role::Staff])).send().await.body;
    let counts: Vec<_> =
        refusals.as_array().unwrap().iter().map(|r| (r["limit"].as_str(), r["count"].as_u64())).collect();
    assert_eq!(counts, [(Some("all"), Some(1)), (Some("recipient"), Some(1)), (Some("sender"), Some(2))]);

    shop.clock.advance(Duration::from_secs(27 * 3600));
    assert!(shop.service.tidy().await.unwrap() > 0, "what counts no more is forgotten");
    shop.running.stop().await;
}

async fn many_at_once_get_no_more_than_the_limit(home: &TestDatabases) {
    let shop = Shop::with(home, limited()).await;
    let asked = (0..20).map(|n| {
        let shop = &shop;
        async move { shop.admit("password_reset", "a", &format!("v{n}@example.org"), false).await.granted }
    });
    let granted = futures::future::join_all(asked).await.into_iter().filter(|granted| *granted).count();
    assert_eq!(granted, 3);
    shop.running.stop().await;
}

async fn orders_to_one_mailbox_are_confirmed_up_to_the_limit_and_the_rest_is_kept_for_staff(home: &TestDatabases) {
    let shop = Shop::with(home, limited()).await;
    for _ in 0..4 {
        let order = OrderSummary { placed_from: Some("a".to_owned()), ..order() };
        shop.publish(&OrderConfirmed { order }).await;
    }
    shop.publish(&OrderShipped { order: order(), tracking: None }).await;
    shop.until_mails(5).await;
    assert_eq!(shop.sent().await.len(), 3, "two confirmations, and what the shop itself writes");
    assert_eq!(shop.statuses().await, ["refused", "refused", "sent", "sent", "sent"]);
    shop.running.stop().await;
}

async fn a_link_beyond_the_limit_is_shown_as_refused_and_keeps_no_other_back(home: &TestDatabases) {
    let shop = Shop::with(home, limited()).await;
    for n in 0..2 {
        assert!(shop.admit("chat_transcript", &format!("s{n}"), "ann@reader.test", false).await.granted);
    }
    let answer = AnsweredByMail {
        conversation_id: ConversationId::new(),
        email: Email::parse("ann@reader.test").unwrap(),
        customer_name: "Ann".to_owned(),
        agent_name: "Eve".to_owned(),
        text: "Which order do you mean?".to_owned(),
        proven: false,
        sender: "somebody".to_owned(),
    };
    shop.publish(&answer).await;
    shop.until_mails(2).await;
    assert_eq!(shop.sent().await, []);
    assert_eq!(shop.statuses().await, ["held", "refused"], "staff see that the link was not sent");

    shop.clock.advance(Duration::from_secs(3901));
    shop.publish(&answer).await;
    shop.until_mails(4).await;
    let sent = shop.sent().await;
    assert_eq!(sent.len(), 1, "there is room again");
    assert_eq!(shop.confirm(&token_in(&sent[0].1)).await, 204);
    assert_eq!(shop.sent().await.len(), 3, "both that waited");
    shop.running.stop().await;
}

async fn who_has_the_books_is_asked_with_a_link_for_each_and_a_way_to_end_it(home: &TestDatabases) {
    let shop = Shop::open(home, 3).await;
    let book = |title: &str| InvitedBook { book_id: BookId::new(), title: title.to_owned() };
    let mut invited = ReviewInvited {
        order_id: OrderId::new(),
        email: Email::parse("ann@reader.test").unwrap(),
        name: "Ann Reader".to_owned(),
        books: vec![book("The Dispossessed"), book("<b>Bold</b>")],
        token: "f".repeat(64),
        days: 60,
    };
    shop.publish(&invited).await;
    shop.until_mails(1).await;
    assert_eq!(shop.service.deliver().await.unwrap(), 1);
    let mail = shop.postman.taken.lock().unwrap()[0].clone();
    assert_eq!((mail.to.as_str(), mail.subject.as_str()), ("ann@reader.test", "How did you like your books?"));
    let ends = format!("https://books.example.org/api/v1/review-invitations/unsubscribe?token={}", invited.token);
    assert_eq!(mail.unsubscribe.as_deref(), Some(ends.as_str()));
    for book in &invited.books {
        let link = format!("https://books.example.org/books/{}/review?invite={}", book.book_id, invited.token);
        assert!(mail.text.contains(&link) && mail.html.contains(&link), "{link}");
    }
    assert!(mail.html.contains("&#60;b&#62;Bold") && !mail.html.contains("<b>Bold"), "{}", mail.html);
    let page = format!("https://books.example.org/unsubscribe?token={}", invited.token);
    assert!(mail.text.contains(&page) && mail.html.contains(&page));

    // Its links write reviews for whoever has them: only administrators read it.
    let mails = shop.client().get("/admin/mail").caller(account(&[Role::Staff])).send().await.expect(200);
    assert!(!mails.text().contains(&invited.token));

    invited.books = vec![book(&"Long ".repeat(30))];
    shop.publish(&invited).await;
    shop.until_mails(2).await;
    shop.service.deliver().await.unwrap();
    let subject = shop.postman.taken.lock().unwrap()[1].subject.clone();
    assert!(subject.starts_with("How did you like “Long Long") && subject.ends_with("…”?"), "{subject}");
    assert!(subject.chars().count() < 90, "{subject}");
    shop.running.stop().await;
}
