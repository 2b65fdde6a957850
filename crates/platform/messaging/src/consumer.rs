use std::{collections::HashMap, error::Error, future::Future, sync::Arc, time::Duration};

use bookworm_db::{Db, DbError, Tx};
use bookworm_kernel::{Cause, Clock, Timestamp};
use futures::future::BoxFuture;
use rand::Rng;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{BusError, Delivery, Envelope, Message, Receipt, SharedBus, Subscriber, Tag, gate::Gate, outages};

/// Why a reaction did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ReactionError {
    /// Something that it needs does not answer: a database, a provider, another service. The message is not to blame.
    /// It comes again, and no attempt is counted, however long the outage lasts.
    #[error("{0}")]
    Unavailable(String, #[source] Option<Box<dyn Error + Send + Sync>>),
    /// It may succeed later: the message comes again, with growing pauses, until its attempts are used up.
    #[error("{0}")]
    Retry(String, #[source] Option<Box<dyn Error + Send + Sync>>),
    /// It never will: the message goes to the dead letters at once.
    #[error("{0}")]
    Refuse(String),
}

impl ReactionError {
    /// Something that it needs does not answer.
    pub fn unavailable(why: impl Into<String>) -> Self {
        Self::Unavailable(why.into(), None)
    }

    /// It may succeed later.
    pub fn retry(why: impl Into<String>) -> Self {
        Self::Retry(why.into(), None)
    }

    /// It never will.
    pub fn refuse(why: impl Into<String>) -> Self {
        Self::Refuse(why.into())
    }

    /// A word for it, in traces.
    fn kind(&self) -> &'static str {
        match self {
            Self::Unavailable(..) => "unavailable",
            Self::Retry(..) => "retry",
            Self::Refuse(..) => "refuse",
        }
    }
}

impl From<DbError> for ReactionError {
    fn from(error: DbError) -> Self {
        let out = error.is_outage() || matches!(error, DbError::Busy | DbError::Open(..));
        let why = if out { "the database does not answer" } else { "the database failed" };
        let class = if out { Self::Unavailable } else { Self::Retry };
        class(why.to_owned(), Some(Box::new(error)))
    }
}

/// A message that came to a reaction.
#[derive(Debug, Clone)]
pub struct Received<M> {
    /// The message.
    pub body: M,
    /// Why whatever follows from it happens.
    pub cause: Cause,
    /// When it was put into its outbox.
    pub sent_at: Timestamp,
    /// 1 for the first delivery.
    pub attempt: u32,
    /// What the inbox remembers it by.
    pub receipt: Receipt,
}

impl<M> Received<M> {
    /// Runs a unit of work once for this message. See [`Receipt::once`].
    ///
    /// # Errors
    /// What `work` returned, or the database's error.
    pub async fn once<T, E, F>(&self, db: &Db, work: F) -> Result<Option<T>, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: for<'t> FnOnce(&'t Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        self.receipt.clone().once(db, work).await
    }
}

/// What a reaction answers.
pub type Reaction = Result<(), ReactionError>;

type Handler = Arc<dyn Fn(Envelope, Cause, u32, Receipt) -> BoxFuture<'static, Reaction> + Send + Sync>;

/// What a consumer of each instance does when it may have missed messages.
type OnMissed = Arc<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// When to try again, and when to give up.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// After this many attempts a message is given up.
    pub max_attempts: u32,
    /// The pause after the first attempt; it doubles each time.
    pub initial_backoff: Duration,
    /// The longest pause.
    pub max_backoff: Duration,
    /// How many messages one consumer works on at once.
    pub workers: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            max_attempts: 8,
            initial_backoff: Duration::from_millis(200),
            max_backoff: Duration::from_secs(60),
            workers: 8,
        }
    }
}

/// The longest pause in an outage: recovery is noticed within it.
const MAX_OUTAGE_PAUSE: Duration = Duration::from_secs(10);
/// The shortest pause of a message that this release cannot handle: the instance that can shall get it first.
const UNHANDLED_PAUSE: Duration = Duration::from_secs(1);

