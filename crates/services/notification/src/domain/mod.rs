//! What the shop writes to its customers. Pure: an event in, a mail out.

pub mod limits;
pub mod link;

use askama::Template;
use bookworm_contracts::events::{
    chat::{AnsweredByMail, TranscriptLine, TranscriptRequested},
    identity::{EmailConfirmationRequested, EmailConfirmed, PasswordResetRequested},
    ordering::{OrderCancelled, OrderConfirmed, OrderRefunded, OrderRejected, OrderShipped, OrderSummary},
    rating::ReviewInvited,
};
use bookworm_kernel::{Email, Money, TimeZone};
use uuid::Uuid;

use self::limits::Group;

/// What stands above and below every mail.
#[derive(Debug, Clone)]
pub struct Letterhead {
    /// The shop's name.
    pub shop: String,
    /// The shop's address on the web, without a slash at its end.
    pub origin: String,
    /// Whose clocks the mails go by.
    pub zone: TimeZone,
}

/// The line that a mail begins with. A guest of the chat who gave no name is called by the word for one.
fn greeting(name: &str) -> String {
    match name.trim() {
        "" | "Guest" => "Hello,".to_owned(),
        name => format!("Dear {name},"),
    }
}

/// `1 minute`, `45 minutes`, `2 hours`
fn minutes(minutes: &u32) -> String {
    let (count, unit) =
        if *minutes >= 60 && minutes.is_multiple_of(60) { (minutes / 60, "hour") } else { (*minutes, "minute") };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// A mail that is written and not yet queued.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Stable name of what it is about.
    pub kind: &'static str,
    /// Who gets it.
    pub to: Email,
    /// One line.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// The order it is about.
    pub order_id: Option<Uuid>,
    /// Where one request ends mails of this kind (RFC 8058), for mails that nobody needs.
    pub unsubscribe: Option<String>,
}

/// Whether a mail may be caused at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Not counted: the sender was admitted before, or the shop itself writes.
    Free,
    /// Counted now, for this sender (empty when nobody is known).
    Counted {
        /// What it is about.
        group: Group,
        /// Who caused it.
        sender: String,
        /// Whether the address is known to be its reader's.
        proven: bool,
    },
}

/// Something that leads to a mail.
pub trait Occasion {
    /// Whether it may be caused.
    fn admission(&self) -> Admission {
        Admission::Free
    }

    /// For what the reader must prove the address first; `None` when that is not needed. Until then only a fixed text
    /// goes there, without a word of whoever named the address.
    fn wants_proof(&self) -> Option<String> {
        None
    }

    /// Writes the mail.
    ///
    /// # Errors
    /// When a template fails, which is a fault of ours.
    fn write(&self, letterhead: &Letterhead) -> Result<Draft, askama::Error>;
}

/// What buyers cause themselves is counted; what the shop does to an order is not.
fn caused_by_a_buyer(order: &OrderSummary) -> Admission {
    Admission::Counted { group: Group::Order, sender: order.placed_from.clone().unwrap_or_default(), proven: false }
}

#[derive(Template)]
#[template(path = "order_confirmed.txt")]
struct ConfirmedText<'a> {
    head: &'a Letterhead,
    order: &'a OrderSummary,
}

#[derive(Template)]
#[template(path = "order_confirmed.html")]
struct ConfirmedHtml<'a> {
    head: &'a Letterhead,
    order: &'a OrderSummary,
}

impl Occasion for OrderConfirmed {
    fn admission(&self) -> Admission {
        caused_by_a_buyer(&self.order)
    }

    fn write(&self, head: &Letterhead) -> Result<Draft, askama::Error> {
        Ok(Draft {
            kind: "order_confirmed",
            to: self.order.email.clone(),
            subject: format!("Your order {} is confirmed", self.order.number),
            text: ConfirmedText { head, order: &self.order }.render()?,
            html: ConfirmedHtml { head, order: &self.order }.render()?,
            order_id: Some(self.order.order_id.uuid()),
            unsubscribe: None,
        })
    }
}

#[derive(Template)]
#[template(path = "order_rejected.txt")]
struct RejectedText<'a> {
    head: &'a Letterhead,
    order: &'a OrderSummary,
    reason: &'a str,
}

