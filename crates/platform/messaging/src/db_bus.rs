use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use async_trait::async_trait;
use bookworm_db::{Backend, Db, DbError, FromRow, Migration, Sql, Tx, Value, in_list, values};
use bookworm_kernel::{Clock, Timestamp};
use futures::FutureExt;
use tokio::sync::Notify;

use crate::{
    Bus, BusError, DeadLetters, Delivery, Envelope, Follower, PublishError, Subscriber, Tag,
    dead_letters::DbDeadLetters,
};

/// How often to look for messages of other processes and for those whose time has come.
const POLL: Duration = Duration::from_millis(500);

/// For how long a follower may be silent and still know that it has missed nothing: nobody prunes what is younger.
const REMEMBERED: Duration = Duration::from_secs(3600);

const MIGRATIONS: &[Migration] = &[Migration::new(
    "bus/0001_bus",
    "CREATE TABLE bus_messages (
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
)];

pub(crate) async fn migrate(db: &Db, now: Timestamp) -> Result<(), DbError> {
    db.migrate(MIGRATIONS, now).await
}

/// The embedded bus: durable queues in a database of its own.
///
/// Publishing writes the message once and a row for each consumer that wants it. A consumer leases rows by moving
/// their due time into the future, and deletes a row to acknowledge it; a row whose lease ends is simply due again, so
/// recovery after a crash needs no code of its own. Followers read the messages themselves and write nothing.
#[derive(Debug, Clone)]
pub struct DbBus(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    db: Db,
    clock: Arc<dyn Clock>,
    lease: Duration,
    dead_letters: DbDeadLetters,
    /// Who in this process wants a subject: only to wake them without delay.
    local: Mutex<HashMap<String, Vec<Weak<Notify>>>>,
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
struct Passed {
    seq: i64,
    envelope: String,
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
        let dead_letters = DbDeadLetters::open(db.clone(), clock.clone()).await?;
        Ok(Self(Arc::new(Shared { db, clock, lease, dead_letters, local: Mutex::default() })))
    }
}

