//! The order: a fold of its events, and the rules of what may happen next.
//!
//! ```text
//! pending ──confirm──> confirmed ──ship──> shipped ──complete──> completed
//!    │                     │                                         │
//!    ├─reject─> rejected   ├─cancel─> cancelled                      └─refund of everything─> refunded
//!    └─cancel─> cancelled  └─refund of everything─> refunded
//! ```
//!
//! A parcel on its way stays `shipped` when everything is refunded, so that it can still be completed and its copies
//! leave the stock; then it is `refunded`.
//!
//! Each method decides: it returns the events that follow from a request, or why there are none. It changes nothing;
//! [`Aggregate::apply`] does, now and whenever the order is loaded again. Facts reported by other services (`note_...`)
//! come again and overtake each other, so a fact that is known already leads to no event.

use std::collections::BTreeMap;

use bookworm_eventstore::Aggregate;
use bookworm_kernel::{BookId, Money, MoneyError, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    event::{Actor, Copies, OrderEvent, Placement, ShortLine},
    pricing::{self, Paid},
    status::{OrderStatus, PaymentStatus},
};

/// A sum on its way back to the customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// In minor units of the order's currency.
    pub amount: i64,
    /// As staff wrote it; empty for the refund of a cancelled order.
    pub reason: String,
    /// The copies that it is for; empty when it is for none in particular.
    pub lines: Vec<Copies>,
    /// What of the amount is for each of them.
    parts: Vec<i64>,
    /// How far it is.
    pub state: RefundState,
}

/// How much is to be given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefundOf {
    /// All that is left.
    Everything,
    /// So much.
    Amount(Money),
    /// What was paid for these copies, each book once.
    Copies(Vec<Copies>),
}

/// How far a refund is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundState {
    /// Asked for.
    Requested,
    /// The customer has it.
    Done,
    /// Refused.
    Failed,
}

/// Why something may not happen to an order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Not in this state.
    #[error("The order is {}, so it cannot be {action}.", status.as_str())]
    NotPermitted {
        /// What was asked, e.g. `shipped`.
        action: &'static str,
        /// Where the order stands.
        status: OrderStatus,
    },
    /// Goods leave only once they are paid.
    #[error("The payment has not been captured yet. Try again in a moment.")]
    NotPaid,
    /// Nothing was paid, because the order cost nothing.
    #[error("The order was free, so there is nothing to refund.")]
    Free,
    /// More than is left, nothing, or another currency.
    #[error("{}", most(refundable))]
    RefundAmount {
        /// What can still be given back.
        refundable: Money,
    },
    /// A book that was not ordered, a book twice, or more copies than money was not given back for yet.
    #[error("At most {most}.")]
    RefundCopies {
        /// Its place among those that were asked for.
        at: usize,
        /// Of how many copies money can still go back.
        most: u32,
    },
    /// The amounts of a new order contradict each other: a fault of ours, never of the customer.
    #[error("the amounts of the order do not add up: {0}")]
    Inconsistent(&'static str),
    /// The amounts of a new order are no money.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

fn most(refundable: &Money) -> String {
    if refundable.amount > 0 { format!("At most {refundable}.") } else { "There is nothing left to refund.".to_owned() }
}

/// What may be done with an order as it stands. Shipping, completing and refunding are for staff.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Actions {
    /// It can be called off.
    pub cancel: bool,
    /// Its parcel can be sent.
    pub ship: bool,
    /// Its delivery can be noted.
    pub complete: bool,
    /// Up to how much can be given back; `None` when nothing can.
    pub refund: Option<Money>,
}

/// A step in an order's life. Stored with its projection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// A status of the order, or e.g. `payment_captured`, `refund_requested`.
    pub status: String,
    /// When the event happened.
    pub at: Timestamp,
    /// A sentence for people, when there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Why an order was rejected. Stored with its projection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Stable error code.
    pub code: String,
    /// For people.
    pub reason: String,
}

/// An order as its events made it.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    placement: Option<Box<Placement>>,
    status: OrderStatus,
    payment: PaymentStatus,
    action_url: Option<String>,
    confirmed: bool,
    captured: i64,
    refunds: BTreeMap<Uuid, Refund>,
    rejection: Option<Rejection>,
    short: Vec<ShortLine>,
    tracking: Option<String>,
    timeline: Vec<TimelineEntry>,
    updated_at: Timestamp,
}

impl Default for Order {
    /// Before its first event.
    fn default() -> Self {
        Self {
            placement: None,
            status: OrderStatus::Pending,
            payment: PaymentStatus::Pending,
            action_url: None,
            confirmed: false,
            captured: 0,
            refunds: BTreeMap::new(),
            rejection: None,
            short: Vec::new(),
            tracking: None,
            timeline: Vec::new(),
            updated_at: Timestamp::default(),
        }
    }
}

/// The events that follow, or why there are none.
pub type Decided = Result<Vec<OrderEvent>, OrderError>;

const NOTHING: Decided = Ok(Vec::new());

impl Order {
    /// Places a new order.
    ///
    /// # Errors
    /// [`OrderError::Inconsistent`] when it has no lines, a book twice, or the amounts are not the sums they should be.
    pub fn place(placement: Placement) -> Decided {
        let p = &placement;
        let currency = p.total.currency;
        if p.lines.is_empty() {
            return Err(OrderError::Inconsistent("there are no lines"));
        }
        for (at, line) in p.lines.iter().enumerate() {
            if line.unit_price.times(line.quantity.get())? != line.line_total {
                return Err(OrderError::Inconsistent("a line's total is not price times copies"));
            }
            if p.lines[..at].iter().any(|other| other.book_id == line.book_id) {
                return Err(OrderError::Inconsistent("a book is on two lines"));
            }
        }
        if Money::sum(currency, p.lines.iter().map(|line| line.line_total))? != p.subtotal {
            return Err(OrderError::Inconsistent("the subtotal is not the sum of the lines"));
        }
        if pricing::total(p.subtotal, p.shipping, p.tax, p.tax_included, p.discount)? != p.total {
            return Err(OrderError::Inconsistent("the total is not the sum of its parts"));
        }
        if [p.shipping, p.tax, p.discount, p.total].iter().any(|part| part.amount < 0) {
            return Err(OrderError::Inconsistent("an amount is negative"));
        }
        if let Some(coupon) = &p.coupon {
            let off = p.lines.iter().filter_map(|line| line.discount).chain([coupon.off_shipping]);
            if Money::sum(currency, off)? != p.discount {
                return Err(OrderError::Inconsistent("the discount is not the sum of its parts"));
            }
            let Paid { lines, shipping } = Paid::of(p)?;
            if lines.iter().chain([&shipping]).any(|part| part.amount < 0) {
                return Err(OrderError::Inconsistent("more is taken off than something costs"));
            }
        }
        Ok(vec![OrderEvent::OrderCreated(Box::new(placement))])
    }

