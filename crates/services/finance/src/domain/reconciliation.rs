//! Orders, payments, provider and ledger compared. Every difference has a stable name.

use bookworm_kernel::{Money, OrderId};

use super::payment::{Payment, ProviderPayment, ProviderState, Status};

/// Where an order stands, as ordering reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OrderStatus {
    /// Stock and payment are being checked.
    Pending,
    /// The contract stands.
    Confirmed,
    /// The parcel is on its way.
    Shipped,
    /// Delivered.
    Completed,
    /// Called off before it was shipped.
    Cancelled,
    /// Could not be confirmed.
    Rejected,
    /// All the money went back.
    Refunded,
}

/// Something that does not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Stable name, e.g. `captured_without_confirmed_order`.
    pub kind: String,
    /// The order, when there is one.
    pub order_id: Option<OrderId>,
    /// For people.
    pub detail: String,
}

/// What is known of an order.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderFacts {
    /// The order.
    pub order_id: OrderId,
    /// Where it stands.
    pub status: OrderStatus,
    /// What the customer pays.
    pub total: Money,
    /// Whether it ever was confirmed.
    pub confirmed: bool,
    /// Whether the payment is captured, as the order has it; `None` when that is not known.
    pub payment_captured: Option<bool>,
    /// Given back, as the order has it.
    pub refunded: Money,
}

/// What the ledger says about a payment, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LedgerFacts {
    /// What came in.
    pub captured: i64,
    /// What went back.
    pub refunded: i64,
}

/// What the provider says about a payment.
#[derive(Debug, Clone, PartialEq)]
pub enum ProviderView {
    /// Its own record of the payment.
    Known(ProviderPayment),
    /// It does not know the payment.
    Unknown,
    /// It does not answer.
    Unreachable,
}

fn difference(kind: &str, order: OrderId, detail: String) -> Difference {
    Difference { kind: kind.to_owned(), order_id: Some(order), detail }
}

/// An order and its payment.
#[must_use]
pub fn compare_order(order: &OrderFacts, payment: Option<&Payment>) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut differ = |kind, detail: String| found.push(difference(kind, order.order_id, detail));
    let closed = matches!(order.status, OrderStatus::Rejected | OrderStatus::Cancelled | OrderStatus::Refunded);
    let delivered = matches!(order.status, OrderStatus::Shipped | OrderStatus::Completed);
    let Some(payment) = payment.filter(|payment| payment.attempted) else {
        // An order that costs nothing needs no payment.
        if order.confirmed && order.total.amount > 0 {
            differ("confirmed_without_payment", format!("The order of {} has no payment.", order.total));
        }
        return found;
    };
    let retained = payment.captured.amount - payment.refunded.amount;
    let status = payment.status.as_str();
    if payment.amount != order.total {
        differ("total_differs", format!("The order is {}, the payment {}.", order.total, payment.amount));
    }
    if order.confirmed && !closed && !(payment.status == Status::Authorised || payment.status.is_captured()) {
        let kind = if payment.status == Status::Failed { "capture_failed" } else { "confirmed_without_payment" };
        differ(kind, format!("The order stands, but its payment is {status}."));
    }
    if delivered && payment.status == Status::Authorised {
        differ("shipped_without_capture", "The goods left, but the payment is not captured.".to_owned());
    }
    if retained > 0 && !order.confirmed {
        differ(
            "captured_without_confirmed_order",
            format!("{} was taken for an order that was never confirmed.", payment.captured),
        );
    } else if retained > 0 && closed {
        let retained = Money::new(retained, payment.captured.currency);
        differ("captured_for_closed_order", format!("{retained} is kept for an order that is closed."));
    }
    if closed && matches!(payment.status, Status::Authorising | Status::ActionRequired | Status::Authorised) {
        differ("held_for_closed_order", format!("The order is closed, but its payment is {status}."));
    }
    if let Some(captured) = order.payment_captured
        && captured != (payment.captured.amount > 0)
    {
        let says = if captured { "captured" } else { "not captured" };
        differ("order_captured_differs", format!("The order says {says}, the payment is {status}."));
    }
    // An order that was called off need not note its refund.
    let notes_refunds = order.confirmed && (order.payment_captured.is_some() || order.status != OrderStatus::Cancelled);
    if notes_refunds && order.refunded.amount != payment.refunded.amount {
        let detail = format!("The order says {} went back, the payment {}.", order.refunded, payment.refunded);
        differ("order_refunded_differs", detail);
    }
    found
}

