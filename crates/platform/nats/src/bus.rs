use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use async_nats::jetstream::{
    self, ErrorCode,
    consumer::{AckPolicy, Consumer, DeliverPolicy, pull},
    context::{ConsumerInfoErrorKind, PublishErrorKind},
    kv,
    message::PublishMessage,
    stream::{ConsumerCreateStrictErrorKind, ConsumerUpdateErrorKind, LastRawMessageErrorKind, Stream},
};
use async_trait::async_trait;
use bookworm_kernel::Timestamp;
use bookworm_messaging::{Bus, BusError, DeadLetters, Envelope, Follower, PublishError, Subscriber};
use bookworm_registry::LIFETIME;
use futures::{StreamExt, future::join_all};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    connect::Nats,
    follower::NatsFollower,
    names::{Names, durable, is_subject},
    registry::{NatsLeases, NatsRegistry},
    stream::{buckets, open},
    subscriber::NatsSubscriber,
};

/// How many messages a durable consumer may have handed out, including those that wait for a delay.
const MAX_ACK_PENDING: i64 = 10_000;
/// How often compare-and-set is tried before the others are too many.
const MAX_RACES: usize = 100;
/// When the stream is this full, in tenths, what is dealt with is purged however young it is.
const NEARLY_FULL: i64 = 8;

/// What the bus asks of its stream.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The stream's name: letters, digits, `_` and `-`. In lower case it is the first word of every subject.
    pub stream: String,
    /// How many servers of a cluster store each message: 1, 3 or 5.
    pub replicas: usize,
    /// The most that the stream stores, in bytes.
    pub max_bytes: i64,
    /// For how long the stream stores a message.
    pub max_age: Duration,
    /// How long a consumer may work on a message before it counts as lost.
    pub lease: Duration,
}

/// Why there is no bus.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The server does not take the stream or a bucket as it should be.
    #[error("the JetStream stream {stream} cannot be made or used: {why}")]
    Stream {
        /// Its name.
        stream: String,
        /// What the server says.
        why: String,
    },
    /// The server does not answer, or JetStream is not ready there. Another attempt may succeed.
    #[error("the JetStream stream {stream} cannot be made or used now: {why}")]
    Away {
        /// Its name.
        stream: String,
        /// What happened.
        why: String,
    },
}

impl OpenError {
    /// Whether another attempt may succeed.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Away { .. })
    }
}

/// The bus of a fleet: a stream of a NATS server or cluster. Cheap to clone.
#[derive(Clone)]
pub struct NatsBus(pub(crate) Arc<Shared>);

impl fmt::Debug for NatsBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NatsBus").field(&self.0.settings).finish()
    }
}

pub(crate) struct Shared {
    pub nats: Nats,
    pub settings: Settings,
    pub names: Names,
    pub stream: Stream,
    /// What each durable consumer wants.
    subjects: kv::Store,
    /// How many deliveries of a message were no attempts.
    pub put_back: kv::Store,
    dead_letters: Arc<dyn DeadLetters>,
}

/// What the bus cannot do, in words.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{0:?} is no subject")]
    Subject(String),
    #[error("a message of {bytes} bytes is larger than the NATS server takes, which is {most} (`max_payload`)")]
    TooLarge { bytes: usize, most: usize },
    #[error("others changed the subjects of consumer {0} all the time")]
    Races(String),
}

pub(crate) fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BusError {
    BusError::Unavailable(error.into())
}

/// What a durable consumer wants, as stored.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
struct Wanted {
    subjects: BTreeSet<String>,
    /// Those of them that are new to it, and whose stored messages it has not been handed yet.
    behind: BTreeSet<String>,
}

impl NatsBus {
    /// Makes or widens the stream and its buckets.
    ///
    /// # Errors
    /// When the server refuses them.
    pub async fn open(nats: Nats, settings: Settings, dead_letters: Arc<dyn DeadLetters>) -> Result<Self, OpenError> {
        let names = Names::new(&settings.stream);
        let stream = open(&nats.context, &settings, &names).await?;
        let (subjects, put_back) = buckets(&nats.context, &settings).await?;
        Ok(Self(Arc::new(Shared { nats, settings, names, stream, subjects, put_back, dead_letters })))
    }

    /// Where the processes that share this bus announce themselves.
    ///
    /// # Errors
    /// When the server refuses its bucket.
    pub async fn registry(&self) -> Result<NatsRegistry, OpenError> {
        let Settings { stream, replicas, .. } = &self.0.settings;
        NatsRegistry::open(self.0.nats.clone(), stream, LIFETIME, *replicas).await
    }

