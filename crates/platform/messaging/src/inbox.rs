use std::{error::Error, sync::Arc, time::Duration};

use async_trait::async_trait;
use bookworm_db::{Db, DbError, Migration, Sql, Tx, values};
use bookworm_kernel::{Clock, MessageId, Timestamp};
use bookworm_loops::Loop;
use futures::future::BoxFuture;

use crate::SharedBus;

pub(crate) const MIGRATION: Migration = Migration::new(
    "messaging/0002_inbox",
    "CREATE TABLE inbox (
            consumer TEXT NOT NULL,
            message_id UUID NOT NULL,
            at BIGINT NOT NULL,
            PRIMARY KEY (consumer, message_id)
          );
          CREATE INDEX inbox_at ON inbox (at);",
);

/// That a message came to a consumer: the key under which the inbox remembers it.
#[derive(Debug, Clone)]
pub struct Receipt {
    pub(crate) consumer: Arc<str>,
    pub(crate) message_id: MessageId,
    pub(crate) at: Timestamp,
}

impl Receipt {
    /// Runs a unit of work once for this message: the record of the message and the change are committed together.
    /// Returns `None`, and changes nothing, when it was done before.
    ///
    /// # Errors
    /// What `work` returned, or the database's error; then the message is not remembered and may come again.
    pub async fn once<T, E, F>(self, db: &Db, work: F) -> Result<Option<T>, E>
    where
        T: Send + 'static,
        E: From<DbError> + Send + 'static,
        F: for<'t> FnOnce(&'t Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
    {
        db.transact(move |tx| {
            Box::pin(async move {
                let new = tx
                    .exec(
                        "INSERT INTO inbox (consumer, message_id, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                        values![&*self.consumer, self.message_id.uuid(), self.at.micros()],
                    )
                    .await?;
                if new == 0 {
                    metrics::counter!("inbox_duplicates_total", "consumer" => self.consumer.clone()).increment(1);
                    return Ok(None);
                }
                work(tx).await.map(Some)
            })
        })
        .await
    }
}

/// Where a store remembers which messages it has dealt with.
#[async_trait]
pub trait Inbox: Send + Sync {
    /// The store's name.
    fn name(&self) -> &str;

    /// Forgets messages that came before `before`. Returns how many.
    ///
    /// # Errors
    /// When the store does not answer.
    async fn prune(&self, before: Timestamp) -> Result<u64, Box<dyn Error + Send + Sync>>;
}

/// The inbox of a database that has [`MIGRATIONS`](crate::MIGRATIONS).
#[async_trait]
impl Inbox for Db {
    fn name(&self) -> &str {
        self.name()
    }

    async fn prune(&self, before: Timestamp) -> Result<u64, Box<dyn Error + Send + Sync>> {
        let forget = "DELETE FROM inbox WHERE at < $1";
        let pruned = self
            .transact::<_, DbError, _>(move |tx| {
                Box::pin(async move { tx.exec(forget, values![before.micros()]).await })
            })
            .await?;
        Ok(pruned)
    }
}

/// How often inboxes and bus are pruned.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

/// Forgets, at the beginning and then once an hour, what inboxes and bus no longer need to remember: a loop for each,
/// since other processes share some of them.
#[must_use]
pub fn housekeeping(
    inboxes: Vec<Arc<dyn Inbox>>,
    bus: SharedBus,
    clock: Arc<dyn Clock>,
    retention: Duration,
) -> Vec<Loop> {
    let bus_clock = clock.clone();
    let prune_bus = Loop::every("messaging.housekeeping", PRUNE_EVERY, move || {
        let (bus, before) = (bus.clone(), bus_clock.now().minus(retention));
        async move {
            if let Err(error) = bus.prune(before).await {
                tracing::warn!(error = &error as &dyn Error, "the bus cannot be pruned");
            }
        }
    });
    let prune_inbox = |inbox: Arc<dyn Inbox>| {
        let clock = clock.clone();
        Loop::every(format!("messaging.inbox.{}", inbox.name()), PRUNE_EVERY, move || {
            // Twice as long as the bus retains a message, so that none can come back after its record was deleted.
            let (inbox, before) = (inbox.clone(), clock.now().minus(retention * 2));
            async move {
                if let Err(error) = inbox.prune(before).await {
                    tracing::warn!(service = inbox.name(), error = &*error, "the inbox cannot be pruned");
                }
            }
        })
    };
    let loops = std::iter::once(prune_bus).chain(inboxes.into_iter().map(prune_inbox));
    loops.map(Loop::leader_only).collect()
}
