//! How a command is carried out: intent, call, outcome.

use std::{sync::Arc, time::Duration};

use bookworm_contracts::events::finance as events;
use bookworm_db::{Db, DbError, Tx};
use bookworm_kernel::{Cause, Clock, OrderId, PaymentId, Timestamp};
use bookworm_messaging::{Outbox, ReactionError, Received};

use crate::{
    domain::payment::{Call, Decision, Fact, Input, Payment, ProviderPayment, decide},
    provider::{AuthoriseRequest, PaymentRef, ProviderError, Providers},
    store::{
        ledger,
        payments::{self, Key, Stored, check_after},
    },
};

/// Everything that the role's parts share.
pub(crate) struct Finance {
    pub db: Db,
    pub outbox: Outbox,
    pub clock: Arc<dyn Clock>,
    pub providers: Providers,
    /// How long a call to the provider may take.
    pub timeout: Duration,
}

/// What became of a command's first look at the payment.
pub(crate) enum Intent {
    /// The order has no payment.
    Absent,
    /// The provider must be asked; that is recorded.
    Ask(Box<Asked>),
    /// The answer is known; nothing was recorded yet.
    Answer,
    /// Something asked for before is still under way.
    Wait,
}

/// A call that the provider is to be asked for.
pub(crate) struct Asked {
    pub payment: Payment,
    /// The name of the provider that the payment was made with.
    pub provider: String,
    pub call: Call,
}

/// What a call brought.
pub(crate) enum Outcome {
    /// The command's outcome.
    Done(Input),
    /// The payment is not where it was thought to be: record this and decide again.
    Again(Input),
}

/// The idempotency key of a call: the payment and the operation, so that a repeat after a crash is recognised.
fn key(payment: PaymentId, operation: &str) -> String {
    format!("{payment}:{operation}")
}

impl From<ProviderError> for ReactionError {
    fn from(error: ProviderError) -> Self {
        match error {
            ProviderError::Unavailable(_) | ProviderError::TimedOut(_) => {
                Self::Unavailable("the payment provider brought no answer".to_owned(), Some(Box::new(error)))
            }
            ProviderError::Refused(_) | ProviderError::Absent(_) | ProviderError::Unknown => {
                Self::Retry("the payment provider's answer does not fit".to_owned(), Some(Box::new(error)))
            }
        }
    }
}

