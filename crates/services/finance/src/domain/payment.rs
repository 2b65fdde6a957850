//! The payment state machine: `decide` takes the present state and an input, and returns the new state, what to
//! publish, what to book and what to ask the provider. It never asks by itself.
//!
//! Commands only record an intent and name the [`Call`] that serves it; every transition follows from what the provider
//! is [`Input::Seen`] to have recorded. So an answer, a webhook and a later look lead to the same state, in whatever
//! order and however often they come, and an outdated one changes nothing.

use bookworm_kernel::{Currency, Money, OrderId, PaymentId, Timestamp};
use uuid::Uuid;

use super::ledger::{LedgerTransaction, Unbalanced};

/// The reason given for a payment that was called off before it was asked for.
pub const CANCELLED: &str = "cancelled";

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// The provider is asked, or was asked and has not answered.
    Authorising,
    /// The customer must confirm with their bank.
    ActionRequired,
    /// The provider has set the money aside for us.
    Authorised,
    /// The money is ours.
    Captured,
    /// Part of it went back.
    PartiallyRefunded,
    /// All of it went back.
    Refunded,
    /// The provider refused.
    Declined,
    /// Nothing is held and nothing will be.
    Voided,
    /// The provider refused to capture what it had authorised. Staff must look.
    Failed,
}

impl Status {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Authorising,
        Self::ActionRequired,
        Self::Authorised,
        Self::Captured,
        Self::PartiallyRefunded,
        Self::Refunded,
        Self::Declined,
        Self::Voided,
        Self::Failed,
    ];

    /// The stable name, as stored. The public API calls `authorising` `pending`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authorising => "authorising",
            Self::ActionRequired => "action_required",
            Self::Authorised => "authorised",
            Self::Captured => "captured",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
            Self::Declined => "declined",
            Self::Voided => "voided",
            Self::Failed => "failed",
        }
    }

    /// Finds a status by its stored name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|status| status.as_str() == text)
    }

    /// Whether the money was taken, given back since or not.
    #[must_use]
    pub const fn is_captured(self) -> bool {
        matches!(self, Self::Captured | Self::PartiallyRefunded | Self::Refunded)
    }
}

/// Where a refund stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundStatus {
    /// The provider is asked.
    Pending,
    /// The customer has it.
    Done,
    /// Refused, by the provider or by us.
    Failed,
}

impl RefundStatus {
    /// The stable name, as stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// Finds a status by its stored name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Done, Self::Failed].into_iter().find(|status| status.as_str() == text)
    }
}

/// Money on its way back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// Given by who asked; also the provider's idempotency key.
    pub id: Uuid,
    /// Above zero, in the payment's currency.
    pub amount: Money,
    /// Where it stands.
    pub status: RefundStatus,
    /// Why it was asked for; why it failed, when it did.
    pub reason: String,
}

/// The payment of an order. An order has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    /// The payment; also what the provider knows it by.
    pub id: PaymentId,
    /// The order it pays.
    pub order_id: OrderId,
    /// How much was asked for.
    pub amount: Money,
    /// Where it stands.
    pub status: Status,
    /// Whether the provider was ever asked. A payment that was called off before has nothing at the provider.
    pub attempted: bool,
    /// Somebody wants it captured.
    pub capture_requested: bool,
    /// Somebody wants it called off: from now on it is never reported as authorised, and never captured.
    pub void_requested: bool,
    /// The customer has the goods: the money is income.
    pub delivered: bool,
    /// How much we took.
    pub captured: Money,
    /// How much we gave back.
    pub refunded: Money,
    /// Where the customer confirms.
    pub action_url: Option<String>,
    /// Why it was declined or failed.
    pub reason: Option<String>,
    /// The provider's own id.
    pub reference: Option<String>,
    /// Its refunds, in the order in which they were asked for.
    pub refunds: Vec<Refund>,
    /// When it was asked for.
    pub created_at: Timestamp,
}

/// The provider's own record of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderPayment {
    /// Its own id.
    pub reference: String,
    /// Where the payment stands there.
    pub state: ProviderState,
    /// How much was asked for.
    pub amount: Money,
    /// How much it took for us.
    pub captured: Money,
    /// What it gave back.
    pub refunds: Vec<ProviderRefund>,
}

