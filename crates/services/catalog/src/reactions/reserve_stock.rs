use std::sync::Arc;

use bookworm_contracts::{
    commands::ReserveStock,
    events::catalog::{StockRejected, StockReserved},
};
use bookworm_messaging::{Reaction, ReactionError, Received};

use crate::{
    service::Catalog,
    store::stock::{self, Outcome},
};

/// Holds the copies of an order, all or none, and says so.
pub(crate) async fn react(catalog: Arc<Catalog>, message: Received<ReserveStock>) -> Reaction {
    let (service, cause, command) = (catalog.clone(), message.cause, message.body.clone());
    let done = message.once(&catalog.db, move |tx| {
        Box::pin(async move {
            let order_id = command.order_id;
            let outcome = match stock::reserve(tx, order_id, &command.lines, service.clock.now()).await? {
                Outcome::Reserved(sold_out) => {
                    service.outbox.put(tx, &cause, &StockReserved { order_id }).await?;
                    service.changed_with(tx, command.lines.iter().map(|line| line.book_id).collect());
                    service.search_changed(tx, &sold_out).await?;
                    "reserved"
                }
                Outcome::Refused(short) => {
                    service.outbox.put(tx, &cause, &StockRejected { order_id, short }).await?;
                    "refused"
                }
            };
            tx.after_commit(move || {
                metrics::counter!("stock_reservations_total", "outcome" => outcome).increment(1);
            });
            Ok::<_, ReactionError>(())
        })
    });
    done.await.map(|_| ())
}
