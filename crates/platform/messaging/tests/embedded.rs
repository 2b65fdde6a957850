//! The embedded bus passes the contract on every database, and does what the contract leaves to it: outbox, inbox,
//! pruning.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bookworm_db::{Db, DbError, Migration, Sql, values};
use bookworm_kernel::{Cause, Clock, ManualClock, SystemClock, Timestamp};
use bookworm_messaging::{
    Bus, BusError, Consumer, DbBus, DeadLetters, Delivery, Envelope, Follower, Inbox, Message, Outbox, Policy,
    PublishError, ReactionError, SharedBus, Subscriber, Tag, contract, message, revive,
};
use bookworm_testing::{Running, TestDatabases, eventually, on_every_database};

on_every_database!(
    the_contract,
    a_message_is_found_again_after_the_bus_has_forgotten_it,
    a_follower_that_was_silent_for_long_says_so,
    a_reaction_that_takes_longer_than_its_lease_is_not_repeated,
    a_message_that_the_bus_does_not_take_stops_no_other,
    an_inbox_forgets_what_is_old,
    pruning_keeps_what_is_not_settled,
    a_message_and_its_change_are_kept_or_lost_together,
    every_message_has_its_effect_once_through_crashes_and_repeats,
    a_relay_that_died_after_publishing_repeats_harmlessly,
    the_relay_waits_for_a_bus_that_does_not_answer,
    relays_of_several_processes_share_an_outbox,
    what_the_embedded_bus_owes_is_handed_to_another,
    a_reaction_knows_what_led_to_it,
);

message! {
    "events.shop.Counted.v1" Counted {
        pub n: u32,
    }
}
const LEASE: Duration = Duration::from_secs(30);
const TABLES: &[Migration] = &[
    bookworm_messaging::MIGRATIONS[0],
    bookworm_messaging::MIGRATIONS[1],
    Migration::new(
        "test/0001_effects",
        "CREATE TABLE effects (id {serial}, consumer TEXT NOT NULL, n BIGINT NOT NULL);",
    ),
];

fn start() -> Timestamp {
    Timestamp::parse("2026-03-01T12:00:00Z").unwrap()
}

async fn bus(home: &TestDatabases, clock: Arc<dyn Clock>, lease: Duration) -> Arc<DbBus> {
    Arc::new(DbBus::open(home.databases.open("bus").await.unwrap(), clock, lease).await.unwrap())
}

async fn stopped_bus(home: &TestDatabases) -> (Arc<DbBus>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(start()));
    (bus(home, clock.clone(), LEASE).await, clock)
}

async fn service(home: &TestDatabases) -> (Db, Outbox) {
    let db = home.databases.open("service").await.unwrap();
    db.migrate(TABLES, SystemClock.now()).await.unwrap();
    (db, Outbox::new(Arc::new(SystemClock)))
}

fn counted(n: u32) -> Envelope {
    Envelope::new(&Counted { n }, &Cause::start(), start()).unwrap()
}

fn tags(deliveries: &[Delivery]) -> Vec<Tag> {
    deliveries.iter().map(|delivery| delivery.tag.clone()).collect()
}

/// Receives and acknowledges until nothing comes.
async fn drain(subscriber: &dyn Subscriber) -> Vec<u64> {
    let mut all = Vec::new();
    loop {
        let deliveries = subscriber.receive(100).await.unwrap();
        if deliveries.is_empty() {
            all.sort_unstable();
            return all;
        }
        subscriber.ack(&tags(&deliveries)).await.unwrap();
        all.extend(deliveries.iter().map(|delivery| delivery.envelope.data["n"].as_u64().unwrap()));
    }
}

async fn put(db: &Db, outbox: &Outbox, n: u32) {
    let outbox = outbox.clone();
    db.transact::<_, DbError, _>(move |tx| {
        Box::pin(async move { outbox.put(tx, &Cause::start(), &Counted { n }).await })
    })
    .await
    .unwrap();
}

async fn rows(db: &Db, table: &str) -> i64 {
    db.read().scalar(&format!("SELECT COUNT(*) FROM {table}"), []).await.unwrap().unwrap()
}

