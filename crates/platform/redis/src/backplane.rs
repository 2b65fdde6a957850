//! SignalR's messages between processes, over channels: one for everybody of a hub, one for each connection, group and
//! user that is here, and one for the answers that this process waits for.

mod wire;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bookworm_signalr::{
    GroupError, InvokeError,
    backplane::{Address, Audience, Backplane, BackplaneError, Node, RemoteCall},
    protocol::Payload,
};
use futures::{FutureExt as _, future::BoxFuture};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use uuid::Uuid;

use self::wire::{Answer, Audience as To, Message, Question};
use crate::{PubSub, pub_sub::Receiver};

/// How long another process may take to change a group or to end a connection.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long further reasons to resynchronise are waited for: a broken server is noticed by every process.
const RESYNCHRONISE_AFTER: Duration = Duration::from_millis(500);

/// The backplane over Redis. It needs a running [`PubSub`].
pub struct RedisBackplane {
    me: Weak<Self>,
    channels: Arc<PubSub>,
    /// The channel for answers to this process.
    answers: String,
    nodes: Mutex<Vec<Attached>>,
    next_node: AtomicU64,
    next_question: AtomicU64,
    /// Those who wait for answers, by question.
    waiting: Mutex<HashMap<u64, mpsc::UnboundedSender<Answer>>>,
    resynchronising: AtomicBool,
}

/// A hub of this process.
#[derive(Clone)]
struct Attached {
    hub: String,
    /// What it is called in messages.
    id: String,
    node: Weak<dyn Node>,
}

impl fmt::Debug for RedisBackplane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBackplane").field("answers", &self.answers).finish_non_exhaustive()
    }
}

impl RedisBackplane {
    /// A backplane without hubs.
    #[must_use]
    pub fn new(channels: Arc<PubSub>) -> Arc<Self> {
        let answers = channels.channel(&format!("process:{}", Uuid::new_v4().simple()));
        let backplane = Arc::new_cyclic(|me: &Weak<Self>| Self {
            me: me.clone(),
            channels,
            answers,
            nodes: Mutex::default(),
            next_node: AtomicU64::default(),
            next_question: AtomicU64::default(),
            waiting: Mutex::default(),
            resynchronising: AtomicBool::default(),
        });
        backplane.channels.add(backplane.me.clone() as Weak<dyn Receiver>);
        backplane.channels.listen(backplane.answers.clone());
        backplane
    }

    fn channel(&self, hub: &str, address: Option<Address<'_>>) -> String {
        self.channels.channel(&match address {
            None => format!("hub:{hub}:all"),
            Some(Address::Connection(id)) => format!("hub:{hub}:connection:{id}"),
            Some(Address::Group(name)) => format!("hub:{hub}:group:{name}"),
            Some(Address::User(id)) => format!("hub:{hub}:user:{id}"),
        })
    }

    /// What a node of this process is called in messages.
    fn id(&self, node: &Weak<dyn Node>) -> String {
        let nodes = lock(&self.nodes);
        nodes
            .iter()
            .find(|attached| Weak::ptr_eq(&attached.node, node))
            .map(|found| found.id.clone())
            .unwrap_or_default()
    }

    /// The hubs of this process with that name, but for the one that speaks.
    fn others(&self, hub: &str, from: &str) -> Vec<Arc<dyn Node>> {
        let mut nodes = lock(&self.nodes);
        nodes.retain(|attached| attached.node.strong_count() > 0);
        let others = nodes.iter().filter(|attached| attached.hub == hub && attached.id != from);
        others.filter_map(|attached| attached.node.upgrade()).collect()
    }

    async fn send(&self, channel: &str, message: &Message) -> Result<u64, BackplaneError> {
        let bytes = wire::write(message)?;
        self.channels.publish(channel, &bytes).await.map_err(|error| BackplaneError(error.to_string()))
    }