/// Where a payment stands at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderState {
    /// The customer must confirm at this address.
    ActionRequired {
        /// The provider's page for it.
        url: String,
    },
    /// Set aside for us.
    Authorised,
    /// Taken; perhaps given back since.
    Captured,
    /// Refused.
    Declined {
        /// What the customer may know.
        reason: String,
    },
    /// Let go before anything was taken.
    Voided,
}

/// Money that the provider gave back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderRefund {
    /// Our id of it.
    pub id: Uuid,
    /// Above zero, in the payment's currency.
    pub amount: Money,
}

/// What comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The money is wanted.
    Authorise {
        /// Above zero, in the payment's currency.
        amount: Money,
    },
    /// The authorised money shall be taken.
    Capture,
    /// The payment is called off.
    Void,
    /// Money shall go back.
    Refund {
        /// Distinguishes several; a repeat of the same changes nothing.
        id: Uuid,
        /// Above zero, in the payment's currency.
        amount: Money,
        /// For staff.
        reason: String,
    },
    /// The provider's present record.
    Seen(ProviderPayment),
    /// The provider's record after it was asked to void: as `Seen`, and answered with [`Fact::Voided`] as soon as the
    /// payment is settled.
    SeenAfterVoid(ProviderPayment),
    /// The provider refused to capture, for good.
    CaptureRefused {
        /// For staff.
        reason: String,
    },
    /// The provider refused to give back, for good.
    RefundRefused {
        /// The refund's.
        id: Uuid,
        /// For staff.
        reason: String,
    },
    /// The customer has the goods.
    Delivered,
}

/// What is published about a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The provider has set the money aside.
    Authorised,
    /// It will not be.
    Declined(String),
    /// The customer must confirm at this address.
    ActionRequired(String),
    /// Nothing is held, and nothing will be.
    Voided,
    /// The money is ours.
    Captured,
    /// It cannot be had.
    CaptureFailed(String),
    /// Money went back.
    Refunded(Uuid, Money),
    /// It could not.
    RefundFailed(Uuid, String),
}

/// What to ask the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// For the money.
    Authorise,
    /// To take it.
    Capture,
    /// To let it go.
    Void,
    /// To give this back.
    Refund(Refund),
}

/// What follows from an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The payment afterwards.
    pub payment: Payment,
    /// What to publish.
    pub facts: Vec<Fact>,
    /// What to book.
    pub book: Vec<LedgerTransaction>,
    /// What to ask the provider, once all this is recorded.
    pub call: Option<Call>,
    /// It cannot be decided yet: something that was asked for before is still under way.
    pub wait: bool,
}

impl Payment {
    /// A payment that the provider is about to be asked for.
    #[must_use]
    pub fn requested(id: PaymentId, order_id: OrderId, amount: Money, at: Timestamp) -> Self {
        Self {
            id,
            order_id,
            amount,
            status: Status::Authorising,
            attempted: true,
            capture_requested: false,
            void_requested: false,
            delivered: false,
            captured: Money::zero(amount.currency),
            refunded: Money::zero(amount.currency),
            action_url: None,
            reason: None,
            reference: None,
            refunds: Vec::new(),
            created_at: at,
        }
    }

    /// A payment that was called off before it was asked for: whoever asks later is refused, and the provider is
    /// never asked. Its amount is not known; `currency` only fills the field.
    #[must_use]
    pub fn tombstone(id: PaymentId, order_id: OrderId, currency: Currency, at: Timestamp) -> Self {
        Self {
            status: Status::Voided,
            attempted: false,
            void_requested: true,
            reason: Some(CANCELLED.to_owned()),
            ..Self::requested(id, order_id, Money::zero(currency), at)
        }
    }

    /// Whether something that was asked for may still be under way, so that it must be followed up.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.status, Status::Authorising | Status::ActionRequired | Status::Authorised)
            || (self.status == Status::Failed && self.void_requested)
            || self.pending().next().is_some()
    }

    /// What was asked for and is not known to have happened; asking again is harmless. `None`: a look is enough.
    #[must_use]
    pub fn unfinished(&self) -> Option<Call> {
        if let Some(refund) = self.pending().next() {
            return Some(Call::Refund(refund.clone()));
        }
        match self.status {
            Status::Authorising | Status::ActionRequired | Status::Authorised | Status::Failed
                if self.void_requested =>
            {
                Some(Call::Void)
            }
            Status::Authorised if self.capture_requested => Some(Call::Capture),
            _ => None,
        }
    }

    /// What can still be given back.
    #[must_use]
    pub fn refundable(&self) -> Money {
        let pending: i64 = self.pending().map(|refund| refund.amount.amount).sum();
        Money::new(self.captured.amount - self.refunded.amount - pending, self.captured.currency)
    }

    fn pending(&self) -> impl Iterator<Item = &Refund> {
        self.refunds.iter().filter(|refund| refund.status == RefundStatus::Pending)
    }

    /// Nothing is held, and nothing will be.
    fn is_settled(&self) -> bool {
        matches!(self.status, Status::Declined | Status::Voided | Status::Refunded)
    }
}

