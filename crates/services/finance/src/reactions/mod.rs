//! What finance does when commands and events of other services arrive.

mod authorise_payment;
mod capture_payment;
mod orders;
mod refund_payment;
mod void_payment;

use std::sync::Arc;

use bookworm_contracts::{
    commands::{AuthorisePayment, CapturePayment, RefundPayment, VoidPayment},
    events::ordering::{
        OrderCancelled, OrderCompleted, OrderConfirmed, OrderCreated, OrderRefunded, OrderRejected, OrderShipped,
    },
};
use bookworm_messaging::Consumer;

use crate::service::Finance;

/// Three consumers, so that cards whose bank does not answer delay neither captures nor voids.
pub(crate) fn consumers(finance: &Arc<Finance>) -> Vec<Consumer> {
    macro_rules! with {
        ($react:path) => {{
            let finance = finance.clone();
            move |message| {
                let finance = finance.clone();
                async move { $react(&finance, message).await }
            }
        }};
    }
    vec![
        Consumer::new("finance.authorise").on::<AuthorisePayment, _, _>(with!(authorise_payment::react)),
        Consumer::new("finance.settle")
            .on::<CapturePayment, _, _>(with!(capture_payment::react))
            .on::<VoidPayment, _, _>(with!(void_payment::react))
            .on::<RefundPayment, _, _>(with!(refund_payment::react)),
        Consumer::new("finance.orders")
            .on::<OrderCreated, _, _>(with!(orders::created))
            .on::<OrderConfirmed, _, _>(with!(orders::confirmed))
            .on::<OrderRejected, _, _>(with!(orders::rejected))
            .on::<OrderCancelled, _, _>(with!(orders::cancelled))
            .on::<OrderShipped, _, _>(with!(orders::shipped))
            .on::<OrderCompleted, _, _>(with!(orders::completed))
            .on::<OrderRefunded, _, _>(with!(orders::refunded)),
    ]
}
