use std::sync::Arc;

use bookworm_contracts::events::ordering::{OrderCancelled, OrderRejected};
use bookworm_db::DbError;
use bookworm_kernel::OrderId;
use bookworm_messaging::{Consumer, Receipt};
use uuid::Uuid;

use crate::{features::claim, service::Baskets};

/// Gives the basket back when its order could not be confirmed, or was called off before it was. An order that was
/// confirmed first has bought what was in it: its confirmation, which may still be on its way, ends that claim.
pub(super) fn subscribe(consumer: Consumer, service: &Arc<Baskets>) -> Consumer {
    let (rejected, cancelled) = (service.clone(), service.clone());
    consumer
        .on::<OrderRejected, _, _>(move |message| {
            let service = rejected.clone();
            async move {
                let order = &message.body.order;
                let (basket, order) = (order.basket_id, Some(order.order_id));
                Ok(give_back(&service, message.receipt, basket, order).await?)
            }
        })
        .on::<OrderCancelled, _, _>(move |message| {
            let service = cancelled.clone();
            async move {
                let order = &message.body.order;
                let (basket, order) = (order.basket_id, Some(order.order_id).filter(|_| !message.body.confirmed));
                Ok(give_back(&service, message.receipt, basket, order).await?)
            }
        })
}

async fn give_back(
    service: &Arc<Baskets>,
    receipt: Receipt,
    basket: Uuid,
    order: Option<OrderId>,
) -> Result<(), DbError> {
    let now = service.now();
    receipt
        .once(&service.db, move |tx| {
            Box::pin(async move {
                if let Some(order) = order {
                    claim::release(tx, basket, order, now).await?;
                }
                Ok::<_, DbError>(())
            })
        })
        .await?;
    Ok(())
}
