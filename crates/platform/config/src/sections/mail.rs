use bookworm_kernel::Email;
use serde::{Deserialize, Serialize};

use crate::{
    Secret,
    validate::{Validate, Validation},
};

/// Outgoing mail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mail {
    /// The sender, `Name <address>` or an address.
    pub from: String,
    /// Who takes the mails. Default `mailbox`.
    pub transport: MailTransport,
    /// How often a mail is tried: 1 to 100. Default 8.
    pub max_attempts: u32,
    /// The mail server, for the transport `smtp`.
    pub smtp: Smtp,
}

/// Who takes the mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailTransport {
    /// A mailbox in the data folder, read in the back office.
    Mailbox,
    /// A mail server.
    Smtp,
}

/// A mail server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Smtp {
    /// Its name.
    pub host: String,
    /// Its port: 1 to 65535. Default 587.
    pub port: u16,
    /// Who signs in; left out: nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The password of `username`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// How the connection is protected. Default `starttls`.
    pub tls: SmtpTls,
}

/// How a connection to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpTls {
    /// Begins in the clear and must switch to TLS (RFC 3207).
    Starttls,
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// Not at all: only for a server on the same machine.
    None,
}

impl Default for Mail {
    fn default() -> Self {
        Self {
            from: "BookWorm <shop@bookworm.example>".to_owned(),
            transport: MailTransport::Mailbox,
            max_attempts: 8,
            smtp: Smtp::default(),
        }
    }
}

impl Default for Smtp {
    fn default() -> Self {
        Self { host: String::new(), port: 587, username: None, password: None, tls: SmtpTls::Starttls }
    }
}

impl Validate for Mail {
    fn validate(&self, v: &mut Validation) {
        let address = match self.from.trim().strip_suffix('>') {
            Some(text) => text.rsplit_once('<').map_or("", |(_, address)| address),
            None => &self.from,
        };
        let valid = Email::parse(address).is_ok() && !self.from.chars().any(char::is_control);
        v.check("from", valid, "must be an e-mail address, or a name and an address in angle brackets");
        v.range("max_attempts", self.max_attempts, 1..=100);
        if self.transport == MailTransport::Smtp {
            v.section("smtp", &self.smtp);
        }
    }
}

impl Validate for Smtp {
    fn validate(&self, v: &mut Validation) {
        v.check("host", !self.host.trim().is_empty(), "must be set for the transport `smtp`");
        v.range("port", self.port, 1..=u16::MAX);
        let both = self.username.is_some() == self.password.is_some();
        v.check("password", both, "must be set exactly when mail.smtp.username is");
    }
}
