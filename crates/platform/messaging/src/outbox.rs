use std::{sync::Arc, time::Duration};

use bookworm_db::{Db, DbError, FromRow, Migration, Sql, Tx, Value, in_list, values};
use bookworm_kernel::{Cause, Clock, MessageId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{Envelope, Message, SharedBus};

/// How many messages travel to the bus together.
const BATCH: i64 = 256;
/// How often to look without having been woken: finds what a process that died left behind.
const POLL: Duration = Duration::from_secs(1);
/// How long to gather after a journey: under load one journey then carries what many units of work left. The first
/// message after a quiet time never waits.
const GATHER: Duration = Duration::from_millis(2);
/// The longest pause while the bus does not answer.
const MAX_PAUSE: Duration = Duration::from_secs(10);

pub(crate) const MIGRATION: Migration = Migration {
    name: "messaging/0001_outbox",
    sql: "CREATE TABLE outbox (
            seq {serial},
            id UUID NOT NULL UNIQUE,
            envelope TEXT NOT NULL
          );",
};

/// Where a unit of work leaves its messages: in the same database, in the same transaction. A [`relay`] carries them
/// to the bus. So a message is published if, and only if, the change that it tells of was kept.
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
}

fn to_json(envelope: &Envelope) -> Result<String, DbError> {
    serde_json::to_string(envelope).map_err(|error| DbError::Corrupt(error.to_string()))
}

#[derive(FromRow)]
struct Row {
    id: Uuid,
    envelope: String,
}

/// Carries messages from the outbox to the bus until `shutdown`, and what is there at that moment once more.
///
/// A crash between the bus's receipt and the deletion sends a message again: the bus drops it by its id. Several
/// relays on one outbox are harmless for the same reason.
pub async fn relay(db: Db, outbox: Outbox, bus: SharedBus, shutdown: CancellationToken) {
    let mut pause = Duration::from_millis(100);
    loop {
        match carry(&db, &bus).await {
            // Fewer than a batch: that was all, and whoever puts more wakes us.
            Ok(carried) if carried < BATCH as usize && !(carried > 0 && shutdown.is_cancelled()) => {
                pause = Duration::from_millis(100);
                if shutdown.is_cancelled() {
                    return;
                }
                if carried > 0 {
                    tokio::time::sleep(GATHER).await;
                }
                tokio::select! {
                    () = outbox.wake.notified() => {}
                    () = tokio::time::sleep(POLL) => {}
                    () = shutdown.cancelled() => {}
                }
            }
            Ok(_) => pause = Duration::from_millis(100),
            Err(error) => {
                tracing::warn!(service = db.name(), error = &*error, "messages wait in the outbox");
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
    let rows: Vec<Row> = db.read().all("SELECT id, envelope FROM outbox ORDER BY seq", []).await?;
    for row in rows {
        visit(serde_json::from_str(&row.envelope).map_err(|error| DbError::Corrupt(error.to_string()))?);
    }
    Ok(())
}

async fn carry(db: &Db, bus: &SharedBus) -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
    let rows: Vec<Row> = db.read().all("SELECT id, envelope FROM outbox ORDER BY seq LIMIT $1", values![BATCH]).await?;
    if rows.is_empty() {
        return Ok(0);
    }
    let envelopes = rows.iter().map(|row| serde_json::from_str(&row.envelope)).collect::<Result<Vec<_>, _>>()?;
    bus.publish(&envelopes).await?;
    let ids: Vec<Value> = rows.iter().map(|row| Value::from(row.id)).collect();
    let sent = ids.len();
    let delete = format!("DELETE FROM outbox WHERE id IN ({})", in_list(1, sent));
    db.transact::<_, DbError, _>(move |tx| Box::pin(async move { tx.exec(&delete, ids).await })).await?;
    metrics::counter!("outbox_published_total", "service" => db.name().to_owned()).increment(sent as u64);
    Ok(sent)
}
