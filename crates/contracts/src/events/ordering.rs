//! What ordering tells. Every event carries what its readers need, so that none has to ask back.

use bookworm_kernel::{BookId, CustomerId, Email, Money, OrderId, Quantity, Timestamp};
use bookworm_messaging::message;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::rest::ordering::Address;

/// One line of an order, with the price at which it was sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedLine {
    /// The book.
    pub book_id: BookId,
    /// Its title when it was sold.
    pub title: String,
    /// The language of the book, as a BCP 47 tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// How many copies.
    pub quantity: Quantity,
    /// For one copy.
    pub unit_price: Money,
    /// For all copies.
    pub line_total: Money,
}

/// Who bought what: the part that every order event repeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderSummary {
    /// The order.
    pub order_id: OrderId,
    /// The number people read out.
    pub number: String,
    /// Who ordered, when they have an account.
    pub customer_id: Option<CustomerId>,
    /// Where to write to.
    pub email: Email,
    /// The name on the parcel.
    pub name: String,
    /// Where the parcel goes; missing in events of long ago.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shipping_address: Option<Address>,
    /// The basket it came from.
    pub basket_id: Uuid,
    /// What was ordered.
    pub lines: Vec<OrderedLine>,
    /// Sum of the lines.
    pub subtotal: Money,
    /// Delivery.
    pub shipping: Money,
    /// Tax added to, or contained in, the prices.
    pub tax: Money,
    /// Whether the tax is contained in the prices rather than added.
    #[serde(default)]
    pub tax_included: bool,
    /// What the customer pays.
    pub total: Money,
    /// Path of the order's page, with the secret that lets a guest read it.
    pub link: String,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// From where, as far as mails are counted: the client's address as a fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed_from: Option<String>,
}

message! {
    /// A customer placed an order; the saga has begun.
    "events.ordering.OrderCreated.v1" OrderCreated {
        /// The order.
        #[serde(flatten)]
        pub order: OrderSummary,
    }
}

message! {
    /// Stock is held and payment authorised: the contract stands.
    "events.ordering.OrderConfirmed.v1" OrderConfirmed {
        /// The order.
        #[serde(flatten)]
        pub order: OrderSummary,
    }
}

message! {
    /// The order could not be confirmed; nothing is held and nothing is paid.
    "events.ordering.OrderRejected.v1" OrderRejected {
        /// The order.
        #[serde(flatten)]
        pub order: OrderSummary,
        /// Stable error code, e.g. `payment_declined`.
        pub code: String,
        /// What the customer may know.
        pub reason: String,
    }
}

message! {
    /// The customer or staff cancelled before it was shipped.
    "events.ordering.OrderCancelled.v1" OrderCancelled {
        /// The order.
        #[serde(flatten)]
        pub order: OrderSummary,
        /// Why, if somebody said.
        pub reason: String,
        /// Whether it had been confirmed, so that its basket's copies were bought.
        #[serde(default)]
        pub confirmed: bool,
    }
}

message! {
    /// The parcel is on its way.
    "events.ordering.OrderShipped.v1" OrderShipped {
        /// The order.
        #[serde(flatten)]
        pub order: OrderSummary,
        /// The carrier's number, if there is one.
        pub tracking: Option<String>,
    }
}

message! {
    /// The customer has the books.
    "events.ordering.OrderCompleted.v1" OrderCompleted {
        /// The order.
        #[serde(flatten)]
        pub order: OrderSummary,
    }
}

message! {
    /// Money went back to the customer.
    "events.ordering.OrderRefunded.v1" OrderRefunded {
        /// The order.
        #[serde(flatten)]
        pub order: OrderSummary,
        /// This time.
        pub amount: Money,
        /// Why, as staff wrote it.
        pub reason: String,
    }
}
