//! Background loops. A [`Loop`] says how it begins, so that a [`Supervisor`] can begin it again: one that panics or
//! returns before the process ends is restarted with back-off, counted and logged. One that ends again and again is
//! gone for good, and whoever asks [`Gone`] can have the process replaced.
//!
//! What only one of several instances need do is marked [`Loop::leader_only`]: it runs while this process has the lease
//! of the loop's name.

#![warn(missing_docs)]

use std::{
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bookworm_registry::{Leases, lead};
use futures::{FutureExt, future::BoxFuture};
use rand::Rng;
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

/// The pause before the first restart; it doubles each time.
const INITIAL_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// A loop that ran for so long has recovered: its next end counts as the first.
const STEADY: Duration = Duration::from_secs(60);
/// After so many ends in a row, about a minute and a half, a loop is gone for good.
const MOST_ENDS: u32 = 10;

type Start = Arc<dyn Fn(CancellationToken) -> BoxFuture<'static, ()> + Send + Sync>;

/// A loop that can be begun again.
#[derive(Clone)]
pub struct Loop {
    name: Arc<str>,
    start: Start,
    leader_only: bool,
}

impl fmt::Debug for Loop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Loop({})", self.name)
    }
}

impl Loop {
    /// A loop named `<service>.<what it does>`. `start` begins it; it ends by itself once its token is cancelled, and
    /// not before.
    pub fn new<F, Fut>(name: impl Into<Arc<str>>, start: F) -> Self
    where
        F: Fn(CancellationToken) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self { name: name.into(), start: Arc::new(move |stop| Box::pin(start(stop))), leader_only: false }
    }

    /// Does `work` at once, and then again and again after `period`, a tenth of it sooner or later, so that the
    /// instances of a service do not all work at the same moment. What it has begun is finished when it is stopped.
    pub fn every<F, Fut>(name: impl Into<Arc<str>>, period: Duration, work: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let work = Arc::new(work);
        Self::new(name, move |stop| {
            let work = work.clone();
            async move {
                while !stop.is_cancelled() {
                    work().await;
                    let pause = period.mul_f64(rand::rng().random_range(0.9..=1.1));
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = stop.cancelled() => {}
                    }
                }
            }
        })
    }

    /// Where several processes share leases, it runs in one of them. This saves work that would be done twice, and no
    /// more: now and then there are two for a moment, and it must be correct then.
    #[must_use]
    pub fn leader_only(self) -> Self {
        Self { leader_only: true, ..self }
    }

    /// The same under the lease of its name.
    fn under(self, leading: &Leading) -> Self {
        let Leading { leases, holder } = leading.clone();
        let name = self.name.clone();
        Self::new(name, move |stop| {
            let (work, leases, holder) = (self.clone(), leases.clone(), holder.clone());
            async move { lead(&*leases, &work.name, &holder, &stop, |_, over| work.run(over)).await }
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs it without supervision.
    #[must_use]
    pub fn run(&self, stop: CancellationToken) -> BoxFuture<'static, ()> {
        (self.start)(stop)
    }
}

/// Loops that ended too often.
#[derive(Clone, Debug, Default)]
pub struct Gone(Arc<Mutex<Vec<Arc<str>>>>);

impl Gone {
    /// Their names.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(ToString::to_string).collect()
    }
}

/// The leases that processes share, and this one's name among them.
#[derive(Clone)]
struct Leading {
    leases: Arc<dyn Leases>,
    holder: Arc<str>,
}

impl fmt::Debug for Leading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leading({})", self.holder)
    }
}

/// Runs loops until its token is cancelled. When it is dropped they are cut off.
#[derive(Debug)]
pub struct Supervisor {
    stop: CancellationToken,
    running: JoinSet<()>,
    gone: Gone,
    leading: Option<Leading>,
}

impl Supervisor {
    /// Without loops yet. `stop` ends them.
    #[must_use]
    pub fn new(stop: CancellationToken, gone: Gone) -> Self {
        Self { stop, running: JoinSet::new(), gone, leading: None }
    }

    /// The same; loops that are [`Loop::leader_only`] run under these leases. `holder` names this process to people.
    #[must_use]
    pub fn leading(self, leases: Arc<dyn Leases>, holder: impl Into<Arc<str>>) -> Self {
        Self { leading: Some(Leading { leases, holder: holder.into() }), ..self }
    }

    /// Begins a loop.
    pub fn start(&mut self, work: Loop) {
        let work = match &self.leading {
            Some(leading) if work.leader_only => work.under(leading),
            _ => work,
        };
        self.running.spawn(supervise(work, self.stop.clone(), self.gone.clone()));
    }

    /// Stops the loops and waits for them, at most for `grace`. Returns how many had not ended by then.
    pub async fn finish(mut self, grace: Duration) -> usize {
        self.stop.cancel();
        let all = async { while self.running.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(grace, all).await;
        self.running.len()
    }
}

async fn supervise(work: Loop, stop: CancellationToken, gone: Gone) {
    let mut ends = 0;
    loop {
        let started = Instant::now();
        // A loop that is begun anew shares nothing with the broken one but its service's state, which outlives panics.
        let begun = AssertUnwindSafe(async { work.run(stop.clone()).await });
        let outcome = if begun.catch_unwind().await.is_ok() { "returned" } else { "panicked" };
        if stop.is_cancelled() {
            return;
        }
        ends = if started.elapsed() >= STEADY { 1 } else { ends + 1 };
        metrics::counter!("loop_ends_total", "loop" => work.name.clone(), "outcome" => outcome).increment(1);
        if ends >= MOST_ENDS {
            tracing::error!(name = &*work.name, outcome, "a background loop is gone for good: restart the program");
            gone.0.lock().unwrap_or_else(PoisonError::into_inner).push(work.name.clone());
            return;
        }
        let pause = INITIAL_PAUSE.saturating_mul(1 << (ends - 1)).min(MAX_PAUSE);
        let pause = pause.mul_f64(rand::rng().random_range(0.5..=1.0));
        tracing::error!(name = &*work.name, outcome, ?pause, "a background loop ended and is begun again");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}