impl Finance {
    /// Calls the provider, but not for longer than allowed. On a time-out the outcome is not known.
    pub async fn ask<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let answer =
            tokio::time::timeout(self.timeout, call).await.unwrap_or(Err(ProviderError::TimedOut(self.timeout)));
        let outcome = match &answer {
            Ok(_) => "answered",
            Err(ProviderError::Refused(_)) => "refused",
            Err(ProviderError::Unavailable(_)) => "unavailable",
            Err(ProviderError::TimedOut(_)) => "timed_out",
            Err(ProviderError::Absent(_)) => "absent",
            Err(ProviderError::Unknown) => "unknown",
        };
        metrics::counter!("payment_provider_calls_total", "operation" => operation, "outcome" => outcome).increment(1);
        answer
    }

    /// Asks the provider to authorise, under this payment's key.
    pub async fn authorise(
        &self,
        provider: &str,
        request: &AuthoriseRequest,
    ) -> Result<ProviderPayment, ProviderError> {
        let key = key(request.payment_id, "authorise");
        self.ask("authorise", self.providers.named(provider)?.authorise(&key, request)).await
    }

    /// Asks the payment's provider for its present state; `None` when the provider does not know the payment.
    pub async fn fetch(&self, provider: &str, payment: &Payment) -> Result<Option<ProviderPayment>, ProviderError> {
        self.ask("fetch", self.providers.named(provider)?.fetch(PaymentRef::of(payment))).await
    }

    /// Asks the payment's provider for anything but an authorisation, which needs the card.
    pub async fn perform(&self, provider: &str, payment: &Payment, call: &Call) -> Result<Outcome, ProviderError> {
        let (id, known_by) = (payment.id, PaymentRef::of(payment));
        let at = self.providers.named(provider)?;
        match call {
            Call::Authorise => self.look(provider, payment).await,
            Call::Capture => match self.ask("capture", at.capture(&key(id, "capture"), known_by)).await {
                Ok(seen) => Ok(Outcome::Done(Input::Seen(seen))),
                Err(ProviderError::Refused(reason)) => Ok(Outcome::Done(Input::CaptureRefused { reason })),
                Err(error) => Err(error),
            },
            Call::Void => match self.ask("void", at.void(&key(id, "void"), known_by)).await {
                Ok(seen) => Ok(Outcome::Done(Input::SeenAfterVoid(seen))),
                // Taken already: see how much, then give it back.
                Err(ProviderError::Refused(_)) => self.look(provider, payment).await,
                Err(error) => Err(error),
            },
            Call::Refund(refund) => {
                let key = key(id, &format!("refund:{}", refund.id));
                match self.ask("refund", at.refund(&key, known_by, refund.id, refund.amount)).await {
                    Ok(seen) => Ok(Outcome::Done(Input::Seen(seen))),
                    Err(ProviderError::Refused(reason)) => {
                        Ok(Outcome::Done(Input::RefundRefused { id: refund.id, reason }))
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }

    async fn look(&self, provider: &str, payment: &Payment) -> Result<Outcome, ProviderError> {
        let seen = self.fetch(provider, payment).await?;
        seen.map(|seen| Outcome::Again(Input::Seen(seen))).ok_or(ProviderError::Unknown)
    }

    /// Within a unit of work: locks the payment, decides, and stores the new state, the bookings and the events
    /// together. `None` when there is no such payment. `cause` is why; the payment's own when nothing else is known.
    pub async fn apply(
        &self,
        tx: &Tx,
        which: Key,
        input: Input,
        cause: Option<&Cause>,
    ) -> Result<Option<Decision>, DbError> {
        let Some(stored) = payments::lock(tx, which).await? else { return Ok(None) };
        let decision = decided(&stored.payment, input)?;
        self.store(tx, &stored.payment, &decision, cause.unwrap_or(&stored.cause)).await?;
        Ok(Some(decision))
    }

    async fn store(&self, tx: &Tx, before: &Payment, decision: &Decision, cause: &Cause) -> Result<(), DbError> {
        let (after, now) = (&decision.payment, self.clock.now());
        payments::update(tx, before, after, now, now.plus(check_after(0))).await?;
        for transaction in &decision.book {
            ledger::book(tx, after.id, transaction, now).await?;
        }
        for fact in &decision.facts {
            self.publish(tx, cause, after, fact).await?;
        }
        Ok(())
    }

    /// Publishes a fact about a payment.
    pub async fn publish(&self, tx: &Tx, cause: &Cause, payment: &Payment, fact: &Fact) -> Result<(), DbError> {
        let (order_id, payment_id) = (payment.order_id, payment.id);
        let outbox = &self.outbox;
        let name = match fact.clone() {
            Fact::Authorised => {
                let event = events::PaymentAuthorised { order_id, payment_id, amount: payment.amount };
                outbox.put(tx, cause, &event).await?;
                "authorised"
            }
            Fact::Declined(reason) => {
                outbox.put(tx, cause, &events::PaymentDeclined { order_id, reason }).await?;
                "declined"
            }
            Fact::ActionRequired(action_url) => {
                outbox.put(tx, cause, &events::PaymentActionRequired { order_id, action_url }).await?;
                "action_required"
            }
            Fact::Voided => {
                outbox.put(tx, cause, &events::PaymentVoided { order_id }).await?;
                "voided"
            }
            Fact::Captured => {
                let event = events::PaymentCaptured { order_id, payment_id, amount: payment.captured };
                outbox.put(tx, cause, &event).await?;
                "captured"
            }
            Fact::CaptureFailed(reason) => {
                outbox.put(tx, cause, &events::PaymentFailed { order_id, reason }).await?;
                "capture_failed"
            }
            Fact::Refunded(refund_id, amount) => {
                outbox.put(tx, cause, &events::PaymentRefunded { order_id, refund_id, amount }).await?;
                "refunded"
            }
            Fact::RefundFailed(refund_id, reason) => {
                outbox.put(tx, cause, &events::RefundFailed { order_id, refund_id, reason }).await?;
                "refund_failed"
            }
        };
        let moved = match fact {
            Fact::Captured => Some(("captured", payment.captured)),
            Fact::Refunded(_, amount) => Some(("refunded", *amount)),
            _ => None,
        };
        tx.after_commit(move || {
            metrics::counter!("payment_events_total", "event" => name).increment(1);
            if let Some((direction, money)) = moved {
                let labels = [("direction", direction), ("currency", money.currency.code())];
                metrics::counter!("payment_minor_units_total", &labels).increment(money.amount.unsigned_abs());
            }
        });
        Ok(())
    }

    /// The first step of a command: decides, and records the intent when the provider must be asked.
    pub async fn intend(self: &Arc<Self>, order: OrderId, input: Input) -> Result<Intent, DbError> {
        let finance = self.clone();
        self.db
            .transact(move |tx| {
                Box::pin(async move {
                    let Some(stored) = payments::lock(tx, Key::Order(order)).await? else { return Ok(Intent::Absent) };
                    finance.intent_of(tx, &stored, input).await
                })
            })
            .await
    }

    /// As [`Finance::intend`], within a unit of work that has the payment locked.
    pub async fn intent_of(&self, tx: &Tx, stored: &Stored, input: Input) -> Result<Intent, DbError> {
        let payment = &stored.payment;
        let mut decision = decided(payment, input)?;
        if decision.wait {
            return Ok(Intent::Wait);
        }
        let Some(call) = decision.call.take() else { return Ok(Intent::Answer) };
        let now = self.clock.now();
        payments::update(tx, payment, &decision.payment, now, now.plus(check_after(0))).await?;
        Ok(Intent::Ask(Box::new(Asked { payment: decision.payment, provider: stored.provider.clone(), call })))
    }

    /// The last step of a command: its outcome, once for the message.
    pub async fn conclude<M>(
        self: &Arc<Self>,
        message: &Received<M>,
        order: OrderId,
        input: Input,
    ) -> Result<(), ReactionError> {
        let (finance, cause) = (self.clone(), message.cause);
        message
            .once::<_, ReactionError, _>(&self.db, move |tx| {
                Box::pin(async move {
                    let decision = finance.apply(tx, Key::Order(order), input, Some(&cause)).await?;
                    match decision {
                        Some(decision) if decision.call.is_some() || decision.wait => {
                            // Something else happened since the first step: begin again.
                            Err(ReactionError::retry("the payment changed meanwhile"))
                        }
                        _ => Ok(()),
                    }
                })
            })
            .await?;
        Ok(())
    }

    /// Records what is known about a payment now, apart from any message.
    pub async fn record(
        self: &Arc<Self>,
        which: Key,
        input: Input,
        cause: Option<Cause>,
    ) -> Result<Option<Decision>, DbError> {
        let finance = self.clone();
        self.db.transact(move |tx| Box::pin(async move { finance.apply(tx, which, input, cause.as_ref()).await })).await
    }

    /// The present instant.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

fn decided(payment: &Payment, input: Input) -> Result<Decision, DbError> {
    decide(payment, input)
        .map_err(|error| DbError::Corrupt(format!("payment {} cannot be booked: {error}", payment.id)))
}
