//! What callers send and get; the names of `docs/chat-hub.md`.

use bookworm_contracts::rest::chat::{
    AuthorKind, CannedReply, ChatAgent, ChatMessage, ChatNote, Conversation, CustomerContext,
};
use bookworm_http::{Problem, read_json};
use bookworm_kernel::{ConversationId, CustomerId, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{
    bot::Skill,
    domain::{conversation::Resolution, routing::AgentStatus},
};

/// The one argument of a method. What is wrong with it is told to the caller in the words of the API, not in those of
/// the protocol.
#[derive(Debug)]
pub struct Args<T>(pub Result<T, String>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Args<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Self(read_json(&value).map_err(|problem| in_words(&problem))))
    }
}

/// What is wrong with an argument: fields by their names, without the slash of a JSON pointer.
fn in_words(problem: &Problem) -> String {
    let wrong = problem.errors().iter().map(|error| match error.field.trim_start_matches('/') {
        "" => format!("the argument {}", error.message),
        field => format!("{field} {}", error.message),
    });
    wrong.collect::<Vec<_>>().join("; ")
}

macro_rules! arguments {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ty $(= $default:ident)?),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name { $($(#[serde($default)])? pub $field: $kind,)* }
    )*};
}

arguments! {
    StartConversation { name: Option<String> = default, email: Option<String> = default, language: Option<String> = default }
    Resume { conversation_id: ConversationId, secret: Option<String> = default, after: Option<u64> = default }
    SendMessage { conversation_id: ConversationId, client_message_id: Uuid, text: String }
    Typing { conversation_id: ConversationId, typing: bool }
    Mark { conversation_id: ConversationId, seq: u64 }
    History { conversation_id: ConversationId, after: u64, limit: Option<u64> = default }
    /// A method that needs nothing but the conversation.
    Only { conversation_id: ConversationId }
    Rate { conversation_id: ConversationId, score: i64, comment: Option<String> = default }
    SendTranscript { conversation_id: ConversationId, email: Option<String> = default }
    LeaveAddress { conversation_id: ConversationId, email: String }
    Answer { conversation_id: ConversationId, answer_id: Uuid }
    SetAvailability {
        status: AgentStatus,
        capacity: Option<i64> = default,
        skills: Option<Vec<Skill>> = default,
        languages: Option<Vec<String>> = default,
    }
    Open { conversation_id: ConversationId, after: Option<u64> = default }
    AddNote { conversation_id: ConversationId, text: String }
    Transfer { conversation_id: ConversationId, agent_id: Option<CustomerId> = default, skill: Option<Skill> = default }
    Close { conversation_id: ConversationId, resolution: Resolution }
}

/// Answer of `StartConversation`.
#[derive(Debug, Serialize)]
pub struct Started {
    pub conversation: Conversation,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// Answer of `Resume`.
#[derive(Debug, Serialize)]
pub struct Resumed {
    pub conversation: Conversation,
    pub messages: Vec<ChatMessage>,
    pub more: bool,
}

/// Answer of `SendMessage`.
#[derive(Debug, Serialize)]
pub struct Sent {
    pub seq: u64,
    pub at: Timestamp,
}

/// Answer of `Accept`, `Open` and `Reopen`.
#[derive(Debug, Serialize)]
pub struct Opened {
    pub conversation: Conversation,
    pub messages: Vec<ChatMessage>,
    pub more: bool,
    pub notes: Vec<ChatNote>,
    pub context: CustomerContext,
}

/// Answer of `SetAvailability`.
#[derive(Debug, Serialize)]
pub struct AgentState {
    pub status: AgentStatus,
    pub capacity: u32,
    pub open: u32,
    pub skills: Vec<Skill>,
    pub languages: Vec<String>,
}

/// Who waits, in order, and who is there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueueState {
    pub waiting: Vec<Conversation>,
    pub agents: Vec<AgentAtWork>,
}

/// An agent as colleagues see them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgentAtWork {
    pub agent: ChatAgent,
    pub status: AgentStatus,
    pub open: u32,
    pub capacity: u32,
}

/// Answer of `CannedReplies`.
pub type Canned = Vec<CannedReply>;

/// Event `typing`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TypingEvent {
    pub conversation_id: ConversationId,
    pub author: AuthorKind,
    pub name: String,
    pub typing: bool,
}

/// Event `receipt`.
#[derive(Debug, Serialize)]
pub struct ReceiptEvent {
    pub conversation_id: ConversationId,
    pub side: &'static str,
    pub delivered: u64,
    pub read: u64,
}

/// Event `presence`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PresenceEvent {
    pub conversation_id: ConversationId,
    pub customer_online: bool,
    pub agent_online: bool,
}

/// Event `queue_position`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PositionEvent {
    pub conversation_id: ConversationId,
    pub position: u32,
    pub waiting: u32,
    pub answer_by_mail: bool,
}

/// Events `agent_joined` and `agent_left`.
#[derive(Debug, Serialize)]
pub struct AgentEvent {
    pub conversation_id: ConversationId,
    pub agent: ChatAgent,
}

/// Event `answer`.
#[derive(Debug, Serialize)]
pub struct AnswerEvent {
    pub conversation_id: ConversationId,
    pub answer_id: Uuid,
}

/// Event `deleted`.
#[derive(Debug, Serialize)]
pub struct DeletedEvent {
    pub conversation_id: ConversationId,
}
