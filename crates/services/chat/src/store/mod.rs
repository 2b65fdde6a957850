//! How conversations are stored: one document for each conversation, and its messages in a collection of their own.
//!
//! [`ChatStore`] depends on no database: [`SqlStore`] is one in SQLite or PostgreSQL, [`MongoStore`] one in MongoDB.
//! `contract.rs`, behind the feature of that name, is the suite that each implementation must pass.

#[cfg(feature = "contract")]
pub mod contract;
mod mongo;
mod sql;

use std::sync::Arc;

use async_trait::async_trait;
use bookworm_contracts::events::chat::{AnsweredByMail, TranscriptRequested};
use bookworm_kernel::{Cause, ConversationId, CustomerId, Timestamp};
use bookworm_loops::Loop;
use bookworm_messaging::{Inbox, OutboxSource};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::{mongo::MongoStore, sql::SqlStore};
use crate::domain::{
    agent::{AgentStatus, ChatAgent, Skill},
    conversation::{Conversation, ConversationStatus},
    message::{Message, Note, Side},
};

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Trying again may help.
    #[error("the chat's store is busy")]
    Busy(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It did not say whether a change was stored.
    #[error("the chat's store did not answer")]
    Unknown(#[source] bookworm_db::DbError),
    /// It failed, or contains what cannot be read.
    #[error("the chat's store failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a change was not stored. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The conversation was changed or deleted since it was read.
    #[error("the conversation was changed meanwhile")]
    Conflict,
    /// This side has sent a message with this client id already.
    #[error("the message is there already")]
    Duplicate,
    /// The agent is at their capacity.
    #[error("the agent has no room")]
    AgentFull,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A mail to be sent, stored with the change that causes it.
#[derive(Debug, Clone, PartialEq)]
pub enum Letter {
    /// An agent's answer.
    Answer(AnsweredByMail),
    /// The transcript of a conversation.
    Transcript(TranscriptRequested),
}

/// A change of a conversation, stored as a whole or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The conversation after the change.
    pub conversation: Conversation,
    /// The version that it must have now; `None` for a new one.
    pub expected: Option<u64>,
    /// New messages.
    pub messages: Vec<Message>,
    /// Mails to be sent.
    pub letters: Vec<Letter>,
    /// The agent who takes the conversation with this change, and must be below their capacity.
    pub taken_by: Option<CustomerId>,
    /// What led to it.
    pub cause: Cause,
}

/// An agent, as stored: one document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// Their identity.
    pub agent: ChatAgent,
    /// Whether they take new conversations.
    pub status: AgentStatus,
    /// The most conversations at once.
    pub capacity: u32,
    /// The skills that they have.
    pub skills: Vec<Skill>,
    /// Languages they write (ISO 639-1).
    pub languages: Vec<String>,
    /// Since when no conversation was given to them.
    pub idle_since: Timestamp,
    /// Since when they have no connection; `None` while they have one.
    #[serde(default)]
    pub gone_since: Option<Timestamp>,
    /// How often they were stored: 1 at first. 0 in documents of releases that did not count.
    #[serde(default)]
    pub version: u64,
}

/// A prepared answer. Part of a stored document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CannedReply {
    /// What agents type after `/`: 1 to 30 letters, digits or `-`.
    pub shortcut: String,
    /// Its text, 1 to 4,000 characters; `{name}` becomes the customer's name.
    pub text: String,
}

/// Which conversations a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those of this account.
    pub customer: Option<CustomerId>,
    /// Only those with this status.
    pub status: Option<ConversationStatus>,
    /// Only those with this agent.
    pub agent: Option<CustomerId>,
}

