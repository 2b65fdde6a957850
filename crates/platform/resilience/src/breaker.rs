use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::Instant;

use crate::Window;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerPolicy {
    /// For how long an outcome counts.
    pub window: Duration,
    /// How many outcomes there must be before their rate means anything: at least 1.
    pub least: u32,
    /// Opens when at least this share of them failed: above 0, at most 1.
    pub failure_rate: f64,
    /// How long it stays open the first time. Doubles with each further opening until it has been closed.
    pub open_for: Duration,
    /// How long it stays open at most.
    pub open_at_most: Duration,
    /// How many calls must succeed in a half-open breaker, and how many may be under way in it: at least 1.
    pub trials: usize,
}

impl Default for BreakerPolicy {
    /// Opens when half of the calls of the last 30 s failed, once there were 10; for 5 s at first and 30 s at most; three
    /// trials.
    fn default() -> Self {
        Self {
            window: Duration::from_secs(30),
            least: 10,
            failure_rate: 0.5,
            open_for: Duration::from_secs(5),
            open_at_most: Duration::from_secs(30),
            trials: 3,
        }
    }
}

/// What a breaker does with calls now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Calls pass.
    Closed,
    /// Trial calls pass.
    HalfOpen,
    /// Calls are refused.
    Open,
}

impl State {
    /// Its name for people and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half open",
            Self::Open => "open",
        }
    }
}

/// The breaker is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is open")]
pub struct Open {
    /// When it will let a trial through; zero while a trial is under way.
    pub retry_after: Duration,
}

/// A circuit breaker (Nygard, "Release It!", 2007) that counts outcomes. Cheap to clone; clones are the same breaker.
#[derive(Debug, Clone)]
pub struct Breaker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: &'static str,
    policy: BreakerPolicy,
    phase: Mutex<Phase>,
}

#[derive(Debug)]
struct Phase {
    now: Now,
    /// Openings since it was last closed.
    openings: u32,
    /// Grows with each change, so that a call that began before it does not count after it.
    number: u64,
}

#[derive(Debug)]
enum Now {
    /// Calls, and which of them failed.
    Closed(Window),
    Open {
        until: Instant,
    },
    HalfOpen {
        under_way: usize,
        succeeded: usize,
    },
}

/// Every breaker of the process, as metrics are the process's.
static ALL: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());

/// The breakers of this process that are not closed, by name, each once.
#[must_use]
pub fn not_closed() -> Vec<(&'static str, State)> {
    let all: Vec<Weak<Inner>> = ALL.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let breakers = all.iter().filter_map(Weak::upgrade).map(Breaker);
    let mut open: Vec<_> = breakers
        .map(|breaker| (breaker.name(), breaker.state()))
        .filter(|(_, state)| *state != State::Closed)
        .collect();
    open.sort_by_key(|(name, _)| *name);
    open.dedup_by_key(|(name, _)| *name);
    open
}

/// The right to make one call. Report its outcome with [`success`](Self::success) or [`failure`](Self::failure); dropped
/// without, as when a caller gave up, the call does not count.
#[derive(Debug)]
#[must_use = "report how the call went"]
pub struct Permit {
    breaker: Breaker,
    number: u64,
}

impl Breaker {
    /// A closed breaker. `name` says in logs and metrics what is behind it.
    #[must_use]
    pub fn new(name: &'static str, policy: BreakerPolicy) -> Self {
        metrics::gauge!("circuit_breaker_state", "name" => name).set(0.0);
        let phase = Phase { now: Now::Closed(Window::new(policy.window)), openings: 0, number: 0 };
        let breaker = Self(Arc::new(Inner { name, policy, phase: Mutex::new(phase) }));
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(&breaker.0));
        breaker
    }

    /// What is behind it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// Asks to make a call.
    ///
    /// # Errors
    /// While it is open, or half open with enough trials under way.
    pub fn permit(&self) -> Result<Permit, Open> {
        let mut phase = self.lock();
        if let Now::Open { until } = phase.now {
            let left = until.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return Err(Open { retry_after: left });
            }
            self.change(&mut phase, Now::HalfOpen { under_way: 0, succeeded: 0 });
        }
        if let Now::HalfOpen { under_way, succeeded } = &mut phase.now {
            if *under_way + *succeeded >= self.0.policy.trials.max(1) {
                return Err(Open { retry_after: Duration::ZERO });
            }
            *under_way += 1;
        }
        Ok(Permit { breaker: self.clone(), number: phase.number })
    }

    /// What it does with calls now. An open breaker whose time has passed counts as half open.
    #[must_use]
    pub fn state(&self) -> State {
        match self.lock().now {
            Now::Closed(_) => State::Closed,
            Now::Open { until } if until > Instant::now() => State::Open,
            Now::Open { .. } | Now::HalfOpen { .. } => State::HalfOpen,
        }
    }

    fn record(&self, number: u64, failed: bool) {
        let mut phase = self.lock();
        if phase.number != number {
            return;
        }
        let policy = &self.0.policy;
        match &mut phase.now {
            Now::Closed(outcomes) => {
                outcomes.add(failed);
                let counts = outcomes.counts();
                if failed && counts.all >= policy.least && counts.rate() >= policy.failure_rate {
                    self.open(&mut phase);
                }
            }
            Now::HalfOpen { .. } if failed => self.open(&mut phase),
            Now::HalfOpen { under_way, succeeded } => {
                *under_way -= 1;
                *succeeded += 1;
                if *succeeded >= policy.trials.max(1) {
                    phase.openings = 0;
                    self.change(&mut phase, Now::Closed(Window::new(policy.window)));
                }
            }
            Now::Open { .. } => {}
        }
    }

    fn open(&self, phase: &mut Phase) {
        let policy = &self.0.policy;
        let doubled = policy.open_for.saturating_mul(1 << phase.openings.min(30));
        phase.openings = phase.openings.saturating_add(1);
        self.change(phase, Now::Open { until: Instant::now() + doubled.min(policy.open_at_most) });
    }

    fn change(&self, phase: &mut Phase, now: Now) {
        let name = self.0.name;
        let value = match &now {
            Now::Closed(_) => {
                tracing::info!(breaker = name, "circuit breaker closed: calls pass again");
                0.0
            }
            Now::HalfOpen { .. } => {
                tracing::info!(breaker = name, "circuit breaker half open: trying again");
                1.0
            }
            Now::Open { until } => {
                let seconds = until.saturating_duration_since(Instant::now()).as_secs_f64();
                tracing::warn!(breaker = name, seconds, "circuit breaker open: too many calls failed");
                2.0
            }
        };
        metrics::gauge!("circuit_breaker_state", "name" => name).set(value);
        phase.now = now;
        phase.number += 1;
    }

    fn release(&self, number: u64) {
        let mut phase = self.lock();
        if phase.number != number {
            return;
        }
        if let Now::HalfOpen { under_way, .. } = &mut phase.now {
            *under_way -= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        // Nothing panics while it is locked.
        self.0.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// The call was answered.
    pub fn success(self) {
        self.report(false);
    }

    /// The call failed, by the callee's fault.
    pub fn failure(self) {
        self.report(true);
    }

    fn report(mut self, failed: bool) {
        self.breaker.record(self.number, failed);
        // So that dropping it gives nothing back.
        self.number = u64::MAX;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.breaker.release(self.number);
    }
}
