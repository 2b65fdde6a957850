use std::sync::Arc;

use bookworm_contracts::events::{catalog::InventoryUpdated, ordering::OrderCompleted};
use bookworm_messaging::{Reaction, ReactionError, Received};

use crate::{
    service::Catalog,
    store::stock::{self, Committed},
};

/// The customer has the books: they leave the stock, and everybody hears how many are left.
pub(crate) async fn react(catalog: Arc<Catalog>, message: Received<OrderCompleted>) -> Reaction {
    let (service, cause, order_id) = (catalog.clone(), message.cause, message.body.order.order_id);
    let done = message.once(&catalog.db, move |tx| {
        Box::pin(async move {
            match stock::commit(tx, order_id, service.clock.now()).await? {
                Committed::Now(books) => {
                    for (book_id, left) in &books {
                        let updated = InventoryUpdated {
                            book_id: *book_id,
                            on_hand: left.on_hand,
                            reserved: left.reserved,
                            order_id: Some(order_id),
                        };
                        service.outbox.put(tx, &cause, &updated).await?;
                    }
                    service.changed_with(tx, books.into_iter().map(|(book, _)| book).collect());
                    Ok(())
                }
                Committed::Before => Ok(()),
                Committed::NotHeld => {
                    Err(ReactionError::refuse(format!("order {order_id} was completed but holds no stock")))
                }
            }
        })
    });
    done.await.map(|_| ())
}