    /// Notes that the customer must confirm the payment with their bank.
    ///
    /// # Errors
    /// When the order is no longer pending.
    pub fn note_action_required(&self, action_url: &str) -> Decided {
        self.demand(&[OrderStatus::Pending], "waiting for the customer")?;
        if self.action_url.as_deref() == Some(action_url) {
            return NOTHING;
        }
        Ok(vec![OrderEvent::PaymentActionRequired { action_url: action_url.to_owned() }])
    }

    /// Confirms the order, because its payment was authorised, or none is needed.
    ///
    /// # Errors
    /// When the order is no longer pending.
    pub fn confirm(&self) -> Decided {
        self.demand(&[OrderStatus::Pending], "confirmed")?;
        if self.is_free() {
            return Ok(vec![OrderEvent::OrderConfirmed]);
        }
        Ok(vec![OrderEvent::PaymentAuthorised, OrderEvent::OrderConfirmed])
    }

    /// Notes that the money of a confirmed order was captured.
    ///
    /// # Errors
    /// When the order was never confirmed: then its money must never have been taken.
    pub fn note_captured(&self, amount: Money) -> Decided {
        if !self.confirmed {
            return Err(OrderError::NotPermitted { action: "captured", status: self.status });
        }
        if self.captured > 0 || self.refunded() > 0 {
            return NOTHING;
        }
        Ok(vec![OrderEvent::PaymentCaptured { amount }])
    }

    /// Calls the order off, because the provider refused to capture what it had authorised.
    ///
    /// # Errors
    /// When the order is not confirmed, or its payment captured.
    pub fn fail_capture(&self, reason: &str) -> Decided {
        self.demand(&[OrderStatus::Confirmed], "called off for want of payment")?;
        if self.captured > 0 {
            return Err(OrderError::NotPermitted { action: "called off for want of payment", status: self.status });
        }
        Ok(vec![
            OrderEvent::CaptureFailed { reason: reason.to_owned() },
            OrderEvent::OrderCancelled {
                reason: "Your payment could not be collected, so we had to call the order off.".to_owned(),
                by: Actor::Shop,
            },
        ])
    }

    /// Notes that the payment was voided: no money was taken and none will be.
    ///
    /// # Errors
    /// None; the result has the type of every decision.
    pub fn note_voided(&self) -> Decided {
        use PaymentStatus::{ActionRequired, Authorised, Pending};
        let over = matches!(self.status, OrderStatus::Rejected | OrderStatus::Cancelled);
        if over && matches!(self.payment, Pending | ActionRequired | Authorised) {
            return Ok(vec![OrderEvent::PaymentVoided]);
        }
        NOTHING
    }

    /// Rejects an order that cannot be confirmed.
    ///
    /// # Errors
    /// When the order is no longer pending.
    pub fn reject(&self, code: &str, reason: &str, short: &[ShortLine]) -> Decided {
        self.demand(&[OrderStatus::Pending], "rejected")?;
        let (code, reason, short) = (code.to_owned(), reason.to_owned(), short.to_vec());
        Ok(vec![OrderEvent::OrderRejected { code, reason, short }])
    }

    /// Calls the order off.
    ///
    /// # Errors
    /// When it was shipped or has ended.
    pub fn cancel(&self, reason: &str, by: Actor) -> Decided {
        self.demand(&[OrderStatus::Pending, OrderStatus::Confirmed], "cancelled")?;
        // What was refunded before stays refunded: finance gives back what is left.
        Ok(vec![OrderEvent::OrderCancelled { reason: reason.to_owned(), by }])
    }

    /// Whether it can still be called off before it is confirmed.
    ///
    /// # Errors
    /// When it was confirmed, or is off.
    pub fn demand_unconfirmed(&self) -> Result<(), OrderError> {
        self.demand(&[OrderStatus::Pending], "cancelled before it is confirmed")
    }

    /// Whether the copies of this order, which was in state `before`, need no longer be reserved: it was given back in
    /// full before it was shipped.
    #[must_use]
    pub fn frees_stock(&self, before: OrderStatus) -> bool {
        before == OrderStatus::Confirmed && self.status == OrderStatus::Refunded
    }

    /// Sends the parcel off.
    ///
    /// # Errors
    /// When the order is not confirmed or not paid.
    pub fn ship(&self, tracking: Option<String>) -> Decided {
        self.demand(&[OrderStatus::Confirmed], "shipped")?;
        if self.captured == 0 && !self.is_free() {
            return Err(OrderError::NotPaid);
        }
        Ok(vec![OrderEvent::OrderShipped { tracking }])
    }

    /// Notes that the customer has the books.
    ///
    /// # Errors
    /// When it was not shipped.
    pub fn complete(&self) -> Decided {
        self.demand(&[OrderStatus::Shipped], "completed")?;
        Ok(vec![OrderEvent::OrderCompleted])
    }

    /// Asks to give money back: all that is left, an amount, or what was paid for copies.
    ///
    /// # Errors
    /// When the order was cancelled, rejected or not paid, the amount is not between 1 and what is left, or the copies are not
    /// among those of which no money went back yet.
    pub fn request_refund(&self, refund_id: Uuid, of: RefundOf, reason: &str) -> Decided {
        self.demand(&[OrderStatus::Confirmed, OrderStatus::Shipped, OrderStatus::Completed], "refunded")?;
        let refundable = self.refundable().ok_or(OrderError::NotPaid)?;
        if self.is_free() {
            return Err(OrderError::Free);
        }
        if self.captured == 0 {
            return Err(OrderError::NotPaid);
        }
        let (amount, lines) = match of {
            RefundOf::Everything => (refundable, Vec::new()),
            RefundOf::Amount(amount) => (amount, Vec::new()),
            RefundOf::Copies(copies) => (Money::sum(refundable.currency, self.paid_for(&copies)?)?, copies),
        };
        if amount.currency != refundable.currency || !(1..=refundable.amount).contains(&amount.amount) {
            return Err(OrderError::RefundAmount { refundable });
        }
        Ok(vec![OrderEvent::RefundRequested { refund_id, amount, reason: reason.to_owned(), lines }])
    }