/// Writes what it gets into the table of effects, once for each message.
fn recorder(name: &'static str, db: &Db, fail: impl Fn(u32, u32) -> bool + Send + Sync + Clone + 'static) -> Consumer {
    let db = db.clone();
    Consumer::new(name).on::<Counted, _, _>(move |message| {
        let (db, fail) = (db.clone(), fail.clone());
        async move {
            let n = message.body.n;
            message
                .once::<_, DbError, _>(&db, move |tx| {
                    Box::pin(async move {
                        tx.exec("INSERT INTO effects (consumer, n) VALUES ($1, $2)", values![name, i64::from(n)]).await
                    })
                })
                .await?;
            // After the effect: the repeat must find it done.
            if fail(n, message.attempt) { Err(ReactionError::retry("on purpose")) } else { Ok(()) }
        }
    })
}

async fn effects(db: &Db, consumer: &str) -> HashMap<i64, i64> {
    #[derive(bookworm_db::FromRow)]
    struct Effect {
        n: i64,
        times: i64,
    }
    let rows: Vec<Effect> = db
        .read()
        .all("SELECT n, COUNT(*) AS times FROM effects WHERE consumer = $1 GROUP BY n", values![consumer])
        .await
        .unwrap();
    rows.into_iter().map(|row| (row.n, row.times)).collect()
}

const QUICK: Policy = Policy {
    max_attempts: 4,
    initial_backoff: Duration::from_millis(10),
    max_backoff: Duration::from_millis(50),
    workers: 4,
};

async fn the_contract(home: &TestDatabases) {
    struct Bench {
        home: TestDatabases,
        clock: Arc<ManualClock>,
    }
    #[async_trait]
    impl contract::Bench for Bench {
        async fn open(&self) -> SharedBus {
            bus(&self.home, self.clock.clone(), LEASE).await
        }
        async fn pass(&self, time: Duration) {
            self.clock.advance(time);
        }
        fn delay(&self) -> Duration {
            Duration::from_secs(90)
        }
    }
    contract::run(async || Bench { home: home.another(), clock: Arc::new(ManualClock::at(start())) }).await;
}

async fn pruning_keeps_what_is_not_settled(home: &TestDatabases) {
    let (bus, clock) = stopped_bus(home).await;
    let a = bus.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    bus.publish(&[counted(1), counted(2), counted(3)]).await.unwrap();
    let deliveries = a.receive(10).await.unwrap();
    let by_number = |n: u64| deliveries.iter().find(|d| d.envelope.data["n"] == n).unwrap();
    a.ack(&tags(std::slice::from_ref(by_number(1)))).await.unwrap();
    bus.dead_letters().add("a", by_number(2), "on purpose").await.unwrap();
    a.ack(&tags(std::slice::from_ref(by_number(2)))).await.unwrap();
    assert_eq!(bus.prune(start()).await.unwrap(), 0, "nothing is that old");
    clock.advance(LEASE);
    assert_eq!(bus.prune(clock.now()).await.unwrap(), 1);
    let dead = bus.dead_letters().list(None, 10).await.unwrap().remove(0);
    assert!(revive(&*bus, dead.id).await.unwrap());
    assert_eq!(drain(&*a).await, [2, 3]);
    assert_eq!(bus.prune(clock.now()).await.unwrap(), 2);
}

async fn a_message_is_found_again_after_the_bus_has_forgotten_it(home: &TestDatabases) {
    let (bus, clock) = stopped_bus(home).await;
    let a = bus.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    let b = bus.subscribe("b", &[Counted::SUBJECT]).await.unwrap();
    let message = counted(1);
    bus.publish(std::slice::from_ref(&message)).await.unwrap();
    assert_eq!((drain(&*a).await, drain(&*b).await), (vec![1], vec![1]));
    clock.advance(LEASE);
    assert_eq!(bus.prune(clock.now()).await.unwrap(), 1);
    bus.redeliver("a", &message).await.unwrap();
    assert_eq!((drain(&*a).await, drain(&*b).await), (vec![1], vec![]), "to this consumer alone");
}

