//! SignalR's backplane: the suite, and what happens when the server goes away or stalls.

use std::{
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bookworm_redis::{PubSub, Redis, RedisBackplane};
use bookworm_signalr::{
    GroupError, InvokeError,
    backplane::{Address, Audience, Backplane, Node, RemoteCall, contract},
    protocol::Payload,
};
use bookworm_testing::{RedisServer, eventually, redis_prefix, redis_url};
use bytes::Bytes;
use futures::future::BoxFuture;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{TIMEOUT, connected};

const HUB: &str = "hub";

/// The messages of one process; dropped, it ends.
struct Process {
    messages: Arc<PubSub>,
    backplane: Arc<RedisBackplane>,
    node: Arc<Recorder>,
    me: Weak<dyn Node>,
    stop: CancellationToken,
    _stop: DropGuard,
}

/// A node that records what reaches it.
#[derive(Default)]
struct Recorder {
    received: Mutex<Vec<String>>,
    resynchronised: AtomicUsize,
}

impl Process {
    async fn start(redis: &Arc<Redis>, timeout: Duration) -> Self {
        let process = Self::unconnected(redis, timeout);
        process.connect().await;
        process
    }

    fn unconnected(redis: &Arc<Redis>, timeout: Duration) -> Self {
        let messages = PubSub::new(redis.clone(), timeout);
        let backplane = RedisBackplane::new(messages.clone());
        let node = Arc::new(Recorder::default());
        let me = Arc::downgrade(&node) as Weak<dyn Node>;
        backplane.attach(HUB, me.clone());
        let stop = CancellationToken::new();
        Self { messages, backplane, node, me, stop: stop.clone(), _stop: stop.drop_guard() }
    }

    async fn connect(&self) {
        tokio::spawn(self.messages.clone().run(self.stop.clone()));
        eventually("it is connected", async || self.messages.is_connected()).await;
    }

    /// Sends to a group's members elsewhere.
    async fn send(&self, group: &str, target: &str) -> Result<(), String> {
        let audience = Audience::Groups { names: vec![group.to_owned()], except: Vec::new() };
        let array = Bytes::from_static(b"[]");
        let call = RemoteCall { target: target.to_owned(), json: array.clone(), messagepack: array };
        let sent = self.backplane.publish(HUB, &self.me, &audience, &call).await;
        sent.map_err(|error| error.to_string())
    }

    async fn joins(&self, group: &str) {
        self.backplane.listen(HUB, Address::Group(group));
        self.backplane.listening(HUB, &[Address::Group(group)]).await;
    }

    fn received(&self) -> Vec<String> {
        std::mem::take(&mut self.node.received.lock().unwrap())
    }

    fn resynchronised(&self) -> usize {
        self.node.resynchronised.load(Ordering::SeqCst)
    }
}

impl Node for Recorder {
    fn deliver(&self, _: &Audience, call: &RemoteCall) {
        self.received.lock().unwrap().push(call.target.clone());
    }

    fn change_group(&self, _: &str, _: &str, _: bool) -> Option<Result<(), GroupError>> {
        None
    }

    fn invoke(&self, _: &str, _: &RemoteCall) -> Option<BoxFuture<'static, Result<Payload, InvokeError>>> {
        None
    }

    fn disconnect(&self, _: &str) -> bool {
        false
    }

    fn resynchronise(&self) {
        self.resynchronised.fetch_add(1, Ordering::SeqCst);
    }
}

