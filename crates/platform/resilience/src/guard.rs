use std::{sync::Arc, time::Duration};

use rand::Rng;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};

use crate::{
    breaker::{Breaker, BreakerPolicy, State},
    budget::{Budget, BudgetPolicy},
};

/// How calls to one callee are made.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// After how long one attempt is given up.
    pub attempt: Duration,
    /// After how long the whole call is given up, pauses included.
    pub total: Duration,
    /// How often to try: at least 1. Above 1 only for calls that may be repeated.
    pub attempts: u32,
    /// The longest pause after the first failed attempt. It doubles with each further one; the pause itself is chosen
    /// at random between nothing and that ("full jitter"), so that callers do not come back all at once.
    pub pause: Duration,
    /// The longest pause of all. A callee that asks for a longer one is not asked again in this call.
    pub pause_at_most: Duration,
    /// How many calls may be under way; more are refused: at least 1.
    pub concurrency: usize,
    /// When to stop calling for a while.
    pub breaker: BreakerPolicy,
    /// How many retries there may be of all calls together.
    pub budget: BudgetPolicy,
}

impl Default for Policy {
    /// One attempt of 1 s, 64 calls at once, the default breaker.
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(1),
            total: Duration::from_secs(1),
            attempts: 1,
            pause: Duration::from_millis(50),
            pause_at_most: Duration::from_secs(2),
            concurrency: 64,
            breaker: BreakerPolicy::default(),
            budget: BudgetPolicy::default(),
        }
    }
}

/// How one call is made, where that differs from call to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// After how long one attempt is given up.
    pub attempt: Duration,
    /// After how long the whole call is given up, pauses included.
    pub total: Duration,
    /// How often to try: at least 1. Above 1 only for calls that may be repeated.
    pub attempts: u32,
}

/// What an error means for the next attempt and for the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The caller's mistake: the callee is well. Not tried again, no failure for the breaker.
    Caller,
    /// The callee failed and may do better later, not before `after` if it said so.
    Transient {
        /// The pause that the callee asks for.
        after: Option<Duration>,
    },
    /// The callee failed and would fail again.
    Permanent,
}

/// Why a guarded call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure<E> {
    /// The breaker is open: the callee was not asked.
    #[error("not asked: too many calls failed lately")]
    Refused {
        /// When it may be asked again.
        retry_after: Duration,
    },
    /// Too many calls are under way: the callee was not asked.
    #[error("not asked: too many calls are under way")]
    Busy,
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The callee's error, from the last attempt.
    #[error(transparent)]
    Failed(E),
}

/// Stands before one callee. Cheap to clone; clones share breaker and bulkhead.
#[derive(Debug, Clone)]
pub struct Guard(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: &'static str,
    policy: Policy,
    breaker: Breaker,
    budget: Budget,
    places: Semaphore,
}

impl Guard {
    /// A guard with a closed breaker. `name` says in logs and metrics who is called.
    #[must_use]
    pub fn new(name: &'static str, policy: Policy) -> Self {
        let breaker = Breaker::new(name, policy.breaker.clone());
        let budget = Budget::new(policy.budget);
        let places = Semaphore::new(policy.concurrency.max(1));
        Self(Arc::new(Inner { name, policy, breaker, budget, places }))
    }

    /// Calls, as the policy says. `attempt` makes one attempt; `classify` says what its error means.
    ///
    /// Dropping the future ends the attempt under way and counts for nothing.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn call<T, E, F>(
        &self,
        attempt: impl FnMut() -> F,
        classify: impl Fn(&E) -> Fault,
    ) -> Result<T, Failure<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let Policy { attempt: each, total, attempts, .. } = self.0.policy;
        self.call_within(Limits { attempt: each, total, attempts }, attempt, classify).await
    }

    /// As [`Guard::call`], with limits of its own instead of the policy's.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn call_within<T, E, F>(
        &self,
        limits: Limits,
        attempt: impl FnMut() -> F,
        classify: impl Fn(&E) -> Fault,
    ) -> Result<T, Failure<E>>
    where
        F: Future<Output = Result<T, E>>,
    {
        let begun = Instant::now();
        let (answer, outcome) = match self.0.places.try_acquire() {
            Ok(_place) => self.attempts(limits, attempt, classify).await,
            Err(_) => (Err(Failure::Busy), "busy"),
        };
        metrics::histogram!("guarded_call_duration_seconds", "name" => self.0.name).record(begun.elapsed());
        metrics::counter!("guarded_calls_total", "name" => self.0.name, "outcome" => outcome).increment(1);
        answer
    }

    /// What the breaker does with calls now.
    #[must_use]
    pub fn state(&self) -> State {
        self.0.breaker.state()
    }

    /// Makes attempts until one is answered, it is no use, or time is up; with the outcome's name for the metric.
    async fn attempts<T, E, F>(
        &self,
        limits: Limits,
        mut attempt: impl FnMut() -> F,
        classify: impl Fn(&E) -> Fault,
    ) -> (Result<T, Failure<E>>, &'static str)
    where
        F: Future<Output = Result<T, E>>,
    {
        let policy = &self.0.policy;
        let deadline = Instant::now() + limits.total;
        self.0.budget.call();
        let mut made = 0;
        loop {
            let permit = match self.0.breaker.permit() {
                Ok(permit) => permit,
                Err(open) => return (Err(Failure::Refused { retry_after: open.retry_after }), "refused"),
            };
            let left = deadline.saturating_duration_since(Instant::now());
            made += 1;
            let (failure, outcome, asked) = match timeout(limits.attempt.min(left), attempt()).await {
                Ok(Ok(answer)) => {
                    permit.success();
                    return (Ok(answer), "ok");
                }
                Ok(Err(error)) => match classify(&error) {
                    Fault::Caller => {
                        permit.success();
                        return (Err(Failure::Failed(error)), "rejected");
                    }
                    Fault::Permanent => {
                        permit.failure();
                        return (Err(Failure::Failed(error)), "failed");
                    }
                    Fault::Transient { after } => {
                        permit.failure();
                        (Failure::Failed(error), "failed", after)
                    }
                },
                Err(_) => {
                    permit.failure();
                    (Failure::TimedOut, "timed_out", None)
                }
            };
            let pause = match asked {
                Some(asked) if asked > policy.pause_at_most => return (Err(failure), outcome),
                Some(asked) => asked.max(self.pause(made)),
                None => self.pause(made),
            };
            if made >= limits.attempts || Instant::now() + pause >= deadline {
                return (Err(failure), outcome);
            }
            if !self.0.budget.retry() {
                metrics::counter!("retries_over_budget_total", "name" => self.0.name).increment(1);
                return (Err(failure), outcome);
            }
            tracing::debug!(callee = self.0.name, made, ?pause, "a call failed and is tried again");
            sleep(pause).await;
        }
    }

    /// The pause after so many failed attempts.
    fn pause(&self, made: u32) -> Duration {
        let policy = &self.0.policy;
        let most = policy.pause.saturating_mul(1 << (made - 1).min(20)).min(policy.pause_at_most);
        most.mul_f64(rand::rng().random_range(0.0..=1.0))
    }
}