impl Shared {
    fn local(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<Weak<Notify>>>> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom to wake for these subjects. Registered before the subscription is stored, so that no message slips by.
    fn register(&self, subjects: &[&str]) -> Arc<Notify> {
        let notify = Arc::new(Notify::new());
        let mut local = self.local();
        for subject in subjects {
            let wakers = local.entry((*subject).to_owned()).or_default();
            wakers.retain(|waker| waker.strong_count() > 0);
            wakers.push(Arc::downgrade(&notify));
        }
        notify
    }

    fn wakers(&self, subject: &str) -> Vec<Weak<Notify>> {
        self.local().get(subject).cloned().unwrap_or_default()
    }

    async fn change(&self, statement: String, bound: Vec<Value>) -> Result<u64, DbError> {
        self.db.transact(move |tx| Box::pin(async move { tx.exec(&statement, bound).await })).await
    }
}

fn wake(wakers: &[Weak<Notify>]) {
    wakers.iter().filter_map(Weak::upgrade).for_each(|waker| waker.notify_one());
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

#[derive(FromRow)]
struct Due {
    consumer: String,
    seq: i64,
    envelope: String,
}

/// Hands what consumers of the embedded bus in this database have not dealt with to another bus, for a shop that moves
/// to that. Returns how many. A crash in between repeats messages, which the inbox knows.
///
/// # Errors
/// When the database or the other bus fails; what was not handed over is still here.
pub async fn hand_over(db: &Db, to: &dyn Bus) -> Result<u64, BusError> {
    let mut handed = 0;
    loop {
        let due: Vec<Due> = db
            .read()
            .all(
                "SELECT d.consumer, d.seq, m.envelope FROM bus_deliveries d JOIN bus_messages m ON m.seq = d.seq \
                 ORDER BY d.seq, d.consumer LIMIT $1",
                values![CHUNK],
            )
            .await?;
        if due.is_empty() {
            return Ok(handed);
        }
        for Due { consumer, seq, envelope } in due {
            to.redeliver(&consumer, &parse(&envelope)?).await?;
            let done = "DELETE FROM bus_deliveries WHERE consumer = $1 AND seq = $2";
            db.transact::<_, DbError, _>(move |tx| {
                Box::pin(async move { tx.exec(done, values![consumer, seq]).await })
            })
            .await?;
            handed += 1;
        }
    }
}

pub(crate) fn parse(envelope: &str) -> Result<Envelope, DbError> {
    serde_json::from_str(envelope).map_err(|error| DbError::Corrupt(format!("an envelope on the bus: {error}")))
}

pub(crate) fn write(envelope: &Envelope) -> Result<String, DbError> {
    serde_json::to_string(envelope).map_err(|error| DbError::Corrupt(error.to_string()))
}

/// Locks out a subscription that would slip in between the two steps of a publication on PostgreSQL, where units of work run
/// side by side: else the publisher would not see the new consumer, nor the new consumer the message. Publishers do
/// not wait for each other. The lock ends with the transaction.
pub(crate) async fn lock_subscriptions(tx: &Tx, subscribing: bool) -> Result<(), DbError> {
    if tx.backend() == Backend::Postgres {
        let shared = if subscribing { "" } else { "_shared" };
        tx.batch(&format!("SELECT pg_advisory_xact_lock{shared}(hashtext(current_schema() || '.bus'))")).await?;
    }
    Ok(())
}

/// Stores messages that are not there yet; returns the numbers of the new ones.
async fn insert(tx: &Tx, rows: &str, bound: Vec<Value>) -> Result<Vec<Seq>, DbError> {
    let insert = format!(
        "INSERT INTO bus_messages (id, subject, envelope, published_at) VALUES {rows} \
         ON CONFLICT (id) DO NOTHING RETURNING seq"
    );
    tx.all(&insert, bound).await
}

async fn hand_out(tx: &Tx, new: &[Seq], now: i64) -> Result<(), DbError> {
    if new.is_empty() {
        return Ok(());
    }
    let statement = format!(
        "INSERT INTO bus_deliveries (consumer, seq, attempts, due_at) \
         SELECT s.consumer, m.seq, 0, $1 FROM bus_messages m \
         JOIN bus_subscriptions s ON s.subject = m.subject WHERE m.seq IN ({})",
        in_list(2, new.len())
    );
    let bound = std::iter::once(now).chain(new.iter().map(|row| row.seq)).map(Value::from).collect::<Vec<_>>();
    tx.exec(&statement, bound).await.map(drop)
}

#[async_trait]
impl Bus for DbBus {
    /// All or none: one transaction.
    async fn publish(&self, messages: &[Envelope]) -> Result<(), PublishError> {
        let now = self.0.clock.now().micros();
        let mut wakers: Vec<Weak<Notify>> = Vec::new();
        let (mut rows, mut bound): (Vec<String>, Vec<Value>) = (Vec::new(), Vec::new());
        for message in messages {
            wakers.extend(self.0.wakers(&message.subject));
            let text = write(message).map_err(BusError::from)?;
            rows.push(format!("({})", in_list(bound.len() + 1, 4)));
            bound.extend(values![message.id.uuid(), message.subject.as_str(), text, now]);
        }
        if rows.is_empty() {
            return Ok(());
        }
        let rows = rows.join(", ");
        self.0
            .db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    lock_subscriptions(tx, false).await?;
                    let new = insert(tx, &rows, bound).await?;
                    hand_out(tx, &new, now).await?;
                    tx.after_commit(move || wake(&wakers));
                    Ok(())
                })
            })
            .await
            .map_err(BusError::from)?;
        Ok(())
    }

    async fn subscribe(&self, consumer: &str, subjects: &[&str]) -> Result<Arc<dyn Subscriber>, BusError> {
        let notify = self.0.register(subjects);
        let (name, now) = (consumer.to_owned(), self.0.clock.now().micros());
        let wanted: Vec<String> = subjects.iter().map(|subject| (*subject).to_owned()).collect();
        self.0
            .db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    lock_subscriptions(tx, true).await?;
                    for subject in wanted {
                        let new = tx
                            .exec(
                                "INSERT INTO bus_subscriptions (subject, consumer) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                                values![subject.as_str(), name.as_str()],
                            )
                            .await?;
                        if new == 1 {
                            tx.exec(
                                "INSERT INTO bus_deliveries (consumer, seq, attempts, due_at) \
                                 SELECT $1, seq, 0, $2 FROM bus_messages WHERE subject = $3 ON CONFLICT DO NOTHING",
                                values![name.as_str(), now, subject],
                            )
                            .await?;
                        }
                    }
                    Ok(())
                })
            })
            .await?;
        Ok(Arc::new(DbSubscriber { bus: self.0.clone(), consumer: consumer.into(), notify }))
    }

    async fn follow(&self, consumer: &str, subjects: &[&str]) -> Result<Box<dyn Follower>, BusError> {
        let notify = self.0.register(subjects);
        let (name, looked_at) = (consumer.to_owned(), self.0.clock.now());
        let cursor = self
            .0
            .db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    lock_subscriptions(tx, true).await?;
                    for table in ["bus_subscriptions", "bus_deliveries"] {
                        tx.exec(&format!("DELETE FROM {table} WHERE consumer = $1"), values![name.as_str()]).await?;
                    }
                    newest(tx).await
                })
            })
            .await?;
        let subjects = subjects.iter().map(|subject| (*subject).to_owned()).collect();
        Ok(Box::new(DbFollower { bus: self.0.clone(), subjects, notify, cursor, looked_at }))
    }

    async fn redeliver(&self, consumer: &str, envelope: &Envelope) -> Result<(), BusError> {
        let (consumer, id, subject) = (consumer.to_owned(), envelope.id.uuid(), envelope.subject.clone());
        let (text, now) = (write(envelope)?, self.0.clock.now().micros());
        let wakers = self.0.wakers(&subject);
        self.0
            .db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    lock_subscriptions(tx, false).await?;
                    insert(tx, "($1, $2, $3, $4)", values![id, subject, text, now].into()).await?;
                    tx.exec(
                        "INSERT INTO bus_deliveries (consumer, seq, attempts, due_at) \
                         SELECT $1, seq, 0, $2 FROM bus_messages WHERE id = $3 ON CONFLICT DO NOTHING",
                        values![consumer, now, id],
                    )
                    .await?;
                    tx.after_commit(move || wake(&wakers));
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }

    fn dead_letters(&self) -> &dyn DeadLetters {
        &self.0.dead_letters
    }

    async fn backlog(&self) -> Result<u64, BusError> {
        let waiting: Option<i64> = self.0.db.read().scalar("SELECT COUNT(*) FROM bus_deliveries", []).await?;
        Ok(waiting.and_then(|n| u64::try_from(n).ok()).unwrap_or(0))
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, BusError> {
        let settled = "DELETE FROM bus_messages WHERE published_at < $1 \
                       AND NOT EXISTS (SELECT 1 FROM bus_deliveries d WHERE d.seq = bus_messages.seq) \
                       AND NOT EXISTS (SELECT 1 FROM bus_dead_letters d WHERE d.seq = bus_messages.seq)";
        Ok(self.0.change(settled.to_owned(), values![before.micros()].into()).await?)
    }
}

