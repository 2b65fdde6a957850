//! Conversations in SQLite or PostgreSQL: documents as JSON, beside the few columns by which they are found.

use std::sync::Arc;

use async_trait::async_trait;
use bookworm_db::{Db, DbError, FromRow, Migration, Sql, Tx, Value, values};
use bookworm_kernel::{Clock, ConversationId, CustomerId, Timestamp};
use bookworm_messaging::{Inbox, Outbox, OutboxSource};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{Agent, CannedReply, Change, ChatStore, CommitError, Filter, Letter, Result, StoreError};
use crate::domain::{
    conversation::{Conversation, ConversationStatus},
    message::{Message, Note, Side},
};

/// The chat's own tables.
const MIGRATIONS: &[Migration] = &[Migration::new(
    "chat/0001_conversations",
    "CREATE TABLE conversations (
            id UUID NOT NULL PRIMARY KEY,
            version BIGINT NOT NULL,
            status TEXT NOT NULL,
            customer_id UUID,
            address TEXT,
            agent_id UUID,
            queue_rank BIGINT,
            due_since BIGINT,
            updated_at BIGINT NOT NULL,
            document TEXT NOT NULL
          );
          CREATE INDEX conversations_customer ON conversations (customer_id);
          CREATE INDEX conversations_address ON conversations (address);
          CREATE INDEX conversations_agent ON conversations (agent_id);
          CREATE INDEX conversations_queue ON conversations (queue_rank);
          CREATE INDEX conversations_due ON conversations (due_since);
          CREATE INDEX conversations_status ON conversations (status, updated_at);
          CREATE TABLE messages (
            conversation_id UUID NOT NULL,
            seq BIGINT NOT NULL,
            side TEXT NOT NULL,
            client_message_id UUID,
            document TEXT NOT NULL,
            PRIMARY KEY (conversation_id, seq)
          );
          CREATE UNIQUE INDEX messages_sent ON messages (conversation_id, side, client_message_id);
          CREATE TABLE notes (
            id UUID NOT NULL PRIMARY KEY,
            conversation_id UUID NOT NULL,
            document TEXT NOT NULL
          );
          CREATE INDEX notes_conversation ON notes (conversation_id, id);
          CREATE TABLE agents (
            id UUID NOT NULL PRIMARY KEY,
            document TEXT NOT NULL
          );
          CREATE TABLE canned_replies (
            id BIGINT NOT NULL PRIMARY KEY,
            version BIGINT NOT NULL,
            document TEXT NOT NULL
          );",
)];

/// The one row of `canned_replies`.
const CANNED: i64 = 1;

/// Conversations in one database.
#[derive(Debug, Clone)]
pub struct SqlStore {
    db: Db,
    outbox: Outbox,
}

impl From<DbError> for StoreError {
    fn from(error: DbError) -> Self {
        match error {
            DbError::Unknown(_) => Self::Unknown(error),
            _ if error.is_transient() || error.is_outage() => Self::Busy(error.into()),
            _ => Self::Failed(error.into()),
        }
    }
}

impl From<DbError> for CommitError {
    fn from(error: DbError) -> Self {
        Self::Store(error.into())
    }
}

#[derive(FromRow)]
struct Document {
    document: String,
}

#[derive(FromRow)]
struct Count {
    name: String,
    count: i64,
}

#[derive(FromRow)]
struct Load {
    agent_id: Uuid,
    count: i64,
}

fn write(value: &impl Serialize) -> Result<String, DbError> {
    serde_json::to_string(value).map_err(|error| DbError::Corrupt(error.to_string()))
}

