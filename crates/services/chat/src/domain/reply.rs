//! A machine's reply to a customer's message, and what it remembers for the next one.

use bookworm_kernel::OrderId;
use serde::{Deserialize, Serialize};

use super::{agent::Skill, intent::Intent, message::Link};

/// A machine's reply to one message.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Plain text of 1 to 4,000 characters.
    pub text: String,
    /// Pages of the shop that belong to it.
    pub links: Vec<Link>,
    /// Short answers to offer to the customer, at most 4.
    pub suggestions: Vec<String>,
    /// The intent of the message; `None` when it was not recognised.
    pub intent: Option<Intent>,
    /// Set when a person should go on.
    pub hand_over: Option<HandOver>,
    /// Replaces the conversation's memory.
    pub memory: Memory,
}

/// Why a person should answer, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HandOver {
    /// The reason.
    pub reason: Reason,
    /// The skill that the person should have.
    pub skill: Skill,
}

/// Why a person should answer. Part of stored documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The customer complains.
    Complaint,
    /// There is a problem with a payment.
    PaymentTrouble,
    /// The customer wants a person.
    Wanted,
    /// Two messages in a row were not understood.
    NotUnderstood,
    /// The customer is upset.
    Upset,
    /// The bot lacks the rights or the knowledge.
    BeyondTheBot,
}

impl Reason {
    /// Its public name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Complaint => "complaint",
            Self::PaymentTrouble => "payment_trouble",
            Self::Wanted => "wanted",
            Self::NotUnderstood => "not_understood",
            Self::Upset => "upset",
            Self::BeyondTheBot => "beyond_the_bot",
        }
    }
}

/// What the machine remembers from one message to the next. Part of stored documents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// How many messages in a row it did not understand.
    pub not_understood: u32,
    /// What it will do when the customer confirms.
    pub pending: Option<Pending>,
    /// The intent for which it asked for an order's number, or for a title.
    pub asked_for: Option<Intent>,
}

/// An action that waits for the customer's confirmation. Part of stored documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Pending {
    /// Cancelling an order.
    CancelOrder {
        /// The order.
        order: OrderId,
        /// The order's number for people.
        number: String,
    },
}