/// The state machine.
///
/// # Errors
/// [`Unbalanced`] when what the provider says cannot be booked: an amount of zero, or of another currency.
pub fn decide(payment: &Payment, input: Input) -> Result<Decision, Unbalanced> {
    let mut next = Decision { payment: payment.clone(), facts: Vec::new(), book: Vec::new(), call: None, wait: false };
    match input {
        Input::Authorise { amount } => next.authorise(amount),
        Input::Capture => next.capture(),
        Input::Void => next.void(),
        Input::Refund { id, amount, reason } => next.refund(id, amount, reason),
        Input::Seen(seen) => next.seen(seen)?,
        Input::SeenAfterVoid(seen) => {
            next.seen(seen)?;
            if next.payment.is_settled() && !next.facts.contains(&Fact::Voided) {
                next.facts.push(Fact::Voided);
            }
        }
        Input::CaptureRefused { reason } => {
            if next.payment.status == Status::Authorised {
                next.payment.status = Status::Failed;
                next.payment.reason = Some(reason.clone());
                next.facts.push(Fact::CaptureFailed(reason));
            }
        }
        Input::RefundRefused { id, reason } => next.refund_refused(id, reason),
        Input::Delivered => {
            if !next.payment.delivered {
                next.payment.delivered = true;
                next.recognise()?;
            }
        }
    }
    Ok(next)
}

impl Decision {
    fn authorise(&mut self, amount: Money) {
        let payment = &mut self.payment;
        if !payment.attempted && payment.amount.amount == 0 {
            payment.amount = amount;
            payment.captured = Money::zero(amount.currency);
            payment.refunded = Money::zero(amount.currency);
        }
        let reason = || payment.reason.clone().unwrap_or_else(|| CANCELLED.to_owned());
        match payment.status {
            Status::Declined => self.facts.push(Fact::Declined(reason())),
            _ if payment.void_requested => self.facts.push(Fact::Declined(CANCELLED.to_owned())),
            Status::Voided => self.facts.push(Fact::Declined(reason())),
            Status::Authorising => self.call = Some(Call::Authorise),
            Status::ActionRequired => {
                self.facts.push(Fact::ActionRequired(payment.action_url.clone().unwrap_or_default()));
            }
            _ => self.facts.push(Fact::Authorised),
        }
    }

    fn capture(&mut self) {
        let payment = &mut self.payment;
        match payment.status {
            status if status.is_captured() => self.facts.push(Fact::Captured),
            Status::Authorised if !payment.void_requested => {
                payment.capture_requested = true;
                self.call = Some(Call::Capture);
            }
            // An earlier request to capture and the void are both under way. Which one the provider serves first is not
            // known, and whoever reads that the capture failed must never read that it succeeded.
            Status::Authorised if payment.capture_requested => self.wait = true,
            status => {
                let why = match &payment.reason {
                    Some(reason) => format!("the payment is {}: {reason}", status.as_str()),
                    None => format!("the payment is {}", status.as_str()),
                };
                self.facts.push(Fact::CaptureFailed(why));
            }
        }
    }

