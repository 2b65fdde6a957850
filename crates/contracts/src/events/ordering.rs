//! Events that ordering publishes. Every event carries what its readers need, so that none has to ask back.

use bookworm_kernel::{BookId, CustomerId, Email, Money, OrderId, Quantity, Timestamp};
use bookworm_messaging::message;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

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

/// Where a parcel goes. Not the API's type: events wait in outboxes and queues, and may be read by a release that has never
/// heard of a new field of the API.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Address {
    /// The recipient.
    pub name: String,
    /// Street and number.
    pub line1: String,
    /// A second line of the street address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    /// Empty where addresses have none.
    #[serde(default)]
    pub city: String,
    /// State, province or county, as it is written there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Empty where there are none.
    #[serde(default)]
    pub postal_code: String,
    /// ISO 3166-1 alpha-2, or `XK`.
    pub country: String,
}

impl Address {
    /// As on a parcel, in the country's own form.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        bookworm_address::lines(&bookworm_address::Address {
            name: &self.name,
            line1: &self.line1,
            line2: self.line2.as_deref().unwrap_or_default(),
            city: &self.city,
            region: self.region.as_deref().unwrap_or_default(),
            postal_code: &self.postal_code,
            country: &self.country,
        })
    }
}

impl std::fmt::Debug for Address {
    /// Hides the address: where people live does not belong in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Address(hidden)")
    }
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
    /// Taken off; missing when nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discount: Option<Money>,
    /// The code of the coupon that took it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<String>,
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
    /// The customer must confirm the payment before the order goes on.
    "events.ordering.OrderActionRequired.v1" OrderActionRequired {
        /// The order.
        pub order_id: OrderId,
    }
}

message! {
    /// Stock is reserved and payment authorised: the contract stands.
    "events.ordering.OrderConfirmed.v1" OrderConfirmed {
        /// The order.
        #[serde(flatten)]
        pub order: OrderSummary,
    }
}

message! {
    /// The order could not be confirmed; nothing is reserved and nothing is paid.
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
        /// Why, if a reason was given.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As it stands in outboxes and queues today.
    const ADDRESS: &str = r#"{"name":"Ann","line1":"1 Main St","line2":"Apt. 4","city":"Oakland","region":"CA","postal_code":"94601","country":"US"}"#;

    #[test]
    fn an_address_is_read_and_written_as_it_was_published() {
        let read: Address = serde_json::from_str(ADDRESS).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), ADDRESS);
        let least: Address = serde_json::from_str(r#"{"name":"Ann","line1":"1","country":"SG","floor":3}"#).unwrap();
        assert_eq!(least.lines(), ["Ann", "1", "Singapore"], "parts may be missing, and new ones do no harm");
    }
}
