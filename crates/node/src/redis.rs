//! What processes share in memory: Redis, when the settings name one.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use bookworm_cache::SharedCache;
use bookworm_config::{Redis as Settings, Secret};
use bookworm_gateway::Note;
use bookworm_loops::Loop;
use bookworm_redis::{Options, Redis, RedisCache};

/// The timeout of a call of the cache: below the gateway's own.
const CACHE_TIMEOUT: Duration = Duration::from_millis(45);

/// The connection, if there is to be one.
///
/// # Errors
/// When a file cannot be read, or the server can never be used as it is. One that is away is no error.
pub(crate) async fn open(settings: &Settings) -> anyhow::Result<Option<Arc<Redis>>> {
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
    Ok(Some(Arc::new(redis)))
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("cannot read {}, which the section [redis] names", file.display()))
}

/// The cache that gateways share.
pub(crate) fn cache(redis: &Arc<Redis>) -> Arc<dyn SharedCache> {
    Arc::new(RedisCache::new(redis.clone(), "answers", CACHE_TIMEOUT))
}

/// Reconnects for ever.
pub(crate) fn connecting(redis: &Arc<Redis>) -> Loop {
    let redis = redis.clone();
    Loop::new("redis", move |stop| {
        let redis = redis.clone();
        async move { redis.run(stop).await }
    })
}

/// What `/health/ready` says about it.
pub(crate) fn note(redis: &Arc<Redis>) -> Note {
    let redis = redis.clone();
    Arc::new(move || match redis.away() {
        None => "ok".to_owned(),
        Some((since, _)) => format!("away for {} s: each process goes on by itself", since.as_secs()),
    })
}