    /// What was paid for each of these copies, of which no money went back yet.
    fn paid_for(&self, copies: &[Copies]) -> Result<Vec<Money>, OrderError> {
        let Some(placed) = self.placement() else { return Err(OrderError::NotPaid) };
        let paid = Paid::of(placed)?;
        let mut parts = Vec::with_capacity(copies.len());
        for (at, wanted) in copies.iter().enumerate() {
            let line = placed.lines.iter().zip(&paid.lines).find(|(line, _)| line.book_id == wanted.book_id);
            let (line, paid) = line.ok_or(OrderError::RefundCopies { at, most: 0 })?;
            let most = line.quantity.get().saturating_sub(self.copies_refunded(wanted.book_id));
            let again = copies[..at].iter().any(|earlier| earlier.book_id == wanted.book_id);
            if again || wanted.quantity.get() > most {
                return Err(OrderError::RefundCopies { at, most: if again { 0 } else { most } });
            }
            let left = Money::new((paid.amount - self.given_back_for(wanted.book_id)).max(0), paid.currency);
            parts.push(pricing::share_of_copies(left, most, wanted.quantity.get()));
        }
        Ok(parts)
    }

    /// Notes that money went back: a refund that was asked for, or that of a cancelled order.
    ///
    /// # Errors
    /// When the order was never confirmed.
    pub fn note_refunded(&self, refund_id: Uuid, amount: Money) -> Decided {
        if !self.confirmed {
            return Err(OrderError::NotPermitted { action: "refunded", status: self.status });
        }
        if self.refunds.get(&refund_id).is_some_and(|refund| refund.state == RefundState::Done) {
            return NOTHING;
        }
        Ok(vec![OrderEvent::OrderRefunded { refund_id, amount }])
    }

    /// Notes that the provider refused a refund.
    ///
    /// # Errors
    /// None; the result has the type of every decision.
    pub fn note_refund_failed(&self, refund_id: Uuid, reason: &str) -> Decided {
        match self.refunds.get(&refund_id) {
            Some(refund) if refund.state == RefundState::Requested => {
                Ok(vec![OrderEvent::RefundFailed { refund_id, reason: reason.to_owned() }])
            }
            _ => NOTHING,
        }
    }

    /// What may be done now: exactly what the decisions above permit. Pages and API ask this.
    #[must_use]
    pub fn actions(&self) -> Actions {
        let refund =
            self.request_refund(Uuid::nil(), RefundOf::Everything, "").is_ok().then(|| self.refundable()).flatten();
        Actions {
            cancel: self.cancel("", Actor::Customer).is_ok(),
            ship: self.ship(None).is_ok(),
            complete: self.complete().is_ok(),
            refund,
        }
    }

    fn demand(&self, permitted: &[OrderStatus], action: &'static str) -> Result<(), OrderError> {
        if permitted.contains(&self.status) {
            Ok(())
        } else {
            Err(OrderError::NotPermitted { action, status: self.status })
        }
    }
}

/// What an order is.
impl Order {
    /// What was ordered; `None` before the first event.
    #[must_use]
    pub fn placement(&self) -> Option<&Placement> {
        self.placement.as_deref()
    }

    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> OrderStatus {
        self.status
    }

    /// Where the payment stands.
    #[must_use]
    pub fn payment(&self) -> PaymentStatus {
        self.payment
    }

    /// Where the customer confirms the payment, while that is awaited.
    #[must_use]
    pub fn action_url(&self) -> Option<&str> {
        self.action_url.as_deref().filter(|_| self.payment == PaymentStatus::ActionRequired)
    }

    /// Whether the contract ever stood, also when it was called off later.
    #[must_use]
    pub fn was_confirmed(&self) -> bool {
        self.confirmed
    }

    /// What the customer pays; `None` before the first event.
    #[must_use]
    pub fn total(&self) -> Option<Money> {
        self.placement().map(|placement| placement.total)
    }

    /// Captured so far, in minor units of the order's currency.
    #[must_use]
    pub fn captured(&self) -> i64 {
        self.captured
    }

    /// Of how many copies of a book money went back, or is on its way.
    #[must_use]
    pub fn copies_refunded(&self, book: BookId) -> u32 {
        self.given_back(book).map(|(copies, _)| copies.quantity.get()).sum()
    }

    /// What went back for copies of a book, or is on its way, in minor units.
    fn given_back_for(&self, book: BookId) -> i64 {
        self.given_back(book).map(|(_, part)| part).sum()
    }

    fn given_back(&self, book: BookId) -> impl Iterator<Item = (&Copies, i64)> {
        let refunds = self.refunds.values().filter(|refund| refund.state != RefundState::Failed);
        let lines = refunds.flat_map(|refund| refund.lines.iter().zip(refund.parts.iter().copied()));
        lines.filter(move |(copies, _)| copies.book_id == book)
    }

    /// Given back so far, in minor units of the order's currency.
    #[must_use]
    pub fn refunded(&self) -> i64 {
        self.sum_of(RefundState::Done)
    }

