//! Arguments and answers of the hub's methods: names and fields are those of `docs/chat-hub.md`.

use bookworm_contracts::rest::chat::{CannedReply, ChatMessage, ChatNote, Conversation, CustomerContext};
use bookworm_http::{Problem, read_json};
use bookworm_kernel::{ConversationId, CustomerId, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::{
    domain::{agent, conversation},
    service::{events::AgentStatus, view::same_variants},
};

/// A subject that an agent knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skill {
    Orders,
    Payment,
    Books,
    Account,
    General,
}

same_variants!(Skill, agent::Skill { Orders, Payment, Books, Account, General });

/// How an agent ends a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    Resolved,
    Closed,
}

same_variants!(Resolution, conversation::Resolution { Resolved, Closed });

/// The one argument of a method. An error in it is reported in the words of the API, not in those of the protocol.
#[derive(Debug)]
pub struct Args<T>(pub Result<T, String>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Args<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(Self(read_json(&value).map_err(|problem| in_words(&problem))))
    }
}

/// The errors of an argument: fields by their names, without the slash of a JSON pointer.
fn in_words(problem: &Problem) -> String {
    let errors = problem.errors().iter().map(|error| match error.field.trim_start_matches('/') {
        "" => format!("the argument {}", error.message),
        field => format!("{field} {}", error.message),
    });
    errors.collect::<Vec<_>>().join("; ")
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

/// Answer of `CannedReplies`.
pub type Canned = Vec<CannedReply>;
