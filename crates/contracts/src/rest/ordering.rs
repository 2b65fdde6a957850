//! Checkout and orders.

use bookworm_kernel::{BookId, CustomerId, Money, OrderId, Quantity, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a parcel goes. What is required and what fits is the country's own; what a country does not have, such as
/// postal codes in Hong Kong, is left out.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// 1 to 100 characters.
    pub name: String,
    /// Street and number; 1 to 200 characters.
    pub line1: String,
    /// Up to 200 characters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line2: Option<String>,
    /// Up to 100 characters. Left out where addresses have none, as in Singapore.
    #[serde(default)]
    pub city: String,
    /// State, province or county, by its code, ISO 3166-2 code or name: `CA`, `US-CA`, `California`. An order shows it as
    /// it is written there. Up to 100 characters.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub region: Option<String>,
    /// Up to 20 characters. Left out where there are none.
    #[serde(default)]
    pub postal_code: String,
    /// ISO 3166-1 alpha-2, e.g. `US`, or `XK` for Kosovo.
    #[schema(example = "US")]
    pub country: String,
}

impl Address {
    /// The same, as the rules of its country read it.
    #[must_use]
    pub fn parts(&self) -> bookworm_address::Address<'_> {
        bookworm_address::Address {
            name: &self.name,
            line1: &self.line1,
            line2: self.line2.as_deref().unwrap_or_default(),
            city: &self.city,
            region: self.region.as_deref().unwrap_or_default(),
            postal_code: &self.postal_code,
            country: &self.country,
        }
    }

    /// As on a parcel, in the country's own form.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        bookworm_address::lines(&self.parts())
    }
}

impl std::fmt::Debug for Address {
    /// Hides the address: where people live does not belong in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Address(hidden)")
    }
}

/// How to pay.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PaymentInput {
    /// The payment provider's token for the card, e.g. the sandbox's `tok_approve`.
    pub token: String,
}

/// `POST /orders/checkout`
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckoutRequest {
    /// Required from a guest; a customer's account has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub email: Option<String>,
    /// Where to.
    pub shipping_address: Address,
    /// Code of one of `GET /shipping-methods`.
    pub shipping_method: String,
    /// How to pay. Needed unless the total is zero.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub payment: Option<PaymentInput>,
    /// What the customer was shown; another total is refused with `total_changed`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expected_total: Option<Money>,
    /// A coupon's code; one for each order. Case and blanks do not matter.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub coupon: Option<String>,
}

/// `POST /orders/quote`: what a checkout of the present basket would cost.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuoteRequest {
    /// Code of one of `GET /shipping-methods`; the cheapest that serves the country when missing.
    #[serde(default)]
    pub shipping_method: Option<String>,
    /// ISO 3166-1 alpha-2, or `XK`.
    pub country: String,
    /// State, province or county, by code or name. Required where the tax depends on it.
    #[serde(default)]
    pub region: Option<String>,
    /// A coupon's code. Case and blanks do not matter.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub coupon: Option<String>,
}

/// What an order costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Quote {
    /// Sum of the lines.
    pub subtotal: Money,
    /// Delivery.
    pub shipping: Money,
    /// Tax; see `tax_included`.
    pub tax: Money,
    /// Whether `tax` is contained in the prices rather than added.
    pub tax_included: bool,
    /// Taken off.
    pub discount: Money,
    /// The coupon that takes it off.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub coupon: Option<OrderCoupon>,
    /// What the customer pays.
    pub total: Money,
    /// The method used.
    pub shipping_method: String,
}

/// A coupon that an order uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderCoupon {
    /// What the customer typed, in capitals.
    pub code: String,
    /// What it was called when the order was placed.
    pub name: String,
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Being checked: stock and payment.
    Pending,
    /// The contract stands.
    Confirmed,
    /// On its way.
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

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OrderLine {
    /// The book.
    pub book_id: BookId,
    /// Its title when it was sold.
    pub title: String,
    /// The language of the book and of its title: a BCP 47 tag such as `en`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub language: Option<String>,
    /// How many copies.
    pub quantity: Quantity,
    /// For one copy.
    pub unit_price: Money,
    /// For all copies.
    pub line_total: Money,
    /// Its part of the order's discount; missing where no coupon was used.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub discount: Option<Money>,
}

/// Where the payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Not asked yet, or no answer yet.
    Pending,
    /// The customer must confirm with their bank.
    ActionRequired,
    /// Reserved for the shop.
    Authorised,
    /// Ours.
    Captured,
    /// Refused.
    Declined,
    /// Let go.
    Voided,
    /// Partly given back.
    PartiallyRefunded,
    /// All given back.
    Refunded,
    /// The order costs nothing, so there is nothing to pay.
    NotRequired,
    /// The provider refused to capture; staff must look.
    Failed,
}

/// The payment of an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OrderPayment {
    /// Where it stands.
    pub status: PaymentStatus,
    /// Where the customer confirms, while `status` is `action_required`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub action_url: Option<String>,
    /// Given back so far.
    pub refunded: Money,
    /// On its way back: asked for, and not settled yet.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refunding: Option<Money>,
}

