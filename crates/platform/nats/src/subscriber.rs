use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::jetstream::{
    AckKind, Message,
    consumer::{Consumer, pull},
};
use async_trait::async_trait;
use bookworm_messaging::{BusError, Delivery, Subscriber, Tag};
use futures::StreamExt;
use tokio::{sync::oneshot, time::Instant};

use crate::{
    bus::{Shared, unavailable},
    names::durable,
};

/// How long the server waits for the first message.
const WAIT: Duration = Duration::from_secs(1);
/// How much longer we wait for the server.
const GRACE: Duration = Duration::from_secs(2);
/// The most messages of one request.
const MAX_BATCH: usize = 256;
/// How often to make sure that the server's consumer is there and wants what it should.
const CHECK_EVERY: Duration = Duration::from_secs(60);
/// How many unanswered deliveries are remembered, before those whose lease has ended are forgotten.
const REMEMBERED: usize = 4096;

/// A durable pull consumer that this process has joined.
pub(crate) struct NatsSubscriber(Arc<Joined>);

struct Joined {
    bus: Arc<Shared>,
    name: String,
    subjects: Vec<String>,
    /// The server's consumer and when it was last looked at; `None` after an error.
    consumer: Mutex<Option<(Consumer<pull::Config>, Instant)>>,
    /// Deliveries without an answer, by their tag.
    leases: Mutex<HashMap<Arc<str>, Lease>>,
}

#[derive(Clone, Copy)]
struct Lease {
    until: Instant,
    /// How often the server has delivered it.
    delivered: u64,
    /// As which attempt.
    attempt: u64,
    sequence: u64,
}

impl NatsSubscriber {
    pub fn new(bus: Arc<Shared>, name: &str, subjects: Vec<String>, joined: Consumer<pull::Config>) -> Self {
        Self(Arc::new(Joined {
            bus,
            name: name.to_owned(),
            subjects,
            consumer: Mutex::new(Some((joined, Instant::now()))),
            leases: Mutex::default(),
        }))
    }
}

impl Joined {
    fn consumer(&self) -> MutexGuard<'_, Option<(Consumer<pull::Config>, Instant)>> {
        self.consumer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<Arc<str>, Lease>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a lease that begins now is over. Ours ends a little before the server's.
    fn lease(&self) -> Instant {
        Instant::now() + self.bus.settings.lease.mul_f64(0.95)
    }

    /// The server's consumer; joined again after an error, and from time to time.
    async fn current(&self) -> Result<Consumer<pull::Config>, BusError> {
        if let Some((consumer, at)) = &*self.consumer()
            && at.elapsed() < CHECK_EVERY
        {
            return Ok(consumer.clone());
        }
        let joined = self.bus.join(&self.name, &self.subjects).await?;
        *self.consumer() = Some((joined.clone(), Instant::now()));
        Ok(joined)
    }

    async fn fetch(&self, max: usize) -> Result<Vec<Delivery>, BusError> {
        let fetched = self.messages(max).await;
        let (messages, failure) = match fetched {
            Ok(fetched) => fetched,
            Err(error) => (Vec::new(), Some(error)),
        };
        if failure.is_some() {
            // Whatever it was: look whether the consumer is still there.
            *self.consumer() = None;
        }
        let mut deliveries = Vec::new();
        for message in messages {
            deliveries.extend(self.lease_out(&message).await?);
        }
        match failure {
            Some(error) if deliveries.is_empty() => Err(error),
            _ => Ok(deliveries),
        }
    }

    /// What is there, or the first that comes within a second.
    async fn messages(&self, max: usize) -> Result<(Vec<Message>, Option<BusError>), BusError> {
        self.bus.nats.connected().map_err(unavailable)?;
        let consumer = self.current().await?;
        let max = max.clamp(1, MAX_BATCH);
        let mut batch = consumer.fetch().max_messages(max).expires(WAIT).messages().await.map_err(unavailable)?;
        let until = Instant::now() + WAIT + GRACE;
        let mut messages = Vec::new();
        loop {
            match tokio::time::timeout_at(until, batch.next()).await {
                Ok(Some(Ok(message))) => messages.push(message),
                Ok(None) => return Ok((messages, None)),
                Ok(Some(Err(error))) => return Ok((messages, Some(unavailable(error)))),
                // The server went away, or came back and knows nothing of the request.
                Err(_) => return Ok((messages, self.bus.nats.connected().err().map(unavailable))),
            }
        }
    }