/// The number of the latest message. Exact only while publishers are locked out.
async fn newest(tx: &Tx) -> Result<i64, DbError> {
    Ok(tx.scalar::<i64>("SELECT COALESCE(MAX(seq), 0) FROM bus_messages", []).await?.unwrap_or(0))
}

struct DbSubscriber {
    bus: Arc<Shared>,
    consumer: Arc<str>,
    notify: Arc<Notify>,
}

/// What a tag says: the message's number and the attempt, so that a late answer does not move a later lease.
fn tag(seq: i64, attempt: i64) -> Tag {
    Tag::new(format!("{seq}.{attempt}"))
}

fn read(tag: &Tag) -> Result<(i64, i64), DbError> {
    let numbers =
        tag.as_str().split_once('.').and_then(|(seq, attempt)| Some((seq.parse().ok()?, attempt.parse().ok()?)));
    numbers.ok_or_else(|| DbError::Corrupt(format!("{tag:?} is not of this bus")))
}

impl DbSubscriber {
    /// Whether there is anything to do: most looks find nothing and should not take the writer.
    async fn is_due(&self) -> Result<bool, DbError> {
        let due: Option<i64> = self
            .bus
            .db
            .read()
            .scalar(
                "SELECT seq FROM bus_deliveries WHERE consumer = $1 AND due_at <= $2 LIMIT 1",
                values![&*self.consumer, self.bus.clock.now().micros()],
            )
            .await?;
        Ok(due.is_some())
    }