    /// Asks those who have the connection, and returns the answer of the first who does. `None`: nobody has it.
    async fn ask(
        &self,
        hub: &str,
        from: &Weak<dyn Node>,
        connection_id: &str,
        question: Question,
    ) -> Result<Option<Answer>, BackplaneError> {
        let number = self.next_question.fetch_add(1, Ordering::Relaxed);
        let (sender, mut answers) = mpsc::unbounded_channel();
        lock(&self.waiting).insert(number, sender);
        let _waiting = Waiting { backplane: self, number };
        let message = Message::Question {
            hub: hub.to_owned(),
            from: self.id(from),
            connection_id: connection_id.to_owned(),
            answer_to: self.answers.clone(),
            number,
            question,
        };
        let asked = self.send(&self.channel(hub, Some(Address::Connection(connection_id))), &message).await?;
        for _ in 0..asked {
            match answers.recv().await {
                Some(Answer::Absent) => {}
                answer => return Ok(answer),
            }
        }
        Ok(None)
    }

    async fn ask_soon(
        &self,
        hub: &str,
        from: &Weak<dyn Node>,
        connection_id: &str,
        question: Question,
    ) -> Result<Option<Answer>, BackplaneError> {
        let asking = self.ask(hub, from, connection_id, question);
        let late = |_| BackplaneError(format!("no answer within {ANSWER_TIMEOUT:?}"));
        timeout(ANSWER_TIMEOUT, asking).await.map_err(late)?
    }

    /// Does what another process asks; it is answered once that is done.
    fn answer(&self, message: Message) {
        let Message::Question { hub, from, connection_id, answer_to, number, question } = message else { return };
        let Some(me) = self.me.upgrade() else { return };
        let nodes = self.others(&hub, &from);
        // Asked here, in order; only what takes time is waited for elsewhere.
        let answer: BoxFuture<'static, Answer> = match question {
            Question::Group { group, join } => {
                let changed = nodes.iter().find_map(|node| node.change_group(&connection_id, &group, join));
                let backplane = me.clone();
                async move {
                    if join && matches!(changed, Some(Ok(()))) {
                        backplane.listening(&hub, &[Address::Group(&group)]).await;
                    }
                    changed.map_or(Answer::Absent, |changed| Answer::Group(changed.map_err(Into::into)))
                }
                .boxed()
            }
            Question::Invoke { call } => {
                let call = call.into();
                match nodes.iter().find_map(|node| node.invoke(&connection_id, &call)) {
                    Some(answer) => answer.map(|answer| Answer::Result(answer.into())).boxed(),
                    None => std::future::ready(Answer::Absent).boxed(),
                }
            }
            Question::Disconnect => {
                let found = nodes.iter().any(|node| node.disconnect(&connection_id));
                std::future::ready(if found { Answer::Done } else { Answer::Absent }).boxed()
            }
        };
        tokio::spawn(async move {
            let answer = answer.await;
            if let Err(error) = me.send(&answer_to, &Message::Answer { number, answer }).await {
                tracing::debug!(%error, "another process waits for an answer in vain");
            }
        });
    }

    /// Has every client of this process told to ask for what it missed, soon.
    fn resynchronise(&self) {
        let Some(me) = self.me.upgrade().filter(|me| !me.resynchronising.swap(true, Ordering::AcqRel)) else { return };
        tokio::spawn(async move {
            sleep(RESYNCHRONISE_AFTER).await;
            me.resynchronising.store(false, Ordering::Release);
            let nodes = lock(&me.nodes).clone();
            nodes.iter().filter_map(|attached| attached.node.upgrade()).for_each(|node| node.resynchronise());
        });
    }
}

/// Somebody waits for answers to this question.
struct Waiting<'a> {
    backplane: &'a RedisBackplane,
    number: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        lock(&self.backplane.waiting).remove(&self.number);
    }
}

impl Receiver for RedisBackplane {
    fn receive(&self, channel: &str, message: &[u8]) {
        let message = match wire::read(message) {
            _ if !self.is_ours(channel) => return,
            Ok(message) => message,
            Err(error) => {
                // Of a release that has more of them.
                tracing::debug!(channel, %error, "a message of another process is not understood");
                return;
            }
        };
        match message {
            Message::Deliver { hub, from, to, call } => {
                let (audience, call) = (to.into(), call.into());
                self.others(&hub, &from).iter().for_each(|node| node.deliver(&audience, &call));
            }
            Message::Answer { number, answer } => {
                if let Some(waiting) = lock(&self.waiting).get(&number) {
                    // Who asked may have given up.
                    let _ = waiting.send(answer);
                }
            }
            Message::Resynchronise => self.resynchronise(),
            question @ Message::Question { .. } => self.answer(question),
        }
    }