async fn a_follower_that_was_silent_for_long_says_so(home: &TestDatabases) {
    let (bus, clock) = stopped_bus(home).await;
    let mut follower = bus.follow("f", &[Counted::SUBJECT]).await.unwrap();
    bus.publish(&[counted(1)]).await.unwrap();
    clock.advance(Duration::from_secs(3599));
    assert_eq!(follower.receive(10).await.unwrap().len(), 1);
    bus.publish(&[counted(2)]).await.unwrap();
    clock.advance(Duration::from_secs(3601));
    bus.prune(start().plus(Duration::from_secs(3600))).await.unwrap();
    assert!(matches!(follower.receive(10).await, Err(BusError::Missed)));
    bus.publish(&[counted(3)]).await.unwrap();
    let received = follower.receive(10).await.unwrap();
    assert_eq!(received.iter().map(|envelope| envelope.data["n"].as_u64().unwrap()).collect::<Vec<_>>(), [3]);
}

async fn a_reaction_that_takes_longer_than_its_lease_is_not_repeated(home: &TestDatabases) {
    let bus: SharedBus = bus(home, Arc::new(SystemClock), Duration::from_millis(600)).await;
    let calls = Arc::new(AtomicU32::new(0));
    let counter = calls.clone();
    let consumer = Consumer::new("a").on::<Counted, _, _>(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            Ok(())
        }
    });
    let mut running = Running::new();
    running.consumer(consumer, &bus, Arc::new(SystemClock), QUICK);
    bus.publish(&[counted(1)]).await.unwrap();
    let watched = bus.clone();
    let dealt_with = async || calls.load(Ordering::SeqCst) > 0 && watched.backlog().await.unwrap() == 0;
    eventually("it is dealt with", dealt_with).await;
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    running.stop().await;
}

async fn an_inbox_forgets_what_is_old(home: &TestDatabases) {
    let (db, _) = service(home).await;
    let receive = "INSERT INTO inbox (consumer, message_id, at) VALUES ('a', $1, $2)";
    for at in [start(), start().plus(LEASE)] {
        let bound = values![bookworm_db::Uuid::now_v7(), at.micros()];
        db.transact::<_, DbError, _>(move |tx| Box::pin(async move { tx.exec(receive, bound).await })).await.unwrap();
    }
    assert_eq!(Inbox::prune(&db, start().plus(LEASE)).await.unwrap(), 1);
    assert_eq!(rows(&db, "inbox").await, 1);
}

async fn a_message_and_its_change_are_kept_or_lost_together(home: &TestDatabases) {
    let (db, outbox) = service(home).await;
    let failing = outbox.clone();
    db.transact::<(), DbError, _>(move |tx| {
        Box::pin(async move {
            failing.put(tx, &Cause::start(), &Counted { n: 1 }).await?;
            Err(DbError::Busy)
        })
    })
    .await
    .unwrap_err();
    assert_eq!(rows(&db, "outbox").await, 0);
    put(&db, &outbox, 2).await;
    assert_eq!(rows(&db, "outbox").await, 1);
}

async fn every_message_has_its_effect_once_through_crashes_and_repeats(home: &TestDatabases) {
    const MESSAGES: u32 = 60;
    let (db, outbox) = service(home).await;
    // The last life is left to finish; the others are killed at some point of their work.
    for life in 0..5_u32 {
        let bus: SharedBus = bus(home, Arc::new(SystemClock), Duration::from_millis(300)).await;
        let mut running = Running::new();
        // Every third message fails after its effect, the first time.
        running.consumer(
            recorder("one", &db, |n, attempt| n % 3 == 0 && attempt == 1),
            &bus,
            Arc::new(SystemClock),
            QUICK,
        );
        running.consumer(recorder("two", &db, |_, _| false), &bus, Arc::new(SystemClock), QUICK);
        running.relay(outbox.source(&db), &bus);
        running.relay(outbox.source(&db), &bus);
        for n in 0..MESSAGES / 5 {
            put(&db, &outbox, life * MESSAGES / 5 + n).await;
        }
        if life < 4 {
            tokio::time::sleep(Duration::from_millis(u64::from(life) * 15)).await;
            running.kill().await;
        } else {
            let watched = bus.clone();
            eventually("everything is dealt with", async || {
                rows(&db, "outbox").await == 0 && watched.backlog().await.unwrap() == 0
            })
            .await;
            running.stop().await;
        }
    }
    let expected: HashMap<i64, i64> = (0..i64::from(MESSAGES)).map(|n| (n, 1)).collect();
    assert_eq!(effects(&db, "one").await, expected);
    assert_eq!(effects(&db, "two").await, expected);
}

