use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bookworm_kernel::{MessageId, Timestamp};
use uuid::Uuid;

use crate::Envelope;

/// The bus does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// It does not answer; what was asked may or may not have happened.
    #[error("the bus does not answer")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A message handed to a consumer. It must be acknowledged, sent back, or given up; one that is not comes again when
/// its lease ends.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The message.
    pub envelope: Envelope,
    /// 1 for the first.
    pub attempt: u32,
    /// The bus's own name for this delivery.
    pub tag: i64,
}

/// A message that a consumer gave up.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its own id.
    pub id: Uuid,
    /// The message's id.
    pub message_id: MessageId,
    /// Who gave it up.
    pub consumer: String,
    /// Why.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// The message.
    pub envelope: Envelope,
    /// When.
    pub at: Timestamp,
}

/// A [`Bus`] that many share.
pub type SharedBus = Arc<dyn Bus>;

/// A durable publish-subscribe bus.
///
/// At least once: a message that `publish` accepted reaches every consumer that subscribes to its subject, until each
/// has acknowledged it, through crashes of anybody. It may come again, and it may overtake others. A message published
/// twice under one id is delivered as one.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Accepts messages durably, all or none.
    async fn publish(&self, messages: &[Envelope]) -> Result<(), BusError>;

    /// Makes a durable consumer of these subjects, or changes its subjects. A new consumer also gets the messages
    /// that the bus still keeps.
    async fn subscribe(&self, consumer: &'static str, subjects: &[&'static str]) -> Result<(), BusError>;

    /// Leases up to `max` messages to a consumer. Waits for the first at most about a second; may return none.
    async fn receive(&self, consumer: &'static str, max: usize) -> Result<Vec<Delivery>, BusError>;

    /// The messages are dealt with.
    async fn ack(&self, consumer: &'static str, deliveries: &[Delivery]) -> Result<(), BusError>;

    /// The message shall come again, not before `after`.
    async fn retry(&self, consumer: &'static str, delivery: &Delivery, after: Duration) -> Result<(), BusError>;

    /// The message goes to the dead-letter store.
    async fn give_up(&self, consumer: &'static str, delivery: &Delivery, reason: &str) -> Result<(), BusError>;

    /// Dead letters, latest first, from those after `cursor` on.
    async fn dead_letters(&self, cursor: Option<Uuid>, limit: u64) -> Result<Vec<DeadLetter>, BusError>;

    /// Hands a dead letter to its consumer again, as a first attempt. `false` when there is no such dead letter.
    async fn revive(&self, dead_letter: Uuid) -> Result<bool, BusError>;

    /// Messages accepted and not yet acknowledged, over all consumers.
    async fn backlog(&self) -> Result<u64, BusError>;

    /// Forgets messages that everybody has dealt with and that were published before `before`.
    async fn prune(&self, before: Timestamp) -> Result<u64, BusError>;
}