    fn void(&mut self) {
        let payment = &mut self.payment;
        match payment.status {
            Status::Declined | Status::Voided | Status::Refunded => self.facts.push(Fact::Voided),
            Status::Authorising | Status::ActionRequired | Status::Authorised | Status::Failed => {
                payment.void_requested = true;
                self.call = Some(Call::Void);
            }
            // The payment was captured before it could be voided: all that is left goes back.
            Status::Captured | Status::PartiallyRefunded => {
                payment.void_requested = true;
                let (id, left) = (payment.id.uuid(), payment.refundable());
                let known = payment.refunds.iter().find(|refund| refund.id == id).cloned();
                match known {
                    Some(refund) if refund.status == RefundStatus::Pending => self.call = Some(Call::Refund(refund)),
                    Some(refund) if refund.status == RefundStatus::Failed => {
                        self.facts.push(Fact::RefundFailed(id, refund.reason));
                    }
                    // Other refunds are under way; the last of them answers.
                    _ if left.amount <= 0 => {}
                    _ => {
                        let reason = "The order was called off.".to_owned();
                        let refund = Refund { id, amount: left, status: RefundStatus::Pending, reason };
                        payment.refunds.push(refund.clone());
                        self.call = Some(Call::Refund(refund));
                    }
                }
            }
        }
    }

    fn refund(&mut self, id: Uuid, amount: Money, reason: String) {
        let payment = &mut self.payment;
        if let Some(known) = payment.refunds.iter().find(|refund| refund.id == id) {
            match known.status {
                RefundStatus::Pending => self.call = Some(Call::Refund(known.clone())),
                RefundStatus::Done => self.facts.push(Fact::Refunded(id, known.amount)),
                RefundStatus::Failed => self.facts.push(Fact::RefundFailed(id, known.reason.clone())),
            }
            return;
        }
        if payment.status == Status::Authorised && payment.capture_requested {
            self.wait = true;
            return;
        }
        let left = payment.refundable();
        let refused = if !payment.status.is_captured() {
            Some(format!("nothing was captured: the payment is {}", payment.status.as_str()))
        } else if amount.currency != left.currency {
            Some(format!("the payment is in {}, not in {}", left.currency, amount.currency))
        } else if amount.amount <= 0 {
            Some("the amount must be above zero".to_owned())
        } else if amount.amount > left.amount {
            Some(format!("only {left} of it can still be given back"))
        } else {
            None
        };
        match refused {
            Some(why) => {
                payment.refunds.push(Refund { id, amount, status: RefundStatus::Failed, reason: why.clone() });
                self.facts.push(Fact::RefundFailed(id, why));
            }
            None => {
                let refund = Refund { id, amount, status: RefundStatus::Pending, reason };
                payment.refunds.push(refund.clone());
                self.call = Some(Call::Refund(refund));
            }
        }
    }

    fn refund_refused(&mut self, id: Uuid, reason: String) {
        let refund = self.payment.refunds.iter_mut().find(|r| r.id == id && r.status == RefundStatus::Pending);
        if let Some(refund) = refund {
            refund.status = RefundStatus::Failed;
            refund.reason.clone_from(&reason);
            self.facts.push(Fact::RefundFailed(id, reason));
        }
    }

    fn seen(&mut self, seen: ProviderPayment) -> Result<(), Unbalanced> {
        let waiting = matches!(self.payment.status, Status::Authorising | Status::ActionRequired);
        let has_authorisation = matches!(self.payment.status, Status::Authorised | Status::Failed);
        if (waiting || has_authorisation) && self.payment.reference.is_none() {
            self.payment.reference = Some(seen.reference);
        }
        match seen.state {
            ProviderState::ActionRequired { url } => {
                if self.payment.status == Status::Authorising {
                    self.payment.status = Status::ActionRequired;
                    self.payment.action_url = Some(url.clone());
                    let void = self.payment.void_requested;
                    self.facts.push(if void {
                        Fact::Declined(CANCELLED.to_owned())
                    } else {
                        Fact::ActionRequired(url)
                    });
                }
            }
            ProviderState::Authorised => {
                if waiting {
                    self.authorised();
                }
            }
            ProviderState::Declined { reason } => {
                if waiting {
                    self.payment.status = Status::Declined;
                    self.payment.action_url = None;
                    self.payment.reason = Some(reason.clone());
                    self.facts.push(Fact::Declined(reason));
                } else if has_authorisation {
                    self.voided(false);
                }
            }
            ProviderState::Voided => {
                if waiting || has_authorisation {
                    self.voided(waiting);
                }
            }
            ProviderState::Captured => {
                if waiting {
                    self.authorised();
                }
                if waiting || has_authorisation {
                    self.payment.status = Status::Captured;
                    self.payment.reason = None;
                    self.payment.captured = seen.captured;
                    self.book.push(LedgerTransaction::capture(self.payment.id.uuid(), seen.captured)?);
                    self.facts.push(Fact::Captured);
                    if self.payment.delivered {
                        self.recognise()?;
                    }
                }
                for given in seen.refunds {
                    self.refunded(given.id)?;
                }
            }
        }
        Ok(())
    }

