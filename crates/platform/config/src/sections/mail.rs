use bookworm_kernel::Email;
use serde::{Deserialize, Deserializer, Serialize};

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
    /// How much mail strangers can cause.
    pub limits: MailLimits,
    /// The mail server, for the transport `smtp`.
    pub smtp: Smtp,
}

/// How much mail strangers can cause, by what it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailLimits {
    /// Links that confirm an address or set a new password. A new account counts as one.
    pub account: MailQuota,
    /// Transcripts and answers of the support chat.
    pub chat: MailQuota,
    /// Messages of the contact form, which cause no mail by themselves; the mailbox is the one that the answer goes to.
    pub contact: MailQuota,
    /// What happened to an order.
    #[serde(deserialize_with = "order_quota")]
    pub order: MailQuota,
}

/// How many mails of one sort are sent. A sender is a client's address: an IPv4 address, or the first 64 bits of an
/// IPv6 address. Each number is 0 to 1000000; 0 is none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailQuota {
    /// That one sender causes in an hour. Default 10; for orders 60.
    pub sender_hour: u32,
    /// That one sender causes in a day. Default 40; for orders 300.
    pub sender_day: u32,
    /// To one mailbox in an hour. Default 5; for orders 20.
    pub recipient_hour: u32,
    /// To one mailbox in a day. Default 20; for orders 60.
    pub recipient_day: u32,
    /// To addresses that nobody has proved to be theirs, in an hour, all senders together. Default
    /// 1000; for orders 5000.
    pub all_hour: u32,
    /// The same in a day. Default 5000; for orders 50000.
    pub all_day: u32,
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
            limits: MailLimits::default(),
            smtp: Smtp::default(),
        }
    }
}

impl Default for MailLimits {
    fn default() -> Self {
        let default = MailQuota::default();
        Self { account: default, chat: default, contact: default, order: ORDERS }
    }
}

impl Default for MailQuota {
    fn default() -> Self {
        Self { sender_hour: 10, sender_day: 40, recipient_hour: 5, recipient_day: 20, all_hour: 1_000, all_day: 5_000 }
    }
}

/// An order is worth more to its buyer, and dearer to cause.
const ORDERS: MailQuota = MailQuota {
    sender_hour: 60,
    sender_day: 300,
    recipient_hour: 20,
    recipient_day: 60,
    all_hour: 5_000,
    all_day: 50_000,
};

/// Keys that are left out have the defaults of orders.
fn order_quota<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MailQuota, D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Given {
        sender_hour: Option<u32>,
        sender_day: Option<u32>,
        recipient_hour: Option<u32>,
        recipient_day: Option<u32>,
        all_hour: Option<u32>,
        all_day: Option<u32>,
    }
    let given = Given::deserialize(deserializer)?;
    Ok(MailQuota {
        sender_hour: given.sender_hour.unwrap_or(ORDERS.sender_hour),
        sender_day: given.sender_day.unwrap_or(ORDERS.sender_day),
        recipient_hour: given.recipient_hour.unwrap_or(ORDERS.recipient_hour),
        recipient_day: given.recipient_day.unwrap_or(ORDERS.recipient_day),
        all_hour: given.all_hour.unwrap_or(ORDERS.all_hour),
        all_day: given.all_day.unwrap_or(ORDERS.all_day),
    })
}

impl Validate for MailLimits {
    fn validate(&self, v: &mut Validation) {
        v.section("account", &self.account);
        v.section("chat", &self.chat);
        v.section("contact", &self.contact);
        v.section("order", &self.order);
    }
}

impl Validate for MailQuota {
    fn validate(&self, v: &mut Validation) {
        for (key, value) in [
            ("sender_hour", self.sender_hour),
            ("sender_day", self.sender_day),
            ("recipient_hour", self.recipient_hour),
            ("recipient_day", self.recipient_day),
            ("all_hour", self.all_hour),
            ("all_day", self.all_day),
        ] {
            v.range(key, value, 0..=1_000_000);
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
        v.section("limits", &self.limits);
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
