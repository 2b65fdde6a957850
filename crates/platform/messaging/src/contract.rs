//! What every [`Bus`] must do, as tests over `dyn Bus`. The crate of a bus calls [`run`] from a test of its own.
//!
//! Time is the bus's: the suite never compares clocks, and asks the [`Bench`] to let time pass. It expects no order of
//! messages, and no memory of ids beyond a window of some minutes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod running;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bookworm_kernel::{Cause, Clock, SystemClock};
use futures::future::{LocalBoxFuture, join_all};
use uuid::Uuid;

pub use self::running::Running;
use crate::{Bus, Consumer, Delivery, Envelope, Message, Policy, ReactionError, SharedBus, Subscriber, Tag, revive};

/// A bus under test. Each test gets one that is new and empty.
#[async_trait]
pub trait Bench: Send + Sync {
    /// A handle on the bus, as another process would have it.
    async fn open(&self) -> SharedBus;

    /// Lets this much time pass on the bus: moves its clock, or waits.
    async fn pass(&self, time: Duration);

    /// A redelivery's delay that the bus can distinguish from none. A bus with a clock of its own takes minutes, one on the
    /// machine's clock a second.
    fn delay(&self) -> Duration;
}

crate::message! {
    /// A message of the suite.
    "events.contract.Counted.v1" Counted {
        /// Tells messages apart.
        pub n: u32,
    }
}
crate::message! {
    /// A message of the suite, of another subject.
    "events.contract.Named.v1" Named {
        /// Tells messages apart.
        pub n: u32,
    }
}

/// The subject of [`Counted`], with a field of another type.
#[derive(serde::Serialize, serde::Deserialize)]
struct Misread {
    n: String,
}

impl Message for Misread {
    const SUBJECT: &'static str = Counted::SUBJECT;
}

const COUNTED: &str = Counted::SUBJECT;
const NAMED: &str = Named::SUBJECT;

/// Runs the whole suite, each test on a bench of its own, side by side: a bench on the machine's clock has to wait.
///
/// # Panics
/// When the bus breaks the contract.
pub async fn run<B: Bench>(new: impl AsyncFn() -> B) {
    macro_rules! tests {
        ($($name:ident),* $(,)?) => {{
            let tests: Vec<LocalBoxFuture<'_, ()>> = vec![$(Box::pin(async {
                let bench = new().await;
                let ended = Ended(stringify!($name), Instant::now());
                $name(&bench).await;
                drop(ended);
            })),*];
            join_all(tests).await;
        }};
    }
    tests!(
        a_message_reaches_every_consumer_that_wants_it_and_no_other,
        a_message_published_twice_is_delivered_once,
        a_lease_that_ends_brings_the_message_back,
        a_lease_that_is_extended_does_not_end,
        a_retried_message_comes_after_its_delay_as_the_next_attempt,
        a_message_that_was_put_back_comes_as_the_same_attempt,
        an_answer_that_comes_too_late_does_not_move_the_next_lease,
        no_message_goes_to_two_workers_at_once,
        a_new_consumer_gets_what_the_bus_still_keeps,
        a_consumer_that_subscribes_while_others_publish_misses_nothing,
        a_consumer_is_widened_and_never_narrowed,
        messages_survive_those_who_published_them,
        dead_letters_are_listed_once_and_can_be_revived,
        each_follower_gets_every_message_from_now_on,
        a_follower_takes_the_place_of_a_durable_consumer,
        a_failing_reaction_is_repeated_and_then_given_up,
        a_panic_is_one_messages_trouble_alone,
        a_message_that_cannot_be_read_goes_to_the_dead_letters_at_once,
        an_outage_pauses_the_consumer_and_counts_no_attempt,
        one_message_without_an_answer_does_not_stop_the_others,
        a_subject_without_a_reaction_is_left_to_another_release,
        each_instance_hears_everything_and_is_told_what_it_may_have_missed,
        a_consumer_finishes_what_it_began_when_it_is_stopped,
    );
}

