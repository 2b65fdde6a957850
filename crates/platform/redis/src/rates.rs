use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_trait::async_trait;
use bookworm_resilience::{LimitsUnavailable, Rate, SharedLimits, Taken};
use redis::Script;

use crate::{Away, Redis};

static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("rates.lua")));

/// Limits on a Redis server, by its clock. A restarted or emptied server begins anew.
#[derive(Debug, Clone)]
pub struct RedisLimits {
    redis: Arc<Redis>,
    timeout: Duration,
    prefix: String,
}

impl RedisLimits {
    /// The limits of this name. `timeout` is that of each call.
    #[must_use]
    pub fn new(redis: Arc<Redis>, name: &str, timeout: Duration) -> Self {
        let prefix = redis.key(&format!("{name}:"));
        Self { redis, timeout, prefix }
    }

    /// Which limit refused, from 1; how many are left; the microseconds to wait.
    async fn run(&self, operation: &str, limits: &[(&str, Rate)]) -> Result<(usize, u32, u64), LimitsUnavailable> {
        let mut call = SCRIPT.prepare_invoke();
        call.arg(operation);
        for (key, rate) in limits {
            let interval = u64::try_from(rate.interval().as_micros()).unwrap_or(u64::MAX);
            call.key(format!("{}{key}", self.prefix)).arg(interval).arg(rate.burst.get());
        }
        let answer =
            self.redis.call(self.timeout, async move |mut connection| call.invoke_async(&mut connection).await);
        answer.await.map_err(|error: Away| LimitsUnavailable(Box::new(error)))
    }
}

#[async_trait]
impl SharedLimits for RedisLimits {
    async fn take(&self, limits: &[(String, Rate)]) -> Result<Taken, LimitsUnavailable> {
        let limits: Vec<(&str, Rate)> = limits.iter().map(|(key, rate)| (&**key, *rate)).collect();
        let (refused, left, wait) = self.run("take", &limits).await?;
        Ok(match refused.checked_sub(1) {
            None => Taken::Granted { left },
            Some(limit) => Taken::Refused { limit, wait: Duration::from_micros(wait) },
        })
    }

    async fn give_back(&self, key: &str, rate: Rate) -> Result<(), LimitsUnavailable> {
        self.run("give", &[(key, rate)]).await.map(drop)
    }
}
