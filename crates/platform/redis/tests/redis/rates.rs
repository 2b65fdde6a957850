//! Limits that processes share.

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use bookworm_redis::{Redis, RedisLimits};
use bookworm_resilience::{Rate, SharedLimits, Taken};
use bookworm_testing::{RedisServer, eventually, redis_prefix, redis_url};

use super::{TIMEOUT, connected};

fn rate(per_minute: u32, burst: u32) -> Rate {
    Rate { per_minute: NonZeroU32::new(per_minute).unwrap(), burst: NonZeroU32::new(burst).unwrap() }
}

fn limits(redis: &Arc<Redis>) -> RedisLimits {
    RedisLimits::new(redis.clone(), "limit", TIMEOUT)
}

async fn take(limits: &RedisLimits, key: &str, rate: Rate) -> Taken {
    limits.take(&[(key.to_owned(), rate)]).await.unwrap()
}

/// So rarely that none comes back while a test runs.
fn rare() -> Rate {
    rate(1, 3)
}

/// What two processes take is counted together.
pub async fn are_shared(redis: &Arc<Redis>) {
    let (one, two) = (limits(redis), limits(redis));
    assert_eq!(take(&one, "ann", rare()).await, Taken::Granted { left: 2 });
    assert_eq!(take(&two, "ann", rare()).await, Taken::Granted { left: 1 });
    assert_eq!(take(&one, "ann", rare()).await, Taken::Granted { left: 0 });
    let Taken::Refused { limit: 0, wait } = take(&two, "ann", rare()).await else { panic!("three and no more") };
    assert!(wait > Duration::from_secs(1) && wait <= Duration::from_secs(60), "{wait:?}");
    assert_eq!(take(&two, "bo", rare()).await, Taken::Granted { left: 2 }, "others have their own");
    two.give_back("ann", rare()).await.unwrap();
    assert_eq!(take(&one, "ann", rare()).await, Taken::Granted { left: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_share_them() {
    let Some(url) = redis_url() else { return };
    let (redis, _stop) = connected(&url, &redis_prefix()).await;
    are_shared(&redis).await;
    let one = limits(&redis);
    let both = [("ann".to_owned(), rate(1, 9)), ("account".to_owned(), rate(1, 1))];
    assert_eq!(one.take(&both[1..]).await.unwrap(), Taken::Granted { left: 0 });
    let refused = one.take(&both).await.unwrap();
    assert!(matches!(refused, Taken::Refused { limit: 1, .. }), "the second is used up: {refused:?}");
    for _ in 0..20 {
        one.give_back("cy", rare()).await.unwrap();
    }
    assert_eq!(take(&one, "cy", rare()).await, Taken::Granted { left: 2 }, "nobody has more than all");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_comes_back_in_time() {
    let Some(url) = redis_url() else { return };
    let (redis, _stop) = connected(&url, &redis_prefix()).await;
    let (one, rate) = (limits(&redis), rate(600, 1));
    let begun = Instant::now();
    for _ in 0..5 {
        eventually("one has come back", async || matches!(take(&one, "ann", rate).await, Taken::Granted { .. })).await;
    }
    assert!(begun.elapsed() >= rate.interval() * 4, "a tenth of a second after each, and the first at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_server_costs_one_timeout_and_no_more() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let (redis, _stop) = connected(&server.url(), "shop").await;
    let limits = RedisLimits::new(redis, "limit", Duration::from_millis(500));
    server.pause(true);
    let begun = Instant::now();
    for _ in 0..1000 {
        assert!(limits.take(&[("ann".to_owned(), rare())]).await.is_err());
    }
    assert!(begun.elapsed() < TIMEOUT, "a thousand calls wait less than ten timeouts");
    server.pause(false);
    eventually("it answers again", async || limits.take(&[("bo".to_owned(), rare())]).await.is_ok()).await;
}