    /// Whether it costs nothing, so that no payment is asked for.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.total().is_some_and(|total| total.amount == 0)
    }

    /// Asked to be given back, and not answered yet, in minor units.
    #[must_use]
    pub fn promised(&self) -> i64 {
        self.sum_of(RefundState::Requested)
    }

    fn sum_of(&self, state: RefundState) -> i64 {
        self.refunds.values().filter(|refund| refund.state == state).map(|refund| refund.amount).sum()
    }

    /// What can still be given back.
    #[must_use]
    pub fn refundable(&self) -> Option<Money> {
        let left = self.captured - self.refunded() - self.promised();
        self.total().map(|total| Money::new(left.max(0), total.currency))
    }

    /// A refund.
    #[must_use]
    pub fn refund(&self, refund_id: Uuid) -> Option<&Refund> {
        self.refunds.get(&refund_id)
    }

    /// Why it was rejected.
    #[must_use]
    pub fn rejection(&self) -> Option<&Rejection> {
        self.rejection.as_ref()
    }

    /// The lines of which there were not enough.
    #[must_use]
    pub fn short(&self) -> &[ShortLine] {
        &self.short
    }

    /// The carrier's number.
    #[must_use]
    pub fn tracking(&self) -> Option<&str> {
        self.tracking.as_deref()
    }

    /// What happened, oldest first, as people read it.
    #[must_use]
    pub fn timeline(&self) -> &[TimelineEntry] {
        &self.timeline
    }

    /// When the last event happened.
    #[must_use]
    pub fn updated_at(&self) -> Timestamp {
        self.updated_at
    }
}

impl Aggregate for Order {
    type Event = OrderEvent;

    fn apply(&mut self, event: &OrderEvent, at: Timestamp) {
        self.updated_at = at;
        let mut record = |status: &str, note: Option<String>| {
            self.timeline.push(TimelineEntry { status: status.to_owned(), at, note });
        };
        match event {
            OrderEvent::OrderCreated(placement) => {
                record("pending", None);
                self.placement = Some(placement.clone());
                if placement.total.amount == 0 {
                    self.payment = PaymentStatus::NotRequired;
                }
            }
            OrderEvent::PaymentActionRequired { action_url } => {
                record("payment_action_required", None);
                self.payment = PaymentStatus::ActionRequired;
                self.action_url = Some(action_url.clone());
            }
            OrderEvent::PaymentAuthorised => self.payment = PaymentStatus::Authorised,
            OrderEvent::OrderConfirmed => {
                record("confirmed", None);
                self.status = OrderStatus::Confirmed;
                self.confirmed = true;
            }
            OrderEvent::PaymentCaptured { amount } => {
                record("payment_captured", None);
                self.captured = amount.amount;
                self.payment = PaymentStatus::Captured;
            }
            OrderEvent::CaptureFailed { .. } => {
                record("payment_failed", None);
                self.payment = PaymentStatus::Failed;
            }
            OrderEvent::PaymentVoided => self.payment = PaymentStatus::Voided,
            OrderEvent::OrderRejected { code, reason, short } => {
                record("rejected", Some(reason.clone()));
                self.status = OrderStatus::Rejected;
                self.rejection = Some(Rejection { code: code.clone(), reason: reason.clone() });
                self.short.clone_from(short);
                if code == "payment_declined" {
                    self.payment = PaymentStatus::Declined;
                }
            }
            OrderEvent::OrderCancelled { reason, .. } => {
                record("cancelled", Some(reason.clone()).filter(|reason| !reason.is_empty()));
                self.status = OrderStatus::Cancelled;
            }
            OrderEvent::OrderShipped { tracking } => {
                record("shipped", tracking.as_ref().map(|number| format!("Tracking number {number}")));
                self.status = OrderStatus::Shipped;
                self.tracking.clone_from(tracking);
            }
            OrderEvent::OrderCompleted => {
                record("completed", None);
                let given_back = self.payment == PaymentStatus::Refunded;
                self.status = if given_back { OrderStatus::Refunded } else { OrderStatus::Completed };
            }
            OrderEvent::RefundRequested { refund_id, amount, reason, lines } => {
                record("refund_requested", Some(amount.to_string()));
                let parts = self.parts_of(amount.amount, lines);
                let (reason, lines) = (reason.clone(), lines.clone());
                let refund = Refund { amount: amount.amount, reason, lines, parts, state: RefundState::Requested };
                self.refunds.insert(*refund_id, refund);
            }
            OrderEvent::OrderRefunded { refund_id, amount } => self.give_back(*refund_id, *amount, at),
            OrderEvent::RefundFailed { refund_id, .. } => {
                record("refund_failed", None);
                if let Some(refund) = self.refunds.get_mut(refund_id) {
                    refund.state = RefundState::Failed;
                }
            }
        }
    }
}

impl Order {
    /// What of a refund's amount is for each of its copies, as it was decided. The event has only their sum, which counts
    /// where it is another than would be decided now.
    fn parts_of(&self, amount: i64, copies: &[Copies]) -> Vec<i64> {
        let decided = self.paid_for(copies).unwrap_or_default();
        let mut parts: Vec<i64> = decided.into_iter().map(|part| part.amount).collect();
        parts.resize(copies.len(), 0);
        let rest = amount - parts.iter().sum::<i64>();
        if let Some(last) = parts.last_mut() {
            *last += rest;
        }
        parts
    }

    fn give_back(&mut self, refund_id: Uuid, amount: Money, at: Timestamp) {
        let asked = self.refunds.remove(&refund_id);
        let (reason, lines, parts) =
            asked.map(|refund| (refund.reason, refund.lines, refund.parts)).unwrap_or_default();
        let refund = Refund { amount: amount.amount, reason, lines, parts, state: RefundState::Done };
        self.refunds.insert(refund_id, refund);
        // A cancelled order's refund may overtake the event that its payment was captured.
        let paid = if self.captured > 0 { self.captured } else { self.total().map_or(0, |total| total.amount) };
        let everything = self.refunded() >= paid;
        self.payment = if everything { PaymentStatus::Refunded } else { PaymentStatus::PartiallyRefunded };
        if everything && matches!(self.status, OrderStatus::Confirmed | OrderStatus::Completed) {
            self.status = OrderStatus::Refunded;
        }
        let status = if everything { "refunded" } else { "partially_refunded" };
        self.timeline.push(TimelineEntry { status: status.to_owned(), at, note: Some(amount.to_string()) });
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use bookworm_kernel::{Currency, CustomerId, Email, OrderId, Quantity};
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        coupon::{CouponCode, Redeemed},
        event::{Address, OrderLine},
        number::OrderNumber,
    };

    pub(crate) fn usd(amount: i64) -> Money {
        Money::new(amount, Currency::USD)
    }