    fn authorised(&mut self) {
        self.payment.status = Status::Authorised;
        self.payment.action_url = None;
        let void = self.payment.void_requested;
        self.facts.push(if void { Fact::Declined(CANCELLED.to_owned()) } else { Fact::Authorised });
    }

    fn voided(&mut self, waiting: bool) {
        self.payment.status = Status::Voided;
        self.payment.action_url = None;
        if self.payment.void_requested {
            self.payment.reason.get_or_insert_with(|| CANCELLED.to_owned());
            self.facts.push(Fact::Voided);
        } else {
            let reason = "the payment provider let it go".to_owned();
            self.payment.reason = Some(reason.clone());
            // That an authorisation has lapsed is published when somebody asks to capture it.
            if waiting {
                self.facts.push(Fact::Declined(reason));
            }
        }
    }

    fn refunded(&mut self, id: Uuid) -> Result<(), Unbalanced> {
        let payment = &mut self.payment;
        let Some(refund) = payment.refunds.iter_mut().find(|r| r.id == id && r.status == RefundStatus::Pending) else {
            return Ok(());
        };
        refund.status = RefundStatus::Done;
        let amount = refund.amount;
        payment.refunded = payment.refunded.checked_add(amount)?;
        payment.status = if payment.refunded.amount >= payment.captured.amount {
            Status::Refunded
        } else {
            Status::PartiallyRefunded
        };
        self.book.push(LedgerTransaction::refund(id, amount, payment.delivered)?);
        self.facts.push(Fact::Refunded(id, amount));
        if payment.void_requested && payment.status == Status::Refunded {
            self.facts.push(Fact::Voided);
        }
        Ok(())
    }

