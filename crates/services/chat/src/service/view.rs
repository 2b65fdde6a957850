//! Conversations as the API and the hub show them: the one place where the domain's types become public ones.

use bookworm_contracts::rest::chat as rest;

use crate::{
    domain::{
        agent::ChatAgent,
        conversation::{Conversation, ConversationStatus, ReadState},
        message::{AuthorKind, Link, MAX_MESSAGE_CHARS, Message, Note},
    },
    store::CannedReply,
};

const _: () = assert!(MAX_MESSAGE_CHARS == rest::MAX_MESSAGE_CHARS, "the API promises another length");

/// Conversions between a public enum and one of the domain that have the same variants.
macro_rules! same_variants {
    ($public:ty, $domain:ty { $($variant:ident),* $(,)? }) => {
        impl From<$domain> for $public {
            fn from(value: $domain) -> Self {
                match value { $(<$domain>::$variant => Self::$variant,)* }
            }
        }
        impl From<$public> for $domain {
            fn from(value: $public) -> Self {
                match value { $(<$public>::$variant => Self::$variant,)* }
            }
        }
    };
}
pub(crate) use same_variants;

same_variants!(rest::ConversationStatus, ConversationStatus { Bot, Queued, WithAgent, Resolved, Closed });
same_variants!(rest::AuthorKind, AuthorKind { Customer, Bot, Agent, System });

impl From<ChatAgent> for rest::ChatAgent {
    fn from(agent: ChatAgent) -> Self {
        Self { id: agent.id, name: agent.name }
    }
}

impl From<ReadState> for rest::ReadState {
    fn from(state: ReadState) -> Self {
        Self { delivered: state.delivered, read: state.read }
    }
}

impl From<Link> for rest::ChatLink {
    fn from(link: Link) -> Self {
        Self { title: link.title, href: link.href }
    }
}

impl From<Message> for rest::ChatMessage {
    fn from(message: Message) -> Self {
        Self {
            conversation_id: message.conversation_id,
            seq: message.seq,
            author: message.author.into(),
            agent_id: message.agent_id,
            name: message.name,
            text: message.text,
            links: message.links.into_iter().map(Into::into).collect(),
            suggestions: message.suggestions,
            client_message_id: message.client_message_id,
            answer_id: message.answer_id,
            at: message.at,
        }
    }
}

impl From<Note> for rest::ChatNote {
    fn from(note: Note) -> Self {
        Self { conversation_id: note.conversation_id, agent: note.agent.into(), text: note.text, at: note.at }
    }
}

impl From<CannedReply> for rest::CannedReply {
    fn from(reply: CannedReply) -> Self {
        Self { shortcut: reply.shortcut, text: reply.text }
    }
}

/// A conversation; `position` is its place in the queue, from 1.
pub fn conversation(conversation: &Conversation, position: Option<u32>) -> rest::Conversation {
    let queued = conversation.status == ConversationStatus::Queued;
    rest::Conversation {
        id: conversation.id,
        status: conversation.status.into(),
        customer_id: conversation.customer.id,
        customer_name: conversation.customer.name.clone(),
        language: conversation.language.clone(),
        agent: conversation.agent.clone().map(Into::into),
        intent: conversation.intent.clone(),
        queue_position: position.filter(|_| queued),
        waiting_since: conversation.waiting.map(|waiting| waiting.since).filter(|_| queued),
        answer_by_mail: conversation.will_be_answered_by_mail(),
        email_known: conversation.customer.email.is_some(),
        last_seq: conversation.last_seq,
        customer_read: conversation.customer_read.into(),
        agent_read: conversation.agent_read.into(),
        rating: conversation.rating.as_ref().map(|rating| rating.score),
        preview: conversation.preview.clone(),
        started_at: conversation.started_at,
        updated_at: conversation.updated_at,
        version: conversation.version,
    }
}
