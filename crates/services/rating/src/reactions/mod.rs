//! What the rating role does when orders change.

mod order_completed;

use std::sync::Arc;

use bookworm_contracts::events::ordering::OrderCompleted;
use bookworm_messaging::Consumer;

use crate::service::Ratings;

/// The consumer of what becomes of orders.
pub(crate) fn consumer(service: &Arc<Ratings>) -> Consumer {
    let completed = service.clone();
    Consumer::new("rating.orders")
        .on::<OrderCompleted, _, _>(move |message| order_completed::react(completed.clone(), message))
}
