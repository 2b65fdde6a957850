//! An order as the API shows it.

use bookworm_contracts::rest::{coupons, ordering as rest};

use crate::{
    domain::{
        coupon::{Benefit, Coupon, Redeemed, Scope},
        event::{Address, Author, OrderLine},
        order::{Actions, Rejection, TimelineEntry},
        pricing::Quote,
        status::{OrderStatus, PaymentStatus},
    },
    store::{
        coupons::Stored,
        document::{Document, PaymentDocument},
    },
};

impl From<Document> for rest::Order {
    /// Without the access key, which only some may see.
    fn from(order: Document) -> Self {
        Self {
            id: order.id,
            number: order.number,
            status: status(order.status),
            placed_at: order.placed_at,
            lines: order.lines.into_iter().map(line).collect(),
            subtotal: order.subtotal,
            shipping: order.shipping,
            tax: order.tax,
            tax_included: order.tax_included,
            discount: order.discount,
            coupon: order.coupon.map(coupon),
            total: order.total,
            shipping_address: address(order.shipping_address),
            shipping_method: order.shipping_method,
            email: order.email,
            payment: payment(order.payment),
            actions: order.actions.map(actions),
            rejection: order.rejection.map(|Rejection { code, reason }| rest::Rejection { code, reason }),
            tracking: order.tracking,
            timeline: order.timeline.into_iter().map(entry).collect(),
            version: order.version,
            access_key: None,
        }
    }
}

pub(super) fn status(status: OrderStatus) -> rest::OrderStatus {
    match status {
        OrderStatus::Pending => rest::OrderStatus::Pending,
        OrderStatus::Confirmed => rest::OrderStatus::Confirmed,
        OrderStatus::Shipped => rest::OrderStatus::Shipped,
        OrderStatus::Completed => rest::OrderStatus::Completed,
        OrderStatus::Cancelled => rest::OrderStatus::Cancelled,
        OrderStatus::Rejected => rest::OrderStatus::Rejected,
        OrderStatus::Refunded => rest::OrderStatus::Refunded,
    }
}

pub(super) fn payment_status(status: PaymentStatus) -> rest::PaymentStatus {
    match status {
        PaymentStatus::Pending => rest::PaymentStatus::Pending,
        PaymentStatus::ActionRequired => rest::PaymentStatus::ActionRequired,
        PaymentStatus::Authorised => rest::PaymentStatus::Authorised,
        PaymentStatus::Captured => rest::PaymentStatus::Captured,
        PaymentStatus::Declined => rest::PaymentStatus::Declined,
        PaymentStatus::Voided => rest::PaymentStatus::Voided,
        PaymentStatus::PartiallyRefunded => rest::PaymentStatus::PartiallyRefunded,
        PaymentStatus::Refunded => rest::PaymentStatus::Refunded,
        PaymentStatus::NotRequired => rest::PaymentStatus::NotRequired,
        PaymentStatus::Failed => rest::PaymentStatus::Failed,
    }
}

pub(super) fn quote(quote: Quote, coupon: Option<Coupon>) -> rest::Quote {
    let Quote { subtotal, shipping, tax, tax_included, discount, total, shipping_method, .. } = quote;
    let coupon = coupon.map(|Coupon { code, name, .. }| rest::OrderCoupon { code: code.to_string(), name });
    rest::Quote { subtotal, shipping, tax, tax_included, discount, coupon, total, shipping_method }
}

fn coupon(Redeemed { code, name, off_shipping: _ }: Redeemed) -> rest::OrderCoupon {
    rest::OrderCoupon { code: code.to_string(), name }
}

pub(super) fn author(Author { id, name }: Author) -> rest::EventAuthor {
    rest::EventAuthor { id, name }
}

/// A coupon, as staff see it.
pub(super) fn stored_coupon(stored: Stored) -> coupons::Coupon {
    let Stored { coupon, uses, created_at, created_by, stopped } = stored;
    let (stopped_at, stopped_by) = stopped.map(|(at, by)| (at, author(by))).unzip();
    let Scope { subjects, authors, publishers, books } = coupon.scope;
    coupons::Coupon {
        code: coupon.code.to_string(),
        name: coupon.name,
        benefit: match coupon.benefit {
            Benefit::Percent(percent) => coupons::CouponBenefit::Percent { percent },
            Benefit::Amount(amount) => coupons::CouponBenefit::Amount { amount },
            Benefit::FreeDelivery => coupons::CouponBenefit::FreeDelivery,
        },
        subjects,
        authors,
        publishers,
        books,
        minimum: coupon.minimum,
        first_order: coupon.first_order,
        from: coupon.from,
        until: coupon.until,
        max_uses: coupon.max_uses,
        per_customer: coupon.per_customer,
        uses,
        created_at,
        created_by: author(created_by),
        stopped_at,
        stopped_by,
    }
}

fn payment(payment: PaymentDocument) -> rest::OrderPayment {
    let PaymentDocument { status, action_url, refunded, refunding } = payment;
    rest::OrderPayment { status: payment_status(status), action_url, refunded, refunding }
}

fn line(line: OrderLine) -> rest::OrderLine {
    let OrderLine { book_id, title, language, quantity, unit_price, line_total, discount } = line;
    rest::OrderLine { book_id, title, language, quantity, unit_price, line_total, discount }
}

fn address(address: Address) -> rest::Address {
    let Address { name, line1, line2, city, region, postal_code, country } = address;
    rest::Address { name, line1, line2, city, region, postal_code, country }
}

fn actions(actions: Actions) -> rest::OrderActions {
    let Actions { cancel, ship, complete, refund } = actions;
    rest::OrderActions { cancel, ship, complete, refund }
}

fn entry(TimelineEntry { status, at, note }: TimelineEntry) -> rest::TimelineEntry {
    rest::TimelineEntry { status, at, note }
}
