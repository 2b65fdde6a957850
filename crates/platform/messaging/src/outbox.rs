use std::{error::Error, sync::Arc, time::Duration};

use async_trait::async_trait;
use bookworm_db::{Backend, Db, DbError, FromRow, Migration, Sql, Tx, Value, in_list, values};
use bookworm_kernel::{Cause, Clock, MessageId};
use bookworm_trace::{KeyValue, Kind, Span};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{Envelope, Message, PublishError, SharedBus, envelope::describe, outages};

/// How many messages are published together.
const BATCH: usize = 256;
/// How often to look without having been woken: finds what a process that died left behind.
const POLL: Duration = Duration::from_secs(1);
/// The pause after a batch: under load the next batch then carries the messages of many units of work. The first
/// message after a quiet time never waits.
const GATHER: Duration = Duration::from_millis(2);
/// The longest pause while the bus does not answer.
const MAX_PAUSE: Duration = Duration::from_secs(10);

pub(crate) const MIGRATION: Migration = Migration::new(
    "messaging/0001_outbox",
    "CREATE TABLE outbox (
            seq {serial},
            id UUID NOT NULL UNIQUE,
            envelope TEXT NOT NULL
          );",
);

/// Where a unit of work leaves its messages: in the same database, in the same transaction. A [`relay`] carries them
/// to the bus. So a message is published if, and only if, the change that it describes was committed.
#[derive(Clone, Debug)]
pub struct Outbox {
    wake: Arc<Notify>,
    clock: Arc<dyn Clock>,
}

impl Outbox {
    /// One for each service's database.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { wake: Arc::default(), clock }
    }

    /// Puts a message into this unit of work. Returns its id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put<M: Message>(&self, tx: &Tx, cause: &Cause, message: &M) -> Result<MessageId, DbError> {
        let envelope = Envelope::new(message, cause, self.clock.now())
            .map_err(|error| DbError::Corrupt(format!("{} cannot be written as JSON: {error}", M::SUBJECT)))?;
        let text = to_json(&envelope)?;
        tx.exec("INSERT INTO outbox (id, envelope) VALUES ($1, $2)", values![envelope.id.uuid(), text]).await?;
        let wake = self.wake.clone();
        tx.after_commit(move || wake.notify_one());
        Ok(envelope.id)
    }

    /// What a [`relay`] reads: the messages in this database.
    #[must_use]
    pub fn source(&self, db: &Db) -> Arc<dyn OutboxSource> {
        Arc::new(DbOutbox { db: db.clone(), wake: self.wake.clone() })
    }
}

/// Where a store's messages wait for a [`relay`], whatever the store is.
#[async_trait]
pub trait OutboxSource: Send + Sync {
    /// The store's name.
    fn name(&self) -> &str;

    /// Up to `max` messages that are not published yet, oldest first as far as the store knows.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn waiting(&self, max: usize) -> Result<Vec<Envelope>, SourceError>;

    /// Removes messages, which are published.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn remove(&self, published: &[MessageId]) -> Result<(), SourceError>;

    /// Publishes up to `max` messages that no other relay has at this moment, and removes those that the bus accepted.
    ///
    /// This one does not know of other relays: two of them publish everything twice, and the bus drops the repeats. A
    /// store that processes share can do better.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn carry(&self, max: usize, bus: &SharedBus) -> Result<Carried, SourceError> {
        let carried = publish(bus, &self.waiting(max).await?).await;
        self.remove(&carried.published).await?;
        Ok(carried)
    }

    /// Waits until this process puts a message; one that was put since the last call counts too.
    async fn woken(&self);
}

/// What became of some messages.
#[derive(Debug, Default)]
pub struct Carried {
    /// Those that are on the bus.
    pub published: Vec<MessageId>,
    /// Why the others are not.
    pub failure: Option<PublishError>,
}

async fn publish(bus: &SharedBus, envelopes: &[Envelope]) -> Carried {
    if envelopes.is_empty() {
        return Carried::default();
    }
    // One step for all, a trace of its own: it is linked to each message's.
    let mut step = Span::linked(Kind::Client, None, envelopes.iter().map(|envelope| envelope.traceparent), || {
        let count = i64::try_from(envelopes.len()).unwrap_or(i64::MAX);
        describe("send", "bus", vec![KeyValue::new("messaging.batch.message_count", count)])
    });
    let published = bus.publish(envelopes).await;
    if published.is_err() {
        step.fail("unavailable");
    }
    match published {
        Ok(()) => Carried { published: envelopes.iter().map(|envelope| envelope.id).collect(), failure: None },
        // One message that the bus does not take does not stop the others.
        Err(error) => Carried { published: error.accepted.clone(), failure: Some(error) },
    }
}

/// The store's error.
type SourceError = Box<dyn Error + Send + Sync>;

/// The outbox of a database that has [`MIGRATIONS`](crate::MIGRATIONS).
struct DbOutbox {
    db: Db,
    wake: Arc<Notify>,
}

#[async_trait]
impl OutboxSource for DbOutbox {
    fn name(&self) -> &str {
        self.db.name()
    }

    async fn waiting(&self, max: usize) -> Result<Vec<Envelope>, SourceError> {
        let rows: Vec<Row> = self.db.read().all(WAITING, values![limit(max)]).await?;
        Ok(read(&rows)?)
    }