#[derive(Template)]
#[template(path = "order_rejected.html")]
struct RejectedHtml<'a> {
    head: &'a Letterhead,
    order: &'a OrderSummary,
    reason: &'a str,
}

impl Occasion for OrderRejected {
    fn admission(&self) -> Admission {
        caused_by_a_buyer(&self.order)
    }

    fn write(&self, head: &Letterhead) -> Result<Draft, askama::Error> {
        Ok(Draft {
            kind: "order_rejected",
            to: self.order.email.clone(),
            subject: format!("We couldn’t confirm your order {}", self.order.number),
            text: RejectedText { head, order: &self.order, reason: &self.reason }.render()?,
            html: RejectedHtml { head, order: &self.order, reason: &self.reason }.render()?,
            order_id: Some(self.order.order_id.uuid()),
            unsubscribe: None,
        })
    }
}

#[derive(Template)]
#[template(path = "order_cancelled.txt")]
struct CancelledText<'a> {
    head: &'a Letterhead,
    order: &'a OrderSummary,
    reason: &'a str,
}

#[derive(Template)]
#[template(path = "order_cancelled.html")]
struct CancelledHtml<'a> {
    head: &'a Letterhead,
    order: &'a OrderSummary,
    reason: &'a str,
}

impl Occasion for OrderCancelled {
    fn admission(&self) -> Admission {
        caused_by_a_buyer(&self.order)
    }

    fn write(&self, head: &Letterhead) -> Result<Draft, askama::Error> {
        Ok(Draft {
            kind: "order_cancelled",
            to: self.order.email.clone(),
            subject: format!("Your order {} is cancelled", self.order.number),
            text: CancelledText { head, order: &self.order, reason: &self.reason }.render()?,
            html: CancelledHtml { head, order: &self.order, reason: &self.reason }.render()?,
            order_id: Some(self.order.order_id.uuid()),
            unsubscribe: None,
        })
    }
}

#[derive(Template)]
#[template(path = "order_shipped.txt")]
struct ShippedText<'a> {
    head: &'a Letterhead,
    order: &'a OrderSummary,
    tracking: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "order_shipped.html")]
struct ShippedHtml<'a> {
    head: &'a Letterhead,
    order: &'a OrderSummary,
    tracking: Option<&'a str>,
}

impl Occasion for OrderShipped {
    fn write(&self, head: &Letterhead) -> Result<Draft, askama::Error> {
        Ok(Draft {
            kind: "order_shipped",
            to: self.order.email.clone(),
            subject: format!("Your order {} has shipped", self.order.number),
            text: ShippedText { head, order: &self.order, tracking: self.tracking.as_deref() }.render()?,
            html: ShippedHtml { head, order: &self.order, tracking: self.tracking.as_deref() }.render()?,
            order_id: Some(self.order.order_id.uuid()),
            unsubscribe: None,
        })
    }
}

#[derive(Template)]
#[template(path = "order_refunded.txt")]
struct RefundedText<'a> {
    head: &'a Letterhead,
    order: &'a OrderSummary,
    amount: Money,
    reason: &'a str,
}

#[derive(Template)]
#[template(path = "order_refunded.html")]
struct RefundedHtml<'a> {
    head: &'a Letterhead,
    order: &'a OrderSummary,
    amount: Money,
    reason: &'a str,
}

impl Occasion for OrderRefunded {
    fn write(&self, head: &Letterhead) -> Result<Draft, askama::Error> {
        Ok(Draft {
            kind: "order_refunded",
            to: self.order.email.clone(),
            subject: format!("Your refund for order {}", self.order.number),
            text: RefundedText { head, order: &self.order, amount: self.amount, reason: &self.reason }.render()?,
            html: RefundedHtml { head, order: &self.order, amount: self.amount, reason: &self.reason }.render()?,
            order_id: Some(self.order.order_id.uuid()),
            unsubscribe: None,
        })
    }
}

#[derive(Template)]
#[template(path = "welcome.txt")]
struct WelcomeText<'a> {
    head: &'a Letterhead,
    name: &'a str,
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomeHtml<'a> {
    head: &'a Letterhead,
    name: &'a str,
}

