use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_trait::async_trait;
use bookworm_cache::{Lookup, SharedCache, SharedCacheError};
use bytes::Bytes;
use redis::{Script, ScriptInvocation};

use crate::{Away, Redis};

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("cache.lua")));

/// How many of a tick's 64 bits count invalidations; those above are the epoch.
const COUNTER_BITS: u32 = 40;
/// Epochs are 1 to this. They are random, so that a tick of one epoch is not taken for one of another.
const MAX_EPOCH: u64 = (1 << (64 - COUNTER_BITS)) - 1;

/// The cache on a Redis server.
///
/// A restarted server, a promoted replica and an emptied one begin a new epoch: what was put before is not returned any
/// more, because invalidations may have been lost.
#[derive(Debug, Clone)]
pub struct RedisCache {
    redis: Arc<Redis>,
    timeout: Duration,
    state: String,
    values: String,
}

/// Epoch, invalidations so far, value.
type Answer = (u64, u64, Option<Bytes>);

impl RedisCache {
    /// The cache of this name. `timeout` is that of each call.
    #[must_use]
    pub fn new(redis: Arc<Redis>, name: &str, timeout: Duration) -> Self {
        let (state, values) = (redis.key(&format!("{name}:state")), redis.key(&format!("{name}:value:")));
        Self { redis, timeout, state, values }
    }

    /// The script with what every operation needs.
    fn operation(&self, name: &str, key: &str) -> ScriptInvocation<'static> {
        let mut call = SCRIPT.key(&self.state);
        let fresh = rand::random_range(1..=MAX_EPOCH);
        call.key(format!("{}{key}", self.values)).arg(name).arg(fresh);
        call
    }

    async fn run(&self, call: ScriptInvocation<'static>) -> Result<Answer, SharedCacheError> {
        let answer =
            self.redis.call(self.timeout, async move |mut connection| call.invoke_async(&mut connection).await);
        answer.await.map_err(|error: Away| SharedCacheError::Unavailable(Box::new(error)))
    }
}

#[async_trait]
impl SharedCache for RedisCache {
    async fn get(&self, key: &str) -> Result<Lookup, SharedCacheError> {
        let (epoch, count, value) = self.run(self.operation("get", key)).await?;
        Ok(Lookup { tick: (epoch << COUNTER_BITS) | count, value })
    }

    async fn put(
        &self,
        key: &str,
        value: Bytes,
        tags: &[String],
        tick: u64,
        ttl: Duration,
    ) -> Result<(), SharedCacheError> {
        let (epoch, count) = (tick >> COUNTER_BITS, tick & ((1 << COUNTER_BITS) - 1));
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, i64::MAX as u64 / 4);
        let mut call = self.operation("put", key);
        call.arg(epoch).arg(count).arg(ttl).arg(tags.join("\n")).arg(&value[..]);
        self.run(call).await.map(drop)
    }

    async fn invalidate(&self, tags: &[String]) -> Result<(), SharedCacheError> {
        let mut call = self.operation("invalidate", "");
        for tag in tags {
            call.arg(tag);
        }
        self.run(call).await.map(drop)
    }
}
