use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use bookworm_db::{Db, DbError, Tx};
use bookworm_kernel::{Cause, Clock, Timestamp};
use futures::future::BoxFuture;
use rand::Rng;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{Delivery, Envelope, Message, Receipt, SharedBus};

/// Why a reaction did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ReactionError {
    /// It may succeed later: the message comes again, with growing pauses.
    #[error("{0}")]
    Retry(String, #[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// It never will: the message goes to the dead-letter store at once.
    #[error("{0}")]
    Refuse(String),
}

impl ReactionError {
    /// It may succeed later.
    pub fn retry(why: impl Into<String>) -> Self {
        Self::Retry(why.into(), None)
    }

    /// It never will.
    pub fn refuse(why: impl Into<String>) -> Self {
        Self::Refuse(why.into())
    }
}

impl From<DbError> for ReactionError {
    fn from(error: DbError) -> Self {
        Self::Retry("the database failed".to_owned(), Some(Box::new(error)))
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
        self.receipt.once(db, work).await
    }
}

/// What a reaction answers.
pub type Reaction = Result<(), ReactionError>;

type Handler = Arc<dyn Fn(Envelope, u32, Receipt) -> BoxFuture<'static, Reaction> + Send + Sync>;

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

impl Policy {
    /// The pause after this attempt: exponential, with full jitter, so that many who failed together do not come back
    /// together.
    fn backoff(&self, attempt: u32) -> Duration {
        let doubled = self.initial_backoff.saturating_mul(1 << attempt.saturating_sub(1).min(20));
        let ceiling = doubled.min(self.max_backoff);
        ceiling.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

/// How many messages are acknowledged together, and how often at most.
const ACKS: usize = 256;
const ACK_EVERY: Duration = Duration::from_millis(50);

/// A durable consumer: a name, and a reaction for each kind of message it wants.
///
/// Reactions of one consumer run side by side, and messages may come again or out of order. A reaction makes itself
/// idempotent with [`Received::once`].
pub struct Consumer {
    name: &'static str,
    handlers: HashMap<&'static str, Handler>,
}

impl Consumer {
    /// A consumer with a stable name: `<service>.<what it does>`.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        Self { name, handlers: HashMap::new() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
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
        let handler: Handler = Arc::new(move |envelope, attempt, receipt| {
            let (cause, sent_at) = (envelope.as_cause(), envelope.time);
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
        let subjects: Vec<&'static str> = self.handlers.keys().copied().collect();
        let mut pause = policy.initial_backoff;
        while let Err(error) = bus.subscribe(self.name, &subjects).await {
            tracing::warn!(consumer = self.name, error = &error as &dyn std::error::Error, "cannot subscribe yet");
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(policy.max_backoff),
                () = shutdown.cancelled() => return,
            }
        }
        let (name, handlers) = (self.name, Arc::new(self.handlers));
        let (acks, done) = mpsc::unbounded_channel();
        let acknowledging = tokio::spawn(acknowledge(name, bus.clone(), done));
        let slots = Arc::new(Semaphore::new(policy.workers));
        let mut working = JoinSet::new();
        while !shutdown.is_cancelled() {
            while working.try_join_next().is_some() {}
            let Ok(slot) = slots.clone().acquire_owned().await else { break };
            let free = slots.available_permits() + 1;
            drop(slot);
            let received = tokio::select! {
                received = bus.receive(name, free) => received,
                () = shutdown.cancelled() => break,
            };
            match received {
                Ok(deliveries) => {
                    for delivery in deliveries {
                        let Ok(slot) = slots.clone().acquire_owned().await else { break };
                        let (bus, clock, handlers) = (bus.clone(), clock.clone(), handlers.clone());
                        let acks = acks.clone();
                        working.spawn(async move {
                            if deliver(name, &handlers, &bus, clock.now(), policy, &delivery).await {
                                // The receiver lives as long as this sender does.
                                let _ = acks.send(delivery);
                            }
                            drop(slot);
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!(consumer = name, error = &error as &dyn std::error::Error, "cannot receive");
                    tokio::time::sleep(policy.initial_backoff).await;
                }
            }
        }
        while working.join_next().await.is_some() {}
        drop(acks);
        let _ = acknowledging.await;
    }
}

/// Acknowledges messages some at a time. Nobody waits for it: the effect is kept already, and should the process die
/// first, the message comes again and the inbox knows it.
async fn acknowledge(consumer: &'static str, bus: SharedBus, mut done: mpsc::UnboundedReceiver<Delivery>) {
    let mut deliveries = Vec::new();
    while done.recv_many(&mut deliveries, ACKS).await > 0 {
        if let Err(error) = bus.ack(consumer, &deliveries).await {
            tracing::warn!(consumer, error = &error as &dyn std::error::Error, "the bus did not take acknowledgements");
        }
        deliveries.clear();
        tokio::time::sleep(ACK_EVERY).await;
    }
}

/// Reacts to a message; says whether it is dealt with and to be acknowledged.
async fn deliver(
    consumer: &'static str,
    handlers: &HashMap<&'static str, Handler>,
    bus: &SharedBus,
    now: Timestamp,
    policy: Policy,
    delivery: &Delivery,
) -> bool {
    let envelope = &delivery.envelope;
    let span = tracing::info_span!(
        "reaction",
        consumer,
        subject = %envelope.subject,
        correlation_id = %envelope.correlationid,
        trace_id = %envelope.traceparent.trace_id(),
        attempt = delivery.attempt,
    );
    async {
        let receipt = Receipt { consumer, message_id: envelope.id, at: now };
        let outcome = match handlers.get(envelope.subject.as_str()) {
            // In a task of its own, so that a panic is this message's trouble alone.
            Some(handler) => tokio::spawn(handler(envelope.clone(), delivery.attempt, receipt).in_current_span())
                .await
                .unwrap_or_else(|_| Err(ReactionError::retry("the reaction panicked"))),
            // Left over from a subscription of an earlier release.
            None => Ok(()),
        };
        let count = |outcome: &'static str| {
            metrics::counter!("reactions_total", "consumer" => consumer, "outcome" => outcome).increment(1);
        };
        let Err(error) = outcome else {
            count("done");
            return true;
        };
        let settled = if matches!(error, ReactionError::Retry(..)) && delivery.attempt < policy.max_attempts {
            count("retried");
            let after = policy.backoff(delivery.attempt);
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                ?after,
                "a reaction failed and will be tried again"
            );
            bus.retry(consumer, delivery, after).await
        } else {
            count("given_up");
            tracing::error!(error = &error as &dyn std::error::Error, "a message goes to the dead letters");
            bus.give_up(consumer, delivery, &error.to_string()).await
        };
        if let Err(error) = settled {
            // Nothing is lost: the lease ends and the message comes again.
            tracing::warn!(error = &error as &dyn std::error::Error, "the bus did not take the answer");
        }
        false
    }
    .instrument(span)
    .await
}

/// Forgets, once an hour until `shutdown`, what inboxes and bus no longer need to remember.
pub async fn housekeeping(
    dbs: Vec<Db>,
    bus: SharedBus,
    clock: Arc<dyn Clock>,
    retention: Duration,
    shutdown: CancellationToken,
) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(3600)) => {}
            () = shutdown.cancelled() => return,
        }
        let now = clock.now();
        if let Err(error) = bus.prune(now.minus(retention)).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "the bus cannot be tidied");
        }
        for db in &dbs {
            // Twice as long as the bus keeps a message, so that none can come back after it was forgotten.
            if let Err(error) = crate::inbox::prune(db, now.minus(retention * 2)).await {
                tracing::warn!(
                    service = db.name(),
                    error = &error as &dyn std::error::Error,
                    "the inbox cannot be tidied"
                );
            }
        }
    }
}
