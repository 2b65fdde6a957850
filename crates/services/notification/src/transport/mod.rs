//! How a mail is sent.

mod mailbox;
mod smtp;

use std::sync::Arc;

use async_trait::async_trait;
use bookworm_config::{Mail as Settings, MailTransport};
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
    /// Where one request ends mails of this kind.
    pub unsubscribe: Option<String>,
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

/// The mail settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("mail.{0}")]
pub struct SettingsError(String);

/// The transport that the settings name.
pub fn of(settings: &Settings) -> Result<Arc<dyn Transport>, SettingsError> {
    Ok(match settings.transport {
        MailTransport::Mailbox => Arc::new(Mailbox),
        MailTransport::Smtp => Arc::new(Smtp::new(settings).map_err(SettingsError)?),
    })
}
