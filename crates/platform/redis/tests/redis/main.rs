//! The cache and the messages on a real server: their suites, and what happens when the server goes away, stalls, forgets
//! or refuses.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod backplane;
mod rates;
mod roster;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bookworm_cache::{SharedCache, contract::Bench};
use bookworm_redis::{ConnectError, Options, Redis, RedisCache};
use bookworm_testing::{RedisServer, eventually, redis_prefix, redis_url};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;

/// Long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_secs(600);

fn options(url: &str, prefix: &str) -> Options {
    Options { url: url.to_owned(), password: None, authorities: None, certificate: None, prefix: prefix.to_owned() }
}

/// A connection that is looked after until `stop` is dropped.
async fn connected(url: &str, prefix: &str) -> (Arc<Redis>, tokio_util::sync::DropGuard) {
    let redis = Arc::new(Redis::open(options(url, prefix)).await.unwrap());
    let (stop, running) = (CancellationToken::new(), redis.clone());
    let token = stop.clone();
    tokio::spawn(async move { running.run(token).await });
    (redis, stop.drop_guard())
}

struct Server {
    url: String,
    prefix: String,
}

#[async_trait]
impl Bench for Server {
    async fn open(&self) -> Arc<dyn SharedCache> {
        let redis = Redis::open(options(&self.url, &self.prefix)).await.unwrap();
        Arc::new(RedisCache::new(Arc::new(redis), "cache", TIMEOUT))
    }

    async fn pass(&self, time: Duration) {
        // Redis counts whole milliseconds, and a value lives through its last one.
        tokio::time::sleep(time + Duration::from_millis(2)).await;
    }

