//! Who is connected to which instance: what instances know of each other, also when one crashes or the server does.

use std::{sync::Arc, time::Duration};

use bookworm_redis::{PubSub, Redis, RedisRoster, Timing};
use bookworm_registry::Roster;
use bookworm_testing::{RedisServer, eventually, redis_prefix, redis_url};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{TIMEOUT, connected};

/// Long enough for a busy machine, and short enough to wait for.
const TIMING: Timing = Timing { renew_each: Duration::from_secs(1), lifetime: Duration::from_secs(6) };

/// One instance of a role; dropped, it crashes.
struct Instance {
    roster: Arc<RedisRoster>,
    messages: Arc<PubSub>,
    _stop: DropGuard,
}

impl Instance {
    async fn start(redis: &Arc<Redis>) -> Self {
        let instance = Self::begin(redis);
        eventually("the others are known", async || instance.roster.is_known()).await;
        instance
    }

    fn begin(redis: &Arc<Redis>) -> Self {
        let messages = PubSub::new(redis.clone(), TIMEOUT);
        let roster = RedisRoster::new(messages.clone(), "role", TIMING);
        let stop = CancellationToken::new();
        tokio::spawn(messages.clone().run(stop.clone()));
        tokio::spawn(roster.clone().run(stop.clone()));
        Self { roster, messages, _stop: stop.drop_guard() }
    }

    async fn sees(&self, member: &str, there: bool) {
        eventually("what another instance says is known", async || self.roster.is_elsewhere(member) == there).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_instance_says_the_others_know() {
    let Some(url) = redis_url() else { return };
    let (redis, _stop) = connected(&url, &redis_prefix()).await;
    let one = Instance::start(&redis).await;
    one.roster.enter("ann");
    one.roster.settled().await;
    let two = Instance::start(&redis).await;
    assert!(two.roster.is_elsewhere("ann"), "known from the start");
    assert!(!one.roster.is_elsewhere("ann"), "here is not elsewhere");
    one.roster.enter("bo");
    two.sees("bo", true).await;
    two.roster.enter("bo");
    one.sees("bo", true).await;
    one.roster.leave("ann");
    one.roster.leave("bo");
    two.sees("ann", false).await;
    assert!(!two.roster.is_elsewhere("bo") && one.roster.is_elsewhere("bo"));
    // Each has settled: they agree about who has whom.
    for n in 0..50 {
        let member = format!("moves{n}");
        one.roster.enter(&member);
        tokio::join!(one.roster.settled(), async {
            two.roster.enter(&member);
            two.roster.settled().await;
        });
        one.roster.leave(&member);
        one.roster.settled().await;
        one.sees(&member, true).await;
    }
    assert!(one.roster.take_lost().is_empty() && two.roster.take_lost().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_members_of_an_instance_that_crashes_are_lost_in_time() {
    let Some(url) = redis_url() else { return };
    let (redis, _stop) = connected(&url, &redis_prefix()).await;
    let (one, two) = (Instance::start(&redis).await, Instance::start(&redis).await);
    for member in ["ann", "bo"] {
        two.roster.enter(member);
        one.sees(member, true).await;
    }
    one.roster.enter("bo");
    drop(two);
    one.sees("ann", false).await;
    assert_eq!(one.roster.take_lost(), ["ann"], "bo is here");
    assert!(one.roster.is_known());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_the_last_copy_stays_and_is_mended_afterwards() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let (redis, _stop) = connected(&server.url(), "shop").await;
    let (one, two) = (Instance::start(&redis).await, Instance::start(&redis).await);
    two.roster.enter("ann");
    two.roster.enter("bo");
    one.sees("ann", true).await;
    one.sees("bo", true).await;
    server.kill();
    eventually("both know", async || !one.messages.is_connected() && !two.messages.is_connected()).await;
    two.roster.leave("ann");
    two.roster.enter("cy");
    two.roster.settled().await;
    tokio::time::timeout(TIMING.lifetime * 2, one.sees("ann", false)).await.unwrap_err();
    assert!(!one.roster.is_known() && one.roster.is_elsewhere("bo"), "nobody is lost because Redis is");
    server.start_again();
    one.sees("ann", false).await;
    one.sees("cy", true).await;
    eventually("everything is known again", async || one.roster.is_known()).await;
    assert!(one.roster.is_elsewhere("bo") && one.roster.take_lost().is_empty());
}
