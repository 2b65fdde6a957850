//! The hub's events: names and fields are those of `docs/chat-hub.md`.

use bookworm_contracts::rest::chat::{AuthorKind, ChatAgent, Conversation};
use bookworm_kernel::ConversationId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::view::same_variants;
use crate::domain::agent;

/// Whether an agent takes conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentStatus {
    Available,
    Away,
    Offline,
}

same_variants!(AgentStatus, agent::AgentStatus { Available, Away, Offline });

/// Event `queue`: who waits, in order, and who is at work.
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
