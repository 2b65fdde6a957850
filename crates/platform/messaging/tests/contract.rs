//! What every service may rely on when it publishes and reacts, whichever database the bus runs on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[macro_use]
#[path = "../../db/tests/support/mod.rs"]
mod support;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bookworm_db::{Db, DbError, Migration, Sql, values};
use bookworm_kernel::{Cause, Clock, ManualClock, SystemClock, Timestamp};
use bookworm_messaging::{
    Bus, BusError, Consumer, DbBus, DeadLetter, Delivery, Envelope, Message, Outbox, Policy, ReactionError, SharedBus,
    message, relay,
};
use futures::future::join_all;
use support::Home;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

on_every_database!(
    a_message_reaches_every_consumer_that_wants_it_and_no_other,
    a_message_published_twice_is_delivered_once,
    a_lease_that_ends_brings_the_message_back,
    a_retried_message_comes_after_its_pause,
    no_message_goes_to_two_workers_at_once,
    a_new_consumer_gets_what_the_bus_still_keeps,
    a_consumer_that_subscribes_while_others_publish_misses_nothing,
    a_consumer_that_wants_other_subjects_gets_those,
    messages_survive_reopening,
    given_up_messages_are_listed_and_can_be_revived,
    pruning_keeps_what_is_not_settled,
    a_message_and_its_change_are_kept_or_lost_together,
    every_message_has_its_effect_once_through_crashes_and_repeats,
    a_relay_that_died_after_publishing_repeats_harmlessly,
    the_relay_waits_for_a_bus_that_does_not_answer,
    a_failing_reaction_is_repeated_and_then_given_up,
    a_panic_is_one_messages_trouble_alone,
    a_message_that_cannot_be_read_goes_to_the_dead_letters_at_once,
    a_consumer_finishes_what_it_began_when_it_is_stopped,
    a_reaction_knows_what_led_to_it,
);

message! {
    "events.shop.Counted.v1" Counted {
        pub n: u32,
    }
}
message! {
    "events.shop.Named.v1" Named {
        pub name: String,
    }
}

/// The same subject as [`Counted`], with a field of another type.
#[derive(serde::Serialize, serde::Deserialize)]
struct Misread {
    n: String,
}
impl Message for Misread {
    const SUBJECT: &'static str = Counted::SUBJECT;
}

const LEASE: Duration = Duration::from_secs(30);
const TABLES: &[Migration] = &[
    bookworm_messaging::MIGRATIONS[0],
    bookworm_messaging::MIGRATIONS[1],
    Migration {
        name: "test/0001_effects",
        sql: "CREATE TABLE effects (id {serial}, consumer TEXT NOT NULL, n BIGINT NOT NULL);",
    },
];

fn start() -> Timestamp {
    Timestamp::parse("2026-03-01T12:00:00Z").unwrap()
}

async fn bus(home: &Home, clock: Arc<dyn Clock>, lease: Duration) -> Arc<DbBus> {
    Arc::new(DbBus::open(home.databases.open("bus").await.unwrap(), clock, lease).await.unwrap())
}

async fn stopped_bus(home: &Home) -> (Arc<DbBus>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(start()));
    (bus(home, clock.clone(), LEASE).await, clock)
}

async fn service(home: &Home) -> (Db, Outbox) {
    let db = home.databases.open("service").await.unwrap();
    db.migrate(TABLES, SystemClock.now()).await.unwrap();
    (db, Outbox::new(Arc::new(SystemClock)))
}

fn counted(n: u32) -> Envelope {
    Envelope::new(&Counted { n }, &Cause::start(), start()).unwrap()
}

