//! How a mail leaves the house.

mod mailbox;
mod smtp;

use async_trait::async_trait;
use uuid::Uuid;

pub use self::{mailbox::Mailbox, smtp::Smtp};

/// A mail to hand over.
#[derive(Clone)]
pub struct Outgoing {
    /// The mail; its Message-ID is made of it, so that a mail sent twice after a crash can be recognised.
    pub id: Uuid,
    /// Who gets it.
    pub to: String,
    /// One line.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
}

/// Where a mail is once a transport has taken it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handover {
    /// With a mail server, which is responsible for it now.
    Sent,
    /// Still here, for staff to read: no mail server is set.
    Kept,
}

/// Why a mail did not leave.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// It may leave later.
    #[error("{0}")]
    Later(String),
    /// It never will: the server refuses the address or the mail.
    #[error("{0}")]
    Refused(String),
}

/// Takes mails.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Hands a mail over, once and for all.
    async fn send(&self, mail: &Outgoing) -> Result<Handover, TransportError>;
}
