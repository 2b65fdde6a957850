//! What the rating role does when orders change.

mod order_completed;
mod order_returned;

use std::sync::Arc;

use bookworm_contracts::events::ordering::{OrderCancelled, OrderCompleted, OrderRefunded};
use bookworm_messaging::Consumer;

use crate::service::Ratings;

/// The consumer of what becomes of orders.
pub(crate) fn consumer(service: &Arc<Ratings>) -> Consumer {
    let (completed, refunded, cancelled) = (service.clone(), service.clone(), service.clone());
    Consumer::new("rating.orders")
        .on::<OrderCompleted, _, _>(move |message| order_completed::react(completed.clone(), message))
        .on::<OrderRefunded, _, _>(move |message| {
            let order = message.body.order.order_id;
            order_returned::react(refunded.clone(), message, order)
        })
        .on::<OrderCancelled, _, _>(move |message| {
            let order = message.body.order.order_id;
            order_returned::react(cancelled.clone(), message, order)
        })
}
