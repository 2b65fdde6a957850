//! What is stored of an order: its events, and what they are made of.
//!
//! These types are the stored form. They are nobody's contract: the API, the events that other services read, and the
//! catalogue's answers have types of their own, so that a field of one of those can change without making an old order
//! unreadable. Files in `tests/golden/` hold what earlier releases have written; it must stay readable. Add optional
//! fields, never rename or remove one.

use bookworm_kernel::{BookId, CustomerId, Email, Money, OrderId, Quantity, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{coupon::Redeemed, number::OrderNumber};

/// Where a parcel goes, as its country's rules read it.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Address {
    /// The recipient.
    pub name: String,
    /// Street and number.
    pub line1: String,
    /// A second line of the street address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// Empty where addresses have none, as in Singapore.
    #[serde(default)]
    pub city: String,
    /// State, province or county, as it is written there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Empty where there are none, as in Hong Kong.
    #[serde(default)]
    pub postal_code: String,
    /// ISO 3166-1 alpha-2, or `XK`.
    pub country: String,
}

impl std::fmt::Debug for Address {
    /// Hides the address: where people live does not belong in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Address(hidden)")
    }
}

/// One book of an order, with the price at which it was sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    /// Each book is on one line at most.
    pub book_id: BookId,
    /// Its title when it was sold.
    pub title: String,
    /// The language of the book and its title: a BCP 47 tag. Missing in orders of early releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// How many copies.
    pub quantity: Quantity,
    /// For one copy.
    pub unit_price: Money,
    /// For all copies.
    pub line_total: Money,
    /// Its part of the order's discount; missing where no coupon was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<Money>,
}

/// Copies of a book of an order, of which money goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copies {
    /// A book of the order.
    pub book_id: BookId,
    /// How many.
    pub quantity: Quantity,
}

/// A book of which the catalogue had fewer copies than were ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShortLine {
    /// The book.
    pub book_id: BookId,
    /// Copies that were ordered.
    pub wanted: u32,
    /// Copies that could be had then.
    pub available: u32,
}

/// What a customer ordered: fixed once it is placed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The order; also the id of its stream and its saga.
    pub order_id: OrderId,
    /// The number people read out.
    pub number: OrderNumber,
    /// Who ordered, when they have an account.
    pub customer_id: Option<CustomerId>,
    /// Where to write to.
    pub email: Email,
    /// Where the parcel goes.
    pub shipping_address: Address,
    /// Code of the shipping method.
    pub shipping_method: String,
    /// What, each book once.
    pub lines: Vec<OrderLine>,
    /// Sum of the lines.
    pub subtotal: Money,
    /// Delivery.
    pub shipping: Money,
    /// Tax; see `tax_included`.
    pub tax: Money,
    /// Whether the tax is contained in the prices rather than added.
    pub tax_included: bool,
    /// Taken off.
    pub discount: Money,
    /// What the customer pays.
    pub total: Money,
    /// The basket it came from.
    pub basket_id: Uuid,
    /// The time of the unit of work that placed it.
    pub placed_at: Timestamp,
    /// From where, as far as mails are counted: the client's address as a fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed_from: Option<String>,
    /// The coupon that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<Redeemed>,
    /// The part of the tax that is delivery's; missing in orders of early releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_tax: Option<Money>,
}

/// An account that caused an event. Stored beside it, for staff who read the order's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// The account.
    pub id: CustomerId,
    /// Its name at that time.
    pub name: String,
}

/// Who called an order off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Whoever ordered.
    Customer,
    /// Somebody who works for the shop.
    Staff,
    /// The shop itself, because something else failed.
    Shop,
}

/// What happens to an order. Stored for ever: add optional fields, never rename or remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum OrderEvent {
    /// It was placed; stock and payment are being checked.
    OrderCreated(Box<Placement>),
    /// The customer must confirm the payment with their bank.
    PaymentActionRequired {
        /// A page of the payment provider's.
        action_url: String,
    },
    /// The provider has set the money aside for us.
    PaymentAuthorised,
    /// The contract stands.
    OrderConfirmed,
    /// The money is ours.
    PaymentCaptured {
        /// In the order's currency.
        amount: Money,
    },
    /// The provider refused to capture what it had authorised.
    CaptureFailed {
        /// For staff.
        reason: String,
    },
    /// The payment was let go before anything was taken.
    PaymentVoided,
    /// It could not be confirmed.
    OrderRejected {
        /// Stable error code.
        code: String,
        /// For the customer.
        reason: String,
        /// The lines of which there were not enough.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        short: Vec<ShortLine>,
    },
    /// It was called off before it was shipped.
    OrderCancelled {
        /// Why; empty when no reason was given.
        reason: String,
        /// On whose behalf.
        by: Actor,
    },
    /// The parcel left.
    OrderShipped {
        /// The carrier's number.
        tracking: Option<String>,
    },
    /// The customer has it.
    OrderCompleted,
    /// Staff asked to give money back.
    RefundRequested {
        /// Distinguishes several.
        refund_id: Uuid,
        /// In the order's currency.
        amount: Money,
        /// As staff wrote it.
        reason: String,
        /// The copies that it is for; empty when it is for none in particular.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lines: Vec<Copies>,
    },
    /// Money went back.
    OrderRefunded {
        /// As in `RefundRequested`; new for the refund of a cancelled order.
        refund_id: Uuid,
        /// In the order's currency.
        amount: Money,
    },
    /// The provider refused to give it back.
    RefundFailed {
        /// As in `RefundRequested`; new for the refund of a cancelled order.
        refund_id: Uuid,
        /// For staff.
        reason: String,
    },
}
