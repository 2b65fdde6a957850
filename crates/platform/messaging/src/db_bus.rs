use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bookworm_db::{Db, DbBackend, DbError, FromRow, Migration, Sql, Tx, Value, values};
use bookworm_kernel::{Clock, MessageId, Timestamp};
use futures::FutureExt;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{Bus, BusError, DeadLetter, Delivery, Envelope};

/// How often to look for messages of other processes and for those whose time has come.
const POLL: Duration = Duration::from_millis(500);

const MIGRATIONS: &[Migration] = &[Migration {
    name: "bus/0001_bus",
    sql: "CREATE TABLE bus_messages (
            seq {serial},
            id UUID NOT NULL UNIQUE,
            subject TEXT NOT NULL,
            envelope TEXT NOT NULL,
            published_at BIGINT NOT NULL
          );
          CREATE INDEX bus_messages_published ON bus_messages (published_at);
          CREATE TABLE bus_subscriptions (
            subject TEXT NOT NULL,
            consumer TEXT NOT NULL,
            PRIMARY KEY (subject, consumer)
          );
          CREATE TABLE bus_deliveries (
            consumer TEXT NOT NULL,
            seq BIGINT NOT NULL,
            attempts BIGINT NOT NULL,
            due_at BIGINT NOT NULL,
            PRIMARY KEY (consumer, seq)
          );
          CREATE INDEX bus_deliveries_due ON bus_deliveries (consumer, due_at);
          CREATE INDEX bus_deliveries_seq ON bus_deliveries (seq);
          CREATE TABLE bus_dead_letters (
            id UUID NOT NULL PRIMARY KEY,
            consumer TEXT NOT NULL,
            seq BIGINT NOT NULL,
            message_id UUID NOT NULL,
            reason TEXT NOT NULL,
            attempts BIGINT NOT NULL,
            envelope TEXT NOT NULL,
            at BIGINT NOT NULL
          );",
}];

/// The embedded bus: durable queues in a database of its own.
///
/// Publishing writes the message once and a row for each consumer that wants it. A consumer leases rows by moving
/// their due time into the future, and deletes a row to acknowledge it; a row whose lease ends is simply due again, so
/// recovery after a crash needs no code of its own.
#[derive(Debug)]
pub struct DbBus {
    db: Db,
    clock: Arc<dyn Clock>,
    lease: Duration,
    local: Mutex<Local>,
}

/// Who in this process wants what: only to wake them without delay.
#[derive(Debug, Default)]
struct Local {
    subscribers: HashMap<&'static str, Vec<Arc<Notify>>>,
    consumers: HashMap<&'static str, Arc<Notify>>,
}

#[derive(FromRow)]
struct Claimed {
    seq: i64,
    attempts: i64,
    envelope: String,
}

#[derive(FromRow)]
struct Seq {
    seq: i64,
}

#[derive(FromRow)]
struct Dead {
    id: Uuid,
    consumer: String,
    message_id: Uuid,
    reason: String,
    attempts: i64,
    envelope: String,
    at: i64,
}

