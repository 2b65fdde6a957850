//! The second level: a [`SharedCache`] that several gateways use. The shop does without one.

use std::{
    error::Error,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use bookworm_cache::{Lookup, SharedCache, SharedCacheError};
use bookworm_kernel::{Clock, Timestamp};
use bytes::Bytes;

/// The timeout of each call.
const TIMEOUT: Duration = Duration::from_millis(50);
/// How long it is not called after a failure.
const COOL_DOWN: Duration = Duration::from_secs(1);
/// The tag that every answer has.
const EVERYTHING: &str = "everything";

/// A [`SharedCache`] whose failures cost little: a slow call fails, after a failure there is a pause, and after an
/// invalidation that it may have missed nothing from before is used.
pub struct SecondLevel {
    shared: Arc<dyn SharedCache>,
    clock: Arc<dyn Clock>,
    /// Microseconds of the time until which it is not called.
    paused_until: AtomicI64,
    /// Invalidations of this process that are on their way.
    invalidating: AtomicU64,
    /// Invalidations that did not reach it. Starts at 1: this process knows of none from before its start.
    missed: AtomicU64,
    /// How many of those were followed by an invalidation of everything.
    recovered: AtomicU64,
    /// Since when calls fail.
    failing: Mutex<Option<Timestamp>>,
}

impl SecondLevel {
    pub fn new(shared: Arc<dyn SharedCache>, clock: Arc<dyn Clock>) -> Self {
        Self {
            shared,
            clock,
            paused_until: AtomicI64::new(i64::MIN),
            invalidating: AtomicU64::new(0),
            missed: AtomicU64::new(1),
            recovered: AtomicU64::new(0),
            failing: Mutex::default(),
        }
    }

    /// Looks a value up. `None` when it cannot be called now, or may have missed an invalidation.
    pub async fn get(&self, key: &str) -> Option<Lookup> {
        if self.is_paused() || self.invalidating.load(Ordering::SeqCst) > 0 {
            count("get", "skipped");
            return None;
        }
        let missed = self.missed.load(Ordering::SeqCst);
        if missed > self.recovered.load(Ordering::SeqCst) {
            self.call("invalidate", self.shared.invalidate(&[EVERYTHING.to_owned()])).await?;
            self.recovered.fetch_max(missed, Ordering::SeqCst);
        }
        self.call("get", self.shared.get(key)).await
    }

    /// Stores a value, unless it is paused.
    pub async fn put(&self, key: &str, value: Bytes, tags: &[String], tick: u64, ttl: Duration) {
        if !self.is_paused() {
            self.call("put", self.shared.put(key, value, tags, tick, ttl)).await;
        }
    }

    /// Invalidates these tags: first in this process with `local`, then in the shared cache. Lookups between the two
    /// skip the shared cache; if it cannot be reached, everything in it is invalidated before the next lookup.
    pub async fn invalidate(&self, tags: &[String], local: impl FnOnce()) {
        self.invalidating.fetch_add(1, Ordering::SeqCst);
        local();
        if self.is_paused() || self.call("invalidate", self.shared.invalidate(tags)).await.is_none() {
            self.missed.fetch_add(1, Ordering::SeqCst);
        }
        self.invalidating.fetch_sub(1, Ordering::SeqCst);
    }

    fn is_paused(&self) -> bool {
        self.clock.now().micros() < self.paused_until.load(Ordering::SeqCst)
    }

    /// A call failed; whether the one before did not.
    fn begins_to_fail(&self) -> bool {
        let mut failing = self.failing();
        let begins = failing.is_none();
        failing.get_or_insert_with(|| self.clock.now());
        begins
    }

    fn failing(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, SharedCacheError>>,
    ) -> Option<T> {
        match tokio::time::timeout(TIMEOUT, call).await {
            Ok(Ok(answer)) => {
                count(operation, "ok");
                if let Some(since) = self.failing().take() {
                    tracing::info!(away = ?self.clock.now().since(since), "the shared cache answers again");
                }
                return Some(answer);
            }
            Ok(Err(error)) => {
                count(operation, "error");
                if self.begins_to_fail() {
                    tracing::warn!(operation, error = &error as &dyn Error, "the shared cache does not answer");
                }
            }
            Err(_) => {
                count(operation, "timeout");
                if self.begins_to_fail() {
                    tracing::warn!(operation, timeout = ?TIMEOUT, "the shared cache timed out");
                }
            }
        }
        self.paused_until.store(self.clock.now().plus(COOL_DOWN).micros(), Ordering::SeqCst);
        None
    }
}

fn count(operation: &'static str, outcome: &'static str) {
    metrics::counter!("gateway_cache_shared_total", "call" => operation, "outcome" => outcome).increment(1);
}