/// Runs the suite on two processes.
pub async fn passes_the_suite(redis: &Arc<Redis>) {
    let (first, second) = (Process::start(redis, TIMEOUT).await, Process::start(redis, TIMEOUT).await);
    contract::run(first.backplane.clone(), second.backplane.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_passes_the_suite() {
    let Some(url) = redis_url() else { return };
    let (redis, _stop) = connected(&url, &redis_prefix()).await;
    passes_the_suite(&redis).await;
}

/// How many processes the server would bring a message to this group to.
async fn subscribers(redis: &Redis, group: &str) -> u64 {
    let channel = redis.key(&format!("hub:{HUB}:group:{group}"));
    let ask = async move |mut connection| {
        let mut command = redis::cmd("PUBSUB");
        command.arg("NUMSUB").arg(&channel).query_async::<std::collections::HashMap<String, u64>>(&mut connection).await
    };
    redis.call(TIMEOUT, ask).await.unwrap().into_values().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_subscribed_to_while_it_has_a_member_here() {
    let Some(url) = redis_url() else { return };
    let (redis, _stop) = connected(&url, &redis_prefix()).await;
    let (one, two) = (Process::start(&redis, TIMEOUT).await, Process::start(&redis, TIMEOUT).await);
    assert_eq!(subscribers(&redis, "room").await, 0);
    one.joins("room").await;
    one.joins("room").await;
    assert_eq!(subscribers(&redis, "room").await, 1, "at once, and once for two members");
    two.joins("room").await;
    assert_eq!(subscribers(&redis, "room").await, 2);
    one.backplane.unlisten(HUB, Address::Group("room"));
    two.backplane.unlisten(HUB, Address::Group("room"));
    eventually("the one without members has gone", async || subscribers(&redis, "room").await == 1).await;
    two.send("room", "still").await.unwrap();
    eventually("the last member is reached", async || one.received() == ["still"]).await;
    one.backplane.unlisten(HUB, Address::Group("room"));
    eventually("nobody is left", async || subscribers(&redis, "room").await == 0).await;
    assert_eq!((one.resynchronised(), two.resynchronised()), (0, 0), "nothing was lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_messages_arrive_and_every_client_resynchronises() {
    let Some(mut server) = RedisServer::start(&[]) else { return };
    let (redis, _stop) = connected(&server.url(), "shop").await;
    let (one, two) = (Process::start(&redis, TIMEOUT).await, Process::start(&redis, TIMEOUT).await);
    one.joins("before").await;
    two.send("before", "first").await.unwrap();
    eventually("it is there", async || one.received() == ["first"]).await;
    server.kill();
    eventually("both know", async || !one.messages.is_connected() && !two.messages.is_connected()).await;
    let begun = Instant::now();
    for _ in 0..1000 {
        assert!(two.send("before", "lost").await.is_err());
    }
    one.joins("during").await;
    assert!(begun.elapsed() < TIMEOUT, "nobody waits for a server that is away");
    server.start_again();
    eventually("both resynchronise", async || one.resynchronised() > 0 && two.resynchronised() > 0).await;
    for group in ["before", "during"] {
        two.send(group, group).await.unwrap();
    }
    let mut received = Vec::new();
    eventually("both groups are listened to", async || {
        received.extend(one.received());
        received == ["before", "during"]
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_server_costs_one_timeout() {
    let Some(server) = RedisServer::start(&[]) else { return };
    let (redis, _stop) = connected(&server.url(), "shop").await;
    let timeout = Duration::from_millis(500);
    let (one, two) = (Process::start(&redis, timeout).await, Process::start(&redis, timeout).await);
    one.joins("room").await;
    server.pause(true);
    assert!(two.send("room", "lost").await.is_err());
    let begun = Instant::now();
    for n in 0..100 {
        assert!(two.send("room", "lost").await.is_err(), "it accepts, and never answers");
        one.joins(&n.to_string()).await;
    }
    assert!(begun.elapsed() < TIMEOUT, "two hundred calls wait less than ten timeouts");
    server.pause(false);
    eventually("both resynchronise", async || one.resynchronised() > 0 && two.resynchronised() > 0).await;
    eventually("messages arrive again", async || {
        let _ = two.send("room", "again").await;
        one.received().contains(&"again".to_owned())
    })
    .await;
}

/// The connection of those who miss a message was never broken: whoever could not publish it tells them.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_never_published_has_the_others_resynchronise() {
    let Some(url) = redis_url() else { return };
    let (redis, _stop) = connected(&url, &redis_prefix()).await;
    let (one, two) = (Process::start(&redis, TIMEOUT).await, Process::unconnected(&redis, TIMEOUT));
    one.joins("room").await;
    assert!(two.send("room", "lost").await.is_err());
    two.connect().await;
    eventually("the one who misses it resynchronises", async || one.resynchronised() == 1).await;
}