    pub(crate) fn line(price: i64, quantity: i64) -> OrderLine {
        OrderLine {
            book_id: BookId::new(),
            title: "Middlemarch".into(),
            language: None,
            quantity: Quantity::new(quantity).unwrap(),
            unit_price: usd(price),
            line_total: usd(price * quantity),
            discount: None,
        }
    }

    pub(crate) fn placement(lines: Vec<OrderLine>) -> Placement {
        let subtotal = usd(lines.iter().map(|line| line.line_total.amount).sum());
        Placement {
            order_id: OrderId::new(),
            number: OrderNumber::draw(rand::random),
            customer_id: Some(CustomerId::new()),
            email: Email::parse("ann@example.org").unwrap(),
            shipping_address: Address { name: "Ann".into(), country: "US".into(), ..Address::default() },
            shipping_method: "standard".into(),
            subtotal,
            shipping: usd(490),
            tax: usd(50),
            tax_included: false,
            discount: usd(0),
            total: usd(subtotal.amount + 540),
            basket_id: Uuid::now_v7(),
            placed_at: Timestamp::default(),
            placed_from: None,
            coupon: None,
            shipping_tax: None,
            lines,
        }
    }

    fn fold(events: &[OrderEvent]) -> Order {
        let mut order = Order::default();
        for (second, event) in events.iter().enumerate() {
            order.apply(event, Timestamp::from_micros(second as i64 * 1_000_000));
        }
        order
    }

    fn after(steps: &[fn(&Order) -> Decided]) -> Order {
        let mut events = Order::place(placement(vec![line(1000, 2)])).unwrap();
        for step in steps {
            events.extend(step(&fold(&events)).unwrap());
        }
        fold(&events)
    }

    const TOTAL: i64 = 2540;

    pub(crate) fn free_placement() -> Placement {
        let none = usd(0);
        Placement { shipping: none, tax: none, total: none, ..placement(vec![line(0, 2)]) }
    }

    #[test]
    fn an_order_of_zero_lives_without_a_payment() {
        let mut events = Order::place(free_placement()).unwrap();
        assert_eq!(fold(&events).payment(), PaymentStatus::NotRequired);
        events.extend(fold(&events).confirm().unwrap());
        assert!(!events.contains(&OrderEvent::PaymentAuthorised), "nobody was asked");
        let order = fold(&events);
        assert_eq!(order.request_refund(Uuid::nil(), RefundOf::Everything, ""), Err(OrderError::Free));
        assert_eq!(
            order.actions(),
            Actions { cancel: true, ship: true, complete: false, refund: None },
            "it can be sent and called off"
        );
        let mut off = events.clone();
        off.extend(order.cancel("", Actor::Customer).unwrap());
        assert_eq!((fold(&off).status(), fold(&off).payment()), (OrderStatus::Cancelled, PaymentStatus::NotRequired));
        events.extend(order.ship(None).unwrap());
        events.extend(fold(&events).complete().unwrap());
        assert_eq!(fold(&events).status(), OrderStatus::Completed);
    }

    #[test]
    fn cancelling_after_a_partial_refund_gives_the_rest_back() {
        let first = Uuid::from_u128(1);
        let asked: fn(&Order) -> Decided = |o| o.request_refund(Uuid::from_u128(1), RefundOf::Amount(usd(100)), "torn");
        let order = after(&[Order::confirm, capture, asked]);
        assert_eq!(order.actions().refund, Some(usd(TOTAL - 100)), "what was asked for is counted");
        assert!(order.actions().cancel, "also while a refund is under way");
        let order = after(&[
            Order::confirm,
            capture,
            asked,
            |o| o.note_refunded(Uuid::from_u128(1), usd(100)),
            |o| o.cancel("", Actor::Customer),
            |o| o.note_refunded(Uuid::from_u128(2), usd(TOTAL - 100)),
        ]);
        assert_eq!((order.status(), order.payment()), (OrderStatus::Cancelled, PaymentStatus::Refunded));
        assert_eq!((order.refunded(), order.refund(first).map(|refund| refund.amount)), (TOTAL, Some(100)));
        assert_eq!(order.actions(), Actions { cancel: false, ship: false, complete: false, refund: None });
    }

    #[test]
    fn actions_are_what_the_decisions_permit() {
        type Step = fn(&Order) -> Decided;
        let nothing = Actions { cancel: false, ship: false, complete: false, refund: None };
        let lives: [(&[Step], Actions); 6] = [
            (&[], Actions { cancel: true, ..nothing }),
            (&[Order::confirm], Actions { cancel: true, ..nothing }),
            (&[Order::confirm, capture], Actions { cancel: true, ship: true, refund: Some(usd(TOTAL)), ..nothing }),
            (
                &[Order::confirm, capture, |o| o.ship(None)],
                Actions { complete: true, refund: Some(usd(TOTAL)), ..nothing },
            ),
            (&[|o| o.reject("timeout", "", &[])], nothing),
            (&[|o| o.cancel("", Actor::Shop)], nothing),
        ];
        for (steps, actions) in lives {
            assert_eq!(after(steps).actions(), actions);
        }
    }

    fn capture(order: &Order) -> Decided {
        order.note_captured(usd(TOTAL))
    }

    #[test]
    fn amounts_must_add_up() {
        let good = placement(vec![line(1000, 2)]);
        assert!(Order::place(good.clone()).is_ok());
        let wrong: [fn(&mut Placement); 7] = [
            |p| p.lines.clear(),
            |p| p.lines[0].line_total = usd(1),
            |p| p.lines.push(p.lines[0].clone()),
            |p| p.subtotal = usd(1999),
            |p| p.total = usd(1),
            |p| p.tax_included = true,
            |p| (p.discount, p.total) = (usd(5000), usd(TOTAL - 5000)),
        ];
        for break_it in wrong {
            let mut broken = good.clone();
            break_it(&mut broken);
            assert!(matches!(Order::place(broken), Err(OrderError::Inconsistent(_))));
        }
        let mut mixed = good;
        mixed.shipping = Money::new(490, Currency::EUR);
        assert!(matches!(Order::place(mixed), Err(OrderError::Money(_))));
    }

