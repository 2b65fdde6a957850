//! Answers that a machine can give.
//!
//! The bot is asked once for each message that a customer writes while no person answers. It knows only what the turn
//! says and what it looks up with the customer's own rights, so nothing that somebody writes can widen them.
//!
//! | to change | open |
//! |---|---|
//! | which intent gets which answer | `responder.rs` |
//! | what is said of orders, delivery, books, the shop | `orders.rs`, `delivery.rs`, `books.rs`, `house.rs` |
//! | what is said when nothing is looked up | `talk.rs` |
//! | how the shop is asked | `lookup.rs` |
//! | the policies that come with the program | `data/policies/` |
//! | how a language model puts answers into words | `writer.rs` |
//! | what it never gets to see, and what it may not say | `mask.rs`, `verify.rs` |

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
use bookworm_contracts::rest::chat::ChatLink;
use bookworm_kernel::{Cause, ConversationId, OrderId};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

pub use self::{
    policies::{Policies, PolicyText},
    responder::Bot,
    writer::Writer,
};
use crate::domain::intent::Intent;

/// Whoever answers for the machine.
#[async_trait]
pub trait Responder: Send + Sync {
    /// Answers one message. Never fails: what cannot be looked up is said, or handed to a person.
    ///
    /// `draft` takes the words of an answer while a language model writes it; whoever is not interested drops the other
    /// end. Repeating a turn (after a crash) must be harmless.
    async fn answer(&self, turn: Turn, draft: mpsc::Sender<String>) -> Reply;
}

/// A customer's message and what belongs to it.
#[derive(Debug, Clone)]
pub struct Turn {
    /// The conversation.
    pub conversation: ConversationId,
    /// What they wrote.
    pub text: String,
    /// What was said before, oldest first, at most 12 messages.
    pub before: Vec<Said>,
    /// What the bot remembers of this conversation.
    pub memory: Memory,
    /// In whose name to ask the shop.
    pub rights: Rights,
    /// How to address them.
    pub customer_name: String,
    /// The language they write (ISO 639-1).
    pub language: String,
    /// What this belongs to.
    pub cause: Cause,
}

/// Something said earlier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Whether the customer said it.
    pub by_customer: bool,
    /// The words.
    pub text: String,
}

/// The customer's own means to ask the shop. Never stored, never printed.
#[derive(Clone, Default)]
pub struct Rights {
    /// Their access token, when they are signed in.
    pub access_token: Option<String>,
}

impl std::fmt::Debug for Rights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rights").field("signed_in", &self.access_token.is_some()).finish()
    }
}

/// What the bot keeps from one turn to the next. Part of the conversation's document.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// How many messages in a row it did not understand.
    pub not_understood: u32,
    /// What it will do when the customer says yes.
    pub pending: Option<Pending>,
    /// It asked for an order's number, or for a title, to answer this.
    pub asked_for: Option<Intent>,
}

/// Something that needs the customer's yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Pending {
    /// Calling an order off.
    CancelOrder {
        /// The order.
        order: OrderId,
        /// The number that people read out.
        number: String,
    },
}

/// What the bot comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// What it says, plain text of 1 to 4,000 characters.
    pub text: String,
    /// Pages of the shop that belong to it.
    pub links: Vec<ChatLink>,
    /// Short answers that the customer may want to give: at most 4.
    pub suggestions: Vec<String>,
    /// What it understood; none when it could not tell.
    pub intent: Option<Intent>,
    /// Why a person should go on, when one should.
    pub hand_over: Option<HandOver>,
    /// What it will remember.
    pub memory: Memory,
}

/// Why a person should answer, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandOver {
    /// The reason.
    pub reason: Reason,
    /// What the person should know about.
    pub skill: Skill,
}

/// Why a person should answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The customer complains.
    Complaint,
    /// Money is in question.
    PaymentTrouble,
    /// The customer wants a person.
    Wanted,
    /// Not understood twice in a row.
    NotUnderstood,
    /// The customer is upset.
    Upset,
    /// It takes rights or knowledge that the bot has not.
    BeyondTheBot,
}

/// What an agent knows about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skill {
    /// Orders and delivery.
    Orders,
    /// Payments, refunds, invoices.
    Payment,
    /// Books.
    Books,
    /// Accounts.
    Account,
    /// Everything else.
    General,
}