    /// The leases of the processes that share this bus.
    ///
    /// # Errors
    /// When the server refuses their bucket.
    pub async fn leases(&self) -> Result<NatsLeases, OpenError> {
        let Settings { stream, replicas, .. } = &self.0.settings;
        NatsLeases::open(self.0.nats.clone(), stream, LIFETIME, *replicas).await
    }

    /// Shows the stored messages that some durable consumer may not have dealt with. For tools: it reads all of them,
    /// and may also show some that were dealt with while others before them were not.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn undelivered(&self, mut visit: impl FnMut(Envelope)) -> Result<(), BusError> {
        let (settled, last) = self.0.settled().await?;
        let mut next = settled + 1;
        while next <= last {
            let Some(message) = self.0.stored(&self.0.names.all(), next).await? else { break };
            next = message.sequence + 1;
            if let Ok(envelope) = serde_json::from_slice(&message.payload) {
                visit(envelope);
            }
        }
        Ok(())
    }
}

impl Shared {
    /// The configuration of a durable consumer.
    fn config(&self, durable: &str, wanted: &BTreeSet<String>) -> pull::Config {
        let mut filter: Vec<String> = wanted.iter().map(|subject| self.names.subject(subject)).collect();
        filter.push(self.names.revived(durable));
        pull::Config {
            durable_name: Some(durable.to_owned()),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.settings.lease,
            // We count ourselves, and give up ourselves.
            max_deliver: -1,
            max_ack_pending: MAX_ACK_PENDING,
            filter_subjects: filter,
            ..pull::Config::default()
        }
    }

    /// Makes the durable consumer, or widens it by these subjects.
    pub async fn join(&self, consumer: &str, subjects: &[String]) -> Result<Consumer<pull::Config>, BusError> {
        self.nats.connected().map_err(unavailable)?;
        let durable = durable(consumer);
        let mut wanted = self.want(&durable, subjects).await?;
        for _ in 0..MAX_RACES {
            let joined = self.widen(&durable, &wanted.subjects).await?;
            // Another instance may have widened it at the same time, and this one narrowed it again without knowing.
            let now = self.wanted(&durable).await?.map(|(wanted, _)| wanted).unwrap_or_default();
            if now.subjects.is_subset(&wanted.subjects) {
                if !now.behind.is_empty() {
                    self.catch_up(&durable, now.behind).await?;
                }
                return Ok(joined);
            }
            wanted = now;
        }
        Err(unavailable(Refused::Races(consumer.to_owned())))
    }

    async fn wanted(&self, durable: &str) -> Result<Option<(Wanted, u64)>, BusError> {
        let entry = self.subjects.entry(durable).await.map_err(unavailable)?;
        let entry = entry.filter(|entry| entry.operation == kv::Operation::Put);
        entry.map(|entry| Ok((serde_json::from_slice(&entry.value).map_err(unavailable)?, entry.revision))).transpose()
    }

    /// Adds subjects to what the consumer wants.
    async fn want(&self, durable: &str, subjects: &[String]) -> Result<Wanted, BusError> {
        for _ in 0..MAX_RACES {
            let there = self.wanted(durable).await?;
            let mut wanted = there.as_ref().map(|(wanted, _)| wanted.clone()).unwrap_or_default();
            let new: Vec<&String> = subjects.iter().filter(|subject| !wanted.subjects.contains(*subject)).collect();
            wanted.subjects.extend(new.iter().map(|subject| (*subject).clone()));
            if there.is_some() {
                wanted.behind.extend(new.into_iter().cloned());
            }
            if there.as_ref().is_some_and(|(there, _)| *there == wanted) {
                return Ok(wanted);
            }
            if self.store(durable, &wanted, there.map(|(_, revision)| revision)).await? {
                return Ok(wanted);
            }
        }
        Err(unavailable(Refused::Races(durable.to_owned())))
    }

    /// `false` when somebody else was quicker.
    async fn store(&self, durable: &str, wanted: &Wanted, revision: Option<u64>) -> Result<bool, BusError> {
        let value = serde_json::to_vec(wanted).map_err(unavailable)?.into();
        match revision {
            Some(revision) => match self.subjects.update(durable, value, revision).await {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == kv::UpdateErrorKind::WrongLastRevision => Ok(false),
                Err(error) => Err(unavailable(error)),
            },
            None => match self.subjects.create(durable, value).await {
                Ok(_) => Ok(true),
                Err(error) if error.kind() == kv::CreateErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(unavailable(error)),
            },
        }
    }