impl Policy {
    /// The pause after this attempt: exponential, with jitter (half to all of it), so that many who failed together do
    /// not come back together.
    fn backoff(&self, attempt: u32) -> Duration {
        let doubled = self.initial_backoff.saturating_mul(1 << attempt.saturating_sub(1).min(20));
        let ceiling = doubled.min(self.max_backoff);
        ceiling.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// The pause after so many failures in a row that were an outage's.
    pub(crate) fn outage_backoff(&self, failures: u32) -> Duration {
        self.backoff(failures).min(MAX_OUTAGE_PAUSE)
    }
}

/// How many messages are acknowledged together, and how often at most.
const ACKS: usize = 256;
const ACK_EVERY: Duration = Duration::from_millis(50);

/// A consumer: a name, and a reaction for each kind of message it wants.
///
/// A shared one is durable, and each message goes to one of those who run it under the same name. Its reactions run
/// side by side, and messages may come again or out of order: a reaction makes itself idempotent with
/// [`Received::once`]. A message without a reaction is put back for an instance of another release, and never
/// acknowledged; to stop reacting for good, leave a reaction that does nothing.
///
/// One of [each instance](Self::each_instance) gets everything from now on, one message after the other.
#[derive(Clone)]
pub struct Consumer {
    name: Arc<str>,
    handlers: HashMap<&'static str, Handler>,
    on_missed: Option<OnMissed>,
}

impl Consumer {
    /// A shared, durable consumer with a stable name: `<service>.<what it does>`.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self { name: name.into(), handlers: HashMap::new(), on_missed: None }
    }

