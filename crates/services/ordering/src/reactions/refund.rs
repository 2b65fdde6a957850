use std::sync::Arc;

use bookworm_contracts::{
    commands::ReleaseStock,
    events::finance::{PaymentRefunded, RefundFailed},
};
use bookworm_messaging::{Consumer, Received};

use crate::{
    domain::checkout_saga::{CheckoutSaga, Input},
    service::{
        Ordering,
        work::{Work, WorkError},
    },
};

/// Notes on the order what became of a refund.
pub(crate) fn subscribe(consumer: Consumer, service: &Arc<Ordering>) -> Consumer {
    let (refunded, failed) = (service.clone(), service.clone());
    consumer
        .on(move |message: Received<PaymentRefunded>| {
            let service = refunded.clone();
            async move {
                let (db, now) = (service.db.clone(), service.now());
                let PaymentRefunded { order_id, refund_id, amount } = message.body;
                let cause = message.cause;
                message
                    .receipt
                    .once::<_, WorkError, _>(&db, move |tx| {
                        Box::pin(async move {
                            // A checkout that was called off waits for this as proof that no money is taken.
                            let input = Input::PaymentRefunded;
                            let actions =
                                bookworm_saga::advance::<CheckoutSaga>(tx, order_id.uuid(), input, now).await?;
                            let mut work = Work::on(&service, tx, cause, order_id);
                            work.perform(actions).await?;
                            let before = work.order().await?.status();
                            work.note(|order| order.note_refunded(refund_id, amount)).await?;
                            if work.order().await?.frees_stock(before) {
                                work.send(&ReleaseStock { order_id }).await?;
                            }
                            work.finish_if_decided().await
                        })
                    })
                    .await?;
                Ok(())
            }
        })
        .on(move |message: Received<RefundFailed>| {
            let service = failed.clone();
            async move {
                let (db, cause) = (service.db.clone(), message.cause);
                let RefundFailed { order_id, refund_id, reason } = message.body;
                message
                    .receipt
                    .once::<_, WorkError, _>(&db, move |tx| {
                        Box::pin(async move {
                            let mut work = Work::on(&service, tx, cause, order_id);
                            work.note(|order| order.note_refund_failed(refund_id, &reason)).await?;
                            work.finish_if_decided().await
                        })
                    })
                    .await?;
                Ok(())
            }
        })
}