/// Says how a test ended. A panic ends the others too, and is told by its place.
struct Ended(&'static str, Instant);

impl Drop for Ended {
    fn drop(&mut self) {
        let how = if std::thread::panicking() { "not finished" } else { "ok" };
        eprintln!("contract: {} ... {how} ({:.1} s)", self.0, self.1.elapsed().as_secs_f32());
    }
}

/// Makes a message.
///
/// # Panics
/// Never: the message is plain.
#[must_use]
pub fn counted(n: u32) -> Envelope {
    Envelope::new(&Counted { n }, &Cause::start(), SystemClock.now()).unwrap()
}

/// Makes a message of another subject.
///
/// # Panics
/// Never: the message is plain.
#[must_use]
pub fn named(n: u32) -> Envelope {
    Envelope::new(&Named { n }, &Cause::start(), SystemClock.now()).unwrap()
}

fn number(envelope: &Envelope) -> u32 {
    envelope.data["n"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap()
}

fn numbers<'a>(envelopes: impl IntoIterator<Item = &'a Envelope>) -> Vec<u32> {
    let mut numbers: Vec<u32> = envelopes.into_iter().map(number).collect();
    numbers.sort_unstable();
    numbers
}

/// Receives until `count` messages are there or nothing comes.
async fn take(subscriber: &dyn Subscriber, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let more = subscriber.receive(count - taken.len()).await.unwrap();
        if more.is_empty() {
            break;
        }
        taken.extend(more);
    }
    taken
}

async fn one(subscriber: &dyn Subscriber) -> Delivery {
    let mut taken = take(subscriber, 1).await;
    assert_eq!(taken.len(), 1, "a message is due");
    taken.remove(0)
}

async fn nothing(subscriber: &dyn Subscriber, why: &str) {
    let taken = subscriber.receive(10).await.unwrap();
    assert!(taken.is_empty(), "{why}: {taken:?}");
}

async fn ack(subscriber: &dyn Subscriber, deliveries: &[Delivery]) {
    let tags: Vec<Tag> = deliveries.iter().map(|delivery| delivery.tag.clone()).collect();
    subscriber.ack(&tags).await.unwrap();
}

/// Receives and acknowledges until nothing comes.
async fn drain(subscriber: &dyn Subscriber) -> Vec<u32> {
    let all = take(subscriber, usize::MAX).await;
    ack(subscriber, &all).await;
    numbers(all.iter().map(|delivery| &delivery.envelope))
}

