//! What processes share in memory: Redis, when the settings name one.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use bookworm_cache::SharedCache;
use bookworm_config::{Redis as Settings, Secret};
use bookworm_gateway::Note;
use bookworm_loops::Loop;
use bookworm_redis::{Options, PubSub, Redis, RedisBackplane, RedisCache, RedisRoster, Timing};
use bookworm_registry::Roster;
use bookworm_signalr::backplane::Backplane;

/// The timeout of a call of the cache: below the gateway's own.
const CACHE_TIMEOUT: Duration = Duration::from_millis(45);
/// The timeout of a message to other processes.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(1);

/// What this process shares with others.
pub struct Shared {
    redis: Arc<Redis>,
    messages: Arc<PubSub>,
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
    let redis = Arc::new(redis);
    let messages = PubSub::new(redis.clone(), MESSAGE_TIMEOUT);
    Ok(Some(Shared { redis, messages }))
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read {}, which the section [redis] names", file.display()))
}

impl Shared {
    /// The cache that gateways share.
    pub(crate) fn cache(&self) -> Arc<dyn SharedCache> {
        Arc::new(RedisCache::new(self.redis.clone(), "answers", CACHE_TIMEOUT))
    }

    /// What joins the hubs of chat instances.
    pub(crate) fn backplane(&self) -> Arc<dyn Backplane> {
        RedisBackplane::new(self.messages.clone())
    }

    /// Who is connected to which instance of a role, and the loop that finds out.
    pub(crate) fn roster(&self, role: &str) -> (Arc<dyn Roster>, Loop) {
        let roster = RedisRoster::new(self.messages.clone(), role, Timing::default());
        let finding_out = roster.clone();
        (roster, Loop::new(format!("{role}.roster"), move |stop| finding_out.clone().run(stop)))
    }

    /// Reconnect for ever.
    pub(crate) fn loops(&self) -> [Loop; 2] {
        let (redis, messages) = (self.redis.clone(), self.messages.clone());
        let connecting = move |stop| {
            let redis = redis.clone();
            async move { redis.run(stop).await }
        };
        [Loop::new("redis", connecting), Loop::new("redis.messages", move |stop| messages.clone().run(stop))]
    }

    /// What `/health/ready` says about it.
    pub(crate) fn note(&self) -> Note {
        let redis = self.redis.clone();
        Arc::new(move || match redis.away() {
            None => "ok".to_owned(),
            Some((since, _)) => format!("away for {} s: each process goes on by itself", since.as_secs()),
        })
    }
}
