//! Agents: people who answer for the shop.

use bookworm_kernel::CustomerId;
use serde::{Deserialize, Serialize};

/// An agent's identity, as customers and colleagues see it. Part of stored documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatAgent {
    /// Their account.
    pub id: CustomerId,
    /// How to address them.
    pub name: String,
}

/// Whether an agent takes conversations. Part of stored documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentStatus {
    /// Takes new ones.
    Available,
    /// Goes on with those they have, takes no new ones.
    Away,
    /// Not at work.
    Offline,
}

/// A subject that an agent knows. Part of stored documents.
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