    fn resumed(&self, unsent: bool) {
        self.resynchronise();
        let Some(me) = self.me.upgrade().filter(|_| unsent) else { return };
        tokio::spawn(async move {
            let mut hubs: Vec<String> = lock(&me.nodes).iter().map(|attached| attached.hub.clone()).collect();
            hubs.sort_unstable();
            hubs.dedup();
            for hub in hubs {
                // When it fails, it is done with the next connection.
                let _ = me.send(&me.channel(&hub, None), &Message::Resynchronise).await;
            }
        });
    }
}

impl RedisBackplane {
    fn is_ours(&self, channel: &str) -> bool {
        channel == self.answers || channel.starts_with(&self.channels.channel("hub:"))
    }
}

impl Backplane for RedisBackplane {
    fn attach(&self, hub: &str, node: Weak<dyn Node>) {
        let number = self.next_node.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}:{number}", self.answers);
        lock(&self.nodes).push(Attached { hub: hub.to_owned(), id, node });
        self.channels.listen(self.channel(hub, None));
    }

    fn is_alone(&self, _: &str) -> bool {
        false
    }

    fn listen(&self, hub: &str, address: Address<'_>) {
        self.channels.listen(self.channel(hub, Some(address)));
    }

    fn unlisten(&self, hub: &str, address: Address<'_>) {
        self.channels.unlisten(self.channel(hub, Some(address)));
    }

    fn listening<'a>(&'a self, hub: &'a str, addresses: &'a [Address<'a>]) -> BoxFuture<'a, ()> {
        let mut channels: Vec<String> = addresses.iter().map(|address| self.channel(hub, Some(*address))).collect();
        channels.push(self.channel(hub, None));
        async move { self.channels.listening(&channels).await }.boxed()
    }

    fn publish<'a>(
        &'a self,
        hub: &'a str,
        from: &'a Weak<dyn Node>,
        audience: &'a Audience,
        call: &'a RemoteCall,
    ) -> BoxFuture<'a, Result<(), BackplaneError>> {
        async move {
            let id = self.id(from);
            for (address, to) in To::each_of(audience) {
                let (hub_name, from, call) = (hub.to_owned(), id.clone(), call.clone().into());
                let message = Message::Deliver { hub: hub_name, from, to, call };
                self.send(&self.channel(hub, address), &message).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn change_group<'a>(
        &'a self,
        hub: &'a str,
        from: &'a Weak<dyn Node>,
        connection_id: &'a str,
        group: &'a str,
        join: bool,
    ) -> BoxFuture<'a, Result<Option<Result<(), GroupError>>, BackplaneError>> {
        async move {
            let question = Question::Group { group: group.to_owned(), join };
            match self.ask_soon(hub, from, connection_id, question).await? {
                Some(Answer::Group(changed)) => Ok(Some(changed.map_err(Into::into))),
                Some(_) => Err(unexpected()),
                None => Ok(None),
            }
        }
        .boxed()
    }

    fn invoke<'a>(
        &'a self,
        hub: &'a str,
        from: &'a Weak<dyn Node>,
        connection_id: &'a str,
        call: &'a RemoteCall,
    ) -> BoxFuture<'a, Result<Payload, InvokeError>> {
        async move {
            let question = Question::Invoke { call: call.clone().into() };
            match self.ask(hub, from, connection_id, question).await? {
                Some(Answer::Result(result)) => result.into_result(connection_id),
                Some(_) => Err(unexpected().into()),
                None => Err(InvokeError::NoConnection(connection_id.to_owned())),
            }
        }
        .boxed()
    }

    fn disconnect<'a>(
        &'a self,
        hub: &'a str,
        from: &'a Weak<dyn Node>,
        connection_id: &'a str,
    ) -> BoxFuture<'a, Result<bool, BackplaneError>> {
        async move {
            let answer = self.ask_soon(hub, from, connection_id, Question::Disconnect).await?;
            Ok(answer.is_some())
        }
        .boxed()
    }
}

fn unexpected() -> BackplaneError {
    BackplaneError("the answer is to another question".to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
