//! What the basket does when orders change.

mod order_confirmed;
mod order_off;

use std::sync::Arc;

use bookworm_messaging::Consumer;

use crate::service::Baskets;

/// The consumer of what becomes of orders.
pub(crate) fn consumer(service: &Arc<Baskets>) -> Consumer {
    order_off::subscribe(order_confirmed::subscribe(Consumer::new("basket.orders"), service), service)
}