impl From<DbError> for BusError {
    fn from(error: DbError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

impl DbBus {
    /// A bus in this database.
    ///
    /// `lease` is how long a consumer may work on a message before it counts as lost.
    ///
    /// # Errors
    /// When the database cannot be migrated.
    pub async fn open(db: Db, clock: Arc<dyn Clock>, lease: Duration) -> Result<Self, DbError> {
        db.migrate(MIGRATIONS, clock.now()).await?;
        Ok(Self { db, clock, lease, local: Mutex::default() })
    }

    fn local(&self) -> std::sync::MutexGuard<'_, Local> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wakers(&self, subject: &str) -> Vec<Arc<Notify>> {
        self.local().subscribers.get(subject).cloned().unwrap_or_default()
    }

    /// Whether a consumer has anything to do: most looks find nothing and should not take the writer.
    async fn is_due(&self, consumer: &'static str) -> Result<bool, DbError> {
        let due: Option<i64> = self
            .db
            .read()
            .scalar(
                "SELECT seq FROM bus_deliveries WHERE consumer = $1 AND due_at <= $2 LIMIT 1",
                values![consumer, self.clock.now().micros()],
            )
            .await?;
        Ok(due.is_some())
    }

    async fn claim(&self, consumer: &'static str, max: usize) -> Result<Vec<Delivery>, DbError> {
        let now = self.clock.now();
        let due = "SELECT seq FROM bus_deliveries WHERE consumer = $1 AND due_at <= $2 ORDER BY due_at, seq LIMIT $3";
        let until = now.plus(self.lease);
        let mut claimed: Vec<Claimed> = self
            .db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    let lock = tx.for_update_skip_locked();
                    let claim = format!(
                        "UPDATE bus_deliveries SET attempts = attempts + 1, due_at = $4 \
                         WHERE consumer = $1 AND seq IN ({due}{lock}) RETURNING seq, attempts, \
                         (SELECT m.envelope FROM bus_messages m WHERE m.seq = bus_deliveries.seq) AS envelope"
                    );
                    tx.all(&claim, values![consumer, now.micros(), max as i64, until.micros()]).await
                })
            })
            .await?;
        claimed.sort_by_key(|row| row.seq);
        claimed
            .into_iter()
            .map(|row| {
                Ok(Delivery {
                    envelope: parse(&row.envelope)?,
                    attempt: u32::try_from(row.attempts).unwrap_or(u32::MAX),
                    tag: row.seq,
                })
            })
            .collect()
    }
}

/// Rows read at once.
const CHUNK: i64 = 1000;

#[derive(FromRow)]
struct Undelivered {
    seq: i64,
    envelope: String,
}

/// Shows every message on the bus in this database that some consumer has not dealt with. Given-up messages are not
/// among them. For tools: it reads all of them, also beside a running bus.
///
/// # Errors
/// When the database fails.
pub async fn undelivered(db: &Db, mut visit: impl FnMut(Envelope)) -> Result<(), DbError> {
    let mut after = i64::MIN;
    loop {
        let rows: Vec<Undelivered> = db
            .read()
            .all(
                "SELECT seq, envelope FROM bus_messages m WHERE seq > $1 \
                 AND EXISTS (SELECT 1 FROM bus_deliveries d WHERE d.seq = m.seq) ORDER BY seq LIMIT $2",
                values![after, CHUNK],
            )
            .await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.seq;
        for row in &rows {
            visit(parse(&row.envelope)?);
        }
    }
}

fn parse(envelope: &str) -> Result<Envelope, DbError> {
    serde_json::from_str(envelope).map_err(|error| DbError::Corrupt(format!("an envelope on the bus: {error}")))
}

/// Keeps a subscription from slipping between the two steps of a publication on PostgreSQL, where units of work run
/// side by side: else the publisher would not see the new consumer, nor the new consumer the message. Publishers do
/// not wait for each other. The lock ends with the transaction.
async fn keep_apart(tx: &Tx, subscribing: bool) -> Result<(), DbError> {
    if tx.backend() == DbBackend::Postgres {
        let shared = if subscribing { "" } else { "_shared" };
        tx.batch(&format!("SELECT pg_advisory_xact_lock{shared}(hashtext(current_schema() || '.bus'))")).await?;
    }
    Ok(())
}

async fn settle(tx: &Tx, consumer: &str, delivery: &Delivery) -> Result<u64, DbError> {
    tx.exec("DELETE FROM bus_deliveries WHERE consumer = $1 AND seq = $2", values![consumer, delivery.tag]).await
}

