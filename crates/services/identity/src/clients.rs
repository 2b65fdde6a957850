//! What identity asks of other roles: whether a mail may be sent, and to merge a guest's basket.

use std::time::Duration;

use bookworm_contracts::grpc::{
    self, Edge,
    basket::{MergeGuestRequest, basket_client::BasketClient},
    notification::{AdmitRequest, mailroom_client::MailroomClient},
};
use bookworm_http::{ClientAddress, Problem};
use bookworm_kernel::{Cause, CustomerId, Email, ErrorCode};

/// The roles that are asked.
#[derive(Debug)]
pub(crate) struct Clients {
    pub basket: BasketClient<Edge>,
    pub mail: MailroomClient<Edge>,
}

/// Why a mail is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoMail {
    /// This client has caused too many.
    Sender(Duration),
    /// The mailbox has got too many, or too many are sent in all.
    Busy(Duration),
    /// Nobody could be asked.
    NoAnswer,
}

impl From<NoMail> for Problem {
    fn from(no: NoMail) -> Self {
        let too_many = |words: &str, wait| Self::new(ErrorCode::TooManyRequests).detail(words).retry_after(wait);
        match no {
            NoMail::Sender(wait) => {
                too_many("Too many e-mails were asked for from here. Please try again later.", wait)
            }
            NoMail::Busy(wait) => too_many("We can’t send another e-mail to this address yet. Try again later.", wait),
            NoMail::NoAnswer => Self::new(ErrorCode::Unavailable).retry_after(Duration::from_secs(5)),
        }
    }
}

impl Clients {
    /// Asks whether a mail of this kind may be sent; a yes counts.
    pub(crate) async fn may_mail(
        &self,
        kind: &str,
        from: ClientAddress,
        to: &Email,
        proven: bool,
        cause: &Cause,
    ) -> Result<(), NoMail> {
        let request = AdmitRequest {
            kind: kind.to_owned(),
            sender: from.fingerprint(),
            recipient: to.as_str().to_owned(),
            proven,
        };
        let answer = self.mail.clone().admit(grpc::request(cause, request)).await;
        let answer = answer.map_err(|_| NoMail::NoAnswer)?.into_inner();
        let wait = Duration::from_secs(answer.wait_seconds);
        match (answer.granted, answer.limit.as_str()) {
            (true, _) => Ok(()),
            (false, "sender") => Err(NoMail::Sender(wait)),
            (false, _) => Err(NoMail::Busy(wait)),
        }
    }

    /// Merges the basket that was filled as a guest. Best effort: signing in never fails for it, and the basket merges
    /// by itself when a later request brings both secrets.
    pub(crate) async fn merge_basket(&self, customer: CustomerId, guest_token: Option<String>, cause: &Cause) {
        let Some(guest_token) = guest_token else { return };
        let request = MergeGuestRequest { customer_id: customer.to_string(), guest_token };
        if let Err(status) = self.basket.clone().merge_guest(grpc::request(cause, request)).await {
            metrics::counter!("identity_basket_merge_failures_total").increment(1);
            tracing::warn!(why = status.code().description(), "a guest's basket was not merged");
        }
    }
}