/// What may be done with an order as it stands. Shipping, completing and refunding are for staff.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderActions {
    /// `POST /orders/{id}/cancel`
    pub cancel: bool,
    /// `POST /orders/{id}/ship`
    pub ship: bool,
    /// `POST /orders/{id}/complete`
    pub complete: bool,
    /// `POST /orders/{id}/refund`: up to how much; missing when nothing can be refunded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub refund: Option<Money>,
}

/// A step in an order's life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimelineEntry {
    /// What happened: a status of the order, or `payment_captured`, `payment_action_required`, `partially_refunded`.
    pub status: String,
    /// When.
    pub at: Timestamp,
    /// A sentence for people, when there is more to say.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub note: Option<String>,
}

/// Why an order was rejected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Rejection {
    /// Stable error code.
    pub code: String,
    /// For people.
    pub reason: String,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Order {
    /// The order.
    pub id: OrderId,
    /// The number people read out, e.g. `BW-7K3M-92QX`.
    pub number: String,
    /// Where it stands.
    pub status: OrderStatus,
    /// When it was placed.
    pub placed_at: Timestamp,
    /// What was ordered.
    pub lines: Vec<OrderLine>,
    /// Sum of the lines.
    pub subtotal: Money,
    /// Delivery.
    pub shipping: Money,
    /// Tax; see `tax_included`.
    pub tax: Money,
    /// Whether `tax` is contained in the prices rather than added.
    pub tax_included: bool,
    /// Taken off.
    pub discount: Money,
    /// The coupon that was used.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub coupon: Option<OrderCoupon>,
    /// What the customer pays.
    pub total: Money,
    /// Where to.
    pub shipping_address: Address,
    /// Code of the shipping method.
    pub shipping_method: String,
    /// Where we write to.
    pub email: String,
    /// The payment.
    pub payment: OrderPayment,
    /// What may be done with it now. Missing in lists.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub actions: Option<OrderActions>,
    /// Why it was rejected, when it was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rejection: Option<Rejection>,
    /// The carrier's number.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tracking: Option<String>,
    /// What happened, oldest first.
    pub timeline: Vec<TimelineEntry>,
    /// Number of events so far; the number in the `ETag`.
    pub version: u64,
    /// The secret that lets a guest read this order as `?key=`; only in answers to those who may know it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub access_key: Option<String>,
}

/// An event of an order's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OrderEvent {
    /// 1 for the first.
    pub version: u64,
    /// Its name.
    #[serde(rename = "type")]
    pub kind: String,
    /// When.
    pub at: Timestamp,
    /// What it says.
    pub data: serde_json::Value,
    /// The request it belongs to.
    pub correlation_id: uuid::Uuid,
    /// What directly led to it.
    pub causation_id: uuid::Uuid,
    /// The account that caused it. For staff only; missing where the shop itself or a guest did, and in events that
    /// are older than this field.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<EventAuthor>,
}

/// An account that caused an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventAuthor {
    /// The account.
    pub id: CustomerId,
    /// Its name at that time.
    pub name: String,
}

/// `POST /orders/{id}/cancel`
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    /// Up to 500 characters.
    #[serde(default)]
    pub reason: Option<String>,
    /// Only if it is not confirmed yet: refused with `invalid_order_state` when it was confirmed a moment before.
    #[serde(default)]
    pub only_unconfirmed: bool,
}

/// `POST /orders/{id}/ship`
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShipRequest {
    /// The carrier's number; up to 100 characters.
    #[serde(default)]
    pub tracking: Option<String>,
}

/// `POST /orders/{id}/refund`
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefundRequest {
    /// What to give back; all that is left when it and `lines` are missing.
    #[serde(default)]
    pub amount: Option<Money>,
    /// Instead of an amount: the copies for which to give back what was paid, each book once. 1 to 200.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 200)]
    pub lines: Option<Vec<CopiesOf>>,
    /// 1 to 500 characters.
    pub reason: String,
}

/// Copies of a book of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CopiesOf {
    /// The book.
    pub book_id: BookId,
    /// How many.
    pub quantity: Quantity,
}

/// A way to deliver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShippingMethod {
    /// What to send at checkout.
    pub code: String,
    /// For people.
    pub name: String,
    /// What it costs.
    pub price: Money,
    /// From this subtotal on it is free.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub free_from: Option<Money>,
    /// Working days, at least.
    pub min_days: u32,
    /// Working days, at most.
    pub max_days: u32,
    /// ISO 3166-1 alpha-2 codes it serves; empty for everywhere that `GET /shipping-countries` lists.
    pub countries: Vec<String>,
    /// What it costs for the `subtotal` that was asked about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub charge: Option<Money>,
}

/// A country that the shop delivers to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShippingCountry {
    /// ISO 3166-1 alpha-2, or `XK` for Kosovo.
    #[schema(example = "US")]
    pub code: String,
    /// In English.
    pub name: String,
}

/// A way to pay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PaymentMethod {
    /// What to send at checkout.
    pub token: String,
    /// For people.
    pub name: String,
    /// What it does.
    pub description: String,
}
