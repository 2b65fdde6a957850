//! What a caller notices of a guard. Time is paused: it passes only where a test waits.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use bookworm_resilience::{Breaker, BreakerPolicy, Failure, Fault, Guard, Policy, State};
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
    Policy { attempts, total: 10_000 * MS, ..Policy::default() }
}

/// Never opens.
fn patient(attempts: u32) -> Policy {
    Policy { breaker: BreakerPolicy { least: 1000, window: 1000, ..BreakerPolicy::default() }, ..policy(attempts) }
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
    let (guard, callee) = (Guard::new("test", policy(50)), Callee::failing(100));
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

#[test]
fn it_opens_at_the_rate_and_not_before() {
    let policy = BreakerPolicy { window: 10, least: 4, failure_rate: 0.5, ..BreakerPolicy::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let breaker = Breaker::new("test", policy);
        let (good, bad) = (|| breaker.permit().unwrap().success(), || breaker.permit().unwrap().failure());
        [bad, bad, bad].iter().for_each(|call| call());
        assert_eq!(breaker.state(), State::Closed, "too few outcomes to judge");
        (0..10).for_each(|_| good());
        (0..4).for_each(|_| bad());
        assert_eq!(breaker.state(), State::Closed, "4 of the last 10");
        bad();
        assert_eq!(breaker.state(), State::Open, "5 of the last 10");
    });
}

#[tokio::test(start_paused = true)]
async fn an_outcome_from_before_a_change_does_not_count_after_it() {
    let breaker = Breaker::new("test", BreakerPolicy { least: 1, ..BreakerPolicy::default() });
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
    let policy = BreakerPolicy { least: 1, open_for: 100 * MS, open_at_most: 250 * MS, ..BreakerPolicy::default() };
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