#[async_trait]
impl Bus for DbBus {
    async fn publish(&self, messages: &[Envelope]) -> Result<(), BusError> {
        let now = self.clock.now().micros();
        let mut wakers: Vec<Arc<Notify>> = Vec::new();
        let (mut rows, mut bound): (Vec<String>, Vec<Value>) = (Vec::new(), Vec::new());
        for message in messages {
            wakers.extend(self.wakers(&message.subject));
            let text = serde_json::to_string(message).map_err(|error| DbError::Corrupt(error.to_string()))?;
            rows.push(format!("({})", bookworm_db::in_list(bound.len() + 1, 4)));
            bound.extend(values![message.id.uuid(), message.subject.as_str(), text, now]);
        }
        if rows.is_empty() {
            return Ok(());
        }
        let insert = format!(
            "INSERT INTO bus_messages (id, subject, envelope, published_at) VALUES {} \
             ON CONFLICT (id) DO NOTHING RETURNING seq",
            rows.join(", ")
        );
        self.db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    keep_apart(tx, false).await?;
                    let new: Vec<Seq> = tx.all(&insert, bound).await?;
                    if !new.is_empty() {
                        let seqs = bookworm_db::in_list(2, new.len());
                        let mut bound = vec![now.into()];
                        bound.extend(new.iter().map(|row| row.seq.into()));
                        tx.exec(
                            &format!(
                                "INSERT INTO bus_deliveries (consumer, seq, attempts, due_at) \
                                 SELECT s.consumer, m.seq, 0, $1 FROM bus_messages m \
                                 JOIN bus_subscriptions s ON s.subject = m.subject WHERE m.seq IN ({seqs})"
                            ),
                            bound,
                        )
                        .await?;
                    }
                    tx.after_commit(move || wakers.iter().for_each(|waker| waker.notify_one()));
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }

    async fn subscribe(&self, consumer: &'static str, subjects: &[&'static str]) -> Result<(), BusError> {
        {
            let mut local = self.local();
            let notify = local.consumers.entry(consumer).or_default().clone();
            for subject in subjects {
                local.subscribers.entry(subject).or_default().push(notify.clone());
            }
        }
        let (wanted, now) = (subjects.to_vec(), self.clock.now().micros());
        self.db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    keep_apart(tx, true).await?;
                    let keep = bookworm_db::in_list(2, wanted.len());
                    let mut old = vec![consumer.into()];
                    old.extend(wanted.iter().map(|subject| (*subject).into()));
                    tx.exec(&format!("DELETE FROM bus_subscriptions WHERE consumer = $1 AND subject NOT IN ({keep})"), old)
                        .await?;
                    for subject in wanted {
                        let new = tx
                            .exec(
                                "INSERT INTO bus_subscriptions (subject, consumer) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                                values![subject, consumer],
                            )
                            .await?;
                        if new == 1 {
                            tx.exec(
                                "INSERT INTO bus_deliveries (consumer, seq, attempts, due_at) \
                                 SELECT $1, seq, 0, $2 FROM bus_messages WHERE subject = $3 ON CONFLICT DO NOTHING",
                                values![consumer, now, subject],
                            )
                            .await?;
                        }
                    }
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }

    async fn receive(&self, consumer: &'static str, max: usize) -> Result<Vec<Delivery>, BusError> {
        let notify = self.local().consumers.entry(consumer).or_default().clone();
        // A permit that waits already says that there is something.
        let called = notify.notified().now_or_never().is_some();
        if !called && !self.is_due(consumer).await? {
            // Notify keeps a permit, so what was published since the look above is not slept through.
            let woken = tokio::time::timeout(POLL, notify.notified()).await.is_ok();
            if !woken && !self.is_due(consumer).await? {
                return Ok(Vec::new());
            }
        }
        Ok(self.claim(consumer, max).await?)
    }

    async fn ack(&self, consumer: &'static str, deliveries: &[Delivery]) -> Result<(), BusError> {
        if deliveries.is_empty() {
            return Ok(());
        }
        let delete = format!(
            "DELETE FROM bus_deliveries WHERE consumer = $1 AND seq IN ({})",
            bookworm_db::in_list(2, deliveries.len())
        );
        let mut bound = vec![consumer.into()];
        bound.extend(deliveries.iter().map(|delivery| delivery.tag.into()));
        self.db.transact::<_, DbError, _>(move |tx| Box::pin(async move { tx.exec(&delete, bound).await })).await?;
        Ok(())
    }

    async fn retry(&self, consumer: &'static str, delivery: &Delivery, after: Duration) -> Result<(), BusError> {
        let (seq, due) = (delivery.tag, self.clock.now().plus(after).micros());
        self.db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    tx.exec(
                        "UPDATE bus_deliveries SET due_at = $1 WHERE consumer = $2 AND seq = $3",
                        values![due, consumer, seq],
                    )
                    .await
                })
            })
            .await?;
        Ok(())
    }

    async fn give_up(&self, consumer: &'static str, delivery: &Delivery, reason: &str) -> Result<(), BusError> {
        let envelope =
            serde_json::to_string(&delivery.envelope).map_err(|error| DbError::Corrupt(error.to_string()))?;
        let (delivery, reason, now) = (delivery.clone(), reason.to_owned(), self.clock.now().micros());
        self.db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    if settle(tx, consumer, &delivery).await? == 1 {
                        tx.exec(
                            "INSERT INTO bus_dead_letters (id, consumer, seq, message_id, reason, attempts, envelope, at) \
                             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                            values![
                                Uuid::now_v7(),
                                consumer,
                                delivery.tag,
                                delivery.envelope.id.uuid(),
                                reason,
                                i64::from(delivery.attempt),
                                envelope,
                                now
                            ],
                        )
                        .await?;
                    }
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }

    async fn dead_letters(&self, cursor: Option<Uuid>, limit: u64) -> Result<Vec<DeadLetter>, BusError> {
        // Version 7 ids sort by time, so the id alone is the cursor.
        let before = cursor.unwrap_or(Uuid::max());
        let rows: Vec<Dead> = self
            .db
            .read()
            .all(
                "SELECT id, consumer, message_id, reason, attempts, envelope, at FROM bus_dead_letters \
                 WHERE id < $1 ORDER BY id DESC LIMIT $2",
                values![before, i64::try_from(limit).unwrap_or(i64::MAX)],
            )
            .await?;
        rows.into_iter()
            .map(|row| {
                Ok(DeadLetter {
                    id: row.id,
                    message_id: MessageId::from_uuid(row.message_id),
                    consumer: row.consumer,
                    reason: row.reason,
                    attempts: u32::try_from(row.attempts).unwrap_or(u32::MAX),
                    envelope: parse(&row.envelope)?,
                    at: Timestamp::from_micros(row.at),
                })
            })
            .collect()
    }

    async fn revive(&self, dead_letter: Uuid) -> Result<bool, BusError> {
        let now = self.clock.now().micros();
        let revived = self
            .db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    // A consumer that left and came back has been handed the message already.
                    tx.exec(
                        "INSERT INTO bus_deliveries (consumer, seq, attempts, due_at) \
                         SELECT consumer, seq, 0, $1 FROM bus_dead_letters WHERE id = $2 ON CONFLICT DO NOTHING",
                        values![now, dead_letter],
                    )
                    .await?;
                    Ok(tx.exec("DELETE FROM bus_dead_letters WHERE id = $1", values![dead_letter]).await? == 1)
                })
            })
            .await?;
        if revived {
            self.local().consumers.values().for_each(|consumer| consumer.notify_one());
        }
        Ok(revived)
    }

    async fn backlog(&self) -> Result<u64, BusError> {
        let waiting: Option<i64> = self.db.read().scalar("SELECT COUNT(*) FROM bus_deliveries", []).await?;
        Ok(waiting.and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, BusError> {
        let pruned = self
            .db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    tx.exec(
                        "DELETE FROM bus_messages WHERE published_at < $1 \
                         AND NOT EXISTS (SELECT 1 FROM bus_deliveries d WHERE d.seq = bus_messages.seq) \
                         AND NOT EXISTS (SELECT 1 FROM bus_dead_letters d WHERE d.seq = bus_messages.seq)",
                        values![before.micros()],
                    )
                    .await
                })
            })
            .await?;
        Ok(pruned)
    }
}
