use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use redis::{PushInfo, PushKind, RedisResult, Value, aio::MultiplexedConnection};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{Away, Redis};

/// The timeout of subscribing, and of each look at the connection.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the connection is looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);
/// Between attempts to connect: from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The most channels in one command.
const BATCH: usize = 500;

/// Gets what is published to channels.
pub(crate) trait Receiver: Send + Sync {
    /// Something was published. It must not wait.
    fn receive(&self, channel: &str, message: &[u8]);
    /// The connection is back after a break: messages were lost. `unsent`: so were some that this process published.
    fn resumed(&self, unsent: bool);
}

/// Messages to channels, from and to this process, over a connection of their own. [`run`](Self::run) must run for that.
///
/// Messages are lost while the connection is broken, and receivers are told afterwards. No call waits longer than the
/// timeout.
pub struct PubSub {
    redis: Arc<Redis>,
    timeout: Duration,
    state: Mutex<State>,
    receivers: Mutex<Vec<Weak<dyn Receiver>>>,
    /// Some channel is to be subscribed to, or no longer.
    dirty: Notify,
    /// Counts changes of subscriptions.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    connection: Option<Connection>,
    /// How many listen to each channel.
    wanted: HashMap<String, usize>,
    /// Those that the server has confirmed.
    subscribed: HashSet<String>,
    /// Those for which both may differ.
    dirty: HashSet<String>,
    /// Since when messages are lost.
    away: Option<Instant>,
    /// Whether a message of ours was lost.
    unsent: bool,
    /// Whether somebody who listens was not waited for.
    unheard: bool,
}

#[derive(Clone)]
struct Connection {
    line: MultiplexedConnection,
    /// Cancelled when it is of no use any more.
    broken: CancellationToken,
}

impl fmt::Debug for PubSub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PubSub").field("redis", &self.redis).finish_non_exhaustive()
    }
}

