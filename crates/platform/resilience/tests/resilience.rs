//! What a caller notices of a guard. Time is paused: it passes only where a test waits.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bookworm_resilience::{
    Breaker, BreakerPolicy, BudgetPolicy, Counts, Failure, Fault, Guard, Policy, State, Window, not_closed,
};
use futures::FutureExt;
use tokio::time::{Instant, advance, sleep};

const MS: Duration = Duration::from_millis(1);

/// A callee that fails as long as it is told to.
#[derive(Default, Clone)]
struct Callee {
    calls: Arc<AtomicU32>,
    failures: Arc<AtomicU32>,
}

impl Callee {
    fn failing(times: u32) -> Self {
        let callee = Self::default();
        callee.failures.store(times, Ordering::SeqCst);
        callee
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }

    async fn answer(&self) -> Result<u32, &'static str> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let fails = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        if fails { Err("down") } else { Ok(call) }
    }

    async fn ask(&self, guard: &Guard) -> Result<u32, Failure<&'static str>> {
        guard.call(|| self.answer(), |_| Fault::Transient { after: None }).await
    }
}

fn policy(attempts: u32) -> Policy {
    Policy { attempts, total: 10_000 * MS, breaker: breaker(), ..Policy::default() }
}

/// Opens after five failures, for a second, and lets one trial through.
fn breaker() -> BreakerPolicy {
    BreakerPolicy { least: 5, open_for: 1000 * MS, trials: 1, ..BreakerPolicy::default() }
}

/// Never opens, and retries as often as it may.
fn patient(attempts: u32) -> Policy {
    let budget = BudgetPolicy { least: 1000, ..BudgetPolicy::default() };
    Policy { breaker: BreakerPolicy { least: 1000, ..BreakerPolicy::default() }, budget, ..policy(attempts) }
}