    fn short(&self) -> Duration {
        Duration::from_millis(20)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_passes_the_suite() {
    let Some(url) = redis_url() else { return };
    bookworm_cache::contract::run(async || Server { url: url.clone(), prefix: redis_prefix() }).await;
}

async fn tick(cache: &RedisCache) -> u64 {
    cache.get("no such key").await.unwrap().tick
}

async fn put(cache: &RedisCache, key: &str, tick: u64) {
    cache.put(key, Bytes::from_static(b"value"), &["red".to_owned()], tick, LONG).await.unwrap();
}

async fn has(cache: &RedisCache, key: &str) -> bool {
    cache.get(key).await.unwrap().value.is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_returns_nothing_from_before() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let (redis, _stop) = connected(&server.url(), "shop").await;
    let cache = RedisCache::new(redis.clone(), "cache", TIMEOUT);
    let before = tick(&cache).await;
    put(&cache, "one", before).await;
    assert!(has(&cache, "one").await);
    server.kill();
    // It reads its append-only file: everything is there again, as after a failover to a replica that lags.
    server.start_again();
    eventually("it is connected again", async || cache.get("one").await.is_ok()).await;
    assert!(!has(&cache, "one").await, "invalidations may have been lost");
    put(&cache, "one", before).await;
    assert!(!has(&cache, "one").await, "nor is a value stored that was fetched before");
    let now = tick(&cache).await;
    put(&cache, "one", now).await;
    assert!(has(&cache, "one").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_server_takes_no_tick_of_before_for_one_of_its_own() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let (redis, _stop) = connected(&server.url(), "shop").await;
    let cache = RedisCache::new(redis.clone(), "cache", TIMEOUT);
    for _ in 0..5 {
        cache.invalidate(&["blue".to_owned()]).await.unwrap();
    }
    let before = tick(&cache).await;
    let flush = async |mut connection| redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await;
    redis.call(TIMEOUT, flush).await.unwrap();
    cache.invalidate(&["red".to_owned()]).await.unwrap();
    put(&cache, "one", before).await;
    assert!(!has(&cache, "one").await, "it was fetched before red was invalidated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_costs_no_time_and_is_found_again() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let (first, _one) = connected(&server.url(), "shop").await;
    let (second, _two) = connected(&server.url(), "shop").await;
    let (first_cache, second_cache) =
        (RedisCache::new(first.clone(), "cache", TIMEOUT), RedisCache::new(second.clone(), "cache", TIMEOUT));
    let now = tick(&first_cache).await;
    put(&first_cache, "one", now).await;
    assert!(has(&second_cache, "one").await, "what one process stores another finds");
    server.kill();
    eventually("both know that it is away", async || {
        drop(first_cache.get("one").await);
        drop(second_cache.get("one").await);
        first.away().is_some() && second.away().is_some()
    })
    .await;
    let begun = Instant::now();
    for _ in 0..1000 {
        assert!(first_cache.get("one").await.is_err());
    }
    assert!(begun.elapsed() < TIMEOUT, "a thousand calls wait less than one timeout");
    server.start_again();
    eventually("both are back", async || first_cache.get("one").await.is_ok() && second_cache.get("one").await.is_ok())
        .await;
    assert!(first.away().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_server_costs_one_timeout_and_no_more() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let (redis, _stop) = connected(&server.url(), "shop").await;
    let cache = RedisCache::new(redis.clone(), "cache", Duration::from_millis(500));
    let now = tick(&cache).await;
    put(&cache, "one", now).await;
    server.pause(true);
    assert_eq!(cache.get("one").await.unwrap_err().to_string(), "the shared cache does not answer");
    let begun = Instant::now();
    for _ in 0..1000 {
        assert!(cache.get("one").await.is_err(), "it accepts, and never answers");
    }
    assert!(begun.elapsed() < TIMEOUT, "a thousand calls wait less than ten timeouts");
    server.pause(false);
    eventually("it answers again", async || cache.get("one").await.is_ok()).await;
    assert!(has(&cache, "one").await, "it forgot nothing: it was the same server all the time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_at_the_start_may_come_later() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    server.kill();
    let (redis, _stop) = connected(&server.url(), "shop").await;
    assert!(redis.away().is_some());
    let cache = RedisCache::new(redis.clone(), "cache", TIMEOUT);
    let error = cache.get("one").await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "there is no connection to Redis at this moment");
    server.start_again();
    eventually("it is connected", async || cache.get("one").await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waiting_would_not_mend_is_refused_in_words() {
    let Some(server) = RedisServer::start(&["--requirepass", "right"]) else { return };
    let address = server.url().trim_start_matches("redis://").to_owned();
    for password in [None, Some("wrong")] {
        let with = Options { password: password.map(ToOwned::to_owned), ..options(&server.url(), "shop") };
        let error = Redis::open(with).await.unwrap_err();
        assert_eq!(error.to_string(), format!("Redis at {address} refuses the user or the password"), "{password:?}");
    }
    let with = Options { password: Some("right".to_owned()), ..options(&server.url(), "shop") };
    assert!(!format!("{with:?}").contains("right"));
    assert!(Redis::open(with).await.unwrap().away().is_none());

    let master = RedisServer::start(&[]).unwrap();
    let at = master.url().trim_start_matches("redis://").replace(':', " ");
    let replica = RedisServer::start(&["--replicaof", &at]).unwrap();
    let error = Redis::open(options(&replica.url(), "shop")).await.unwrap_err();
    assert!(matches!(error, ConnectError::Replica(_)), "{error}");
    let error = Redis::open(options("http://localhost", "shop")).await.unwrap_err();
    assert!(matches!(error, ConnectError::Options(_)), "{error}");
}

/// The rights that `docs/operations.md` lists are enough.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_few_rights_is_enough() {
    let page = include_str!("../../../../../docs/operations.md");
    let rights = page.split("ACL SETUSER ").nth(1).and_then(|rest| rest.split('`').next()).unwrap();
    let rights = rights.replace("PASSWORD", "secret").replace("bookworm:", "shop:");
    let user: Vec<&str> = std::iter::once("--user").chain(rights.split(' ')).collect();
    let Some(server) = RedisServer::start(&user) else { return };
    let (redis, _stop) = connected(&server.url().replace("redis://", "redis://shop:secret@"), "shop").await;
    assert_eq!(redis.away(), None);
    let cache = RedisCache::new(redis.clone(), "cache", TIMEOUT);
    let now = tick(&cache).await;
    put(&cache, "one", now).await;
    assert!(has(&cache, "one").await);
    cache.invalidate(&["red".to_owned()]).await.unwrap();
    assert!(!has(&cache, "one").await);
    backplane::passes_the_suite(&redis).await;
    rates::are_shared(&redis).await;
}