    /// A consumer that each instance has for itself, for what it has in memory. `missed` runs whenever messages may
    /// have passed by unseen: at the beginning, after a gap, and after a reaction that failed, for nothing comes again.
    #[must_use]
    pub fn each_instance<F, Fut>(name: impl Into<Arc<str>>, missed: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let on_missed: OnMissed = Arc::new(move || Box::pin(missed()));
        Self { on_missed: Some(on_missed), ..Self::new(name) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reacts to one kind of message.
    #[must_use]
    pub fn on<M, F, Fut>(mut self, react: F) -> Self
    where
        M: Message,
        F: Fn(Received<M>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Reaction> + Send + 'static,
    {
        let react = Arc::new(react);
        let handler: Handler = Arc::new(move |envelope, cause, attempt, receipt| {
            let sent_at = envelope.time;
            let react = react.clone();
            Box::pin(async move {
                let body = serde_json::from_value(envelope.data)
                    .map_err(|error| ReactionError::refuse(format!("the message cannot be read: {error}")))?;
                react(Received { body, cause, sent_at, attempt, receipt }).await
            })
        });
        self.handlers.insert(M::SUBJECT, handler);
        self
    }

    /// Subscribes and works until `shutdown`; then finishes what it has begun.
    pub async fn run(self, bus: SharedBus, clock: Arc<dyn Clock>, policy: Policy, shutdown: CancellationToken) {
        if self.handlers.is_empty() {
            return shutdown.cancelled().await;
        }
        let (name, handlers, missed) = (self.name, Arc::new(self.handlers), self.on_missed);
        let running = Running { name, handlers, bus, clock, policy, shutdown };
        match missed {
            Some(missed) => running.follow(missed).await,
            None => running.work().await,
        }
    }
}

/// A consumer at work.
struct Running {
    name: Arc<str>,
    handlers: Arc<HashMap<&'static str, Handler>>,
    bus: SharedBus,
    clock: Arc<dyn Clock>,
    policy: Policy,
    shutdown: CancellationToken,
}

impl Running {
    fn subjects(&self) -> Vec<&'static str> {
        self.handlers.keys().copied().collect()
    }

    /// Waits for a bus that does not answer. `None` when the process ends first.
    async fn unanswered(&self, what: &str, error: BusError, failures: &mut u32) -> Option<()> {
        tracing::debug!(what, "asked the bus in vain");
        outages::SILENT.met(&self.name, &error);
        *failures += 1;
        self.pause(self.policy.outage_backoff(*failures)).await
    }

    /// `None` when the process ends first.
    async fn pause(&self, pause: Duration) -> Option<()> {
        tokio::select! {
            () = tokio::time::sleep(pause) => Some(()),
            () = self.shutdown.cancelled() => None,
        }
    }

    async fn work(self) {
        let mut failures = 0;
        let subscriber = loop {
            match self.bus.subscribe(&self.name, &self.subjects()).await {
                Ok(subscriber) => break subscriber,
                Err(error) => {
                    if self.unanswered("subscribe", error, &mut failures).await.is_none() {
                        return;
                    }
                }
            }
        };
        let (acks, done) = mpsc::unbounded_channel();
        let acknowledging = tokio::spawn(acknowledge(self.name.clone(), subscriber.clone(), done));
        let worker = Worker {
            name: self.name.clone(),
            handlers: self.handlers.clone(),
            bus: self.bus.clone(),
            subscriber: subscriber.clone(),
            policy: self.policy,
            gate: Arc::new(Gate::new(self.name.clone(), self.policy)),
            acks,
        };
        let slots = Arc::new(Semaphore::new(self.policy.workers));
        let mut working = JoinSet::new();
        while !self.shutdown.is_cancelled() {
            while working.try_join_next().is_some() {}
            let max = if worker.gate.is_open() {
                let Ok(slot) = slots.clone().acquire_owned().await else { break };
                let free = slots.available_permits() + 1;
                drop(slot);
                free
            } else {
                // An outage: what is under way ends first, then one message finds out whether it is over.
                while working.join_next().await.is_some() {}
                if self.pause(worker.gate.wait()).await.is_none() {
                    break;
                }
                1
            };
            let received = tokio::select! {
                received = subscriber.receive(max) => received,
                () = self.shutdown.cancelled() => break,
            };
            match received {
                Ok(deliveries) => {
                    outages::SILENT.passed();
                    failures = 0;
                    for delivery in deliveries {
                        let Ok(slot) = slots.clone().acquire_owned().await else { break };
                        let (worker, now) = (worker.clone(), self.clock.now());
                        working.spawn(async move {
                            worker.deliver(delivery, now).await;
                            drop(slot);
                        });
                    }
                }
                Err(error) => {
                    if self.unanswered("receive", error, &mut failures).await.is_none() {
                        break;
                    }
                }
            }
        }
        while working.join_next().await.is_some() {}
        drop(worker);
        let _ = acknowledging.await;
    }

    async fn follow(self, on_missed: OnMissed) {
        let mut failures = 0;
        let mut follower = loop {
            match self.bus.follow(&self.name, &self.subjects()).await {
                Ok(follower) => break follower,
                Err(error) => {
                    if self.unanswered("follow", error, &mut failures).await.is_none() {
                        return;
                    }
                }
            }
        };
        let mut missed = true;
        while !self.shutdown.is_cancelled() {
            if missed {
                // In a task of its own, as a reaction is.
                missed = tokio::spawn(on_missed()).await.is_err();
                count(&self.name, "missed");
            }
            let received = tokio::select! {
                received = follower.receive(ACKS) => received,
                () = self.shutdown.cancelled() => return,
            };
            match received {
                Ok(envelopes) => {
                    outages::SILENT.passed();
                    failures = 0;
                    for envelope in envelopes {
                        missed |= !self.react_once(envelope).await;
                    }
                }
                Err(BusError::Missed) => missed = true,
                Err(error) => {
                    if self.unanswered("receive", error, &mut failures).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// Reacts to a message that comes once; says whether that succeeded.
    async fn react_once(&self, envelope: Envelope) -> bool {
        let Some(handler) = self.handlers.get(envelope.subject.as_str()) else { return true };
        let (cause, mut step) = envelope.process(&self.name, 1);
        let span = span(&self.name, &envelope, &cause, 1);
        let receipt = Receipt { consumer: self.name.clone(), message_id: envelope.id, at: self.clock.now() };
        let outcome = spawn(handler, &envelope, cause, 1, receipt).instrument(span.clone()).await;
        count(&self.name, if outcome.is_ok() { "done" } else { "failed" });
        if let Err(error) = &outcome {
            step.fail(error.kind());
            let _entered = span.enter();
            tracing::warn!(error = error as &dyn Error, "a reaction failed, and its message does not come again");
        }
        outcome.is_ok()
    }
}

fn span(consumer: &str, envelope: &Envelope, cause: &Cause, attempt: u32) -> tracing::Span {
    tracing::info_span!(
        "reaction",
        consumer,
        subject = %envelope.subject,
        correlation_id = %cause.correlation_id,
        trace_id = cause.trace.trace_id(),
        span_id = cause.trace.span_id(),
        attempt,
    )
}

fn count(consumer: &Arc<str>, outcome: &'static str) {
    metrics::counter!("reactions_total", "consumer" => consumer.clone(), "outcome" => outcome).increment(1);
}

/// In a task of its own, so that a panic is this message's trouble alone.
async fn spawn(handler: &Handler, envelope: &Envelope, cause: Cause, attempt: u32, receipt: Receipt) -> Reaction {
    let (handler, envelope) = (handler.clone(), envelope.clone());
    let reaction = bookworm_trace::scope(cause.trace, async move { handler(envelope, cause, attempt, receipt).await });
    tokio::spawn(reaction.in_current_span())
        .await
        .unwrap_or_else(|_| Err(ReactionError::retry("the reaction panicked")))
}

/// Acknowledges messages some at a time. Nobody waits for it: the effect is stored already, and should the process die
/// first, the message comes again and the inbox knows it.
async fn acknowledge(consumer: Arc<str>, subscriber: Arc<dyn Subscriber>, mut done: mpsc::UnboundedReceiver<Tag>) {
    let mut tags = Vec::new();
    while done.recv_many(&mut tags, ACKS).await > 0 {
        match subscriber.ack(&tags).await {
            Ok(()) => outages::DEAF.passed(),
            Err(error) => outages::DEAF.met(&consumer, &error),
        }
        tags.clear();
        tokio::time::sleep(ACK_EVERY).await;
    }
}

/// What handles one message.
#[derive(Clone)]
struct Worker {
    name: Arc<str>,
    handlers: Arc<HashMap<&'static str, Handler>>,
    bus: SharedBus,
    subscriber: Arc<dyn Subscriber>,
    policy: Policy,
    gate: Arc<Gate>,
    acks: mpsc::UnboundedSender<Tag>,
}

impl Worker {
    /// Reacts to a message and answers the bus.
    async fn deliver(&self, delivery: Delivery, now: Timestamp) {
        let (cause, mut step) = delivery.envelope.process(&self.name, delivery.attempt);
        let span = span(&self.name, &delivery.envelope, &cause, delivery.attempt);
        let settled = async {
            let Some(handler) = self.handlers.get(delivery.envelope.subject.as_str()) else {
                return self.leave_to_others(&delivery).await;
            };
            let receipt = Receipt { consumer: self.name.clone(), message_id: delivery.envelope.id, at: now };
            if delivery.attempt == 1 {
                metrics::histogram!("message_wait_seconds", "consumer" => self.name.clone())
                    .record(now.since(delivery.envelope.time));
            }
            let begun = Instant::now();
            let reaction = spawn(handler, &delivery.envelope, cause, delivery.attempt, receipt);
            let outcome = self.extending(&delivery.tag, reaction).await;
            metrics::histogram!("reaction_duration_seconds", "consumer" => self.name.clone()).record(begun.elapsed());
            if let Err(error) = &outcome {
                step.fail(error.kind());
            }
            self.answer(&delivery, outcome).await
        };
        if let Err(error) = settled.instrument(span).await {
            // Nothing is lost: the lease ends and the message comes again.
            outages::DEAF.met(&self.name, &error);
        }
    }

    /// Renews the lease while the work goes on.
    async fn extending(&self, tag: &Tag, work: impl Future<Output = Reaction>) -> Reaction {
        let third = self.subscriber.lease() / 3;
        tokio::pin!(work);
        loop {
            tokio::select! {
                outcome = &mut work => return outcome,
                () = tokio::time::sleep(third) => {
                    if let Err(error) = self.subscriber.extend(tag).await {
                        outages::DEAF.met(&self.name, &error);
                    }
                }
            }
        }
    }

    /// Leaves a message to an instance of a release that can handle it.
    async fn leave_to_others(&self, delivery: &Delivery) -> Result<(), BusError> {
        let subject = delivery.envelope.subject.clone();
        count(&self.name, "unhandled");
        metrics::counter!("bus_unhandled_total", "consumer" => self.name.clone(), "subject" => subject).increment(1);
        let times = self.gate.put_back(delivery.envelope.id);
        let after = self.policy.backoff(times).max(UNHANDLED_PAUSE);
        if times == 1 {
            tracing::warn!("this release does not know the message's subject; it is left to another");
        }
        self.subscriber.put_back(&delivery.tag, after).await
    }

    async fn answer(&self, delivery: &Delivery, outcome: Reaction) -> Result<(), BusError> {
        let id = delivery.envelope.id;
        let error = match outcome {
            Ok(()) => {
                self.gate.passed(id);
                outages::HELD.passed();
                count(&self.name, "done");
                // The receiver lives as long as this sender does.
                let _ = self.acks.send(delivery.tag.clone());
                return Ok(());
            }
            Err(error) => error,
        };
        if matches!(error, ReactionError::Unavailable(..)) {
            count(&self.name, "unavailable");
            let after = self.policy.outage_backoff(self.gate.failed(id)) + self.gate.wait();
            outages::HELD.met(&self.name, &error);
            return self.subscriber.put_back(&delivery.tag, after).await;
        }
        self.gate.passed(id);
        if matches!(error, ReactionError::Retry(..)) && delivery.attempt < self.policy.max_attempts {
            count(&self.name, "retried");
            let after = self.policy.backoff(delivery.attempt);
            tracing::warn!(error = &error as &dyn Error, ?after, "a reaction failed and will be tried again");
            return self.subscriber.retry(&delivery.tag, after).await;
        }
        count(&self.name, "given_up");
        tracing::error!(error = &error as &dyn Error, "a message goes to the dead letters");
        // First there, then acknowledged: a crash in between repeats the message, and does not lose it.
        self.bus.dead_letters().add(&self.name, delivery, &error.to_string()).await?;
        self.subscriber.ack(std::slice::from_ref(&delivery.tag)).await
    }
}