    /// Makes the server's consumer want all of these, and whatever it wants already.
    async fn widen(&self, durable: &str, wanted: &BTreeSet<String>) -> Result<Consumer<pull::Config>, BusError> {
        let mut config = self.config(durable, wanted);
        loop {
            match self.stream.consumer_info(durable).await {
                Ok(info) => {
                    let there = filter(&info.config);
                    let mut all: BTreeSet<String> = config.filter_subjects.iter().cloned().collect();
                    let grown = !all.is_subset(&there);
                    all.extend(there);
                    config.filter_subjects = all.into_iter().collect();
                    let same = info.config.ack_wait == config.ack_wait
                        && info.config.max_ack_pending == config.max_ack_pending
                        && info.config.max_deliver == config.max_deliver;
                    if !grown && same {
                        return Ok(Consumer::new(config, info, self.nats.context.clone()));
                    }
                    match self.stream.update_consumer(config.clone()).await {
                        Ok(consumer) => return Ok(consumer),
                        Err(error) if error.kind() == ConsumerUpdateErrorKind::DoesNotExist => {}
                        Err(error) => return Err(unavailable(error)),
                    }
                }
                Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => {
                    match self.stream.create_consumer_strict(config.clone()).await {
                        Ok(consumer) => return Ok(consumer),
                        Err(error) if error.kind() == ConsumerCreateStrictErrorKind::AlreadyExists => {}
                        Err(error) => return Err(unavailable(error)),
                    }
                }
                Err(error) => return Err(unavailable(error)),
            }
        }
    }

    /// Hands the consumer the stored messages of subjects that are new to it: the server's consumer goes on from where
    /// it is, and passes over those before. It does not say where it is (measured: it looks ahead without counting
    /// that as delivered), so some that it has not passed yet may come twice; the inbox knows them.
    async fn catch_up(&self, durable: &str, behind: BTreeSet<String>) -> Result<(), BusError> {
        let passed = self.stream.get_info().await.map_err(unavailable)?.state.last_sequence;
        for subject in &behind {
            let (from, to) = (self.names.subject(subject), self.names.revive(durable, subject));
            let mut next = 1;
            while let Some(message) = self.stored(&from, next).await? {
                if message.sequence > passed {
                    break;
                }
                next = message.sequence + 1;
                let id = message.headers.get(async_nats::header::NATS_MESSAGE_ID);
                let id = format!("{}.{durable}", id.map_or("", |id| id.as_str()));
                let copy = PublishMessage::build().payload(message.payload).headers(message.headers).message_id(id);
                let accepted = self.nats.context.send_publish(to.clone(), copy).await.map_err(unavailable)?;
                accepted.await.map_err(unavailable)?;
            }
        }
        for _ in 0..MAX_RACES {
            let Some((mut wanted, revision)) = self.wanted(durable).await? else { return Ok(()) };
            wanted.behind.retain(|subject| !behind.contains(subject));
            if self.store(durable, &wanted, Some(revision)).await? {
                return Ok(());
            }
        }
        Err(unavailable(Refused::Races(durable.to_owned())))
    }

