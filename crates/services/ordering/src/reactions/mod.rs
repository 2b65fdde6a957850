//! What the answers of catalogue and finance lead to.
//!
//! Each message is handled in one unit of work: the inbox records it, the checkout advances, the order's events and
//! projection are written, and the messages that follow are put into the outbox.

mod checkout;
mod refund;
pub(crate) mod time_out;

use std::sync::Arc;

use bookworm_messaging::Consumer;

use crate::service::Ordering;

/// The consumer of everything that concerns a checkout or its money.
pub(crate) fn consumer(service: &Arc<Ordering>) -> Consumer {
    let consumer = Consumer::new("ordering.checkout");
    refund::subscribe(checkout::subscribe(consumer, service), service)
}
