use std::{sync::Arc, time::Duration};

use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, pull};
use async_trait::async_trait;
use bookworm_messaging::{BusError, Envelope, Follower};
use futures::StreamExt;
use tokio::time::Instant;
use uuid::Uuid;

use crate::bus::{Shared, unavailable};

/// How long the server waits for the first message.
const WAIT: Duration = Duration::from_secs(1);
/// How much longer we wait for the server.
const GRACE: Duration = Duration::from_secs(2);
/// The most messages of one request.
const MAX_BATCH: usize = 256;
/// After this time without a request the server forgets the consumer.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// Reads the stream from a number on with a consumer in the server's memory. The number is here: when the server
/// forgets the consumer, another goes on from where it was.
pub(crate) struct NatsFollower {
    bus: Arc<Shared>,
    name: String,
    filter: Vec<String>,
    /// The number of the last message seen.
    cursor: u64,
    consumer: Option<Reading>,
}

struct Reading {
    consumer: Consumer<pull::Config>,
    /// What the consumer has delivered so far, by its own count.
    delivered: u64,
}

impl NatsFollower {
    pub fn new(bus: Arc<Shared>, durable: &str, filter: Vec<String>, cursor: u64) -> Self {
        Self { bus, name: durable.to_owned(), filter, cursor, consumer: None }
    }

    /// Makes a consumer that goes on after the cursor.
    async fn begin(&mut self) -> Result<Reading, BusError> {
        let state = self.bus.stream.get_info().await.map_err(unavailable)?.state;
        // Purged in the meantime, or another stream altogether.
        if state.first_sequence > self.cursor + 1 || state.last_sequence < self.cursor {
            self.cursor = state.last_sequence;
            return Err(BusError::Missed);
        }
        let config = pull::Config {
            name: Some(format!("{}-{}", self.name, Uuid::now_v7().simple())),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.cursor + 1 },
            ack_policy: AckPolicy::None,
            filter_subjects: self.filter.clone(),
            inactive_threshold: FORGOTTEN_AFTER,
            memory_storage: true,
            num_replicas: 1,
            ..pull::Config::default()
        };
        let consumer = self.bus.stream.create_consumer(config).await.map_err(unavailable)?;
        Ok(Reading { consumer, delivered: 0 })
    }

    async fn fetch(&mut self, max: usize) -> Result<Vec<Envelope>, BusError> {
        self.bus.nats.connected().map_err(unavailable)?;
        let mut reading = match self.consumer.take() {
            Some(reading) => reading,
            None => self.begin().await?,
        };
        let fetching = reading.consumer.fetch().max_messages(max.clamp(1, MAX_BATCH)).expires(WAIT).messages();
        let mut batch = fetching.await.map_err(unavailable)?;
        let until = Instant::now() + WAIT + GRACE;
        let mut envelopes = Vec::new();
        loop {
            let message = match tokio::time::timeout_at(until, batch.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(None) => break,
                // With what came before; the next call makes another consumer.
                Ok(Some(Err(_))) if !envelopes.is_empty() => return Ok(envelopes),
                Ok(Some(Err(error))) => return Err(unavailable(error)),
                Err(_) => {
                    self.bus.nats.connected().map_err(unavailable)?;
                    return Ok(envelopes);
                }
            };
            let info = message.info().map_err(unavailable)?;
            // One got lost on the way: another consumer begins where this one was still whole.
            if info.consumer_sequence != reading.delivered + 1 {
                return Ok(envelopes);
            }
            (reading.delivered, self.cursor) = (info.consumer_sequence, info.stream_sequence);
            match serde_json::from_slice(&message.payload) {
                Ok(envelope) => envelopes.push(envelope),
                Err(error) => tracing::error!(
                    consumer = &*self.name,
                    sequence = self.cursor,
                    error = &error as &dyn std::error::Error,
                    "what is on the bus is no message of ours"
                ),
            }
        }
        self.consumer = Some(reading);
        Ok(envelopes)
    }
}

#[async_trait]
impl Follower for NatsFollower {
    async fn receive(&mut self, max: usize) -> Result<Vec<Envelope>, BusError> {
        self.fetch(max).await
    }
}
