//! What holds of every consumer on the embedded bus, whatever happens: releases that come and go, outages of any
//! length, failures. Each case is a random history; what it says at its end must be true of all of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bookworm_kernel::{Cause, ManualClock, SystemClock, Timestamp};
use bookworm_messaging::{Consumer, Envelope, Message, Reaction, ReactionError, SharedBus, contract::QUICK, message};
use bookworm_testing::TestDatabases;
use proptest::prelude::*;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

message! { "events.property.A.v1" A { pub n: u32, } }
message! { "events.property.B.v1" B { pub n: u32, } }
message! { "events.property.C.v1" C { pub n: u32, } }

const SUBJECTS: [&str; 3] = [A::SUBJECT, B::SUBJECT, C::SUBJECT];

fn envelope(subject: usize, n: u32) -> Envelope {
    let cause = Cause::start();
    match subject {
        0 => Envelope::new(&A { n }, &cause, Timestamp::default()),
        1 => Envelope::new(&B { n }, &cause, Timestamp::default()),
        _ => Envelope::new(&C { n }, &cause, Timestamp::default()),
    }
    .unwrap()
}

/// An instance of one release of a consumer, which has reactions for some subjects.
fn instance<F>(name: &str, reacts_to: &BTreeSet<usize>, react: F) -> Consumer
where
    F: Fn(usize, u32) -> Reaction + Clone + Send + Sync + 'static,
{
    let mut consumer = Consumer::new(name);
    for subject in reacts_to {
        let react = react.clone();
        consumer = match subject {
            0 => consumer.on::<A, _, _>(move |message| std::future::ready(react(0, message.body.n))),
            1 => consumer.on::<B, _, _>(move |message| std::future::ready(react(1, message.body.n))),
            _ => consumer.on::<C, _, _>(move |message| std::future::ready(react(2, message.body.n))),
        };
    }
    consumer
}

struct Bench {
    bus: SharedBus,
    clock: Arc<ManualClock>,
    _home: TestDatabases,
}

impl Bench {
    async fn open() -> Self {
        let (home, clock) = (TestDatabases::sqlite(), bookworm_testing::clock());
        let bus = bookworm_testing::bus(&home, clock.clone()).await;
        Self { bus, clock, _home: home }
    }

    fn start(&self, consumer: Consumer) -> (CancellationToken, JoinHandle<()>) {
        let stop = CancellationToken::new();
        let task = tokio::spawn(consumer.run(self.bus.clone(), Arc::new(SystemClock), QUICK, stop.clone()));
        (stop, task)
    }