/// A `Result` of the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Stores conversations, and what the process needs of a store: a check, an outbox, and an end.
#[async_trait]
pub trait ChatStore: Send + Sync + 'static {
    /// The store's name in health checks.
    fn name(&self) -> &str;
    /// Whether it can take a change now. The error is a sentence for staff.
    async fn check(&self) -> Result<(), String>;
    /// Where committed [`Letter`]s wait until they are published.
    fn outbox(&self) -> Arc<dyn OutboxSource>;
    /// Where it records which messages it has handled, so that old records are pruned. `None` for a store without.
    fn inbox(&self) -> Option<Arc<dyn Inbox>> {
        None
    }
    /// What it does in the background. All that it promises holds without.
    fn loops(&self) -> Vec<Loop> {
        Vec::new()
    }
    /// Closes its connections. Nothing uses it afterwards.
    async fn close(&self);

    /// Stores a change: the conversation, its new messages and mails, all of it or nothing. It is durable when this
    /// returns.
    async fn commit(&self, change: Change) -> Result<(), CommitError>;
    /// Deletes a conversation with its messages and notes. `false` when there was none. Mails that were committed are
    /// still published.
    async fn delete(&self, id: ConversationId) -> Result<bool>;
    /// A conversation.
    async fn find(&self, id: ConversationId) -> Result<Option<Conversation>>;
    /// Conversations, latest started first, after the one that `after` names.
    async fn list(&self, filter: &Filter, after: Option<ConversationId>, limit: usize) -> Result<Vec<Conversation>>;
    /// A customer's conversations that are not closed.
    async fn open_of(&self, customer: CustomerId, limit: usize) -> Result<Vec<Conversation>>;
    /// How many conversations that are not closed guests from this address have.
    async fn open_from(&self, address: &str) -> Result<u64>;
    /// Queued conversations by rank.
    async fn waiting(&self, limit: usize) -> Result<Vec<Conversation>>;
    /// How many conversations are queued with a lower rank.
    async fn ahead_of(&self, rank: i64) -> Result<u64>;
    /// The number of conversations of each agent who has any.
    async fn loads(&self) -> Result<Vec<(CustomerId, u32)>>;
    /// Conversations with a message that has waited for the bot since this time or longer.
    async fn due(&self, since: Timestamp, limit: usize) -> Result<Vec<Conversation>>;
    /// Conversations with this status that were last changed before this time.
    async fn idle(&self, status: ConversationStatus, since: Timestamp, limit: usize) -> Result<Vec<Conversation>>;
    /// The number of conversations by status.
    async fn census(&self) -> Result<Vec<(ConversationStatus, u64)>>;

    /// Messages after a number, in order.
    async fn messages(&self, id: ConversationId, after: u64, limit: usize) -> Result<Vec<Message>>;
    /// The last messages before a number, in order.
    async fn messages_before(&self, id: ConversationId, before: u64, limit: usize) -> Result<Vec<Message>>;
    /// One message.
    async fn message(&self, id: ConversationId, seq: u64) -> Result<Option<Message>> {
        Ok(self.messages(id, seq.saturating_sub(1), 1).await?.into_iter().find(|message| message.seq == seq))
    }
    /// The message that this side sent with this client id.
    async fn sent(&self, id: ConversationId, side: Side, client_message_id: Uuid) -> Result<Option<Message>>;

    /// Adds a note. `false` when there is no such conversation.
    async fn add_note(&self, note: &Note) -> Result<bool>;
    /// The first notes of a conversation, in order.
    async fn notes(&self, id: ConversationId, limit: usize) -> Result<Vec<Note>>;

    /// Every agent.
    async fn agents(&self) -> Result<Vec<Agent>>;
    /// An agent.
    async fn agent(&self, id: CustomerId) -> Result<Option<Agent>>;
    /// Stores an agent whose version is one more than the stored one; where there is none, that counts as 0. `false`: it
    /// is not, because they were changed meanwhile, and nothing was stored.
    async fn put_agent(&self, agent: &Agent) -> Result<bool>;

    /// The prepared answers, and their version.
    async fn canned_replies(&self) -> Result<(Vec<CannedReply>, u64)>;
    /// Replaces the prepared answers at that version. `None` when they were changed meanwhile, else their new version.
    async fn put_canned_replies(&self, replies: &[CannedReply], expected: u64) -> Result<Option<u64>>;
}