    /// A message as a delivery, with its lease. `None` for one that nobody can read.
    async fn lease_out(&self, message: &Message) -> Result<Option<Delivery>, BusError> {
        let info = message.info().map_err(unavailable)?;
        let (delivered, sequence) = (u64::try_from(info.delivered).unwrap_or(1), info.stream_sequence);
        let until = self.lease();
        let envelope = match serde_json::from_slice(&message.payload) {
            Ok(envelope) => envelope,
            Err(error) => {
                // Somebody else published it. It stays in the stream, where an operator can look at it.
                let consumer = &*self.name;
                tracing::error!(
                    consumer,
                    sequence,
                    subject = %message.subject,
                    error = &error as &dyn std::error::Error,
                    "what is on the bus is no message of ours"
                );
                message.ack_with(AckKind::Term).await.map_err(unavailable)?;
                return Ok(None);
            }
        };
        let uncounted = if delivered > 1 { self.uncounted(sequence).await? } else { 0 };
        let attempt = delivered.saturating_sub(uncounted).max(1);
        let reply: Arc<str> = message.reply.as_ref().map_or_else(|| Arc::from(""), |reply| Arc::from(reply.as_str()));
        let mut leases = self.leases();
        if leases.len() >= REMEMBERED {
            let now = Instant::now();
            leases.retain(|_, lease| lease.until > now);
        }
        leases.insert(reply.clone(), Lease { until, delivered, attempt, sequence });
        let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
        Ok(Some(Delivery { envelope, attempt, tag: Tag::new(reply) }))
    }

    fn key(&self, sequence: u64) -> String {
        format!("{}.{sequence}", durable(&self.name))
    }

    /// How many deliveries of a message were no attempts.
    async fn uncounted(&self, sequence: u64) -> Result<u64, BusError> {
        let value = self.bus.put_back.get(self.key(sequence)).await.map_err(unavailable)?;
        Ok(value.and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok()).unwrap_or(0))
    }

    /// The lease of a delivery, if it is still ours; it ends with this.
    fn settle(&self, tag: &Tag) -> Option<Lease> {
        self.leases().remove(tag.as_str()).filter(|lease| lease.until > Instant::now())
    }

    /// Sends an answer and waits until the server has taken it.
    async fn answer(&self, tag: &Tag, kind: AckKind) -> Result<(), BusError> {
        self.bus.nats.connected().map_err(unavailable)?;
        self.bus.nats.client.request(tag.as_str().to_owned(), kind.into()).await.map_err(unavailable)?;
        Ok(())
    }

    async fn put_back(&self, tag: &Tag, after: Duration) -> Result<(), BusError> {
        // One whose lease has ended comes again by itself.
        let Some(lease) = self.settle(tag) else { return Ok(()) };
        // First remembered, then sent back: a crash in between costs no attempt either.
        let uncounted = (lease.delivered + 1).saturating_sub(lease.attempt);
        self.bus.put_back.put(self.key(lease.sequence), uncounted.to_string().into()).await.map_err(unavailable)?;
        self.answer(tag, nak(after)).await
    }
}

fn nak(after: Duration) -> AckKind {
    AckKind::Nak(Some(after).filter(|after| !after.is_zero()))
}

#[async_trait]
impl Subscriber for NatsSubscriber {
    fn lease(&self) -> Duration {
        self.0.bus.settings.lease
    }

    async fn receive(&self, max: usize) -> Result<Vec<Delivery>, BusError> {
        let (send, receive) = oneshot::channel();
        let joined = self.0.clone();
        // In a task of its own: whoever stops to wait must not leave messages leased to nobody.
        let fetching = async move {
            if let Err(Ok(unwanted)) = send.send(joined.fetch(max).await) {
                for delivery in unwanted {
                    if let Err(error) = joined.put_back(&delivery.tag, Duration::ZERO).await {
                        tracing::debug!(error = &error as &dyn std::error::Error, "its lease will end");
                    }
                }
            }
        };
        tokio::spawn(fetching);
        receive.await.map_err(unavailable)?
    }

    async fn ack(&self, deliveries: &[Tag]) -> Result<(), BusError> {
        let Some((last, before)) = deliveries.split_last() else { return Ok(()) };
        self.0.bus.nats.connected().map_err(unavailable)?;
        {
            let mut leases = self.0.leases();
            leases.retain(|tag, _| !deliveries.iter().any(|answered| answered.as_str() == &**tag));
        }
        for tag in before {
            let ack = self.0.bus.nats.client.publish(tag.as_str().to_owned(), AckKind::Ack.into());
            ack.await.map_err(unavailable)?;
        }
        // The server takes a consumer's answers one after the other: when it has the last, it has all.
        self.0.answer(last, AckKind::Ack).await
    }

    async fn retry(&self, delivery: &Tag, after: Duration) -> Result<(), BusError> {
        match self.0.settle(delivery) {
            Some(_) => self.0.answer(delivery, nak(after)).await,
            None => Ok(()),
        }
    }

    async fn put_back(&self, delivery: &Tag, after: Duration) -> Result<(), BusError> {
        self.0.put_back(delivery, after).await
    }

    async fn extend(&self, delivery: &Tag) -> Result<(), BusError> {
        {
            let (until, now) = (self.0.lease(), Instant::now());
            let mut leases = self.0.leases();
            let Some(lease) = leases.get_mut(delivery.as_str()).filter(|lease| lease.until > now) else {
                return Ok(());
            };
            lease.until = until;
        }
        self.0.answer(delivery, AckKind::Progress).await
    }
}
