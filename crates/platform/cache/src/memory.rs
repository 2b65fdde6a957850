//! A [`SharedCache`] in memory, for tests: it takes the place of a server that processes share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bookworm_kernel::{Clock, Timestamp};
use bytes::Bytes;

use crate::{Lookup, SharedCache, SharedCacheError};

/// Values in memory. Bounded by the number of values: the one that expires first is evicted.
#[derive(Debug)]
pub struct MemoryCache {
    clock: Arc<dyn Clock>,
    max_values: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tick: u64,
    /// For each tag, the tick of its last invalidation.
    invalidated: HashMap<String, u64>,
    values: HashMap<String, Value>,
}

#[derive(Debug)]
struct Value {
    bytes: Bytes,
    tags: Vec<String>,
    tick: u64,
    expires: Timestamp,
}

impl MemoryCache {
    /// An empty cache of at most `max_values` values, which expire by this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, max_values: usize) -> Self {
        Self { clock, max_values, state: Mutex::default() }
    }

    /// The number of values, whether they can still be returned or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state().values.len()
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SharedCache for MemoryCache {
    async fn get(&self, key: &str) -> Result<Lookup, SharedCacheError> {
        let (now, state) = (self.clock.now(), self.state());
        let usable = |value: &&Value| {
            let invalidated = |tag: &String| state.invalidated.get(tag).is_some_and(|tick| *tick > value.tick);
            value.expires > now && !value.tags.iter().any(invalidated)
        };
        let value = state.values.get(key).filter(usable).map(|value| value.bytes.clone());
        Ok(Lookup { tick: state.tick, value })
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        tags: &[String],
        tick: u64,
        ttl: Duration,
    ) -> Result<(), SharedCacheError> {
        let value = Value { bytes, tags: tags.to_vec(), tick, expires: self.clock.now().plus(ttl) };
        let mut state = self.state();
        state.values.insert(key.to_owned(), value);
        while state.values.len() > self.max_values {
            let Some(first) = state.values.iter().min_by_key(|(_, value)| value.expires).map(|(key, _)| key.clone())
            else {
                break;
            };
            state.values.remove(&first);
        }
        Ok(())
    }

    async fn invalidate(&self, tags: &[String]) -> Result<(), SharedCacheError> {
        let mut state = self.state();
        state.tick += 1;
        let tick = state.tick;
        state.invalidated.extend(tags.iter().map(|tag| (tag.clone(), tick)));
        Ok(())
    }
}