    #[test]
    fn the_usual_life() {
        let order = after(&[Order::confirm, capture, |o| o.ship(Some("1Z9".into())), Order::complete]);
        assert_eq!((order.status(), order.payment()), (OrderStatus::Completed, PaymentStatus::Captured));
        let steps: Vec<_> = order.timeline().iter().map(|entry| entry.status.as_str()).collect();
        assert_eq!(steps, ["pending", "confirmed", "payment_captured", "shipped", "completed"]);
    }

    #[test]
    fn nothing_unpaid_is_shipped_and_nothing_shipped_is_cancelled() {
        assert_eq!(after(&[Order::confirm]).ship(None), Err(OrderError::NotPaid));
        let shipped = after(&[Order::confirm, capture, |o| o.ship(None)]);
        let refused = shipped.cancel("", Actor::Customer).unwrap_err();
        assert_eq!(refused.to_string(), "The order is shipped, so it cannot be cancelled.");
    }

    #[test]
    fn refunds_never_exceed_what_was_captured() {
        let (one, two) = (Uuid::now_v7(), Uuid::now_v7());
        let mut events = Order::place(placement(vec![line(1000, 2)])).unwrap();
        events.extend(fold(&events).confirm().unwrap());
        assert_eq!(fold(&events).request_refund(one, RefundOf::Everything, "torn"), Err(OrderError::NotPaid));
        events.extend(capture(&fold(&events)).unwrap());
        events.extend(fold(&events).request_refund(one, RefundOf::Amount(usd(2000)), "torn").unwrap());
        let left = OrderError::RefundAmount { refundable: usd(540) };
        for amount in [0, -1, 541, i64::MAX] {
            assert_eq!(fold(&events).request_refund(two, RefundOf::Amount(usd(amount)), "torn"), Err(left.clone()));
        }
        let euro = Money::new(1, Currency::EUR);
        assert_eq!(fold(&events).request_refund(two, RefundOf::Amount(euro), "torn"), Err(left));
        events.extend(fold(&events).note_refunded(one, usd(2000)).unwrap());
        assert_eq!(fold(&events).payment(), PaymentStatus::PartiallyRefunded);
        assert_eq!(fold(&events).note_refunded(one, usd(2000)), NOTHING, "reported twice");
        events.extend(fold(&events).request_refund(two, RefundOf::Everything, "torn").unwrap());
        events.extend(fold(&events).note_refunded(two, usd(540)).unwrap());
        assert_eq!((fold(&events).status(), fold(&events).payment()), (OrderStatus::Refunded, PaymentStatus::Refunded));
    }

    /// Three and one copies, 3.00 off the books and 4.90 off delivery, and tax that does not divide.
    fn reduced() -> Placement {
        let mut p = placement(vec![line(999, 3), line(500, 1)]);
        p.lines[0].discount = Some(usd(257));
        p.lines[1].discount = Some(usd(43));
        p.coupon = Some(Redeemed {
            code: CouponCode::parse("spring").unwrap(),
            name: "Spring".to_owned(),
            off_shipping: usd(490),
        });
        p.discount = usd(790);
        p.tax = usd(232);
        p.total = usd(3497 + 490 + 232 - 790);
        p
    }

    fn paid(placement: Placement) -> Vec<OrderEvent> {
        let total = placement.total;
        let mut events = Order::place(placement).unwrap();
        events.extend(fold(&events).confirm().unwrap());
        events.extend(fold(&events).note_captured(total).unwrap());
        events
    }

    #[test]
    fn copies_give_back_what_was_paid_for_them_and_all_of_them_the_whole() {
        let placement = reduced();
        let [three, one] = [placement.lines[0].book_id, placement.lines[1].book_id];
        let mut events = paid(placement.clone());
        let of = |book_id, copies| Copies { book_id, quantity: Quantity::new(copies).unwrap() };
        let refund = |events: &[OrderEvent], n: u128, copies: Vec<Copies>| {
            fold(events).request_refund(Uuid::from_u128(n), RefundOf::Copies(copies), "torn")
        };
        let amount = |events: &[OrderEvent]| match events.last() {
            Some(OrderEvent::RefundRequested { amount, .. }) => amount.amount,
            other => panic!("{other:?}"),
        };
        assert_eq!(Paid::of(&placement).unwrap().lines, [usd(2740 + 199), usd(457 + 33)]);
        let mut sums = Vec::new();
        for n in 1..=3 {
            events.extend(refund(&events, n, vec![of(three, 1)]).unwrap());
            sums.push(amount(&events));
        }
        assert_eq!((sums.clone(), sums.iter().sum()), (vec![979, 980, 980], 2939));
        let none_left = OrderError::RefundCopies { at: 1, most: 0 };
        assert_eq!(refund(&events, 4, vec![of(one, 1), of(three, 1)]), Err(none_left.clone()));
        assert_eq!(refund(&events, 4, vec![of(one, 1), of(one, 1)]), Err(none_left.clone()), "a book twice");
        assert_eq!(refund(&events, 4, vec![of(one, 1), of(BookId::new(), 1)]), Err(none_left));
        assert_eq!(refund(&events, 4, vec![of(one, 2)]), Err(OrderError::RefundCopies { at: 0, most: 1 }));
        // What the provider refused can go back after all.
        events.extend(fold(&events).note_refund_failed(Uuid::from_u128(3), "closed").unwrap());
        events.extend(fold(&events).note_refunded(Uuid::from_u128(1), usd(979)).unwrap());
        assert_eq!(fold(&events).copies_refunded(three), 2, "one went back, one is on its way");
        events.extend(refund(&events, 5, vec![of(three, 1), of(one, 1)]).unwrap());
        assert_eq!(amount(&events), 980 + 490);
        assert_eq!(fold(&events).refundable(), Some(usd(0)), "delivery was free");
    }