impl PubSub {
    /// Not connected yet. `timeout` is that of each call.
    #[must_use]
    pub fn new(redis: Arc<Redis>, timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            redis,
            timeout,
            state: Mutex::default(),
            receivers: Mutex::default(),
            dirty: Notify::new(),
            changes: watch::Sender::default(),
        })
    }

    /// Whether messages arrive at this moment.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.state().connection.is_some()
    }

    /// A channel of ours.
    pub(crate) fn channel(&self, name: &str) -> String {
        self.redis.key(name)
    }

    /// Another receiver of every channel that is listened to.
    pub(crate) fn add(&self, receiver: Weak<dyn Receiver>) {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner).push(receiver);
    }

    /// One more listens to this channel.
    pub(crate) fn listen(&self, channel: String) {
        let mut state = self.state();
        let count = state.wanted.entry(channel.clone()).or_default();
        *count += 1;
        if *count == 1 {
            state.dirty.insert(channel);
            self.dirty.notify_one();
        }
    }

    /// One fewer listens to it.
    pub(crate) fn unlisten(&self, channel: String) {
        let mut state = self.state();
        let Some(count) = state.wanted.get_mut(&channel) else { return };
        *count -= 1;
        if *count == 0 {
            state.wanted.remove(&channel);
            state.dirty.insert(channel);
            self.dirty.notify_one();
        }
    }

    /// Waits until what is published to these channels arrives, or the connection is found to be broken.
    pub(crate) async fn listening(&self, channels: &[String]) {
        let mut changes = self.changes.subscribe();
        let subscribed = async {
            loop {
                changes.mark_unchanged();
                let done = {
                    let mut state = self.state();
                    let away = state.connection.is_none();
                    state.unheard |= away;
                    away || channels.iter().all(|channel| state.subscribed.contains(channel))
                };
                if done || changes.changed().await.is_err() {
                    return;
                }
            }
        };
        if timeout(self.timeout, subscribed).await.is_err()
            && let Some(connection) = &self.state().connection
        {
            // What is published meanwhile is lost: a new connection makes that known.
            connection.broken.cancel();
        }
    }

    /// Publishes, and returns how many processes get it.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(crate) async fn publish(&self, channel: &str, message: &[u8]) -> Result<u64, Away> {
        let connection = self.state().connection.clone();
        let failure = match connection {
            None => Away::NotConnected,
            Some(mut connection) => {
                let mut command = redis::cmd("PUBLISH");
                let sent = command.arg(channel).arg(message).query_async::<u64>(&mut connection.line);
                let failure = match timeout(self.timeout, sent).await {
                    Ok(Ok(receivers)) => return Ok(receivers),
                    Ok(Err(error)) => Away::Failed(error),
                    Err(_) => Away::TimedOut(self.timeout),
                };
                connection.broken.cancel();
                failure
            }
        };
        metrics::counter!("redis_messages_unsent_total").increment(1);
        self.state().unsent = true;
        Err(failure)
    }

    /// Connects again and again until `stop`, and subscribes to what is listened to.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let work = async {
            let mut pause = FIRST_PAUSE;
            loop {
                if let Some(connection) = self.connect().await {
                    pause = FIRST_PAUSE;
                    self.follow(connection).await;
                }
                self.left();
                tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.0))).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        };
        tokio::select! { () = work => {}, () = stop.cancelled() => {} }
    }

    /// A connection that is subscribed to what is listened to.
    async fn connect(self: &Arc<Self>) -> Option<Connection> {
        let (me, broken) = (Arc::downgrade(self), CancellationToken::new());
        let end = broken.clone();
        let each = move |push: PushInfo| {
            if let Some(me) = me.upgrade().filter(|_| !end.is_cancelled()) {
                me.pushed(&push, &end);
            }
            Ok(())
        };
        let line = match self.redis.connect_for_messages(each).await {
            Ok(line) => line,
            Err(why) => {
                tracing::debug!(why, "there is no connection to Redis for messages");
                return None;
            }
        };
        {
            let mut state = self.state();
            state.dirty = state.wanted.keys().cloned().collect();
        }
        let connection = Connection { line, broken };
        if self.subscribe(&connection.line).await {
            return Some(connection);
        }
        connection.broken.cancel();
        None
    }

    /// Keeps subscriptions as they are wanted, until the connection breaks.
    async fn follow(&self, connection: Connection) {
        let (away, unsent, unheard) = {
            let mut state = self.state();
            state.connection = Some(connection.clone());
            (state.away.take(), std::mem::take(&mut state.unsent), std::mem::take(&mut state.unheard))
        };
        if let Some(since) = away {
            tracing::info!(away = ?since.elapsed(), "messages between processes arrive again");
        }
        if away.is_some() || unsent || unheard {
            self.each(|receiver| receiver.resumed(unsent));
        }
        loop {
            let answers = tokio::select! {
                () = self.dirty.notified() => self.subscribe(&connection.line).await,
                () = connection.broken.cancelled() => false,
                () = tokio::time::sleep(CHECK_INTERVAL) => {
                    let mut asked = connection.line.clone();
                    answers(async { redis::cmd("PING").query_async::<()>(&mut asked).await }).await
                }
            };
            if !answers {
                connection.broken.cancel();
                return;
            }
        }
    }

    /// Subscribes to what is wanted, and no longer to what is not. Whether the server confirmed it.
    async fn subscribe(&self, connection: &MultiplexedConnection) -> bool {
        let mut connection = connection.clone();
        loop {
            let (more, less): (Vec<String>, Vec<String>) = {
                let mut state = self.state();
                let batch: Vec<String> = state.dirty.iter().take(BATCH).cloned().collect();
                for channel in &batch {
                    state.dirty.remove(channel);
                }
                let differs =
                    |channel: &String| state.wanted.contains_key(channel) != state.subscribed.contains(channel);
                let (more, less): (Vec<String>, Vec<String>) =
                    batch.into_iter().filter(differs).partition(|channel| state.wanted.contains_key(channel));
                // Not any more from here on: who listens again meanwhile waits for the next subscription.
                for channel in &less {
                    state.subscribed.remove(channel);
                }
                (more, less)
            };
            if more.is_empty() && less.is_empty() {
                if self.state().dirty.is_empty() {
                    return true;
                }
                continue;
            }
            if !more.is_empty() {
                if !answers(connection.subscribe(&more)).await {
                    return false;
                }
                self.state().subscribed.extend(more);
            }
            if !less.is_empty() && !answers(connection.unsubscribe(&less)).await {
                return false;
            }
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// The connection is broken.
    fn left(&self) {
        {
            let mut state = self.state();
            if state.away.is_none() {
                tracing::debug!("messages between processes are lost until Redis answers");
                state.away = Some(Instant::now());
            }
            state.connection = None;
            state.subscribed.clear();
        }
        self.changes.send_modify(|changes| *changes += 1);
    }

    fn pushed(&self, push: &PushInfo, broken: &CancellationToken) {
        match (&push.kind, &push.data[..]) {
            (PushKind::Message, [Value::BulkString(channel), Value::BulkString(message)]) => {
                if let Ok(channel) = std::str::from_utf8(channel) {
                    self.each(|receiver| receiver.receive(channel, message));
                }
            }
            (PushKind::Disconnection, _) => broken.cancel(),
            _ => {}
        }
    }

    fn each(&self, call: impl Fn(&dyn Receiver)) {
        let receivers = self.receivers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        receivers.iter().filter_map(Weak::upgrade).for_each(|receiver| call(&*receiver));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answers(call: impl Future<Output = RedisResult<()>>) -> bool {
    matches!(timeout(CHECK_TIMEOUT, call).await, Ok(Ok(())))
}