fn read<T: DeserializeOwned>(document: &str) -> Result<T, DbError> {
    serde_json::from_str(document).map_err(|error| DbError::Corrupt(format!("a document of the chat: {error}")))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn limited(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl SqlStore {
    /// The conversations of this database. Brings its schema up to date.
    ///
    /// # Errors
    /// When the database cannot be migrated.
    pub async fn open(db: Db, clock: Arc<dyn Clock>) -> Result<Self, DbError> {
        let migrations: Vec<Migration> = [bookworm_messaging::MIGRATIONS, MIGRATIONS].concat();
        db.migrate(&migrations, clock.now()).await?;
        Ok(Self { db, outbox: Outbox::new(clock) })
    }

    async fn documents<T: DeserializeOwned>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Vec<T>> {
        let rows: Vec<Document> = self.db.read().all(sql, values).await?;
        Ok(rows.iter().map(|row| read(&row.document)).collect::<Result<_, DbError>>()?)
    }

    async fn document<T: DeserializeOwned>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = Value>,
    ) -> Result<Option<T>> {
        let row: Option<Document> = self.db.read().one(sql, values).await?;
        Ok(row.map(|row| read(&row.document)).transpose()?)
    }

    async fn count(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Result<u64> {
        let count: Option<i64> = self.db.read().scalar(sql, values).await?;
        Ok(count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0))
    }
}

/// Stores the conversation itself, if it is still at the version that was read.
async fn put_conversation(tx: &Tx, conversation: &Conversation, expected: Option<u64>) -> Result<(), CommitError> {
    let id = conversation.id.uuid();
    let status = conversation.status.name();
    let customer = conversation.customer.id.map(CustomerId::uuid);
    let agent = conversation.agent.as_ref().map(|agent| agent.id.uuid());
    let due = conversation.bot_due_since.map(Timestamp::micros);
    let (version, updated) = (signed(conversation.version), conversation.updated_at.micros());
    let (rank, address) = (conversation.rank(), conversation.customer.address.clone());
    let document = write(conversation)?;
    let stored = match expected {
        None => {
            tx.exec(
                "INSERT INTO conversations (id, version, status, customer_id, address, agent_id, queue_rank, due_since, \
                 updated_at, document) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
                values![id, version, status, customer, address, agent, rank, due, updated, document],
            )
            .await?
        }
        Some(expected) => {
            tx.exec(
                "UPDATE conversations SET version = $2, status = $3, customer_id = $4, address = $5, agent_id = $6, \
                 queue_rank = $7, due_since = $8, updated_at = $9, document = $10 WHERE id = $1 AND version = $11",
                values![id, version, status, customer, address, agent, rank, due, updated, document, signed(expected)],
            )
            .await?
        }
    };
    if stored == 1 { Ok(()) } else { Err(CommitError::Conflict) }
}

async fn add(tx: &Tx, message: &Message) -> Result<(), CommitError> {
    let added = tx
        .exec(
            "INSERT INTO messages (conversation_id, seq, side, client_message_id, document) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
            values![
                message.conversation_id.uuid(),
                signed(message.seq),
                Side::of(message.author).name(),
                message.client_message_id,
                write(message)?
            ],
        )
        .await?;
    // The conversation's version was right, so its next number is free: what is there is the same message.
    if added == 1 { Ok(()) } else { Err(CommitError::Duplicate) }
}

/// An agent, who is not changed by others until the transaction ends.
async fn locked_agent(tx: &Tx, id: CustomerId) -> Result<Option<Agent>, DbError> {
    let lock = tx.for_update();
    let row: Option<Document> =
        tx.one(&format!("SELECT document FROM agents WHERE id = $1{lock}"), values![id.uuid()]).await?;
    row.map(|row| read(&row.document)).transpose()
}

/// Checks that the agent is below their capacity. Locks the agent, so that assignments to them come one after another.
async fn check_capacity(tx: &Tx, agent: CustomerId) -> Result<(), CommitError> {
    let capacity = locked_agent(tx, agent).await?.map_or(0, |agent| agent.capacity);
    let open: Option<i64> = tx
        .scalar(
            "SELECT COUNT(*) FROM conversations WHERE agent_id = $1 AND status = 'with_agent'",
            values![agent.uuid()],
        )
        .await?;
    if open.unwrap_or(0) < i64::from(capacity) { Ok(()) } else { Err(CommitError::AgentFull) }
}

async fn commit(tx: &Tx, outbox: &Outbox, change: Change) -> Result<(), CommitError> {
    if let Some(agent) = change.taken_by {
        check_capacity(tx, agent).await?;
    }
    put_conversation(tx, &change.conversation, change.expected).await?;
    for message in &change.messages {
        add(tx, message).await?;
    }
    for letter in &change.letters {
        match letter {
            Letter::Answer(answer) => outbox.put(tx, &change.cause, answer).await?,
            Letter::Transcript(transcript) => outbox.put(tx, &change.cause, transcript).await?,
        };
    }
    Ok(())
}

#[async_trait]
impl ChatStore for SqlStore {
    fn name(&self) -> &str {
        self.db.name()
    }

    async fn check(&self) -> Result<(), String> {
        self.db.check_write().await.map_err(|error| error.to_string())
    }

    fn outbox(&self) -> Arc<dyn OutboxSource> {
        self.outbox.source(&self.db)
    }

    fn inbox(&self) -> Option<Arc<dyn Inbox>> {
        Some(Arc::new(self.db.clone()))
    }

    async fn close(&self) {
        self.db.close().await;
    }

    async fn commit(&self, change: Change) -> Result<(), CommitError> {
        let outbox = self.outbox.clone();
        self.db.transact(move |tx| Box::pin(async move { commit(tx, &outbox, change).await })).await
    }

    async fn delete(&self, id: ConversationId) -> Result<bool> {
        let id = id.uuid();
        let deleted: Result<u64, DbError> = self
            .db
            .transact(move |tx| {
                Box::pin(async move {
                    tx.exec("DELETE FROM messages WHERE conversation_id = $1", values![id]).await?;
                    tx.exec("DELETE FROM notes WHERE conversation_id = $1", values![id]).await?;
                    tx.exec("DELETE FROM conversations WHERE id = $1", values![id]).await
                })
            })
            .await;
        Ok(deleted? == 1)
    }

    async fn find(&self, id: ConversationId) -> Result<Option<Conversation>> {
        self.document("SELECT document FROM conversations WHERE id = $1", values![id.uuid()]).await
    }

    async fn list(&self, filter: &Filter, after: Option<ConversationId>, limit: usize) -> Result<Vec<Conversation>> {
        // Version 7 ids sort by time, so the id alone is the cursor.
        let mut bound: Vec<Value> = vec![after.map_or(Uuid::max(), ConversationId::uuid).into()];
        let mut clauses = vec!["id < $1".to_owned()];
        let filters = [
            ("customer_id", filter.customer.map(|id| Value::from(id.uuid()))),
            ("status", filter.status.map(|status| Value::from(status.name()))),
            ("agent_id", filter.agent.map(|id| Value::from(id.uuid()))),
        ];
        for (column, value) in filters {
            if let Some(value) = value {
                bound.push(value);
                clauses.push(format!("{column} = ${}", bound.len()));
            }
        }
        bound.push(limited(limit).into());
        let sql = format!(
            "SELECT document FROM conversations WHERE {} ORDER BY id DESC LIMIT ${}",
            clauses.join(" AND "),
            bound.len()
        );
        self.documents(&sql, bound).await
    }

    async fn open_of(&self, customer: CustomerId, limit: usize) -> Result<Vec<Conversation>> {
        self.documents(
            "SELECT document FROM conversations WHERE customer_id = $1 AND status <> 'closed' \
             ORDER BY updated_at DESC, id DESC LIMIT $2",
            values![customer.uuid(), limited(limit)],
        )
        .await
    }

    async fn open_from(&self, address: &str) -> Result<u64> {
        self.count(
            "SELECT COUNT(*) FROM conversations WHERE address = $1 AND customer_id IS NULL AND status <> 'closed'",
            values![address],
        )
        .await
    }

    async fn waiting(&self, limit: usize) -> Result<Vec<Conversation>> {
        self.documents(
            "SELECT document FROM conversations WHERE queue_rank IS NOT NULL ORDER BY queue_rank, id LIMIT $1",
            values![limited(limit)],
        )
        .await
    }

    async fn ahead_of(&self, rank: i64) -> Result<u64> {
        self.count("SELECT COUNT(*) FROM conversations WHERE queue_rank < $1", values![rank]).await
    }

    async fn loads(&self) -> Result<Vec<(CustomerId, u32)>> {
        let rows: Vec<Load> = self
            .db
            .read()
            .all(
                "SELECT agent_id, COUNT(*) AS count FROM conversations WHERE agent_id IS NOT NULL \
                 AND status = 'with_agent' GROUP BY agent_id",
                [],
            )
            .await?;
        let load = |row: Load| (CustomerId::from_uuid(row.agent_id), u32::try_from(row.count).unwrap_or(u32::MAX));
        Ok(rows.into_iter().map(load).collect())
    }

    async fn due(&self, since: Timestamp, limit: usize) -> Result<Vec<Conversation>> {
        self.documents(
            "SELECT document FROM conversations WHERE due_since <= $1 ORDER BY due_since LIMIT $2",
            values![since.micros(), limited(limit)],
        )
        .await
    }

    async fn idle(&self, status: ConversationStatus, since: Timestamp, limit: usize) -> Result<Vec<Conversation>> {
        self.documents(
            "SELECT document FROM conversations WHERE status = $1 AND updated_at < $2 ORDER BY updated_at LIMIT $3",
            values![status.name(), since.micros(), limited(limit)],
        )
        .await
    }

    async fn census(&self) -> Result<Vec<(ConversationStatus, u64)>> {
        let rows: Vec<Count> = self
            .db
            .read()
            .all("SELECT status AS name, COUNT(*) AS count FROM conversations GROUP BY status", [])
            .await?;
        let read = |row: Count| {
            let status = read(&format!("\"{}\"", row.name))?;
            Ok((status, u64::try_from(row.count).unwrap_or(0)))
        };
        Ok(rows.into_iter().map(read).collect::<Result<_, DbError>>()?)
    }

    async fn messages(&self, id: ConversationId, after: u64, limit: usize) -> Result<Vec<Message>> {
        self.documents(
            "SELECT document FROM messages WHERE conversation_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
            values![id.uuid(), signed(after), limited(limit)],
        )
        .await
    }

    async fn messages_before(&self, id: ConversationId, before: u64, limit: usize) -> Result<Vec<Message>> {
        let mut messages: Vec<Message> = self
            .documents(
                "SELECT document FROM messages WHERE conversation_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3",
                values![id.uuid(), signed(before), limited(limit)],
            )
            .await?;
        messages.reverse();
        Ok(messages)
    }

    async fn sent(&self, id: ConversationId, side: Side, client_message_id: Uuid) -> Result<Option<Message>> {
        self.document(
            "SELECT document FROM messages WHERE conversation_id = $1 AND side = $2 AND client_message_id = $3",
            values![id.uuid(), side.name(), client_message_id],
        )
        .await
    }

    async fn add_note(&self, note: &Note) -> Result<bool> {
        let (id, document) = (note.conversation_id.uuid(), write(note)?);
        let added: Result<u64, DbError> = self
            .db
            .transact(move |tx| {
                Box::pin(async move {
                    tx.exec(
                        "INSERT INTO notes (id, conversation_id, document) \
                         SELECT $1, id, $3 FROM conversations WHERE id = $2",
                        values![Uuid::now_v7(), id, document],
                    )
                    .await
                })
            })
            .await;
        Ok(added? == 1)
    }

    async fn notes(&self, id: ConversationId, limit: usize) -> Result<Vec<Note>> {
        self.documents(
            "SELECT document FROM notes WHERE conversation_id = $1 ORDER BY id LIMIT $2",
            values![id.uuid(), limited(limit)],
        )
        .await
    }

    async fn agents(&self) -> Result<Vec<Agent>> {
        self.documents("SELECT document FROM agents ORDER BY id LIMIT 1000", []).await
    }

    async fn agent(&self, id: CustomerId) -> Result<Option<Agent>> {
        self.document("SELECT document FROM agents WHERE id = $1", values![id.uuid()]).await
    }

    async fn put_agent(&self, agent: &Agent) -> Result<bool> {
        let (id, version, document) = (agent.agent.id, agent.version, write(agent)?);
        let put: Result<bool, DbError> = self
            .db
            .transact(move |tx| {
                Box::pin(async move {
                    let stored = locked_agent(tx, id).await?;
                    if stored.as_ref().map_or(0, |agent| agent.version) + 1 != version {
                        return Ok(false);
                    }
                    let sql = match stored {
                        Some(_) => "UPDATE agents SET document = $2 WHERE id = $1",
                        // Where there is no row there is nothing to lock.
                        None => "INSERT INTO agents (id, document) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
                    };
                    Ok(tx.exec(sql, values![id.uuid(), document]).await? == 1)
                })
            })
            .await;
        Ok(put?)
    }

    async fn canned_replies(&self) -> Result<(Vec<CannedReply>, u64)> {
        #[derive(FromRow)]
        struct Row {
            version: i64,
            document: String,
        }
        let row: Option<Row> =
            self.db.read().one("SELECT version, document FROM canned_replies WHERE id = $1", values![CANNED]).await?;
        match row {
            Some(row) => Ok((read(&row.document)?, u64::try_from(row.version).unwrap_or(0))),
            None => Ok((Vec::new(), 0)),
        }
    }

    async fn put_canned_replies(&self, replies: &[CannedReply], expected: u64) -> Result<Option<u64>> {
        let (document, version) = (write(&replies)?, expected + 1);
        let put: Result<u64, DbError> = self
            .db
            .transact(move |tx| {
                Box::pin(async move {
                    if expected == 0 {
                        let insert = "INSERT INTO canned_replies (id, version, document) VALUES ($1, $2, $3) \
                                      ON CONFLICT DO NOTHING";
                        return tx.exec(insert, values![CANNED, signed(version), document]).await;
                    }
                    tx.exec(
                        "UPDATE canned_replies SET version = $2, document = $3 WHERE id = $1 AND version = $4",
                        values![CANNED, signed(version), document, signed(expected)],
                    )
                    .await
                })
            })
            .await;
        Ok((put? == 1).then_some(version))
    }
}
