use std::sync::Arc;

use bookworm_contracts::events::ordering::OrderConfirmed;
use bookworm_db::{DbError, Tx};
use bookworm_kernel::{BookId, OrderId, Quantity, Timestamp};
use bookworm_messaging::Consumer;
use uuid::Uuid;

use crate::{service::Baskets, store};

/// Takes out of the basket what was bought from it, and nothing else: what the customer put in since stays. The order's
/// claim ends with it, in the same unit of work, so that nobody ever finds the basket free and what was bought still in
/// it.
pub(super) fn subscribe(consumer: Consumer, service: &Arc<Baskets>) -> Consumer {
    let service = service.clone();
    consumer.on::<OrderConfirmed, _, _>(move |message| {
        let service = service.clone();
        async move {
            let now = service.now();
            let order = &message.body.order;
            let (basket_id, order_id) = (order.basket_id, order.order_id);
            let bought: Vec<_> = order.lines.iter().map(|line| (line.book_id, line.quantity)).collect();
            message
                .once(&service.db, move |tx| {
                    Box::pin(async move { take_out(tx, basket_id, order_id, &bought, now).await })
                })
                .await?;
            Ok(())
        }
    })
}

/// Bought as a guest, then signed in before the event came: the lines are in the account's basket now.
async fn take_out(
    tx: &Tx,
    basket_id: Uuid,
    order_id: OrderId,
    bought: &[(BookId, Quantity)],
    now: Timestamp,
) -> Result<(), DbError> {
    let Some(mut stored) = store::lock_successor(tx, basket_id).await? else { return Ok(()) };
    let before = stored.basket.version;
    stored.basket.subtract(bought);
    let released = stored.basket.release(order_id);
    if released || stored.basket.version != before {
        store::update(tx, &stored.basket, now).await?;
    }
    Ok(())
}