impl Occasion for EmailConfirmed {
    fn write(&self, head: &Letterhead) -> Result<Draft, askama::Error> {
        Ok(Draft {
            kind: "welcome",
            to: self.email.clone(),
            subject: format!("Welcome to {}", head.shop),
            text: WelcomeText { head, name: &self.name }.render()?,
            html: WelcomeHtml { head, name: &self.name }.render()?,
            order_id: None,
            unsubscribe: None,
        })
    }
}

/// The kind of the mail with a link that confirms an account's address.
pub const CONFIRM_EMAIL: &str = "confirm_email";
/// The kind of the mail with a link that proves an address for something else.
pub const CONFIRM_MAIL: &str = "confirm_mail";

#[derive(Template)]
#[template(path = "confirm_email.txt")]
struct ConfirmEmailText<'a> {
    head: &'a Letterhead,
    token: &'a str,
    hours: u32,
}

#[derive(Template)]
#[template(path = "confirm_email.html")]
struct ConfirmEmailHtml<'a> {
    head: &'a Letterhead,
    token: &'a str,
    hours: u32,
}

impl Occasion for EmailConfirmationRequested {
    fn write(&self, head: &Letterhead) -> Result<Draft, askama::Error> {
        let (token, hours) = (self.token.as_str(), self.hours);
        Ok(Draft {
            kind: CONFIRM_EMAIL,
            to: self.email.clone(),
            subject: format!("Confirm your email address for {}", head.shop),
            text: ConfirmEmailText { head, token, hours }.render()?,
            html: ConfirmEmailHtml { head, token, hours }.render()?,
            order_id: None,
            unsubscribe: None,
        })
    }
}

#[derive(Template)]
#[template(path = "confirm_mail.txt")]
struct ConfirmMailText<'a> {
    head: &'a Letterhead,
    token: &'a str,
    hours: u64,
}

#[derive(Template)]
#[template(path = "confirm_mail.html")]
struct ConfirmMailHtml<'a> {
    head: &'a Letterhead,
    token: &'a str,
    hours: u64,
}

/// The fixed text that goes to an address that a stranger named.
///
/// # Errors
/// When a template fails, which is a fault of ours.
pub fn ask_for_proof(to: Email, token: &link::Token, head: &Letterhead) -> Result<Draft, askama::Error> {
    let (token, hours) = (token.reveal(), link::VALID_FOR.as_secs() / 3600);
    Ok(Draft {
        kind: CONFIRM_MAIL,
        to,
        subject: format!("Your chat with {}: confirm your email address", head.shop),
        text: ConfirmMailText { head, token, hours }.render()?,
        html: ConfirmMailHtml { head, token, hours }.render()?,
        order_id: None,
        unsubscribe: None,
    })
}

/// The kind of the mail with a link that sets a new password.
pub const PASSWORD_RESET: &str = "password_reset";

#[derive(Template)]
#[template(path = "password_reset.txt")]
struct PasswordResetText<'a> {
    head: &'a Letterhead,
    name: &'a str,
    token: &'a str,
    minutes: u32,
}

#[derive(Template)]
#[template(path = "password_reset.html")]
struct PasswordResetHtml<'a> {
    head: &'a Letterhead,
    name: &'a str,
    token: &'a str,
    minutes: u32,
}

impl Occasion for PasswordResetRequested {
    fn write(&self, head: &Letterhead) -> Result<Draft, askama::Error> {
        let (name, token, minutes) = (self.name.as_str(), self.token.as_str(), self.minutes);
        Ok(Draft {
            kind: PASSWORD_RESET,
            to: self.email.clone(),
            subject: format!("Reset your {} password", head.shop),
            text: PasswordResetText { head, name, token, minutes }.render()?,
            html: PasswordResetHtml { head, name, token, minutes }.render()?,
            order_id: None,
            unsubscribe: None,
        })
    }
}

#[derive(Template)]
#[template(path = "chat_answer.txt")]
struct AnswerText<'a> {
    head: &'a Letterhead,
    answer: &'a AnsweredByMail,
}

#[derive(Template)]
#[template(path = "chat_answer.html")]
struct AnswerHtml<'a> {
    head: &'a Letterhead,
    answer: &'a AnsweredByMail,
}

