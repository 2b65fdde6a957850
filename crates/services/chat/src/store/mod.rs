//! How conversations are kept: documents, one for each conversation, its messages in a collection of their own.
//!
//! [`ChatStore`] says nothing of SQL, so that a document database can take its place; `contract.rs` is what each
//! implementation must do.

mod sql;

use async_trait::async_trait;
use bookworm_contracts::{
    events::chat::{AnsweredByMail, TranscriptRequested},
    rest::chat::{CannedReply, ChatAgent, ChatMessage, ChatNote, ConversationStatus},
};
use bookworm_kernel::{Cause, ConversationId, CustomerId, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::sql::{MIGRATIONS, SqlStore};
use crate::{
    bot::Skill,
    domain::{conversation::Conversation, message::Side, routing::AgentStatus},
};

/// The store does not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Trying again may help.
    #[error("the chat's store is busy")]
    Busy(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It failed, or holds what cannot be read.
    #[error("the chat's store failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why a change was not kept. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The conversation was changed or deleted since it was read.
    #[error("the conversation was changed meanwhile")]
    Conflict,
    /// This side has sent a message with this id already.
    #[error("the message is there already")]
    Duplicate,
    /// The agent has as many conversations as they take.
    #[error("the agent has no room")]
    AgentFull,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A mail to be written, kept with the change that it tells of.
#[derive(Debug, Clone, PartialEq)]
pub enum Letter {
    /// An agent's answer.
    Answer(AnsweredByMail),
    /// What was said.
    Transcript(TranscriptRequested),
}

/// Something to be kept as a whole or not at all.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The conversation as it is to be.
    pub conversation: Conversation,
    /// The version that it must have now; `None` for a new one.
    pub expected: Option<u64>,
    /// What is said.
    pub messages: Vec<ChatMessage>,
    /// Mails.
    pub letters: Vec<Letter>,
    /// The agent who takes one more with this change, and must have room.
    pub taken_by: Option<CustomerId>,
    /// Why it happens.
    pub cause: Cause,
}

/// An agent, as stored: one document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// Who.
    pub agent: ChatAgent,
    /// Whether they take more.
    pub status: AgentStatus,
    /// How many conversations they take at once.
    pub capacity: u32,
    /// What they know about.
    pub skills: Vec<Skill>,
    /// Languages they write.
    pub languages: Vec<String>,
    /// Since when nothing was given to them.
    pub idle_since: Timestamp,
    /// Since when none of their connections is there.
    #[serde(default)]
    pub gone_since: Option<Timestamp>,
}

/// Which conversations a list shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those of this account.
    pub customer: Option<CustomerId>,
    /// Only those that stand here.
    pub status: Option<ConversationStatus>,
    /// Only those with this agent.
    pub agent: Option<CustomerId>,
}

/// A `Result` of the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Keeps conversations.
#[async_trait]
pub trait ChatStore: Send + Sync + 'static {
    /// Keeps a change: the conversation, what is said, and its mails, all of it or nothing. It is on disk when this
    /// returns.
    async fn commit(&self, change: Change) -> Result<(), CommitError>;
    /// Deletes a conversation with everything in it. `false` when there was none.
    async fn delete(&self, id: ConversationId) -> Result<bool>;
    /// A conversation.
    async fn find(&self, id: ConversationId) -> Result<Option<Conversation>>;
    /// Conversations, latest started first, after the one that `after` names.
    async fn list(&self, filter: &Filter, after: Option<ConversationId>, limit: usize) -> Result<Vec<Conversation>>;
    /// A customer's conversations that are not closed.
    async fn open_of(&self, customer: CustomerId, limit: usize) -> Result<Vec<Conversation>>;
    /// How many conversations that are not closed guests from this address have.
    async fn open_from(&self, address: &str) -> Result<u64>;
    /// Those who wait, in order.
    async fn waiting(&self, limit: usize) -> Result<Vec<Conversation>>;
    /// How many wait with a lower rank.
    async fn ahead_of(&self, rank: i64) -> Result<u64>;
    /// How many conversations each agent has, for those who have any.
    async fn loads(&self) -> Result<Vec<(CustomerId, u32)>>;
    /// Conversations to which the bot owes an answer since this time or longer.
    async fn due(&self, since: Timestamp, limit: usize) -> Result<Vec<Conversation>>;
    /// Conversations that stand there and in which nothing happened since.
    async fn idle(&self, status: ConversationStatus, since: Timestamp, limit: usize) -> Result<Vec<Conversation>>;
    /// How many conversations stand where.
    async fn census(&self) -> Result<Vec<(ConversationStatus, u64)>>;

    /// Messages after a number, in order.
    async fn messages(&self, id: ConversationId, after: u64, limit: usize) -> Result<Vec<ChatMessage>>;
    /// The last messages before a number, in order.
    async fn messages_before(&self, id: ConversationId, before: u64, limit: usize) -> Result<Vec<ChatMessage>>;
    /// One message.
    async fn message(&self, id: ConversationId, seq: u64) -> Result<Option<ChatMessage>> {
        Ok(self.messages(id, seq.saturating_sub(1), 1).await?.into_iter().find(|message| message.seq == seq))
    }
    /// The message that this side sent with this id.
    async fn sent(&self, id: ConversationId, side: Side, client_message_id: Uuid) -> Result<Option<ChatMessage>>;

    /// Adds a note. `false` when there is no such conversation.
    async fn add_note(&self, note: &ChatNote) -> Result<bool>;
    /// The first notes of a conversation, in order.
    async fn notes(&self, id: ConversationId, limit: usize) -> Result<Vec<ChatNote>>;

    /// Every agent.
    async fn agents(&self) -> Result<Vec<Agent>>;
    /// An agent.
    async fn agent(&self, id: CustomerId) -> Result<Option<Agent>>;
    /// Keeps an agent.
    async fn put_agent(&self, agent: &Agent) -> Result<()>;

    /// The prepared answers, and their version.
    async fn canned_replies(&self) -> Result<(Vec<CannedReply>, u64)>;
    /// Replaces the prepared answers at that version. `None` when they were changed meanwhile, else their new version.
    async fn put_canned_replies(&self, replies: &[CannedReply], expected: u64) -> Result<Option<u64>>;
}