/// A bus whose answers get lost: it does what it is asked, and then says that it failed. It never takes `poison`.
struct Unreliable {
    inner: Arc<DbBus>,
    failures: AtomicU32,
    does_it_anyway: bool,
    poison: Option<u32>,
}

#[async_trait]
impl Bus for Unreliable {
    async fn publish(&self, messages: &[Envelope]) -> Result<(), PublishError> {
        let left = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        let failure = || BusError::Unavailable("on purpose".into());
        if left.is_err() || self.does_it_anyway {
            let (poison, good): (Vec<Envelope>, Vec<Envelope>) =
                messages.iter().cloned().partition(|message| self.poison.is_some_and(|n| message.data["n"] == n));
            self.inner.publish(&good).await?;
            if !poison.is_empty() {
                let accepted = good.iter().map(|message| message.id).collect();
                return Err(PublishError { accepted, source: failure() });
            }
        }
        if left.is_ok() { Err(failure().into()) } else { Ok(()) }
    }
    async fn subscribe(&self, consumer: &str, subjects: &[&str]) -> Result<Arc<dyn Subscriber>, BusError> {
        self.inner.subscribe(consumer, subjects).await
    }
    async fn follow(&self, consumer: &str, subjects: &[&str]) -> Result<Box<dyn Follower>, BusError> {
        self.inner.follow(consumer, subjects).await
    }
    async fn redeliver(&self, consumer: &str, envelope: &Envelope) -> Result<(), BusError> {
        self.inner.redeliver(consumer, envelope).await
    }
    fn dead_letters(&self) -> &dyn DeadLetters {
        self.inner.dead_letters()
    }
    async fn backlog(&self) -> Result<u64, BusError> {
        self.inner.backlog().await
    }
    async fn prune(&self, before: Timestamp) -> Result<u64, BusError> {
        self.inner.prune(before).await
    }
}

async fn a_message_that_the_bus_does_not_take_stops_no_other(home: &TestDatabases) {
    let (db, outbox) = service(home).await;
    let inner = bus(home, Arc::new(SystemClock), LEASE).await;
    let a = inner.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    let poisoned = Unreliable { inner, failures: AtomicU32::new(0), does_it_anyway: false, poison: Some(1) };
    for n in 0..4 {
        put(&db, &outbox, n).await;
    }
    let mut running = Running::new();
    running.relay(outbox.source(&db), &(Arc::new(poisoned) as SharedBus));
    eventually("the others are carried away", async || rows(&db, "outbox").await == 1).await;
    put(&db, &outbox, 4).await;
    eventually("also those that come later", async || rows(&db, "outbox").await == 1).await;
    assert_eq!(drain(&*a).await, [0, 2, 3, 4]);
    running.stop().await;
}

async fn through_an_unreliable_bus(home: &TestDatabases, does_it_anyway: bool) {
    let (db, outbox) = service(home).await;
    let inner = bus(home, Arc::new(SystemClock), LEASE).await;
    let a = inner.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    let unreliable: SharedBus =
        Arc::new(Unreliable { inner, failures: AtomicU32::new(2), does_it_anyway, poison: None });
    put(&db, &outbox, 1).await;
    put(&db, &outbox, 2).await;
    let mut running = Running::new();
    running.relay(outbox.source(&db), &unreliable);
    eventually("the outbox is carried away", async || rows(&db, "outbox").await == 0).await;
    running.stop().await;
    assert_eq!(drain(&*a).await, [1, 2]);
}

async fn a_relay_that_died_after_publishing_repeats_harmlessly(home: &TestDatabases) {
    through_an_unreliable_bus(home, true).await;
}

async fn the_relay_waits_for_a_bus_that_does_not_answer(home: &TestDatabases) {
    through_an_unreliable_bus(home, false).await;
}

/// A bus that takes its time and counts.
struct Slow {
    inner: Arc<DbBus>,
    taken: Arc<AtomicU32>,
}