    /// Lets time pass until `holds`.
    async fn eventually(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        bookworm_testing::eventually(what, async || {
            self.clock.advance(QUICK.max_backoff);
            holds().await
        })
        .await;
    }
}

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    /// A message of this subject is published.
    Publish(usize),
    /// The running instance is replaced by one of a release with these reactions.
    Release(BTreeSet<usize>),
    /// Time passes.
    Pass,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3_usize).prop_map(Step::Publish),
        1 => prop::collection::btree_set(0..3_usize, 1..=3).prop_map(Step::Release),
        1 => Just(Step::Pass),
    ];
    prop::collection::vec(step, 1..24)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    /// Whatever releases come and go, a message is acknowledged by a reaction to its subject and in no other way, and
    /// in the end every durable consumer has had each of its messages.
    #[test]
    fn no_message_is_lost_or_acknowledged_without_a_reaction(steps in steps()) {
        run(async {
            let bench = Bench::open().await;
            let handled: Arc<Mutex<BTreeMap<(String, u32), u32>>> = Arc::default();
            let reaction = |name: &str| {
                let (handled, name) = (handled.clone(), name.to_owned());
                move |_, n| {
                    *handled.lock().unwrap().entry((name.clone(), n)).or_default() += 1;
                    Ok(())
                }
            };
            let all: BTreeSet<usize> = (0..3).collect();
            // Both want everything from the beginning; only the first is ever replaced.
            for name in ["changing", "steady"] {
                bench.bus.subscribe(name, &SUBJECTS).await.unwrap();
            }
            let steady = bench.start(instance("steady", &all, reaction("steady")));
            let mut changing = bench.start(instance("changing", &all, reaction("changing")));
            let mut knows = all.clone();
            let (mut published, mut unknown) = (0, BTreeSet::new());
            for step in steps {
                match step {
                    Step::Publish(subject) => {
                        bench.bus.publish(&[envelope(subject, published)]).await.unwrap();
                        if !knows.contains(&subject) {
                            unknown.insert(published);
                        }
                        published += 1;
                    }
                    Step::Release(reacts_to) => {
                        // What the old instance knew and had not handled yet may be handled by it or by the new one.
                        changing.0.cancel();
                        changing.1.await.unwrap();
                        knows = reacts_to;
                        unknown.clear();
                        changing = bench.start(instance("changing", &knows, reaction("changing")));
                    }
                    Step::Pass => {
                        bench.clock.advance(Duration::from_secs(10));
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
                let waiting = bench.bus.backlog().await.unwrap();
                assert!(waiting >= unknown.len() as u64, "{waiting} wait, and nobody can handle {unknown:?}");
            }
            changing.0.cancel();
            changing.1.await.unwrap();
            let last = bench.start(instance("changing", &all, reaction("changing")));
            bench.eventually("everything is handled", async || bench.bus.backlog().await.unwrap() == 0).await;
            let handled = handled.lock().unwrap().clone();
            for name in ["changing", "steady"] {
                for n in 0..published {
                    let times = handled.get(&(name.to_owned(), n)).copied().unwrap_or(0);
                    assert!(times >= 1, "{name} never handled {n}");
                }
            }
            assert!(bench.bus.dead_letters().list(None, 10).await.unwrap().is_empty());
            for (stop, task) in [last, steady] {
                stop.cancel();
                task.await.unwrap();
            }
        });
    }

    /// However long what the reactions need is away, and however many messages come meanwhile, none becomes a dead
    /// letter, and each is handled once it is back.
    #[test]
    fn an_outage_of_any_length_makes_no_dead_letter(
        before in 0..12_u32,
        meanwhile in 0..12_u32,
        failures in 1..150_u32,
        each in prop::bool::ANY,
    ) {
        run(async {
            let bench = Bench::open().await;
            let calls = Arc::new(AtomicU32::new(0));
            let down = Arc::new(std::sync::atomic::AtomicBool::new(true));
            let handled: Arc<Mutex<BTreeSet<u32>>> = Arc::default();
            let reaction = {
                let (calls, down, handled) = (calls.clone(), down.clone(), handled.clone());
                move |_, n| {
                    // Some reactions can do without what is away: they go on, and the others still wait.
                    if down.load(Ordering::SeqCst) && (each || n % 4 != 0) {
                        calls.fetch_add(1, Ordering::SeqCst);
                        return Err(ReactionError::unavailable("away"));
                    }
                    handled.lock().unwrap().insert(n);
                    Ok(())
                }
            };
            let running = bench.start(instance("a", &(0..3).collect(), reaction));
            bench.bus.subscribe("a", &SUBJECTS).await.unwrap();
            for n in 0..before + meanwhile {
                bench.bus.publish(&[envelope(n as usize % 3, n)]).await.unwrap();
                if n >= before {
                    bench.clock.advance(QUICK.max_backoff);
                }
            }
            let waits = (0..before + meanwhile).any(|n| each || n % 4 != 0);
            bench.eventually("it goes on trying", async || !waits || calls.load(Ordering::SeqCst) >= failures).await;
            assert!(bench.bus.dead_letters().list(None, 10).await.unwrap().is_empty(), "in the outage");
            down.store(false, Ordering::SeqCst);
            bench.eventually("everything is handled", async || bench.bus.backlog().await.unwrap() == 0).await;
            assert_eq!(handled.lock().unwrap().len() as u32, before + meanwhile);
            assert!(bench.bus.dead_letters().list(None, 10).await.unwrap().is_empty(), "after it");
            running.0.cancel();
            running.1.await.unwrap();
        });
    }
}
