//! What the world sees of an order: pure functions of its events, so that it can be rebuilt at any time.

use bookworm_contracts::{
    events::ordering::OrderSummary,
    rest::ordering::{Order as Document, OrderLine, OrderPayment},
};
use bookworm_kernel::Money;

use super::order::Order;

/// The order as the API shows it, without its access key. `None` before its first event.
#[must_use]
pub fn document(order: &Order, version: u64) -> Option<Document> {
    let placed = order.placement()?;
    let lines = placed.lines.iter().map(|line| OrderLine {
        book_id: line.book_id,
        title: line.title.clone(),
        language: line.language.clone(),
        quantity: line.quantity,
        unit_price: line.unit_price,
        line_total: line.line_total,
    });
    Some(Document {
        id: placed.order_id,
        number: placed.number.to_string(),
        status: order.status(),
        placed_at: placed.placed_at,
        lines: lines.collect(),
        subtotal: placed.subtotal,
        shipping: placed.shipping,
        tax: placed.tax,
        tax_included: placed.tax_included,
        discount: placed.discount,
        total: placed.total,
        shipping_address: placed.shipping_address.clone(),
        shipping_method: placed.shipping_method.clone(),
        email: placed.email.as_str().to_owned(),
        payment: OrderPayment {
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
        access_key: None,
    })
}

/// The part that every integration event repeats. `link` is the path of the order's page with its key. `None` before
/// the first event.
#[must_use]
pub fn summary(order: &Order, link: String) -> Option<OrderSummary> {
    let placed = order.placement()?;
    Some(OrderSummary {
        order_id: placed.order_id,
        number: placed.number.to_string(),
        customer_id: placed.customer_id,
        email: placed.email.clone(),
        name: placed.shipping_address.name.clone(),
        shipping_address: Some(placed.shipping_address.clone()),
        basket_id: placed.basket_id,
        lines: placed.lines.clone(),
        subtotal: placed.subtotal,
        shipping: placed.shipping,
        tax: placed.tax,
        tax_included: placed.tax_included,
        total: placed.total,
        link,
        placed_at: placed.placed_at,
        placed_from: placed.placed_from.clone(),
    })
}
