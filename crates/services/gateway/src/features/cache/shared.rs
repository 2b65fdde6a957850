//! The second level: answers that several gateways share, or that outlive one. The shop does without.

use std::{
    error::Error,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bookworm_kernel::Clock;
use bytes::Bytes;

/// How long the second level may take for anything; after that it did not answer.
const PATIENCE: Duration = Duration::from_millis(50);
/// How long it is left alone after it failed.
const REST: Duration = Duration::from_secs(1);
/// The tag that every answer has.
const EVERYTHING: &str = "everything";

/// The shared cache does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum SharedCacheError {
    /// It does not answer; what was asked may or may not have happened.
    #[error("the shared cache does not answer")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

/// What a look into a [`SharedCache`] finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// How often this cache was told of changes so far: hand it to [`SharedCache::put`] with whatever is fetched after
    /// this look.
    pub tick: u64,
    /// What was put there last, unless it ended or something that it depends on has changed since.
    pub value: Option<Bytes>,
}

/// A cache outside the process, for answers that several gateways share.
///
/// It may forget anything at any time except a change: once [`invalidate`](Self::invalidate) has returned, no `get`
/// anywhere finds a value that has one of the tags and was put with an earlier tick, whether it was put before or is
/// put after. That is what keeps an answer out that was fetched before a change and comes to be put after it.
///
/// Keys are up to some 9,000 bytes, values up to about a megabyte, tags are short words or UUIDs.
#[async_trait]
pub trait SharedCache: Send + Sync + 'static {
    /// Looks for a value.
    ///
    /// # Errors
    /// When the cache does not answer.
    async fn get(&self, key: &str) -> Result<Found, SharedCacheError>;

    /// Puts a value there for `keep`, in the place of any other. `tick` is from the look that preceded the fetching.
    ///
    /// # Errors
    /// When the cache does not answer; the value may be there or not.
    async fn put(
        &self,
        key: &str,
        value: Bytes,
        tags: &[String],
        tick: u64,
        keep: Duration,
    ) -> Result<(), SharedCacheError>;

    /// These have changed.
    ///
    /// # Errors
    /// When the cache does not answer; answers may still be there.
    async fn invalidate(&self, tags: &[String]) -> Result<(), SharedCacheError>;
}

/// A [`SharedCache`] that cannot hurt: slow is down, down is left alone for a second, and what it may have missed is
/// never believed.
pub struct SecondLevel {
    shared: Arc<dyn SharedCache>,
    clock: Arc<dyn Clock>,
    /// Microseconds of the time until which it is left alone.
    resting_until: AtomicI64,
    /// How many changes this process knows of that it is just being told.
    telling: AtomicU64,
    /// How many changes it was not told of; the first is whatever changed while this process was away.
    missed: AtomicU64,
    /// How many of those do not matter any more, since it has forgotten everything after them.
    made_good: AtomicU64,
}

impl SecondLevel {
    pub fn new(shared: Arc<dyn SharedCache>, clock: Arc<dyn Clock>) -> Self {
        Self {
            shared,
            clock,
            resting_until: AtomicI64::new(i64::MIN),
            telling: AtomicU64::new(0),
            missed: AtomicU64::new(1),
            made_good: AtomicU64::new(0),
        }
    }

    /// Looks for a value; `None` when it cannot be asked now, or may not know of every change yet.
    pub async fn get(&self, key: &str) -> Option<Found> {
        if self.resting() || self.telling.load(Ordering::SeqCst) > 0 {
            count("get", "passed_over");
            return None;
        }
        let missed = self.missed.load(Ordering::SeqCst);
        if missed > self.made_good.load(Ordering::SeqCst) {
            self.attempt("invalidate", self.shared.invalidate(&[EVERYTHING.to_owned()])).await?;
            self.made_good.fetch_max(missed, Ordering::SeqCst);
        }
        self.attempt("get", self.shared.get(key)).await
    }

    /// Puts a value there, if it can be.
    pub async fn put(&self, key: &str, value: Bytes, tags: &[String], tick: u64, keep: Duration) {
        if !self.resting() {
            self.attempt("put", self.shared.put(key, value, tags, tick, keep)).await;
        }
    }

    /// These have changed: makes it known here with `here`, then there. Whoever asks between the two passes the second
    /// level over; should it not be told, it must forget everything before it is asked again.
    pub async fn invalidate(&self, tags: &[String], here: impl FnOnce()) {
        self.telling.fetch_add(1, Ordering::SeqCst);
        here();
        if self.resting() || self.attempt("invalidate", self.shared.invalidate(tags)).await.is_none() {
            self.missed.fetch_add(1, Ordering::SeqCst);
        }
        self.telling.fetch_sub(1, Ordering::SeqCst);
    }

    fn resting(&self) -> bool {
        self.clock.now().micros() < self.resting_until.load(Ordering::SeqCst)
    }

    async fn attempt<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<T, SharedCacheError>>,
    ) -> Option<T> {
        match tokio::time::timeout(PATIENCE, call).await {
            Ok(Ok(answer)) => {
                count(what, "ok");
                return Some(answer);
            }
            Ok(Err(error)) => {
                count(what, "error");
                tracing::warn!(what, error = &error as &dyn Error, "the shared cache does not answer");
            }
            Err(_) => {
                count(what, "timeout");
                tracing::warn!(what, patience = ?PATIENCE, "the shared cache is too slow");
            }
        }
        self.resting_until.store(self.clock.now().plus(REST).micros(), Ordering::SeqCst);
        None
    }
}

fn count(what: &'static str, outcome: &'static str) {
    metrics::counter!("gateway_cache_shared_total", "call" => what, "outcome" => outcome).increment(1);
}
