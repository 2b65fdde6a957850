//! What processes share in memory: Redis, when the settings name one.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use bookworm_cache::SharedCache;
use bookworm_config::{Redis as Settings, Secret};
use bookworm_gateway::Note;
use bookworm_loops::Loop;
use bookworm_redis::{Options, PubSub, Redis, RedisBackplane, RedisCache, RedisLimits, RedisRoster, Timing, WaitError};
use bookworm_registry::{Alone, Roster};
use bookworm_resilience::SharedLimits;
use bookworm_signalr::backplane::{Backplane, Local};

/// The timeout of a call of the cache: below the gateway's own.
const CACHE_TIMEOUT: Duration = Duration::from_millis(45);
/// The timeout of counting against a limit, which every request waits for.
const LIMITS_TIMEOUT: Duration = Duration::from_millis(45);
/// The timeout of a message to other processes.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(1);

/// What this process shares with others.
pub struct Shared {
    redis: Arc<Redis>,
}

/// What makes the instances of a role one, and the loops that it needs.
pub(crate) struct Meeting {
    pub backplane: Arc<dyn Backplane>,
    pub roster: Arc<dyn Roster>,
    pub loops: Vec<Loop>,
}

impl Meeting {
    /// For a role with one instance.
    pub(crate) fn alone() -> Self {
        Self { backplane: Arc::new(Local), roster: Arc::new(Alone), loops: Vec::new() }
    }
}

/// The connection, if there is to be one.
///
/// # Errors
/// When a file cannot be read, or the server can never be used as it is. One that is away is no error.
pub(crate) async fn open(settings: &Settings) -> anyhow::Result<Option<Shared>> {
    let Some(url) = &settings.url else { return Ok(None) };
    let password = match (&settings.password, &settings.password_file) {
        (Some(password), _) => Some(password.expose().to_owned()),
        (None, Some(file)) => {
            let text = String::from_utf8(read(file)?).with_context(|| format!("{} is not text", file.display()))?;
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        (None, None) => None,
    };
    let certificate = match (&settings.certificate_file, &settings.key_file) {
        (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
        _ => None,
    };
    let options = Options {
        url: Secret::expose(url).to_owned(),
        password,
        authorities: settings.ca_file.as_deref().map(read).transpose()?,
        certificate,
        prefix: settings.prefix.clone(),
    };
    let redis = Redis::open(options).await.context("Redis, which the section [redis] names, cannot be used")?;
    Ok(Some(Shared { redis: Arc::new(redis) }))
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read {}, which the section [redis] names", file.display()))
}

impl Shared {
    /// The cache that gateways share.
    pub(crate) fn cache(&self) -> Arc<dyn SharedCache> {
        Arc::new(RedisCache::new(self.redis.clone(), "answers", CACHE_TIMEOUT))
    }

    /// The limits that processes share.
    pub(crate) fn limits(&self) -> Arc<dyn SharedLimits> {
        Arc::new(RedisLimits::new(self.redis.clone(), "limit", LIMITS_TIMEOUT))
    }

    /// How instances of a role meet.
    pub(crate) fn meeting(&self, role: &str) -> Meeting {
        let messages = PubSub::new(self.redis.clone(), MESSAGE_TIMEOUT);
        let backplane = RedisBackplane::new(messages.clone());
        let roster = RedisRoster::new(messages.clone(), role, Timing::default());
        let finding_out = roster.clone();
        let loops = vec![
            Loop::new(format!("{role}.messages"), move |stop| messages.clone().run(stop)),
            Loop::new(format!("{role}.roster"), move |stop| finding_out.clone().run(stop)),
        ];
        Meeting { backplane, roster, loops }
    }

    /// Reconnects for ever.
    pub(crate) fn connecting(&self) -> Loop {
        let redis = self.redis.clone();
        Loop::new("redis", move |stop| {
            let redis = redis.clone();
            async move { redis.run(stop).await }
        })
    }

    /// Waits until it answers, `within` at most: for whoever does not go on without.
    pub(crate) async fn wait(&self, within: Duration) -> Result<(), WaitError> {
        self.redis.wait(within).await
    }

    /// What `/health/ready` says about it.
    pub(crate) fn note(&self) -> Note {
        let redis = self.redis.clone();
        Arc::new(move || match redis.away() {
            None => "ok".to_owned(),
            Some((since, _)) => format!(
                "away for {} s: each process goes on by itself, its own limits and clients alone",
                since.as_secs()
            ),
        })
    }
}
