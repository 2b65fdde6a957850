//! The payment provider: another company, asked over a network that may fail at any moment.

pub mod sandbox;

use std::time::Duration;

use async_trait::async_trait;
use bookworm_contracts::rest::ordering::PaymentMethod;
use bookworm_kernel::{Money, OrderId, PaymentId};
use uuid::Uuid;

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
    /// How much.
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
}

/// What a webhook is about. What it says beyond that is not believed: the payment is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookEvent {
    /// The event's id: the same however often it is delivered.
    pub id: String,
    /// The payment that changed.
    pub payment_id: PaymentId,
}

/// What finance needs of a payment provider.
///
/// Every call that changes something carries an idempotency key: the same key has the same effect once, however often
/// it is sent, so that a call whose outcome is not known can simply be made again. Every answer is the payment as the
/// provider holds it then.
#[async_trait]
pub trait PaymentProvider: Send + Sync + 'static {
    /// Its stable name, e.g. `sandbox`; also the last part of its webhook's path.
    fn name(&self) -> &'static str;

    /// The secret with which it signs its webhooks.
    fn webhook_secret(&self) -> &[u8];

    /// Reads the body of a webhook whose signature is good; `None` when it is not one.
    fn read_webhook(&self, body: &[u8]) -> Option<WebhookEvent>;

    /// What customers may choose without entering a card; a provider with real cards has none.
    fn methods(&self) -> Vec<PaymentMethod> {
        Vec::new()
    }

    /// Asks for the money, without taking it.
    async fn authorise(&self, key: &str, request: &AuthoriseRequest) -> Result<ProviderPayment, ProviderError>;

    /// Takes the authorised money, all of it.
    async fn capture(&self, key: &str, payment: PaymentId) -> Result<ProviderPayment, ProviderError>;

    /// Lets the payment go. Afterwards nothing is held and nothing can be any more: an `authorise` of this payment
    /// that was sent before and arrives later is declined. Refused when the money was taken.
    async fn void(&self, key: &str, payment: PaymentId) -> Result<ProviderPayment, ProviderError>;

    /// Gives this much of the taken money back, once for each `refund`.
    async fn refund(
        &self,
        key: &str,
        payment: PaymentId,
        refund: Uuid,
        amount: Money,
    ) -> Result<ProviderPayment, ProviderError>;

    /// The payment as it is now; `None` when the provider has never heard of it.
    async fn fetch(&self, payment: PaymentId) -> Result<Option<ProviderPayment>, ProviderError>;
}
