use async_trait::async_trait;
use bookworm_db::{Db, DbError, FromRow, Sql, values};
use bookworm_kernel::{Clock, MessageId, Timestamp};
use std::sync::Arc;
use uuid::Uuid;

use crate::{Bus, BusError, Delivery, Envelope, db_bus};

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

/// Messages that were given up, until somebody revives them.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Adds a message that `consumer` gave up, once for each consumer and message.
    async fn add(&self, consumer: &str, delivery: &Delivery, reason: &str) -> Result<(), BusError>;

    /// Latest first, from those after `cursor` on.
    async fn list(&self, cursor: Option<Uuid>, limit: u64) -> Result<Vec<DeadLetter>, BusError>;

    /// How many there are.
    async fn count(&self) -> Result<u64, BusError>;

    /// The one with this id.
    async fn find(&self, id: Uuid) -> Result<Option<DeadLetter>, BusError>;

    /// Removes one. `false` when it was not there.
    async fn remove(&self, id: Uuid) -> Result<bool, BusError>;
}

/// Hands a dead letter to its consumer again, as a first attempt. `false` when there is no such dead letter.
///
/// A crash in between leaves the dead letter where it is; reviving it again repeats the message, which the inbox knows.
///
/// # Errors
/// When the bus or the dead letters do not answer.
pub async fn revive(bus: &dyn Bus, dead_letter: Uuid) -> Result<bool, BusError> {
    let Some(letter) = bus.dead_letters().find(dead_letter).await? else { return Ok(false) };
    bus.redeliver(&letter.consumer, &letter.envelope).await?;
    bus.dead_letters().remove(dead_letter).await
}

/// Dead letters in a database, whatever the bus is.
#[derive(Debug, Clone)]
pub struct DbDeadLetters {
    db: Db,
    clock: Arc<dyn Clock>,
}

impl DbDeadLetters {
    /// In this database: that of the embedded bus, also when the bus is another. So they are where they were when a shop
    /// moves from one bus to another.
    ///
    /// # Errors
    /// When the database cannot be migrated.
    pub async fn open(db: Db, clock: Arc<dyn Clock>) -> Result<Self, DbError> {
        db_bus::migrate(&db, clock.now()).await?;
        Ok(Self { db, clock })
    }
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    consumer: String,
    message_id: Uuid,
    reason: String,
    attempts: i64,
    envelope: String,
    at: i64,
}

impl Row {
    fn letter(self) -> Result<DeadLetter, BusError> {
        Ok(DeadLetter {
            id: self.id,
            message_id: MessageId::from_uuid(self.message_id),
            consumer: self.consumer,
            reason: self.reason,
            attempts: u32::try_from(self.attempts).unwrap_or(u32::MAX),
            envelope: db_bus::parse(&self.envelope)?,
            at: Timestamp::from_micros(self.at),
        })
    }
}

const COLUMNS: &str = "id, consumer, message_id, reason, attempts, envelope, at";

#[async_trait]
impl DeadLetters for DbDeadLetters {
    async fn add(&self, consumer: &str, delivery: &Delivery, reason: &str) -> Result<(), BusError> {
        let envelope = db_bus::write(&delivery.envelope)?;
        let (consumer, reason, now) = (consumer.to_owned(), reason.to_owned(), self.clock.now().micros());
        let (message, attempts) = (delivery.envelope.id.uuid(), i64::from(delivery.attempt));
        self.db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    // Two who give up the same message at once must not both find that it is not there.
                    db_bus::lock_subscriptions(tx, true).await?;
                    let there: Option<i64> = tx
                        .scalar(
                            "SELECT COUNT(*) FROM bus_dead_letters WHERE consumer = $1 AND message_id = $2",
                            values![consumer.as_str(), message],
                        )
                        .await?;
                    if there.is_some_and(|there| there > 0) {
                        return Ok(());
                    }
                    // `seq` retains the message on the bus, and lets the release before this one revive it.
                    tx.exec(
                        "INSERT INTO bus_dead_letters (id, consumer, seq, message_id, reason, attempts, envelope, at) \
                         VALUES ($1, $2, COALESCE((SELECT seq FROM bus_messages WHERE id = $3), 0), $3, $4, $5, $6, $7)",
                        values![Uuid::now_v7(), consumer, message, reason, attempts, envelope, now],
                    )
                    .await?;
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }

    async fn list(&self, cursor: Option<Uuid>, limit: u64) -> Result<Vec<DeadLetter>, BusError> {
        // Version 7 ids sort by time, so the id alone is the cursor.
        let before = cursor.unwrap_or(Uuid::max());
        let query = format!("SELECT {COLUMNS} FROM bus_dead_letters WHERE id < $1 ORDER BY id DESC LIMIT $2");
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows: Vec<Row> = self.db.read().all(&query, values![before, limit]).await?;
        rows.into_iter().map(Row::letter).collect()
    }

    async fn count(&self) -> Result<u64, BusError> {
        let count: Option<i64> = self.db.read().scalar("SELECT COUNT(*) FROM bus_dead_letters", []).await?;
        Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
    }

    async fn find(&self, id: Uuid) -> Result<Option<DeadLetter>, BusError> {
        let query = format!("SELECT {COLUMNS} FROM bus_dead_letters WHERE id = $1");
        let rows: Vec<Row> = self.db.read().all(&query, values![id]).await?;
        rows.into_iter().next().map(Row::letter).transpose()
    }

    async fn remove(&self, id: Uuid) -> Result<bool, BusError> {
        let removed = self
            .db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move { tx.exec("DELETE FROM bus_dead_letters WHERE id = $1", values![id]).await })
            })
            .await?;
        Ok(removed == 1)
    }
}
