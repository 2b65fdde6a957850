//! The bot: answers what can be looked up.
//!
//! It is called once for each message that a customer writes while no person answers. It knows only the turn and what it
//! looks up with the customer's own rights, so no message can widen them.
//!
//! | to change | open |
//! |---|---|
//! | which intent gets which answer | `responder.rs` |
//! | answers about orders, delivery, books, the shop | `orders.rs`, `delivery.rs`, `books.rs`, `house.rs` |
//! | answers without a look-up | `talk.rs` |
//! | how the shop is called | `lookup.rs` |
//! | the policies that come with the program | `data/policies/` |
//! | how a language model puts answers into words | `writer.rs` |
//! | what the model never sees, and what it may not say | `mask.rs`, `verify.rs` |

mod answer;
mod ask;
mod books;
mod delivery;
mod house;
mod lookup;
mod mask;
mod orders;
mod policies;
mod reference;
mod responder;
mod talk;
mod topic;
mod verify;
mod writer;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod writer_tests;

use async_trait::async_trait;
use bookworm_kernel::{Cause, ConversationId};
use tokio::sync::mpsc;

pub use self::{
    policies::{Policies, PolicyText},
    responder::Bot,
    writer::Writer,
};
use crate::domain::{
    agent::Skill,
    message::Link,
    reply::{HandOver, Memory, Pending, Reason, Reply},
};

/// Answers customers' messages while no person does.
#[async_trait]
pub trait Responder: Send + Sync {
    /// Answers one message. Never fails: when a look-up fails the reply says so, or hands over to a person.
    ///
    /// `draft` gets the pieces of an answer while a language model writes it; its receiver may be dropped. Repeating a
    /// turn (after a crash) must be harmless.
    async fn answer(&self, turn: Turn, draft: mpsc::Sender<String>) -> Reply;
}

/// A customer's message and what belongs to it.
#[derive(Debug, Clone)]
pub struct Turn {
    /// The conversation.
    pub conversation: ConversationId,
    /// The message's text.
    pub text: String,
    /// The messages before it, oldest first, at most 12.
    pub before: Vec<Utterance>,
    /// The bot's memory of this conversation.
    pub memory: Memory,
    /// The rights with which to ask the shop.
    pub rights: Rights,
    /// How to address them.
    pub customer_name: String,
    /// The language they write (ISO 639-1).
    pub language: String,
    /// The cause of calls that follow.
    pub cause: Cause,
}

/// An earlier message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Utterance {
    /// Whether the customer wrote it.
    pub by_customer: bool,
    /// Its text.
    pub text: String,
}

/// The customer's own rights in the shop. Never stored, never printed.
#[derive(Clone, Default)]
pub struct Rights {
    /// The access token of a customer who is signed in.
    pub access_token: Option<String>,
}

impl std::fmt::Debug for Rights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rights").field("signed_in", &self.access_token.is_some()).finish()
    }
}