    #[test]
    fn the_last_copy_is_no_more_than_what_is_left_after_a_refund_that_failed() {
        let placement = reduced();
        let three = placement.lines[0].book_id;
        let mut events = paid(placement);
        let one = vec![Copies { book_id: three, quantity: Quantity::new(1).unwrap() }];
        let ask = |events: &mut Vec<OrderEvent>, n| {
            events.extend(
                fold(events).request_refund(Uuid::from_u128(n), RefundOf::Copies(one.clone()), "torn").unwrap(),
            );
        };
        ask(&mut events, 1);
        ask(&mut events, 2);
        events.extend(fold(&events).note_refund_failed(Uuid::from_u128(1), "closed").unwrap());
        ask(&mut events, 3);
        ask(&mut events, 4);
        assert_eq!(fold(&events).given_back_for(three), 2939, "29.39 were paid");
    }

    proptest! {
        /// However copies go back, and whichever refunds fail: never more than was paid for a line, and for all of its copies
        /// exactly that.
        #[test]
        fn all_copies_give_back_what_was_paid_for_their_line(
            steps in prop::collection::vec((0_usize..4, 0_i64..4, 0_i64..4), 0..30),
        ) {
            let placement = reduced();
            let books = [placement.lines[0].book_id, placement.lines[1].book_id];
            let paid_for = Paid::of(&placement).unwrap().lines;
            let mut events = paid(placement);
            let ask = |events: &mut Vec<OrderEvent>, n: u128, copies: [i64; 2]| {
                let wanted = books.iter().zip(copies).filter(|(_, copies)| *copies > 0);
                let copies = wanted.map(|(book, copies)| Copies {
                    book_id: *book,
                    quantity: Quantity::new(copies).unwrap(),
                });
                let of = RefundOf::Copies(copies.collect());
                if let Ok(asked) = fold(events).request_refund(Uuid::from_u128(n), of, "torn") {
                    events.extend(asked);
                }
            };
            for (n, (step, a, b)) in steps.into_iter().enumerate() {
                let n = n as u128 + 1;
                let earlier = Uuid::from_u128(u128::from(a.unsigned_abs()) + 1);
                let order = fold(&events);
                match step {
                    0 => events.extend(order.note_refund_failed(earlier, "closed").unwrap()),
                    1 => if let Some(refund) = order.refund(earlier) && refund.state == RefundState::Requested {
                        events.extend(order.note_refunded(earlier, usd(refund.amount)).unwrap());
                    },
                    _ => ask(&mut events, n, [a, b]),
                }
                for (book, paid) in books.iter().zip(&paid_for) {
                    prop_assert!(fold(&events).given_back_for(*book) <= paid.amount);
                }
            }
            let order = fold(&events);
            let left = [3, 1].iter().zip(books).map(|(all, book)| all - i64::from(order.copies_refunded(book)));
            let left: Vec<i64> = left.collect();
            ask(&mut events, 1000, [left[0], left[1]]);
            let order = fold(&events);
            for (book, paid) in books.iter().zip(&paid_for) {
                prop_assert_eq!(order.given_back_for(*book), paid.amount);
            }
            prop_assert_eq!(order.refunded() + order.promised(), paid_for.iter().map(|paid| paid.amount).sum::<i64>());
        }
    }

    #[test]
    fn discounts_must_add_up() {
        assert!(Order::place(reduced()).is_ok());
        let wrong: [fn(&mut Placement); 3] = [
            |p| p.lines[0].discount = Some(usd(258)),
            |p| p.lines[1].discount = None,
            |p| (p.lines[0].discount, p.lines[1].discount) = (Some(usd(-700)), Some(usd(1000))),
        ];
        for break_it in wrong {
            let mut broken = reduced();
            break_it(&mut broken);
            assert!(matches!(Order::place(broken), Err(OrderError::Inconsistent(_))));
        }
    }

    #[test]
    fn a_refused_refund_can_be_asked_for_again() {
        let id = Uuid::now_v7();
        let mut events = Order::place(placement(vec![line(1000, 2)])).unwrap();
        events.extend(fold(&events).confirm().unwrap());
        events.extend(capture(&fold(&events)).unwrap());
        events.extend(fold(&events).request_refund(id, RefundOf::Everything, "torn").unwrap());
        assert!(fold(&events).request_refund(Uuid::now_v7(), RefundOf::Everything, "torn").is_err());
        events.extend(fold(&events).note_refund_failed(id, "card closed").unwrap());
        assert_eq!(fold(&events).note_refund_failed(id, "card closed"), NOTHING);
        assert_eq!(fold(&events).refundable(), Some(usd(TOTAL)));
    }

    #[test]
    fn a_refund_on_the_way_leaves_the_parcel_to_be_completed() {
        let refunded: fn(&Order) -> Decided = |o| o.note_refunded(Uuid::from_u128(1), usd(TOTAL));
        let before = after(&[Order::confirm, capture, refunded]);
        assert!(before.frees_stock(OrderStatus::Confirmed), "it never left");
        let on_its_way = after(&[Order::confirm, capture, |o| o.ship(None), refunded]);
        assert_eq!((on_its_way.status(), on_its_way.payment()), (OrderStatus::Shipped, PaymentStatus::Refunded));
        assert!(!on_its_way.frees_stock(OrderStatus::Shipped));
        let arrived = after(&[Order::confirm, capture, |o| o.ship(None), refunded, Order::complete]);
        assert_eq!(arrived.status(), OrderStatus::Refunded);
    }

    #[test]
    fn the_refund_of_a_cancelled_order_leaves_it_cancelled() {
        let order = after(&[
            Order::confirm,
            |o| o.cancel("changed my mind", Actor::Customer),
            |o| o.note_refunded(Uuid::now_v7(), usd(TOTAL)),
            capture,
        ]);
        assert_eq!((order.status(), order.payment()), (OrderStatus::Cancelled, PaymentStatus::Refunded));
        assert_eq!(order.captured(), 0, "an event that comes late changes nothing");
    }

    #[test]
    fn money_of_an_order_that_was_never_confirmed_is_refused_loudly() {
        assert!(after(&[]).note_captured(usd(TOTAL)).is_err());
        assert!(after(&[|o| o.reject("timeout", "", &[])]).note_captured(usd(TOTAL)).is_err());
    }