impl Occasion for AnsweredByMail {
    fn admission(&self) -> Admission {
        Admission::Counted { group: Group::Chat, sender: self.sender.clone(), proven: self.proven }
    }

    fn wants_proof(&self) -> Option<String> {
        (!self.proven).then(|| format!("conversation:{}", self.conversation_id))
    }

    fn write(&self, head: &Letterhead) -> Result<Draft, askama::Error> {
        Ok(Draft {
            kind: "chat_answer",
            to: self.email.clone(),
            subject: format!("A reply from {}", head.shop),
            text: AnswerText { head, answer: self }.render()?,
            html: AnswerHtml { head, answer: self }.render()?,
            order_id: None,
            unsubscribe: None,
        })
    }
}

#[derive(Template)]
#[template(path = "chat_transcript.txt")]
struct TranscriptText<'a> {
    head: &'a Letterhead,
    name: &'a str,
    lines: &'a [Spoken<'a>],
}

#[derive(Template)]
#[template(path = "chat_transcript.html")]
struct TranscriptHtml<'a> {
    head: &'a Letterhead,
    name: &'a str,
    lines: &'a [Spoken<'a>],
}

/// A line of a transcript, as it is written.
struct Spoken<'a> {
    name: &'a str,
    text: &'a str,
    at: String,
}

impl<'a> Spoken<'a> {
    fn of(line: &'a TranscriptLine, zone: TimeZone) -> Self {
        Self { name: &line.name, text: &line.text, at: zone.date_time_zone(line.at) }
    }
}

impl Occasion for TranscriptRequested {
    fn wants_proof(&self) -> Option<String> {
        (!self.proven).then(|| format!("conversation:{}", self.conversation_id))
    }

    fn write(&self, head: &Letterhead) -> Result<Draft, askama::Error> {
        let lines: Vec<Spoken<'_>> = self.lines.iter().map(|line| Spoken::of(line, head.zone)).collect();
        let (name, lines) = (self.customer_name.as_str(), lines.as_slice());
        Ok(Draft {
            kind: "chat_transcript",
            to: self.email.clone(),
            subject: format!("Your conversation with {}", head.shop),
            text: TranscriptText { head, name, lines }.render()?,
            html: TranscriptHtml { head, name, lines }.render()?,
            order_id: None,
            unsubscribe: None,
        })
    }
}

/// The kind of the mail that asks for reviews, whose links write them.
pub const REVIEW_INVITATION: &str = "review_invitation";

#[derive(Template)]
#[template(path = "review_invitation.txt")]
struct InvitationText<'a> {
    head: &'a Letterhead,
    invited: &'a ReviewInvited,
}

#[derive(Template)]
#[template(path = "review_invitation.html")]
struct InvitationHtml<'a> {
    head: &'a Letterhead,
    invited: &'a ReviewInvited,
}

impl Occasion for ReviewInvited {
    fn write(&self, head: &Letterhead) -> Result<Draft, askama::Error> {
        let subject = match self.books.as_slice() {
            [book] => format!("How did you like “{}”?", shortened(&book.title)),
            _ => "How did you like your books?".to_owned(),
        };
        Ok(Draft {
            kind: REVIEW_INVITATION,
            to: self.email.clone(),
            subject,
            text: InvitationText { head, invited: self }.render()?,
            html: InvitationHtml { head, invited: self }.render()?,
            order_id: Some(self.order_id.uuid()),
            unsubscribe: Some(format!("{}/api/v1/review-invitations/unsubscribe?token={}", head.origin, self.token)),
        })
    }
}

/// A title as a subject has room for it: at most 60 characters.
fn shortened(title: &str) -> String {
    const MOST: usize = 60;
    match title.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", title[..end].trim_end()),
        None => title.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_addressed_as_guest() {
        assert_eq!(greeting("Ada Reader"), "Dear Ada Reader,");
        for unnamed in ["", "  ", "Guest"] {
            assert_eq!(greeting(unnamed), "Hello,");
        }
    }

    #[test]
    fn times_are_counted_as_people_do() {
        let all: Vec<String> = [1, 2, 45, 60, 90, 120, 1440].iter().map(minutes).collect();
        assert_eq!(all, ["1 minute", "2 minutes", "45 minutes", "1 hour", "90 minutes", "2 hours", "24 hours"]);
    }
}