/// Lets time pass until `holds`; half a minute at most.
async fn eventually(bench: &dyn Bench, what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(Instant::now() < until, "{what}");
        bench.pass(QUICK.max_backoff).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How the suite's consumers behave: quick to repeat and quick to give up.
pub const QUICK: Policy = Policy {
    max_attempts: 4,
    initial_backoff: Duration::from_millis(5),
    max_backoff: Duration::from_millis(20),
    workers: 4,
};

/// Starts a consumer of the suite.
fn start(running: &mut Running, consumer: Consumer, bus: &SharedBus) {
    running.consumer(consumer, bus, Arc::new(SystemClock), QUICK);
}

/// Which messages a consumer handled, and as which attempts.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<(u32, u32)>>>);

impl Seen {
    fn note(&self, n: u32, attempt: u32) {
        self.0.lock().unwrap().push((n, attempt));
    }

    fn sorted(&self) -> Vec<(u32, u32)> {
        let mut seen = self.0.lock().unwrap().clone();
        seen.sort_unstable();
        seen
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

async fn dead(bus: &dyn Bus) -> Vec<(u32, String, u32)> {
    let letters = bus.dead_letters().list(None, 100).await.unwrap();
    let mut dead: Vec<_> =
        letters.into_iter().map(|letter| (number(&letter.envelope), letter.reason, letter.attempts)).collect();
    dead.sort();
    dead
}

async fn a_message_reaches_every_consumer_that_wants_it_and_no_other(bench: &dyn Bench) {
    let bus = bench.open().await;
    let a = bus.subscribe("a", &[COUNTED]).await.unwrap();
    let b = bus.subscribe("b", &[COUNTED, NAMED]).await.unwrap();
    let c = bus.subscribe("c", &[NAMED]).await.unwrap();
    bus.publish(&[counted(1), counted(2)]).await.unwrap();
    assert_eq!(bus.backlog().await.unwrap(), 4);
    assert_eq!(drain(&*a).await, [1, 2]);
    assert_eq!(drain(&*b).await, [1, 2]);
    nothing(&*c, "another subject").await;
    assert_eq!(bus.backlog().await.unwrap(), 0);
}

async fn a_message_published_twice_is_delivered_once(bench: &dyn Bench) {
    let bus = bench.open().await;
    let a = bus.subscribe("a", &[COUNTED]).await.unwrap();
    let (one, two) = (counted(1), counted(2));
    bus.publish(&[one.clone(), one.clone()]).await.unwrap();
    let again = join_all((0..8).map(|_| bus.publish(std::slice::from_ref(&two)))).await;
    assert!(again.iter().all(Result::is_ok), "{again:?}");
    assert_eq!(drain(&*a).await, [1, 2]);
    bus.publish(&[one, two, counted(3)]).await.unwrap();
    assert_eq!(drain(&*a).await, [3], "also when it is dealt with");
}

async fn a_lease_that_ends_brings_the_message_back(bench: &dyn Bench) {
    let bus = bench.open().await;
    let a = bus.subscribe("a", &[COUNTED]).await.unwrap();
    bus.publish(&[counted(1)]).await.unwrap();
    let first = one(&*a).await;
    assert_eq!(first.attempt, 1);
    bench.pass(a.lease() / 4).await;
    nothing(&*a, "leased to another").await;
    bench.pass(a.lease()).await;
    let second = one(&*a).await;
    assert_eq!((second.attempt, &second.envelope), (2, &first.envelope));
    // The first worker was only slow: its answer settles the message all the same.
    ack(&*a, &[first]).await;
    bench.pass(a.lease() * 2).await;
    nothing(&*a, "settled").await;
    ack(&*a, &[second]).await;
    assert_eq!(bus.backlog().await.unwrap(), 0);
}

async fn a_lease_that_is_extended_does_not_end(bench: &dyn Bench) {
    let bus = bench.open().await;
    let a = bus.subscribe("a", &[COUNTED]).await.unwrap();
    bus.publish(&[counted(1)]).await.unwrap();
    let delivery = one(&*a).await;
    for _ in 0..4 {
        bench.pass(a.lease() / 2).await;
        a.extend(&delivery.tag).await.unwrap();
    }
    nothing(&*a, "the work goes on").await;
    bench.pass(a.lease() * 2).await;
    assert_eq!(one(&*a).await.attempt, 2);
}

async fn a_retried_message_comes_after_its_delay_as_the_next_attempt(bench: &dyn Bench) {
    let bus = bench.open().await;
    let a = bus.subscribe("a", &[COUNTED]).await.unwrap();
    bus.publish(&[counted(1)]).await.unwrap();
    for attempt in 1..=3 {
        let delivery = one(&*a).await;
        assert_eq!(delivery.attempt, attempt);
        a.retry(&delivery.tag, bench.delay() * 4).await.unwrap();
        bench.pass(bench.delay()).await;
        nothing(&*a, "not yet").await;
        bench.pass(bench.delay() * 4).await;
    }
    assert_eq!(drain(&*a).await, [1]);
}

async fn a_message_that_was_put_back_comes_as_the_same_attempt(bench: &dyn Bench) {
    let bus = bench.open().await;
    let a = bus.subscribe("a", &[COUNTED]).await.unwrap();
    bus.publish(&[counted(1)]).await.unwrap();
    for _ in 0..3 {
        let delivery = one(&*a).await;
        assert_eq!(delivery.attempt, 1);
        a.put_back(&delivery.tag, bench.delay() * 4).await.unwrap();
        bench.pass(bench.delay()).await;
        nothing(&*a, "not yet").await;
        bench.pass(bench.delay() * 4).await;
    }
    let delivery = one(&*a).await;
    a.retry(&delivery.tag, Duration::ZERO).await.unwrap();
    let delivery = one(&*a).await;
    assert_eq!(delivery.attempt, 2);
    a.put_back(&delivery.tag, Duration::ZERO).await.unwrap();
    assert_eq!(one(&*a).await.attempt, 2);
}

async fn an_answer_that_comes_too_late_does_not_move_the_next_lease(bench: &dyn Bench) {
    let bus = bench.open().await;
    let a = bus.subscribe("a", &[COUNTED]).await.unwrap();
    bus.publish(&[counted(1)]).await.unwrap();
    let first = one(&*a).await;
    bench.pass(a.lease() * 2).await;
    let second = one(&*a).await;
    a.retry(&first.tag, Duration::ZERO).await.unwrap();
    nothing(&*a, "the second worker has it").await;
    a.put_back(&first.tag, Duration::ZERO).await.unwrap();
    nothing(&*a, "the second worker has it").await;
    ack(&*a, &[second]).await;
}

async fn no_message_goes_to_two_workers_at_once(bench: &dyn Bench) {
    let buses = [bench.open().await, bench.open().await];
    let mut subscribers = Vec::new();
    for n in 0..8 {
        subscribers.push(buses[n % 2].subscribe("a", &[COUNTED]).await.unwrap());
    }
    let messages: Vec<Envelope> = (0..100).map(counted).collect();
    buses[0].publish(&messages).await.unwrap();
    let workers = subscribers.iter().map(|subscriber| async move {
        let mut mine = Vec::new();
        loop {
            let deliveries = subscriber.receive(3).await.unwrap();
            if deliveries.is_empty() {
                return mine;
            }
            mine.extend(deliveries.into_iter().map(|delivery| number(&delivery.envelope)));
        }
    });
    let mut all: Vec<u32> = join_all(workers).await.into_iter().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<u32>>());
}

async fn a_new_consumer_gets_what_the_bus_still_keeps(bench: &dyn Bench) {
    let bus = bench.open().await;
    let old = bus.subscribe("old", &[COUNTED]).await.unwrap();
    bus.publish(&[counted(1), counted(2)]).await.unwrap();
    assert_eq!(drain(&*old).await, [1, 2]);
    let new = bus.subscribe("new", &[COUNTED]).await.unwrap();
    assert_eq!(drain(&*new).await, [1, 2]);
    let new = bus.subscribe("new", &[COUNTED]).await.unwrap();
    let old = bus.subscribe("old", &[COUNTED]).await.unwrap();
    nothing(&*new, "subscribing again is not subscribing anew").await;
    nothing(&*old, "subscribing again is not subscribing anew").await;
}

async fn a_consumer_that_subscribes_while_others_publish_misses_nothing(bench: &dyn Bench) {
    let bus = bench.open().await;
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
    let mut subscribers = Vec::new();
    for n in 0..10 {
        subscribers.push(bus.subscribe(&format!("c{n}"), &[COUNTED]).await.unwrap());
    }
    for task in publishing {
        task.await.unwrap();
    }
    for (n, subscriber) in subscribers.iter().enumerate() {
        assert_eq!(drain(&**subscriber).await.len(), 160, "consumer {n} missed a message");
    }
}

async fn a_consumer_is_widened_and_never_narrowed(bench: &dyn Bench) {
    let bus = bench.open().await;
    bus.publish(&[named(1)]).await.unwrap();
    let old = bus.subscribe("a", &[COUNTED]).await.unwrap();
    nothing(&*old, "not its subject").await;
    let new = bus.subscribe("a", &[COUNTED, NAMED]).await.unwrap();
    assert_eq!(drain(&*new).await, [1], "a new subject brings what is stored");
    // An instance of the release before comes up again, or one that wants something else altogether.
    bus.subscribe("a", &[COUNTED]).await.unwrap();
    bus.subscribe("a", &["events.contract.Other.v1"]).await.unwrap();
    bus.publish(&[counted(2), named(3)]).await.unwrap();
    assert_eq!(drain(&*new).await, [2, 3]);
}

async fn messages_survive_those_who_published_them(bench: &dyn Bench) {
    {
        let bus = bench.open().await;
        let a = bus.subscribe("a", &[COUNTED]).await.unwrap();
        bus.publish(&[counted(1), counted(2)]).await.unwrap();
        one(&*a).await;
    }
    let bus = bench.open().await;
    let a = bus.subscribe("a", &[COUNTED]).await.unwrap();
    assert_eq!(drain(&*a).await.len(), 1, "what was not leased is there at once");
    bench.pass(a.lease() * 2).await;
    assert_eq!(drain(&*a).await.len(), 1, "what was leased is there when the lease ends");
}

async fn dead_letters_are_listed_once_and_can_be_revived(bench: &dyn Bench) {
    let bus = bench.open().await;
    let a = bus.subscribe("a", &[COUNTED]).await.unwrap();
    bus.publish(&[counted(1), counted(2), counted(3)]).await.unwrap();
    let given_up = take(&*a, 3).await;
    for delivery in &given_up {
        bus.dead_letters().add("a", delivery, "on purpose").await.unwrap();
        // The process died before it could acknowledge, and gave the message up once more.
        bus.dead_letters().add("a", delivery, "again").await.unwrap();
    }
    ack(&*a, &given_up).await;
    assert_eq!(bus.backlog().await.unwrap(), 0);
    let first = bus.dead_letters().list(None, 2).await.unwrap();
    assert_eq!(first.len(), 2);
    let rest = bus.dead_letters().list(Some(first[1].id), 2).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert!(first[0].id > first[1].id && first[1].id > rest[0].id, "latest first");
    let letter = &rest[0];
    assert_eq!((letter.consumer.as_str(), letter.reason.as_str(), letter.attempts), ("a", "on purpose", 1));
    assert_eq!(letter.message_id, letter.envelope.id);

    bench.pass(a.lease() * 2).await;
    assert!(revive(&*bus, letter.id).await.unwrap());
    assert!(!revive(&*bus, letter.id).await.unwrap());
    assert!(!revive(&*bus, Uuid::now_v7()).await.unwrap());
    let delivery = one(&*a).await;
    assert_eq!((&delivery.envelope, delivery.attempt), (&letter.envelope, 1), "as a first attempt");
    ack(&*a, &[delivery]).await;
    assert_eq!(bus.dead_letters().list(None, 10).await.unwrap().len(), 2);
}

async fn each_follower_gets_every_message_from_now_on(bench: &dyn Bench) {
    let buses = [bench.open().await, bench.open().await];
    buses[0].publish(&[counted(1)]).await.unwrap();
    let mut followers = Vec::new();
    for bus in [&buses[0], &buses[0], &buses[1]] {
        followers.push(bus.follow("f", &[COUNTED]).await.unwrap());
    }
    // Many publishers side by side: none of their messages may slip by.
    let publishing = (0..20).map(|n| {
        let bus = &buses[n as usize % 2];
        async move { bus.publish(&[counted(100 + n), named(n)]).await.unwrap() }
    });
    join_all(publishing).await;
    assert_eq!(buses[0].backlog().await.unwrap(), 0, "nothing is stored for them");
    for follower in &mut followers {
        let mut received = Vec::new();
        let until = Instant::now() + Duration::from_secs(20);
        while received.len() < 20 && Instant::now() < until {
            received.extend(follower.receive(7).await.unwrap());
        }
        assert_eq!(numbers(&received), (100..120).collect::<Vec<u32>>());
        assert!(follower.receive(7).await.unwrap().is_empty());
    }
}

async fn a_follower_takes_the_place_of_a_durable_consumer(bench: &dyn Bench) {
    let bus = bench.open().await;
    bus.subscribe("f", &[COUNTED]).await.unwrap();
    bus.publish(&[counted(1)]).await.unwrap();
    assert_eq!(bus.backlog().await.unwrap(), 1);
    let mut follower = bus.follow("f", &[COUNTED]).await.unwrap();
    bus.publish(&[counted(2)]).await.unwrap();
    assert_eq!(bus.backlog().await.unwrap(), 0, "nobody would ever acknowledge it");
    assert_eq!(numbers(&follower.receive(10).await.unwrap()), [2]);
}

async fn a_failing_reaction_is_repeated_and_then_given_up(bench: &dyn Bench) {
    let bus = bench.open().await;
    let seen = Seen::default();
    let noted = seen.clone();
    let consumer = Consumer::new("a").on::<Counted, _, _>(move |message| {
        noted.note(message.body.n, message.attempt);
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
    start(&mut running, consumer, &bus);
    bus.publish(&[counted(1), counted(2), counted(3), counted(4)]).await.unwrap();
    eventually(bench, "all are settled", async || seen.len() >= 9 && bus.backlog().await.unwrap() == 0).await;
    assert_eq!(seen.sorted(), [(1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2), (2, 3), (3, 1), (4, 1)]);
    assert_eq!(dead(&*bus).await, [(1, "not yet".to_owned(), 4), (3, "never".to_owned(), 1)]);
    running.stop().await;
}

async fn a_panic_is_one_messages_trouble_alone(bench: &dyn Bench) {
    let bus = bench.open().await;
    let seen = Seen::default();
    let noted = seen.clone();
    let consumer = Consumer::new("a").on::<Counted, _, _>(move |message| {
        let noted = noted.clone();
        assert!(message.body.n != 1 || message.attempt > 1, "a panic before the reaction's first step");
        async move {
            assert!(message.body.n != 2 || message.attempt > 1, "a panic within the reaction");
            noted.note(message.body.n, message.attempt);
            Ok(())
        }
    });
    let mut running = Running::new();
    start(&mut running, consumer, &bus);
    bus.publish(&[counted(1), counted(2), counted(3)]).await.unwrap();
    eventually(bench, "all succeed", async || seen.len() == 3 && bus.backlog().await.unwrap() == 0).await;
    assert_eq!(seen.sorted(), [(1, 2), (2, 2), (3, 1)]);
    assert!(dead(&*bus).await.is_empty());
    running.stop().await;
}

async fn a_message_that_cannot_be_read_goes_to_the_dead_letters_at_once(bench: &dyn Bench) {
    let bus = bench.open().await;
    let seen = Seen::default();
    let noted = seen.clone();
    let consumer = Consumer::new("a").on::<Counted, _, _>(move |message| {
        noted.note(message.body.n, message.attempt);
        async { Ok(()) }
    });
    let mut running = Running::new();
    start(&mut running, consumer, &bus);
    let misread = Envelope::new(&Misread { n: "many".to_owned() }, &Cause::start(), SystemClock.now()).unwrap();
    bus.publish(&[misread.clone(), counted(7)]).await.unwrap();
    eventually(bench, "both are settled", async || seen.len() == 1 && bus.backlog().await.unwrap() == 0).await;
    let letters = bus.dead_letters().list(None, 10).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((&letters[0].envelope, letters[0].attempts), (&misread, 1));
    assert!(letters[0].reason.contains("cannot be read"), "{}", letters[0].reason);
    running.stop().await;
}

async fn an_outage_pauses_the_consumer_and_counts_no_attempt(bench: &dyn Bench) {
    let bus = bench.open().await;
    let (seen, down) = (Seen::default(), Arc::new(AtomicBool::new(true)));
    let (calls, busy, crowded) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let consumer = Consumer::new("a").on::<Counted, _, _>({
        let (seen, down, calls, busy, crowded) =
            (seen.clone(), down.clone(), calls.clone(), busy.clone(), crowded.clone());
        move |message| {
            let (seen, down, calls, busy, crowded) =
                (seen.clone(), down.clone(), calls.clone(), busy.clone(), crowded.clone());
            async move {
                let call = calls.fetch_add(1, Ordering::SeqCst);
                let beside = busy.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
                busy.fetch_sub(1, Ordering::SeqCst);
                if down.load(Ordering::SeqCst) {
                    // Two batches may have been under way when it found out.
                    crowded.fetch_or(beside > 0 && call >= 2 * QUICK.workers, Ordering::SeqCst);
                    return Err(ReactionError::unavailable("the database is away"));
                }
                seen.note(message.body.n, message.attempt);
                Ok(())
            }
        }
    });
    let mut running = Running::new();
    start(&mut running, consumer, &bus);
    bus.publish(&(0..10).map(counted).collect::<Vec<_>>()).await.unwrap();
    let tried = 10 * QUICK.max_attempts as usize;
    eventually(bench, "it goes on finding out", async || calls.load(Ordering::SeqCst) > tried).await;
    assert!(!crowded.load(Ordering::SeqCst), "one message at a time finds out");
    assert_eq!(bus.backlog().await.unwrap(), 10);
    down.store(false, Ordering::SeqCst);
    eventually(bench, "all are handled", async || seen.len() >= 10 && bus.backlog().await.unwrap() == 0).await;
    assert_eq!(seen.sorted(), (0..10).map(|n| (n, 1)).collect::<Vec<_>>(), "each as a first attempt");
    assert!(dead(&*bus).await.is_empty());
    running.stop().await;
}

async fn one_message_without_an_answer_does_not_stop_the_others(bench: &dyn Bench) {
    let bus = bench.open().await;
    let (seen, tried) = (Seen::default(), Arc::new(AtomicUsize::new(0)));
    let (noted, counter) = (seen.clone(), tried.clone());
    let consumer = Consumer::new("a").on::<Counted, _, _>(move |message| {
        let ill = message.body.n == 0;
        if ill {
            counter.fetch_add(1, Ordering::SeqCst);
        } else {
            noted.note(message.body.n, message.attempt);
        }
        async move { if ill { Err(ReactionError::unavailable("no answer")) } else { Ok(()) } }
    });
    let mut running = Running::new();
    start(&mut running, consumer, &bus);
    bus.publish(&[counted(0)]).await.unwrap();
    for n in 1..=20 {
        bus.publish(&[counted(n)]).await.unwrap();
        eventually(bench, "the others go on", async || seen.len() == n as usize).await;
    }
    let many = QUICK.max_attempts as usize * 2;
    eventually(bench, "it comes again and again", async || tried.load(Ordering::SeqCst) > many).await;
    assert!(dead(&*bus).await.is_empty());
    running.stop().await;
}

async fn a_subject_without_a_reaction_is_left_to_another_release(bench: &dyn Bench) {
    let bus = bench.open().await;
    let handled: Arc<Mutex<BTreeMap<(&str, u32), u32>>> = Arc::default();
    let reacts = |release: &'static str| {
        let handled = handled.clone();
        move |n: u32| *handled.lock().unwrap().entry((release, n)).or_default() += 1
    };
    let old = reacts("old");
    let old = Consumer::new("a").on::<Counted, _, _>(move |message| {
        old(message.body.n);
        async { Ok(()) }
    });
    // The new release has been there and was rolled back.
    bus.subscribe("a", &[COUNTED, NAMED]).await.unwrap();
    let mut running = Running::new();
    start(&mut running, old, &bus);
    bus.publish(&[named(1), counted(2), named(3)]).await.unwrap();
    eventually(bench, "what it knows is handled", async || bus.backlog().await.unwrap() <= 2).await;
    bench.pass(bench.delay()).await;
    assert_eq!(bus.backlog().await.unwrap(), 2, "what it does not know is not acknowledged");
    let (counts, names) = (reacts("new"), reacts("new"));
    let new =
        Consumer::new("a")
            .on::<Counted, _, _>(move |message| {
                counts(message.body.n);
                async { Ok(()) }
            })
            .on::<Named, _, _>(move |message| {
                names(message.body.n);
                async move {
                    if message.attempt == 1 { Ok(()) } else { Err(ReactionError::refuse("an attempt was counted")) }
                }
            });
    start(&mut running, new, &bus);
    eventually(bench, "the new release handles the rest", async || bus.backlog().await.unwrap() == 0).await;
    let by: Vec<_> = handled.lock().unwrap().keys().copied().collect();
    assert_eq!(by, [("new", 1), ("new", 3), ("old", 2)]);
    assert!(dead(&*bus).await.is_empty());
    running.stop().await;
}

async fn each_instance_hears_everything_and_is_told_what_it_may_have_missed(bench: &dyn Bench) {
    let buses = [bench.open().await, bench.open().await];
    let mut running = Running::new();
    let mut instances = Vec::new();
    for bus in &buses {
        let (received, missed) = (Seen::default(), Arc::new(AtomicUsize::new(0)));
        let (noted, counter) = (received.clone(), missed.clone());
        let consumer = Consumer::each_instance("cache", move || {
            counter.fetch_add(1, Ordering::SeqCst);
            async {}
        })
        .on::<Counted, _, _>(move |message| {
            noted.note(message.body.n, message.attempt);
            async move {
                assert_ne!(message.body.n, 2, "a panic");
                if message.body.n == 3 { Err(ReactionError::unavailable("it does not come again")) } else { Ok(()) }
            }
        });
        start(&mut running, consumer, bus);
        instances.push((received, missed));
    }
    let missed = |n: usize| instances.iter().all(|(_, missed)| missed.load(Ordering::SeqCst) == n);
    eventually(bench, "each is notified at the beginning", async || missed(1)).await;
    for n in 1..=4 {
        buses[0].publish(&[counted(n)]).await.unwrap();
        let all = |count| instances.iter().all(|(received, _)| received.len() == count);
        eventually(bench, "each gets it", async || all(n as usize)).await;
    }
    eventually(bench, "each is notified after a failure", async || missed(3)).await;
    for (received, _) in &instances {
        assert_eq!(received.sorted(), [(1, 1), (2, 1), (3, 1), (4, 1)]);
    }
    assert!(dead(&*buses[0]).await.is_empty());
    running.stop().await;
}

async fn a_consumer_finishes_what_it_began_when_it_is_stopped(bench: &dyn Bench) {
    let bus = bench.open().await;
    let (began, go_on) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
    let finished = Arc::new(AtomicUsize::new(0));
    let consumer = Consumer::new("a").on::<Counted, _, _>({
        let (began, go_on, finished) = (began.clone(), go_on.clone(), finished.clone());
        move |_| {
            let (began, go_on, finished) = (began.clone(), go_on.clone(), finished.clone());
            async move {
                began.notify_one();
                go_on.notified().await;
                finished.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
        }
    });
    let mut running = Running::new();
    start(&mut running, consumer, &bus);
    bus.publish(&[counted(1)]).await.unwrap();
    began.notified().await;
    running.begin_stop();
    go_on.notify_one();
    running.stop().await;
    assert_eq!(finished.load(Ordering::SeqCst), 1);
    assert_eq!(bus.backlog().await.unwrap(), 0, "and acknowledged it");
}
