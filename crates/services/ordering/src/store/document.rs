//! An order's row as JSON: a pure function of its events, so that it can be rebuilt at any time.
//!
//! Stored, and not the API's type: add optional fields, never rename or remove one. `tests/golden/` holds what earlier
//! releases have written.

use bookworm_kernel::{Money, OrderId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::{
    coupon::Redeemed,
    event::{Address, OrderLine},
    order::{Actions, Order, Rejection, TimelineEntry},
    status::{OrderStatus, PaymentStatus},
};

/// Everything of an order that is read without folding its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Document {
    pub id: OrderId,
    /// As people read it out, e.g. `BW-7K3M-92QX`.
    pub number: String,
    pub status: OrderStatus,
    pub placed_at: Timestamp,
    pub lines: Vec<OrderLine>,
    /// Sum of the lines.
    pub subtotal: Money,
    pub shipping: Money,
    pub tax: Money,
    /// Whether the tax is contained in the prices rather than added.
    pub tax_included: bool,
    pub discount: Money,
    /// The coupon that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<Redeemed>,
    /// What the customer pays.
    pub total: Money,
    pub shipping_address: Address,
    /// Code of the shipping method.
    pub shipping_method: String,
    pub email: String,
    pub payment: PaymentDocument,
    /// What may be done now. Never stored: it follows from rules that a later release may change. `None` when the order
    /// was read from its row.
    #[serde(skip)]
    pub actions: Option<Actions>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejection: Option<Rejection>,
    /// The carrier's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracking: Option<String>,
    /// Oldest first.
    pub timeline: Vec<TimelineEntry>,
    /// How many events the order has.
    pub version: u64,
}

/// The payment's part of a [`Document`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PaymentDocument {
    pub status: PaymentStatus,
    /// Where the customer confirms, while `status` is `action_required`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_url: Option<String>,
    /// Given back so far.
    pub refunded: Money,
    /// Asked to be given back, and not answered yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refunding: Option<Money>,
}

impl Document {
    /// Of an order with this many events. `None` before the first.
    pub fn of(order: &Order, version: u64) -> Option<Self> {
        let placed = order.placement()?;
        Some(Self {
            id: placed.order_id,
            number: placed.number.to_string(),
            status: order.status(),
            placed_at: placed.placed_at,
            lines: placed.lines.clone(),
            subtotal: placed.subtotal,
            shipping: placed.shipping,
            tax: placed.tax,
            tax_included: placed.tax_included,
            discount: placed.discount,
            coupon: placed.coupon.clone(),
            total: placed.total,
            shipping_address: placed.shipping_address.clone(),
            shipping_method: placed.shipping_method.clone(),
            email: placed.email.as_str().to_owned(),
            payment: PaymentDocument {
                status: order.payment(),
                action_url: order.action_url().map(str::to_owned),
                refunded: Money::new(order.refunded(), placed.total.currency),
                refunding: Some(Money::new(order.promised(), placed.total.currency)).filter(|sum| sum.amount > 0),
            },
            actions: Some(order.actions()),
            rejection: order.rejection().cloned(),
            tracking: order.tracking().map(str::to_owned),
            timeline: order.timeline().to_vec(),
            version,
        })
    }

    /// Whether the contract ever stood, also when it was called off later.
    pub fn was_confirmed(&self) -> bool {
        self.timeline.iter().any(|entry| entry.status == "confirmed")
    }
}
