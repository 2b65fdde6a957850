use bookworm_contracts::events::ordering::OrderConfirmed;
use bookworm_db::{DbError, Tx};
use bookworm_kernel::{BookId, Quantity, Timestamp};
use bookworm_messaging::Consumer;
use uuid::Uuid;

use crate::{BasketService, store};

/// Takes out of the basket what was bought from it, and nothing else: what the customer put in since stays.
pub(crate) fn consumer(service: BasketService) -> Consumer {
    Consumer::new("basket.orders").on::<OrderConfirmed, _, _>(move |message| {
        let service = service.clone();
        async move {
            let now = service.now();
            let order = &message.body.order;
            let basket_id = order.basket_id;
            let bought: Vec<_> = order.lines.iter().map(|line| (line.book_id, line.quantity)).collect();
            message
                .once(service.db(), move |tx| Box::pin(async move { take_out(tx, basket_id, &bought, now).await }))
                .await?;
            Ok(())
        }
    })
}

async fn take_out(tx: &Tx, basket_id: Uuid, bought: &[(BookId, Quantity)], now: Timestamp) -> Result<(), DbError> {
    let mut stored = store::lock_id(tx, basket_id).await?;
    // Bought as a guest, then signed in before the news came: the lines are in the account's basket now.
    if let Some(into) = stored.as_ref().and_then(|stored| stored.merged_into) {
        stored = store::lock_id(tx, into).await?;
    }
    let Some(mut stored) = stored else { return Ok(()) };
    let before = stored.basket.version;
    stored.basket.subtract(bought);
    if stored.basket.version != before {
        store::update(tx, &stored.basket, now).await?;
    }
    Ok(())
}
