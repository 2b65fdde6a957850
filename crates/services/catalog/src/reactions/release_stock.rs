use std::sync::Arc;

use bookworm_contracts::{commands::ReleaseStock, events::catalog::StockReleased};
use bookworm_messaging::{Reaction, ReactionError, Received};

use crate::{service::Catalog, store::stock};

/// Gives back what an order holds. Also when it holds nothing: then a reservation that comes later is refused.
pub(crate) async fn react(catalog: Arc<Catalog>, message: Received<ReleaseStock>) -> Reaction {
    let (service, cause, order_id) = (catalog.clone(), message.cause, message.body.order_id);
    let done = message.once(&catalog.db, move |tx| {
        Box::pin(async move {
            let released = stock::release(tx, order_id, service.clock.now()).await?;
            service.outbox.put(tx, &cause, &StockReleased { order_id }).await?;
            service.changed_with(tx, released.books);
            service.search_changed(tx, &released.back).await?;
            Ok::<_, ReactionError>(())
        })
    });
    done.await.map(|_| ())
}