    /// The first stored message of these subjects from this number on.
    async fn stored(&self, subject: &str, from: u64) -> Result<Option<jetstream::message::StreamMessage>, BusError> {
        match self.stream.raw_message_builder().sequence(from).next_by_subject(subject).send().await {
            Ok(message) => Ok(Some(message)),
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Up to which number every durable consumer has dealt with all messages, and the number of the last message.
    async fn settled(&self) -> Result<(u64, u64), BusError> {
        // First the stream: what is published after this is not counted as dealt with.
        let last = self.stream.get_info().await.map_err(unavailable)?.state.last_sequence;
        let mut settled = last;
        for info in self.durables().await? {
            settled = settled.min(if info.num_ack_pending > 0 {
                info.ack_floor.stream_sequence
            } else if info.num_pending > 0 {
                info.delivered.stream_sequence
            } else {
                last
            });
        }
        Ok((settled, last))
    }

    async fn durables(&self) -> Result<Vec<jetstream::consumer::Info>, BusError> {
        self.nats.connected().map_err(unavailable)?;
        let mut consumers = self.stream.consumers();
        let mut durables = Vec::new();
        while let Some(info) = consumers.next().await {
            let info = info.map_err(unavailable)?;
            if info.config.durable_name.is_some() {
                durables.push(info);
            }
        }
        Ok(durables)
    }

    /// Publishes one message; the answer says whether it is durable.
    async fn publish(&self, subject: String, message_id: String, envelope: &Envelope) -> Result<(), BusError> {
        if !is_subject(&envelope.subject) {
            return Err(unavailable(Refused::Subject(envelope.subject.clone())));
        }
        let body = serde_json::to_vec(envelope).map_err(unavailable)?;
        let bytes = body.len();
        let message = PublishMessage::build()
            .payload(body.into())
            .message_id(message_id)
            .header("traceparent", envelope.traceparent.to_string().as_str())
            .header("content-type", "application/cloudevents+json; charset=UTF-8");
        let refused = |error: jetstream::context::PublishError| match error.kind() {
            PublishErrorKind::MaxPayloadExceeded => {
                unavailable(Refused::TooLarge { bytes, most: self.nats.client.max_payload() })
            }
            _ => unavailable(error),
        };
        self.nats.context.send_publish(subject, message).await.map_err(refused)?.await.map_err(refused)?;
        Ok(())
    }
}

/// What a consumer of the server wants.
pub(crate) fn filter(config: &jetstream::consumer::Config) -> BTreeSet<String> {
    let one = Some(&config.filter_subject).filter(|subject| !subject.is_empty());
    config.filter_subjects.iter().chain(one).cloned().collect()
}

#[async_trait]
impl Bus for NatsBus {
    async fn publish(&self, messages: &[Envelope]) -> Result<(), PublishError> {
        self.0.nats.connected().map_err(unavailable)?;
        let publishing = messages.iter().map(|message| {
            let subject = self.0.names.subject(&message.subject);
            self.0.publish(subject, message.id.to_string(), message)
        });
        let (mut accepted, mut failure) = (Vec::new(), None);
        for (message, outcome) in messages.iter().zip(join_all(publishing).await) {
            match outcome {
                Ok(()) => accepted.push(message.id),
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), |source| Err(PublishError { accepted, source }))
    }

    async fn subscribe(&self, consumer: &str, subjects: &[&str]) -> Result<Arc<dyn Subscriber>, BusError> {
        let subjects: Vec<String> = subjects.iter().map(|subject| (*subject).to_owned()).collect();
        let joined = self.0.join(consumer, &subjects).await?;
        Ok(Arc::new(NatsSubscriber::new(self.0.clone(), consumer, subjects, joined)))
    }

    async fn follow(&self, consumer: &str, subjects: &[&str]) -> Result<Box<dyn Follower>, BusError> {
        self.0.nats.connected().map_err(unavailable)?;
        let durable = durable(consumer);
        if let Err(error) = self.0.stream.delete_consumer(&durable).await {
            let gone = matches!(error.kind(), jetstream::stream::ConsumerErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND);
            if !gone {
                return Err(unavailable(error));
            }
        }
        if self.0.wanted(&durable).await?.is_some() {
            self.0.subjects.purge(&durable).await.map_err(unavailable)?;
        }
        let filter = subjects.iter().map(|subject| self.0.names.subject(subject)).collect();
        let last = self.0.stream.get_info().await.map_err(unavailable)?.state.last_sequence;
        Ok(Box::new(NatsFollower::new(self.0.clone(), &durable, filter, last)))
    }

    async fn redeliver(&self, consumer: &str, envelope: &Envelope) -> Result<(), BusError> {
        self.0.nats.connected().map_err(unavailable)?;
        let subject = self.0.names.revive(&durable(consumer), &envelope.subject);
        self.0.publish(subject, format!("{}.{}", envelope.id, Uuid::now_v7()), envelope).await
    }

    fn dead_letters(&self) -> &dyn DeadLetters {
        &*self.0.dead_letters
    }

    async fn backlog(&self) -> Result<u64, BusError> {
        let durables = self.0.durables().await?;
        Ok(durables.iter().map(|info| info.num_pending + info.num_ack_pending as u64).sum())
    }

    /// The stream forgets by age by itself; this purges what everybody has dealt with before that.
    async fn prune(&self, before: Timestamp) -> Result<u64, BusError> {
        let (settled, _) = self.0.settled().await?;
        let info = self.0.stream.get_info().await.map_err(unavailable)?;
        let (state, most) = (info.state, info.config.max_bytes);
        let full = most > 0 && i64::try_from(state.bytes).is_ok_and(|bytes| bytes / NEARLY_FULL >= most / 10);
        let (mut first, mut end) = (state.first_sequence, settled + 1);
        // Numbers grow with time: the first that is too young is found by halves.
        while !full && first < end {
            let middle = first + (end - first) / 2;
            match self.0.stored(&self.0.names.all(), middle).await? {
                Some(message) if micros(message.time) < before.micros() => first = message.sequence + 1,
                _ => end = middle,
            }
        }
        let end = end.min(settled + 1);
        if end <= state.first_sequence {
            return Ok(0);
        }
        Ok(self.0.stream.purge().sequence(end).await.map_err(unavailable)?.purged)
    }
}

fn micros(time: time::OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX)
}