/// A payment that no order claims.
#[must_use]
pub fn without_order(payment: &Payment) -> Option<Difference> {
    let detail = format!("The payment of {} belongs to no order.", payment.amount);
    payment.attempted.then(|| difference("payment_without_order", payment.order_id, detail))
}

/// A payment and its provider's record of it.
#[must_use]
pub fn compare_provider(payment: &Payment, view: &ProviderView) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut differ = |kind, detail: String| found.push(difference(kind, payment.order_id, detail));
    let (status, ours) = (payment.status, payment.status.as_str());
    let seen = match view {
        ProviderView::Known(seen) => seen,
        ProviderView::Unreachable => {
            differ("provider_unreachable", format!("The payment is {ours}; the provider does not answer about it."));
            return found;
        }
        ProviderView::Unknown => {
            if status.is_captured() || matches!(status, Status::Authorised | Status::ActionRequired) {
                differ("provider_unknown_payment", format!("The payment is {ours}; the provider does not know it."));
            }
            return found;
        }
    };
    let refunded: i64 = seen.refunds.iter().map(|refund| refund.amount.amount).sum();
    let has_money = status == Status::Authorised || status.is_captured();
    if has_money && seen.amount != payment.amount {
        differ(
            "provider_amount_differs",
            format!("We asked for {}, the provider says {}.", payment.amount, seen.amount),
        );
    }
    if seen.captured.amount != payment.captured.amount {
        let detail = format!("We took {}, the provider says {}.", payment.captured, seen.captured);
        differ("provider_captured_differs", detail);
    }
    if refunded != payment.refunded.amount {
        let theirs = Money::new(refunded, seen.amount.currency);
        differ("provider_refunded_differs", format!("{} went back, the provider says {theirs}.", payment.refunded));
    }
    let theirs_open = matches!(seen.state, ProviderState::Authorised | ProviderState::ActionRequired { .. });
    if theirs_open && matches!(status, Status::Declined | Status::Voided | Status::Failed) {
        differ("provider_still_holds", format!("The payment is {ours}, but the provider still holds it."));
    }
    let theirs_gone = matches!(seen.state, ProviderState::Voided | ProviderState::Declined { .. });
    if theirs_gone && status == Status::Authorised {
        differ("provider_let_go", "The payment is authorised, but the provider no longer holds it.".to_owned());
    }
    found
}

