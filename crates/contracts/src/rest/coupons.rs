//! Coupons, as staff make them.

use bookworm_kernel::{BookId, Money, OrderId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ordering::EventAuthor;

/// What a coupon takes off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum CouponBenefit {
    /// A part of what its books cost.
    Percent {
        /// 1 to 100.
        percent: u32,
    },
    /// An amount, and at most what its books cost.
    Amount {
        /// Above 0, in the shop's currency.
        amount: Money,
    },
    /// Delivery, up to what the cheapest way there costs.
    FreeDelivery,
}

/// `POST /admin/coupons`
///
/// It counts of the books that one of `subjects`, `authors`, `publishers` or `books` names; of all when these are empty.
/// Together they name at most 200.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CouponInput {
    /// What customers type: 3 to 32 letters a to z, digits and hyphens. Case does not matter.
    pub code: String,
    /// What customers read beside the discount: 1 to 100 characters.
    pub name: String,
    /// What it takes off.
    pub benefit: CouponBenefit,
    /// Names of subjects; case does not matter.
    #[serde(default)]
    pub subjects: Vec<String>,
    /// Names of authors, as the books have them; case does not matter.
    #[serde(default)]
    pub authors: Vec<String>,
    /// Names of publishers; case does not matter.
    #[serde(default)]
    pub publishers: Vec<String>,
    /// Single books.
    #[serde(default)]
    pub books: Vec<BookId>,
    /// What its books must cost together, at least; above 0, in the shop's currency.
    #[serde(default)]
    pub minimum: Option<Money>,
    /// Whether it is for customers without an order that stands. It can be used once by each then.
    #[serde(default)]
    pub first_order: bool,
    /// From when on it can be used.
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// Until when: at this moment it has ended. After `from`.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// How many orders may use it: 1 to 1,000,000; any number when left out. Rejected and cancelled orders do not count.
    #[serde(default)]
    pub max_uses: Option<u32>,
    /// How many orders of one customer may use it: 1 to 1,000. A customer is an account, and a mailbox.
    #[serde(default)]
    pub per_customer: Option<u32>,
}

/// A coupon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Coupon {
    /// What customers type, in capitals.
    pub code: String,
    /// What customers read beside the discount.
    pub name: String,
    /// What it takes off.
    pub benefit: CouponBenefit,
    /// Names of the subjects whose books it counts of.
    pub subjects: Vec<String>,
    /// Names of authors.
    pub authors: Vec<String>,
    /// Names of publishers.
    pub publishers: Vec<String>,
    /// Single books.
    pub books: Vec<BookId>,
    /// What its books must cost together.
    pub minimum: Option<Money>,
    /// Whether it is for customers without an order that stands.
    pub first_order: bool,
    /// From when on it can be used.
    pub from: Option<Timestamp>,
    /// Until when.
    pub until: Option<Timestamp>,
    /// How many orders may use it.
    pub max_uses: Option<u32>,
    /// How many orders of one customer may.
    pub per_customer: Option<u32>,
    /// Orders that use it and stand.
    pub uses: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: EventAuthor,
    /// When it was stopped.
    pub stopped_at: Option<Timestamp>,
    /// By whom.
    pub stopped_by: Option<EventAuthor>,
}

/// An order that used a coupon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CouponUse {
    /// The order.
    pub order_id: OrderId,
    /// The number people read out.
    pub number: String,
    /// When it was placed.
    pub at: Timestamp,
    /// What was taken off.
    pub discount: Money,
    /// When the use was given back, because the order was rejected or cancelled.
    pub returned_at: Option<Timestamp>,
}