    async fn claim(&self, max: usize) -> Result<Vec<Delivery>, DbError> {
        let (consumer, now) = (self.consumer.clone(), self.bus.clock.now());
        let due = "SELECT seq FROM bus_deliveries WHERE consumer = $1 AND due_at <= $2 ORDER BY due_at, seq LIMIT $3";
        let until = now.plus(self.bus.lease);
        let mut claimed: Vec<Claimed> = self
            .bus
            .db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    let lock = tx.for_update_skip_locked();
                    let claim = format!(
                        "UPDATE bus_deliveries SET attempts = attempts + 1, due_at = $4 \
                         WHERE consumer = $1 AND seq IN ({due}{lock}) RETURNING seq, attempts, \
                         (SELECT m.envelope FROM bus_messages m WHERE m.seq = bus_deliveries.seq) AS envelope"
                    );
                    let max = i64::try_from(max).unwrap_or(i64::MAX);
                    tx.all(&claim, values![&*consumer, now.micros(), max, until.micros()]).await
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
                    tag: tag(row.seq, row.attempts),
                })
            })
            .collect()
    }

    /// Moves the due time of a delivery that is still ours, and sets how many attempts are counted.
    async fn reschedule(&self, delivery: &Tag, after: Duration, uncounted: i64) -> Result<(), BusError> {
        let (seq, attempt) = read(delivery)?;
        let due = self.bus.clock.now().plus(after).micros();
        let statement = "UPDATE bus_deliveries SET due_at = $1, attempts = $2 \
                         WHERE consumer = $3 AND seq = $4 AND attempts = $5";
        let bound = values![due, attempt - uncounted, &*self.consumer, seq, attempt];
        self.bus.change(statement.to_owned(), bound.into()).await?;
        Ok(())
    }
}

#[async_trait]
impl Subscriber for DbSubscriber {
    fn lease(&self) -> Duration {
        self.bus.lease
    }

    async fn receive(&self, max: usize) -> Result<Vec<Delivery>, BusError> {
        // A permit that waits already says that there is something.
        let called = self.notify.notified().now_or_never().is_some();
        if !called && !self.is_due().await? {
            // Notify keeps a permit, so what was published since the look above is not slept through.
            let woken = tokio::time::timeout(POLL, self.notify.notified()).await.is_ok();
            if !woken && !self.is_due().await? {
                return Ok(Vec::new());
            }
        }
        Ok(self.claim(max).await?)
    }

    async fn ack(&self, deliveries: &[Tag]) -> Result<(), BusError> {
        if deliveries.is_empty() {
            return Ok(());
        }
        let statement =
            format!("DELETE FROM bus_deliveries WHERE consumer = $1 AND seq IN ({})", in_list(2, deliveries.len()));
        let mut bound: Vec<Value> = vec![(&*self.consumer).into()];
        for delivery in deliveries {
            bound.push(read(delivery)?.0.into());
        }
        self.bus.change(statement, bound).await?;
        Ok(())
    }