#[async_trait]
impl Bus for Slow {
    async fn publish(&self, messages: &[Envelope]) -> Result<(), PublishError> {
        self.taken.fetch_add(messages.len() as u32, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.inner.publish(messages).await
    }
    async fn subscribe(&self, consumer: &str, subjects: &[&str]) -> Result<Arc<dyn Subscriber>, BusError> {
        self.inner.subscribe(consumer, subjects).await
    }
    async fn follow(&self, consumer: &str, subjects: &[&str]) -> Result<Box<dyn Follower>, BusError> {
        self.inner.follow(consumer, subjects).await
    }
    async fn redeliver(&self, consumer: &str, envelope: &Envelope) -> Result<(), BusError> {
        self.inner.redeliver(consumer, envelope).await
    }
    fn dead_letters(&self) -> &dyn DeadLetters {
        self.inner.dead_letters()
    }
    async fn backlog(&self) -> Result<u64, BusError> {
        self.inner.backlog().await
    }
    async fn prune(&self, before: Timestamp) -> Result<u64, BusError> {
        self.inner.prune(before).await
    }
}

async fn relays_of_several_processes_share_an_outbox(home: &TestDatabases) {
    const MESSAGES: u32 = 600;
    let (db, outbox) = service(home).await;
    let inner = bus(home, Arc::new(SystemClock), LEASE).await;
    let a = inner.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    let many = outbox.clone();
    db.transact::<_, DbError, _>(move |tx| {
        Box::pin(async move {
            for n in 0..MESSAGES {
                many.put(tx, &Cause::start(), &Counted { n }).await?;
            }
            Ok(())
        })
    })
    .await
    .unwrap();
    let (taken, mut running) = (Arc::new(AtomicU32::new(0)), Running::new());
    // On PostgreSQL as many processes as there may be; SQLite has one.
    let relays = if db.backend() == bookworm_db::Backend::Postgres { 3 } else { 1 };
    let slow: SharedBus = Arc::new(Slow { inner, taken: taken.clone() });
    for _ in 0..relays {
        running.relay(outbox.source(&db), &slow);
    }
    eventually("the outbox is carried away", async || rows(&db, "outbox").await == 0).await;
    assert_eq!(taken.load(Ordering::SeqCst), MESSAGES, "none is published twice");
    assert_eq!(drain(&*a).await.len(), MESSAGES as usize);
    running.stop().await;
}

async fn what_the_embedded_bus_owes_is_handed_to_another(home: &TestDatabases) {
    let from = home.databases.open("bus").await.unwrap();
    let old = DbBus::open(from.clone(), Arc::new(SystemClock), LEASE).await.unwrap();
    let there = home.another();
    let new = bus(&there, Arc::new(SystemClock), LEASE).await;
    for name in ["a", "b"] {
        old.subscribe(name, &[Counted::SUBJECT]).await.unwrap();
    }
    old.publish(&[counted(1), counted(2)]).await.unwrap();
    let a = old.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    let one = a.receive(1).await.unwrap();
    a.ack(&tags(&one)).await.unwrap();
    assert_eq!(bookworm_messaging::hand_over(&from, &*new).await.unwrap(), 3);
    assert_eq!(bookworm_messaging::hand_over(&from, &*new).await.unwrap(), 0);
    assert_eq!(old.backlog().await.unwrap(), 0);
    let (a, b) = (new.subscribe("a", &[]).await.unwrap(), new.subscribe("b", &[]).await.unwrap());
    assert_eq!((drain(&*a).await.len(), drain(&*b).await), (1, vec![1, 2]), "each to whom it was owed");
}

async fn a_reaction_knows_what_led_to_it(home: &TestDatabases) {
    let bus: SharedBus = bus(home, Arc::new(SystemClock), LEASE).await;
    let (db, outbox) = service(home).await;
    let cause = Cause::start();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let sender = Arc::new(Mutex::new(Some(sender)));
    let consumer = Consumer::new("a").on::<Counted, _, _>(move |message| {
        if let Some(sender) = sender.lock().unwrap().take() {
            let _ = sender.send(message.cause);
        }
        async { Ok(()) }
    });
    let mut running = Running::new();
    running.consumer(consumer, &bus, Arc::new(SystemClock), QUICK);
    running.relay(outbox.source(&db), &bus);
    let id = db
        .transact::<_, DbError, _>(move |tx| Box::pin(async move { outbox.put(tx, &cause, &Counted { n: 1 }).await }))
        .await
        .unwrap();
    let seen = receiver.await.unwrap();
    assert_eq!((seen.correlation_id, seen.causation_id), (cause.correlation_id, id.uuid()));
    assert_eq!(seen.trace.trace_id(), cause.trace.trace_id());
    running.stop().await;
}
