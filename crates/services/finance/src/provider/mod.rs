//! The payment provider: another company, asked over a network that may fail at any moment.

mod providers;
pub mod sandbox;
mod traced;

use std::time::Duration;

use async_trait::async_trait;
use bookworm_contracts::rest::ordering::PaymentMethod;
use bookworm_kernel::{Money, OrderId, PaymentId, Timestamp};
use http::HeaderMap;
use uuid::Uuid;

use crate::domain::payment::Payment;

pub use self::providers::Providers;
pub use crate::domain::payment::{ProviderPayment, ProviderRefund, ProviderState};

/// A request for money.
#[derive(Clone)]
pub struct AuthoriseRequest {
    /// Ours; what the provider knows the payment by from now on.
    pub payment_id: PaymentId,
    /// The order it pays.
    pub order_id: OrderId,
    /// What stands on the customer's statement.
    pub order_number: String,
    /// Above zero.
    pub amount: Money,
    /// The provider's token for the customer's card.
    pub token: String,
    /// Path of the page to which the customer returns from their bank; may be empty.
    pub return_path: String,
}

impl std::fmt::Debug for AuthoriseRequest {
    /// Hides the card's token and the order's secret link.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthoriseRequest")
            .field("payment_id", &self.payment_id)
            .field("amount", &self.amount)
            .finish_non_exhaustive()
    }
}

/// Why a call brought no answer about the payment.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The provider refuses what was asked, for good: the payment is not in a state that permits it. Nothing changed.
    /// A declined card is not an error but [`ProviderState::Declined`].
    #[error("the payment provider refused: {0}")]
    Refused(String),
    /// It cannot be reached, or failed. Whether it did what was asked is not known.
    #[error("the payment provider does not answer")]
    Unavailable(#[source] Option<Box<dyn std::error::Error + Send + Sync>>),
    /// It did not answer in time. Whether it did what was asked is not known.
    #[error("the payment provider did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The payment was made with a provider that this shop has no settings for any more.
    #[error("this shop has no payment provider `{0}`")]
    Absent(String),
    /// It answers that it knows of no such payment.
    #[error("the payment provider knows of no such payment")]
    Unknown,
}

/// What a payment is known by at its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaymentRef<'a> {
    /// Ours, which the provider was given with the request.
    pub id: PaymentId,
    /// The provider's own; `None` until it has answered once.
    pub reference: Option<&'a str>,
}

impl PaymentRef<'_> {
    /// The reference of a payment.
    #[must_use]
    pub fn of(payment: &Payment) -> PaymentRef<'_> {
        PaymentRef { id: payment.id, reference: payment.reference.as_deref() }
    }
}

/// A webhook as it came, not believed yet.
#[derive(Clone, Copy)]
pub struct WebhookRequest<'a> {
    /// All headers, the signature's among them.
    pub headers: &'a HeaderMap,
    /// The body's bytes as they came: what is signed.
    pub body: &'a [u8],
    /// The present instant, for signatures that end.
    pub now: Timestamp,
}

/// Why a webhook is not taken. The text is for the answer, which the provider's operators read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// The signature is missing or has no shape.
    #[error("{0}")]
    Malformed(String),
    /// The signature is another's, or too old.
    #[error("{0}")]
    Untrusted(String),
    /// It is signed well, and not an event of this provider.
    #[error("The body is not an event of this provider.")]
    NotAnEvent,
}

/// Which payment a webhook is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// By our id.
    Payment(PaymentId),
    /// By the provider's own.
    Reference(String),
}

/// What a webhook is about. What it says beyond that is not believed: the payment is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEvent {
    /// The event's id: the same however often it is delivered.
    pub id: String,
    /// The payment that changed.
    pub subject: Subject,
}

/// What finance needs of a payment provider.
///
/// Every call that changes something carries an idempotency key: the same key has the same effect once, however often
/// it is sent, so that a call whose outcome is not known can simply be made again. Every answer is the provider's
/// record of the payment at that time.
#[async_trait]
pub trait PaymentProvider: Send + Sync + 'static {
    /// Its stable name, e.g. `sandbox`; also the last part of its webhook's path.
    fn name(&self) -> &'static str;

    /// Checks that a webhook is this provider's own, and reads it. Each provider signs in its own way.
    ///
    /// # Errors
    /// [`WebhookError`] when it is not to be believed, or is no event.
    fn open_webhook(&self, request: WebhookRequest<'_>) -> Result<WebhookEvent, WebhookError>;

    /// What customers may choose without entering a card; a provider with real cards has none.
    fn methods(&self) -> Vec<PaymentMethod> {
        Vec::new()
    }

    /// Asks for the money, without taking it.
    async fn authorise(&self, key: &str, request: &AuthoriseRequest) -> Result<ProviderPayment, ProviderError>;

    /// Takes the authorised money, all of it.
    async fn capture(&self, key: &str, payment: PaymentRef<'_>) -> Result<ProviderPayment, ProviderError>;

    /// Voids the payment. Afterwards nothing is set aside and nothing can be any more: an `authorise` of this payment
    /// that was sent before and arrives later is declined. Refused when the money was taken.
    async fn void(&self, key: &str, payment: PaymentRef<'_>) -> Result<ProviderPayment, ProviderError>;

    /// Gives this much of the taken money back, once for each `refund`.
    async fn refund(
        &self,
        key: &str,
        payment: PaymentRef<'_>,
        refund: Uuid,
        amount: Money,
    ) -> Result<ProviderPayment, ProviderError>;

    /// The payment as it is now; `None` when the provider does not know it.
    async fn fetch(&self, payment: PaymentRef<'_>) -> Result<Option<ProviderPayment>, ProviderError>;
}