#[tokio::test(start_paused = true)]
async fn a_passing_failure_is_not_noticed() {
    let (guard, callee) = (Guard::new("test", policy(3)), Callee::failing(2));
    assert_eq!(callee.ask(&guard).await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn attempts_have_an_end_and_the_last_error_is_told() {
    let (guard, callee) = (Guard::new("test", policy(3)), Callee::failing(100));
    assert!(matches!(callee.ask(&guard).await, Err(Failure::Failed("down"))));
    assert_eq!(callee.calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn pauses_double_up_to_their_limit_and_vary() {
    let policy = Policy { pause: 100 * MS, pause_at_most: 400 * MS, ..patient(6) };
    let mut totals = Vec::new();
    for _ in 0..20 {
        let guard = Guard::new("test", policy.clone());
        let start = Instant::now();
        Callee::failing(100).ask(&guard).await.unwrap_err();
        totals.push(start.elapsed());
    }
    // 100 + 200 + 400 + 400 + 400 at most; a millisecond each for the timer.
    assert!(totals.iter().all(|total| *total <= 1505 * MS), "{totals:?}");
    assert!(totals.iter().any(|total| *total > 300 * MS), "{totals:?}");
    totals.sort_unstable();
    totals.dedup();
    assert!(totals.len() > 10, "no jitter: {totals:?}");
}

#[tokio::test(start_paused = true)]
async fn the_callee_may_ask_for_a_pause() {
    let (guard, callee, start) = (Guard::new("test", policy(2)), Callee::failing(1), Instant::now());
    let asks = |_: &&str| Fault::Transient { after: Some(1500 * MS) };
    assert_eq!(guard.call(|| callee.answer(), asks).await.unwrap(), 2);
    assert!(start.elapsed() >= 1500 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_is_too_long_is_not_waited_for() {
    let (guard, callee, start) = (Guard::new("test", policy(2)), Callee::failing(1), Instant::now());
    let asks = |_: &&str| Fault::Transient { after: Some(3600 * 1000 * MS) };
    guard.call(|| callee.answer(), asks).await.unwrap_err();
    assert_eq!((callee.calls(), start.elapsed()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn what_would_fail_again_is_not_repeated() {
    for fault in [Fault::Permanent, Fault::Caller] {
        let (guard, callee) = (Guard::new("test", policy(5)), Callee::failing(5));
        guard.call(|| callee.answer(), |_| fault).await.unwrap_err();
        assert_eq!(callee.calls(), 1, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_attempt_is_given_up_and_repeated() {
    let guard = Guard::new("test", Policy { attempt: 200 * MS, ..policy(2) });
    let calls = AtomicU32::new(0);
    let answer = guard
        .call(
            || async {
                if calls.fetch_add(1, Ordering::SeqCst) == 0 {
                    sleep(60_000 * MS).await;
                }
                Ok::<_, &str>("fast")
            },
            |_| Fault::Permanent,
        )
        .await;
    assert_eq!(answer.unwrap(), "fast");
}

#[tokio::test(start_paused = true)]
async fn the_whole_call_ends_in_time_whatever_is_left_to_try() {
    let guard = Guard::new("test", Policy { attempt: 400 * MS, total: 1000 * MS, ..patient(100) });
    let start = Instant::now();
    let answer = guard.call(futures::future::pending::<Result<(), &str>>, |_| Fault::Permanent).await;
    assert!(matches!(answer, Err(Failure::TimedOut)));
    assert!(start.elapsed() <= 1005 * MS, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn calls_beyond_the_bulkhead_are_refused_at_once() {
    let guard = Guard::new("test", Policy { concurrency: 2, ..policy(1) });
    let slow = || async {
        sleep(500 * MS).await;
        Ok::<_, &str>(())
    };
    let call = || guard.call(slow, |_| Fault::Permanent);
    let (first, second, third) = futures::join!(call(), call(), call());
    assert!(first.is_ok() && second.is_ok());
    assert!(matches!(third, Err(Failure::Busy)));
    assert!(call().await.is_ok(), "places are given back");
}

#[tokio::test(start_paused = true)]
async fn a_callee_that_is_down_is_left_alone_and_found_well_again() {
    let (guard, callee) = (Guard::new("test", policy(1)), Callee::failing(6));
    for _ in 0..5 {
        callee.ask(&guard).await.unwrap_err();
    }
    assert_eq!(guard.state(), State::Open);
    assert!(matches!(callee.ask(&guard).await, Err(Failure::Refused { retry_after }) if retry_after == 1000 * MS));
    assert_eq!(callee.calls(), 5, "an open breaker does not ask");

    advance(1001 * MS).await;
    assert_eq!(guard.state(), State::HalfOpen);
    callee.ask(&guard).await.unwrap_err();
    assert_eq!(guard.state(), State::Open, "the trial failed");
    advance(1001 * MS).await;
    assert!(matches!(callee.ask(&guard).await, Err(Failure::Refused { .. })), "it stays open twice as long");
    advance(1000 * MS).await;
    assert_eq!(callee.ask(&guard).await.unwrap(), 7);
    assert_eq!(guard.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn retries_stop_when_the_breaker_opens() {
    let (guard, callee) = (Guard::new("test", Policy { breaker: breaker(), ..patient(50) }), Callee::failing(100));
    assert!(matches!(callee.ask(&guard).await, Err(Failure::Refused { .. })));
    assert_eq!(callee.calls(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_callers_mistakes_do_not_open_the_breaker() {
    let (guard, callee) = (Guard::new("test", policy(1)), Callee::failing(50));
    for _ in 0..50 {
        guard.call(|| callee.answer(), |_| Fault::Caller).await.unwrap_err();
    }
    assert_eq!(guard.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_leaves_the_trial_to_the_next() {
    let (guard, callee) = (Guard::new("test", policy(1)), Callee::failing(5));
    for _ in 0..5 {
        callee.ask(&guard).await.unwrap_err();
    }
    advance(1001 * MS).await;
    let mut hanging =
        Box::pin(guard.call(futures::future::pending::<Result<(), &str>>, |_| Fault::Transient { after: None }));
    assert!(hanging.as_mut().now_or_never().is_none());
    assert!(matches!(callee.ask(&guard).await, Err(Failure::Refused { .. })), "one trial at a time");
    drop(hanging);
    assert!(callee.ask(&guard).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn it_opens_at_the_rate_and_not_before() {
    let breaker = Breaker::new("test", BreakerPolicy::default());
    let (good, bad) = (|| breaker.permit().unwrap().success(), || breaker.permit().unwrap().failure());
    (0..9).for_each(|_| bad());
    assert_eq!(breaker.state(), State::Closed, "too few outcomes to judge");
    advance(31_000 * MS).await;
    (0..10).for_each(|_| good());
    (0..9).for_each(|_| bad());
    assert_eq!(breaker.state(), State::Closed, "9 of the 19 of the last 30 s");
    bad();
    assert_eq!(breaker.state(), State::Open, "10 of 20");
}

#[tokio::test(start_paused = true)]
async fn a_few_trials_pass_and_all_must_succeed() {
    let breaker = Breaker::new("test", BreakerPolicy::default());
    (0..10).for_each(|_| breaker.permit().unwrap().failure());
    assert!(not_closed().contains(&("test", State::Open)));
    advance(5_000 * MS).await;
    let trials: Vec<_> = (0..3).map(|_| breaker.permit().unwrap()).collect();
    assert!(breaker.permit().is_err(), "three and no more");
    for trial in trials {
        assert_eq!(breaker.state(), State::HalfOpen);
        trial.success();
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_the_window_does_not_count() {
    let mut window = Window::new(30_000 * MS);
    window.add(true);
    advance(15_000 * MS).await;
    window.add(false);
    window.add(true);
    assert_eq!(window.counts(), Counts { all: 3, marked: 2 });
    advance(15_000 * MS).await;
    assert_eq!(window.counts(), Counts { all: 2, marked: 1 });
    advance(15_000 * MS).await;
    assert_eq!((window.counts(), window.counts().rate()), (Counts::default(), 0.0));
    advance(86_400_000 * MS).await;
    window.add(true);
    assert_eq!(window.counts(), Counts { all: 1, marked: 1 });
}

#[tokio::test(start_paused = true)]
async fn a_callee_in_trouble_is_not_asked_much_more_because_of_it() {
    let guard = Guard::new("test", Policy { budget: BudgetPolicy::default(), ..patient(3) });
    let callee = Callee::failing(u32::MAX);
    for _ in 0..100 {
        callee.ask(&guard).await.unwrap_err();
    }
    assert_eq!(callee.calls(), 100 + 20 + 3, "a fifth more, and three");
}

#[tokio::test(start_paused = true)]
async fn an_outcome_from_before_a_change_does_not_count_after_it() {
    let breaker = Breaker::new("test", BreakerPolicy { least: 1, ..breaker() });
    let (late_failure, late_success) = (breaker.permit().unwrap(), breaker.permit().unwrap());
    breaker.permit().unwrap().failure();
    advance(1001 * MS).await;
    let trial = breaker.permit().unwrap();
    late_success.success();
    assert_eq!(breaker.state(), State::HalfOpen);
    late_failure.failure();
    assert_eq!(breaker.state(), State::HalfOpen);
    trial.success();
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn it_stays_open_no_longer_than_its_limit() {
    let policy = BreakerPolicy { least: 1, open_for: 100 * MS, open_at_most: 250 * MS, ..breaker() };
    let breaker = Breaker::new("test", policy);
    let mut waits = Vec::new();
    for _ in 0..5 {
        breaker.permit().unwrap().failure();
        let wait = breaker.permit().unwrap_err().retry_after;
        waits.push(wait.as_millis());
        advance(wait).await;
    }
    assert_eq!(waits, [100, 200, 250, 250, 250]);
}