    /// What the customer paid and did not get back becomes income.
    fn recognise(&mut self) -> Result<(), Unbalanced> {
        let income = self.payment.captured.checked_sub(self.payment.refunded)?;
        if income.amount != 0 {
            self.book.push(LedgerTransaction::revenue(self.payment.order_id.uuid(), income)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::ledger::{Account, Kind};

    fn usd(amount: i64) -> Money {
        Money::new(amount, Currency::USD)
    }

    fn fresh() -> Payment {
        Payment::requested(PaymentId::new(), OrderId::new(), usd(1000), Timestamp::default())
    }

    fn seen(state: ProviderState) -> Input {
        let captured = if state == ProviderState::Captured { usd(1000) } else { usd(0) };
        Input::Seen(ProviderPayment { reference: "p".into(), state, amount: usd(1000), captured, refunds: vec![] })
    }

    fn seen_refunds(refunds: &[(Uuid, i64)]) -> Input {
        let refunds = refunds.iter().map(|(id, amount)| ProviderRefund { id: *id, amount: usd(*amount) }).collect();
        Input::Seen(ProviderPayment {
            reference: "p".into(),
            state: ProviderState::Captured,
            amount: usd(1000),
            captured: usd(1000),
            refunds,
        })
    }

    /// Feeds inputs one after the other; returns the payment, and everything published and asked.
    fn run(mut payment: Payment, inputs: Vec<Input>) -> (Payment, Vec<Fact>, Vec<Call>) {
        let (mut facts, mut calls) = (Vec::new(), Vec::new());
        for input in inputs {
            let next = decide(&payment, input).unwrap();
            payment = next.payment;
            facts.extend(next.facts);
            calls.extend(next.call);
        }
        (payment, facts, calls)
    }

    fn declined() -> ProviderState {
        ProviderState::Declined { reason: "no".into() }
    }

    fn challenge() -> ProviderState {
        ProviderState::ActionRequired { url: "/c".into() }
    }

    #[test]
    fn what_the_provider_is_seen_to_hold_moves_the_payment_forward_only() {
        use Status::*;
        // From each status: what follows when the provider says it holds (challenge, authorised, captured, declined,
        // voided).
        let table = [
            (Authorising, [ActionRequired, Authorised, Captured, Declined, Voided]),
            (ActionRequired, [ActionRequired, Authorised, Captured, Declined, Voided]),
            (Authorised, [Authorised, Authorised, Captured, Voided, Voided]),
            (Captured, [Captured; 5]),
            (PartiallyRefunded, [PartiallyRefunded; 5]),
            (Refunded, [Refunded; 5]),
            (Declined, [Declined; 5]),
            (Voided, [Voided; 5]),
            (Failed, [Failed, Failed, Captured, Voided, Voided]),
        ];
        for (from, to) in table {
            let states =
                [challenge(), ProviderState::Authorised, ProviderState::Captured, declined(), ProviderState::Voided];
            for (state, expected) in states.into_iter().zip(to) {
                let payment = Payment { status: from, ..fresh() };
                let next = decide(&payment, seen(state.clone())).unwrap();
                assert_eq!(next.payment.status, expected, "{from:?} sees {state:?}");
                let again = decide(&next.payment, seen(state.clone())).unwrap();
                assert_eq!((again.facts, again.book), (vec![], vec![]), "{from:?} sees {state:?} twice");
                assert_eq!(again.payment.status, expected);
            }
        }
    }

    #[test]
    fn the_usual_way() {
        let (payment, facts, calls) = run(
            fresh(),
            vec![
                Input::Authorise { amount: usd(1000) },
                seen(ProviderState::Authorised),
                Input::Capture,
                seen(ProviderState::Captured),
                Input::Capture,
            ],
        );
        assert_eq!(facts, [Fact::Authorised, Fact::Captured, Fact::Captured]);
        assert_eq!(calls, [Call::Authorise, Call::Capture], "a second capture asks nothing of the provider");
        assert_eq!((payment.status, payment.captured), (Status::Captured, usd(1000)));
    }

    #[test]
    fn a_tombstone_refuses_without_asking_the_provider() {
        let tomb = Payment::tombstone(PaymentId::new(), OrderId::new(), Currency::USD, Timestamp::default());
        let (payment, facts, calls) =
            run(tomb, vec![Input::Authorise { amount: usd(700) }, Input::Void, Input::Capture]);
        assert_eq!(facts[..2], [Fact::Declined(CANCELLED.into()), Fact::Voided]);
        assert!(matches!(facts[2], Fact::CaptureFailed(_)));
        assert_eq!(calls, []);
        assert_eq!((payment.status, payment.amount), (Status::Voided, usd(700)));
    }

    #[test]
    fn after_a_void_was_asked_for_nothing_is_authorised_or_captured() {
        let (payment, facts, calls) = run(
            fresh(),
            vec![
                Input::Authorise { amount: usd(1000) },
                Input::Void,
                seen(ProviderState::Authorised),
                Input::Capture,
                seen(ProviderState::Voided),
            ],
        );
        assert_eq!(calls, [Call::Authorise, Call::Void]);
        assert_eq!(facts[0], Fact::Declined(CANCELLED.into()));
        assert!(matches!(facts[1], Fact::CaptureFailed(_)));
        assert_eq!(facts[2], Fact::Voided);
        assert_eq!(payment.status, Status::Voided);
    }

    #[test]
    fn a_capture_repeated_beside_a_void_is_answered_once_the_provider_has_decided() {
        let (payment, ..) = run(fresh(), vec![seen(ProviderState::Authorised), Input::Capture, Input::Void]);
        let again = decide(&payment, Input::Capture).unwrap();
        assert!(again.wait && again.facts.is_empty() && again.call.is_none(), "{again:?}");
        let (captured, facts, _) = run(payment.clone(), vec![seen(ProviderState::Captured), Input::Capture]);
        assert_eq!(facts, [Fact::Captured, Fact::Captured]);
        assert_eq!(captured.unfinished(), None, "the void becomes a refund when it is asked for again");
        let (_, facts, _) = run(payment, vec![seen(ProviderState::Voided), Input::Capture]);
        assert!(matches!(facts[..], [Fact::Voided, Fact::CaptureFailed(_)]), "{facts:?}");
        // Nobody asked to capture before: nothing can be taken any more.
        let (voiding, ..) = run(fresh(), vec![seen(ProviderState::Authorised), Input::Void]);
        assert!(matches!(decide(&voiding, Input::Capture).unwrap().facts[..], [Fact::CaptureFailed(_)]));
    }

    #[test]
    fn voiding_captured_money_gives_all_that_is_left_back() {
        let refund = Uuid::now_v7();
        let (payment, _, _) = run(fresh(), vec![seen(ProviderState::Captured)]);
        let (payment, facts, calls) = run(
            payment,
            vec![
                Input::Refund { id: refund, amount: usd(300), reason: "torn".into() },
                seen_refunds(&[(refund, 300)]),
                Input::Void,
            ],
        );
        assert_eq!(facts, [Fact::Refunded(refund, usd(300))]);
        let Some(Call::Refund(rest)) = calls.last() else { panic!("{calls:?}") };
        assert_eq!(rest.amount, usd(700));
        let (payment, facts, _) = run(payment.clone(), vec![seen_refunds(&[(refund, 300), (payment.id.uuid(), 700)])]);
        assert_eq!(facts, [Fact::Refunded(payment.id.uuid(), usd(700)), Fact::Voided]);
        assert_eq!(payment.status, Status::Refunded);
    }

    #[test]
    fn a_refund_that_cannot_be_is_refused_and_stays_refused() {
        let refund = |amount| Input::Refund { id: Uuid::now_v7(), amount, reason: "r".into() };
        let (authorised, ..) = run(fresh(), vec![seen(ProviderState::Authorised)]);
        let (captured, ..) = run(fresh(), vec![seen(ProviderState::Captured)]);
        for (payment, amount) in [
            (&authorised, usd(1)),
            (&captured, usd(1001)),
            (&captured, usd(0)),
            (&captured, usd(-1)),
            (&captured, Money::new(1, Currency::EUR)),
        ] {
            let input = refund(amount);
            let next = decide(payment, input.clone()).unwrap();
            assert!(matches!(next.facts[..], [Fact::RefundFailed(..)]), "{amount:?}");
            assert_eq!(next.call, None);
            assert_eq!(decide(&next.payment, input).unwrap().facts, next.facts);
        }
        let (capturing, ..) = run(authorised, vec![Input::Capture]);
        assert!(decide(&capturing, refund(usd(1))).unwrap().wait, "a refund that overtook its capture waits");
    }

    #[test]
    fn pending_refunds_count_so_that_two_at_once_never_give_back_too_much() {
        let (captured, ..) = run(fresh(), vec![seen(ProviderState::Captured)]);
        let refund = || Input::Refund { id: Uuid::now_v7(), amount: usd(600), reason: "r".into() };
        let (_, facts, calls) = run(captured, vec![refund(), refund()]);
        assert_eq!(calls.len(), 1);
        assert!(matches!(facts[..], [Fact::RefundFailed(..)]));
    }

    #[test]
    fn income_is_booked_when_the_customer_has_the_goods() {
        let booked = |payment: &Payment, input| {
            let next = decide(payment, input).unwrap();
            let book: Vec<_> =
                next.book.iter().map(|t| (t.kind(), t.entries()[0].account, t.entries()[0].amount)).collect();
            (next.payment, book)
        };
        let (captured, book) = booked(&fresh(), seen(ProviderState::Captured));
        assert_eq!(book, [(Kind::Capture, Account::ProviderClearing, usd(1000))]);
        let (delivered, book) = booked(&captured, Input::Delivered);
        assert_eq!(book, [(Kind::Revenue, Account::CustomerOrders, usd(1000))]);
        assert_eq!(booked(&delivered, Input::Delivered).1, []);
        let id = Uuid::now_v7();
        let (asked, _) = booked(&delivered, Input::Refund { id, amount: usd(100), reason: "r".into() });
        assert_eq!(booked(&asked, seen_refunds(&[(id, 100)])).1, [(Kind::Refund, Account::Refunds, usd(100))]);
        // The delivery overtook the capture.
        let (early, book) = booked(&fresh(), Input::Delivered);
        assert_eq!(book, []);
        let (_, book) = booked(&early, seen(ProviderState::Captured));
        assert_eq!(book.iter().map(|b| b.0).collect::<Vec<_>>(), [Kind::Capture, Kind::Revenue]);
    }

    /// A provider as simple as it can be, to play against.
    #[derive(Debug, Clone, Default)]
    struct Model {
        state: Option<&'static str>,
        refunds: Vec<(Uuid, i64)>,
    }

    impl Model {
        fn call(&mut self, call: &Call) {
            match (call, self.state) {
                (Call::Authorise, None) => self.state = Some("authorised"),
                (Call::Capture, Some("authorised")) => self.state = Some("captured"),
                (Call::Void, None | Some("authorised")) => self.state = Some("voided"),
                (Call::Refund(refund), Some("captured")) if !self.refunds.iter().any(|r| r.0 == refund.id) => {
                    self.refunds.push((refund.id, refund.amount.amount));
                }
                _ => {}
            }
        }

        fn look(&self) -> Option<Input> {
            Some(match self.state? {
                "authorised" => seen(ProviderState::Authorised),
                "voided" => seen(ProviderState::Voided),
                _ => seen_refunds(&self.refunds),
            })
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Command(u8, i64),
        Perform(usize),
        Look(usize),
        Deliver,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0_u8..4, 1_i64..1200).prop_map(|(command, amount)| Step::Command(command, amount)),
            4 => any::<usize>().prop_map(Step::Perform),
            4 => any::<usize>().prop_map(Step::Look),
            1 => Just(Step::Deliver),
        ];
        prop::collection::vec(step, 1..40)
    }

    proptest! {
        /// Commands, calls that are lost, late or repeated, and looks at any earlier state of the provider, in any
        /// order: money and books agree throughout.
        #[test]
        fn money_and_books_agree_whatever_happens(steps in steps()) {
            let mut payment = fresh();
            let mut provider = vec![Model::default()];
            let mut calls: Vec<Call> = Vec::new();
            let mut books: HashMap<Account, i64> = HashMap::new();
            let (mut captures, mut booked) = (0, std::collections::HashSet::new());
            let mut given_up = false;
            for step in steps {
                let input = match step {
                    Step::Command(0, _) => Input::Authorise { amount: usd(1000) },
                    Step::Command(1, _) => Input::Capture,
                    Step::Command(2, _) => Input::Void,
                    Step::Command(_, amount) => Input::Refund { id: Uuid::now_v7(), amount: usd(amount), reason: "r".into() },
                    Step::Perform(which) => {
                        if let Some(call) = calls.get(which % calls.len().max(1)) {
                            let mut now = provider.last().unwrap().clone();
                            now.call(call);
                            provider.push(now);
                        }
                        continue;
                    }
                    Step::Look(which) => match provider[which % provider.len()].look() {
                        Some(input) => input,
                        None => continue,
                    },
                    Step::Deliver => Input::Delivered,
                };
                let before = payment.clone();
                let next = decide(&payment, input).unwrap();
                for transaction in &next.book {
                    prop_assert!(booked.insert((transaction.kind(), transaction.reference())), "booked twice");
                    for entry in transaction.entries() {
                        *books.entry(entry.account).or_default() += entry.amount.amount;
                    }
                }
                if before.status != next.payment.status && next.payment.status == Status::Captured {
                    captures += 1;
                }
                prop_assert!(!(before.void_requested && next.facts.contains(&Fact::Authorised)), "authorised after a void");
                prop_assert!(!(given_up && next.facts.contains(&Fact::Captured)), "captured, and reported as failed");
                // Before it is authorised a capture is refused, whatever comes later.
                given_up |= before.capture_requested && next.facts.iter().any(|f| matches!(f, Fact::CaptureFailed(_)));
                calls.extend(next.call);
                payment = next.payment;
                prop_assert!(captures <= 1);
                prop_assert!(payment.refunded.amount <= payment.captured.amount);
                prop_assert!(payment.captured.amount == 0 || payment.captured == payment.amount);
                prop_assert!(payment.refundable().amount >= 0);
                prop_assert_eq!(books.values().sum::<i64>(), 0);
                let clearing = books.get(&Account::ProviderClearing).copied().unwrap_or(0);
                prop_assert_eq!(clearing, payment.captured.amount - payment.refunded.amount);
            }
            // At rest: perform what is unfinished, look at the present, and nothing is left open but a plain
            // authorisation.
            for _ in 0..30 {
                let mut now = provider.last().unwrap().clone();
                if let Some(call) = payment.unfinished() { now.call(&call); }
                provider.push(now.clone());
                if let Some(input) = now.look() { payment = decide(&payment, input).unwrap().payment; }
            }
            prop_assert!(!payment.is_open() || payment.unfinished().is_none(), "{:?}", payment);
            let held = provider.last().unwrap();
            if payment.status == Status::Voided || payment.status == Status::Declined {
                prop_assert_ne!(held.state, Some("captured"));
            }
            if payment.void_requested && payment.attempted {
                prop_assert_ne!(held.state, Some("authorised"), "called off, and still held");
            }
        }
    }
}