    #[test]
    fn stored_events_stay_readable() {
        let stored = [
            r#"{"type":"PaymentActionRequired","action_url":"/pay/1"}"#,
            r#"{"type":"PaymentAuthorised"}"#,
            r#"{"type":"OrderConfirmed"}"#,
            r#"{"type":"PaymentCaptured","amount":{"amount":5,"currency":"USD"}}"#,
            r#"{"type":"CaptureFailed","reason":"closed"}"#,
            r#"{"type":"PaymentVoided"}"#,
            r#"{"type":"OrderRejected","code":"payment_declined","reason":"no"}"#,
            r#"{"type":"OrderCancelled","reason":"","by":"customer"}"#,
            r#"{"type":"OrderShipped","tracking":null}"#,
            r#"{"type":"OrderCompleted"}"#,
            r#"{"type":"RefundRequested","refund_id":"0192f0c4-0000-7000-8000-000000000001","amount":{"amount":5,"currency":"USD"},"reason":"torn"}"#,
            r#"{"type":"OrderRefunded","refund_id":"0192f0c4-0000-7000-8000-000000000001","amount":{"amount":5,"currency":"USD"}}"#,
            r#"{"type":"RefundFailed","refund_id":"0192f0c4-0000-7000-8000-000000000001","reason":"no"}"#,
        ];
        for text in stored {
            let event: OrderEvent = serde_json::from_str(text).unwrap();
            let value: serde_json::Value = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_value(&event).unwrap(), value);
        }
    }

    #[derive(Debug, Clone)]
    enum Command {
        ActionRequired,
        Confirm,
        Captured,
        FailCapture,
        Voided,
        Reject,
        Cancel,
        Ship,
        Complete,
        Refund(u8, Option<i64>),
        Refunded(u8),
        RefundFailed(u8),
    }

    fn any_command() -> impl Strategy<Value = Command> {
        prop_oneof![
            1 => Just(Command::ActionRequired),
            3 => Just(Command::Confirm),
            3 => Just(Command::Captured),
            1 => Just(Command::FailCapture),
            1 => Just(Command::Voided),
            1 => Just(Command::Reject),
            1 => Just(Command::Cancel),
            2 => Just(Command::Ship),
            1 => Just(Command::Complete),
            2 => (0_u8..4, prop::option::of(-10_i64..4000)).prop_map(|(id, amount)| Command::Refund(id, amount)),
            1 => (0_u8..4).prop_map(Command::Refunded),
            1 => (0_u8..4).prop_map(Command::RefundFailed),
        ]
    }

    fn decide(order: &Order, command: &Command) -> Decided {
        let id = |n: &u8| Uuid::from_u128(u128::from(*n) + 1);
        match command {
            Command::ActionRequired => order.note_action_required("/pay"),
            Command::Confirm => order.confirm(),
            Command::Captured => capture(order),
            Command::FailCapture => order.fail_capture("closed"),
            Command::Voided => order.note_voided(),
            Command::Reject => order.reject("timeout", "too slow", &[]),
            Command::Cancel => order.cancel("", Actor::Customer),
            Command::Ship => order.ship(None),
            Command::Complete => order.complete(),
            // Ids are fresh in life: one that is known is not asked for again.
            Command::Refund(n, _) if order.refund(id(n)).is_some() => NOTHING,
            Command::Refund(n, amount) => order.request_refund(
                id(n),
                amount.map_or(RefundOf::Everything, |amount| RefundOf::Amount(usd(amount))),
                "torn",
            ),
            // The provider gives back what was asked for, or all of a cancelled order.
            Command::Refunded(n) => match order.refund(id(n)) {
                Some(refund) if refund.state == RefundState::Requested => {
                    order.note_refunded(id(n), usd(refund.amount))
                }
                _ => NOTHING,
            },
            Command::RefundFailed(n) => order.note_refund_failed(id(n), "closed"),
        }
    }

    /// Where a status may lead.
    fn may_follow(from: OrderStatus, to: OrderStatus) -> bool {
        use OrderStatus::{Cancelled, Completed, Confirmed, Pending, Refunded, Rejected, Shipped};
        from == to
            || match from {
                Pending => matches!(to, Confirmed | Rejected | Cancelled),
                Confirmed => matches!(to, Shipped | Cancelled | Refunded),
                Shipped => matches!(to, Completed | Refunded),
                Completed => to == Refunded,
                Cancelled | Rejected | Refunded => false,
            }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_the_rules_hold(commands in prop::collection::vec(any_command(), 0..40)) {
            let mut events = Order::place(placement(vec![line(1000, 2)])).unwrap();
            let mut order = fold(&events);
            for command in commands {
                let Ok(new) = decide(&order, &command) else { continue };
                for event in new {
                    let before = order.clone();
                    events.push(event);
                    order = fold(&events);
                    prop_assert!(may_follow(before.status(), order.status()), "{:?} -> {:?}", before.status(), order.status());
                }
                let captured = events.iter().position(|e| matches!(e, OrderEvent::PaymentCaptured { .. }));
                let confirmed = events.iter().position(|e| *e == OrderEvent::OrderConfirmed);
                let authorised = events.iter().position(|e| *e == OrderEvent::PaymentAuthorised);
                prop_assert!(captured.is_none() || confirmed < captured && confirmed.is_some(), "capture before confirm");
                prop_assert!(confirmed.is_none() || authorised < confirmed && authorised.is_some(), "confirmed unpaid");
                prop_assert!(order.refunded() <= order.captured(), "gave back more than was taken");
                prop_assert!(!matches!(order.status(), OrderStatus::Shipped | OrderStatus::Completed) || order.captured() > 0);
                prop_assert_eq!(order.total(), Some(usd(TOTAL)));
                let most = order.actions().refund.map_or(0, |most| most.amount);
                prop_assert!(order.refunded() + order.promised() + most <= order.captured().max(order.refunded()));
                prop_assert!(order.status() != OrderStatus::Refunded || order.refunded() == order.captured());
            }
        }

        #[test]
        fn events_round_trip(commands in prop::collection::vec(any_command(), 0..20)) {
            let mut events = Order::place(placement(vec![line(1000, 2)])).unwrap();
            for command in commands {
                events.extend(decide(&fold(&events), &command).unwrap_or_default());
            }
            for event in events {
                let text = serde_json::to_string(&event).unwrap();
                prop_assert_eq!(serde_json::from_str::<OrderEvent>(&text).unwrap(), event);
            }
        }
    }
}
