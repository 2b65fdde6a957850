use bookworm_db::{Db, DbError, Migration, Sql, Tx, values};
use bookworm_kernel::{MessageId, Timestamp};
use futures::future::BoxFuture;

pub(crate) const MIGRATION: Migration = Migration {
    name: "messaging/0002_inbox",
    sql: "CREATE TABLE inbox (
            consumer TEXT NOT NULL,
            message_id UUID NOT NULL,
            at BIGINT NOT NULL,
            PRIMARY KEY (consumer, message_id)
          );
          CREATE INDEX inbox_at ON inbox (at);",
};

/// That a message came to a consumer: the key under which the inbox remembers it.
#[derive(Debug, Clone, Copy)]
pub struct Receipt {
    pub(crate) consumer: &'static str,
    pub(crate) message_id: MessageId,
    pub(crate) at: Timestamp,
}

impl Receipt {
    /// Runs a unit of work once for this message: the memory of the message and the change are kept together.
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
                        values![self.consumer, self.message_id.uuid(), self.at.micros()],
                    )
                    .await?;
                if new == 0 {
                    metrics::counter!("inbox_duplicates_total", "consumer" => self.consumer).increment(1);
                    return Ok(None);
                }
                work(tx).await.map(Some)
            })
        })
        .await
    }
}

/// Forgets messages that came before `before`. Keep them longer than the bus may repeat one.
pub(crate) async fn prune(db: &Db, before: Timestamp) -> Result<u64, DbError> {
    db.transact(move |tx| {
        Box::pin(async move { tx.exec("DELETE FROM inbox WHERE at < $1", values![before.micros()]).await })
    })
    .await
}