fn numbers(deliveries: &[Delivery]) -> Vec<u64> {
    let mut numbers: Vec<u64> = deliveries.iter().map(|d| d.envelope.data["n"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    numbers
}

/// Receives and acknowledges until nothing comes.
async fn drain(bus: &DbBus, consumer: &'static str) -> Vec<u64> {
    let mut all = Vec::new();
    loop {
        let deliveries = bus.receive(consumer, 100).await.unwrap();
        if deliveries.is_empty() {
            all.sort_unstable();
            return all;
        }
        for delivery in &deliveries {
            bus.ack(consumer, std::slice::from_ref(delivery)).await.unwrap();
        }
        all.extend(numbers(&deliveries));
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

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
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

struct Running {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    fn new() -> Self {
        Self { stop: CancellationToken::new(), tasks: Vec::new() }
    }

    fn consumer(&mut self, consumer: Consumer, bus: &SharedBus) {
        self.tasks.push(tokio::spawn(consumer.run(bus.clone(), Arc::new(SystemClock), QUICK, self.stop.clone())));
    }

    fn relay(&mut self, db: &Db, outbox: &Outbox, bus: &SharedBus) {
        self.tasks.push(tokio::spawn(relay(db.clone(), outbox.clone(), bus.clone(), self.stop.clone())));
    }

    /// As a crash: wherever they are.
    async fn kill(self) {
        for task in self.tasks {
            task.abort();
            let _ = task.await;
        }
    }

    async fn stop(self) {
        self.stop.cancel();
        for task in self.tasks {
            tokio::time::timeout(Duration::from_secs(10), task).await.expect("it stops when told").unwrap();
        }
    }
}

async fn a_message_reaches_every_consumer_that_wants_it_and_no_other(home: &Home) {
    let (bus, _) = stopped_bus(home).await;
    bus.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    bus.subscribe("b", &[Counted::SUBJECT, Named::SUBJECT]).await.unwrap();
    bus.subscribe("c", &[Named::SUBJECT]).await.unwrap();
    bus.publish(&[counted(1), counted(2)]).await.unwrap();
    assert_eq!(bus.backlog().await.unwrap(), 4);
    assert_eq!(drain(&bus, "a").await, [1, 2]);
    assert_eq!(drain(&bus, "b").await, [1, 2]);
    assert_eq!(drain(&bus, "c").await, [0_u64; 0]);
    assert_eq!(bus.backlog().await.unwrap(), 0);
}

async fn a_message_published_twice_is_delivered_once(home: &Home) {
    let (bus, _) = stopped_bus(home).await;
    bus.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    let (one, two) = (counted(1), counted(2));
    bus.publish(&[one.clone(), one.clone()]).await.unwrap();
    let again = join_all((0..8).map(|_| bus.publish(std::slice::from_ref(&two)))).await;
    assert!(again.iter().all(Result::is_ok), "{again:?}");
    assert_eq!(drain(&bus, "a").await, [1, 2]);
    bus.publish(&[one, two, counted(3)]).await.unwrap();
    assert_eq!(drain(&bus, "a").await, [3], "also when it was dealt with long ago");
}

async fn a_lease_that_ends_brings_the_message_back(home: &Home) {
    let (bus, clock) = stopped_bus(home).await;
    bus.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    bus.publish(&[counted(1)]).await.unwrap();
    let first = bus.receive("a", 10).await.unwrap();
    assert_eq!((first.len(), first[0].attempt), (1, 1));
    clock.advance(LEASE - Duration::from_micros(1));
    assert!(bus.receive("a", 10).await.unwrap().is_empty(), "leased to another");
    clock.advance(Duration::from_micros(1));
    let second = bus.receive("a", 10).await.unwrap();
    assert_eq!((second.len(), second[0].attempt), (1, 2));
    assert_eq!(second[0].envelope, first[0].envelope);
    // The first worker was only slow: its answer settles the message all the same.
    bus.ack("a", std::slice::from_ref(&first[0])).await.unwrap();
    clock.advance(LEASE);
    assert!(bus.receive("a", 10).await.unwrap().is_empty());
    bus.ack("a", std::slice::from_ref(&second[0])).await.unwrap();
}

async fn a_retried_message_comes_after_its_pause(home: &Home) {
    let (bus, clock) = stopped_bus(home).await;
    bus.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    bus.publish(&[counted(1)]).await.unwrap();
    for attempt in 1..=3 {
        let delivery = bus.receive("a", 10).await.unwrap().remove(0);
        assert_eq!(delivery.attempt, attempt);
        bus.retry("a", &delivery, Duration::from_secs(90)).await.unwrap();
        clock.advance(Duration::from_secs(89));
        assert!(bus.receive("a", 10).await.unwrap().is_empty());
        clock.advance(Duration::from_secs(1));
    }
    assert_eq!(drain(&bus, "a").await, [1]);
}

async fn no_message_goes_to_two_workers_at_once(home: &Home) {
    let (first, _) = stopped_bus(home).await;
    // A second handle stands for another process.
    let (second, _) = stopped_bus(home).await;
    first.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    let messages: Vec<Envelope> = (0..100).map(counted).collect();
    first.publish(&messages).await.unwrap();
    let buses = [first, second];
    let workers = (0..8).map(|n| {
        let bus = buses[n % 2].clone();
        async move {
            let mut mine = Vec::new();
            loop {
                let deliveries = bus.receive("a", 3).await.unwrap();
                if deliveries.is_empty() {
                    return mine;
                }
                mine.extend(numbers(&deliveries));
            }
        }
    });
    let mut all: Vec<u64> = join_all(workers).await.into_iter().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<u64>>());
}

async fn a_new_consumer_gets_what_the_bus_still_keeps(home: &Home) {
    let (bus, _) = stopped_bus(home).await;
    bus.subscribe("old", &[Counted::SUBJECT]).await.unwrap();
    bus.publish(&[counted(1), counted(2)]).await.unwrap();
    assert_eq!(drain(&bus, "old").await, [1, 2]);
    bus.subscribe("new", &[Counted::SUBJECT]).await.unwrap();
    assert_eq!(drain(&bus, "new").await, [1, 2]);
    bus.subscribe("new", &[Counted::SUBJECT]).await.unwrap();
    bus.subscribe("old", &[Counted::SUBJECT]).await.unwrap();
    assert_eq!(drain(&bus, "new").await, [0_u64; 0], "subscribing again is not subscribing anew");
    assert_eq!(drain(&bus, "old").await, [0_u64; 0]);
}

async fn a_consumer_that_subscribes_while_others_publish_misses_nothing(home: &Home) {
    const NAMES: [&str; 10] = ["c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9"];
    let (bus, _) = stopped_bus(home).await;
    let publishing: Vec<_> = (0..4_u32)
        .map(|publisher| {
            let bus = bus.clone();
            tokio::spawn(async move {
                for n in 0..40 {
                    bus.publish(&[counted(publisher * 1000 + n)]).await.unwrap();
                }
            })
        })
        .collect();
    for name in NAMES {
        bus.subscribe(name, &[Counted::SUBJECT]).await.unwrap();
    }
    for task in publishing {
        task.await.unwrap();
    }
    for name in NAMES {
        assert_eq!(drain(&bus, name).await.len(), 160, "{name} missed a message");
    }
}

async fn a_consumer_that_wants_other_subjects_gets_those(home: &Home) {
    let (bus, _) = stopped_bus(home).await;
    bus.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    bus.subscribe("a", &[Named::SUBJECT]).await.unwrap();
    bus.publish(&[counted(1)]).await.unwrap();
    let named = Envelope::new(&Named { name: "x".to_owned() }, &Cause::start(), start()).unwrap();
    bus.publish(&[named]).await.unwrap();
    let deliveries = bus.receive("a", 10).await.unwrap();
    assert_eq!(deliveries.iter().map(|d| d.envelope.subject.as_str()).collect::<Vec<_>>(), [Named::SUBJECT]);
}

async fn messages_survive_reopening(home: &Home) {
    let clock = Arc::new(ManualClock::at(start()));
    let db = home.databases.open("bus").await.unwrap();
    let bus = DbBus::open(db.clone(), clock.clone(), LEASE).await.unwrap();
    bus.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    bus.publish(&[counted(1), counted(2)]).await.unwrap();
    assert_eq!(bus.receive("a", 1).await.unwrap().len(), 1);
    db.close().await;
    let (bus, clock) = stopped_bus(home).await;
    assert_eq!(drain(&bus, "a").await.len(), 1, "what was not leased is there at once");
    clock.advance(LEASE);
    assert_eq!(drain(&bus, "a").await.len(), 1, "what was leased is there when the lease ends");
}

async fn given_up_messages_are_listed_and_can_be_revived(home: &Home) {
    let (bus, clock) = stopped_bus(home).await;
    bus.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    bus.publish(&[counted(1), counted(2), counted(3)]).await.unwrap();
    for delivery in bus.receive("a", 10).await.unwrap() {
        bus.give_up("a", &delivery, "on purpose").await.unwrap();
        // A second answer to the same delivery changes nothing.
        bus.give_up("a", &delivery, "again").await.unwrap();
    }
    assert_eq!(bus.backlog().await.unwrap(), 0);
    let first: Vec<DeadLetter> = bus.dead_letters(None, 2).await.unwrap();
    assert_eq!(first.len(), 2);
    let rest = bus.dead_letters(Some(first[1].id), 2).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert!(first[0].id > first[1].id && first[1].id > rest[0].id, "latest first");
    let dead = &rest[0];
    assert_eq!((dead.consumer.as_str(), dead.reason.as_str(), dead.attempts, dead.at), ("a", "on purpose", 1, start()));
    assert_eq!(dead.message_id, dead.envelope.id);

    clock.advance(Duration::from_secs(3600));
    assert!(bus.revive(dead.id).await.unwrap());
    assert!(!bus.revive(dead.id).await.unwrap());
    assert!(!bus.revive(Uuid::now_v7()).await.unwrap());
    let delivery = bus.receive("a", 10).await.unwrap().remove(0);
    assert_eq!((&delivery.envelope, delivery.attempt), (&dead.envelope, 1));
    bus.ack("a", std::slice::from_ref(&delivery)).await.unwrap();
    assert_eq!(bus.dead_letters(None, 10).await.unwrap().len(), 2);

    // A consumer that left and came back gets the message anew; reviving it then must not trip over that.
    bus.subscribe("a", &[Named::SUBJECT]).await.unwrap();
    bus.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    assert!(bus.revive(first[0].id).await.unwrap());
    assert_eq!(drain(&bus, "a").await, [1, 2, 3]);
}

async fn pruning_keeps_what_is_not_settled(home: &Home) {
    let (bus, clock) = stopped_bus(home).await;
    bus.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    bus.publish(&[counted(1), counted(2), counted(3)]).await.unwrap();
    let deliveries = bus.receive("a", 10).await.unwrap();
    let by_number = |n: u64| deliveries.iter().find(|d| d.envelope.data["n"] == n).unwrap();
    bus.ack("a", std::slice::from_ref(by_number(1))).await.unwrap();
    bus.give_up("a", by_number(2), "on purpose").await.unwrap();
    assert_eq!(bus.prune(start()).await.unwrap(), 0, "nothing is that old");
    clock.advance(LEASE);
    assert_eq!(bus.prune(clock.now()).await.unwrap(), 1);
    let dead = bus.dead_letters(None, 10).await.unwrap().remove(0);
    assert!(bus.revive(dead.id).await.unwrap());
    assert_eq!(drain(&bus, "a").await, [2, 3]);
    assert_eq!(bus.prune(clock.now()).await.unwrap(), 2);
}

async fn a_message_and_its_change_are_kept_or_lost_together(home: &Home) {
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

async fn every_message_has_its_effect_once_through_crashes_and_repeats(home: &Home) {
    const MESSAGES: u32 = 60;
    let (db, outbox) = service(home).await;
    // The last life is left to finish; the others are killed at some point of their work.
    for life in 0..5_u32 {
        let bus: SharedBus = bus(home, Arc::new(SystemClock), Duration::from_millis(300)).await;
        let mut running = Running::new();
        // Every third message fails after its effect, the first time.
        running.consumer(recorder("one", &db, |n, attempt| n % 3 == 0 && attempt == 1), &bus);
        running.consumer(recorder("two", &db, |_, _| false), &bus);
        running.relay(&db, &outbox, &bus);
        running.relay(&db, &outbox, &bus);
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

/// A bus whose answers get lost: it does what it is asked, and then says that it failed.
struct Unreliable {
    inner: Arc<DbBus>,
    failures: AtomicU32,
    does_it_anyway: bool,
}

impl Unreliable {
    fn fails(&self) -> Option<BusError> {
        let left = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        left.is_ok().then(|| BusError::Unavailable("on purpose".into()))
    }
}

#[async_trait]
impl Bus for Unreliable {
    async fn publish(&self, messages: &[Envelope]) -> Result<(), BusError> {
        let failure = self.fails();
        if failure.is_none() || self.does_it_anyway {
            self.inner.publish(messages).await?;
        }
        failure.map_or(Ok(()), Err)
    }
    async fn subscribe(&self, consumer: &'static str, subjects: &[&'static str]) -> Result<(), BusError> {
        self.inner.subscribe(consumer, subjects).await
    }
    async fn receive(&self, consumer: &'static str, max: usize) -> Result<Vec<Delivery>, BusError> {
        self.inner.receive(consumer, max).await
    }
    async fn ack(&self, consumer: &'static str, deliveries: &[Delivery]) -> Result<(), BusError> {
        self.inner.ack(consumer, deliveries).await
    }
    async fn retry(&self, consumer: &'static str, delivery: &Delivery, after: Duration) -> Result<(), BusError> {
        self.inner.retry(consumer, delivery, after).await
    }
    async fn give_up(&self, consumer: &'static str, delivery: &Delivery, reason: &str) -> Result<(), BusError> {
        self.inner.give_up(consumer, delivery, reason).await
    }
    async fn dead_letters(&self, cursor: Option<Uuid>, limit: u64) -> Result<Vec<DeadLetter>, BusError> {
        self.inner.dead_letters(cursor, limit).await
    }
    async fn revive(&self, dead_letter: Uuid) -> Result<bool, BusError> {
        self.inner.revive(dead_letter).await
    }
    async fn backlog(&self) -> Result<u64, BusError> {
        self.inner.backlog().await
    }
    async fn prune(&self, before: Timestamp) -> Result<u64, BusError> {
        self.inner.prune(before).await
    }
}

async fn through_an_unreliable_bus(home: &Home, does_it_anyway: bool) {
    let (db, outbox) = service(home).await;
    let inner = bus(home, Arc::new(SystemClock), LEASE).await;
    inner.subscribe("a", &[Counted::SUBJECT]).await.unwrap();
    let unreliable: SharedBus =
        Arc::new(Unreliable { inner: inner.clone(), failures: AtomicU32::new(2), does_it_anyway });
    put(&db, &outbox, 1).await;
    put(&db, &outbox, 2).await;
    let mut running = Running::new();
    running.relay(&db, &outbox, &unreliable);
    eventually("the outbox is carried away", async || rows(&db, "outbox").await == 0).await;
    running.stop().await;
    assert_eq!(drain(&inner, "a").await, [1, 2]);
}

async fn a_relay_that_died_after_publishing_repeats_harmlessly(home: &Home) {
    through_an_unreliable_bus(home, true).await;
}

async fn the_relay_waits_for_a_bus_that_does_not_answer(home: &Home) {
    through_an_unreliable_bus(home, false).await;
}

async fn a_failing_reaction_is_repeated_and_then_given_up(home: &Home) {
    let bus: SharedBus = bus(home, Arc::new(SystemClock), LEASE).await;
    let attempts = Arc::new(Mutex::new(Vec::new()));
    let seen = attempts.clone();
    let consumer = Consumer::new("a").on::<Counted, _, _>(move |message| {
        seen.lock().unwrap().push((message.body.n, message.attempt));
        async move {
            match message.body.n {
                1 => Err(ReactionError::retry("not yet")),
                2 if message.attempt < 3 => Err(ReactionError::retry("not yet")),
                3 => Err(ReactionError::refuse("never")),
                _ => Ok(()),
            }
        }
    });
    let mut running = Running::new();
    running.consumer(consumer, &bus);
    bus.publish(&[counted(1), counted(2), counted(3), counted(4)]).await.unwrap();
    let watched = bus.clone();
    eventually("all are settled", async || {
        watched.backlog().await.unwrap() == 0 && attempts.lock().unwrap().len() >= 9
    })
    .await;
    let mut seen = attempts.lock().unwrap().clone();
    seen.sort_unstable();
    assert_eq!(seen, [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (2, 3), (3, 1), (4, 1)]);
    let mut dead: Vec<_> = bus.dead_letters(None, 10).await.unwrap();
    dead.sort_by_key(|letter| letter.attempts);
    let dead: Vec<_> =
        dead.iter().map(|d| (d.envelope.data["n"].as_u64().unwrap(), d.reason.as_str(), d.attempts)).collect();
    assert_eq!(dead, [(3, "never", 1), (1, "not yet", 4)]);
    running.stop().await;
}

async fn a_panic_is_one_messages_trouble_alone(home: &Home) {
    let bus: SharedBus = bus(home, Arc::new(SystemClock), LEASE).await;
    let done = Arc::new(AtomicU32::new(0));
    let counter = done.clone();
    let consumer = Consumer::new("a").on::<Counted, _, _>(move |message| {
        let counter = counter.clone();
        assert!(message.body.n != 1 || message.attempt > 1, "a panic before the reaction's first step");
        async move {
            assert!(message.body.n != 2 || message.attempt > 1, "a panic within the reaction");
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    });
    let mut running = Running::new();
    running.consumer(consumer, &bus);
    bus.publish(&[counted(1), counted(2), counted(3)]).await.unwrap();
    let watched = bus.clone();
    eventually("all three succeed", async || done.load(Ordering::SeqCst) == 3 && watched.backlog().await.unwrap() == 0)
        .await;
    assert!(bus.dead_letters(None, 10).await.unwrap().is_empty());
    running.stop().await;
}

async fn a_message_that_cannot_be_read_goes_to_the_dead_letters_at_once(home: &Home) {
    let bus: SharedBus = bus(home, Arc::new(SystemClock), LEASE).await;
    let (db, _) = service(home).await;
    let mut running = Running::new();
    running.consumer(recorder("a", &db, |_, _| false), &bus);
    let misread = Envelope::new(&Misread { n: "many".to_owned() }, &Cause::start(), start()).unwrap();
    bus.publish(&[misread.clone(), counted(7)]).await.unwrap();
    let watched = bus.clone();
    eventually("both are settled", async || {
        watched.backlog().await.unwrap() == 0 && effects(&db, "a").await == HashMap::from([(7, 1)])
    })
    .await;
    let dead = bus.dead_letters(None, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!((&dead[0].envelope, dead[0].attempts), (&misread, 1));
    assert!(dead[0].reason.contains("cannot be read"), "{}", dead[0].reason);
    running.stop().await;
}

async fn a_consumer_finishes_what_it_began_when_it_is_stopped(home: &Home) {
    let bus: SharedBus = bus(home, Arc::new(SystemClock), LEASE).await;
    let (began, has_begun) = tokio::sync::oneshot::channel();
    let began = Arc::new(Mutex::new(Some(began)));
    let finished = Arc::new(AtomicU32::new(0));
    let counter = finished.clone();
    let consumer = Consumer::new("a").on::<Counted, _, _>(move |_| {
        let (counter, began) = (counter.clone(), began.clone());
        async move {
            if let Some(began) = began.lock().unwrap().take() {
                let _ = began.send(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    });
    let mut running = Running::new();
    running.consumer(consumer, &bus);
    bus.publish(&[counted(1)]).await.unwrap();
    has_begun.await.unwrap();
    running.stop().await;
    assert_eq!(finished.load(Ordering::SeqCst), 1);
    assert_eq!(bus.backlog().await.unwrap(), 0, "and acknowledged it");
}

async fn a_reaction_knows_what_led_to_it(home: &Home) {
    let bus: SharedBus = bus(home, Arc::new(SystemClock), LEASE).await;
    let (db, outbox) = service(home).await;
    let cause = Cause::start();
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = Arc::new(Mutex::new(Some(tell)));
    let consumer = Consumer::new("a").on::<Counted, _, _>(move |message| {
        if let Some(tell) = tell.lock().unwrap().take() {
            let _ = tell.send(message.cause);
        }
        async { Ok(()) }
    });
    let mut running = Running::new();
    running.consumer(consumer, &bus);
    running.relay(&db, &outbox, &bus);
    let id = db
        .transact::<_, DbError, _>(move |tx| Box::pin(async move { outbox.put(tx, &cause, &Counted { n: 1 }).await }))
        .await
        .unwrap();
    let seen = told.await.unwrap();
    assert_eq!((seen.correlation_id, seen.causation_id), (cause.correlation_id, id.uuid()));
    assert_eq!(seen.trace.trace_id(), cause.trace.trace_id());
    running.stop().await;
}