    async fn retry(&self, delivery: &Tag, after: Duration) -> Result<(), BusError> {
        self.reschedule(delivery, after, 0).await
    }

    async fn put_back(&self, delivery: &Tag, after: Duration) -> Result<(), BusError> {
        self.reschedule(delivery, after, 1).await
    }

    async fn extend(&self, delivery: &Tag) -> Result<(), BusError> {
        self.reschedule(delivery, self.bus.lease, 0).await
    }
}

struct DbFollower {
    bus: Arc<Shared>,
    subjects: Vec<String>,
    notify: Arc<Notify>,
    /// The number of the last message that was looked at.
    cursor: i64,
    looked_at: Timestamp,
}

impl DbFollower {
    /// Whether there is a message after the cursor that it follows. Most looks find none and should not take the writer.
    async fn is_new(&self) -> Result<bool, DbError> {
        let query = format!(
            "SELECT seq FROM bus_messages WHERE seq > $1 AND subject IN ({}) LIMIT 1",
            in_list(2, self.subjects.len())
        );
        let mut bound: Vec<Value> = vec![self.cursor.into()];
        bound.extend(self.subjects.iter().map(|subject| subject.as_str().into()));
        Ok(self.bus.db.read().scalar::<i64>(&query, bound).await?.is_some())
    }

    /// The same for any message: the cursor must not stay far behind, or each look reads all that others published.
    async fn is_behind(&self) -> Result<bool, DbError> {
        let query = "SELECT seq FROM bus_messages WHERE seq > $1 LIMIT 1";
        Ok(self.bus.db.read().scalar::<i64>(query, values![self.cursor]).await?.is_some())
    }

    /// What is there after the cursor, and where the cursor goes. Numbers are given out before they are committed: a
    /// publisher that is still under way may hold a lower one, so it is waited for.
    async fn take(&self, max: usize) -> Result<(Vec<Passed>, i64), DbError> {
        let (cursor, subjects) = (self.cursor, self.subjects.clone());
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        self.bus
            .db
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move {
                    lock_subscriptions(tx, true).await?;
                    let newest = newest(tx).await?;
                    let statement = format!(
                        "SELECT seq, envelope FROM bus_messages WHERE seq > $1 AND subject IN ({}) ORDER BY seq LIMIT $2",
                        in_list(3, subjects.len())
                    );
                    let mut bound: Vec<Value> = values![cursor, max].into();
                    bound.extend(subjects.into_iter().map(Value::from));
                    let passed: Vec<Passed> = tx.all(&statement, bound).await?;
                    let full = i64::try_from(passed.len()).is_ok_and(|count| count >= max);
                    let cursor = if full { passed.last().map_or(cursor, |last| last.seq) } else { newest.max(cursor) };
                    Ok((passed, cursor))
                })
            })
            .await
    }
}

#[async_trait]
impl Follower for DbFollower {
    async fn receive(&mut self, max: usize) -> Result<Vec<Envelope>, BusError> {
        let now = self.bus.clock.now();
        if now.since(self.looked_at) > REMEMBERED {
            self.cursor = self
                .bus
                .db
                .transact::<_, DbError, _>(|tx| {
                    Box::pin(async move {
                        lock_subscriptions(tx, true).await?;
                        newest(tx).await
                    })
                })
                .await?;
            self.looked_at = now;
            return Err(BusError::Missed);
        }
        if !self.is_new().await? {
            let woken = tokio::time::timeout(POLL, self.notify.notified()).await.is_ok();
            if !woken && !self.is_behind().await? {
                self.looked_at = now;
                return Ok(Vec::new());
            }
        }
        let (passed, cursor) = self.take(max).await?;
        let messages = passed.iter().map(|row| parse(&row.envelope)).collect::<Result<_, _>>()?;
        (self.cursor, self.looked_at) = (cursor, now);
        Ok(messages)
    }
}