/// A payment and its bookings.
#[must_use]
pub fn compare_ledger(payment: &Payment, ledger: LedgerFacts) -> Vec<Difference> {
    let mut found = Vec::new();
    let money = |amount| Money::new(amount, payment.captured.currency);
    for (kind, ours, booked) in [
        ("ledger_captured_differs", payment.captured, money(ledger.captured)),
        ("ledger_refunded_differs", payment.refunded, money(ledger.refunded)),
    ] {
        if ours != booked {
            found.push(difference(kind, payment.order_id, format!("The payment says {ours}, the ledger {booked}.")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use bookworm_kernel::{Currency, PaymentId, Timestamp};

    use super::*;

    fn usd(amount: i64) -> Money {
        Money::new(amount, Currency::USD)
    }

    fn payment(status: Status) -> Payment {
        let captured = if status.is_captured() { usd(1000) } else { usd(0) };
        let refunded = if status == Status::Refunded { usd(1000) } else { usd(0) };
        let new = Payment::requested(PaymentId::new(), OrderId::new(), usd(1000), Timestamp::default());
        Payment { status, captured, refunded, ..new }
    }

    fn order(status: OrderStatus, confirmed: bool) -> OrderFacts {
        let refunded = if status == OrderStatus::Refunded { usd(1000) } else { usd(0) };
        OrderFacts { order_id: OrderId::new(), status, total: usd(1000), confirmed, payment_captured: None, refunded }
    }

    fn kinds(found: Vec<Difference>) -> Vec<String> {
        found.into_iter().map(|difference| difference.kind).collect()
    }

    #[test]
    fn orders_and_payments_that_agree_and_that_do_not() {
        use OrderStatus as O;
        let cases: &[(OrderFacts, Option<Payment>, &[&str])] = &[
            (order(O::Pending, false), None, &[]),
            (order(O::Pending, false), Some(payment(Status::Authorising)), &[]),
            (order(O::Confirmed, true), Some(payment(Status::Authorised)), &[]),
            (order(O::Completed, true), Some(payment(Status::Captured)), &[]),
            (order(O::Rejected, false), Some(payment(Status::Declined)), &[]),
            (order(O::Rejected, false), Some(payment(Status::Voided)), &[]),
            (order(O::Refunded, true), Some(payment(Status::Refunded)), &[]),
            (order(O::Confirmed, true), None, &["confirmed_without_payment"]),
            (OrderFacts { total: usd(0), ..order(O::Confirmed, true) }, None, &[]),
            (OrderFacts { total: usd(0), ..order(O::Completed, true) }, None, &[]),
            (order(O::Confirmed, true), Some(payment(Status::Declined)), &["confirmed_without_payment"]),
            (order(O::Confirmed, true), Some(payment(Status::Failed)), &["capture_failed"]),
            (order(O::Shipped, true), Some(payment(Status::Authorised)), &["shipped_without_capture"]),
            (order(O::Pending, false), Some(payment(Status::Captured)), &["captured_without_confirmed_order"]),
            (order(O::Cancelled, true), Some(payment(Status::Captured)), &["captured_for_closed_order"]),
            (order(O::Rejected, false), Some(payment(Status::Authorised)), &["held_for_closed_order"]),
            (
                OrderFacts { total: usd(1), ..order(O::Confirmed, true) },
                Some(payment(Status::Captured)),
                &["total_differs"],
            ),
            (
                OrderFacts { refunded: usd(1), ..order(O::Confirmed, true) },
                Some(payment(Status::Captured)),
                &["order_refunded_differs"],
            ),
            (
                OrderFacts { payment_captured: Some(true), ..order(O::Confirmed, true) },
                Some(payment(Status::Authorised)),
                &["order_captured_differs"],
            ),
        ];
        for (order, payment, expected) in cases {
            assert_eq!(kinds(compare_order(order, payment.as_ref())), *expected, "{order:?} {payment:?}");
        }
    }

    #[test]
    fn payments_and_the_provider() {
        let known = |state, captured| {
            ProviderView::Known(ProviderPayment {
                reference: "p".into(),
                state,
                amount: usd(1000),
                captured: usd(captured),
                refunds: vec![],
            })
        };
        let cases: &[(Status, ProviderView, &[&str])] = &[
            (Status::Captured, known(ProviderState::Captured, 1000), &[]),
            (Status::Authorising, ProviderView::Unknown, &[]),
            (Status::Authorised, ProviderView::Unknown, &["provider_unknown_payment"]),
            (Status::Authorised, known(ProviderState::Captured, 1000), &["provider_captured_differs"]),
            (Status::Refunded, known(ProviderState::Captured, 1000), &["provider_refunded_differs"]),
            (Status::Voided, known(ProviderState::Authorised, 0), &["provider_still_holds"]),
            (Status::Authorised, known(ProviderState::Voided, 0), &["provider_let_go"]),
            (Status::Captured, ProviderView::Unreachable, &["provider_unreachable"]),
        ];
        for (status, view, expected) in cases {
            assert_eq!(kinds(compare_provider(&payment(*status), view)), *expected, "{status:?} {view:?}");
        }
    }

    #[test]
    fn payments_and_the_ledger() {
        let captured = payment(Status::Captured);
        assert_eq!(compare_ledger(&captured, LedgerFacts { captured: 1000, refunded: 0 }), vec![]);
        let found = compare_ledger(&captured, LedgerFacts { captured: 900, refunded: 5 });
        assert_eq!(kinds(found), ["ledger_captured_differs", "ledger_refunded_differs"]);
    }
}
