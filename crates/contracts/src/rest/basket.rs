//! The basket.

use bookworm_kernel::{BookId, Money, OrderId, Quantity};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One book in the basket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BasketLine {
    /// The book.
    pub book_id: BookId,
    /// Its title.
    pub title: String,
    /// Who wrote it.
    pub authors: Vec<String>,
    /// The language of the book, of its title and of its authors' names: a BCP 47 tag such as `en`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub language: Option<String>,
    /// How many copies.
    pub quantity: Quantity,
    /// What one copy costs now.
    pub unit_price: Money,
    /// What all copies cost now.
    pub line_total: Money,
    /// How many copies can be bought now; 0 when the book is no longer sold.
    pub available: i64,
    /// Whether the price is another than when this basket was last shown.
    pub price_changed: bool,
    /// The price that was shown last, when it changed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub previous_price: Option<Money>,
    /// Path of the cover.
    pub cover_url: String,
}

/// A basket with today's prices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Basket {
    /// In the order in which they were put in.
    pub items: Vec<BasketLine>,
    /// Sum of the lines.
    pub subtotal: Money,
    /// Counts changes.
    pub version: u64,
    /// The order that is being made of this basket, while it is not decided. Until then there is no other order of this
    /// basket: `GET /orders/under-way` says where that one stands.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub order_under_way: Option<OrderId>,
}

/// `POST /basket/items`
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddItem {
    /// The book.
    pub book_id: BookId,
    /// How many copies to add.
    pub quantity: Quantity,
}

/// `PATCH /basket/items/{book_id}`
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetQuantity {
    /// 0 to 99; 0 removes the line.
    #[schema(minimum = 0, maximum = 99)]
    pub quantity: i64,
}
