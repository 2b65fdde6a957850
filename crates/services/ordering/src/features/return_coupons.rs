use std::{sync::Arc, time::Duration};

use bookworm_db::DbError;
use bookworm_loops::Loop;

use crate::{service::Ordering, store::coupons};

const EVERY: Duration = Duration::from_secs(5 * 60);
/// How old the orders are that are looked at. No order waits for so long that it could still be rejected or cancelled.
const LOOKED_AT: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Orders at a time; more wait for the next.
const AT_ONCE: usize = 500;

/// Gives back, every few minutes until `shutdown`, the coupon uses of orders that were rejected or cancelled by a process of a
/// release that knew no coupons: while the shop is upgraded, such a process still works beside this one.
pub(crate) fn every_few_minutes(service: Arc<Ordering>) -> Loop {
    Loop::every("ordering.coupon_uses", EVERY, move || {
        let service = service.clone();
        async move {
            match give_back(&service).await {
                Ok(0) => {}
                Ok(orders) => tracing::info!(orders, "coupons of orders that do not stand were given back"),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "coupons cannot be given back yet");
                }
            }
        }
    })
    .leader_only()
}

/// How many orders gave their use back.
async fn give_back(service: &Arc<Ordering>) -> Result<usize, DbError> {
    let now = service.now();
    let orders = coupons::kept_by_orders_that_do_not_stand(service.db.read(), now.minus(LOOKED_AT), AT_ONCE).await?;
    let found = orders.len();
    // Each in a unit of work of its own, so that no two coupons are locked at a time.
    for order in orders {
        service
            .db
            .transact::<_, DbError, _>(move |tx| Box::pin(async move { coupons::give_back(tx, order, now).await }))
            .await?;
    }
    Ok(found)
}
