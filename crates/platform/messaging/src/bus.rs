use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bookworm_kernel::{MessageId, Timestamp};

use crate::{DeadLetters, Envelope};

/// The bus does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// It does not answer; what was asked may or may not have happened.
    #[error("the bus does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Only a [`Follower`] meets it: messages may have passed by unseen. The next `receive` goes on from now.
    #[error("messages may have been missed")]
    Missed,
}

/// Not every message was accepted.
#[derive(Debug, thiserror::Error)]
#[error("{} messages were accepted, others were not", accepted.len())]
pub struct PublishError {
    /// Those that are durable all the same. Each of the others may be, or may not: publish it again.
    pub accepted: Vec<MessageId>,
    /// Why the bus did not accept the others.
    #[source]
    pub source: BusError,
}

impl From<BusError> for PublishError {
    fn from(source: BusError) -> Self {
        Self { accepted: Vec::new(), source }
    }
}

/// The bus's own name for a delivery. Only the bus that made it can read it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Tag(Arc<str>);

impl Tag {
    /// For implementations of a bus.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// For implementations of a bus.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({})", self.0)
    }
}

/// A message leased to a consumer. It must be acknowledged, retried or put back; one that is not comes again when
/// its lease ends.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The message.
    pub envelope: Envelope,
    /// 1 for the first. A delivery that was put back is not counted, one whose lease ended is.
    pub attempt: u32,
    /// To answer with.
    pub tag: Tag,
}

/// A [`Bus`] that many share.
pub type SharedBus = Arc<dyn Bus>;

/// A durable publish-subscribe bus.
///
/// What every implementation promises, and `contract::run` checks (feature `contract`):
///
/// - **At least once.** A message that was accepted reaches every durable consumer of its subject, until each has
///   acknowledged it, through crashes of anybody. It may come again.
/// - **No order.** Messages may overtake each other.
/// - **Published twice, delivered once**, while the bus remembers the id: a broker remembers for a window of time, an
///   inbox for longer.
/// - **Durable consumers only grow.** Nothing narrows what a consumer is sent, since an instance of another release
///   may need it.
/// - Delays and leases go by the bus's own clock.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Accepts messages, each for itself. `Ok` when every one is durable.
    async fn publish(&self, messages: &[Envelope]) -> Result<(), PublishError>;

    /// Joins a durable consumer: each of its messages goes to one of those who joined it under this name. Makes it
    /// when it is not there, and widens it by the subjects that it does not have. A subject that is new to it also
    /// brings the messages that the bus still stores.
    async fn subscribe(&self, consumer: &str, subjects: &[&str]) -> Result<Arc<dyn Subscriber>, BusError>;

    /// Follows these subjects from now on: each follower gets every message, and nothing is stored for one that is
    /// gone. A durable consumer of the same name is removed.
    async fn follow(&self, consumer: &str, subjects: &[&str]) -> Result<Box<dyn Follower>, BusError>;

    /// Hands a message to one durable consumer again, as a first attempt, also when the bus has forgotten it.
    async fn redeliver(&self, consumer: &str, envelope: &Envelope) -> Result<(), BusError>;

    /// Where messages go that a consumer gave up.
    fn dead_letters(&self) -> &dyn DeadLetters;

    /// Messages accepted and not yet acknowledged, over all durable consumers.
    async fn backlog(&self) -> Result<u64, BusError>;

    /// Forgets messages that everybody has dealt with and that were published before `before`, which is an hour ago
    /// at the latest. Returns how many.
    async fn prune(&self, before: Timestamp) -> Result<u64, BusError>;
}

/// One who has joined a durable consumer.
#[async_trait]
pub trait Subscriber: Send + Sync {
    /// How long a delivery belongs to whoever received it, unless they [`extend`](Self::extend) it.
    fn lease(&self) -> Duration;

    /// Leases up to `max` messages. Waits for the first at most about a second; may return none.
    async fn receive(&self, max: usize) -> Result<Vec<Delivery>, BusError>;

    /// The messages are dealt with, also when the lease has ended.
    async fn ack(&self, deliveries: &[Tag]) -> Result<(), BusError>;

    /// The attempt failed: the message shall come again as the next attempt, not before `after`.
    async fn retry(&self, delivery: &Tag, after: Duration) -> Result<(), BusError>;

    /// The message was not tried: it shall come again as the same attempt, not before `after`.
    async fn put_back(&self, delivery: &Tag, after: Duration) -> Result<(), BusError>;

    /// The work goes on: the lease begins anew. Nothing happens when it has ended and somebody else has the message.
    async fn extend(&self, delivery: &Tag) -> Result<(), BusError>;
}

/// One who gets every message of some subjects from the moment it began to follow them.
#[async_trait]
pub trait Follower: Send {
    /// Up to `max` messages. Waits for the first at most about a second; may return none.
    ///
    /// # Errors
    /// [`BusError::Missed`] once when messages may have passed by unseen, for example after a long silence.
    async fn receive(&mut self, max: usize) -> Result<Vec<Envelope>, BusError>;
}