    async fn remove(&self, published: &[MessageId]) -> Result<(), SourceError> {
        let ids: Vec<MessageId> = published.to_vec();
        self.db.transact::<_, DbError, _>(move |tx| Box::pin(async move { delete(tx, &ids).await })).await?;
        Ok(())
    }

    async fn carry(&self, max: usize, bus: &SharedBus) -> Result<Carried, SourceError> {
        // SQLite has one process, and its one writer must not wait for a bus.
        if self.db.backend() == Backend::Sqlite {
            let carried = publish(bus, &self.waiting(max).await?).await;
            if !carried.published.is_empty() {
                self.remove(&carried.published).await?;
            }
            return Ok(carried);
        }
        // Most looks find nothing.
        if self.waiting(1).await?.is_empty() {
            return Ok(Carried::default());
        }
        // The rows are locked while they travel, so that the relays of other processes take others. When this process
        // dies, its connection goes and the locks with it. A bus answers in less than a unit of work may take.
        let bus = bus.clone();
        let carried = self
            .db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    let claim = format!("{WAITING}{}", tx.for_update_skip_locked());
                    let rows: Vec<Row> = tx.all(&claim, values![limit(max)]).await?;
                    let carried = publish(&bus, &read(&rows)?).await;
                    delete(tx, &carried.published).await?;
                    Ok(carried)
                })
            })
            .await?;
        Ok(carried)
    }

    async fn woken(&self) {
        self.wake.notified().await;
    }
}

const WAITING: &str = "SELECT envelope FROM outbox ORDER BY seq LIMIT $1";

fn limit(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}

fn read(rows: &[Row]) -> Result<Vec<Envelope>, DbError> {
    rows.iter()
        .map(|row| serde_json::from_str(&row.envelope).map_err(|error| DbError::Corrupt(error.to_string())))
        .collect()
}

async fn delete(tx: &Tx, published: &[MessageId]) -> Result<(), DbError> {
    if published.is_empty() {
        return Ok(());
    }
    let ids: Vec<Value> = published.iter().map(|id| Value::from(id.uuid())).collect();
    tx.exec(&format!("DELETE FROM outbox WHERE id IN ({})", in_list(1, ids.len())), ids).await.map(drop)
}

fn to_json(envelope: &Envelope) -> Result<String, DbError> {
    serde_json::to_string(envelope).map_err(|error| DbError::Corrupt(error.to_string()))
}

#[derive(FromRow)]
struct Row {
    envelope: String,
}

/// Carries messages from the outbox to the bus until `shutdown`, and what is there at that moment once more.
///
/// A crash between the bus's receipt and the deletion sends a message again: the bus drops it by its id. Several
/// relays on one outbox share its messages on PostgreSQL, and are harmless elsewhere for the same reason.
pub async fn relay(outbox: Arc<dyn OutboxSource>, bus: SharedBus, clock: Arc<dyn Clock>, shutdown: CancellationToken) {
    let mut pause = Duration::from_millis(100);
    let oldest = metrics::gauge!("outbox_oldest_seconds", "service" => outbox.name().to_owned());
    loop {
        let carried = carry(&*outbox, &bus).await;
        // All that was there is on the bus, or this is what waits longest.
        let waiting = match &carried {
            Ok(carried) if *carried < BATCH => None,
            _ => outbox.waiting(1).await.ok().and_then(|waiting| Some(waiting.first()?.time)),
        };
        if carried.is_ok() || waiting.is_some() {
            oldest.set(waiting.map_or(0.0, |since| clock.now().since(since).as_secs_f64()));
        }
        match carried {
            // Fewer than a batch: that was all, and whoever puts more wakes us.
            Ok(carried) if carried < BATCH && !(carried > 0 && shutdown.is_cancelled()) => {
                if carried > 0 {
                    outages::SHUT.passed();
                }
                pause = Duration::from_millis(100);
                if shutdown.is_cancelled() {
                    return;
                }
                if carried > 0 {
                    tokio::time::sleep(GATHER).await;
                }
                tokio::select! {
                    () = outbox.woken() => {}
                    () = tokio::time::sleep(POLL) => {}
                    () = shutdown.cancelled() => {}
                }
            }
            Ok(_) => pause = Duration::from_millis(100),
            Err(error) => {
                outages::SHUT.met(outbox.name(), &*error);
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = shutdown.cancelled() => return,
                }
                pause = (pause * 2).min(MAX_PAUSE);
            }
        }
    }
}

/// Shows every message that waits in a service's outbox. For tools.
///
/// # Errors
/// When the database fails.
pub async fn waiting(db: &Db, mut visit: impl FnMut(Envelope)) -> Result<(), DbError> {
    let rows: Vec<Row> = db.read().all("SELECT envelope FROM outbox ORDER BY seq", []).await?;
    for row in rows {
        visit(serde_json::from_str(&row.envelope).map_err(|error| DbError::Corrupt(error.to_string()))?);
    }
    Ok(())
}

async fn carry(outbox: &dyn OutboxSource, bus: &SharedBus) -> Result<usize, SourceError> {
    let Carried { published, failure } = outbox.carry(BATCH, bus).await?;
    metrics::counter!("outbox_published_total", "service" => outbox.name().to_owned())
        .increment(published.len() as u64);
    failure.map_or(Ok(published.len()), |error| Err(error.into()))
}
